"""The power key of a module that comes up switched off after each loss of power, as most HATs do."""

BOOT_TO_PORT_S = 5.0
"""Seconds from the press until the port of a module on USB appears."""


class SimulatedPowerKey:
    """A `PowerSwitch` that drives the power key of the world's module."""

    name = "the simulated power key"
    is_toggle = True

    def __init__(self, world, *, on_usb, toggles):
        """`on_usb`: the port exists only while the module is on. `toggles`: a short press switches it off."""
        self._world = world
        self._on_usb = on_usb
        self._toggles = toggles

    async def power_on(self, driver):
        """Press the key for a short time."""
        if not self._world.module.power.is_running:
            self._switch_on()
        elif self._toggles:
            self.lose_power()

    async def power_cycle(self, driver):
        """Press the key for a long time, which switches the module off, and then for a short time."""
        if self._world.module.power.is_running:
            self.lose_power()
        await self.power_on(driver)

    def lose_power(self):
        """Switch the module off. It stays off when its supply comes back."""
        self._world.module.power_off()
        if self._on_usb:
            self._world.port.unplug()

    def _switch_on(self):
        self._world.module.power_on()
        if self._on_usb:
            self._world.call_later(BOOT_TO_PORT_S, self._world.port.plug)
