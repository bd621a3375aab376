"""Parts of long messages, also such as mean harm. Most take the road of a message: decided, committed."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

import pdu
from agent.journal import parts
from agent.journal.models import StoreOutcome
from agent.service.classify import classify
from agent.service.profile import SERVICE_PROFILES

SERVICE = SERVICE_PROFILES["programmable-wireless"]


@pytest.fixture
def store_part(journal_env):
    """Receives one part: total, number, text; answers what it was kept as."""
    journal_env.journal.connection.execute("PRAGMA synchronous = OFF")

    def take(total, number, text, *, reference=9, sender="2936", later=0, data=None):
        header = pdu.header.write_header([pdu.InformationElement(0, bytes((reference, total, number)))])
        body = text.encode() if data is None else data
        octets = header + body
        message = pdu.Deliver(
            originating_address=pdu.Address.parse(sender),
            service_centre_timestamp=pdu.Timestamp.of(
                datetime.fromtimestamp(journal_env.wall, tz=STAMP.tzinfo) + timedelta(seconds=later)
            ),
            user_data=pdu.UserData(octets, len(octets), pdu.Alphabet.OCTETS, has_header=True),
            data_coding_scheme=4,
        )
        raw = pdu.encode(message).hex
        again = pdu.decode(raw, direction="mt")
        return journal_env.inbox.store(None, raw, lambda memory: classify(again, raw, SERVICE, memory))

    return take


STAMP = datetime.fromisoformat("2026-11-22T12:00:00+00:00")


def bodies(desk):
    return desk.query_column("SELECT body FROM commands ORDER BY id")


def test_255_parts_in_any_order(journal_env, store_part):
    """As long as a message can be; across a restart in the middle."""
    order = list(range(1, 256))
    random.Random(5).shuffle(order)
    for count, number in enumerate(order):
        kept = store_part(255, number, f"{number:03}")
        if count == 100:
            journal_env.restart()
            journal_env.journal.connection.execute("PRAGMA synchronous = OFF")
    assert kept.outcome is StoreOutcome.NEW
    assert bodies(journal_env) == ["".join(f"{number:03}" for number in range(1, 256)).encode()]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [0]


@pytest.mark.parametrize(("total", "number"), [(0, 0), (0, 1), (3, 0), (3, 4), (1, 2), (255, 0)])
def test_an_impossible_part_is_no_part(journal_env, store_part, total, number):
    """The element is as if it were not there (23.040 9.2.3.24.1): a message of its own, nothing waits."""
    store_part(3, 1, "one")
    assert store_part(total, number, "alone").outcome is StoreOutcome.NEW
    assert bodies(journal_env) == [b"alone"]
    assert journal_env.query_column("SELECT number FROM parts") == [1]


def test_totals_that_contradict_are_different_messages(journal_env, store_part):
    """Nothing is joined of both, nothing is lost; what stays incomplete is shown after a day."""
    store_part(2, 1, "a1")
    store_part(3, 1, "b1")
    store_part(3, 2, "b2")
    assert store_part(2, 2, "a2").outcome is StoreOutcome.NEW
    assert bodies(journal_env) == [b"a1a2"]
    journal_env.advance(90_000)
    journal_env.prune()
    assert journal_env.query_column("SELECT text FROM ignored ORDER BY id") == ["6231", "6232"]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [0]


def test_the_same_number_with_another_content(journal_env, store_part):
    """The reference was used again: the first becomes a stray, the second message is joined whole."""
    store_part(2, 1, "old")
    store_part(2, 1, "new")
    store_part(2, 2, "er")
    assert bodies(journal_env) == [b"newer"]
    assert journal_env.query_column("SELECT text FROM ignored") == [b"old".hex().upper()]


def test_parts_of_strangers_join_nothing(journal_env, store_part):
    """Only what comes from the service waits at all."""
    store_part(2, 1, "one")
    assert store_part(2, 2, "two", sender="+15550001234").outcome is StoreOutcome.IGNORED
    assert bodies(journal_env) == []
    store_part(2, 2, "two")
    assert bodies(journal_env) == [b"onetwo"]


def test_parts_that_are_never_completed_have_a_bound(journal_env, store_part, monkeypatch):
    """The oldest message is given up and shown, the one that grows is not; so many and no more."""
    monkeypatch.setattr(parts, "MAX_PARTS", 40)
    for number in range(100):
        journal_env.advance(1)
        store_part(255, 1 + number % 255, f"{number}", reference=number)
    assert journal_env.query_column("SELECT count(*) FROM parts") == [40]
    assert journal_env.query_column("SELECT min(reference) FROM parts") == [60]
    assert journal_env.query_column("SELECT count(*) FROM ignored") == [60]
    assert (
        "too many messages are incomplete"
        in journal_env.query_column("SELECT reason FROM ignored LIMIT 1")[0]
    )


def test_a_whole_message_has_room_among_the_incomplete(journal_env, store_part, monkeypatch):
    """A flood of parts pushes out the oldest message, so one that is completed soon is joined."""
    monkeypatch.setattr(parts, "MAX_PARTS", 300)
    for number in range(299):
        store_part(2, 1, f"{number}", reference=number % 250, later=number)
    for number in range(1, 21):
        journal_env.advance(1)
        kept = store_part(20, number, f"{number} ", reference=251)
    assert kept.outcome is StoreOutcome.NEW


def test_parts_survive_and_end_with_their_command(journal_env, factories):
    """One transaction for the last part and the joined Command; the parts that come again are doubles."""
    one, two = factories.part(1), factories.part(2)
    assert journal_env.store(one).outcome is StoreOutcome.PART
    assert journal_env.store(one).outcome is StoreOutcome.DUPLICATE
    journal_env.restart()
    assert set(journal_env.inbox.parts.stored_parts(one.key)) == {1}
    whole = factories.command("joined", parts=(one, two))
    assert journal_env.store(whole).outcome is StoreOutcome.NEW
    assert not journal_env.inbox.parts.stored_parts(one.key)
    assert journal_env.inbox.parts.is_known(one.identity)
    assert [journal_env.store(each).outcome for each in (one, two)] == [StoreOutcome.DUPLICATE] * 2
    assert not journal_env.inbox.parts.stored_parts(one.key)


@pytest.mark.parametrize(
    "other", [{"sender": "000"}, {"reference": 8}, {"reference_16bit": True}, {"total": 3}]
)
def test_parts_belong_to_one_message(journal_env, factories, other):
    """Another sender, reference, width or count is another message: nothing of it is joined or forgotten."""
    one, two = factories.part(1), factories.part(2)
    stranger = replace(factories.part(1, raw="AA", identity=b"a" * 16), key=replace(one.key, **other))
    journal_env.store(stranger)
    assert not journal_env.inbox.parts.stored_parts(one.key)
    journal_env.store(one)
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(one.key).values()] == [one.raw]
    journal_env.store(factories.command("joined", parts=(one, two)))
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(stranger.key).values()] == ["AA"]
    assert journal_env.query_column("SELECT count(*) FROM ignored") == [0]


def test_a_reference_used_again_starts_anew(journal_env, factories):
    """The part that waited in vain is shown as a stray, the new one waits."""
    journal_env.store(factories.part(1, raw="0A", identity=b"a" * 16))
    journal_env.store(factories.part(1, raw="0B", identity=b"b" * 16), raw="0B")
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(factories.part(1).key).values()] == [
        "0B"
    ]
    assert journal_env.query_column("SELECT raw FROM ignored") == ["0A"]


def test_a_part_of_a_later_message_starts_anew(journal_env, factories):
    """Another number of it does the same where its date tells that it belongs to a later message."""
    journal_env.store(factories.part(1, raw="0A", identity=b"a" * 16))
    journal_env.store(
        replace(factories.part(2, raw="0B", identity=b"b" * 16), reference_reused=True), raw="0B"
    )
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(factories.part(1).key).values()] == [
        "0B"
    ]
    assert journal_env.query_column("SELECT raw FROM ignored") == ["0A"]
