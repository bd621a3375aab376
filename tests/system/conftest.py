"""A device to test on: a Debian tree with the package installed, booted with its own systemd.

Its layers from bottom to top are the tree (cached), the installed product (one for each test run) and the
container (one for each boot). Mounts are made in the mount namespaces of the processes that need them, so an
interrupted run leaves none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DIALOUT_GID = 20
"""The group of serial ports; it has this number on every Debian."""
CGROUP_ROOTS = [Path("/sys/fs/cgroup", name) for name in ("unified", "systemd")]
"""The cgroup2 tree and that of systemd. A container without its own group would use those of the host."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("system")


def run(*command, **options):
    """Run a command and return its output. If it fails, the test fails with its output."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def wait_for(description, condition, timeout_s=10.0):
    """Poll until the condition returns a true value, and return that. Other processes send no event."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {timeout_s} s for {description}"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The Debian package of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, ROOT / "tests/packaging/build.py", folder)
    (wheel,) = folder.glob("*.whl")
    # What the wheel needs, all of it pure Python, for a machine without network.
    options = [
        "--quiet",
        "--only-binary=:all:",
        "--constraint",
        ROOT / "requirements.txt",
        "--dest",
        folder / "wheels",
    ]
    run(sys.executable, "-m", "pip", "download", *options, wheel)
    architecture = run("dpkg", "--print-architecture").strip()
    build = (sys.executable, ROOT / "config/debian/build_deb.py", "--wheel", wheel)
    return Path(run(*build, "--architecture", architecture, folder).strip())


@dataclass
class InstalledTree:
    """The tree with the Debian package installed, not booted."""

    layers: list[Path]
    """The lower layers of an overlay, the top one first."""
    upper: Path
    packages: Path
    """A folder of the host that a script finds as /mnt."""

    def run_script(self, script, user="root"):
        """Run a script in the tree as a user. Files that it writes stay in the layer `upper`."""
        root, work = Path(f"{self.upper}.root"), Path(f"{self.upper}.work")
        layers = ":".join(map(str, self.layers))
        inside = "setpriv --reuid=$user --regid=$user --init-groups env -i PATH=$PATH"
        outside = f"""
            mkdir -p {root} {work}
            mount -t overlay overlay -o lowerdir={layers},upperdir={self.upper},workdir={work} {root}
            cd {root}
            mount -t proc proc proc
            mount --rbind /dev dev
            mount --bind {self.packages} mnt
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
            exec chroot . {inside} sh -ec "$script"
        """
        environment = {"PATH": os.environ["PATH"] + ":/usr/sbin", "script": script, "user": user}
        return run("unshare", "--mount", "--propagation=private", "sh", "-ec", outside, env=environment)


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def installed_tree(request, tmp_path_factory, package):
    tree = Path(run(sys.executable, HERE / "debian_tree.py", request.param).strip())
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "upper").mkdir()
    product = InstalledTree([tree], folder / "upper", package.parent)
    product.run_script("dpkg --install /mnt/*.deb && systemctl --quiet enable modem-agent")
    return product


@dataclass
class Container:
    """A booted container. Its serial ports are pseudo-terminals of the host."""

    root: Path
    nspawn: subprocess.Popen
    cgroups: list[Path]
    init_pid: int = field(init=False)

    def wait_until_up(self):
        self.init_pid = wait_for("the container's init", self._find_init)
        up = ("systemctl", "is-active", "--quiet", "multi-user.target")
        wait_for("systemd", lambda: self.enter(*up).returncode == 0, 30)

    def _find_init(self):
        """Return the pid of the child of systemd-nspawn that is process 1 in the container; None before
        that."""
        for child in Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError):
                if re.search(r"^NSpid:\t\d+\t1$", Path(f"/proc/{child}/status").read_text(), re.MULTILINE):
                    return int(child)
        return None

    def enter(self, *command, **options):
        inside = ("nsenter", "-t", str(self.init_pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w")
        clean = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        return subprocess.run(
            (*inside, *clean, *command),
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    def output_of(self, *command):
        """Return the output of a command in the container, whatever its exit status."""
        done = self.enter(*command)
        return done.stdout + done.stderr

    def run(self, *command):
        done = self.enter(*command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}\n{self.service_log()}"
        return done.stdout

    def host_path(self, path):
        """Return the path on the host of a file in the container."""
        return Path(f"/proc/{self.init_pid}/root{path}")

    def plug_pty(self, terminal):
        """Make a pseudo-terminal of the host available as /dev/ttyUSB0, with the permissions that udev
        sets."""
        os.chown(terminal, 0, DIALOUT_GID)
        Path(terminal).chmod(0o660)
        port = self.host_path("/dev/ttyUSB0")
        port.unlink(missing_ok=True)
        port.symlink_to(f"/dev/hostpts/{Path(terminal).name}")

    def plug_sandbox(self, sandbox):
        """Plug in the module of the sandbox."""
        self.plug_pty(sandbox.terminal)

    def unplug(self):
        """Remove the port."""
        self.host_path("/dev/ttyUSB0").unlink(missing_ok=True)

    def configure(self, **replaced):
        """Write the shipped agent.toml with some lines replaced: configure(port='"/dev/ttyUSB0"')."""
        text = (ROOT / "config" / "agent.toml").read_text()
        for key, value in replaced.items():
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        # The tests of a module send more than the default limit within a minute.
        text = re.sub(r"^#?max_per_minute = .*$", "max_per_minute = 1000", text, flags=re.MULTILINE)
        self.host_path("/etc/modem-agent/agent.toml").write_text(text)

    def drop_in(self, text):
        """Write a drop-in of the unit, as `systemctl edit` does. It replaces the previous one."""
        folder = self.host_path("/etc/systemd/system/modem-agent.service.d")
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").write_text(text)
        self.run("systemctl", "daemon-reload")

    def unit_property(self, name):
        """Return a property of the service unit."""
        return self.run("systemctl", "show", "--property", name, "--value", "modem-agent").strip()

    def wait_for_property(self, name, value, seconds=15.0):
        """Wait until a property of the service has a value."""
        wait_for(f"{name}={value}", lambda: self.unit_property(name) == value, seconds)

    def service_log(self):
        return self.output_of("journalctl", "--no-pager", "--unit", "modem-agent", "--output", "cat")

    def wait_for_log(self, text, start=0):
        """Wait for a text in the log after this number of characters. The last lines may come late."""
        wait_for(text, lambda: text in self.service_log()[start:])

    def power_off(self):
        if self.nspawn.poll() is None:
            os.kill(self.init_pid, signal.SIGRTMIN + 4)  # systemd: power off
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        for group in self.cgroups:
            for each in sorted(group.rglob("*"), reverse=True):
                if each.is_dir():
                    each.rmdir()
            group.rmdir()


@pytest.fixture(scope="module")
def boot_container(installed_tree, tmp_path_factory):
    """Return a function that boots a container."""
    containers = []

    def make():
        folder = tmp_path_factory.mktemp("container")
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        groups = [
            group / f"modem-agent-test-{os.getpid()}-{folder.name}"
            for group in CGROUP_ROOTS
            if group.is_dir()
        ]
        for group in groups:
            group.mkdir()
        with (folder / "console").open("w") as console:
            nspawn = subprocess.Popen(
                _nspawn_command(installed_tree, folder),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                # Safe between fork and exec, because this process has one thread.
                preexec_fn=lambda: [(group / "cgroup.procs").write_text("0") for group in groups],  # noqa: PLW1509
            )
        container = Container(folder, nspawn, groups)
        containers.append(container)
        container.wait_until_up()
        return container

    yield make
    for container in containers:
        container.power_off()


def _nspawn_command(product, folder):
    """Return the command that boots the container.

    It needs neither machined nor D-Bus on the host, has no files of the host, uses cgroup2, and may use bpf
    so that DevicePolicy= is enforced.
    """
    layers = ":".join(map(str, [product.upper, *product.layers]))
    options = [
        "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--resolv-conf=off",
        "--timezone=off", "--link-journal=no", "--console=read-only", "--system-call-filter=bpf",
        "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_SYS_RESOURCE",
        "--bind=/dev/pts:/dev/hostpts", "--bind=/dev/fuse", "-D", str(folder / "root"),
    ]  # fmt: skip
    overlay = f"lowerdir={layers},upperdir={folder}/upper,workdir={folder}/work"
    mount = f"mount -t overlay overlay -o {overlay} {folder}/root"
    script = f"{mount} && SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn {' '.join(options)}"
    return ["setpriv", "--pdeathsig=TERM", "unshare", "--mount", "--propagation=private", "sh", "-ec", script]


class SandboxProcess:
    """`modem-agent sandbox` on the host: module, network and REST API."""

    def __init__(self, folder):
        program = "from agent.cli import main; main()"
        options = [
            "--listen",
            "127.0.0.1:0",
            "--link-dir",
            str(folder),
            "--sim",
            "super-sim",
            "--json",
            "--open",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "sandbox", *options],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        description = json.loads(self.process.stdout.readline())
        (self.sim,) = description["sims"]
        self.commands_url = f"{description['url']}/supersim/v1/SmsCommands"

    @property
    def terminal(self):
        """The path of the module's pseudo-terminal."""
        return os.path.realpath(self.sim["link"])

    def send_command(self, text):
        """Create a Command by the REST API; return its resource."""
        form = urllib.parse.urlencode({"Sim": self.sim["sid"], "Payload": text})
        with urllib.request.urlopen(self.commands_url, form.encode()) as answer:
            return json.load(answer)

    def list_replies(self):
        """Return the payloads of the messages from the SIM, oldest first."""
        with urllib.request.urlopen(f"{self.commands_url}?Direction=from_sim") as answer:
            return [each["payload"] for each in reversed(json.load(answer)["sms_commands"])]

    def wait_for_reply(self, text, seconds=10.0):
        """Wait until a message with this text has come from the SIM."""
        wait_for(f"the reply {text}", lambda: text in self.list_replies(), seconds)

    def run_command(self, text, seconds=10.0):
        """Send a Command, wait for its reply and return that.

        A number is appended to the text, because equal Commands without SID within a second are duplicates.
        """
        before = len(self.list_replies())
        self.send_command(f"{text} {before}")
        return wait_for(f"a reply to {text}", lambda: self.list_replies()[before:], seconds)[0]

    def close(self):
        self.process.terminate()
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    sandbox = SandboxProcess(tmp_path_factory.mktemp("links"))
    yield sandbox
    sandbox.close()
