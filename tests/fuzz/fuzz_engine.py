"""Any octets from a module, while any command is pending, given up or believed over.

0xFE is followed by a step of the host: which of `COMMANDS` is written, or one of `STEPS`. Everything else is
what the module says. However it is cut, the same events and the same octets to send come of it.
"""

import re

from agent.at.command import Answer, AtCommand, Payload
from agent.at.engine import ANNOUNCED, MAX_LINE, Engine
from agent.at.error import ConversationError
from agent.at.grammar import MOST_COUNTED

PDU = "079144770009000004038100F000006290124131020002E834"
TEXT = '"REC UNREAD","000",,"26/09/21,14:13:20+00",129,4,0,0,"+447700900000",145,2'
COMMANDS = (
    AtCommand("AT", 10),
    AtCommand("AT+CMGD=3", 30),
    AtCommand("AT+CMGR=3", 10, (Answer("+CMGR", payload=Payload.HEX_LINE),), informs=True),
    AtCommand("AT+CMGL=4", 60, (Answer("+CMGL", payload=Payload.HEX_LINE, many=True),)),
    AtCommand("AT+CMGR=4", 10, (Answer("+CMGR", payload=Payload.COUNTED),), informs=True),
    AtCommand('AT+CMGL="ALL"', 60, (Answer("+CMGL", payload=Payload.COUNTED, many=True),)),
    AtCommand("AT+CREG?", 10, (Answer("+CREG", re.compile(r"\d\s*,\s*\d{1,2}\s*(,|$)")),), informs=True),
    AtCommand("AT+CGMM", 10, (Answer("+CGMM"), Answer())),
    AtCommand("AT+CMGS=15", 10, (Answer("+CMGS"),), informs=True, body=b"0011\x1a", body_timeout_s=120),
    AtCommand("AT+CMEE?", 2, (Answer("+CMEE"),), informs=True, marks=True),
    AtCommand.raw("AT+CLAC", 10),
)
STEPS = (
    lambda engine: engine.write_body(),
    lambda engine: engine.give_up(),
    lambda engine: engine.distrust(),
    lambda engine: engine.trust(),
    lambda engine: engine.forget(),
    lambda engine: engine.announce(dict.fromkeys(ANNOUNCED, Payload.COUNTED)),
    lambda engine: engine.announce(ANNOUNCED),
)
MARK = 0xFE
LONGEST_INPUT = 6000
"""Octets: beyond the longest line."""
LONGEST = max(MAX_LINE, 4 * MOST_COUNTED + 2)
"""What a line, or a counted payload of four digits a character, takes."""


def script(*parts):
    """Octets of the module, commands by their place in `COMMANDS`, steps by a negative place in `STEPS`."""
    return b"".join(
        part if isinstance(part, bytes) else bytes((MARK, part if part >= 0 else len(COMMANDS) - 1 - part))
        for part in parts
    )


BODY, GIVE_UP, DISTRUST, TRUST, FORGET, TEXT_MODE = -1, -2, -3, -4, -5, -6
SEEDS = (
    script(1, b"\r\nOK\r\n", 2, f"AT+CMGR=3\r\r\n+CMGR: 0,,17\r\n{PDU}\r\n\r\nOK\r\n".encode()),
    script(2, b"+CMGR: 0,,17\r\n", b'\r\n+CMTI: "ME",4\r\n', f"{PDU}\r\n\r\nOK\r\n".encode()),
    script(3, f"\r\n+CMGL: 1,1,,17\r\n{PDU}\r\n+CMGL: 2,1,,17\r\n{PDU}\r\n\r\nOK\r\n".encode()),
    script(TEXT_MODE, 4, f"\r\n+CMGR: {TEXT}\r\nhi\r\n\r\nOK\r\n".encode()),
    script(TEXT_MODE, b'\r\n+CMT: "000",,"26/09/21,14:13:20+00",129,4,0,0,"+4",145,2\r\nOK\r\n'),
    script(6, b'\r\n+CREG: 5,"1A2B","0012C0DE",7\r\n\r\n+CREG: 2,5\r\n0\r'),
    script(8, b"AT+CMGS=15\r\r\n> ", BODY, b"0011\x1a\r\n+CMGS: 2\r\n\r\nOK\r\n"),
    script(8, GIVE_UP, 9, b"\r\n> ", b"\r\nOK\r\n+CMEE: 1\r\n\r\nOK\r\n", TRUST),
    script(8, GIVE_UP, DISTRUST, 10, b"+CLAC\r\n+CMS ERROR: 38\r\n", FORGET, b"\xf8\xe6\x80RDY\n\r"),
    script(f"\r\n+CMT: ,17\r\n{PDU}\r\n+CDS: 21\r\n{PDU}\r\n+CME ERROR: SIM busy\r\n4\r".encode()),
)


def run(data):
    """Play it whole and octet by octet."""
    steps = list(_steps(data))
    assert _listen(steps, 1) == _listen(steps, 1 << 30)


def _steps(data):
    first, *pieces = data.split(bytes((MARK,)))
    yield first
    for piece in pieces:
        if piece:
            yield piece[0] % (len(COMMANDS) + len(STEPS))
        yield piece[1:]


def _listen(steps, size):
    engine, events, written, heard = Engine(), [], b"", 0
    for step in steps:
        if isinstance(step, int):
            try:
                if step < len(COMMANDS):
                    engine.begin(COMMANDS[step])
                else:
                    STEPS[step - len(COMMANDS)](engine)
            except ConversationError:
                pass  # one at a time, and no body without a prompt
        else:
            for at in range(0, len(step), size):
                events += engine.receive(step[at : at + size])
                assert len(engine.unfinished) <= LONGEST
            heard += len(step)
        written += engine.data_to_send()
    shown = sum(len(text) for event in events for text in (getattr(event, "text", ""), _payload(event)))
    assert shown <= heard, "more is told than was heard"
    return events, written


def _payload(event):
    return getattr(event, "payload", None) or ""
