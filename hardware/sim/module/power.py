"""Power states of the module: power-on, boot lines, SIM, message service, +CFUN, restart, power-off.

Settings that are not saved are lost with the power; the stores and the SIM are not. A command that was
running, a line that was half typed and pending timers are gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import Requirement
from hardware.sim.module.errors import CommandError, parse_error
from hardware.sim.module.sim_card import to_cms_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardware.sim.module.clock import Clock
    from hardware.sim.module.context import ModuleContext
    from hardware.sim.module.registration import NetworkRegistration


class ModulePower:
    """The power state of the module and its boot sequence.

    `on_power_off` are functions that reset the other parts when the power goes off.
    """

    def __init__(
        self,
        context: ModuleContext,
        clock: Clock,
        registration: NetworkRegistration,
        on_power_off: Sequence[Callable[[], None]],
    ) -> None:
        self._context = context
        self._clock = clock
        self._registration = registration
        self._on_power_off = tuple(on_power_off)
        self._print_boot_lines = True
        self.is_running = False
        """True while the module accepts input from the terminal."""
        self.functionality = context.profile.cfun
        """`<fun>` of +CFUN: 0 minimum, 1 full, 4 radio off."""
        self.message_service_ready = False

    def power_on(self, *, print_boot_lines: bool = True) -> None:
        """Start booting; does nothing if the module is on or booting."""
        context = self._context
        if self.is_running or not context.timers.is_idle:
            return
        context.log.boot_count += 1
        self._print_boot_lines = print_boot_lines
        self.functionality = context.profile.cfun
        context.settings.copy_from(context.saved_settings)
        context.on_baud_change(context.settings.ipr)
        self._clock.restart()
        context.timers.call_after(context.profile.boot_s, self._finish_boot)

    def power_off(self) -> None:
        """Stop at once, without any output."""
        self._context.timers.cancel_all()
        self.is_running = self.message_service_ready = False
        for reset in self._on_power_off:
            reset()
        self._context.output.reset()
        self._registration.reset()
        self._context.sim_access.power_down()

    def reboot(self, *, print_boot_lines: bool = True) -> None:
        """Restart; unsaved settings are lost."""
        self.power_off()
        self.power_on(print_boot_lines=print_boot_lines)

    def set_functionality(self, functionality: int) -> None:
        """Process +CFUN: 0 powers the SIM down too, 4 only the radio; 1 starts both, with boot lines."""
        context, before = self._context, self.functionality
        self.functionality = functionality
        self._print_boot_lines = True
        if functionality != 1:
            self._registration.deregister()
        if functionality == 0:
            self._context.sim_access.power_down()
            self.message_service_ready = False
        elif before == 0:
            context.timers.call_after(context.profile.sim_ready_s, self._start_sim)
        elif functionality == 1:
            self._registration.search()

    def resume_boot(self) -> None:
        """Continue the boot after the PIN was entered; some modules print no boot lines then."""
        self._print_boot_lines = self._context.profile.announces_pin_unlock
        self._write_boot_lines(("+CPIN: READY",))
        self._start_services()

    def require_ready(self, requirement: Requirement) -> None:
        """Raise the error of a command that was sent before the SIM or the message service is ready."""
        if requirement is Requirement.NOTHING:
            return
        try:
            self._context.sim_access.require_ready()
        except CommandError as error:
            raise (error if requirement is Requirement.SIM else to_cms_error(error)) from None
        if requirement is Requirement.MESSAGE_SERVICE and not self.message_service_ready:
            raise parse_error(self._context.profile.sms_not_ready_refusal)

    def _finish_boot(self) -> None:
        self.is_running = True
        self._write_boot_lines(self._context.profile.boot_urcs)
        if self.functionality != 0:
            self._context.timers.call_after(self._context.profile.sim_ready_s, self._start_sim)

    def _start_sim(self) -> None:
        self._context.sim_access.power_up()
        self._write_boot_lines(self._context.profile.boot_sim)
        if self._context.sim_access.is_ready:
            self._start_services()

    def _start_services(self) -> None:
        """Start the message service and search for a network; the SIM is ready."""
        self._context.timers.call_after(self._context.profile.sms_ready_s, self._start_message_service)
        self._registration.search()

    def _start_message_service(self) -> None:
        self.message_service_ready = True
        self._write_boot_lines(self._context.profile.boot_sms)

    def _write_boot_lines(self, lines: tuple[str, ...]) -> None:
        if not self._print_boot_lines:
            return
        try:
            state = self._context.sim_access.pin_state()
        except CommandError:
            state = "NOT INSERTED"
        for line in lines:
            self._context.output.write_urc(line.replace("{sim}", state))
