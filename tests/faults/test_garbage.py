"""Octets that are no text, lines that break parsers, and a line that breaks."""

import logging
import random

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.line_interceptor import INSERT_POSITIONS

NOISE = bytes.fromhex("00FFF8E68098FE00")
BURSTS = {
    "as given": NOISE,
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "40 octets": random.Random(1).randbytes(40),
    "with line ends": NOISE + b"\r" + NOISE + b"\n" + NOISE + b"\r\n",
    "with a prompt": b"\r\n>\x80\xfe" + NOISE,
    "with a control Z": b"\x1a" + NOISE + b"\x1b",
    "boot text at another rate": b"\xe0\x1c\x00\x80\x1c\xe3\xe3\x9c\xfc\x00" * 9,
}


@pytest.mark.parametrize("noise", BURSTS.values(), ids=BURSTS)
async def test_f09_garbage_at_open_and_later(tmp_path, message_format, noise, caplog):
    """Before the first answer, 40 s later, glued to a code with and without its line end: nothing dies."""
    caplog.set_level(logging.INFO, "modem-agent.at")
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer("AT", noise + b"\r\nOK\r\n")
        scene.interceptor.answer("AT", noise)
        life = await scene.start_and_settle(60)
        scene.interceptor.send_to_agent(noise)
        await scene.advance(30)
        caplog.clear()
        scene.store_pdu(4, PLAIN_SID_START)
        scene.interceptor.send_to_agent(noise + b'\r\n+CMTI: "ME",4\r\n')
        await scene.advance(20)
        assert scene.executed == ["led on"]
        assert len([line for line in caplog.messages if "noise" in line]) <= 1
        scene.store_pdu(5, make_pdu("led 5"))
        scene.interceptor.send_to_agent(noise.rstrip(b"\r\n") + b'+CMTI: "ME",5\r\n')
        await scene.advance(400)
        assert scene.executed == ["led on", "led 5"]
        assert life.is_alive
        assert scene.sent_bodies == ["did led on", "did led 5"]


@pytest.mark.parametrize("place", INSERT_POSITIONS)
@pytest.mark.parametrize("noise", [BURSTS["as given"], BURSTS["40 octets"]], ids=["as given", "40 octets"])
async def test_f09_garbage_inside_an_answer(tmp_path, message_format, place, noise):
    """At every place of the answer that brings a message: it is handled once, and deleted."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.insert(r"AT\+CMGR=1", place, noise)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(400)
        assert scene.executed == ["led on"]
        assert scene.stored_indices() == []
        assert scene.query_journal("SELECT count(*) FROM ignored") == [(0,)]


async def test_f09_the_module_comes_up_late(tmp_path, message_format):
    """Garbage for 20 s and no answer: AT is tried on, and the first session works."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(".*", NOISE, times=0)
        scene.store_pdu(1, PLAIN_SID_START)
        scene.call_later(21, scene.interceptor.clear_rules)
        await scene.start_and_settle(60)
        assert scene.executed == ["led on"]
        assert scene.port.open_count == 1


LINES = [
    b'+CMTI: "SM"',
    b"+CMTI: x,y",
    b"+CMTI:",
    b'+CMTI: "ME",99999999999999999999',
    b"+CMGR: ,,",
    b'+CREG: "',
    b"+CREG: ,,,,,",
    b"+CREG: 1,99999999999999999999999999",
    b"x" * 70_000,
    b"\x00",
    b"+CDSI: ",
    b"+CMT: ",
    b'+CMT: "',
    b"+CDS: x",
    b"+CME ERROR: ",
    b"+CMS ERROR:",
    b'+CUSD: 0,"' + b"\xe9" * 200,
    b"RING",
    b"NO CARRIER",
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:20]))
async def test_f11_lines_that_break_parsers(tmp_path, message_format, line):
    """Each is passed over; the next good +CMTI is handled at once."""
    async with FaultWorld(tmp_path, message_format) as scene:
        life = await scene.start_and_settle()
        scene.interceptor.send_to_agent(b"\r\n" + line + b"\r\n")
        await scene.advance(10)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert life.is_alive
        assert scene.port.open_count == 1


async def test_f11_a_reader_that_stumbles_is_replaced(tmp_path, message_format):
    """Whatever raises in the read path ends the session, not the reception: a new session takes over."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        engine = scene.modem._client._connection.protocol

        def stumble(data):
            raise ValueError("no parser is perfect")

        engine.receive_data = stumble
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        assert scene.executed == ["led on"]
        assert scene.port.open_count == 2
        assert any("no parser is perfect" in line for line in scene.log_lines(30))


@pytest.mark.parametrize("when", ["idle", "in a read", "at the prompt", "in the body", "after the body"])
async def test_f12_unplugged(tmp_path, message_format, when):
    """Noticed at once, one loop of tries, what was under way is settled; all goes on when it is back."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        command, old = {
            "in a read": (r"AT\+CMGR=.*", b"+CMGR"),
            "at the prompt": (r"AT\+CMGS=.*", b"> "),
            "after the body": (r"AT\+CMGS=.*", b"+CMGS"),
        }.get(when, ("never", b"never"))
        rule = scene.interceptor.rewrite(command, old, b"\x00")

        def tells(data):
            if rule.applied and scene.port.is_plugged:
                scene.call_later(0, scene.port.unplug)
            return b"" if rule.applied else data

        def hears(data):
            if when == "in the body" and scene.module.command_reader.is_text_entry_open:
                scene.call_later(0, scene.port.unplug)
                return data[:10]
            return data

        scene.interceptor.filter_to_agent, scene.interceptor.filter_to_module = tells, hears
        if when == "idle":
            scene.call_later(1, scene.port.unplug)
        else:
            scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(3)
        assert not scene.port.is_plugged
        assert [line for line in scene.log_lines(30) if line.startswith("session ended")]
        scene.interceptor.filter_to_agent = scene.interceptor.filter_to_module = lambda data: data
        opened = scene.port.open_count
        await scene.advance(600)
        assert scene.port.open_count == opened
        assert len([line for line in scene.log_lines(30) if line.startswith("port")]) == 1
        assert 10 < len([line for line in scene.log_lines() if line.startswith("port")]) < 60
        scene.port.plug()
        await scene.advance(60)
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(60)
        unknown = when in {"in the body", "after the body"}
        assert scene.executed == (["led 2"] if when == "idle" else ["led on", "led 2"])
        states = [] if when == "idle" else ["unknown" if unknown else "sent"]
        assert [state for state, _ in scene.replies] == [*states, "sent"]
        left = [] if when in {"idle", "in the body"} else ["did led on"]
        assert scene.sent_bodies == [*left, "did led 2"]
