"""Draws the strength of a signal: bars for the present value, a small chart for the last hours."""

from __future__ import annotations

from collections.abc import Sequence

_LEVELS = ((-75, "very good"), (-85, "good"), (-95, "fair"), (-103, "weak"))
"""Least value in dBm of each level of the carrier's power, the best first; below them is "very weak"."""
_RSRP_LEVELS = ((-80, "very good"), (-90, "good"), (-100, "fair"), (-110, "weak"))
"""The same for the reference signals of LTE, which share the power of the carrier among its subcarriers."""
_BARS = "▂▃▅▆█"
_BLOCKS = "▁▂▃▄▅▆▇█"
_CHART_LEAST_DBM, _CHART_MOST_DBM = -113, -51
"""The range of +CSQ."""


def count_bars(dbm: float | None, *, is_rsrp: bool = False) -> int:
    """Return 1 to 5 for a known signal, 0 for an unknown one."""
    if dbm is None:
        return 0
    levels = _RSRP_LEVELS if is_rsrp else _LEVELS
    return 1 + sum(dbm >= least for least, _ in levels)


def name_level(dbm: float, *, is_rsrp: bool = False) -> str:
    """Return the level of a signal in words."""
    levels = _RSRP_LEVELS if is_rsrp else _LEVELS
    return next((name for least, name in levels if dbm >= least), "very weak")


def draw_bars(count: int, *, unicode: bool) -> str:
    """Return five characters with so many bars."""
    return _BARS[:count].ljust(5, "·") if unicode else f"{'#' * count:.<5}"


def draw_chart(values: Sequence[int | None], columns: int) -> str:
    """Return a chart of block characters with at most so many columns.

    A column shows the weakest of its values, a blank stands for an unknown signal.
    """
    per_column = -(-len(values) // max(1, columns))
    groups = [values[at : at + per_column] for at in range(0, len(values), max(1, per_column))]
    return "".join(
        _draw_block(min((each for each in group if each is not None), default=None)) for group in groups
    )


def _draw_block(dbm: int | None) -> str:
    if dbm is None:
        return " "
    share = (dbm - _CHART_LEAST_DBM) / (_CHART_MOST_DBM - _CHART_LEAST_DBM)
    return _BLOCKS[min(len(_BLOCKS) - 1, max(0, int(share * len(_BLOCKS))))]
