"""A relay between agent and module that records effects: deletes, acknowledgements and sent bodies.

The agent connects by TCP, and the relay opens the pseudo-terminal of the module. PDU mode only.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass

CTRL_Z = b"\x1a"
ESC = b"\x1b"


@dataclass(frozen=True)
class ObservedEffect:
    """Something that cannot be undone."""

    kind: str
    """`deleted`, `acknowledged`, or `body`: a body of which at least the first octet was written."""
    raw: str
    """The PDU."""
    log_position: int
    """Number of entries in the log of the disk at that moment."""


class RecordingRelay:
    """Passes on all octets and records effects in the order in which they happen."""

    def __init__(self, terminal, log_position):
        """`log_position` returns the number of entries in the log of the disk."""
        self.effects = []
        self._terminal = terminal
        self._log_position = log_position
        self._server = None

    async def start(self):
        """Listen, and return the port number."""
        self._server = await asyncio.start_server(self._serve_agent, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Stop listening."""
        self._server.close()
        await self._server.wait_closed()

    async def _serve_agent(self, reader, writer):
        loop = asyncio.get_running_loop()
        terminal = os.open(self._terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._pdu_by_slot = {}
        self._direct_pdu = self._read_index = self._next_pdu_from = None
        self._in_text_entry = False
        self._from_agent = self._from_module = b""

        def relay_module_data():
            with contextlib.suppress(OSError):
                data = os.read(terminal, 65536)
                self._on_module_data(data)
                writer.write(data)

        loop.add_reader(terminal, relay_module_data)
        try:
            while data := await reader.read(65536):
                self._on_agent_data(data)
                os.write(terminal, data)
        except OSError:
            pass
        finally:
            loop.remove_reader(terminal)
            os.close(terminal)
            writer.close()

    def _on_agent_data(self, data):
        """Record effects before the data reaches the module. From then on the agent cannot undo them."""
        position = self._log_position()
        self._from_agent += data
        while self._from_agent:
            if self._in_text_entry and self._from_agent.startswith(ESC):  # it is closed without a body
                self._in_text_entry, self._from_agent = False, self._from_agent[1:]
                continue
            end = CTRL_Z if self._in_text_entry else b"\r"
            line, found, rest = self._from_agent.partition(end)
            if not found:
                return
            self._from_agent = rest
            if self._in_text_entry:
                self._in_text_entry = False
                self._record("body", line.decode("ascii", "replace").strip(), position)
            else:
                self._on_command(line.decode("ascii", "replace").strip(), position)

    def _on_command(self, line, position):
        name, _, value = line.partition("=")
        if name == "AT+CMGR":
            self._read_index = int(value.partition(",")[0])
        elif name == "AT+CMGS":
            self._in_text_entry = True
        elif name == "AT+CMGD" and value != "?":
            self._record("deleted", self._pdu_by_slot.pop(int(value.partition(",")[0]), None), position)
        elif name == "AT+CNMA":
            self._record("acknowledged", self._direct_pdu, position)
            self._direct_pdu = None

    def _record(self, kind, raw, log_position):
        if raw:
            self.effects.append(ObservedEffect(kind, raw, log_position))

    def _on_module_data(self, data):
        self._from_module += data
        *lines, self._from_module = self._from_module.split(b"\r\n")
        for line in (octets.decode("ascii", "replace") for octets in lines):
            if self._next_pdu_from is not None and line:
                self._on_pdu(self._next_pdu_from, line)
                self._next_pdu_from = None
            elif line.startswith("+CMGR:"):
                self._next_pdu_from = self._read_index
            elif line.startswith("+CMGL:"):
                self._next_pdu_from = int(line[6:].partition(",")[0])
            elif line.startswith("+CMT:"):
                self._next_pdu_from = "direct delivery"

    def _on_pdu(self, source, raw):
        if source == "direct delivery":
            self._direct_pdu = raw
        else:
            self._pdu_by_slot[source] = raw
