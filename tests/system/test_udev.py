"""The udev rules, applied by udev to modules that are not there.

umockdev shows udevadm a USB module; `udevadm test` tells what the rules would set. It runs in a mount
namespace of its own, since it writes what it finds to /run/udev.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

RULES = Path(__file__).parents[2] / "config" / "78-modem-agent.rules"

PORTS = [
    # Module, vendor, product, the AT port's interface, other interfaces with a tty.
    ("Quectel BG96", "2c7c", "0296", "02", ["00", "01", "03"]),
    ("Quectel EC25", "2c7c", "0125", "02", ["00", "01", "03"]),
    ("Quectel EC21", "2c7c", "0121", "02", ["00", "01", "03"]),
    ("Quectel EG91", "2c7c", "0191", "02", ["00", "01", "03"]),
    ("Quectel EG95", "2c7c", "0195", "02", ["00", "01", "03"]),
    ("Quectel RM500Q", "2c7c", "0800", "02", ["00", "01", "03"]),
    ("Quectel RM520N", "2c7c", "0801", "02", ["00", "01", "03"]),
    ("SIMCom SIM7600", "1e0e", "9001", "02", ["00", "01", "03", "04"]),
    ("SIMCom SIM7080G", "1e0e", "9206", "02", ["00", "01", "03", "04", "05"]),
    ("SIMCom SIM7080G, second composition", "1e0e", "9205", "02", ["00", "01", "03"]),
    ("SIMCom A7600E-H", "1e0e", "9011", "04", ["02", "05"]),
    ("u-blox SARA-U201", "1546", "1102", "00", ["02", "04"]),
    ("u-blox SARA-U201, second id", "1546", "1104", "00", ["02", "04"]),
    ("u-blox LARA-R2", "1546", "110a", "00", ["02", "04", "06"]),
    ("u-blox TOBY-R2", "1546", "1107", "00", ["02", "04", "06"]),
    ("u-blox LARA-R6 00B", "05c6", "908b", "01", ["00", "02"]),
    ("u-blox TOBY-L4", "1546", "1010", "06", ["02", "04", "08"]),
    ("Telit ME910C1", "1bc7", "1101", "01", ["00", "02"]),
    ("Telit LE910C1", "1bc7", "1201", "04", ["00", "03", "05"]),
    ("Telit LE910C1, MBIM", "1bc7", "1204", "05", ["00", "04", "06"]),
    ("Telit LE910C1-EUX", "1bc7", "1031", "01", ["00", "02"]),
    ("Telit LE910C1-EUX, ECM", "1bc7", "1033", "01", ["00", "02"]),
    ("Telit LE910S1", "1bc7", "7010", "04", ["03", "05"]),
    ("Telit LE910Q1", "1bc7", "7020", "06", ["05", "07"]),
    ("Sierra HL7812", "1199", "c001", "00", ["02", "04"]),
    ("Sierra WP76xx", "1199", "68c0", "03", ["00", "02"]),
]


def decisions(tmp_path, vendor, product, interface, description="ff/ff/ff"):
    """The ID_MM_ properties that the rules give a tty on one interface of a USB device."""
    kind, subclass, protocol = description.split("/")
    device = "/devices/usb1/1-1"
    tty = f"{device}/1-1:1.{int(interface, 16)}/ttyUSB0/tty/ttyUSB0"
    (tmp_path / "module.umockdev").write_text(f"""\
P: {device}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
A: idVendor={vendor}
A: idProduct={product}

P: {device}/1-1:1.{int(interface, 16)}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_interface
A: bInterfaceNumber={interface}
A: bInterfaceClass={kind}
A: bInterfaceSubClass={subclass}
A: bInterfaceProtocol={protocol}

P: {tty}
E: SUBSYSTEM=tty
E: DEVNAME=/dev/ttyUSB0
""")
    script = f"""
        mkdir -p /run/udev && mount -t tmpfs tmpfs /run/udev && mkdir /run/udev/rules.d
        cp {RULES} /run/udev/rules.d/
        umockdev-run --device {tmp_path}/module.umockdev -- udevadm test --action=add /sys{tty} 2>&1
    """
    command = ("unshare", "--mount", "--propagation=private", "sh", "-ec", script)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"Reading rules file: /run/udev/rules.d/{RULES.name}" in output
    assert f"{RULES.name}:" not in output  # else: a line of the rules that udev does not understand
    assert "DEVNAME=/dev/ttyUSB0" in output
    return re.findall(r"^ID_MM_\S+", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("vendor", "product", "at", "others"), [each[1:] for each in PORTS], ids=[each[0] for each in PORTS]
)
def test_only_the_at_port_is_taken(tmp_path, vendor, product, at, others):
    """ModemManager is told to leave the AT port alone, and nothing about any other port of the module."""
    assert decisions(tmp_path, vendor, product, at) == ["ID_MM_PORT_IGNORE=1"]
    assert decisions(tmp_path, vendor, product, others[0]) == []
    assert decisions(tmp_path, vendor, product, others[-1]) == []


@pytest.mark.parametrize("product", ["1506", "1573"])
@pytest.mark.parametrize("command", ["ff/02/02", "ff/01/02"])
def test_huawei_ports_are_known_by_their_class(tmp_path, product, command):
    """Huawei's numbers vary; the command port has a class of its own, the data port another."""
    assert decisions(tmp_path, "12d1", product, "01", command) == ["ID_MM_PORT_IGNORE=1"]
    assert decisions(tmp_path, "12d1", product, "01", command[:-1] + "1") == []


def test_other_devices_are_left_alone(tmp_path):
    """A USB serial adapter with the same interface number is none of ours."""
    assert decisions(tmp_path, "0403", "6001", "02") == []
    assert decisions(tmp_path, "0403", "6001", "02", "ff/02/02") == []


def test_every_rule_is_tried():
    """Each port that the rules name stands in the table above."""
    named = re.findall(
        r'idVendor\}=="(\w+)".*idProduct\}=="(\w+)".*_IF\}=="([0-9a-f]{2})"', RULES.read_text()
    )
    assert {each[1:4] for each in PORTS} == set(named)
