"""`port = "auto"`: which port is chosen, which never, and the sentences for the operator."""

from __future__ import annotations

import pytest

from hardware import serial_console
from hardware.identify import PortInfo
from hardware.port_finder import (
    REAPPEAR_GRACE_S,
    PortFinder,
    PortSelectionError,
    read_port_info,
    refuse_login_console,
)
from hardware.sysfs import find_usb_port, list_usb_ports

SIM7600 = {0: "ttyUSB0", 1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"}


def renumber(ttys, by):
    """Return the same interfaces with other tty numbers."""
    return {interface: f"ttyUSB{int(tty.removeprefix('ttyUSB')) + by}" for interface, tty in ttys.items()}


def find_refusal(finder, now=0.0):
    with pytest.raises(PortSelectionError) as caught:
        finder.find(now)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return caught.value.kind, sentence


# Choice of the port


@pytest.mark.parametrize(
    ("ids", "ttys", "at"),
    [
        ("1e0e:9001", SIM7600, "ttyUSB2"),
        ("1e0e:9018", SIM7600, "ttyUSB2"),
        ("1e0e:9001", renumber(SIM7600, 7), "ttyUSB9"),
        ("2c7c:0125", {0: "ttyUSB3", 1: "ttyUSB2", 2: "ttyUSB1", 3: "ttyUSB0"}, "ttyUSB1"),
        ("1bc7:1201", {0: "ttyUSB0", 3: "ttyUSB1", 4: "ttyUSB2", 5: "ttyUSB3"}, "ttyUSB2"),
        ("1bc7:1204", {0: "ttyUSB0", 4: "ttyUSB1", 5: "ttyUSB2", 6: "ttyUSB3"}, "ttyUSB2"),
        ("1546:1102", {0: "ttyACM0", 2: "ttyACM1", 4: "ttyACM2"}, "ttyACM0"),
        ("1546:1010", {2: "ttyACM0", 4: "ttyACM1", 6: "ttyACM2", 8: "ttyACM3"}, "ttyACM2"),
    ],
)
def test_at_port_is_identified_by_its_interface(fake_host, ids, ttys, at):
    """Name and order of the ttys do not matter."""
    fake_host.plug("1-1.2", ids, ttys)
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / at


def test_huawei_port_is_identified_by_interface_class(fake_host):
    """Its interface numbers vary with the USB composition."""
    ttys = {0: "ttyUSB0", 1: "ttyUSB1", 4: "ttyUSB2"}
    fake_host.plug("1-1", "12d1:1506", ttys, kind={0: "ff/02/01", 1: "ff/02/12", 4: "ff/02/02"})
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / "ttyUSB2"


def test_second_at_port_is_used_if_the_first_is_missing(fake_host):
    """Only then; ports for other purposes are never used."""
    fake_host.plug("1-1", "1e0e:9001", SIM7600)
    (fake_host.dev / "ttyUSB2").unlink()
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / "ttyUSB3"
    (fake_host.dev / "ttyUSB3").unlink()
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert "SIM7000 or SIM7600 (1e0e:9001), whose AT port" in sentence
    assert "ttyUSB2 is not passed to this container" in sentence


def test_module_is_found_beside_serial_adapters(fake_host):
    """Devices that no profile names are not considered."""
    fake_host.plug("1-1.1", "0403:6001", {0: "ttyUSB0"}, words="FTDI FT232R")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 1), words="Quectel EC25")
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / "ttyUSB3"


# Ports that are never used


def test_port_without_a_profile_is_never_used(fake_host):
    """Even if it is the only one: it may be some other bus. The sentence says how to configure it."""
    fake_host.plug("1-1", "0403:6001", {0: "ttyUSB0"}, serial="A50285BI", words="FTDI FT232R USB UART")
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert "ttyUSB0 (0403:6001 FTDI FT232R USB UART, interface 0) is in no profile" in sentence
    assert (
        "set [modem] port in agent.toml to its name: "
        f"{fake_host.dev}/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0" in sentence
    )


def test_other_ports_of_a_module_are_never_used(fake_host):
    """Diagnostics and NMEA ports are never written to."""
    fake_host.plug("1-1", "1e0e:9001", {0: "ttyUSB0", 1: "ttyUSB1"})
    fake_host.plug("1-2", "05c6:90b2", {0: "ttyUSB2"}, words="Qualcomm CDMA")
    sentence = find_refusal(PortFinder(fake_host.root))[1]
    belong = "belong to SIM7000 or SIM7600 (1e0e:9001), none of which is its AT port"
    assert f": {fake_host.dev}/ttyUSB0, {fake_host.dev}/ttyUSB1 {belong}" in sentence
    assert f"; {fake_host.dev}/ttyUSB2 belong to SARA R410M" in sentence


def test_module_with_unpublished_at_port_is_named(fake_host):
    """The sentence names the module; the operator must configure the port."""
    fake_host.plug("1-1", "05c6:90b2", {0: "ttyUSB0", 2: "ttyUSB1"}, words="Qualcomm CDMA")
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert (
        "belong to SARA R410M (05c6:90b2), and which of them takes AT commands is not published" in sentence
    )


def test_module_in_a_mode_without_at_port_is_named(fake_host):
    """HiLink mode is a network adapter; waiting does not help."""
    fake_host.plug("1-1", "12d1:14dc", {}, words="HUAWEI HiLink")
    assert (
        "HUAWEI E3372 STICK at USB 1-1 is in a mode without an AT port (12d1:14dc)"
        in find_refusal(PortFinder(fake_host.root))[1]
    )


def test_module_without_kernel_driver_is_named(fake_host):
    """The USB device exists, but it has no tty."""
    fake_host.plug("1-1", "2c7c:0125", {}, words="Quectel EC25")
    assert (
        "EC25 at USB 1-1 (2c7c:0125) has no serial port: the kernel's driver for it"
        in find_refusal(PortFinder(fake_host.root))[1]
    )


def test_missing_usb_ports_are_reported(fake_host):
    """The sentence says where the search was and that a HAT must be configured."""
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert "nothing in /dev/serial/by-id" in sentence
    assert 'set [modem] port in agent.toml to its port ("/dev/serial0" on a Raspberry Pi, ' in sentence


def test_uart_is_never_chosen(fake_host):
    """A HAT cannot be distinguished from another device on that port."""
    fake_host.uart("ttyAMA0", alias="serial0")
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert sentence.endswith('("/dev/serial0" on a Raspberry Pi, "/dev/ttyAMA0" on a Raspberry Pi 5)')


def test_list_of_unknown_ports_is_limited(fake_host):
    """The sentence stays readable."""
    for number in range(9):
        fake_host.plug(f"1-1.{number}", "0403:6001", {0: f"ttyUSB{number}"}, words="FTDI FT232R")
    sentence = find_refusal(PortFinder(fake_host.root))[1]
    assert sentence.count("is in no profile") == 6
    assert "and 3 more" in sentence


# Several modules


def test_several_modules_are_listed(fake_host):
    """With stable names, profiles and USB paths; none is chosen."""
    fake_host.plug("1-1.1", "2c7c:0125", SIM7600, serial="", words="Quectel EC25")
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 4))
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "ambiguous"
    assert "finds 2 modules: " in sentence
    assert "by-id/usb-Quectel_EC25_-if02-port0 (EC25 at USB 1-1.1)" in sentence
    assert "-if02-port0 (SIM7000 or SIM7600 at USB 1-1.2)" in sentence
    assert sentence.endswith("set [modem] port in agent.toml to one of these names")


def test_modules_with_one_serial_number_are_listed_by_path(fake_host):
    """They share one by-id link, which could change between them."""
    fake_host.plug("1-1.1", "1e0e:9001", SIM7600)
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 4))
    _, sentence = find_refusal(PortFinder(fake_host.root))
    assert "by-id" not in sentence
    assert "by-path/platform-usb-0:1-1.1:1.2-port0 (" in sentence
    assert "by-path/platform-usb-0:1-1.2:1.2-port0 (" in sentence


# After a disconnect


def test_module_is_found_again_under_another_tty(fake_host):
    """Its former tty may belong to another device by then."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    assert finder.find(0.0) == fake_host.dev / "ttyUSB2"
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, words="FTDI FT232R")
    kind, sentence = find_refusal(finder, 1.0)
    assert kind == "absent"
    assert "the AT port of SIM7000 or SIM7600 at USB 1-1.2 (last " in sentence
    assert "ttyUSB2) has disappeared; a module that restarts is back within 120 s" in sentence
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 3))
    assert finder.find(3.0) == fake_host.dev / "ttyUSB5"


def test_module_in_use_is_kept_when_another_is_plugged_in(fake_host):
    """A second module does not make the choice ambiguous, also while ttys change."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.plug("1-1.3", "1e0e:9001", renumber(SIM7600, 4))
    assert finder.find(1.0) == fake_host.dev / "ttyUSB2"
    fake_host.unplug("1-1.2")
    assert "is not used instead" in find_refusal(finder, 2.0)[1]
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 8))
    assert finder.find(4.0) == fake_host.dev / "ttyUSB10"
    assert find_refusal(PortFinder(fake_host.root))[0] == "ambiguous"


def test_replaced_module_is_accepted_after_the_grace_period(fake_host):
    """A replacement needs no restart of the agent, but a restart of the module is not a replacement."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 4), words="Quectel EC25")
    assert find_refusal(finder, 10.0)[0] == "absent"
    assert find_refusal(finder, 10.0 + REAPPEAR_GRACE_S - 1)[0] == "absent"
    assert finder.find(10.0 + REAPPEAR_GRACE_S) == fake_host.dev / "ttyUSB6"


def test_grace_period_starts_at_each_absence(fake_host):
    """An earlier absence does not shorten it."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    find_refusal(finder, 1.0)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(2.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 4), words="Quectel EC25")
    assert find_refusal(finder, 1000.0)[0] == "absent"


def test_module_is_found_at_another_usb_path(fake_host):
    """Same product and serial number at a path where no module was."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600, serial="12ab")
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.4", "1e0e:9001", SIM7600, serial="12ab")
    assert finder.find(1.0) == fake_host.dev / "ttyUSB2"


def test_other_usb_composition_at_the_same_path_is_accepted(fake_host):
    """A module may return with other interfaces; there is no waiting."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9206", SIM7600)
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 4), words="Quectel EC25")
    fake_host.plug("1-1.2", "1e0e:9205", SIM7600)
    assert finder.find(1.0) == fake_host.dev / "ttyUSB2"


def test_equal_module_that_was_present_before_is_not_the_moved_one(fake_host):
    """Equal serial numbers prove nothing; it was at another path all the time."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.plug("1-1.3", "1e0e:9001", renumber(SIM7600, 4))
    finder.find(1.0)
    fake_host.unplug("1-1.2")
    assert find_refusal(finder, 2.0)[0] == "absent"


# Consoles on the port


@pytest.mark.parametrize("port", ["serial0", "ttyAMA0"])
def test_login_console_is_refused(fake_host, port):
    """By any name of the port, with the unit and the command that disables it."""
    fake_host.uart("ttyAMA0", alias="serial0")
    fake_host.uart("ttyS0")
    refuse_login_console(fake_host.dev / port, fake_host.root)
    fake_host.unit("serial-getty@ttyS0.service")
    fake_host.unit("ssh.service")
    refuse_login_console(fake_host.dev / port, fake_host.root)
    fake_host.unit("serial-getty@ttyAMA0.service")
    with pytest.raises(
        PortSelectionError, match=r"is a login console .serial-getty@ttyAMA0.service.; .*disable --now"
    ) as caught:
        refuse_login_console(fake_host.dev / port, fake_host.root)
    assert caught.value.kind == "busy"


@pytest.mark.parametrize(
    "folder", ["run/systemd/generator/getty.target.wants", "etc/systemd/system/getty.target.wants"]
)
def test_enabled_login_console_counts_if_running_units_are_invisible(fake_host, folder):
    """If running units are visible, only these count."""
    fake_host.uart("ttyAMA0", alias="serial0")
    fake_host.unit("serial-getty@ttyAMA0.service", folder, prefix="")
    assert (
        serial_console.find_login_console(fake_host.dev / "serial0", fake_host.root)
        == "serial-getty@ttyAMA0.service"
    )
    fake_host.unit("ssh.service")
    assert serial_console.find_login_console(fake_host.dev / "serial0", fake_host.root) is None


def test_uart_hint_names_login_console_and_kernel_console(fake_host):
    """With the remedy for each, before the operator configures the port."""
    fake_host.device_tree("Raspberry Pi 4 Model B Rev 1.4")
    fake_host.uart("ttyAMA0", alias="serial0")
    fake_host.log_to("ttyAMA0", "tty1")
    (fake_host.root / "boot/firmware").mkdir(parents=True)
    (fake_host.root / "boot/firmware/cmdline.txt").touch()
    fake_host.unit("serial-getty@ttyAMA0.service")
    sentence = find_refusal(PortFinder(fake_host.root))[1]
    assert (
        '"/dev/serial0" on this Raspberry Pi; first disable the login console on it '
        "(`sudo systemctl disable --now serial-getty@ttyAMA0.service`)" in sentence
    )
    assert sentence.endswith("and remove its console= from /boot/firmware/cmdline.txt and reboot)")


# Lookup in /sys


def test_incomplete_and_non_usb_ttys_are_skipped(fake_host):
    """A UART, a device that is disappearing, a dangling link."""
    fake_host.uart("ttyS0")
    fake_host.plug("1-1", "2c7c:0125", {2: "ttyUSB0"})
    (fake_host.root / "sys/devices/platform/usb1/1-1/1-1/idVendor").unlink()
    (fake_host.root / "sys/class/tty/ttyUSB9").symlink_to("../../devices/usb1/nowhere")
    assert list_usb_ports(fake_host.root) == []


def test_usb_port_is_found_by_any_of_its_names(fake_host):
    """So a port that is set in agent.toml identifies its module as well."""
    fake_host.plug("1-1", "2c7c:0125", {2: "ttyUSB0", 16: "ttyUSB4"}, words="Quectel EC25", serial="")
    assert [port.interface for port in list_usb_ports(fake_host.root)] == [2, 16]
    port = find_usb_port(fake_host.dev / "serial/by-id/usb-Quectel_EC25_-if02-port0", fake_host.root)
    assert port is not None
    assert (port.device.usb_id, port.interface, port.device.usb_path) == ("2c7c:0125", 2, "1-1")
    assert find_usb_port(fake_host.dev / "ttyUSB1", fake_host.root) is None


# Port info


@pytest.mark.parametrize(
    ("plugged", "node", "expected"),
    [
        (("2c7c:0125", {2: "ttyUSB2", 3: "ttyUSB3"}), "ttyUSB2", PortInfo(("ec25",), "2c7c:0125", "at")),
        (("2c7c:0125", {2: "ttyUSB2", 3: "ttyUSB3"}), "ttyUSB3", PortInfo(("ec25",), "2c7c:0125", "modem")),
        (("2c7c:0125", {1: "ttyUSB1"}), "ttyUSB1", PortInfo(("ec25",), "2c7c:0125", "")),
        (("1e0e:9001", {2: "ttyUSB2"}), "ttyUSB2", PortInfo(("sim7000", "sim7600"), "1e0e:9001", "at")),
        (("0403:6001", {0: "ttyUSB0"}), "ttyUSB0", PortInfo(role="uart")),
        (None, "ttyAMA0", PortInfo(role="uart")),
        (None, "pts/3", PortInfo()),
    ],
)
def test_port_info_has_profiles_and_role(fake_host, plugged, node, expected):
    """An adapter and a UART of the board have only a role."""
    if plugged:
        fake_host.plug("1-1", *plugged)
    (fake_host.dev / node).parent.mkdir(exist_ok=True)
    (fake_host.dev / node).touch()
    assert read_port_info(fake_host.dev / node, fake_host.root) == expected


def test_port_info_follows_udev_links(fake_host):
    """Links below /dev/serial, as recommended for agent.toml."""
    fake_host.plug("1-1", "2c7c:0125", {2: "ttyUSB7"})
    (link,) = (fake_host.dev / "serial/by-id").iterdir()
    assert read_port_info(link, fake_host.root).profiles == ("ec25",)
