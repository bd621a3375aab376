"""Fuzz target: any octets on the control socket.

Each line gets a JSON response; a line that is too long ends the connection. The first octet of the input is
the size of the chunks in which the rest arrives.
"""

import asyncio
import json
import random
from pathlib import Path
from types import SimpleNamespace

from agent.at.command import AtCommand
from agent.daemon.control_api import ControlApi
from agent.daemon.control_socket import MAX_LINE_BYTES, ControlServer
from agent.journal.executor import InlineExecutor
from agent.pipeline.composer import MessageComposer
from agent.service.compose import ReplyConfig
from agent.service.profile import SERVICE_PROFILES

SEEDS = tuple(
    b"\x20" + line
    for line in (
        b'{"do": "status"}\n',
        b'{"do": "send", "text": "on", "to": "2936"}\n{"do": "send", "hex": "01FF"}\n',
        '{"do": "send", "text": "żółw 😀", "to": "+447700900123"}\n'.encode(),
        b'{"do": "at", "line": "AT+CSQ"}\n{"do": "at", "line": "AT+CMGS=1"}\n{"do": "at", "line": 7}\n',
        b'[]\n{}\n"x"\n{"do": null}\n{"do": {"do": [1, 2.5e300, true]}}\nnot JSON\n',
        b'{"do": "send", "text": "\\ud83d\\ude00\\u0000", "to": "call*#1"}\n',
    )
)


class FakeOutboxStore:
    """Accepts messages and reports them as sent."""

    def enqueue(self, messages):
        return list(range(len(messages)))

    def get_states(self, numbers):
        return [("sent", None) for _ in numbers]


class FakeModem:
    """Validates a command line as the real modem does."""

    async def execute_at(self, line):
        return [AtCommand.from_user_input(line, 10).line]


class FakeStreamWriter:
    """Collects the responses."""

    def __init__(self):
        self.octets = bytearray()

    def write(self, data):
        self.octets += data

    async def drain(self):
        pass

    def close(self):
        pass

    async def wait_closed(self):
        pass


def _make_server():
    unused = SimpleNamespace()
    supervisor = SimpleNamespace(
        connection=SimpleNamespace(
            session=SimpleNamespace(modem=FakeModem()),
            session_count=1,
        )
    )
    control_api = ControlApi(
        runtime=SimpleNamespace(db=InlineExecutor(), deadlines=unused, random=random.Random(1)),
        outbox_store=FakeOutboxStore(),
        composer=MessageComposer(SERVICE_PROFILES["super-sim"], ReplyConfig()),
        supervisor=supervisor,
        agent_status=SimpleNamespace(explain_wait=lambda: ""),
        on_queued=lambda: None,
    )
    return ControlServer(
        Path("/nowhere"),
        {
            "status": _status,
            "send": control_api.send_message,
            "wait": control_api.wait_for_outcome,
            "at": control_api.run_at_command,
        },
    )


async def _status(request):
    return {"of": [str(key) for key in request]}


def run(data):
    """Nothing is raised, and every line of allowed length gets one response."""
    octets = asyncio.run(_run_connection(data[1:], data[0] + 1 if data else 1))
    lines, requests = octets.split(b"\n"), data[1:].split(b"\n")
    assert lines.pop() == b""
    requests = requests if requests[-1] else requests[:-1]  # the end of the stream ends a line, too
    if all(len(line) < MAX_LINE_BYTES for line in requests):
        assert len(lines) == len(requests)
    for line in lines:
        response = json.loads(line)
        assert response["ok"] or response["error"]


async def _run_connection(octets, size):
    reader, writer = asyncio.StreamReader(limit=MAX_LINE_BYTES), FakeStreamWriter()
    for at in range(0, len(octets), size * size):
        reader.feed_data(octets[at : at + size * size])
    reader.feed_eof()
    await asyncio.wait_for(_make_server()._serve_requests(reader, writer), 5)
    return bytes(writer.octets)
