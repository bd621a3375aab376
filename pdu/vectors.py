"""Checks test vectors: ``python -m pdu vectors FILE.jsonl``.

A vector is a JSON object on one line: octets, whether they are valid, and the expected fields. Each expected
key, also in nested objects, is compared with the decoded value (``vector_fields``): type and value, times
with their offset. An unknown key is a failure, so that a typing error is not taken for a passed test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from pdu import vector_fields
from pdu.decoder import decode, read_hex
from pdu.error import PduError
from pdu.timestamp import Timestamp
from pdu.vector_fields import VectorValue

MESSAGE_KINDS = ("deliver", "submit", "status_report", "command", "deliver_report", "submit_report")
ELEMENT_KINDS = ("udh", "gsm7", "address", "timestamp", "vp", "dcs")
_HEX_KEYS = ("data", "raw", "septet_values")  # compared case-insensitively

Vector = dict[str, object]


class VectorFileError(ValueError):
    """The file cannot be read, or is not a file of vectors."""


def load_vectors(path: Path) -> list[Vector]:
    """Return the vectors of a file. Raises VectorFileError, with the line of the mistake."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise VectorFileError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise VectorFileError(f"{path} is not UTF-8 text: octet {error.start}") from error
    vectors = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            vector = json.loads(line, object_pairs_hook=_object_from_pairs)
        except (ValueError, RecursionError) as error:
            reason = (
                f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
            )
            raise VectorFileError(f"{path}, line {number}, is not JSON: {reason}") from error
        if not isinstance(vector, dict):
            raise VectorFileError(f"{path}, line {number}, is not a JSON object")
        vectors.append(vector)
    return vectors


class _DuplicateKey:
    """The value of a key that occurs twice in an object; it equals no decoded value."""

    def __str__(self) -> str:
        return "(given twice)"


def _object_from_pairs(pairs: list[tuple[str, object]]) -> Vector:
    """Return a JSON object; by default ``json`` would silently keep the last of two values."""
    found: Vector = {}
    for key, value in pairs:
        found[key] = _DuplicateKey() if key in found else value
    return found


def check_vector(vector: Vector) -> list[str]:
    """Return the problems of a vector, or of the codec; empty if the vector passes."""
    expect = vector.get("expect")
    valid = vector.get("valid")
    if not isinstance(valid, bool):
        return ["valid must be true or false"]
    if not valid and expect:
        return ["expects fields although the octets are invalid"]
    try:
        kind, found = _decode_vector(vector)
    except PduError as error:
        return [f"refused: {error}"] if valid else []
    except _InvalidVectorError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001  # any other error is a bug of the codec and is reported too
        return [f"the codec failed with {error!r}"]
    if kind != vector.get("kind"):
        return [f"kind: expected {_to_json(vector.get('kind'))}, decoded {_to_json(kind)}"]
    if not valid:
        return ["accepted, but must be refused"]
    if not isinstance(expect, dict) or not expect:
        return ["expects nothing"]
    return [problem for key, value in expect.items() for problem in _compare(str(key), value, found)]


class _InvalidVectorError(ValueError):
    """The vector does not specify what to decode."""


def _decode_vector(vector: Vector) -> tuple[str, dict[str, VectorValue]]:
    """Decode the octets of a vector; return their kind and fields."""
    kind = vector.get("kind")
    digits = vector.get("hex")
    if not isinstance(digits, str):
        raise _InvalidVectorError("hex must be a string")
    if kind in MESSAGE_KINDS:
        direction = vector.get("direction")
        sca = vector.get("sca")
        if direction not in ("mt", "mo"):
            raise _InvalidVectorError(f"direction must be mt or mo, not {_to_json(direction)}")
        if not isinstance(sca, bool):
            raise _InvalidVectorError(f"sca must be true or false, not {_to_json(sca)}")
        return vector_fields.message_fields(decode(digits, direction=direction, sca=sca))
    if kind not in ELEMENT_KINDS:
        raise _InvalidVectorError(f"unknown kind {_to_json(kind)}")
    octets = read_hex(digits)
    match kind:
        case "udh":
            return kind, vector_fields.header_fields(octets)
        case "address":
            service_centre = vector.get("as_smsc")
            if not isinstance(service_centre, bool):
                raise _InvalidVectorError(f"as_smsc must be true or false, not {_to_json(service_centre)}")
            return kind, vector_fields.address_fields(octets, service_centre=service_centre)
        case "timestamp":
            return kind, vector_fields.timestamp_fields(octets)
        case "vp":
            return kind, vector_fields.validity_fields(octets, _read_int_option(vector, "tp_vpf", None, 3))
        case "dcs":
            return kind, vector_fields.coding_scheme_fields(octets)
    fill = _read_int_option(vector, "fill_bits", 0, 6)
    return "gsm7", vector_fields.septet_fields(
        octets, _read_int_option(vector, "septets", (8 * len(octets) - fill) // 7, 255), fill
    )


def _read_int_option(vector: Vector, name: str, default: int | None, maximum: int) -> int:
    """Return a numeric parameter of the decoder, from the vector or from its expected fields."""
    expect = vector.get("expect")
    value = vector.get(name, expect.get(name, default) if isinstance(expect, dict) else default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise _InvalidVectorError(f"{name} must be a number from 0 to {maximum}, not {_to_json(value)}")
    return value


def _compare(path: str, expected: object, found: Mapping[str, VectorValue]) -> list[str]:
    """Compare one key. ``path`` is its dotted path, the last part of which is the key in ``found``."""
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
    if _is_equal(key, expected, actual):
        return []
    return [f"{path}: expected {_to_json(expected)}, decoded {_to_json(actual)}"]


def _is_equal(key: str, expected: object, actual: VectorValue) -> bool:
    if isinstance(actual, Timestamp):
        time = actual.time
        return expected is None if time is None else _is_same_time(expected, time)
    if key in _HEX_KEYS and isinstance(expected, str):
        expected = expected.lower()
    return type(expected) is type(actual) and expected == actual


def _is_same_time(expected: object, actual: datetime) -> bool:
    """Return True if a text is the same time with the same offset."""
    if not isinstance(expected, str):
        return False
    try:
        time = datetime.fromisoformat(expected)
    except ValueError:
        return False
    return time.tzinfo is not None and time == actual and time.utcoffset() == actual.utcoffset()


def _to_json(value: object) -> str:
    """Return a value as JSON, on one line."""
    if isinstance(value, Timestamp):
        time = value.time
        value = f"no date ({value.octets.hex()})" if time is None else time.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)


def check_file(path: Path, write_line: Callable[[str], None]) -> bool:
    """Check all vectors of a file and return True if none failed.

    Writes one line for each failure and a last line with the totals.
    """
    passed = failed = 0
    for number, vector in enumerate(load_vectors(path), 1):
        problems = check_vector(vector)
        if problems:
            failed += 1
            name = f"{vector.get('id', f'number {number}')} {vector.get('kind')}"
            line = f"{name}: {'; '.join(problems)}"
            write_line("".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line))
        else:
            passed += 1
    write_line(f"{passed} passed, {failed} failed")
    return not failed
