"""Any octets decoded as a message of 23.040, and any text split into messages.

The first octet has the options: bit 0 is the direction, bit 1 is set for a service centre address in front,
bit 2 is set if the rest is a text to send and not a PDU.
"""

import json
from pathlib import Path

import pdu
from pdu import PduError, decode, encode
from pdu.explain import explain, render

VECTORS = Path(__file__).parents[1] / "data" / "vectors.jsonl"
MAX_INPUT_OCTETS = 500
"""Limit of the input in octets: more than a PDU, and a text of four messages."""
MOBILE_ORIGINATED, WITH_CENTRE, TEXT = 1, 2, 4


def _seeds():
    for line in VECTORS.read_text(encoding="utf-8").splitlines():
        vector = json.loads(line)
        try:
            octets = bytes.fromhex(vector.get("hex", ""))
        except ValueError:
            continue
        yield bytes((WITH_CENTRE | (vector.get("direction") == "mo"),)) + octets
    for text in ("on", "Ünïcödé ₤", "[€{}~^|\\]" * 30, "żółw" * 40, "😀" * 80, "a" * 153 + "€"):
        yield bytes((TEXT,)) + text.encode()


SEEDS = tuple(_seeds())


def run(data):
    """Only PduError may be raised; a decoded message can be read, explained and encoded again."""
    flags, octets = (data[0], data[1:]) if data else (0, b"")
    if flags & TEXT:
        check_segments(octets.decode("utf-8", "replace"), octets)
    else:
        check_round_trip(octets, "mo" if flags & MOBILE_ORIGINATED else "mt", bool(flags & WITH_CENTRE))


def check_segments(text, octets):
    """Segmented content joins again, as text and as octets."""
    for content in (text, octets):
        try:
            parts = pdu.segment(content, reference=7)
        except PduError:
            continue
        whole = pdu.join(parts)
        assert (whole.data if isinstance(content, bytes) else whole.text) == content
        for part in parts:
            check_round_trip(encode(pdu.Submit(pdu.Address("2936"), part)).octets, "mo", sca=True)


def check_round_trip(octets, direction, sca):
    """Decode octets; the message can be read, explained, and encoded to octets that decode to it."""
    message = decode_error = None
    try:
        message = decode(octets, direction=direction, sca=sca)
    except PduError as error:
        decode_error = error
    lines = render(explain(octets, direction=direction, sca=sca))
    assert all(line.isprintable() for line in lines)
    if message is None:
        assert 0 <= decode_error.octet <= len(octets)
        assert decode_error.field
        assert decode_error.reason
        return
    check_readable(message)
    try:
        again = encode(message, sca=sca)
    except PduError as error:
        assert "octets do not fit" in error.reason  # noqa: PT017  # more octets than a message may have
        return
    assert decode(again.octets, direction=direction, sca=sca) == message


def check_readable(message):
    """Read all properties of a message; none may raise."""
    for name in dir(type(message)):
        if not name.startswith("_") and name not in message.__match_args__ and name != "replace":
            getattr(message, name)
    user_data = message.user_data
    if user_data is not None:
        for name in dir(type(user_data)):
            if not name.startswith("_") and name not in ("of", "pack", "replace"):
                getattr(user_data, name)
    for name in ("service_centre_timestamp", "discharge_time"):
        if (timestamp := getattr(message, name, None)) is not None:
            assert str(timestamp)
    assert repr(message)
    hash(message)
