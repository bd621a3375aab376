"""Messages of others, and two automatons that answer each other."""

import pytest

from fault.catalogue import ALPHA_SENDER, INTL_SENDER, PLAIN_SID_START
from fault.scene import Scene, message

HOUR = 3600

STRANGERS = {
    "alpha_sender": ALPHA_SENDER,
    "intl_sender": INTL_SENDER,
    "a longer number": message("reboot", sender="0001"),
    "a shorter number": message("reboot", sender="00"),
    "it ends with the number": message("reboot", sender="+15557000"),
    "international": message("reboot", sender="2936"),
    "alphanumeric digits": PLAIN_SID_START.replace("038100F0", "05D030180C"),
}


@pytest.mark.deviation(
    "The design holds: strays are kept in the journal (the newest 1,000), then deleted from the module."
)
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
async def test_f27_nobody_else_commands(tmp_path, mode, stranger):
    """Kept, deleted, counted; never executed and never answered; the service's own still is."""
    async with Scene(tmp_path, mode, executables=("reboot",)) as scene:
        await scene.begin()
        scene.arrive(stranger)
        scene.arrive(message("led 2"))
        await scene.passes(60)
        assert scene.carried_out == ["led 2"]
        assert scene.bodies == ["did led 2"]
        assert scene.slots() == []
        assert len(scene.journal("SELECT sender FROM strays")) == 1
        assert scene.life.agent._inbox.counts()["strays"] == 1


@pytest.mark.parametrize("toa", ["81", "A1", "91"])
async def test_f27_the_service_by_any_type_of_number(tmp_path, mode, toa):
    """000 comes as unknown, national or international: networks rewrite that."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.arrive(PLAIN_SID_START.replace("038100F0", f"03{toa}00F0"))
        await scene.passes(10)
        assert scene.carried_out == ["led on"]


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
async def test_f18_every_answer_comes_back(tmp_path, mode, text):
    """The loop ends by itself, after one error answer at the most."""
    async with Scene(tmp_path, mode, anything=False) as scene:
        await scene.begin()
        scene.network.ledger = Mirror(scene)
        scene.send(text)
        await scene.passes(24 * HOUR)
        errors = [body for body in scene.bodies if body.startswith("ERR")]
        assert len(errors) <= 1
        assert len(scene.bodies) <= 2


@pytest.mark.parametrize("mode", ["pdu"])
async def test_f18_a_handler_that_answers_everything(tmp_path, mode):
    """Nobody but the caps can end it: 10 a minute, 200 a day, and it is said."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.network.ledger = Mirror(scene)
        for number in range(5):
            scene.send(f"loop {number}")
        await scene.passes(300)
        assert len(scene.bodies) <= 5 * 10 + 10
        await scene.passes(24 * HOUR - 400)
        assert 100 < len(scene.bodies) <= 200
        assert any("a minute" in line for line in scene.log(30))
        assert any("a day" in line for line in scene.log(30))


@HOLDS
async def test_f18_thirty_identical_texts_an_hour(tmp_path, mode):
    """Unknown words of one sender: at most 10 error answers in any hour."""
    async with Scene(tmp_path, mode, anything=False) as scene:
        await scene.begin()
        for number in range(60):
            scene.call_later(number * 120, scene.send, "what is this")
        await scene.passes(3 * HOUR)
        assert len(scene.journal("SELECT id FROM commands")) == 60
        assert 10 <= len(scene.bodies) <= 21
        times = sorted(at for (at,) in scene.journal("SELECT queued_running FROM replies"))
        assert all(later - earlier > 0.99 * HOUR for earlier, later in zip(times, times[10:], strict=False))
