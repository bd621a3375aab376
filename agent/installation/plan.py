"""The changes with which `setup` installs the agent as a service, and those that remove it again."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.installation.changes import (
    PREFIX,
    Change,
    CopyEnvironment,
    Delete,
    MakeFolder,
    MakeLink,
    RunCommand,
    WriteFile,
    own_environment,
)

NETWORK_DROP_IN = """\
# Written by `modem-agent setup --network`: handlers, and a module at a socket:// port, use the network.
[Service]
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK
IPAddressDeny=
"""
_SHARED_UNITS = ("modem-agent.service", "modem-agent@.service")
_LOCAL_SHARE = "usr/local/share"
_SITE_FOLDERS = {"zsh/vendor-completions": "zsh/site-functions"}
"""Where zsh looks below /usr/local/share."""


@dataclass(frozen=True, slots=True)
class Device:
    """The device on which the agent is installed."""

    root: Path = Path("/")
    """Another folder for a test or for an image of a device: then no program is run."""
    instance: str = ""
    """The name of one of several agents on this device; "" for the only one."""

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    @property
    def is_running(self) -> bool:
        """True if systemd runs here, and not only below another root."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    @property
    def is_packaged(self) -> bool:
        """True if the files come from the Debian package."""
        return self.path("var/lib/dpkg/info/modem-agent.list").exists()

    @property
    def unit(self) -> str:
        return f"modem-agent@{self.instance}.service" if self.instance else "modem-agent.service"

    @property
    def config_file(self) -> Path:
        return self.path(f"etc/modem-agent/{self.instance or 'agent'}.toml")

    @property
    def sim_pin_file(self) -> Path:
        """The credential that the unit loads if it exists."""
        return self.credential_file("sim-pin")

    def credential_file(self, credential: str) -> Path:
        """Return the file from which systemd loads a credential of the unit, if it exists."""
        name = f"modem-agent-{self.instance}" if self.instance else "modem-agent"
        return self.path(f"etc/credstore/{name}.{credential}")

    @property
    def is_installed(self) -> bool:
        """True if the unit is installed, by `setup` or by the Debian package."""
        unit = "modem-agent@.service" if self.instance else "modem-agent.service"
        return any(
            self.path(f"{folder}/systemd/system/{unit}").exists() for folder in ("etc", "usr/lib", "lib")
        )

    @property
    def network_drop_in(self) -> Path:
        return self.path(f"etc/systemd/system/{self.unit}.d/network.conf")

    @property
    def may_use_network(self) -> bool:
        """True unless the installed unit forbids the Internet."""
        return not self.is_installed or self.network_drop_in.exists()

    def config_keys(self) -> dict[tuple[str, str], object]:
        """Return the keys by (table, key) that an instance must not share with the others."""
        if not self.instance:
            return {}
        return {
            ("journal", "path"): f"/var/lib/modem-agent-{self.instance}/journal.db",
            ("control", "socket"): f"/run/modem-agent-{self.instance}/control.sock",
        }


def find_device(config_file: Path) -> Device:
    """Return the installation that uses this file: the only agent of the device, or one of several."""
    is_instance = config_file.parent == Path("/etc/modem-agent") and config_file.stem != "agent"
    return Device(instance=config_file.stem if is_instance else "")


def shared_folder() -> Path:
    """Return the folder of the files that come with the program: annotated agent.toml, units, rules."""
    installed = Path(sysconfig.get_path("data"), "share/modem-agent")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "config"  # in a checkout


def plan_files(device: Device, generated: Mapping[str, str]) -> Iterator[Change]:
    """Return the changes that the Debian package would make.

    `generated` has man pages and completions by their path below `share`.
    """
    if device.is_packaged:
        return
    source = shared_folder()
    environment = own_environment()
    if environment != device.path(str(PREFIX)):  # else this is the installed program itself
        yield CopyEnvironment(environment, device.path(str(PREFIX)))
    yield MakeLink(device.path("usr/local/bin/modem-agent"), PREFIX / "bin/modem-agent")
    for unit in _SHARED_UNITS:
        yield WriteFile(device.path(f"etc/systemd/system/{unit}"), (source / unit).read_text())
    yield WriteFile(
        device.path("etc/sysusers.d/modem-agent.conf"), (source / "modem-agent.sysusers").read_text()
    )
    rules = "78-modem-agent.rules"
    yield WriteFile(device.path(f"etc/udev/rules.d/{rules}"), (source / rules).read_text())
    for name, text in generated.items():
        yield WriteFile(_local_share(device, name), text)


def plan_settings(
    device: Device, config_text: str, *, pin: str | None, network: bool | None
) -> Iterator[Change]:
    """Return the changes to configuration and unit. None for `pin` and `network` leaves them as they are."""
    yield MakeFolder(device.path("etc/modem-agent/handlers"))
    yield WriteFile(device.config_file, config_text, show_difference=True)
    if pin is not None:
        yield WriteFile(device.sim_pin_file, f"{pin}\n", mode=0o600)
    if network is True:
        yield WriteFile(device.network_drop_in, NETWORK_DROP_IN)
    elif network is False:
        yield Delete(device.network_drop_in)


def plan_activation(device: Device, *, start: bool) -> list[Change]:
    """Return the commands after all other changes: user, udev, systemd. Below another root there are none."""
    if not device.is_running:
        return []
    commands: list[Change] = [
        RunCommand(("systemd-sysusers",)),
        RunCommand(("udevadm", "control", "--reload"), may_fail=True),
        RunCommand(("udevadm", "trigger", "--subsystem-match=tty"), may_fail=True),
        RunCommand(("systemctl", "daemon-reload")),
        RunCommand(("systemctl", "--quiet", "enable", device.unit)),
    ]
    if start:
        commands.append(RunCommand(("systemctl", "restart", device.unit)))
    return commands


def plan_removal(device: Device, generated: Mapping[str, str], *, with_data: bool) -> Iterator[Change]:
    """Return the changes that undo those of `setup`; `with_data` adds configuration, journals and user."""
    if device.is_running:
        yield RunCommand(("systemctl", "--quiet", "disable", "--now", device.unit), may_fail=True)
        yield RunCommand(("systemctl", "stop", "modem-agent.service", "modem-agent@*.service"), may_fail=True)
        yield RunCommand(("systemctl", "--quiet", "disable", *_SHARED_UNITS), may_fail=True)
    names = [f"etc/systemd/system/{unit}" for unit in _SHARED_UNITS]
    names += ["etc/sysusers.d/modem-agent.conf", "etc/udev/rules.d/78-modem-agent.rules"]
    names += ["usr/local/bin/modem-agent", str(PREFIX)]
    yield from (Delete(device.path(name)) for name in names)
    yield from (Delete(_local_share(device, name)) for name in generated)
    if with_data:
        for pattern in (
            *("etc/modem-agent", "var/lib/modem-agent", "var/lib/modem-agent-*"),
            *("etc/credstore/modem-agent*.*", "etc/systemd/system/modem-agent*.service.d"),
        ):
            yield from (Delete(path) for path in sorted(device.root.glob(pattern)))
    if device.is_running:
        yield RunCommand(("systemctl", "daemon-reload"), may_fail=True)
        yield RunCommand(("udevadm", "control", "--reload"), may_fail=True)
        if with_data:
            yield RunCommand(("userdel", "modem-agent"), may_fail=True)


def _local_share(device: Device, name: str) -> Path:
    for folder, local in _SITE_FOLDERS.items():
        name = name.replace(folder, local)
    return device.path(f"{_LOCAL_SHARE}/{name}")
