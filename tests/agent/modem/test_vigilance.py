"""A module that has lost its settings without a word, or never tells of messages, is found out."""

import asyncio

import pytest

import pdu
from agent.at.error import CommandRefused, CommandTimedOut
from agent.modem.news import Arrived, Restarted
from agent.modem.sending import NotSent, Refused, Sent
from agent.modem.stored import Slot


def submit():
    (user_data,) = pdu.segment("OK 17")
    return pdu.Submit(pdu.Address.parse("000"), user_data)


OK = b"\r\nOK\r\n"


async def nothing():
    """No condition for the body."""


@pytest.mark.parametrize("fault", ["reboot-silent", "settings-lost"])
def test_lost_settings_are_found_by_a_sweep(bench, fault):
    """The next sweep tells of it as of a restart; after that the module is as it was."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.faults.add(fault)
        await asyncio.sleep(300)
        assert stand.module.settings.cnmi[1] == 0
        assert await stand.modem.sweep() == []
        news = await stand.modem.next_news()
        assert isinstance(news, Restarted)
        await stand.modem.initialise()
        assert stand.module.settings.cnmi[:2] == (2, 1)
        stand.deliver("hi")
        assert await stand.modem.next_news() == Arrived(Slot("ME", 1))

    bench(story)


def test_a_returning_echo_tells_at_once(bench):
    """The first command after a silent restart shows it."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.faults.add("reboot-silent")
        await asyncio.sleep(5)
        assert isinstance(await stand.modem.send(submit(), nothing), Sent)
        assert isinstance(await stand.modem.next_news(), Restarted)
        await stand.modem.initialise()
        assert stand.modem.news_at_hand() is None

    bench(story)


def test_a_module_whose_own_format_is_the_other(bench):
    """Where a silent restart ends in text mode, a PDU would be sent as text: it is not."""

    async def story(stand):
        stand.module.faults.add("reboot-silent")
        await asyncio.sleep(5)
        assert stand.module.settings.text_mode
        assert isinstance(await stand.modem.send(submit(), nothing), NotSent | Refused)
        assert stand.module.ledger.submits == []
        assert isinstance(await stand.modem.next_news(), Restarted)
        await stand.modem.initialise()
        assert isinstance(await stand.modem.send(submit(), nothing), Sent)

    bench(story, cmgf=1)


def test_settings_that_stand_cost_little(bench):
    """Three questions now and then, none in between."""

    async def story(stand):
        await stand.modem.sweep()
        await asyncio.sleep(300)
        stand.lines.clear()
        await stand.modem.sweep()
        assert [line for line in stand.lines if line] == ["+CMGF?", "+CNMI?", "+CPMS?", "+CMGL=4"]
        stand.lines.clear()
        await stand.modem.sweep()
        assert stand.lines == ["+CMGL=4"]

    bench(story)


def test_another_store_that_was_read_last_is_no_loss(bench):
    """Reading elsewhere changes what is chosen for reading, and that is all."""

    async def story(stand):
        await stand.modem.read(Slot("SM", 1))
        await asyncio.sleep(300)
        await stand.modem.sweep()
        assert stand.modem.news_at_hand() is None

    bench(story)


def test_a_store_that_somebody_else_has_chosen(bench):
    """What is listed, and later deleted, is in the store that we think it is in."""

    async def story(stand):
        await stand.modem.sweep()
        stand.deliver("in ME")
        stand.module.settings.cpms = ("SM", "ME", "ME")
        await asyncio.sleep(300)
        (message,) = await stand.modem.sweep()
        assert message.slot == Slot("ME", 1)
        assert message.message.text == "in ME"

    bench(story)


def test_an_echo_where_the_other_format_lurks(scripted):
    """A module that was found in text mode and echoes again is in text mode again: no body is written."""

    async def story(modem, script):
        script.table["AT+CMGS=14"] = b"AT+CMGS=14\r\r\n> "
        script.table["esc"] = OK
        assert isinstance(await modem.send(submit(), nothing), NotSent)
        assert not any(line.startswith("body") for line in script.heard)
        assert isinstance(await modem.next_news(), Restarted)

    scripted(story, table={"AT+CMGF?": b"\r\n+CMGF: 1\r\n" + OK})


def test_an_echo_that_is_a_habit(scripted):
    """A module that echoes now and then is not initialised for ever."""

    async def story(modem, script):
        script.table["AT+CSQ"] = b"AT+CSQ\r\r\n+CSQ: 21,99\r\n" + OK
        for _ in range(2):
            await modem.signal()
            assert isinstance(modem.news_at_hand(), Restarted)
            await modem.initialise()
        await modem.signal()
        assert modem.news_at_hand() is None

    scripted(story)


def test_notifications_that_never_come(bench):
    """Messages that are found and were never told of: +CNMI is set once more, then looking it is."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.faults.add("code-lost:command=+CMTI,times=0")
        assert stand.modem.notifies
        stand.deliver("one")
        await asyncio.sleep(300)
        assert len(await stand.modem.sweep()) == 1
        await stand.modem.delete(Slot("ME", 1))
        assert stand.modem.notifies
        await asyncio.sleep(60)
        assert not stand.modem.notifies
        assert "does not tell" in str(stand.modem.condition)
        stand.lines.clear()
        await stand.modem.sweep()
        await stand.modem.sweep()
        assert [line for line in stand.lines if line.startswith("+CNMI=")] == ["+CNMI=2,1,0,0,0"]
        stand.module.faults.clear()
        stand.deliver("two")
        assert isinstance(await stand.modem.next_news(), Arrived)
        assert stand.modem.notifies

    bench(story)


def test_what_came_before_is_no_sign(bench):
    """What lay there at the start, and what is told of while it is listed, proves nothing."""

    async def story(stand):
        stand.deliver("told")
        await stand.modem.sweep()
        await stand.modem.sweep()
        stand.deliver("told too")
        await stand.modem.sweep()
        await asyncio.sleep(60)
        await stand.modem.sweep()
        assert stand.modem.notifies

    bench(story)


def test_a_command_of_a_person(bench):
    """Its answer is shown line by line; settings that it changed are found out."""

    async def story(stand):
        assert await stand.modem.at("AT+CSQ") == ["+CSQ: 21,99"]
        assert await stand.modem.at("AT+CGMM;+CGMR") == ["Generic", "1.0"]
        await stand.modem.at("AT+CNMI=2,0,0,0,0")
        assert await stand.modem.sweep() == []
        assert isinstance(await stand.modem.next_news(), Restarted)

    bench(story)


def test_text_mode_is_no_poison(bench):
    """Where another program has switched to text mode, messages are not taken for unreadable ones."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.settings.text_mode = True
        stand.deliver("hi")
        news = await stand.modem.next_news()
        with pytest.raises(CommandTimedOut, match="lost its settings"):
            await stand.modem.read(news.slot)
        assert isinstance(await stand.modem.next_news(), Restarted)
        await stand.modem.initialise()
        (message,) = await stand.modem.sweep()
        assert message.message.text == "hi"

    bench(story)


def test_a_sweep_in_text_mode(bench):
    """The same when the whole store is listed."""

    async def story(stand):
        stand.deliver("hi")
        await stand.modem.next_news()
        stand.module.settings.text_mode = True
        assert await stand.modem.sweep() == []
        assert isinstance(await stand.modem.next_news(), Restarted)
        await stand.modem.initialise()
        assert len(await stand.modem.sweep()) == 1

    bench(story)


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n+CPIN: NOT INSERTED\r\n" + OK,
        b"\r\n+CPIN: NOT READY\r\n" + OK,
        b"\r\n+CME ERROR: 10\r\n",
        b"\r\n+CME ERROR: 13\r\n",
    ],
)
def test_a_sim_that_is_gone_is_found_out_by_a_refused_sweep(scripted, said):
    """However the module says it: it is news that leads to a new session, which waits for the SIM."""

    async def story(modem, script):
        script.table["AT+CMGL=4"] = b"\r\n+CMS ERROR: 310\r\n"
        script.table["AT+CPIN?"] = said
        assert await modem.sweep() == []
        assert isinstance(await modem.next_news(), Restarted)

    scripted(story)


@pytest.mark.parametrize("said", [b"\r\n+CPIN: READY\r\n" + OK, b"\r\nERROR\r\n", b"\r\n+CME ERROR: 14\r\n"])
def test_a_refused_sweep_alone_loses_no_sim(scripted, said):
    """Where it is there, or nobody can tell, the refusal itself is told."""

    async def story(modem, script):
        script.table["AT+CMGL=4"] = b"\r\n+CMS ERROR: 302\r\n"
        script.table["AT+CPMS?"] = b'\r\n+CPMS: "ME",1,20,"ME",1,20,"ME",1,20\r\n' + OK
        script.table["AT+CPIN?"] = said
        with pytest.raises(CommandRefused):
            await modem.sweep()
        assert modem.news_at_hand() is None

    scripted(story)
