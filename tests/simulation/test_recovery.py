"""The whole agent with a simulated module that fails: recovery actions, and no message lost meanwhile."""

import asyncio

import pytest

from soak.world import HandlerPlan, World

HOUR = 3600.0


class FakePower:
    """A power switch of the module that records its calls."""

    name, is_toggle = "test switch", True

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
    """Start the agent with a power switch and a description of other users of the module."""
    world.dependencies = {"power": power, "describe_module_users": lambda: user}
    return world.start()


def recovery_lines(world):
    """Return the log lines of recovery actions."""
    return [str(event) for event in world.events_of_kind("recovery")]


def warnings(world):
    return [event for _, _, event in world.events if event.severity > 20]


async def test_mute_module_is_power_cycled(tmp_path):
    """A restart does not help, a power cycle does; a Command of the meantime runs and its reply is sent."""
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
            "recovery: the module does not answer: cycle its power",
        ]
        assert [run.content for run in world.handler_runs] == ["led 7"]
        assert world.sent_bodies == ["did led 7"]
        assert len(warnings(world)) < 15


async def test_reset_budget_survives_agent_restarts(tmp_path):
    """The module stays mute and the agent is killed repeatedly: the resets stay within the hourly budget."""
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


async def test_data_link_prevents_resets(tmp_path):
    """If the module carries data of the device, it is not reset; this is logged once in six hours."""
    async with World(tmp_path) as world:
        switch = FakePower(world)
        start_agent(world, power=switch, user="the network interface wwan0 of the same USB device is up")
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        await world.advance(6 * HOUR)
        assert switch.calls == []
        recovery_warnings = [event for event in world.events_of_kind("recovery") if event.severity > 20]
        assert len(recovery_warnings) == 1
        assert "recovery.may_drop_data = true" in str(recovery_warnings[0])


@pytest.mark.long
async def test_module_switched_on_after_a_day_is_used_within_two_minutes(tmp_path):
    """A Command runs within two minutes, even if the agent has just begun its longest wait."""
    async with World(tmp_path) as world:
        agent_run = start_agent(world, user="the network interface wwan0 of the same USB device is up")
        await world.advance(60)
        supervisor = agent_run.agent.components.supervisor
        for day in range(3):
            world.module.faults.add("mute:for=0")
            await world.advance(24 * HOUR)
            for waits in (False, True):  # an attempt has just failed: the longest wait begins
                while (supervisor._modem is None) is not waits:
                    await world.advance(1)
            world.module.power_off()
            world.module.faults.handle_restart()
            world.module.power_on()
            world.send(f"led {day}")
            await world.advance(120)
            assert [run.content for run in world.handler_runs][-1] == f"led {day}"
            assert supervisor.connection.session is not None


@pytest.mark.parametrize("stat", [2, 3])
async def test_replies_wait_for_a_network(tmp_path, stat):
    """No send is attempted, counted or failed while the module is not registered; a radio cycle helps."""
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
        assert any("messages wait for a network" in str(event) for event in world.events_of_kind("held"))
        await world.advance(2.5 * HOUR)
        assert world.sent_bodies == ["did led 7"]
        assert len(world.radio.submits) == 1
        steps = [line.split(": ")[2].split(";")[0] for line in recovery_lines(world)]
        assert steps[0].startswith("select the network again")
        assert steps[1].startswith("switch its radio off and on")


async def test_lost_sim_is_found_again(tmp_path):
    """The radio is cycled, the module is initialised again, and a Command of the meantime runs."""
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
async def test_sim_that_stays_busy_is_power_cycled(tmp_path, says_ready):
    """Refused sweeps reveal a busy SIM although the registration is intact; the radio is cycled within
    minutes."""
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


async def test_sim_busy_during_initialisation_does_not_disable_stores(tmp_path):
    """Once the SIM is ready, messages are found in its stores."""
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


async def test_briefly_busy_sim_causes_no_reset(tmp_path):
    """The SIM is busy twice for two minutes; the agent waits and does not reset anything."""
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


async def test_module_lost_at_each_send_pauses_sending(tmp_path):
    """After two unknown outcomes sending pauses and the log names the power supply; receiving continues."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)

        def drop_power(data):
            if data.endswith(b"\x1a"):
                world.call_later(0.3, world.port.unplug)
                world.call_later(8.0, world.module.reboot)
                world.call_later(8.0, world.port.plug)

        world.port.on_written = drop_power
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


async def test_absent_port_causes_no_reset(tmp_path):
    """A port that is absent for a day causes one warning and no reset; then the agent continues."""
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


async def test_mute_module_ends_the_process_after_an_hour(tmp_path):
    """If nothing has helped for an hour, the agent ends with an error, so that systemd restarts it."""
    async with World(tmp_path) as world:
        start_agent(world)
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        await world.advance(8 * HOUR)
        [(at, _, error)] = world.unforced_ends
        assert at > HOUR
        assert "nothing has helped for an hour" in str(error)
        assert not world.current_run.is_alive


async def test_sweep_waits_for_a_pending_send(tmp_path):
    """A send with a slow result does not let the sweep miss its deadline."""
    async with World(tmp_path, device="nrf91") as world:
        agent_run = start_agent(world)
        await world.advance(250)
        world.module.faults.add("final-lost:command=+CMGS,times=0")
        world.radio.submit_delay_s = 1e6
        for number in range(3):
            world.send(f"led {number}")
        for _ in range(60):
            await world.advance(10)
            assert agent_run.agent.components.runtime.deadlines.overdue() == []


async def test_stop_during_a_power_cycle(tmp_path):
    """A stop takes less than 5 s and releases the power key, and the reset is counted."""
    async with World(tmp_path) as world:
        pressed = []

        class SlowPower(FakePower):
            async def power_cycle(self, driver):
                pressed.append(True)
                try:
                    await asyncio.sleep(300)
                finally:
                    pressed.append(False)

        agent_run = start_agent(world, power=SlowPower(world))
        await world.advance(60)
        world.module.faults.add("mute:for=0")
        while pressed != [True]:
            await world.advance(1)
        start = world.loop.time()
        await agent_run.stop()
        assert world.loop.time() - start < 5
        assert pressed == [True, False]
        used = agent_run.agent.components.recovery_executor.reset_usage
        assert (used.last_hour, used.last_day) == (2, 2)
