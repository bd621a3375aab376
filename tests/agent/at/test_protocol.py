"""The protocol: the same bytes give the same events, however they are cut and whatever comes in between."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.errors import AtUsageError
from agent.at.events import FinalResult, Information, Noise, NoiseKind, Prompt, StaleResult, Unsolicited
from agent.at.protocol import MAX_LINE_BYTES, AtProtocol

PDU = "079144770009000004038100F000006290124131020002E834"
PDU2 = "07914477000900000404819263000062901241310200047076D80D"
BODY = "001100048192630000A705CF25287603"
URC = '+CMTI: "ME",4'

READ = AtCommand(
    "AT+CMGR=3", 10, (ResponsePattern("+CMGR", payload_kind=PayloadKind.HEX_LINE),), requires_information=True
)
LIST = AtCommand(
    "AT+CMGL=4", 60, (ResponsePattern("+CMGL", payload_kind=PayloadKind.HEX_LINE, may_repeat=True),)
)
DELETE = AtCommand("AT+CMGD=3", 30)
REGISTRATION = AtCommand(
    "AT+CREG?",
    10,
    (ResponsePattern("+CREG", re.compile(r"\d\s*,\s*\d{1,2}\s*(,|$)")),),
    requires_information=True,
)
PIN = AtCommand("AT+CPIN?", 10, (ResponsePattern("+CPIN"),), requires_information=True)
MODEL = AtCommand("AT+CGMM", 10, (ResponsePattern("+CGMM"), ResponsePattern()))
SEND = AtCommand(
    "AT+CMGS=15", 10, (ResponsePattern("+CMGS"),), True, body=f"{BODY}\x1a".encode(), body_timeout_s=120
)
SYNC_MARKER = AtCommand("AT+CMEE?", 2, (ResponsePattern("+CMEE"),), True, is_sync_marker=True)

OK = FinalResult("OK", ok=True)
ERROR = FinalResult("ERROR", ok=False)


def cms(code, name, text=None):
    return FinalResult(text or f"+CMS ERROR: {code}", ok=False, kind="cms", code=code, name=name)


def info(text, payload=None):
    return Information(text, payload)


def urc(text, payload=None):
    return Unsolicited(text, payload)


# Steps are received bytes, sent commands, "body", and "abandon".
TRANSCRIPTS = {
    "information and OK": ([PIN, b"\r\n+CPIN: READY\r\n\r\nOK\r\n"], [info("+CPIN: READY"), OK]),
    "URC before the answer": (
        [REGISTRATION, b"\r\n+CREG: 5\r\n\r\n+CREG: 1,1\r\n\r\nOK\r\n"],
        [urc("+CREG: 5"), info("+CREG: 1,1"), OK],
    ),
    "URC before a refusal": (
        [REGISTRATION, b"\r\n+CREG: 5\r\n\r\nERROR\r\n"],
        [urc("+CREG: 5"), ERROR],
    ),
    "URC in an abandoned command": (
        [REGISTRATION, b"\r\n+CREG: 5\r\n", "abandon", SYNC_MARKER, b"\r\n+CMEE: 1\r\n\r\nOK\r\n"],
        [urc("+CREG: 5"), info("+CMEE: 1"), OK],
    ),
    "free text of several lines": (
        [MODEL, b"\r\nX\r\n+GCAP: +CGSM\r\n^HWVER: 1\r\n\r\nOK\r\n"],
        [info("X"), info("+GCAP: +CGSM"), info("^HWVER: 1"), OK],
    ),
    "URCs in free text": (
        [MODEL, b'\r\nX\r\n+CMTI: "ME",4\r\n+CREG: 5\r\nRING\r\nRDY\r\n+GCAP: +CGSM\r\n\r\nOK\r\n'],
        [info("X"), urc(URC), urc("+CREG: 5"), urc("RING"), urc("RDY"), info("+GCAP: +CGSM"), OK],
    ),
    "OK alone": ([DELETE, b"\r\nOK\r\n"], [OK]),
    "echo on": ([DELETE, b"AT+CMGD=3\r\r\nOK\r\n"], [OK]),
    "echo with blanks": ([DELETE, b"AT +CMGD = 3\r\r\nOK\r\n"], [OK]),
    "CR only": ([PIN, b"+CPIN: READY\rOK\r"], [info("+CPIN: READY"), OK]),
    "LF CR": ([PIN, b"\n\r+CPIN: READY\n\r\n\rOK\n\r"], [info("+CPIN: READY"), OK]),
    "LF only": ([PIN, b"\n+CPIN: READY\nOK\n"], [info("+CPIN: READY"), OK]),
    "numeric OK": ([PIN, b"+CPIN: READY\r\n0\r"], [info("+CPIN: READY"), FinalResult("0", ok=True)]),
    "numeric ERROR": ([DELETE, b"4\r"], [FinalResult("4", ok=False)]),
    "numeric +CMS ERROR": ([READ, b"+CMS ERROR: 321\r"], [cms(321, "invalid memory index")]),
    "numeric after a payload": (
        [READ, f"+CMGR: 0,,17\r\n{PDU}\r\n0\r".encode()],
        [info("+CMGR: 0,,17", PDU), FinalResult("0", ok=True)],
    ),
    "a digit is not a result after words": (
        [DELETE, b"\r\nOK\r\n", DELETE, b"\r\n0\r\n\r\nOK\r\n"],
        [OK, urc("0"), OK],
    ),
    "payload": (
        [READ, f"\r\n+CMGR: 0,,17\r\n{PDU}\r\n\r\nOK\r\n".encode()],
        [info("+CMGR: 0,,17", PDU), OK],
    ),
    "no blank after the colon": (
        [READ, f"\r\n+CMGR:0,,17\r\n{PDU}\r\n\r\nOK\r\n".encode()],
        [info("+CMGR:0,,17", PDU), OK],
    ),
    "empty lines between header and payload": (
        [READ, f"\r\n+CMGR: 0,,17\r\n\r\n\r\n{PDU}\r\nOK\r\n".encode()],
        [info("+CMGR: 0,,17", PDU), OK],
    ),
    "payload missing": ([READ, b"\r\n+CMGR: 0,,0\r\n\r\nOK\r\n"], [info("+CMGR: 0,,0"), OK]),
    "payload that is not a PDU": (
        [READ, b"\r\n+CMGR: 0,,33\r\nZZ0791\r\n\r\nOK\r\n"],
        [info("+CMGR: 0,,33", "ZZ0791"), OK],
    ),
    "payload with an odd number of digits": (
        [READ, b"\r\n+CMGR: 0,,33\r\n079\r\n\r\nOK\r\n"],
        [info("+CMGR: 0,,33", "079"), OK],
    ),
    "unknown words before the payload": (
        [READ, f"\r\n+CMGR: 0,,17\r\nhello there\r\n{PDU}\r\n\r\nOK\r\n".encode()],
        [urc("hello there"), info("+CMGR: 0,,17", PDU), OK],
    ),
    "a list": (
        [LIST, f"\r\n+CMGL: 1,1,,17\r\n{PDU}\r\n+CMGL: 2,1,,19\r\n{PDU2}\r\n\r\nOK\r\n".encode()],
        [info("+CMGL: 1,1,,17", PDU), info("+CMGL: 2,1,,19", PDU2), OK],
    ),
    "one bad entry hides no other": (
        [LIST, f"\r\n+CMGL: 1,1,,17\r\n!?\r\n+CMGL: 2,1,,0\r\n+CMGL: 3,1,,19\r\n{PDU2}\r\nOK\r\n".encode()],
        [info("+CMGL: 1,1,,17", "!?"), info("+CMGL: 2,1,,0"), info("+CMGL: 3,1,,19", PDU2), OK],
    ),
    "an empty list": ([LIST, b"\r\nOK\r\n"], [OK]),
    "URCs in every place": (
        [
            READ,
            f'\r\n^RSSI:3\r\n\r\n+CMTI: "ME",4\r\n\r\n+CMGR: 0,,17\r\nRING\r\n{PDU}\r\n'
            f"\r\n+CREG: 1\r\n\r\nOK\r\n\r\nNO CARRIER\r\n".encode(),
        ],
        [
            *(urc("^RSSI:3"), urc(URC), urc("RING"), info("+CMGR: 0,,17", PDU), urc("+CREG: 1"), OK),
            urc("NO CARRIER"),
        ],
    ),
    "URC with payload inside an answer with payload": (
        [READ, f"\r\n+CMGR: 0,,17\r\n+CMT: ,19\r\n{PDU2}\r\n{PDU}\r\n\r\nOK\r\n".encode()],
        [urc("+CMT: ,19", PDU2), info("+CMGR: 0,,17", PDU), OK],
    ),
    "direct delivery": (
        [f'\r\n+CMT: ,17\r\n{PDU}\r\n\r\n+CDS: 21\r\n{PDU2}\r\n\r\n+CMT: "",17\r\n{PDU}\r\n'.encode()],
        [urc("+CMT: ,17", PDU), urc("+CDS: 21", PDU2), urc('+CMT: "",17', PDU)],
    ),
    "+CMT without a length": ([f"\r\n+CMT: \r\n{PDU}\r\n".encode()], [urc("+CMT:", PDU)]),
    "+CMT whose payload is missing": (
        [f"\r\n+CMT: ,17\r\n\r\n+CMT: ,19\r\n{PDU2}\r\n".encode()],
        [urc("+CMT: ,17"), urc("+CMT: ,19", PDU2)],
    ),
    "+CMT while a command is written": (
        [b"\r\n+CMT: ,17\r\n", DELETE, f"{PDU}\r\n\r\nOK\r\n".encode()],
        [urc("+CMT: ,17", PDU), OK],
    ),
    "echo cut by a URC": (
        [DELETE, b'AT+CM\r\n+CMTI: "ME",4\r\nGD=3\r\r\nOK\r\n'],
        [urc(URC), OK],
    ),
    "URC joined to noise": (
        [b'\xf8\x80\r\n+CMTI: "ME",4\r\n', b'\xf8\x80+CMTI: "ME",4\r\n', b'x\xf8y\x80+CMTI: "ME",4\r\n'],
        [
            Noise(NoiseKind.NON_TEXT, b"\xf8\x80"),
            urc(URC),
            Noise(NoiseKind.NON_TEXT, b"\xf8\x80"),
            urc(URC),
            Noise(NoiseKind.NON_TEXT, b"x\xf8y\x80"),
            urc(URC),
        ],
    ),
    "result joined to noise": (
        [DELETE, b"\x00\xff\xf8\xe6OK\r\n"],
        [Noise(NoiseKind.NON_TEXT, b"\x00\xff\xf8\xe6"), OK],
    ),
    "noise alone": (
        [DELETE, b"\x00\xff\xf8\xe6\x80\x98\xfe\x00\r\nOK\r\n"],
        [Noise(NoiseKind.NON_TEXT, b"\x00\xff\xf8\xe6\x80\x98\xfe\x00"), OK],
    ),
    "a name in another character set": (
        [
            AtCommand("AT+COPS?", 10, (ResponsePattern("+COPS"),), True),
            '\r\n+COPS: 0,0,"Movil é",7\r\n\r\nOK\r\n'.encode("latin-1"),
        ],
        [info('+COPS: 0,0,"Movil é",7'), OK],
    ),
    "the read form has the number of the setting first": (
        [REGISTRATION, b"\r\n+CREG: 5\r\n\r\n+CREG: 1,5\r\n\r\n+CREG: 3\r\n\r\nOK\r\n"],
        [urc("+CREG: 5"), info("+CREG: 1,5"), urc("+CREG: 3"), OK],
    ),
    "registration URC with a cell is not an answer": (
        [
            REGISTRATION,
            b'\r\n+CREG: 5,"1A2B","0012C0DE",7\r\n\r\n+CREG: 2,5,"1A2B","0012C0DE",7\r\n\r\nOK\r\n',
        ],
        [urc('+CREG: 5,"1A2B","0012C0DE",7'), info('+CREG: 2,5,"1A2B","0012C0DE",7'), OK],
    ),
    "the first line of a name is the answer, the second is a URC": (
        [PIN, b"\r\n+CPIN: SIM PIN\r\n\r\n+CPIN: READY\r\n\r\nOK\r\n"],
        [info("+CPIN: SIM PIN"), urc("+CPIN: READY"), OK],
    ),
    "data after OK": (
        [AtCommand("AT+CREG=2", 10), b'\r\nOK\r\n\r\n+CREG: 5,"25FF","825E"\r\n'],
        [OK, urc('+CREG: 5,"25FF","825E"')],
    ),
    "an answer without a name": ([MODEL, b"\r\nSIM7600G-H\r\n\r\nOK\r\n"], [info("SIM7600G-H"), OK]),
    "URC beside an answer without a name": (
        [MODEL, b'\r\nRDY\r\n\r\nSIM7600G-H\r\n\r\n+CMTI: "ME",4\r\n\r\nOK\r\n'],
        [urc("RDY"), info("SIM7600G-H"), urc(URC), OK],
    ),
    "an answer that begins like a prompt": ([MODEL, b"\r\n> 9000\r\n\r\nOK\r\n"], [info("> 9000"), OK]),
    "errors in every style": (
        [
            *(DELETE, b"\r\nERROR\r\n", DELETE, b"\r\n+CMS ERROR: 500\r\n"),
            *(DELETE, b"\r\n+CMS ERROR: unknown error\r\n", DELETE, b"\r\n+CME ERROR: SIM busy\r\n"),
            *(DELETE, b"\r\n+CME ERROR: 3517\r\n", DELETE, b"\r\nCOMMAND NOT SUPPORT\r\n"),
            *(DELETE, b"\r\n+CMS ERROR:500\r\n", DELETE, b"\r\n+CMS ERROR: no sparrows\r\n"),
            *(DELETE, b"\r\n+EXT ERROR: 3\r\n", DELETE, b"\r\nMODEM ERROR: 7\r\n"),
        ],
        [
            ERROR,
            cms(500, "unknown error"),
            cms(500, "unknown error", "+CMS ERROR: unknown error"),
            FinalResult("+CME ERROR: SIM busy", ok=False, kind="cme", code=14, name="SIM busy"),
            FinalResult("+CME ERROR: 3517", ok=False, kind="cme", code=3517),
            FinalResult("COMMAND NOT SUPPORT", ok=False),
            cms(500, "unknown error", "+CMS ERROR:500"),
            FinalResult("+CMS ERROR: no sparrows", ok=False, kind="cms", name="no sparrows"),
            FinalResult("+EXT ERROR: 3", ok=False),
            FinalResult("MODEM ERROR: 7", ok=False),
        ],
    ),
    "ERROR, then OK": ([READ, b"\r\nERROR\r\n\r\nOK\r\n"], [ERROR, StaleResult("OK", final=OK)]),
    "prompt of the standard": (
        [SEND, b"\r\n> ", "body", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [Prompt(), info("+CMGS: 2"), OK],
    ),
    "prompt on a line of its own": (
        [SEND, b"AT+CMGS=15\r\r\n>\r\n\r", "body", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [Prompt(), info("+CMGS: 2"), OK],
    ),
    "prompt without a line before it": (
        [SEND, b">", "body", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [Prompt(), info("+CMGS: 2"), OK],
    ),
    "prompt whose blank is late": (
        [SEND, b"\r\n>", "body", b" ", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [Prompt(), info("+CMGS: 2"), OK],
    ),
    "prompt after noise": (
        [SEND, b"\r\n\xfe\x80> ", "body", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [Noise(NoiseKind.NON_TEXT, b"\xfe\x80"), Prompt(), info("+CMGS: 2"), OK],
    ),
    "URC before the prompt": (
        [SEND, b'\r\n+CMTI: "ME",4\r\n\r\n> ', "body", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [urc(URC), Prompt(), info("+CMGS: 2"), OK],
    ),
    "body echoed": (
        [SEND, b"AT+CMGS=15\r\r\n> ", "body", f"{BODY}\x1a\r\n+CMGS: 3\r\n\r\nOK\r\n".encode()],
        [Prompt(), info("+CMGS: 3"), OK],
    ),
    "body echoed without its end": (
        [SEND, b"AT+CMGS=15\r\r\n> ", "body", f"{BODY}\r\n+CMGS: 3\r\n\r\nOK\r\n".encode()],
        [Prompt(), info("+CMGS: 3"), OK],
    ),
    "error in place of the prompt": (
        [SEND, b"\r\n+CMS ERROR: 302\r\n"],
        [cms(302, "operation not allowed")],
    ),
    "an OK before the body is not the result of the send": (
        [SEND, b"\r\nOK\r\n\r\n+CMGS: 9\r\n\r\n> ", "body", b"\r\n+CMGS: 2\r\n\r\nOK\r\n"],
        [StaleResult("OK", final=OK), urc("+CMGS: 9"), Prompt(), info("+CMGS: 2"), OK],
    ),
    "OK without +CMGS": ([SEND, b"\r\n> ", "body", b"\r\nOK\r\n"], [Prompt(), OK]),
    "a late result ends nothing before the mark": (
        [DELETE, "abandon", SYNC_MARKER, b"\r\nOK\r\n\r\n+CMS ERROR: 321\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n"],
        [
            StaleResult("OK", final=OK),
            StaleResult("+CMS ERROR: 321", final=cms(321, "invalid memory index")),
            info("+CMEE: 1"),
            OK,
        ],
    ),
    "a late answer with payload": (
        [
            READ,
            "abandon",
            SYNC_MARKER,
            f"\r\n+CMGR: 0,,17\r\n{PDU}\r\n\r\nOK\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n".encode(),
        ],
        [StaleResult("+CMGR: 0,,17", PDU), StaleResult("OK", final=OK), info("+CMEE: 1"), OK],
    ),
    "a late prompt": (
        [SEND, "abandon", SYNC_MARKER, b"\r\n> ", b"\r\nOK\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n"],
        [StaleResult(">", is_prompt=True), StaleResult("OK", final=OK), info("+CMEE: 1"), OK],
    ),
    "an unexpected prompt": (
        [b"\r\n> ", DELETE, b"\r\nOK\r\n"],
        [StaleResult(">", is_prompt=True), OK],
    ),
    "entries without a line end between them": (
        [LIST, f"\r\n+CMGL: 1,0,,17\r\n{PDU}+CMGL: 2,0,,18\r\n{PDU2}\r\n\r\nOK\r\n".encode()],
        [
            info("+CMGL: 1,0,,17", PDU),
            Noise(NoiseKind.JOINED_LINES, b"+CMGL: 2,0,,18"),
            info("+CMGL: 2,0,,18", PDU2),
            OK,
        ],
    ),
    "a header and its payload in one line": (
        [READ, f"\r\n+CMGR: 0,,17{PDU}\r\n\r\nOK\r\n".encode()],
        [Noise(NoiseKind.JOINED_LINES, PDU[:48].encode()), info("+CMGR: 0,,17", PDU), OK],
    ),
    "values behind a payload": (
        [READ, f"\r\n+CMGR: 0,,17\r\n{PDU},0\r\n\r\nOK\r\n".encode()],
        [info("+CMGR: 0,,17", PDU), OK],
    ),
    "a payload without a header": (
        [f"\r\n{PDU}\r\n".encode()],
        [urc("", PDU)],
    ),
    "a command of another program": (
        [DELETE, b"AT+GCAP\r\r\nOK\r\n"],
        [Noise(NoiseKind.FOREIGN_COMMAND, b"AT+GCAP"), OK],
    ),
    "a line without end": (
        [DELETE, b"x" * (MAX_LINE_BYTES + 500), b"\r\nOK\r\n"],
        [Noise(NoiseKind.UNTERMINATED_LINE, b"x" * 48), OK],
    ),
    "a line without end, then a URC": (
        [b"+" * (3 * MAX_LINE_BYTES) + b'\r\n+CMTI: "ME",4\r\n'],
        [Noise(NoiseKind.UNTERMINATED_LINE, b"+" * 48), urc(URC)],
    ),
    "lines that break naive parsers": (
        [
            b'\r\n+CMTI: "SM"\r\n\r\n+CMTI: x,y\r\n\r\n+CMGR: ,,\r\n\r\n+CREG: "\r\n\x00\r\n',
            b'\r\n+CMTI: "ME",4\r\n',
        ],
        [
            *(urc('+CMTI: "SM"'), urc("+CMTI: x,y"), urc("+CMGR: ,,"), urc('+CREG: "')),
            Noise(NoiseKind.NON_TEXT, b"\x00"),
            urc(URC),
        ],
    ),
}


def replay(steps, cut):
    """Return the events of a transcript whose bytes are cut by one of the ways."""
    protocol, events = AtProtocol(), []
    for step in steps:
        match step:
            case AtCommand():
                protocol.send_command(step)
            case "body":
                protocol.send_body()
            case "abandon":
                protocol.abandon()
            case _:
                for piece in cut(step):
                    events += protocol.receive_data(piece)
    return events


@pytest.mark.parametrize(("steps", "events"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_transcripts_in_every_cut(steps, events, split_all_ways):
    """Each transcript gives its events for every way to cut the bytes."""
    for way, _ in split_all_ways(b"x"):
        assert replay(steps, lambda octets, way=way: dict(split_all_ways(octets))[way]) == events, way


INTERRUPTIBLE_TRANSCRIPTS = [
    name
    for name, (steps, events) in TRANSCRIPTS.items()
    # An overlong line, and half an echo, have no line boundary.
    if not any(isinstance(event, Noise) for event in events) and "cut by" not in name and "late" not in name
]


INTERLEAVED_URCS = ['+CMTI: "SM",9', "^RSSI:7", "BUSY", "+CREG: 4", f"+CMT: ,99\r\n{PDU}"]


@pytest.mark.parametrize(
    ("name", "interleaved"),
    [
        (name, interleaved)
        for name in INTERRUPTIBLE_TRANSCRIPTS
        for interleaved in INTERLEAVED_URCS
        # Which payload belongs to which of two URCs cannot be determined.
        if not (
            "+CMT" in interleaved
            and any(isinstance(event, Unsolicited) and event.payload for event in TRANSCRIPTS[name][1])
        )
    ],
)
def test_urc_at_every_line_boundary(name, interleaved):
    """A URC between any two lines is reported as a URC and changes nothing else."""
    steps, events = TRANSCRIPTS[name]
    octets = f"\r\n{interleaved}\r\n".encode()
    expected = Unsolicited(interleaved.partition("\r\n")[0], interleaved.partition("\r\n")[2] or None)
    for number, step in enumerate(steps):
        if not isinstance(step, bytes):
            continue
        places = [0, *(match.end() for match in re.finditer(rb"\r\n|\n\r|\r(?!\n)", step))]
        for place in places:
            injected = [*steps[:number], step[:place] + octets + step[place:], *steps[number + 1 :]]
            replayed = replay(injected, lambda piece: [piece])
            assert expected in replayed, (place, step)
            replayed.remove(expected)
            assert replayed == events, (place, step)


def test_non_text_payload_is_kept_if_no_better_comes():
    """Text in 8 bits under a header without a length is all there is of the message."""
    header = '+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00"'
    protocol = AtProtocol()
    protocol.send_command(READ)
    events = protocol.receive_data(f"{header}\r\ncaf\xe9 on\r\n\r\nOK\r\n".encode("latin-1"))
    assert [event for event in events if isinstance(event, Information)] == [
        Information(header, "caf\xe9 on")
    ]
    protocol.send_command(READ)
    events = protocol.receive_data(b"+CMGR: 0,,17\r\n\xe9\xff\r\n" + PDU.encode() + b"\r\n\r\nOK\r\n")
    assert [event for event in events if isinstance(event, Information)] == [Information("+CMGR: 0,,17", PDU)]


def test_sent_bytes_of_command_and_body():
    """The command line with CR is sent once; the body follows the prompt with its own end."""
    protocol = AtProtocol()
    protocol.send_command(SEND)
    assert protocol.data_to_send() == b"AT+CMGS=15\r"
    assert protocol.data_to_send() == b""
    protocol.receive_data(b"\r\n> ")
    protocol.send_body()
    assert protocol.data_to_send() == BODY.encode() + b"\x1a"


def test_unexpected_prompt_is_answered_by_esc():
    """Text entry by mistake is closed before it can swallow a command, and never by Ctrl-Z."""
    protocol = AtProtocol()
    protocol.send_command(SEND)
    protocol.abandon()
    protocol.data_to_send()
    protocol.receive_data(b"\r\n> ")
    assert protocol.data_to_send() == b"\x1b"


def test_body_needs_a_prompt():
    """The body is never sent as a command, nor twice."""
    protocol = AtProtocol()
    protocol.send_command(SEND)
    with pytest.raises(AtUsageError):
        protocol.send_body()
    protocol.receive_data(b"> ")
    protocol.send_body()
    with pytest.raises(AtUsageError):
        protocol.send_body()


def test_second_command_while_one_is_pending():
    """A second command is an error of the caller."""
    protocol = AtProtocol()
    protocol.send_command(DELETE)
    with pytest.raises(AtUsageError):
        protocol.send_command(DELETE)


def test_echo_is_detected():
    """An echo that returns shows that the module has lost its settings."""
    protocol = AtProtocol()
    protocol.send_command(DELETE)
    protocol.receive_data(b"\r\nOK\r\n")
    assert not protocol.echo_seen
    protocol.send_command(DELETE)
    protocol.receive_data(b"AT+CMGD=3\r\r\nOK\r\n")
    assert protocol.echo_seen


def test_marker_ends_the_unsynchronised_state():
    """After the information line of a synchronisation query results belong to the present again."""
    protocol = AtProtocol()
    protocol.send_command(DELETE)
    protocol.abandon()
    protocol.send_command(SYNC_MARKER)
    [late] = protocol.receive_data(b"\r\nOK\r\n")
    assert isinstance(late, StaleResult)
    protocol.receive_data(b"\r\n+CMEE: 1\r\n")
    [final] = protocol.receive_data(b"\r\nOK\r\n")
    assert isinstance(final, FinalResult)


def test_answer_in_an_odd_form():
    """The last line with the name of the answer is the answer, if OK comes and no other line was."""
    steps = [REGISTRATION, b"\r\n+CREG: 5\r\n\r\n+CREG: 000,001\r\n\r\nOK\r\n"]
    for cut in (lambda piece: [piece], lambda piece: [bytes((octet,)) for octet in piece]):
        assert replay(steps, cut) == [urc("+CREG: 5"), info("+CREG: 000,001"), OK]


@pytest.mark.parametrize("line", ["AT+X\r", "AT+X\x1a", "ATé", "", "at+x", "AT" + "1" * 300, "AT\nAT"])
def test_invalid_command_line_is_rejected(line):
    """Nothing that could end a line or text entry gets into a command."""
    with pytest.raises(AtUsageError):
        AtCommand(line, 1)


def test_typed_command_accepts_every_line():
    """The answer to an operator's command is every line that is not a known URC."""
    steps = [
        AtCommand.from_user_input("AT+CGDCONT?", 10),
        b'\r\n+CGDCONT: 1,"IP","super"\r\n+CGDCONT: 2,"IP",""\r\nand more\r\n\r\n+CMTI: "ME",4\r\n\r\nOK\r\n',
    ]
    assert replay(steps, lambda octets: [octets]) == [
        *(info('+CGDCONT: 1,"IP","super"'), info('+CGDCONT: 2,"IP",""'), info("and more"), urc(URC), OK)
    ]


OCTET_SEQUENCES = st.sampled_from(
    [
        *(
            b"\r",
            b"\n",
            b"\r\n",
            b"OK",
            b"ERROR",
            b"> ",
            b">",
            b" ",
            b"\x1a",
            b"\x1b",
            b"\x00",
            b"\xff\xfe",
            b"0",
            b"4",
        ),
        *(
            b"+CMGR: 0,,17",
            b"+CMGL: 1,1,,17",
            b"+CMTI: ",
            b'"ME",4',
            b"+CMT: ,17",
            b"+CREG: 1,5",
            b"+CREG: 5",
        ),
        *(
            b"+CMS ERROR: 321",
            b"AT+CMGR=3",
            b"AT+",
            b"RING",
            b"RDY",
            PDU.encode(),
            BODY.encode(),
            b"ZZ",
            b"+CMGS: 2",
        ),
        *(b"+CMEE: 1", b"x" * (MAX_LINE_BYTES - 3), b"\xe9"),
    ]
)


@given(
    octets=st.lists(OCTET_SEQUENCES | st.binary(max_size=4), max_size=30).map(b"".join),
    command=st.sampled_from([None, READ, LIST, DELETE, REGISTRATION, MODEL, SEND, SYNC_MARKER]),
    is_abandoned=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes(octets, command, is_abandoned, chance):
    """Nothing raises, every cut gives the same events and bytes to send, and buffers stay bounded."""

    def receive(pieces):
        protocol, events = AtProtocol(), []
        if is_abandoned:
            protocol.send_command(SEND)
            protocol.abandon()
        if command is not None:
            protocol.send_command(command)
        for piece in pieces:
            events += protocol.receive_data(piece)
            assert len(protocol.partial_line) <= MAX_LINE_BYTES
        return events, protocol.data_to_send()

    pieces, rest = [], octets
    while rest:
        size = chance.randint(1, 9)
        pieces.append(rest[:size])
        rest = rest[size:]
    expected = receive([octets])
    assert receive(pieces) == expected
    if len(octets) < 2000:
        assert receive([octets[place : place + 1] for place in range(len(octets))]) == expected


@pytest.mark.parametrize(("body", "result"), [("0011", "0"), ("4F4B", "4")])
def test_digit_after_the_body_is_a_result(body, result):
    """A digit may be how the body begins, too: it is the result, not a piece of the echo."""
    protocol = AtProtocol()
    protocol.send_command(
        AtCommand("AT+CMGS=1", 10, (ResponsePattern("+CMGS"),), body=f"{body}\x1a".encode(), body_timeout_s=9)
    )
    assert protocol.receive_data(b"> ") == [Prompt()]
    protocol.send_body()
    assert protocol.receive_data(f"{result}\r".encode()) == [FinalResult(result, ok=result == "0")]
