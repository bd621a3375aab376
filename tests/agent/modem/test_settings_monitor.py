"""A module that has lost its settings without a word, or never tells of messages, is found out."""

import asyncio

import pytest

import pdu
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.events import MessageArrived, SettingsLost
from agent.modem.sending import NotSent, Refused, Sent
from agent.modem.stored_message import Slot


def submit():
    (user_data,) = pdu.segment("OK 17")
    return pdu.Submit(pdu.Address.parse("000"), user_data)


OK = b"\r\nOK\r\n"


async def nothing():
    """No condition for the body."""


@pytest.mark.parametrize("fault", ["reboot-silent", "settings-lost"])
def test_lost_settings_are_found_by_a_sweep(run_modem_bench, fault):
    """The next sweep tells of it as of a restart; after that the module is as it was."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.faults.add(fault)
        await asyncio.sleep(300)
        assert stand.module.settings.cnmi[1] == 0
        assert await stand.modem.sweep() == []
        news = await stand.modem.next_event()
        assert isinstance(news, SettingsLost)
        await stand.modem.initialise()
        assert stand.module.settings.cnmi[:2] == (2, 1)
        stand.deliver("hi")
        assert await stand.modem.next_event() == MessageArrived(Slot("ME", 1))

    run_modem_bench(story)


def test_a_returning_echo_tells_at_once(run_modem_bench):
    """The first command after a silent restart shows it."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.faults.add("reboot-silent")
        await asyncio.sleep(5)
        assert isinstance(await stand.modem.send(submit(), nothing), Sent)
        assert isinstance(await stand.modem.next_event(), SettingsLost)
        await stand.modem.initialise()
        assert stand.modem.poll_event() is None

    run_modem_bench(story)


def test_a_module_whose_own_format_is_the_other(run_modem_bench):
    """Where a silent restart ends in text mode, a PDU would be sent as text: it is not."""

    async def story(stand):
        stand.module.faults.add("reboot-silent")
        await asyncio.sleep(5)
        assert stand.module.settings.text_mode
        assert isinstance(await stand.modem.send(submit(), nothing), NotSent | Refused)
        assert stand.module.log.submitted_tpdus == []
        assert isinstance(await stand.modem.next_event(), SettingsLost)
        await stand.modem.initialise()
        assert isinstance(await stand.modem.send(submit(), nothing), Sent)

    run_modem_bench(story, cmgf=1)


def test_settings_that_stand_cost_little(run_modem_bench):
    """Three questions now and then, none in between."""

    async def story(stand):
        await stand.modem.sweep()
        await asyncio.sleep(300)
        stand.executed_lines.clear()
        await stand.modem.sweep()
        assert [line for line in stand.executed_lines if line] == ["+CMGF?", "+CNMI?", "+CPMS?", "+CMGL=4"]
        stand.executed_lines.clear()
        await stand.modem.sweep()
        assert stand.executed_lines == ["+CMGL=4"]

    run_modem_bench(story)


def test_another_store_that_was_read_last_is_no_loss(run_modem_bench):
    """Reading elsewhere changes what is chosen for reading, and that is all."""

    async def story(stand):
        await stand.modem.read(Slot("SM", 1))
        await asyncio.sleep(300)
        await stand.modem.sweep()
        assert stand.modem.poll_event() is None

    run_modem_bench(story)


def test_a_store_that_somebody_else_has_chosen(run_modem_bench):
    """What is listed, and later deleted, is in the store that we think it is in."""

    async def story(stand):
        await stand.modem.sweep()
        stand.deliver("in ME")
        stand.module.settings.cpms = ("SM", "ME", "ME")
        await asyncio.sleep(300)
        (message,) = await stand.modem.sweep()
        assert message.slot == Slot("ME", 1)
        assert message.message.text == "in ME"

    run_modem_bench(story)


def test_an_echo_where_the_other_format_lurks(run_scripted_modem):
    """A module that was found in text mode and echoes again is in text mode again: no body is written."""

    async def story(modem, script):
        script.table["AT+CMGS=14"] = b"AT+CMGS=14\r\r\n> "
        script.table["esc"] = OK
        assert isinstance(await modem.send(submit(), nothing), NotSent)
        assert not any(line.startswith("body") for line in script.received_lines)
        assert isinstance(await modem.next_event(), SettingsLost)

    run_scripted_modem(story, table={"AT+CMGF?": b"\r\n+CMGF: 1\r\n" + OK})


def test_an_echo_that_is_a_habit(run_scripted_modem):
    """A module that echoes now and then is not initialised for ever."""

    async def story(modem, script):
        script.table["AT+CSQ"] = b"AT+CSQ\r\r\n+CSQ: 21,99\r\n" + OK
        for _ in range(2):
            await modem.query_signal()
            assert isinstance(modem.poll_event(), SettingsLost)
            await modem.initialise()
        await modem.query_signal()
        assert modem.poll_event() is None

    run_scripted_modem(story)


def test_notifications_that_never_come(run_modem_bench):
    """Messages that are found and were never told of: +CNMI is set once more, then looking it is."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.faults.add("code-lost:command=+CMTI,times=0")
        assert stand.modem.is_notifying
        stand.deliver("one")
        await asyncio.sleep(300)
        assert len(await stand.modem.sweep()) == 1
        await stand.modem.delete(Slot("ME", 1))
        assert stand.modem.is_notifying
        await asyncio.sleep(60)
        assert not stand.modem.is_notifying
        assert "it sends no notifications" in str(stand.modem.status)
        stand.executed_lines.clear()
        await stand.modem.sweep()
        await stand.modem.sweep()
        assert [line for line in stand.executed_lines if line.startswith("+CNMI=")] == ["+CNMI=2,1,0,0,0"]
        stand.module.faults.clear()
        stand.deliver("two")
        assert isinstance(await stand.modem.next_event(), MessageArrived)
        assert stand.modem.is_notifying

    run_modem_bench(story)


def test_what_came_before_is_no_sign(run_modem_bench):
    """What lay there at the start, and what is told of while it is listed, proves nothing."""

    async def story(stand):
        stand.deliver("told")
        await stand.modem.sweep()
        await stand.modem.sweep()
        stand.deliver("told too")
        await stand.modem.sweep()
        await asyncio.sleep(60)
        await stand.modem.sweep()
        assert stand.modem.is_notifying

    run_modem_bench(story)


def test_a_command_of_a_person(run_modem_bench):
    """Its answer is shown line by line; settings that it changed are found out."""

    async def story(stand):
        assert await stand.modem.execute_at("AT+CSQ") == ["+CSQ: 21,99"]
        assert await stand.modem.execute_at("AT+CGMM;+CGMR") == ["Generic", "1.0"]
        await stand.modem.execute_at("AT+CNMI=2,0,0,0,0")
        assert await stand.modem.sweep() == []
        assert isinstance(await stand.modem.next_event(), SettingsLost)

    run_modem_bench(story)


def test_text_mode_is_no_poison(run_modem_bench):
    """Where another program has switched to text mode, messages are not taken for unreadable ones."""

    async def story(stand):
        await stand.modem.sweep()
        stand.module.settings.text_mode = True
        stand.deliver("hi")
        news = await stand.modem.next_event()
        with pytest.raises(CommandTimedOut, match="lost its settings"):
            await stand.modem.read(news.slot)
        assert isinstance(await stand.modem.next_event(), SettingsLost)
        await stand.modem.initialise()
        (message,) = await stand.modem.sweep()
        assert message.message.text == "hi"

    run_modem_bench(story)


def test_a_sweep_in_text_mode(run_modem_bench):
    """The same when the whole store is listed."""

    async def story(stand):
        stand.deliver("hi")
        await stand.modem.next_event()
        stand.module.settings.text_mode = True
        assert await stand.modem.sweep() == []
        assert isinstance(await stand.modem.next_event(), SettingsLost)
        await stand.modem.initialise()
        assert len(await stand.modem.sweep()) == 1

    run_modem_bench(story)


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n+CPIN: NOT INSERTED\r\n" + OK,
        b"\r\n+CPIN: NOT READY\r\n" + OK,
        b"\r\n+CME ERROR: 10\r\n",
        b"\r\n+CME ERROR: 13\r\n",
    ],
)
def test_a_sim_that_is_gone_is_found_out_by_a_refused_sweep(run_scripted_modem, said):
    """However the module says it: it is news that leads to a new session, which waits for the SIM."""

    async def story(modem, script):
        script.table["AT+CMGL=4"] = b"\r\n+CMS ERROR: 310\r\n"
        script.table["AT+CPIN?"] = said
        assert await modem.sweep() == []
        assert isinstance(await modem.next_event(), SettingsLost)

    run_scripted_modem(story)


@pytest.mark.parametrize("said", [b"\r\n+CPIN: READY\r\n" + OK, b"\r\nERROR\r\n", b"\r\n+CME ERROR: 14\r\n"])
def test_a_refused_sweep_alone_loses_no_sim(run_scripted_modem, said):
    """Where it is there, or nobody can tell, the refusal itself is told."""

    async def story(modem, script):
        script.table["AT+CMGL=4"] = b"\r\n+CMS ERROR: 302\r\n"
        script.table["AT+CPMS?"] = b'\r\n+CPMS: "ME",1,20,"ME",1,20,"ME",1,20\r\n' + OK
        script.table["AT+CPIN?"] = said
        with pytest.raises(CommandRefused):
            await modem.sweep()
        assert modem.poll_event() is None

    run_scripted_modem(story)
