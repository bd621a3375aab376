"""F44 F56 F57 F58 F66 F75: a module that is not ready, asleep, without power, SIM, radio or signal."""

import itertools
import re

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from pdu import Address

RESETS = r"AT\+CFUN=1,1|AT\+CRESET|AT#REBOOT"
HOUR = 3600


def make_numbered_pdu(number):
    """Return a Command with its own text and timestamp."""
    return make_pdu(f"blink {number}", timestamp=f"26/11/21,22:{number // 60:02}:{number % 60:02}+00")


# F44


@pytest.mark.parametrize("ready", [b"\r\nSMS Ready\r\n", b""], ids=["SMS Ready", "no URC"])
@pytest.mark.parametrize("seconds", [20, 60])
async def test_f44_sms_service_that_is_not_ready_is_retried(tmp_path, message_format, ready, seconds):
    """Setup is retried with backoff, without PIN entry or restart, until the service is ready."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CMGF=[01]", b"\r\nERROR\r\n", times=0)
        world.interceptor.answer(r"AT\+(CPMS|CMGL).*", b"\r\n+CMS ERROR: 314\r\n", times=0)
        world.interceptor.answer(r"AT\+CSCA\?", b"\r\n+CME ERROR: 14\r\n", times=0)
        world.interceptor.answer(r"AT\+(?!CMEE).*", b"\r\n+CME ERROR: 515\r\n", times=0)
        world.call_later(seconds, world.interceptor.clear_rules)
        world.call_later(seconds, world.interceptor.send_to_agent, ready)
        world.store_pdu(1, PLAIN_SID_START)
        await world.start_and_settle(seconds)
        assert world.current_run.is_alive
        assert len(world.interceptor.commands_matching()) <= 2 * seconds + 20
        await world.advance(60)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.interceptor.commands_matching(rf"AT\+CPIN=.*|{RESETS}") == []
        assert len(world.agent_runs) == 1


@pytest.mark.parametrize(
    ("message_format", "refusal"),
    [
        *itertools.product(["pdu"], ["CMS 314", "CMS 302", "CMS 310", "CME 14", "ERROR", "CMS 500"]),
        ("text", "CMS 314"),
        ("text", "ERROR"),
    ],
)
async def test_f44_power_up_with_late_sms_service(tmp_path, message_format, refusal):
    """The SIM is ready after 5 s and the SMS service 25 s later, with any kind of refusal before."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.power_off()
        world.module.context.profile = world.module.profile.replace(
            sim_ready_s=5, sms_ready_s=25, sms_not_ready_refusal=refusal
        )
        world.module.power_on()
        world.store_pdu(1, PLAIN_SID_START)
        await world.start_and_settle(120)
        assert world.executed == ["led on"]
        assert world.interceptor.commands_matching(RESETS) == []
        assert len(world.agent_runs) == 1


# F56


class SleepingModule:
    """A module that loses the first octets after 30 s of silence. The incomplete line may get an ERROR."""

    def __init__(self, world, lost, response):
        self.world, self.lost, self.response = world, lost, response
        self.written_at = 0.0
        self.truncated_inputs = []
        world.interceptor.filter_to_module = self._filter_input

    def _filter_input(self, data):
        now = self.world.loop.time()
        idle, self.written_at = now - self.written_at > 30, now
        if not idle:
            return data
        self.truncated_inputs.append(data)
        if self.response and len(data) > self.lost:
            self.world.call_later(0.01, self.world.interceptor.send_to_agent, self.response)
        return data[self.lost :] if not self.response else b""


@pytest.mark.parametrize("response", [b"", b"\r\nERROR\r\n"], ids=["no answer", "ERROR"])
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
async def test_f56_sleeping_module_loses_the_first_octets(tmp_path, message_format, lost, response):
    """After each idle half minute the Command is executed and answered once, within half a minute."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        module = SleepingModule(world, lost, response)
        for number in range(5):
            await world.advance(100)
            world.deliver_pdu(make_numbered_pdu(number))
            await world.advance(45)
            assert len(world.sent_bodies) == number + 1
        assert len(module.truncated_inputs) >= 5
        assert world.executed == [f"blink {number}" for number in range(5)]
        assert world.stored_indices() == []
        assert not any(octets.startswith((b"AT+CMGS", b"AT+CMGD")) for octets in module.truncated_inputs)
        assert world.connection.session_count == 1


# F57


async def test_f57_brownout_at_each_send_pauses_sending(tmp_path, message_format):
    """The port disappears for 8 s after each Ctrl-Z: pauses of sending grow, receiving goes on."""
    async with FaultWorld(tmp_path, message_format) as world:
        outages = []

        def filter_input(data):
            if b"\x1a" in data and (not outages or world.loop.time() - outages[-1] > 1):
                outages.append(world.loop.time())
                world.call_later(0.3, world.module.power_off)
                world.call_later(0.3, world.port.unplug)
                world.call_later(8.3, world.port.plug)
                world.call_later(8.3, world.module.power_on)
            return data

        await world.start_and_settle()
        world.interceptor.filter_to_module = filter_input
        for number in range(24):
            await world.advance(240)
            world.deliver_pdu(make_numbered_pdu(number))
            await world.advance(60)
        await world.advance(60)
        assert len(set(world.executed)) == len(world.executed) == 24
        assert 3 <= len(outages) <= 7
        waits = [after - before for before, after in itertools.pairwise(outages)][1:]
        assert all(after > 1.2 * before for before, after in itertools.pairwise(waits))
        assert len(world.sent_bodies) == len(set(world.sent_bodies))
        assert any("power" in line for line in world.log_lines(min_severity=30))
        assert world.interceptor.commands_matching(RESETS) == []


# F58


SIM_LOST_URCS = [b"+CPIN: NOT READY", b"+CPIN: NOT INSERTED", b"+QUSIM: 0", b""]
REFUSALS = [b"+CME ERROR: 10", b"+CME ERROR: 13", b"+CMS ERROR: 310"]


@pytest.mark.parametrize(
    ("message_format", "urc", "refusal"),
    [
        *itertools.product(["pdu"], SIM_LOST_URCS, REFUSALS),
        ("text", SIM_LOST_URCS[0], REFUSALS[1]),
        ("text", b"", REFUSALS[0]),
    ],
)
async def test_f58_lost_sim_is_recovered_by_cfun(tmp_path, message_format, urc, refusal):
    """The agent resets the radio within its budget, and then receives everything."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()

        def filter_input(data):
            if (
                b"AT+CFUN=1\r" in data and world.interceptor.commands_matching(r"AT\+CFUN=[04]")
            ) or b"AT+CFUN=1,1\r" in data:
                world.interceptor.clear_rules()
            return data

        world.interceptor.filter_to_module = filter_input
        commands = r"AT\+(CPIN\?|CMG[LRDS].*|CPMS.*|CSCA.*|CIMI|CN?UM|C?CID|QCCID|C?ICCID|CMGF=.*)"
        rule = world.interceptor.answer(commands, b"\r\n" + refusal + b"\r\n", times=0)
        if urc:
            world.interceptor.send_to_agent(b"\r\n" + urc + b"\r\n")
        world.store_pdu(3, PLAIN_SID_START)
        await world.advance(HOUR)
        assert rule.applied
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.stored_indices() == []
        assert len(world.interceptor.commands_matching(r"AT\+CFUN=0|" + RESETS)) <= 3
        assert world.interceptor.commands_matching(r"AT\+CPIN=.*") == []
        assert len(world.agent_runs) == 1


async def test_f58_changed_sim_is_logged(tmp_path, message_format):
    """A changed SIM gets neither the PIN nor the service centre of the previous one."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.faults.add("sim-removed:for=30")
        await world.advance(20)
        world.sim.iccid = "89440000000000000025"
        world.sim.service_centre = Address("", 0, 1)
        await world.advance(HOUR)
        assert world.sim.service_centre.number == ""
        assert world.interceptor.commands_matching(r"AT\+CPIN=.*") == []
        assert any("89440000000000000025" in line or "another SIM" in line for line in world.log_lines())
        world.sim.service_centre = Address.parse("+447700900000")
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(120)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]


# F66


@pytest.mark.parametrize("state", [0, 4])
async def test_f66_radio_is_switched_on_once(tmp_path, message_format, state):
    """+CFUN=1 is sent once and may take 12 s."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.power.set_functionality(state)
        world.interceptor.rewrite(r"AT\+CFUN=1", re.compile(rb"\r\nOK\r\n"), [12.0, b"\r\nOK\r\n"])
        await world.start_and_settle(60)
        assert len(world.interceptor.commands_matching(r"AT\+CFUN=1")) == 1
        assert world.interceptor.commands_matching(RESETS) == []
        notes = world.connection.session.modem.status.notes
        assert f"the radio was off (+CFUN: {state})" in notes
        assert not any("ignored" in note for note in notes)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]


@pytest.mark.long
@pytest.mark.parametrize(
    "response", [b"\r\n+CME ERROR: 13\r\n", b"\r\nOK\r\n", b"\r\nERROR\r\n"], ids=["13", "stays", "ERROR"]
)
@pytest.mark.parametrize("state", [0, 4])
async def test_f66_radio_that_stays_off_is_logged(tmp_path, message_format, state, response):
    """It is logged, and resets stay within their budget."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.power.set_functionality(state)
        world.interceptor.answer(r"AT\+CFUN=1", response, times=0)
        world.interceptor.rewrite(
            r"AT\+CFUN\?", re.compile(rb"\+CFUN: \d"), f"+CFUN: {state}".encode(), times=0
        )
        world.interceptor.answer(RESETS, b"\r\nOK\r\n", times=0)
        await world.start_and_settle(2 * HOUR)
        assert world.current_run.is_alive
        assert any("radio" in line.lower() for line in world.log_lines())
        assert len(world.interceptor.commands_matching(RESETS)) <= 6
        assert len(world.interceptor.commands_matching(r"AT\+CFUN=1")) <= 60
        status = await world.control_api.get_status({})
        assert "radio" in str(status) or "SIM" in str(status)


# F75


async def test_f75_unknown_signal_is_shown_as_unknown(tmp_path, message_format):
    """99 is not a signal strength, and causes no recovery action."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CSQ", b"\r\n+CSQ: 99,99\r\n\r\nOK\r\n", times=0)
        await world.start_and_settle(250)
        status = await world.control_api.get_status({})
        assert status["modem"]["signal_dbm"] is None
        assert "signal unknown" in status["modem"]["state"]
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.events_of_kind("recovery") == []
        world.interceptor.clear_rules()
        world.interceptor.answer(r"AT\+CSQ", b"\r\n+CSQ: 18,99\r\n\r\nOK\r\n", times=0)
        await world.advance(320)
        assert (await world.control_api.get_status({}))["modem"]["signal_dbm"] == -77
        assert world.log_lines(min_severity=30) == []


@pytest.mark.parametrize(
    "response", ["+CSQ: 99,99", "+CSQ: 255,99", "+CSQ: ,", "+CSQ: x", "+CSQ: 199,99", "+CSQ:99"]
)
async def test_f75_invalid_csq_is_unknown(tmp_path, message_format, response):
    """An invalid +CSQ response gives no signal strength."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CSQ", f"\r\n{response}\r\n\r\nOK\r\n".encode(), times=0)
        await world.start_and_settle(60)
        status = await world.control_api.get_status({})
        assert status["modem"]["signal_dbm"] is None
        assert world.connection.session_count == 1
