"""The checker of test vectors, and the vectors themselves."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from pdu.vectors import VectorFileError, check_file, check_vector, load_vectors

FILE = Path(__file__).parents[1] / "data" / "vectors.jsonl"
VECTORS = load_vectors(FILE)
VALID = [vector for vector in VECTORS if vector["valid"]]
by_id = {vector["id"]: vector for vector in VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_vector_passes(vector):
    """A valid vector decodes to every expected field; an invalid one raises PduError."""
    assert check_vector(vector) == []


def leaves(value, path=()):
    """Yield the path of every value within an expectation."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value


def wrong(value):
    """Yield values that a falsifier might put in place of one."""
    if isinstance(value, bool):
        yield from (not value, int(value), None, str(value))
    elif isinstance(value, int):
        yield from (value + 1, value - 1, float(value), str(value), None, [value])
        if value in (0, 1):
            yield bool(value)
    elif value is None:
        yield from (0, False, "", "x", {"x": 1}, {"toa": 129}, [])
    elif isinstance(value, str):
        yield from (value + "0", value + " ", value[:-1] if value else "x", f" {value}", None, 0, [value])
        if "T" in value and value[-6:-5] in "+-" and ":" in value[-6:]:
            hour = int(value[11:13])
            yield from (value[:-6], value[:11] + f"{(hour + 1) % 24:02}" + value[13:])
            yield value[:-6] + ("+03:00" if value[-6:] != "+03:00" else "+04:00")
    else:
        yield from (None, 0, "", {"x": 1})


def put(expectation, path, value):
    """Return a copy of an expectation with another value at a path."""
    if not path:
        return value
    changed = copy.copy(expectation)
    changed[path[0]] = put(expectation[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("vector", VALID, ids=[vector["id"] for vector in VALID])
def test_every_falsified_expectation_fails(vector):
    """Each expected value, also nested ones, is replaced by several wrong ones."""
    for path, value in leaves(vector["expect"]):
        for other in wrong(value):
            if isinstance(value, str) and isinstance(other, str) and other.lower() == value:
                continue
            assert check_vector({**vector, "expect": put(vector["expect"], path, other)}), (
                path,
                value,
                other,
            )


@pytest.mark.parametrize("vector", VALID, ids=[vector["id"] for vector in VALID])
def test_additional_expectations_fail(vector):
    """Unknown keys at every depth, additional or missing elements, and values for absent fields fail."""
    expect = vector["expect"]
    assert check_vector({**vector, "expect": {**expect, "unknown": 1}}) == ["unknown: unknown key"]
    for key, value in expect.items():
        if isinstance(value, dict):
            assert check_vector({**vector, "expect": {**expect, key: {**value, "unknown": 1}}})
            assert check_vector({**vector, "expect": {**expect, key: {}}})
        if isinstance(value, list):
            assert check_vector({**vector, "expect": {**expect, key: [*value, {"iei": 0, "data": "000101"}]}})
            assert check_vector({**vector, "expect": {**expect, key: value[:-1]}})
            assert check_vector({**vector, "expect": {**expect, key: value[::-1]}}) or value == value[::-1]
    for key, value in (
        ("concat", {"bits": 8, "ref": 1, "total": 2, "seq": 1}),
        ("ports", {"bits": 8, "dst": 1, "src": 2}),
        ("lang", {"single": 1}),
        ("udh", [{"iei": 9, "data": ""}]),
        ("mwi", {"store": True, "active": True, "type": "fax"}),
        ("text", "another"),
        ("data", "00"),
        ("pi", 9),
        ("scts", "2001-01-01T00:00:00+00:00"),
        ("compressed", 1),
    ):
        if key not in expect:
            assert check_vector({**vector, "expect": {**expect, key: value}}), key


@pytest.mark.parametrize("vector", VALID, ids=[vector["id"] for vector in VALID])
def test_falsified_vector_fails(vector):
    """Another validity, another kind, no expectation, and other or fewer octets fail."""
    assert check_vector({**vector, "valid": False})
    assert check_vector({**vector, "valid": False, "expect": None}) == ["accepted, but must be refused"]
    assert check_vector({**vector, "valid": 1})
    assert check_vector({**vector, "valid": None})
    assert check_vector({**vector, "expect": None})
    assert check_vector({**vector, "expect": {}})
    assert check_vector({key: value for key, value in vector.items() if key != "expect"})
    for kind in {other["kind"] for other in VALID} - {vector["kind"]} | {"other", None, ""}:
        assert check_vector({**vector, "kind": kind}), kind
    assert check_vector({**vector, "hex": None})
    assert check_vector({**vector, "hex": vector["hex"][:-1] or "0"})
    if vector["kind"] != "udh":  # octets after a single header are ignored
        assert check_vector({**vector, "hex": vector["hex"][: len(vector["hex"]) // 4 * 2] or "00"})


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if not vector["valid"]])
def test_invalid_vector_marked_valid_fails(vector):
    """It fails with and without an expectation."""
    assert check_vector({**vector, "valid": True})
    assert check_vector({**vector, "valid": True, "expect": {"pid": 0}})


def test_invalid_vector_with_expectation_fails():
    """The expectation could not be checked."""
    invalid = next(vector for vector in VECTORS if not vector["valid"])
    assert check_vector({**invalid, "expect": {"pid": 0}}) == [
        "expects fields although the octets are invalid"
    ]


def test_direction_and_sca_are_used():
    """The same octets have another meaning with another direction or sca."""
    deliver, report = by_id["s0001"], by_id["s0349"]
    assert check_vector({**deliver, "direction": "mo"})
    assert check_vector({**deliver, "sca": False})
    assert check_vector({**report, "sca": True})
    assert check_vector({**deliver, "direction": None}) == ["direction must be mt or mo, not null"]
    assert check_vector({**deliver, "sca": 1}) == ["sca must be true or false, not 1"]
    assert check_vector({**by_id["s0377"], "as_smsc": False})
    assert check_vector({**by_id["s0377"], "as_smsc": None}) == ["as_smsc must be true or false, not null"]
    assert check_vector({**by_id["s0395"], "tp_vpf": 3})
    assert check_vector({**by_id["s0395"], "tp_vpf": 4}) == ["tp_vpf must be a number from 0 to 3, not 4"]


@pytest.mark.parametrize(
    ("kind", "more", "digits"),
    [
        ("address", {"as_smsc": False}, "03810010FF"),  # something behind it
        ("address", {"as_smsc": False}, "048100F0"),  # a fill digit before the announced end
        ("address", {"as_smsc": True}, "0491F300"),
        ("address", {"as_smsc": False}, "030100F0"),  # bit 7 of the type of address
        ("address", {"as_smsc": False}, "0000"),
        ("address", {"as_smsc": True}, "031100F0"),
        ("timestamp", {}, "6220304050600000"),
        ("vp", {"tp_vpf": 2}, "A7A7"),
        ("vp", {"tp_vpf": 1}, "05000000000000"),
        ("dcs", {}, ""),
        ("dcs", {}, "0000"),
        ("udh", {}, "0500030102"),
        ("udh", {}, "0400030102"),
        ("gsm7", {"septets": 3, "fill_bits": 0}, "6131"),
        ("gsm7", {"septets": 1, "fill_bits": 0}, "6131"),
        ("gsm7", {"septets": 2, "fill_bits": 3}, "6131"),
    ],
)
def test_element_with_wrong_size_is_refused(kind, more, digits):
    """A single element must use all octets."""
    vector = {
        "id": "x",
        "kind": kind,
        "hex": digits,
        "direction": None,
        "sca": None,
        "valid": False,
        "expect": None,
    }
    assert check_vector({**vector, **more}) == []
    assert check_vector({**vector, **more, "valid": True})[0].startswith("refused: ")


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("scts", "2026-02-03T04:05:06Z", True),
        ("scts", "2026-02-03 04:05:06+00:00", True),
        ("scts", "2026-02-03T05:05:06+01:00", False),  # the same moment with another offset
        ("scts", "2026-02-03T04:05:06", False),
        ("scts", None, False),
        ("scts", "soon", False),
    ],
)
def test_times_compare_with_offset(key, value, good):
    """The notation of the offset does not matter."""
    vector = next(one for one in VALID if one["expect"].get(key) == "2026-02-03T04:05:06+00:00")
    assert (check_vector(put(vector, ("expect", key), value)) == []) is good


def test_invalid_date_expects_null():
    """The octets are kept, the time is null."""
    vector = {
        "id": "x",
        "kind": "timestamp",
        "hex": "00000000000000",
        "valid": True,
        "expect": {"time": None},
    }
    assert check_vector(vector) == []
    assert check_vector(put(vector, ("expect", "time"), "2000-01-01T00:00:00+00:00")) == [
        'time: expected "2000-01-01T00:00:00+00:00", decoded "no date (00000000000000)"'
    ]


def test_absent_fields_of_report_are_null():
    """All these names are null without user data."""
    absent = dict.fromkeys(("udl", "text", "data", "septets", "udh", "concat", "ports", "lang", "pid", "dcs"))
    vector = {
        "id": "x",
        "kind": "deliver_report",
        "direction": "mo",
        "sca": False,
        "hex": "00D300",
        "valid": True,
        "expect": {**absent, "alphabet": None, "fcs": 0xD3, "pi": 0},
    }
    assert check_vector(vector) == []
    for key in absent:
        assert check_vector(put(vector, ("expect", key), 0)) == [f"{key}: expected 0, decoded null"]


def test_hexadecimal_data_compare_case_insensitively():
    """Octets are equal in upper case; texts are not."""
    vector = next(one for one in VALID if one["expect"].get("data", "") not in ("", None))
    assert check_vector(put(vector, ("expect", "data"), vector["expect"]["data"].upper())) == []


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        (
            '{"valid":true,"kind":"dcs","hex":"00","expect":{"alphabet":"8bit","alphabet":"gsm7"}}',
            'number 1 dcs: alphabet: expected "(given twice)", decoded "gsm7"',
        ),
        (
            '{"valid":true,"kind":"udh","hex":"027000","expect":{"udh":[{"iei":1,"iei":112}]}}',
            'number 1 udh: udh.0.iei: expected "(given twice)", decoded 112',
        ),
        (
            '{"valid":false,"valid":true,"kind":"dcs","hex":"00","expect":{"alphabet":"gsm7"}}',
            "number 1 dcs: valid must be true or false",
        ),
    ],
)
def test_duplicate_key_fails(tmp_path, line, failure):
    """JSON keeps only the last value, so a wrong value before it would pass."""
    lines = []
    assert check_file(write(tmp_path, line), lines.append) is False
    assert lines == [failure, "0 passed, 1 failed"]


def write(tmp_path, *lines):
    path = tmp_path / "vectors.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_failures_and_totals_are_single_lines(tmp_path):
    """A failure is one line with the name of the vector and the differences, whatever a text contains."""
    good = by_id["s0350"]
    bad = put(put(good, ("expect", "text"), "a\nb\u2028\x1b[1m"), ("expect", "pid"), 1)
    path = write(tmp_path, json.dumps(good), "", json.dumps(bad), json.dumps({"id": "y\nz"}))
    lines = []
    assert check_file(path, lines.append) is False
    pid = "s0350 submit_report: pid: expected 1, decoded 127; "
    text = r'text: expected "a\nb\u2028\u001b[1m", decoded "ack text"'
    assert lines == [pid + text, r"y\u000az None: valid must be true or false", "1 passed, 2 failed"]
    lines.clear()
    assert check_file(write(tmp_path, json.dumps(good)), lines.append) is True
    assert lines == ["1 passed, 0 failed"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{\n", "line 1, is not JSON: Expecting property name enclosed in double quotes, column 2$"),
        (b"{}\n[]\n", "line 2, is not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "line 1, is not JSON"),
    ],
)
def test_file_without_vectors_raises(tmp_path, content, reason):
    """An unreadable file is not a failed vector."""
    path = tmp_path / "vectors.jsonl"
    path.write_bytes(content)
    with pytest.raises(VectorFileError, match=reason):
        load_vectors(path)
    with pytest.raises(VectorFileError, match="cannot be read"):
        load_vectors(tmp_path / "missing")
    with pytest.raises(VectorFileError, match="cannot be read"):
        load_vectors(tmp_path)


def test_other_exception_of_codec_fails_the_vector(monkeypatch):
    """This holds for invalid vectors too: the codec may raise only PduError."""
    monkeypatch.setattr("pdu.vectors.decode", lambda *_, **__: ()[len(_)])
    for vector in (by_id["s0001"], by_id["s0139"]):
        (problem,) = check_vector(vector)
        assert problem.startswith("the codec failed with IndexError")
