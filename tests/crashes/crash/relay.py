"""A cable between agent and module that tells what passes: what was deleted, acknowledged, sent.

The agent connects by TCP, the module's far end is its pseudo-terminal; PDU mode only.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass

CTRL_Z = b"\x1a"


@dataclass(frozen=True)
class Seen:
    """Something that cannot be taken back."""

    what: str
    """`deleted` or `acknowledged` from the module, `body` begun to be sent."""
    raw: str
    """The PDU."""
    mark: int
    """Entries of the disk's log at that moment."""


class Relay:
    """`mark` says how many entries the disk's log has."""

    def __init__(self, terminal, mark):
        self.seen = []
        self._terminal = terminal
        self._mark = mark
        self._server = None

    async def start(self):
        """Listen; answers the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Take no more connections."""
        self._server.close()
        await self._server.wait_closed()

    async def _connected(self, reader, writer):
        loop = asyncio.get_running_loop()
        terminal = os.open(self._terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._slots = {}
        self._handed_over = self._index = self._next = None
        self._sending = False
        self._from_agent = self._from_module = b""

        def said():
            with contextlib.suppress(OSError):
                data = os.read(terminal, 65536)
                self._module_says(data)
                writer.write(data)

        loop.add_reader(terminal, said)
        try:
            while data := await reader.read(65536):
                self._agent_says(data)
                os.write(terminal, data)
        except OSError:
            pass
        finally:
            loop.remove_reader(terminal)
            os.close(terminal)
            writer.close()

    def _agent_says(self, data):
        """Before it goes on: this is the moment from which the agent cannot take it back."""
        mark = self._mark()
        self._from_agent += data
        while self._from_agent:
            end = CTRL_Z if self._sending else b"\r"
            line, found, rest = self._from_agent.partition(end)
            if not found:
                return
            self._from_agent = rest
            if self._sending:
                self._sending = False
                self._tell("body", line.decode("ascii", "replace").strip(), mark)
            else:
                self._command(line.decode("ascii", "replace").strip(), mark)

    def _command(self, line, mark):
        name, _, value = line.partition("=")
        if name == "AT+CMGR":
            self._index = int(value.partition(",")[0])
        elif name == "AT+CMGS":
            self._sending = True
        elif name == "AT+CMGD" and value != "?":
            self._tell("deleted", self._slots.pop(int(value.partition(",")[0]), None), mark)
        elif name == "AT+CNMA":
            self._tell("acknowledged", self._handed_over, mark)
            self._handed_over = None

    def _tell(self, what, raw, mark):
        if raw:
            self.seen.append(Seen(what, raw, mark))

    def _module_says(self, data):
        self._from_module += data
        *lines, self._from_module = self._from_module.split(b"\r\n")
        for line in (octets.decode("ascii", "replace") for octets in lines):
            if self._next is not None and line:
                self._pdu(self._next, line)
                self._next = None
            elif line.startswith("+CMGR:"):
                self._next = self._index
            elif line.startswith("+CMGL:"):
                self._next = int(line[6:].partition(",")[0])
            elif line.startswith("+CMT:"):
                self._next = "handed over"

    def _pdu(self, where, raw):
        if where == "handed over":
            self._handed_over = raw
        else:
            self._slots[where] = raw
