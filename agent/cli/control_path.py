"""Finds the control socket in agent.toml without the parser of TOML and the checks of all other keys.

These take two thirds of the time of `modem-agent status`, which needs one key.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_CONTROL_SOCKET = "/run/modem-agent/control.sock"
_TABLE, _KEY = "[control]", "socket"


def find_control_socket(config_path: str) -> str | None:
    """Return the path of the control socket; None unless the file has it in the usual form."""
    try:
        with open(config_path, encoding="utf-8") as file:  # noqa: PTH123  (pathlib takes longer than the rest)
            text = file.read()
    except (OSError, ValueError):
        return None
    if '"""' in text or "'''" in text:
        return None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if [line for line in lines if "control" in line.partition("=")[0]] not in ([], [_TABLE]):
        return None  # [ control ], control.socket or another form
    values = list(_values_of_key(lines))
    if not values:
        return DEFAULT_CONTROL_SOCKET
    before, _, quoted = values[0].partition('"')
    path, end, after = quoted.partition('"')
    if len(values) > 1 or before or not path or not end or "\\" in path or after.partition("#")[0].strip():
        return None
    return os.path.join(os.path.dirname(os.path.abspath(config_path)), path)  # noqa: PTH100, PTH118, PTH120  (as above)


def _values_of_key(lines: list[str]) -> Iterator[str]:
    """Yield what is written behind the key in its table."""
    is_in_table = False
    for line in lines:
        if line.startswith("["):
            is_in_table = line == _TABLE
        name, _, value = line.partition("=")
        if is_in_table and name.strip().strip("\"'") == _KEY:
            yield value.strip()
