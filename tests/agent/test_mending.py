"""Who else uses the module, as recovery asks before it does anything; and what was left half done."""

import asyncio

import pytest

from agent.at.port import PortOpener
from agent.mending import Means, Mender, Neighbours
from agent.modem.state import Registration
from agent.recovery import UNREADABLE_S, Ladder, Trouble
from hardware import neighbours
from hardware.power import Usb


def test_of_a_socket_nothing_is_known():
    """There is no device to look at."""

    async def connect(_reader):
        raise AssertionError

    assert Neighbours(connect).port() is None
    assert Neighbours(connect).user() == ""


def test_the_port_that_was_opened_last_is_looked_at(monkeypatch, tmp_path):
    """None before the first opening; a data call on the port itself counts as well."""
    asked = []
    monkeypatch.setattr(neighbours, "in_use", lambda node, *_: asked.append(node) or "wwan0 is up")
    opener = PortOpener("auto", 115_200)
    looking = Neighbours(opener)
    assert looking.user() == ""
    opener._node = tmp_path / "ttyUSB2"
    assert looking.port() == tmp_path / "ttyUSB2"
    assert looking.user() == "wwan0 is up"
    assert asked == [tmp_path / "ttyUSB2"]
    opener.memory.in_data_mode = True
    assert "data mode" in looking.user()


@pytest.mark.parametrize(
    ("note", "may", "said"),
    [
        (None, True, []),
        ("1-1.2", True, ["USB device 1-1.2 is switched on again"]),
        ("1-1.2", False, ["the module may be switched off: "]),
    ],
)
async def test_what_a_killed_agent_left_off_is_switched_on(road, tmp_path, note, may, said):
    """Before the first session, with one line; a right that is missing is said and stops nothing."""
    switch = tmp_path / "sys/bus/usb/devices/1-1.2/authorized"
    (switch if not may else switch.parent).mkdir(parents=True)
    if may:
        switch.write_text("0")
    if note is not None:
        (tmp_path / "note").write_text(note)
    power = Usb(lambda: None, tmp_path / "note", tmp_path)
    mender = Mender(Ladder(road.random), Means(power), None, road.skin, None, road.tell, road.health())
    await mender.put_right()
    assert [
        line.detail[: len(start)] for line, start in zip(road.told("recovery"), said, strict=True)
    ] == said
    if may:
        assert switch.read_text() == ("0" if note is None else "1")


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (["+CPIN: READY"], None),
        (["+CPIN: NOT INSERTED"], Trouble.NO_SIM),
        (["+cpin: not ready"], Trouble.NO_SIM),
        (["+CPIN: SIM PIN"], Trouble.LOCKED),
        (["+CPIN: SIM PUK"], Trouble.LOCKED),
        (("cme", 10), Trouble.NO_SIM),
        (("cme", 13), Trouble.NO_SIM),
        (("cms", 310), Trouble.NO_SIM),
        (("cms", 313), Trouble.NO_SIM),
        (("cme", 14), Trouble.SIM_BUSY),
        (("cms", 314), Trouble.SIM_BUSY),
        (("cme", 100), None),
        (None, None),
    ],
)
async def test_what_the_module_says_of_its_sim(road, make, said, trouble):
    """In words or as an error; where nobody can tell nothing is done about it. Only a look, no PIN."""
    modem = make.modem(road)
    modem.card = said
    if said is None:
        modem.card = make.timed_out("AT+CPIN?")
    elif isinstance(said, tuple):
        modem.card = make.refused(said[1], kind=said[0])
    mender = Mender(Ladder(road.random), Means(), None, road.skin, None, road.tell, road.health())
    assert await mender.card(modem) is trouble
    assert road.happened("at") == [("at", "AT+CPIN?")]


async def test_messages_that_cannot_be_read_for_long(road, make):
    """One line that says why, and another session: no failure of the line, and no reset is counted."""
    modem = make.modem(road)
    mender = Mender(Ladder(road.random), Means(), None, road.skin, None, road.tell, road.health())
    mender.ladder.store(asyncio.get_running_loop().time() - UNREADABLE_S, refuses=True)
    await mender.fares(modem, Registration(1))
    assert not mender.ended_session
    mender.ladder.store(asyncio.get_running_loop().time() - UNREADABLE_S, refuses=True)
    modem.store_refuses = "AT+CMGL=4 was refused: +CMS ERROR: 500"
    await mender.fares(modem, Registration(1))
    assert [str(line) for line in road.told("recovery")] == [
        "recovery: its messages cannot be read (AT+CMGL=4 was refused: +CMS ERROR: 500): begin a new session"
    ]
    assert mender.ended_session
    assert modem.loss
