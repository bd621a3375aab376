"""Fixtures of the AT tests: virtual time, ways to cut bytes, a scripted module, and a recording reader."""

import asyncio
import random

import pytest

from hardware.sim import virtual_time


@pytest.fixture
def run_virtual():
    """Run a coroutine in virtual time. A coroutine that never ends is an error."""

    def run(coroutine):
        return virtual_time.run_virtual(asyncio.wait_for(coroutine, 100_000))

    return run


def _split_all_ways(data):
    yield "whole", [data]
    yield "one by one", [data[i : i + 1] for i in range(len(data))]
    for seed in range(12):
        chance = random.Random(seed)
        pieces, rest = [], data
        while rest:
            size = chance.choice((1, 1, 2, 3, 7, 20, 61))
            pieces.append(rest[:size])
            rest = rest[size:]
        yield f"seed {seed}", pieces


@pytest.fixture
def split_all_ways():
    """Return pairs of a name and a list of pieces: whole, one by one, and cut at random with a seed."""
    return _split_all_ways


class ScriptedModule:
    """A module at the far end of a transport that answers lines by rules.

    `on(line, *answers)`: the first time the first answer, the last one for ever. An answer is octets, None
    for silence, or a list of octets and seconds to wait. The rules "body" and "esc" are for text entry.
    """

    def __init__(self, transport):
        self.transport = transport
        self.rules = {}
        self.received = []
        """The lines that were received, and "body" or "esc" with the text before it."""
        self.octets = b""
        self.in_text_entry = False
        self.unfinished = b""
        self.on("AT", OK)
        self.on("AT+CMEE?", b"\r\n+CMEE: 1\r\n" + OK)
        self.on("esc", None)

    def on(self, line, *answers):
        self.rules[line] = list(answers)

    def data_received(self, data):
        self.octets += data
        for octet in data:
            if self.in_text_entry and octet in (0x1A, 0x1B):
                what, self.unfinished, self.in_text_entry = self.unfinished, b"", False
                self.process("body" if octet == 0x1A else "esc", what)
            elif octet == 0x1B:
                self.process("esc", b"")
            elif octet == 0x0D and not self.in_text_entry:
                line, self.unfinished = self.unfinished.decode(), b""
                if line:
                    self.process(line, b"")
            else:
                self.unfinished += bytes([octet])

    def connection_lost(self, reason):
        self.received.append("hung up")

    def process(self, line, octets):
        self.received.append(f"{line} {octets.decode()}".strip())
        answers = self.rules.get(line, [b"\r\nERROR\r\n"])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.answer_with(answer)

    def answer_with(self, answer):
        delay = 0.0
        for part in answer if isinstance(answer, list) else [answer]:
            if isinstance(part, float | int):
                delay += part
            elif part is not None:
                asyncio.get_running_loop().call_later(delay, self.write, part)

    def write(self, data):
        if data.rstrip().endswith(b">"):
            self.in_text_entry = True
        self.transport.write(data)


OK = b"\r\nOK\r\n"


@pytest.fixture
def attach_scripted_module():
    """Attach a scripted module to one end of a memory transport."""

    async def attach(transport):
        module = ScriptedModule(transport)
        await transport.open(module)
        return module

    return attach


class RecordingReader:
    """A transport reader that keeps bytes and loss reasons."""

    def __init__(self):
        self.data = b""
        self.reasons = []
        self.changed = asyncio.Event()

    def data_received(self, data):
        self.data += data
        self.changed.set()

    def connection_lost(self, reason):
        self.reasons.append(reason)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def make_reader():
    """Make a reader of a transport."""
    return RecordingReader
