"""What commands nobody."""


def test_only_the_newest_strays_are_kept(journal_env, factories):
    """Strangers cannot fill the disk."""
    for number in range(1005):
        journal_env.store(factories.stray(), raw=f"{number:04X}")
    assert journal_env.query_column("SELECT count(*), min(raw) FROM ignored") == [1000]
    assert journal_env.query_column("SELECT min(raw) FROM ignored") == ["0005"]
