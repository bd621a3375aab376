"""What profiles change in the way a module is driven."""

import asyncio

import pytest

from agent.at.errors import CommandTimedOut
from agent.modem.error import ModemUnusable
from agent.modem.events import DirectDelivery, SettingsLost
from agent.modem.identification import command_timeouts
from agent.modem.stored_message import Slot
from hardware import profile
from hardware.identify import PortInfo
from hardware.sim.module.errors import cms_error

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"


def info(text):
    return f"\r\n{text}\r\n".encode() + OK


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("name", profile.list_profiles())
def test_a_message_comes_and_goes(run_modem_bench, name):
    """A simulated module of each profile, driven by it, receives and gives up its messages."""

    async def story(stand):
        assert stand.modem.status.profile.startswith(name)
        stand.deliver("one")
        await stand.settle()
        if not stand.modem.status.store and not stand.modem.status.notes:
            return
        for message in await stand.modem.sweep():
            assert message.message.text == "one"
            await stand.modem.delete(message.slot)
        assert not await stand.modem.sweep()

    run_modem_bench(story, device=profile.load_simulator_profile(name), options={"profile": name})


@pytest.mark.parametrize(("name", "pause"), [("sara_r410m", 0.1), ("le910c1", 0.02), ("ec25", 0.0)])
def test_the_pause_after_a_result(run_scripted_modem, name, pause):
    """As long as the maker asks for, and not at all elsewhere."""

    async def story(modem, script):
        script.table["AT+CSQ"] = info("+CSQ: 21,99")
        await modem.query_signal()
        began = now()
        await modem.query_signal()
        assert now() - began == pytest.approx(pause)

    run_scripted_modem(story, options={"profile": name})


def test_longest_times_are_never_shorter_than_ours():
    """What a maker promises is not what a full store in bad weather takes."""
    assert command_timeouts(profile.load_driver_profile("ec25"))["+CMGD"] == 0.3
    assert command_timeouts(profile.load_driver_profile("generic")) == {}


@pytest.mark.parametrize(("name", "seconds"), [("sara_r5", 54), ("ec25", 29)])
def test_a_slow_delete(run_scripted_modem, name, seconds):
    """SARA-R5 may take 55 s; the 0.3 s of the EC25 do not shorten our 30 s."""

    async def story(modem, script):
        script.table["AT+CMGD=3"] = [seconds, OK]
        await modem.delete(Slot("ME", 3))
        script.table["AT+CMGD=3"] = None
        with pytest.raises(CommandTimedOut):
            await modem.delete(Slot("ME", 3))

    run_scripted_modem(story, options={"profile": name})


@pytest.mark.parametrize(
    ("name", "command", "answer"),
    [
        ("huawei_me909u", "AT^ICCID?", "^ICCID: 89440000000000000017"),
        ("nrf91", "AT%XICCID", "%XICCID: 89440000000000000017"),
        ("sim800", "AT+CCID", "89440000000000000017"),
        ("sim7600", "AT+CICCID", "+ICCID: 89440000000000000017F"),
    ],
)
def test_the_card_is_asked_in_the_words_of_its_maker(run_scripted_modem, name, command, answer):
    """First, and so alone."""

    async def story(modem, script):
        assert (await modem.query_identity()).iccid == "89440000000000000017"
        assert [line for line in script.received_lines if "CID" in line] == [command]

    run_scripted_modem(story, options={"profile": name}, table={command: info(answer)})


def test_registration_is_asked_where_it_tells_something(run_scripted_modem):
    """The other commands are not written."""

    async def story(modem, script):
        await modem.initialise()
        assert [line for line in script.received_lines if "REG" in line] == ["AT+CREG?", "AT+CEREG?"]

    run_scripted_modem(story, initialise=False, options={"profile": "sara_r5"})


# Readiness


def test_the_message_service_is_asked_for(run_scripted_modem):
    """+QINISTAT is asked until its bit is there, and no setting of messages is written before."""
    states = iter("1113")

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert script.received_lines.count("AT+QINISTAT") == 4
        assert script.received_lines.index("AT+CMGF?") > script.received_lines.index("AT+QINISTAT") + 3
        assert now() - began < 6
        assert not [note for note in modem.status.notes if "QINISTAT" in note]

    table = {"AT+QINISTAT": lambda _: info(f"+QINISTAT: {next(states)}")}
    run_scripted_modem(story, initialise=False, options={"profile": "ec25"}, table=table)


@pytest.mark.parametrize("answer", [ERROR, OK, info("+QINISTAT: x")])
def test_a_firmware_without_that_command(run_scripted_modem, answer):
    """It is marked as under development in a manual: its lack costs nothing and is no note."""

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 4
        assert not [note for note in modem.status.notes if "QINISTAT" in note]

    run_scripted_modem(story, initialise=False, options={"profile": "bg96"}, table={"AT+QINISTAT": answer})


def test_a_service_that_never_comes_is_noted(run_scripted_modem):
    """What can be had is had all the same."""

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 40
        assert "AT+QINISTAT reports that messages are not ready (+QINISTAT: 1)" in modem.status.notes

    run_scripted_modem(
        story, initialise=False, options={"profile": "ec25"}, table={"AT+QINISTAT": info("+QINISTAT: 1")}
    )


@pytest.mark.parametrize(("line", "waits"), [(b"\r\nSMS DONE\r\n", 8), (None, 30)])
def test_the_ready_code_of_a_module_that_starts(run_scripted_modem, line, waits):
    """Waited for after a boot code, and not for ever: it may have been switched off."""

    async def story(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        began = now()
        if line:
            loop.call_later(8, script.write, line)
        await modem.initialise()
        assert waits - 1 < now() - began < waits + 3

    run_scripted_modem(story, initialise=False, options={"profile": "sim7600"})


def test_a_module_that_runs_is_not_waited_for(run_scripted_modem):
    """Its ready code came long ago."""

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 1.5

    run_scripted_modem(story, initialise=False, options={"profile": "sim7600"})


@pytest.mark.parametrize("name", ["sim7070", "sim800"])
def test_codes_that_may_be_switched_off_are_not_waited_for(run_scripted_modem, name):
    """Then what is refused is asked again, as without a profile."""

    async def story(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        began = now()
        await modem.initialise()
        assert now() - began < 3

    run_scripted_modem(story, initialise=False, options={"profile": name})


def test_a_boot_code_that_comes_too_early(run_scripted_modem):
    """A BG95 says RDY before it takes commands, and APP RDY when it does."""

    async def story(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.call_later(6, script.write, b"\r\nAPP RDY\r\n")
        began = now()
        await modem.initialise()
        assert now() - began > 5
        assert "ATE0V1Q0" in script.received_lines

    run_scripted_modem(story, initialise=False, options={"profile": "bg95"})


def test_a_code_that_the_profile_knows_is_a_restart(run_scripted_modem):
    """An unsolicited `+CFUN: 1` says nothing in the standards; on this family it is said at a start."""

    async def story(modem, script):
        await asyncio.sleep(100)
        script.write(b"\r\n+CFUN: 1\r\n")
        assert isinstance(await modem.next_event(), SettingsLost)

    run_scripted_modem(story, options={"profile": "ec25"})


# Codes


@pytest.mark.parametrize(
    ("name", "role", "standing", "written"),
    [
        ("ec25", "at", '+QURCCFG: "urcport","usbmodem"', 'AT+QURCCFG="urcport","usbat"'),
        ("ec25", "modem", '+QURCCFG: "urcport","usbat"', 'AT+QURCCFG="urcport","usbmodem"'),
        ("bg96", "uart", '+QURCCFG: "urcport","usbat"', 'AT+QURCCFG="urcport","uart1"'),
        ("ec25", "at", '+QURCCFG: "urcport","usbat"', None),
        ("ec25", "at", '+QURCCFG: "urcport","all"', None),
        ("ec25", "", '+QURCCFG: "urcport","usbmodem"', None),
        ("sim7600", "at", "+CATR: 2", "AT+CATR=3"),
        ("sim7600", "uart", "+CATR: 0", None),
        ("a7670", "uart", "+CATR: 3", "AT+CATR=1"),
        ("ec25", "at", None, None),
    ],
)
def test_codes_come_out_of_our_port(run_scripted_modem, name, role, standing, written):
    """Written only where it is known which port is ours and another one gets them."""
    question = 'AT+QURCCFG="urcport"' if "QURC" in (standing or "QURC") else "AT+CATR?"
    table = {question: info(standing) if standing else ERROR}
    if written:
        table[written] = OK

    async def story(modem, script):
        await modem.initialise()
        changes = [line for line in script.received_lines if line.startswith(("AT+QURCCFG", "AT+CATR"))]
        assert changes == ([question] if role else []) + ([written] if written else [])
        assert any("another port" in note for note in modem.status.notes) == bool(written)

    options = {"profile": name, "port_info": PortInfo(role=role)}
    run_scripted_modem(story, initialise=False, options=options, table=table)


def test_codes_follow_whoever_set_cnmi_last(run_scripted_modem):
    """SARA-R4: it is set again even where it stands."""

    async def story(modem, script):
        await modem.initialise()
        assert "AT+CNMI=2,1,0,0,0" in script.received_lines

    table = {"AT+CNMI=2,1,0,0,0": OK}
    run_scripted_modem(story, initialise=False, options={"profile": "sara_r410m"}, table=table)


async def next_direct_delivery(stand):
    """The next message that comes directly."""
    stand.deliver("hi")
    while not isinstance(news := await stand.modem.next_event(), DirectDelivery):
        pass
    return news


def test_the_one_setting_that_works(run_modem_bench):
    """nRF91: 3,2,0,1 and a +CNMA with its value."""

    async def story(stand):
        assert stand.modem.status.cnmi[:4] == (3, 2, 0, 1)
        news = await next_direct_delivery(stand)
        await news.acknowledge()
        assert stand.executed_lines == ["+CNMA=1"]

    run_modem_bench(story, device=profile.load_simulator_profile("nrf91"), options={"profile": "nrf91"})


def test_a_client_that_was_dropped_registers_again(run_modem_bench):
    """+CMS ERROR: 524 of an nRF91: +CNMI once more."""

    async def story(stand):
        news = await next_direct_delivery(stand)

        def dropped(*_):
            raise cms_error(524)

        stand.module.mt_delivery.acknowledge = dropped
        await news.acknowledge()
        assert stand.executed_lines == ["+CNMA=1", "+CNMI=3,2,0,1,0"]

    run_modem_bench(story, device=profile.load_simulator_profile("nrf91"), options={"profile": "nrf91"})


def test_combinations_that_the_maker_rules_out_are_not_tried(run_scripted_modem):
    """SIMCom: <ds> 1 and <mt> 3 need <mode> 1."""

    async def story(modem, script):
        await modem.initialise()
        tried = [
            line.partition("=")[2]
            for line in script.received_lines
            if line.startswith("AT+CNMI=") and "?" not in line
        ]
        assert tried
        assert not [
            values for values in tried if values.startswith(("2,3", "3,3", "3,2")) or values[4:7] == ",1"
        ]
        assert "2,1,0,1,0" not in tried
        assert "1,1,0,1,0" in tried

    table = {"AT+CNMI?": info("+CNMI: 0,0,0,0,0"), "AT+CNMI=?": info("+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)")}
    options = {"profile": "sim7600", "status_reports": True}
    run_scripted_modem(story, initialise=False, options=options, table=table)


# What a person is told


def test_a_variant_without_messages(run_scripted_modem):
    """The refusal says what may be the reason."""

    async def story(modem, script):
        with pytest.raises(ModemUnusable, match="variants of this module have no SMS at all"):
            await modem.initialise()

    table = {"AT+CMGF?": ERROR, "AT+CMGF=0": ERROR}
    run_scripted_modem(story, initialise=False, options={"profile": "a7670"}, table=table)


def test_a_module_without_text_mode(run_scripted_modem):
    """What to write instead."""

    async def story(modem, script):
        with pytest.raises(ModemUnusable, match=r'no text mode, write \[modem\] message_format = "pdu"'):
            await modem.initialise()

    options = {"profile": "nrf91", "message_format": "text"}
    run_scripted_modem(story, initialise=False, options=options, table={"AT+CMGF=1": ERROR})


def test_what_is_recommended_and_not_done_is_noted(run_scripted_modem):
    """A person can wire RTS and CTS."""

    async def story(modem, script):
        assert any("RTS/CTS" in note for note in script.status.notes)

    run_scripted_modem(story, options={"profile": "nrf91"}, table={"AT+CNMI=3,2,0,1": OK})


@pytest.mark.parametrize(
    ("name", "seconds"), [("bg96", 150), ("sara_r5", 180), ("sim7000", 120), ("generic", 120)]
)
def test_how_long_a_result_of_sending_is_awaited(run_scripted_modem, name, seconds):
    """The maker's time, ours where it is longer, and more where refusals were seen later than documented."""

    async def story(modem, script):
        assert modem._initialiser.send_timeout_s == seconds

    run_scripted_modem(story, options={"profile": name})
