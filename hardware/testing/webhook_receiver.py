"""A back end that records the callbacks of a sandbox and checks their signatures."""

from __future__ import annotations

import hmac
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.callbacks.requests import twilio_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardware.testing.sandbox_thread import SandboxThread


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedWebhook:
    """One request."""

    method: str
    path: str
    """With the query, as it was sent."""
    headers: Mapping[str, str]
    """Names in lower case."""
    parameters: Mapping[str, str]
    """Those of the form of a POST or the query of a GET: `Status`, `CommandSid` and so on."""
    is_signature_valid: bool
    """True if `X-Twilio-Signature` is right for the token of the account."""


class WebhookReceiver:
    """An HTTP server on a free port of 127.0.0.1, on the event loop of a sandbox, until `close`.

    It answers 204, or what `answer_next` says.
    """

    def __init__(self, thread: SandboxThread) -> None:
        self._thread = thread
        self._received: list[ReceivedWebhook] = []
        self._answers: deque[int] = deque()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        thread.run(self._start())
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        """For `CallbackUrl`, `SmsCommandsUrl` and `CommandsCallbackUrl`; any path below works as well."""

    def close(self) -> None:
        """Stop listening."""
        self._thread.run(self._runner.cleanup())

    def answer_next(self, *statuses: int) -> None:
        """Answer the next requests with these HTTP statuses, such as 503, one after the other."""
        self._thread.call(lambda: self._answers.extend(statuses))

    @property
    def received(self) -> list[ReceivedWebhook]:
        """All requests so far, oldest first."""
        return self._thread.call(self._received.copy)

    def wait_for(self, *, timeout_s: float | None = None, **parameters: str) -> ReceivedWebhook:
        """Return the first request with these parameters, for example `wait_for(Status="delivered")`.

        Raises hardware.testing.WaitTimedOut.
        """
        __tracebackhide__ = True

        def find() -> ReceivedWebhook | None:
            for request in self._received:
                if parameters.items() <= request.parameters.items():
                    return request
            return None

        def explain() -> str:
            wanted = ", ".join(f"{name}={value}" for name, value in parameters.items())
            seen = ", ".join(request.parameters.get("Status", request.path) for request in self._received)
            return f"no request with {wanted or 'any parameters'} has come, but {seen or 'none at all'},"

        return self._thread.wait("wait_for", find, explain, timeout_s)

    async def _start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def _handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        expected = twilio_signature(
            self._thread.sandbox.token,
            f"{request.scheme}://{request.host}{request.raw_path}",
            tuple(form.items()),
        )
        signature = request.headers.get("X-Twilio-Signature", "")
        self._received.append(
            ReceivedWebhook(
                method=request.method,
                path=request.raw_path,
                headers={name.lower(): value for name, value in request.headers.items()},
                parameters=form if request.method == "POST" else dict(request.query),
                is_signature_valid=hmac.compare_digest(signature.encode(), expected.encode()),
            )
        )
        self._thread.changed.notify()
        return web.Response(status=self._answers.popleft() if self._answers else HTTPStatus.NO_CONTENT)
