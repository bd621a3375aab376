"""Parts of long messages, also such as mean harm. Most take the road of a message: decided, committed."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

import pdu
from agent.journal import parts
from agent.journal.rows import Outcome
from agent.service.profile import PROFILES
from agent.service.receive import receive

SERVICE = PROFILES["programmable-wireless"]


@pytest.fixture
def take(desk):
    """Receives one part: total, number, text; answers what it was kept as."""
    desk.journal.connection.execute("PRAGMA synchronous = OFF")

    def take(total, number, text, *, reference=9, sender="2936", later=0, data=None):
        header = pdu.header.write_header([pdu.InformationElement(0, bytes((reference, total, number)))])
        body = text.encode() if data is None else data
        octets = header + body
        message = pdu.Deliver(
            originating_address=pdu.Address.parse(sender),
            service_centre_timestamp=pdu.Timestamp.of(
                datetime.fromtimestamp(desk.wall, tz=STAMP.tzinfo) + timedelta(seconds=later)
            ),
            user_data=pdu.UserData(octets, len(octets), pdu.Alphabet.OCTETS, has_header=True),
            data_coding_scheme=4,
        )
        raw = pdu.encode(message).hex
        again = pdu.decode(raw, direction="mt")
        return desk.inbox.keep(None, raw, lambda memory: receive(again, raw, SERVICE, memory))

    return take


STAMP = datetime.fromisoformat("2026-11-22T12:00:00+00:00")


def bodies(desk):
    return desk.column("SELECT body FROM commands ORDER BY id")


def test_255_parts_in_any_order(desk, take):
    """As long as a message can be; across a restart in the middle."""
    order = list(range(1, 256))
    random.Random(5).shuffle(order)
    for count, number in enumerate(order):
        kept = take(255, number, f"{number:03}")
        if count == 100:
            desk.restart()
            desk.journal.connection.execute("PRAGMA synchronous = OFF")
    assert kept.outcome is Outcome.NEW
    assert bodies(desk) == ["".join(f"{number:03}" for number in range(1, 256)).encode()]
    assert desk.column("SELECT count(*) FROM parts") == [0]


@pytest.mark.parametrize(("total", "number"), [(0, 0), (0, 1), (3, 0), (3, 4), (1, 2), (255, 0)])
def test_an_impossible_part_is_no_part(desk, take, total, number):
    """The element is as if it were not there (23.040 9.2.3.24.1): a message of its own, nothing waits."""
    take(3, 1, "one")
    assert take(total, number, "alone").outcome is Outcome.NEW
    assert bodies(desk) == [b"alone"]
    assert desk.column("SELECT number FROM parts") == [1]


def test_totals_that_contradict_are_different_messages(desk, take):
    """Nothing is joined of both, nothing is lost; what stays incomplete is shown after a day."""
    take(2, 1, "a1")
    take(3, 1, "b1")
    take(3, 2, "b2")
    assert take(2, 2, "a2").outcome is Outcome.NEW
    assert bodies(desk) == [b"a1a2"]
    desk.pass_time(90_000)
    desk.forget()
    assert desk.column("SELECT text FROM strays ORDER BY id") == ["6231", "6232"]
    assert desk.column("SELECT count(*) FROM parts") == [0]


def test_the_same_number_with_another_content(desk, take):
    """The reference was used again: the first becomes a stray, the second message is joined whole."""
    take(2, 1, "old")
    take(2, 1, "new")
    take(2, 2, "er")
    assert bodies(desk) == [b"newer"]
    assert desk.column("SELECT text FROM strays") == [b"old".hex().upper()]


def test_parts_of_strangers_join_nothing(desk, take):
    """Only what comes from the service waits at all."""
    take(2, 1, "one")
    assert take(2, 2, "two", sender="+15550001234").outcome is Outcome.STRAY
    assert bodies(desk) == []
    take(2, 2, "two")
    assert bodies(desk) == [b"onetwo"]


def test_parts_that_are_never_completed_have_a_bound(desk, take, monkeypatch):
    """The oldest message is given up and shown, the one that grows is not; so many and no more."""
    monkeypatch.setattr(parts, "PARTS_KEPT", 40)
    for number in range(100):
        desk.pass_time(1)
        take(255, 1 + number % 255, f"{number}", reference=number)
    assert desk.column("SELECT count(*) FROM parts") == [40]
    assert desk.column("SELECT min(reference) FROM parts") == [60]
    assert desk.column("SELECT count(*) FROM strays") == [60]
    assert "too many messages are incomplete" in desk.column("SELECT reason FROM strays LIMIT 1")[0]


def test_a_whole_message_has_room_among_the_incomplete(desk, take, monkeypatch):
    """A flood of parts pushes out the oldest message, so one that is completed soon is joined."""
    monkeypatch.setattr(parts, "PARTS_KEPT", 300)
    for number in range(299):
        take(2, 1, f"{number}", reference=number % 250, later=number)
    for number in range(1, 21):
        desk.pass_time(1)
        kept = take(20, number, f"{number} ", reference=251)
    assert kept.outcome is Outcome.NEW


def test_parts_outlive_an_upgrade(desk, take):
    """A journal of the first version has them in the same form."""
    take(2, 1, "one")
    desk.journal.connection.execute("ALTER TABLE clock DROP COLUMN swept")
    for table in ("resets", "cards", "pins"):
        desk.journal.connection.execute(f"DROP TABLE {table}")
    desk.journal.connection.execute("PRAGMA user_version = 1")
    desk.restart()
    take(2, 2, "two")
    assert bodies(desk) == [b"onetwo"]


def test_parts_survive_and_end_with_their_command(desk, make):
    """One transaction for the last part and the joined Command; the parts that come again are doubles."""
    one, two = make.part(1), make.part(2)
    assert desk.keep(one).outcome is Outcome.PART
    assert desk.keep(one).outcome is Outcome.DOUBLE
    desk.restart()
    assert set(desk.inbox.parts.parts(one.key)) == {1}
    whole = make.command("joined", parts=(one, two))
    assert desk.keep(whole).outcome is Outcome.NEW
    assert not desk.inbox.parts.parts(one.key)
    assert desk.inbox.parts.seen(one.identity)
    assert [desk.keep(each).outcome for each in (one, two)] == [Outcome.DOUBLE] * 2
    assert not desk.inbox.parts.parts(one.key)


@pytest.mark.parametrize("other", [{"sender": "000"}, {"reference": 8}, {"wide": True}, {"total": 3}])
def test_parts_belong_to_one_message(desk, make, other):
    """Another sender, reference, width or count is another message: nothing of it is joined or forgotten."""
    one, two = make.part(1), make.part(2)
    stranger = replace(make.part(1, raw="AA", identity=b"a" * 16), key=replace(one.key, **other))
    desk.keep(stranger)
    assert not desk.inbox.parts.parts(one.key)
    desk.keep(one)
    assert [part.raw for part in desk.inbox.parts.parts(one.key).values()] == [one.raw]
    desk.keep(make.command("joined", parts=(one, two)))
    assert [part.raw for part in desk.inbox.parts.parts(stranger.key).values()] == ["AA"]
    assert desk.column("SELECT count(*) FROM strays") == [0]


def test_a_reference_used_again_starts_anew(desk, make):
    """The part that waited in vain is shown as a stray, the new one waits."""
    desk.keep(make.part(1, raw="0A", identity=b"a" * 16))
    desk.keep(make.part(1, raw="0B", identity=b"b" * 16), raw="0B")
    assert [part.raw for part in desk.inbox.parts.parts(make.part(1).key).values()] == ["0B"]
    assert desk.column("SELECT raw FROM strays") == ["0A"]


def test_a_part_of_a_later_message_starts_anew(desk, make):
    """Another number of it does the same where its date tells that it belongs to a later message."""
    desk.keep(make.part(1, raw="0A", identity=b"a" * 16))
    desk.keep(replace(make.part(2, raw="0B", identity=b"b" * 16), anew=True), raw="0B")
    assert [part.raw for part in desk.inbox.parts.parts(make.part(1).key).values()] == ["0B"]
    assert desk.column("SELECT raw FROM strays") == ["0A"]
