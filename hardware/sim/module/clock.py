"""The module's real-time clock: unset after power-on, set by the network or by +CCLK.

27.007 8.15, 8.40, 8.41.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.module.context import ModuleContext

EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
"""Where a clock without a battery starts (first day of GPS time, as seen on Qualcomm-based modules)."""

_CCLK_FORMAT = re.compile(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-]\d\d)")


class Clock:
    """The last time that was set, plus the scheduler time that has passed since."""

    def __init__(self, context: ModuleContext) -> None:
        self._context = context
        self._time_set = EPOCH
        self._set_at = context.scheduler.time()

    def restart(self) -> None:
        """Start from the epoch, as after power-on."""
        self._set_from(EPOCH)

    def apply_network_time(self) -> None:
        """Process the network time (NITZ): it sets the clock under +CTZU=1, and +CTZR chooses the URC."""
        context = self._context
        now = context.wall_clock()
        if now.tzinfo is None:
            now = now.replace(tzinfo=UTC)
        if context.settings.ctzu:
            self._set_from(now)
        zone, utc = _zone_quarters(now), now.astimezone(UTC)
        match context.settings.ctzr:
            case 1:
                context.output.write_urc(f'+CTZV: "{zone}"')
            case 2:
                context.output.write_urc(f'+CTZE: "{zone}",0,"{now:%Y/%m/%d,%H:%M:%S}"')
            case 3:
                context.output.write_urc(f'+CTZEU: "{zone}",0,"{utc:%Y/%m/%d,%H:%M:%S}"')

    def format_time(self) -> str:
        """Return the time as `yy/MM/dd,hh:mm:ss+zz`, zz in quarters of an hour."""
        now = self._time_set + timedelta(seconds=self._context.scheduler.time() - self._set_at)
        return f"{now:%y/%m/%d,%H:%M:%S}{_zone_quarters(now)}"

    def set_time(self, text: str) -> bool:
        """Set the clock from `yy/MM/dd,hh:mm:ss+zz`; returns False if that is not a valid time."""
        match = _CCLK_FORMAT.fullmatch(text)
        if match is None:
            return False
        year, *rest = (int(part) for part in match.groups()[:6])
        try:
            zone = timezone(timedelta(minutes=15 * int(match[7])))
            self._set_from(datetime(2000 + year if year < 70 else 1900 + year, *rest, tzinfo=zone))  # type: ignore[misc,arg-type]  # five numbers
        except ValueError:
            return False
        return True

    def _set_from(self, moment: datetime) -> None:
        self._time_set, self._set_at = moment, self._context.scheduler.time()


def _zone_quarters(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta()
    return f"{offset // timedelta(minutes=15):+03d}"
