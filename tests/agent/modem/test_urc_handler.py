"""The events that URCs cause."""

import asyncio

import pytest

import pdu
from agent.at.errors import ModemLost
from agent.at.urc_queue import MAX_HINTS
from agent.modem.events import (
    DirectDelivery,
    MessageArrived,
    RegistrationChanged,
    ReportArrived,
    SettingsLost,
    StoreFull,
)
from agent.modem.status_queries import Registration
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, Undecodable

HI = "079144770009000004038100F000006290124131020002E834"
REPORT = "07914477000900000607038100F0629012413102006290124131320000"
OK = b"\r\nOK\r\n"


async def events_of(modem, script, *lines):
    """Return the events of these lines."""
    for line in lines:
        script.write(f"\r\n{line}\r\n".encode())
    await asyncio.sleep(0.01)
    event = []
    while (item := modem.poll_event()) is not None:
        event.append(item)
    return event


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ('+CMTI: "ME",3', MessageArrived(Slot("ME", 3))),
        ('+CMTI: "SM", 0', MessageArrived(Slot("SM", 0))),
        ('+CMTI:"ME",3', MessageArrived(Slot("ME", 3))),
        ('+CMTI: "SM",-1', MessageArrived(UNKNOWN_SLOT)),
        ("+CMTI: ,-1", MessageArrived(UNKNOWN_SLOT)),
        ('+CMTI: "",3', MessageArrived(UNKNOWN_SLOT)),
        ('+CMTI: "me", "003"', MessageArrived(Slot("ME", 3))),
        ('+CMTI: "SM"', MessageArrived(UNKNOWN_SLOT)),
        ("+CMTI: x,y", MessageArrived(UNKNOWN_SLOT)),
        ('+CDSI: "SR",1', ReportArrived(Slot("SR", 1))),
        ('+QIND: "smsfull","ME"', StoreFull("ME")),
        ("+SMS FULL", StoreFull("")),
        ('^SMMEMFULL: "SM"', StoreFull("SM")),
        ("+CREG: 5", RegistrationChanged(Registration(circuit=5))),
        ('+CREG: 2,"1A2B","0012C0DE",7', RegistrationChanged(Registration(circuit=2))),
        ("+CEREG: 3", RegistrationChanged(Registration(circuit=1, eps=3))),
        (
            "+CREG: 0,5",
            RegistrationChanged(Registration(circuit=5)),
        ),  # an answer that comes after its OK, with <n> first
        ('+CREG: 2,5,"1A2B","0012C0DE",7', RegistrationChanged(Registration(circuit=5))),
        ("RDY", SettingsLost("RDY")),
        ("^BOOT:26417135,0,0,0,20", MessageArrived(UNKNOWN_SLOT)),
        ("^SYSSTART", SettingsLost("^SYSSTART")),
        ("*ATREADY: 1", SettingsLost("*ATREADY: 1")),
        ("+CPIN: NOT INSERTED", SettingsLost("+CPIN: NOT INSERTED")),
    ],
)
def test_urcs_and_their_events(run_scripted_modem, line, event):
    """Each line causes its event; a malformed one causes a sweep of everything."""

    async def scenario(modem, script):
        assert await events_of(modem, script, line) == [event]

    run_scripted_modem(scenario)


def test_status_changed_is_set_when_the_network_is_found_or_lost(run_scripted_modem):
    """It is not set for another cell or a further domain."""

    async def scenario(modem, script):
        await events_of(modem, script, "+CREG: 2", "+CEREG: 2")
        modem.status_changed.clear()
        await events_of(modem, script, "+CREG: 3")
        assert not modem.status_changed.is_set()
        await events_of(modem, script, "+CEREG: 5")
        assert modem.status_changed.is_set()
        modem.status_changed.clear()
        await events_of(modem, script, "+CREG: 1", '+CREG: 1,"1A2B","0012C0DE",7')
        assert not modem.status_changed.is_set()

    run_scripted_modem(scenario)


@pytest.mark.parametrize(
    "line",
    [
        "^RSSI:3",
        "RING",
        "NO CARRIER",
        "+CREG: 1",
        "+CREG: ",
        '+CREG: "',
        "+CBM: 88",
        "+CUSD: 0",
        "hello",
        "+CTZV: 8",
    ],
)
def test_unneeded_urcs_are_dropped(run_scripted_modem, line):
    """They include a registration that has not changed."""

    async def scenario(modem, script):
        waiting = asyncio.create_task(modem.next_event())
        assert await events_of(modem, script, line) == []
        assert not waiting.done()
        waiting.cancel()

    run_scripted_modem(scenario)


def test_events_come_in_order(run_scripted_modem):
    """Two messages are reported in their order; an equal hint is queued once."""

    async def scenario(modem, script):
        lines = ('+CMTI: "ME",2', "+CREG: 5", '+CMTI: "ME",1', '+CMTI: "ME",2')
        event = await events_of(modem, script, *lines)
        assert event == [
            MessageArrived(Slot("ME", 2)),
            RegistrationChanged(Registration(circuit=5)),
            MessageArrived(Slot("ME", 1)),
        ]

    run_scripted_modem(scenario)


# Restarts


def test_boot_urcs_of_one_start_are_one_restart(run_scripted_modem):
    """However many URCs a starting module prints, it is initialised once."""

    async def scenario(modem, script):
        lines = ("RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready")
        assert await events_of(modem, script, *lines) == [SettingsLost("RDY")]
        await modem.initialise()
        # A later boot URC belongs to the same start; more messages may be readable after it.
        assert await events_of(modem, script, "PB DONE") == [MessageArrived(UNKNOWN_SLOT)]
        await asyncio.sleep(100)
        assert await events_of(modem, script, "+CPIN: READY", "SMS DONE") == [SettingsLost("+CPIN: READY")]

    run_scripted_modem(scenario)


def test_restart_survives_a_full_queue(run_scripted_modem):
    """A restart is still reported if its event is dropped because too many URCs were not read."""

    async def scenario(modem, script):
        notifications = [f'+CMTI: "ME",{index}' for index in range(2 * MAX_HINTS)]
        events = await events_of(modem, script, "RDY", *notifications)
        assert SettingsLost("RDY") in events
        assert len(events) <= MAX_HINTS

    run_scripted_modem(scenario)


def test_send_waits_for_initialisation_after_a_restart(run_modem_bench):
    """A module that has just restarted may be in the other message format."""

    async def scenario(bench):
        bench.module.reboot()
        await bench.settle()
        (user_data,) = pdu.segment("hi")
        message = pdu.Submit(pdu.Address.parse("000"), user_data)
        sending = asyncio.create_task(bench.modem.send(message, lambda: asyncio.sleep(0)))
        await asyncio.sleep(5)
        assert not sending.done()
        assert bench.executed_lines == []
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        assert (await sending).message_reference == 0

    run_modem_bench(scenario)


def test_read_after_a_restart_times_out(run_modem_bench):
    """Before the next initialisation it is unknown whether a slot is empty."""

    async def scenario(bench):
        bench.deliver("hi")
        slot = (await bench.modem.next_event()).slot
        bench.module.reboot()
        await bench.settle()
        with pytest.raises(Exception, match="has restarted"):
            await bench.modem.read(slot)
        assert await bench.modem.sweep() == []
        await bench.modem.next_event()
        await bench.modem.initialise()
        assert (await bench.modem.read(slot)).message.text == "hi"
        assert len(await bench.modem.sweep()) == 1

    run_modem_bench(scenario)


def test_restart_with_boot_urcs_end_to_end(run_modem_bench):
    """Settings, store and format are restored, and stored messages are found."""

    async def scenario(bench):
        bench.deliver("before")
        bench.module.reboot()
        event = [await bench.modem.next_event(), await bench.modem.next_event()]
        assert event == [MessageArrived(Slot("SM", 1)), SettingsLost("RDY")]
        await bench.modem.initialise()
        bench.deliver("after")
        assert [message.message.text for message in await bench.modem.sweep()] == ["before", "after"]
        assert bench.module.settings.cpms == ("SM", "SM", "SM")
        assert bench.module.settings.cnmi[:2] == (2, 1)

    run_modem_bench(scenario, boot_s=5.0, sim_ready_s=3.0, sms_ready_s=4.0, store="SM")


# Direct delivery


class CnmiTable:
    """The answers of a module that delivers directly and has no stores."""

    def __init__(self):
        self.values = "0,0,0,0,0"
        self.table = {
            "AT+CMGF=0": OK,
            **dict.fromkeys(("AT+CPMS?", "AT+CPMS=?", "AT+CMGL=4", "AT+CNMI=?"), b"\r\nERROR\r\n"),
            "AT+CNMI?": lambda _: f"\r\n+CNMI: {self.values}\r\n".encode() + OK,
            "AT+CNMI=2,2,0,0,0": self.set_cnmi,
        }

    def set_cnmi(self, line):
        self.values = line.partition("=")[2]
        return OK


def test_direct_delivery_is_acknowledged_once(run_scripted_modem):
    """It is acknowledged after the commit only."""
    routed = CnmiTable()

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        assert isinstance(event, DirectDelivery)
        assert event.message.slot is None
        assert event.message.raw == HI
        assert event.message.message.text == "hi"
        assert script.received_lines == []
        script.table["AT+CNMA=1"] = OK
        await event.acknowledge()
        assert script.received_lines == ["AT+CNMA=1"]

    run_scripted_modem(scenario, table=routed.table)


def test_direct_delivery_of_a_status_report(run_scripted_modem):
    """Status reports are delivered in the same way."""

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"+CDS: 21\r\n{REPORT}")
        assert isinstance(event.message.message, pdu.StatusReport)
        assert event.message.message.message_reference == 7

    run_scripted_modem(scenario)


@pytest.mark.parametrize("header", ["+CMT: ,17", "+CMT:", "+CMT: ", '+CMT: "",17', "+CMT: 17"])
def test_direct_delivery_header_variants(run_scripted_modem, header):
    """Some modules omit the length or the comma."""

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"{header}\r\n{HI}")
        assert event.message.message.text == "hi"

    run_scripted_modem(scenario)


def test_undecodable_direct_delivery(run_scripted_modem):
    """It is passed on as it came, and acknowledged like any other."""

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, "+CMT: ,17\r\n0791ZZ")
        assert event.message.raw == "+CMT: ,17\r\n0791ZZ"
        assert isinstance(event.message.message, Undecodable)

    run_scripted_modem(scenario)


def test_cnma_form_that_works_is_kept(run_scripted_modem):
    """If +CNMA takes no value, the form without one is used from then on."""
    routed = CnmiTable()

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        script.table["AT+CNMA"] = OK
        await event.acknowledge()
        await event.acknowledge()
        assert script.received_lines == ["AT+CNMA=1", "AT+CNMA", "AT+CNMA"]

    run_scripted_modem(scenario, table=routed.table)


def test_late_acknowledgement(run_scripted_modem):
    """Error 340 is harmless, but direct delivery may have been switched off: then it is switched on again."""
    routed = CnmiTable()

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        script.table["AT+CNMA=1"] = b"\r\n+CMS ERROR: 340\r\n"
        await event.acknowledge()
        assert "AT+CNMI=2,2,0,0,0" not in script.received_lines
        routed.values = "2,0,0,0,0"
        await event.acknowledge()
        assert script.received_lines[-1] == "AT+CNMI=2,2,0,0,0"

    run_scripted_modem(scenario, table=routed.table)


@pytest.mark.parametrize("damaged", [f"+CMT: ,17\r\n{HI[:-3]}", f"+CMT: ,19\r\n{HI}", "+CMT: ,17\r\nZZ"])
def test_damaged_direct_delivery_is_rejected_once(run_scripted_modem, damaged):
    """The network delivers it again; the same damage again is accepted."""
    routed = CnmiTable()

    async def scenario(modem, script):
        script.table |= {"AT+CNMA=1": OK, "AT+CNMA=2": OK}
        (event,) = await events_of(modem, script, damaged)
        await event.acknowledge()
        assert script.received_lines == ["AT+CNMA=2"]
        (event,) = await events_of(modem, script, damaged)
        await event.acknowledge()
        assert script.received_lines == ["AT+CNMA=2", "AT+CNMA=1"]

    run_scripted_modem(scenario, table=routed.table)


def test_no_acknowledgement_without_csms_1(run_scripted_modem):
    """The module acknowledges by itself, and +CNMA would be an error."""

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        await event.acknowledge()
        assert script.received_lines == []

    run_scripted_modem(scenario, table={"AT+CSMS?": b"\r\nERROR\r\n"})


def test_class_0_is_delivered_directly_although_messages_are_stored(run_modem_bench):
    """The network is informed only after the acknowledgement."""

    async def scenario(bench):
        bench.deliver("flash", data_coding_scheme=0x10)
        event = await bench.modem.next_event()
        assert event.message.message.text == "flash"
        assert bench.network.acknowledged == []
        await event.acknowledge()
        assert bench.network.acknowledged == [(1, None)]

    run_modem_bench(scenario)


# The end of the session


def test_events_end_with_the_session(run_scripted_modem):
    """Queued events are still returned; then ModemLost is raised."""

    async def scenario(modem, script):
        script.write(f"\r\n+CMT: ,17\r\n{HI}\r\n".encode())
        await asyncio.sleep(0.01)
        modem.close()
        assert isinstance(await modem.next_event(), DirectDelivery)
        with pytest.raises(ModemLost):
            await modem.next_event()
        assert modem.poll_event() is None
        with pytest.raises(ModemLost):
            await modem.wait(asyncio.Event(), float("inf"))
        assert modem.loss_reason

    run_scripted_modem(scenario)


def test_wait(run_scripted_modem):
    """It ends with the event, the timeout, or the loss."""

    async def scenario(modem, script):
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        began = loop.time()
        await modem.wait(event, 5)
        assert loop.time() - began == pytest.approx(5)
        loop.call_later(1, event.set)
        await modem.wait(event, float("inf"))
        assert loop.time() - began == pytest.approx(6)
        loop.call_later(1, script.transport.close)
        with pytest.raises(ModemLost):
            await modem.wait(asyncio.Event(), float("inf"))

    run_scripted_modem(scenario)


def test_module_without_cnma(run_scripted_modem):
    """Both forms are tried once, and then no longer."""
    routed = CnmiTable()

    async def scenario(modem, script):
        (event,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        await event.acknowledge()
        assert script.received_lines[:2] == ["AT+CNMA=1", "AT+CNMA"]
        script.received_lines.clear()
        await event.acknowledge()
        assert script.received_lines == []

    run_scripted_modem(scenario, table=routed.table)


def test_notification_check_begins_again_with_initialisation(run_scripted_modem):
    """Missing ones do not count against the present settings, but the module stays known as silent."""
    table = {"AT+CNMI=2,1,0,0,0": OK}

    async def scenario(modem, script):
        await modem.sweep()
        script.table["AT+CMGL=4"] = f"\r\n+CMGL: 1,1,,17\r\n{HI}\r\n".encode() + OK
        await modem.sweep()
        await asyncio.sleep(60)
        assert not modem.is_notifying
        assert modem.has_unannounced
        await modem.initialise()
        assert modem.is_notifying
        assert modem.has_unannounced
        await events_of(modem, script, '+CMTI: "ME",1')
        assert not modem.has_unannounced

    run_scripted_modem(scenario, table=table)
