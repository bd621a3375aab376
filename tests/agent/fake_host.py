"""A directory tree in place of /sys, /dev, /proc and /run of a gateway."""

from __future__ import annotations

import os
import shutil


class FakeHost:
    """Adds and removes devices; links are relative, as in the real /sys."""

    def __init__(self, root):
        self.root = root
        self.dev = root / "dev"
        self.dev.mkdir()

    def plug(self, path, ids, ttys, *, serial="0123456789ABCDEF", words="SimTech SimTech", kind="ff/ff/ff"):
        """Add a USB device at `path`, with ttys by interface number: `{2: "ttyUSB2"}`."""
        vendor, product = ids.split(":")
        device = self.root / "sys/devices/platform/usb1" / path.split(".")[0] / path
        device.mkdir(parents=True)
        manufacturer, _, name = words.partition(" ")
        attributes = {
            "idVendor": vendor,
            "idProduct": product,
            "serial": serial,
            "manufacturer": manufacturer,
            "product": name,
        }
        for file, text in attributes.items():
            if text:
                (device / file).write_text(text + "\n")
        self._link(self.root / "sys/bus/usb/devices" / path, device)
        for interface, tty in ttys.items():
            folder = device / f"{path}:1.{interface}"
            # cdc-acm hangs its tty below the interface, usb-serial has a port of its own between them.
            tail = f"tty/{tty}" if tty.startswith("ttyACM") else f"{tty}/tty/{tty}"
            (folder / tail).mkdir(parents=True)
            (folder / "bInterfaceNumber").write_text(f"{interface:02x}\n")
            classes = kind[interface] if isinstance(kind, dict) else kind
            for part, value in zip(("Class", "SubClass", "Protocol"), classes.split("/"), strict=True):
                (folder / f"bInterface{part}").write_text(value + "\n")
            self._link(self.root / "sys/bus/usb/devices" / f"{path}:1.{interface}", folder)
            self._link(self.root / "sys/class/tty" / tty, folder / tail)
            (self.dev / tty).touch()
            by_id = f"usb-{words.replace(' ', '_')}_{serial}-if{interface:02x}-port0"
            self._link(self.dev / "serial/by-id" / by_id, self.dev / tty)
            self._link(self.dev / f"serial/by-path/platform-usb-0:{path}:1.{interface}-port0", self.dev / tty)

    def unplug(self, path):
        """Remove the device, its ttys and every link to them."""
        shutil.rmtree(self.root / "sys/devices/platform/usb1" / path.split(".")[0] / path)
        for folder in ("sys/class/tty", "sys/bus/usb/devices"):
            for link in (self.root / folder).iterdir():
                if not link.exists():
                    (self.dev / link.name).unlink(missing_ok=True)
                    link.unlink()
        for link in (*(self.dev / "serial/by-id").iterdir(), *(self.dev / "serial/by-path").iterdir()):
            if not link.exists():
                link.unlink()

    def uart(self, tty, *, alias=None):
        """Add a UART of the board."""
        folder = self.root / f"sys/devices/platform/serial/tty/{tty}"
        folder.mkdir(parents=True)
        self._link(self.root / "sys/class/tty" / tty, folder)
        (self.dev / tty).touch()
        if alias:
            self._link(self.dev / alias, self.dev / tty)

    def device_tree(self, model, *compatible):
        """Set the model of the board and the names that it is compatible with."""
        folder = self.root / "proc/device-tree"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model").write_text(model + "\0")
        (folder / "compatible").write_text("".join(f"{name}\0" for name in compatible))

    def unit(self, name, folder="run/systemd/units", prefix="invocation:"):
        """Add the link that systemd keeps for a unit."""
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / folder / (prefix + name)).symlink_to("3f2a")

    def log_to(self, *consoles):
        """Set the consoles of the kernel."""
        (self.root / "sys/class/tty/console").mkdir(parents=True)
        (self.root / "sys/class/tty/console/active").write_text(" ".join(consoles) + "\n")

    def add_process(self, pid, program, *open_files):
        """Add a process to /proc; for a process of another user give no open files."""
        process = self.root / "proc" / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "comm").write_text(program + "\n")
        for number, file in enumerate(open_files):
            (process / "fd" / str(number)).symlink_to(file)

    @staticmethod
    def _link(link, target):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent))
