"""Any bytes from a module, with any command pending or abandoned, synchronised or not.

0xFE is followed by an action of the host: the index of one of `COMMANDS`, or of `HOST_ACTIONS`. All other
bytes come from the module. For every way to cut them, events and bytes to send must be the same.
"""

import re

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.errors import AtUsageError
from agent.at.line_parser import MAX_COUNTED_CHARS
from agent.at.protocol import MAX_LINE_BYTES, PDU_MODE_URC_PAYLOADS, AtProtocol

PDU = "079144770009000004038100F000006290124131020002E834"
TEXT = '"REC UNREAD","000",,"26/09/21,14:13:20+00",129,4,0,0,"+447700900000",145,2'
COMMANDS = (
    AtCommand("AT", 10),
    AtCommand("AT+CMGD=3", 30),
    AtCommand(
        "AT+CMGR=3",
        10,
        (ResponsePattern("+CMGR", payload_kind=PayloadKind.HEX_LINE),),
        requires_information=True,
    ),
    AtCommand(
        "AT+CMGL=4", 60, (ResponsePattern("+CMGL", payload_kind=PayloadKind.HEX_LINE, may_repeat=True),)
    ),
    AtCommand(
        "AT+CMGR=4",
        10,
        (ResponsePattern("+CMGR", payload_kind=PayloadKind.COUNTED),),
        requires_information=True,
    ),
    AtCommand(
        'AT+CMGL="ALL"', 60, (ResponsePattern("+CMGL", payload_kind=PayloadKind.COUNTED, may_repeat=True),)
    ),
    AtCommand(
        "AT+CREG?",
        10,
        (ResponsePattern("+CREG", re.compile(r"\d\s*,\s*\d{1,2}\s*(,|$)")),),
        requires_information=True,
    ),
    AtCommand("AT+CGMM", 10, (ResponsePattern("+CGMM"), ResponsePattern())),
    AtCommand(
        "AT+CMGS=15",
        10,
        (ResponsePattern("+CMGS"),),
        requires_information=True,
        body=b"0011\x1a",
        body_timeout_s=120,
    ),
    AtCommand("AT+CMEE?", 2, (ResponsePattern("+CMEE"),), requires_information=True, is_sync_marker=True),
    AtCommand.from_user_input("AT+CLAC", 10),
)
HOST_ACTIONS = (
    lambda protocol: protocol.send_body(),
    lambda protocol: protocol.abandon(),
    lambda protocol: protocol.mark_unsynced(),
    lambda protocol: protocol.mark_synced(),
    lambda protocol: protocol.discard_partial_line(),
    lambda protocol: protocol.set_urc_payloads(dict.fromkeys(PDU_MODE_URC_PAYLOADS, PayloadKind.COUNTED)),
    lambda protocol: protocol.set_urc_payloads(PDU_MODE_URC_PAYLOADS),
)
ACTION_MARKER = 0xFE
MAX_INPUT_OCTETS = 6000
"""More than the longest line."""
MAX_PARTIAL_LINE_CHARS = max(MAX_LINE_BYTES, 4 * MAX_COUNTED_CHARS + 2)
"""The longest line, or the longest counted payload with four digits for each character."""


def make_script(*parts):
    """Encode bytes of the module, indices of `COMMANDS`, and actions of the host (negative numbers)."""
    return b"".join(
        part
        if isinstance(part, bytes)
        else bytes((ACTION_MARKER, part if part >= 0 else len(COMMANDS) - 1 - part))
        for part in parts
    )


SEND_BODY, ABANDON, MARK_UNSYNCED, MARK_SYNCED, DISCARD_PARTIAL_LINE, TEXT_MODE = -1, -2, -3, -4, -5, -6
SEEDS = (
    make_script(1, b"\r\nOK\r\n", 2, f"AT+CMGR=3\r\r\n+CMGR: 0,,17\r\n{PDU}\r\n\r\nOK\r\n".encode()),
    make_script(2, b"+CMGR: 0,,17\r\n", b'\r\n+CMTI: "ME",4\r\n', f"{PDU}\r\n\r\nOK\r\n".encode()),
    make_script(3, f"\r\n+CMGL: 1,1,,17\r\n{PDU}\r\n+CMGL: 2,1,,17\r\n{PDU}\r\n\r\nOK\r\n".encode()),
    make_script(TEXT_MODE, 4, f"\r\n+CMGR: {TEXT}\r\nhi\r\n\r\nOK\r\n".encode()),
    make_script(TEXT_MODE, b'\r\n+CMT: "000",,"26/09/21,14:13:20+00",129,4,0,0,"+4",145,2\r\nOK\r\n'),
    make_script(6, b'\r\n+CREG: 5,"1A2B","0012C0DE",7\r\n\r\n+CREG: 2,5\r\n0\r'),
    make_script(8, b"AT+CMGS=15\r\r\n> ", SEND_BODY, b"0011\x1a\r\n+CMGS: 2\r\n\r\nOK\r\n"),
    make_script(8, ABANDON, 9, b"\r\n> ", b"\r\nOK\r\n+CMEE: 1\r\n\r\nOK\r\n", MARK_SYNCED),
    make_script(
        8,
        ABANDON,
        MARK_UNSYNCED,
        10,
        b"+CLAC\r\n+CMS ERROR: 38\r\n",
        DISCARD_PARTIAL_LINE,
        b"\xf8\xe6\x80RDY\n\r",
    ),
    make_script(f"\r\n+CMT: ,17\r\n{PDU}\r\n+CDS: 21\r\n{PDU}\r\n+CME ERROR: SIM busy\r\n4\r".encode()),
)


def run(data):
    """Replay the input whole and byte by byte, and compare."""
    steps = list(_parse_steps(data))
    assert _replay(steps, 1) == _replay(steps, 1 << 30)


def _parse_steps(data):
    first, *pieces = data.split(bytes((ACTION_MARKER,)))
    yield first
    for piece in pieces:
        if piece:
            yield piece[0] % (len(COMMANDS) + len(HOST_ACTIONS))
        yield piece[1:]


def _replay(steps, size):
    protocol, events, sent, received = AtProtocol(), [], b"", 0
    for step in steps:
        if isinstance(step, int):
            try:
                if step < len(COMMANDS):
                    protocol.send_command(COMMANDS[step])
                else:
                    HOST_ACTIONS[step - len(COMMANDS)](protocol)
            except AtUsageError:
                pass  # a second command, or a body without a prompt
        else:
            for at in range(0, len(step), size):
                events += protocol.receive_data(step[at : at + size])
                assert len(protocol.partial_line) <= MAX_PARTIAL_LINE_CHARS
            received += len(step)
        sent += protocol.data_to_send()
    reported = sum(
        len(text) for event in events for text in (getattr(event, "text", ""), _get_payload(event))
    )
    assert reported <= received, "events contain more than was received"
    return events, sent


def _get_payload(event):
    return getattr(event, "payload", None) or ""
