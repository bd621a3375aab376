"""A gateway to test on: a Debian tree with the built wheel installed, booted with its own systemd.

Layers, from the ground: the tree (cached), the product (installed once a run), the machine (one a boot).
Mounts live in the mount namespaces of the processes that need them, so that an interrupted run leaves none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
WHEELS = CHECKOUT / ".ci" / "cache" / "wheels"
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
CGROUPS = [Path("/sys/fs/cgroup", name) for name in ("unified", "systemd")]
"""The cgroup2 tree and systemd's own; a container without a group of its own would share this machine's."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("system")


def run(*command, **options):
    """Run a command; a failure shows what it said."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def wait_for(what, question, seconds=10.0):
    """Ask until the answer is true; a process outside this one cannot be awaited in any other way."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, CHECKOUT / "tests/packaging/build.py", folder)
    (built,) = folder.glob("*.whl")
    return built


@dataclass
class Product:
    """The tree with modem-agent installed as config/README.md says, not booted."""

    layers: list[Path]
    """What an overlay lies above, top first."""
    upper: Path
    wheels: Path

    def shell(self, script, user="root"):
        """Run a script inside, as if logged in; what it writes stays in the product's layer."""
        root, work = Path(f"{self.upper}.root"), Path(f"{self.upper}.work")
        layers = ":".join(map(str, self.layers))
        inside = "setpriv --reuid=$user --regid=$user --init-groups env -i PATH=$PATH"
        pip = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/mnt PIP_DISABLE_PIP_VERSION_CHECK=1"
        outside = f"""
            mkdir -p {root} {work}
            mount -t overlay overlay -o lowerdir={layers},upperdir={self.upper},workdir={work} {root}
            cd {root}
            mount -t proc proc proc
            mount --rbind /dev dev
            mount --bind {self.wheels} mnt
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
            exec chroot . {inside} {pip} sh -ec "$script"
        """
        words = {"PATH": os.environ["PATH"] + ":/usr/sbin", "script": script, "user": user}
        return run("unshare", "--mount", "--propagation=private", "sh", "-ec", outside, env=words)


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def product(request, tmp_path_factory, wheel):
    release = request.param
    tree = Path(run(sys.executable, HERE / "tree.py", release).strip())
    folder = tmp_path_factory.mktemp(release)
    wheels = folder / "wheels"
    shutil.copytree(_wheels(PYTHON[release]), wheels)
    shutil.copy(wheel, wheels)
    (folder / "upper").mkdir()
    product = Product([tree], folder / "upper", wheels)
    product.shell(installation())
    return product


def _wheels(python):
    """The pinned dependencies for the tree's Python, kept for the next run; only this needs the network."""
    wanted = CHECKOUT / "requirements.txt"
    place = WHEELS / python
    stamp = place / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        shutil.rmtree(place, ignore_errors=True)
        options = ["--quiet", "--only-binary=:all:", f"--python-version={python}", f"--dest={place}"]
        run(sys.executable, "-m", "pip", "download", *options, "-r", wanted)
        shutil.copy(wanted, stamp)
    return place


def installation():
    """The commands of config/README.md, section "Install", word for word but for the folder of the wheel."""
    text = (CHECKOUT / "config" / "README.md").read_text()
    section = re.search(r"^## Install\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    (commands,) = re.findall(r"^```sh\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    return commands.replace("sudo ", "").replace("modem_agent-*.whl", "/mnt/modem_agent-*.whl")


@dataclass
class Machine:
    """A booted gateway. Its port is a pseudo-terminal of this machine, bound to /dev/ttyUSB0."""

    root: Path
    nspawn: subprocess.Popen
    groups: list[Path]
    init: int = field(init=False)

    def __post_init__(self):
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        self.init = int(wait_for("the container's init", lambda: children.read_text().split())[0])
        wait_for("systemd", lambda: self.ask("systemctl", "is-system-running").strip() == "running", 30)

    def enter(self, *command, **options):
        inside = ("nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w")
        clean = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        return subprocess.run(
            (*inside, *clean, *command),
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    def ask(self, *command):
        """What a command inside says, whatever its status."""
        done = self.enter(*command)
        return done.stdout + done.stderr

    def run(self, *command):
        done = self.enter(*command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def path(self, path):
        """A file inside, as seen from here."""
        return Path(f"/proc/{self.init}/root{path}")

    def show(self, name):
        """A property of the service."""
        return self.run("systemctl", "show", "--property", name, "--value", "modem-agent").strip()

    def journal(self):
        return self.ask("journalctl", "--no-pager", "--unit", "modem-agent", "--output", "cat")

    def power_off(self):
        if self.nspawn.poll() is None:
            os.kill(self.init, signal.SIGRTMIN + 4)  # systemd: power off
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        for group in self.groups:
            for each in sorted(group.rglob("*"), reverse=True):
                if each.is_dir():
                    each.rmdir()
            group.rmdir()


@pytest.fixture(scope="module")
def boot(product, tmp_path_factory):
    """Boots machines: boot(port) with the pseudo-terminal that becomes /dev/ttyUSB0."""
    machines = []

    def make(port):
        folder = tmp_path_factory.mktemp("machine")
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        groups = [
            group / f"modem-agent-test-{os.getpid()}-{len(machines)}" for group in CGROUPS if group.is_dir()
        ]
        for group in groups:
            group.mkdir()
        os.chown(port, 0, 20)  # root:dialout, as udev would
        Path(port).chmod(0o660)
        nspawn = subprocess.Popen(
            _nspawn(product, folder, port),
            stdin=subprocess.DEVNULL, stdout=(folder / "console").open("w"), stderr=subprocess.STDOUT,
            preexec_fn=lambda: [(group / "cgroup.procs").write_text("0") for group in groups],  # noqa: PLW1509  (one thread)
        )  # fmt: skip
        machine = Machine(folder, nspawn, groups)
        machines.append(machine)
        return machine

    yield make
    for machine in machines:
        machine.power_off()


def _nspawn(product, folder, port):
    """The command that boots. No option is idle: cgroup2 inside, no machined and no D-Bus needed out here,
    nothing of this machine in there, and bpf so that DevicePolicy= is enforced."""
    layers = ":".join(map(str, [product.upper, *product.layers]))
    options = [
        "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--resolv-conf=off",
        "--timezone=off", "--link-journal=no", "--console=read-only", "--system-call-filter=bpf",
        "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_SYS_RESOURCE",
        f"--bind={port}:/dev/ttyUSB0", "--bind=/dev/fuse", "-D", str(folder / "root"),
    ]  # fmt: skip
    overlay = f"lowerdir={layers},upperdir={folder}/upper,workdir={folder}/work"
    mount = f"mount -t overlay overlay -o {overlay} {folder}/root"
    script = f"{mount} && SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn {' '.join(options)}"
    return ["setpriv", "--pdeathsig=TERM", "unshare", "--mount", "--propagation=private", "sh", "-ec", script]


@dataclass
class Sandbox:
    """`modem-agent sandbox`, outside the machine: the module's far end, the network and the REST API."""

    process: subprocess.Popen
    facts: dict


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("links")
    command = [
        sys.executable,
        "-m",
        "agent.cli",
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--link-dir",
        folder,
        "--json",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=CHECKOUT
    )
    yield Sandbox(process, json.loads(process.stdout.readline()))
    process.terminate()
    process.communicate(timeout=10)
