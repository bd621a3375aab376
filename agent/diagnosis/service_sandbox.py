"""Runs this program again with the user, the rights and the environment that systemd gives the service.

The properties of the unit, with its drop-ins, are passed to systemd-run(1).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

OPTION = "--as-service"
_RUN_OF_THE_SERVICE = (
    *(
        "Exec",
        "Type",
        "NotifyAccess",
        "Timeout",
        "Watchdog",
        "Kill",
        "Restart",
        "OOMPolicy",
        "LoadCredential",
    ),
    *("RuntimeDirectory", "StateDirectory"),
)
"""Beginnings of the names of properties that concern the start and end of the agent, and not its handlers."""


class ServiceSandboxUnavailable(Exception):  # noqa: N818  (a state of the device)
    """The service's sandbox cannot be used here; the text is one sentence."""


def exec_in_sandbox(unit: str) -> None:
    """Replace this process by the same command line without `--as-service`, in the sandbox of the unit.

    Returns never. Raises ServiceSandboxUnavailable.
    """
    if os.geteuid() != 0:
        raise ServiceSandboxUnavailable(f"{OPTION} needs root, as systemd-run does: use sudo")
    try:
        files = subprocess.run(["systemctl", "cat", unit], capture_output=True, text=True, check=False)
    except OSError:
        raise ServiceSandboxUnavailable(f"{OPTION} needs systemd, which this device does not have") from None
    if files.returncode != 0:
        raise ServiceSandboxUnavailable(f"there is no unit {unit}: sudo modem-agent setup installs it")
    name = unit.removesuffix(".service").replace("@", "-")
    arguments = [word for word in sys.argv if word != OPTION]
    arguments[0] = str(Path(sys.prefix, "bin/modem-agent"))
    command = make_command(files.stdout.splitlines(), name, arguments)
    try:
        os.execvp(command[0], command)  # noqa: S606  (no shell, on purpose)
    except OSError as error:
        raise ServiceSandboxUnavailable(f"systemd-run cannot be started: {error.strerror}") from None


def make_command(unit_lines: Iterable[str], name: str, arguments: Sequence[str]) -> list[str]:
    """Return the systemd-run command line for a unit file with its drop-ins, as `systemctl cat` prints them.

    `name` is that of the folders below /run and /var/lib, which exist and must not be removed afterwards.
    """
    properties = [
        f"ReadWritePaths=-/run/{name} -/var/lib/{name}",
        f"Environment=RUNTIME_DIRECTORY=/run/{name} STATE_DIRECTORY=/var/lib/{name}",
    ]
    section = ""
    for line in unit_lines:
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";", *_RUN_OF_THE_SERVICE)):
            properties.append(line)
    options = ["--quiet", "--pipe", "--wait", "--collect", *(f"--property={each}" for each in properties)]
    return ["systemd-run", *options, "--", *arguments]
