"""The whole agent and a simulated module that does not work: what helps, and what is kept meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from soak.world import HandlerPlan, World

HOUR = 3600.0


class FakePower:
    """The module's power, in the hand of the agent."""

    name, is_toggle = "the test's switch", True

    def __init__(self, world):
        self._world = world
        self.calls = []

    async def power_cycle(self, driver):
        self.calls.append("cycle")
        self._world.module.power_off()
        await asyncio.sleep(5)
        self._world.module.power_on()

    async def power_on(self, driver):
        self.calls.append("press")
        self._world.module.power_on()


def start_agent(world, *, power=None, user=""):
    """A life of the agent with a power switch and neighbours of the test's own."""
    life = world.start()
    life.agent._dependencies = replace(
        life.agent._dependencies, power=power, describe_module_users=lambda: user
    )
    return life


def recovery_lines(world):
    """What was said of remedies."""
    return [str(step) for step in world.events_of_kind("recovery")]


def warnings(world):
    return [step for _, _, step in world.events if step.severity > 20]


async def test_a_module_that_is_mute_until_its_power_is_switched(tmp_path):
    """Restart in vain, then power; a Command of meanwhile is carried out, and its answer leaves."""
    async with World(tmp_path) as world:
        switch = FakePower(world)
        start_agent(world, power=switch)
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        world.send("led 7")
        await world.advance(HOUR)
        assert switch.calls == ["cycle"]
        assert [line.split(";")[0] for line in recovery_lines(world)] == [
            "recovery: the module does not answer: restart it by its own command",
            "recovery: the module does not answer: switch its power",
        ]
        assert [run.content for run in world.handler_runs] == ["led 7"]
        assert world.sent_bodies == ["did led 7"]
        assert len(warnings(world)) < 15


async def test_a_restart_of_the_agent_refills_no_budget(tmp_path):
    """A module that stays mute, and an agent that is killed again and again."""
    async with World(tmp_path) as world:
        switch = FakePower(world)
        switch.power_cycle = switch.power_on = lambda driver: asyncio.sleep(3)
        start_agent(world, power=switch)
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        for _ in range(12):
            await world.advance(HOUR / 3)
            world.current_run.kill("SIGKILL")
            await world.advance(5)
            start_agent(world, power=switch)
        done = [line for line in recovery_lines(world) if "resets this hour" in line]
        assert 3 < len(done) <= 12
        assert max(int(line.split("; ")[1].split()[0]) for line in done) == 3


async def test_nothing_is_restarted_over_a_data_link(tmp_path):
    """The module carries the gateway's data: said once in six hours, and only then waited for."""
    async with World(tmp_path) as world:
        switch = FakePower(world)
        start_agent(world, power=switch, user="the network interface wwan0 of the same USB device is up")
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        await world.advance(6 * HOUR)
        assert switch.calls == []
        said = [step for step in world.events_of_kind("recovery") if step.severity > 20]
        assert len(said) == 1
        assert "recovery.may_drop_data = true" in str(said[0])


async def test_a_module_that_somebody_switches_on_after_a_day(tmp_path):
    """Even right after the agent has tried in vain, a Command is carried out within two minutes."""
    async with World(tmp_path) as world:
        life = start_agent(world, user="the network interface wwan0 of the same USB device is up")
        await world.advance(60)
        supervisor = life.agent.components.supervisor
        for day in range(3):
            world.module.faults.add("mute:for=0")
            await world.advance(24 * HOUR)
            for waits in (False, True):  # a try has just been in vain: the longest wait begins
                while (supervisor._modem is None) is not waits:
                    await world.advance(1)
            world.module.power_off()
            world.module.faults.clear_mute()
            world.module.power_on()
            world.send(f"led {day}")
            await world.advance(120)
            assert [run.content for run in world.handler_runs][-1] == f"led {day}"
            assert supervisor.connection.session is not None


@pytest.mark.parametrize("stat", [2, 3])
async def test_answers_wait_for_a_network(tmp_path, stat):
    """Nothing is tried, counted or failed while no domain can carry messages; the radio cycle brings one."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)
        world.plans["led 7"] = HandlerPlan([(20, "ok")])
        world.send("led 7")
        await world.advance(10)
        world.module.faults.add(f"registration-lost:for=0,stat={stat}")
        world.module.faults.add("ignored:command=+COPS,times=0")
        await world.advance(500)
        assert len(world.handler_runs) == 1
        assert world.sent_bodies == []
        assert world.radio.submits == []
        assert any("messages wait for a network" in str(step) for step in world.events_of_kind("held"))
        await world.advance(2.5 * HOUR)
        assert world.sent_bodies == ["did led 7"]
        assert len(world.radio.submits) == 1
        steps = [line.split(": ")[2].split(";")[0] for line in recovery_lines(world)]
        assert steps[0].startswith("select the network again")
        assert steps[1].startswith("switch its radio off and on")


async def test_a_sim_that_loses_contact(tmp_path):
    """Found gone, its power cycled, everything set up anew, and what came meanwhile carried out."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)
        world.module.faults.add("sim-removed:for=30")
        world.send("led 7")
        await world.advance(HOUR)
        assert recovery_lines(world)[0].startswith(
            "recovery: the module sees no SIM: switch its radio off and on"
        )
        assert len(recovery_lines(world)) <= 2
        assert world.sent_bodies == ["did led 7"]


@pytest.mark.parametrize("says_ready", [False, True])
async def test_a_sim_that_stays_busy_in_a_session(tmp_path, says_ready):
    """The network says nothing of it; the refused sweeps do. Its power is cycled within minutes."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)
        if says_ready:
            world.module.faults.add("refused:command=+CMGL,refusal=CMS 314,times=0")
        else:
            world.module.sim_access.power_down()
        world.send("led 7")
        await world.advance(15 * 60)
        assert recovery_lines(world)[0].startswith(
            "recovery: the SIM stays busy: switch its radio off and on"
        )
        if says_ready:
            world.module.faults.clear()
            await world.advance(15 * 60)
        assert world.sent_bodies == ["did led 7"]
        assert len(recovery_lines(world)) <= 2


async def test_a_sim_that_is_busy_while_the_module_is_set_up(tmp_path):
    """That says nothing about stores: once it serves, messages are found in them."""
    async with World(tmp_path) as world:
        for command in ("+CPMS", "+CMGL"):
            world.module.faults.add(f"refused:command={command},refusal=CMS 314,times=0")
        start_agent(world)
        world.send("led 7")
        await world.advance(400)
        assert world.handler_runs == []
        world.module.faults.clear()
        await world.advance(300)
        assert world.sent_bodies == ["did led 7"]


async def test_a_sim_that_is_busy_for_moments(tmp_path):
    """Twice two minutes, each time waited for: nothing is restarted."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)
        for number in range(2):
            world.module.faults.add("refused:command=+CMGL,refusal=CMS 314,times=2")
            await world.advance(600)
            world.send(f"led {number}")
            await world.advance(60)
        assert recovery_lines(world) == []
        assert len(world.sent_bodies) == 2


async def test_a_module_that_each_message_takes_down(tmp_path):
    """Two answers are unknown, then sending rests and says power; receiving goes on."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)

        def leaves(data):
            if data.endswith(b"\x1a"):
                world.call_later(0.3, world.port.unplug)
                world.call_later(8.0, world.module.reboot)
                world.call_later(8.0, world.port.plug)

        world.port.on_written = leaves
        world.radio.submit_delay_s = 1.0
        for number in range(5):
            world.send(f"led {number}")
        await world.advance(200)
        assert len(world.handler_runs) == 5
        assert len(world.events_of_kind("unknown")) == 2
        assert len(world.events_of_kind("brownout")) == 1
        assert "power supply" in str(world.events_of_kind("brownout")[0])
        world.send("led 9")
        await world.advance(30)
        assert len(world.handler_runs) == 6
        world.port.on_written = lambda data: None
        await world.advance(900)
        assert len(world.events_of_kind("sent")) == 4


async def test_a_port_that_is_gone_for_a_day_is_only_waited_for(tmp_path):
    """One line, no reset; then all goes on."""
    async with World(tmp_path) as world:
        switch = FakePower(world)
        start_agent(world, power=switch)
        await world.advance(60)
        world.port.unplug()
        before = len(warnings(world))
        await world.advance(24 * HOUR)
        assert len(warnings(world)) - before <= 2
        assert switch.calls == []
        assert recovery_lines(world) == []
        world.port.plug()
        world.send("led 7")
        await world.advance(120)
        assert world.sent_bodies == ["did led 7"]


async def test_a_mute_module_in_the_end_ends_the_process(tmp_path):
    """With a sentence, for systemd to start another; not before an hour. Stopping takes moments."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        await world.advance(8 * HOUR)
        [(at, _, error)] = world.unforced_ends
        assert at > HOUR
        assert "nothing has helped for an hour" in str(error)
        assert not world.current_run.is_alive


async def test_a_sweep_waits_for_a_message_that_is_being_sent(tmp_path):
    """However long its result takes: that is no reason to start the agent anew."""
    async with World(tmp_path, device="nrf91") as world:
        life = start_agent(world)
        await world.advance(250)
        world.module.faults.add("final-lost:command=+CMGS,times=0")
        world.radio.submit_delay_s = 1e6
        for number in range(3):
            world.send(f"led {number}")
        for _ in range(60):
            await world.advance(10)
            assert life.agent.components.runtime.deadlines.overdue() == []


async def test_a_stop_in_the_middle_of_a_pulse(tmp_path):
    """As SIGTERM does: over within moments, the key let go, the reset counted by the next life."""
    async with World(tmp_path) as world:
        pressed = []

        class Slow(FakePower):
            async def power_cycle(self, driver):
                pressed.append(True)
                try:
                    await asyncio.sleep(300)
                finally:
                    pressed.append(False)

        life = start_agent(world, power=Slow(world))
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        while pressed != [True]:
            await world.advance(1)
        began = world.loop.time()
        await life.stop()
        assert world.loop.time() - began < 5
        assert pressed == [True, False]
        used = life.agent.components.recovery_executor.reset_usage
        assert (used.last_hour, used.last_day) == (2, 2)
