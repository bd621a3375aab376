"""Effects of a profile on how a module is driven."""

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
def test_simulated_module_of_each_profile(run_modem_bench, name):
    """A simulated module of each profile, driven by it, delivers a message and deletes it."""

    async def scenario(bench):
        assert bench.modem.status.profile.startswith(name)
        bench.deliver("one")
        await bench.settle()
        if not bench.modem.status.store and not bench.modem.status.notes:
            return
        for message in await bench.modem.sweep():
            assert message.message.text == "one"
            await bench.modem.delete(message.slot)
        assert not await bench.modem.sweep()

    run_modem_bench(scenario, device=profile.load_simulator_profile(name), options={"profile": name})


@pytest.mark.parametrize(("name", "pause"), [("sara_r410m", 0.1), ("le910c1", 0.02), ("ec25", 0.0)])
def test_gap_after_a_final_result(run_scripted_modem, name, pause):
    """The gap is that of the profile, and zero without one."""

    async def scenario(modem, script):
        script.table["AT+CSQ"] = info("+CSQ: 21,99")
        await modem.query_signal()
        began = now()
        await modem.query_signal()
        assert now() - began == pytest.approx(pause, abs=1e-6)

    run_scripted_modem(scenario, options={"profile": name})


def test_profile_cannot_shorten_a_timeout():
    """The documented time of a maker may be too short for a full store and a weak signal."""
    assert command_timeouts(profile.load_driver_profile("ec25"))["+CMGD"] == 0.3
    assert command_timeouts(profile.load_driver_profile("generic")) == {}


@pytest.mark.parametrize(("name", "seconds"), [("sara_r5", 54), ("ec25", 29)])
def test_delete_timeout_of_the_profile(run_scripted_modem, name, seconds):
    """SARA-R5 may take 55 s; the 0.3 s of the EC25 do not shorten the 30 s of the agent."""

    async def scenario(modem, script):
        script.table["AT+CMGD=3"] = [seconds, OK]
        await modem.delete(Slot("ME", 3))
        script.table["AT+CMGD=3"] = None
        with pytest.raises(CommandTimedOut):
            await modem.delete(Slot("ME", 3))

    run_scripted_modem(scenario, options={"profile": name})


@pytest.mark.parametrize(
    ("name", "command", "answer"),
    [
        ("huawei_me909u", "AT^ICCID?", "^ICCID: 89440000000000000017"),
        ("nrf91", "AT%XICCID", "%XICCID: 89440000000000000017"),
        ("sim800", "AT+CCID", "89440000000000000017"),
        ("sim7600", "AT+CICCID", "+ICCID: 89440000000000000017F"),
    ],
)
def test_iccid_command_of_the_profile_comes_first(run_scripted_modem, name, command, answer):
    """If it is answered, no other command is sent."""

    async def scenario(modem, script):
        assert (await modem.query_identity()).iccid == "89440000000000000017"
        assert [line for line in script.received_lines if "CID" in line] == [command]

    run_scripted_modem(scenario, options={"profile": name}, table={command: info(answer)})


def test_registration_domains_of_the_profile(run_scripted_modem):
    """Other registration commands are not sent."""

    async def scenario(modem, script):
        await modem.initialise()
        assert [line for line in script.received_lines if "REG" in line] == ["AT+CREG?", "AT+CEREG?"]

    run_scripted_modem(scenario, initialise=False, options={"profile": "sara_r5"})


# Readiness


def test_sms_ready_is_polled(run_scripted_modem):
    """+QINISTAT is polled until its bit is set, and no message setting is written before."""
    states = iter("1113")

    async def scenario(modem, script):
        began = now()
        await modem.initialise()
        assert script.received_lines.count("AT+QINISTAT") == 4
        assert script.received_lines.index("AT+CMGF?") > script.received_lines.index("AT+QINISTAT") + 3
        assert now() - began < 6
        assert not [note for note in modem.status.notes if "QINISTAT" in note]

    table = {"AT+QINISTAT": lambda _: info(f"+QINISTAT: {next(states)}")}
    run_scripted_modem(scenario, initialise=False, options={"profile": "ec25"}, table=table)


@pytest.mark.parametrize("answer", [ERROR, OK, info("+QINISTAT: x")])
def test_firmware_without_the_ready_command(run_scripted_modem, answer):
    """A manual marks the command as under development: its absence costs nothing and is not noted."""

    async def scenario(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 4
        assert not [note for note in modem.status.notes if "QINISTAT" in note]

    run_scripted_modem(scenario, initialise=False, options={"profile": "bg96"}, table={"AT+QINISTAT": answer})


def test_sms_service_that_never_becomes_ready_is_noted(run_scripted_modem):
    """The rest of the initialisation continues."""

    async def scenario(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 40
        assert "AT+QINISTAT reports that messages are not ready (+QINISTAT: 1)" in modem.status.notes

    run_scripted_modem(
        scenario, initialise=False, options={"profile": "ec25"}, table={"AT+QINISTAT": info("+QINISTAT: 1")}
    )


@pytest.mark.parametrize(("line", "waits"), [(b"\r\nSMS DONE\r\n", 8), (None, 30)])
def test_ready_urc_of_a_booting_module_is_awaited(run_scripted_modem, line, waits):
    """It is awaited for a limited time after a boot URC, because it may be switched off."""

    async def scenario(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        began = now()
        if line:
            loop.call_later(8, script.write, line)
        await modem.initialise()
        assert waits - 1 < now() - began < waits + 3

    run_scripted_modem(scenario, initialise=False, options={"profile": "sim7600"})


def test_ready_urc_of_a_running_module_is_not_awaited(run_scripted_modem):
    """The URC came before the port was open."""

    async def scenario(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 1.5

    run_scripted_modem(scenario, initialise=False, options={"profile": "sim7600"})


@pytest.mark.parametrize("name", ["sim7070", "sim800"])
def test_optional_boot_urcs_are_not_awaited(run_scripted_modem, name):
    """Refused commands are retried instead, as without a profile."""

    async def scenario(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        began = now()
        await modem.initialise()
        assert now() - began < 3

    run_scripted_modem(scenario, initialise=False, options={"profile": name})


def test_early_boot_urc(run_scripted_modem):
    """A BG95 prints RDY before it accepts commands, and APP RDY when it does."""

    async def scenario(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.call_later(6, script.write, b"\r\nAPP RDY\r\n")
        began = now()
        await modem.initialise()
        assert now() - began > 5
        assert "ATE0V1Q0" in script.received_lines

    run_scripted_modem(scenario, initialise=False, options={"profile": "bg95"})


def test_boot_urc_of_the_profile_is_a_restart(run_scripted_modem):
    """A URC `+CFUN: 1` has no meaning in the standards; this family prints it at the start."""

    async def scenario(modem, script):
        await asyncio.sleep(100)
        script.write(b"\r\n+CFUN: 1\r\n")
        assert isinstance(await modem.next_event(), SettingsLost)

    run_scripted_modem(scenario, options={"profile": "ec25"})


# URCs


@pytest.mark.parametrize(
    ("name", "role", "current", "written"),
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
def test_urc_port_is_selected(run_scripted_modem, name, role, current, written):
    """It is written only if the role of the port is known and another port receives the URCs."""
    query = 'AT+QURCCFG="urcport"' if "QURC" in (current or "QURC") else "AT+CATR?"
    table = {query: info(current) if current else ERROR}
    if written:
        table[written] = OK

    async def scenario(modem, script):
        await modem.initialise()
        changes = [line for line in script.received_lines if line.startswith(("AT+QURCCFG", "AT+CATR"))]
        assert changes == ([query] if role else []) + ([written] if written else [])
        assert any("another port" in note for note in modem.status.notes) == bool(written)

    options = {"profile": name, "port_info": PortInfo(role=role)}
    run_scripted_modem(scenario, initialise=False, options=options, table=table)


def test_cnmi_is_written_again_if_urcs_follow_it(run_scripted_modem):
    """SARA-R4 prints URCs on the port that set +CNMI last."""

    async def scenario(modem, script):
        await modem.initialise()
        assert "AT+CNMI=2,1,0,0,0" in script.received_lines

    table = {"AT+CNMI=2,1,0,0,0": OK}
    run_scripted_modem(scenario, initialise=False, options={"profile": "sara_r410m"}, table=table)


async def next_direct_delivery(bench):
    """Return the next direct delivery."""
    bench.deliver("hi")
    while not isinstance(event := await bench.modem.next_event(), DirectDelivery):
        pass
    return event


def test_only_working_cnmi_value_of_the_profile(run_modem_bench):
    """nRF91: 3,2,0,1 and a +CNMA with a value."""

    async def scenario(bench):
        assert bench.modem.status.cnmi[:4] == (3, 2, 0, 1)
        event = await next_direct_delivery(bench)
        await event.acknowledge()
        assert bench.executed_lines == ["+CNMA=1"]

    run_modem_bench(scenario, device=profile.load_simulator_profile("nrf91"), options={"profile": "nrf91"})


def test_dropped_sms_client_registers_again(run_modem_bench):
    """After +CMS ERROR: 524 of an nRF91, +CNMI is set once more."""

    async def scenario(bench):
        event = await next_direct_delivery(bench)

        def dropped(*_):
            raise cms_error(524)

        bench.module.mt_delivery.acknowledge = dropped
        await event.acknowledge()
        assert bench.executed_lines == ["+CNMA=1", "+CNMI=3,2,0,1"]

    run_modem_bench(scenario, device=profile.load_simulator_profile("nrf91"), options={"profile": "nrf91"})


def test_cnmi_combinations_of_simcom(run_scripted_modem):
    """<ds> 1 and <mt> 3 need <mode> 1; other combinations are not tried."""

    async def scenario(modem, script):
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
    run_scripted_modem(scenario, initialise=False, options=options, table=table)


# Errors and notes for the operator


def test_variant_without_sms(run_scripted_modem):
    """The error gives the probable reason."""

    async def scenario(modem, script):
        with pytest.raises(ModemUnusable, match="variants of this module have no SMS at all"):
            await modem.initialise()

    table = {"AT+CMGF?": ERROR, "AT+CMGF=0": ERROR}
    run_scripted_modem(scenario, initialise=False, options={"profile": "a7670"}, table=table)


def test_module_without_text_mode(run_scripted_modem):
    """The error names what to configure instead."""

    async def scenario(modem, script):
        with pytest.raises(ModemUnusable, match=r'no text mode, write \[modem\] message_format = "pdu"'):
            await modem.initialise()

    options = {"profile": "nrf91", "message_format": "text"}
    run_scripted_modem(scenario, initialise=False, options=options, table={"AT+CMGF=1": ERROR})


def test_recommended_flow_control_is_noted(run_scripted_modem):
    """The operator can connect RTS and CTS."""

    async def scenario(modem, script):
        assert any("RTS/CTS" in note for note in script.status.notes)

    run_scripted_modem(scenario, options={"profile": "nrf91"}, table={"AT+CNMI=3,2,0,1": OK})


@pytest.mark.parametrize(
    ("name", "seconds"), [("bg96", 150), ("sara_r5", 180), ("sim7000", 60), ("generic", 120)]
)
def test_send_timeout_of_the_profile(run_scripted_modem, name, seconds):
    """The module's longest time, with a margin where late refusals were seen; else the default."""

    async def scenario(modem, script):
        assert modem._initialiser.send_timeout_s == seconds

    run_scripted_modem(scenario, options={"profile": name})
