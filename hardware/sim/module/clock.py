"""The module's clock: wrong after power-on, right when the network has told the time.

27.007 8.15, 8.40, 8.41.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.module.module import SimulatedModule

EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
"""Where a clock without a battery begins (the first day of GPS time, seen on Qualcomm-based modules)."""

_CCLK_FORMAT = re.compile(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-]\d\d)")


class Clock:
    """A time that was once set, and what has passed since then by the scheduler."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self.restart()

    def restart(self) -> None:
        """Power-on: the time is unknown."""
        self._set_from(EPOCH)

    def apply_network_time(self) -> None:
        """The network tells the time; +CTZU decides whether it is taken, +CTZR whether it is shown."""
        module = self._module
        now = module.wall_clock()
        if now.tzinfo is None:
            now = now.replace(tzinfo=UTC)
        if module.settings.ctzu:
            self._set_from(now)
        zone, utc = _zone_quarters(now), now.astimezone(UTC)
        match module.settings.ctzr:
            case 1:
                module.output.write_urc(f'+CTZV: "{zone}"')
            case 2:
                module.output.write_urc(f'+CTZE: "{zone}",0,"{now:%Y/%m/%d,%H:%M:%S}"')
            case 3:
                module.output.write_urc(f'+CTZEU: "{zone}",0,"{utc:%Y/%m/%d,%H:%M:%S}"')

    def format_time(self) -> str:
        """`yy/MM/dd,hh:mm:ss+zz`, zz in quarters of an hour."""
        now = self._time_set + timedelta(seconds=self._module.scheduler.time() - self._set_at)
        return f"{now:%y/%m/%d,%H:%M:%S}{_zone_quarters(now)}"

    def set_time(self, text: str) -> bool:
        """The same form; False if that is no time."""
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
        self._time_set, self._set_at = moment, self._module.scheduler.time()


def _zone_quarters(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta()
    return f"{offset // timedelta(minutes=15):+03d}"
