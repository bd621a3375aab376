"""`modem-agent status --watch`: the status and the newest events, drawn again with each event."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.cli.fetch_status import fetch_status
from agent.cli.status_screen import make_rows
from agent.cli.styled_text import Row, Style, format_rows
from agent.cli.terminal import Terminal, UserQuit, full_screen
from agent.daemon.control_client import ControlError, open_stream

REFRESH_S = 10.0
"""Interval at which the status is asked for without an event: ages grow, and the signal changes silently."""
SETTLE_S = 0.3
"""Pause after an event: a Command causes several within a moment."""
RECONNECT_S = 1.0
"""Interval between two attempts while no agent answers."""
MAX_EVENTS = 50
"""Events that are kept; as many of the newest are shown as the window has room for."""
_SEVERITY_STYLES = {"warning": Style.WARNING, "error": Style.WRONG}


def watch_status(path: Path) -> None:
    """Show the status of the agent at a control socket until the user quits. It survives a restart."""
    try:
        with full_screen() as terminal:
            _StatusWatch(path, terminal).run()
    except UserQuit:
        return


class _StatusWatch:
    """The screen, and the stream of events while an agent answers."""

    def __init__(self, path: Path, terminal: Terminal) -> None:
        self._path = path
        self._terminal = terminal
        self._events: deque[Row] = deque(maxlen=MAX_EVENTS)

    def run(self) -> None:
        """Draw until the user quits. Raises UserQuit."""
        while True:
            try:
                self._follow()
            except ControlError as error:
                self._draw([Row("", str(error), Style.WRONG), Row("", "Waiting for the agent.")])
            self._terminal.wait(RECONNECT_S)

    def _follow(self) -> None:
        """Draw the status after each event, until the agent ends. Raises ControlError, UserQuit."""
        with ExitStack() as stack:
            stream = stack.enter_context(open_stream(self._path, "events"))
            stream.setblocking(False)
            unread = b""
            while True:
                response = fetch_status(self._path, watch=True)
                self._draw(list(make_rows(response, time.time(), self._terminal.display)))
                if self._terminal.wait(REFRESH_S, stream):
                    self._terminal.wait(SETTLE_S)
                    received = _receive(stream)
                    if not received:
                        raise ControlError("the agent has ended")
                    *lines, unread = (unread + received).split(b"\n")
                    self._events.extend(_make_event_row(json.loads(line)) for line in lines)

    def _draw(self, rows: list[Row]) -> None:
        display = self._terminal.display
        lines = list(format_rows(rows, display))
        footer = format_rows([Row("", f"{time.strftime('%H:%M:%S')}, q quits", Style.FAINT)], display)
        room = (display.rows or 0) - len(lines) - 2
        events = [line for row in self._events for line in format_rows([row], display)]
        if room > 0 and events:
            lines += ["", *events[-room:]]
        self._terminal.draw([*lines, *footer])


def _receive(stream: socket.socket) -> bytes:
    """Return what has arrived; nothing at the end of the stream."""
    received = b""
    try:
        while data := stream.recv(65536):
            received += data
    except OSError:  # BlockingIOError: no more for now
        return received
    return received


def _make_event_row(event: dict[str, Any]) -> Row:
    """Return the line of the log; the text of a message is not part of it."""
    at = time.strftime("%H:%M:%S", time.localtime(event["at"]))
    subject = "".join(f" {name} {event[name]}" for name in ("command", "reply") if name in event)
    separator = ": " if event["message"] else ""
    text = f"{at} {event['kind']}{subject}{separator}{event['message']}"
    return Row("", text, _SEVERITY_STYLES.get(event["severity"], Style.PLAIN))
