"""Creates a Debian tree with systemd and Python: `tests/system/debian_tree.py RELEASE` prints its path.

mmdebstrap creates the tree once, in half a minute, under .ci/cache. It is not changed afterwards, because
tests mount an overlay above it. bookworm has Python 3.11 and systemd 252, trixie has Python 3.13
and systemd 257; Raspberry Pi OS is based on both. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

CACHE_DIR = Path(__file__).parents[2] / ".ci" / "cache" / "trees"
PACKAGES = (
    "adduser",
    "dbus",
    "make",
    "polkitd",
    "python3",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
)
"""dbus is for systemctl without root, make for the tests of this project in a tree, polkitd and sudo for
handlers."""


def ensure_tree(release: str) -> Path:
    """Return the folder of the tree; create it if it does not exist."""
    recipe = hashlib.sha256(" ".join(("mmdebstrap", *PACKAGES)).encode()).hexdigest()[:8]
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
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        release,
        str(part),
    ]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(part, ignore_errors=True)
        sys.exit(f"mmdebstrap {release} failed:\n{made.stdout[-2000:]}{made.stderr[-2000:]}")
    (part / "etc/resolv.conf").unlink(missing_ok=True)  # the name server of the host


if __name__ == "__main__":
    print(ensure_tree(sys.argv[1]))
