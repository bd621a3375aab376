"""What a module tells by itself, as it is understood."""

import asyncio

import pytest

import pdu
from agent.at.errors import ModemLost
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
    """The news that these lines are."""
    for line in lines:
        script.write(f"\r\n{line}\r\n".encode())
    await asyncio.sleep(0.01)
    news = []
    while (item := modem.poll_event()) is not None:
        news.append(item)
    return news


@pytest.mark.parametrize(
    ("line", "news"),
    [
        ('+CMTI: "ME",3', MessageArrived(Slot("ME", 3))),
        ('+CMTI: "SM", 0', MessageArrived(Slot("SM", 0))),
        ('+CMTI:"ME",3', MessageArrived(Slot("ME", 3))),
        ('+CMTI: "SM",-1', StoreFull("SM")),
        ("+CMTI: ,-1", StoreFull("")),
        ('+CMTI: "SM"', MessageArrived(UNKNOWN_SLOT)),
        ("+CMTI: x,y", MessageArrived(UNKNOWN_SLOT)),
        ('+CDSI: "SR",1', ReportArrived(Slot("SR", 1))),
        ('+QIND: "smsfull","ME"', StoreFull("ME")),
        ("+SMS FULL", StoreFull("")),
        ('^SMMEMFULL: "SM"', StoreFull("SM")),
        ("+CREG: 5", RegistrationChanged(Registration(circuit=5))),
        ('+CREG: 2,"1A2B","0012C0DE",7', RegistrationChanged(Registration(circuit=2))),
        ("+CEREG: 3", RegistrationChanged(Registration(circuit=1, eps=3))),
        ("+CREG: 0,5", RegistrationChanged(Registration(circuit=5))),  # an answer behind its OK, <n> first
        ('+CREG: 2,5,"1A2B","0012C0DE",7', RegistrationChanged(Registration(circuit=5))),
        ("RDY", SettingsLost("RDY")),
        ("^BOOT:26417135,0,0,0,20", MessageArrived(UNKNOWN_SLOT)),
        ("^SYSSTART", SettingsLost("^SYSSTART")),
        ("*ATREADY: 1", SettingsLost("*ATREADY: 1")),
        ("+CPIN: NOT INSERTED", SettingsLost("+CPIN: NOT INSERTED")),
    ],
)
def test_lines_and_their_meaning(run_scripted_modem, line, news):
    """Each line is the news that it is, malformed ones lead to a look at everything."""

    async def story(modem, script):
        assert await events_of(modem, script, line) == [news]

    run_scripted_modem(story)


def test_a_network_that_is_found_or_lost(run_scripted_modem):
    """Is told to whoever looks; another cell, or a further domain, is not."""

    async def story(modem, script):
        await events_of(modem, script, "+CREG: 2", "+CEREG: 2")
        modem.status_changed.clear()
        await events_of(modem, script, "+CREG: 3")
        assert not modem.status_changed.is_set()
        await events_of(modem, script, "+CEREG: 5")
        assert modem.status_changed.is_set()
        modem.status_changed.clear()
        await events_of(modem, script, "+CREG: 1", '+CREG: 1,"1A2B","0012C0DE",7')
        assert not modem.status_changed.is_set()

    run_scripted_modem(story)


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
def test_what_nobody_needs_wakes_nobody(run_scripted_modem, line):
    """It is dropped at the door, as is a registration that has not changed."""

    async def story(modem, script):
        waiting = asyncio.create_task(modem.next_event())
        assert await events_of(modem, script, line) == []
        assert not waiting.done()
        waiting.cancel()

    run_scripted_modem(story)


def test_news_comes_in_order(run_scripted_modem):
    """Two messages are told in the order in which they came; the same hint twice is one."""

    async def story(modem, script):
        lines = ('+CMTI: "ME",2', "+CREG: 5", '+CMTI: "ME",1', '+CMTI: "ME",2')
        news = await events_of(modem, script, *lines)
        assert news == [
            MessageArrived(Slot("ME", 2)),
            RegistrationChanged(Registration(circuit=5)),
            MessageArrived(Slot("ME", 1)),
        ]

    run_scripted_modem(story)


# Restarts


def test_the_lines_of_a_start_are_one_restart(run_scripted_modem):
    """However many lines a starting module prints, it is initialised once."""

    async def story(modem, script):
        lines = ("RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready")
        assert await events_of(modem, script, *lines) == [SettingsLost("RDY")]
        await modem.initialise()
        # What comes a moment later belongs to the same start, and may mean that there is more to be seen.
        assert await events_of(modem, script, "PB DONE") == [MessageArrived(UNKNOWN_SLOT)]
        await asyncio.sleep(100)
        assert await events_of(modem, script, "+CPIN: READY", "SMS DONE") == [SettingsLost("+CPIN: READY")]

    run_scripted_modem(story)


def test_nothing_is_sent_between_restart_and_initialisation(run_modem_bench):
    """A module that has just started may be in the other message format: sending waits."""

    async def story(stand):
        stand.module.reboot()
        await stand.settle()
        (user_data,) = pdu.segment("hi")
        message = pdu.Submit(pdu.Address.parse("000"), user_data)
        sending = asyncio.create_task(stand.modem.send(message, lambda: asyncio.sleep(0)))
        await asyncio.sleep(5)
        assert not sending.done()
        assert stand.executed_lines == []
        assert isinstance(await stand.modem.next_event(), SettingsLost)
        await stand.modem.initialise()
        assert (await sending).message_reference == 0

    run_modem_bench(story)


def test_after_a_restart_nothing_is_taken_for_gone(run_modem_bench):
    """Whether a slot is empty cannot be told before the module is set up again."""

    async def story(stand):
        stand.deliver("hi")
        slot = (await stand.modem.next_event()).slot
        stand.module.reboot()
        await stand.settle()
        with pytest.raises(Exception, match="has restarted"):
            await stand.modem.read(slot)
        assert await stand.modem.sweep() == []
        await stand.modem.next_event()
        await stand.modem.initialise()
        assert (await stand.modem.read(slot)).message.text == "hi"
        assert len(await stand.modem.sweep()) == 1

    run_modem_bench(story)


def test_a_loud_restart_end_to_end(run_modem_bench):
    """Settings, store and format are as before afterwards, and what is stored is found."""

    async def story(stand):
        stand.deliver("before")
        stand.module.reboot()
        news = [await stand.modem.next_event(), await stand.modem.next_event()]
        assert news == [MessageArrived(Slot("SM", 1)), SettingsLost("RDY")]
        await stand.modem.initialise()
        stand.deliver("after")
        assert [message.message.text for message in await stand.modem.sweep()] == ["before", "after"]
        assert stand.module.settings.cpms == ("SM", "SM", "SM")
        assert stand.module.settings.cnmi[:2] == (2, 1)

    run_modem_bench(story, boot_s=5.0, sim_ready_s=3.0, sms_ready_s=4.0, store="SM")


# Direct delivery


class CnmiTable:
    """The routing of a module that hands messages over and has no store."""

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


def test_a_message_is_handed_over_and_acknowledged(run_scripted_modem):
    """Only when it is safe, and once."""
    routed = CnmiTable()

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        assert isinstance(news, DirectDelivery)
        assert news.message.slot is None
        assert news.message.raw == HI
        assert news.message.message.text == "hi"
        assert script.received_lines == []
        script.table["AT+CNMA=1"] = OK
        await news.acknowledge()
        assert script.received_lines == ["AT+CNMA=1"]

    run_scripted_modem(story, table=routed.table)


def test_a_report_is_handed_over(run_scripted_modem):
    """Status reports come the same way."""

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"+CDS: 21\r\n{REPORT}")
        assert isinstance(news.message.message, pdu.StatusReport)
        assert news.message.message.message_reference == 7

    run_scripted_modem(story)


@pytest.mark.parametrize("header", ["+CMT: ,17", "+CMT:", "+CMT: ", '+CMT: "",17', "+CMT: 17"])
def test_headers_of_direct_messages(run_scripted_modem, header):
    """Some modules leave the length out, or the comma."""

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"{header}\r\n{HI}")
        assert news.message.message.text == "hi"

    run_scripted_modem(story)


def test_a_direct_message_that_is_none(run_scripted_modem):
    """It is handed on as it came, and acknowledged like any other."""

    async def story(modem, script):
        (news,) = await events_of(modem, script, "+CMT: ,17\r\n0791ZZ")
        assert news.message.raw == "+CMT: ,17\r\n0791ZZ"
        assert isinstance(news.message.message, Undecodable)

    run_scripted_modem(story)


def test_the_other_form_of_the_acknowledgement(run_scripted_modem):
    """Where +CNMA takes no value, it is asked without one, and so from then on."""
    routed = CnmiTable()

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        script.table["AT+CNMA"] = OK
        await news.acknowledge()
        await news.acknowledge()
        assert script.received_lines == ["AT+CNMA=1", "AT+CNMA", "AT+CNMA"]

    run_scripted_modem(story, table=routed.table)


def test_an_acknowledgement_that_comes_too_late(run_scripted_modem):
    """340 is harmless, but direct delivery may have been switched off by it: then it is switched on again."""
    routed = CnmiTable()

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        script.table["AT+CNMA=1"] = b"\r\n+CMS ERROR: 340\r\n"
        await news.acknowledge()
        assert "AT+CNMI=2,2,0,0,0" not in script.received_lines
        routed.values = "2,0,0,0,0"
        await news.acknowledge()
        assert script.received_lines[-1] == "AT+CNMI=2,2,0,0,0"

    run_scripted_modem(story, table=routed.table)


@pytest.mark.parametrize("damaged", [f"+CMT: ,17\r\n{HI[:-3]}", f"+CMT: ,19\r\n{HI}", "+CMT: ,17\r\nZZ"])
def test_what_came_damaged_is_delivered_again(run_scripted_modem, damaged):
    """The network is told once that it was not taken; what comes in the same way again is as it is."""
    routed = CnmiTable()

    async def story(modem, script):
        script.table |= {"AT+CNMA=1": OK, "AT+CNMA=2": OK}
        (news,) = await events_of(modem, script, damaged)
        await news.acknowledge()
        assert script.received_lines == ["AT+CNMA=2"]
        (news,) = await events_of(modem, script, damaged)
        await news.acknowledge()
        assert script.received_lines == ["AT+CNMA=2", "AT+CNMA=1"]

    run_scripted_modem(story, table=routed.table)


def test_without_the_service_nothing_is_acknowledged(run_scripted_modem):
    """Without +CSMS=1 the module has done it by itself, and +CNMA is an error."""

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        await news.acknowledge()
        assert script.received_lines == []

    run_scripted_modem(story, table={"AT+CSMS?": b"\r\nERROR\r\n"})


def test_class_0_is_handed_over_although_messages_are_stored(run_modem_bench):
    """The network is told only after our acknowledgement."""

    async def story(stand):
        stand.deliver("flash", data_coding_scheme=0x10)
        news = await stand.modem.next_event()
        assert news.message.message.text == "flash"
        assert stand.network.acknowledged == []
        await news.acknowledge()
        assert stand.network.acknowledged == [(1, None)]

    run_modem_bench(story)


# The end


def test_news_ends_with_the_session(run_scripted_modem):
    """What was told before is still told; then the loss."""

    async def story(modem, script):
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

    run_scripted_modem(story)


def test_waiting(run_scripted_modem):
    """Until the event, the time, or the loss."""

    async def story(modem, script):
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        began = loop.time()
        await modem.wait(event, 5)
        assert loop.time() - began == pytest.approx(5)
        loop.call_later(1, event.set)
        await modem.wait(event, float("inf"))
        assert loop.time() - began == pytest.approx(6)
        loop.call_later(1, script.wire.close)
        with pytest.raises(ModemLost):
            await modem.wait(asyncio.Event(), float("inf"))

    run_scripted_modem(story)


def test_a_module_that_knows_no_acknowledgement(run_scripted_modem):
    """Both forms are tried once; after that it is left alone."""
    routed = CnmiTable()

    async def story(modem, script):
        (news,) = await events_of(modem, script, f"+CMT: ,17\r\n{HI}")
        await news.acknowledge()
        assert script.received_lines[:2] == ["AT+CNMA=1", "AT+CNMA"]
        script.received_lines.clear()
        await news.acknowledge()
        assert script.received_lines == []

    run_scripted_modem(story, table=routed.table)


def test_a_module_that_was_silent_before_it_was_set_up(run_scripted_modem):
    """What it did not tell of says nothing of it as it is now."""
    table = {"AT+CNMI=2,1,0,0,0": OK}

    async def story(modem, script):
        await modem.sweep()
        script.table["AT+CMGL=4"] = f"\r\n+CMGL: 1,1,,17\r\n{HI}\r\n".encode() + OK
        await modem.sweep()
        await asyncio.sleep(60)
        assert not modem.is_notifying
        assert modem.has_unannounced
        await modem.initialise()
        assert modem.is_notifying
        assert not modem.has_unannounced

    run_scripted_modem(story, table=table)
