"""The tasks of one session: how they end together, and what `status` shows of the connection."""

import asyncio
import gc

import pytest

from agent.daemon.session import Session
from agent.modem.events import SettingsLost
from agent.modem.sending import Refused, Sent
from agent.modem.status_queries import Registration, Signal


class SessionBench:
    """A session on a fake modem."""

    def __init__(self, harness, modem):
        self.states = []
        self.can_send_reports = []
        self.session = Session(modem, harness.make_receiver(modem), harness.make_sender(modem))
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


async def test_all_tasks_end_when_the_connection_is_lost(pipeline, session_bench):
    """They return by themselves without an error, after the commit in progress."""
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
    assert pipeline.deadline_monitor._deadlines == {}


async def test_module_restart_ends_all_tasks(pipeline, session_bench):
    """The receiver closes the modem; the other tasks return."""
    await session_bench.start()
    pipeline.modem.emit_events(SettingsLost("RDY"))
    await asyncio.wait_for(session_bench.task, 10)


@pytest.mark.parametrize("task", ["sweep", "send", "identity"])
async def test_exception_in_one_task_cancels_no_other_task(pipeline, session_bench, task):
    """The session ends as if the connection were lost; the exception is raised after the others have
    returned."""
    pipeline.queue_message("hello")
    modem = pipeline.modem

    async def slow(_submit):
        await pipeline.advance(5)
        return Sent(7)

    def raise_error(*_):
        raise ZeroDivisionError("internal")

    modem.plan("send", slow)
    if task == "send":
        pipeline.outbox_store.mark_sent = raise_error
    else:
        modem.plan(task, ZeroDivisionError("internal"))
    await session_bench.start()
    with pytest.raises(ZeroDivisionError, match="internal"):
        await asyncio.wait_for(session_bench.task, 20)
    assert modem.lost.is_set()
    if task != "send":
        assert pipeline.reply_states() == ["sent"]
    assert pipeline.deadline_monitor._deadlines == {}


async def test_next_session_settles_a_message_with_unrecorded_outcome(pipeline, session_bench, factories):
    """A message that was left in the state sending becomes unknown."""
    pipeline.queue_message("hello")

    def raise_error(*_):
        raise ZeroDivisionError("internal")

    pipeline.outbox_store.mark_sent = raise_error
    await session_bench.start()
    with pytest.raises(ZeroDivisionError):
        await session_bench.task
    assert pipeline.reply_states() == ["sending"]
    other = SessionBench(pipeline, factories.modem(pipeline))
    await other.start()
    assert pipeline.reply_states() == ["unknown"]
    pipeline.modem.lose_line()
    await other.task


async def test_registration_and_signal_are_polled(pipeline, session_bench):
    """They are queried at once and every five minutes; the identity only once."""
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


async def test_registration_change_is_queried_soon(pipeline, session_bench):
    """A change each second is queried every few seconds."""
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
async def test_refused_status_query_does_not_end_the_session(pipeline, session_bench, factories, what, kind):
    """The refusal or timeout is shown and the query is repeated."""
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


async def test_describe_before_and_after_the_first_query(pipeline, session_bench):
    """Unknown values are None."""
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
        "operator": "Simulated",
        "access_technology": "LTE",
        "registration": "registered, home",
        "registration_for_s": 1,
        "domains": {"circuit": "registered, home"},
        "signal_dbm": -71,
        "profile": "generic",
        "store": "ME",
        "stores": [],
        "notifications": True,
        "read_error": None,
        "sending": None,
        "service_centre": None,
        "notes": [],
    }


async def test_operator_is_queried_for_each_change_of_the_registration(pipeline, session_bench, factories):
    """Not with each poll, and not without a network. A refused query before it delays it only."""
    pipeline.modem.plan("signal", factories.timed_out())
    await session_bench.start()
    await pipeline.advance(700)
    assert len(pipeline.calls_of("operator")) == 1
    assert session_bench.session.describe()["registration_for_s"] == 401
    pipeline.modem.registered = Registration(eps=2)
    pipeline.modem.status_changed.set()
    await pipeline.advance(10)
    assert session_bench.session.describe()["operator"] is None
    pipeline.modem.registered = Registration(eps=5)
    pipeline.modem.status_changed.set()
    await pipeline.advance(10)
    assert session_bench.session.describe()["operator"] == "Simulated"
    assert len(pipeline.calls_of("operator")) == 2


async def test_module_that_does_not_tell_its_operator_loses_nothing(pipeline, session_bench, factories):
    """The state stays that of the registration, and the signal is polled as before."""
    pipeline.modem.plan("operator", factories.timed_out())
    await session_bench.start()
    assert session_bench.states == ["EC25, registered, home, signal -71 dBm"]
    await pipeline.advance(305)
    assert len(session_bench.states) == 2
    assert session_bench.session.describe()["operator"] is None


async def test_watcher_refreshes_a_status_that_is_old(pipeline, session_bench):
    """Registration and signal are queried after a moment; a fresh status is left alone."""
    await session_bench.start()
    for _ in range(10):
        session_bench.session.refresh_status(10)
        await pipeline.advance(2)
    assert len(session_bench.states) == 2


@pytest.mark.parametrize(
    ("cnmi", "is_noted"), [((2, 1, 0, 0, 0), False), ((2, 2, 0, 0, 0), True), ((1, 3), True)]
)
async def test_limit_of_direct_delivery_is_noted(pipeline, session_bench, cnmi, is_noted):
    """`status` has a note that messages may be lost if the module does not store them."""
    pipeline.modem.cnmi = cnmi
    await session_bench.start()
    notes = session_bench.session.describe()["notes"]
    assert any("may be lost" in note for note in notes) is is_noted


async def test_read_error_is_shown(pipeline, session_bench):
    """It is part of the state line and of `status` as long as it lasts."""
    modem = pipeline.modem
    modem.read_error = "AT+CMGL=4 was refused: +CMS ERROR: 500"
    await session_bench.start()
    well = "EC25, registered, home, signal -71 dBm"
    assert session_bench.states == [f"{well}, messages cannot be read: {modem.read_error}"]
    assert session_bench.session.describe()["read_error"] == modem.read_error
    modem.read_error = ""
    await pipeline.advance(300)
    assert session_bench.states[-1] == well


async def test_receiving_continues_while_sending_waits(pipeline, session_bench, factories):
    """A pause of the sender does not delay the receiver."""
    pipeline.queue_message("hello")
    modem = pipeline.modem
    modem.plan("send", Refused(factories.refused(21, after_body=True)))
    await session_bench.start()
    modem.store_message(3, announce=True)
    await pipeline.advance(1)
    assert pipeline.command_states() == ["received"]


async def test_registration_is_passed_on_after_each_query(pipeline, session_bench):
    """Recovery sees it every five minutes, and every minute while no message can be sent."""
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


async def test_all_domains_are_shown(pipeline, session_bench):
    """The domains may differ."""
    pipeline.modem.registered = Registration(3, None, 5)
    await session_bench.start()
    described = session_bench.session.describe()
    assert described["domains"] == {"circuit": "registration denied", "eps": "registered, roaming"}
    assert described["registration"].startswith("registered, roaming")


async def test_tasks_can_be_cancelled_before_they_start(pipeline, factories):
    """No coroutine is left that was never awaited, which would be a warning at the end of the event loop."""
    bench = SessionBench(pipeline, factories.modem(pipeline))
    before = asyncio.all_tasks()
    session = asyncio.create_task(bench.session.run(bench.states.append, bench._on_status))
    await asyncio.sleep(0)
    not_started = asyncio.all_tasks() - before - {session}
    assert {task.get_name() for task in not_started} == {"receiver", "sender", "status polling"}
    for task in not_started:
        task.cancel()
    await asyncio.wait_for(session, 10)
    pipeline.modem.lose_line()
    gc.collect()
    assert bench.states == []
