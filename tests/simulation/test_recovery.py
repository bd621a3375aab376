"""The whole agent and a simulated module that does not work: what helps, and what is kept meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from soak.world import Plan, World

HOUR = 3600.0


class Switch:
    """The module's power, in the hand of the agent."""

    name, is_key = "the test's switch", True

    def __init__(self, world):
        self._world = world
        self.pulses = []

    async def cycle(self, driver):
        self.pulses.append("cycle")
        self._world.module.power_off()
        await asyncio.sleep(5)
        self._world.module.power_on()

    async def press(self, driver):
        self.pulses.append("press")
        self._world.module.power_on()


def start(world, *, power=None, user=""):
    """A life of the agent with a power switch and neighbours of the test's own."""
    life = world.start()
    life.agent._seams = replace(life.agent._seams, power=power, in_use=lambda: user)
    return life


def lines(world):
    """What was said of remedies."""
    return [str(step) for step in world.said("recovery")]


def loud(world):
    return [step for _, _, step in world.steps if step.weight > 20]


async def test_a_module_that_is_mute_until_its_power_is_switched(tmp_path):
    """Restart in vain, then power; a Command of meanwhile is carried out, and its answer leaves."""
    async with World(tmp_path) as world:
        switch = Switch(world)
        start(world, power=switch)
        await world.passes(60)
        world.module.faults.add("mute:for=0")
        world.send("led 7")
        await world.passes(HOUR)
        assert switch.pulses == ["cycle"]
        assert [line.split(";")[0] for line in lines(world)] == [
            "recovery: the module does not answer: restart it by its own command",
            "recovery: the module does not answer: switch its power",
        ]
        assert [run.content for run in world.runs] == ["led 7"]
        assert world.bodies == ["did led 7"]
        assert len(loud(world)) < 15


async def test_a_restart_of_the_agent_refills_no_budget(tmp_path):
    """A module that stays mute, and an agent that is killed again and again."""
    async with World(tmp_path) as world:
        switch = Switch(world)
        switch.cycle = switch.press = lambda driver: asyncio.sleep(3)
        start(world, power=switch)
        await world.passes(60)
        world.module.faults.add("mute:for=0")
        for _ in range(12):
            await world.passes(HOUR / 3)
            world.life.kill("SIGKILL")
            await world.passes(5)
            start(world, power=switch)
        done = [line for line in lines(world) if "resets this hour" in line]
        assert 3 < len(done) <= 12
        assert max(int(line.split("; ")[1].split()[0]) for line in done) == 3


async def test_nothing_is_restarted_over_a_data_link(tmp_path):
    """The module carries the gateway's data: said once in six hours, and only then waited for."""
    async with World(tmp_path) as world:
        switch = Switch(world)
        start(world, power=switch, user="the network interface wwan0 of the same USB device is up")
        await world.passes(60)
        world.module.faults.add("mute:for=0")
        await world.passes(6 * HOUR)
        assert switch.pulses == []
        said = [step for step in world.said("recovery") if step.weight > 20]
        assert len(said) == 1
        assert "recovery.may_drop_data = true" in str(said[0])


async def test_a_module_that_somebody_switches_on_after_a_day(tmp_path):
    """Even right after the agent has tried in vain, a Command is carried out within two minutes."""
    async with World(tmp_path) as world:
        life = start(world, user="the network interface wwan0 of the same USB device is up")
        await world.passes(60)
        supervisor = life.agent._supervisor
        for day in range(3):
            world.module.faults.add("mute:for=0")
            await world.passes(24 * HOUR)
            for waits in (False, True):  # a try has just been in vain: the longest wait begins
                while (supervisor._modem is None) is not waits:
                    await world.passes(1)
            world.module.power_off()
            world.module.faults.restarted()
            world.module.power_on()
            world.send(f"led {day}")
            await world.passes(120)
            assert [run.content for run in world.runs][-1] == f"led {day}"
            assert supervisor.connection.session is not None


@pytest.mark.parametrize("stat", [2, 3])
async def test_answers_wait_for_a_network(tmp_path, stat):
    """Nothing is tried, counted or failed while no domain can carry messages; the radio cycle brings one."""
    async with World(tmp_path) as world:
        start(world)
        await world.passes(60)
        world.plans["led 7"] = Plan([(20, "ok")])
        world.send("led 7")
        await world.passes(10)
        world.module.faults.add(f"registration-lost:for=0,stat={stat}")
        world.module.faults.add("ignored:command=+COPS,times=0")
        await world.passes(500)
        assert len(world.runs) == 1
        assert world.bodies == []
        assert world.air.submits == []
        assert any("messages wait for a network" in str(step) for step in world.said("held"))
        await world.passes(2.5 * HOUR)
        assert world.bodies == ["did led 7"]
        assert len(world.air.submits) == 1
        steps = [line.split(": ")[2].split(";")[0] for line in lines(world)]
        assert steps[0].startswith("let the module choose its network anew")
        assert steps[1].startswith("switch its radio off and on")


async def test_a_sim_that_loses_contact(tmp_path):
    """Found gone, its power cycled, everything set up anew, and what came meanwhile carried out."""
    async with World(tmp_path) as world:
        start(world)
        await world.passes(60)
        world.module.faults.add("sim-removed:for=30")
        world.send("led 7")
        await world.passes(HOUR)
        assert lines(world)[0].startswith("recovery: the SIM is not seen: switch its radio off and on")
        assert len(lines(world)) <= 2
        assert world.bodies == ["did led 7"]


@pytest.mark.parametrize("says_ready", [False, True])
async def test_a_sim_that_stays_busy_in_a_session(tmp_path, says_ready):
    """The network says nothing of it; the refused sweeps do. Its power is cycled within minutes."""
    async with World(tmp_path) as world:
        start(world)
        await world.passes(60)
        if says_ready:
            world.module.faults.add("refused:command=+CMGL,refusal=CMS 314,times=0")
        else:
            world.module.card.power_down()
        world.send("led 7")
        await world.passes(15 * 60)
        assert lines(world)[0].startswith("recovery: the SIM stays busy: switch its radio off and on")
        if says_ready:
            world.module.faults.clear()
            await world.passes(15 * 60)
        assert world.bodies == ["did led 7"]
        assert len(lines(world)) <= 2


async def test_a_sim_that_is_busy_while_the_module_is_set_up(tmp_path):
    """That says nothing about stores: once it serves, messages are found in them."""
    async with World(tmp_path) as world:
        for command in ("+CPMS", "+CMGL"):
            world.module.faults.add(f"refused:command={command},refusal=CMS 314,times=0")
        start(world)
        world.send("led 7")
        await world.passes(400)
        assert world.runs == []
        world.module.faults.clear()
        await world.passes(300)
        assert world.bodies == ["did led 7"]


async def test_a_sim_that_is_busy_for_moments(tmp_path):
    """Twice two minutes, each time waited for: nothing is restarted."""
    async with World(tmp_path) as world:
        start(world)
        await world.passes(60)
        for number in range(2):
            world.module.faults.add("refused:command=+CMGL,refusal=CMS 314,times=2")
            await world.passes(600)
            world.send(f"led {number}")
            await world.passes(60)
        assert lines(world) == []
        assert len(world.bodies) == 2


async def test_a_module_that_each_message_takes_down(tmp_path):
    """Two answers are unknown, then sending rests and says power; receiving goes on."""
    async with World(tmp_path) as world:
        start(world)
        await world.passes(60)

        def leaves(data):
            if data.endswith(b"\x1a"):
                world.call_later(0.3, world.port.unplug)
                world.call_later(8.0, world.module.reboot)
                world.call_later(8.0, world.port.plug)

        world.port.leaves = leaves
        world.air.delay = 1.0
        for number in range(5):
            world.send(f"led {number}")
        await world.passes(200)
        assert len(world.runs) == 5
        assert len(world.said("unknown")) == 2
        assert len(world.said("power")) == 1
        assert "power supply" in str(world.said("power")[0])
        world.send("led 9")
        await world.passes(30)
        assert len(world.runs) == 6
        world.port.leaves = lambda data: None
        await world.passes(900)
        assert len(world.said("sent")) == 4


async def test_a_port_that_is_gone_for_a_day_is_only_waited_for(tmp_path):
    """One line, no reset; then all goes on."""
    async with World(tmp_path) as world:
        switch = Switch(world)
        start(world, power=switch)
        await world.passes(60)
        world.port.unplug()
        before = len(loud(world))
        await world.passes(24 * HOUR)
        assert len(loud(world)) - before <= 2
        assert switch.pulses == []
        assert lines(world) == []
        world.port.plug()
        world.send("led 7")
        await world.passes(120)
        assert world.bodies == ["did led 7"]


async def test_a_mute_module_in_the_end_ends_the_process(tmp_path):
    """With a sentence, for systemd to start another; not before an hour. Stopping takes moments."""
    async with World(tmp_path) as world:
        start(world)
        await world.passes(60)
        world.module.faults.add("mute:for=0")
        await world.passes(8 * HOUR)
        [(at, _, error)] = world.ends
        assert at > HOUR
        assert "nothing has helped for an hour" in str(error)
        assert not world.life.alive


async def test_a_sweep_waits_for_a_message_that_is_being_sent(tmp_path):
    """However long its result takes: that is no reason to start the agent anew."""
    async with World(tmp_path, device="nrf91") as world:
        life = start(world)
        await world.passes(250)
        world.module.faults.add("final-lost:command=+CMGS,times=0")
        world.air.delay = 1e6
        for number in range(3):
            world.send(f"led {number}")
        for _ in range(60):
            await world.passes(10)
            assert life.agent._health.late() == []


async def test_a_stop_in_the_middle_of_a_pulse(tmp_path):
    """As SIGTERM does: over within moments, the key let go, the reset counted by the next life."""
    async with World(tmp_path) as world:
        pressed = []

        class Slow(Switch):
            async def cycle(self, driver):
                pressed.append(True)
                try:
                    await asyncio.sleep(300)
                finally:
                    pressed.append(False)

        life = start(world, power=Slow(world))
        await world.passes(60)
        world.module.faults.add("mute:for=0")
        while pressed != [True]:
            await world.passes(1)
        began = world.loop.time()
        await life.stop()
        assert world.loop.time() - began < 5
        assert pressed == [True, False]
        used = life.agent._mender.used
        assert (used.hour, used.day) == (2, 2)
