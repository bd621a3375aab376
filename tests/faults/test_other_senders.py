"""F18 F27: reply loops, and messages from other senders."""

import pytest

from fault.catalogue import ALPHA_SENDER, INTL_SENDER, PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu

HOUR = 3600

OTHER_SENDERS = {
    "alpha_sender": ALPHA_SENDER,
    "intl_sender": INTL_SENDER,
    "a longer number": make_pdu("reboot", sender="0001"),
    "a shorter number": make_pdu("reboot", sender="00"),
    "it ends with the number": make_pdu("reboot", sender="+15557000"),
    "international": make_pdu("reboot", sender="2936"),
    "alphanumeric digits": PLAIN_SID_START.replace("038100F0", "05D030180C"),
}


@pytest.mark.deviation(
    "Ignored messages are kept in the journal (the newest 1,000), then deleted from the module."
)
@pytest.mark.parametrize("message", OTHER_SENDERS.values(), ids=OTHER_SENDERS)
async def test_f27_other_senders_are_ignored(tmp_path, message_format, message):
    """Their messages are kept, deleted and counted, not executed or answered."""
    async with FaultWorld(tmp_path, message_format, executables=("reboot",)) as world:
        await world.start_and_settle()
        world.deliver_pdu(message)
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(60)
        assert world.executed == ["led 2"]
        assert world.sent_bodies == ["did led 2"]
        assert world.stored_indices() == []
        assert len(world.query_journal("SELECT sender FROM ignored")) == 1
        assert world.current_run.agent.components.command_store.count_by_state()["ignored"] == 1


@pytest.mark.parametrize("toa", ["81", "A1", "91"])
async def test_f27_service_number_with_any_type_of_number(tmp_path, message_format, toa):
    """000 may arrive as unknown, national or international, because networks rewrite it."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START.replace("038100F0", f"03{toa}00F0"))
        await world.advance(10)
        assert world.executed == ["led on"]


class ReturningList(list):
    """A list of sent messages that returns each one to the agent as a Command after some seconds."""

    def __init__(self, world, seconds=2):
        super().__init__()
        self._scene = world
        self._seconds = seconds

    def append(self, message):
        super().append(message)
        self._scene.call_later(self._seconds, self._scene.send, message.body)


ERROR_REPLIES = pytest.mark.deviation(
    "An unknown Command gets one short reply `ERR ...`, at most 10 an hour; a message that begins with"
    " `ERR ` is never answered."
)


@pytest.mark.long
@ERROR_REPLIES
@pytest.mark.parametrize("text", ["what is this", "ERR unknown command", "led on"])
async def test_f18_reply_loop_ends_after_one_error(tmp_path, message_format, text):
    """Every reply is returned as a Command, and at most one error reply is sent."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as world:
        await world.start_and_settle()
        world.network.mo_messages = ReturningList(world)
        world.send(text)
        await world.advance(24 * HOUR)
        errors = [body for body in world.sent_bodies if body.startswith("ERR")]
        assert len(errors) <= 1
        assert len(world.sent_bodies) <= 2


@pytest.mark.long
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f18_rate_limits_end_a_reply_loop(tmp_path, message_format):
    """A handler answers everything: 10 replies a minute and 200 a day are sent, and the log says so."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.network.mo_messages = ReturningList(world)
        for number in range(5):
            world.send(f"loop {number}")
        await world.advance(300)
        assert len(world.sent_bodies) <= 5 * 10 + 10
        await world.advance(24 * HOUR - 400)
        assert 100 < len(world.sent_bodies) <= 200
        assert any("10 messages a minute" in line for line in world.log_lines(30))
        assert any("the daily limit of 200 messages" in line for line in world.log_lines(30))


@ERROR_REPLIES
async def test_f18_error_replies_are_limited_per_hour(tmp_path, message_format):
    """Unknown Commands of one sender get at most 10 error replies in any hour."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as world:
        await world.start_and_settle()
        for number in range(60):
            world.call_later(number * 120, world.send, "what is this")
        await world.advance(3 * HOUR)
        assert len(world.query_journal("SELECT id FROM commands")) == 60
        assert 10 <= len(world.sent_bodies) <= 21
        times = sorted(at for (at,) in world.query_journal("SELECT queued_uptime FROM replies"))
        assert all(later - earlier > 0.99 * HOUR for earlier, later in zip(times, times[10:], strict=False))
