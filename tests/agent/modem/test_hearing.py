"""What a module tells by itself, as it is understood."""

import asyncio

import pytest

import pdu
from agent.at.error import ModemLost
from agent.modem.news import Arrived, Direct, RegistrationChanged, ReportStored, Restarted, StoreFull
from agent.modem.state import Registration
from agent.modem.stored import NOWHERE, Slot, Undecodable

HI = "079144770009000004038100F000006290124131020002E834"
REPORT = "07914477000900000607038100F0629012413102006290124131320000"
OK = b"\r\nOK\r\n"


async def told(modem, script, *lines):
    """The news that these lines are."""
    for line in lines:
        script.write(f"\r\n{line}\r\n".encode())
    await asyncio.sleep(0.01)
    news = []
    while (item := modem.news_at_hand()) is not None:
        news.append(item)
    return news


@pytest.mark.parametrize(
    ("line", "news"),
    [
        ('+CMTI: "ME",3', Arrived(Slot("ME", 3))),
        ('+CMTI: "SM", 0', Arrived(Slot("SM", 0))),
        ('+CMTI:"ME",3', Arrived(Slot("ME", 3))),
        ('+CMTI: "SM",-1', StoreFull("SM")),
        ("+CMTI: ,-1", StoreFull("")),
        ('+CMTI: "SM"', Arrived(NOWHERE)),
        ("+CMTI: x,y", Arrived(NOWHERE)),
        ('+CDSI: "SR",1', ReportStored(Slot("SR", 1))),
        ('+QIND: "smsfull","ME"', StoreFull("ME")),
        ("+SMS FULL", StoreFull("")),
        ('^SMMEMFULL: "SM"', StoreFull("SM")),
        ("+CREG: 5", RegistrationChanged(Registration(circuit=5))),
        ('+CREG: 2,"1A2B","0012C0DE",7', RegistrationChanged(Registration(circuit=2))),
        ("+CEREG: 3", RegistrationChanged(Registration(circuit=1, eps=3))),
        ("+CREG: 0,5", RegistrationChanged(Registration(circuit=5))),  # an answer behind its OK, <n> first
        ('+CREG: 2,5,"1A2B","0012C0DE",7', RegistrationChanged(Registration(circuit=5))),
        ("RDY", Restarted("RDY")),
        ("^BOOT:26417135,0,0,0,20", Arrived(NOWHERE)),
        ("^SYSSTART", Restarted("^SYSSTART")),
        ("*ATREADY: 1", Restarted("*ATREADY: 1")),
        ("+CPIN: NOT INSERTED", Restarted("+CPIN: NOT INSERTED")),
    ],
)
def test_lines_and_their_meaning(scripted, line, news):
    """Each line is the news that it is, malformed ones lead to a look at everything."""

    async def story(modem, script):
        assert await told(modem, script, line) == [news]

    scripted(story)


def test_a_network_that_is_found_or_lost(scripted):
    """Is told to whoever looks; another cell, or a further domain, is not."""

    async def story(modem, script):
        await told(modem, script, "+CREG: 2", "+CEREG: 2")
        modem.moved.clear()
        await told(modem, script, "+CREG: 3")
        assert not modem.moved.is_set()
        await told(modem, script, "+CEREG: 5")
        assert modem.moved.is_set()
        modem.moved.clear()
        await told(modem, script, "+CREG: 1", '+CREG: 1,"1A2B","0012C0DE",7')
        assert not modem.moved.is_set()

    scripted(story)


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
def test_what_nobody_needs_wakes_nobody(scripted, line):
    """It is dropped at the door, as is a registration that has not changed."""

    async def story(modem, script):
        waiting = asyncio.create_task(modem.next_news())
        assert await told(modem, script, line) == []
        assert not waiting.done()
        waiting.cancel()

    scripted(story)


def test_news_comes_in_order(scripted):
    """Two messages are told in the order in which they came; the same hint twice is one."""

    async def story(modem, script):
        lines = ('+CMTI: "ME",2', "+CREG: 5", '+CMTI: "ME",1', '+CMTI: "ME",2')
        news = await told(modem, script, *lines)
        assert news == [
            Arrived(Slot("ME", 2)),
            RegistrationChanged(Registration(circuit=5)),
            Arrived(Slot("ME", 1)),
        ]

    scripted(story)


# Restarts


def test_the_lines_of_a_start_are_one_restart(scripted):
    """However many lines a starting module prints, it is initialised once."""

    async def story(modem, script):
        lines = ("RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready")
        assert await told(modem, script, *lines) == [Restarted("RDY")]
        await modem.initialise()
        # What comes a moment later belongs to the same start, and may mean that there is more to be seen.
        assert await told(modem, script, "PB DONE") == [Arrived(NOWHERE)]
        await asyncio.sleep(100)
        assert await told(modem, script, "+CPIN: READY", "SMS DONE") == [Restarted("+CPIN: READY")]

    scripted(story)


def test_nothing_is_sent_between_restart_and_initialisation(bench):
    """A module that has just started may be in the other message format: sending waits."""

    async def story(stand):
        stand.module.reboot()
        await stand.quiet()
        (user_data,) = pdu.segment("hi")
        message = pdu.Submit(pdu.Address.parse("000"), user_data)
        sending = asyncio.create_task(stand.modem.send(message, lambda: asyncio.sleep(0)))
        await asyncio.sleep(5)
        assert not sending.done()
        assert stand.lines == []
        assert isinstance(await stand.modem.next_news(), Restarted)
        await stand.modem.initialise()
        assert (await sending).message_reference == 0

    bench(story)


def test_after_a_restart_nothing_is_taken_for_gone(bench):
    """Whether a slot is empty cannot be told before the module is set up again."""

    async def story(stand):
        stand.deliver("hi")
        slot = (await stand.modem.next_news()).slot
        stand.module.reboot()
        await stand.quiet()
        with pytest.raises(Exception, match="has restarted"):
            await stand.modem.read(slot)
        assert await stand.modem.sweep() == []
        await stand.modem.next_news()
        await stand.modem.initialise()
        assert (await stand.modem.read(slot)).message.text == "hi"
        assert len(await stand.modem.sweep()) == 1

    bench(story)


def test_a_loud_restart_end_to_end(bench):
    """Settings, store and format are as before afterwards, and what is stored is found."""

    async def story(stand):
        stand.deliver("before")
        stand.module.reboot()
        news = [await stand.modem.next_news(), await stand.modem.next_news()]
        assert news == [Arrived(Slot("SM", 1)), Restarted("RDY")]
        await stand.modem.initialise()
        stand.deliver("after")
        assert [message.message.text for message in await stand.modem.sweep()] == ["before", "after"]
        assert stand.module.settings.cpms == ("SM", "SM", "SM")
        assert stand.module.settings.cnmi[:2] == (2, 1)

    bench(story, boot_s=5.0, card_s=3.0, messages_s=4.0, store="SM")


# Direct delivery


class Routed:
    """The routing of a module that hands messages over and has no store."""

    def __init__(self):
        self.values = "0,0,0,0,0"
        self.table = {
            "AT+CMGF=0": OK,
            **dict.fromkeys(("AT+CPMS?", "AT+CPMS=?", "AT+CMGL=4", "AT+CNMI=?"), b"\r\nERROR\r\n"),
            "AT+CNMI?": lambda _: f"\r\n+CNMI: {self.values}\r\n".encode() + OK,
            "AT+CNMI=2,2,0,0,0": self.route,
        }

    def route(self, line):
        self.values = line.partition("=")[2]
        return OK


def test_a_message_is_handed_over_and_acknowledged(scripted):
    """Only when it is safe, and once."""
    routed = Routed()

    async def story(modem, script):
        (news,) = await told(modem, script, f"+CMT: ,17\r\n{HI}")
        assert isinstance(news, Direct)
        assert news.message.slot is None
        assert news.message.raw == HI
        assert news.message.message.text == "hi"
        assert script.heard == []
        script.table["AT+CNMA=1"] = OK
        await news.acknowledge()
        assert script.heard == ["AT+CNMA=1"]

    scripted(story, table=routed.table)


def test_a_report_is_handed_over(scripted):
    """Status reports come the same way."""

    async def story(modem, script):
        (news,) = await told(modem, script, f"+CDS: 21\r\n{REPORT}")
        assert isinstance(news.message.message, pdu.StatusReport)
        assert news.message.message.message_reference == 7

    scripted(story)


@pytest.mark.parametrize("header", ["+CMT: ,17", "+CMT:", "+CMT: ", '+CMT: "",17', "+CMT: 17"])
def test_headers_of_direct_messages(scripted, header):
    """Some modules leave the length out, or the comma."""

    async def story(modem, script):
        (news,) = await told(modem, script, f"{header}\r\n{HI}")
        assert news.message.message.text == "hi"

    scripted(story)


def test_a_direct_message_that_is_none(scripted):
    """It is handed on as it came, and acknowledged like any other."""

    async def story(modem, script):
        (news,) = await told(modem, script, "+CMT: ,17\r\n0791ZZ")
        assert news.message.raw == "+CMT: ,17\r\n0791ZZ"
        assert isinstance(news.message.message, Undecodable)

    scripted(story)


def test_the_other_form_of_the_acknowledgement(scripted):
    """Where +CNMA takes no value, it is asked without one, and so from then on."""
    routed = Routed()

    async def story(modem, script):
        (news,) = await told(modem, script, f"+CMT: ,17\r\n{HI}")
        script.table["AT+CNMA"] = OK
        await news.acknowledge()
        await news.acknowledge()
        assert script.heard == ["AT+CNMA=1", "AT+CNMA", "AT+CNMA"]

    scripted(story, table=routed.table)


def test_an_acknowledgement_that_comes_too_late(scripted):
    """340 is harmless, but direct delivery may have been switched off by it: then it is switched on again."""
    routed = Routed()

    async def story(modem, script):
        (news,) = await told(modem, script, f"+CMT: ,17\r\n{HI}")
        script.table["AT+CNMA=1"] = b"\r\n+CMS ERROR: 340\r\n"
        await news.acknowledge()
        assert "AT+CNMI=2,2,0,0,0" not in script.heard
        routed.values = "2,0,0,0,0"
        await news.acknowledge()
        assert script.heard[-1] == "AT+CNMI=2,2,0,0,0"

    scripted(story, table=routed.table)


@pytest.mark.parametrize("damaged", [f"+CMT: ,17\r\n{HI[:-3]}", f"+CMT: ,19\r\n{HI}", "+CMT: ,17\r\nZZ"])
def test_what_came_damaged_is_delivered_again(scripted, damaged):
    """The network is told once that it was not taken; what comes in the same way again is as it is."""
    routed = Routed()

    async def story(modem, script):
        script.table |= {"AT+CNMA=1": OK, "AT+CNMA=2": OK}
        (news,) = await told(modem, script, damaged)
        await news.acknowledge()
        assert script.heard == ["AT+CNMA=2"]
        (news,) = await told(modem, script, damaged)
        await news.acknowledge()
        assert script.heard == ["AT+CNMA=2", "AT+CNMA=1"]

    scripted(story, table=routed.table)


def test_without_the_service_nothing_is_acknowledged(scripted):
    """Without +CSMS=1 the module has done it by itself, and +CNMA is an error."""

    async def story(modem, script):
        (news,) = await told(modem, script, f"+CMT: ,17\r\n{HI}")
        await news.acknowledge()
        assert script.heard == []

    scripted(story, table={"AT+CSMS?": b"\r\nERROR\r\n"})


def test_class_0_is_handed_over_although_messages_are_stored(bench):
    """The network is told only after our acknowledgement."""

    async def story(stand):
        stand.deliver("flash", data_coding_scheme=0x10)
        news = await stand.modem.next_news()
        assert news.message.message.text == "flash"
        assert stand.air.acknowledged == []
        await news.acknowledge()
        assert stand.air.acknowledged == [(1, None)]

    bench(story)


# The end


def test_news_ends_with_the_session(scripted):
    """What was told before is still told; then the loss."""

    async def story(modem, script):
        script.write(f"\r\n+CMT: ,17\r\n{HI}\r\n".encode())
        await asyncio.sleep(0.01)
        modem.close()
        assert isinstance(await modem.next_news(), Direct)
        with pytest.raises(ModemLost):
            await modem.next_news()
        assert modem.news_at_hand() is None
        with pytest.raises(ModemLost):
            await modem.wait(asyncio.Event(), float("inf"))
        assert modem.loss

    scripted(story)


def test_waiting(scripted):
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

    scripted(story)


def test_a_module_that_knows_no_acknowledgement(scripted):
    """Both forms are tried once; after that it is left alone."""
    routed = Routed()

    async def story(modem, script):
        (news,) = await told(modem, script, f"+CMT: ,17\r\n{HI}")
        await news.acknowledge()
        assert script.heard[:2] == ["AT+CNMA=1", "AT+CNMA"]
        script.heard.clear()
        await news.acknowledge()
        assert script.heard == []

    scripted(story, table=routed.table)


def test_a_module_that_was_silent_before_it_was_set_up(scripted):
    """What it did not tell of says nothing of it as it is now."""
    table = {"AT+CNMI=2,1,0,0,0": OK}

    async def story(modem, script):
        await modem.sweep()
        script.table["AT+CMGL=4"] = f"\r\n+CMGL: 1,1,,17\r\n{HI}\r\n".encode() + OK
        await modem.sweep()
        await asyncio.sleep(60)
        assert not modem.notifies
        assert modem.doubts
        await modem.initialise()
        assert modem.notifies
        assert not modem.doubts

    scripted(story, table=table)
