"""Who else uses the module, as recovery asks before it does anything."""

from agent.at.port import PortOpener
from agent.mending import Neighbours
from hardware import neighbours


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
