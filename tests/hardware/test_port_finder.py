"""port = "auto": which port is taken, which never, and what is said."""

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
    """The same interfaces under other numbers."""
    return {interface: f"ttyUSB{int(tty.removeprefix('ttyUSB')) + by}" for interface, tty in ttys.items()}


def find_refusal(finder, now=0.0):
    with pytest.raises(PortSelectionError) as caught:
        finder.find(now)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return caught.value.kind, sentence


# Choosing


@pytest.mark.parametrize(
    ("ids", "ttys", "at"),
    [
        ("1e0e:9001", SIM7600, "ttyUSB2"),
        ("1e0e:9001", renumber(SIM7600, 7), "ttyUSB9"),
        ("2c7c:0125", {0: "ttyUSB3", 1: "ttyUSB2", 2: "ttyUSB1", 3: "ttyUSB0"}, "ttyUSB1"),
        ("1bc7:1201", {0: "ttyUSB0", 3: "ttyUSB1", 4: "ttyUSB2", 5: "ttyUSB3"}, "ttyUSB2"),
        ("1bc7:1204", {0: "ttyUSB0", 4: "ttyUSB1", 5: "ttyUSB2", 6: "ttyUSB3"}, "ttyUSB2"),
        ("1546:1102", {0: "ttyACM0", 2: "ttyACM1", 4: "ttyACM2"}, "ttyACM0"),
        ("1546:1010", {2: "ttyACM0", 4: "ttyACM1", 6: "ttyACM2", 8: "ttyACM3"}, "ttyACM2"),
    ],
)
def test_the_at_port_is_known_by_its_interface(fake_host, ids, ttys, at):
    """The number of the tty and its order mean nothing."""
    fake_host.plug("1-1.2", ids, ttys)
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / at


def test_huawei_is_known_by_the_class_of_the_interface(fake_host):
    """The numbers vary with the composition."""
    ttys = {0: "ttyUSB0", 1: "ttyUSB1", 4: "ttyUSB2"}
    fake_host.plug("1-1", "12d1:1506", ttys, kind={0: "ff/02/01", 1: "ff/02/12", 4: "ff/02/02"})
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / "ttyUSB2"


def test_the_second_at_port_is_better_than_none(fake_host):
    """It is taken only where the first one does not exist; ports for other things never are."""
    fake_host.plug("1-1", "1e0e:9001", SIM7600)
    (fake_host.dev / "ttyUSB2").unlink()
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / "ttyUSB3"
    (fake_host.dev / "ttyUSB3").unlink()
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert "SIM7000 or SIM7600 (1e0e:9001), whose AT port" in sentence
    assert "ttyUSB2 was not given to this container" in sentence


def test_a_module_beside_adapters(fake_host):
    """What no profile names is not even thought of."""
    fake_host.plug("1-1.1", "0403:6001", {0: "ttyUSB0"}, words="FTDI FT232R")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 1), words="Quectel EC25")
    assert PortFinder(fake_host.root).find(0.0) == fake_host.dev / "ttyUSB3"


# Never


def test_a_port_that_no_profile_names_is_never_taken(fake_host):
    """Even if it is the only one: it may be somebody's bus. The sentence says how to name it."""
    fake_host.plug("1-1", "0403:6001", {0: "ttyUSB0"}, serial="A50285BI", words="FTDI FT232R USB UART")
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert "ttyUSB0 (0403:6001 FTDI FT232R USB UART, interface 0) is in no profile" in sentence
    assert (
        "write its name to [modem] port in agent.toml: "
        f"{fake_host.dev}/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0" in sentence
    )


def test_other_ports_of_a_module_are_never_taken(fake_host):
    """Diagnostics and NMEA are not written to, whatever else is missing."""
    fake_host.plug("1-1", "1e0e:9001", {0: "ttyUSB0", 1: "ttyUSB1"})
    fake_host.plug("1-2", "05c6:90b2", {0: "ttyUSB2"}, words="Qualcomm CDMA")
    sentence = find_refusal(PortFinder(fake_host.root))[1]
    belong = "belong to SIM7000 or SIM7600 (1e0e:9001), none of which is its AT port"
    assert f": {fake_host.dev}/ttyUSB0, {fake_host.dev}/ttyUSB1 {belong}" in sentence
    assert f"; {fake_host.dev}/ttyUSB2 belong to SARA R410M" in sentence


def test_a_module_whose_at_port_nobody_published(fake_host):
    """It is named as what it is; the port is for the owner to name."""
    fake_host.plug("1-1", "05c6:90b2", {0: "ttyUSB0", 2: "ttyUSB1"}, words="Qualcomm CDMA")
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert (
        "belong to SARA R410M (05c6:90b2), and which of them takes AT commands is not published" in sentence
    )


def test_a_module_in_a_mode_without_at_port(fake_host):
    """HiLink is a network card: no waiting will help."""
    fake_host.plug("1-1", "12d1:14dc", {}, words="HUAWEI HiLink")
    assert (
        "HUAWEI E3372 STICK at USB 1-1 is in a mode without AT port (12d1:14dc)"
        in find_refusal(PortFinder(fake_host.root))[1]
    )


def test_a_module_without_driver(fake_host):
    """The device is there, its ttys are not."""
    fake_host.plug("1-1", "2c7c:0125", {}, words="Quectel EC25")
    assert (
        "EC25 at USB 1-1 (2c7c:0125) has no serial port: the kernel's driver for it"
        in find_refusal(PortFinder(fake_host.root))[1]
    )


def test_nothing_is_there(fake_host):
    """No USB, perhaps no /sys: where was looked, and that a HAT must be named."""
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert "nothing in /dev/serial/by-id" in sentence
    assert '("/dev/serial0" on a Raspberry Pi) to [modem] port in agent.toml' in sentence


def test_a_uart_is_not_guessed(fake_host):
    """A HAT cannot be told from anything else on that line."""
    fake_host.uart("ttyAMA0", alias="serial0")
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "absent"
    assert sentence.endswith("[modem] port in agent.toml")


def test_many_strangers_do_not_make_a_page(fake_host):
    """The sentence stays readable."""
    for number in range(9):
        fake_host.plug(f"1-1.{number}", "0403:6001", {0: f"ttyUSB{number}"}, words="FTDI FT232R")
    sentence = find_refusal(PortFinder(fake_host.root))[1]
    assert sentence.count("is in no profile") == 6
    assert "and 3 more" in sentence


# Several


def test_several_modules_are_not_guessed_among(fake_host):
    """They are listed by names that stay, with what they are and where."""
    fake_host.plug("1-1.1", "2c7c:0125", SIM7600, serial="", words="Quectel EC25")
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 4))
    kind, sentence = find_refusal(PortFinder(fake_host.root))
    assert kind == "ambiguous"
    assert "finds 2 modules: " in sentence
    assert "by-id/usb-Quectel_EC25_-if02-port0 (EC25 at USB 1-1.1)" in sentence
    assert "-if02-port0 (SIM7000 or SIM7600 at USB 1-1.2)" in sentence
    assert sentence.endswith("write one of these names to [modem] port in agent.toml")


def test_twins_are_named_by_their_place(fake_host):
    """Two modules with one serial number share one link by-id, which would change between them."""
    fake_host.plug("1-1.1", "1e0e:9001", SIM7600)
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 4))
    _, sentence = find_refusal(PortFinder(fake_host.root))
    assert "by-id" not in sentence
    assert "by-path/platform-usb-0:1-1.1:1.2-port0 (" in sentence
    assert "by-path/platform-usb-0:1-1.2:1.2-port0 (" in sentence


# Again


def test_a_module_is_found_again_under_another_name(fake_host):
    """The old name may be somebody else's by then."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    assert finder.find(0.0) == fake_host.dev / "ttyUSB2"
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, words="FTDI FT232R")
    kind, sentence = find_refusal(finder, 1.0)
    assert kind == "absent"
    assert "the AT port of SIM7000 or SIM7600 at USB 1-1.2 (last " in sentence
    assert "ttyUSB2) is gone; a module that restarts is back within 120 s" in sentence
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 3))
    assert finder.find(3.0) == fake_host.dev / "ttyUSB5"


def test_the_module_in_use_stays_when_another_comes(fake_host):
    """What was one is not ambiguous because a second was plugged in; also while names change."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.plug("1-1.3", "1e0e:9001", renumber(SIM7600, 4))
    assert finder.find(1.0) == fake_host.dev / "ttyUSB2"
    fake_host.unplug("1-1.2")
    assert "is not taken in its place before that" in find_refusal(finder, 2.0)[1]
    fake_host.plug("1-1.2", "1e0e:9001", renumber(SIM7600, 8))
    assert finder.find(4.0) == fake_host.dev / "ttyUSB10"
    assert find_refusal(PortFinder(fake_host.root))[0] == "ambiguous"


def test_another_module_is_taken_after_a_while(fake_host):
    """A module that was replaced must not need a restart of the agent, but a restart is no replacement."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 4), words="Quectel EC25")
    assert find_refusal(finder, 10.0)[0] == "absent"
    assert find_refusal(finder, 10.0 + REAPPEAR_GRACE_S - 1)[0] == "absent"
    assert finder.find(10.0 + REAPPEAR_GRACE_S) == fake_host.dev / "ttyUSB6"


def test_the_wait_begins_anew_each_time(fake_host):
    """A short absence now does not shorten the wait a week later."""
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


def test_a_module_that_moved_to_another_socket(fake_host):
    """The same product and serial number at a place where nothing was: that is it."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600, serial="12ab")
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.4", "1e0e:9001", SIM7600, serial="12ab")
    assert finder.find(1.0) == fake_host.dev / "ttyUSB2"


def test_another_composition_at_the_same_place(fake_host):
    """A module may come back with other interfaces; what is at its place keeps nobody waiting."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9206", SIM7600)
    finder.find(0.0)
    fake_host.unplug("1-1.2")
    fake_host.plug("1-1.3", "2c7c:0125", renumber(SIM7600, 4), words="Quectel EC25")
    fake_host.plug("1-1.2", "1e0e:9205", SIM7600)
    assert finder.find(1.0) == fake_host.dev / "ttyUSB2"


def test_a_twin_that_was_there_before_is_no_moved_module(fake_host):
    """Serial numbers that are all the same prove nothing; that it was elsewhere all the time disproves it."""
    finder = PortFinder(fake_host.root)
    fake_host.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    fake_host.plug("1-1.3", "1e0e:9001", renumber(SIM7600, 4))
    finder.find(1.0)
    fake_host.unplug("1-1.2")
    assert find_refusal(finder, 2.0)[0] == "absent"


# Who else speaks there


@pytest.mark.parametrize("port", ["serial0", "ttyAMA0"])
def test_a_login_console_is_named(fake_host, port):
    """Under any name of the port; with the unit and the command that ends it."""
    fake_host.uart("ttyAMA0", alias="serial0")
    fake_host.uart("ttyS0")
    refuse_login_console(fake_host.dev / port, fake_host.root)
    fake_host.unit("serial-getty@ttyS0.service")
    fake_host.unit("ssh.service")
    refuse_login_console(fake_host.dev / port, fake_host.root)
    fake_host.unit("serial-getty@ttyAMA0.service")
    with pytest.raises(
        PortSelectionError, match=r"serial-getty@ttyAMA0.service is a login console on port .*disable --now"
    ) as caught:
        refuse_login_console(fake_host.dev / port, fake_host.root)
    assert caught.value.kind == "busy"


@pytest.mark.parametrize(
    "folder", ["run/systemd/generator/getty.target.wants", "etc/systemd/system/getty.target.wants"]
)
def test_a_login_console_that_starts_with_the_system(fake_host, folder):
    """Where running units cannot be seen, what is enabled counts; where they can, only what runs."""
    fake_host.uart("ttyAMA0", alias="serial0")
    fake_host.unit("serial-getty@ttyAMA0.service", folder, prefix="")
    assert (
        serial_console.find_login_console(fake_host.dev / "serial0", fake_host.root)
        == "serial-getty@ttyAMA0.service"
    )
    fake_host.unit("ssh.service")
    assert serial_console.find_login_console(fake_host.dev / "serial0", fake_host.root) is None


def test_the_uart_is_offered_with_what_must_be_done_first(fake_host):
    """Login console and kernel log are named with their remedy before somebody writes the port down."""
    fake_host.uart("ttyAMA0", alias="serial0")
    fake_host.log_to("ttyAMA0", "tty1")
    (fake_host.root / "boot/firmware").mkdir(parents=True)
    (fake_host.root / "boot/firmware/cmdline.txt").touch()
    fake_host.unit("serial-getty@ttyAMA0.service")
    sentence = find_refusal(PortFinder(fake_host.root))[1]
    assert (
        "but first end the login console on it (`sudo systemctl disable --now serial-getty@ttyAMA0.service`)"
        in sentence
    )
    assert sentence.endswith("and take its console= out of /boot/firmware/cmdline.txt and restart")


# What is read


def test_ports_without_usb_are_no_usb_ports(fake_host):
    """Nor are half of a device that is just vanishing, and what has no files."""
    fake_host.uart("ttyS0")
    fake_host.plug("1-1", "2c7c:0125", {2: "ttyUSB0"})
    (fake_host.root / "sys/devices/platform/usb1/1-1/1-1/idVendor").unlink()
    (fake_host.root / "sys/class/tty/ttyUSB9").symlink_to("../../devices/usb1/nowhere")
    assert list_usb_ports(fake_host.root) == []


def test_a_port_is_looked_up_by_any_of_its_names(fake_host):
    """So a port that is named in agent.toml tells its module as well."""
    fake_host.plug("1-1", "2c7c:0125", {2: "ttyUSB0", 16: "ttyUSB4"}, words="Quectel EC25", serial="")
    assert [port.interface for port in list_usb_ports(fake_host.root)] == [2, 16]
    port = find_usb_port(fake_host.dev / "serial/by-id/usb-Quectel_EC25_-if02-port0", fake_host.root)
    assert port is not None
    assert (port.device.usb_id, port.interface, port.device.usb_path) == ("2c7c:0125", 2, "1-1")
    assert find_usb_port(fake_host.dev / "ttyUSB1", fake_host.root) is None


# What a port says of its module


@pytest.mark.parametrize(
    ("plugged", "node", "said"),
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
def test_what_a_port_says_of_its_module(fake_host, plugged, node, said):
    """Its profiles, and which of its ports this is; an adapter and a UART of the board say nothing else."""
    if plugged:
        fake_host.plug("1-1", *plugged)
    (fake_host.dev / node).parent.mkdir(exist_ok=True)
    (fake_host.dev / node).touch()
    assert read_port_info(fake_host.dev / node, fake_host.root) == said


def test_a_name_that_stays_is_followed(fake_host):
    """Links below /dev/serial, as agent.toml should have them."""
    fake_host.plug("1-1", "2c7c:0125", {2: "ttyUSB7"})
    (link,) = (fake_host.dev / "serial/by-id").iterdir()
    assert read_port_info(link, fake_host.root).profiles == ("ec25",)
