"""A sandbox with its REST API in a thread of this process, for tests and scripts."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hardware.recording import escape_bytes
from hardware.sim.callbacks.sender import CallbackRules
from hardware.sim.durations import parse_duration
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.testing.local_sim import LocalSim
from hardware.testing.options import SandboxOptions
from hardware.testing.report import describe_callback, describe_event
from hardware.testing.sandbox_thread import SandboxThread
from hardware.testing.webhook_receiver import WebhookReceiver

if TYPE_CHECKING:
    from types import TracebackType

    from hardware.sim.module.ports import LineDirection
    from hardware.sim.sandbox_sim import SandboxSim

DEFAULT_TIMEOUT_S = 5.0
MAX_SHOWN = 40
"""Number of the latest events, lines and callbacks that a report shows."""


class LocalSandbox:
    """A running sandbox; `close`, or the end of a `with` block, stops it.

    `timeout_s` is how long methods wait for something unless they are told otherwise, in real time.
    """

    def __init__(
        self, options: SandboxOptions | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self.options = options or SandboxOptions()
        self._folder = Path(tempfile.mkdtemp(prefix="modem-agent-sandbox-"))
        self._lines: deque[str] = deque(maxlen=MAX_SHOWN)
        sandbox = Sandbox(
            sims=self.options.sims,
            link_dir=self._folder,
            clock=SandboxClock(lambda: datetime.now(UTC)),
            rng=random.Random(),  # noqa: S311  (the SIDs of a simulation are not secret)
        )
        sandbox.records.add_line_observer(self._note_line)
        # The delays of the services between two tries would only be waited for.
        rules = CallbackRules(retry_delays_s=(0.05, 0.1, 0.2))
        server = SandboxServer(sandbox, ("127.0.0.1", 0), callback_rules=rules, is_open=self.options.is_open)
        self._thread = SandboxThread(server, timeout_s)
        self.clock = LocalClock(self._thread)
        try:
            self._thread.start()
        except BaseException:
            self._remove_folder()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the sandbox; does nothing if it has stopped."""
        if self._folder.exists():
            self._thread.close()
            self._remove_folder()

    def reset(self) -> None:
        """Begin anew with the same SIMs, ports, URLs and account; takes some milliseconds."""
        self._thread.run(self._thread.server.reset())
        self._lines.clear()

    @property
    def timeout_s(self) -> float:
        """How long methods wait unless they are told otherwise, in seconds of real time."""
        return self._thread.timeout_s

    # Addresses

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`; the services are below, and the console is the page at `/`."""
        return self._thread.server.url

    @property
    def base_urls(self) -> dict[str, str]:
        """The URLs for the vendors' clients, by `supersim` and `wireless`."""
        return {name: f"{self.url}/{name}" for name in ("supersim", "wireless")}

    @property
    def account_sid(self) -> str:
        """The user name for the REST API."""
        return self._thread.sandbox.account_sid

    @property
    def token(self) -> str:
        """The password for the REST API; it also signs callbacks."""
        return self._thread.sandbox.token

    @property
    def sims(self) -> list[LocalSim]:
        """All SIMs."""
        return [LocalSim(self._thread, spec.name) for spec in self.options.sims]

    def sim(self, name: str = "") -> LocalSim:
        """Return a SIM by its unique name; without a name the first one. Raises ValueError."""
        names = [spec.name for spec in self.options.sims]
        if name and name not in names:
            raise ValueError(f"there is no SIM {name}; there are {', '.join(names)}")
        return LocalSim(self._thread, name or names[0])

    # The services

    def set_rule(self, name: str, value: str) -> None:
        """Set a rule of the services until `reset`, such as `long-text` to `split`. Raises ValueError."""
        self._thread.call(lambda: self._thread.sandbox.rules.change(name, value))

    def add_service_fault(self, fault: str) -> None:
        """Add a fault of the services, such as `unavailable:times=3`, until `reset`; raises FaultError."""
        self._thread.call(lambda: self._thread.sandbox.account.faults.add(fault))

    # What has happened

    @property
    def callbacks(self) -> list[dict[str, object]]:
        """The callbacks to the back end, oldest first, with the result of each try.

        The keys are `kind`, `sid`, `method`, `url`, `parameters`, `state` (`waiting`, `accepted`, `failed` or
        `not sent`), `note` and `tries`, as `GET /sandbox/callbacks` shows them.
        """
        records = self._thread.sandbox.callbacks.records
        return self._thread.call(lambda: [each.to_json() for each in records])

    def wait_for_callback(
        self, *, state: str = "accepted", timeout_s: float | None = None, **parameters: str
    ) -> dict[str, object]:
        """Return the first callback in this state with these parameters, for example `Status="delivered"`.

        Raises WaitTimedOut.
        """
        __tracebackhide__ = True

        def find() -> dict[str, object] | None:
            for each in self._thread.sandbox.callbacks.records:
                if each.state == state and parameters.items() <= dict(each.parameters).items():
                    return each.to_json()
            return None

        def explain() -> str:
            wanted = " with ".join(
                ["no callback", ", ".join(f"{name}={value}" for name, value in parameters.items())]
            )
            return f"{wanted if parameters else 'no callback'} was {state}"

        return self._thread.wait("wait_for_callback", find, explain, timeout_s)

    def start_webhook_receiver(self) -> WebhookReceiver:
        """Start a back end that records what the sandbox sends it; close it before the sandbox."""
        return WebhookReceiver(self._thread)

    def describe_recent(self) -> dict[str, str]:
        """Return the latest events, lines on the ports, and callbacks as text, each below its title."""
        sandbox = self._thread.sandbox

        def describe() -> dict[str, list[str]]:
            return {
                "events of the sandbox": [
                    describe_event(sim, event) for _, sim, event in sandbox.records.events
                ],
                "serial ports of the sandbox (> to the module, < from it)": list(self._lines),
                "callbacks of the sandbox": [describe_callback(each) for each in sandbox.callbacks.records],
            }

        sections = self._thread.call(describe)
        return {title: "\n".join(lines[-MAX_SHOWN:]) for title, lines in sections.items() if lines}

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _note_line(self, sim: SandboxSim, direction: LineDirection, data: bytes) -> None:
        time = self._thread.sandbox.clock.now().strftime("%H:%M:%S.%f")[:-3]
        self._lines.append(f"{time} {sim.unique_name} {direction.value} {escape_bytes(data)}")


class LocalClock:
    """The clock of a sandbox: attempts, retries, retention, and the clock of the modules follow it."""

    def __init__(self, thread: SandboxThread) -> None:
        self._thread = thread

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._thread.call(self._thread.sandbox.clock.now)

    def advance(self, time: timedelta | float | str) -> None:
        """Let time pass at once: seconds, or a text such as `24h`; programs at the ports may react meanwhile.

        Raises ValueError for a time that is none.
        """
        seconds = parse_duration(time.total_seconds() if isinstance(time, timedelta) else time)
        self._thread.run(self._thread.sandbox.pass_time(seconds))

    def freeze(self) -> None:
        """Stop the time, until `resume` or `reset`."""
        self._thread.call(self._thread.sandbox.freeze_clock)

    def resume(self) -> None:
        """Let the time go on."""
        self._thread.call(self._thread.sandbox.resume_clock)
