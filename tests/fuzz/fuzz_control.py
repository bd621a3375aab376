"""Any octets on the control socket: an answer in JSON to each line, and the end of the line for one too long.

The first octet says how the rest is cut on its way.
"""

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace

import msgspec

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
    """Takes replies, and says that they were sent."""

    def queue(self, messages):
        return list(range(len(messages)))

    def states(self, numbers):
        return [("sent", None) for _ in numbers]


class FakeModem:
    """Checks a command line as the real one does."""

    async def at(self, line):
        return [AtCommand.from_user_input(line, 10).line]


class FakeStreamWriter:
    """The client's end."""

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
    nobody = SimpleNamespace()
    supervisor = SimpleNamespace(
        connection=SimpleNamespace(
            session=SimpleNamespace(modem=FakeModem()),
            state="connected",
            session_count=1,
        )
    )
    desk = ControlApi(
        runtime=SimpleNamespace(db=InlineExecutor(), deadlines=nobody, random=random.Random(1)),
        stores=SimpleNamespace(
            journal_path=Path("/nowhere"), command_store=nobody, outbox_store=FakeOutboxStore()
        ),
        composer=MessageComposer(SERVICE_PROFILES["super-sim"], ReplyConfig()),
        supervisor=supervisor,
        recovery_executor=nobody,
        dispatcher=nobody,
        on_queued=lambda: None,
    )
    return ControlServer(
        Path("/nowhere"), {"status": _status, "send": desk.send_message, "at": desk.run_at_command}
    )


async def _status(request):
    return {"of": [str(key) for key in request]}


def run(data):
    """Nothing is raised, and every line that is no longer than allowed gets one answer."""
    octets = asyncio.run(_run_connection(data[1:], data[0] + 1 if data else 1))
    lines, asked = octets.split(b"\n"), data[1:].split(b"\n")
    assert lines.pop() == b""
    asked = asked if asked[-1] else asked[:-1]  # the end of the stream ends a line, too
    if all(len(line) < MAX_LINE_BYTES for line in asked):
        assert len(lines) == len(asked)
    for line in lines:
        answer = msgspec.json.decode(line)
        assert answer["ok"] or answer["error"]


async def _run_connection(octets, size):
    reader, writer = asyncio.StreamReader(limit=MAX_LINE_BYTES), FakeStreamWriter()
    for at in range(0, len(octets), size * size):
        reader.feed_data(octets[at : at + size * size])
    reader.feed_eof()
    await asyncio.wait_for(_make_server()._serve_requests(reader, writer), 5)
    return bytes(writer.octets)
