"""The line interceptor: its octets arrive at the chosen positions."""

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.line_interceptor import INSERT_POSITIONS


async def test_without_rules_everything_passes(tmp_path, message_format):
    """Commands are executed and answered as without the interceptor."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        world.deliver_pdu(make_pdu("anything at all"))
        await world.advance(10)
        assert world.executed == ["led on", "anything at all"]
        assert world.sent_bodies == ["did led on", "did anything at all"]
        assert world.stored_indices() == []


@pytest.mark.parametrize("position", INSERT_POSITIONS)
@pytest.mark.parametrize("echo", ["echo on", "echo off"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_octets_are_inserted_at_every_position(tmp_path, message_format, position, echo):
    """The agent receives the inserted octets at the position, with echo on and off."""
    received = bytearray()
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.settings.echo = echo == "echo on"
        world.store_pdu(3, PLAIN_SID_START)
        rule = world.interceptor.insert(r"AT\+CMGR=3", position, b"<HERE>")
        world.interceptor.filter_to_agent = lambda data: received.extend(data) or data
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await world.advance(5)
        assert rule.applied == 1
    line = b"AT+CMGR=3\r" if world.module.settings.echo else b""
    header = b"\r\n+CMGR: 0,,51\r\n"
    neighbours = {
        "before echo": (b"", line),
        "after echo": (line, header),
        "before header": (line, header),
        "after header": (header, PLAIN_SID_START.encode()),
        "after PDU": (PLAIN_SID_START.encode() + b"\r\n", b"\r\nOK\r\n"),
        "after OK": (b"\r\nOK\r\n", b""),
    }
    before, after = neighbours[position]
    assert before + b"<HERE>" + after in received


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_pauses_keep_the_order(tmp_path, message_format):
    """Octets sent later arrive later, also during a pause."""
    received = []
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.filter_to_agent = lambda data: received.append((world.loop.time(), data)) or data
        world.interceptor.send_to_agent([b"\r\n^ONE\r\n", 3, b"\r\n^TWO\r\n"])
        world.interceptor.send_to_agent(b"\r\n^THREE\r\n")
        await world.advance(5)
        world.interceptor.send_to_agent(b"\r\n^FOUR\r\n")
        await world.advance(1)
    assert [data.strip() for _, data in received] == [b"^ONE", b"^TWO", b"^THREE", b"^FOUR"]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_answers_and_rewrites(tmp_path, message_format):
    """`answer` withholds a command from the module, `rewrite` changes the response of the module."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.store_pdu(3, PLAIN_SID_START)
        world.store_pdu(4, make_pdu("led 2"))
        refused = world.interceptor.answer(r"AT\+CMGR=3", b"\r\n+CMS ERROR: 321\r\n")
        changed = world.interceptor.rewrite(r"AT\+CMGR=4", b"+CMGR: 0,,", b'+CMGR: 0,"",')
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n\r\n+CMTI: "ME",4\r\n')
        await world.advance(2)
        assert (refused.applied, changed.applied) == (1, 1)
        assert world.executed == ["led 2", "led on"]  # the second by the sweep after the refusal
