"""Simulated modules in a process of their own. It delivers Commands and reports when their octets passed.

    python module.py FOLDER '{"sims": {"agent": {"device": "generic", "baud": 115200}}}'

Each line of the standard input is a request, `{"sim": NAME, "texts": [...]}`: the Commands are delivered at
once. It is answered by one line when each Command has its reply and the module has no message left:

    stored, ctrl_z    times of the first delivery, and when the last octet of the first body has come
    done              time when the last reply has left
    to, from          octets to the module and from it until the line was quiet
    marks             time of each step of the first Command
    replies           texts of the replies, in order

Times are seconds of CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from hardware.sim.module.ports import LineDirection
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SimSpec

SENDER = "000"
TIMEOUT_S = 8.0
"""Longest time from one step of any Command to the next."""
QUIET_S = 0.03
"""A line that has been quiet for so long has nothing more to do with the Command."""
MARKS = {
    "announced": (LineDirection.FROM_MODULE, re.compile(rb"\+CMTI: .*\r\n|\+CMT: .*\r\n[0-9A-F]+\r\n")),
    "read begun": (LineDirection.TO_MODULE, re.compile(rb"AT\+CMGR=\d+\r")),
    "read ended": (LineDirection.FROM_MODULE, re.compile(rb"\+CMGR: [\s\S]*\r\nOK\r\n")),
    "deleted or acknowledged": (LineDirection.TO_MODULE, re.compile(rb"AT\+(?:CMGD|CNMA)[=\d]*\r")),
    "reply begun": (LineDirection.TO_MODULE, re.compile(rb"AT\+CMGS=\d+\r")),
    "prompt": (LineDirection.FROM_MODULE, re.compile(rb"\r\n> ")),
    "Ctrl-Z": (LineDirection.TO_MODULE, re.compile(rb"\x1a")),
}
"""Each step, and the octets that end it."""


class Line:
    """The octets on the line of one module since the last request."""

    def __init__(self):
        self.chunks = []
        self.offered_at = 0.0
        self.replies = []
        self.last_at = 0.0
        self.changed = asyncio.Event()

    def begin(self):
        self.chunks, self.replies, self.offered_at = [], [], 0.0

    def record(self, direction, data):
        self.last_at = time.monotonic()
        self.chunks.append((self.last_at, direction, data))
        self.changed.set()

    def find(self, direction, pattern):
        """Return when the octets were complete; None if they did not come."""
        text = b""
        for at, way, data in self.chunks:
            if way is direction:
                text += data
                if pattern.search(text):
                    return at
        return None

    def count(self, direction):
        return sum(len(data) for _, way, data in self.chunks if way is direction)


class Modules:
    """The sandbox, and the lines of its modules by name."""

    def __init__(self, folder, sims):
        self._sandbox = Sandbox(
            sims=[SimSpec(unique_name=name, **fields) for name, fields in sims.items()],
            link_dir=folder,
            clock=SandboxClock(lambda: datetime.now(UTC)),
            rng=random.Random(1),
            timing=NetworkTiming(transit_s=0.0, alert_delay_s=0.0),
        )
        self._lines = {name: Line() for name in sims}
        self._sandbox.records.add_line_observer(
            lambda sim, way, data: self._lines[sim.unique_name].record(way, data)
        )
        self._sandbox.records.add_observer(self._on_event)

    async def serve(self):
        await self._sandbox.start()
        print(json.dumps({"ready": True}), flush=True)
        loop = asyncio.get_running_loop()
        while request := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await self._deliver(**json.loads(request))), flush=True)
        await self._sandbox.stop()

    def _on_event(self, sim, event):
        if sim is None:
            return
        line = self._lines[sim.unique_name]
        if event.kind is NetworkEventKind.OFFERED:
            line.offered_at = line.offered_at or time.monotonic()
        elif event.kind is NetworkEventKind.ORIGINATED:
            line.replies.append((event.body, time.monotonic()))
        line.changed.set()

    async def _deliver(self, sim, texts):
        line, module = self._lines[sim], self._sandbox.sims[sim].module
        line.begin()
        for text in texts:
            self._sandbox.send_sms(sim, SENDER, text)
        try:
            while len(line.replies) < len(texts) or len(module.stores["ME"]):
                line.changed.clear()
                async with asyncio.timeout(TIMEOUT_S):
                    await line.changed.wait()
            while time.monotonic() - line.last_at < QUIET_S:  # noqa: ASYNC110 (it waits for no event)
                await asyncio.sleep(QUIET_S / 2)
        except TimeoutError:
            for slot, _ in list(module.stores["ME"]):  # the client has missed it: the next Command is another
                module.stores["ME"].delete(slot)
            return {"error": f"{sim}: {len(line.replies)} of {len(texts)} replies came"}
        marks = {name: line.find(*octets) for name, octets in MARKS.items()}
        return {
            "stored": line.offered_at,
            "ctrl_z": marks["Ctrl-Z"],
            "done": line.replies[-1][1],
            "to": line.count(LineDirection.TO_MODULE),
            "from": line.count(LineDirection.FROM_MODULE),
            "marks": marks,
            "replies": [body for body, _ in line.replies],
        }


if __name__ == "__main__":
    asyncio.run(Modules(Path(sys.argv[1]), json.loads(sys.argv[2])["sims"]).serve())
