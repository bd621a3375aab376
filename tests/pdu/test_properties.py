"""Properties that hold for all messages, all octets, all texts."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

import pytest
from fuzz_codec import check_round_trip
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pdu
from pdu import (
    Address,
    Alphabet,
    Assembler,
    CommandTpdu,
    DataCoding,
    Deliver,
    DeliverReport,
    EnhancedValidity,
    NumberingPlan,
    PduError,
    Ports,
    RelativeValidity,
    StatusReport,
    Submit,
    SubmitReport,
    Timestamp,
    TypeOfNumber,
    UserData,
    decode,
    encode,
    gsm7,
    join,
    segment,
)
from pdu.packing import pack

VECTORS = Path(__file__).parents[1] / "data" / "vectors.jsonl"
LINES = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
WHOLE = [line for line in LINES if line["direction"] is not None]

octet = st.integers(0, 255)
flag = st.booleans()
digits = st.text("0123456789*#abc", max_size=20)
alphabet = sorted(set(gsm7.DEFAULT_ALPHABET) - {"\x1b"})
numbers = st.builds(
    Address,
    digits,
    st.sampled_from([kind for kind in TypeOfNumber if kind is not TypeOfNumber.ALPHANUMERIC]),
    st.sampled_from(NumberingPlan),
)
names = st.builds(
    Address,
    st.one_of(st.text(alphabet, max_size=11), st.text("€[]", max_size=5)),
    st.just(TypeOfNumber.ALPHANUMERIC),
    st.sampled_from(NumberingPlan),
)
addresses = numbers | names
centres = st.none() | numbers | names.filter(lambda name: not name.number.endswith("@"))
timestamps = st.builds(Timestamp, st.binary(min_size=7, max_size=7))
periods = st.one_of(
    st.none(),
    st.builds(RelativeValidity, octet),
    timestamps,
    st.builds(
        lambda first, rest: EnhancedValidity(bytes((first,)) + rest),
        octet.filter(lambda first: first & 7 < 4),
        st.binary(min_size=6, max_size=6),
    ),
)


def user_data_of(coding, most):
    """Any user data that a coding allows, with well-formed, malformed and no headers."""
    scheme = DataCoding(coding)
    if scheme.alphabet is Alphabet.GSM7 and not scheme.compressed:
        septets = st.binary(max_size=most * 8 // 7).map(lambda raw: bytes(value & 127 for value in raw))
        return st.builds(
            lambda raw, header: UserData(pack(raw), len(raw), Alphabet.GSM7, header), septets, flag
        )
    return st.builds(
        lambda raw, header: UserData(raw, len(raw), scheme.alphabet, header, scheme.compressed),
        st.binary(max_size=most),
        flag,
    )


def coded(most):
    """A data coding scheme and user data that fit it."""
    return octet.flatmap(lambda coding: st.tuples(st.just(coding), user_data_of(coding, most)))


delivers = st.builds(
    lambda coded, **fields: Deliver(user_data=coded[1], data_coding_scheme=coded[0], **fields),
    coded(140),
    originating_address=addresses,
    service_centre_timestamp=timestamps,
    protocol_identifier=octet,
    more_messages=flag,
    loop_prevention=flag,
    status_report_indication=flag,
    reply_path=flag,
    service_centre_address=centres,
    spare_bits=st.sampled_from([0, 0x10, 0x03, 0x13]),
)
submits = st.builds(
    lambda coded, **fields: Submit(user_data=coded[1], data_coding_scheme=coded[0], **fields),
    coded(140),
    destination_address=addresses,
    message_reference=octet,
    protocol_identifier=octet,
    validity_period=periods,
    reject_duplicates=flag,
    status_report_request=flag,
    reply_path=flag,
    service_centre_address=centres,
)
commands = st.builds(
    CommandTpdu,
    addresses,
    octet,
    octet,
    octet,
    octet,
    st.builds(lambda raw, header: UserData(raw, len(raw), has_header=header), st.binary(max_size=156), flag),
    flag,
    centres,
    st.sampled_from([0, 0x04, 0x98]),
)


@st.composite
def reports(draw, kind, most, spare, **fields):
    """A report with any of its optional fields, TP-PI with reserved bits and extended."""
    coding = draw(st.none() | octet)
    user_data = draw(st.none() | user_data_of(coding or 0, most))
    identifier = draw(st.none() | octet)
    more = draw(st.lists(st.integers(0x80, 0xFF), max_size=2).map(bytes))
    causes = fields.get("failure_cause")
    if causes is not None:
        fields["failure_cause"] = st.just(cause := draw(causes))
        more = more if cause is not None else b""  # else a TP-PI from 0x80 on is decoded as TP-FCS
    if more or draw(flag):
        more = more and more + bytes((draw(st.integers(0, 0x7F)),))
        reserved = draw(st.sampled_from([0, 0x78])) | (0x80 if more else 0)
        announced = (identifier is not None) | (coding is not None) << 1 | (user_data is not None) << 2
        fields |= {"parameter_indicator": st.just(announced | reserved), "more_indicators": st.just(more)}
    return kind(
        protocol_identifier=identifier,
        user_data=user_data,
        data_coding_scheme=coding,
        service_centre_address=draw(centres),
        spare_bits=draw(st.sampled_from([0, spare] if user_data is not None else [0, spare, 0x40])),
        **{name: draw(value) for name, value in fields.items()},
    )


causes = st.none() | st.integers(0x80, 0xFF)
messages = st.one_of(
    delivers,
    submits,
    commands,
    reports(
        StatusReport,
        143,
        0x90,
        message_reference=octet,
        recipient_address=addresses,
        service_centre_timestamp=timestamps,
        discharge_time=timestamps,
        status=octet,
        more_messages=flag,
        loop_prevention=flag,
        on_command=flag,
    ),
    reports(DeliverReport, 158, 0xBC, failure_cause=causes),
    reports(SubmitReport, 151, 0xBC, service_centre_timestamp=timestamps, failure_cause=causes),
)


def direction_of(message):
    return "mo" if isinstance(message, Submit | CommandTpdu | DeliverReport) else "mt"


@settings(max_examples=400, deadline=None)
@given(messages, flag)
def test_encoded_message_decodes_to_itself(message, sca):
    """This holds for all six types with every field, with and without service centre address."""
    if not sca:
        message = message.replace(service_centre_address=None)
    encoded = encode(message, sca=sca)
    assert decode(encoded.octets, direction=direction_of(message), sca=sca) == message
    assert decode(encoded.hex, direction=direction_of(message), sca=sca) == message
    assert len(encoded.octets) <= 176


directions = st.sampled_from(["mt", "mo"])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200), directions, flag)
@example(bytes.fromhex("0BD0" + "FF" * 10 + "04"), "mt", True)
@example(bytes.fromhex("00 06 2A 04819263 62203040506000 62203040506000 00 FF"), "mt", True)
def test_any_octets_decode_or_raise_pdu_error(octets, direction, sca):
    """No other exception is raised, and the error has the offset."""
    check_round_trip(octets, direction, sca)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), directions, flag)
def test_any_text_decodes_or_raises_pdu_error(text, direction, sca):
    """Text in place of hexadecimal digits raises no other exception."""
    with contextlib.suppress(PduError):
        decode(text, direction=direction, sca=sca)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_messages_decode_or_raise_pdu_error(seed):
    """Vectors with changed, deleted, repeated and swapped octets reach deeper than random octets."""
    rng = random.Random(seed)
    for _ in range(500):
        line = rng.choice(WHOLE)
        try:
            octets = bytearray(bytes.fromhex(line["hex"]))
        except ValueError:
            continue
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(octets) + 1)
            match rng.randrange(4):
                case 0:
                    octets[at:at] = rng.randbytes(rng.randrange(3))
                case 1:
                    del octets[at : at + rng.randrange(4)]
                case 2:
                    octets[at : at + 1] = rng.randbytes(1)
                case _:
                    octets[at:at] = octets[at : at + rng.randrange(8)]
        check_round_trip(bytes(octets), rng.choice(["mt", "mo"]), rng.random() < 0.8)


@pytest.mark.parametrize("line", [line for line in WHOLE if line["valid"]], ids=lambda line: line["id"])
def test_decoded_vector_encodes_to_same_octets(line):
    """Each vector has one form, and the encoder writes it."""
    message = decode(line["hex"], direction=line["direction"], sca=line["sca"])
    assert encode(message, sca=line["sca"]).hex == line["hex"].upper()


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(alphabet + list("€[]{}^~|\\"), max_size=500), st.text(max_size=200), st.binary(max_size=600)
    ),
    flag,
    flag,
    st.none() | st.builds(Ports, st.integers(0, 65535), st.integers(0, 65535)),
    st.randoms(use_true_random=False),
)
def test_segmented_content_joins_again(content, wide, national, ports, rng):
    """Any content joins in any order and with duplicates; each part fits and can be decoded alone."""
    try:
        parts = segment(content, reference=200, wide=wide, national_languages=national, ports=ports)
    except PduError as error:
        assert "surrogate" in error.reason  # noqa: PT017  # half a pair cannot be sent
        return
    assert all(len(part.octets) <= 140 for part in parts)
    assert all(part.ports == ports for part in parts)
    whole = join(parts)
    assert (whole.data if isinstance(content, bytes) else whole.text) == content
    shuffled = list(parts) + list(parts[:-1])
    rng.shuffle(shuffled)
    assembler = Assembler()
    found = [result for result in (assembler.add(part, "x") for part in shuffled) if result is not None]
    assert found[0] == whole
    for part in parts:
        submit = Submit(Address("000"), part)
        assert decode(encode(submit).octets, direction="mo") == submit


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_septets_equals_encoded_length(text):
    """septets() is None only if GSM 7-bit cannot encode the text, else it is the length of the message."""
    count = pdu.septets(text)
    if count is None:
        with pytest.raises(PduError):
            UserData.of(text, alphabet=Alphabet.GSM7)
    else:
        assert UserData.of(text).length == count
        assert UserData.of(text).text == text
