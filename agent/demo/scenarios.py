"""The tour: Commands of every kind, and what must be seen of each before it counts as answered."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from agent.common.events import Event
from agent.demo.environment import DemoEnvironment
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

SCENARIO_TIMEOUT_S = 8.0
"""Longest that one stop of the tour may take; each takes a fraction of it."""
SETTLE_S = 0.3
"""After all that must be seen has been seen: what must not happen would happen now."""

SUPER_SIM_PATH = "/supersim/v1/SmsCommands"
WIRELESS_PATH = "/wireless/v1/Commands"
BETA_PATH = "/supersim/v1/Commands"


@dataclass(slots=True)
class EventLog:
    """What has happened at one SIM since the stop began."""

    items: list[Event | NetworkEvent] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, item: Event | NetworkEvent) -> None:
        self.items.append(item)
        self.changed.set()

    def agent_events(self, kind: str) -> list[Event]:
        """What the agent did, by its word."""
        return [item for item in self.items if isinstance(item, Event) and item.kind == kind]

    def network_events(self, kind: NetworkEventKind) -> list[NetworkEvent]:
        """What network and service did."""
        return [item for item in self.items if isinstance(item, NetworkEvent) and item.kind is kind]

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for it."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """How one Command fared."""

    title: str
    sim: str
    sid: str
    outcome: str
    passed: bool


@dataclass(frozen=True, slots=True)
class DemoScenario:
    """One stop of the tour. `visit` returns the SID and an outcome in words, or raises Unexpected."""

    title: str
    sim: str
    run: Callable[[DemoEnvironment, EventLog], Awaitable[tuple[str, str]]]


class ScenarioFailed(Exception):  # noqa: N818  (reads as the sentence it is)
    """Something else happened; the text says what. `sid` names the Command."""

    def __init__(self, text: str, sid: str) -> None:
        super().__init__(text)
        self.sid = sid


async def run_scenario(
    scenario: DemoScenario, environment: DemoEnvironment, event_log: EventLog, remaining_s: float = math.inf
) -> ScenarioResult:
    """Make one stop, in the time that is left for the tour."""
    limit_s = max(min(SCENARIO_TIMEOUT_S, remaining_s), 0.0)
    try:
        async with asyncio.timeout(limit_s):
            sid, outcome = await scenario.run(environment, event_log)
    except TimeoutError:
        created = event_log.network_events(NetworkEventKind.CREATED)
        sid = created[0].sid or "" if created else ""
        return ScenarioResult(
            scenario.title, scenario.sim, sid, f"not seen within {limit_s:.0f} s", passed=False
        )
    except ScenarioFailed as error:
        return ScenarioResult(scenario.title, scenario.sim, error.sid, str(error), passed=False)
    except aiohttp.ClientError as error:
        return ScenarioResult(scenario.title, scenario.sim, "", f"the REST API failed: {error}", passed=False)
    return ScenarioResult(scenario.title, scenario.sim, sid, outcome, passed=True)


def _expect_reply(
    collection: str, expected: str, *, state: str = "done", **parameters: str
) -> Callable[[DemoEnvironment, EventLog], Awaitable[tuple[str, str]]]:
    """A Command that must run once, end in that state, and whose answer must stand in the list."""

    async def go(stage: DemoEnvironment, seen: EventLog) -> tuple[str, str]:
        before = len(await stage.list_replies(collection, parameters["Sim"]))
        resource = await stage.create_command(collection, **parameters)
        await seen.wait_until(
            lambda: bool(seen.network_events(NetworkEventKind.LISTED)) and bool(seen.agent_events("sent"))
        )
        await asyncio.sleep(SETTLE_S)
        _check_ran_once(seen, resource["sid"], state)
        rows = await stage.list_replies(collection, parameters["Sim"])
        field_ = "payload" if collection == SUPER_SIM_PATH else "command"
        answer = rows[0][field_]
        if rows[0].get("command_mode") == "binary":
            answer = base64.b64decode(answer).hex(" ")
        if len(rows) != before + 1 or answer != expected:
            raise ScenarioFailed(f"the list holds {answer!r}, not {expected!r}", resource["sid"])
        return resource["sid"], f"{'run once' if state == 'done' else state}, answer listed: {answer}"

    return go


def _check_ran_once(event_log: EventLog, sid: str, state: str) -> None:
    runs = len(event_log.agent_events("running"))
    if runs != 1 or len(event_log.agent_events(state)) != 1:
        raise ScenarioFailed(f"it ran {runs} times and was not {state} once", sid)


async def _run_redelivery(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
    """The network delivers a Command twice: the second must not run."""
    resource = await environment.create_command(
        WIRELESS_PATH, Sim="meter-2", Command="led once", IncludeSid="start"
    )
    sid = resource["sid"]
    await event_log.wait_until(lambda: bool(event_log.agent_events("sent")))
    environment.sandbox.redeliver(sid)
    await event_log.wait_until(lambda: bool(event_log.agent_events("double")))
    await asyncio.sleep(SETTLE_S)
    _check_ran_once(event_log, sid, "done")
    if len(event_log.network_events(NetworkEventKind.ORIGINATED)) != 1:
        raise ScenarioFailed("it was answered twice", sid)
    return sid, "delivered twice, run once, answered once"


async def _run_unknown_sender(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
    """Somebody else's SMS must not run and must not be answered."""
    environment.sandbox.send_sms("meter-2", "+15557654321", "led on")
    await event_log.wait_until(lambda: bool(event_log.agent_events("stray")))
    await asyncio.sleep(SETTLE_S)
    if event_log.agent_events("running") or event_log.network_events(NetworkEventKind.ORIGINATED):
        raise ScenarioFailed("it was run or answered", "")
    return "", "kept as a stray, not run, not answered"


async def _run_beta(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
    """The first beta takes answers and lists none."""
    resource = await environment.create_command(BETA_PATH, Sim="meter-3", Command="ping")
    sid = resource["sid"]
    await event_log.wait_until(
        lambda: (
            bool(event_log.network_events(NetworkEventKind.NOT_LISTED))
            and bool(event_log.agent_events("sent"))
        )
    )
    await asyncio.sleep(SETTLE_S)
    _check_ran_once(event_log, sid, "done")
    answers = event_log.network_events(NetworkEventKind.ORIGINATED)
    if len(answers) != 1 or not str(answers[0].body).startswith("pong"):
        raise ScenarioFailed("its answer was not seen leaving the module", sid)
    if await environment.list_replies(BETA_PATH, "meter-3"):
        raise ScenarioFailed("its answer stands in a list, where this service keeps none", sid)
    return sid, f"run once, answer left the module: {answers[0].body!s}; in no list, as documented"


_SID = "HC" + "5eed" * 8
SCENARIOS = (
    DemoScenario(
        "Text, no SID in it",
        "meter-1",
        _expect_reply(SUPER_SIM_PATH, "led is on", Sim="meter-1", Payload="led on"),
    ),
    DemoScenario(
        "Text, a SID put in front by its sender",
        "meter-1",
        _expect_reply(SUPER_SIM_PATH, "led is off", Sim="meter-1", Payload=f"{_SID} led off"),
    ),
    DemoScenario(
        "Text, SID at the start",
        "meter-2",
        _expect_reply(WIRELESS_PATH, "led is red", Sim="meter-2", Command="led red", IncludeSid="start"),
    ),
    DemoScenario(
        "Text, SID at the end",
        "meter-2",
        _expect_reply(WIRELESS_PATH, "led is {blue}", Sim="meter-2", Command="led {blue}", IncludeSid="end"),
    ),
    DemoScenario(
        "Binary",
        "meter-2",
        _expect_reply(
            WIRELESS_PATH,
            "01 04 0d ff 00 01",
            Sim="meter-2",
            Command=base64.b64encode(bytes([1, 0, 255, 13])).decode(),
            CommandMode="binary",
        ),
    ),
    DemoScenario("Delivered twice by the network", "meter-2", _run_redelivery),
    DemoScenario("From a stranger's number", "meter-2", _run_unknown_sender),
    DemoScenario(
        "Its handler fails",
        "meter-1",
        _expect_reply(SUPER_SIM_PATH, "ERR failed", state="failed", Sim="meter-1", Payload="pump start"),
    ),
    DemoScenario("Beta: nothing is listed", "meter-3", _run_beta),
)
