"""A sandbox with its server on the event loop of a thread, and waiting for what happens in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hardware.testing.loop_thread import ChangeSignal, LoopThread, WaitTimedOut, refuse_in_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from hardware.sim.rest.server import SandboxServer

Found = TypeVar("Found")


class SandboxThread:
    """Runs a server from `start` to `close`. `wait` waits for `timeout_s` unless it is told otherwise."""

    def __init__(self, server: SandboxServer, timeout_s: float) -> None:
        self.server = server
        self.sandbox = server.sandbox
        """It may be used on its event loop only, with `call`."""
        self.timeout_s = timeout_s
        self.changed = ChangeSignal()
        """Notified, on the event loop, of all that a test may wait for."""
        self._thread = LoopThread()
        self.sandbox.records.add_observer(lambda _sim, _event: self.changed.notify())
        self.sandbox.records.add_callback_observer(lambda _callback: self.changed.notify())
        self.sandbox.records.add_status_observer(lambda _resource: self.changed.notify())

    def start(self) -> None:
        """Start the server; raises SandboxUnavailable, and leaves nothing behind then."""
        try:
            self.run(self.server.start())
        except BaseException:
            self._thread.close()
            raise

    def close(self) -> None:
        """Stop the server and the thread."""
        self.run(self.server.stop())
        self._thread.close()

    def run(self, coroutine: Coroutine[object, object, Found]) -> Found:
        """Run a coroutine on the event loop; return its result or raise its exception."""
        return self._thread.run(coroutine)

    def call(self, function: Callable[[], Found]) -> Found:
        """Call a function on the event loop; return its result or raise its exception."""

        async def call() -> Found:
            return function()

        return self._thread.run(call())

    def wait(
        self,
        method: str,
        find: Callable[[], Found | None],
        explain: Callable[[], str],
        timeout_s: float | None,
    ) -> Found:
        """Return what `find` returns on the event loop as soon as it is not None.

        Raises WaitTimedOut with the sentence that `explain` begins, RuntimeError where an event loop runs.
        """
        __tracebackhide__ = True
        refuse_in_event_loop(method)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        found = self.run(self.changed.wait_for(find, limit_s))
        if found is None:
            raise WaitTimedOut(f"{self.call(explain)} after {limit_s:g} s")
        return found
