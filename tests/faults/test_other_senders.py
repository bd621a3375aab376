"""Messages of others, and two automatons that answer each other."""

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
    "The design holds: strays are kept in the journal (the newest 1,000), then deleted from the module."
)
@pytest.mark.parametrize("stranger", OTHER_SENDERS.values(), ids=OTHER_SENDERS)
async def test_f27_nobody_else_commands(tmp_path, message_format, stranger):
    """Kept, deleted, counted; never executed and never answered; the service's own still is."""
    async with FaultWorld(tmp_path, message_format, executables=("reboot",)) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(stranger)
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(60)
        assert scene.executed == ["led 2"]
        assert scene.sent_bodies == ["did led 2"]
        assert scene.stored_indices() == []
        assert len(scene.query_journal("SELECT sender FROM ignored")) == 1
        assert scene.current_run.agent.components.command_store.count_by_state()["ignored"] == 1


@pytest.mark.parametrize("toa", ["81", "A1", "91"])
async def test_f27_the_service_by_any_type_of_number(tmp_path, message_format, toa):
    """000 comes as unknown, national or international: networks rewrite that."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START.replace("038100F0", f"03{toa}00F0"))
        await scene.advance(10)
        assert scene.executed == ["led on"]


class Mirror(list):
    """A ledger of the network from which everything comes back as a Command after a while."""

    def __init__(self, scene, seconds=2):
        super().__init__()
        self._scene = scene
        self._seconds = seconds

    def append(self, sent):
        super().append(sent)
        self._scene.call_later(self._seconds, self._scene.send, sent.body)


HOLDS = pytest.mark.deviation(
    "The design holds: an unknown Command gets one short answer `ERR ...`, at most 10 an hour; what begins"
    " with `ERR ` is never answered."
)


@HOLDS
@pytest.mark.parametrize("text", ["what is this", "ERR unknown command", "led on"])
async def test_f18_every_answer_comes_back(tmp_path, message_format, text):
    """The loop ends by itself, after one error answer at the most."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as scene:
        await scene.start_and_settle()
        scene.network.mo_messages = Mirror(scene)
        scene.send(text)
        await scene.advance(24 * HOUR)
        errors = [body for body in scene.sent_bodies if body.startswith("ERR")]
        assert len(errors) <= 1
        assert len(scene.sent_bodies) <= 2


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f18_a_handler_that_answers_everything(tmp_path, message_format):
    """Nobody but the caps can end it: 10 a minute, 200 a day, and it is said."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.network.mo_messages = Mirror(scene)
        for number in range(5):
            scene.send(f"loop {number}")
        await scene.advance(300)
        assert len(scene.sent_bodies) <= 5 * 10 + 10
        await scene.advance(24 * HOUR - 400)
        assert 100 < len(scene.sent_bodies) <= 200
        assert any("a minute" in line for line in scene.log_lines(30))
        assert any("a day" in line for line in scene.log_lines(30))


@HOLDS
async def test_f18_thirty_identical_texts_an_hour(tmp_path, message_format):
    """Unknown words of one sender: at most 10 error answers in any hour."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as scene:
        await scene.start_and_settle()
        for number in range(60):
            scene.call_later(number * 120, scene.send, "what is this")
        await scene.advance(3 * HOUR)
        assert len(scene.query_journal("SELECT id FROM commands")) == 60
        assert 10 <= len(scene.sent_bodies) <= 21
        times = sorted(at for (at,) in scene.query_journal("SELECT queued_uptime FROM replies"))
        assert all(later - earlier > 0.99 * HOUR for earlier, later in zip(times, times[10:], strict=False))
