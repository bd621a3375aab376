"""The demo's eyes: what counts as answered, and how it is shown."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.cli.show import tour
from agent.cli.show.screen import Screen
from agent.cli.show.tour import TOUR, Result, Seen, visit
from agent.story import Step, Weight
from hardware.sim.network.events import Event, EventKind

SID = "DC" + "ab" * 16


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing is waited for in vain."""
    monkeypatch.setattr(tour, "STOP_S", 0.05)
    monkeypatch.setattr(tour, "LINGER_S", 0.0)


def event(kind, **fields):
    return Event(kind=kind, at=datetime(2026, 11, 22, tzinfo=UTC), imsi="234500000000001", **fields)


class Stage:
    """A stage on which the test says what happens once a Command is created."""

    def __init__(self, seen, happens, listed):
        self.seen = seen
        self.happens = happens
        self.listed = listed
        self.sandbox = self
        self.created = False

    async def create(self, collection, **parameters):
        self.created = True
        self._happen()
        return {"sid": SID}

    def _happen(self):
        for item in self.happens:
            self.seen.add(event(item, body="pong") if isinstance(item, EventKind) else Step(item))

    async def answers(self, collection, sim):
        return self.listed if self.created else []

    def redeliver(self, sid):
        """The network does it again."""

    def send_sms(self, sim, sender, text):
        self._happen()


def row(text):
    return {"payload": text, "command": text, "command_mode": "text"}


GOOD = [EventKind.LISTED, EventKind.ORIGINATED, "running", "done", "sent"]


async def _visit(number, happens, listed=()):
    seen = Seen()
    return await visit(TOUR[number], Stage(seen, happens, list(listed)), seen)


@pytest.mark.parametrize(
    ("number", "happens", "listed", "good"),
    [
        (0, GOOD, [row("led is on")], True),
        (0, GOOD, [row("led is off")], False),
        (0, GOOD, [row("led is on")] * 2, False),
        (0, [*GOOD, "running"], [row("led is on")], False),
        (0, [EventKind.LISTED, "running", "failed", "sent"], [row("led is on")], False),
        (0, [EventKind.LISTED, "running", "done"], [row("led is on")], False),
        (0, ["running", "done", "sent"], [row("led is on")], False),
        (0, [], [], False),
        (5, [EventKind.ORIGINATED, "running", "done", "sent", "double"], [], True),
        (5, [EventKind.ORIGINATED, "running", "done", "sent", "double", "running"], [], False),
        (5, [EventKind.ORIGINATED] * 2 + ["running", "done", "sent", "double"], [], False),
        (5, [EventKind.ORIGINATED, "running", "done", "sent"], [], False),
        (6, ["stray"], [], True),
        (6, ["stray", "running"], [], False),
        (6, ["stray", EventKind.ORIGINATED], [], False),
        (6, [], [], False),
        (7, [EventKind.LISTED, "running", "failed", "sent"], [row("ERR failed")], True),
        (7, GOOD, [row("ERR failed")], False),
        (8, [EventKind.NOT_LISTED, EventKind.ORIGINATED, "running", "done", "sent"], [], True),
        (8, [EventKind.NOT_LISTED, EventKind.ORIGINATED, "running", "done", "sent"], [row("pong")], False),
        (8, [EventKind.NOT_LISTED, "running", "done", "sent"], [], False),
    ],
)
async def test_the_tour_is_no_flatterer(number, happens, listed, good):
    """A Command that ran twice, was answered twice, otherwise or not at all did not fare as it should."""
    result = await _visit(number, happens, listed)
    assert result.good is good
    assert result.outcome


def test_the_tour_has_every_kind():
    """Text with SID at start and end, binary, a double, a stranger, a failure, each service."""
    titles = " ".join(stop.title for stop in TOUR)
    for word in ("start", "end", "Binary", "twice", "stranger", "fails", "Beta"):
        assert word in titles
    assert {stop.sim for stop in TOUR} == {"meter-1", "meter-2", "meter-3"}


RESULTS = [
    Result("Text", "meter-1", SID, "run once, answer listed: led is on", good=True),
    Result("From a stranger", "meter-2", "", "it was run", good=False),
]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_sids_are_whole_at_any_width(capsys, monkeypatch, width, terminal):
    """In each line and in the table."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda self: terminal))
    screen = Screen(lambda: 0.0)
    screen.begin("Text", "meter-1")
    screen.step(Step("received", sid=SID, command=1, content="led on"))
    screen.step(event(EventKind.CREATED, sid=SID, body="led on"), "meter-1")
    screen.end(RESULTS[0])
    screen.table(RESULTS)
    shown = capsys.readouterr().out
    assert shown.count(SID) == 3
    assert "NO" in shown


def test_a_pipe_gets_plain_text(capsys):
    """No colours where nobody sees them."""
    screen = Screen(lambda: 0.0)
    screen.end(RESULTS[0])
    screen.table(RESULTS)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "item",
    [
        Step("stray", "from A\x1b[2J\nB: not from 000", content="x\x1b[2Jy"),
        Step("received", content=b"\x1b\x07"),
        event(EventKind.OFFERED, number="+1", body="x\x9b31my\n"),
    ],
)
def test_nothing_that_comes_by_sms_moves_the_cursor(capsys, item):
    """Shown as escapes, in one line."""
    screen = Screen(lambda: 0.0)
    screen.step(item)
    shown = capsys.readouterr().out
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()


def test_details_and_the_inside_of_tracebacks_are_for_the_log(capsys):
    """The last line of one is enough."""
    screen = Screen(lambda: 0.0)
    screen.step(Step("port", "still busy", weight=Weight.DETAIL))
    screen.step(Step("handler", "demo.py: Traceback (most recent call last):"))
    screen.step(Step("handler", 'demo.py:   File "demo.py", line 3'))
    assert capsys.readouterr().out == ""
    screen.step(Step("handler", "demo.py: RuntimeError: the pump does not answer"))
    assert "the pump does not answer" in capsys.readouterr().out


async def test_waiting_ends_when_it_is_true():
    """No polling: each thing that happens is looked at."""
    seen = Seen()
    task = asyncio.create_task(seen.until(lambda: len(seen.steps("sent")) == 2))
    await asyncio.sleep(0)
    seen.add(Step("sent"))
    await asyncio.sleep(0)
    assert not task.done()
    seen.add(Step("sent"))
    await asyncio.wait_for(task, 1)


async def test_no_stop_takes_more_than_what_is_left(monkeypatch):
    """So that `--once` is over in time, whatever does not happen."""
    monkeypatch.setattr(tour, "STOP_S", 60.0)
    seen = Seen()
    async with asyncio.timeout(5):
        for left in (0.01, 0.0, -3.0):
            result = await visit(TOUR[0], Stage(seen, [], []), seen, left)
            assert result.outcome == "not seen within 0 s"
