"""Builds the Debian package; prints its path.

    config/debian/build_deb.py --wheel WHEEL --architecture arm64 FOLDER

The package has a virtual environment of its own below /opt/modem-agent, so it needs no network when it is
installed and does not touch other Python packages. Its interpreter is a link to Debian's /usr/bin/python3,
whichever version that is: `lib/python3.11`, `lib/python3.12` and `lib/python3.13` lead to the same packages.
All of these are pure Python but gpiod, whose compiled module has a file for each version beside the others.
So one package per architecture serves Debian 12 and 13, and survives an upgrade between them.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from email.utils import formatdate
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE.parent
CHECKOUT = CONFIG.parent
PYTHONS = ("3.11", "3.12", "3.13")
"""Debian 12 has the first, Debian 13 the last. All may import the package; a newer one may need
another gpiod."""
CONSTRAINTS = ("requirements.txt", "requirements-gpio.txt", "requirements-mqtt.txt")
MANYLINUX_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": None}
"""Machine in the names of compiled wheels, by Debian's architecture. There is no gpiod for armhf."""
CONTROL = """\
Package: modem-agent
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: libc6, python3 (>= 3.11), python3 (<< 3.14), systemd, udev
Suggests: polkitd
Section: comm
Priority: optional
Description: device-side SMS command agent for Super SIM and Programmable Wireless
 Receives machine-to-machine Commands by SMS with a cellular module, runs a
 handler for each of them exactly once, and sends the reply back by SMS.
 .
 After the installation, "modem-agent setup" finds module and SIM and starts
 the service.
"""
MAINTAINER = (
    f"{os.environ.get('DEBFULLNAME', 'modem-agent')} <{os.environ.get('DEBEMAIL', 'root@localhost')}>"
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Debian package.")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--architecture", choices=MANYLINUX_MACHINES, required=True)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as temporary:
        stage = Path(temporary, "stage")
        install_environment(stage / "opt/modem-agent", arguments.wheel, arguments.architecture)
        install_files(stage)
        print(build_package(stage, arguments.architecture, arguments.folder))


def install_environment(prefix: Path, wheel: Path, architecture: str) -> None:
    """Make the virtual environment, for each version of Python."""
    site = prefix / "lib/python3/site-packages"
    site.mkdir(parents=True)
    install_packages(site, PYTHONS[0], "", f"{wheel.resolve()}[mqtt]")
    for version in PYTHONS:
        (prefix / f"lib/python{version}").symlink_to("python3")
        if machine := MANYLINUX_MACHINES[architecture]:
            install_packages(site, version, machine, "--no-deps", "gpiod")
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (prefix / "bin").mkdir()
    (prefix / "bin/python3").symlink_to("/usr/bin/python3")
    (prefix / "bin/python").symlink_to("python3")
    script = prefix / "bin/modem-agent"
    script.write_text("#!/opt/modem-agent/bin/python3\nfrom agent.cli import main\n\nmain()\n")
    script.chmod(0o755)


def install_packages(site: Path, version: str, machine: str, *what: str) -> None:
    """Add packages to a folder, as wheels for a version of Python, and for a machine if they are compiled."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"]
    pip += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    pip += [f"--constraint={CHECKOUT / name}" for name in CONSTRAINTS]
    if machine:
        pip += [f"--platform=manylinux{kind}_{machine}" for kind in ("2014", "_2_17", "_2_28", "_2_34")]
    with tempfile.TemporaryDirectory() as target:
        subprocess.run([*pip, f"--target={target}", *what], check=True)
        for unneeded in ("bin", "share"):
            shutil.rmtree(Path(target, unneeded), ignore_errors=True)
        shutil.copytree(target, site, dirs_exist_ok=True)


def install_files(stage: Path) -> None:
    """Copy what systemd, udev, the shells and man read, and the documentation."""
    # The help texts come from the staged packages: nothing else is installed where this runs.
    sys.path.insert(0, str(stage / "opt/modem-agent/lib/python3/site-packages"))
    sys.dont_write_bytecode = True
    from agent.cli.commands import group
    from agent.installation.manual import make_completions, make_manual_pages
    from agent.version import VERSION

    prefix, share = stage / "opt/modem-agent", stage / "usr/share"
    example_files = ("README.md", "agent.toml", "guides", "handlers", "prometheus-alerts.yml", "rights")
    for name in example_files:
        copy(CONFIG / name, prefix / "share/modem-agent" / name)
    for unit in CONFIG.glob("*.service"):
        copy(unit, stage / "usr/lib/systemd/system" / unit.name)
    copy(CONFIG / "78-modem-agent.rules", stage / "usr/lib/udev/rules.d/78-modem-agent.rules")
    copy(CONFIG / "modem-agent.sysusers", stage / "usr/lib/sysusers.d/modem-agent.conf")
    (stage / "etc/modem-agent/handlers").mkdir(parents=True)
    (stage / "usr/bin").mkdir()
    (stage / "usr/bin/modem-agent").symlink_to("/opt/modem-agent/bin/modem-agent")
    for name, page in make_manual_pages(group, VERSION, (CONFIG / "agent.toml").read_text()).items():
        write_compressed(share / f"man/man{name[-1]}/{name}.gz", page)
    for name, script in make_completions(group).items():
        (share / name).parent.mkdir(parents=True)
        (share / name).write_text(script)
    documents = share / "doc/modem-agent"
    documents.mkdir(parents=True)
    copyright_head = (HERE / "copyright").read_text()
    licence = "".join(f" {line}".rstrip() + "\n" if line else " .\n" for line in read_licence())
    (documents / "copyright").write_text(copyright_head + licence)
    write_compressed(documents / "changelog.gz", make_changelog(VERSION))
    write_compressed(documents / "NEWS.md.gz", (CHECKOUT / "CHANGELOG.md").read_text())
    (documents / "README.md").symlink_to("/opt/modem-agent/share/modem-agent/README.md")
    copy(HERE / "lintian-overrides", share / "lintian/overrides/modem-agent")


def build_package(stage: Path, architecture: str, folder: Path) -> Path:
    """Add the control files and build the package; return its path."""
    version = re.search(r'VERSION = "(.+)"', (CHECKOUT / "agent/version.py").read_text())
    assert version is not None
    for path in stage.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(stage)}\n" for path in files]
    control = stage / "DEBIAN"
    control.mkdir()
    fields = {"version": version[1], "architecture": architecture, "maintainer": MAINTAINER}
    size = sum(path.stat().st_size for path in files) // 1024
    (control / "control").write_text(CONTROL.format(size=size, **fields))
    (control / "md5sums").write_text("".join(sums))
    for name in ("preinst", "postinst", "prerm", "postrm", "triggers"):
        shutil.copy(HERE / name, control / name)
        (control / name).chmod(0o644 if name == "triggers" else 0o755)
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / f"modem-agent_{version[1]}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage, package],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return package


def read_licence() -> list[str]:
    return (CHECKOUT / "LICENSE").read_text().strip().splitlines()


def make_changelog(version: str) -> str:
    """Return a changelog of Debian's form. What changed is in NEWS.md."""
    date = formatdate(float(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    return f"modem-agent ({version}) stable; urgency=medium\n\n  * See NEWS.md.\n\n -- {MAINTAINER}  {date}\n"


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, without what Python left in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def write_compressed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
