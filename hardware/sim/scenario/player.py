"""Carries out scenarios in the time of a sandbox, one after the other, and knows how far the last one is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pdu
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.scenario.steps import ALL_SIMS
from hardware.sim.service.errors import ServiceError
from hardware.sim.timers import TimerGroup

if TYPE_CHECKING:
    import random

    from hardware.sim.sandbox import Sandbox
    from hardware.sim.scenario.steps import Scenario, ScenarioStep


class ScenarioState(StrEnum):
    RUNNING = "running"
    OVER = "over"
    """All its steps have happened."""
    STOPPED = "stopped"


@dataclass(slots=True, eq=False)
class StepProgress:
    """How often a step has happened, and what went wrong."""

    step: ScenarioStep
    done: int = 0
    next_at: float | None = None
    """Monotonic time of its next execution; None if there is none."""
    failure: str = ""
    """Why its last execution failed for one of its SIMs; empty if it did not."""


class ScenarioRun:
    """One scenario under way in a started sandbox; each step is an event of the sandbox."""

    def __init__(self, scenario: Scenario, sandbox: Sandbox, rng: random.Random) -> None:
        self.state = ScenarioState.RUNNING
        self._scenario = scenario
        self._sandbox = sandbox
        self._rng = rng
        self._timers = TimerGroup(sandbox.clock)
        self._progress = [StepProgress(step) for step in scenario.steps]
        self._outages = 0
        """Outages whose end is to come."""

    def start(self) -> None:
        """Begin now: the times of the steps count from here."""
        self._report_state("begins")
        for progress in self._progress:
            self._schedule(progress, progress.step.at_s)

    def stop(self) -> None:
        """End it before its time; nothing that it has changed is changed back."""
        self._timers.close()
        if self.state is ScenarioState.RUNNING:
            self.state = ScenarioState.STOPPED
            for progress in self._progress:
                progress.next_at = None
            self._report_state("stopped")

    def to_json(self) -> dict[str, object]:
        """Return title, state and the progress of each step; `next_s` counts from now."""
        now = self._timers.time()
        return {
            "title": self._scenario.title,
            "state": self.state.value,
            "steps": [
                {
                    "step": each.step.number,
                    "sim": each.step.table.sim,
                    "words": each.step.words,
                    "done": each.done,
                    "times": each.step.times or None,
                    "next_s": None if each.next_at is None else round(max(0.0, each.next_at - now), 3),
                    "failure": each.failure,
                }
                for each in self._progress
            ],
        }

    def _schedule(self, progress: StepProgress, delay_s: float) -> None:
        progress.next_at = self._timers.time() + delay_s
        self._timers.call_later(delay_s, self._execute, progress)

    def _execute(self, progress: StepProgress) -> None:
        step = progress.step
        progress.done += 1
        progress.next_at, progress.failure = None, ""
        if step.every_s is not None and progress.done != step.times:
            self._schedule(progress, self._rng.uniform(*step.every_s))
        if step.table.action == "service-fault":
            names: list[str | None] = [None]
        else:
            names = list(self._sandbox.sims) if step.table.sim == ALL_SIMS else [step.table.sim]
        for name in names:
            self._report(name, f"step {step.number}: {step.words}")
            try:
                self._act(step, name)
            except (ServiceError, pdu.PduError, ValueError) as error:
                progress.failure = str(error)
                self._report(name, f"step {step.number} failed: {error}")
        self._end_if_over()

    def _act(self, step: ScenarioStep, name: str | None) -> None:
        """Do what a step says. Raises ServiceError, pdu.PduError, or FaultError and other ValueErrors."""
        sandbox, table = self._sandbox, step.table
        if name is None:
            sandbox.account.faults.add(table.fault)
            return
        match table.action:
            case "command":
                sandbox.create_command(name, table.text or "", table.parameters)
            case "message":
                sandbox.send_sms(name, table.sender, step.content)
            case "redeliver":
                sandbox.redeliver_newest(name)
            case "detach":
                sandbox.detach(name)
                if step.duration_s is not None:
                    self._outages += 1
                    self._timers.call_later(step.duration_s, self._end_outage, step, name)
            case "attach":
                sandbox.attach(name)
            case "fault":
                sandbox.find_sim(name).faults.add(table.fault)
            case "cancel-faults":
                sandbox.find_sim(name).faults.cancel_all()

    def _end_outage(self, step: ScenarioStep, name: str) -> None:
        self._outages -= 1
        self._report(name, f"step {step.number} ends: attach")
        self._sandbox.attach(name)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if not self._outages and all(progress.next_at is None for progress in self._progress):
            self.state = ScenarioState.OVER
            self._report_state("over")

    def _report_state(self, what: str) -> None:
        title = self._scenario.title
        self._report(None, f"scenario {what}: {title}" if title else f"scenario {what}")

    def _report(self, name: str | None, note: str) -> None:
        self._sandbox.records.report(NetworkEventKind.SCENARIO, note, name)


class ScenarioPlayer:
    """The scenarios of one sandbox; one runs at a time."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._run: ScenarioRun | None = None

    def start(self, scenario: Scenario) -> None:
        """Start a scenario in a started sandbox; one that runs is stopped."""
        self.stop()
        self._run = ScenarioRun(scenario, self._sandbox, self._sandbox.make_generator())
        self._run.start()

    def stop(self) -> None:
        """Stop the scenario, if one runs."""
        if self._run is not None:
            self._run.stop()

    def forget(self) -> None:
        """Stop the scenario, and show none."""
        self.stop()
        self._run = None

    def to_json(self) -> dict[str, object] | None:
        """Return the progress of the last scenario, None if there was none."""
        return None if self._run is None else self._run.to_json()
