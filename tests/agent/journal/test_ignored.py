"""Ignored messages."""


def test_number_of_ignored_messages_is_limited(journal_env, factories):
    """Other senders cannot fill the disk."""
    for number in range(1005):
        journal_env.store(factories.ignored(), raw=f"{number:04X}")
    assert journal_env.query_column("SELECT count(*), min(raw) FROM ignored") == [1000]
    assert journal_env.query_column("SELECT min(raw) FROM ignored") == ["0005"]
