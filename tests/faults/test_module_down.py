"""F14 F15 F22 F31: a module that does not answer, restarts, has no network, or needs a PIN."""

import itertools
import re

import pytest

from agent.common.config import RecoveryConfig
from agent.modem.sim import Pin
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware.power import PowerUnavailable
from hardware.power_command import CommandPowerSwitch
from hardware.sim.module.sim_card import SimCard

HOUR = 3600


class FakePower:
    """A power switch for the simulated module."""

    name = "the power switch of the test"
    is_toggle = False

    def __init__(self):
        self.world = None
        self.cycles = []

    async def power_cycle(self, driver):
        self.cycles.append(self.world.loop.time())
        self.world.module.power_off()
        await self.world.advance(2)
        self.world.module.power_on()

    async def power_on(self, driver):
        await self.power_cycle(driver)


async def test_f14_mute_module_is_recovered_by_a_power_cycle(tmp_path, message_format):
    """The agent reopens the port, restarts the module by command, then cycles its power."""
    switch = FakePower()
    async with FaultWorld(
        tmp_path, message_format, dependencies={"power": switch, "describe_module_users": lambda: ""}
    ) as world:
        switch.world = world
        await world.start_and_settle(60)
        world.module.faults.add("mute:for=0")
        world.store_pdu(3, PLAIN_SID_START)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await world.advance(2 * HOUR)
        assert len(switch.cycles) == 1
        assert world.port.open_count > 3
        assert world.interceptor.agent_octets.count(b"AT+CFUN=1,1") >= 1
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.unforced_ends == []
        assert world.query_journal("SELECT action FROM resets ORDER BY id") == [("restart",), ("power",)]


async def test_f14_mute_module_is_recovered_by_a_program_that_switches_its_supply(tmp_path):
    """The program is called with `off` and `on`. One `off` fails, and the module is left on."""
    calls, failures = [], [PowerUnavailable("exit status 1")]

    async def run_command(arguments):
        calls.append(*arguments)
        if arguments == ("off",):
            if failures:
                raise failures.pop()
            world.module.power_off()
        elif calls.count("off") == 2:  # the first one has failed
            world.module.power_on()

    config = RecoveryConfig(power="command", power_command=("/bin/switch",))
    switch = CommandPowerSwitch(config, run_command, tmp_path / "power-off")
    async with FaultWorld(
        tmp_path, "pdu", dependencies={"power": switch, "describe_module_users": lambda: ""}
    ) as world:
        await world.start_and_settle(60)
        world.module.faults.add("mute:for=0")
        world.store_pdu(3, PLAIN_SID_START)
        await world.advance(4 * HOUR)
        assert calls == ["off", "on", "off", "on"]
        assert world.executed == ["led on"]
        resets = world.query_journal("SELECT action FROM resets ORDER BY id")
        assert resets == [("restart",), ("power",), ("power",)]


@pytest.mark.long
async def test_f14_permanently_mute_module_uses_a_bounded_reset_budget(tmp_path, message_format):
    """In a day without any response, resets stay within the stored budget across restarts of the agent."""
    switch = FakePower()
    async with FaultWorld(
        tmp_path, message_format, dependencies={"power": switch, "describe_module_users": lambda: ""}
    ) as world:
        switch.world = world
        await world.start_and_settle(60)
        world.interceptor.filter_to_module = world.interceptor.filter_to_agent = lambda data: b""
        for _ in range(24):
            await world.advance(HOUR)
            if not world.current_run.is_alive:
                world.start()
        resets = world.query_journal("SELECT at_uptime FROM resets ORDER BY id")
        assert 3 <= len(resets) <= 12
        assert world.port.open_count < 24 * 60
        assert world.sd_notifications[-1][2] != "STOPPING=1"


DOMAINS = ("CREG", "CGREG", "CEREG")


async def test_f15_packet_registration_is_enough_to_send(tmp_path, message_format):
    """+CREG is denied, +CGREG and +CEREG are roaming: the status shows both, and the reply is sent."""
    async with FaultWorld(tmp_path, message_format) as world:
        for domain, stat in zip(DOMAINS, (3, 5, 5), strict=True):
            world.interceptor.rewrite(rf"AT\+{domain}\?", re.compile(rb"\d,\d"), b"1,%d" % stat, times=0)
        await world.start_and_settle(60)
        registration = world.connection.session.describe()["registration"]
        assert "denied" in registration
        assert "roaming" in registration
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.sent_bodies == ["did led on"]


async def test_f15_lost_registration_is_recovered_by_cops_then_cfun(tmp_path, message_format):
    """Replies stay queued. +COPS=0 is sent first, then +CFUN, each after ten minutes at the earliest."""
    async with FaultWorld(
        tmp_path, message_format, dependencies={"describe_module_users": lambda: ""}
    ) as world:
        await world.start_and_settle(60)
        world.interceptor.answer(r"AT\+COPS=0", b"\r\nOK\r\n", times=0)
        world.module.set_registration(2)
        lost_at = world.loop.time()
        world.store_pdu(3, PLAIN_SID_START)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await world.advance(500)
        assert world.executed == ["led on"]
        assert [state for state, _ in world.replies] == ["queued"]
        await world.advance(2 * HOUR)
        steps = [
            (at - lost_at, line)
            for at, line in world.interceptor.commands
            if re.match(r"AT\+(COPS=0|CFUN=)", line)
        ]
        assert [line for _, line in steps][:3] == ["AT+COPS=0", "AT+CFUN=4", "AT+CFUN=1"]
        assert steps[0][0] >= 590
        assert steps[1][0] - steps[0][0] >= 590
        assert len(steps) == 3
        assert world.sent_bodies == ["did led on"]
        assert [state for state, _ in world.replies] == ["sent"]


@pytest.mark.long
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f15_denied_registration_is_retried_hourly(tmp_path, message_format):
    """While registration is denied, the radio is cycled at most once an hour, and replies stay queued."""
    async with FaultWorld(
        tmp_path, message_format, dependencies={"describe_module_users": lambda: ""}
    ) as world:
        await world.start_and_settle(60)
        world.network.attach = lambda station: 3
        world.module.set_registration(3, 11)
        world.store_pdu(3, PLAIN_SID_START)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        for _ in range(20):
            await world.advance(HOUR)
            if not world.current_run.is_alive:
                world.start()
        radio_commands = [
            at
            for at, line in world.interceptor.commands
            if re.match(r"AT\+(COPS=0|CFUN=[04]|CFUN=1,1)", line)
        ]
        assert 1 <= len(radio_commands) <= 12
        assert min(later - earlier for earlier, later in itertools.pairwise(radio_commands)) >= 0.99 * HOUR
        del world.network.attach
        world.module.set_registration(1)
        await world.advance(5 * HOUR)
        assert world.sent_bodies == ["did led on"]


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


def reboot_with_defaults(world, lines):
    """Restart the module with echo on, the SIM's store, no notifications and no numeric errors."""
    world.module.saved_settings.echo = True
    world.module.saved_settings.cpms = ("SM", "SM", "SM")
    world.module.saved_settings.cnmi = (0, 0, 0, 0, 0)
    world.module.saved_settings.cmee = 0
    world.module.reboot(print_boot_lines=False)
    world.interceptor.send_to_agent(lines)


@pytest.mark.parametrize("boot", BOOTS.values(), ids=BOOTS)
async def test_f31_announced_restart_is_set_up_once(tmp_path, message_format, boot):
    """After the boot URC the module is set up once, the stores are read, and notifications arrive again."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(100)
        written = len(world.interceptor.commands)
        world.store_pdu(2, PLAIN_SID_START, 1)
        reboot_with_defaults(world, boot)
        await world.advance(30)
        lines = [line for _, line in world.interceptor.commands[written:]]
        assert world.executed == ["led on"]
        assert world.module.settings.cnmi[:2] == (2, 1)
        assert len(set(world.module.settings.cpms)) == 1
        assert world.module.settings.cmee == 1
        assert not world.module.settings.echo
        assert sum(line.startswith("AT+CNMI=2") for line in lines) == 1
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(5)
        assert world.executed == ["led on", "led 2"]


@pytest.mark.parametrize(
    "boot", [BOOTS["SIMCom"], BOOTS["Quectel"], b""], ids=["SIMCom", "Quectel", "silent"]
)
@pytest.mark.parametrize(
    "when", ["in a read", "at the prompt", "in the body", "after the body", "in a delete"]
)
async def test_f31_restart_during_a_command(tmp_path, message_format, when, boot):
    """The pending command gets no response: the Command is executed once, and an unclear send is unknown."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(100)
        command, old = {
            "in a read": (r"AT\+CMGR=.*", b"+CMGR"),
            "at the prompt": (r"AT\+CMGS=.*", b"> "),
            "after the body": (r"AT\+CMGS=.*", b"+CMGS"),
            "in a delete": (r"AT\+CMGD=.*", b"OK"),
        }.get(when, ("never", b"never"))
        rule = world.interceptor.rewrite(command, old, b"\x00")
        restarts = []

        def restart():
            if not restarts:
                restarts.append(True)
                reboot_with_defaults(world, boot)

        def filter_output(data):
            if rule.applied and not restarts:
                world.call_later(0, restart)
                return b""
            return data

        def filter_input(data):
            if when == "in the body" and world.module.command_reader.is_text_entry_open and not restarts:
                world.call_later(0, restart)
                return data[:10]
            return data

        world.interceptor.filter_to_agent, world.interceptor.filter_to_module = filter_output, filter_input
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(400)
        assert restarts
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(400)
        assert world.executed == ["led on", "led 2"]
        assert world.stored_indices() == world.stored_indices("SM") == []
        unknown = when in {"in the body", "after the body"}
        assert [state for state, _ in world.replies] == ["unknown" if unknown else "sent", "sent"]
        assert world.sent_bodies.count("did led on") == (0 if when == "in the body" else 1)


WRONG_PIN = {"pin": Pin("9999", "/etc/modem-agent/pin")}


def locked_sim(pin_retries=3):
    return SimCard(imsi="001010000000001", pin="1234", pin_retries=pin_retries)


async def test_f22_correct_pin_unlocks_the_sim(tmp_path, message_format):
    """One attempt is enough, and the agent works."""
    async with FaultWorld(
        tmp_path, message_format, sim=locked_sim(), dependencies={"pin": Pin("1234", "a file")}
    ) as world:
        await world.start_and_settle(120)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.executed == ["led on"]
        assert world.sim.pin_retries == 3


@pytest.mark.parametrize("counter", ["retries known", "retries unknown"])
async def test_f22_wrong_pin_is_tried_once(tmp_path, message_format, counter):
    """After several starts of agent and module two retries are left, and the log contains the remedy."""
    async with FaultWorld(tmp_path, message_format, sim=locked_sim(), dependencies=WRONG_PIN) as world:
        if counter == "retries unknown":
            world.interceptor.answer(r"AT\+CPINR.*|AT\+SPIC.*|AT\+QPINC.*", b"\r\nERROR\r\n", times=0)
        for start in range(4):
            await world.start_and_settle(600)
            if start % 2:
                await world.current_run.stop()
            else:
                world.current_run.kill("SIGKILL")
            world.module.reboot()
            await world.advance(30)
        assert world.sim.pin_retries == 2
        assert len([line for line in world.log_lines(30) if "refused" in line or "wrong" in line]) >= 1
        assert b"9999" not in str(world.log_lines()).encode()


@pytest.mark.long
async def test_f22_changed_pin_is_tried_but_never_with_the_last_retry(tmp_path, message_format):
    """A second wrong PIN is tried once. With one retry left no PIN is entered, not even the correct one."""
    async with FaultWorld(tmp_path, message_format, sim=locked_sim(), dependencies=WRONG_PIN) as world:
        await world.start_and_settle(300)
        await world.current_run.stop()
        world.dependencies = {"pin": Pin("8888", "a file")}
        await world.start_and_settle(300)
        await world.current_run.stop()
        assert world.sim.pin_retries == 1
        world.dependencies = {"pin": Pin("1234", "a file")}
        await world.start_and_settle(3 * HOUR)
        assert world.sim.pin_retries == 1
        assert "PUK" not in "".join(world.interceptor.commands_matching())


@pytest.mark.long
@pytest.mark.parametrize("state", [1, 0])
async def test_f22_no_pin_is_entered_with_one_retry_left_or_puk(tmp_path, message_format, state):
    """For hours no PIN is entered, and the log contains the reason."""
    async with FaultWorld(
        tmp_path, message_format, sim=locked_sim(state), dependencies={"pin": Pin("1234", "a file")}
    ) as world:
        await world.start_and_settle(4 * HOUR)
        assert not [line for line in world.interceptor.commands_matching() if line.startswith("AT+CPIN=")]
        assert [line for line in world.log_lines(30) if "PUK" in line or "1 try left" in line]
