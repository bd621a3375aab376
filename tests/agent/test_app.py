"""The whole agent but for module and handlers: starting, stopping, and what people ask it."""

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager

import pytest

import pdu
from agent import app as room
from agent.app import Agent, Seams
from agent.at.wire import PortUnavailable
from agent.config import parse
from agent.control import ControlUnusable
from agent.handlers.catalogue import CatalogueError
from agent.handlers.outcome import Declared, Finished
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.lock import JournalHeld
from agent.journal.skin import Inline
from agent.modem.sending import Refused, Unknown


class House:
    """An agent in virtual time; its module and handlers are the test's own."""

    def __init__(self, road, make, monkeypatch):
        self.road = road
        self.make = make
        self.folder = road.folder
        self.port = make.port()
        self.notes = []
        self.closed = 0
        self.watchdog_s = None
        self.modems = []
        self.journal = None
        self.tables = {
            "service": {"name": "programmable-wireless"},
            "handlers": {"directory": "handlers"},
            "journal": {"path": "journal.db"},
            "control": {"socket": "control.sock"},
        }
        (self.folder / "handlers").mkdir()
        (self.folder / "handlers" / "device.py").write_text("")
        road.runner.declared["device.py"] = [Declared("led", words=("led",))]
        monkeypatch.setattr(room, "Modem", self._modem)
        monkeypatch.setattr(room, "Journal", self._journal)

    def modem(self):
        """The modem of the next session."""
        self.modems.append(self.make.modem(self.road))
        return self.modems[-1]

    def _modem(self, _channel, message_format, *, status_reports, profile, place, holder):
        self.asked_for = (message_format, status_reports)
        self.handed_down = (profile, place, holder)
        return self.modems.pop(0) if self.modems else self.make.modem(self.road)

    def _journal(self, *arguments):
        self.journal = Journal(*arguments)
        self.road._transaction = self.journal.transaction
        self.journal.transaction = self.road._counted
        return self.journal

    def agent(self):
        """One more start on the same folder."""
        self.road.journal.close()
        return Agent(
            parse(self.tables, "agent.toml", self.folder),
            self.road.tell,
            Seams(
                opener=self.port,
                skin=self._skin,
                runner=lambda tell: self.road.runner,
                wall=self.road.wall,
                random=self.road.random,
                notify=self.notes.append,
                watchdog_s=self.watchdog_s,
            ),
        )

    def _skin(self):
        skin = Inline()
        skin.close = lambda: self.road.log.append(("skin closed",))
        return skin

    @asynccontextmanager
    async def living(self, seconds=1):
        """At work; at the end it is stopped and must end within 5 s."""
        agent = self.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(seconds)
        try:
            yield agent
        finally:
            if not task.done():
                agent.stop()
            await asyncio.wait_for(task, 5)
            self.road.runner.ended.clear()

    async def ask(self, **request):
        """One request at the control socket."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "control.sock")
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            return json.loads(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture
def house(road, make, monkeypatch):
    return House(road, make, monkeypatch)


def busy():
    return PortUnavailable("busy", "/dev/ttyUSB2 is in use by ModemManager (process 7)")


# Starting


async def test_ready_does_not_wait_for_the_module(house, road):
    """Journal, handlers and control socket stand and the port is being tried; how that goes is the status."""
    house.port.always = busy()
    async with house.living(5):
        assert str(road.steps[0]) == f"ready: modem-agent {room.VERSION}, programmable-wireless"
        assert house.notes[0] == "READY=1"
        assert house.notes.index("READY=1") < house.notes.index(f"STATUS={busy()}")
        answer = await house.ask(do="status")
        assert answer["ok"] is True
        assert answer["modem"] == {"state": str(busy()), "sessions": 0}
    assert house.notes[-1] == "STOPPING=1"


async def test_what_looks_like_a_mistake_among_the_handlers_is_said(house, road):
    """And does not keep the agent from starting."""
    (house.folder / "handlers" / "pump").write_text("#!/bin/sh\n")
    async with house.living():
        assert "pump is no handler because it is not executable" in road.told("note")[0].detail


async def test_a_command_is_received_run_and_answered(house, road):
    """Each room wakes the next: from the notification to the sent answer no timer is waited for."""
    modem = house.modem()
    async with house.living():
        modem.store(3, "led on", tell=True)
        await road.passes(0.3)
        assert modem.sent == ["did led on"]
    assert not modem.slots
    assert [step.what for step in road.steps if step.command == 1] == [
        "received", "running", "done", "queued", "sending", "sent",
    ]  # fmt: skip
    assert road.states() == ["done"]
    assert road.replies() == ["sent"]


@pytest.mark.parametrize("reports", [False, True])
async def test_the_settings_reach_the_rooms(house, road, reports):
    """Each key is read by the one whom it concerns."""
    rate = 2 if reports else 3  # what is sent once more counts twice
    house.tables["service"] |= {
        "reply_sid": "start", "max_parts": 2, "allow_ucs2": True, "status_reports": reports,
        "max_per_minute": rate, "resend_unknown": not reports,
    }  # fmt: skip
    house.tables["handlers"] |= {"timeout_s": 7, "max_age_s": 3600}
    modem = house.modem()
    modem.plan("send", Unknown("no result"))
    modem.store(1, f"{house.make.SID} led on", minute=59)
    modem.store(2, "led old", minute=0)
    road.wall_ahead = 1800
    road.runner.plan("device.py:led", Finished("\u263a" * 100, then="later"))
    async with house.living(40):
        assert house.asked_for == ("pdu", reports)
        profile, place, holder = house.handed_down
        assert (profile, place, holder.pin, holder.service_centre) == ("auto", None, None, "")
        assert holder.memory is not None
        assert sorted(road.states()) == ["done", "expired"]
        first, second, *copy = road.texts()
        assert copy == ([] if reports else [first])
        assert first.startswith(f"{house.make.SID} \u263a")
        assert second.startswith("\u263a")
        assert modem.sent == ([first, second] if reports else [first, first, second])
        assert [submit.status_report_request for submit in modem.submits] == [reports] * len(modem.sent)
        assert road.runner.acts == [("device.py:led", "later", 7)]
        await house.ask(do="send", text="third", wait=False)
        await road.passes(1)
        assert road.told("held")[0].detail == f"the rate of {rate} messages a minute is reached"


@pytest.mark.parametrize("setting", [True, False])
async def test_doubles_without_a_sid_are_a_setting(house, road, setting):
    """Off: each delivery of a Command without a SID runs."""
    house.tables["journal"] |= {"dedup_without_sid": setting}
    modem = house.modem()
    modem.store(1, "led on")
    modem.store(2, "led on")
    async with house.living():
        pass
    assert len(road.runner.runs) == (1 if setting else 2)


async def test_what_was_being_sent_at_the_last_end_is_unknown(house, road):
    """Said at the start, with or without a module."""
    road.queue.sending(road.message())
    house.port.always = busy()
    async with house.living():
        assert road.replies() == ["unknown"]
    assert road.told("unknown")[0].reply == 1


async def test_the_next_start_settles_what_the_last_left(house, road):
    """A run that was cut off is answered through the module."""
    road.command("led on")
    road.inbox.begin(1, "device.py:led", repeatable=False)
    modem = house.modem()
    async with house.living():
        pass
    assert modem.sent == ["ERR interrupted"]
    assert road.runner.runs == []


async def test_a_start_on_a_full_disk_is_ready_and_waits(house, road):
    """It says so once, and goes on as soon as it can commit."""
    road.queue.sending(road.message())
    road.disk_full()
    async with house.living(60):
        assert house.notes[0] == "READY=1"
        assert road.told("journal cannot commit")
        assert road.replies() == ["sending"]
        road.trouble = None
        await road.passes(31)
        assert road.replies() == ["unknown"]
        assert (await house.ask(do="status"))["modem"]["sessions"] == 1


@pytest.mark.parametrize("what", ["handlers", "socket", "journal", "held"])
async def test_what_makes_starting_impossible_leaves_nothing_open(house, road, what, tmp_path):
    """It is raised with its sentence; the journal's lock is free, no runner is left."""
    if what == "handlers":
        house.tables["handlers"]["directory"] = "nowhere"
    elif what == "socket":
        house.tables["control"]["socket"] = "nowhere/control.sock"
    elif what == "journal":
        house.tables["journal"]["path"] = "nowhere/journal.db"
    agent = house.agent()
    holder = Journal(road.path, road.wall, road.now) if what == "held" else None
    errors = {
        "handlers": (CatalogueError, "there is no directory"),
        "socket": (ControlUnusable, r"\[control\] socket"),
        "journal": (JournalUnusable, r"\[journal\] path"),
        "held": (JournalHeld, "is written by another modem-agent"),
    }
    error, sentence = errors[what]
    with pytest.raises(error, match=sentence):
        await agent.run()
    if holder is not None:
        holder.close()
    Journal(road.path, road.wall, road.now).close()
    assert "READY=1" not in house.notes
    closed = [("runner closed",), ("skin closed",)] if what in ("handlers", "socket") else []
    assert road.happened("runner closed", "skin closed") == closed
    assert not (tmp_path / "control.sock").exists()


# Stopping


@pytest.mark.parametrize("when", ["idle", "port", "opening", "mute", "handler", "action", "sending", "disk"])
async def test_stop_ends_everything_within_five_seconds(house, road, when):
    """A mute module, a port that hangs, a handler that runs, a full disk: none holds it up."""
    never = asyncio.Event()

    async def hang(*_):
        await never.wait()

    modem = house.modem()
    if when == "port":
        house.port.always = busy()
    elif when == "opening":
        house.port.plans = [hang]
    elif when == "mute":

        async def mute():
            await modem.lost.wait()

        modem.plan("initialise", mute)
    elif when == "handler":
        road.runner.plan("device.py:led", hang)
        modem.store(3)
    elif when == "action":
        road.runner.plan("device.py:led", Finished(None, then="reboot"))
        road.runner.plan("reboot", hang)
        modem.store(3)
    elif when == "sending":
        road.message()

        async def cut(_submit):
            await modem.lost.wait()
            return Unknown(modem.loss)

        modem.plan("send", cut)
    began = 0.0
    async with house.living(3):
        if when == "disk":
            modem.store(3, tell=True)
            await road.passes(0.05)
            road.disk_full()
            await road.passes(1)
        began = road.now()
    took = road.now() - began
    assert took <= {"idle": 0.5, "port": 0.5, "sending": 0.5, "mute": 0.5}.get(when, 4.2)
    assert house.notes[-1] == "STOPPING=1"
    assert road.happened("runner closed", "skin closed")[-1] == ("skin closed",)
    assert ("runner closed",) in road.log
    assert not (house.folder / "control.sock").exists()
    Journal(road.path, road.wall, road.now).close()
    if when in ("handler", "action"):
        assert 3 <= took <= 3.2
    if when == "handler":
        assert road.states() == ["running"]
    if when == "sending":
        assert road.replies() == ["unknown"]


async def test_a_handler_that_ends_in_time_is_noted(house, road):
    """What ends within its 3 s is committed with its answer, which the next start sends."""

    async def slow(_command):
        await road.passes(2)
        return Finished("led is on")

    modem = house.modem()
    road.runner.plan("device.py:led", slow)
    modem.store(3)
    async with house.living():
        pass
    assert road.states() == ["done"]
    assert road.replies() == ["queued"]
    modem = house.modem()
    async with house.living():
        pass
    assert modem.sent == ["led is on"]


async def test_stop_waits_for_no_handler_file(house, road):
    """One that takes a minute to load is given up with everything else; nothing was ready yet."""

    async def slow():
        await road.passes(60)

    road.runner.declared["device.py"] = slow
    async with house.living():
        began = road.now()
    assert road.now() - began < 0.1
    assert house.notes == []
    assert ("runner closed",) in road.log
    Journal(road.path, road.wall, road.now).close()


# Health


async def test_the_watchdog_is_fed_while_nobody_is_late(house, road):
    """And never by a bare timer: a task past its own deadline is said once, and the food stops."""
    house.watchdog_s = 10.0
    modem = house.modem()
    end = asyncio.Event()

    async def hang(*_):
        await end.wait()

    async with house.living(35):
        assert house.notes.count("WATCHDOG=1") == 4
        modem.plan("read", hang)
        modem.store(3, tell=True)
        await road.passes(590)
        fed = house.notes.count("WATCHDOG=1")
        assert fed in (62, 63)
        await road.passes(300)
        assert house.notes.count("WATCHDOG=1") <= fed + 1
        [stuck] = road.told("stuck")
        assert stuck.detail == "intake: systemd will start the agent anew"
        assert (await house.ask(do="status"))["late"] == ["intake"]
        end.set()
        await road.passes(25)
        assert house.notes.count("WATCHDOG=1") > fed + 1


async def test_a_disk_that_is_full_for_hours_starves_no_watchdog(house, road):
    """Nothing of ours hangs, it waits: the agent is not killed for it."""
    house.watchdog_s = 10.0
    modem = house.modem()

    async def fill(_submit):
        road.disk_full()

    modem.plan("send", fill)
    async with house.living():
        modem.store(3, tell=True)
        await road.passes(1)
        modem.store(4, "led off", minute=1, tell=True)
        before = house.notes.count("WATCHDOG=1")
        await road.passes(3600)
        assert house.notes.count("WATCHDOG=1") == before + 360
        assert not road.told("stuck")
        road.trouble = None
        await road.passes(100)
        assert modem.sent == ["did led on", "did led off"]


# Forgetting


async def test_once_a_day_the_journal_forgets(house, road):
    """At the start and every day; what is older than the settings say goes."""
    house.tables["journal"] |= {"keep_days": 2.5, "dedup_days": 4.5}
    modem = house.modem()
    modem.store(3)
    async with house.living():
        await road.passes(2.9 * 86400)
        assert road.states() == ["done"]
        await road.passes(0.2 * 86400)
        assert road.states() == []
        assert len(road.look("SELECT key FROM seen")) == 1
        await road.passes(2 * 86400)
        assert road.look("SELECT key FROM seen") == []
    assert len(road.told("pruned")) == 2


async def test_a_journal_that_cannot_forget_goes_on(house, road):
    """Whoever needs a commit says so; the next day it is tried again."""
    house.tables["journal"] |= {"keep_days": 1}
    modem = house.modem()
    modem.store(3)
    async with house.living():
        await road.passes(86000)
        road.disk_full()
        await road.passes(86400)
        assert road.states() == ["done"]
        road.trouble = None
        await road.passes(86400)
        assert road.states() == []


async def test_incomplete_messages_are_given_up_within_the_hour(house, road):
    """A day after the last part that came; said in one line, and shown among the strays."""
    parts = pdu.segment("led " + "x" * 400, reference=9)
    modem = house.modem()
    modem.store(3, parts[0])
    async with house.living():
        await road.passes(20 * 3600)
        modem.store(4, parts[2], minute=1, tell=True)
        await road.passes(24 * 3600 - 60)
        assert road.told("incomplete") == []
        await road.passes(3600 + 120)
        assert [step.detail for step in road.told("incomplete")] == [
            "a message is given up, as not all parts came within a day; see inbox --strays"
        ]
        assert road.look("SELECT count(*) FROM parts") == [0]
        assert len(road.look("SELECT reason FROM strays")) == 2


# What people ask


async def test_what_status_tells(house, road):
    """Module, queues, what is at work: one document."""
    never = asyncio.Event()

    async def hang(_command):
        await never.wait()

    modem = house.modem()
    road.runner.plan("device.py:led", hang)
    modem.store(1, "led on")
    modem.store(2, "hello", "+15557654321")
    async with house.living(3):
        answer = await house.ask(do="status")
    assert answer.pop("version")
    assert answer.pop("recovery")
    modem = answer.pop("modem")
    assert modem["state"] == "EC25, registered, home, signal -71 dBm"
    assert modem["sessions"] == 1
    assert modem["imei"] == "861234567890123"
    assert answer == {
        "ok": True,
        "service": "programmable-wireless",
        "number": "2936",
        "held": "",
        "damaged": [],
        "commands": {"running": 1, "strays": 1, "parts": 0},
        "replies": {},
        "running": [str(house.folder / "handlers" / "device.py")],
        "late": [],
    }


async def test_status_by_sms(house, road):
    """The built-in handler: version and registration, also before the first session."""
    modem = house.modem()
    modem.plan("initialise", busy())
    road.command("status")
    async with house.living(10):
        road.modem.store(3, "status", minute=9, tell=True)
        await road.passes(1)
    texts = road.texts()
    assert texts[0] == f"modem-agent {room.VERSION}"
    assert texts[1] == f"modem-agent {room.VERSION}, registered, home, signal -71 dBm"


@pytest.mark.parametrize(
    ("request_", "sent", "to"),
    [
        ({"text": "hello"}, "hello", "2936"),
        ({"hex": "01ff"}, b"\x01\xff", "2936"),
        ({"text": "hello", "to": "+15557654321"}, "hello", "+15557654321"),
        ({"text": "\N{SNOWMAN}" + "x" * 160}, "?" + "x" * 157 + "..", "2936"),
    ],
)
async def test_a_message_by_hand(house, road, request_, sent, to):
    """It takes its place in the row; the answer comes when it has met its fate."""
    modem = house.modem()
    async with house.living():
        answer = await house.ask(do="send", **request_)
        assert modem.sent == [sent]
    assert answer == {
        "ok": True,
        "to": to,
        "text": sent if isinstance(sent, str) else None,
        "messages": [{"reply": 1, "state": "sent", "reason": None}],
    }


async def test_a_message_by_hand_tells_its_fate(house, road):
    """Whatever it is, and with the reason."""
    modem = house.modem()
    modem.plan("send", Unknown("no result"), Refused(house.make.refused(69)))
    async with house.living():
        first = await house.ask(do="send", text="one")
        second = await house.ask(do="send", text="two")
    assert [each["messages"][0]["state"] for each in (first, second)] == ["unknown", "failed"]
    assert first["messages"][0]["reason"] == "no result"


async def test_several_people_wait_for_their_own(house, road):
    """Each answer is about the message of its asker."""
    house.modem().plan("send", None, Unknown("no result"))
    async with house.living():
        answers = await asyncio.gather(*(house.ask(do="send", text=f"{n}") for n in range(3)))
    assert sorted(answer["messages"][0]["state"] for answer in answers) == ["sent", "sent", "unknown"]
    assert sorted(answer["messages"][0]["reply"] for answer in answers) == [1, 2, 3]


async def test_nobody_has_to_wait(house, road):
    """`wait` false: the answer comes once it is queued."""
    house.port.always = busy()
    async with house.living():
        answer = await house.ask(do="send", text="hello", wait=False)
    assert answer["messages"] == [{"reply": 1, "state": "queued", "reason": None}]


async def test_waiting_for_a_fate_has_an_end(house, road):
    """Without a module the asker is told so; the message stays queued."""
    house.port.always = busy()
    async with house.living():
        answer = await house.ask(do="send", text="hello")
    assert answer == {
        "ok": False,
        "error": "not sent within 295 s; it stays queued and is sent when it can be: see modem-agent outbox",
    }
    assert road.replies() == ["queued"]


@pytest.mark.parametrize(
    ("service", "request_", "sentence"),
    [
        ("super-sim", {"hex": "01"}, "super-sim carries no binary answer"),
        ("super-sim", {"text": "x", "to": "12345678901234567890123"}, ""),
        ("super-sim", {"text": "x", "to": "0; reboot"}, ""),
        ("super-sim", {"hex": "0x"}, "--hex takes pairs of hexadecimal digits, for example 01FF"),
        ("super-sim", {}, "there is nothing to send: give a text or --hex"),
        ("super-sim", {"text": ""}, "there is nothing to send: give a text or --hex"),
        ("super-sim", {"text": 5}, "there is nothing to send: give a text or --hex"),
        ("programmable-wireless", {"hex": "00" * 141}, "a binary answer of 141 octets needs 2 messages"),
    ],
)
async def test_what_cannot_be_sent_is_a_sentence(house, road, service, request_, sentence):
    """And nothing is queued."""
    house.tables["service"]["name"] = service
    async with house.living():
        answer = await house.ask(do="send", **request_)
    assert answer["ok"] is False
    assert sentence in answer["error"]
    assert answer["error"]
    assert road.replies() == []


async def test_an_at_command_by_hand(house, road):
    """Between two commands of the agent's own; what the module says to it is the answer."""
    house.port.plans = [busy()]
    async with house.living(0.5):
        answer = await house.ask(do="at", line="AT+CSQ")
        assert answer == {"ok": False, "error": f"there is no session with the module: {busy()}"}
        await road.passes(5)
        assert await house.ask(do="at", line=" AT+CSQ ") == {"ok": True, "lines": ["+CSQ: 20,99"]}
        assert road.happened("at") == [("at", "AT+CSQ")]
        road.modem.plan("at", house.make.refused(3, kind="cme"), house.make.timed_out())
        refused = await house.ask(do="at", line="AT+X")
        assert refused == {"ok": False, "error": "AT+X was refused: +CME ERROR: 3"}
        assert (await house.ask(do="at", line="AT+X"))["error"] == "AT+X: no answer within 10 s"
        assert road.told("session ended") == []


@pytest.mark.parametrize("request_", [{"do": "send", "text": "hello"}, {"do": "status"}])
async def test_a_journal_in_trouble_is_a_sentence(house, road, request_):
    """For whoever asks."""

    def damaged():
        raise sqlite3.DatabaseError("database disk image is malformed")

    async with house.living() as agent:
        if request_["do"] == "send":
            road.disk_full()
        else:
            agent._queue.counts = damaged
        answer = await house.ask(**request_)
        road.trouble = None
    trouble = "database or disk is full" if request_["do"] == "send" else "database disk image is malformed"
    assert answer == {"ok": False, "error": f"the journal cannot be used now: {trouble}"}
