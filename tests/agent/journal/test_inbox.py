from dataclasses import replace

import pytest

import pdu
from agent.journal.journal import DAY_S
from agent.journal.rows import Outcome, Outgoing

SLOT = ("ME", 3)
OTHER_SID = "HC" + "f" * 32


def outcomes(*kept):
    return [each.outcome for each in kept]


def test_a_new_command_waits_to_be_run(desk, make):
    """It is there after a restart, with everything that a handler is shown."""
    kept = desk.keep(make.command("led on"))
    assert kept.outcome is Outcome.NEW
    desk.restart()
    [row] = desk.inbox.waiting()
    assert (row.id, row.sid, row.sender, row.body, row.mode) == (
        kept.command, make.command().sid, "2936", "led on", "text",
    )  # fmt: skip
    assert row.timestamp == make.command().timestamp
    assert row.attempt == 0


def test_a_binary_body_stays_octets(desk, make):
    """Every octet value survives."""
    desk.keep(make.command(bytes(range(140)), sid=None))
    [row] = desk.inbox.waiting()
    assert row.body == bytes(range(140))
    assert row.mode == "binary"


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\ufffd", "\U0001f600", "a" * 10_000])
def test_any_text_survives(desk, make, text):
    """Also what databases like to stumble over."""
    desk.keep(make.command(text))
    assert desk.inbox.waiting()[0].body == text


def test_the_same_sid_with_the_same_body_is_a_double(desk, make):
    """Counted, not run again, across a restart and at another time stamp."""
    first = desk.keep(make.command())
    desk.restart()
    again = desk.keep(make.command(at=make.command().timestamp.timestamp() + 60))
    assert outcomes(again) == [Outcome.DOUBLE]
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


def test_what_is_committed_but_not_deleted_is_known_by_its_slot(desk, make):
    """After a crash between commit and delete the slot still holds it: known, whatever the setting."""
    desk.dedup_without_sid = False
    desk.restart()
    message = make.command(sid=None, identity=None, at=None)
    assert desk.keep(message, SLOT, "AA").outcome is Outcome.NEW
    desk.restart()
    assert desk.keep(message, SLOT, "AA").outcome is Outcome.KNOWN
    assert desk.keep(message, SLOT, "BB").outcome is Outcome.NEW
    assert desk.keep(message, ("SM", 3), "AA").outcome is Outcome.NEW


@pytest.mark.parametrize(("before", "after"), [("", "ME"), ("ME", "")])
def test_a_slot_is_known_although_its_store_has_no_name(desk, make, before, after):
    """A module may refuse to tell it in one session and tell it in the next: nothing runs twice by that."""
    desk.dedup_without_sid = False
    desk.restart()
    message = make.command(sid=None, identity=None, at=None)
    assert desk.keep(message, (before, 1), "AA").outcome is Outcome.NEW
    desk.restart()
    assert desk.keep(message, (after, 1), "AA").outcome is Outcome.KNOWN
    assert desk.keep(message, (after, 2), "AA").outcome is Outcome.NEW
    desk.inbox.free(("ME", 1))
    desk.inbox.free(("", 1))
    assert desk.keep(message, (after, 1), "AA").outcome is Outcome.NEW


def test_a_slot_that_was_freed_holds_what_comes_next(desk, make):
    """The index is used again at once: the same octets there are another delivery, not the old message."""
    desk.keep(make.command(), SLOT, "AA")
    desk.inbox.free(SLOT)
    assert desk.keep(make.command(), SLOT, "AA").outcome is Outcome.DOUBLE
    desk.restart()
    assert desk.keep(make.command(), SLOT, "AA").outcome is Outcome.KNOWN


def test_freeing_costs_no_commit_of_its_own(desk, make):
    """It is written along with the next one."""
    desk.keep(make.command(), SLOT, "AA")
    desk.inbox.free(SLOT)
    assert desk.column("SELECT count(*) FROM slots") == [1]
    desk.keep(make.command(sid=OTHER_SID), ("ME", 4), "BB")
    assert desk.column("SELECT slot FROM slots") == [4]


def test_a_clean_stop_notes_what_was_freed(desk, make):
    """So that the same octets in that slot count as another delivery at the next start."""
    desk.keep(make.command(), SLOT, "AA")
    desk.inbox.free(SLOT)
    desk.journal.close()
    desk.open()
    assert desk.keep(make.command(), SLOT, "AA").outcome is Outcome.DOUBLE


def test_parts_survive_and_end_with_their_command(desk, make):
    """One transaction for the last part and the joined Command; the parts that come again are doubles."""
    one, two = make.part(1), make.part(2)
    assert desk.keep(one).outcome is Outcome.PART
    assert desk.keep(one).outcome is Outcome.DOUBLE
    desk.restart()
    assert set(desk.inbox.parts(one.key)) == {1}
    whole = make.command("joined", parts=(one, two))
    assert desk.keep(whole).outcome is Outcome.NEW
    assert not desk.inbox.parts(one.key)
    assert desk.inbox.seen(one.identity)
    assert outcomes(desk.keep(one), desk.keep(two)) == [Outcome.DOUBLE] * 2
    assert not desk.inbox.parts(one.key)


@pytest.mark.parametrize("other", [{"sender": "000"}, {"reference": 8}, {"wide": True}, {"total": 3}])
def test_parts_belong_to_one_message(desk, make, other):
    """Another sender, reference, width or count is another message: nothing of it is joined or forgotten."""
    one, two = make.part(1), make.part(2)
    stranger = replace(make.part(1, raw="AA", identity=b"a" * 16), key=replace(one.key, **other))
    desk.keep(stranger)
    assert not desk.inbox.parts(one.key)
    desk.keep(one)
    assert [part.raw for part in desk.inbox.parts(one.key).values()] == [one.raw]
    desk.keep(make.command("joined", parts=(one, two)))
    assert [part.raw for part in desk.inbox.parts(stranger.key).values()] == ["AA"]
    assert desk.column("SELECT count(*) FROM strays") == [0]


def test_a_number_is_not_given_again(desk, make):
    """Not even where its text is forgotten: what runs by that number is not mistaken for another."""
    first = desk.keep(make.command()).command
    desk.inbox.finish(first, "done")
    desk.pass_time(32 * DAY_S)
    desk.forget()
    assert desk.column("SELECT count(*) FROM commands") == [0]
    assert desk.keep(make.command(sid=OTHER_SID, at=desk.wall)).command == first + 1


def test_a_reference_used_again_starts_anew(desk, make):
    """The part that waited in vain is shown as a stray, the new one waits."""
    desk.keep(make.part(1, raw="0A", identity=b"a" * 16))
    desk.keep(make.part(1, raw="0B", identity=b"b" * 16), raw="0B")
    assert [part.raw for part in desk.inbox.parts(make.part(1).key).values()] == ["0B"]
    assert desk.column("SELECT raw FROM strays") == ["0A"]


def test_a_part_of_a_later_message_starts_anew(desk, make):
    """Another number of it does the same where its date tells that it belongs to a later message."""
    desk.keep(make.part(1, raw="0A", identity=b"a" * 16))
    desk.keep(replace(make.part(2, raw="0B", identity=b"b" * 16), anew=True), raw="0B")
    assert [part.raw for part in desk.inbox.parts(make.part(1).key).values()] == ["0B"]
    assert desk.column("SELECT raw FROM strays") == ["0A"]


def test_only_the_newest_strays_are_kept(desk, make):
    """Strangers cannot fill the disk."""
    for number in range(1005):
        desk.keep(make.stray(), raw=f"{number:04X}")
    assert desk.column("SELECT count(*), min(raw) FROM strays") == [1000]
    assert desk.column("SELECT min(raw) FROM strays") == ["0005"]


def test_running_is_committed_before_and_found_after(desk, make):
    """A Command that was running when the agent ended is found as such, with its handler's promise."""
    kept = desk.keep(make.command())
    desk.inbox.begin(kept.command, "led", repeatable=True)
    desk.restart()
    assert desk.inbox.waiting() == []
    [row] = desk.inbox.interrupted()
    assert (row.attempt, row.handler, row.repeatable) == (1, "led", True)
    desk.inbox.again(row.id, "interrupted")
    assert desk.inbox.waiting()[0].attempt == 1


def test_only_what_has_ended_says_when(desk, make):
    """A Command that is kept as expired has ended at once; one that waits has not."""
    desk.keep(make.command())
    desk.inbox.keep(None, "01", lambda _: make.command(sid=OTHER_SID), run=False)
    desk.pass_time(60)
    assert desk.column("SELECT state FROM commands") == ["received", "expired"]
    assert desk.column("SELECT ended_wall FROM commands") == [None, desk.wall - 60]
    desk.inbox.finish(1, "done")
    assert desk.column("SELECT ended_wall FROM commands") == [desk.wall, desk.wall - 60]


def test_the_end_and_the_reply_are_one_commit(desk, make):
    """Either both stand or neither: a reply that cannot be written leaves the Command running."""
    kept = desk.keep(make.command())
    desk.inbox.begin(kept.command, "led", repeatable=False)
    good = Outgoing("2936", pdu.UserData.of("on"))
    bad = Outgoing("2936", pdu.UserData.of("on"), part=None)
    with pytest.raises(Exception, match="NOT NULL"):
        desk.inbox.finish(kept.command, "done", None, [good, bad])
    assert desk.column("SELECT state FROM commands") == ["running"]
    assert desk.outbox.next() is None
    desk.inbox.finish(kept.command, "done", None, [good])
    assert desk.outbox.next().user_data.text == "on"


def test_forgetting_keeps_what_is_open_and_remembers_how_far(desk, make):
    """Texts and doubles go after their days; an unknown Command not newer than those is expired, not run."""
    old = desk.keep(make.command(sid=None))
    still_open = desk.keep(make.command(sid=OTHER_SID, at=make.command().timestamp.timestamp() - 100))
    desk.inbox.finish(old.command, "done")
    desk.pass_time(32 * DAY_S)
    assert desk.forget() > 0
    assert desk.column("SELECT id FROM commands") == [still_open.command]
    desk.restart()
    assert desk.keep(make.command(sid=None)).outcome is Outcome.EXPIRED
    assert desk.column("SELECT state FROM commands ORDER BY id DESC LIMIT 1") == ["expired"]
    newer = make.command(sid=None, identity=b"n" * 16, at=make.command().timestamp.timestamp() + 1)
    assert desk.keep(newer).outcome is Outcome.NEW


@pytest.mark.parametrize(
    ("wall", "running"), [(400 * DAY_S, 60.0), (-400 * DAY_S, 60.0), (60.0, 400 * DAY_S)]
)
def test_a_jumping_clock_forgets_nothing(desk, make, wall, running):
    """Age is the smaller difference of the two clocks: neither of them alone may age anything."""
    desk.keep(make.command(sid=None))
    desk.keep(make.part(1))
    desk.wall += wall
    desk.monotonic += running
    assert desk.forget() == 0
    assert desk.keep(make.command(sid=None)).outcome is Outcome.DOUBLE


def test_running_time_adds_up_over_starts(desk, make):
    """It is what makes thirty days of a device that starts every hour."""
    for _ in range(3):
        desk.pass_time(1000)
        desk.keep(make.stray())
        desk.restart()
    assert desk.journal.now().running == pytest.approx(3000)


def test_parts_that_wait_in_vain_become_strays(desk, make):
    """A day after the last of them."""
    desk.keep(make.part(1, total=3))
    desk.pass_time(0.9 * DAY_S)
    desk.keep(make.part(2, total=3))
    desk.pass_time(0.9 * DAY_S)
    assert desk.forget() == 0
    desk.pass_time(0.2 * DAY_S)
    assert desk.forget() == 1
    assert desk.column("SELECT raw FROM strays ORDER BY id") == ["01", "02"]
    assert desk.column("SELECT count(*) FROM parts") == [0]
