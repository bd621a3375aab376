"""What happens in a sandbox: its latest events, and the observers of events, lines, callbacks, statuses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from hardware.sim.callbacks.record import CallbackState
from hardware.sim.fault_spec import FAULT_DESCRIPTIONS
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from hardware.sim.callbacks.record import Callback
    from hardware.sim.module.ports import LineDirection
    from hardware.sim.sandbox_sim import SandboxSim
    from hardware.sim.service.resource import CommandResource

MAX_EVENTS = 1000
"""Number of the latest events that are kept for later requests."""

EventObserver = Callable[["SandboxSim | None", NetworkEvent], None]
"""Gets each event with its SIM, None if it concerns no single SIM."""
LineObserver = Callable[["SandboxSim", "LineDirection", bytes], None]
CallbackObserver = Callable[["Callback"], None]
StatusObserver = Callable[["CommandResource"], None]


class SandboxRecords:
    """The parts of a sandbox record here what happens in them. `sims` are those of the sandbox, by name."""

    def __init__(self, now: Callable[[], datetime], sims: Mapping[str, SandboxSim]) -> None:
        self.events: deque[tuple[int, SandboxSim | None, NetworkEvent]] = deque(maxlen=MAX_EVENTS)
        """The latest events, each with its number, counted from 1."""
        self.sims_by_imsi: dict[str, SandboxSim] = {}
        self._now = now
        self._sims = sims
        self._event_count = 0
        self._observers: list[EventObserver] = []
        self._line_observers: list[LineObserver] = []
        self._callback_observers: list[CallbackObserver] = []
        self._status_observers: list[StatusObserver] = []

    def add_observer(self, observer: EventObserver) -> None:
        """Call `observer` with each network event from now on."""
        self._observers.append(observer)

    def add_line_observer(self, observer: LineObserver) -> None:
        """Call `observer` with the bytes on the line of each module from now on, in order."""
        self._line_observers.append(observer)

    def add_callback_observer(self, observer: CallbackObserver) -> None:
        """Call `observer` with each callback from now on, when it is created and after each try."""
        self._callback_observers.append(observer)

    def add_status_observer(self, observer: StatusObserver) -> None:
        """Call `observer` with each Command whose status changes, and each message from a SIM."""
        self._status_observers.append(observer)

    def record_status(self, resource: CommandResource) -> None:
        """Record that the status of a Command has changed."""
        for observer in self._status_observers:
            observer(resource)

    def record_bytes(self, name: str, direction: LineDirection, data: bytes) -> None:
        """Record bytes on the line of a module."""
        sim = self._sims.get(name)
        if sim is not None:  # else the sandbox has stopped
            for observer in self._line_observers:
                observer(sim, direction, data)

    def record_event(self, event: NetworkEvent) -> None:
        """Record an event of the network."""
        sim = self.sims_by_imsi.get(event.imsi)
        if sim is None and event.imsi:  # the sandbox is stopping
            return
        self._event_count += 1
        self.events.append((self._event_count, sim, event))
        for observer in self._observers:
            observer(sim, event)

    def report(self, kind: NetworkEventKind, note: str, sim_name: str | None = None) -> None:
        """Record an event that is no step of a message, of one SIM or of none."""
        sim = self._sims.get(sim_name or "")
        imsi = sim.sim_card.imsi if sim else ""
        self.record_event(NetworkEvent(kind=kind, at=self._now(), imsi=imsi, note=note))

    def record_module_fault(self, sim_name: str, name: str) -> None:
        """Record that a fault has occurred in a module."""
        self.report(NetworkEventKind.FAULT, f"{name}: the module {FAULT_DESCRIPTIONS[name]}", sim_name)

    def record_callback(self, callback: Callback) -> None:
        """Record a callback that was created, or a try of one."""
        for observer in self._callback_observers:
            observer(callback)
        if callback.state is CallbackState.WAITING and not callback.tries:
            return
        note = f"{callback.number}: {callback.method} {callback.url.text}, "
        if callback.state is CallbackState.NOT_SENT:
            kind, note = NetworkEventKind.CALLBACK_NOT_SENT, note + callback.note
        elif callback.state is CallbackState.ACCEPTED:
            kind, note = NetworkEventKind.CALLBACK_ACCEPTED, note + callback.tries[-1].outcome
        else:
            follows = "another try follows" if callback.state is CallbackState.WAITING else "no further try"
            kind, note = NetworkEventKind.CALLBACK_FAILED, f"{note}{callback.tries[-1].outcome}; {follows}"
        self.record_event(
            NetworkEvent(kind=kind, at=self._now(), imsi=callback.imsi, sid=callback.sid, note=note)
        )
