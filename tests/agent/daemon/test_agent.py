"""The agent as a whole with fake module and handlers: start, stop, watchdog, pruning, control requests."""

import asyncio
import os

import pytest

import pdu
from agent.at.transport.base import PortUnavailable
from agent.daemon.agent import NotIdleInTime
from agent.daemon.control_socket import ControlUnusable
from agent.daemon.until_idle import IdleLimits
from agent.handlers.registry import HandlerConfigError
from agent.handlers.results import Finished, HandlerDeclaration
from agent.journal.files import JournalLocked
from agent.journal.journal import Journal, JournalUnusable
from agent.modem.sending import OutcomeUnknown, Refused
from agent.version import VERSION
from hardware.identify import PortInfo


def busy():
    return PortUnavailable("busy", "/dev/ttyUSB2 is in use by ModemManager (process 7)")


# Start


async def test_ready_does_not_wait_for_the_module(agent_env, pipeline):
    """The agent is ready with journal, handlers and control socket. The status shows why the port cannot be
    opened."""
    agent_env.port.default = busy()
    async with agent_env.running(5):
        assert str(pipeline.events[0]) == f"ready: modem-agent {VERSION}, programmable-wireless"
        assert agent_env.notifications[0] == "READY=1"
        assert agent_env.notifications.index("READY=1") < agent_env.notifications.index(f"STATUS={busy()}")
        answer = await agent_env.request(do="status")
        assert answer["ok"] is True
        assert answer["modem"] == {
            "state": str(busy()),
            "problem": str(busy()),
            "problem_since": "2026-11-22T12:00:00+00:00",
            "failed_part": "port",
            "sim_absent_since": None,
            "sessions": 0,
            "session_for_s": None,
            "signal_history": {"interval_s": 300.0, "dbm": []},
        }
        assert answer["problems"] == [
            f"Commands cannot be received or answered: there is no session with the module: {busy()}"
        ]
    assert agent_env.notifications[-1] == "STOPPING=1"


async def test_unused_handler_file_is_logged(agent_env, pipeline):
    """The agent starts all the same."""
    (agent_env.folder / "handlers" / "pump").write_text("#!/bin/sh\n")
    async with agent_env.running():
        assert (
            "pump is not used because it is not executable" in pipeline.events_of_kind("warning")[0].message
        )


async def test_command_is_received_run_and_answered(agent_env, pipeline):
    """Each component wakes the next one: no timer delays the way from the notification to the reply."""
    modem = agent_env.modem()
    async with agent_env.running():
        modem.store_message(3, "led on", announce=True)
        await pipeline.advance(0.3)
        assert modem.sent_contents == ["did led on"]
    assert not modem.stored
    assert [event.kind for event in pipeline.events if event.command_id == 1] == [
        "received", "running", "done", "queued", "sending", "sent",
    ]  # fmt: skip
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_states() == ["sent"]


@pytest.mark.parametrize("reports", [False, True])
async def test_settings_reach_their_components(agent_env, pipeline, reports):
    """Each key of the configuration takes effect."""
    rate = 2 if reports else 3  # a resent message counts twice
    agent_env.tables["service"] |= {
        "reply_sid": "start", "max_parts": 2, "allow_ucs2": True, "status_reports": reports,
        "max_per_minute": rate, "resend_unknown": not reports,
    }  # fmt: skip
    agent_env.tables["handlers"] |= {"timeout_s": 7, "max_age_s": 3600}
    modem = agent_env.modem()
    modem.plan("send", OutcomeUnknown("no result"))
    modem.store_message(1, f"{agent_env.factories.SID} led on", minute=59)
    modem.store_message(2, "led old", minute=0)
    pipeline.clock_error_s = 1800
    pipeline.runner.plan("device.py:led", Finished("\u263a" * 100, then="later"))
    async with agent_env.running(40):
        options = agent_env.modem_options
        assert (options.message_format, options.status_reports) == ("pdu", reports)
        assert (options.profile, options.port_info) == ("auto", PortInfo())
        assert (options.sim_config.pin, options.sim_config.service_centre) == (None, "")
        assert options.sim_config.memory is not None
        assert sorted(pipeline.command_states()) == ["done", "expired"]
        first, second, *copy = pipeline.reply_texts()
        assert copy == ([] if reports else [first])
        assert first.startswith(f"{agent_env.factories.SID} \u263a")
        assert second.startswith("\u263a")
        assert modem.sent_contents == ([first, second] if reports else [first, first, second])
        assert [submit.status_report_request for submit in modem.sent_submits] == [reports] * len(
            modem.sent_contents
        )
        assert pipeline.runner.run_actions == [("device.py:led", "later", 7)]
        await agent_env.request(do="send", text="third", wait=False)
        await pipeline.advance(1)
        held = pipeline.events_of_kind("held")[0]
        assert held.message == f"the rate limit of {rate} messages a minute is reached"


@pytest.mark.parametrize("setting", [True, False])
async def test_dedup_without_a_sid_is_configurable(agent_env, pipeline, setting):
    """If it is off, each delivery of a Command without a SID runs."""
    agent_env.tables["journal"] |= {"dedup_without_sid": setting}
    modem = agent_env.modem()
    modem.store_message(1, "led on")
    modem.store_message(2, "led on")
    async with agent_env.running():
        pass
    assert len(pipeline.runner.runs) == (1 if setting else 2)


async def test_message_interrupted_by_the_last_process_is_unknown(agent_env, pipeline):
    """It is logged at the start, with or without a module."""
    pipeline.outbox_store.mark_sending(pipeline.queue_message())
    agent_env.port.default = busy()
    async with agent_env.running():
        assert pipeline.reply_states() == ["unknown"]
    assert pipeline.events_of_kind("unknown")[0].reply_id == 1


async def test_next_start_answers_interrupted_commands(agent_env, pipeline):
    """The answer to an interrupted run is sent."""
    pipeline.store_command("led on")
    pipeline.command_store.mark_running(1, "device.py:led", repeatable=False)
    modem = agent_env.modem()
    async with agent_env.running():
        pass
    assert modem.sent_contents == ["ERR interrupted"]
    assert pipeline.runner.runs == []


async def test_start_on_a_full_disk_is_ready_and_waits(agent_env, pipeline):
    """It is logged, and the agent continues as soon as it can commit."""
    pipeline.outbox_store.mark_sending(pipeline.queue_message())
    pipeline.fail_commits_disk_full()
    async with agent_env.running(60):
        assert agent_env.notifications[0] == "READY=1"
        assert pipeline.events_of_kind("journal cannot commit")
        assert pipeline.reply_states() == ["sending"]
        pipeline.commit_error = None
        await pipeline.advance(31)
        assert pipeline.reply_states() == ["unknown"]
        assert (await agent_env.request(do="status"))["modem"]["sessions"] == 1


@pytest.mark.parametrize("what", ["handlers", "socket", "journal", "held"])
async def test_failed_start_leaves_nothing_open(agent_env, pipeline, what, tmp_path):
    """The error is raised, the lock of the journal is free, and the runner is closed."""
    if what == "handlers":
        agent_env.tables["handlers"]["directory"] = "nowhere"
    elif what == "socket":
        agent_env.tables["control"]["socket"] = "nowhere/control.sock"
    elif what == "journal":
        agent_env.tables["journal"]["path"] = "nowhere/journal.db"
    agent = agent_env.agent()
    holder = (
        Journal(pipeline.journal_path, pipeline.wall_clock, pipeline.monotonic) if what == "held" else None
    )
    errors = {
        "handlers": (HandlerConfigError, "there is no directory"),
        "socket": (ControlUnusable, r"\[control\] socket"),
        "journal": (JournalUnusable, r"\[journal\] path"),
        "held": (JournalLocked, "is written by another modem-agent"),
    }
    error, sentence = errors[what]
    with pytest.raises(error, match=sentence):
        await agent.run()
    if holder is not None:
        holder.close()
    Journal(pipeline.journal_path, pipeline.wall_clock, pipeline.monotonic).close()
    assert "READY=1" not in agent_env.notifications
    closed = [("runner closed",), ("executor closed",)] if what in ("handlers", "socket") else []
    assert pipeline.calls_of("runner closed", "executor closed") == closed
    assert not (tmp_path / "control.sock").exists()


# Stop


@pytest.mark.parametrize("when", ["idle", "port", "opening", "mute", "handler", "action", "sending", "disk"])
async def test_stop_ends_everything_within_five_seconds(agent_env, pipeline, when):
    """An unresponsive module, a hanging port, a running handler and a full disk do not delay it."""
    never = asyncio.Event()

    async def hang(*_):
        await never.wait()

    modem = agent_env.modem()
    if when == "port":
        agent_env.port.default = busy()
    elif when == "opening":
        agent_env.port.planned = [hang]
    elif when == "mute":

        async def wait_for_loss():
            await modem.lost.wait()

        modem.plan("initialise", wait_for_loss)
    elif when == "handler":
        pipeline.runner.plan("device.py:led", hang)
        modem.store_message(3)
    elif when == "action":
        pipeline.runner.plan("device.py:led", Finished(None, then="reboot"))
        pipeline.runner.plan("reboot", hang)
        modem.store_message(3)
    elif when == "sending":
        pipeline.queue_message()

        async def wait_until_lost(_submit):
            await modem.lost.wait()
            return OutcomeUnknown(modem.loss_reason)

        modem.plan("send", wait_until_lost)
    began = 0.0
    async with agent_env.running(3):
        if when == "disk":
            modem.store_message(3, announce=True)
            await pipeline.advance(0.05)
            pipeline.fail_commits_disk_full()
            await pipeline.advance(1)
        began = pipeline.monotonic()
    took = pipeline.monotonic() - began
    assert took <= {"idle": 0.5, "port": 0.5, "sending": 0.5, "mute": 0.5}.get(when, 4.2)
    assert agent_env.notifications[-1] == "STOPPING=1"
    assert pipeline.calls_of("runner closed", "executor closed")[-1] == ("executor closed",)
    assert ("runner closed",) in pipeline.call_log
    assert not (agent_env.folder / "control.sock").exists()
    Journal(pipeline.journal_path, pipeline.wall_clock, pipeline.monotonic).close()
    if when in ("handler", "action"):
        assert 3 <= took <= 3.2
    if when == "handler":
        assert pipeline.command_states() == ["running"]
    if when == "sending":
        assert pipeline.reply_states() == ["unknown"]


async def test_handler_that_ends_during_shutdown_is_recorded(agent_env, pipeline):
    """A result within 3 s is committed with its reply, which the next start sends."""

    async def slow(_command):
        await pipeline.advance(2)
        return Finished("led is on")

    modem = agent_env.modem()
    pipeline.runner.plan("device.py:led", slow)
    modem.store_message(3)
    async with agent_env.running():
        pass
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_states() == ["queued"]
    modem = agent_env.modem()
    async with agent_env.running():
        pass
    assert modem.sent_contents == ["led is on"]


async def test_stop_does_not_wait_for_handler_files(agent_env, pipeline):
    """Loading a file for a minute is cancelled, and the agent was never ready."""

    async def slow():
        await pipeline.advance(60)

    pipeline.runner.declarations["device.py"] = slow
    async with agent_env.running():
        began = pipeline.monotonic()
    assert pipeline.monotonic() - began < 0.1
    assert agent_env.notifications == []
    assert ("runner closed",) in pipeline.call_log
    Journal(pipeline.journal_path, pipeline.wall_clock, pipeline.monotonic).close()


# Reload


async def test_reload_changes_what_waits_and_not_what_runs(agent_env, pipeline):
    """A running Command ends with its old limit; those behind it go to the handlers of the new directory."""
    end = asyncio.Event()

    async def wait_for_end(_command):
        await end.wait()
        return Finished("old")

    modem = agent_env.modem()
    pipeline.runner.plan("device.py:led", wait_for_end)
    for slot in (3, 4):
        modem.store_message(slot, minute=slot)
    async with agent_env.running() as agent:
        (agent_env.folder / "other").mkdir()
        (agent_env.folder / "other" / "new.py").write_text("")
        pipeline.runner.declarations["new.py"] = [HandlerDeclaration("lamp", words=("led",))]
        agent_env.tables["handlers"] = {"directory": "other"}
        agent.reload()
        await pipeline.advance(1)
        assert pipeline.command_states() == ["running", "done"]
        end.set()
        await pipeline.advance(1)
    assert [name for name, *_ in pipeline.runner.runs] == ["device.py:led", "new.py:lamp"]
    assert pipeline.command_states() == ["done", "done"]
    assert ("activate", "new.py") in pipeline.call_log
    assert [event.message for event in pipeline.events_of_kind("reloaded")] == [
        "handlers help, led, ping, status"
    ]
    reloading, ready = agent_env.notifications[agent_env.notifications.index("READY=1") + 1 :][-3:-1]
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert ready == "READY=1"


async def test_reload_names_the_keys_that_need_a_restart(agent_env, pipeline):
    """Only the table [handlers] is taken."""
    async with agent_env.running() as agent:
        agent_env.tables["modem"] = {"baud": 9600}
        agent_env.tables["handlers"]["timeout_s"] = 5
        agent.reload()
        await pipeline.advance(1)
    (event,) = pipeline.events_of_kind("reloaded")
    assert event.message.endswith("; modem.baud has changed: restart the agent to use the new value")


async def test_reload_that_is_impossible_changes_nothing(agent_env, pipeline):
    """An invalid agent.toml or a missing directory is logged, the handlers stay, and systemd goes on."""
    modem = agent_env.modem()
    async with agent_env.running() as agent:
        for directory in (7, "missing"):
            agent_env.tables["handlers"]["directory"] = directory
            agent.reload()
            await pipeline.advance(1)
        modem.store_message(3, announce=True)
        await pipeline.advance(1)
    assert pipeline.command_states() == ["done"]
    invalid, missing = (event.message for event in pipeline.events_of_kind("not reloaded"))
    assert invalid.startswith("nothing was changed: agent.toml: handlers.directory must be")
    assert missing.startswith("nothing was changed: there is no directory")
    assert agent_env.notifications.count("READY=1") == 3


# Watchdog


async def test_watchdog_is_notified_while_nothing_is_overdue(agent_env, pipeline):
    """A task past its deadline is logged once, and the notifications end until it continues."""
    agent_env.watchdog_s = 10.0
    modem = agent_env.modem()
    end = asyncio.Event()

    async def hang(*_):
        await end.wait()

    async with agent_env.running(35):
        assert agent_env.notifications.count("WATCHDOG=1") == 4
        modem.plan("read", hang)
        modem.store_message(3, announce=True)
        await pipeline.advance(590)
        notified = agent_env.notifications.count("WATCHDOG=1")
        assert notified in (62, 63)
        await pipeline.advance(300)
        assert agent_env.notifications.count("WATCHDOG=1") <= notified + 1
        [event] = pipeline.events_of_kind("watchdog")
        assert event.message == "receiver did not finish in time: systemd will restart the agent"
        assert (await agent_env.request(do="status"))["overdue"] == ["receiver"]
        end.set()
        await pipeline.advance(25)
        assert agent_env.notifications.count("WATCHDOG=1") > notified + 1


async def test_full_disk_does_not_trip_the_watchdog(agent_env, pipeline):
    """Tasks wait and do not hang, so systemd must not kill the agent."""
    agent_env.watchdog_s = 10.0
    modem = agent_env.modem()

    async def fill_disk(_submit):
        pipeline.fail_commits_disk_full()

    modem.plan("send", fill_disk)
    async with agent_env.running():
        modem.store_message(3, announce=True)
        await pipeline.advance(1)
        modem.store_message(4, "led off", minute=1, announce=True)
        before = agent_env.notifications.count("WATCHDOG=1")
        await pipeline.advance(3600)
        assert agent_env.notifications.count("WATCHDOG=1") == before + 360
        assert not pipeline.events_of_kind("watchdog")
        pipeline.commit_error = None
        await pipeline.advance(100)
        assert modem.sent_contents == ["did led on", "did led off"]


# Pruning


async def test_journal_is_pruned_once_a_day(agent_env, pipeline):
    """It is pruned at the start and every day, by the configured ages."""
    agent_env.tables["journal"] |= {"keep_days": 2.5, "dedup_days": 4.5}
    modem = agent_env.modem()
    modem.store_message(3)
    async with agent_env.running():
        await pipeline.advance(2.9 * 86400)
        assert pipeline.command_states() == ["done"]
        await pipeline.advance(0.2 * 86400)
        assert pipeline.command_states() == []
        assert len(pipeline.query_column("SELECT key FROM dedup")) == 1
        await pipeline.advance(2 * 86400)
        assert pipeline.query_column("SELECT key FROM dedup") == []
    assert len(pipeline.events_of_kind("pruned")) == 2


async def test_failed_pruning_ends_nothing(agent_env, pipeline):
    """No task ends, and pruning is tried again the next day."""
    agent_env.tables["journal"] |= {"keep_days": 1}
    modem = agent_env.modem()
    modem.store_message(3)
    async with agent_env.running():
        await pipeline.advance(86000)
        pipeline.fail_commits_disk_full()
        await pipeline.advance(86400)
        assert pipeline.command_states() == ["done"]
        pipeline.commit_error = None
        await pipeline.advance(86400)
        assert pipeline.command_states() == []


async def test_incomplete_messages_are_given_up_within_the_hour(agent_env, pipeline):
    """It happens a day after the last part arrived, is logged in one line, and the parts become ignored
    messages."""
    parts = pdu.segment("led " + "x" * 400, reference=9)
    modem = agent_env.modem()
    modem.store_message(3, parts[0])
    async with agent_env.running():
        await pipeline.advance(20 * 3600)
        modem.store_message(4, parts[2], minute=1, announce=True)
        await pipeline.advance(24 * 3600 - 60)
        assert pipeline.events_of_kind("incomplete") == []
        await pipeline.advance(3600 + 120)
        assert [event.message for event in pipeline.events_of_kind("incomplete")] == [
            "a message is given up: not all parts arrived within a day; see inbox --ignored"
        ]
        assert pipeline.query_column("SELECT count(*) FROM parts") == [0]
        assert len(pipeline.query_column("SELECT reason FROM ignored")) == 2


# Control requests


async def test_status_request(agent_env, pipeline):
    """The response contains the state of the module, the queues and the active handlers."""
    never = asyncio.Event()

    async def hang(_command):
        await never.wait()

    modem = agent_env.modem()
    pipeline.runner.plan("device.py:led", hang)
    modem.store_message(1, "led on")
    modem.store_message(2, "hello", "+15557654321")
    async with agent_env.running(3):
        answer = await agent_env.request(do="status")
    assert answer.pop("version")
    assert answer.pop("pid") == os.getpid()
    assert answer.pop("recovery")
    modem = answer.pop("modem")
    assert modem["state"] == "EC25, registered, home, signal -71 dBm"
    assert modem["sessions"] == 1
    assert modem["imei"] == "861234567890123"
    assert modem["session_for_s"] == answer.pop("uptime_s") == 3
    assert modem["signal_history"]["dbm"] == [-71]
    assert answer.pop("last_ignored")["reason"] == "not from 2936"
    command = answer.pop("last_command")
    assert (command["id"], command["state"], command["handler"]) == (1, "running", "device.py:led")
    assert command["received"].startswith("2026-11-22T12:00:0")
    assert answer == {
        "ok": True,
        "service": "programmable-wireless",
        "number": "2936",
        "problems": [],
        "held": "",
        "alarm": None,
        "port_conflict": None,
        "last_answer": None,
        "sent": {"last_minute": 0, "last_day": 0, "last_30_days": 0},
        "limits": {"minute": 10, "day": 200},
        "price_per_message": None,
        "journal_error": None,
        "volatile_journal": None,
        "damaged_journals": [],
        "handler_errors": [],
        "commands": {"running": 1, "ignored": 1, "parts": 0},
        "replies": {},
        "running": [str(agent_env.folder / "handlers" / "device.py")],
        "overdue": [],
    }


async def test_signal_request(agent_env, pipeline):
    """It asks the module now, and needs a session."""
    modem = agent_env.modem()
    modem.plan("initialise", busy())
    async with agent_env.running(1):
        assert "there is no session with the module" in (await agent_env.request(do="signal"))["error"]
        await pipeline.advance(60)
        answer = await agent_env.request(do="signal")
        status = await agent_env.request(do="status")
    assert (answer["dbm"], answer["rsrp_dbm"], answer["sinr_db"]) == (-61, -90, None)
    assert (answer["operator"], answer["registration"]) == ("Simulated", "registered, home")
    assert status["modem"]["signal_dbm"] == -61
    assert status["modem"]["signal_history"]["dbm"] == [-61]


async def test_status_command_by_sms(agent_env, pipeline):
    """The built-in handler answers with version and registration, also before the first session."""
    modem = agent_env.modem()
    modem.plan("initialise", busy())
    pipeline.store_command("status")
    async with agent_env.running(10):
        pipeline.modem.store_message(3, "status", minute=9, announce=True)
        await pipeline.advance(1)
    texts = pipeline.reply_texts()
    assert texts[0] == f"modem-agent {VERSION}"
    assert texts[1] == f"modem-agent {VERSION}, registered, home, signal -71 dBm"


@pytest.mark.parametrize(
    ("request_", "sent", "destination", "omitted"),
    [
        ({"text": "hello"}, "hello", "2936", 0),
        ({"hex": "01ff"}, b"\x01\xff", "2936", 0),
        ({"text": "hello", "to": "+15557654321"}, "hello", "+15557654321", 0),
        ({"text": "\N{SNOWMAN}" + "x" * 160}, "?" + "x" * 157 + "..", "2936", 3),
    ],
)
async def test_send_request_queues_and_sends(agent_env, pipeline, request_, sent, destination, omitted):
    """The response comes when the message has its final state."""
    modem = agent_env.modem()
    async with agent_env.running():
        answer = await agent_env.request(do="send", **request_)
        assert modem.sent_contents == [sent]
    assert answer == {
        "ok": True,
        "to": destination,
        "text": sent if isinstance(sent, str) else None,
        "omitted": omitted,
        "messages": [{"reply": 1, "state": "sent", "reason": None}],
        "waiting_for": None,
    }


async def test_send_request_returns_the_outcome(agent_env, pipeline):
    """The state and the reason are returned."""
    modem = agent_env.modem()
    modem.plan("send", OutcomeUnknown("no result"), Refused(agent_env.factories.refused(69)))
    async with agent_env.running():
        first = await agent_env.request(do="send", text="one")
        second = await agent_env.request(do="send", text="two")
    assert [each["messages"][0]["state"] for each in (first, second)] == ["unknown", "failed"]
    assert first["messages"][0]["reason"] == "no result"


async def test_concurrent_send_requests_get_their_own_outcome(agent_env, pipeline):
    """Each response is about the message of its own request."""
    agent_env.modem().plan("send", None, OutcomeUnknown("no result"))
    async with agent_env.running():
        answers = await asyncio.gather(*(agent_env.request(do="send", text=f"{n}") for n in range(3)))
    assert sorted(answer["messages"][0]["state"] for answer in answers) == ["sent", "sent", "unknown"]
    assert sorted(answer["messages"][0]["reply"] for answer in answers) == [1, 2, 3]


async def test_send_request_may_return_at_once(agent_env, pipeline):
    """With `wait` false the response comes once the message is queued."""
    agent_env.port.default = busy()
    async with agent_env.running():
        answer = await agent_env.request(do="send", text="hello", wait=False)
    assert answer["messages"] == [{"reply": 1, "state": "queued", "reason": None}]
    assert answer["waiting_for"] == f"there is no session with the module: {busy()}"


async def test_send_request_times_out(agent_env, pipeline):
    """Without a module the client gets an error, and the message stays queued."""
    agent_env.port.default = busy()
    async with agent_env.running():
        answer = await agent_env.request(do="send", text="hello")
    assert answer == {
        "ok": False,
        "error": f"not sent within 295 s (there is no session with the module: {busy()}); it stays queued "
        "and is sent when possible: see modem-agent outbox",
    }
    assert pipeline.reply_states() == ["queued"]


@pytest.mark.parametrize(
    ("service", "request_", "sentence"),
    [
        ("super-sim", {"hex": "01"}, "super-sim cannot carry a binary reply"),
        ("super-sim", {"text": "x", "to": "12345678901234567890123"}, ""),
        ("super-sim", {"text": "x", "to": "0; reboot"}, ""),
        ("super-sim", {"hex": "0x"}, "--hex takes pairs of hexadecimal digits, for example 01FF"),
        ("super-sim", {}, "nothing to send: give a text or --hex"),
        ("super-sim", {"text": ""}, "nothing to send: give a text or --hex"),
        ("super-sim", {"text": 5}, "nothing to send: give a text or --hex"),
        ("programmable-wireless", {"hex": "00" * 141}, "a binary reply of 141 octets needs 2 messages"),
    ],
)
async def test_invalid_send_request_gets_an_error_sentence(agent_env, pipeline, service, request_, sentence):
    """Nothing is queued."""
    agent_env.tables["service"]["name"] = service
    async with agent_env.running():
        answer = await agent_env.request(do="send", **request_)
    assert answer["ok"] is False
    assert sentence in answer["error"]
    assert answer["error"]
    assert pipeline.reply_states() == []


async def test_at_request(agent_env, pipeline):
    """The line is sent between commands of the agent, and the response of the module is returned."""
    agent_env.port.planned = [busy()]
    async with agent_env.running(0.5):
        answer = await agent_env.request(do="at", line="AT+CSQ")
        assert answer == {"ok": False, "error": f"there is no session with the module: {busy()}"}
        await pipeline.advance(5)
        assert await agent_env.request(do="at", line=" AT+CSQ ") == {"ok": True, "lines": ["+CSQ: 20,99"]}
        assert pipeline.calls_of("at") == [("at", "AT+CSQ")]
        pipeline.modem.plan("at", agent_env.factories.refused(3, kind="cme"), agent_env.factories.timed_out())
        refused = await agent_env.request(do="at", line="AT+X?")
        assert refused == {"ok": False, "error": "AT+X was refused: +CME ERROR: 3"}
        assert (await agent_env.request(do="at", line="AT+X?"))["error"] == "AT+X: no answer within 10 s"
        assert pipeline.events_of_kind("session ended") == []


async def test_send_with_an_unusable_journal_gets_an_error_sentence(agent_env, pipeline):
    """The client gets the reason in the response."""
    async with agent_env.running():
        pipeline.fail_commits_disk_full()
        answer = await agent_env.request(do="send", text="hello")
        pipeline.commit_error = None
    assert answer == {"ok": False, "error": "the journal cannot be used now: database or disk is full"}


async def test_status_shows_an_unusable_journal(agent_env, pipeline):
    """The rest of the status is shown; once the journal can be read, the error is gone."""
    async with agent_env.running():
        pipeline.fail_queries("SELECT state, count(*) FROM replies", 1)
        answer = await agent_env.request(do="status")
        assert answer["service"] == "programmable-wireless"
        assert answer["replies"] == {}
        assert "disk I/O error" in answer["journal_error"]
        answer = await agent_env.request(do="status")
        assert answer["journal_error"] is None
        assert answer["problems"] == []


# Until idle


async def test_agent_ends_when_it_is_idle(agent_env, pipeline):
    """After the Command in the module is answered and the quiet time has passed."""
    modem = agent_env.modem()
    modem.store_message(1, "led on")
    agent_env.until_idle = IdleLimits(quiet_s=20.0, max_s=300.0)
    began = asyncio.get_running_loop().time()
    await agent_env.agent().run()
    assert 20 <= asyncio.get_running_loop().time() - began < 60
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_states() == ["sent"]
    assert "nothing to do for 20 s" in pipeline.events_of_kind("idle")[0].message


async def test_agent_that_is_never_idle_ends_after_the_longest_time(agent_env):
    """The exception says what is left: here the port is absent."""
    agent_env.port.default = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    agent_env.until_idle = IdleLimits(quiet_s=5.0, max_s=120.0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotIdleInTime, match=r"not idle within 120 s: .*no session with the module"):
        await agent_env.agent().run()
    assert 120 <= asyncio.get_running_loop().time() - began < 130
