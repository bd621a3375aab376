"""F39 F48 F61 F64 F73 F76: responses to reading and listing a store."""

import re

import pytest

from fault.catalogue import (
    BADTS_MONTH,
    EMPTY,
    INTL_SENDER,
    PLAIN_SID_START,
    SILENT_PID40,
    STATUS_REPORT,
)
from fault.fault_world import FaultWorld, make_pdu

READ_COMMAND = re.compile(r"AT\+CMG[RL].*")
SUBMIT = "07915155001032F401000B915155674523F1000005F272989C07"
"""A stored message to +15557654321 with the text `ready`."""


# F39


@pytest.mark.parametrize("command", ["CMGR", "CMGL"])
async def test_f39_message_read_before_a_crash_is_executed_afterwards(tmp_path, message_format, command):
    """The agent is killed between read and commit, and the module shows the message as read from then on."""
    async with FaultWorld(tmp_path, message_format) as world:

        def kill(point, agent_run):
            read = [message.status for _, message in world.module.stores["ME"]]
            if point == "before a commit" and 1 in read and len(world.agent_runs) == 1:
                agent_run.kill("between reading and commit")

        world.on_kill_point = kill
        if command == "CMGL":
            world.store_pdu(3, PLAIN_SID_START)
            await world.start_and_settle()
        else:
            await world.start_and_settle()
            world.deliver_pdu(PLAIN_SID_START)
            await world.advance(20)
        assert world.current_run.end_reason == "between reading and commit"
        assert world.executed == []
        assert [message.status for _, message in world.module.stores["ME"]] == [1]
        await world.start_and_settle(60)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.stored_indices() == []


async def test_f39_read_and_unread_messages_are_listed(tmp_path, message_format):
    """At the start both are executed: the status does not show whether a message is new."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, make_pdu("blink 1"), status=1)
        world.store_pdu(2, make_pdu("blink 2"), status=0)
        await world.start_and_settle()
        assert world.executed == ["blink 1", "blink 2"]
        assert world.stored_indices() == []


# F48


EMPTY_SLOT_RESPONSES = {
    "a": b"\r\n+CMS ERROR: 321\r\n",
    "b": b"\r\nOK\r\n",
    "c": b"\r\n+CMGR: 0,,0\r\n\r\nOK\r\n",
    "c, blank line": b"\r\n+CMGR: 0,,0\r\n\r\n\r\nOK\r\n",
    "text": b'\r\n+CMGR: "","",,0\r\n\r\nOK\r\n',
    "ERROR": b"\r\nERROR\r\n",
    "words": b"\r\n+CMS ERROR: Invalid memory index\r\n",
    "CME": b"\r\n+CME ERROR: 21\r\n",
    "CME not found": b"\r\n+CME ERROR: not found\r\n",
}


@pytest.mark.parametrize("response", EMPTY_SLOT_RESPONSES.values(), ids=EMPTY_SLOT_RESPONSES)
async def test_f48_empty_slot_is_read_once(tmp_path, message_format, response):
    """The slot is read once (again after a bare ERROR), then both stores are listed at most twice.

    Nothing is deleted, and no warning is logged.
    """
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CMGR=7", response, times=0)
        before = len(world.interceptor.commands_matching())
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",7\r\n')
        await world.advance(250)
        reads = [
            line for line in world.interceptor.commands_matching()[before:] if READ_COMMAND.fullmatch(line)
        ]
        assert reads[0] == "AT+CMGR=7"
        assert reads.count("AT+CMGR=7") <= (2 if b"\nERROR" in response else 1)
        assert (
            1 <= len(reads) - reads.count("AT+CMGR=7") <= 5
        )  # two looks into two stores, and one after ERROR
        assert world.interceptor.commands_matching(r"AT\+CMGD.*") == []
        assert world.log_lines(min_severity=30) == []
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]


@pytest.mark.parametrize("parameters", ['"ME",0', '"ME",21', '"ME",65535', '"SM",300', '"XX",2', '"ME",'])
async def test_f48_invalid_index_causes_a_bounded_sweep(tmp_path, message_format, parameters):
    """The index is out of range, missing, or in an unknown store: the stores are listed, and work goes on."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        before = len(world.interceptor.commands_matching())
        world.interceptor.send_to_agent(f"\r\n+CMTI: {parameters}\r\n".encode())
        await world.advance(250)
        assert (
            len(
                [
                    line
                    for line in world.interceptor.commands_matching()[before:]
                    if READ_COMMAND.fullmatch(line)
                ]
            )
            <= 6
        )
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.connection.session_count == 1


# F61


HEADERS = {
    "0,,51": "+CMGR: 0,,51",
    "empty name": '+CMGR: 0,"",51',
    "name": '+CMGR: 1,"Ops",51',
    "no blank": "+CMGR:0,,51",
    "name with comma and quote": '+CMGR: 0,"Ops, 2 "" night",51',
    "name that is a number": '+CMGR: 0,"7",51',
    "name in Latin-1": '+CMGR: 0,"Caf\xe9",51',
    "no name": "+CMGR: 0,51",
    "more fields": '+CMGR: 0,,51,"x",1,,7',
    "blanks": "+CMGR:  0 , , 51 ",
    "status in words": '+CMGR: "REC UNREAD",,51',
}


@pytest.mark.parametrize("message_format", ["pdu"])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_f61_cmgr_header_variants(tmp_path, message_format, header):
    """In PDU mode the header may have or lack any field that is not needed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.rewrite(r"AT\+CMGR=1", b"+CMGR: 0,,51", header.encode("latin-1"))
        before = len(world.interceptor.commands)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.stored_indices() == []
        assert world.log_lines(min_severity=30) == []
        reads = [line for _, line in world.interceptor.commands[before:] if READ_COMMAND.fullmatch(line)]
        assert reads[0] == "AT+CMGR=1"
        assert "AT+CMGR=1" not in reads[1:]


@pytest.mark.parametrize("message_format", ["pdu"])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_f61_cmgl_header_variants(tmp_path, message_format, header):
    """An entry with an unusual header is read between entries of the common form."""
    listed = header.replace("+CMGR:", "+CMGL:").replace("+CMGL: ", "+CMGL: 2,", 1)
    listed = listed.replace("+CMGL:0", "+CMGL:2,0", 1)
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, make_pdu("blink 1", timestamp="26/11/21,22:29:00+00"))
        world.store_pdu(2, PLAIN_SID_START)
        world.store_pdu(3, make_pdu("blink 3", timestamp="26/11/21,22:31:00+00"))
        world.interceptor.rewrite(r"AT\+CMGL=4", b"+CMGL: 2,0,,51", listed.encode("latin-1"))
        await world.start_and_settle()
        assert world.executed == ["blink 1", "led on", "blink 3"]
        assert world.stored_indices() == []
        # The list is not followed by reads. After a delete, each slot is read again before its own delete.
        lines = world.interceptor.commands_matching(r"AT\+CMG[RD]=.*")
        assert lines == ["AT+CMGD=1", "AT+CMGR=2", "AT+CMGD=2", "AT+CMGR=3", "AT+CMGD=3"]


TEXT_HEADERS = {
    "CSDH": '"REC UNREAD","000","","26/11/21,22:30:00+00",129,4,0,0,"+15550001234",145,41',
    "CSDH, no name": '"REC UNREAD","000",,"26/11/21,22:30:00+00",129,4,0,0,"+15550001234",145,41',
    "name": '"REC READ","000","Ops, 2","26/11/21,22:30:00+00",129,4,0,0,"+15550001234",145,41',
    "no field for the name": '"REC UNREAD","000","26/11/21,22:30:00+00",129,4,0,0,"+15550001234",145,41',
    "no service centre": '"REC UNREAD","000",,"26/11/21,22:30:00+00",129,4,0,0,,,41',
    "four digits of the year": '"REC UNREAD","000",,"2026/11/21,22:30:00+00",129,4,0,0,"+15550001234",145,41',
    "blanks": '"REC UNREAD", "000", , "26/11/21,22:30:00+00", 129, 4, 0, 0, "+15550001234", 145, 41',
}
BODY = "DC0123456789abcdef0123456789abcdef led on"


@pytest.mark.parametrize("message_format", ["text"])
@pytest.mark.parametrize("header", TEXT_HEADERS.values(), ids=TEXT_HEADERS)
async def test_f61_text_mode_header_variants(tmp_path, message_format, header):
    """In text mode with +CSDH=1 the header may have or lack any field that is not needed."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.rewrite(
            r"AT\+CSCS=\?", re.compile(rb"\+CSCS: .*\r\n"), b'+CSCS: ("GSM","IRA")\r\n', times=0
        )
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CMGR=1", f"\r\n+CMGR: {header}\r\n{BODY}\r\n\r\nOK\r\n".encode())
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.query_journal("SELECT sid, timestamp FROM commands") == [
            ("DC0123456789abcdef0123456789abcdef", "2026-11-21T22:30:00+00:00")
        ]
        assert world.stored_indices() == []


@pytest.mark.parametrize("message_format", ["text"])
@pytest.mark.parametrize(
    "report",
    [
        '"REC UNREAD",6,203,"000",129,"26/11/21,22:30:00+00","26/11/21,22:30:05+00",0',
        '"REC UNREAD",6,203,,,"26/11/21,22:30:00+00","26/11/21,22:30:05+00",0',
        '"REC UNREAD",6,203,"26/11/21,22:30:00+00","26/11/21,22:30:05+00",0',
        '"REC UNREAD",6,203,"000",129,"..","..",0',
    ],
)
async def test_f61_text_mode_status_report_is_deleted(tmp_path, message_format, report):
    """It has no text after its header. It is deleted and not executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.store_pdu(4, STATUS_REPORT)
        world.interceptor.answer(r"AT\+CMGR=4", f"\r\n+CMGR: {report}\r\n\r\nOK\r\n".encode(), times=0)
        world.interceptor.send_to_agent(b'\r\n+CDSI: "ME",4\r\n')
        await world.advance(30)
        assert world.stored_indices() == []
        assert world.executed == []
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]


# F64


async def test_f64_cpin_response_without_ok(tmp_path, message_format):
    """A Wavecom M1306B omits the OK: the information line is enough after a short wait, and is read once."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CPIN\?", b"\r\n+CPIN: READY\r\n", times=0)
        await world.start_and_settle()
        assert len(world.interceptor.commands_matching(r"AT\+CPIN\?")) == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]


async def test_f64_registration_after_ok_is_a_urc(tmp_path, message_format):
    """A SIMCom module reports the registration after the OK of +CREG=n: the command is not repeated."""
    async with FaultWorld(tmp_path, message_format) as world:
        late = [b"\r\nOK\r\n", 0.02, b'\r\n+CREG: 5,"25FF","825E"\r\n']
        rule = world.interceptor.answer(r"AT\+CREG=[12]", late, times=0)
        await world.start_and_settle()
        assert rule.applied == 1
        assert world.connection.session.registration.circuit in {1, 5}
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.log_lines(min_severity=30) == []


@pytest.mark.parametrize("command", [r"AT\+CMGR=1", r"AT\+CMGD=1", r"AT\+CMGS=.*"])
async def test_f64_missing_final_ok(tmp_path, message_format, command):
    """The OK of a read, a delete or a send is missing: the Command is executed once and answered once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.rewrite(command, re.compile(rb"\r\nOK\r\n\Z"), b"")
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(100)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.stored_indices() == []
        assert [state for state, _ in world.replies] == ["sent"]


# F73


async def test_f73_stored_outgoing_messages_are_not_executed(tmp_path, message_format):
    """Sent and unsent messages stay in the store, a report is deleted, received messages are executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(4, make_pdu("blink 4", timestamp="26/11/21,22:29:00+00"))
        world.store_pdu(5, SUBMIT, status=3)
        world.store_pdu(6, SUBMIT, status=2)
        world.store_pdu(7, STATUS_REPORT, status=1)
        world.store_pdu(8, PLAIN_SID_START)
        list_command = r"AT\+CMGL=4" if message_format == "pdu" else r'AT\+CMGL="ALL"'
        world.interceptor.rewrite(list_command, b"\r\n+CMGL: 7,", b'\r\n+CMTI: "ME",9\r\n\r\n+CMGL: 7,')
        await world.start_and_settle()
        assert world.executed == ["blink 4", "led on"]
        assert world.stored_indices() == [5, 6]
        assert world.events_of_kind("ignored") == []
        assert "AT+CMGR=9" in world.interceptor.commands_matching()


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f73_submit_with_received_status_is_kept_raw(tmp_path, message_format):
    """A SUBMIT with status 0 is stored as received, deleted and not executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(5, SUBMIT, status=0)
        world.store_pdu(6, PLAIN_SID_START)
        await world.start_and_settle()
        assert world.executed == ["led on"]
        assert world.stored_indices() == []
        assert world.query_journal("SELECT raw FROM ignored") == [(SUBMIT,)]


# F76


@pytest.mark.parametrize("pdu", [EMPTY, SILENT_PID40], ids=["empty", "silent"])
async def test_f76_empty_message_without_default_handler(tmp_path, message_format, pdu):
    """It is logged and deleted, and no handler is started."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as world:
        await world.start_and_settle()
        world.deliver_pdu(pdu) if pdu == EMPTY else world.store_pdu(1, pdu)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",1\r\n')
        await world.advance(30)
        assert world.executed == []
        assert world.stored_indices() == []
        assert world.sent_bodies == []
        assert len(world.events_of_kind("received") + world.events_of_kind("ignored")) == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]


async def test_f76_empty_message_with_default_handler(tmp_path, message_format):
    """The default handler gets an empty message."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(EMPTY)
        await world.advance(30)
        assert world.executed == [""]
        assert world.stored_indices() == []


EMPTY_BODY_RESPONSES = {
    "length 0": b"\r\n+CMGR: 0,,0\r\n\r\nOK\r\n",
    "blank line": b'\r\n+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00",129,4,0,0,,,0\r\n\r\n\r\nOK\r\n',
    "without lengths": b'\r\n+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00"\r\n\r\n\r\nOK\r\n',
}


@pytest.mark.deviation(
    "A slot that reads as length 0 is taken for empty (F48) and is not deleted: only stored messages are."
)
@pytest.mark.parametrize("response", EMPTY_BODY_RESPONSES.values(), ids=EMPTY_BODY_RESPONSES)
async def test_f76_read_response_without_a_body(tmp_path, message_format, response):
    """The slot is not read again and again, and the next message is executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CMGR=7", response, times=0)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",7\r\n')
        await world.advance(250)
        assert len(world.interceptor.commands_matching(r"AT\+CMGR=7")) <= 3
        world.deliver_pdu(INTL_SENDER)
        world.deliver_pdu(BADTS_MONTH)
        await world.advance(5)
        assert world.executed[-1] == "led on"
        assert world.stored_indices() == []
