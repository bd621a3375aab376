"""Opens the port of a module that no agent uses, and makes the module answer; nothing is changed in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.trace import Trace
from agent.at.transport.base import SerialTransport, Transport, TransportOpener, TransportReader
from agent.common.config import ModemConfig

WAKE_TIMEOUT_S = 2.0
"""A module that is on answers at once, a sleeping one the second AT. One that boots needs longer."""
BAUD_SEARCH_TIMEOUT_S = 5.2
"""Time for one AT at each of the eight common rates."""

MakeOpener = Callable[[str, int | Literal["auto"]], TransportOpener]
"""Takes port and baud rate."""


class WrongBaudRate(ModemLost):
    """The module answers at another rate than the configured one."""

    def __init__(self, configured: int, found: int) -> None:
        super().__init__(f"the module answers at {found} baud, not at {configured}")
        self.found = found


@asynccontextmanager
async def connect(
    make_opener: MakeOpener, modem: ModemConfig, trace: Trace | None
) -> AsyncIterator[AtClient]:
    """Yield a client of the module that answers. Raises PortUnavailable, ModemLost, WrongBaudRate."""
    is_searching = modem.baud == "auto"
    opened = _OpenedPort(make_opener(modem.port, modem.baud))
    client = await AtClient.open(opened.open, trace)
    try:
        await client.wake_module(BAUD_SEARCH_TIMEOUT_S if is_searching else WAKE_TIMEOUT_S, may_change=False)
        yield client
    except ModemLost:
        if is_searching or not opened.has_baud or client.lost_error is None or opened.is_in_data_mode:
            raise
        silence = client.lost_error
    else:
        return
    finally:
        client.close()
        await client.wait_closed()
    found = await _search_baud(make_opener, modem.port, trace)
    if found is None or found == modem.baud:
        raise silence
    assert isinstance(modem.baud, int)  # noqa: S101  (for the type checker: "auto" was raised above)
    raise WrongBaudRate(modem.baud, found)


async def _search_baud(make_opener: MakeOpener, port: str, trace: Trace | None) -> int | None:
    """Return the common rate at which the module answers; None if at none."""
    opened = _OpenedPort(make_opener(port, "auto"))
    client = await AtClient.open(opened.open, trace)
    try:
        await client.wake_module(BAUD_SEARCH_TIMEOUT_S, may_change=False)
    except ModemLost:
        return None
    finally:
        client.close()
        await client.wait_closed()
    return opened.baud


class _OpenedPort:
    """An opener that keeps the transport, whose port state has the rate that was found."""

    def __init__(self, opener: TransportOpener) -> None:
        self._opener = opener
        self._transport: Transport | None = None

    async def open(self, reader: TransportReader) -> Transport:
        self._transport = await self._opener(reader)
        return self._transport

    @property
    def has_baud(self) -> bool:
        return isinstance(self._transport, SerialTransport)

    @property
    def is_in_data_mode(self) -> bool:
        return isinstance(self._transport, SerialTransport) and self._transport.port_state.is_in_data_mode

    @property
    def baud(self) -> int | None:
        """The first of the rates to try: the one at which the module has answered."""
        state = self._transport.port_state if isinstance(self._transport, SerialTransport) else None
        return state.baud_rates[0] if state and state.baud_rates else None
