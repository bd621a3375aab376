"""A masked recording shows the conversation and nothing of what was said in it."""

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
def test_a_message_still_decodes(content, shown):
    """Same length, same times, same form; other words, another number."""
    raw = deliver(content)
    masked = Pseudonyms().replace_message(raw)
    assert len(masked) == len(raw)
    message, was = pdu.decode(masked), pdu.decode(raw)
    assert (message.text if message.data is None else message.data) == shown
    assert message.user_data.length == was.user_data.length
    assert message.service_centre_timestamp == WHEN
    assert len(str(message.originating_address)) == len(NUMBER)
    assert "7700900" not in str(message.originating_address) + str(message.service_centre_address)


def test_sent_messages_parts_and_reports_too():
    """What a report says of whom, and the header of a part, are kept apart from contents."""
    pseudonyms = Pseudonyms()
    sent = pdu.decode(pseudonyms.replace_message(submit("my answer"), sent=True), direction="mo")
    assert (sent.text, sent.message_reference) == ("xx xxxxxx", 7)
    part = pdu.segment("secret " * 30, reference=9)[0]
    message = pdu.Deliver(pdu.Address.parse(NUMBER), WHEN, part)
    masked = pdu.decode(pseudonyms.replace_message(pdu.encode(message).hex))
    assert masked.concatenation == part.concatenation
    assert masked.text == part.text.replace("secret", "xxxxxx").replace("secre", "xxxxx").replace(
        "sec", "xxx"
    )
    report = pdu.StatusReport(7, pdu.Address.parse(NUMBER), WHEN, WHEN, 0)
    masked = pdu.decode(pseudonyms.replace_message(pdu.encode(report).hex))
    assert masked.recipient_address == sent.destination_address
    assert masked.status == 0


def test_who_is_who_can_still_be_seen():
    """One number, one stand-in, wherever it stands; short codes stay."""
    pseudonyms = Pseudonyms()
    first = pseudonyms.replace_number(NUMBER)
    assert first == pseudonyms.replace_number(NUMBER) == "+" + pseudonyms.replace_number(NUMBER[1:])
    assert pseudonyms.replace_number(first) == first
    assert pseudonyms.replace_number(OTHER) != first
    assert [pseudonyms.replace_number(each) for each in ("000", "2936", "")] == ["000", "2936", ""]
    assert pseudonyms.replace_number("8988307000000000024").startswith("89")


def test_damaged_messages_show_nothing():
    """What cannot be read is not handed on."""
    for raw in ("00", "FFFFFFFFFFFF", deliver("secret")[:-2], deliver("secret") + "00"):
        assert set(Pseudonyms().replace_message(raw)) == {"0"}


@pytest.mark.parametrize(
    "data",
    [
        pdu.UserData(b"\xffsecret", 7, pdu.Alphabet.OCTETS, has_header=True),
        pdu.UserData(b"secret", 6, pdu.Alphabet.GSM7, compressed=True),
    ],
)
def test_what_cannot_be_told_from_its_header_shows_nothing(data):
    """Compressed contents, and a header that runs past its end."""
    scheme = 0x20 if data.compressed else 0x04
    message = pdu.Deliver(pdu.Address.parse(NUMBER), WHEN, data, data_coding_scheme=scheme)
    raw = pdu.encode(message).hex
    assert b"secret".hex() in raw
    assert set(Pseudonyms().replace_message(raw)) == {"0"}


@given(st.binary(max_size=60))
def test_any_digits_keep_their_length(data):
    """Whatever is taken for a message."""
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


def test_nothing_personal_is_left(redactor):
    """Names, texts, numbers and places, in every form in which a module shows them; lengths stay."""
    for direction, said in CONVERSATION:
        shown = (redactor.redact_sent if direction == ">" else redactor.redact_received)(said)
        assert len(shown) == len(said)
        for word in FORBIDDEN:
            assert word not in shown, (said, shown)


@pytest.mark.parametrize(
    "said",
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
def test_what_tells_of_the_module_stays(redactor, said):
    """A recording is for finding out what a strange module does."""
    assert redactor.redact_received(said) == said


def test_the_module_may_tell_what_it_is(redactor):
    """Model and revision in the clear; what follows is masked again."""
    redactor.redact_sent("ATI\r")
    for line in ("Quectel", "EC25", "Revision: EC25EFAR06A01M4G"):
        assert redactor.redact_received(line) == line
    assert redactor.redact_received("IMEI: 359990000000008") != "IMEI: 359990000000008"
    redactor.redact_sent("AT+CMGF=1\r")
    assert redactor.redact_received("Quectel") == "Xxxxxxx"


def test_a_message_in_pdu_mode(redactor):
    """In answers, by itself, with news between header and message, and what we send with its echo."""
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


def test_no_order_of_lines_leaks(redactor):
    """Whatever stands before it, a line of free text is not shown."""
    rng = random.Random(1)
    for _ in range(2000):
        direction, said = rng.choice(CONVERSATION)
        shown = (redactor.redact_sent if direction == ">" else redactor.redact_received)(said)
        assert "Alice" not in shown, said
