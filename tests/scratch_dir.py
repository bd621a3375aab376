"""Prints the temporary folder for `make test`: /dev/shm if it can be used, otherwise the default one.

A commit of the journal waits for the disk, and the tests make many thousands of them. In a container /dev/shm
may be too small, or mounted so that programs in it cannot be executed. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SHARED_MEMORY_DIR = Path("/dev/shm")
REQUIRED_BYTES = 1024**3
"""Free space that is required, in octets; the tests use less than a tenth of it."""


def main() -> None:
    print(
        SHARED_MEMORY_DIR
        if "TMPDIR" not in os.environ and is_usable(SHARED_MEMORY_DIR)
        else tempfile.gettempdir()
    )


def is_usable(folder: Path) -> bool:
    """Return True if the folder has enough free space and programs in it can be executed."""
    try:
        with tempfile.TemporaryDirectory(dir=folder) as subfolder:
            program = Path(subfolder, "program")
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
            subprocess.run([program], check=True)
        return shutil.disk_usage(folder).free >= REQUIRED_BYTES
    except OSError:
        return False


if __name__ == "__main__":
    main()
