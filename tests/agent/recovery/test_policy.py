"""The recovery policy: which action follows a failure, its intervals, and what is never done."""

from itertools import pairwise
from math import inf
from random import Random

import pytest
from fakes import FixedRandom
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.initialiser import WAKE_TIMEOUT_S
from agent.recovery.policy import (
    DENIED_ACTION_INTERVAL_S,
    EXIT_AFTER_S,
    MAX_ACTION_INTERVAL_S,
    MAX_FAILED_SESSIONS,
    MIN_ACTION_INTERVAL_S,
    PORT_BACKOFF,
    REGISTRATION_TIMEOUT_S,
    SESSION_BACKOFF,
    SIM_BUSY_TIMEOUT_S,
    STABLE_AFTER_S,
    STORE_UNREADABLE_TIMEOUT_S,
    Failure,
    RecoveryAction,
    RecoveryPolicy,
)
from agent.recovery.switch_on import TRIES_BEFORE_RESETS


def run_failures(policy, failure, hours, *, session_s=30.0, now=0.0):
    """Return the actions during some hours of failed sessions, each executed: (minute, action)."""
    actions = []
    end = now + hours * 3600
    while now < end:
        now += session_s
        plan = policy.on_session_failed(failure, now)
        if plan.action is not None:
            actions.append((round(now / 60), plan.action))
            policy.on_action_done(plan.action, failure, now)
        now += plan.delay_s
    return actions


def run_unregistered(policy, failure, hours, now=0.0):
    """Return the actions during some hours without registration, checked each minute: (minute, action)."""
    actions = []
    for minute in range(int(hours * 60)):
        if (action := policy.check_registration(failure, now + minute * 60)) is not None:
            actions.append((minute, action))
            policy.on_action_done(action, failure, now + minute * 60)
    return actions


def action_names(actions):
    return [action.name for _, action in actions]


@pytest.mark.parametrize("failure", [Failure.PORT_UNAVAILABLE, Failure.SESSION_LOST, Failure.PIN_REQUIRED])
def test_some_failures_cause_no_action(failure):
    """An unavailable port, a session that ended and a missing PIN are only retried."""
    assert run_failures(RecoveryPolicy(FixedRandom(), has_power_switch=True), failure, 72) == []


def test_unresponsive_module_is_restarted_then_power_cycled():
    """The first action follows after a few sessions without a response; the intervals double."""
    actions = run_failures(RecoveryPolicy(FixedRandom(), has_power_switch=True), Failure.NO_RESPONSE, 24)
    assert action_names(actions) == ["RESTART_MODULE"] + ["CYCLE_POWER"] * (len(actions) - 1)
    assert 1 <= actions[0][0] <= 4
    intervals = [later - earlier for (earlier, _), (later, _) in pairwise(actions)]
    assert intervals[0] >= MIN_ACTION_INTERVAL_S / 60
    assert all(later > earlier for earlier, later in pairwise(intervals[:6]))
    assert all(
        MAX_ACTION_INTERVAL_S / 60 <= interval <= MAX_ACTION_INTERVAL_S / 60 + 10
        for interval in intervals[6:]
    )
    assert len(actions) < 12


def test_restart_is_repeated_without_a_power_switch():
    """Nothing stronger is available."""
    assert set(action_names(run_failures(RecoveryPolicy(FixedRandom()), Failure.NO_RESPONSE, 24))) == {
        "RESTART_MODULE"
    }


def test_response_resets_the_count_of_failed_sessions():
    """A module that answers now and then is not restarted."""
    policy = RecoveryPolicy(FixedRandom())
    now = 0.0
    for _ in range(20):
        for _ in range(MAX_FAILED_SESSIONS - 1):
            now += 30
            assert policy.on_session_failed(Failure.NO_RESPONSE, now).action is None
        policy.on_session_started(now)


def test_power_key_is_pressed_again_after_a_pulse():
    """The pulse may have switched the module off. After the second pulse the usual interval applies."""
    for after in (Failure.NO_RESPONSE, Failure.PORT_UNAVAILABLE):
        policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
        policy.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 0)
        policy.on_action_done(RecoveryAction.CYCLE_POWER, Failure.NO_RESPONSE, 1000)
        policy.on_power_key_pressed(1000)
        assert policy.on_session_failed(after, 1030).action is None
        assert policy.on_session_failed(after, 1070).action is RecoveryAction.PRESS_POWER_KEY
        policy.on_action_done(RecoveryAction.PRESS_POWER_KEY, after, 1070)
        policy.on_power_key_pressed(1070)
        assert [policy.on_session_failed(after, 1140 + 10 * n).action for n in range(10)] == [None] * 10


def test_deferred_key_press_is_due_after_the_interval():
    """Each attempt reads the budget from disk, so it must not follow every failed session."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    policy.on_action_done(RecoveryAction.CYCLE_POWER, Failure.NO_RESPONSE, 0)
    policy.on_power_key_pressed(0)
    assert policy.on_session_failed(Failure.PORT_UNAVAILABLE, 100).action is RecoveryAction.PRESS_POWER_KEY
    policy.on_action_deferred(Failure.PORT_UNAVAILABLE, 100)
    assert policy.on_session_failed(Failure.PORT_UNAVAILABLE, 300).action is None
    assert (
        policy.on_session_failed(Failure.PORT_UNAVAILABLE, 100 + MIN_ACTION_INTERVAL_S).action
        is RecoveryAction.PRESS_POWER_KEY
    )


@pytest.mark.parametrize("failure", [Failure.NO_RESPONSE, Failure.PORT_ABSENT])
def test_key_of_a_module_that_was_never_heard_is_pressed_first(failure):
    """After 30 s, then with doubling waits. It counts as no action, and an answer ends it."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True, can_switch_on=True)
    policy.switch_on.on_started(0)
    pressed_at = []
    for now in range(0, 8000, 10):
        action = policy.on_session_failed(failure, now).action
        if action is RecoveryAction.SWITCH_ON:
            pressed_at.append(now)
            policy.on_action_done(action, failure, now)
            assert policy.describe().count(f"attempts to switch it on: {len(pressed_at)}") == 1
        elif len(pressed_at) < TRIES_BEFORE_RESETS:
            assert action is None
    assert pressed_at == [30, 90, 210, 450, 930, 1890, 3810, 7410]
    assert not RecoveryAction.SWITCH_ON.is_counted
    policy.switch_on.on_answer()
    assert policy.on_session_failed(failure, 50_000).action is not RecoveryAction.SWITCH_ON
    assert policy.describe() == "failures in a row: 801"


@pytest.mark.parametrize(
    ("failure", "can_switch_on"), [(Failure.PORT_UNAVAILABLE, True), (Failure.NO_RESPONSE, False)]
)
def test_no_key_is_pressed_for_a_port_in_use_or_without_a_key(failure, can_switch_on):
    """The module is on if another program has its port; a USB switch cannot switch it on."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True, can_switch_on=can_switch_on)
    assert "SWITCH_ON" not in action_names(run_failures(policy, failure, 24))


def test_absent_port_is_tried_again_when_the_key_is_due():
    """The usual wait would delay the first press."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True, can_switch_on=True)
    policy.switch_on.on_started(0)
    assert policy.on_session_failed(Failure.PORT_ABSENT, 29).delay_s == 1


def test_no_second_pulse_if_the_module_answers():
    """The module is on."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    policy.on_action_done(RecoveryAction.CYCLE_POWER, Failure.NO_RESPONSE, 0)
    policy.on_power_key_pressed(0)
    policy.on_session_started(30)
    assert policy.on_session_failed(Failure.PORT_UNAVAILABLE, 1000).action is None


def test_module_that_never_worked_gets_each_action_once():
    """It may be a module without SMS. For one that has worked the actions are repeated."""
    assert action_names(run_failures(RecoveryPolicy(FixedRandom()), Failure.INIT_FAILED, 72)) == [
        "RESTART_MODULE"
    ]
    assert action_names(
        run_failures(RecoveryPolicy(FixedRandom(), has_power_switch=True), Failure.INIT_FAILED, 72)
    ) == ["RESTART_MODULE", "CYCLE_POWER"]
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    policy.on_session_started(0)
    assert action_names(run_failures(policy, Failure.INIT_FAILED, 6))[:4] == [
        "RESTART_MODULE",
        "CYCLE_POWER",
        "CYCLE_POWER",
        "CYCLE_POWER",
    ]


def test_missing_sim_cycles_the_radio_at_once():
    """Stronger actions follow at growing intervals; the process never ends for it."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    policy.on_session_started(0)
    actions = run_failures(policy, Failure.NO_SIM, 48)
    assert action_names(actions)[:4] == ["CYCLE_RADIO", "RESTART_MODULE", "CYCLE_POWER", "CYCLE_RADIO"]
    assert actions[0][0] <= 1
    assert "EXIT_PROCESS" not in action_names(actions)
    assert len(actions) < 20


def test_missing_registration_escalates():
    """After ten minutes: network selection, radio, restart, at least ten minutes apart."""
    actions = run_unregistered(RecoveryPolicy(FixedRandom()), Failure.NO_NETWORK, 12)
    assert action_names(actions)[:4] == ["RESELECT_NETWORK", "CYCLE_RADIO", "RESTART_MODULE", "CYCLE_RADIO"]
    assert [minute for minute, _ in actions[:3]] == [10, 20, 40]
    intervals = [later - earlier for (earlier, _), (later, _) in pairwise(actions)]
    assert intervals == sorted(intervals)
    assert "CYCLE_POWER" not in action_names(actions)


def test_denied_registration_causes_at_most_one_action_an_hour():
    """This holds also if the module searches for a network in between."""
    actions = run_unregistered(RecoveryPolicy(FixedRandom()), Failure.REGISTRATION_DENIED, 24)
    assert actions[0][0] == REGISTRATION_TIMEOUT_S / 60
    assert (
        min(later - earlier for (earlier, _), (later, _) in pairwise(actions))
        >= DENIED_ACTION_INTERVAL_S / 60
    )
    policy = RecoveryPolicy(FixedRandom())
    policy.check_registration(Failure.NO_NETWORK, 0)
    assert policy.check_registration(Failure.NO_NETWORK, 600) is RecoveryAction.RESELECT_NETWORK
    policy.on_action_done(RecoveryAction.RESELECT_NETWORK, Failure.NO_NETWORK, 600)
    assert policy.check_registration(Failure.REGISTRATION_DENIED, 1300) is None
    assert (
        policy.check_registration(Failure.REGISTRATION_DENIED, 600 + DENIED_ACTION_INTERVAL_S)
        is RecoveryAction.CYCLE_RADIO
    )


def test_busy_sim_shares_the_actions_of_a_missing_one():
    """Nothing is done while it starts; then the actions and intervals are shared."""
    policy = RecoveryPolicy(FixedRandom())
    assert policy.check_sim(0, busy=True) is None
    assert policy.check_sim(100, busy=False) is None
    assert policy.check_sim(200, busy=True) is None
    assert policy.check_sim(200 + SIM_BUSY_TIMEOUT_S, busy=True) is RecoveryAction.CYCLE_RADIO
    policy.on_action_done(RecoveryAction.CYCLE_RADIO, Failure.SIM_BUSY, 500)
    assert policy.check_sim(560, busy=True) is None
    assert policy.on_session_failed(Failure.NO_SIM, 600).action is None
    assert (
        policy.on_session_failed(Failure.NO_SIM, 500 + MIN_ACTION_INTERVAL_S).action
        is RecoveryAction.RESTART_MODULE
    )


def run_unreadable(policy, hours, *, sessions_s=inf):
    """Return the actions while each read of the messages is refused: (second, name)."""
    actions, started_at = [], 0.0
    for now in range(0, hours * 3600, 60):
        if action := policy.check_store(now, unreadable=True):
            actions.append((now, action.name))
            policy.on_action_done(action, Failure.STORE_UNREADABLE, now)
            policy.on_session_started(now)
        if now - started_at >= sessions_s:
            policy.on_session_failed(Failure.SESSION_LOST, now, now - started_at)
            started_at = now
    return actions


def test_unreadable_store_escalates():
    """After a while a new session, then restarts at growing intervals; no power cycle and no exit."""
    actions = run_unreadable(RecoveryPolicy(FixedRandom(), has_power_switch=True), 72)
    names = [name for _, name in actions]
    assert actions[0] == (STORE_UNREADABLE_TIMEOUT_S, "NEW_SESSION")
    assert set(names[1:]) == {"RESTART_MODULE"}
    intervals = [later - sooner for (sooner, _), (later, _) in pairwise(actions)]
    assert intervals == sorted(intervals)
    assert min(intervals) >= STORE_UNREADABLE_TIMEOUT_S
    assert len(actions) <= 25


def test_stable_session_does_not_reset_the_unreadable_store():
    """Everything else may work for days; the new session is not tried a second time."""
    actions = run_unreadable(RecoveryPolicy(FixedRandom()), 24, sessions_s=2 * STABLE_AFTER_S)
    assert [name for _, name in actions].count("NEW_SESSION") == 1


def test_readable_store_resets_the_escalation():
    """One successful read restarts the timeout; after 15 minutes the count of actions starts again."""
    policy = RecoveryPolicy(FixedRandom())
    assert policy.check_store(0, unreadable=True) is None
    assert policy.check_store(STORE_UNREADABLE_TIMEOUT_S - 1, unreadable=False) is None
    assert policy.check_store(STORE_UNREADABLE_TIMEOUT_S, unreadable=True) is None
    assert policy.check_store(2 * STORE_UNREADABLE_TIMEOUT_S, unreadable=True) is RecoveryAction.NEW_SESSION
    policy.on_action_done(
        RecoveryAction.NEW_SESSION, Failure.STORE_UNREADABLE, 2 * STORE_UNREADABLE_TIMEOUT_S
    )
    assert "its messages cannot be read, actions taken: 1" in policy.describe()
    for now, expected in (
        (10_000, RecoveryAction.RESTART_MODULE),
        (20_000 + STABLE_AFTER_S, RecoveryAction.NEW_SESSION),
    ):
        policy.check_store(now, unreadable=True)
        assert policy.check_store(now + STORE_UNREADABLE_TIMEOUT_S, unreadable=True) is expected
        policy.check_store(20_000, unreadable=False)
        policy.check_store(20_000 + STABLE_AFTER_S, unreadable=False)
    assert policy.describe() == ""


def test_no_power_is_switched_in_a_session():
    """A pulse takes long, and a session must be able to end at once."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    now, seen = 0.0, set()
    while now < 2 * 86_400:
        now += 60
        if action := policy.check_sim(now, busy=True):
            seen.add(action)
            policy.on_action_done(action, Failure.SIM_BUSY, now)
    assert seen == {RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE}


def test_registration_resets_the_escalation():
    """The timeout starts again at once, the count of actions after 15 minutes of registration."""
    policy = RecoveryPolicy(FixedRandom())
    run_unregistered(policy, Failure.NO_NETWORK, 1)
    policy.check_registration(None, 3600)
    assert policy.check_registration(Failure.NO_NETWORK, 3660) is None
    policy.check_registration(None, 3700)
    policy.check_registration(None, 3700 + STABLE_AFTER_S)
    policy.check_registration(Failure.NO_NETWORK, 10_000)
    assert (
        policy.check_registration(Failure.NO_NETWORK, 10_000 + REGISTRATION_TIMEOUT_S)
        is RecoveryAction.RESELECT_NETWORK
    )


def test_new_session_restarts_the_registration_timeout():
    """A module that has just started searches for its network first."""
    policy = RecoveryPolicy(FixedRandom())
    policy.check_registration(Failure.NO_NETWORK, 0)
    policy.on_session_started(7200)
    assert policy.check_registration(Failure.NO_NETWORK, 7260) is None


@pytest.mark.parametrize(("failure", "ends"), [(Failure.INTERNAL_ERROR, True), (Failure.NO_RESPONSE, True)])
def test_process_exit_is_the_last_action(failure, ends):
    """It follows after all other actions and after at least an hour."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    policy.on_session_started(0)
    actions = run_failures(policy, failure, 6)
    first = next(minute for minute, action in actions if action is RecoveryAction.EXIT_PROCESS)
    assert first >= EXIT_AFTER_S / 60
    if failure is Failure.NO_RESPONSE:
        assert action_names(actions)[:2] == ["RESTART_MODULE", "CYCLE_POWER"]


def test_process_exit_waits_for_deferred_actions():
    """The power is cycled before, even if the budget allowed it only after hours."""
    policy = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    policy.on_session_started(0)
    now, asked = 0.0, []
    while now < 6 * 3600:
        now += 60
        if action := policy.on_session_failed(Failure.NO_RESPONSE, now).action:
            if now < 2 * 3600:
                assert action is RecoveryAction.RESTART_MODULE
                policy.on_action_deferred(Failure.NO_RESPONSE, now)
            else:
                asked.append(action.name)
                policy.on_action_done(action, Failure.NO_RESPONSE, now)
    assert asked[:3] == ["RESTART_MODULE", "CYCLE_POWER", "EXIT_PROCESS"]


def test_module_that_never_answered_causes_no_process_exit():
    """A new process would not help, for example if agent.toml names a wrong port."""
    assert "EXIT_PROCESS" not in action_names(
        run_failures(RecoveryPolicy(FixedRandom()), Failure.NO_RESPONSE, 72)
    )


def test_stable_session_resets_the_backoff():
    """A session of a minute keeps the delay; a shorter one lengthens it."""
    policy = RecoveryPolicy(FixedRandom())
    pauses = [policy.on_session_failed(Failure.SESSION_LOST, now, 10).delay_s for now in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[3]
    assert policy.on_session_failed(Failure.SESSION_LOST, 100, 100).delay_s == pauses[-1]
    assert policy.on_session_failed(Failure.SESSION_LOST, 2000, STABLE_AFTER_S).delay_s == pauses[0]


def test_describe_lists_failures_and_actions():
    """The description is empty if nothing has failed."""
    policy = RecoveryPolicy(FixedRandom())
    assert policy.describe() == ""
    policy.on_session_failed(Failure.NO_RESPONSE, 0)
    policy.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 1)
    assert policy.describe() == "failures in a row: 1; the module does not answer, actions taken: 1"


INPUTS = st.lists(
    st.tuples(
        st.sampled_from([*Failure, "worked", None]),
        st.floats(0, 2000),
        st.sampled_from(["done", "held"]),
    ),
    max_size=80,
)


@given(INPUTS, st.booleans(), st.booleans(), st.integers())
def test_invariants_for_any_sequence_of_failures(inputs, power, key, seed):
    """Delays stay within maximum and jitter. Failures that are only retried cause no reset. Without a power
    switch no power is cycled. Two actions against one failure are at least an interval apart.
    """
    policy = RecoveryPolicy(Random(seed), has_power_switch=power)
    now, last = 0.0, {}
    was_pulsed = False
    for failure, seconds, outcome in inputs:
        now += seconds
        if failure == "worked":
            policy.on_session_started(now)
            was_pulsed = False
            continue
        if failure in (None, Failure.NO_NETWORK, Failure.REGISTRATION_DENIED):
            action = policy.check_registration(failure, now)
            assert action in (
                None,
                RecoveryAction.RESELECT_NETWORK,
                RecoveryAction.CYCLE_RADIO,
                RecoveryAction.RESTART_MODULE,
            )
            assert failure is not None or action is None
        else:
            plan = policy.on_session_failed(failure, now, seconds / 4)
            cap = max(PORT_BACKOFF.max_s, SESSION_BACKOFF.max_s) * 1.25
            assert 0 < plan.delay_s <= cap
            action = plan.action
        assert power or action not in (RecoveryAction.CYCLE_POWER, RecoveryAction.PRESS_POWER_KEY)
        if failure in (Failure.PORT_UNAVAILABLE, Failure.SESSION_LOST, Failure.PIN_REQUIRED):
            assert action is None or (action is RecoveryAction.PRESS_POWER_KEY and was_pulsed)
        if action is RecoveryAction.EXIT_PROCESS or action is None:
            continue
        if action is not RecoveryAction.PRESS_POWER_KEY and failure in last and seconds < STABLE_AFTER_S:
            assert now - last[failure] >= min(MIN_ACTION_INTERVAL_S, STABLE_AFTER_S)
        if outcome == "done":
            policy.on_action_done(action, failure, now)
            was_pulsed = key and action in (RecoveryAction.CYCLE_POWER, RecoveryAction.PRESS_POWER_KEY)
            if was_pulsed:
                policy.on_power_key_pressed(now)
            last[failure] = now
        else:
            policy.on_action_deferred(failure, now)


@given(st.integers(), st.integers(1, 2000))
def test_longest_delay_is_bounded(seed, failures):
    """A port that comes back is opened within 30 s; a module that answers again works within two minutes,
    including an attempt that it just missed and the initialisation.
    """
    assert PORT_BACKOFF.delay(failures, Random(seed)) <= 30
    assert WAKE_TIMEOUT_S + SESSION_BACKOFF.delay(failures, Random(seed)) + 30 <= 120


def test_sim_that_is_busy_from_time_zero():
    """The clock may begin at 0."""
    policy = RecoveryPolicy(FixedRandom())
    assert policy.check_sim(0, busy=True) is None
    assert policy.check_sim(SIM_BUSY_TIMEOUT_S, busy=True) is RecoveryAction.CYCLE_RADIO


def test_stable_session_keeps_only_the_escalation_for_the_network():
    """It shows that the module works, but not that a network is available."""
    policy = RecoveryPolicy(FixedRandom())
    policy.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 0)
    policy.on_action_done(RecoveryAction.CYCLE_RADIO, Failure.NO_SIM, 0)
    policy.on_action_done(RecoveryAction.RESELECT_NETWORK, Failure.NO_NETWORK, 0)
    policy.on_session_failed(Failure.SESSION_LOST, 2 * STABLE_AFTER_S, STABLE_AFTER_S)
    assert policy.describe() == "failures in a row: 1; no network, actions taken: 1"
