"""Checking test vectors: ``python -m pdu vectors FILE.jsonl``.

A vector is a JSON object on a line: octets, whether they are valid, and what is expected of them. Each key
that it expects is compared with what the codec read (``fields``), down to the last one of nested objects:
type and value, times with their offset. A key that is not known fails, so that a typing error does not pass
for a test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from pdu import fields
from pdu.decoder import decode, read_hex
from pdu.error import PduError
from pdu.fields import Value
from pdu.timestamp import Timestamp

MESSAGES = ("deliver", "submit", "status_report", "command", "deliver_report", "submit_report")
ELEMENTS = ("udh", "gsm7", "address", "timestamp", "vp", "dcs")
_HEX = ("data", "raw", "septet_values")  # compared without regard to case

Vector = dict[str, object]


class UnreadableError(ValueError):
    """The file cannot be read as vectors."""


def load(path: Path) -> list[Vector]:
    """Return the vectors of a file; raises UnreadableError, with the line, for what is none."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path} is not UTF-8 text: octet {error.start}") from error
    vectors = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            vector = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            reason = (
                f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
            )
            raise UnreadableError(f"{path}, line {number}, is not JSON: {reason}") from error
        if not isinstance(vector, dict):
            raise UnreadableError(f"{path}, line {number}, is not a JSON object")
        vectors.append(vector)
    return vectors


class _Twice:
    """The value of a key that an object gives twice: equal to nothing that is decoded."""

    def __str__(self) -> str:
        return "(given twice)"


def _object(pairs: list[tuple[str, object]]) -> Vector:
    """Return a JSON object; ``json`` alone would keep the last of two values and check only that."""
    found: Vector = {}
    for key, value in pairs:
        found[key] = _Twice() if key in found else value
    return found


def check(vector: Vector) -> list[str]:
    """Return what is wrong with a vector, or with the codec; nothing when all is as expected."""
    expect = vector.get("expect")
    valid = vector.get("valid")
    if not isinstance(valid, bool):
        return ["valid must be true or false"]
    if not valid and expect:
        return ["expects fields of octets that must be refused"]
    try:
        kind, found = _read(vector)
    except PduError as error:
        return [f"refused: {error}"] if valid else []
    except _MisshapenError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001  # any other error is a fault of the codec, told like the others
        return [f"the codec failed with {error!r}"]
    if kind != vector.get("kind"):
        return [f"kind: expected {_show(vector.get('kind'))}, decoded {_show(kind)}"]
    if not valid:
        return ["accepted, but must be refused"]
    if not isinstance(expect, dict) or not expect:
        return ["expects nothing"]
    return [problem for key, value in expect.items() for problem in _compare(str(key), value, found)]


class _MisshapenError(ValueError):
    """A vector that does not say what to decode."""


def _read(vector: Vector) -> tuple[str, dict[str, Value]]:
    """Decode the octets of a vector as it says."""
    kind = vector.get("kind")
    digits = vector.get("hex")
    if not isinstance(digits, str):
        raise _MisshapenError("hex must be a string")
    if kind in MESSAGES:
        direction = vector.get("direction")
        sca = vector.get("sca")
        if direction not in ("mt", "mo"):
            raise _MisshapenError(f"direction must be mt or mo, not {_show(direction)}")
        if not isinstance(sca, bool):
            raise _MisshapenError(f"sca must be true or false, not {_show(sca)}")
        return fields.message(decode(digits, direction=direction, sca=sca))
    if kind not in ELEMENTS:
        raise _MisshapenError(f"unknown kind {_show(kind)}")
    octets = read_hex(digits)
    match kind:
        case "udh":
            return kind, fields.header_elements(octets)
        case "address":
            service_centre = vector.get("as_smsc")
            if not isinstance(service_centre, bool):
                raise _MisshapenError(f"as_smsc must be true or false, not {_show(service_centre)}")
            return kind, fields.address(octets, service_centre=service_centre)
        case "timestamp":
            return kind, fields.timestamp(octets)
        case "vp":
            return kind, fields.validity(octets, _number(vector, "tp_vpf", None, 3))
        case "dcs":
            return kind, fields.coding_scheme(octets)
    fill = _number(vector, "fill_bits", 0, 6)
    return "gsm7", fields.septets(
        octets, _number(vector, "septets", (8 * len(octets) - fill) // 7, 255), fill
    )


def _number(vector: Vector, name: str, default: int | None, most: int) -> int:
    """Return a number that the decoder is to be given: it stands beside or within what is expected."""
    expect = vector.get("expect")
    value = vector.get(name, expect.get(name, default) if isinstance(expect, dict) else default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise _MisshapenError(f"{name} must be a number from 0 to {most}, not {_show(value)}")
    return value


def _compare(path: str, expected: object, found: Mapping[str, Value]) -> list[str]:
    """Compare one key; ``path`` is the dotted way to it, its last word the key in ``found``."""
    key = path.rpartition(".")[2]
    if key not in found:
        return [f"{path}: unknown key"]
    actual = found[key]
    if isinstance(expected, dict) and expected and isinstance(actual, dict):
        return [
            problem
            for name, value in expected.items()
            for problem in _compare(f"{path}.{name}", value, actual)
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            problem
            for index, (one, other) in enumerate(zip(expected, actual, strict=True))
            for problem in _compare(f"{path}.{index}", one, {str(index): other})
        ]
    if _equal(key, expected, actual):
        return []
    return [f"{path}: expected {_show(expected)}, decoded {_show(actual)}"]


def _equal(key: str, expected: object, actual: Value) -> bool:
    if isinstance(actual, Timestamp):
        time = actual.time
        return expected is None if time is None else _same_time(expected, time)
    if key in _HEX and isinstance(expected, str):
        expected = expected.lower()
    return type(expected) is type(actual) and expected == actual


def _same_time(expected: object, actual: datetime) -> bool:
    """Whether a text is the same moment with the same offset."""
    if not isinstance(expected, str):
        return False
    try:
        time = datetime.fromisoformat(expected)
    except ValueError:
        return False
    return time.tzinfo is not None and time == actual and time.utcoffset() == actual.utcoffset()


def _show(value: object) -> str:
    """Return a value as JSON, on one line."""
    if isinstance(value, Timestamp):
        time = value.time
        value = f"no date ({value.octets.hex()})" if time is None else time.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)


def run(path: Path, out: Callable[[str], None]) -> bool:
    """Check all vectors of a file, one line a failure, and a line with the sums; True if none failed."""
    passed = failed = 0
    for number, vector in enumerate(load(path), 1):
        problems = check(vector)
        if problems:
            failed += 1
            name = f"{vector.get('id', f'number {number}')} {vector.get('kind')}"
            line = f"{name}: {'; '.join(problems)}"
            out("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line))
        else:
            passed += 1
    out(f"{passed} passed, {failed} failed")
    return not failed
