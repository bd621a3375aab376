"""Ignored messages."""

from agent.journal.ignored import IgnoredMessages


def test_number_of_ignored_messages_is_limited(journal_env, factories):
    """Other senders cannot fill the disk."""
    for number in range(1005):
        journal_env.store(factories.ignored(), raw=f"{number:04X}")
    assert journal_env.query_column("SELECT count(*), min(raw) FROM ignored") == [1000]
    assert journal_env.query_column("SELECT min(raw) FROM ignored") == ["0005"]


def test_handler_gets_each_message_once(journal_env, factories):
    """Messages from before there was a handler are not pending. The start of a run is committed first."""
    has_handler = False
    ignored = journal_env.inbox.ignored = IgnoredMessages(journal_env.journal, lambda: has_handler)
    journal_env.store(factories.ignored(), raw="00")
    assert ignored.start_next() is None
    has_handler = True
    for raw in ("01", "02", "03"):
        journal_env.store(factories.ignored(), raw=raw)
    assert ignored.count_open() == 3
    row = ignored.start_next()
    assert (row.id, row.raw, row.received) == (2, "01", journal_env.wall)
    ignored.finish(2, succeeded=True)
    ignored.start_next()
    ignored.requeue(3)
    assert ignored.start_next().raw == "02"
    states = "SELECT handler_state FROM ignored ORDER BY id"
    assert journal_env.query_column(states) == [None, "done", "running", "pending"]
    journal_env.restart()
    assert journal_env.inbox.ignored.close_interrupted() == [3]
    assert journal_env.inbox.ignored.close_interrupted() == []
    assert journal_env.inbox.ignored.start_next().raw == "03"
    assert journal_env.query_column(states) == [None, "done", "failed", "running"]
