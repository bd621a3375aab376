"""The numbers in answers and URCs as some modules write them: with leading zeros, blanks or quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.profile import NumberStyle

_QUOTED_OR_NUMBER = re.compile(r'"[^"]*"|(?<![\w+.])\d{1,3}(?![\w.])')
_TEMPLATES = {"plain": "{}", "padded": "{:0>3}", "spaced": " {} ", "quoted": '"{}"'}


def restyle_numbers(line: str, style: NumberStyle) -> str:
    """Return the line with the numbers after its name in another style; strings and longer numbers stay."""
    name, colon, values = line.partition(":")
    if style == "plain" or not colon or name[:1] not in "+^#*":
        return line
    return name + colon + _QUOTED_OR_NUMBER.sub(lambda found: _restyle(found[0], style), values)


def _restyle(value: str, style: NumberStyle) -> str:
    return value if value.startswith('"') else _TEMPLATES[style].format(value)
