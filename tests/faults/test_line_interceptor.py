"""The opponent itself: its octets arrive where it was told."""

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.line_interceptor import INSERT_POSITIONS


async def test_without_rules_it_is_not_noticed(tmp_path, message_format):
    """A Command is carried out and answered as without it."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        scene.deliver_pdu(make_pdu("anything at all"))
        await scene.advance(10)
        assert scene.executed == ["led on", "anything at all"]
        assert scene.sent_bodies == ["did led on", "did anything at all"]
        assert scene.stored_indices() == []


@pytest.mark.parametrize("place", INSERT_POSITIONS)
@pytest.mark.parametrize("echo", ["echo on", "echo off"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_every_place_is_where_it_says(tmp_path, message_format, place, echo):
    """In the octets that the agent reads, echo on and off."""
    heard = bytearray()
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.module.settings.echo = echo == "echo on"
        scene.store_pdu(3, PLAIN_SID_START)
        rule = scene.interceptor.insert(r"AT\+CMGR=3", place, b"<HERE>")
        scene.interceptor.filter_to_agent = lambda data: heard.extend(data) or data
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await scene.advance(5)
        assert rule.applied == 1
    line = b"AT+CMGR=3\r" if scene.module.settings.echo else b""
    header = b"\r\n+CMGR: 0,,51\r\n"
    around = {
        "before echo": (b"", line),
        "after echo": (line, header),
        "before header": (line, header),
        "after header": (header, PLAIN_SID_START.encode()),
        "after PDU": (PLAIN_SID_START.encode() + b"\r\n", b"\r\nOK\r\n"),
        "after OK": (b"\r\nOK\r\n", b""),
    }
    before, after = around[place]
    assert before + b"<HERE>" + after in heard


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_pauses_keep_the_order(tmp_path, message_format):
    """What is said later comes later, whatever pause is running."""
    heard = []
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.filter_to_agent = lambda data: heard.append((scene.loop.time(), data)) or data
        scene.interceptor.send_to_agent([b"\r\n^ONE\r\n", 3, b"\r\n^TWO\r\n"])
        scene.interceptor.send_to_agent(b"\r\n^THREE\r\n")
        await scene.advance(5)
        scene.interceptor.send_to_agent(b"\r\n^FOUR\r\n")
        await scene.advance(1)
    assert [data.strip() for _, data in heard] == [b"^ONE", b"^TWO", b"^THREE", b"^FOUR"]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_answers_and_rewrites(tmp_path, message_format):
    """An answer keeps a command from the module, a rewrite changes what the module says to it."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.store_pdu(3, PLAIN_SID_START)
        scene.store_pdu(4, make_pdu("led 2"))
        refused = scene.interceptor.answer(r"AT\+CMGR=3", b"\r\n+CMS ERROR: 321\r\n")
        changed = scene.interceptor.rewrite(r"AT\+CMGR=4", b"+CMGR: 0,,", b'+CMGR: 0,"",')
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n\r\n+CMTI: "ME",4\r\n')
        await scene.advance(2)
        assert (refused.applied, changed.applied) == (1, 1)
        assert scene.executed == ["led 2", "led on"]  # the second by the sweep after the refusal
