"""Life of the module: power-on, boot lines, card, message service, +CFUN states, restart, power-off.

Settings that are not saved are lost with the power; the stores and the card are not. Whatever was being
executed, typed or waited for is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.radio import Handle


class Power:
    """What is switched on, and what comes up next."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._timers: list[Handle] = []
        self._loud = True
        self.awake = False
        """Whether the module hears its terminal."""
        self.function = module.device.cfun
        """`<fun>` of +CFUN: 0 minimum, 1 full, 4 radio off."""
        self.messages_ready = False

    def on(self, *, loud: bool = True) -> None:
        """Power-on; nothing happens if it is on."""
        if self.awake or self._timers:
            return
        module = self._module
        module.ledger.boots += 1
        self._loud = loud
        self.function = module.device.cfun
        module.settings.take(module.saved)
        module.tune(module.settings.ipr)
        module.clock.restart()
        self.later(module.device.boot_s, self._wake)

    def off(self) -> None:
        """No power from this moment on."""
        for timer in list(self._timers):
            self.cancel(timer)
        self.awake = self.messages_ready = False
        self._module.interpreter.reset()
        self._module.terminal.reset()
        self._module.speech.forget()
        self._module.link.vanish()
        self._module.arrival.forget()
        self._module.outgoing.forget()
        self._module.card.power_down()
        self._module.faults.restarted()

    def switch(self, function: int) -> None:
        """+CFUN: 0 takes the card's power too, 4 only the radio's; 1 brings all back, boot lines included."""
        module, before = self._module, self.function
        self.function = function
        self._loud = True
        if function != 1:
            module.link.leave()
        if function == 0:
            module.card.power_down()
            self.messages_ready = False
        elif before == 0:
            self.later(module.device.card_s, self._start_card)
        elif function == 1:
            module.link.search()

    def unlocked(self) -> None:
        """The terminal gave the right PIN: the rest comes up as after power-on, on some without a word."""
        self._loud = self._module.device.tells_unlocking
        self._print(("+CPIN: READY",))
        self._go_on()

    def later(self, delay: float, action: Callable[[], None]) -> Handle | None:
        """Do this in so many seconds unless the power goes before; at once if it is no time at all."""
        if delay <= 0:
            action()
            return None

        def due() -> None:
            self._timers.remove(handle)
            with self._module.event():
                action()

        handle = self._module.scheduler.call_later(delay, due)
        self._timers.append(handle)
        return handle

    def cancel(self, handle: Handle | None) -> None:
        """Not any more."""
        if handle in self._timers and handle is not None:
            self._timers.remove(handle)
            handle.cancel()

    def _wake(self) -> None:
        self.awake = True
        self._print(self._module.device.boot)
        if self.function != 0:
            self.later(self._module.device.card_s, self._start_card)

    def _start_card(self) -> None:
        self._module.card.power_up()
        self._print(self._module.device.boot_card)
        if self._module.card.ready:
            self._go_on()

    def _go_on(self) -> None:
        """The card is ready: the message service starts and a network is looked for."""
        self.later(self._module.device.messages_s, self._start_messages)
        self._module.link.search()

    def _start_messages(self) -> None:
        self.messages_ready = True
        self._print(self._module.device.boot_messages)

    def _print(self, lines: tuple[str, ...]) -> None:
        if not self._loud:
            return
        try:
            state = self._module.card.state()
        except RefusedError:
            state = "NOT INSERTED"
        for line in lines:
            self._module.speech.unsolicited(line.replace("{card}", state))
