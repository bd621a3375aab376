"""`signal`: the reception now, and while an antenna is moved."""

import asyncio
import os
import pty
import signal
import sys
from collections import deque

import pytest

from agent.cli.signal import make_history_rows, make_rows
from agent.cli.styled_text import Display, format_rows
from agent.daemon.control_socket import ControlServer

READING = {
    "dbm": -77,
    "rsrp_dbm": -87.5,
    "rsrq_db": -10.0,
    "sinr_db": 19.0,
    "rscp_dbm": None,
    "ecno_db": None,
    "operator": "KPN",
    "access_technology": "LTE",
    "registration": "registered, home",
}
NO_SIGNAL = dict.fromkeys(READING) | {"registration": "searching"}


def test_each_known_value_has_a_row():
    """With bars, unit and level; the value to place an antenna by is the first."""
    assert list(format_rows(make_rows(READING, Display()), Display())) == [
        "network       KPN, LTE",
        "registration  registered, home",
        "RSRP          ▂▃▅▆·  -87.5 dBm  good       reference signals (LTE)",
        "RSRQ          ▂▃▅▆·    -10 dB   good       quality of the reference signals",
        "SINR          ▂▃▅▆·     19 dB   good       signal to noise and interference",
        "RSSI          ▂▃▅▆·    -77 dBm  good       all that is received on the channel",
    ]


def test_no_signal_is_said():
    """No row pretends a value."""
    lines = list(format_rows(make_rows(NO_SIGNAL, Display(), "note"), Display()))
    assert lines[0] == "note"
    assert lines[-1].startswith("signal        the module receives no cell")
    assert list(make_history_rows(deque([NO_SIGNAL]), Display())) == []


def test_history_has_the_best_value():
    """How long ago it was, and how far the present one is from it."""
    values = (-100, -80, None, -90)
    rows = list(make_history_rows(deque(READING | {"rsrp_dbm": value} for value in values), Display()))
    assert [(row.label, row.text) for row in rows] == [
        ("RSRP so far", "▄▇ ▅"),
        ("best", "-80 dBm, 4 s ago; now -10 dB"),
    ]


async def test_signal_of_the_running_agent(cli_env, parse_json_output):
    """One request to the agent; JSON has its values."""
    answers = {"status": {}, "signal": READING}
    result, requests = await cli_env.run_beside_agent(answers, "signal")
    assert requests[-1] == {"do": "signal"}
    assert "RSRP          ▂▃▅▆·  -87.5 dBm" in result.stdout
    result, _ = await cli_env.run_beside_agent(answers, "signal", "--json")
    assert parse_json_output(result) == READING


def test_signal_without_agent_and_port(cli_env):
    """The reason is that of the port."""
    result = cli_env.run("signal")
    assert result.exit_code == 1
    assert "/dev/nowhere" in result.stderr


@pytest.mark.parametrize("output", ["terminal", "pipe"])
async def test_watched_signal_ends_cleanly(cli_env, output):
    """On a terminal it is a screen; into a pipe it is one line for each reading. Ctrl-C is no failure."""
    readings = []

    async def answer_status(_request):
        return {}

    async def answer_signal(_request):
        readings.append(1)
        return READING

    server = ControlServer(
        cli_env.folder / "control.sock", {"status": answer_status, "signal": answer_signal}
    )
    await server.start()
    near, far = pty.openpty() if output == "terminal" else os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from agent.cli import main; main()", "signal", "--watch"),
        *("--config", str(cli_env.config)),
        stdout=far,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(far)
    shown = ""
    while "KPN" not in shown and "RSRP -87.5 dBm" not in shown:
        shown += (await asyncio.to_thread(os.read, near, 65536)).decode()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    os.close(near)
    await server.stop()
    assert ("\x1b" in shown) is (output == "terminal")
    assert readings
