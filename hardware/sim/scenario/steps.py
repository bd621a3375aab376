"""The steps of a scenario: a TOML file says what happens to which SIM, and when.

    title = "An outage of an hour"

    [[step]]
    at = "10m"              # after the start of the scenario; "+10m": after the step before
    sim = "super-sim"       # without it: every SIM
    action = "detach"
    for = "1h"

    [[step]]
    at = 0
    every = "5m"            # or a range, "1m-10m"
    times = 12              # without it: until the scenario is stopped
    action = "command"
    text = "ping"

Each error of a file is one sentence that names the step and the key.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Literal

import pdu
from hardware.sim.durations import parse_duration
from hardware.sim.fault_text import FaultError
from hardware.sim.sandbox_faults import check_fault
from hardware.sim.service.request_faults import parse_request_fault
from hardware.sim.stranger_sms import check_sms
from hardware.table import Limits, TableError, convert_table
from pdu.record import Record, fresh

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ALL_SIMS = "*"
MAX_STEPS = 10_000
MIN_EVERY_S = 0.1
"""The shortest repetition; without a limit a mistake would keep the sandbox busy."""

ActionName = Literal[
    "command", "message", "redeliver", "detach", "attach", "fault", "cancel-faults", "service-fault"
]

ACTION_KEYS: dict[ActionName, tuple[frozenset[str], frozenset[str]]] = {
    "command": (frozenset({"text"}), frozenset({"parameters"})),
    "message": (frozenset({"from"}), frozenset({"text", "hex"})),
    "redeliver": (frozenset(), frozenset()),
    "detach": (frozenset(), frozenset({"for"})),
    "attach": (frozenset(), frozenset()),
    "fault": (frozenset({"fault"}), frozenset()),
    "cancel-faults": (frozenset(), frozenset()),
    "service-fault": (frozenset({"fault"}), frozenset()),
}
"""The keys that each action needs, and those that it may have."""
COMMON_KEYS = frozenset({"at", "sim", "action", "every", "times", "note"})
_FIELD_NAMES = {"from": "sender", "for": "duration"}
"""The fields of keys that are words of Python."""

Duration = float | str


class ScenarioError(ValueError):
    """A scenario cannot be used; the text is one sentence."""


class StepTable(Record, kw_only=True):
    """One `[[step]]` as it is written."""

    at: Duration = 0.0
    sim: str = ALL_SIMS
    action: ActionName
    every: Duration | None = None
    times: Annotated[int, Limits(ge=1)] | None = None
    note: str = ""
    """Words for the events."""
    text: str | None = None
    hex: str | None = None
    sender: str = ""
    duration: Duration | None = None
    fault: str = ""
    parameters: dict[str, str] = fresh(dict)


class ScenarioStep(Record, kw_only=True):
    """One step with its times in seconds."""

    number: int
    """From 1, in the order of the file."""
    at_s: float
    every_s: tuple[float, float] | None
    """The shortest and the longest time between two repetitions; None if there are none."""
    times: int
    """How often it happens; 0 without limit."""
    duration_s: float | None
    table: StepTable

    @property
    def words(self) -> str:
        """The step in a few words."""
        return self.table.note or f"{self.table.action} {self.table.fault or self.table.text or ''}".strip()

    @property
    def content(self) -> str | bytes:
        """Text or octets of a message."""
        return bytes.fromhex(self.table.hex) if self.table.hex is not None else self.table.text or ""


class Scenario(Record, kw_only=True):
    """A checked scenario."""

    title: str
    steps: tuple[ScenarioStep, ...]


def parse_scenario(text: str, sims: Collection[str]) -> Scenario:
    """Parse a TOML text for these SIMs, by unique name; raises ScenarioError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"it is not TOML: {error}") from error
    return make_scenario(table, sims)


def make_scenario(table: Mapping[str, object], sims: Collection[str]) -> Scenario:
    """Check the table of a scenario, with `title` and the list `step`; raises ScenarioError."""
    if unknown := table.keys() - {"title", "step"}:
        raise ScenarioError(f"there is no key {min(unknown)}; a scenario has title and [[step]]")
    title, tables = table.get("title", ""), table.get("step")
    if not isinstance(title, str):
        raise ScenarioError("title must be text")
    if not isinstance(tables, list) or not tables:
        raise ScenarioError("a scenario needs at least one [[step]]")
    if len(tables) > MAX_STEPS:
        raise ScenarioError(f"it has {len(tables)} steps, and {MAX_STEPS} are allowed")
    steps: list[ScenarioStep] = []
    for number, each in enumerate(tables, start=1):
        action = each.get("action") if isinstance(each, dict) else None
        try:
            steps.append(_make_step(number, each, steps[-1].at_s if steps else 0.0, sims))
        except (TableError, ScenarioError) as error:
            name = f" ({action})" if isinstance(action, str) and action in ACTION_KEYS else ""
            raise ScenarioError(f"step {number}{name}: {error}") from error
    return Scenario(title=title, steps=tuple(steps))


def _make_step(number: int, values: object, previous_s: float, sims: Collection[str]) -> ScenarioStep:
    _check_keys(values)
    table = convert_table(values, StepTable, names=_FIELD_NAMES, key="[[step]]")
    if table.sim != ALL_SIMS and table.sim not in sims:
        raise ScenarioError(f'sim: there is no SIM "{table.sim}"; the SIMs are {", ".join(sims)}')
    if table.times is not None and table.every is None:
        raise ScenarioError("times needs every, the time between two repetitions")
    _check_content(table)
    times = 1 if table.every is None else table.times or 0
    return ScenarioStep(
        number=number,
        at_s=_parse_at(table.at, previous_s),
        every_s=None if table.every is None else _parse_every(table.every),
        times=times,
        duration_s=None if table.duration is None else _parse("for", table.duration),
        table=table,
    )


def _check_keys(values: object) -> None:
    """Check that an action has the keys that it needs, and no other; what else is wrong is found later."""
    if not isinstance(values, dict):
        raise ScenarioError("it must be a table")
    action = values.get("action")
    if action is None:
        raise ScenarioError(f"action is missing; the actions are {', '.join(ACTION_KEYS)}")
    if not isinstance(action, str) or action not in ACTION_KEYS:
        raise ScenarioError(f"action must be one of {', '.join(ACTION_KEYS)}, not {action!r}")
    needed, optional = ACTION_KEYS[action]
    for key in values:
        if key not in COMMON_KEYS | needed | optional:
            known = ", ".join(sorted(COMMON_KEYS | needed | optional))
            raise ScenarioError(f"there is no key {key}; the keys of this action are {known}")
    for key in sorted(needed):
        if key not in values:
            raise ScenarioError(f"{key} is missing")
    if action == "message" and ("text" in values) == ("hex" in values):
        raise ScenarioError("a message has either text or hex")


def _check_content(table: StepTable) -> None:
    try:
        match table.action:
            case "fault":
                check_fault(table.fault)
            case "service-fault":
                parse_request_fault(table.fault)
    except FaultError as error:
        raise ScenarioError(f"fault: {error}") from error
    if table.action != "message":
        return
    try:
        content = table.text if table.hex is None else bytes.fromhex(table.hex)
    except ValueError:
        raise ScenarioError("hex must be pairs of hexadecimal digits") from None
    try:
        check_sms(table.sender, content or "")
    except pdu.PduError as error:
        key = "from" if "address" in error.field else "text" if table.hex is None else "hex"
        raise ScenarioError(f"{key}: {error}") from error


def _parse_at(value: Duration, previous_s: float) -> float:
    if isinstance(value, str) and value.startswith("+"):
        return previous_s + _parse("at", value[1:])
    return _parse("at", value)


def _parse_every(value: Duration) -> tuple[float, float]:
    first, _, last = value.partition("-") if isinstance(value, str) else (value, "", "")
    shortest = _parse("every", first)
    longest = _parse("every", last) if last else shortest
    if not MIN_EVERY_S <= shortest <= longest:
        raise ScenarioError(
            f"every must be {MIN_EVERY_S} s or more, or a range that begins with its shortest time"
        )
    return shortest, longest


def _parse(key: str, value: Duration) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ScenarioError(f"{key}: {error}") from error
