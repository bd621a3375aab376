"""The tasks of one connection: how they end together, and what is shown of it."""

import asyncio
from dataclasses import replace

import pytest

from agent.modem.news import Restarted
from agent.modem.sending import Refused, Sent
from agent.modem.state import Registration, Signal
from agent.session import Session


class Bench:
    """A session over a modem of the test's own."""

    def __init__(self, road, modem):
        self.said = []
        self.fared = []
        self.session = Session(modem, road.intake(modem), road.outbox(modem))
        self.task = None

    async def begin(self):
        self.task = asyncio.create_task(self.session.run(self.said.append, self._fares))
        await asyncio.sleep(1)

    async def _fares(self, registration):
        self.fared.append(registration.can_send)


@pytest.fixture
async def bench(road, make):
    bench = Bench(road, make.modem(road))
    yield bench
    road.modem.lose()
    if bench.task is not None and not bench.task.done():
        await asyncio.wait_for(bench.task, 10)


async def test_all_tasks_end_when_the_line_is_lost(road, bench):
    """By themselves and without an error; a commit under way is finished and its result kept."""
    road.message("hello")
    modem = road.modem

    async def slow(_submit):
        modem.lose()
        await road.passes(5)
        return Sent(7)

    modem.plan("send", slow)
    modem.store(3, tell=True)
    await bench.begin()
    await asyncio.wait_for(bench.task, 10)
    assert road.replies() == ["sent"]
    assert road.health()._deadlines == {}


async def test_a_restart_told_to_one_ends_all(road, bench):
    """Intake closes the line; outbox and watch return."""
    await bench.begin()
    road.modem.say(Restarted("RDY"))
    await asyncio.wait_for(bench.task, 10)


@pytest.mark.parametrize("task", ["sweep", "send", "identity"])
async def test_a_mistake_in_one_task_cancels_no_other(road, bench, task):
    """The session ends as with a lost line: what the others were at is finished, then the mistake is told."""
    road.message("hello")
    modem = road.modem

    async def slow(_submit):
        await road.passes(5)
        return Sent(7)

    def stumble(*_):
        raise ZeroDivisionError("of ours")

    modem.plan("send", slow)
    if task == "send":
        road.queue.sent = stumble
    else:
        modem.plan(task, ZeroDivisionError("of ours"))
    await bench.begin()
    with pytest.raises(ZeroDivisionError, match="of ours"):
        await asyncio.wait_for(bench.task, 20)
    assert modem.lost.is_set()
    if task != "send":
        assert road.replies() == ["sent"]
    assert road.health()._deadlines == {}


async def test_the_next_session_settles_what_a_mistake_left(road, bench, make):
    """A message whose outcome could not be noted is unknown, not lost from view."""
    road.message("hello")

    def stumble(*_):
        raise ZeroDivisionError("of ours")

    road.queue.sent = stumble
    await bench.begin()
    with pytest.raises(ZeroDivisionError):
        await bench.task
    assert road.replies() == ["sending"]
    other = Bench(road, make.modem(road))
    await other.begin()
    assert road.replies() == ["unknown"]
    road.modem.lose()
    await other.task


async def test_registration_and_signal_are_kept_known(road, bench):
    """At once and every five minutes; who the module is is asked once."""
    await bench.begin()
    assert bench.said == ["EC25, registered, home, signal -71 dBm"]
    assert len(road.happened("identity", "registration", "signal")) == 3

    async def weak():
        return Signal(-105)

    road.modem.signal = weak
    await road.passes(298)
    assert len(bench.said) == 1
    await road.passes(4)
    assert bench.said[1:] == ["EC25, registered, home, signal -105 dBm"]
    assert [what for what, *_ in road.happened("identity", "registration")] == [
        "identity", "registration", "registration",
    ]  # fmt: skip


async def test_a_network_that_is_lost_is_looked_at_soon(road, bench):
    """Not five minutes later; one that comes and goes each second is looked at now and then."""
    await bench.begin()
    road.modem.registered = Registration(eps=3)
    road.modem.moved.set()
    await road.passes(6)
    assert bench.said[1:] == ["EC25, registration denied, signal -71 dBm"]
    for _ in range(60):
        road.modem.moved.set()
        await road.passes(1)
    assert 10 <= len(bench.said) <= 14


@pytest.mark.parametrize("what", ["identity", "registration", "signal"])
@pytest.mark.parametrize("kind", ["refused", "silent"])
async def test_a_module_that_does_not_tell_is_watched_on(road, bench, make, what, kind):
    """It is shown and asked again; no session ends for it."""
    road.modem.plan(what, make.refused(3, kind="cme") if kind == "refused" else make.timed_out())
    await bench.begin()
    assert bench.said == [
        "AT+X was refused: +CME ERROR: 3" if kind == "refused" else "AT+X: no answer within 10 s"
    ]
    await road.passes(305)
    assert bench.said[1:] == ["EC25, registered, home, signal -71 dBm"]
    assert not bench.task.done()


async def test_what_status_shows(road, bench):
    """Before anything is known, and after."""
    before = bench.session.describe()
    assert before["module"] is None
    assert before["registration"] == "registered, home"
    assert before["signal_dbm"] is None
    await bench.begin()
    assert bench.session.describe() == {
        "module": "Quectel EC25",
        "revision": "EC25EFAR06A01M4G",
        "imei": "861234567890123",
        "iccid": "8988307000000000000",
        "registration": "registered, home",
        "domains": {"circuit": "registered, home"},
        "signal_dbm": -71,
        "profile": "generic",
        "store": "ME",
        "stores": [],
        "notifications": True,
        "unreadable": None,
        "service_centre": None,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("routing", "said"), [((2, 1, 0, 0, 0), False), ((2, 2, 0, 0, 0), True), ((1, 3), True)]
)
async def test_what_direct_delivery_cannot_promise_is_shown(road, bench, monkeypatch, routing, said):
    """Where the module stores nothing, `status` says what may be lost."""
    there = road.modem.condition
    monkeypatch.setattr(type(road.modem), "condition", replace(there, routing=routing))
    await bench.begin()
    notes = bench.session.describe()["notes"]
    assert any("may be lost" in note for note in notes) is said


async def test_what_cannot_be_read_is_shown(road, bench):
    """In the line for people and in `status`, as long as it lasts."""
    modem = road.modem
    modem.store_refuses = "AT+CMGL=4 was refused: +CMS ERROR: 500"
    await bench.begin()
    well = "EC25, registered, home, signal -71 dBm"
    assert bench.said == [f"{well}, no message can be read: {modem.store_refuses}"]
    assert bench.session.describe()["unreadable"] == modem.store_refuses
    modem.store_refuses = ""
    await road.passes(300)
    assert bench.said[-1] == well


async def test_receiving_goes_on_while_sending_waits(road, bench, make):
    """An hour's pause of the outbox is nobody else's."""
    road.message("hello")
    modem = road.modem
    modem.plan("send", Refused(make.refused(21, after_body=True)))
    await bench.begin()
    modem.store(3, tell=True)
    await road.passes(1)
    assert road.states() == ["received"]


async def test_each_look_is_told_to_whoever_looks_after_it(road, bench):
    """Every five minutes while messages can be sent, every minute while not."""
    await bench.begin()
    assert bench.fared == [True]
    road.modem.registered = Registration(2)
    await road.passes(300)
    assert bench.fared == [True, False]
    await road.passes(180)
    assert bench.fared == [True] + [False] * 4
    road.modem.registered = Registration(5)
    await road.passes(60)
    await road.passes(250)
    assert bench.fared == [True] + [False] * 4 + [True]


async def test_both_domains_are_shown(road, bench):
    """They may disagree."""
    road.modem.registered = Registration(3, None, 5)
    await bench.begin()
    described = bench.session.describe()
    assert described["domains"] == {"circuit": "registration denied", "eps": "registered, roaming"}
    assert described["registration"].startswith("registered, roaming")
