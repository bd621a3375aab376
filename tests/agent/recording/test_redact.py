"""A masked recording: the conversation with the module, without personal data."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pdu
from agent.recording.pseudonyms import Pseudonyms, redact_encoded_text
from agent.recording.redact import ContentRedactor

NUMBER, OTHER = "+447700900123", "+447700900456"
SID = "DC0123456789abcdef0123456789abcdef"
WHEN = pdu.Timestamp.of(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def redactor():
    return ContentRedactor()


def deliver(content, sender=NUMBER, **how):
    (data,) = pdu.segment(content, **how)
    return pdu.encode(
        pdu.Deliver(
            pdu.Address.parse(sender),
            WHEN,
            data,
            data_coding_scheme=data.data_coding_scheme,
            service_centre_address=pdu.Address.parse(OTHER),
        )
    ).hex


def submit(content, destination=NUMBER):
    (data,) = pdu.segment(content)
    message = pdu.Submit(
        pdu.Address.parse(destination), data, data_coding_scheme=data.data_coding_scheme, message_reference=7
    )
    return pdu.encode(message).hex


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("Unlock door 42!", "Xxxxxx xxxx 00!"),
        (f"{SID} open", f"{SID} xxxx"),
        ('{"pin": 1234, "€": [1]}', '{"xxx": 0000, "xx": [0]}'),
        ("ça va @ home", "xx xx @ xxxx"),
        ("雪 snow", "x xxxx"),
        (b"\x01secret", b"xxxxxxx"),
        ("", ""),
    ],
)
def test_redacted_message_still_decodes(content, shown):
    """Same length, times and form; other text and another number."""
    raw = deliver(content)
    redacted = Pseudonyms().replace_message(raw)
    assert len(redacted) == len(raw)
    message, original = pdu.decode(redacted), pdu.decode(raw)
    assert (message.text if message.data is None else message.data) == shown
    assert message.user_data.length == original.user_data.length
    assert message.service_centre_timestamp == WHEN
    assert len(str(message.originating_address)) == len(NUMBER)
    assert "7700900" not in str(message.originating_address) + str(message.service_centre_address)


def test_sent_messages_parts_and_status_reports_are_redacted():
    """The header of a part and the fields of a report are kept; the number has one placeholder in all."""
    pseudonyms = Pseudonyms()
    sent = pdu.decode(pseudonyms.replace_message(submit("my answer"), sent=True), direction="mo")
    assert (sent.text, sent.message_reference) == ("xx xxxxxx", 7)
    part = pdu.segment("secret " * 30, reference=9)[0]
    message = pdu.Deliver(pdu.Address.parse(NUMBER), WHEN, part)
    redacted = pdu.decode(pseudonyms.replace_message(pdu.encode(message).hex))
    assert redacted.concatenation == part.concatenation
    assert redacted.text == part.text.replace("secret", "xxxxxx").replace("secre", "xxxxx").replace(
        "sec", "xxx"
    )
    report = pdu.StatusReport(7, pdu.Address.parse(NUMBER), WHEN, WHEN, 0)
    redacted = pdu.decode(pseudonyms.replace_message(pdu.encode(report).hex))
    assert redacted.recipient_address == sent.destination_address
    assert redacted.status == 0


def test_number_has_one_placeholder():
    """In every form of the number; short codes are kept."""
    pseudonyms = Pseudonyms()
    first = pseudonyms.replace_number(NUMBER)
    assert first == pseudonyms.replace_number(NUMBER) == "+" + pseudonyms.replace_number(NUMBER[1:])
    assert pseudonyms.replace_number(first) == first
    assert pseudonyms.replace_number(OTHER) != first
    assert [pseudonyms.replace_number(number) for number in ("000", "2936", "")] == ["000", "2936", ""]
    assert pseudonyms.replace_number("8988307000000000024").startswith("89")


def test_undecodable_message_becomes_zeros():
    """Its content is not known."""
    for raw in ("00", "FFFFFFFFFFFF", deliver("secret")[:-2], deliver("secret") + "00"):
        assert set(Pseudonyms().replace_message(raw)) == {"0"}


@pytest.mark.parametrize(
    "data",
    [
        pdu.UserData(b"\xffsecret", 7, pdu.Alphabet.OCTETS, has_header=True),
        pdu.UserData(b"secret", 6, pdu.Alphabet.GSM7, compressed=True),
    ],
)
def test_inseparable_user_data_becomes_zeros(data):
    """Compressed content, and a header that runs past the end."""
    scheme = 0x20 if data.compressed else 0x04
    message = pdu.Deliver(pdu.Address.parse(NUMBER), WHEN, data, data_coding_scheme=scheme)
    raw = pdu.encode(message).hex
    assert b"secret".hex() in raw
    assert set(Pseudonyms().replace_message(raw)) == {"0"}


@given(st.binary(max_size=60))
def test_redaction_keeps_the_length(data):
    """This holds for any digits that are treated as a message."""
    digits = data.hex().upper()
    for sent in (True, False):
        assert len(Pseudonyms().replace_message(digits, sent=sent)) == len(digits)
    assert len(redact_encoded_text(digits)) == len(digits)


CONVERSATION = [
    (">", "AT+CIMI\r"),
    ("<", "234107700900123"),
    (">", "AT+CGSN\r"),
    ("<", "359990000000008"),
    (">", "AT+CCID\r"),
    ("<", "+CCID: 8988307000000000024F"),
    (">", "AT+CNUM\r"),
    ("<", '+CNUM: "Alice","+447700900123",145'),
    (">", "AT+CSCA?\r"),
    ("<", '+CSCA: "+447700900456",145'),
    ("<", '+CLIP: "07700900123",129,"",,"Alice",0'),
    ("<", '+CREG: 2,1,"BEEF","7700900"'),
    ("<", '+CUSD: 0,"Dear Alice, you have 7 left",15'),
    (">", "AT+CMGF=1\r"),
    (">", "AT+CMGR=1\r"),
    (
        "<",
        '+CMGR: "REC UNREAD","+447700900123","Alice","26/11/22,12:00:00+00",145,4,0,0,"+447700900456",145,30',
    ),
    ("<", "unlock Alice"),
    ("<", "+CMGX: secret second line"),
    ("<", "AT secret third line"),
    ("<", "OK"),
    ("<", '+CMT: "+447700900123",,"26/11/22,12:00:00+00"'),
    ("<", "secret of Alice"),
    (
        "<",
        '+CMGL: 3,"REC READ","002B003400340037003700300030003900300030003100320033",,"26/11/22,12:00:00+00"',
    ),
    ("<", "0041006C006900630065"),
    ("<", "OK"),
    (">", 'AT+CMGS="+447700900123"\r'),
    ("<", "> "),
    (">", "Alice\rsecret\x1a"),
    ("<", "> Alice"),
    ("<", "secret\x1a"),
    ("<", "$GPRMC,120000,A,5130.00,N,00007.00,W"),
    (">", 'AT+CGAUTH=1,1,"Alice","secret"\r'),
    (">", "ATD+447700900123;\r"),
]
FORBIDDEN = (
    "Alice",
    "secret",
    "7700900",
    "5999000",
    "8988307",
    "BEEF",
    "416C",
    "006C",
    "0037",
    "5130",
    "23410",
)


def test_no_personal_data_is_left(redactor):
    """Names, texts, numbers and places in every form in which a module shows them; lengths are kept."""
    for direction, text in CONVERSATION:
        shown = (redactor.redact_sent if direction == ">" else redactor.redact_received)(text)
        assert len(shown) == len(text)
        for word in FORBIDDEN:
            assert word not in shown, (text, shown)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "OK",
            "ERROR",
            "+CMS ERROR: 321",
            "+CME ERROR: SIM busy",
            "> ",
            "0",
            "RDY",
            "SMS DONE",
            "Call Ready",
        ),
        *('+CMTI: "ME",3', "+CMGS: 12", "+CREG: 1,1", '+CPMS: "ME",0,20,"ME",0,20,"ME",0,20', "^RSSI:3"),
        *("+CNMI: (0-3),(0-3),(0,2),(0-2),(0,1)", "+CSQ: 21,99", '+COPS: 0,0,"Vodafone UK",7', "AT+CMGR=3"),
        *("+CMGR: 0,,17", "+CMT: ,24", "+CPIN: SIM PIN", "AT+CMGS=17", 'AT+CSCS="UCS2"', "NO CARRIER"),
    ],
)
def test_module_information_is_kept(redactor, line):
    """A recording serves to analyse an unknown module."""
    assert redactor.redact_received(line) == line


def test_identification_is_kept(redactor):
    """Model and revision after ATI; later lines are redacted again."""
    redactor.redact_sent("ATI\r")
    for line in ("Quectel", "EC25", "Revision: EC25EFAR06A01M4G"):
        assert redactor.redact_received(line) == line
    assert redactor.redact_received("IMEI: 359990000000008") != "IMEI: 359990000000008"
    redactor.redact_sent("AT+CMGF=1\r")
    assert redactor.redact_received("Quectel") == "Xxxxxxx"


def test_pdu_mode_messages_are_redacted(redactor):
    """In responses, in +CMT, with URCs between header and message, and sent messages with their echo."""
    pseudonyms = redactor._pseudonyms
    raw, sent = deliver("secret"), submit("secret")
    for header in ("+CMGR: 0,,30", "+CMGL: 1,1,,30", "+CMT: ,30", '+CMT: "",30'):
        assert redactor.redact_received(header) == header
        assert redactor.redact_received("") == ""
        assert redactor.redact_received("+CREG: 1") == "+CREG: 1"
        assert pdu.decode(redactor.redact_received(raw)).text == "xxxxxx"
    assert redactor.redact_received("+CMGR: 2,,30") == "+CMGR: 2,,30"
    assert redactor.redact_received(sent) == pseudonyms.replace_message(sent, sent=True)
    assert redactor.redact_received("OK") == "OK"
    redactor.redact_sent("AT+CMGS=20\r")
    assert redactor.redact_sent(sent + "\x1a") == pseudonyms.replace_message(sent, sent=True) + "\x1a"
    assert (
        redactor.redact_received("> " + sent + "\x1a")
        == "> " + pseudonyms.replace_message(sent, sent=True) + "\x1a"
    )


def test_text_is_redacted_after_any_line(redactor):
    """In any order of lines."""
    rng = random.Random(1)
    for _ in range(2000):
        direction, text = rng.choice(CONVERSATION)
        shown = (redactor.redact_sent if direction == ">" else redactor.redact_received)(text)
        assert "Alice" not in shown, text
