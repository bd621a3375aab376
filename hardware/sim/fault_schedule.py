"""What goes wrong with the module of a SIM in the sandbox: ordered, looked at, called off."""

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
    """While it waits for its time."""


class _GuardedPort:
    """The port as faults see it, until the sandbox ends: no late fault brings a closed port back."""

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
    """Those of one SIM's module, in the grammar of `hardware.sim.faults`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sim: SandboxSim) -> None:
        self._loop = loop
        self._sim = sim
        self._scheduled: list[_ScheduledFault] = []
        self._port = _GuardedPort(sim.pty)
        sim.module.faults.port = self._port

    def add(self, text: str) -> None:
        """`NAME` or `NAME:key=value,...`; raises FaultError."""
        fault = parse_fault(text)
        ordered = _ScheduledFault(text)
        self._scheduled.append(ordered)

        def begin() -> None:
            ordered.timer = None
            self._sim.module.faults.add(msgspec.structs.replace(fault, after=0.0))

        if fault.after > 0:
            ordered.timer = self._loop.call_later(fault.after, begin)
        else:
            begin()

    def describe(self) -> dict[str, object]:
        """What was ordered since it was last called off, and the names of what struck since the start."""
        return {
            "faults": [
                {"fault": ordered.text, "waits": ordered.timer is not None} for ordered in self._scheduled
            ],
            "struck": list(self._sim.module.faults.triggered),
        }

    def cancel_all(self) -> None:
        """Nothing lies in wait any more, and what was to last until somebody ends it ends.

        What has begun and lasts for a while ends in its time.
        """
        module = self._sim.module
        endless = {fault.name for fault in self._clear() if not fault.for_}
        module.faults.clear()
        if "write-blocked" in endless:
            self._port.resume()
        if "port-gone" in endless:
            self._port.plug()
        with module.batch_writes():
            if "sim-removed" in endless and not module.sim.present:
                module.sim.present = True
                module.sim_access.power_down()
            if "registration-lost" in endless:
                module.registration.search()

    def stop(self) -> None:
        """The port is being taken away."""
        self._clear()
        self._port.closed = True

    def _clear(self) -> list[Fault]:
        """Forget what was ordered; those of it that have begun."""
        ordered, self._scheduled = self._scheduled, []
        for each in ordered:
            if each.timer is not None:
                each.timer.cancel()
        return [parse_fault(each.text) for each in ordered if each.timer is None]
