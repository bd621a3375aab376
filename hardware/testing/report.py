"""One line of text for each event and callback, for the report of a failed test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.callbacks.record import Callback
    from hardware.sim.network.events import NetworkEvent
    from hardware.sim.sandbox_sim import SandboxSim


def describe_event(sim: SandboxSim | None, event: NetworkEvent) -> str:
    """Return time, SIM, kind, and what else is known."""
    body = None if event.body is None else repr(event.body)
    attempt = None if event.attempt is None else f"attempt {event.attempt}"
    known = (body, event.number, event.sid, attempt, event.note or None)
    return " ".join(
        (
            event.at.strftime("%H:%M:%S.%f")[:-3],
            "" if sim is None else sim.unique_name,
            event.kind.value,
            ", ".join(each for each in known if each is not None),
        )
    ).strip()


def describe_callback(callback: Callback) -> str:
    """Return method, URL and state, then the parameters, then the result of each try."""
    parameters = " ".join(f"{name}={value}" for name, value in callback.parameters)
    tries = ", ".join(each.outcome for each in callback.tries) or callback.note or "no answer yet"
    head = f"{callback.number}: {callback.method} {callback.url.text}, {callback.state.value}"
    return f"{head}: {tries}\n    {parameters}"
