"""The way of messages between the service and the network, in one direction, for one SIM.

Without faults a message arrives after its transit time. Faults lose it, delay it, duplicate it, or let the
next one overtake it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.network.faults import Direction, NetworkFaults
    from hardware.sim.timers import TimerGroup

SWAP_TIMEOUT_S = 60.0
"""A message that is to arrive after the next one waits no longer than this for it."""

DUPLICATE_DELAY_S = 1.0
"""From a message to its duplicate."""


class MessagePath:
    """Carries messages of one SIM in one direction."""

    __slots__ = ("_direction", "_faults", "_overtaken", "_timers")

    def __init__(self, direction: Direction, faults: NetworkFaults, timers: TimerGroup) -> None:
        self._direction = direction
        self._faults = faults
        self._timers = timers
        self._overtaken: tuple[Callable[[], None], TimerHandle] | None = None
        """A message that waits for the next one."""

    def carry(
        self,
        arrive: Callable[[], None],
        *,
        transit_s: float | None,
        arrive_again: Callable[[], None],
        report: Callable[[str], None],
    ) -> bool:
        """Call `arrive` when the message has arrived, and `arrive_again` for a duplicate.

        Without a transit time the message arrives at once. `report` gets a sentence for each fault. Returns
        False if the message is lost.
        """
        faults, direction = self._faults, self._direction
        if faults.strike("message-lost", direction):
            report("message-lost: it will never arrive")
            return False
        if fault := faults.strike("message-delayed", direction):
            delay_s = fault.draw_seconds()
            report(f"message-delayed: by {delay_s:.3g} s")
            transit_s = (transit_s or 0.0) + delay_s
        if faults.strike("message-duplicated", direction):
            report("message-duplicated: it arrives twice")
            self._timers.call_later((transit_s or 0.0) + DUPLICATE_DELAY_S, arrive_again)
        if self._overtaken is None and faults.strike("messages-swapped", direction):
            report("messages-swapped: the next message arrives before it")
            timer = self._timers.call_later((transit_s or 0.0) + SWAP_TIMEOUT_S, self._release)
            self._overtaken = (arrive, timer)
            return True
        self._call(transit_s, arrive)
        if self._overtaken is not None:
            self._call(transit_s, self._release)
        return True

    def _call(self, transit_s: float | None, action: Callable[[], None]) -> None:
        if transit_s is None:
            action()
        else:
            self._timers.call_later(transit_s, action)

    def _release(self) -> None:
        if self._overtaken is not None:
            arrive, timer = self._overtaken
            self._overtaken = None
            self._timers.cancel(timer)
            arrive()
