"""The program that switches the power: what it is called with, and that the module never stays off."""

import asyncio
from types import SimpleNamespace

import pytest

from hardware.power import PowerUnavailable
from hardware.power_command import CommandPowerSwitch
from hardware.profile import DriverProfile
from hardware.sim import virtual_time

DRIVER = DriverProfile(power_key_on_s=0.5, power_key_off_s=3.0, power_off_s=6.0)


class FakeProgram:
    """A program that records each call with its time, and fails as often as it is told."""

    def __init__(self):
        self.calls = []
        self.failures = {}

    async def run(self, arguments):
        now = asyncio.get_running_loop().time() - virtual_time.START_TIME_S
        self.calls.append((" ".join(arguments), round(now, 3)))
        if self.failures.get(arguments[0], 0):
            self.failures[arguments[0]] -= 1
            raise PowerUnavailable("exit status 1")


@pytest.fixture
def program():
    return FakeProgram()


@pytest.fixture
def make_switch(program, tmp_path):
    def make(drives="supply", pulse_on_s=0.0, pulse_off_s=0.0):
        config = SimpleNamespace(
            power_command=("/p",), power_command_drives=drives, pulse_on_s=pulse_on_s, pulse_off_s=pulse_off_s
        )
        return CommandPowerSwitch(config, program.run, tmp_path / "power-off")

    return make


@pytest.mark.parametrize(
    ("options", "driver", "calls"),
    [
        ({}, DRIVER, [("off", 0), ("on", 10)]),
        ({"pulse_off_s": 2.0}, DRIVER, [("off", 0), ("on", 2)]),
        ({"drives": "power-key"}, DRIVER, [("press 3", 0), ("press 0.5", 6)]),
        ({"drives": "power-key"}, DriverProfile(), [("press 3", 0), ("press 1", 10)]),
        (
            {"drives": "power-key", "pulse_on_s": 1.5, "pulse_off_s": 4},
            DRIVER,
            [("press 4", 0), ("press 1.5", 6)],
        ),
    ],
)
def test_power_cycle_calls_the_program_twice(make_switch, program, tmp_path, options, driver, calls):
    """The times are those of the configuration, else of the profile."""
    virtual_time.run_virtual(make_switch(**options).power_cycle(driver))
    assert program.calls == calls
    assert not (tmp_path / "power-off").exists()


def test_power_on_is_on_or_one_press(make_switch, program):
    """A supply that is on stays on. A key is pressed for longer each time if the module is unknown."""

    async def scenario():
        await make_switch().power_on(DriverProfile())
        key = make_switch("power-key")
        await key.power_on(DriverProfile())
        await key.power_on(DriverProfile())

    virtual_time.run_virtual(scenario())
    assert [call for call, _ in program.calls] == ["on", "press 1", "press 2"]


@pytest.mark.parametrize(
    ("failures", "calls"), [({"off": 1}, ["off", "on"]), ({"on": 2}, ["off", "on", "on", "on"])]
)
def test_failure_leaves_the_module_on(make_switch, program, tmp_path, failures, calls):
    """`on` follows a failed `off`, and is tried three times."""
    program.failures = dict(failures)
    switch = make_switch()
    if "off" in failures:
        with pytest.raises(PowerUnavailable, match="exit status 1"):
            virtual_time.run_virtual(switch.power_cycle(DRIVER))
    else:
        virtual_time.run_virtual(switch.power_cycle(DRIVER))
    assert [call for call, _ in program.calls] == calls
    assert not (tmp_path / "power-off").exists()


def test_supply_that_stays_off_is_switched_on_at_the_next_start(make_switch, program):
    """Also after the process was killed between `off` and `on`: both leave the file."""
    program.failures = {"on": 3}

    async def scenario():
        with pytest.raises(PowerUnavailable):
            await make_switch().power_cycle(DRIVER)
        program.calls.clear()
        assert await make_switch().restore() == "the supply of the module"
        assert await make_switch().restore() == ""

    virtual_time.run_virtual(scenario())
    assert [call for call, _ in program.calls] == ["on"]


def test_stop_between_off_and_on_switches_on_at_once(make_switch, program):
    """The agent is stopped while the module is off."""

    async def scenario():
        task = asyncio.ensure_future(make_switch().power_cycle(DRIVER))
        await asyncio.sleep(3)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    virtual_time.run_virtual(scenario())
    assert program.calls == [("off", 0), ("on", 3)]


def test_state_file_that_cannot_be_written_prevents_the_cycle(program, tmp_path):
    """Otherwise a killed agent could leave the module off for ever."""
    config = SimpleNamespace(
        power_command=("/p",), power_command_drives="supply", pulse_on_s=0.0, pulse_off_s=0.0
    )
    switch = CommandPowerSwitch(config, program.run, tmp_path / "no" / "power-off")
    with pytest.raises(PowerUnavailable, match="power-off cannot be written: No such file or directory"):
        virtual_time.run_virtual(switch.power_cycle(DRIVER))
    assert program.calls == []
