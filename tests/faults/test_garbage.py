"""F09 F11 F12: noise, malformed lines, and an unplugged port."""

import logging
import random

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.line_interceptor import INSERT_POSITIONS

NOISE = bytes.fromhex("00FFF8E68098FE00")
BURSTS = {
    "mixed octets": NOISE,
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "40 octets": random.Random(1).randbytes(40),
    "with line ends": NOISE + b"\r" + NOISE + b"\n" + NOISE + b"\r\n",
    "with a prompt": b"\r\n>\x80\xfe" + NOISE,
    "with a control Z": b"\x1a" + NOISE + b"\x1b",
    "boot text at another rate": b"\xe0\x1c\x00\x80\x1c\xe3\xe3\x9c\xfc\x00" * 9,
}


@pytest.mark.parametrize("noise", BURSTS.values(), ids=BURSTS)
async def test_f09_noise_at_open_and_later(tmp_path, message_format, noise, caplog):
    """Noise before the first response, later, or next to a URC does not stop the agent."""
    caplog.set_level(logging.INFO, "modem-agent.at")
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer("AT", noise + b"\r\nOK\r\n")
        world.interceptor.answer("AT", noise)
        agent_run = await world.start_and_settle(60)
        world.interceptor.send_to_agent(noise)
        await world.advance(30)
        caplog.clear()
        world.store_pdu(4, PLAIN_SID_START)
        world.interceptor.send_to_agent(noise + b'\r\n+CMTI: "ME",4\r\n')
        await world.advance(20)
        assert world.executed == ["led on"]
        assert len([line for line in caplog.messages if "noise" in line]) <= 1
        world.store_pdu(5, make_pdu("led 5"))
        world.interceptor.send_to_agent(noise.rstrip(b"\r\n") + b'+CMTI: "ME",5\r\n')
        await world.advance(400)
        assert world.executed == ["led on", "led 5"]
        assert agent_run.is_alive
        assert world.sent_bodies == ["did led on", "did led 5"]


@pytest.mark.parametrize("position", INSERT_POSITIONS)
@pytest.mark.parametrize(
    "noise", [BURSTS["mixed octets"], BURSTS["40 octets"]], ids=["mixed octets", "40 octets"]
)
async def test_f09_noise_inside_a_response(tmp_path, message_format, position, noise):
    """The message is executed once and deleted, wherever in its response the noise is."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.insert(r"AT\+CMGR=1", position, noise)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(400)
        assert world.executed == ["led on"]
        assert world.stored_indices() == []
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]


async def test_f09_module_that_starts_late(tmp_path, message_format):
    """After 20 s of noise without a response the first session succeeds."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(".*", NOISE, times=0)
        world.store_pdu(1, PLAIN_SID_START)
        world.call_later(21, world.interceptor.clear_rules)
        await world.start_and_settle(60)
        assert world.executed == ["led on"]
        assert world.port.open_count == 1


MALFORMED_LINES = [
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


@pytest.mark.parametrize("line", MALFORMED_LINES, ids=lambda line: repr(line[:20]))
async def test_f11_malformed_lines_are_ignored(tmp_path, message_format, line):
    """The next valid +CMTI is processed at once."""
    async with FaultWorld(tmp_path, message_format) as world:
        agent_run = await world.start_and_settle()
        world.interceptor.send_to_agent(b"\r\n" + line + b"\r\n")
        await world.advance(10)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert agent_run.is_alive
        assert world.port.open_count == 1


async def test_f11_exception_in_the_read_path_starts_a_new_session(tmp_path, message_format):
    """The exception is logged and ends the session, and the next session receives the message."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        protocol = world.modem._client._connection.protocol

        def fail(data):
            raise ValueError("simulated parser error")

        protocol.receive_data = fail
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.executed == ["led on"]
        assert world.port.open_count == 2
        assert any("simulated parser error" in line for line in world.log_lines(30))


@pytest.mark.parametrize("when", ["idle", "in a read", "at the prompt", "in the body", "after the body"])
async def test_f12_unplugged_port_is_reopened(tmp_path, message_format, when):
    """The pending command is completed, the port is retried with backoff, and work goes on after plug-in."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        command, old = {
            "in a read": (r"AT\+CMGR=.*", b"+CMGR"),
            "at the prompt": (r"AT\+CMGS=.*", b"> "),
            "after the body": (r"AT\+CMGS=.*", b"+CMGS"),
        }.get(when, ("never", b"never"))
        rule = world.interceptor.rewrite(command, old, b"\x00")

        def filter_output(data):
            if rule.applied and world.port.is_plugged:
                world.call_later(0, world.port.unplug)
            return b"" if rule.applied else data

        def filter_input(data):
            if when == "in the body" and world.module.command_reader.is_text_entry_open:
                world.call_later(0, world.port.unplug)
                return data[:10]
            return data

        world.interceptor.filter_to_agent, world.interceptor.filter_to_module = filter_output, filter_input
        if when == "idle":
            world.call_later(1, world.port.unplug)
        else:
            world.deliver_pdu(PLAIN_SID_START)
        await world.advance(3)
        assert not world.port.is_plugged
        assert [line for line in world.log_lines(30) if line.startswith("session ended")]
        world.interceptor.filter_to_agent = world.interceptor.filter_to_module = lambda data: data
        open_count_before = world.port.open_count
        await world.advance(600)
        assert world.port.open_count == open_count_before
        assert len([line for line in world.log_lines(30) if line.startswith("port")]) == 1
        assert 10 < len([line for line in world.log_lines() if line.startswith("port")]) < 60
        world.port.plug()
        await world.advance(60)
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(60)
        unknown = when in {"in the body", "after the body"}
        assert world.executed == (["led 2"] if when == "idle" else ["led on", "led 2"])
        states = [] if when == "idle" else ["unknown" if unknown else "sent"]
        assert [state for state, _ in world.replies] == [*states, "sent"]
        submitted = [] if when in {"idle", "in the body"} else ["did led on"]
        assert world.sent_bodies == [*submitted, "did led 2"]
