"""Choosing a wire by what a configuration names."""

import pytest

from agent.at.memory_wire import memory_pair
from agent.at.wire import PortUnavailable, opener, socket_address, the_only


def test_auto_takes_the_only_port(tmp_path):
    """One USB serial port needs no name."""
    (tmp_path / "usb-Quectel_EG25-G-if02-port0").touch()
    assert the_only(tmp_path) == str(tmp_path / "usb-Quectel_EG25-G-if02-port0")


def test_auto_finds_nothing(tmp_path):
    """Without a port one sentence says what to do; a folder that udev has not made is the same."""
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(PortUnavailable, match=r"finds no USB serial port .* agent.toml") as caught:
            the_only(folder)
        assert caught.value.kind == "absent"


def test_auto_finds_several(tmp_path):
    """Which one is the module's AT port, nobody can know: the sentence names them all."""
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    with pytest.raises(PortUnavailable, match=r"finds 2 .*/a, .*/b.*name the AT port") as caught:
        the_only(tmp_path)
    assert caught.value.kind == "ambiguous"


async def test_auto_opens_what_it_found(tmp_path, new_reader):
    """The choice is made anew at each opening: the module may come later."""
    opening = opener("auto", 115200, tmp_path)
    with pytest.raises(PortUnavailable, match="finds no"):
        await opening(new_reader())


@pytest.mark.parametrize(
    "port", ["socket://", "socket://host", "socket://host:", "socket://:1", "socket://h:99999"]
)
def test_an_impossible_address_is_refused_at_once(port):
    """A configuration that cannot work is told before anything is opened."""
    with pytest.raises(ValueError, match="looks like socket://host:port"):
        opener(port)


def test_addresses():
    """Host and port, also of IPv6."""
    assert socket_address("socket://gateway.local:2217") == ("gateway.local", 2217)
    assert socket_address("socket://[::1]:2217") == ("::1", 2217)


async def test_a_wire_in_memory(new_reader):
    """Octets arrive in order, also those that came before the reader; closing is seen at the other end."""
    near, far = memory_pair()
    far.write(b"early ")
    reader = new_reader()
    wire = await near.open(reader)
    far.write(b"and ")
    far.write(b"late")
    await reader.until(lambda: reader.data == b"early and late")
    other = new_reader()
    await far.open(other)
    wire.write(b"last words")
    wire.close()
    await other.until(lambda: other.reasons)
    assert other.data == b"last words"
    assert reader.reasons == []
