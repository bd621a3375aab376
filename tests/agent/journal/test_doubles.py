"""What tells a second delivery from a second Command."""

from agent.journal.rows import Outcome


def outcomes(*kept):
    return [each.outcome for each in kept]


def test_the_same_sid_with_the_same_body_is_a_double(desk, make):
    """Counted, not run again, across a restart and at another time stamp."""
    first = desk.keep(make.command())
    desk.restart()
    again = desk.keep(make.command(at=make.command().timestamp.timestamp() + 60))
    assert again.outcome is Outcome.DOUBLE
    assert again.command == first.command
    assert again.deliveries == 2
    assert desk.keep(make.command()).deliveries == 3
    assert len(desk.inbox.waiting()) == 1


def test_the_same_sid_with_another_body_is_a_stray(desk, make):
    """It neither runs nor counts as a double."""
    desk.keep(make.command("led on"))
    kept = desk.keep(make.command("led off"), raw="AB")
    assert kept.outcome is Outcome.STRAY
    assert "another body" in kept.detail
    assert desk.column("SELECT text FROM strays") == ["led off"]
    assert len(desk.inbox.waiting()) == 1
    assert desk.keep(make.command("led on")).outcome is Outcome.DOUBLE


def test_text_and_octets_are_different_bodies(desk, make):
    """A binary message never counts as the double of a text."""
    desk.keep(make.command("led on"))
    assert desk.keep(make.command(b"led on")).outcome is Outcome.STRAY


def test_without_a_sid_the_message_itself_tells(desk, make):
    """Sender, time stamp and user data; a restart forgets nothing."""
    desk.keep(make.command(sid=None))
    desk.restart()
    assert desk.keep(make.command(sid=None)).outcome is Outcome.DOUBLE
    assert desk.keep(make.command(sid=None, identity=b"j" * 16)).outcome is Outcome.NEW


def test_a_setting_turns_the_second_way_off(desk, make):
    """Then only a SID tells doubles."""
    desk.dedup_without_sid = False
    desk.restart()
    found = [desk.keep(make.command(sid=None)) for _ in range(2)]
    assert outcomes(*found) == [Outcome.NEW, Outcome.NEW]
    found = [desk.keep(make.command()) for _ in range(2)]
    assert outcomes(*found) == [Outcome.NEW, Outcome.DOUBLE]


def test_without_a_date_nothing_is_a_double(desk, make):
    """An impossible time stamp is never a key: two Commands would be taken for one."""
    found = [desk.keep(make.command(sid=None, identity=None, at=None)) for _ in range(2)]
    assert outcomes(*found) == [Outcome.NEW, Outcome.NEW]
