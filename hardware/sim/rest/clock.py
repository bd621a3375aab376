"""`/sandbox/clock`: shows the time of the sandbox, lets time pass at once, freezes it and lets it go on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.client_activity import SettleTimes
from hardware.sim.durations import END_YEAR, MAX_DURATION_S, parse_duration, parse_time
from hardware.sim.rest import json_body
from hardware.sim.sandbox_clock import ClockIsMoving
from hardware.sim.service.errors import UNSPECIFIED, ServiceError, invalid_parameter

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp.typedefs import Handler, Middleware

    from hardware.sim.sandbox import Sandbox

CLOCK_PATH = "/sandbox/clock"
KEYS = ("advance", "until", "limit", "running", "quiet_s", "max_wait_s")
IDLE_LIMIT_S = 2 * 86400.0
"""Until idle is at most this far, unless a limit is given: the services try for a day."""
MAX_QUIET_S = 60.0


class ClockRoutes:
    """The clock of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get(CLOCK_PATH, self.show, allow_head=False)
        router.add_post(CLOCK_PATH, self.change)

    def middleware(self) -> Middleware:
        """Return the middleware that notes the requests of clients, for which moving time waits."""

        @web.middleware
        async def note_activity(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == CLOCK_PATH:
                return await handler(request)
            self._sandbox.activity.note()
            try:
                return await handler(request)
            finally:
                self._sandbox.activity.note()

        return note_activity

    async def show(self, _request: web.Request) -> web.Response:
        return web.json_response(self._describe())

    async def change(self, request: web.Request) -> web.Response:
        wanted = await json_body.read_object(request, *KEYS)
        running = wanted.get("running")
        if running is not None and not isinstance(running, bool):
            raise invalid_parameter("running", "it must be true or false")
        now = self._sandbox.clock.now()
        limit_s, until_idle = _parse_span(wanted, now)
        if limit_s is not None and (now + timedelta(seconds=limit_s)).year >= END_YEAR:
            raise invalid_parameter(
                "until" if until_idle else "advance", f"no SMS can carry the year {END_YEAR}"
            )
        settle_times = _parse_settle_times(wanted)
        moments = 0
        try:
            if running is True:
                self._sandbox.resume_clock()
            elif running is False:
                self._sandbox.freeze_clock()
            if limit_s is not None:
                moments = await self._sandbox.pass_time(
                    limit_s, until_idle=until_idle, settle_times=settle_times
                )
        except ClockIsMoving:
            message = (
                'Another request moves the clock; wait for its answer, or end it with {"running": false}.'
            )
            raise ServiceError(409, UNSPECIFIED, message) from None
        return web.json_response({**self._describe(), "moments": moments})

    def _describe(self) -> dict[str, object]:
        clock = self._sandbox.clock
        return {
            "now": clock.now().isoformat(),
            "offset_s": round(clock.offset_s, 6),
            "running": clock.is_running,
            "moving": clock.is_moving,
            "pending": clock.pending,
            "next_s": clock.next_due_s(),
        }


def _parse_span(wanted: dict[str, object], now: datetime) -> tuple[float | None, bool]:
    """Return the seconds that pass, None if no time does, and whether idleness ends them earlier."""
    advance, until, limit = wanted.get("advance"), wanted.get("until"), wanted.get("limit")
    if advance is not None and until is not None:
        raise invalid_parameter("until", "a request has either advance or until")
    if limit is not None and until != "idle":
        raise invalid_parameter("limit", 'it belongs to "until": "idle"')
    if advance is not None:
        return _duration("advance", advance), False
    if until is None:
        return None, False
    if until == "idle":
        return (IDLE_LIMIT_S if limit is None else _duration("limit", limit)), True
    try:
        seconds = (parse_time(until) - now).total_seconds() if isinstance(until, str) else -1.0
    except ValueError as error:
        raise invalid_parameter("until", f'{error}, or "idle"') from None
    if not 0 <= seconds <= MAX_DURATION_S:
        raise invalid_parameter(
            "until", f'it must be "idle", or a time of the next ten years: the clock shows {now.isoformat()}'
        )
    return seconds, False


def _parse_settle_times(wanted: dict[str, object]) -> SettleTimes:
    given = {key: _duration(key, wanted[key]) for key in ("quiet_s", "max_wait_s") if key in wanted}
    for key, seconds in given.items():
        if seconds > MAX_QUIET_S:
            raise invalid_parameter(key, f"it must be at most {MAX_QUIET_S:g}")
    return SettleTimes(**given)


def _duration(key: str, value: object) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise invalid_parameter(key, str(error)) from None
