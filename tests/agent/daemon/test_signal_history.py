"""The signal strength of the last hours."""

from agent.daemon.signal_history import INTERVAL_S, MAX_VALUES, SignalHistory


def test_each_interval_has_its_last_value():
    """Intervals without a value are unknown; the one that has just begun is left out."""
    history = SignalHistory()
    assert history.get_values(5) == []
    for now, dbm in ((10, -80), (20, -70), (INTERVAL_S + 1, -60), (4 * INTERVAL_S, None)):
        history.record(dbm, now)
    assert history.get_values(4 * INTERVAL_S) == [-70, -60, None, None]
    assert history.get_values(5 * INTERVAL_S) == [-70, -60, None, None, None]
    history.record(-50, 5 * INTERVAL_S)
    assert history.get_values(5.5 * INTERVAL_S) == [-70, -60, None, None, None, -50]


def test_history_is_bounded():
    """After a long pause only unknown values are left."""
    history = SignalHistory()
    for interval in range(2 * MAX_VALUES):
        history.record(-interval, interval * INTERVAL_S)
    assert history.get_values(2 * MAX_VALUES * INTERVAL_S - 1) == [
        -interval for interval in range(MAX_VALUES, 2 * MAX_VALUES)
    ]
    assert set(history.get_values(1e9)) == {None}
