"""The cap on messages a day, looked back upon. Pure: times are seconds of running time."""

from __future__ import annotations

from collections.abc import Sequence

DAY_S = 86400.0


def was_daily_cap_reached(sent_times: Sequence[float], per_day: int, since: float) -> bool:
    """Whether at some moment from `since` on `per_day` messages had left within a day.

    `left` tells when each may have left, in order. One that left exactly a day ago counts no more.
    """
    recent = [at for at in sent_times if at > since - DAY_S]
    firsts, lasts = recent, recent[per_day - 1 :]
    return any(last - first < DAY_S for first, last in zip(firsts, lasts, strict=False))
