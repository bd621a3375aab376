"""F44 F56 F57 F58 F66 F75: a module that is not ready, asleep, without power, without SIM, without radio."""

import itertools
import re

import pytest
from msgspec import structs

from fault.catalogue import PLAIN_SID_START
from fault.scene import Scene, message
from pdu import Address

RESETS = r"AT\+CFUN=1,1|AT\+CRESET|AT#REBOOT"
HOUR = 3600


def numbered(number):
    """A Command of its own."""
    return message(f"blink {number}", timestamp=f"26/11/21,22:{number // 60:02}:{number % 60:02}+00")


# F44


@pytest.mark.parametrize("ready", [b"\r\nSMS Ready\r\n", b""], ids=["SMS Ready", "no word"])
@pytest.mark.parametrize("seconds", [20, 60])
async def test_f44_messages_are_not_ready(tmp_path, mode, ready, seconds):
    """Asked again with waits that grow: no end of the process, no PIN, no restart; then all goes on."""
    async with Scene(tmp_path, mode) as scene:
        scene.opponent.answer(r"AT\+CMGF=[01]", b"\r\nERROR\r\n", times=0)
        scene.opponent.answer(r"AT\+(CPMS|CMGL).*", b"\r\n+CMS ERROR: 314\r\n", times=0)
        scene.opponent.answer(r"AT\+CSCA\?", b"\r\n+CME ERROR: 14\r\n", times=0)
        scene.opponent.answer(r"AT\+(?!CMEE).*", b"\r\n+CME ERROR: 515\r\n", times=0)
        scene.call_later(seconds, scene.opponent.clear)
        scene.call_later(seconds, scene.opponent.say, ready)
        scene.store(1, PLAIN_SID_START)
        await scene.begin(seconds)
        assert scene.life.alive
        assert len(scene.opponent.lines()) <= 2 * seconds + 20
        await scene.passes(60)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.opponent.lines(rf"AT\+CPIN=.*|{RESETS}") == []
        assert len(scene.lives) == 1


@pytest.mark.parametrize(
    ("mode", "refusal"),
    [
        *itertools.product(["pdu"], ["CMS 314", "CMS 302", "CMS 310", "CME 14", "ERROR", "CMS 500"]),
        ("text", "CMS 314"),
        ("text", "ERROR"),
    ],
)
async def test_f44_after_a_power_up(tmp_path, mode, refusal):
    """A module that has just got its power: SIM after 5 s, messages 25 s later, in any words."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.power_off()
        scene.module.device = structs.replace(
            scene.module.device, card_s=5, messages_s=25, messages_not_ready=refusal
        )
        scene.module.power_on()
        scene.store(1, PLAIN_SID_START)
        await scene.begin(120)
        assert scene.carried_out == ["led on"]
        assert scene.opponent.lines(RESETS) == []
        assert len(scene.lives) == 1


# F56


class Asleep:
    """What is written after so much silence loses its first octets; the beheaded line may get an ERROR."""

    def __init__(self, scene, lost, says):
        self.scene, self.lost, self.says = scene, lost, says
        self.written_at = 0.0
        self.struck = []
        scene.opponent.hears = self.hears

    def hears(self, data):
        now = self.scene.loop.time()
        idle, self.written_at = now - self.written_at > 30, now
        if not idle:
            return data
        self.struck.append(data)
        if self.says and len(data) > self.lost:
            self.scene.call_later(0.01, self.scene.opponent.say, self.says)
        return data[self.lost :] if not self.says else b""


@pytest.mark.parametrize("says", [b"", b"\r\nERROR\r\n"], ids=["no answer", "ERROR"])
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
async def test_f56_the_first_octets_are_lost(tmp_path, mode, lost, says):
    """After every idle half minute: each Command is carried out and answered once, within half a minute."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        asleep = Asleep(scene, lost, says)
        for number in range(5):
            await scene.passes(100)
            scene.arrive(numbered(number))
            await scene.passes(45)
            assert len(scene.bodies) == number + 1
        assert len(asleep.struck) >= 5
        assert scene.carried_out == [f"blink {number}" for number in range(5)]
        assert scene.slots() == []
        assert not any(struck.startswith((b"AT+CMGS", b"AT+CMGD")) for struck in asleep.struck)
        assert scene.life.agent._supervisor.connection.sessions == 1


# F57


async def test_f57_each_message_takes_the_power_down(tmp_path, mode):
    """300 ms after each Ctrl-Z the port is gone for 8 s: sending rests ever longer, receiving goes on."""
    async with Scene(tmp_path, mode) as scene:
        downs = []

        def hears(data):
            if b"\x1a" in data and (not downs or scene.loop.time() - downs[-1] > 1):
                downs.append(scene.loop.time())
                scene.call_later(0.3, scene.module.power_off)
                scene.call_later(0.3, scene.port.unplug)
                scene.call_later(8.3, scene.port.plug)
                scene.call_later(8.3, scene.module.power_on)
            return data

        await scene.begin()
        scene.opponent.hears = hears
        for number in range(24):
            await scene.passes(240)
            scene.arrive(numbered(number))
            await scene.passes(60)
        await scene.passes(60)
        assert len(set(scene.carried_out)) == len(scene.carried_out) == 24
        assert 3 <= len(downs) <= 7
        waits = [after - before for before, after in itertools.pairwise(downs)][1:]
        assert all(after > 1.2 * before for before, after in itertools.pairwise(waits))
        assert len(scene.bodies) == len(set(scene.bodies))
        assert any("power" in line for line in scene.log(weight=30))
        assert scene.opponent.lines(RESETS) == []


# F58


GONE = [b"+CPIN: NOT READY", b"+CPIN: NOT INSERTED", b"+QUSIM: 0", b""]
SAYS = [b"+CME ERROR: 10", b"+CME ERROR: 13", b"+CMS ERROR: 310"]


@pytest.mark.parametrize(
    ("mode", "code", "refusal"),
    [*itertools.product(["pdu"], GONE, SAYS), ("text", GONE[0], SAYS[1]), ("text", b"", SAYS[0])],
)
async def test_f58_the_sim_is_gone(tmp_path, mode, code, refusal):
    """CFUN=0, CFUN=1 brings it back: done by itself, within a budget, and everything is taken then."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()

        def hears(data):
            if (
                b"AT+CFUN=1\r" in data and scene.opponent.lines(r"AT\+CFUN=[04]")
            ) or b"AT+CFUN=1,1\r" in data:
                scene.opponent.clear()
            return data

        scene.opponent.hears = hears
        commands = r"AT\+(CPIN\?|CMG[LRDS].*|CPMS.*|CSCA.*|CIMI|CN?UM|C?CID|QCCID|C?ICCID|CMGF=.*)"
        gone = scene.opponent.answer(commands, b"\r\n" + refusal + b"\r\n", times=0)
        if code:
            scene.opponent.say(b"\r\n" + code + b"\r\n")
        scene.store(3, PLAIN_SID_START)
        await scene.passes(HOUR)
        assert gone.struck
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.slots() == []
        assert len(scene.opponent.lines(r"AT\+CFUN=0|" + RESETS)) <= 3
        assert scene.opponent.lines(r"AT\+CPIN=.*") == []
        assert len(scene.lives) == 1


async def test_f58_another_sim(tmp_path, mode):
    """A changed SIM is told, and gets neither PIN nor service centre of the one before."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.module.faults.add("sim-removed:for=30")
        await scene.passes(20)
        scene.sim.iccid = "89440000000000000025"
        scene.sim.service_centre = Address("", 0, 1)
        await scene.passes(HOUR)
        assert scene.sim.service_centre.number == ""
        assert scene.opponent.lines(r"AT\+CPIN=.*") == []
        assert any("89440000000000000025" in line or "another SIM" in line for line in scene.log())
        scene.sim.service_centre = Address.parse("+447700900000")
        scene.arrive(PLAIN_SID_START)
        await scene.passes(120)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]


# F66


@pytest.mark.parametrize("state", [0, 4])
async def test_f66_the_radio_is_off(tmp_path, mode, state):
    """+CFUN=1 is asked once, has 12 s and more, and then the network is there."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.power.switch(state)
        scene.opponent.rewrite(r"AT\+CFUN=1", re.compile(rb"\r\nOK\r\n"), [12.0, b"\r\nOK\r\n"])
        await scene.begin(60)
        assert len(scene.opponent.lines(r"AT\+CFUN=1")) == 1
        assert scene.opponent.lines(RESETS) == []
        notes = scene.life.agent._supervisor.connection.session.modem.condition.notes
        assert f"the radio was off (+CFUN: {state})" in notes
        assert not any("ignored" in note for note in notes)
        scene.arrive(PLAIN_SID_START)
        await scene.passes(30)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]


@pytest.mark.parametrize(
    "says", [b"\r\n+CME ERROR: 13\r\n", b"\r\nOK\r\n", b"\r\nERROR\r\n"], ids=["13", "stays", "ERROR"]
)
@pytest.mark.parametrize("state", [0, 4])
async def test_f66_the_radio_stays_off(tmp_path, mode, state, says):
    """Said, and gone about within the budget of resets; never a storm of them."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.power.switch(state)
        scene.opponent.answer(r"AT\+CFUN=1", says, times=0)
        scene.opponent.rewrite(r"AT\+CFUN\?", re.compile(rb"\+CFUN: \d"), f"+CFUN: {state}".encode(), times=0)
        scene.opponent.answer(RESETS, b"\r\nOK\r\n", times=0)
        await scene.begin(2 * HOUR)
        assert scene.life.alive
        assert any("radio" in line.lower() for line in scene.log())
        assert len(scene.opponent.lines(RESETS)) <= 6
        assert len(scene.opponent.lines(r"AT\+CFUN=1")) <= 60
        status = await scene.life.agent._desk.status({})
        assert "radio" in str(status) or "SIM" in str(status)


# F75


async def test_f75_signal_unknown(tmp_path, mode):
    """99 is no number, and alone no reason to do anything."""
    async with Scene(tmp_path, mode) as scene:
        scene.opponent.answer(r"AT\+CSQ", b"\r\n+CSQ: 99,99\r\n\r\nOK\r\n", times=0)
        await scene.begin(250)
        status = await scene.life.agent._desk.status({})
        assert status["modem"]["signal_dbm"] is None
        assert "signal unknown" in status["modem"]["state"]
        scene.arrive(PLAIN_SID_START)
        await scene.passes(10)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.said("recovery") == []
        scene.opponent.clear()
        scene.opponent.answer(r"AT\+CSQ", b"\r\n+CSQ: 18,99\r\n\r\nOK\r\n", times=0)
        await scene.passes(320)
        assert (await scene.life.agent._desk.status({}))["modem"]["signal_dbm"] == -77
        assert scene.log(weight=30) == []


@pytest.mark.parametrize(
    "says", ["+CSQ: 99,99", "+CSQ: 255,99", "+CSQ: ,", "+CSQ: x", "+CSQ: 199,99", "+CSQ:99"]
)
async def test_f75_no_number_is_made_of_it(tmp_path, mode, says):
    """Whatever stands there."""
    async with Scene(tmp_path, mode) as scene:
        scene.opponent.answer(r"AT\+CSQ", f"\r\n{says}\r\n\r\nOK\r\n".encode(), times=0)
        await scene.begin(60)
        status = await scene.life.agent._desk.status({})
        assert status["modem"]["signal_dbm"] is None
        assert scene.life.agent._supervisor.connection.sessions == 1
