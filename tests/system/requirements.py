"""Lists the programs that the tests marked `system` need and that are missing on this machine.

    python tests/system/requirements.py             prints what is missing; exit status 1 if anything is
    python tests/system/requirements.py --packages  prints the missing Debian packages, for a script

Uses the standard library only, because it runs before there is an environment.
"""

from __future__ import annotations

import os
import shutil
import sys

PROGRAMS = {
    "systemd-nspawn": "systemd-container",  # boots the real systemd of a Debian tree
    "mmdebstrap": "mmdebstrap",  # creates that tree
    "udevadm": "udev",  # reads the udev rules
    "umockdev-run": "umockdev",  # simulates USB modules for udev
    "nsenter": "util-linux",
    "lintian": "lintian",  # checks the Debian package
    "groff": "groff-base",  # checks its manual pages
    "gammu": "gammu",  # other clients of the simulated module
    "gammu-smsd": "gammu-smsd",
    "smsd": "smstools",
    "gnokii": "gnokii",
    "comgt": "comgt",
    "chat": "ppp",
    "wvdial": "wvdial",
    "socat": "socat",
    "ModemManager": "modemmanager",
    "ofonod": "ofono",
    "bearerbox": "kannel",
    "gdbus": "libglib2.0-bin",
    "dbus-run-session": "dbus-daemon",
    "qemu-storage-daemon": "qemu-system-common qemu-utils",  # logs disk writes; Debian 12: in the first
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "mosquitto": "mosquitto",  # an MQTT broker that Commands are forwarded to
    "promtool": "prometheus",  # checks metrics and alerts
    "chromium": "chromium",  # opens the console of the sandbox
}
"""Debian package of each program."""

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def missing_packages() -> list[str]:
    return sorted(
        {package for program, package in PROGRAMS.items() if not shutil.which(program, path=SEARCH_PATH)}
    )


def main() -> int:
    packages = missing_packages()
    if sys.argv[1:] == ["--packages"]:
        print(*packages)
        return 0
    if packages:
        print(f"make test-system needs Debian packages: apt install {' '.join(packages)}")
    if os.geteuid() != 0:
        print("make test-system boots containers and needs root: run it as root")
    return 1 if packages or os.geteuid() != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
