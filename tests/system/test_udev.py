"""The udev rules, applied by udev to simulated USB modules.

umockdev simulates a USB module for udevadm, and `udevadm test` prints the properties that the rules set. It
writes to /run/udev, so it runs in its own mount namespace.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hardware.profile import load_driver_profiles

RULES = Path(__file__).parents[2] / "config" / "78-modem-agent.rules"

LAYOUTS = [
    pytest.param(layout, product, id=f"{name} {product}")
    for name, driver in load_driver_profiles().items()
    for layout in driver.usb
    for product in layout.products
]
"""Every USB product for which a profile has the AT port, or says that there is none."""


def udev_properties(tmp_path, vendor, product, interface, description="ff/ff/ff", rules=RULES):
    """Return the ID_MM_ properties that the rules set for a tty on one interface of a USB device."""
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
        for each in /usr/lib/udev/rules.d/*-mm-*.rules; do  # those of ModemManager, where it is installed
            ln -s /dev/null "/run/udev/rules.d/$(basename "$each")"
        done
        cp {rules} /run/udev/rules.d/
        umockdev-run --device {tmp_path}/module.umockdev -- udevadm test --action=add /sys{tty} 2>&1
    """
    command = ("unshare", "--mount", "--propagation=private", "sh", "-ec", script)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"Reading rules file: /run/udev/rules.d/{rules.name}" in output
    assert f"{rules.name}:" not in output  # otherwise udev does not understand a line of the rules
    assert "DEVNAME=/dev/ttyUSB0" in output
    return re.findall(r"^ID_MM_\S+", output, re.MULTILINE)


@pytest.mark.parametrize(("layout", "product"), LAYOUTS)
def test_only_the_at_port_is_hidden_from_modem_manager(tmp_path, layout, product):
    """The rules set ID_MM_PORT_IGNORE for the AT port, and nothing for the other ports."""
    if layout.at_interface is not None:
        assert udev_properties(tmp_path, layout.vendor, product, f"{layout.at_interface:02x}") == [
            "ID_MM_PORT_IGNORE=1"
        ]
    for other in {0, (layout.at_interface or 0) + 1, layout.second_at_interface} - {
        layout.at_interface,
        None,
    }:
        assert udev_properties(tmp_path, layout.vendor, product, f"{other:02x}") == []


@pytest.mark.parametrize("product", ["1506", "1573"])
@pytest.mark.parametrize("command", ["ff/02/02", "ff/01/02"])
def test_huawei_ports_are_known_by_their_class(tmp_path, product, command):
    """Product numbers of Huawei vary, but the AT port and the data port have different interface classes."""
    assert udev_properties(tmp_path, "12d1", product, "01", command) == ["ID_MM_PORT_IGNORE=1"]
    assert udev_properties(tmp_path, "12d1", product, "01", command[:-1] + "1") == []


def test_other_devices_are_left_alone(tmp_path):
    """A USB serial adapter with the same interface number gets no property."""
    assert udev_properties(tmp_path, "0403", "6001", "02") == []
    assert udev_properties(tmp_path, "0403", "6001", "02", "ff/02/02") == []


def test_rule_of_the_guide_hides_the_port_that_it_names(tmp_path):
    """modemmanager.md shows how to add a rule for another module."""
    guide = (RULES.parent / "guides/modemmanager.md").read_text()
    rules = tmp_path / "79-modem-agent-local.rules"
    rules.write_text(re.search(r"^```\n(SUBSYSTEM.*?)```", guide, re.MULTILINE | re.DOTALL)[1])
    assert udev_properties(tmp_path, "1234", "5678", "02", rules=rules) == ["ID_MM_PORT_IGNORE=1"]
    assert udev_properties(tmp_path, "1234", "5678", "03", rules=rules) == []
    assert udev_properties(tmp_path, "1234", "5679", "02", rules=rules) == []
