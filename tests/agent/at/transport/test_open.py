"""The choice of a transport for the configured port."""

import os
import shutil
from pathlib import Path

import pytest
from memory_transport import memory_transport_pair

from agent.at.transport.base import PortUnavailable
from agent.at.transport.open import make_opener, parse_socket_address


async def test_auto_port_is_detected_at_each_opening(tmp_path, make_reader):
    """The module may appear later, and under another name."""
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


async def test_login_console_is_not_opened(tmp_path, make_reader):
    """A configured port may be the console of the board: nothing is written, and the unit is named."""
    near, far = os.openpty()
    port = os.ttyname(far)
    units = tmp_path / "run/systemd/units"
    units.mkdir(parents=True)
    unit = f"invocation:serial-getty@{Path(port).name}.service"
    (units / unit).symlink_to("3f2a")
    opening = make_opener(port, root=tmp_path)
    with pytest.raises(
        PortUnavailable, match=r"port .* is a login console .*systemctl disable --now"
    ) as caught:
        await opening(make_reader())
    assert caught.value.kind == "busy"
    (units / unit).unlink()
    transport = await opening(make_reader())
    transport.close()
    await transport.wait_closed()
    os.close(near)
    os.close(far)


@pytest.mark.parametrize(
    "port", ["socket://", "socket://host", "socket://host:", "socket://:1", "socket://h:99999"]
)
def test_invalid_socket_address_is_rejected(port):
    """An invalid configuration is reported before anything is opened."""
    with pytest.raises(ValueError, match="the form is socket://host:port"):
        make_opener(port)


def test_socket_addresses():
    """Host and port number, also of IPv6."""
    assert parse_socket_address("socket://gateway.local:2217") == ("gateway.local", 2217)
    assert parse_socket_address("socket://[::1]:2217") == ("::1", 2217)


async def test_memory_transport(make_reader):
    """Bytes arrive in order, also those before the reader; the other end sees the close."""
    near, far = memory_transport_pair()
    far.write(b"early ")
    reader = make_reader()
    transport = await near.open(reader)
    far.write(b"and ")
    far.write(b"late")
    await reader.until(lambda: reader.data == b"early and late")
    other = make_reader()
    await far.open(other)
    transport.write(b"last words")
    transport.close()
    await other.until(lambda: other.reasons)
    assert other.data == b"last words"
    assert reader.reasons == []
