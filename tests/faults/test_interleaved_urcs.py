"""News of the module before, inside and right after an answer."""

import re

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.line_interceptor import INSERT_POSITIONS

CMTI = b'\r\n+CMTI: "ME",4\r\n'
CREG = b"\r\n+CREG: 5\r\n"
RSSI = b"\r\n^RSSI:3\r\n"


def deleted_unread(scene):
    """Deletes of an index that was not read before, and of more than one index."""
    read, wrong = set(), []
    for line in scene.interceptor.commands_matching():
        if found := re.fullmatch(r"AT\+CMGR=(\d+)", line):
            read.add(found[1])
        elif line.startswith("AT+CMGL"):
            read = {str(index) for index in range(1, 21)}
        elif line.startswith("AT+CMGD"):
            wrong += [line] if line.removeprefix("AT+CMGD=") not in read else []
            read.discard(line.removeprefix("AT+CMGD="))
    return wrong


async def read_with(scene, *inserted, reading=r"AT\+CMGR=3"):
    """Let the agent read index 3 with these (place, octets) put into the answer; then all must be well."""
    scene.store_pdu(3, PLAIN_SID_START)
    scene.store_pdu(4, make_pdu("led 4"))
    rules = [scene.interceptor.insert(reading, place, says) for place, says in inserted]
    scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
    await scene.advance(10)
    assert [rule.applied for rule in rules] == [1] * len(rules)


def all_is_well(scene):
    """Message 3 was handled once, index 4 read afterwards, nothing read twice or deleted unread."""
    assert scene.executed == ["led on", "led 4"]
    assert scene.interceptor.commands_matching(r"AT\+CMGR=.*") == ["AT+CMGR=3", "AT+CMGR=4"]
    assert scene.interceptor.commands_matching(r"AT\+CMGD=.*") == ["AT+CMGD=3", "AT+CMGD=4"]
    assert deleted_unread(scene) == []
    assert scene.stored_indices() == []
    assert scene.log_lines(30) == []


async def test_f03_as_in_the_catalogue(tmp_path, message_format):
    """All three at once: ^RSSI and +CMTI before the header, +CREG after the PDU; nothing gets lost of it."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.send_to_agent(b"\r\n+CREG: 2\r\n")
        await read_with(scene, ("after echo", RSSI + CMTI), ("after PDU", b"\r\n+CREG: 1\r\n"))
        all_is_well(scene)
        assert scene.modem.status.registration.circuit == 1


@pytest.mark.parametrize("echo", ["echo on", "echo off"])
@pytest.mark.parametrize("place", INSERT_POSITIONS)
@pytest.mark.parametrize("news", [CMTI, b"\r\nRING\r\n" + RSSI + CMTI + CREG], ids=repr)
async def test_f03_at_every_place(tmp_path, message_format, place, echo, news):
    """Whatever it is and wherever it comes: index 4 is read, nothing is read twice or deleted unread."""
    async with FaultWorld(tmp_path, message_format) as scene:
        if echo == "echo on":
            scene.module.faults.add("echo-stuck:for=0")
        await scene.start_and_settle()
        await read_with(scene, (place, news))
        all_is_well(scene)


@pytest.mark.parametrize("place", INSERT_POSITIONS)
async def test_f03_in_the_answer_to_a_list(tmp_path, message_format, place):
    """The same in the sweep at the start, which lists; and between two entries of a list."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(3, PLAIN_SID_START)
        scene.store_pdu(5, make_pdu("led 5", timestamp="26/11/21,22:31:00+00"))
        rule = scene.interceptor.insert(r"AT\+CMGL.*", place, RSSI + CMTI)
        scene.call_later(0.3, scene.store_pdu, 4, make_pdu("led 4", timestamp="26/11/21,22:32:00+00"))
        await scene.start_and_settle()
        assert rule.applied == 1
        assert scene.executed == ["led on", "led 5", "led 4"]
        assert deleted_unread(scene) == []
        assert scene.stored_indices() == []


@pytest.mark.parametrize("where", [b"\r\n> ", b"\r\n+CMGS: ", b"\r\n\r\nOK"], ids=repr)
async def test_f03_in_the_answer_to_a_send(tmp_path, message_format, where):
    """Before the prompt, before the reference, before the result: the reply is sent once."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.store_pdu(4, make_pdu("led 4"))
        rule = scene.interceptor.rewrite(r"AT\+CMGS=.*", where, RSSI + CMTI + CREG + where)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert rule.applied == 1
        assert scene.executed == ["led on", "led 4"]
        assert scene.sent_bodies == ["did led on", "did led 4"]
        assert [state for state, _ in scene.replies] == ["sent", "sent"]
