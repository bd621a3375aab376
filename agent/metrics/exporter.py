"""Exports the metrics: over HTTP on this device when somebody asks, and as a file when something has changed.

Nothing is done while nobody asks and nothing happens. A problem never ends the agent: it is logged and tried
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.common.config import MetricsConfig
from agent.common.events import Event, EventKind, EventSink, Severity
from agent.metrics.event_counts import EventCounts
from agent.metrics.families import Readings, make_families
from agent.metrics.text_format import OPENMETRICS_TYPE, PROMETHEUS_TYPE, format_families

RETRY_S = 60.0
"""Time after which a listener that could not be opened is tried again."""
REQUEST_TIMEOUT_S = 10.0
"""Limit for one request; a scrape gives up after 10 s as well."""
MAX_REQUEST_BYTES = 8192
_NO_RIGHT = (
    "; the service may not use the network: rights/metrics.conf in /opt/modem-agent/share/modem-agent "
    "allows it"
)


class MetricsExporter:
    """Serves the metrics and writes the file, as ``[metrics]`` says."""

    def __init__(
        self,
        *,
        config: MetricsConfig,
        counts: EventCounts,
        read: Callable[[], Awaitable[Readings]],
        changed: asyncio.Event,
        emit: EventSink,
    ) -> None:
        """`read` returns the state of the agent. `changed` is set when something has happened."""
        self._config = config
        self._counts = counts
        self._read = read
        self._changed = changed
        self._emit = emit
        self._written = ""
        self._clients: set[asyncio.StreamWriter] = set()

    async def run(self) -> None:
        """Export until cancelled; then the file is removed, so that nobody takes it for the present state."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._config.listen is not None:
                    group.create_task(self._serve(self._config.listen), name="metrics listener")
                if self._config.textfile is not None:
                    group.create_task(self._write_changes(self._config.textfile), name="metrics file")
        except* Exception as errors:  # noqa: BLE001  (the agent goes on without metrics)
            self._log(f"not exported any more: internal error: {errors.exceptions[0]!r}")
        finally:
            if self._written and self._config.textfile is not None:
                with contextlib.suppress(OSError):
                    self._config.textfile.unlink()

    async def _make_text(self, *, openmetrics: bool) -> str | None:
        """Return all metrics as they are now; None after an error, which is logged."""
        try:
            return format_families(make_families(await self._read(), self._counts), openmetrics=openmetrics)
        except Exception as error:  # noqa: BLE001  (the next attempt may succeed)
            self._log(f"not exported: internal error: {type(error).__name__}: {error}")
            return None

    # The listener

    async def _serve(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        while True:
            try:
                server = await asyncio.start_server(
                    self._handle_client, host.strip("[]"), int(port), limit=MAX_REQUEST_BYTES
                )
            except (OSError, OverflowError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                hint = _NO_RIGHT if "family not supported" in reason else ""
                self._log(f"not served on {address}: {reason}{hint}; next attempt in a minute")
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await asyncio.get_running_loop().create_future()  # until cancelled
            finally:
                server.close()  # wait_closed waits for the last client, from Python 3.12 on
                for client in tuple(self._clients):
                    client.transport.abort()

    async def _handle_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self._clients.add(writer)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(await self._make_response(head))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has gone, does not read, or is no client for HTTP
        finally:
            writer.transport.abort()  # nothing if it is closed
            self._clients.discard(writer)

    async def _make_response(self, head: str) -> bytes:
        """Return the response to the head of a request (RFC 9112)."""
        request_line, *fields = head.split("\r\n")
        method, target, *_ = [*request_line.split(" "), ""]
        content_type, body = PROMETHEUS_TYPE, ""
        if method not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", "only GET\n"
        elif target.partition("?")[0] != "/metrics":
            status, body = "404 Not Found", "the metrics are at /metrics\n"
        else:
            accepted = " ".join(each for each in fields if each.lower().startswith("accept:"))
            openmetrics = "application/openmetrics-text" in accepted
            if (text := await self._make_text(openmetrics=openmetrics)) is None:
                status, body = "500 Internal Server Error", "see the log of modem-agent\n"
            else:
                status, body = "200 OK", text
                content_type = OPENMETRICS_TYPE if openmetrics else PROMETHEUS_TYPE
        octets = body.encode()
        answer = (
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(octets)}\r\n"
            "Connection: close\r\n\r\n"
        ).encode()
        return answer if method == "HEAD" else answer + octets

    # The file

    async def _write_changes(self, path: Path) -> None:
        """Write the file at the start, and after changes, at most once in the configured time."""
        while True:
            self._changed.clear()
            text = await self._make_text(openmetrics=False)
            if text not in {None, self._written}:
                try:
                    _replace_file(path, text)
                    self._written = text
                except OSError as error:
                    self._log(f"{path} cannot be written: {error.strerror}; next attempt after a change")
            await asyncio.sleep(self._config.textfile_interval_s)
            await self._changed.wait()

    def _log(self, text: str) -> None:
        self._emit(Event(EventKind.METRICS, text, severity=Severity.WARNING))


def _replace_file(path: Path, text: str) -> None:
    """Write a file that every user may read, in place of an earlier one: no reader sees a part of it."""
    new = path.with_name(f".{path.name}.new")  # the collector reads *.prom only
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o644)  # whatever the umask is
        file.write(text)
    new.replace(path)
