"""Sends callbacks: some at once to each receiver, again after failures; keeps the result of each try.

A receiver that is slow or does not answer delays only its own callbacks. The callbacks of one Command start
in the order of its states; a later one does not wait for the retries of an earlier one. Waits are timers of
the sandbox's scheduler, tries are tasks of the running event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hardware.sim.callbacks.record import Callback, CallbackFailed, CallbackState, CallbackTry
from hardware.sim.callbacks.requests import build_request
from hardware.sim.timers import TimerGroup

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.callbacks.record import CallbackAnswer, CallbackKind, Parameters
    from hardware.sim.callbacks.requests import CallbackRequest
    from hardware.sim.interfaces import Scheduler
    from hardware.sim.service.callback_url import CallbackUrl, RetryCause, Webhook

MAX_RECORDS = 1000
"""Number of the latest callbacks that are kept for later requests."""

MAX_TRIES_AT_ONCE = 16
"""For one receiver, which is one host and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRules:
    """The hosts that callbacks may call, and when a try is repeated.

    The vendors publish no numbers for Commands.
    """

    allowed_hosts: frozenset[str] = frozenset()
    """Hosts that may be called besides this machine's loopback addresses, in lower case."""
    retry_delays_s: tuple[float, ...] = (1.0, 5.0, 30.0)
    """Waits before the second, third ... try; the last one repeats if a URL asks for more tries."""
    retry_causes: tuple[RetryCause, ...] = ("ct", "rt", "5xx")
    """The failures that are tried again."""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    """Both are the vendor's general values for webhooks."""
    max_waiting: int = 10_000
    """Number of callbacks to one receiver that may be under way, or wait for their turn or their next try;
    further ones are not sent."""

    def allows(self, url: CallbackUrl) -> bool:
        """Return True if the host of a URL may be called."""
        return url.is_loopback or url.host.removesuffix(".") in self.allowed_hosts


class CallbackClient(Protocol):
    """The HTTP client."""

    async def send(self, request: CallbackRequest) -> CallbackAnswer:
        """Send a request and return the answer; raises CallbackFailed without a complete one."""

    async def close(self) -> None:
        """Close all connections."""


@dataclass(slots=True, eq=False)
class _Receiver:
    """The callbacks for one host and port."""

    unfinished: int = 0
    """Callbacks that are under way, or wait for their turn or their next try."""
    waiting: deque[Callback] = field(default_factory=deque)
    """Those that wait for their turn, oldest first."""
    active_sids: set[str] = field(default_factory=set)

    def take_next(self) -> Callback | None:
        """Remove and return the first callback of a Command that has no try under way."""
        if len(self.active_sids) >= MAX_TRIES_AT_ONCE:
            return None
        for index, callback in enumerate(self.waiting):
            if callback.sid not in self.active_sids:
                del self.waiting[index]
                return callback
        return None


class CallbackSender:
    """The callbacks of one sandbox. `secret` signs them.

    `observe` is called with each callback when it is created and after each try.
    """

    def __init__(
        self,
        *,
        client: CallbackClient,
        scheduler: Scheduler,
        wall_clock: Callable[[], datetime],
        rng: random.Random,
        secret: str,
        observe: Callable[[Callback], None],
        rules: CallbackRules | None = None,
    ) -> None:
        self.rules = rules or CallbackRules()
        self.records: deque[Callback] = deque(maxlen=MAX_RECORDS)
        """The latest callbacks, oldest first."""
        self._client = client
        self._scheduler = scheduler
        self._timers = TimerGroup(scheduler)
        self._wall_clock = wall_clock
        self._rng = rng
        self._secret = secret
        self._observe = observe
        self._receivers: dict[tuple[str, int], _Receiver] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._closed = False

    @property
    def tries_under_way(self) -> int:
        """The number of requests whose answer is outstanding."""
        return len(self._tasks)

    def send(
        self, kind: CallbackKind, webhook: Webhook, parameters: Parameters, *, sid: str, imsi: str
    ) -> None:
        """Send a callback as soon as its receiver has a free place; without a URL, or closed, do nothing."""
        url = webhook.url
        if url is None or self._closed:
            return
        self._count += 1
        callback = Callback(
            number=self._count,
            kind=kind,
            imsi=imsi,
            sid=sid,
            url=url,
            method=webhook.method,
            parameters=parameters,
            token=f"{self._rng.getrandbits(128):032x}",
            created_at=self._wall_clock(),
        )
        self.records.append(callback)
        if not self.rules.allows(url):
            self._refuse(callback, f"{url.host} is not this machine; --allow-callback {url.host} allows it")
            return
        receiver = self._receivers.setdefault((url.host, url.port), _Receiver())
        if receiver.unfinished >= self.rules.max_waiting:
            self._refuse(callback, f"{self.rules.max_waiting} callbacks to this receiver wait already")
        else:
            receiver.unfinished += 1
            self._observe(callback)
            self._enqueue(receiver, callback)

    def reset(self) -> None:
        """Abort the tries under way, cancel those to come, and forget all callbacks; numbers go on."""
        self._timers.cancel_all()
        self._receivers.clear()
        for task in self._tasks:
            task.cancel()
        self.records.clear()

    async def close(self) -> None:
        """Abort the tries under way, cancel those to come, and close the connections."""
        self._closed = True
        self._timers.close()
        self._receivers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def _refuse(self, callback: Callback, note: str) -> None:
        callback.state = CallbackState.NOT_SENT
        callback.note = note
        self._observe(callback)

    def _enqueue(self, receiver: _Receiver, callback: Callback) -> None:
        receiver.waiting.append(callback)
        self._start_tries(receiver)

    def _start_tries(self, receiver: _Receiver) -> None:
        while (callback := receiver.take_next()) is not None:
            receiver.active_sids.add(callback.sid)
            task = asyncio.get_running_loop().create_task(self._run_try(receiver, callback))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_try(self, receiver: _Receiver, callback: Callback) -> None:
        try:
            callback.tries.append(await self._attempt(callback))
            self._finish_try(receiver, callback)
        finally:
            receiver.active_sids.discard(callback.sid)
        self._start_tries(receiver)
        if receiver.unfinished == 0:
            self._receivers.pop((callback.url.host, callback.url.port), None)

    async def _attempt(self, callback: Callback) -> CallbackTry:
        begun, at = self._scheduler.time(), self._wall_clock()
        if not callback.tries:
            callback.started_at = begun
        request = build_request(
            callback,
            self._secret,
            at,
            connect_timeout_s=self.rules.connect_timeout_s,
            read_timeout_s=self.rules.read_timeout_s,
        )
        cause: RetryCause | None
        try:
            answer = await self._client.send(request)
        except CallbackFailed as failure:
            status, body, error, cause = None, "", str(failure), failure.cause
        else:
            status, body, error = answer.status, answer.body.decode("utf-8", errors="replace"), ""
            cause = _status_class(status)
        return CallbackTry(
            at=at,
            duration_s=self._scheduler.time() - begun,
            status=status,
            body=body,
            error=error,
            cause=cause,
        )

    def _finish_try(self, receiver: _Receiver, callback: Callback) -> None:
        delay_s = None
        if callback.tries[-1].is_accepted:
            callback.state = CallbackState.ACCEPTED
        else:
            delay_s = self._next_delay_s(callback)
            if delay_s is None:
                callback.state = CallbackState.FAILED
        if delay_s is None:
            receiver.unfinished -= 1
        else:
            self._timers.call_later(delay_s, self._enqueue, receiver, callback)
        self._observe(callback)

    def _next_delay_s(self, callback: Callback) -> float | None:
        """Return the wait before the next try, None if there is none."""
        overrides, delays = callback.url.overrides, self.rules.retry_delays_s
        retries = len(delays) if overrides.retries is None else overrides.retries
        done = len(callback.tries) - 1
        if done >= retries or not delays:
            return None
        if callback.tries[-1].cause not in (overrides.causes or self.rules.retry_causes):
            return None
        delay_s = delays[min(done, len(delays) - 1)]
        spent_s = self._scheduler.time() - callback.started_at
        if overrides.total_time_s is not None and spent_s + delay_s > overrides.total_time_s:
            return None
        return delay_s


def _status_class(status: int) -> RetryCause | None:
    if 400 <= status < 500:
        return "4xx"
    return "5xx" if status >= 500 else None
