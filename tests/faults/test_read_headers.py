"""F39 F48 F61 F64 F73 F76: what a module answers when its store is read or listed."""

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

READ = re.compile(r"AT\+CMG[RL].*")
GOOD = make_pdu("blink 1")
SUBMIT = "07915155001032F401000B915155674523F1000005F272989C07"
"""`ready` to +15557654321, as somebody wrote it into the store."""


# F39


@pytest.mark.parametrize("way", ["CMGR", "CMGL"])
async def test_f39_a_message_that_was_read_before_a_crash_is_not_lost(tmp_path, message_format, way):
    """Killed between the reading and the commit; the module shows it as read from then on."""
    async with FaultWorld(tmp_path, message_format) as scene:

        def kill(point, life):
            read = [message.status for _, message in scene.module.stores["ME"]]
            if point == "before a commit" and 1 in read and len(scene.agent_runs) == 1:
                life.kill("between reading and commit")

        scene.on_kill_point = kill
        if way == "CMGL":
            scene.store_pdu(3, PLAIN_SID_START)
            await scene.start_and_settle()
        else:
            await scene.start_and_settle()
            scene.deliver_pdu(PLAIN_SID_START)
            await scene.advance(20)
        assert scene.current_run.end_reason == "between reading and commit"
        assert scene.executed == []
        assert [message.status for _, message in scene.module.stores["ME"]] == [1]
        await scene.start_and_settle(60)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.stored_indices() == []


async def test_f39_both_kinds_of_received_messages_are_looked_for(tmp_path, message_format):
    """At the start: the status says nothing of whether a message is new."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(1, make_pdu("blink 1"), status=1)
        scene.store_pdu(2, make_pdu("blink 2"), status=0)
        await scene.start_and_settle()
        assert scene.executed == ["blink 1", "blink 2"]
        assert scene.stored_indices() == []


# F48


NOTHING_THERE = {
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


@pytest.mark.parametrize("says", NOTHING_THERE.values(), ids=NOTHING_THERE)
async def test_f48_an_index_with_nothing_in_it(tmp_path, message_format, says):
    """It is asked once (after a bare ERROR once more), then lists; nothing is deleted or complained of."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.answer(r"AT\+CMGR=7", says, times=0)
        before = len(scene.interceptor.commands_matching())
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",7\r\n')
        await scene.advance(250)
        asked = [line for line in scene.interceptor.commands_matching()[before:] if READ.fullmatch(line)]
        assert asked[0] == "AT+CMGR=7"
        assert asked.count("AT+CMGR=7") <= (2 if b"\nERROR" in says else 1)
        assert 1 <= len(asked) - asked.count("AT+CMGR=7") <= 3
        assert scene.interceptor.commands_matching(r"AT\+CMGD.*") == []
        assert scene.log_lines(min_severity=30) == []
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]


@pytest.mark.parametrize("code", ['"ME",0', '"ME",21', '"ME",65535', '"SM",300', '"XX",2', '"ME",'])
async def test_f48_an_index_that_cannot_be(tmp_path, message_format, code):
    """Out of range, in a store that there is not, or left out: a look at the list, and the work goes on."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        before = len(scene.interceptor.commands_matching())
        scene.interceptor.send_to_agent(f"\r\n+CMTI: {code}\r\n".encode())
        await scene.advance(250)
        assert (
            len([line for line in scene.interceptor.commands_matching()[before:] if READ.fullmatch(line)])
            <= 6
        )
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.current_run.agent.components.supervisor.connection.session_count == 1


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
async def test_f61_headers_of_a_message(tmp_path, message_format, header):
    """PDU mode: fields that nobody needs stand, or do not stand, in any header."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.rewrite(r"AT\+CMGR=1", b"+CMGR: 0,,51", header.encode("latin-1"))
        before = len(scene.interceptor.commands)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.stored_indices() == []
        assert scene.log_lines(min_severity=30) == []
        asked = [line for _, line in scene.interceptor.commands[before:] if READ.fullmatch(line)]
        assert asked == ["AT+CMGR=1"]


@pytest.mark.parametrize("message_format", ["pdu"])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_f61_headers_of_a_list(tmp_path, message_format, header):
    """The same in a list, between entries of the common form."""
    listed = header.replace("+CMGR:", "+CMGL:").replace("+CMGL: ", "+CMGL: 2,", 1)
    listed = listed.replace("+CMGL:0", "+CMGL:2,0", 1)
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(1, make_pdu("blink 1", timestamp="26/11/21,22:29:00+00"))
        scene.store_pdu(2, PLAIN_SID_START)
        scene.store_pdu(3, make_pdu("blink 3", timestamp="26/11/21,22:31:00+00"))
        scene.interceptor.rewrite(r"AT\+CMGL=4", b"+CMGL: 2,0,,51", listed.encode("latin-1"))
        await scene.start_and_settle()
        assert scene.executed == ["blink 1", "led on", "blink 3"]
        assert scene.stored_indices() == []
        assert scene.interceptor.commands_matching(r"AT\+CMGR=.*") == []


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
async def test_f61_headers_of_text_mode(tmp_path, message_format, header):
    """Text mode with +CSDH=1."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.rewrite(
            r"AT\+CSCS=\?", re.compile(rb"\+CSCS: .*\r\n"), b'+CSCS: ("GSM","IRA")\r\n', times=0
        )
        await scene.start_and_settle()
        scene.interceptor.answer(r"AT\+CMGR=1", f"\r\n+CMGR: {header}\r\n{BODY}\r\n\r\nOK\r\n".encode())
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.query_journal("SELECT sid, timestamp FROM commands") == [
            ("DC0123456789abcdef0123456789abcdef", "2026-11-21T22:30:00+00:00")
        ]
        assert scene.stored_indices() == []


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
async def test_f61_a_status_report_of_text_mode(tmp_path, message_format, report):
    """It has no text behind its header, is deleted and is no Command."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.store_pdu(4, STATUS_REPORT)
        scene.interceptor.answer(r"AT\+CMGR=4", f"\r\n+CMGR: {report}\r\n\r\nOK\r\n".encode(), times=0)
        scene.interceptor.send_to_agent(b'\r\n+CDSI: "ME",4\r\n')
        await scene.advance(30)
        assert scene.stored_indices() == []
        assert scene.executed == []
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]


# F64


async def test_f64_cpin_without_its_ok(tmp_path, message_format):
    """Wavecom M1306B: the answer is enough after a short grace, and is not asked for ever."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(r"AT\+CPIN\?", b"\r\n+CPIN: READY\r\n", times=0)
        await scene.start_and_settle()
        assert len(scene.interceptor.commands_matching(r"AT\+CPIN\?")) == 1
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]


async def test_f64_data_after_ok_are_news(tmp_path, message_format):
    """SIMCom: what follows the OK of +CREG=n is the state of registration; the setting is not repeated."""
    async with FaultWorld(tmp_path, message_format) as scene:
        late = [b"\r\nOK\r\n", 0.02, b'\r\n+CREG: 5,"25FF","825E"\r\n']
        asked = scene.interceptor.answer(r"AT\+CREG=[12]", late, times=0)
        await scene.start_and_settle()
        assert asked.applied == 1
        assert scene.current_run.agent.components.supervisor.connection.session.registration.circuit in {1, 5}
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.log_lines(min_severity=30) == []


@pytest.mark.parametrize("command", [r"AT\+CMGR=1", r"AT\+CMGD=1", r"AT\+CMGS=.*"])
async def test_f64_any_final_ok_may_be_missing(tmp_path, message_format, command):
    """Of a reading, a deletion, a sending: carried out once, answered at most once, and the slot is freed."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.rewrite(command, re.compile(rb"\r\nOK\r\n\Z"), b"")
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(100)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.stored_indices() == []
        assert [state for state, _ in scene.replies] == ["sent"]


# F73


async def test_f73_own_messages_are_not_commands(tmp_path, message_format):
    """Written and sent ones stay where they are, a report goes, what was received is carried out."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(4, make_pdu("blink 4", timestamp="26/11/21,22:29:00+00"))
        scene.store_pdu(5, SUBMIT, status=3)
        scene.store_pdu(6, SUBMIT, status=2)
        scene.store_pdu(7, STATUS_REPORT, status=1)
        scene.store_pdu(8, PLAIN_SID_START)
        lists = r"AT\+CMGL=4" if message_format == "pdu" else r'AT\+CMGL="ALL"'
        scene.interceptor.rewrite(lists, b"\r\n+CMGL: 7,", b'\r\n+CMTI: "ME",9\r\n\r\n+CMGL: 7,')
        await scene.start_and_settle()
        assert scene.executed == ["blink 4", "led on"]
        assert scene.stored_indices() == [5, 6]
        assert scene.events_of_kind("ignored") == []
        assert "AT+CMGR=9" in scene.interceptor.commands_matching()


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f73_a_message_to_the_network_that_calls_itself_received(tmp_path, message_format):
    """Status 0 and a SUBMIT: kept as it is, deleted, never carried out."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(5, SUBMIT, status=0)
        scene.store_pdu(6, PLAIN_SID_START)
        await scene.start_and_settle()
        assert scene.executed == ["led on"]
        assert scene.stored_indices() == []
        assert scene.query_journal("SELECT raw FROM ignored") == [(SUBMIT,)]


# F76


@pytest.mark.parametrize("pdu", [EMPTY, SILENT_PID40], ids=["empty", "silent"])
async def test_f76_an_empty_message(tmp_path, message_format, pdu):
    """It is told, deleted, and no handler is begun that nobody has asked for."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(pdu) if pdu == EMPTY else scene.store_pdu(1, pdu)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",1\r\n')
        await scene.advance(30)
        assert scene.executed == []
        assert scene.stored_indices() == []
        assert scene.sent_bodies == []
        assert len(scene.events_of_kind("received") + scene.events_of_kind("ignored")) == 1
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]


async def test_f76_an_empty_message_goes_to_a_default_handler(tmp_path, message_format):
    """Whoever wants all of them gets it."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(EMPTY)
        await scene.advance(30)
        assert scene.executed == [""]
        assert scene.stored_indices() == []


EMPTY_ANSWERS = {
    "length 0": b"\r\n+CMGR: 0,,0\r\n\r\nOK\r\n",
    "blank line": b'\r\n+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00",129,4,0,0,,,0\r\n\r\n\r\nOK\r\n',
    "without lengths": b'\r\n+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00"\r\n\r\n\r\nOK\r\n',
}


@pytest.mark.deviation(
    "A slot that reads as length 0 is an empty one (F48) and not deleted: only what was read and kept is."
)
@pytest.mark.parametrize("says", EMPTY_ANSWERS.values(), ids=EMPTY_ANSWERS)
async def test_f76_an_answer_without_a_body(tmp_path, message_format, says):
    """No exception, no reading over and over, and the next message is carried out."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.answer(r"AT\+CMGR=7", says, times=0)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",7\r\n')
        await scene.advance(250)
        assert len(scene.interceptor.commands_matching(r"AT\+CMGR=7")) <= 3
        scene.deliver_pdu(INTL_SENDER)
        scene.deliver_pdu(BADTS_MONTH)
        await scene.advance(5)
        assert scene.executed[-1] == "led on"
        assert scene.stored_indices() == []
