"""Text mode: a payload that the header counts is taken as it is, however the bytes are cut."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.events import FinalResult, Information, StaleResult, Unsolicited
from agent.at.line_parser import counted_payload_size, parse_text_mode_header
from agent.at.protocol import AtProtocol

READ = AtCommand(
    "AT+CMGR=1", 10, (ResponsePattern("+CMGR", payload_kind=PayloadKind.COUNTED),), requires_information=True
)
LIST = AtCommand(
    'AT+CMGL="ALL"', 10, (ResponsePattern("+CMGL", payload_kind=PayloadKind.COUNTED, may_repeat=True),)
)
TEXT_MODE_URC_PAYLOADS = dict.fromkeys(("+CMT", "+CDS", "+CBM"), PayloadKind.COUNTED)
OK = FinalResult("OK", ok=True)
PDU = "079144770009000004038100F000006290124131020002E834"
HEADER = '"000",,"26/09/21,14:13:20+00",129,4,0,0,"+447700900000",145,{}'
CMGR = '+CMGR: "REC UNREAD",' + HEADER
CMT = "+CMT: " + HEADER
STATUS_REPORT_VALUES = '6,7,"000",129,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0'

PROTOCOL_LIKE_TEXTS = [
    "OK",
    "ERROR",
    '+CMTI: "SM",9',
    "> ",
    ">",
    "+CMGR: 0,,20",
    "RING",
    "NO CARRIER",
    "",
    "\r\n",
    "0",
    "AT",
]


def receive_pieces(pieces, command=READ):
    """Return the events of these pieces."""
    protocol = AtProtocol()
    protocol.set_urc_payloads(TEXT_MODE_URC_PAYLOADS)
    if command is not None:
        protocol.send_command(command)
        protocol.data_to_send()
    events = []
    for piece in pieces:
        events += protocol.receive_data(piece)
    return events


def receive_in_every_cut(octets, command=READ):
    """Return the events, which must be the same whole, one by one, and cut in two anywhere."""
    events = receive_pieces([octets], command)
    assert receive_pieces([octets[at : at + 1] for at in range(len(octets))], command) == events
    for at in range(len(octets)):
        assert receive_pieces([octets[:at], octets[at:]], command) == events
    return events


def make_read_response(text, length=None, end="\r\n"):
    """Return the header, and the bytes of a +CMGR answer as in 27.005."""
    header = CMGR.format(len(text) if length is None else length)
    return header, f"{end}{header}{end}{text}{end}{end}OK{end}".encode("latin-1")


@pytest.mark.parametrize("text", PROTOCOL_LIKE_TEXTS)
def test_text_like_protocol_is_payload(text):
    """Nothing in a counted payload is a result code, a prompt, or a URC."""
    header, octets = make_read_response(text)
    assert receive_in_every_cut(octets) == [Information(header, text), OK]


@pytest.mark.parametrize("end", ["\r\n", "\n\r", "\r", "\n"])
def test_line_ends_in_payload_are_kept(end):
    """Several lines and empty lines are kept, for every order of line ends."""
    header, octets = make_read_response("set 1\r\nOK\r\n\r\nthird\rfourth\nend", end=end)
    assert receive_in_every_cut(octets) == [Information(header, "set 1\r\nOK\r\n\r\nthird\rfourth\nend"), OK]


@pytest.mark.parametrize("end", ["\r", "\n"])
def test_payload_that_begins_with_a_line_end(end):
    """If one character ends a line, a second one belongs to the text."""
    header, octets = make_read_response(f"{end}x", end=end)
    assert receive_in_every_cut(octets) == [Information(header, f"{end}x"), OK]


def test_control_characters_in_payload():
    """NUL, XON, ESC and Ctrl-Z are characters of the GSM alphabet."""
    text = bytes(range(128)).decode("latin-1")
    header, octets = make_read_response(text)
    assert receive_in_every_cut(octets) == [Information(header, text), OK]


@pytest.mark.parametrize(
    ("digits", "length"), [("0102FF", 3), ("0102FF", 6), ("00680069", 2), ("00680069", 4)]
)
def test_length_of_hexadecimal_payload(digits, length):
    """The module may count octets, digits or characters."""
    header, octets = make_read_response(digits, length)
    assert receive_in_every_cut(octets) == [Information(header, digits), OK]


def test_urcs_with_payload():
    """Both forms of URCs with a payload, beside an answer; a status report is one line."""
    first, report = CMT.format(2), f"+CDS: {STATUS_REPORT_VALUES}"
    octets = f"\r\n{first}\r\nOK\r\n\r\n{report}\r\n\r\n+CDS: 21\r\n{PDU}\r\n\r\n+CMT: ,17\r\n{PDU}\r\n"
    assert receive_in_every_cut(octets.encode(), None) == [
        Unsolicited(first, "OK"),
        Unsolicited(report),
        Unsolicited("+CDS: 21", PDU),
        Unsolicited("+CMT: ,17", PDU),
    ]


def test_list_of_all_kinds():
    """Entries with one line end between them, own messages, a report, and URCs in one answer."""
    octets = (
        b'\r\n+CMGL: 1,"REC UNREAD","000",,"26/09/21,14:13:20+00",129,2\r\nhi\r\n'
        b'+CMGL: 2,"STO SENT","2936",,,129,4\r\nOK\r\n\r\n'
        b'+CMGL: 3,"REC READ",' + STATUS_REPORT_VALUES.encode() + b"\r\n"
        b'+CMTI: "ME",4\r\n'
        b'+CMGL: 4,"REC READ","000","","26/09/21,14:13:20+00",129,0\r\n\r\n\r\nOK\r\n'
    )
    assert receive_in_every_cut(octets, LIST) == [
        Information('+CMGL: 1,"REC UNREAD","000",,"26/09/21,14:13:20+00",129,2', "hi"),
        Information('+CMGL: 2,"STO SENT","2936",,,129,4', "OK\r\n"),
        Information(f'+CMGL: 3,"REC READ",{STATUS_REPORT_VALUES}'),
        Unsolicited('+CMTI: "ME",4'),
        Information('+CMGL: 4,"REC READ","000","","26/09/21,14:13:20+00",129,0', ""),
        OK,
    ]


def test_urc_between_header_and_digits():
    """If the count does not fit, hexadecimal digits are found after the URC."""
    header = CMGR.format(2)
    octets = f'\r\n{header}\r\n\r\n+CMTI: "ME",4\r\n00680069\r\n\r\nOK\r\n'.encode()
    assert receive_in_every_cut(octets) == [Unsolicited('+CMTI: "ME",4'), Information(header, "00680069"), OK]


@pytest.mark.parametrize("length", [1, 3])
def test_wrong_length(length):
    """The payload is passed on as received, and the result code is still found."""
    header, octets = make_read_response("hi", length)
    assert receive_in_every_cut(octets) == [Information(header, "hi"), OK]


def test_too_great_length_ends_with_the_command():
    """After the command was abandoned, the bytes are read line by line, and are stale."""
    protocol = AtProtocol()
    protocol.send_command(READ)
    header, octets = make_read_response("hi", 160)
    assert protocol.receive_data(octets) == []
    protocol.abandon()
    events = protocol.receive_data(b'\r\n+CMTI: "ME",4\r\n')
    assert events[:2] == [StaleResult(header, "hi"), StaleResult("OK", final=OK)]
    assert events[-1] == Unsolicited('+CMTI: "ME",4')


def test_discarded_line_ends_the_count():
    """After the partial line was discarded no payload is expected."""
    protocol = AtProtocol()
    protocol.send_command(READ)
    protocol.receive_data(f"\r\n{CMGR.format(160)}\r\n".encode())
    protocol.discard_partial_line()
    assert protocol.receive_data(b"OK\r\n") == [OK]


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (CMGR.format(41), (PayloadKind.COUNTED, 41)),
        (
            '+CMGR: "REC UNREAD","000","","26/11/21,22:30:00+00",129,4,0,0,"+1555",145,41',
            (PayloadKind.COUNTED, 41),
        ),
        ('+CMGR: "REC UNREAD","000","26/11/21,22:30:00+00",129,4,0,0,,,41', (PayloadKind.COUNTED, 41)),
        ('+CMGL: 2,"STO SENT","2936",,,129,4', (PayloadKind.COUNTED, 4)),
        (f'+CMGR: "REC READ",{STATUS_REPORT_VALUES}', (PayloadKind.NONE, 0)),
        ('+CDS: 6,7,,,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0', (PayloadKind.NONE, 0)),
        *(
            (header, (PayloadKind.HEX_LINE, 0))
            for header in (
                "+CMGR: 0,,51",
                '+CMGR: 0,"",51',
                '+CMGR: 1,"Ops",51',
                "+CMGR:0,,51",
                "+CMGL: 1,1,,17",
                "+CMT: ,17",
                '+CMT: "",70',
                "+CDS: 21",
                '+CMGL: 3,1,"Ops",51',
                '+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00"',
                CMGR.format(1025),
                "+CMGR: 0,,0",
                "+CMGR:",
            )
        ),
    ],
)
def test_payload_kind_of_headers(header, payload):
    """Headers of text mode have a count, reports are alone, headers of PDU mode precede digits."""
    assert parse_text_mode_header(header) == payload


def test_counted_payload_size():
    """The line must end right after the payload; two or four octets for each are digits only."""
    assert counted_payload_size("hi", "\r", 2) is None
    assert counted_payload_size("hi\r", "\r", 2) == 2
    assert counted_payload_size("hi\n", "\r", 2) == -1
    assert counted_payload_size("6869", "\r", 2) is None
    assert counted_payload_size("6869\r", "\r", 2) == 4
    assert counted_payload_size("68x9\r", "\r", 2) == -1
    assert counted_payload_size("00680069\r", "\r", 2) == 8


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.lists(st.integers(0, 400), max_size=6),
    st.integers(-3, 3),
)
@example("OK\r\n", [], 0)
def test_any_text_in_any_cut(text, split_all_ways, off):
    """With the right length the text is whole; with a wrong one all cuts still agree."""
    header, octets = make_read_response(text, max(len(text) + off, 0))
    events = receive_pieces([octets])
    if off == 0:
        assert events == [Information(header, text), OK]
    places = sorted({cut % (len(octets) + 1) for cut in split_all_ways})
    pieces = [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]
    assert receive_pieces(pieces) == events
