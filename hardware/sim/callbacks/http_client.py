"""Sends one callback over HTTP: no proxy, no redirect, no cookies, a bounded answer, and a time limit."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import abc, http_exceptions
from yarl import URL

from hardware.sim.callbacks.record import CallbackAnswer, CallbackFailed

if TYPE_CHECKING:
    from hardware.sim.callbacks.requests import CallbackRequest

MAX_ANSWER_OCTETS = 1024
"""The part of an answer's body that is read and shown; receivers need send none."""


class _LoopbackResolver(abc.AbstractResolver):
    """Resolves `localhost` and names below it without a name server (RFC 6761 6.3), others as usual."""

    def __init__(self) -> None:
        self._others = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[abc.ResolveResult]:
        name = host.lower().removesuffix(".")
        if name != "localhost" and not name.endswith(".localhost"):
            return await self._others.resolve(host, port, family)
        addresses = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        return [
            abc.ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=each,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each, address in addresses
            if family in (each, socket.AF_UNSPEC)
        ]

    async def close(self) -> None:
        await self._others.close()


class CallbackHttpClient:
    """The HTTP client of a sandbox; a running event loop is needed from the first `send` to `close`."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: CallbackRequest) -> CallbackAnswer:
        """Send a request and return the answer; raises CallbackFailed without a complete one."""
        try:
            async with asyncio.timeout(request.connect_timeout_s + request.read_timeout_s):
                return await self._exchange(request)
        except aiohttp.ConnectionTimeoutError:
            raise CallbackFailed("ct", f"no connection within {request.connect_timeout_s:g} s") from None
        except TimeoutError:
            raise CallbackFailed("rt", f"no complete answer within {request.read_timeout_s:g} s") from None
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise CallbackFailed("ct", f"no connection: {_connection_error(error)}") from error
        except (aiohttp.ClientError, http_exceptions.HttpProcessingError, ValueError) as error:
            raise CallbackFailed("rt", f"the answer is not HTTP: {error}") from error

    async def _exchange(self, request: CallbackRequest) -> CallbackAnswer:
        async with self._open_session().request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers=request.headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=request.connect_timeout_s, sock_read=request.read_timeout_s
            ),
        ) as response:
            body = bytearray()
            while len(body) < MAX_ANSWER_OCTETS:
                octets = await response.content.read(MAX_ANSWER_OCTETS - len(body))
                if not octets:
                    break
                body += octets
            response.close()  # what a receiver sends beyond that is not read
            return CallbackAnswer(status=response.status, body=bytes(body))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection for each try: a receiver that was started again is reached at once.
                connector=aiohttp.TCPConnector(
                    resolver=_LoopbackResolver(), force_close=True, limit=0, use_dns_cache=False
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _connection_error(error: Exception) -> str:
    """Return the reason in the system's words, without the address, which the record shows anyway."""
    code = error.os_error.errno if isinstance(error, aiohttp.ClientConnectorError) else None
    if code is None or code <= 0 or isinstance(error, aiohttp.ClientSSLError):  # not errno values
        return str(error)
    return os.strerror(code)
