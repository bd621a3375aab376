"""The tasks of one connection: how they end together, and what is shown of it."""

import asyncio
from dataclasses import replace

import pytest

from agent.daemon.session import Session
from agent.modem.events import SettingsLost
from agent.modem.sending import Refused, Sent
from agent.modem.status_queries import Registration, Signal


class SessionBench:
    """A session over a modem of the test's own."""

    def __init__(self, road, modem):
        self.states = []
        self.can_send_reports = []
        self.session = Session(modem, road.make_receiver(modem), road.make_sender(modem))
        self.task = None

    async def start(self):
        self.task = asyncio.create_task(self.session.run(self.states.append, self._on_status))
        await asyncio.sleep(1)

    async def _on_status(self, registration):
        self.can_send_reports.append(registration.can_send)


@pytest.fixture
async def session_bench(pipeline, factories):
    bench = SessionBench(pipeline, factories.modem(pipeline))
    yield bench
    pipeline.modem.lose_line()
    if bench.task is not None and not bench.task.done():
        await asyncio.wait_for(bench.task, 10)


async def test_all_tasks_end_when_the_line_is_lost(pipeline, session_bench):
    """By themselves and without an error; a commit under way is finished and its result kept."""
    pipeline.queue_message("hello")
    modem = pipeline.modem

    async def slow(_submit):
        modem.lose_line()
        await pipeline.advance(5)
        return Sent(7)

    modem.plan("send", slow)
    modem.store_message(3, announce=True)
    await session_bench.start()
    await asyncio.wait_for(session_bench.task, 10)
    assert pipeline.reply_states() == ["sent"]
    assert pipeline.deadlines()._deadlines == {}


async def test_a_restart_told_to_one_ends_all(pipeline, session_bench):
    """Intake closes the line; outbox and watch return."""
    await session_bench.start()
    pipeline.modem.emit_events(SettingsLost("RDY"))
    await asyncio.wait_for(session_bench.task, 10)


@pytest.mark.parametrize("task", ["sweep", "send", "identity"])
async def test_a_mistake_in_one_task_cancels_no_other(pipeline, session_bench, task):
    """The session ends as with a lost line: what the others were at is finished, then the mistake is told."""
    pipeline.queue_message("hello")
    modem = pipeline.modem

    async def slow(_submit):
        await pipeline.advance(5)
        return Sent(7)

    def stumble(*_):
        raise ZeroDivisionError("of ours")

    modem.plan("send", slow)
    if task == "send":
        pipeline.outbox_store.mark_sent = stumble
    else:
        modem.plan(task, ZeroDivisionError("of ours"))
    await session_bench.start()
    with pytest.raises(ZeroDivisionError, match="of ours"):
        await asyncio.wait_for(session_bench.task, 20)
    assert modem.lost.is_set()
    if task != "send":
        assert pipeline.reply_states() == ["sent"]
    assert pipeline.deadlines()._deadlines == {}


async def test_the_next_session_settles_what_a_mistake_left(pipeline, session_bench, factories):
    """A message whose outcome could not be noted is unknown, not lost from view."""
    pipeline.queue_message("hello")

    def stumble(*_):
        raise ZeroDivisionError("of ours")

    pipeline.outbox_store.mark_sent = stumble
    await session_bench.start()
    with pytest.raises(ZeroDivisionError):
        await session_bench.task
    assert pipeline.reply_states() == ["sending"]
    other = SessionBench(pipeline, factories.modem(pipeline))
    await other.start()
    assert pipeline.reply_states() == ["unknown"]
    pipeline.modem.lose_line()
    await other.task


async def test_registration_and_signal_are_kept_known(pipeline, session_bench):
    """At once and every five minutes; who the module is is asked once."""
    await session_bench.start()
    assert session_bench.states == ["EC25, registered, home, signal -71 dBm"]
    assert len(pipeline.calls_of("identity", "registration", "signal")) == 3

    async def weak():
        return Signal(-105)

    pipeline.modem.query_signal = weak
    await pipeline.advance(298)
    assert len(session_bench.states) == 1
    await pipeline.advance(4)
    assert session_bench.states[1:] == ["EC25, registered, home, signal -105 dBm"]
    assert [what for what, *_ in pipeline.calls_of("identity", "registration")] == [
        "identity", "registration", "registration",
    ]  # fmt: skip


async def test_a_network_that_is_lost_is_looked_at_soon(pipeline, session_bench):
    """Not five minutes later; one that comes and goes each second is looked at now and then."""
    await session_bench.start()
    pipeline.modem.registered = Registration(eps=3)
    pipeline.modem.status_changed.set()
    await pipeline.advance(6)
    assert session_bench.states[1:] == ["EC25, registration denied, signal -71 dBm"]
    for _ in range(60):
        pipeline.modem.status_changed.set()
        await pipeline.advance(1)
    assert 10 <= len(session_bench.states) <= 14


@pytest.mark.parametrize("what", ["identity", "registration", "signal"])
@pytest.mark.parametrize("kind", ["refused", "silent"])
async def test_a_module_that_does_not_tell_is_watched_on(pipeline, session_bench, factories, what, kind):
    """It is shown and asked again; no session ends for it."""
    pipeline.modem.plan(
        what, factories.refused(3, kind="cme") if kind == "refused" else factories.timed_out()
    )
    await session_bench.start()
    assert session_bench.states == [
        "AT+X was refused: +CME ERROR: 3" if kind == "refused" else "AT+X: no answer within 10 s"
    ]
    await pipeline.advance(305)
    assert session_bench.states[1:] == ["EC25, registered, home, signal -71 dBm"]
    assert not session_bench.task.done()


async def test_what_status_shows(pipeline, session_bench):
    """Before anything is known, and after."""
    before = session_bench.session.describe()
    assert before["module"] is None
    assert before["registration"] == "registered, home"
    assert before["signal_dbm"] is None
    await session_bench.start()
    assert session_bench.session.describe() == {
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
        "read_error": None,
        "service_centre": None,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("routing", "said"), [((2, 1, 0, 0, 0), False), ((2, 2, 0, 0, 0), True), ((1, 3), True)]
)
async def test_what_direct_delivery_cannot_promise_is_shown(
    pipeline, session_bench, monkeypatch, routing, said
):
    """Where the module stores nothing, `status` says what may be lost."""
    there = pipeline.modem.status
    monkeypatch.setattr(type(pipeline.modem), "status", replace(there, cnmi=routing))
    await session_bench.start()
    notes = session_bench.session.describe()["notes"]
    assert any("may be lost" in note for note in notes) is said


async def test_what_cannot_be_read_is_shown(pipeline, session_bench):
    """In the line for people and in `status`, as long as it lasts."""
    modem = pipeline.modem
    modem.read_error = "AT+CMGL=4 was refused: +CMS ERROR: 500"
    await session_bench.start()
    well = "EC25, registered, home, signal -71 dBm"
    assert session_bench.states == [f"{well}, no message can be read: {modem.read_error}"]
    assert session_bench.session.describe()["read_error"] == modem.read_error
    modem.read_error = ""
    await pipeline.advance(300)
    assert session_bench.states[-1] == well


async def test_receiving_goes_on_while_sending_waits(pipeline, session_bench, factories):
    """An hour's pause of the outbox is nobody else's."""
    pipeline.queue_message("hello")
    modem = pipeline.modem
    modem.plan("send", Refused(factories.refused(21, after_body=True)))
    await session_bench.start()
    modem.store_message(3, announce=True)
    await pipeline.advance(1)
    assert pipeline.command_states() == ["received"]


async def test_each_look_is_told_to_whoever_looks_after_it(pipeline, session_bench):
    """Every five minutes while messages can be sent, every minute while not."""
    await session_bench.start()
    assert session_bench.can_send_reports == [True]
    pipeline.modem.registered = Registration(2)
    await pipeline.advance(300)
    assert session_bench.can_send_reports == [True, False]
    await pipeline.advance(180)
    assert session_bench.can_send_reports == [True] + [False] * 4
    pipeline.modem.registered = Registration(5)
    await pipeline.advance(60)
    await pipeline.advance(250)
    assert session_bench.can_send_reports == [True] + [False] * 4 + [True]


async def test_both_domains_are_shown(pipeline, session_bench):
    """They may disagree."""
    pipeline.modem.registered = Registration(3, None, 5)
    await session_bench.start()
    described = session_bench.session.describe()
    assert described["domains"] == {"circuit": "registration denied", "eps": "registered, roaming"}
    assert described["registration"].startswith("registered, roaming")
