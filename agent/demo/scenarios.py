"""The scenarios of the demo: Commands of every kind, and the events by which each passes or fails."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from agent.common.events import Event, EventKind
from agent.demo.environment import DemoEnvironment
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

SCENARIO_TIMEOUT_S = 8.0
"""Time limit of one scenario; each takes a fraction of it."""
SETTLE_S = 0.3
"""Wait after the last expected event, in which an event that must not happen would happen."""

SUPER_SIM_PATH = "/supersim/v1/SmsCommands"
WIRELESS_PATH = "/wireless/v1/Commands"
BETA_PATH = "/supersim/v1/Commands"


@dataclass(slots=True)
class EventLog:
    """The events at one SIM since the scenario started."""

    events: list[Event | NetworkEvent] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, event: Event | NetworkEvent) -> None:
        self.events.append(event)
        self.changed.set()

    def agent_events(self, kind: EventKind) -> list[Event]:
        """Return the events of the agent of one kind."""
        return [event for event in self.events if isinstance(event, Event) and event.kind == kind]

    def network_events(self, kind: NetworkEventKind) -> list[NetworkEvent]:
        """Return the events of network and service of one kind."""
        return [event for event in self.events if isinstance(event, NetworkEvent) and event.kind is kind]

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is checked after each event."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The result of one scenario; `sid` is "" if there is no Command."""

    title: str
    sim: str
    sid: str
    outcome: str
    passed: bool


@dataclass(frozen=True, slots=True)
class DemoScenario:
    """One scenario. `run` returns the SID and an outcome in words, or raises ScenarioFailed."""

    title: str
    sim: str
    run: Callable[[DemoEnvironment, EventLog], Awaitable[tuple[str, str]]]


class ScenarioFailed(Exception):  # noqa: N818  (reads as the sentence it is)
    """The events were not those expected; the text describes the difference. `sid` is that of the Command."""

    def __init__(self, text: str, sid: str) -> None:
        super().__init__(text)
        self.sid = sid


async def run_scenario(
    scenario: DemoScenario, environment: DemoEnvironment, event_log: EventLog, remaining_s: float = math.inf
) -> ScenarioResult:
    """Run a scenario within its time limit and within `remaining_s`, and return its result."""
    limit_s = max(min(SCENARIO_TIMEOUT_S, remaining_s), 0.0)
    try:
        async with asyncio.timeout(limit_s):
            sid, outcome = await scenario.run(environment, event_log)
    except TimeoutError:
        created = event_log.network_events(NetworkEventKind.CREATED)
        sid = created[0].sid or "" if created else ""
        return ScenarioResult(
            scenario.title, scenario.sim, sid, f"not complete within {limit_s:.0f} s", passed=False
        )
    except ScenarioFailed as error:
        return ScenarioResult(scenario.title, scenario.sim, error.sid, str(error), passed=False)
    except aiohttp.ClientError as error:
        return ScenarioResult(scenario.title, scenario.sim, "", f"the REST API failed: {error}", passed=False)
    return ScenarioResult(scenario.title, scenario.sim, sid, outcome, passed=True)


def _expect_reply(
    collection: str, expected: str, *, state: EventKind = EventKind.DONE, **parameters: str
) -> Callable[[DemoEnvironment, EventLog], Awaitable[tuple[str, str]]]:
    """Return a scenario: the Command must run once, end in `state`, and the service must list its reply."""

    async def run(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
        count_before = len(await environment.list_replies(collection, parameters["Sim"]))
        resource = await environment.create_command(collection, **parameters)
        await event_log.wait_until(
            lambda: (
                bool(event_log.network_events(NetworkEventKind.LISTED))
                and bool(event_log.agent_events(EventKind.SENT))
            )
        )
        await asyncio.sleep(SETTLE_S)
        _check_ran_once(event_log, resource["sid"], state)
        rows = await environment.list_replies(collection, parameters["Sim"])
        payload_key = "payload" if collection == SUPER_SIM_PATH else "command"
        reply = rows[0][payload_key]
        if rows[0].get("command_mode") == "binary":
            reply = base64.b64decode(reply).hex(" ")
        if len(rows) != count_before + 1 or reply != expected:
            raise ScenarioFailed(f"the service lists {reply!r}, not {expected!r}", resource["sid"])
        return resource["sid"], f"{'run once' if state == EventKind.DONE else state}, reply listed: {reply}"

    return run


def _check_ran_once(event_log: EventLog, sid: str, state: EventKind) -> None:
    runs = len(event_log.agent_events(EventKind.RUNNING))
    if runs != 1 or len(event_log.agent_events(state)) != 1:
        raise ScenarioFailed(f"it ran {runs} times and was not {state} exactly once", sid)


async def _run_redelivery(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
    """The network delivers a Command twice: the second delivery must not run."""
    resource = await environment.create_command(
        WIRELESS_PATH, Sim="meter-2", Command="led once", IncludeSid="start"
    )
    sid = resource["sid"]
    await event_log.wait_until(lambda: bool(event_log.agent_events(EventKind.SENT)))
    environment.sandbox.redeliver(sid)
    await event_log.wait_until(lambda: bool(event_log.agent_events(EventKind.DUPLICATE)))
    await asyncio.sleep(SETTLE_S)
    _check_ran_once(event_log, sid, EventKind.DONE)
    if len(event_log.network_events(NetworkEventKind.ORIGINATED)) != 1:
        raise ScenarioFailed("it had two replies", sid)
    return sid, "delivered twice, run once, one reply"


async def _run_unknown_sender(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
    """An SMS from an unknown number must not run and must not get a reply."""
    environment.sandbox.send_sms("meter-2", "+15557654321", "led on")
    await event_log.wait_until(lambda: bool(event_log.agent_events(EventKind.IGNORED)))
    await asyncio.sleep(SETTLE_S)
    if event_log.agent_events(EventKind.RUNNING) or event_log.network_events(NetworkEventKind.ORIGINATED):
        raise ScenarioFailed("it ran or got a reply", "")
    return "", "recorded as ignored, not run, no reply"


async def _run_beta(environment: DemoEnvironment, event_log: EventLog) -> tuple[str, str]:
    """The first beta accepts replies but does not list them."""
    resource = await environment.create_command(BETA_PATH, Sim="meter-3", Command="ping")
    sid = resource["sid"]
    await event_log.wait_until(
        lambda: (
            bool(event_log.network_events(NetworkEventKind.NOT_LISTED))
            and bool(event_log.agent_events(EventKind.SENT))
        )
    )
    await asyncio.sleep(SETTLE_S)
    _check_ran_once(event_log, sid, EventKind.DONE)
    replies = event_log.network_events(NetworkEventKind.ORIGINATED)
    if len(replies) != 1 or not str(replies[0].body).startswith("pong"):
        raise ScenarioFailed("its reply did not leave the module", sid)
    if await environment.list_replies(BETA_PATH, "meter-3"):
        raise ScenarioFailed("its reply is listed, but this service lists none", sid)
    return sid, f"run once, reply left the module: {replies[0].body!s}; not listed, as documented"


_SID = "HC" + "5eed" * 8
SCENARIOS = (
    DemoScenario(
        "Text without a SID",
        "meter-1",
        _expect_reply(SUPER_SIM_PATH, "led is on", Sim="meter-1", Payload="led on"),
    ),
    DemoScenario(
        "Text, with a SID in front from its sender",
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
    DemoScenario("From an unknown number", "meter-2", _run_unknown_sender),
    DemoScenario(
        "A handler that fails",
        "meter-1",
        _expect_reply(
            SUPER_SIM_PATH, "ERR failed", state=EventKind.FAILED, Sim="meter-1", Payload="pump start"
        ),
    ),
    DemoScenario("Beta: replies are not listed", "meter-3", _run_beta),
)
