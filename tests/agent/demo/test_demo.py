"""The demo's eyes: what counts as answered, and how it is shown."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.common.events import Event, Severity
from agent.demo import scenarios
from agent.demo.printer import DemoPrinter
from agent.demo.scenarios import SCENARIOS, EventLog, ScenarioResult, run_scenario
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

SID = "DC" + "ab" * 16


@pytest.fixture(autouse=True)
def fast_demo(monkeypatch):
    """Nothing is waited for in vain."""
    monkeypatch.setattr(scenarios, "SCENARIO_TIMEOUT_S", 0.05)
    monkeypatch.setattr(scenarios, "SETTLE_S", 0.0)


def event(kind, **fields):
    return NetworkEvent(kind=kind, at=datetime(2026, 11, 22, tzinfo=UTC), imsi="234500000000001", **fields)


class FakeEnvironment:
    """A stage on which the test says what happens once a Command is created."""

    def __init__(self, seen, happens, listed):
        self.event_log = seen
        self.happens = happens
        self.listed = listed
        self.sandbox = self
        self.created = False

    async def create_command(self, collection, **parameters):
        self.created = True
        self._emit_all()
        return {"sid": SID}

    def _emit_all(self):
        for item in self.happens:
            self.event_log.add(
                event(item, body="pong") if isinstance(item, NetworkEventKind) else Event(item)
            )

    async def list_replies(self, collection, sim):
        return self.listed if self.created else []

    def redeliver(self, sid):
        """The network does it again."""

    def send_sms(self, sim, sender, text):
        self._emit_all()


def row(text):
    return {"payload": text, "command": text, "command_mode": "text"}


GOOD = [NetworkEventKind.LISTED, NetworkEventKind.ORIGINATED, "running", "done", "sent"]


async def _visit(number, happens, listed=()):
    seen = EventLog()
    return await run_scenario(SCENARIOS[number], FakeEnvironment(seen, happens, list(listed)), seen)


@pytest.mark.parametrize(
    ("number", "happens", "listed", "good"),
    [
        (0, GOOD, [row("led is on")], True),
        (0, GOOD, [row("led is off")], False),
        (0, GOOD, [row("led is on")] * 2, False),
        (0, [*GOOD, "running"], [row("led is on")], False),
        (0, [NetworkEventKind.LISTED, "running", "failed", "sent"], [row("led is on")], False),
        (0, [NetworkEventKind.LISTED, "running", "done"], [row("led is on")], False),
        (0, ["running", "done", "sent"], [row("led is on")], False),
        (0, [], [], False),
        (5, [NetworkEventKind.ORIGINATED, "running", "done", "sent", "double"], [], True),
        (5, [NetworkEventKind.ORIGINATED, "running", "done", "sent", "double", "running"], [], False),
        (5, [NetworkEventKind.ORIGINATED] * 2 + ["running", "done", "sent", "double"], [], False),
        (5, [NetworkEventKind.ORIGINATED, "running", "done", "sent"], [], False),
        (6, ["stray"], [], True),
        (6, ["stray", "running"], [], False),
        (6, ["stray", NetworkEventKind.ORIGINATED], [], False),
        (6, [], [], False),
        (7, [NetworkEventKind.LISTED, "running", "failed", "sent"], [row("ERR failed")], True),
        (7, GOOD, [row("ERR failed")], False),
        (8, [NetworkEventKind.NOT_LISTED, NetworkEventKind.ORIGINATED, "running", "done", "sent"], [], True),
        (
            8,
            [NetworkEventKind.NOT_LISTED, NetworkEventKind.ORIGINATED, "running", "done", "sent"],
            [row("pong")],
            False,
        ),
        (8, [NetworkEventKind.NOT_LISTED, "running", "done", "sent"], [], False),
    ],
)
async def test_the_tour_is_no_flatterer(number, happens, listed, good):
    """A Command that ran twice, was answered twice, otherwise or not at all did not fare as it should."""
    result = await _visit(number, happens, listed)
    assert result.passed is good
    assert result.outcome


def test_the_tour_has_every_kind():
    """Text with SID at start and end, binary, a double, a stranger, a failure, each service."""
    titles = " ".join(stop.title for stop in SCENARIOS)
    for word in ("start", "end", "Binary", "twice", "stranger", "fails", "Beta"):
        assert word in titles
    assert {stop.sim for stop in SCENARIOS} == {"meter-1", "meter-2", "meter-3"}


RESULTS = [
    ScenarioResult("Text", "meter-1", SID, "run once, answer listed: led is on", passed=True),
    ScenarioResult("From a stranger", "meter-2", "", "it was run", passed=False),
]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_sids_are_whole_at_any_width(capsys, monkeypatch, width, terminal):
    """In each line and in the table."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda self: terminal))
    screen = DemoPrinter(lambda: 0.0)
    screen.print_scenario("Text", "meter-1")
    screen.print_event(Event("received", sid=SID, command_id=1, content="led on"))
    screen.print_event(event(NetworkEventKind.CREATED, sid=SID, body="led on"), "meter-1")
    screen.print_result(RESULTS[0])
    screen.print_results(RESULTS)
    shown = capsys.readouterr().out
    assert shown.count(SID) == 3
    assert "NO" in shown


def test_a_pipe_gets_plain_text(capsys):
    """No colours where nobody sees them."""
    screen = DemoPrinter(lambda: 0.0)
    screen.print_result(RESULTS[0])
    screen.print_results(RESULTS)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "item",
    [
        Event("stray", "from A\x1b[2J\nB: not from 000", content="x\x1b[2Jy"),
        Event("received", content=b"\x1b\x07"),
        event(NetworkEventKind.OFFERED, number="+1", body="x\x9b31my\n"),
    ],
)
def test_nothing_that_comes_by_sms_moves_the_cursor(capsys, item):
    """Shown as escapes, in one line."""
    screen = DemoPrinter(lambda: 0.0)
    screen.print_event(item)
    shown = capsys.readouterr().out
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()


def test_details_and_the_inside_of_tracebacks_are_for_the_log(capsys):
    """The last line of one is enough."""
    screen = DemoPrinter(lambda: 0.0)
    screen.print_event(Event("port", "still busy", severity=Severity.DEBUG))
    screen.print_event(Event("handler", "demo.py: Traceback (most recent call last):"))
    screen.print_event(Event("handler", 'demo.py:   File "demo.py", line 3'))
    assert capsys.readouterr().out == ""
    screen.print_event(Event("handler", "demo.py: RuntimeError: the pump does not answer"))
    assert "the pump does not answer" in capsys.readouterr().out


async def test_waiting_ends_when_it_is_true():
    """No polling: each thing that happens is looked at."""
    seen = EventLog()
    task = asyncio.create_task(seen.wait_until(lambda: len(seen.agent_events("sent")) == 2))
    await asyncio.sleep(0)
    seen.add(Event("sent"))
    await asyncio.sleep(0)
    assert not task.done()
    seen.add(Event("sent"))
    await asyncio.wait_for(task, 1)


async def test_no_stop_takes_more_than_what_is_left(monkeypatch):
    """So that `--once` is over in time, whatever does not happen."""
    monkeypatch.setattr(scenarios, "SCENARIO_TIMEOUT_S", 60.0)
    seen = EventLog()
    async with asyncio.timeout(5):
        for left in (0.01, 0.0, -3.0):
            result = await run_scenario(SCENARIOS[0], FakeEnvironment(seen, [], []), seen, left)
            assert result.outcome == "not seen within 0 s"
