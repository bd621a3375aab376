"""Draws the strength of a signal: bars for the present value, a small chart for the last ones."""

from __future__ import annotations

from collections.abc import Sequence

LEVEL_NAMES = ("very weak", "weak", "fair", "good", "very good")
_LEAST_VALUES = {
    "dbm": (-103, -95, -85, -75),
    "rsrp_dbm": (-110, -100, -90, -80),
    "rsrq_db": (-19, -15, -12, -9),
    "sinr_db": (0, 5, 13, 20),
    "rscp_dbm": (-105, -95, -85, -75),
    "ecno_db": (-16, -13, -10, -6),
}
"""By the field of `SignalQuality`: the least value of each level above the lowest.

RSRP is lower than the power of the carrier, because it is that of one subcarrier.
"""
_BARS = "▂▃▅▆█"
_BLOCKS = "▁▂▃▄▅▆▇█"
CSQ_RANGE_DBM = (-113, -51)
"""The range of +CSQ."""


def count_bars(value: float | None, quantity: str = "dbm") -> int:
    """Return 1 to 5 for a known value, 0 for an unknown one."""
    return 0 if value is None else 1 + sum(value >= least for least in _LEAST_VALUES[quantity])


def name_level(value: float, quantity: str = "dbm") -> str:
    """Return the level of a value in words."""
    return LEVEL_NAMES[count_bars(value, quantity) - 1]


def draw_bars(count: int, *, unicode: bool) -> str:
    """Return five characters with so many bars."""
    return _BARS[:count].ljust(5, "·") if unicode else f"{'#' * count:.<5}"


def draw_chart(
    values: Sequence[float | None], columns: int, value_range: tuple[float, float] = CSQ_RANGE_DBM
) -> str:
    """Return a chart of block characters with at most so many columns.

    A column shows the weakest of its values, a blank stands for an unknown signal.
    """
    per_column = -(-len(values) // max(1, columns)) or 1
    groups = [values[at : at + per_column] for at in range(0, len(values), per_column)]
    weakest = [min((each for each in group if each is not None), default=None) for group in groups]
    return "".join(_draw_block(value, *value_range) for value in weakest)


def _draw_block(value: float | None, least: float, most: float) -> str:
    if value is None:
        return " "
    share = (value - least) / max(1.0, most - least)
    return _BLOCKS[min(len(_BLOCKS) - 1, max(0, int(share * len(_BLOCKS))))]
