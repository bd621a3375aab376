"""Modules that are mute, restart, or find no network."""

import itertools
import re

import pytest

from agent.modem.sim import Pin
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware.sim.module.sim_card import SimCard

HOUR = 3600


class FakePower:
    """The power of the simulated module."""

    name = "the switch of the bench"
    is_toggle = False

    def __init__(self):
        self.scene = None
        self.cycles = []

    async def power_cycle(self, driver):
        self.cycles.append(self.scene.loop.time())
        self.scene.module.power_off()
        await self.scene.advance(2)
        self.scene.module.power_on()

    async def power_on(self, driver):
        await self.power_cycle(driver)


async def test_f14_mute_until_its_power_is_cycled(tmp_path, message_format):
    """Reopened, restarted by command, then by its power; nothing is lost meanwhile, the process lives on."""
    switch = FakePower()
    async with FaultWorld(
        tmp_path, message_format, dependencies={"power": switch, "describe_module_users": lambda: ""}
    ) as scene:
        switch.scene = scene
        await scene.start_and_settle(60)
        scene.module.faults.add("mute:for=0")
        scene.store_pdu(3, PLAIN_SID_START)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await scene.advance(2 * HOUR)
        assert len(switch.cycles) == 1
        assert scene.port.open_count > 3
        assert scene.interceptor.agent_octets.count(b"AT+CFUN=1,1") >= 1
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.unforced_ends == []
        assert scene.query_journal("SELECT action FROM resets ORDER BY id") == [("restart",), ("power",)]


async def test_f14_mute_for_good(tmp_path, message_format):
    """A day of silence: steps stay within the budget on disk, whatever is started anew; waits grow."""
    switch = FakePower()
    async with FaultWorld(
        tmp_path, message_format, dependencies={"power": switch, "describe_module_users": lambda: ""}
    ) as scene:
        switch.scene = scene
        scene.module.faults.clear_mute = lambda: None
        await scene.start_and_settle(60)
        scene.module.faults.add("mute:for=0")
        for _ in range(24):
            await scene.advance(HOUR)
            if not scene.current_run.is_alive:
                scene.start()
        used = scene.query_journal("SELECT at_uptime FROM resets ORDER BY id")
        assert 3 <= len(used) <= 12
        assert scene.port.open_count < 24 * 60
        assert scene.sd_notifications[-1][2] != "STOPPING=1"


DOMAINS = ("CREG", "CGREG", "CEREG")


async def test_f15_circuit_denied_packet_registered(tmp_path, message_format):
    """+CREG says denied, +CGREG and +CEREG roaming: both are shown; what one domain carries is sent."""
    async with FaultWorld(tmp_path, message_format) as scene:
        for domain, stat in zip(DOMAINS, (3, 5, 5), strict=True):
            scene.interceptor.rewrite(rf"AT\+{domain}\?", re.compile(rb"\d,\d"), b"1,%d" % stat, times=0)
        await scene.start_and_settle(60)
        shown = scene.current_run.agent.components.supervisor.connection.session.describe()["registration"]
        assert "denied" in shown
        assert "roaming" in shown
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        assert scene.sent_bodies == ["did led on"]


async def test_f15_no_network_until_the_radio_is_cycled(tmp_path, message_format):
    """Replies are held, not failed; COPS=0 first, then CFUN, not before ten minutes each."""
    async with FaultWorld(
        tmp_path, message_format, dependencies={"describe_module_users": lambda: ""}
    ) as scene:
        await scene.start_and_settle(60)
        scene.interceptor.answer(r"AT\+COPS=0", b"\r\nOK\r\n", times=0)
        scene.module.set_registration(2)
        lost = scene.loop.time()
        scene.store_pdu(3, PLAIN_SID_START)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await scene.advance(500)
        assert scene.executed == ["led on"]
        assert [state for state, _ in scene.replies] == ["queued"]
        await scene.advance(2 * HOUR)
        steps = [
            (at - lost, line)
            for at, line in scene.interceptor.commands
            if re.match(r"AT\+(COPS=0|CFUN=)", line)
        ]
        assert [line for _, line in steps][:3] == ["AT+COPS=0", "AT+CFUN=4", "AT+CFUN=1"]
        assert steps[0][0] >= 590
        assert steps[1][0] - steps[0][0] >= 590
        assert len(steps) == 3
        assert scene.sent_bodies == ["did led on"]
        assert [state for state, _ in scene.replies] == ["sent"]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f15_denied_for_a_day(tmp_path, message_format):
    """Whom the network denies asks again at most once an hour; replies wait within their age."""
    async with FaultWorld(
        tmp_path, message_format, dependencies={"describe_module_users": lambda: ""}
    ) as scene:
        await scene.start_and_settle(60)
        scene.network.attach = lambda station: 3
        scene.module.set_registration(3, 11)
        scene.store_pdu(3, PLAIN_SID_START)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        for _ in range(20):
            await scene.advance(HOUR)
            if not scene.current_run.is_alive:
                scene.start()
        radios = [
            at
            for at, line in scene.interceptor.commands
            if re.match(r"AT\+(COPS=0|CFUN=[04]|CFUN=1,1)", line)
        ]
        assert 1 <= len(radios) <= 12
        assert min(later - earlier for earlier, later in itertools.pairwise(radios)) >= 0.99 * HOUR
        del scene.network.attach
        scene.module.set_registration(1)
        await scene.advance(5 * HOUR)
        assert scene.sent_bodies == ["did led on"]


BOOTS = {
    "SIMCom": b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\nCall Ready\r\n\r\nSMS Ready\r\n",
    "SIMCom, slowly": [
        b"\r\nRDY\r\n", 1, b"\r\n+CFUN: 1\r\n", 3, b"\r\n+CPIN: READY\r\n", 4,
        b"\r\nCall Ready\r\n", 2, b"\r\nSMS Ready\r\n",
    ],
    "Quectel": b"\r\nAPP RDY\r\n",
    "Gemalto": b"\r\n^SYSSTART\r\n",
    "Huawei": b"\r\n^BOOT:12345678,0,0,0,75\r\n",
    "ready alone": b"\r\nSMS Ready\r\n",
}  # fmt: skip


def reboots(scene, lines):
    """It restarts: echo on, stores on the card, no codes, no numbers, and what was under way is gone."""
    scene.module.saved_settings.echo = True
    scene.module.saved_settings.cpms = ("SM", "SM", "SM")
    scene.module.saved_settings.cnmi = (0, 0, 0, 0, 0)
    scene.module.saved_settings.cmee = 0
    scene.module.reboot(print_boot_lines=False)
    scene.interceptor.send_to_agent(lines)


@pytest.mark.parametrize("boot", BOOTS.values(), ids=BOOTS)
async def test_f31_the_module_says_that_it_restarted(tmp_path, message_format, boot):
    """Set up again, once; the stores are looked through; codes come again."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle(100)
        written = len(scene.interceptor.commands)
        scene.store_pdu(2, PLAIN_SID_START, 1)
        reboots(scene, boot)
        await scene.advance(30)
        lines = [line for _, line in scene.interceptor.commands[written:]]
        assert scene.executed == ["led on"]
        assert scene.module.settings.cnmi[:2] == (2, 1)
        assert len(set(scene.module.settings.cpms)) == 1
        assert scene.module.settings.cmee == 1
        assert not scene.module.settings.echo
        assert sum(line.startswith("AT+CNMI=2") for line in lines) == 1
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(5)
        assert scene.executed == ["led on", "led 2"]


@pytest.mark.parametrize(
    "boot", [BOOTS["SIMCom"], BOOTS["Quectel"], b""], ids=["SIMCom", "Quectel", "silent"]
)
@pytest.mark.parametrize(
    "when", ["in a read", "at the prompt", "in the body", "after the body", "in a delete"]
)
async def test_f31_it_restarts_in_the_middle(tmp_path, message_format, when, boot):
    """The command under way is never answered: the Command runs once, what may have left is unknown."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle(100)
        command, old = {
            "in a read": (r"AT\+CMGR=.*", b"+CMGR"),
            "at the prompt": (r"AT\+CMGS=.*", b"> "),
            "after the body": (r"AT\+CMGS=.*", b"+CMGS"),
            "in a delete": (r"AT\+CMGD=.*", b"OK"),
        }.get(when, ("never", b"never"))
        rule = scene.interceptor.rewrite(command, old, b"\x00")
        done = []

        def restart():
            if not done:
                done.append(True)
                reboots(scene, boot)

        def tells(data):
            if rule.applied and not done:
                scene.call_later(0, restart)
                return b""
            return data

        def hears(data):
            if when == "in the body" and scene.module.command_reader.is_text_entry_open and not done:
                scene.call_later(0, restart)
                return data[:10]
            return data

        scene.interceptor.filter_to_agent, scene.interceptor.filter_to_module = tells, hears
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(400)
        assert done
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(400)
        assert scene.executed == ["led on", "led 2"]
        assert scene.stored_indices() == scene.stored_indices("SM") == []
        unknown = when in {"in the body", "after the body"}
        assert [state for state, _ in scene.replies] == ["unknown" if unknown else "sent", "sent"]
        assert scene.sent_bodies.count("did led on") == (0 if when == "in the body" else 1)


WRONG = {"pin": Pin("9999", "/etc/modem-agent/pin")}


def locked(tries=3):
    return SimCard(imsi="001010000000001", pin="1234", pin_retries=tries)


async def test_f22_the_right_pin_opens_the_card(tmp_path, message_format):
    """One attempt, and the agent works."""
    async with FaultWorld(
        tmp_path, message_format, sim=locked(), dependencies={"pin": Pin("1234", "a file")}
    ) as scene:
        await scene.start_and_settle(120)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert scene.executed == ["led on"]
        assert scene.sim.pin_retries == 3


@pytest.mark.parametrize("asks", ["tries known", "tries not told"])
async def test_f22_a_wrong_pin_is_tried_once(tmp_path, message_format, asks):
    """However often agent and module are started: two tries are left, and a person is told what to do."""
    async with FaultWorld(tmp_path, message_format, sim=locked(), dependencies=WRONG) as scene:
        if asks == "tries not told":
            scene.interceptor.answer(r"AT\+CPINR.*|AT\+SPIC.*|AT\+QPINC.*", b"\r\nERROR\r\n", times=0)
        for round_ in range(4):
            await scene.start_and_settle(600)
            if round_ % 2:
                await scene.current_run.stop()
            else:
                scene.current_run.kill("SIGKILL")
            scene.module.reboot()
            await scene.advance(30)
        assert scene.sim.pin_retries == 2
        assert len([line for line in scene.log_lines(30) if "refused" in line or "wrong" in line]) >= 1
        assert b"9999" not in str(scene.log_lines()).encode()


async def test_f22_another_pin_gets_its_own_attempt_but_not_the_last(tmp_path, message_format):
    """A second wrong value is tried once too; with one try left none is, not even the right one."""
    async with FaultWorld(tmp_path, message_format, sim=locked(), dependencies=WRONG) as scene:
        await scene.start_and_settle(300)
        await scene.current_run.stop()
        scene.dependencies = {"pin": Pin("8888", "a file")}
        await scene.start_and_settle(300)
        await scene.current_run.stop()
        assert scene.sim.pin_retries == 1
        scene.dependencies = {"pin": Pin("1234", "a file")}
        await scene.start_and_settle(3 * HOUR)
        assert scene.sim.pin_retries == 1
        assert "PUK" not in "".join(scene.interceptor.commands_matching())


@pytest.mark.parametrize("state", [1, 0])
async def test_f22_one_try_left_or_puk(tmp_path, message_format, state):
    """Nothing is entered at all, for hours."""
    async with FaultWorld(
        tmp_path, message_format, sim=locked(state), dependencies={"pin": Pin("1234", "a file")}
    ) as scene:
        await scene.start_and_settle(4 * HOUR)
        assert not [line for line in scene.interceptor.commands_matching() if line.startswith("AT+CPIN=")]
        assert [line for line in scene.log_lines(30) if "PUK" in line or "1 try left" in line]
