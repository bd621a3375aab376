"""The metrics of an agent with fake module and handlers, over HTTP and as a file."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from agent.common.config import MetricsConfig
from agent.handlers.results import Failed
from agent.metrics.event_counts import EventCounts
from agent.metrics.exporter import MetricsExporter
from agent.metrics.text_format import OPENMETRICS_TYPE, PROMETHEUS_TYPE

CONFIG = Path(__file__).parents[3] / "config"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="needs promtool of the Debian package prometheus")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def fetch(port, head="GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
    """Return status line, content type and body of a response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode())
        answer = (await reader.read()).decode()
    finally:
        writer.close()
        await writer.wait_closed()
    fields, _, body = answer.partition("\r\n\r\n")
    content_type = re.search(r"Content-Type: (.*)", fields)
    return fields.split("\r\n")[0], content_type and content_type[1].strip(), body


def run_promtool(what, *arguments, text=""):
    """Check a text or a file with promtool; return its exit status and what it says."""
    command = [PROMTOOL, "check", what, *arguments]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


async def run_some_commands(agent_env, pipeline):
    """Let the agent run one Command, fail one, and ignore a message."""
    modem = agent_env.modem()
    pipeline.runner.plan("device.py:led", Failed("exit status 1"))
    for slot, sender in ((3, "2936"), (4, "2936"), (5, "+15551234567")):
        modem.store_message(slot, "led on", sender, minute=slot)


async def test_scrape_shows_what_happened(agent_env, pipeline):
    """Counters of this run, the state of module and journal; the type that the client accepts."""
    port = free_port()
    agent_env.tables["metrics"] = {"listen": f"127.0.0.1:{port}"}
    await run_some_commands(agent_env, pipeline)
    async with agent_env.running(20):
        status, content_type, body = await fetch(port)
        assert (status, content_type) == ("HTTP/1.1 200 OK", PROMETHEUS_TYPE)
        lines = body.splitlines()
        for line in (
            "modem_agent_can_receive 1",
            "modem_agent_can_answer 1",
            "modem_agent_session_active 1",
            "modem_agent_commands_received_total 2",
            'modem_agent_commands_ended_total{state="done"} 1',
            'modem_agent_commands_ended_total{state="failed"} 1',
            "modem_agent_messages_ignored_total 1",
            'modem_agent_replies_total{outcome="sent"} 2',
            'modem_agent_journal_replies{state="sent"} 2',
            'modem_agent_messages_sent{window="day"} 2',
            'modem_agent_messages_sent_limit{window="day"} 200',
            'modem_agent_module_resets_limit{window="hour"} 3',
            'modem_agent_recovery_actions_total{action="cycle_power"} 0',
            'modem_agent_command_duration_seconds_bucket{le="+Inf"} 2',
            "modem_agent_start_time_seconds 1795348800",
        ):
            assert line in lines, line
        openmetrics = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n"
        _, content_type, body = await fetch(port, openmetrics)
        assert content_type == OPENMETRICS_TYPE
        assert body.endswith("# EOF\n")
        assert (await fetch(port, "GET / HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
        assert (await fetch(port, "POST /metrics HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 405 Method Not Allowed"
        assert (await fetch(port, "HEAD /metrics HTTP/1.1\r\n\r\n"))[2] == ""


async def test_file_is_written_after_changes_only(agent_env, pipeline):
    """Readable for all, at most once in its interval, and gone when the agent has stopped."""
    path = agent_env.folder / "metrics.prom"
    agent_env.tables["metrics"] = {"textfile": str(path), "textfile_interval_s": 60}
    modem = agent_env.modem()
    async with agent_env.running():
        assert path.stat().st_mode & 0o777 == 0o644
        assert "modem_agent_commands_received_total 0\n" in path.read_text()
        modem.store_message(3, announce=True)
        await pipeline.advance(50)
        assert "modem_agent_commands_received_total 0\n" in path.read_text()
        await pipeline.advance(20)
        assert "modem_agent_commands_received_total 1\n" in path.read_text()
        os.utime(path, (1, 1))
        await pipeline.advance(200)
        assert path.stat().st_mtime == 1
        assert list(agent_env.folder.glob(".metrics*")) == []
    assert not path.exists()


async def test_address_in_use_is_logged_and_the_agent_runs(agent_env, pipeline):
    """It is tried again, and works once the address is free."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        agent_env.tables["metrics"] = {"listen": f"127.0.0.1:{port}"}
        async with agent_env.running():
            (event,) = pipeline.events_of_kind("metrics")
            assert event.message.startswith(f"not served on 127.0.0.1:{port}: ")
            other.close()
            await pipeline.advance(61)
            assert (await fetch(port))[0] == "HTTP/1.1 200 OK"


async def test_file_that_cannot_be_written_is_logged(agent_env, pipeline):
    """The agent goes on."""
    agent_env.tables["metrics"] = {"textfile": "/nowhere/metrics.prom"}
    async with agent_env.running():
        (event,) = pipeline.events_of_kind("metrics")
        assert event.message.startswith("/nowhere/metrics.prom cannot be written: No such file or directory")


async def test_idle_client_does_not_hold_up_the_end(agent_env, pipeline):
    """It is disconnected. From Python 3.12 on a server waits for its clients; systemd does not wait."""
    port = free_port()
    agent_env.tables["metrics"] = {"listen": f"127.0.0.1:{port}"}
    loop = asyncio.get_running_loop()
    async with agent_env.running():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await pipeline.advance(1)
        began = loop.time()
    assert loop.time() - began < 5
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert loop.time() - began < 5
    writer.close()


async def test_status_that_cannot_be_read_ends_no_export(tmp_path):
    """The client gets an error, the log its reason; the next attempt may succeed."""
    port, changed, events = free_port(), asyncio.Event(), []
    config = MetricsConfig(
        listen=f"127.0.0.1:{port}", textfile=tmp_path / "metrics.prom", textfile_interval_s=1.0
    )

    async def read():
        raise ValueError("broken")

    counts = EventCounts(events.append, lambda: 0.0, changed.set)
    exporter = MetricsExporter(config=config, counts=counts, read=read, changed=changed, emit=events.append)
    task = asyncio.create_task(exporter.run())
    await asyncio.sleep(0.01)
    for _ in range(2):
        assert (await fetch(port))[0] == "HTTP/1.1 500 Internal Server Error"
    assert {event.message for event in events} == {"not exported: internal error: ValueError: broken"}
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


@needs_promtool
async def test_promtool_has_no_complaint(agent_env, pipeline):
    """Names, types and units are as Prometheus wants them."""
    port = free_port()
    agent_env.tables["metrics"] = {"listen": f"127.0.0.1:{port}"}
    await run_some_commands(agent_env, pipeline)
    async with agent_env.running(20):
        _, _, body = await fetch(port)
    assert run_promtool("metrics", text=body) == (0, "")


@needs_promtool
def test_promtool_accepts_the_alerts():
    """The expressions can be parsed."""
    assert run_promtool("rules", CONFIG / "prometheus-alerts.yml")[0] == 0


async def test_alerts_and_readme_name_metrics_that_exist(agent_env, pipeline):
    """No alert waits for a metric that is never exported, and the list in the guide is complete."""
    port = free_port()
    agent_env.tables["metrics"] = {"listen": f"127.0.0.1:{port}"}
    await run_some_commands(agent_env, pipeline)
    async with agent_env.running(20):
        _, _, body = await fetch(port)
    samples = {re.match(r"\w+", line)[0] for line in body.splitlines() if not line.startswith("#")}
    families = set(re.findall(r"# TYPE (\w+)", body))
    named = set(re.findall(r"modem_agent_\w+", (CONFIG / "prometheus-alerts.yml").read_text()))
    assert named - samples == set()
    listed = set(
        re.findall(r"^\| `(modem_agent_\w+)", (CONFIG / "guides/prometheus.md").read_text(), re.MULTILINE)
    )
    assert listed == families
