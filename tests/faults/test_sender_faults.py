"""F124 F127 F136: refusals by a sick module, a lost result, and replies that were cut."""

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.fixed_reply_runner import FixedReplyRunner

# F136


CUT_REPLIES = [("a" * 160, 0), ("a" * 161, 3), ("a" * 500, 342), ("\u20ac" * 90, 11)]
"""Replies, and the number of characters that do not fit into one message."""


@pytest.mark.parametrize(("reply", "omitted"), CUT_REPLIES)
async def test_f136_reply_that_was_cut_says_so(tmp_path, message_format, reply, omitted):
    """The log and the outbox show how many characters were cut off; a whole reply shows none."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, reply)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert world.query_journal("SELECT omitted FROM replies") == [(omitted,)]
        (line,) = [line for line in world.log_lines() if line.startswith("queued")]
        assert (f"its last {omitted} characters are not sent" in line) is (omitted > 0)


async def test_f136_last_part_of_a_cut_reply_says_so(tmp_path):
    """Of three messages, the one that ends with the mark shows the cut."""
    tables = {"service": {"name": "super-sim", "max_parts": 3}}
    async with FaultWorld(tmp_path, tables=tables) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, "a" * 500)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert world.query_journal("SELECT part, omitted FROM replies") == [(1, 0), (2, 0), (3, 43)]


async def test_f136_built_in_help_that_was_cut_says_so(tmp_path, message_format):
    """A built-in handler that shortens its reply itself shows it, too."""
    names = [f"relay-{number:02}" for number in range(30)]
    async with FaultWorld(tmp_path, message_format, executables=names) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("help"))
        await world.advance(20)
        ((omitted,),) = world.query_journal("SELECT omitted FROM replies")
        assert omitted > 100
        assert any(f"its last {omitted} characters are not sent" in line for line in world.log_lines())


async def test_f136_sent_message_that_was_cut_says_so(tmp_path):
    """`modem-agent send` returns the number of characters that were cut off."""
    async with FaultWorld(tmp_path) as world:
        await world.start_and_settle()
        response = await world.control_api.send_message({"text": "a" * 170})
        assert response["omitted"] == 12
