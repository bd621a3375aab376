"""The faults of one module in the sandbox: added, listed and cancelled while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from hardware.sim.faults import parse_fault

if TYPE_CHECKING:
    import asyncio

    from hardware.sim.faults import Fault
    from hardware.sim.module.pty import Pty
    from hardware.sim.sandbox_sim import SandboxSim


@dataclass(slots=True, eq=False)
class _ScheduledFault:
    text: str
    timer: asyncio.TimerHandle | None = None
    """Set until the fault begins."""


class _GuardedPort:
    """The access of faults to the port. After the sandbox has stopped, a delayed fault does not reopen it."""

    def __init__(self, pty: Pty) -> None:
        self._pty = pty
        self.closed = False

    def pause(self) -> None:
        if not self.closed:
            self._pty.pause()

    def resume(self) -> None:
        if not self.closed:
            self._pty.resume()

    def unplug(self) -> None:
        if not self.closed:
            self._pty.unplug()

    def plug(self) -> None:
        if not self.closed:
            self._pty.plug()


class FaultSchedule:
    """The faults of one SIM's module, in the syntax of `hardware.sim.faults`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sim: SandboxSim) -> None:
        self._loop = loop
        self._sim = sim
        self._scheduled: list[_ScheduledFault] = []
        self._port = _GuardedPort(sim.pty)
        sim.module.faults.port = self._port

    def add(self, text: str) -> None:
        """Add a fault, `NAME` or `NAME:key=value,...`; raises FaultError."""
        fault = parse_fault(text)
        scheduled = _ScheduledFault(text)
        self._scheduled.append(scheduled)

        def begin() -> None:
            scheduled.timer = None
            self._sim.module.faults.add(msgspec.structs.replace(fault, after=0.0))

        if fault.after > 0:
            scheduled.timer = self._loop.call_later(fault.after, begin)
        else:
            begin()

    def describe(self) -> dict[str, object]:
        """Return the faults added since they were last cancelled, and the names of all that occurred."""
        return {
            "faults": [
                {"fault": scheduled.text, "waits": scheduled.timer is not None}
                for scheduled in self._scheduled
            ],
            "struck": list(self._sim.module.faults.triggered),
        }

    def cancel_all(self) -> None:
        """Remove all faults that have not occurred, and end those that last until they are cancelled.

        A fault that has begun and lasts for a time ends after that time.
        """
        module = self._sim.module
        endless = {fault.name for fault in self._clear() if not fault.for_}
        module.faults.clear()
        if "write-blocked" in endless:
            self._port.resume()
        if "port-gone" in endless:
            self._port.plug()
        if "switched-off" in endless:
            module.power_on()
        with module.batch_writes():
            if "sim-removed" in endless:
                module.reinsert_sim()
            if "registration-lost" in endless:
                module.registration.search()

    def stop(self) -> None:
        """Cancel the waiting faults and detach from the port, which is being closed."""
        self._clear()
        self._port.closed = True

    def _clear(self) -> list[Fault]:
        """Remove all faults; returns those that have begun."""
        removed, self._scheduled = self._scheduled, []
        for each in removed:
            if each.timer is not None:
                each.timer.cancel()
        return [parse_fault(each.text) for each in removed if each.timer is None]
