"""The interface of a transport, which carries bytes between the agent and a module.

A transport never blocks: `write` buffers what cannot be written yet, and `close` discards it. If bytes stay
unwritten for `WRITE_TIMEOUT_S`, the other end has stopped reading (CTS dropped, adapter hung), and the
transport is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

WRITE_TIMEOUT_S = 10.0
"""Longest time for which bytes may stay unwritten. At 9600 baud the longest body needs 0.4 s."""


class PortState:
    """The state of a port that is kept between two openings."""

    def __init__(self, baud_rates: Sequence[int] = ()) -> None:
        """`baud_rates`: the rates to try until the module answers; empty if the rate is configured."""
        self.baud_rates = list(baud_rates)
        self.is_in_data_mode = False
        """True if PPP frames were received there last."""
        self.no_answer_hint = ""
        """A sentence for the operator if no module answers there; "" if there is none."""
        self.module_sleeps = False
        """True if the module has lost the first octets after a silence."""

    def prefer_baud(self, baud: int) -> None:
        """Try this rate first the next time."""
        if baud in self.baud_rates:
            self.baud_rates.remove(baud)
            self.baud_rates.insert(0, baud)


class TransportReader(Protocol):
    """The receiver of a transport's bytes."""

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""

    def connection_lost(self, reason: str) -> None:
        """Process the loss of the transport. It is called once, with a sentence, and not after `close`."""


class Transport(Protocol):
    """An open transport."""

    def write(self, data: bytes) -> None:
        """Write or buffer bytes. Does nothing on a transport that is closed or lost."""

    def close(self) -> None:
        """Close at once, and discard what has not been written."""

    async def wait_closed(self) -> None:
        """Wait until the port can be opened again, a few seconds at most."""


@runtime_checkable
class SerialTransport(Transport, Protocol):
    """A transport with a baud rate, over a port whose state is kept."""

    port_state: PortState

    def set_baud(self, baud: int) -> None:
        """Change the baud rate."""


TransportOpener = Callable[[TransportReader], Awaitable[Transport]]
"""Opens a port; raises PortUnavailable."""


class PortErrorKind(StrEnum):
    """The reason why a port cannot be opened."""

    ABSENT = "absent"
    """It does not exist, or does not answer."""
    BUSY = "busy"
    """Another program uses it."""
    FORBIDDEN = "forbidden"
    """The agent's user may not open it."""
    AMBIGUOUS = "ambiguous"
    """Several ports fit `port = "auto"`."""


class PortUnavailable(Exception):  # noqa: N818  (reads as the sentence it is)
    """A port that cannot be opened now. The text names the port, its holder, and the remedy."""

    def __init__(self, kind: PortErrorKind, message: str) -> None:
        """`message`: a sentence for the operator."""
        super().__init__(message)
        self.kind = kind


class WriteWatchdog:
    """A watchdog timer for bytes that cannot be written."""

    def __init__(self, on_timeout: Callable[[str], None], timeout_s: float) -> None:
        """`on_timeout` is called with the reason `timeout_s` after the first byte had to wait."""
        self._on_timeout = on_timeout
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer, if it is not running."""
        if self._timer is None:
            reason = (
                f"nothing could be written for {self._timeout_s:.0f} s: the other end has stopped reading"
            )
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._on_timeout, reason)

    def stop(self) -> None:
        """Stop the timer: everything has been written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
