"""F03: URCs before, inside and right after a response."""

import re

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.line_interceptor import INSERT_POSITIONS

CMTI = b'\r\n+CMTI: "ME",4\r\n'
CREG = b"\r\n+CREG: 5\r\n"
RSSI = b"\r\n^RSSI:3\r\n"


def deleted_unread(world):
    """Return the deletes of an index that was not read before, or of more than one index."""
    read, unread_deletes = set(), []
    for line in world.interceptor.commands_matching():
        if found := re.fullmatch(r"AT\+CMGR=(\d+)", line):
            read.add(found[1])
        elif line.startswith("AT+CMGL"):
            read = {str(index) for index in range(1, 21)}
        elif line.startswith("AT+CMGD"):
            unread_deletes += [line] if line.removeprefix("AT+CMGD=") not in read else []
            read.discard(line.removeprefix("AT+CMGD="))
    return unread_deletes


async def read_with(world, *inserted, reading=r"AT\+CMGR=3"):
    """Let the agent read index 3 with these (position, octets) inserted into the response."""
    world.store_pdu(3, PLAIN_SID_START)
    world.store_pdu(4, make_pdu("led 4"))
    rules = [world.interceptor.insert(reading, position, octets) for position, octets in inserted]
    world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
    await world.advance(10)
    assert [rule.applied for rule in rules] == [1] * len(rules)


def assert_both_processed(world):
    """Check that indices 3 and 4 were read, executed and deleted exactly once, in this order."""
    assert world.executed == ["led on", "led 4"]
    assert world.interceptor.commands_matching(r"AT\+CMGR=.*") == ["AT+CMGR=3", "AT+CMGR=4"]
    assert world.interceptor.commands_matching(r"AT\+CMGD=.*") == ["AT+CMGD=3", "AT+CMGD=4"]
    assert deleted_unread(world) == []
    assert world.stored_indices() == []
    assert world.log_lines(30) == []


async def test_f03_three_urcs_inside_one_response(tmp_path, message_format):
    """^RSSI and +CMTI before the header and +CREG after the PDU are all processed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.send_to_agent(b"\r\n+CREG: 2\r\n")
        await read_with(world, ("after echo", RSSI + CMTI), ("after PDU", b"\r\n+CREG: 1\r\n"))
        assert_both_processed(world)
        assert world.modem.status.registration.circuit == 1


@pytest.mark.parametrize("echo", ["echo on", "echo off"])
@pytest.mark.parametrize("position", INSERT_POSITIONS)
@pytest.mark.parametrize("urcs", [CMTI, b"\r\nRING\r\n" + RSSI + CMTI + CREG], ids=repr)
async def test_f03_urc_at_every_position_of_a_read(tmp_path, message_format, position, echo, urcs):
    """The announced message is read, and nothing is read twice or deleted unread."""
    async with FaultWorld(tmp_path, message_format) as world:
        if echo == "echo on":
            world.module.faults.add("echo-stuck:for=0")
        await world.start_and_settle()
        await read_with(world, (position, urcs))
        assert_both_processed(world)


@pytest.mark.parametrize("position", INSERT_POSITIONS)
async def test_f03_urc_at_every_position_of_a_list(tmp_path, message_format, position):
    """The announced message is read after the sweep, and nothing is deleted unread."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(3, PLAIN_SID_START)
        world.store_pdu(5, make_pdu("led 5", timestamp="26/11/21,22:31:00+00"))
        rule = world.interceptor.insert(r"AT\+CMGL.*", position, RSSI + CMTI)
        world.call_later(0.3, world.store_pdu, 4, make_pdu("led 4", timestamp="26/11/21,22:32:00+00"))
        await world.start_and_settle()
        assert rule.applied == 1
        assert world.executed == ["led on", "led 5", "led 4"]
        assert deleted_unread(world) == []
        assert world.stored_indices() == []


@pytest.mark.parametrize("target", [b"\r\n> ", b"\r\n+CMGS: ", b"\r\n\r\nOK"], ids=repr)
async def test_f03_urc_inside_the_response_to_a_send(tmp_path, message_format, target):
    """Before the prompt, the reference or the result: each reply is sent once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.store_pdu(4, make_pdu("led 4"))
        rule = world.interceptor.rewrite(r"AT\+CMGS=.*", target, RSSI + CMTI + CREG + target)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert rule.applied == 1
        assert world.executed == ["led on", "led 4"]
        assert world.sent_bodies == ["did led on", "did led 4"]
        assert [state for state, _ in world.replies] == ["sent", "sent"]
