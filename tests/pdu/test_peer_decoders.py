"""Compares the codec with independent decoders on the test vectors; each disagreement has a ruling.

The decoders are needed for nothing else. `make bench PART=codec` installs them, and so does `pip install -r
tests/benchmarks/requirements-codec.txt`. Without them these tests are skipped.
"""

from __future__ import annotations

import json
import warnings
from io import StringIO
from pathlib import Path

import pytest

from pdu import Address, Alphabet, Deliver, EnhancedValidity, StatusReport, Submit, UserData, decode, encode

REASON = "no independent decoder installed: pip install -r tests/benchmarks/requirements-codec.txt"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # they use deprecated functions
    gsmmodem = pytest.importorskip("gsmmodem.pdu", reason=REASON)
    smspdudecoder = pytest.importorskip("smspdudecoder.fields", reason=REASON)
    smspdu = pytest.importorskip("smspdu", reason=REASON)

pytestmark = pytest.mark.filterwarnings("ignore")

VECTORS = [
    vector
    for vector in map(
        json.loads, (Path(__file__).parents[1] / "data" / "vectors.jsonl").read_text("utf-8").splitlines()
    )
    if vector["valid"] and vector["kind"] in ("deliver", "submit", "status_report") and vector["sca"]
]


def by_gsmmodem(digits, message):
    found = gsmmodem.decodeSmsPdu(digits)
    fields = {"number": found["number"].removeprefix("+")}
    if isinstance(message, StatusReport):
        return fields | {"time": found["time"], "discharge": found["discharge"], "status": found["status"]}
    if isinstance(message, Deliver):
        fields["time"] = found["time"]
    return fields | {"content": found["text"]}


def by_smspdudecoder(digits, message):
    if isinstance(message, StatusReport):
        return {}
    if isinstance(message, Deliver):
        found = smspdudecoder.SMSDeliver.decode(StringIO(digits))
        return {
            "number": found["sender"]["number"],
            "content": found["user_data"]["data"],
            "time": found["scts"],
        }
    found = smspdudecoder.SMSSubmit.decode(StringIO(digits))
    return {"number": found["recipient"]["number"], "content": found["user_data"]["data"]}


def by_pdusms(digits, message):
    bare = digits[2 + 2 * int(digits[:2], 16) :]
    if isinstance(message, StatusReport):
        return {}
    if isinstance(message, Deliver):
        found = smspdu.SMS_DELIVER.fromPDU(bare, "")
        return {
            "number": found.tp_oa if hasattr(found, "tp_oa") else found.sender,
            "content": found.user_data,
        }
    found = smspdu.SMS_SUBMIT.fromPDU(bare, "")
    return {"number": found.recipient, "content": found.user_data}


def our_fields(message):
    match message:
        case Deliver():
            address = message.originating_address
        case Submit():
            address = message.destination_address
        case StatusReport():
            address = message.recipient_address
    fields = {"number": address.number, "content": message.data if message.text is None else message.text}
    if isinstance(message, Deliver | StatusReport):
        fields["time"] = message.service_centre_timestamp.time
    if isinstance(message, StatusReport):
        fields |= {"discharge": message.discharge_time.time, "status": message.status}
    return fields


def national(message):
    return message.user_data is not None and message.user_data.national_language is not None


def ends_in_at(message):
    text = message.text
    return text is not None and text.endswith("@") and message.user_data.length % 8 == 0


def is_data(message):
    return message.user_data is not None and message.user_data.alphabet is Alphabet.OCTETS


def packed_header(message):
    user_data = message.user_data
    return user_data is not None and user_data.has_header and user_data.alphabet is Alphabet.GSM7


def number(message):
    return our_fields(message)["number"]


# (decoder, field, condition, ruling): where a decoder differs, and why the codec is right
KNOWN_DISAGREEMENTS = [
    ("gsmmodem", "content", national, "has no national tables; six sources agree on them (gsm7_tables.md)"),
    ("smspdudecoder", "content", national, "the same"),
    ("pdusms", "content", national, "the same"),
    ("gsmmodem", "content", is_data, "returns octets as characters; 8-bit data is octets (23.038 4)"),
    (
        "gsmmodem",
        "content",
        packed_header,
        "loses characters after headers; text begins at the next septet boundary (23.040 9.2.3.24)",
    ),
    (
        "gsmmodem",
        "content",
        ends_in_at,
        "drops a last @; with 8n septets it is text, because the length includes it",
    ),
    ("pdusms", "content", ends_in_at, "the same"),
    (
        "gsmmodem",
        "content",
        lambda message: "\f" in (message.text or ""),
        "drops the page break of the extension table (23.038 6.2.1.1)",
    ),
    (
        "pdusms",
        "content",
        lambda message: "\f" in (message.text or ""),
        "decodes the page break as a line feed, which is only a fallback for displays",
    ),
    (
        "gsmmodem",
        "content",
        lambda message: any(character > "\uffff" for character in message.text or ""),
        "returns surrogate pairs as two characters; together they are the character that was sent",
    ),
    (
        "gsmmodem",
        "content",
        lambda message: message.data_coding_scheme & 0xF0 == 0xE0,
        "decodes message waiting in UCS-2 as 7-bit; group 1110 is UCS-2 (23.038 4)",
    ),
    (
        "gsmmodem",
        "content",
        lambda message: isinstance(getattr(message, "validity_period", None), EnhancedValidity),
        "does not know the enhanced validity period; decodes its octets as user data (23.040 9.2.3.12.3)",
    ),
    (
        "gsmmodem",
        "raises",
        lambda message: is_data(message) and message.user_data.has_header,
        "counts the header of 8-bit data twice; TP-UDL includes it (23.040 9.2.3.16)",
    ),
    (
        "gsmmodem",
        "time",
        lambda message: message.service_centre_timestamp.octets[0] == 0x96,
        "decodes year 69 as 1969; it is 2069, as in oFono and the vectors",
    ),
    (
        "smspdudecoder",
        "time",
        lambda message: message.service_centre_timestamp.time.year < 2000,
        "decodes the years 70 to 99 as 20xx; they are 19xx",
    ),
    (
        "smspdudecoder",
        "number",
        lambda message: not number(message).isdecimal() and len(number(message)) == 7,
        "decodes the fill of a name of seven characters as @; 13 semi-octets hold seven septets",
    ),
    (
        "pdusms",
        "number",
        lambda message: number(message).startswith("0"),
        "drops leading zeros; 000 and 00 are different numbers",
    ),
    (
        "pdusms",
        "number",
        lambda message: not number(message).isascii(),
        "drops characters outside ASCII in a name",
    ),
    *(
        (
            name,
            "number",
            lambda message: set("*#abc") & set(number(message)),
            "decodes semi-octets A to E as letters",
        )
        for name in ("gsmmodem", "smspdudecoder", "pdusms")
    ),
]
PEER_DECODERS = {"gsmmodem": by_gsmmodem, "smspdudecoder": by_smspdudecoder, "pdusms": by_pdusms}


def disagreements(vector, name):
    """Yield the message with each field that this decoder decodes differently, or "raises"."""
    message = decode(vector["hex"], direction=vector["direction"])
    ours = our_fields(message)
    try:
        theirs = PEER_DECODERS[name](vector["hex"], message)
    except Exception:  # noqa: BLE001  # they raise anything
        yield message, "raises"
        return
    for field, value in theirs.items():
        if field == "number":
            value = value.removeprefix("+")  # noqa: PLW2901  # it is in the type of number
        if value != ours[field]:
            yield message, field


@pytest.mark.parametrize("name", PEER_DECODERS)
def test_every_disagreement_has_a_ruling(name):
    """Content, number and times of 200 messages agree with the peers, or a ruling above says who is wrong."""
    open_questions = [
        (vector["id"], field)
        for vector in VECTORS
        for message, field in disagreements(vector, name)
        if not any(
            (name, field) == ruling[:2] and ruling[2](message)
            for ruling in KNOWN_DISAGREEMENTS
            if ruling[0] == name
        )
    ]
    assert open_questions == []


@pytest.mark.parametrize(
    "ruling",
    KNOWN_DISAGREEMENTS,
    ids=[f"{ruling[0]}, {ruling[1]}: {ruling[3]}" for ruling in KNOWN_DISAGREEMENTS],
)
def test_every_ruling_is_needed(ruling):
    """Each ruling still has its disagreement."""
    assert any(
        field == ruling[1] and ruling[2](message)
        for vector in VECTORS
        for message, field in disagreements(vector, ruling[0])
    )


TEXTS = [
    "ok",
    "x" * 160,
    "[21,5 €] {a|b} ^~\\",
    "Ünïcödé ÄÖÜ äöü ñ",
    "@£$¥èéùìòÇ",
    "Привет",
    "°" * 70,
    "1" * 7,
    "2" * 15,
]


@pytest.mark.parametrize("text", TEXTS)
def test_peers_decode_our_submit(text):
    """The three peers decode an SMS-SUBMIT of the codec if they know its characters."""
    digits = encode(Submit(Address.parse("2936"), UserData.of(text))).hex
    message = decode(digits, direction="mo")
    for name, fields in PEER_DECODERS.items():
        assert fields(digits, message) == {"number": "2936", "content": text}, name


@pytest.mark.parametrize("text", TEXTS)
def test_codec_decodes_peers_submit(text):
    """The codec decodes an SMS-SUBMIT of python-gsmmodem-new and of pdusms."""
    for digits in (
        str(gsmmodem.encodeSmsSubmitPdu("2936", text)[0]),
        "00" + smspdu.SMS_SUBMIT.create("", "2936", text).toPDU(),
    ):
        message = decode(digits, direction="mo")
        assert (message.destination_address.number, message.text) == ("2936", text)
