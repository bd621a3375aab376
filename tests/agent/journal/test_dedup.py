"""Second deliveries are distinguished from second Commands."""

from agent.journal.models import StoreOutcome


def outcomes(*kept):
    return [each.outcome for each in kept]


def test_same_sid_and_body_is_a_duplicate(journal_env, factories):
    """It is counted and not run again, after a restart and with another time stamp."""
    first = journal_env.store(factories.command())
    journal_env.restart()
    again = journal_env.store(factories.command(at=factories.command().timestamp.timestamp() + 60))
    assert again.outcome is StoreOutcome.DUPLICATE
    assert again.command_id == first.command_id
    assert again.deliveries == 2
    assert journal_env.store(factories.command()).deliveries == 3
    assert len(journal_env.inbox.list_pending()) == 1


def test_same_sid_with_another_body_is_ignored(journal_env, factories):
    """It is neither run nor counted as a duplicate."""
    journal_env.store(factories.command("led on"))
    kept = journal_env.store(factories.command("led off"), raw="AB")
    assert kept.outcome is StoreOutcome.IGNORED
    assert "another body" in kept.detail
    assert journal_env.query_column("SELECT text FROM ignored") == ["led off"]
    assert len(journal_env.inbox.list_pending()) == 1
    assert journal_env.store(factories.command("led on")).outcome is StoreOutcome.DUPLICATE


def test_text_and_octets_are_different_bodies(journal_env, factories):
    """A binary message is never a duplicate of a text."""
    journal_env.store(factories.command("led on"))
    assert journal_env.store(factories.command(b"led on")).outcome is StoreOutcome.IGNORED


def test_message_without_sid_is_a_duplicate_by_its_content(journal_env, factories):
    """Its key is sender, time stamp and user data; it survives a restart."""
    journal_env.store(factories.command(sid=None))
    journal_env.restart()
    assert journal_env.store(factories.command(sid=None)).outcome is StoreOutcome.DUPLICATE
    assert journal_env.store(factories.command(sid=None, identity=b"j" * 16)).outcome is StoreOutcome.NEW


def test_dedup_without_sid_can_be_disabled(journal_env, factories):
    """Then only messages with a SID can be duplicates."""
    journal_env.dedup_without_sid = False
    journal_env.restart()
    found = [journal_env.store(factories.command(sid=None)) for _ in range(2)]
    assert outcomes(*found) == [StoreOutcome.NEW, StoreOutcome.NEW]
    found = [journal_env.store(factories.command()) for _ in range(2)]
    assert outcomes(*found) == [StoreOutcome.NEW, StoreOutcome.DUPLICATE]


def test_invalid_timestamp_is_never_a_dedup_key(journal_env, factories):
    """Two different Commands would be taken for one."""
    found = [journal_env.store(factories.command(sid=None, identity=None, at=None)) for _ in range(2)]
    assert outcomes(*found) == [StoreOutcome.NEW, StoreOutcome.NEW]
