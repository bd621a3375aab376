"""F44 F56 F57 F58 F66 F75: a module that is not ready, asleep, without power, without SIM, without radio."""

import itertools
import re

import pytest
from msgspec import structs

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from pdu import Address

RESETS = r"AT\+CFUN=1,1|AT\+CRESET|AT#REBOOT"
HOUR = 3600


def numbered(number):
    """A Command of its own."""
    return make_pdu(f"blink {number}", timestamp=f"26/11/21,22:{number // 60:02}:{number % 60:02}+00")


# F44


@pytest.mark.parametrize("ready", [b"\r\nSMS Ready\r\n", b""], ids=["SMS Ready", "no word"])
@pytest.mark.parametrize("seconds", [20, 60])
async def test_f44_messages_are_not_ready(tmp_path, message_format, ready, seconds):
    """Asked again with waits that grow: no end of the process, no PIN, no restart; then all goes on."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(r"AT\+CMGF=[01]", b"\r\nERROR\r\n", times=0)
        scene.interceptor.answer(r"AT\+(CPMS|CMGL).*", b"\r\n+CMS ERROR: 314\r\n", times=0)
        scene.interceptor.answer(r"AT\+CSCA\?", b"\r\n+CME ERROR: 14\r\n", times=0)
        scene.interceptor.answer(r"AT\+(?!CMEE).*", b"\r\n+CME ERROR: 515\r\n", times=0)
        scene.call_later(seconds, scene.interceptor.clear_rules)
        scene.call_later(seconds, scene.interceptor.send_to_agent, ready)
        scene.store_pdu(1, PLAIN_SID_START)
        await scene.start_and_settle(seconds)
        assert scene.current_run.is_alive
        assert len(scene.interceptor.commands_matching()) <= 2 * seconds + 20
        await scene.advance(60)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.interceptor.commands_matching(rf"AT\+CPIN=.*|{RESETS}") == []
        assert len(scene.agent_runs) == 1


@pytest.mark.parametrize(
    ("message_format", "refusal"),
    [
        *itertools.product(["pdu"], ["CMS 314", "CMS 302", "CMS 310", "CME 14", "ERROR", "CMS 500"]),
        ("text", "CMS 314"),
        ("text", "ERROR"),
    ],
)
async def test_f44_after_a_power_up(tmp_path, message_format, refusal):
    """A module that has just got its power: SIM after 5 s, messages 25 s later, in any words."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.power_off()
        scene.module.context.profile = structs.replace(
            scene.module.profile, sim_ready_s=5, sms_ready_s=25, sms_not_ready_refusal=refusal
        )
        scene.module.power_on()
        scene.store_pdu(1, PLAIN_SID_START)
        await scene.start_and_settle(120)
        assert scene.executed == ["led on"]
        assert scene.interceptor.commands_matching(RESETS) == []
        assert len(scene.agent_runs) == 1


# F56


class SleepingModule:
    """What is written after so much silence loses its first octets; the beheaded line may get an ERROR."""

    def __init__(self, scene, lost, says):
        self.scene, self.lost, self.says = scene, lost, says
        self.written_at = 0.0
        self.struck = []
        scene.interceptor.filter_to_module = self.hears

    def hears(self, data):
        now = self.scene.loop.time()
        idle, self.written_at = now - self.written_at > 30, now
        if not idle:
            return data
        self.struck.append(data)
        if self.says and len(data) > self.lost:
            self.scene.call_later(0.01, self.scene.interceptor.send_to_agent, self.says)
        return data[self.lost :] if not self.says else b""


@pytest.mark.parametrize("says", [b"", b"\r\nERROR\r\n"], ids=["no answer", "ERROR"])
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
async def test_f56_the_first_octets_are_lost(tmp_path, message_format, lost, says):
    """After every idle half minute: each Command is carried out and answered once, within half a minute."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        asleep = SleepingModule(scene, lost, says)
        for number in range(5):
            await scene.advance(100)
            scene.deliver_pdu(numbered(number))
            await scene.advance(45)
            assert len(scene.sent_bodies) == number + 1
        assert len(asleep.struck) >= 5
        assert scene.executed == [f"blink {number}" for number in range(5)]
        assert scene.stored_indices() == []
        assert not any(struck.startswith((b"AT+CMGS", b"AT+CMGD")) for struck in asleep.struck)
        assert scene.current_run.agent.components.supervisor.connection.session_count == 1


# F57


async def test_f57_each_message_takes_the_power_down(tmp_path, message_format):
    """300 ms after each Ctrl-Z the port is gone for 8 s: sending rests ever longer, receiving goes on."""
    async with FaultWorld(tmp_path, message_format) as scene:
        downs = []

        def hears(data):
            if b"\x1a" in data and (not downs or scene.loop.time() - downs[-1] > 1):
                downs.append(scene.loop.time())
                scene.call_later(0.3, scene.module.power_off)
                scene.call_later(0.3, scene.port.unplug)
                scene.call_later(8.3, scene.port.plug)
                scene.call_later(8.3, scene.module.power_on)
            return data

        await scene.start_and_settle()
        scene.interceptor.filter_to_module = hears
        for number in range(24):
            await scene.advance(240)
            scene.deliver_pdu(numbered(number))
            await scene.advance(60)
        await scene.advance(60)
        assert len(set(scene.executed)) == len(scene.executed) == 24
        assert 3 <= len(downs) <= 7
        waits = [after - before for before, after in itertools.pairwise(downs)][1:]
        assert all(after > 1.2 * before for before, after in itertools.pairwise(waits))
        assert len(scene.sent_bodies) == len(set(scene.sent_bodies))
        assert any("power" in line for line in scene.log_lines(min_severity=30))
        assert scene.interceptor.commands_matching(RESETS) == []


# F58


GONE = [b"+CPIN: NOT READY", b"+CPIN: NOT INSERTED", b"+QUSIM: 0", b""]
SAYS = [b"+CME ERROR: 10", b"+CME ERROR: 13", b"+CMS ERROR: 310"]


@pytest.mark.parametrize(
    ("message_format", "code", "refusal"),
    [*itertools.product(["pdu"], GONE, SAYS), ("text", GONE[0], SAYS[1]), ("text", b"", SAYS[0])],
)
async def test_f58_the_sim_is_gone(tmp_path, message_format, code, refusal):
    """CFUN=0, CFUN=1 brings it back: done by itself, within a budget, and everything is taken then."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()

        def hears(data):
            if (
                b"AT+CFUN=1\r" in data and scene.interceptor.commands_matching(r"AT\+CFUN=[04]")
            ) or b"AT+CFUN=1,1\r" in data:
                scene.interceptor.clear_rules()
            return data

        scene.interceptor.filter_to_module = hears
        commands = r"AT\+(CPIN\?|CMG[LRDS].*|CPMS.*|CSCA.*|CIMI|CN?UM|C?CID|QCCID|C?ICCID|CMGF=.*)"
        gone = scene.interceptor.answer(commands, b"\r\n" + refusal + b"\r\n", times=0)
        if code:
            scene.interceptor.send_to_agent(b"\r\n" + code + b"\r\n")
        scene.store_pdu(3, PLAIN_SID_START)
        await scene.advance(HOUR)
        assert gone.applied
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.stored_indices() == []
        assert len(scene.interceptor.commands_matching(r"AT\+CFUN=0|" + RESETS)) <= 3
        assert scene.interceptor.commands_matching(r"AT\+CPIN=.*") == []
        assert len(scene.agent_runs) == 1


async def test_f58_another_sim(tmp_path, message_format):
    """A changed SIM is told, and gets neither PIN nor service centre of the one before."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.module.faults.add("sim-removed:for=30")
        await scene.advance(20)
        scene.sim.iccid = "89440000000000000025"
        scene.sim.service_centre = Address("", 0, 1)
        await scene.advance(HOUR)
        assert scene.sim.service_centre.number == ""
        assert scene.interceptor.commands_matching(r"AT\+CPIN=.*") == []
        assert any("89440000000000000025" in line or "another SIM" in line for line in scene.log_lines())
        scene.sim.service_centre = Address.parse("+447700900000")
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(120)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]


# F66


@pytest.mark.parametrize("state", [0, 4])
async def test_f66_the_radio_is_off(tmp_path, message_format, state):
    """+CFUN=1 is asked once, has 12 s and more, and then the network is there."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.power.set_functionality(state)
        scene.interceptor.rewrite(r"AT\+CFUN=1", re.compile(rb"\r\nOK\r\n"), [12.0, b"\r\nOK\r\n"])
        await scene.start_and_settle(60)
        assert len(scene.interceptor.commands_matching(r"AT\+CFUN=1")) == 1
        assert scene.interceptor.commands_matching(RESETS) == []
        notes = scene.current_run.agent.components.supervisor.connection.session.modem.status.notes
        assert f"the radio was off (+CFUN: {state})" in notes
        assert not any("ignored" in note for note in notes)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]


@pytest.mark.parametrize(
    "says", [b"\r\n+CME ERROR: 13\r\n", b"\r\nOK\r\n", b"\r\nERROR\r\n"], ids=["13", "stays", "ERROR"]
)
@pytest.mark.parametrize("state", [0, 4])
async def test_f66_the_radio_stays_off(tmp_path, message_format, state, says):
    """Said, and gone about within the budget of resets; never a storm of them."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.power.set_functionality(state)
        scene.interceptor.answer(r"AT\+CFUN=1", says, times=0)
        scene.interceptor.rewrite(
            r"AT\+CFUN\?", re.compile(rb"\+CFUN: \d"), f"+CFUN: {state}".encode(), times=0
        )
        scene.interceptor.answer(RESETS, b"\r\nOK\r\n", times=0)
        await scene.start_and_settle(2 * HOUR)
        assert scene.current_run.is_alive
        assert any("radio" in line.lower() for line in scene.log_lines())
        assert len(scene.interceptor.commands_matching(RESETS)) <= 6
        assert len(scene.interceptor.commands_matching(r"AT\+CFUN=1")) <= 60
        status = await scene.current_run.agent.components.control_api.get_status({})
        assert "radio" in str(status) or "SIM" in str(status)


# F75


async def test_f75_signal_unknown(tmp_path, message_format):
    """99 is no number, and alone no reason to do anything."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(r"AT\+CSQ", b"\r\n+CSQ: 99,99\r\n\r\nOK\r\n", times=0)
        await scene.start_and_settle(250)
        status = await scene.current_run.agent.components.control_api.get_status({})
        assert status["modem"]["signal_dbm"] is None
        assert "signal unknown" in status["modem"]["state"]
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.events_of_kind("recovery") == []
        scene.interceptor.clear_rules()
        scene.interceptor.answer(r"AT\+CSQ", b"\r\n+CSQ: 18,99\r\n\r\nOK\r\n", times=0)
        await scene.advance(320)
        assert (await scene.current_run.agent.components.control_api.get_status({}))["modem"][
            "signal_dbm"
        ] == -77
        assert scene.log_lines(min_severity=30) == []


@pytest.mark.parametrize(
    "says", ["+CSQ: 99,99", "+CSQ: 255,99", "+CSQ: ,", "+CSQ: x", "+CSQ: 199,99", "+CSQ:99"]
)
async def test_f75_no_number_is_made_of_it(tmp_path, message_format, says):
    """Whatever stands there."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(r"AT\+CSQ", f"\r\n{says}\r\n\r\nOK\r\n".encode(), times=0)
        await scene.start_and_settle(60)
        status = await scene.current_run.agent.components.control_api.get_status({})
        assert status["modem"]["signal_dbm"] is None
        assert scene.current_run.agent.components.supervisor.connection.session_count == 1
