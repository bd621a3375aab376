"""Life of the module: power-on, boot lines, card, message service, +CFUN states, restart, power-off.

Settings that are not saved are lost with the power; the stores and the card are not. Whatever was being
executed, typed or waited for is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.module.module import SimulatedModule


class ModulePower:
    """What is switched on, and what comes up next."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._timers: list[TimerHandle] = []
        self._print_boot_lines = True
        self.is_running = False
        """Whether the module hears its terminal."""
        self.functionality = module.profile.cfun
        """`<fun>` of +CFUN: 0 minimum, 1 full, 4 radio off."""
        self.message_service_ready = False

    def power_on(self, *, print_boot_lines: bool = True) -> None:
        """Power-on; nothing happens if it is on."""
        if self.is_running or self._timers:
            return
        module = self._module
        module.log.boot_count += 1
        self._print_boot_lines = print_boot_lines
        self.functionality = module.profile.cfun
        module.settings.copy_from(module.saved_settings)
        module.on_baud_change(module.settings.ipr)
        module.clock.restart()
        self.call_later(module.profile.boot_s, self._finish_boot)

    def power_off(self) -> None:
        """No power from this moment on."""
        for timer in list(self._timers):
            self.cancel(timer)
        self.is_running = self.message_service_ready = False
        self._module.interpreter.reset()
        self._module.command_reader.reset()
        self._module.output.reset()
        self._module.registration.reset()
        self._module.mt_delivery.reset()
        self._module.mo_submitter.reset()
        self._module.sim_access.power_down()
        self._module.faults.clear_mute()

    def set_functionality(self, functionality: int) -> None:
        """+CFUN: 0 takes the card's power too, 4 only the radio's; 1 brings all back, boot lines included."""
        module, before = self._module, self.functionality
        self.functionality = functionality
        self._print_boot_lines = True
        if functionality != 1:
            module.registration.deregister()
        if functionality == 0:
            module.sim_access.power_down()
            self.message_service_ready = False
        elif before == 0:
            self.call_later(module.profile.sim_ready_s, self._start_sim)
        elif functionality == 1:
            module.registration.search()

    def resume_boot(self) -> None:
        """The terminal gave the right PIN: the rest comes up as after power-on, on some without a word."""
        self._print_boot_lines = self._module.profile.announces_pin_unlock
        self._write_boot_lines(("+CPIN: READY",))
        self._start_services()

    def call_later(self, delay: float, action: Callable[[], None]) -> TimerHandle | None:
        """Do this in so many seconds unless the power goes before; at once if it is no time at all."""
        if delay <= 0:
            action()
            return None

        def due() -> None:
            self._timers.remove(handle)
            with self._module.batch_writes():
                action()

        handle = self._module.scheduler.call_later(delay, due)
        self._timers.append(handle)
        return handle

    def cancel(self, handle: TimerHandle | None) -> None:
        """Not any more."""
        if handle in self._timers and handle is not None:
            self._timers.remove(handle)
            handle.cancel()

    def _finish_boot(self) -> None:
        self.is_running = True
        self._write_boot_lines(self._module.profile.boot_urcs)
        if self.functionality != 0:
            self.call_later(self._module.profile.sim_ready_s, self._start_sim)

    def _start_sim(self) -> None:
        self._module.sim_access.power_up()
        self._write_boot_lines(self._module.profile.boot_sim)
        if self._module.sim_access.is_ready:
            self._start_services()

    def _start_services(self) -> None:
        """The card is ready: the message service starts and a network is looked for."""
        self.call_later(self._module.profile.sms_ready_s, self._start_message_service)
        self._module.registration.search()

    def _start_message_service(self) -> None:
        self.message_service_ready = True
        self._write_boot_lines(self._module.profile.boot_sms)

    def _write_boot_lines(self, lines: tuple[str, ...]) -> None:
        if not self._print_boot_lines:
            return
        try:
            state = self._module.sim_access.pin_state()
        except CommandError:
            state = "NOT INSERTED"
        for line in lines:
            self._module.output.write_urc(line.replace("{sim}", state))
