"""`status`: one screen, one line for scripts, JSON, and the screen that is drawn again with each event."""

import asyncio
import os
import pty
import signal
import sys

import pytest

from agent.cli.status_screen import make_rows
from agent.cli.styled_text import Display, format_rows
from agent.daemon.control_socket import ControlServer

NOW = 1_795_348_800.0  # 2026-11-22 12:00 UTC
STATUS = {
    "version": "1.0",
    "pid": 42,
    "uptime_s": 7265,
    "service": "super-sim",
    "number": "000",
    "problems": [],
    "modem": {
        "state": "EC25, registered\x1b[2J",
        "problem": None,
        "problem_since": None,
        "sim_absent_since": None,
        "sessions": 2,
        "session_for_s": 95,
        "module": "Quectel EC25",
        "revision": "R1",
        "imei": "861234567890123",
        "iccid": "8988307000000000000",
        "profile": "ec25",
        "operator": "KPN\x1b[2J",
        "access_technology": "LTE",
        "registration": "registered, home",
        "registration_for_s": 90,
        "domains": {"circuit": "registered, home", "eps": "registration denied"},
        "signal_dbm": -81,
        "signal_history": {"interval_s": 300, "dbm": [None, -113, -81, -51]},
        "notifications": False,
        "store": None,
        "stores": ["ME 1 of 50", "SM 0 of 20"],
        "read_error": None,
        "sending": None,
        "notes": ["+CSMS was refused"],
    },
    "recovery": {
        "state": "works",
        "not_done": "cycle its power: wwan0 is up",
        "resets_hour": 1,
        "resets_per_hour": 3,
        "resets_day": 2,
        "resets_per_day": 12,
        "last_reset": {"id": 1, "action": "restart", "reason": "silent", "at": "2026-11-22T11:00:00+00:00"},
    },
    "port_conflict": "2026-11-22T12:00:00+00:00: another program",
    "last_command": {
        "id": 4,
        "state": "failed",
        "sid": "DC01",
        "handler": "led",
        "reason": "exit status 3",
        "received": "2026-11-22T11:58:00+00:00",
        "ended": "2026-11-22T11:58:55+00:00",
    },
    "last_answer": {
        "id": 7,
        "state": "queued",
        "command": 4,
        "reason": None,
        "queued": "2026-11-22T11:59:01+00:00",
        "sent": None,
    },
    "last_ignored": {"id": 3, "reason": "not from 000", "at": "2026-11-20T12:00:00+00:00"},
    "sent": {"last_minute": 1, "last_day": 12, "last_30_days": 240},
    "limits": {"minute": 10, "day": 200},
    "price_per_message": "0.0075 USD",
    "journal_error": None,
    "held": "the rate of 10 messages a minute is reached",
    "handler_errors": ["/h/led belongs to user 7: chown it", "/h/x.py line 3: SyntaxError"],
    "volatile_journal": None,
    "damaged_journals": ["journal.db.damaged-20261122T120000Z"],
    "commands": {"done": 3, "received": 2, "running": 1, "ignored": 1, "parts": 0},
    "replies": {"sent": 2, "queued": 1},
    "running": ["led"],
    "overdue": [],
}


def draw(status, **display):
    """The lines of the screen."""
    shown = Display(**display)
    return list(format_rows(make_rows(status, NOW, shown), shown))


def test_screen_has_a_line_for_each_value():
    """The most important first. What the module says cannot control the terminal."""
    assert draw(STATUS) == [
        "modem-agent 1.0, super-sim (000), pid 42, up 2 h 1 min",
        "Commands can be received and answered",
        "",
        "module         Quectel EC25, R1, IMEI 861234567890123, profile ec25",
        "SIM            ICCID 8988307000000000000",
        "operator       KPN\\x1b[2J, LTE",
        "signal         ▂▃▅▆· -81 dBm, good",
        "last hours      ▁▅█ 20 min: -113 to -51 dBm",
        "registration   registered, home for 1 min 30 s, eps registration denied",
        "session        number 2, for 1 min 35 s, ME 1 of 50, SM 0 of 20, no notifications",
        "last Command   4 failed 1 min 5 s ago, handler led, DC01, exit status 3",
        "last answer    7 queued 59 s ago, to Command 4",
        "waiting        2 Commands, 1 reply, running: led",
        "Commands       3 done",
        "answers        2 sent",
        "ignored        1, the last 2 d ago: not from 000",
        "sent           1 of 10 in a minute, 12 of 200 in a day (0.0900 USD), 240 in 30 days (1.8000 USD)",
        "resets         1 of 3 this hour, 2 of 12 today; the last 1 h ago (restart): silent",
        "recovery       works",
        "not done       cycle its power: wwan0 is up",
        "held           the rate of 10 messages a minute is reached",
        "port conflict  2026-11-22T12:00:00+00:00: another program",
        "damaged        journal.db.damaged-20261122T120000Z",
        "handler error  /h/led belongs to user 7: chown it",
        "handler error  /h/x.py line 3: SyntaxError",
        "note           +CSMS was refused",
    ]


def test_screen_without_a_module():
    """The problems come first, with what to type; rows without a value are left out."""
    modem = {name: STATUS["modem"][name] for name in ("sim_absent_since", "sessions", "signal_history")}
    modem |= {"state": "no /dev/ttyUSB2", "problem_since": "2026-11-22T11:00:00+00:00"}
    lines = draw(STATUS | {"modem": modem, "problems": ["Commands cannot be received: x", "y"]})
    assert lines[1:4] == ["Commands cannot be received: x", "y", "next: sudo modem-agent doctor"]
    assert any(line.startswith("session        none for 1 h, since ") for line in lines)
    assert not any(line.startswith(("module", "signal", "registration", "SIM")) for line in lines)
    lines = draw(STATUS | {"modem": modem | {"sim_absent_since": "2026-11-22T11:58:00+00:00"}})
    assert any(line.startswith("SIM            none for 2 min, since ") for line in lines)
    lines = draw(STATUS | {"modem": modem | {"problem_since": None, "state": "opening the port"}})
    assert "module         opening the port" in lines


def test_reason_of_a_problem_is_said_once():
    """The row of the journal says only since when; another reason is shown whole."""
    problem = "Commands cannot be received or answered: the journal cannot commit: disk full: free space"
    error = "since 2026-11-22T11:58:00+00:00: disk full: free space"
    lines = draw(STATUS | {"problems": [problem], "journal_error": error})
    assert "journal error  since 2026-11-22T11:58:00+00:00" in lines
    assert f"journal error  {error}" in draw(STATUS | {"journal_error": error})


def test_screen_of_a_new_agent():
    """Nothing has come yet, and there is no price."""
    status = STATUS | {"last_command": None, "last_answer": None, "commands": {}, "replies": {}}
    status |= {"running": [], "price_per_message": None}
    lines = draw(status)
    assert [line for line in lines if line.endswith(" none yet")] == [
        f"{name:<15}none yet" for name in ("last Command", "last answer", "Commands", "answers")
    ]
    assert "waiting        nothing" in lines
    assert "USD" not in "".join(lines)


@pytest.mark.parametrize("columns", [80, 120])
def test_screen_is_wrapped_at_the_width_of_the_terminal(columns):
    """The texts begin in one column; no line is longer than the terminal."""
    lines = draw(STATUS, columns=columns)
    assert max(map(len, lines)) <= columns
    assert " ".join(line.strip() for line in lines) == " ".join(line.strip() for line in draw(STATUS))


def test_colour_and_unicode_are_optional():
    """Colours change nothing but the style; without Unicode there are plain bars and no chart."""
    plain, coloured = draw(STATUS), draw(STATUS, has_colour=True)
    stripped = [line.replace("\x1b[0m", "").replace("\x1b[2m", "") for line in coloured]
    assert [line.replace("\x1b[32m", "").replace("\x1b[1m", "") for line in stripped[:3]] == plain[:3]
    ascii_lines = draw(STATUS, has_unicode=False)
    assert "".join(ascii_lines).isascii()
    assert "signal         ####. -81 dBm, good" in ascii_lines


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(environ, expected):
    """NO_COLOR has an effect if it is not empty (no-color.org)."""
    keyboard, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as output:  # noqa: PTH123  (a file descriptor)
        assert Display.of(output, environ).has_colour is expected
    os.close(keyboard)


async def test_status_is_printed_without_colours_to_a_pipe(cli_env):
    """One request, one line for each value."""
    result, requests = await cli_env.run_beside_agent({"status": STATUS}, "status")
    assert requests == [{"do": "status"}]
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "module         Quectel EC25, R1, IMEI 861234567890123, profile ec25" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("problems", "status", "output", "error"),
    [
        ([], 0, "Commands can be received and answered\n", ""),
        (
            ["Commands cannot be received: x\x1b", "more"],
            1,
            "",
            "modem-agent: Commands cannot be received: x\\x1b\n",
        ),
    ],
)
async def test_status_check_is_one_line_and_an_exit_status(
    cli_env, parse_json_output, problems, status, output, error
):
    """With JSON the exit status is the same."""
    answer = STATUS | {"problems": problems}
    result, _ = await cli_env.run_beside_agent({"status": answer}, "status", "--check")
    assert (result.exit_code, result.stdout, result.stderr) == (status, output, error)
    result, _ = await cli_env.run_beside_agent({"status": answer}, "status", "--check", "--json")
    assert (result.exit_code, parse_json_output(result)) == (status, answer)
    result, _ = await cli_env.run_beside_agent({"status": answer}, "status")
    assert result.exit_code == 0
    assert ("doctor" in result.stdout) is bool(problems)


async def test_status_of_another_version_is_reported(cli_env):
    """After an upgrade the old agent may still run: one sentence says to restart it."""
    old = {name: value for name, value in STATUS.items() if name != "uptime_s"}
    result, _ = await cli_env.run_beside_agent({"status": old}, "status")
    assert result.exit_code == 1
    assert "restart it" in result.stderr


async def test_status_json_is_the_complete_response(cli_env, parse_json_output):
    """It has every key, and control characters as JSON escapes."""
    result, _ = await cli_env.run_beside_agent({"status": STATUS}, "status", "--json")
    assert parse_json_output(result) == STATUS
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("words", [("--json",), ("--check",)])
def test_watch_is_for_people(cli_env, words):
    """Exit status 2, with what to type; also without a terminal."""
    for result in (cli_env.run("status", "--watch", *words), cli_env.run("status", "--watch")):
        assert result.exit_code == 2
        assert "modem-agent status --json" in result.stderr


class WatchedAgent:
    """An agent with one status, and events that a test sends."""

    def __init__(self, path):
        self.events = asyncio.Queue()
        self.requests = []
        self.server = ControlServer(path, {"status": self._get_status})
        self.server.add_stream("events", self._follow)

    async def _get_status(self, request):
        self.requests.append(dict(request))
        return STATUS

    async def _follow(self):
        while True:
            yield await self.events.get()


async def read_until(terminal, text):
    """What the terminal shows until a text comes."""
    shown = ""
    while text not in shown:
        shown += (await asyncio.to_thread(os.read, terminal, 65536)).decode()
    return shown


async def start_watching(cli_env):
    """A process that shows the status, and its terminal."""
    terminal, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from agent.cli import main; main()", "status", "--watch"),
        *("--config", str(cli_env.config)),
        stdin=theirs,
        stdout=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(theirs)
    return process, terminal


async def test_watched_status_follows_events_and_a_restart(cli_env):
    """Each event draws it again; an agent that ends is waited for."""
    agent = WatchedAgent(cli_env.folder / "control.sock")
    await agent.server.start()
    process, terminal = await start_watching(cli_env)
    assert "Quectel EC25" in await read_until(terminal, "q quits")
    assert agent.requests[0] == {"do": "status", "watch": True}
    agent.events.put_nowait({"at": NOW, "kind": "sent", "message": "m", "severity": "info", "reply": 9})
    assert "\x1b[H" in await read_until(terminal, "sent reply 9: m")
    await agent.server.stop()
    await read_until(terminal, "Waiting for the agent")
    await agent.server.start()
    await read_until(terminal, "Quectel EC25")  # after the second at which the agent is looked for
    os.write(terminal, b"q")
    await process.wait()
    await agent.server.stop()
    os.close(terminal)


async def test_interrupted_watch_leaves_the_terminal_as_before(cli_env):
    """Ctrl-C is a way to end it: the first screen and the cursor are back, and the exit status is 0."""
    process, terminal = await start_watching(cli_env)
    await read_until(terminal, "Waiting for the agent")
    process.send_signal(signal.SIGINT)
    assert (await read_until(terminal, "\x1b[?1049l")).endswith("\x1b[?25h\x1b[?1049l")
    assert await process.wait() == 0
    os.close(terminal)
