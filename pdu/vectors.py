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

from pdu import vector_fields
from pdu.decoder import decode, read_hex
from pdu.error import PduError
from pdu.timestamp import Timestamp
from pdu.vector_fields import VectorValue

MESSAGE_KINDS = ("deliver", "submit", "status_report", "command", "deliver_report", "submit_report")
ELEMENT_KINDS = ("udh", "gsm7", "address", "timestamp", "vp", "dcs")
_HEX_KEYS = ("data", "raw", "septet_values")  # compared without regard to case

Vector = dict[str, object]


class VectorFileError(ValueError):
    """The file cannot be read as vectors."""


def load_vectors(path: Path) -> list[Vector]:
    """Return the vectors of a file; raises UnreadableError, with the line, for what is none."""
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
    """The value of a key that an object gives twice: equal to nothing that is decoded."""

    def __str__(self) -> str:
        return "(given twice)"


def _object_from_pairs(pairs: list[tuple[str, object]]) -> Vector:
    """Return a JSON object; ``json`` alone would keep the last of two values and check only that."""
    found: Vector = {}
    for key, value in pairs:
        found[key] = _DuplicateKey() if key in found else value
    return found


def check_vector(vector: Vector) -> list[str]:
    """Return what is wrong with a vector, or with the codec; nothing when all is as expected."""
    expect = vector.get("expect")
    valid = vector.get("valid")
    if not isinstance(valid, bool):
        return ["valid must be true or false"]
    if not valid and expect:
        return ["expects fields of octets that must be refused"]
    try:
        kind, found = _decode_vector(vector)
    except PduError as error:
        return [f"refused: {error}"] if valid else []
    except _InvalidVectorError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001  # any other error is a fault of the codec, told like the others
        return [f"the codec failed with {error!r}"]
    if kind != vector.get("kind"):
        return [f"kind: expected {_to_json(vector.get('kind'))}, decoded {_to_json(kind)}"]
    if not valid:
        return ["accepted, but must be refused"]
    if not isinstance(expect, dict) or not expect:
        return ["expects nothing"]
    return [problem for key, value in expect.items() for problem in _compare(str(key), value, found)]


class _InvalidVectorError(ValueError):
    """A vector that does not say what to decode."""


def _decode_vector(vector: Vector) -> tuple[str, dict[str, VectorValue]]:
    """Decode the octets of a vector as it says."""
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
    """Return a number that the decoder is to be given: it stands beside or within what is expected."""
    expect = vector.get("expect")
    value = vector.get(name, expect.get(name, default) if isinstance(expect, dict) else default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise _InvalidVectorError(f"{name} must be a number from 0 to {maximum}, not {_to_json(value)}")
    return value


def _compare(path: str, expected: object, found: Mapping[str, VectorValue]) -> list[str]:
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
    """Whether a text is the same moment with the same offset."""
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
    """Check all vectors of a file, one line a failure, and a line with the sums; True if none failed."""
    passed = failed = 0
    for number, vector in enumerate(load_vectors(path), 1):
        problems = check_vector(vector)
        if problems:
            failed += 1
            name = f"{vector.get('id', f'number {number}')} {vector.get('kind')}"
            line = f"{name}: {'; '.join(problems)}"
            write_line("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line))
        else:
            passed += 1
    write_line(f"{passed} passed, {failed} failed")
    return not failed
