"""The demo: when a scenario passes, and what is printed."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.common.events import Event, EventKind, Severity
from agent.demo.printer import DemoPrinter
from agent.demo.scenarios import SCENARIOS, EventLog, ScenarioResult, run_scenario
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

SID = "DC" + "ab" * 16


def network_event(kind, **fields):
    return NetworkEvent(kind=kind, at=datetime(2026, 11, 22, tzinfo=UTC), imsi="234500000000001", **fields)


class FakeEnvironment:
    """An environment in which given events happen once a Command or SMS is sent."""

    def __init__(self, event_log, events, listed):
        self.event_log = event_log
        self.events = events
        self.listed = listed
        self.sandbox = self
        self.created = False

    async def create_command(self, collection, **parameters):
        self.created = True
        self._emit_all()
        return {"sid": SID}

    def _emit_all(self):
        for kind in self.events:
            self.event_log.add(
                network_event(kind, body="pong") if isinstance(kind, NetworkEventKind) else Event(kind)
            )

    async def list_replies(self, collection, sim):
        return self.listed if self.created else []

    def redeliver(self, sid):
        """Do nothing; the events of the second delivery are given."""

    def send_sms(self, sim, sender, text):
        self._emit_all()


def row(text):
    return {"payload": text, "command": text, "command_mode": "text"}


GOOD = [
    NetworkEventKind.LISTED,
    NetworkEventKind.ORIGINATED,
    EventKind.RUNNING,
    EventKind.DONE,
    EventKind.SENT,
]


async def _run(number, events, listed=()):
    event_log = EventLog()
    environment = FakeEnvironment(event_log, events, list(listed))
    return await run_scenario(SCENARIOS[number], environment, event_log)


@pytest.mark.parametrize(
    ("number", "events", "listed", "passed"),
    [
        (0, GOOD, [row("led is on")], True),
        (0, GOOD, [row("led is off")], False),
        (0, GOOD, [row("led is on")] * 2, False),
        (0, [*GOOD, EventKind.RUNNING], [row("led is on")], False),
        (
            0,
            [NetworkEventKind.LISTED, EventKind.RUNNING, EventKind.FAILED, EventKind.SENT],
            [row("led is on")],
            False,
        ),
        (0, [NetworkEventKind.LISTED, EventKind.RUNNING, EventKind.DONE], [row("led is on")], False),
        (0, [EventKind.RUNNING, EventKind.DONE, EventKind.SENT], [row("led is on")], False),
        (0, [], [], False),
        (
            5,
            [
                NetworkEventKind.ORIGINATED,
                EventKind.RUNNING,
                EventKind.DONE,
                EventKind.SENT,
                EventKind.DUPLICATE,
            ],
            [],
            True,
        ),
        (
            5,
            [
                NetworkEventKind.ORIGINATED,
                EventKind.RUNNING,
                EventKind.DONE,
                EventKind.SENT,
                EventKind.DUPLICATE,
                EventKind.RUNNING,
            ],
            [],
            False,
        ),
        (
            5,
            [NetworkEventKind.ORIGINATED] * 2
            + [EventKind.RUNNING, EventKind.DONE, EventKind.SENT, EventKind.DUPLICATE],
            [],
            False,
        ),
        (5, [NetworkEventKind.ORIGINATED, EventKind.RUNNING, EventKind.DONE, EventKind.SENT], [], False),
        (6, [EventKind.IGNORED], [], True),
        (6, [EventKind.IGNORED, EventKind.RUNNING], [], False),
        (6, [EventKind.IGNORED, NetworkEventKind.ORIGINATED], [], False),
        (6, [], [], False),
        (
            7,
            [NetworkEventKind.LISTED, EventKind.RUNNING, EventKind.FAILED, EventKind.SENT],
            [row("ERR failed")],
            True,
        ),
        (7, GOOD, [row("ERR failed")], False),
        (
            8,
            [
                NetworkEventKind.NOT_LISTED,
                NetworkEventKind.ORIGINATED,
                EventKind.RUNNING,
                EventKind.DONE,
                EventKind.SENT,
            ],
            [],
            True,
        ),
        (
            8,
            [
                NetworkEventKind.NOT_LISTED,
                NetworkEventKind.ORIGINATED,
                EventKind.RUNNING,
                EventKind.DONE,
                EventKind.SENT,
            ],
            [row("pong")],
            False,
        ),
        (8, [NetworkEventKind.NOT_LISTED, EventKind.RUNNING, EventKind.DONE, EventKind.SENT], [], False),
    ],
)
async def test_scenario_passes_only_with_the_right_events(number, events, listed, passed):
    """It fails if a Command runs twice, or has two replies, another reply or none."""
    result = await _run(number, events, listed)
    assert result.passed is passed
    assert result.outcome


def test_scenarios_cover_every_kind_of_command():
    """SID at start and end, binary, a duplicate, an unknown sender, a failing handler, each service."""
    titles = " ".join(scenario.title for scenario in SCENARIOS)
    for word in ("start", "end", "Binary", "twice", "unknown number", "fails", "Beta"):
        assert word in titles
    assert {scenario.sim for scenario in SCENARIOS} == {"meter-1", "meter-2", "meter-3"}


RESULTS = [
    ScenarioResult("Text", "meter-1", SID, "run once, reply listed: led is on", passed=True),
    ScenarioResult("From an unknown number", "meter-2", "", "it was run", passed=False),
]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_sid_is_not_wrapped_at_any_width(capsys, monkeypatch, width, terminal):
    """In the lines of events and in the table of results."""
    monkeypatch.setenv("COLUMNS", str(width))
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    printer = DemoPrinter(lambda: 0.0)
    printer.print_scenario("Text", "meter-1")
    printer.print_event(Event(EventKind.RECEIVED, sid=SID, command_id=1, content="led on"))
    printer.print_event(network_event(NetworkEventKind.CREATED, sid=SID, body="led on"), "meter-1")
    printer.print_result(RESULTS[0])
    printer.print_results(RESULTS)
    output = capsys.readouterr().out
    assert output.count(SID) == 3
    assert "FAILED" in output


def test_pipe_gets_no_colours(capsys):
    """No escape sequences in the output."""
    printer = DemoPrinter(lambda: 0.0)
    printer.print_result(RESULTS[0])
    printer.print_results(RESULTS)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "item",
    [
        Event(EventKind.IGNORED, "from A\x1b[2J\nB: not from 000", content="x\x1b[2Jy"),
        Event(EventKind.RECEIVED, content=b"\x1b\x07"),
        network_event(NetworkEventKind.OFFERED, number="+1", body="x\x9b31my\n"),
    ],
)
def test_control_characters_of_a_message_are_escaped(capsys, item):
    """The event is one printable line."""
    printer = DemoPrinter(lambda: 0.0)
    printer.print_event(item)
    output = capsys.readouterr().out
    assert output.endswith("\n")
    assert output[:-1].isprintable()


def test_debug_events_and_tracebacks_are_not_printed(capsys):
    """Only the last line of a handler's traceback is printed."""
    printer = DemoPrinter(lambda: 0.0)
    printer.print_event(Event(EventKind.PORT, "still busy", severity=Severity.DEBUG))
    printer.print_event(Event(EventKind.HANDLER, "demo.py: Traceback (most recent call last):"))
    printer.print_event(Event(EventKind.HANDLER, 'demo.py:   File "demo.py", line 3'))
    assert capsys.readouterr().out == ""
    printer.print_event(Event(EventKind.HANDLER, "demo.py: RuntimeError: the pump does not answer"))
    assert "the pump does not answer" in capsys.readouterr().out


async def test_wait_until_ends_when_the_condition_holds():
    """The condition is checked after each event, without polling."""
    event_log = EventLog()
    task = asyncio.create_task(event_log.wait_until(lambda: len(event_log.agent_events(EventKind.SENT)) == 2))
    await asyncio.sleep(0)
    event_log.add(Event(EventKind.SENT))
    await asyncio.sleep(0)
    assert not task.done()
    event_log.add(Event(EventKind.SENT))
    await asyncio.wait_for(task, 1)


async def test_scenario_ends_within_the_remaining_time():
    """So `--once` ends in time even if nothing happens."""
    event_log = EventLog()
    async with asyncio.timeout(5):
        for remaining_s in (0.01, 0.0, -3.0):
            result = await run_scenario(
                SCENARIOS[0], FakeEnvironment(event_log, [], []), event_log, remaining_s
            )
            assert result.outcome == "not complete within 0 s"
