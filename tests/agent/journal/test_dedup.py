"""What tells a second delivery from a second Command."""

from agent.journal.models import StoreOutcome


def outcomes(*kept):
    return [each.outcome for each in kept]


def test_the_same_sid_with_the_same_body_is_a_double(journal_env, factories):
    """Counted, not run again, across a restart and at another time stamp."""
    first = journal_env.store(factories.command())
    journal_env.restart()
    again = journal_env.store(factories.command(at=factories.command().timestamp.timestamp() + 60))
    assert again.outcome is StoreOutcome.DUPLICATE
    assert again.command_id == first.command_id
    assert again.deliveries == 2
    assert journal_env.store(factories.command()).deliveries == 3
    assert len(journal_env.inbox.list_pending()) == 1


def test_the_same_sid_with_another_body_is_a_stray(journal_env, factories):
    """It neither runs nor counts as a double."""
    journal_env.store(factories.command("led on"))
    kept = journal_env.store(factories.command("led off"), raw="AB")
    assert kept.outcome is StoreOutcome.IGNORED
    assert "another body" in kept.detail
    assert journal_env.query_column("SELECT text FROM ignored") == ["led off"]
    assert len(journal_env.inbox.list_pending()) == 1
    assert journal_env.store(factories.command("led on")).outcome is StoreOutcome.DUPLICATE


def test_text_and_octets_are_different_bodies(journal_env, factories):
    """A binary message never counts as the double of a text."""
    journal_env.store(factories.command("led on"))
    assert journal_env.store(factories.command(b"led on")).outcome is StoreOutcome.IGNORED


def test_without_a_sid_the_message_itself_tells(journal_env, factories):
    """Sender, time stamp and user data; a restart forgets nothing."""
    journal_env.store(factories.command(sid=None))
    journal_env.restart()
    assert journal_env.store(factories.command(sid=None)).outcome is StoreOutcome.DUPLICATE
    assert journal_env.store(factories.command(sid=None, identity=b"j" * 16)).outcome is StoreOutcome.NEW


def test_a_setting_turns_the_second_way_off(journal_env, factories):
    """Then only a SID tells doubles."""
    journal_env.dedup_without_sid = False
    journal_env.restart()
    found = [journal_env.store(factories.command(sid=None)) for _ in range(2)]
    assert outcomes(*found) == [StoreOutcome.NEW, StoreOutcome.NEW]
    found = [journal_env.store(factories.command()) for _ in range(2)]
    assert outcomes(*found) == [StoreOutcome.NEW, StoreOutcome.DUPLICATE]


def test_without_a_date_nothing_is_a_double(journal_env, factories):
    """An impossible time stamp is never a key: two Commands would be taken for one."""
    found = [journal_env.store(factories.command(sid=None, identity=None, at=None)) for _ in range(2)]
    assert outcomes(*found) == [StoreOutcome.NEW, StoreOutcome.NEW]
