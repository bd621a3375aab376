"""From the module into the journal: the order of commits and deletes, and what can go wrong on the way."""

import asyncio
import sqlite3
from dataclasses import replace

import pytest

import pdu
from agent import intake as room
from agent.modem.news import Arrived, Disturbed, RegistrationChanged, ReportStored, Restarted, StoreFull
from agent.modem.state import Registration
from agent.modem.stored import NOWHERE, Slot
from agent.story import Weight

SLOT = Slot("ME", 3)


def small(road, make):
    """A module whose store holds ten."""

    class Small(make.modem):
        @property
        def condition(self):
            return replace(super().condition, capacity=(("ME", 0, 10),))

    return Small(road)


# The order of things


async def test_what_is_stored_is_committed_and_then_deleted(road, make):
    """When a slot is deleted another process can already read its Command: at start, nobody told of it."""
    modem = make.modem(road)
    modem.store(3, "led on")
    modem.store(4, "led off", minute=1)
    committed = []

    async def look(slot):
        committed.append((slot.index, road.look("SELECT body FROM commands")))
        modem.slots.pop(slot)

    modem.always["delete"] = look
    async with road.receiving():
        pass
    assert committed == [(3, ["led on"]), (4, ["led on", "led off"])]
    assert not modem.slots


async def test_messages_are_taken_in_order_of_their_time(road, make):
    """Slot order is not time order, neither in a sweep nor where several notifications come together."""
    modem = make.modem(road)
    modem.store(1, "second", minute=7)
    modem.store(2, "first", minute=3)
    async with road.receiving():
        modem.store(5, "fourth", minute=9)
        modem.store(6, "third", minute=8)
        modem.say(Arrived(Slot("ME", 5)), Arrived(Slot("ME", 6)))
        await road.passes(1)
    assert road.look("SELECT body FROM commands ORDER BY id") == ["first", "second", "third", "fourth"]


async def test_news_lead_to_the_slot_alone(road, make):
    """One read, one commit, one delete of that very slot; the store is not listed for it."""
    modem = make.modem(road)
    async with road.receiving():
        road.log.clear()
        modem.store(3, tell=True)
        await road.passes(1)
        assert road.log == [("read", SLOT), ("commit",), ("wake",), ("delete", SLOT)]


async def test_a_burst_is_read_at_once(road, make):
    """All notifications at hand are followed together; one told twice is read once."""
    modem = make.modem(road)
    async with road.receiving():
        road.log.clear()
        for index in range(5):
            modem.store(index, f"led {index}", second=index, tell=True)
        modem.say(Arrived(Slot("ME", 0)))
        await road.passes(2)
    reads = road.happened("read", "sweep", "delete")
    assert [what for what, *_ in reads] == ["read"] * 5 + ["delete"] * 5


async def test_what_is_handed_over_is_committed_and_then_acknowledged(road, make):
    """The module may forget it when it is acknowledged. Once for each message, whatever it is."""
    modem = make.modem(road)
    async with road.receiving():
        road.log.clear()
        modem.hand_over("led on")
        modem.hand_over("led on")
        modem.hand_over("stranger", sender="+15557654321", minute=5)
        modem.hand_over(raw="00")
        await road.passes(1)
    kinds = [what for what, *_ in road.happened("commit", "acknowledge")]
    assert kinds == ["commit", "acknowledge"] * 4
    assert road.look("SELECT body FROM commands") == ["led on"]
    assert len(road.told("double")) == 1
    assert len(road.told("stray")) == 2


async def test_others_hear_of_a_command_after_its_commit(road, make):
    """For Commands and reports somebody may have to act; for all else nobody is woken."""
    modem = make.modem(road)
    modem.store(1, "led on")
    modem.store(2, "led on")
    modem.store(3, "hello", sender="+15557654321")
    async with road.receiving():
        pass
    assert road.woken == 1
    assert road.log.index(("wake",)) > road.log.index(("commit",))


# The journal cannot commit


async def test_nothing_is_deleted_while_the_journal_cannot_commit(road, make):
    """It is said once, the messages stay; as soon as it can commit they are kept and deleted, none twice."""
    modem = make.modem(road)
    modem.store(3, "led on")
    modem.store(4, "led off", minute=1)
    road.disk_full()
    async with road.receiving():
        await road.passes(600)
        assert not road.happened("delete")
        assert len(road.happened("sweep")) <= 101
        assert len(modem.slots) == 2
        [said] = road.told("journal cannot commit")
        assert "database or disk is full" in said.detail
        assert said.weight is Weight.ERROR
        road.trouble = None
        await road.passes(10)
    assert not modem.slots
    assert road.states() == ["received", "received"]
    assert not road.told("double")


async def test_a_second_trouble_is_said_again(road, make):
    """Once for each: after the journal has committed, the next failure is news."""
    modem = make.modem(road)
    async with road.receiving():
        for minute in (1, 2):
            road.disk_full()
            modem.store(minute, f"led {minute}", minute=minute, tell=True)
            await road.passes(20)
            road.trouble = None
            await road.passes(20)
    assert len(road.told("journal cannot commit")) == 2


async def test_what_was_handed_over_waits_for_the_journal(road, make):
    """It is nowhere else: kept in memory, acknowledged after its commit only, later news wait their turn."""
    modem = make.modem(road)
    async with road.receiving():
        road.log.clear()
        road.disk_full()
        modem.hand_over("led on")
        modem.hand_over("led off", minute=1)
        await road.passes(60)
        assert not road.happened("acknowledge")
        assert not road.states()
        road.trouble = None
        await road.passes(10)
        assert [what for what, *_ in road.happened("commit", "acknowledge")] == ["commit", "acknowledge"] * 2
    assert road.look("SELECT body FROM commands ORDER BY id") == ["led on", "led off"]


async def test_a_journal_that_cannot_be_read_makes_nothing_a_stray(road, make, monkeypatch):
    """Trouble of the disk while a message is looked at is no fault of the message."""
    modem = make.modem(road)
    first, second = pdu.segment("led " + "x" * 200, reference=7)
    modem.store(1, first)
    modem.store(2, second, minute=1)
    parts = road.inbox.parts.parts
    failures = [sqlite3.OperationalError("disk I/O error")]

    def read(key):
        if failures:
            raise failures.pop()
        return parts(key)

    monkeypatch.setattr(road.inbox.parts, "parts", read)
    async with road.receiving():
        await road.passes(60)
    assert not road.told("stray")
    assert road.look("SELECT length(body) FROM commands") == [204]


# Deleting


async def test_a_delete_without_result_is_followed_by_a_look(road, make):
    """Gone: nothing more is done to the slot."""
    modem = make.modem(road)

    async def gone(slot):
        modem.slots.pop(slot)
        raise make.timed_out(f"AT+CMGD={slot.index}")

    modem.plan("delete", gone)
    async with road.receiving():
        road.log.clear()
        modem.store(3, tell=True)
        await road.passes(1)
        assert road.happened("read", "delete") == [("read", SLOT), ("delete", SLOT), ("read", SLOT)]
    assert not road.told("silence")


async def test_a_delete_without_result_may_not_hit_another_message(road, make):
    """The slot was emptied and filled again meanwhile: what stands there now is taken in its own turn."""
    modem = make.modem(road)

    async def replaced(slot):
        modem.store(slot.index, "led off", minute=5)
        raise make.timed_out()

    modem.plan("delete", replaced)
    async with road.receiving():
        modem.store(3, "led on", tell=True)
        await road.passes(1)
        assert road.happened("read", "delete")[-1] == ("read", SLOT)
        assert list(modem.slots) == [SLOT]
        modem.say(Arrived(SLOT))
        await road.passes(1)
    assert not modem.slots
    assert road.look("SELECT body FROM commands ORDER BY id") == ["led on", "led off"]


async def test_a_delete_is_repeated_only_where_its_message_still_stands(road, make):
    """Read between any two deletes, three deletes at the most; what stays is known and not run again."""
    modem = make.modem(road)
    modem.plan("delete", *[make.timed_out()] * 3)
    async with road.receiving():
        road.log.clear()
        modem.store(3, tell=True)
        await road.passes(1)
        kinds = [what for what, *_ in road.happened("read", "delete")]
        assert kinds == ["read"] + ["delete", "read"] * 3
        modem.say(Arrived(SLOT))
        await road.passes(1)
    assert not modem.slots
    assert road.states() == ["received"]
    assert [step.weight for step in road.told("known")] == [Weight.DETAIL]
    assert not road.told("double")


async def test_a_refused_delete_is_said_and_harms_nobody(road, make):
    """The message stays known, others are taken, and each sweep tries again without running it again."""
    modem = make.modem(road)
    modem.store(3, "led on")
    modem.store(4, "led off", minute=1)

    async def protected(slot):
        if slot.index == 3:
            raise make.refused(302)
        modem.slots.pop(slot)

    modem.always["delete"] = protected
    async with road.receiving():
        await road.passes(600)
        assert list(modem.slots) == [SLOT]
        road.log.clear()
        await road.passes(300)
        assert road.log == [("sweep",), ("delete", SLOT)]
    assert road.states() == ["received", "received"]
    assert not road.told("double")
    assert "it is kept and not run again" in road.told("not deleted")[0].detail


async def test_a_module_that_only_pretends_to_delete_is_not_asked_for_ever(road, make):
    """It says OK and keeps the message: each sweep deletes once, and nothing runs again."""
    modem = make.modem(road)
    modem.store(3, "led on")

    async def pretend(_slot):
        pass

    modem.always["delete"] = pretend
    async with road.receiving():
        await road.passes(650)
        assert 3 <= len(road.happened("delete")) <= 4
    assert road.states() == ["received"]


async def test_a_full_store_is_drained_until_nothing_comes(road, make):
    """With each slot that is freed the network sends what it held; one by one, and no bulk delete."""
    modem = make.modem(road)
    held = [f"led {number}" for number in range(30)]

    def arrive():
        free = [index for index in range(1, 11) if Slot("ME", index) not in modem.slots]
        while held and free:
            text = held.pop(0)
            number = int(text.split()[1])
            modem.store(free.pop(0), text, minute=number)

    async def delete(slot):
        del modem.slots[slot]
        arrive()

    modem.always["delete"] = delete
    async with road.receiving():
        arrive()
        modem.say(StoreFull("ME"))
        await road.passes(20)
    assert not modem.slots
    assert sorted(road.look("SELECT body FROM commands")) == sorted(f"led {number}" for number in range(30))
    assert [step.weight for step in road.told("store full")] == [Weight.WARNING]


async def test_a_store_that_fills_up_is_said_each_time(road, make):
    """At four fifths, once; again when it has had room in between. What follows a drain is found soon."""
    modem = small(road, make)
    for index in range(7):
        modem.store(index, f"led {index}")
    async with road.receiving():
        await road.passes(1)
        assert road.told("store filling") == []
        for index in range(8):
            modem.store(index, f"pump {index}")
        await road.passes(400)
        assert [step.detail for step in road.told("store filling")] == ["ME holds 8 of 10"]
        road.steps.clear()
        for index in range(9):
            modem.store(index, f"lamp {index}")
        modem.say(Arrived(Slot("ME", 9)))
        await road.passes(5)
        modem.store(3, "last")
        await road.passes(20)
        assert not modem.slots
    assert [step.detail for step in road.told("store filling")] == ["ME holds 9 of 10"]


async def test_one_more_message_during_a_drain_hides_no_full_store(road, make):
    """The drain began with a store that filled up: the network may hold more, which is looked for soon."""
    modem = small(road, make)
    for index in range(10):
        modem.store(index, f"led {index}")

    async def one_more():
        modem.store(3, "one more")

    async def what_the_network_held():
        for index in range(10):
            modem.store(index, f"pump {index}")

    modem.plan("sweep", None, one_more, None, what_the_network_held)
    async with road.receiving():
        await road.passes(20)
        assert not modem.slots
    assert len(road.look("SELECT id FROM commands")) == 21
    assert len(road.told("store filling")) == 1


async def test_a_store_that_holds_little_again_is_not_filling(road, make):
    """Whatever the next drain finds: there is no hurry any more, and once it fills up again that is said."""
    modem = small(road, make)
    for index in range(10):
        modem.store(index, f"led {index}")
    async with road.receiving():
        modem.store(3, "one more")
        await road.passes(20)
        assert not modem.slots
        looks = road.log.count(("sweep",))
        await road.passes(200)
        assert road.log.count(("sweep",)) == looks
        for index in range(10):
            modem.store(index, f"pump {index}")
        await road.passes(100)
    assert len(road.told("store filling")) == 2


async def test_a_store_that_stays_full_is_said_once(road, make):
    """Where nothing can be deleted each look finds the same."""
    modem = small(road, make)
    modem.always["delete"] = make.refused(500)
    for index in range(10):
        modem.store(index, f"led {index}")
    async with road.receiving():
        await road.passes(3600)
    assert road.log.count(("sweep",)) > 5
    assert len(road.told("store filling")) == 1


async def test_a_slot_that_was_emptied_may_hold_the_same_again(road, make):
    """Without a SID and without a date nothing tells two messages apart but that the first was deleted."""
    modem = make.modem(road)
    undated = {"service_centre_timestamp": pdu.Timestamp(bytes(7))}
    async with road.receiving():
        for _ in range(2):
            modem.store(3, "led toggle", tell=True, **undated)
            await road.passes(1)
    assert road.look("SELECT body FROM commands") == ["led toggle"] * 2


# What a message may be


async def test_doubles_are_deleted_counted_and_not_run(road, make):
    """The network delivers again: other slot, after a restart, directly."""
    modem = make.modem(road)
    modem.store(3, f"{make.SID} led on")
    async with road.receiving():
        modem.store(9, f"{make.SID} led on", minute=2, tell=True)
        await road.passes(1)
    road.restart()
    modem = make.modem(road)
    modem.store(1, f"{make.SID} led on", minute=40)
    async with road.receiving():
        pass
    assert not modem.slots
    assert road.states() == ["received"]
    assert road.look("SELECT doubles FROM commands") == [2]
    assert [step.detail for step in road.told("double")] == [
        "delivery 2, not run again",
        "delivery 3, not run again",
    ]
    assert road.woken == 1


@pytest.mark.parametrize("raw", ["07", "ZZ", "", "00" * 20, "0791445677"])
async def test_what_cannot_be_read_is_kept_and_stops_nobody(road, make, raw):
    """Quarantine: raw in the journal, deleted from the module, said once; its neighbours are received."""
    modem = make.modem(road)
    modem.store(1, "led on")
    modem.store(2, raw=raw)
    modem.store(3, "led off", minute=1)
    async with road.receiving():
        await road.passes(700)
    assert not modem.slots
    assert road.look("SELECT raw FROM strays") == [raw]
    assert road.look("SELECT body FROM commands") == ["led on", "led off"]
    assert len(road.told("stray")) == 1


async def test_a_room_that_stumbles_over_one_message_loses_only_that_one(road, make, monkeypatch):
    """Whatever pure code raises: the message is kept raw, the others are received, the session goes on."""
    receive = room.receive

    def stumble(message, raw, service, memory):
        if message.text == "poison":
            raise IndexError("of a mistake of ours")
        return receive(message, raw, service, memory)

    monkeypatch.setattr(room, "receive", stumble)
    modem = make.modem(road)
    modem.store(1, "led on")
    raw = modem.store(2, "poison", minute=1)
    modem.store(3, "led off", minute=2)
    async with road.receiving():
        pass
    assert not modem.slots
    assert road.look("SELECT raw FROM strays") == [raw]
    assert road.look("SELECT reason FROM strays") == ["cannot be read: of a mistake of ours"]
    assert road.look("SELECT body FROM commands") == ["led on", "led off"]


@pytest.mark.parametrize(
    "fields",
    [
        {"sender": "+15557654321"},
        {"sender": "29360"},
        {"sender": "02936"},
        {"protocol_identifier": 0x40},
    ],
)
async def test_strays_are_kept_deleted_and_never_run(road, make, fields):
    """Strangers, numbers that look alike, silent messages."""
    modem = make.modem(road)
    modem.store(1, "led on", **fields)
    async with road.receiving():
        pass
    assert not modem.slots
    assert road.states() == []
    assert len(road.look("SELECT raw FROM strays")) == 1
    assert road.woken == 0


async def test_the_story_names_a_stranger_and_shows_no_content_in_the_log(road, make):
    """What a log line says is never what a message says, nor a telephone number."""
    modem = make.modem(road)
    modem.store(1, "secret", sender="+15557654321")
    modem.store(2, f"{make.SID} led on", minute=1)
    async with road.receiving():
        pass
    [stray] = road.told("stray")
    assert str(stray) == "stray: from …321: not from 2936"
    assert stray.content == "secret"
    [received] = road.told("received")
    assert str(received) == f"received command 1 {make.SID}"
    assert received.content == "led on"


async def test_parts_survive_a_restart_and_are_joined_in_any_order(road, make):
    """Each part is deleted as soon as it is kept; the last one makes the Command."""
    parts = pdu.segment("led " + "".join(chr(97 + n % 26) for n in range(400)), reference=9)
    modem = make.modem(road)
    modem.store(1, parts[2], minute=1)
    modem.store(2, parts[1], minute=2)
    async with road.receiving():
        assert not modem.slots
    road.restart()
    modem = make.modem(road)
    async with road.receiving():
        modem.store(1, parts[1], minute=2, tell=True)
        modem.store(2, parts[0], minute=3, tell=True)
        await road.passes(1)
    assert not modem.slots
    assert road.look("SELECT length(body) FROM commands") == [404]
    assert [step.what for step in road.steps if step.what in ("part", "double", "received")] == [
        "part", "part", "double", "received",
    ]  # fmt: skip


async def test_a_report_is_kept_deleted_and_wakes_others(road, make):
    """Matched with the message it speaks of."""
    number = road.message()
    road.queue.sent(number, 42)
    stamp = pdu.Timestamp(bytes.fromhex("62111222030000"))
    report = pdu.StatusReport(
        message_reference=42,
        recipient_address=pdu.Address.parse("2936"),
        service_centre_timestamp=stamp,
        discharge_time=stamp,
        status=0,
        service_centre_address=pdu.Address.parse("+447700900000"),
    )
    modem = make.modem(road)
    async with road.receiving():
        modem.store(7, raw=pdu.encode(report).hex, store="SM")
        modem.say(ReportStored(Slot("SM", 7)))
        await road.passes(1)
    assert not modem.slots
    assert road.replies() == ["delivered"]
    assert road.told("report")[0].reply == number
    assert road.woken == 1


# News that lead nowhere, and none at all


async def test_an_empty_slot_leads_to_one_look_at_everything(road, make):
    """A stale notification: no loop over indexes, one list and one later; it finds what stands elsewhere."""
    modem = make.modem(road)
    async with road.receiving():
        road.log.clear()
        modem.store(9, "led on")
        modem.say(Arrived(SLOT))
        await road.passes(1)
        assert [what for what, *_ in road.happened("read", "sweep")] == ["read", "sweep", "sweep"]
        await road.passes(100)
        assert len(road.happened("read", "sweep")) == 4
    assert not modem.slots


async def test_something_came_but_nobody_knows_where(road, make):
    """Then everything is looked at."""
    modem = make.modem(road)
    async with road.receiving():
        modem.store(9, "led on")
        modem.say(Arrived(NOWHERE))
        await road.passes(1)
    assert not modem.slots


@pytest.mark.parametrize(
    ("notifies", "doubts", "most"), [(True, False, 300), (False, False, 60), (True, True, 60)]
)
async def test_a_lost_notification_costs_one_interval(road, make, notifies, doubts, most):
    """The sweep finds what no news told of; in between nothing is asked."""
    modem = make.modem(road)
    modem.notifies, modem.doubts = notifies, doubts
    async with road.receiving():
        modem.store(3)
        await road.passes(most - 5)
        assert modem.slots
        assert len(road.happened("sweep", "read")) == 1
        await road.passes(5)
        assert not modem.slots


async def test_idle_means_idle(road, make):
    """An hour without news: a dozen looks and nothing else."""
    async with road.receiving():
        road.log.clear()
        for _ in range(36):
            await road.passes(100)
            assert road.health().late() == []
        assert road.log == [("sweep",)] * 12


async def test_a_change_of_registration_is_said(road, make):
    """For people only: nothing is asked for it."""
    async with road.receiving() as modem:
        road.log.clear()
        modem.say(RegistrationChanged(Registration(2)))
        await road.passes(1)
        assert road.log == []
    assert road.told("registration")[0].detail == "searching"


# The session ends


async def test_a_restart_of_the_module_ends_the_session(road, make):
    """Its settings are gone: nothing more is asked on this line."""
    modem = make.modem(road)
    async with road.receiving():
        road.log.clear()
        modem.say(Arrived(SLOT), Restarted("RDY"))
        await road.passes(1)
        assert road.log == [("close",)]
        assert road.told("module restarted")[0].detail == "RDY"


async def test_two_silent_commands_end_the_session(road, make):
    """One may be bad luck, it is said; two in a row are a module that does not answer."""
    modem = make.modem(road)
    modem.plan("sweep", make.timed_out(), make.timed_out())
    task = asyncio.create_task(road.intake(modem).run())
    await asyncio.wait_for(task, 10)
    assert len(road.told("silence")) == 2
    assert ("close",) in road.log


@pytest.mark.parametrize("between", ["answer", "refusal"])
async def test_silences_with_an_answer_between_end_nothing(road, make, between):
    """The count begins anew with each answer, be it a refusal."""
    modem = make.modem(road)
    modem.plan("sweep", make.timed_out(), make.refused(500) if between == "refusal" else None)
    modem.plan("sweep", make.timed_out(), None)
    async with road.receiving():
        await road.passes(1000)
        assert len(road.told("silence")) == 2
        assert ("close",) not in road.log


async def test_a_refusal_is_an_answer(road, make):
    """A silence before it and one after it are not two in a row."""
    modem = make.modem(road)
    async with road.receiving():
        modem.plan("read", make.timed_out(), make.timed_out())
        modem.plan("sweep", make.refused(500))
        modem.say(Arrived(SLOT))
        await road.passes(1)
        modem.say(Arrived(SLOT))
        await road.passes(1)
        assert len(road.told("silence")) == 2
        assert ("close",) not in road.log


async def test_after_a_silence_everything_is_looked_at(road, make):
    """What was to be read is not forgotten until the next sweep."""
    modem = make.modem(road)
    modem.plan("read", make.timed_out())
    async with road.receiving():
        modem.store(3, "led on", tell=True)
        modem.store(4, "led off", minute=1, tell=True)
        await road.passes(5)
        assert not modem.slots


@pytest.mark.parametrize("index", [0, 3])
async def test_a_message_that_is_told_of_too_early_is_looked_for_again(road, make, index):
    """Neither the slot nor the store has it yet: the store is asked once more, soon. Some count from 0."""
    modem = make.modem(road)
    async with road.receiving():
        await road.passes(1)
        road.log.clear()
        modem.say(Arrived(Slot("ME", index)))
        await road.passes(2)
        modem.store(index, "led on")
        await road.passes(4)
        assert road.states() == ["received"]
        assert road.log.count(("sweep",)) <= 4
        road.log.clear()
        modem.say(Arrived(Slot("ME", index)))
        await road.passes(60)
        assert road.log.count(("sweep",)) == 1, "that message was taken by the sweep before"


async def test_a_refused_read_does_not_hold_the_others_up(road, make):
    """The other slots are taken at once, the refused one is looked for within a minute."""
    modem = make.modem(road)

    async def busy(slot):
        if slot.index == 3:
            raise make.refused(314)

    modem.always["read"] = busy
    async with road.receiving():
        modem.store(3, "led on", tell=True)
        modem.store(4, "led off", minute=1, tell=True)
        await road.passes(5)
        assert [slot.index for slot in modem.slots] == [3]
        assert road.told("refused")
        await road.passes(60)
        assert not modem.slots


async def test_a_refused_sweep_is_tried_again_in_a_minute(road, make):
    """Nobody is asked in a loop."""
    modem = make.modem(road)
    modem.always["sweep"] = make.refused(314)
    async with road.receiving():
        await road.passes(600)
        assert len(road.happened("sweep")) == 11
    assert (
        road.told("refused")[0].detail == "AT+X was refused: +CMS ERROR: 314; looking again within a minute"
    )


@pytest.mark.parametrize("what", ["read", "acknowledge"])
async def test_news_behind_a_failure_are_not_forgotten(road, make, what):
    """The failed one costs its own time; a restart told right behind it still ends the session."""
    modem = make.modem(road)
    modem.plan(what, make.timed_out())
    async with road.receiving():
        if what == "read":
            modem.say(Arrived(SLOT))
        else:
            modem.hand_over("led on")
        modem.hand_over("led off", minute=1)
        modem.say(Restarted("RDY"))
        await road.passes(5)
        assert modem.lost.is_set()
    assert "led off" in road.look("SELECT body FROM commands")


@pytest.mark.parametrize("what", ["sweep", "read", "delete", "acknowledge"])
async def test_a_lost_line_ends_intake_quietly(road, make, what):
    """Wherever it was: it returns by itself, raises nothing, and no Command is lost or doubled by it."""
    modem = make.modem(road)

    async def cut(*_):
        modem.lose()

    modem.plan(what, *([None] if what == "sweep" else []), cut)
    task = asyncio.create_task(road.intake(modem).run())
    await road.passes(1)
    modem.store(3, "led on", tell=what != "sweep")
    if what == "acknowledge":
        modem.hand_over("led off", minute=1)
    await asyncio.wait_for(task, 1000)
    modem = make.modem(road)
    modem.slots = {SLOT: make.pdu("led on")}
    async with road.receiving():
        pass
    assert road.look("SELECT count(*) FROM commands WHERE body = 'led on'") == [1]
    assert not modem.slots


async def test_what_was_handed_over_is_kept_when_the_line_is_lost(road, make):
    """It has no second copy: what came while a sweep was under way is committed though nobody can be told."""
    modem = make.modem(road)

    async def cut(*_):
        modem.hand_over("led on")
        modem.hand_over("led off", minute=1)
        modem.lose()

    modem.plan("sweep", cut)
    await asyncio.wait_for(road.intake(modem).run(), 10)
    assert road.look("SELECT body FROM commands ORDER BY id") == ["led on", "led off"]


async def test_a_closing_session_waits_for_the_journal(road, make):
    """What has no second copy is insisted on."""
    modem = make.modem(road)
    async with road.receiving():
        road.disk_full()
        modem.hand_over("led on")
        await road.passes(1)
        modem.lose()
        await road.passes(1000)
        assert road.health().late() == []
        road.trouble = None
        await road.passes(31)
        assert road.look("SELECT body FROM commands") == ["led on"]


# Health


async def test_a_long_drain_is_no_reason_to_worry(road, make):
    """A full store on a slow line: every message taken is a sign of life."""
    modem = make.modem(road, step_s=8)
    for index in range(60):
        modem.store(index, f"led {index}", minute=index)
    task = asyncio.create_task(road.intake(modem).run())
    while modem.slots:
        await road.passes(20)
        assert road.health().late() == []
    modem.lose()
    await task
    assert road.health()._deadlines == {}


async def test_many_slots_on_a_slow_line_are_no_reason_to_worry(road, make):
    """Each that was read is a sign of life."""
    modem = make.modem(road)
    async with road.receiving():
        modem.step_s = 14
        for index in range(40):
            modem.store(index, f"led {index}", minute=index, tell=True)
        while len(road.happened("delete")) < 40:
            await road.passes(30)
            assert road.health().late() == []


@pytest.mark.parametrize("what", ["sweep", "read", "acknowledge"])
async def test_an_intake_that_hangs_is_late(road, make, what):
    """A step that never returns is what the watchdog is there for."""
    modem = make.modem(road)

    async def hang(*_):
        await asyncio.Event().wait()

    modem.plan(what, hang)
    task = asyncio.create_task(road.intake(modem).run())
    await road.passes(1)
    if what == "read":
        modem.store(3, tell=True)
    elif what == "acknowledge":
        modem.hand_over()
    await road.passes(room.STEP_S - 10)  # the line may belong to a message that is being sent
    assert road.health().late() == []
    await road.passes(20)
    assert road.health().late() == ["intake"]
    task.cancel()


async def test_waiting_for_news_is_no_reason_to_worry(road, make):
    """Also with a journal that cannot commit for hours."""
    modem = make.modem(road)
    async with road.receiving():
        modem.store(3, tell=True)
        road.disk_full()
        for _ in range(60):
            await road.passes(59)
            assert road.health().late() == []


# The first start


async def test_a_first_start_says_what_it_found(road, make):
    """How much the module holds and from when; by default it is carried out like all others. Said once."""
    modem = make.modem(road)
    modem.store(1, "led on", minute=1)
    modem.store(2, "led off", minute=30)
    async with road.receiving(modem):
        await road.passes(5)
    assert road.states() == ["received", "received"]
    [said] = road.told("first start")
    assert "2 messages, sent from 2026-11-22T11:01:00+00:00 to 2026-11-22T11:30:00+00:00" in said.detail
    assert said.weight is Weight.WARNING
    road.restart()
    modem = make.modem(road)
    modem.store(1, "led up", minute=31)
    async with road.receiving(modem):
        await road.passes(5)
    assert len(road.told("first start")) == 1


async def test_a_first_start_may_keep_what_it_finds(road, make):
    """As expired: shown, not run, deleted from the module; what comes after it is run."""
    modem = make.modem(road)
    modem.store(1, "led on", minute=1)
    async with road.receiving(modem, run_first=False):
        await road.passes(5)
        assert (road.states(), modem.slots) == (["expired"], {})
        modem.store(1, "led off", minute=2, tell=True)
        await road.passes(5)
    assert road.states() == ["expired", "received"]
    assert road.look("SELECT reason FROM commands")[0] == "it was in the module before the first start"
    assert "kept as expired" in road.told("first start")[0].detail


async def test_a_crash_in_the_first_sweep_leaves_it_the_first(road, make):
    """What it had not come to is kept by the next start, and not run."""
    modem = make.modem(road)
    for index in range(1, 4):
        modem.store(index, f"led {index}", minute=index)

    async def dies(_slot):
        modem.lose()

    modem.plan("delete", dies)
    async with road.receiving(modem, run_first=False):
        await road.passes(5)
    assert road.states() == ["expired"]
    road.restart()
    again = make.modem(road)
    for slot, raw in modem.slots.items():
        again.store(slot.index, raw=raw)
    async with road.receiving(again, run_first=False):
        await road.passes(5)
    assert road.states() == ["expired"] * 3
    assert not again.slots


async def test_a_first_sweep_of_a_module_that_has_restarted_tells_nothing(road, make):
    """It shows nothing until it is initialised again; the sweep that then finds it is still the first."""
    modem = make.modem(road)
    modem.store(1, "led on")
    modem.restarted = True
    async with road.receiving(modem, run_first=False):
        modem.say(Restarted("RDY"))
        await road.passes(5)
    assert road.states() == []
    again = make.modem(road)
    again.store(1, "led on")
    async with road.receiving(again, run_first=False):
        await road.passes(5)
    assert road.states() == ["expired"]


async def test_an_empty_module_is_nothing_to_tell(road, make):
    """The first start is over all the same."""
    async with road.receiving(make.modem(road), run_first=False) as modem:
        await road.passes(5)
        modem.store(1, "led on", tell=True)
        await road.passes(5)
    assert road.states() == ["received"]
    assert road.told("first start") == []


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
async def test_a_host_without_files_or_memory_makes_no_stray(road, make, monkeypatch, error):
    """The message says nothing wrong: it stays in the module, and another session reads it."""
    modem = make.modem(road)
    modem.store(1, "led on")
    with monkeypatch.context() as patch:
        patch.setattr("agent.intake.receive", lambda *arguments: (_ for _ in ()).throw(error))
        with pytest.raises(type(error)):
            await road.intake(modem).run()
    assert len(modem.slots) == 1
    assert road.look("SELECT count(*) FROM strays") == [0]
    async with road.receiving(modem):
        pass
    assert road.states() == ["received"]


@pytest.mark.parametrize("lost", [False, True])
async def test_another_program_on_the_port_is_named(road, make, lost):
    """By what shows it and by who it may be; also where the line has gone by it."""
    modem = make.modem(road)
    async with road.receiving(others=lambda: "ModemManager (process 7) has it open"):
        modem.say(Disturbed("an answer that nobody asked for"))
        if lost:
            modem.lose("unplugged")
        await road.passes(1)
    [said] = road.told("disturbed")
    assert said.weight is Weight.WARNING
    assert said.detail == (
        "another program seems to use the module's port: an answer that nobody asked for; "
        "ModemManager (process 7) has it open"
    )


async def test_the_second_silence_ends_a_session_that_worked_before(road, make):
    """Two in a row, however much has been answered before."""
    modem = make.modem(road)
    async with road.receiving():
        modem.store(3, "led on", tell=True)
        await road.passes(5)
        assert not modem.slots
        modem.plan("read", make.timed_out("AT+CMGR=4"))
        modem.plan("sweep", make.timed_out("AT+CMGL=4"))
        modem.store(4, "led off", tell=True)
        await road.passes(1)
        assert modem.loss == "two commands in a row had no answer"
