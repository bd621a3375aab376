"""Detection of lost settings and of missing notifications."""

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


async def no_wait():
    """Do nothing before the body."""


@pytest.mark.parametrize("fault", ["reboot-silent", "settings-lost"])
def test_sweep_detects_lost_settings(run_modem_bench, fault):
    """The next sweep reports them as a restart; after the next initialisation the module works as before."""

    async def scenario(bench):
        await bench.modem.sweep()
        bench.module.faults.add(fault)
        await asyncio.sleep(300)
        assert bench.module.settings.cnmi[1] == 0
        assert await bench.modem.sweep() == []
        event = await bench.modem.next_event()
        assert isinstance(event, SettingsLost)
        await bench.modem.initialise()
        assert bench.module.settings.cnmi[:2] == (2, 1)
        bench.deliver("hi")
        assert await bench.modem.next_event() == MessageArrived(Slot("ME", 1))

    run_modem_bench(scenario)


def test_returned_echo_is_detected_at_once(run_modem_bench):
    """The first command after a silent restart shows it."""

    async def scenario(bench):
        await bench.modem.sweep()
        bench.module.faults.add("reboot-silent")
        await asyncio.sleep(5)
        assert isinstance(await bench.modem.send(submit(), no_wait), Sent)
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        assert bench.modem.poll_event() is None

    run_modem_bench(scenario)


def test_nothing_is_sent_in_the_other_message_format(run_modem_bench):
    """After a silent restart into text mode a PDU would be sent as text: it is not sent."""

    async def scenario(bench):
        bench.module.faults.add("reboot-silent")
        await asyncio.sleep(5)
        assert bench.module.settings.text_mode
        assert isinstance(await bench.modem.send(submit(), no_wait), NotSent | Refused)
        assert bench.module.log.submitted_tpdus == []
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        assert isinstance(await bench.modem.send(submit(), no_wait), Sent)

    run_modem_bench(scenario, cmgf=1)


def test_settings_check_is_cheap(run_modem_bench):
    """Three commands at each check, none between checks."""

    async def scenario(bench):
        await bench.modem.sweep()
        await asyncio.sleep(300)
        bench.executed_lines.clear()
        await bench.modem.sweep()
        assert [line for line in bench.executed_lines if line] == ["+CMGF?", "+CNMI?", "+CPMS?", "+CMGL=4"]
        bench.executed_lines.clear()
        await bench.modem.sweep()
        assert bench.executed_lines == ["+CMGL=4"]

    run_modem_bench(scenario)


def test_selected_secondary_store_is_not_a_loss(run_modem_bench):
    """Reading another store changes <mem1> only."""

    async def scenario(bench):
        await bench.modem.read(Slot("SM", 1))
        await asyncio.sleep(300)
        await bench.modem.sweep()
        assert bench.modem.poll_event() is None

    run_modem_bench(scenario)


def test_store_selected_by_another_program(run_modem_bench):
    """Listing and deleting happen in the intended store."""

    async def scenario(bench):
        await bench.modem.sweep()
        bench.deliver("in ME")
        bench.module.settings.cpms = ("SM", "ME", "ME")
        await asyncio.sleep(300)
        (message,) = await bench.modem.sweep()
        assert message.slot == Slot("ME", 1)
        assert message.message.text == "in ME"

    run_modem_bench(scenario)


def test_returned_echo_with_a_volatile_format_forbids_the_body(run_scripted_modem):
    """A module that was found in text mode and echoes again is in text mode again: no body is written."""

    async def scenario(modem, script):
        script.table["AT+CMGS=14"] = b"AT+CMGS=14\r\r\n> "
        script.table["esc"] = OK
        assert isinstance(await modem.send(submit(), no_wait), NotSent)
        assert not any(line.startswith("body") for line in script.received_lines)
        assert isinstance(await modem.next_event(), SettingsLost)

    run_scripted_modem(scenario, table={"AT+CMGF?": b"\r\n+CMGF: 1\r\n" + OK})


def test_habitual_echo_does_not_cause_endless_initialisation(run_scripted_modem):
    """A module that echoes from time to time is not initialised again and again."""

    async def scenario(modem, script):
        script.table["AT+CSQ"] = b"AT+CSQ\r\r\n+CSQ: 21,99\r\n" + OK
        for _ in range(2):
            await modem.query_signal()
            assert isinstance(modem.poll_event(), SettingsLost)
            await modem.initialise()
        await modem.query_signal()
        assert modem.poll_event() is None

    run_scripted_modem(scenario)


def test_missing_notifications_are_detected(run_modem_bench):
    """+CNMI is set once more if messages are found that were never announced; then sweeps find messages."""

    async def scenario(bench):
        await bench.modem.sweep()
        bench.module.faults.add("code-lost:command=+CMTI,times=0")
        assert bench.modem.is_notifying
        bench.deliver("one")
        await asyncio.sleep(300)
        assert len(await bench.modem.sweep()) == 1
        await bench.modem.delete(Slot("ME", 1))
        assert bench.modem.is_notifying
        await asyncio.sleep(60)
        assert not bench.modem.is_notifying
        assert "it sends no notifications" in str(bench.modem.status)
        bench.executed_lines.clear()
        await bench.modem.sweep()
        await bench.modem.sweep()
        assert [line for line in bench.executed_lines if line.startswith("+CNMI=")] == ["+CNMI=2,1,0,0,0"]
        bench.module.faults.clear()
        bench.deliver("two")
        assert isinstance(await bench.modem.next_event(), MessageArrived)
        assert bench.modem.is_notifying

    run_modem_bench(scenario)


def test_messages_before_the_first_sweep_prove_nothing(run_modem_bench):
    """Neither messages that were there at the start nor those announced during a list count as missing."""

    async def scenario(bench):
        bench.deliver("notified")
        await bench.modem.sweep()
        await bench.modem.sweep()
        bench.deliver("notified too")
        await bench.modem.sweep()
        await asyncio.sleep(60)
        await bench.modem.sweep()
        assert bench.modem.is_notifying

    run_modem_bench(scenario)


def test_operator_command_makes_settings_be_checked(run_modem_bench):
    """The answer is returned line by line; settings that the command changed are detected."""

    async def scenario(bench):
        assert await bench.modem.execute_at("AT+CSQ") == ["+CSQ: 21,99"]
        assert await bench.modem.execute_at("AT+CGMM;+CGMR") == ["Generic", "1.0"]
        await bench.modem.execute_at("AT+CNMI=2,0,0,0,0")
        assert await bench.modem.sweep() == []
        assert isinstance(await bench.modem.next_event(), SettingsLost)

    run_modem_bench(scenario)


def test_message_read_in_text_mode_is_not_undecodable(run_modem_bench):
    """If another program has switched to text mode, messages do not count as undecodable."""

    async def scenario(bench):
        await bench.modem.sweep()
        bench.module.settings.text_mode = True
        bench.deliver("hi")
        event = await bench.modem.next_event()
        with pytest.raises(CommandTimedOut, match="lost its settings"):
            await bench.modem.read(event.slot)
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        (message,) = await bench.modem.sweep()
        assert message.message.text == "hi"

    run_modem_bench(scenario)


def test_sweep_in_text_mode_detects_lost_settings(run_modem_bench):
    """The list in text mode does not count as undecodable messages, either."""

    async def scenario(bench):
        bench.deliver("hi")
        await bench.modem.next_event()
        bench.module.settings.text_mode = True
        assert await bench.modem.sweep() == []
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        assert len(await bench.modem.sweep()) == 1

    run_modem_bench(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n+CPIN: NOT INSERTED\r\n" + OK,
        b"\r\n+CPIN: NOT READY\r\n" + OK,
        b"\r\n+CME ERROR: 10\r\n",
        b"\r\n+CME ERROR: 13\r\n",
    ],
)
def test_refused_sweep_detects_a_missing_sim(run_scripted_modem, answer):
    """In each form it leads to a new session, which waits for the SIM."""

    async def scenario(modem, script):
        script.table["AT+CMGL=4"] = b"\r\n+CMS ERROR: 310\r\n"
        script.table["AT+CPIN?"] = answer
        assert await modem.sweep() == []
        assert isinstance(await modem.next_event(), SettingsLost)

    run_scripted_modem(scenario)


@pytest.mark.parametrize(
    "answer", [b"\r\n+CPIN: READY\r\n" + OK, b"\r\nERROR\r\n", b"\r\n+CME ERROR: 14\r\n"]
)
def test_refused_sweep_with_a_present_sim_raises(run_scripted_modem, answer):
    """If the SIM is present, or its state is unknown, the refusal itself is raised."""

    async def scenario(modem, script):
        script.table["AT+CMGL=4"] = b"\r\n+CMS ERROR: 302\r\n"
        script.table["AT+CPMS?"] = b'\r\n+CPMS: "ME",1,20,"ME",1,20,"ME",1,20\r\n' + OK
        script.table["AT+CPIN?"] = answer
        with pytest.raises(CommandRefused):
            await modem.sweep()
        assert modem.poll_event() is None

    run_scripted_modem(scenario)
