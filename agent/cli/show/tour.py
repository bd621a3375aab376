"""The tour: Commands of every kind, and what must be seen of each before it counts as answered."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from agent.cli.show.stage import Stage
from agent.story import Step
from hardware.sim.network.events import Event, EventKind

STOP_S = 8.0
"""Longest that one stop of the tour may take; each takes a fraction of it."""
LINGER_S = 0.3
"""After all that must be seen has been seen: what must not happen would happen now."""

SUPER_SIM = "/supersim/v1/SmsCommands"
WIRELESS = "/wireless/v1/Commands"
BETA = "/supersim/v1/Commands"


@dataclass(slots=True)
class Seen:
    """What has happened at one SIM since the stop began."""

    happened: list[Step | Event] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, item: Step | Event) -> None:
        self.happened.append(item)
        self.changed.set()

    def steps(self, what: str) -> list[Step]:
        """What the agent did, by its word."""
        return [item for item in self.happened if isinstance(item, Step) and item.what == what]

    def events(self, kind: EventKind) -> list[Event]:
        """What network and service did."""
        return [item for item in self.happened if isinstance(item, Event) and item.kind is kind]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for it."""
        while not true():
            self.changed.clear()
            await self.changed.wait()


@dataclass(frozen=True, slots=True)
class Result:
    """How one Command fared."""

    title: str
    sim: str
    sid: str
    outcome: str
    good: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour. `visit` returns the SID and an outcome in words, or raises Unexpected."""

    title: str
    sim: str
    visit: Callable[[Stage, Seen], Awaitable[tuple[str, str]]]


class Unexpected(Exception):  # noqa: N818  (reads as the sentence it is)
    """Something else happened; the text says what. `sid` names the Command."""

    def __init__(self, text: str, sid: str) -> None:
        super().__init__(text)
        self.sid = sid


async def visit(stop: Stop, stage: Stage, seen: Seen, left_s: float = math.inf) -> Result:
    """Make one stop, in the time that is left for the tour."""
    limit_s = max(min(STOP_S, left_s), 0.0)
    try:
        async with asyncio.timeout(limit_s):
            sid, outcome = await stop.visit(stage, seen)
    except TimeoutError:
        created = seen.events(EventKind.CREATED)
        sid = created[0].sid or "" if created else ""
        return Result(stop.title, stop.sim, sid, f"not seen within {limit_s:.0f} s", good=False)
    except Unexpected as error:
        return Result(stop.title, stop.sim, error.sid, str(error), good=False)
    except aiohttp.ClientError as error:
        return Result(stop.title, stop.sim, "", f"the REST API failed: {error}", good=False)
    return Result(stop.title, stop.sim, sid, outcome, good=True)


def _answered(
    collection: str, expected: str, *, state: str = "done", **parameters: str
) -> Callable[[Stage, Seen], Awaitable[tuple[str, str]]]:
    """A Command that must run once, end in that state, and whose answer must stand in the list."""

    async def go(stage: Stage, seen: Seen) -> tuple[str, str]:
        before = len(await stage.answers(collection, parameters["Sim"]))
        resource = await stage.create(collection, **parameters)
        await seen.until(lambda: bool(seen.events(EventKind.LISTED)) and bool(seen.steps("sent")))
        await asyncio.sleep(LINGER_S)
        _once(seen, resource["sid"], state)
        rows = await stage.answers(collection, parameters["Sim"])
        field_ = "payload" if collection == SUPER_SIM else "command"
        answer = rows[0][field_]
        if rows[0].get("command_mode") == "binary":
            answer = base64.b64decode(answer).hex(" ")
        if len(rows) != before + 1 or answer != expected:
            raise Unexpected(f"the list holds {answer!r}, not {expected!r}", resource["sid"])
        return resource["sid"], f"{'run once' if state == 'done' else state}, answer listed: {answer}"

    return go


def _once(seen: Seen, sid: str, state: str) -> None:
    runs = len(seen.steps("running"))
    if runs != 1 or len(seen.steps(state)) != 1:
        raise Unexpected(f"it ran {runs} times and was not {state} once", sid)


async def _again(stage: Stage, seen: Seen) -> tuple[str, str]:
    """The network delivers a Command twice: the second must not run."""
    resource = await stage.create(WIRELESS, Sim="meter-2", Command="led once", IncludeSid="start")
    sid = resource["sid"]
    await seen.until(lambda: bool(seen.steps("sent")))
    stage.sandbox.redeliver(sid)
    await seen.until(lambda: bool(seen.steps("double")))
    await asyncio.sleep(LINGER_S)
    _once(seen, sid, "done")
    if len(seen.events(EventKind.ORIGINATED)) != 1:
        raise Unexpected("it was answered twice", sid)
    return sid, "delivered twice, run once, answered once"


async def _stranger(stage: Stage, seen: Seen) -> tuple[str, str]:
    """Somebody else's SMS must not run and must not be answered."""
    stage.sandbox.send_sms("meter-2", "+15557654321", "led on")
    await seen.until(lambda: bool(seen.steps("stray")))
    await asyncio.sleep(LINGER_S)
    if seen.steps("running") or seen.events(EventKind.ORIGINATED):
        raise Unexpected("it was run or answered", "")
    return "", "kept as a stray, not run, not answered"


async def _beta(stage: Stage, seen: Seen) -> tuple[str, str]:
    """The first beta takes answers and lists none."""
    resource = await stage.create(BETA, Sim="meter-3", Command="ping")
    sid = resource["sid"]
    await seen.until(lambda: bool(seen.events(EventKind.NOT_LISTED)) and bool(seen.steps("sent")))
    await asyncio.sleep(LINGER_S)
    _once(seen, sid, "done")
    answers = seen.events(EventKind.ORIGINATED)
    if len(answers) != 1 or not str(answers[0].body).startswith("pong"):
        raise Unexpected("its answer was not seen leaving the module", sid)
    if await stage.answers(BETA, "meter-3"):
        raise Unexpected("its answer stands in a list, where this service keeps none", sid)
    return sid, f"run once, answer left the module: {answers[0].body!s}; in no list, as documented"


_SID = "HC" + "5eed" * 8
TOUR = (
    Stop("Text, no SID in it", "meter-1", _answered(SUPER_SIM, "led is on", Sim="meter-1", Payload="led on")),
    Stop(
        "Text, a SID put in front by its sender",
        "meter-1",
        _answered(SUPER_SIM, "led is off", Sim="meter-1", Payload=f"{_SID} led off"),
    ),
    Stop(
        "Text, SID at the start",
        "meter-2",
        _answered(WIRELESS, "led is red", Sim="meter-2", Command="led red", IncludeSid="start"),
    ),
    Stop(
        "Text, SID at the end",
        "meter-2",
        _answered(WIRELESS, "led is {blue}", Sim="meter-2", Command="led {blue}", IncludeSid="end"),
    ),
    Stop(
        "Binary",
        "meter-2",
        _answered(
            WIRELESS,
            "01 04 0d ff 00 01",
            Sim="meter-2",
            Command=base64.b64encode(bytes([1, 0, 255, 13])).decode(),
            CommandMode="binary",
        ),
    ),
    Stop("Delivered twice by the network", "meter-2", _again),
    Stop("From a stranger's number", "meter-2", _stranger),
    Stop(
        "Its handler fails",
        "meter-1",
        _answered(SUPER_SIM, "ERR failed", state="failed", Sim="meter-1", Payload="pump start"),
    ),
    Stop("Beta: nothing is listed", "meter-3", _beta),
)
