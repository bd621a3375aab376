"""Choosing a wire by what a configuration names."""

import os
import shutil
from pathlib import Path

import pytest

from agent.at.transport.base import PortUnavailable
from agent.at.transport.memory import memory_transport_pair
from agent.at.transport.open import make_opener, parse_socket_address


async def test_auto_is_looked_for_at_each_opening(tmp_path, make_reader):
    """The module may come later, and under another name: what is opened is what is found then."""
    opening = make_opener("auto", 115200, tmp_path)
    with pytest.raises(
        PortUnavailable, match=r'port = "auto" finds no .*/dev/serial/by-id.*agent.toml'
    ) as caught:
        await opening(make_reader())
    assert caught.value.kind == "absent"
    for number in (2, 5):
        interface = tmp_path / "sys/devices/usb1/1-1/1-1:1.2"
        tty = interface / f"ttyUSB{number}/tty/ttyUSB{number}"
        tty.mkdir(parents=True)
        (interface / "bInterfaceNumber").write_text("02\n")
        (interface.parent / "idVendor").write_text("2c7c\n")
        (interface.parent / "idProduct").write_text("0125\n")
        link = tmp_path / f"sys/class/tty/ttyUSB{number}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../{tty.relative_to(tmp_path)}")
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / f"dev/ttyUSB{number}").touch()
        with pytest.raises(PortUnavailable, match=rf"/dev/ttyUSB{number} is not a serial port"):
            await opening(make_reader())
        shutil.rmtree(interface / f"ttyUSB{number}")
        link.unlink()


async def test_a_login_console_is_not_spoken_to(tmp_path, make_reader):
    """A port that is named may be the console of the board: nothing is written, the unit is named."""
    near, far = os.openpty()
    port = os.ttyname(far)
    units = tmp_path / "run/systemd/units"
    units.mkdir(parents=True)
    unit = f"invocation:serial-getty@{Path(port).name}.service"
    (units / unit).symlink_to("3f2a")
    opening = make_opener(port, root=tmp_path)
    with pytest.raises(
        PortUnavailable, match=r"is a login console on port .*systemctl disable --now"
    ) as caught:
        await opening(make_reader())
    assert caught.value.kind == "busy"
    (units / unit).unlink()
    wire = await opening(make_reader())
    wire.close()
    await wire.wait_closed()
    os.close(near)
    os.close(far)


@pytest.mark.parametrize(
    "port", ["socket://", "socket://host", "socket://host:", "socket://:1", "socket://h:99999"]
)
def test_an_impossible_address_is_refused_at_once(port):
    """A configuration that cannot work is told before anything is opened."""
    with pytest.raises(ValueError, match="the form is socket://host:port"):
        make_opener(port)


def test_addresses():
    """Host and port, also of IPv6."""
    assert parse_socket_address("socket://gateway.local:2217") == ("gateway.local", 2217)
    assert parse_socket_address("socket://[::1]:2217") == ("::1", 2217)


async def test_a_wire_in_memory(make_reader):
    """Octets arrive in order, also those that came before the reader; closing is seen at the other end."""
    near, far = memory_transport_pair()
    far.write(b"early ")
    reader = make_reader()
    wire = await near.open(reader)
    far.write(b"and ")
    far.write(b"late")
    await reader.until(lambda: reader.data == b"early and late")
    other = make_reader()
    await far.open(other)
    wire.write(b"last words")
    wire.close()
    await other.until(lambda: other.reasons)
    assert other.data == b"last words"
    assert reader.reasons == []
