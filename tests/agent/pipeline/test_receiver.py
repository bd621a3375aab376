"""Receiving: the order of commits and deletes between module and journal, and failures in between."""

import asyncio

import pytest

import pdu
from agent.common.events import Severity
from agent.modem.events import (
    MessageArrived,
    PortContention,
    RegistrationChanged,
    ReportArrived,
    SettingsLost,
    StoreFull,
)
from agent.modem.status_queries import Registration
from agent.modem.stored_message import UNKNOWN_SLOT, Slot
from agent.pipeline import receiver
from agent.service.classify import classify

SLOT = Slot("ME", 3)


def small_modem(pipeline, factories):
    """Return a modem whose message store holds ten messages."""

    class SmallModem(factories.modem):
        @property
        def status(self):
            return super().status.replace(store_usage=(("ME", 0, 10),))

    return SmallModem(pipeline)


# Order of commits and deletes


async def test_stored_message_is_committed_then_deleted(pipeline, factories):
    """When the first slot is deleted, another process can already read the Commands of all slots that were
    read. The sweep at the start needs no notification."""
    modem = factories.modem(pipeline)
    modem.store_message(3, "led on")
    modem.store_message(4, "led off", minute=1)
    committed = []

    async def record_and_delete(slot):
        committed.append((slot.index, pipeline.query_column("SELECT body FROM commands")))
        modem.stored.pop(slot)

    modem.defaults["delete"] = record_and_delete
    async with pipeline.run_receiver():
        pass
    assert committed == [(3, ["led on", "led off"]), (4, ["led on", "led off"])]
    assert not modem.stored


async def test_messages_are_stored_in_order_of_their_timestamps(pipeline, factories):
    """The order of slots does not matter, neither in a sweep nor in a burst of notifications."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "second", minute=7)
    modem.store_message(2, "first", minute=3)
    async with pipeline.run_receiver():
        modem.store_message(5, "fourth", minute=9)
        modem.store_message(6, "third", minute=8)
        modem.emit_events(MessageArrived(Slot("ME", 5)), MessageArrived(Slot("ME", 6)))
        await pipeline.advance(1)
    assert pipeline.query_column("SELECT body FROM commands ORDER BY id") == [
        "first",
        "second",
        "third",
        "fourth",
    ]


async def test_notification_leads_to_a_read_of_its_slot_only(pipeline, factories):
    """There is one read, one commit and one delete of that slot, and no sweep."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        modem.store_message(3, announce=True)
        await pipeline.advance(1)
        assert pipeline.call_log == [("read", SLOT), ("commit",), ("wake",), ("delete", SLOT)]


async def test_burst_of_notifications_is_read_together(pipeline, factories):
    """All pending notifications are handled together, and a repeated one leads to a single read."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        for index in range(5):
            modem.store_message(index, f"led {index}", second=index, announce=True)
        modem.emit_events(MessageArrived(Slot("ME", 0)))
        await pipeline.advance(2)
    reads = pipeline.calls_of("read", "sweep", "delete")
    assert [what for what, *_ in reads] == ["read"] * 5 + ["delete"] * 5


async def test_direct_delivery_is_committed_then_acknowledged(pipeline, factories):
    """After an acknowledgement the module may drop any message that it has delivered; +CNMA names none.
    Every message is acknowledged once, of whatever kind."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        modem.deliver_direct("led on")
        modem.deliver_direct("led on")
        modem.deliver_direct("other sender", sender="+15557654321", minute=5)
        modem.deliver_direct(raw="00")
        await pipeline.advance(1)
    kinds = [what for what, *_ in pipeline.calls_of("commit", "acknowledge")]
    assert kinds == ["commit"] * 4 + ["acknowledge"] * 4
    assert pipeline.query_column("SELECT body FROM commands") == ["led on"]
    assert len(pipeline.events_of_kind("duplicate")) == 1
    assert len(pipeline.events_of_kind("ignored")) == 2


async def test_dispatcher_is_woken_after_the_commit(pipeline, factories):
    """A duplicate does not wake it. An ignored message does: it may have a handler of its own."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "led on")
    modem.store_message(2, "led on")
    modem.store_message(3, "hello", sender="+15557654321")
    async with pipeline.run_receiver():
        pass
    assert pipeline.wake_count == 2
    assert pipeline.call_log.index(("wake",)) > pipeline.call_log.index(("commit",))


# The journal cannot commit


async def test_nothing_is_deleted_while_the_journal_cannot_commit(pipeline, factories):
    """It is logged once and the messages stay in the module. Later they are stored and deleted, none of them
    twice."""
    modem = factories.modem(pipeline)
    modem.store_message(3, "led on")
    modem.store_message(4, "led off", minute=1)
    pipeline.fail_commits_disk_full()
    async with pipeline.run_receiver():
        await pipeline.advance(600)
        assert not pipeline.calls_of("delete")
        assert len(pipeline.calls_of("sweep")) <= 101
        assert len(modem.stored) == 2
        [event] = pipeline.events_of_kind("journal cannot commit")
        assert "database or disk is full" in event.message
        assert event.severity is Severity.ERROR
        pipeline.commit_error = None
        await pipeline.advance(10)
    assert not modem.stored
    assert pipeline.command_states() == ["received", "received"]
    assert not pipeline.events_of_kind("duplicate")


async def test_second_journal_failure_is_logged_again(pipeline, factories):
    """After a successful commit the next failure is a new condition."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        for minute in (1, 2):
            pipeline.fail_commits_disk_full()
            modem.store_message(minute, f"led {minute}", minute=minute, announce=True)
            await pipeline.advance(20)
            pipeline.commit_error = None
            await pipeline.advance(20)
    assert len(pipeline.events_of_kind("journal cannot commit")) == 2


async def test_direct_delivery_waits_for_the_journal(pipeline, factories):
    """It has no second copy: it is held in memory until its commit, then acknowledged. Later events wait."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        pipeline.fail_commits_disk_full()
        modem.deliver_direct("led on")
        modem.deliver_direct("led off", minute=1)
        await pipeline.advance(60)
        assert not pipeline.calls_of("acknowledge")
        assert not pipeline.command_states()
        pipeline.commit_error = None
        await pipeline.advance(10)
        kinds = [what for what, *_ in pipeline.calls_of("commit", "acknowledge")]
        assert kinds == ["commit"] * 2 + ["acknowledge"] * 2
    assert pipeline.query_column("SELECT body FROM commands ORDER BY id") == ["led on", "led off"]


async def test_unreadable_journal_ignores_no_message(pipeline, factories):
    """An I/O error while a message is classified does not count against the message."""
    modem = factories.modem(pipeline)
    first, second = pdu.segment("led " + "x" * 200, reference=7)
    modem.store_message(1, first)
    modem.store_message(2, second, minute=1)
    pipeline.fail_queries("SELECT number, raw, identity FROM parts", 1)
    async with pipeline.run_receiver():
        await pipeline.advance(60)
    assert pipeline.query_failures == []
    assert not pipeline.events_of_kind("ignored")
    assert pipeline.query_column("SELECT length(body) FROM commands") == [204]


# Deleting


async def test_delete_without_result_is_followed_by_a_read(pipeline, factories):
    """If the slot is empty, it is not deleted again."""
    modem = factories.modem(pipeline)

    async def gone(slot):
        modem.stored.pop(slot)
        raise factories.timed_out(f"AT+CMGD={slot.index}")

    modem.plan("delete", gone)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        modem.store_message(3, announce=True)
        await pipeline.advance(1)
        assert pipeline.calls_of("read", "delete") == [("read", SLOT), ("delete", SLOT), ("read", SLOT)]
    assert not pipeline.events_of_kind("no answer")


async def test_delete_without_result_spares_another_message(pipeline, factories):
    """The slot was emptied and filled again. The new message is stored before it is deleted."""
    modem = factories.modem(pipeline)

    async def replaced(slot):
        modem.store_message(slot.index, "led off", minute=5)
        raise factories.timed_out()

    modem.plan("delete", replaced)
    async with pipeline.run_receiver():
        modem.store_message(3, "led on", announce=True)
        await pipeline.advance(1)
        assert pipeline.calls_of("read", "delete")[-1] == ("read", SLOT)
        assert list(modem.stored) == [SLOT]
        modem.emit_events(MessageArrived(SLOT))
        await pipeline.advance(1)
    assert not modem.stored
    assert pipeline.query_column("SELECT body FROM commands ORDER BY id") == ["led on", "led off"]


async def test_delete_is_repeated_only_if_the_message_is_still_there(pipeline, factories):
    """A read follows each delete, with three deletes at most. A message that remains is not run again."""
    modem = factories.modem(pipeline)
    modem.plan("delete", *[factories.timed_out()] * 3)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        modem.store_message(3, announce=True)
        await pipeline.advance(1)
        kinds = [what for what, *_ in pipeline.calls_of("read", "delete")]
        assert kinds == ["read"] + ["delete", "read"] * 3
        modem.emit_events(MessageArrived(SLOT))
        await pipeline.advance(1)
    assert not modem.stored
    assert pipeline.command_states() == ["received"]
    assert [event.severity for event in pipeline.events_of_kind("already stored")] == [Severity.DEBUG]
    assert not pipeline.events_of_kind("duplicate")


async def test_refused_delete_is_logged_and_stops_no_other_message(pipeline, factories):
    """Other messages are stored and deleted. Each sweep retries the delete, and no Command runs again."""
    modem = factories.modem(pipeline)
    modem.store_message(3, "led on")
    modem.store_message(4, "led off", minute=1)

    async def protected(slot):
        if slot.index == 3:
            raise factories.refused(302)
        modem.stored.pop(slot)

    modem.defaults["delete"] = protected
    async with pipeline.run_receiver():
        await pipeline.advance(600)
        assert list(modem.stored) == [SLOT]
        pipeline.call_log.clear()
        await pipeline.advance(300)
        assert pipeline.call_log == [("sweep",), ("delete", SLOT)]
    assert pipeline.command_states() == ["received", "received"]
    assert not pipeline.events_of_kind("duplicate")
    assert "stays in the module and is not run again" in pipeline.events_of_kind("not deleted")[0].message


async def test_ineffective_delete_is_repeated_only_by_sweeps(pipeline, factories):
    """The module answers OK and keeps the message: each sweep deletes once, and the Command does not run
    again."""
    modem = factories.modem(pipeline)
    modem.store_message(3, "led on")

    async def keep_message(_slot):
        pass

    modem.defaults["delete"] = keep_message
    async with pipeline.run_receiver():
        await pipeline.advance(650)
        assert 3 <= len(pipeline.calls_of("delete")) <= 4
    assert pipeline.command_states() == ["received"]


async def test_full_store_is_emptied_until_nothing_arrives(pipeline, factories):
    """The network delivers a held message for each free slot. Slots are deleted one by one, never in bulk."""
    modem = factories.modem(pipeline)
    held = [f"led {number}" for number in range(30)]

    def arrive():
        free = [index for index in range(1, 11) if Slot("ME", index) not in modem.stored]
        while held and free:
            text = held.pop(0)
            number = int(text.split()[1])
            modem.store_message(free.pop(0), text, minute=number)

    async def delete(slot):
        del modem.stored[slot]
        arrive()

    modem.defaults["delete"] = delete
    async with pipeline.run_receiver():
        arrive()
        modem.emit_events(StoreFull("ME"))
        await pipeline.advance(20)
    assert not modem.stored
    assert sorted(pipeline.query_column("SELECT body FROM commands")) == sorted(
        f"led {number}" for number in range(30)
    )
    assert [event.severity for event in pipeline.events_of_kind("store full")] == [Severity.WARNING]


async def test_nearly_full_store_is_logged_each_time(pipeline, factories):
    """At 80 % it is logged once, and again after the store had free slots. Messages that arrive after a drain
    are
    found soon."""
    modem = small_modem(pipeline, factories)
    for index in range(7):
        modem.store_message(index, f"led {index}")
    async with pipeline.run_receiver():
        await pipeline.advance(1)
        assert pipeline.events_of_kind("store nearly full") == []
        for index in range(8):
            modem.store_message(index, f"pump {index}")
        await pipeline.advance(400)
        assert [event.message for event in pipeline.events_of_kind("store nearly full")] == [
            "ME holds 8 of 10"
        ]
        pipeline.events.clear()
        for index in range(9):
            modem.store_message(index, f"lamp {index}")
        modem.emit_events(MessageArrived(Slot("ME", 9)))
        await pipeline.advance(5)
        modem.store_message(3, "last")
        await pipeline.advance(20)
        assert not modem.stored
    assert [event.message for event in pipeline.events_of_kind("store nearly full")] == ["ME holds 9 of 10"]


async def test_message_during_a_sweep_hides_no_nearly_full_store(pipeline, factories):
    """The drain began with a nearly full store, so the network may hold more messages and a sweep follows
    soon."""
    modem = small_modem(pipeline, factories)
    for index in range(10):
        modem.store_message(index, f"led {index}")

    async def store_another():
        modem.store_message(3, "one more")

    async def deliver_held_messages():
        for index in range(10):
            modem.store_message(index, f"pump {index}")

    modem.plan("sweep", None, store_another, None, deliver_held_messages)
    async with pipeline.run_receiver():
        await pipeline.advance(20)
        assert not modem.stored
    assert len(pipeline.query_column("SELECT id FROM commands")) == 21
    assert len(pipeline.events_of_kind("store nearly full")) == 1


async def test_store_with_room_again_is_not_nearly_full(pipeline, factories):
    """The sweep interval is normal again, and the next nearly full store is logged."""
    modem = small_modem(pipeline, factories)
    for index in range(10):
        modem.store_message(index, f"led {index}")
    async with pipeline.run_receiver():
        modem.store_message(3, "one more")
        await pipeline.advance(20)
        assert not modem.stored
        sweep_count = pipeline.call_log.count(("sweep",))
        await pipeline.advance(200)
        assert pipeline.call_log.count(("sweep",)) == sweep_count
        for index in range(10):
            modem.store_message(index, f"pump {index}")
        await pipeline.advance(100)
    assert len(pipeline.events_of_kind("store nearly full")) == 2


async def test_store_that_stays_full_is_logged_once(pipeline, factories):
    """If no message can be deleted, each sweep finds the same store."""
    modem = small_modem(pipeline, factories)
    modem.defaults["delete"] = factories.refused(500)
    for index in range(10):
        modem.store_message(index, f"led {index}")
    async with pipeline.run_receiver():
        await pipeline.advance(3600)
    assert pipeline.call_log.count(("sweep",)) > 5
    assert len(pipeline.events_of_kind("store nearly full")) == 1


async def test_freed_slot_may_hold_the_same_message_again(pipeline, factories):
    """Two messages without SID and date differ only in that the first one was deleted."""
    modem = factories.modem(pipeline)
    undated = {"service_centre_timestamp": pdu.Timestamp(bytes(7))}
    async with pipeline.run_receiver():
        for _ in range(2):
            modem.store_message(3, "led toggle", announce=True, **undated)
            await pipeline.advance(1)
    assert pipeline.query_column("SELECT body FROM commands") == ["led toggle"] * 2


# Kinds of messages


async def test_duplicates_are_deleted_counted_and_not_run(pipeline, factories):
    """The network repeats a delivery: in another slot, after a restart, or directly."""
    modem = factories.modem(pipeline)
    modem.store_message(3, f"{factories.SID} led on")
    async with pipeline.run_receiver():
        modem.store_message(9, f"{factories.SID} led on", minute=2, announce=True)
        await pipeline.advance(1)
    pipeline.restart()
    modem = factories.modem(pipeline)
    modem.store_message(1, f"{factories.SID} led on", minute=40)
    async with pipeline.run_receiver():
        pass
    assert not modem.stored
    assert pipeline.command_states() == ["received"]
    assert pipeline.query_column("SELECT duplicates FROM commands") == [2]
    assert [event.message for event in pipeline.events_of_kind("duplicate")] == [
        "delivery 2, not run again",
        "delivery 3, not run again",
    ]
    assert pipeline.wake_count == 1


@pytest.mark.parametrize("raw", ["07", "ZZ", "", "00" * 20, "0791445677"])
async def test_undecodable_message_is_quarantined_and_stops_no_other(pipeline, factories, raw):
    """Its octets are kept in the journal, it is deleted from the module and logged once. Other messages are
    received."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "led on")
    modem.store_message(2, raw=raw)
    modem.store_message(3, "led off", minute=1)
    async with pipeline.run_receiver():
        await pipeline.advance(700)
    assert not modem.stored
    assert pipeline.query_column("SELECT raw FROM ignored") == [raw]
    assert pipeline.query_column("SELECT body FROM commands") == ["led on", "led off"]
    assert len(pipeline.events_of_kind("ignored")) == 1


async def test_error_in_classification_quarantines_one_message(pipeline, factories):
    """Whatever the exception is, the raw message is kept, and other messages are received."""

    def classify_or_raise(message, raw, history):
        if message.text == "poison":
            raise IndexError("internal")
        return classify(message, raw, history, pipeline.service)

    modem = factories.modem(pipeline)
    modem.store_message(1, "led on")
    raw = modem.store_message(2, "poison", minute=1)
    modem.store_message(3, "led off", minute=2)
    async with pipeline.run_receiver(classify=classify_or_raise):
        pass
    assert not modem.stored
    assert pipeline.query_column("SELECT raw FROM ignored") == [raw]
    assert pipeline.query_column("SELECT reason FROM ignored") == ["cannot be read: internal"]
    assert pipeline.query_column("SELECT body FROM commands") == ["led on", "led off"]


@pytest.mark.parametrize(
    "fields",
    [
        {"sender": "+15557654321"},
        {"sender": "29360"},
        {"sender": "02936"},
        {"protocol_identifier": 0x40},
    ],
)
async def test_ignored_messages_are_stored_deleted_and_never_run(pipeline, factories, fields):
    """These are messages of other senders, of similar numbers, and silent messages."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "led on", **fields)
    async with pipeline.run_receiver():
        pass
    assert not modem.stored
    assert pipeline.command_states() == []
    assert pipeline.query_column("SELECT handler_state FROM ignored") == [None]


async def test_log_masks_the_sender_and_shows_no_content(pipeline, factories):
    """A log line never contains the content of a message or a whole telephone number."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "secret", sender="+15557654321")
    modem.store_message(2, f"{factories.SID} led on", minute=1)
    async with pipeline.run_receiver():
        pass
    [ignored] = pipeline.events_of_kind("ignored")
    assert str(ignored) == "ignored: from …321: not from 2936"
    assert ignored.content == "secret"
    [received] = pipeline.events_of_kind("received")
    assert str(received) == f"received command 1 {factories.SID}"
    assert received.content == "led on"


async def test_parts_survive_a_restart_and_are_joined_in_any_order(pipeline, factories):
    """Each part is deleted from the module after its commit. The last part completes the Command."""
    parts = pdu.segment("led " + "".join(chr(97 + n % 26) for n in range(400)), reference=9)
    modem = factories.modem(pipeline)
    modem.store_message(1, parts[2], minute=1)
    modem.store_message(2, parts[1], minute=2)
    async with pipeline.run_receiver():
        assert not modem.stored
    pipeline.restart()
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.store_message(1, parts[1], minute=2, announce=True)
        modem.store_message(2, parts[0], minute=3, announce=True)
        await pipeline.advance(1)
    assert not modem.stored
    assert pipeline.query_column("SELECT length(body) FROM commands") == [404]
    assert [event.kind for event in pipeline.events if event.kind in ("part", "duplicate", "received")] == [
        "part", "part", "duplicate", "received",
    ]  # fmt: skip


async def test_status_report_is_stored_deleted_and_wakes_the_dispatcher(pipeline, factories):
    """It is matched with the message that it reports on."""
    number = pipeline.queue_message()
    pipeline.outbox_store.mark_sent(number, 42)
    stamp = pdu.Timestamp(bytes.fromhex("62111222030000"))
    report = pdu.StatusReport(
        message_reference=42,
        recipient_address=pdu.Address.parse("2936"),
        service_centre_timestamp=stamp,
        discharge_time=stamp,
        status=0,
        service_centre_address=pdu.Address.parse("+447700900000"),
    )
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.store_message(7, raw=pdu.encode(report).hex, store="SM")
        modem.emit_events(ReportArrived(Slot("SM", 7)))
        await pipeline.advance(1)
    assert not modem.stored
    assert pipeline.reply_states() == ["delivered"]
    assert pipeline.events_of_kind("status report")[0].reply_id == number
    assert pipeline.wake_count == 1


# Stale and lost notifications


async def test_empty_slot_leads_to_one_sweep(pipeline, factories):
    """A stale notification causes one sweep at once and one later, which find messages in other slots."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        modem.store_message(9, "led on")
        modem.emit_events(MessageArrived(SLOT))
        await pipeline.advance(1)
        assert [what for what, *_ in pipeline.calls_of("read", "sweep")] == ["read", "sweep", "sweep"]
        await pipeline.advance(100)
        assert len(pipeline.calls_of("read", "sweep")) == 4
    assert not modem.stored


async def test_notification_without_a_slot_leads_to_a_sweep(pipeline, factories):
    """The whole store is read."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.store_message(9, "led on")
        modem.emit_events(MessageArrived(UNKNOWN_SLOT))
        await pipeline.advance(1)
    assert not modem.stored


@pytest.mark.parametrize(
    ("is_notifying", "has_unannounced", "interval_s"),
    [(True, False, 300), (False, False, 60), (True, True, 60)],
)
async def test_lost_notification_costs_one_sweep_interval(
    pipeline, factories, is_notifying, has_unannounced, interval_s
):
    """The sweep finds messages without a notification. No command is sent between sweeps."""
    modem = factories.modem(pipeline)
    modem.is_notifying, modem.has_unannounced = is_notifying, has_unannounced
    async with pipeline.run_receiver():
        modem.store_message(3)
        await pipeline.advance(interval_s - 5)
        assert modem.stored
        assert len(pipeline.calls_of("sweep", "read")) == 1
        await pipeline.advance(5)
        assert not modem.stored


async def test_idle_receiver_only_sweeps(pipeline, factories):
    """An hour without events has twelve sweeps and no other command."""
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        for _ in range(36):
            await pipeline.advance(100)
            assert pipeline.deadline_monitor.overdue() == []
        assert pipeline.call_log == [("sweep",)] * 12


async def test_registration_change_is_logged(pipeline, factories):
    """No command is sent for it."""
    async with pipeline.run_receiver() as modem:
        pipeline.call_log.clear()
        modem.emit_events(RegistrationChanged(Registration(2)))
        await pipeline.advance(1)
        assert pipeline.call_log == []
    assert pipeline.events_of_kind("registration")[0].message == "searching"


# The session ends


async def test_module_restart_ends_the_session(pipeline, factories):
    """The settings of the module are lost, so no further command is sent."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        modem.emit_events(MessageArrived(SLOT), SettingsLost("RDY"))
        await pipeline.advance(1)
        assert pipeline.call_log == [("close",)]
        assert pipeline.events_of_kind("module restarted")[0].message == "RDY"


async def test_two_timeouts_in_a_row_end_the_session(pipeline, factories):
    """Each timeout is logged. After two in a row the module counts as unresponsive."""
    modem = factories.modem(pipeline)
    modem.plan("sweep", factories.timed_out(), factories.timed_out())
    task = asyncio.create_task(pipeline.make_receiver(modem).run())
    await asyncio.wait_for(task, 10)
    assert len(pipeline.events_of_kind("no answer")) == 2
    assert ("close",) in pipeline.call_log


@pytest.mark.parametrize("between", ["answer", "refusal"])
async def test_timeouts_with_an_answer_between_do_not_end_the_session(pipeline, factories, between):
    """The count starts again with each response, also with a refusal."""
    modem = factories.modem(pipeline)
    modem.plan("sweep", factories.timed_out(), factories.refused(500) if between == "refusal" else None)
    modem.plan("sweep", factories.timed_out(), None)
    async with pipeline.run_receiver():
        await pipeline.advance(1000)
        assert len(pipeline.events_of_kind("no answer")) == 2
        assert ("close",) not in pipeline.call_log


async def test_refusal_counts_as_an_answer(pipeline, factories):
    """A timeout before it and one after it are not two in a row."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.plan("read", factories.timed_out(), factories.timed_out())
        modem.plan("sweep", factories.refused(500))
        modem.emit_events(MessageArrived(SLOT))
        await pipeline.advance(1)
        modem.emit_events(MessageArrived(SLOT))
        await pipeline.advance(1)
        assert len(pipeline.events_of_kind("no answer")) == 2
        assert ("close",) not in pipeline.call_log


async def test_timeout_is_followed_by_a_sweep(pipeline, factories):
    """Messages that were to be read are received soon, not only at the next regular sweep."""
    modem = factories.modem(pipeline)
    modem.plan("read", factories.timed_out())
    async with pipeline.run_receiver():
        modem.store_message(3, "led on", announce=True)
        modem.store_message(4, "led off", minute=1, announce=True)
        await pipeline.advance(5)
        assert not modem.stored


@pytest.mark.parametrize("index", [0, 3])
async def test_message_announced_too_early_is_read_again(pipeline, factories, index):
    """Neither the slot nor the store shows it yet, so another sweep follows soon. Some modules count slots
    from 0."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        await pipeline.advance(1)
        pipeline.call_log.clear()
        modem.emit_events(MessageArrived(Slot("ME", index)))
        await pipeline.advance(2)
        modem.store_message(index, "led on")
        await pipeline.advance(4)
        assert pipeline.command_states() == ["received"]
        assert pipeline.call_log.count(("sweep",)) <= 4
        pipeline.call_log.clear()
        modem.emit_events(MessageArrived(Slot("ME", index)))
        await pipeline.advance(60)
        assert pipeline.call_log.count(("sweep",)) == 1, "the previous sweep has received that message"


async def test_refused_read_does_not_stop_other_reads(pipeline, factories):
    """The other slots are read at once, and the refused one is read again within a minute."""
    modem = factories.modem(pipeline)

    async def busy(slot):
        if slot.index == 3:
            raise factories.refused(314)

    modem.defaults["read"] = busy
    async with pipeline.run_receiver():
        modem.store_message(3, "led on", announce=True)
        modem.store_message(4, "led off", minute=1, announce=True)
        await pipeline.advance(2)
        assert [slot.index for slot in modem.stored] == [3]
        assert pipeline.events_of_kind("read refused")
        await pipeline.advance(60)
        assert not modem.stored


async def test_one_sweep_follows_the_last_notification_of_a_burst(pipeline, factories):
    """It comes within 5 s and finds what was not announced; the next one comes after the usual interval."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.call_log.clear()
        for number in range(3):
            modem.store_message(2 * number + 1, f"led {number}", minute=number, announce=True)
            modem.store_message(2 * number + 2, f"pump {number}", minute=number)
            await pipeline.advance(2)
        assert len(modem.stored) == 3
        assert pipeline.calls_of("sweep") == []
        await pipeline.advance(3)
        assert not modem.stored
        assert len(pipeline.calls_of("sweep")) == 2  # the second finds nothing
        await pipeline.advance(250)
        assert len(pipeline.calls_of("sweep")) == 2


async def test_refused_sweep_is_retried_after_a_minute(pipeline, factories):
    """It is not retried in a tight loop."""
    modem = factories.modem(pipeline)
    modem.defaults["sweep"] = factories.refused(314)
    async with pipeline.run_receiver():
        await pipeline.advance(600)
        assert len(pipeline.calls_of("sweep")) == 11
    assert (
        pipeline.events_of_kind("read refused")[0].message
        == "AT+X was refused: +CMS ERROR: 314; next attempt within a minute"
    )


@pytest.mark.parametrize("what", ["read", "acknowledge"])
async def test_events_after_a_failure_are_handled(pipeline, factories, what):
    """A restart of the module that is reported right after the failure still ends the session."""
    modem = factories.modem(pipeline)
    modem.plan(what, factories.timed_out())
    async with pipeline.run_receiver():
        if what == "read":
            modem.emit_events(MessageArrived(SLOT))
        else:
            modem.deliver_direct("led on")
        modem.deliver_direct("led off", minute=1)
        modem.emit_events(SettingsLost("RDY"))
        await pipeline.advance(5)
        assert modem.lost.is_set()
    assert "led off" in pipeline.query_column("SELECT body FROM commands")


@pytest.mark.parametrize("what", ["sweep", "read", "delete", "acknowledge"])
async def test_lost_modem_ends_the_receiver_without_an_error(pipeline, factories, what):
    """It returns by itself from every operation, and no Command is lost or stored twice."""
    modem = factories.modem(pipeline)

    async def lose_line(*_):
        modem.lose_line()

    modem.plan(what, *([None] if what == "sweep" else []), lose_line)
    task = asyncio.create_task(pipeline.make_receiver(modem).run())
    await pipeline.advance(1)
    modem.store_message(3, "led on", announce=what != "sweep")
    if what == "acknowledge":
        modem.deliver_direct("led off", minute=1)
    await asyncio.wait_for(task, 1000)
    modem = factories.modem(pipeline)
    modem.stored = {SLOT: factories.pdu("led on")}
    async with pipeline.run_receiver():
        pass
    assert pipeline.query_column("SELECT count(*) FROM commands WHERE body = 'led on'") == [1]
    assert not modem.stored


async def test_direct_delivery_is_stored_when_the_modem_is_lost(pipeline, factories):
    """It has no second copy. Deliveries during a sweep are committed even if they cannot be acknowledged."""
    modem = factories.modem(pipeline)

    async def lose_line(*_):
        modem.deliver_direct("led on")
        modem.deliver_direct("led off", minute=1)
        modem.lose_line()

    modem.plan("sweep", lose_line)
    await asyncio.wait_for(pipeline.make_receiver(modem).run(), 10)
    assert pipeline.query_column("SELECT body FROM commands ORDER BY id") == ["led on", "led off"]


async def test_closing_session_waits_for_the_journal(pipeline, factories):
    """The receiver retries the commit of a message that has no second copy."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        pipeline.fail_commits_disk_full()
        modem.deliver_direct("led on")
        await pipeline.advance(1)
        modem.lose_line()
        await pipeline.advance(1000)
        assert pipeline.deadline_monitor.overdue() == []
        pipeline.commit_error = None
        await pipeline.advance(31)
        assert pipeline.query_column("SELECT body FROM commands") == ["led on"]


# Deadlines


async def test_long_sweep_is_not_overdue(pipeline, factories):
    """With a full store on a slow line, each stored message extends the deadline."""
    modem = factories.modem(pipeline, latency_s=8)
    for index in range(60):
        modem.store_message(index, f"led {index}", minute=index)
    task = asyncio.create_task(pipeline.make_receiver(modem).run())
    while modem.stored:
        await pipeline.advance(20)
        assert pipeline.deadline_monitor.overdue() == []
    modem.lose_line()
    await task
    assert pipeline.deadline_monitor._deadlines == {}


async def test_many_slots_on_a_slow_line_are_not_overdue(pipeline, factories):
    """Each read extends the deadline."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.latency_s = 14
        for index in range(40):
            modem.store_message(index, f"led {index}", minute=index, announce=True)
        while len(pipeline.calls_of("delete")) < 40:
            await pipeline.advance(30)
            assert pipeline.deadline_monitor.overdue() == []


@pytest.mark.parametrize("what", ["sweep", "read", "acknowledge"])
async def test_hanging_receiver_is_overdue(pipeline, factories, what):
    """The watchdog detects an operation that never returns."""
    modem = factories.modem(pipeline)

    async def hang(*_):
        await asyncio.Event().wait()

    modem.plan(what, hang)
    task = asyncio.create_task(pipeline.make_receiver(modem).run())
    await pipeline.advance(1)
    if what == "read":
        modem.store_message(3, announce=True)
    elif what == "acknowledge":
        modem.deliver_direct()
    await pipeline.advance(receiver.OPERATION_DEADLINE_S - 10)  # the line may be in use by the sender
    assert pipeline.deadline_monitor.overdue() == []
    await pipeline.advance(20)
    assert pipeline.deadline_monitor.overdue() == ["receiver"]
    task.cancel()


async def test_waiting_for_events_is_not_overdue(pipeline, factories):
    """This holds also if the journal cannot commit for hours."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.store_message(3, announce=True)
        pipeline.fail_commits_disk_full()
        for _ in range(60):
            await pipeline.advance(59)
            assert pipeline.deadline_monitor.overdue() == []


# The first start


async def test_first_start_logs_what_the_module_holds(pipeline, factories):
    """The number of messages and their dates are logged once. By default they are run like all others."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "led on", minute=1)
    modem.store_message(2, "led off", minute=30)
    async with pipeline.run_receiver(modem):
        await pipeline.advance(5)
    assert pipeline.command_states() == ["received", "received"]
    [event] = pipeline.events_of_kind("first start")
    assert "2 messages, sent from 2026-11-22T11:01:00+00:00 to 2026-11-22T11:30:00+00:00" in event.message
    assert event.severity is Severity.WARNING
    pipeline.restart()
    modem = factories.modem(pipeline)
    modem.store_message(1, "led up", minute=31)
    async with pipeline.run_receiver(modem):
        await pipeline.advance(5)
    assert len(pipeline.events_of_kind("first start")) == 1


async def test_first_start_may_skip_what_the_module_holds(pipeline, factories):
    """They are stored as expired, not run, and deleted from the module. Later messages are run."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "led on", minute=1)
    async with pipeline.run_receiver(modem, run_on_first_start=False):
        await pipeline.advance(5)
        assert (pipeline.command_states(), modem.stored) == (["expired"], {})
        modem.store_message(1, "led off", minute=2, announce=True)
        await pipeline.advance(5)
    assert pipeline.command_states() == ["expired", "received"]
    assert (
        pipeline.query_column("SELECT reason FROM commands")[0]
        == "it was in the module before the first start"
    )
    assert "kept as expired" in pipeline.events_of_kind("first start")[0].message


async def test_interrupted_first_sweep_is_repeated_as_the_first(pipeline, factories):
    """A message that it had not reached is stored as expired by the next start."""
    modem = factories.modem(pipeline)
    for index in range(1, 4):
        modem.store_message(index, f"led {index}", minute=index)

    async def lose_connection(_slot):
        modem.lose_line()

    modem.plan("delete", lose_connection)
    async with pipeline.run_receiver(modem, run_on_first_start=False):
        await pipeline.advance(5)
    assert pipeline.command_states() == ["expired"] * 3
    pipeline.restart()
    again = factories.modem(pipeline)
    again.store_message(4, "led 4", minute=4)
    for slot, raw in modem.stored.items():
        again.store_message(slot.index, raw=raw)
    async with pipeline.run_receiver(again, run_on_first_start=False):
        await pipeline.advance(5)
    assert pipeline.command_states() == ["expired"] * 4
    assert not again.stored


async def test_sweep_of_a_restarted_module_is_not_the_first(pipeline, factories):
    """It returns nothing until the module is initialised again. The sweep after that is still the first."""
    modem = factories.modem(pipeline)
    modem.store_message(1, "led on")
    modem.has_lost_settings = True
    async with pipeline.run_receiver(modem, run_on_first_start=False):
        modem.emit_events(SettingsLost("RDY"))
        await pipeline.advance(5)
    assert pipeline.command_states() == []
    again = factories.modem(pipeline)
    again.store_message(1, "led on")
    async with pipeline.run_receiver(again, run_on_first_start=False):
        await pipeline.advance(5)
    assert pipeline.command_states() == ["expired"]


async def test_first_start_with_an_empty_module_is_not_logged(pipeline, factories):
    """It still counts as the first start."""
    async with pipeline.run_receiver(factories.modem(pipeline), run_on_first_start=False) as modem:
        await pipeline.advance(5)
        modem.store_message(1, "led on", announce=True)
        await pipeline.advance(5)
    assert pipeline.command_states() == ["received"]
    assert pipeline.events_of_kind("first start") == []


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
async def test_lack_of_files_or_memory_ignores_no_message(pipeline, factories, error):
    """The message is not at fault: it stays in the module, and the next session reads it."""

    def classify_or_raise(message, raw, history):
        raise error

    modem = factories.modem(pipeline)
    modem.store_message(1, "led on")
    with pytest.raises(type(error)):
        await pipeline.make_receiver(modem, classify=classify_or_raise).run()
    assert len(modem.stored) == 1
    assert pipeline.query_column("SELECT count(*) FROM ignored") == [0]
    async with pipeline.run_receiver(modem):
        pass
    assert pipeline.command_states() == ["received"]


@pytest.mark.parametrize("lost", [False, True])
async def test_port_conflict_names_the_other_program(pipeline, factories, lost):
    """The event contains the symptom and the suspected process, also if the connection was lost."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver(describe_port_users=lambda: "ModemManager (process 7) has it open"):
        modem.emit_events(PortContention("an unexpected answer"))
        if lost:
            modem.lose_line("unplugged")
        await pipeline.advance(1)
    [event] = pipeline.events_of_kind("port conflict")
    assert event.severity is Severity.WARNING
    assert event.message == (
        "another program seems to use the module's port: an unexpected answer; "
        "ModemManager (process 7) has it open"
    )


async def test_second_timeout_ends_a_session_that_worked(pipeline, factories):
    """Two timeouts in a row end it, however many responses came before."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        modem.store_message(3, "led on", announce=True)
        await pipeline.advance(5)
        assert not modem.stored
        modem.plan("read", factories.timed_out("AT+CMGR=4"))
        modem.plan("sweep", factories.timed_out("AT+CMGL=4"))
        modem.store_message(4, "led off", announce=True)
        await pipeline.advance(1)
        assert modem.loss_reason == "two commands in a row had no answer"


async def test_waiting_receiver_has_a_deadline(pipeline, factories):
    """It is the next sweep plus the longest duration of one, so a wait that never ends is noticed."""
    factories.modem(pipeline)
    async with pipeline.run_receiver():
        await pipeline.advance(1)
        assert receiver.TASK in pipeline.deadline_monitor._deadlines
        remaining = pipeline.deadline_monitor._deadlines[receiver.TASK] - pipeline.monotonic()
        assert 0 < remaining <= receiver.SWEEP_INTERVAL_S + receiver.OPERATION_DEADLINE_S
    assert pipeline.deadline_monitor.overdue() == []
