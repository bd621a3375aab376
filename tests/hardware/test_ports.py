"""port = "auto": which port is taken, which never, and what is said."""

from __future__ import annotations

import pytest

from hardware import console
from hardware.identify import Place
from hardware.ports import GRACE_S, Finder, NoPort, login, place
from hardware.sysfs import usb_port, usb_ports

SIM7600 = {0: "ttyUSB0", 1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"}


def moved(ttys, by):
    """The same interfaces under other numbers."""
    return {interface: f"ttyUSB{int(tty.removeprefix('ttyUSB')) + by}" for interface, tty in ttys.items()}


def refused(finder, now=0.0):
    with pytest.raises(NoPort) as caught:
        finder.find(now)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return caught.value.kind, sentence


# Choosing


@pytest.mark.parametrize(
    ("ids", "ttys", "at"),
    [
        ("1e0e:9001", SIM7600, "ttyUSB2"),
        ("1e0e:9001", moved(SIM7600, 7), "ttyUSB9"),
        ("2c7c:0125", {0: "ttyUSB3", 1: "ttyUSB2", 2: "ttyUSB1", 3: "ttyUSB0"}, "ttyUSB1"),
        ("1bc7:1201", {0: "ttyUSB0", 3: "ttyUSB1", 4: "ttyUSB2", 5: "ttyUSB3"}, "ttyUSB2"),
        ("1bc7:1204", {0: "ttyUSB0", 4: "ttyUSB1", 5: "ttyUSB2", 6: "ttyUSB3"}, "ttyUSB2"),
        ("1546:1102", {0: "ttyACM0", 2: "ttyACM1", 4: "ttyACM2"}, "ttyACM0"),
        ("1546:1010", {2: "ttyACM0", 4: "ttyACM1", 6: "ttyACM2", 8: "ttyACM3"}, "ttyACM2"),
    ],
)
def test_the_at_port_is_known_by_its_interface(machine, ids, ttys, at):
    """The number of the tty and its order mean nothing."""
    machine.plug("1-1.2", ids, ttys)
    assert Finder(machine.root).find(0.0) == machine.dev / at


def test_huawei_is_known_by_the_class_of_the_interface(machine):
    """The numbers vary with the composition."""
    ttys = {0: "ttyUSB0", 1: "ttyUSB1", 4: "ttyUSB2"}
    machine.plug("1-1", "12d1:1506", ttys, kind={0: "ff/02/01", 1: "ff/02/12", 4: "ff/02/02"})
    assert Finder(machine.root).find(0.0) == machine.dev / "ttyUSB2"


def test_the_second_at_port_is_better_than_none(machine):
    """It is taken only where the first one does not exist; ports for other things never are."""
    machine.plug("1-1", "1e0e:9001", SIM7600)
    (machine.dev / "ttyUSB2").unlink()
    assert Finder(machine.root).find(0.0) == machine.dev / "ttyUSB3"
    (machine.dev / "ttyUSB3").unlink()
    kind, sentence = refused(Finder(machine.root))
    assert kind == "absent"
    assert "SIM7000 or SIM7600 (1e0e:9001), whose AT port" in sentence
    assert "ttyUSB2 was not given to this container" in sentence


def test_a_module_beside_adapters(machine):
    """What no profile names is not even thought of."""
    machine.plug("1-1.1", "0403:6001", {0: "ttyUSB0"}, words="FTDI FT232R")
    machine.plug("1-1.3", "2c7c:0125", moved(SIM7600, 1), words="Quectel EC25")
    assert Finder(machine.root).find(0.0) == machine.dev / "ttyUSB3"


# Never


def test_a_port_that_no_profile_names_is_never_taken(machine):
    """Even if it is the only one: it may be somebody's bus. The sentence says how to name it."""
    machine.plug("1-1", "0403:6001", {0: "ttyUSB0"}, serial="A50285BI", words="FTDI FT232R USB UART")
    kind, sentence = refused(Finder(machine.root))
    assert kind == "absent"
    assert "ttyUSB0 (0403:6001 FTDI FT232R USB UART, interface 0) is in no profile" in sentence
    assert (
        "write its name to [modem] port in agent.toml: "
        f"{machine.dev}/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0" in sentence
    )


def test_other_ports_of_a_module_are_never_taken(machine):
    """Diagnostics and NMEA are not written to, whatever else is missing."""
    machine.plug("1-1", "1e0e:9001", {0: "ttyUSB0", 1: "ttyUSB1"})
    machine.plug("1-2", "05c6:90b2", {0: "ttyUSB2"}, words="Qualcomm CDMA")
    sentence = refused(Finder(machine.root))[1]
    belong = "belong to SIM7000 or SIM7600 (1e0e:9001), none of which is its AT port"
    assert f": {machine.dev}/ttyUSB0, {machine.dev}/ttyUSB1 {belong}" in sentence
    assert f"; {machine.dev}/ttyUSB2 belong to SARA R410M" in sentence


def test_a_module_whose_at_port_nobody_published(machine):
    """It is named as what it is; the port is for the owner to name."""
    machine.plug("1-1", "05c6:90b2", {0: "ttyUSB0", 2: "ttyUSB1"}, words="Qualcomm CDMA")
    kind, sentence = refused(Finder(machine.root))
    assert kind == "absent"
    assert (
        "belong to SARA R410M (05c6:90b2), and which of them takes AT commands is not published" in sentence
    )


def test_a_module_in_a_mode_without_at_port(machine):
    """HiLink is a network card: no waiting will help."""
    machine.plug("1-1", "12d1:14dc", {}, words="HUAWEI HiLink")
    assert (
        "HUAWEI E3372 STICK at USB 1-1 is in a mode without AT port (12d1:14dc)"
        in refused(Finder(machine.root))[1]
    )


def test_a_module_without_driver(machine):
    """The device is there, its ttys are not."""
    machine.plug("1-1", "2c7c:0125", {}, words="Quectel EC25")
    assert (
        "EC25 at USB 1-1 (2c7c:0125) has no serial port: the kernel's driver for it"
        in refused(Finder(machine.root))[1]
    )


def test_nothing_is_there(machine):
    """No USB, perhaps no /sys: where was looked, and that a HAT must be named."""
    kind, sentence = refused(Finder(machine.root))
    assert kind == "absent"
    assert "nothing in /dev/serial/by-id" in sentence
    assert '("/dev/serial0" on a Raspberry Pi) to [modem] port in agent.toml' in sentence


def test_a_uart_is_not_guessed(machine):
    """A HAT cannot be told from anything else on that line."""
    machine.uart("ttyAMA0", alias="serial0")
    kind, sentence = refused(Finder(machine.root))
    assert kind == "absent"
    assert sentence.endswith("[modem] port in agent.toml")


def test_many_strangers_do_not_make_a_page(machine):
    """The sentence stays readable."""
    for number in range(9):
        machine.plug(f"1-1.{number}", "0403:6001", {0: f"ttyUSB{number}"}, words="FTDI FT232R")
    sentence = refused(Finder(machine.root))[1]
    assert sentence.count("is in no profile") == 6
    assert "and 3 more" in sentence


# Several


def test_several_modules_are_not_guessed_among(machine):
    """They are listed by names that stay, with what they are and where."""
    machine.plug("1-1.1", "2c7c:0125", SIM7600, serial="", words="Quectel EC25")
    machine.plug("1-1.2", "1e0e:9001", moved(SIM7600, 4))
    kind, sentence = refused(Finder(machine.root))
    assert kind == "ambiguous"
    assert "finds 2 modules: " in sentence
    assert "by-id/usb-Quectel_EC25_-if02-port0 (EC25 at USB 1-1.1)" in sentence
    assert "-if02-port0 (SIM7000 or SIM7600 at USB 1-1.2)" in sentence
    assert sentence.endswith("write one of these names to [modem] port in agent.toml")


def test_twins_are_named_by_their_place(machine):
    """Two modules with one serial number share one link by-id, which would change between them."""
    machine.plug("1-1.1", "1e0e:9001", SIM7600)
    machine.plug("1-1.2", "1e0e:9001", moved(SIM7600, 4))
    _, sentence = refused(Finder(machine.root))
    assert "by-id" not in sentence
    assert "by-path/platform-usb-0:1-1.1:1.2-port0 (" in sentence
    assert "by-path/platform-usb-0:1-1.2:1.2-port0 (" in sentence


# Again


def test_a_module_is_found_again_under_another_name(machine):
    """The old name may be somebody else's by then."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9001", SIM7600)
    assert finder.find(0.0) == machine.dev / "ttyUSB2"
    machine.unplug("1-1.2")
    machine.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, words="FTDI FT232R")
    kind, sentence = refused(finder, 1.0)
    assert kind == "absent"
    assert "the AT port of SIM7000 or SIM7600 at USB 1-1.2 (last " in sentence
    assert "ttyUSB2) is gone; a module that restarts is back within 120 s" in sentence
    machine.plug("1-1.2", "1e0e:9001", moved(SIM7600, 3))
    assert finder.find(3.0) == machine.dev / "ttyUSB5"


def test_the_module_in_use_stays_when_another_comes(machine):
    """What was one is not ambiguous because a second was plugged in; also while names change."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    machine.plug("1-1.3", "1e0e:9001", moved(SIM7600, 4))
    assert finder.find(1.0) == machine.dev / "ttyUSB2"
    machine.unplug("1-1.2")
    assert "is not taken in its place before that" in refused(finder, 2.0)[1]
    machine.plug("1-1.2", "1e0e:9001", moved(SIM7600, 8))
    assert finder.find(4.0) == machine.dev / "ttyUSB10"
    assert refused(Finder(machine.root))[0] == "ambiguous"


def test_another_module_is_taken_after_a_while(machine):
    """A module that was replaced must not need a restart of the agent, but a restart is no replacement."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    machine.unplug("1-1.2")
    machine.plug("1-1.3", "2c7c:0125", moved(SIM7600, 4), words="Quectel EC25")
    assert refused(finder, 10.0)[0] == "absent"
    assert refused(finder, 10.0 + GRACE_S - 1)[0] == "absent"
    assert finder.find(10.0 + GRACE_S) == machine.dev / "ttyUSB6"


def test_the_wait_begins_anew_each_time(machine):
    """A short absence now does not shorten the wait a week later."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    machine.unplug("1-1.2")
    refused(finder, 1.0)
    machine.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(2.0)
    machine.unplug("1-1.2")
    machine.plug("1-1.3", "2c7c:0125", moved(SIM7600, 4), words="Quectel EC25")
    assert refused(finder, 1000.0)[0] == "absent"


def test_a_module_that_moved_to_another_socket(machine):
    """The same product and serial number at a place where nothing was: that is it."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9001", SIM7600, serial="12ab")
    finder.find(0.0)
    machine.unplug("1-1.2")
    machine.plug("1-1.4", "1e0e:9001", SIM7600, serial="12ab")
    assert finder.find(1.0) == machine.dev / "ttyUSB2"


def test_another_composition_at_the_same_place(machine):
    """A module may come back with other interfaces; what is at its place keeps nobody waiting."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9206", SIM7600)
    finder.find(0.0)
    machine.unplug("1-1.2")
    machine.plug("1-1.3", "2c7c:0125", moved(SIM7600, 4), words="Quectel EC25")
    machine.plug("1-1.2", "1e0e:9205", SIM7600)
    assert finder.find(1.0) == machine.dev / "ttyUSB2"


def test_a_twin_that_was_there_before_is_no_moved_module(machine):
    """Serial numbers that are all the same prove nothing; that it was elsewhere all the time disproves it."""
    finder = Finder(machine.root)
    machine.plug("1-1.2", "1e0e:9001", SIM7600)
    finder.find(0.0)
    machine.plug("1-1.3", "1e0e:9001", moved(SIM7600, 4))
    finder.find(1.0)
    machine.unplug("1-1.2")
    assert refused(finder, 2.0)[0] == "absent"


# Who else speaks there


@pytest.mark.parametrize("port", ["serial0", "ttyAMA0"])
def test_a_login_console_is_named(machine, port):
    """Under any name of the port; with the unit and the command that ends it."""
    machine.uart("ttyAMA0", alias="serial0")
    machine.uart("ttyS0")
    login(machine.dev / port, machine.root)
    machine.unit("serial-getty@ttyS0.service")
    machine.unit("ssh.service")
    login(machine.dev / port, machine.root)
    machine.unit("serial-getty@ttyAMA0.service")
    with pytest.raises(
        NoPort, match=r"serial-getty@ttyAMA0.service is a login console on port .*disable --now"
    ) as caught:
        login(machine.dev / port, machine.root)
    assert caught.value.kind == "busy"


@pytest.mark.parametrize(
    "folder", ["run/systemd/generator/getty.target.wants", "etc/systemd/system/getty.target.wants"]
)
def test_a_login_console_that_starts_with_the_system(machine, folder):
    """Where running units cannot be seen, what is enabled counts; where they can, only what runs."""
    machine.uart("ttyAMA0", alias="serial0")
    machine.unit("serial-getty@ttyAMA0.service", folder, prefix="")
    assert console.login_on(machine.dev / "serial0", machine.root) == "serial-getty@ttyAMA0.service"
    machine.unit("ssh.service")
    assert console.login_on(machine.dev / "serial0", machine.root) is None


def test_the_uart_is_offered_with_what_must_be_done_first(machine):
    """Login console and kernel log are named with their remedy before somebody writes the port down."""
    machine.uart("ttyAMA0", alias="serial0")
    machine.log_to("ttyAMA0", "tty1")
    (machine.root / "boot/firmware").mkdir(parents=True)
    (machine.root / "boot/firmware/cmdline.txt").touch()
    machine.unit("serial-getty@ttyAMA0.service")
    sentence = refused(Finder(machine.root))[1]
    assert (
        "but first end the login console on it (`sudo systemctl disable --now serial-getty@ttyAMA0.service`)"
        in sentence
    )
    assert sentence.endswith("and take its console= out of /boot/firmware/cmdline.txt and restart")


# What is read


def test_ports_without_usb_are_no_usb_ports(machine):
    """Nor are half of a device that is just vanishing, and what has no files."""
    machine.uart("ttyS0")
    machine.plug("1-1", "2c7c:0125", {2: "ttyUSB0"})
    (machine.root / "sys/devices/platform/usb1/1-1/1-1/idVendor").unlink()
    (machine.root / "sys/class/tty/ttyUSB9").symlink_to("../../devices/usb1/nowhere")
    assert usb_ports(machine.root) == []


def test_a_port_is_looked_up_by_any_of_its_names(machine):
    """So a port that is named in agent.toml tells its module as well."""
    machine.plug("1-1", "2c7c:0125", {2: "ttyUSB0", 16: "ttyUSB4"}, words="Quectel EC25", serial="")
    assert [port.interface for port in usb_ports(machine.root)] == [2, 16]
    port = usb_port(machine.dev / "serial/by-id/usb-Quectel_EC25_-if02-port0", machine.root)
    assert port is not None
    assert (port.device.ids, port.interface, port.device.path) == ("2c7c:0125", 2, "1-1")
    assert usb_port(machine.dev / "ttyUSB1", machine.root) is None


# What a port says of its module


@pytest.mark.parametrize(
    ("plugged", "node", "said"),
    [
        (("2c7c:0125", {2: "ttyUSB2", 3: "ttyUSB3"}), "ttyUSB2", Place(("ec25",), "2c7c:0125", "at")),
        (("2c7c:0125", {2: "ttyUSB2", 3: "ttyUSB3"}), "ttyUSB3", Place(("ec25",), "2c7c:0125", "modem")),
        (("2c7c:0125", {1: "ttyUSB1"}), "ttyUSB1", Place(("ec25",), "2c7c:0125", "")),
        (("1e0e:9001", {2: "ttyUSB2"}), "ttyUSB2", Place(("sim7000", "sim7600"), "1e0e:9001", "at")),
        (("0403:6001", {0: "ttyUSB0"}), "ttyUSB0", Place(role="uart")),
        (None, "ttyAMA0", Place(role="uart")),
        (None, "pts/3", Place()),
    ],
)
def test_what_a_port_says_of_its_module(machine, plugged, node, said):
    """Its profiles, and which of its ports this is; an adapter and a UART of the board say nothing else."""
    if plugged:
        machine.plug("1-1", *plugged)
    (machine.dev / node).parent.mkdir(exist_ok=True)
    (machine.dev / node).touch()
    assert place(machine.dev / node, machine.root) == said


def test_a_name_that_stays_is_followed(machine):
    """Links below /dev/serial, as agent.toml should have them."""
    machine.plug("1-1", "2c7c:0125", {2: "ttyUSB7"})
    (link,) = (machine.dev / "serial/by-id").iterdir()
    assert place(link, machine.root).profiles == ("ec25",)
