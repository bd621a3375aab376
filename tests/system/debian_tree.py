"""Creates a Debian tree with systemd and Python: `tests/system/debian_tree.py RELEASE` prints its path.

debootstrap creates the tree once, in about a minute, under .ci/cache. It is not changed afterwards, because
tests mount an overlay above it. bookworm has Python 3.11 and systemd 252, trixie has Python 3.13
and systemd 257; Raspberry Pi OS is based on both. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE_DIR = Path(__file__).parents[2] / ".ci" / "cache" / "trees"
PACKAGES = ("dbus", "make", "python3", "python3-venv", "sudo", "systemd", "systemd-sysv", "udev")
"""dbus is for systemctl without root, make for the tests of this project in a tree, sudo for handlers."""
LATER_PACKAGES = ("polkitd",)
"""For handlers, too; debootstrap does not manage to configure it."""


def ensure_tree(release: str) -> Path:
    """Return the folder of the tree; create it if it does not exist."""
    recipe = hashlib.sha256(" ".join(PACKAGES + LATER_PACKAGES).encode()).hexdigest()[:8]
    tree = CACHE_DIR / f"{release}-{recipe}"
    CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with (CACHE_DIR / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            for old in CACHE_DIR.glob(f"{release}-*"):
                shutil.rmtree(old)
            _bootstrap(release, tree.with_suffix(".part"))
            tree.with_suffix(".part").rename(tree)
    return tree


def _bootstrap(release: str, part: Path) -> None:
    if part.exists():
        shutil.rmtree(part)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", release, str(part)]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(part, ignore_errors=True)
        sys.exit(f"debootstrap {release} failed:\n" + "\n".join(made.stdout.splitlines()[-10:]) + made.stderr)
    # The mounts go with the process; the address of the name server does not stay in the tree.
    script = """
        cp /etc/resolv.conf /etc/hosts etc/
        mount -t proc proc proc
        mount --rbind /dev dev
        DEBIAN_FRONTEND=noninteractive chroot . apt-get install -qq -y --no-install-recommends $packages
        rm etc/resolv.conf etc/hosts
    """
    install = ["unshare", "--mount", "--propagation=private", "sh", "-ec", script]
    environment = os.environ | {"packages": " ".join(LATER_PACKAGES)}
    later = subprocess.run(install, cwd=part, env=environment, capture_output=True, text=True, check=False)
    if later.returncode:
        sys.exit(f"apt-get in the tree of {release} failed:\n{later.stdout[-2000:]}{later.stderr[-2000:]}")
    for deb in (part / "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()


if __name__ == "__main__":
    print(ensure_tree(sys.argv[1]))
