"""F115 F120: answers to reading a store whose lines are joined, and text behind a payload."""

import re

import pytest

from fault.catalogue import STATUS_REPORT, tpdu_length
from fault.fault_world import FaultWorld, make_pdu

LIST_COMMAND = r'AT\+CMGL=(4|"ALL")'
TEXTS = [f"valve {number} open" for number in range(1, 4)]
COMMANDS = [make_pdu(text, timestamp=f"26/11/21,20:0{at}:00+00") for at, text in enumerate(TEXTS, 1)]
LINE_END_BEFORE_ENTRY = re.compile(rb"(?<=[0-9A-F])\r\n(?=\+CMG)")
LOST_PIECES = {
    "line end before the entry": LINE_END_BEFORE_ENTRY,
    "line end before the payload": re.compile(rb"\r\n(?=07915155001032F4|0[0-9A-F]{20,}\r\n\+CMGL)"),
    "line end and plus": re.compile(rb"(?<=[0-9A-F])\r\n\+(?=CMG)"),
    "header": re.compile(rb"(?<=[0-9A-F])\r\n\+CMGL: 2,[^\r]*"),
    "half of the payload and the header": re.compile(rb"[0-9A-F]{24}\r\n\+CMGL: 2,[^\r]*,"),
    "half of the payload": re.compile(rb"[0-9A-F]{24}\r\n(?=\+CMGL: 2)"),
    "payload": re.compile(rb"(?<=\r\n)[0-9A-F]{24,}\r\n(?=\+CMGL: 2)"),
}


def commands_before_first_delete(world):
    """Return the commands that read slots before the first delete."""
    commands = world.interceptor.commands_matching(r"AT\+CMG[RD]=.*")
    return commands[: next(at for at, line in enumerate(commands) if line.startswith("AT+CMGD"))]


def lose_in_lists(world, pattern, times, replacement=b""):
    """Remove or replace what matches in the responses to lists."""
    remaining = [times]

    def filter_output(data):
        if re.fullmatch(LIST_COMMAND, world.interceptor.last_command) and b"+CMGL: " in data and remaining[0]:
            remaining[0] -= 1
            return pattern.sub(replacement, data)
        return data

    world.interceptor.filter_to_agent = filter_output


@pytest.mark.parametrize("times", [1, -1], ids=["once", "always"])
@pytest.mark.parametrize("lost", LOST_PIECES.values(), ids=LOST_PIECES)
async def test_f115_entries_of_a_damaged_list_are_read_alone(tmp_path, message_format, lost, times):
    """Whatever is lost between two entries: each message is handled once, and slot 1 is first read alone."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index, message in enumerate(COMMANDS, 1):
            world.store_pdu(index, message)
        lose_in_lists(world, lost, times)
        await world.start_and_settle(400)
        assert sorted(world.executed) == TEXTS
        assert "AT+CMGR=1" in commands_before_first_delete(world)
        assert world.stored_indices() == []
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]


DAMAGED_HEADERS = {"lost": b"", "without its colon": rb"+CMGL 3,\1", "without its index": rb"+CMGL: ,\1"}


@pytest.mark.parametrize("times", [1, -1], ids=["once", "always"])
@pytest.mark.parametrize("replacement", DAMAGED_HEADERS.values(), ids=DAMAGED_HEADERS)
async def test_f115_entry_whose_header_is_damaged(tmp_path, message_format, replacement, times):
    """The list does not show the slot of a message, although the module counts it: the slots are read."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index, message in enumerate(COMMANDS, 1):
            world.store_pdu(index, message)
        lose_in_lists(world, re.compile(rb"\+CMGL: 3,([^\r]*)"), times, replacement)
        await world.start_and_settle(60)
        assert sorted(world.executed) == TEXTS
        assert world.stored_indices() == []
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]


async def test_f115_unknown_line_in_a_list(tmp_path, message_format):
    """A line that is no known URC comes before a payload: each entry is read alone."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index, message in enumerate(COMMANDS, 1):
            world.store_pdu(index, message)
        header = re.compile(rb"\+CMGL: 1,[^\r]*\r\n")
        rule = world.interceptor.rewrite(LIST_COMMAND, header, b"+CMGL: 1,0,,38\r\nlow battery\r\n")
        await world.start_and_settle(60)
        assert rule.applied == 1
        assert world.executed == TEXTS
        assert commands_before_first_delete(world) == [f"AT+CMGR={index}" for index in (1, 2, 3)]


@pytest.mark.parametrize("output", [b"+CMT: ,%d\r\n%s+CMT: ,%d\r\n%s\r\n", b"+CMT: ,%d%s\r\n+CMT: ,%d%s\r\n"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f115_direct_deliveries_without_a_line_end(tmp_path, message_format, output):
    """Both announced lengths fit: both messages are handled."""
    async with FaultWorld(tmp_path, message_format, device="nrf91") as world:
        await world.start_and_settle()
        values = [value for each in COMMANDS[:2] for value in (tpdu_length(each), each.encode())]
        world.interceptor.send_to_agent(b"\r\n" + output % tuple(values))
        await world.advance(20)
        assert world.executed == TEXTS[:2]


CMT_HEADER = '+CMT: "000",,"26/11/21,20:00:00+00",129,4,0,0,"+15550001234",145,%d\r\n'


@pytest.mark.parametrize("message_format", ["text"])
async def test_f115_direct_deliveries_in_text_mode_without_a_line_end(tmp_path, message_format):
    """Both announced lengths fit: both messages are handled."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        payloads = [text.encode("utf-16-be").hex().upper() for text in TEXTS[:2]]
        octets = "".join(CMT_HEADER % (len(payload) // 4) + payload for payload in payloads)
        world.interceptor.send_to_agent(f"\r\n{octets}\r\n".encode())
        await world.advance(20)
        assert world.executed == TEXTS[:2]


ONE, TWO = (each.encode() for each in COMMANDS[:2])
LENGTH = tpdu_length(COMMANDS[0])
AMBIGUOUS_DELIVERIES = {
    "header lost": b"+CMT: ,%d\r\n%s\r\n%s\r\n" % (LENGTH, ONE, TWO),
    "line end and header lost": b"+CMT: ,%d\r\n%s%s\r\n" % (LENGTH, ONE, TWO),
    "header damaged": b"+CMT: ,%d\r\n%s0,,%d\r\n%s\r\n" % (LENGTH, ONE, LENGTH, TWO),
    "first cut": b"+CMT: ,%d\r\n%s+CMT: ,%d\r\n%s\r\n" % (LENGTH, ONE[:42], LENGTH, TWO),
    "text between": b"+CMT: ,%d\r\nlow battery\r\n%s\r\n" % (LENGTH, TWO),
    "text and message in one line": b"+CMT: ,%d\r\n%s x %s\r\n" % (LENGTH, ONE, TWO),
    "both headers": b"+CMT: ,%d\r\n+CMT: ,%d\r\n%s\r\n" % (LENGTH, LENGTH, TWO),
    "first header lost": b"%s+CMT: ,%d\r\n%s\r\n" % (ONE, LENGTH, TWO),
    "no length, header lost": b"+CMT: ,\r\n%s%s\r\n" % (ONE, TWO),
    "sender in place of the length, header lost": b'+CMT: "000"\r\n%s%s\r\n' % (ONE, TWO),
    "joined to a URC": b"+CREG: 1+CMT: ,%d\r\n%s\r\n" % (LENGTH, TWO),
}


@pytest.mark.parametrize("message_format", ["pdu"])
@pytest.mark.parametrize("output", AMBIGUOUS_DELIVERIES.values(), ids=AMBIGUOUS_DELIVERIES)
async def test_f115_ambiguous_direct_delivery_is_kept(tmp_path, message_format, output):
    """What arrived is executed or kept raw and logged, and nothing is thrown away."""
    async with FaultWorld(tmp_path, message_format, device="nrf91") as world:
        await world.start_and_settle()
        world.interceptor.send_to_agent(b"\r\n" + output)
        await world.advance(20)
        kept = " ".join(raw for (raw,) in world.query_journal("SELECT raw FROM ignored"))
        for text, octets in zip(TEXTS, (ONE, TWO), strict=False):
            arrived = octets if octets in output else ONE[:42] if ONE[:42] in output else b""
            assert text in world.executed or arrived.decode() in kept
        assert len(world.events_of_kind("ignored")) == len(world.query_journal("SELECT id FROM ignored"))


@pytest.mark.parametrize("message_format", ["pdu"])
@pytest.mark.parametrize("cut", [0, 10], ids=["whole", "cut"])
async def test_f115_joined_status_reports(tmp_path, message_format, cut):
    """Two +CDS without a line end between them: both are recorded, or what is damaged is kept raw."""
    async with FaultWorld(tmp_path, message_format, tables={"service": {"status_reports": True}}) as world:
        await world.start_and_settle()
        length, report = tpdu_length(STATUS_REPORT), STATUS_REPORT.encode()
        first = report[: len(report) - cut]
        both = b"+CDS: %d\r\n%s+CDS: %d\r\n%s\r\n" % (length, first, length, report)
        world.interceptor.send_to_agent(b"\r\n" + both)
        await world.advance(20)
        assert len(world.events_of_kind("status report")) == (1 if cut else 2)
        kept = [raw for (raw,) in world.query_journal("SELECT raw FROM ignored")]
        assert kept == ([f"+CDS: {length}\r\n{first.decode()}"] if cut else [])


TEXT_BEHIND = [b",0", b' ,"",0', b";", b" ", b"\t0", b'"', b",,,145,7", b"0", b"0D0A", b" OK", b"<"]


@pytest.mark.parametrize("behind", TEXT_BEHIND, ids=repr)
@pytest.mark.parametrize("way", ["notified", "listed", "direct"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f120_text_behind_a_payload(tmp_path, message_format, behind, way):
    """The announced octets are the payload, whatever follows on their line."""
    async with FaultWorld(
        tmp_path, message_format, device="nrf91" if way == "direct" else "generic"
    ) as world:
        world.interceptor.rewrite(".*", COMMANDS[0].encode(), COMMANDS[0].encode() + behind, times=0)
        if way == "listed":
            world.store_pdu(1, COMMANDS[0])
        await world.start_and_settle()
        if way != "listed":
            world.deliver_pdu(COMMANDS[0])
            await world.advance(10)
        assert world.executed == TEXTS[:1]
        assert world.stored_indices() == []


COUNTED_CASES = [
    (charset, behind) for behind in (b",0", b' ,"",0', b";", b'+CMTI: "ME",2') for charset in ("UCS2", "GSM")
]


@pytest.mark.parametrize(("charset", "behind"), [*COUNTED_CASES, ("UCS2", b"A5"), ("UCS2", b"0")], ids=repr)
@pytest.mark.parametrize("message_format", ["text"])
async def test_f120_text_behind_a_counted_payload(tmp_path, message_format, behind, charset):
    """The counted characters are the payload in text mode, whatever follows on their line."""
    async with FaultWorld(tmp_path, message_format) as world:
        offered = re.compile(rb"\+CSCS: .*\r\n")
        world.interceptor.rewrite(r"AT\+CSCS=\?", offered, b'+CSCS: ("%s")\r\n' % charset.encode(), times=0)
        encoding = "utf-16-be" if charset == "UCS2" else "ascii"
        payload = TEXTS[0].encode(encoding)
        payload = payload.hex().upper().encode() if charset == "UCS2" else payload
        world.interceptor.rewrite(r"AT\+CMG.*", payload, payload + behind, times=0)
        await world.start_and_settle()
        world.deliver_pdu(COMMANDS[0])
        await world.advance(10)
        assert world.executed == TEXTS[:1]
        assert world.stored_indices() == []
