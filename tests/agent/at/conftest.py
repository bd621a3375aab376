"""What the tests of the conversation share: ways to cut octets, and a loop whose clock is turned by hand."""

import asyncio
import random
import selectors

import pytest


class _VirtualTimeSelector(selectors.DefaultSelector):
    """Instead of waiting for a time to come, lets it be that time."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0

    def select(self, timeout=None):
        if timeout is None:
            # Nothing is due and nothing was asked of the kernel: only a thread or a real wire could go on.
            return super().select(5)
        ready = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._virtual_selector = _VirtualTimeSelector()
        super().__init__(self._virtual_selector)

    def time(self):
        return self._virtual_selector.now


@pytest.fixture
def run_virtual():
    """Run a story under virtual time; hours pass at once. What it leaves running is an error."""

    def tell(story):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(asyncio.wait_for(story, 100_000))

    return tell


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
    """Every way to cut octets: whole, one by one, and at random with a seed that is told."""
    return _split_all_ways


class ScriptedModule:
    """The far end of a wire: says what it was told to say when it hears a line.

    `on(line, *answers)`: the first time the first answer, the last one for ever. An answer is octets, None
    for silence, or a list of octets and seconds to wait. The rules "body" and "esc" serve the text entry.
    """

    def __init__(self, wire):
        self.wire = wire
        self.rules = {}
        self.heard = []
        self.octets = b""
        self.entry = False
        self.unfinished = b""
        self.on("AT", OK)
        self.on("AT+CMEE?", b"\r\n+CMEE: 1\r\n" + OK)
        self.on("esc", None)

    def on(self, line, *answers):
        self.rules[line] = list(answers)

    def data_received(self, data):
        self.octets += data
        for octet in data:
            if self.entry and octet in (0x1A, 0x1B):
                what, self.unfinished, self.entry = self.unfinished, b"", False
                self.hear("body" if octet == 0x1A else "esc", what)
            elif octet == 0x1B:
                self.hear("esc", b"")
            elif octet == 0x0D and not self.entry:
                line, self.unfinished = self.unfinished.decode(), b""
                if line:
                    self.hear(line, b"")
            else:
                self.unfinished += bytes([octet])

    def connection_lost(self, reason):
        self.heard.append("hung up")

    def hear(self, line, octets):
        self.heard.append(f"{line} {octets.decode()}".strip())
        answers = self.rules.get(line, [b"\r\nERROR\r\n"])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.say(answer)

    def say(self, answer):
        delay = 0.0
        for part in answer if isinstance(answer, list) else [answer]:
            if isinstance(part, float | int):
                delay += part
            elif part is not None:
                asyncio.get_running_loop().call_later(delay, self.write, part)

    def write(self, data):
        if data.rstrip().endswith(b">"):
            self.entry = True
        self.wire.write(data)


OK = b"\r\nOK\r\n"


@pytest.fixture
def attach_scripted_module():
    """A scripted module on the given end of a memory wire."""

    async def plug(wire):
        module = ScriptedModule(wire)
        await wire.open(module)
        return module

    return plug


class RecordingReader:
    """Keeps what it is told."""

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
    """Make somebody who reads a wire."""
    return RecordingReader
