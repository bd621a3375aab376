"""F128: a module that is switched off when the agent starts, and whose power key is wired."""

import itertools

import pytest

from agent.at.transport.base import PortUnavailable
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld
from hardware.profile import load_driver_profile

HOUR = 3600


class PowerKey:
    """A power key that switches the module on, and off if `toggles`; on USB its port comes and goes too."""

    name = "the power key of the test"
    is_toggle = True

    def __init__(self, *, on_usb=False, toggles=False, works_from=0):
        self.world = None
        self.on_usb = on_usb
        self.toggles = toggles
        self.works_from = works_from
        """The first press that has an effect."""
        self.presses = []
        """Seconds since the start of the agent."""
        self.cycles = []
        self.drivers = []

    async def power_on(self, driver):
        world = self.world
        self.presses.append(world.loop.time() - world.current_run.started_at)
        self.drivers.append(driver)
        if len(self.presses) <= self.works_from:
            return
        if world.module.power.is_running and self.toggles:
            world.module.power_off()
        else:
            world.module.power_on()
            if self.on_usb:
                world.call_later(5, world.port.plug)

    async def power_cycle(self, driver):
        self.cycles.append(self.world.loop.time())


def make_world(tmp_path, message_format, key, **more):
    dependencies = {"power": key, "describe_module_users": lambda: ""} | more.pop("dependencies", {})
    world = FaultWorld(tmp_path, message_format, dependencies=dependencies, **more)
    key.world = world
    return world


def switch_off(world):
    world.module.power_off()
    if world.dependencies["power"].on_usb:
        world.port.unplug()


def count_resets(world):
    return world.query_journal("SELECT count(*) FROM resets")[0][0]


@pytest.mark.parametrize("on_usb", [False, True], ids=["UART", "USB"])
async def test_f128_module_that_is_off_is_switched_on(tmp_path, message_format, on_usb):
    """One press after 30 s; it costs no reset, and a Command is executed within two minutes of the start."""
    key = PowerKey(on_usb=on_usb, toggles=True)
    async with make_world(tmp_path, message_format, key) as world:
        switch_off(world)
        world.store_pdu(3, PLAIN_SID_START)
        await world.start_and_settle(120)
        assert [30 <= pressed_at < 32 for pressed_at in key.presses] == [True]
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert count_resets(world) == 0
        failure = "the port is absent" if on_usb else "the module does not answer"
        assert [str(event) for event in world.events_of_kind("recovery")] == [
            f"recovery: {failure}: switch it on, as it may be switched off"
        ]


@pytest.mark.parametrize("on_usb", [False, True], ids=["UART", "USB"])
async def test_f128_key_is_pressed_again_with_growing_waits(tmp_path, on_usb):
    """The module gets its supply after hours. Every press is without effect until then."""
    key = PowerKey(on_usb=on_usb, works_from=7)
    async with make_world(tmp_path, "pdu", key) as world:
        switch_off(world)
        await world.start_and_settle(3 * HOUR)
        waits = [later - sooner for sooner, later in itertools.pairwise(key.presses)]
        assert len(key.presses) >= 7
        assert waits[0] >= 60
        assert all(later > 1.3 * sooner for sooner, later in itertools.pairwise(waits[:3]))
        assert world.connection.session is not None
        assert bool(key.cycles) is not on_usb  # an absent port alone causes no reset


async def test_f128_presses_leave_the_reset_budget_for_the_next_boot(tmp_path):
    """Each boot of the device finds the module off; none of them is left without a press."""
    key = PowerKey()
    async with make_world(tmp_path, "pdu", key) as world:
        for boot in range(4):
            switch_off(world)
            await world.start_and_settle(90)
            assert len(key.presses) == boot + 1
            assert world.connection.session is not None
            await world.current_run.stop()
        assert count_resets(world) == 0


@pytest.mark.parametrize("start", ["mute", "off"])
async def test_f128_module_that_hangs_gets_presses_first_and_resets_later(tmp_path, start):
    """After some presses the counted actions follow, within the budget."""
    key = PowerKey(works_from=100)
    async with make_world(tmp_path, "pdu", key) as world:
        if start == "off":
            switch_off(world)
        else:
            world.module.faults.add("mute:for=0")
        await world.start_and_settle(6 * 60)
        assert len(key.presses) >= 3
        assert key.cycles == []
        await world.advance(HOUR)
        assert key.cycles
        assert 1 <= count_resets(world) <= 3


@pytest.mark.parametrize("kind", ["busy", "forbidden", "ambiguous"])
async def test_f128_no_press_for_a_port_that_is_present(tmp_path, kind):
    """The module is on and somebody else uses it, or the agent may not."""
    key = PowerKey()
    async with make_world(tmp_path, "pdu", key) as world:
        world.port.open_error = PortUnavailable(kind, f"the port is {kind}")
        await world.start_and_settle(3 * HOUR)
        assert key.presses == key.cycles == []


async def test_f128_no_press_while_another_program_uses_the_module(tmp_path):
    """It is said once; after the program has gone, the key is pressed."""
    key = PowerKey()
    user = ["the network interface wwan0 of the same USB device is up"]
    dependencies = {"describe_module_users": lambda: user[0]}
    async with make_world(tmp_path, "pdu", key, dependencies=dependencies) as world:
        switch_off(world)
        await world.start_and_settle(20 * 60)
        assert key.presses == []
        assert (
            len([line for line in world.log_lines(30) if "wwan0 of the same USB device is up" in line]) == 1
        )
        user[0] = ""
        await world.advance(HOUR)
        assert len(key.presses) == 1
        assert world.connection.session is not None


async def test_f128_module_that_was_heard_is_not_switched_off(tmp_path):
    """An answer of any kind, also from a module without a SIM, shows that it is on; so does an absent port
    later.
    """
    key = PowerKey(toggles=True, on_usb=True)
    async with make_world(tmp_path, "pdu", key) as world:
        world.sim.present = False
        world.module.reboot()
        await world.start_and_settle(10 * 60)
        assert key.presses == []
        world.port.unplug()
        await world.advance(3 * HOUR)
        assert key.presses == []


async def test_f128_pulse_has_the_length_of_the_configured_profile(tmp_path):
    """The module cannot be asked for its profile while it is off."""
    key = PowerKey()
    async with make_world(tmp_path, "pdu", key, tables={"modem": {"profile": "le910c1"}}) as world:
        switch_off(world)
        await world.start_and_settle(60)
        assert key.drivers == [load_driver_profile("le910c1")]
