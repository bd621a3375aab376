"""Parts of concatenated messages, also malicious ones. Most are classified and stored like any message."""

import random
from datetime import datetime, timedelta

import pytest

import pdu
from agent.journal.models import StoreOutcome
from agent.journal.parts import MAX_PARTS
from agent.service.classify import classify
from agent.service.profile import SERVICE_PROFILES

SERVICE = SERVICE_PROFILES["programmable-wireless"]


@pytest.fixture
def store_part(journal_env):
    """Receive a part of `total` with this number and text; return the result."""
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
        return journal_env.inbox.store(None, raw, lambda memory: classify(again, raw, memory, SERVICE))

    return take


STAMP = datetime.fromisoformat("2026-11-22T12:00:00+00:00")


def bodies(env):
    return env.query_column("SELECT body FROM commands ORDER BY id")


def test_255_parts_in_any_order(journal_env, store_part):
    """The longest message is joined, also with a restart in the middle."""
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
def test_invalid_concatenation_header_is_ignored(journal_env, store_part, total, number):
    """The element is ignored (23.040 9.2.3.24.1): the message is complete by itself."""
    store_part(3, 1, "one")
    assert store_part(total, number, "alone").outcome is StoreOutcome.NEW
    assert bodies(journal_env) == [b"alone"]
    assert journal_env.query_column("SELECT number FROM parts") == [1]


def test_different_totals_are_different_messages(journal_env, store_part):
    """They are not joined, nothing is lost, and the incomplete one is shown after a day."""
    store_part(2, 1, "a1")
    store_part(3, 1, "b1")
    store_part(3, 2, "b2")
    assert store_part(2, 2, "a2").outcome is StoreOutcome.NEW
    assert bodies(journal_env) == [b"a1a2"]
    journal_env.advance(90_000)
    journal_env.prune()
    assert journal_env.query_column("SELECT text FROM ignored ORDER BY id") == ["6231", "6232"]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [0]


def test_reused_reference_replaces_the_incomplete_message(journal_env, store_part):
    """The first part becomes an ignored message, the second message is joined."""
    store_part(2, 1, "old")
    store_part(2, 1, "new")
    store_part(2, 2, "er")
    assert bodies(journal_env) == [b"newer"]
    assert journal_env.query_column("SELECT text FROM ignored") == [b"old".hex().upper()]


def test_parts_of_other_senders_are_ignored(journal_env, store_part):
    """Only parts from the service are stored."""
    store_part(2, 1, "one")
    assert store_part(2, 2, "two", sender="+15550001234").outcome is StoreOutcome.IGNORED
    assert bodies(journal_env) == []
    store_part(2, 2, "two")
    assert bodies(journal_env) == [b"onetwo"]


def fill_parts(env, count):
    """Store the first parts of this many messages of two, the oldest with reference 0."""
    env.journal.connection.executemany(
        "INSERT INTO parts VALUES ('2936', ?, 1, 2, 1, '00', NULL, ?, ?)",
        [(number, env.wall, number / count) for number in range(count)],
    )


def test_number_of_parts_is_limited(journal_env, store_part):
    """The oldest message is discarded and shown, not the one that grows."""
    fill_parts(journal_env, MAX_PARTS)
    for number in range(60):
        journal_env.advance(1)
        store_part(255, 1 + number, f"{number}", reference=number % 2)
    assert journal_env.query_column("SELECT count(*) FROM parts") == [MAX_PARTS]
    assert journal_env.query_column("SELECT min(reference) FROM parts WHERE reference_16bit") == [60]
    assert journal_env.query_column("SELECT count(*) FROM ignored") == [60]
    assert (
        "too many messages are incomplete"
        in journal_env.query_column("SELECT reason FROM ignored LIMIT 1")[0]
    )


def test_complete_message_is_joined_during_a_flood_of_parts(journal_env, store_part):
    """The flood evicts the oldest message, so one that is completed soon is joined."""
    fill_parts(journal_env, MAX_PARTS - 1)
    for number in range(1, 21):
        journal_env.advance(1)
        kept = store_part(20, number, f"{number} ", reference=251)
    assert kept.outcome is StoreOutcome.NEW


def test_parts_are_deleted_with_the_joined_command(journal_env, factories):
    """One transaction stores the last part and the Command; the same parts again are duplicates."""
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
def test_parts_are_keyed_by_sender_reference_and_total(journal_env, factories, other):
    """A message with another sender, reference, width or total is neither joined nor deleted."""
    one, two = factories.part(1), factories.part(2)
    other_part = factories.part(1, raw="AA", identity=b"a" * 16).replace(key=one.key.replace(**other))
    journal_env.store(other_part)
    assert not journal_env.inbox.parts.stored_parts(one.key)
    journal_env.store(one)
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(one.key).values()] == [one.raw]
    journal_env.store(factories.command("joined", parts=(one, two)))
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(other_part.key).values()] == ["AA"]
    assert journal_env.query_column("SELECT count(*) FROM ignored") == [0]


def test_other_part_with_the_same_number_starts_a_new_message(journal_env, factories):
    """The old part becomes an ignored message, the new one waits."""
    journal_env.store(factories.part(1, raw="0A", identity=b"a" * 16))
    journal_env.store(factories.part(1, raw="0B", identity=b"b" * 16), raw="0B")
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(factories.part(1).key).values()] == [
        "0B"
    ]
    assert journal_env.query_column("SELECT raw FROM ignored") == ["0A"]


def test_part_of_a_later_message_starts_a_new_message(journal_env, factories):
    """Its time stamp shows that it belongs to a later message."""
    journal_env.store(factories.part(1, raw="0A", identity=b"a" * 16))
    journal_env.store(
        factories.part(2, raw="0B", identity=b"b" * 16).replace(reference_reused=True), raw="0B"
    )
    assert [part.raw for part in journal_env.inbox.parts.stored_parts(factories.part(1).key).values()] == [
        "0B"
    ]
    assert journal_env.query_column("SELECT raw FROM ignored") == ["0A"]
