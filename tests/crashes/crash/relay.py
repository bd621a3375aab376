"""A cable between agent and module that tells what passes: what was deleted, acknowledged, sent.

The agent connects by TCP, the module's far end is its pseudo-terminal; PDU mode only.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass

CTRL_Z = b"\x1a"


@dataclass(frozen=True)
class ObservedEffect:
    """Something that cannot be taken back."""

    kind: str
    """`deleted` or `acknowledged` from the module, `body` begun to be sent."""
    raw: str
    """The PDU."""
    log_position: int
    """Entries of the disk's log at that moment."""


class RecordingRelay:
    """`mark` says how many entries the disk's log has."""

    def __init__(self, terminal, log_position):
        self.effects = []
        self._terminal = terminal
        self._log_position = log_position
        self._server = None

    async def start(self):
        """Listen; answers the port."""
        self._server = await asyncio.start_server(self._serve_agent, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Take no more connections."""
        self._server.close()
        await self._server.wait_closed()

    async def _serve_agent(self, reader, writer):
        loop = asyncio.get_running_loop()
        terminal = os.open(self._terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._pdu_by_slot = {}
        self._direct_pdu = self._read_index = self._next_pdu_from = None
        self._in_text_entry = False
        self._from_agent = self._from_module = b""

        def said():
            with contextlib.suppress(OSError):
                data = os.read(terminal, 65536)
                self._on_module_data(data)
                writer.write(data)

        loop.add_reader(terminal, said)
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
        """Before it goes on: this is the moment from which the agent cannot take it back."""
        mark = self._log_position()
        self._from_agent += data
        while self._from_agent:
            end = CTRL_Z if self._in_text_entry else b"\r"
            line, found, rest = self._from_agent.partition(end)
            if not found:
                return
            self._from_agent = rest
            if self._in_text_entry:
                self._in_text_entry = False
                self._record("body", line.decode("ascii", "replace").strip(), mark)
            else:
                self._on_command(line.decode("ascii", "replace").strip(), mark)

    def _on_command(self, line, mark):
        name, _, value = line.partition("=")
        if name == "AT+CMGR":
            self._read_index = int(value.partition(",")[0])
        elif name == "AT+CMGS":
            self._in_text_entry = True
        elif name == "AT+CMGD" and value != "?":
            self._record("deleted", self._pdu_by_slot.pop(int(value.partition(",")[0]), None), mark)
        elif name == "AT+CNMA":
            self._record("acknowledged", self._direct_pdu, mark)
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
                self._next_pdu_from = "handed over"

    def _on_pdu(self, source, raw):
        if source == "handed over":
            self._direct_pdu = raw
        else:
            self._pdu_by_slot[source] = raw
