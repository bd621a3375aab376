"""The zip file of `modem-agent doctor --bundle`: a recording that the sandbox replays, and masked texts."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORDING_MEMBER = "recording.txt"
"""The conversation with the module."""
MAX_RECORDING_CHARS = 512 * 1024
"""Longest recording in a bundle; of a longer one the end is taken."""
VISIBLE_DIGITS = 4
LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z])\+?[0-9]{7,}(?=[Ff]?(?![0-9A-Za-z]))")
"""A telephone number, IMSI, ICCID or IMEI; not the digits of a SID or of a hash."""
_QUOTED = re.compile(r"'[^']*'")


def read_recording(path: Path) -> str:
    """Return the text of a recording, or of the one in a bundle.

    Raises OSError, UnicodeDecodeError, KeyError for a zip file without a recording, zipfile.BadZipFile.
    """
    if not zipfile.is_zipfile(path):
        return path.read_text("ascii")
    with zipfile.ZipFile(path) as bundle:
        return bundle.read(RECORDING_MEMBER).decode("ascii")


def write_bundle(path: Path, header: str, recorded: list[str], documents: Mapping[str, object]) -> None:
    """Write a bundle: the lines of a recording after its header, and JSON values by name. Raises OSError."""
    lines: list[str] = []
    size = 0
    for line in reversed(recorded):
        size += len(line) + 1
        if size > MAX_RECORDING_CHARS:
            break
        lines.append(line)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        path.chmod(0o600)
        bundle.writestr(RECORDING_MEMBER, "\n".join([header, *reversed(lines), ""]))
        for name, value in documents.items():
            bundle.writestr(f"{name}.json", json.dumps(mask_values(value), indent=1, ensure_ascii=False))


def mask_values(value: Any) -> Any:
    """Return JSON values with the masked form of each text in them."""
    match value:
        case str():
            return mask_text(value)
        case Mapping():
            return {key: mask_values(each) for key, each in value.items()}
        case list() | tuple():
            return [mask_values(each) for each in value]
    return value


def mask_text(text: str) -> str:
    """Replace long numbers but for their last four digits, and what stands in single quotes."""
    masked = LONG_NUMBER.sub(lambda found: f"…{found[0][-VISIBLE_DIGITS:]}", text)
    return _QUOTED.sub("'…'", masked)
