"""The JSON that the console's page receives: all that is retained at first, then what changes.

A message has these keys; those without content are left out, except the clock:

    reset      true: forget everything, the rest of the message begins again
    clock      time of the sandbox, and whether it passes
    sims       SIMs as they are now, those that something happened to
    commands   Commands as they are now, those that something happened to
    steps      what happened, in order, to Commands (`sid`) and else
    answers    pairs of the SID of a message from a SIM and the SID of the Command that it answers
    callbacks  callbacks as they are now, those that something happened to
    port       octets on the ports of the modules
    agents     agents that report
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.recording import escape_bytes
from hardware.sim.callbacks.record import Callback
from hardware.sim.console.agent_reports import AgentReporter
from hardware.sim.console.path import PathStep, network_step, status_step
from hardware.sim.console.recorder import AnswerRecord, EventRecord, PortRecord, StatusRecord
from hardware.sim.service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardware.sim.console.feed import FeedRecord
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.sandbox_sim import SandboxSim
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.sims import ServiceSim

REGISTRATION_WORDS = {
    0: "not registered",
    1: "registered",
    2: "searching",
    3: "registration denied",
    5: "registered, roaming",
}
"""`<stat>` of 27.007 7.2 in words."""


class ConsoleView:
    """Makes messages for the page from the records of the feed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def begin(self, agents: Iterable[AgentReporter]) -> dict[str, object]:
        """Return the message that starts a page: the SIMs and the agents as they are now."""
        return {
            "reset": True,
            "clock": self._clock_json(),
            "sims": [self._sim_json(sim) for sim in self._sandbox.sims.values()],
            "agents": [_agent_json(agent) for agent in agents],
        }

    def render(self, records: Iterable[FeedRecord]) -> dict[str, object]:
        """Return the message for some records of the feed."""
        batch = _Batch({sim.sid: sim.unique_name for sim in self._sandbox.sims.values()})
        for number, item in records:
            batch.add(number, item)
        lists = {
            "sims": [self._sim_json(sim) for sim in batch.sims.values() if self._is_current(sim)],
            "commands": [
                _command_json(command, batch.name_sim(command.sim))
                for sid in batch.sids
                if (command := self._find_command(sid)) is not None
            ],
            "steps": batch.steps,
            "answers": batch.answers,
            "callbacks": [callback.to_json() for callback in batch.callbacks.values()],
            "port": batch.port,
            "agents": [_agent_json(agent) for agent in batch.agents.values()],
        }
        return {"clock": self._clock_json(), **{key: rows for key, rows in lists.items() if rows}}

    def _clock_json(self) -> dict[str, object]:
        clock = self._sandbox.clock
        return {"now": clock.now().isoformat(), "running": clock.is_running}

    def _is_current(self, sim: SandboxSim) -> bool:
        return self._sandbox.sims.get(sim.unique_name) is sim

    def _sim_json(self, sim: SandboxSim) -> dict[str, object]:
        network, module, product = self._sandbox.network, sim.module, sim.service.product
        imsi = sim.sim_card.imsi
        found = sim.service.find_sim(sim.sid)
        return {
            "name": sim.unique_name,
            "sid": sim.sid,
            "service": product.name,
            "commands_path": product.collection_path,
            "body_parameter": product.body_parameter,
            "has_modes": product.has_modes,
            "status": found.status if found else "",
            "reachable": network.is_reachable(imsi),
            "waiting": network.count_waiting(imsi),
            "module": sim.spec.device,
            "running": module.power.is_running,
            "registration": REGISTRATION_WORDS.get(module.registration.stat, "not registered"),
            "ports": sim.addresses,
            "port_open": sim.ports.is_open,
            "number": f"+{sim.sim_card.phone_number}",
            "iccid": sim.sim_card.iccid,
            "faults": sim.faults.describe()["faults"],
        }

    def _find_command(self, sid: str) -> CommandResource | None:
        try:
            return self._sandbox.find_command(sid)[1]
        except ServiceError:  # it was deleted, or is older than the retention
            return None


class _Batch:
    """The records of one message, sorted by what they change."""

    def __init__(self, sim_names: Mapping[str, str]) -> None:
        """`sim_names` has the unique names of the SIMs in modules, by SID."""
        self._sim_names = sim_names
        self.sims: dict[str, SandboxSim] = {}
        self.sids: dict[str, None] = {}
        self.steps: list[dict[str, object]] = []
        self.answers: list[tuple[str, str]] = []
        self.callbacks: dict[int, Callback] = {}
        self.port: list[dict[str, object]] = []
        self.agents: dict[str, AgentReporter] = {}

    def add(self, number: int, item: object) -> None:
        """Add a record."""
        match item:
            case EventRecord(sim, event, sid, note):
                if sim is not None:
                    self.sims[sim.unique_name] = sim
                self._touch(sid, event.sid)
                name = sim.unique_name if sim else None
                self._add_step(number, network_step(event, name, sid, note))
            case StatusRecord(resource, status, at):
                self._touch(resource.sid)
                if status != "received":  # the event says so
                    step = status_step(
                        status,
                        resource.error_message,
                        at,
                        self.name_sim(resource.sim),
                        resource.sid,
                    )
                    self._add_step(number, step)
            case PathStep() as step:
                self._add_step(number, step)
            case AnswerRecord() as answer:
                self.answers.append((answer.reply_sid, answer.sid))
            case Callback() as callback:
                self.callbacks[callback.number] = callback
            case PortRecord() as octets:
                self.sims[octets.sim.unique_name] = octets.sim
                self.port.append(_port_json(number, octets))
            case AgentReporter() as agent:
                self.agents[agent.name] = agent

    def name_sim(self, sim: ServiceSim) -> str:
        """Return the name of a SIM for display; a claimed card that is in no module may have a SID only."""
        return self._sim_names.get(sim.sid) or sim.unique_name or sim.sid

    def _touch(self, *sids: str | None) -> None:
        self.sids.update(dict.fromkeys(sid for sid in sids if sid is not None))

    def _add_step(self, number: int, step: PathStep) -> None:
        self.steps.append(
            {
                "number": number,
                "sid": step.sid,
                "sim": step.sim,
                "stage": step.stage.value,
                "title": step.title,
                "detail": step.detail,
                "tone": step.tone.value,
                "at": step.at.isoformat(),
                **_content_json(step.content),
            }
        )


def _command_json(resource: CommandResource, sim: str) -> dict[str, object]:
    return {
        "sid": resource.sid,
        "sim": sim,
        "direction": resource.direction,
        "status": resource.status,
        "body": resource.body,
        "mode": resource.mode,
        "error": resource.error_message,
        "created": resource.created_at.isoformat(),
        "updated": resource.updated_at.isoformat(),
    }


def _port_json(number: int, record: PortRecord) -> dict[str, object]:
    return {
        "number": number,
        "sim": record.sim.unique_name,
        "at": record.at.isoformat(),
        "direction": record.direction.value,
        "octets": escape_bytes(record.octets),
        "omitted": record.omitted,
    }


def _agent_json(agent: AgentReporter) -> dict[str, object]:
    return {
        "name": agent.name,
        "sim": agent.sim.unique_name if agent.sim else None,
        "state": agent.state,
        "connected": agent.is_connected,
    }


def _content_json(content: str | bytes | None) -> dict[str, object]:
    if isinstance(content, bytes):
        return {"hex": content.hex()}
    return {} if content is None else {"text": content}
