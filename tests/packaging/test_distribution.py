"""The wheel and the source archive are built without git, are complete, and work without the checkout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
DATA_SUFFIXES = (".toml", ".json", ".bin", ".typed", ".html", ".css", ".js", ".svg")
"""Suffixes of the data files in the packages."""
DOCUMENT_SUFFIXES = {".md", ".png"}
"""Suffixes of files that stay in the checkout."""


def run(*command, **options):
    """Run a command and return its output. If it fails, the test fails with its output."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the paths of the wheel and of the source archive."""
    return [
        Path(line)
        for line in run(sys.executable, HERE / "build.py", tmp_path_factory.mktemp("dist")).splitlines()
    ]


@pytest.fixture(scope="module")
def wheel_names(built):
    return set(zipfile.ZipFile(built[0]).namelist())


@pytest.fixture(scope="module")
def sdist_names(built):
    with tarfile.open(built[1]) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


README = (CHECKOUT / "README.md").read_text()


def package_files():
    """Every module and data file of the packages in this checkout, without the pictures of README.md."""
    files = (file for package in ("agent", "hardware", "pdu") for file in (CHECKOUT / package).rglob("*"))
    return {
        file.relative_to(CHECKOUT).as_posix()
        for file in files
        if file.suffix in (".py", *DATA_SUFFIXES)
        and "__pycache__" not in file.parts
        and f"({file.relative_to(CHECKOUT)})" not in README
    }


def test_package_files_have_known_suffixes():
    """A new kind of data file must be added to package-data in pyproject.toml, and then here."""
    files = (file for package in ("agent", "hardware", "pdu") for file in (CHECKOUT / package).rglob("*"))
    kinds = {file.suffix for file in files if file.is_file() and "__pycache__" not in file.parts}
    assert kinds <= {".py", *DOCUMENT_SUFFIXES, *DATA_SUFFIXES}


def test_wheel_is_complete(wheel_names):
    """Every module and data file of the three packages is in it."""
    assert package_files() - wheel_names == set()


def test_wheel_contains_configuration_and_example_handlers(wheel_names):
    """They are installed in share/modem-agent of the environment."""
    shared = {name.partition("/data/")[2] for name in wheel_names if "/data/" in name}
    files = {
        file.relative_to(CHECKOUT / "config") for file in (CHECKOUT / "config").rglob("*") if file.is_file()
    }
    unneeded = {"__pycache__", "container", "debian"}
    expected = {f"share/modem-agent/{file}" for file in files if not unneeded.intersection(file.parts)}
    assert shared == expected


def test_wheel_contains_nothing_else(wheel_names):
    """It has no tests, caches or other top-level packages."""
    tops = {name.partition("/")[0] for name in wheel_names}
    assert {re.sub(r"-[0-9.]+\.", "-VERSION.", top) for top in tops} == {
        *("agent", "hardware", "pdu"),
        *("modem_agent-VERSION.data", "modem_agent-VERSION.dist-info"),
    }
    parts = {part for name in wheel_names for part in name.split("/")}
    assert not [part for part in parts if part in {"__pycache__", "tests"} or part.startswith("test_")]


def test_source_archive_is_complete(sdist_names):
    """It contains everything from which the wheel is built, and no tests."""
    assert package_files() - sdist_names == set()
    assert {"pyproject.toml", "README.md", "LICENSE", "config/agent.toml"} <= sdist_names
    assert not any(name.startswith("tests") for name in sdist_names)


def test_source_archive_builds_the_same_wheel(built, wheel_names, tmp_path):
    """The wheel that is built from the source archive contains the same files."""
    with tarfile.open(built[1]) as archive:
        # An attribute, because the Python 3.11.2 of Debian 12 has no argument `filter`.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(tmp_path)  # noqa: S202  (the archive is our own)
    (source,) = tmp_path.iterdir()
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    run(sys.executable, "-c", build, tmp_path, cwd=source)
    (wheel,) = tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(wheel).namelist()) == wheel_names


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Install the wheel into an environment outside the checkout; return its `bin` folder.

    Nothing is downloaded: a path file adds the dependencies of the environment that runs the tests.
    """
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    pip = (sys.executable, "-m", "pip", "--python", folder / "venv" / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", built[0])
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    # They come after the wheel's packages; folders named in a .pth bring no editable installs along.
    (site / "dependencies.pth").write_text("\n".join(dependencies))
    return folder / "venv" / "bin"


def test_packages_are_imported_from_the_wheel(installed, tmp_path):
    """The tests below do not use the checkout."""
    code = "import agent, hardware, pdu; print(agent.__file__, hardware.__file__, pdu.__file__, sep='\\n')"
    paths = run(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert all(Path(path).is_relative_to(installed.parent) for path in paths)


def test_command_prints_its_version(installed, built, tmp_path):
    """`modem-agent --version` names the version of the wheel."""
    version = built[0].name.split("-")[1]
    assert version in run(installed / "modem-agent", "--version", cwd=tmp_path)


# SMS-DELIVER (23.040 9.2.2.1) from 000 (type of address 0x81): the text "ping" in the default alphabet.
DELIVER = "0000038100F000005221310000000004F0B4FB0C"


def test_codec_decodes(installed, tmp_path):
    """`modem-agent pdu decode` works with the tables in the wheel."""
    assert "ping" in run(installed / "modem-agent", "pdu", "decode", DELIVER, cwd=tmp_path)


def test_codec_needs_no_other_package(installed, tmp_path):
    """`python -m pdu vectors` needs only the package `pdu`."""
    vector = {"id": "ping", "kind": "deliver", "direction": "mt", "hex": DELIVER, "sca": True, "valid": True}
    (tmp_path / "vectors.jsonl").write_text(json.dumps(vector | {"expect": {"text": "ping"}}))
    output = run(installed / "python", "-m", "pdu", "vectors", "vectors.jsonl", cwd=tmp_path)
    assert output.splitlines()[-1] == "1 passed, 0 failed"


def test_shipped_configuration_is_valid(installed, tmp_path):
    """`config check` of the installed command accepts the installed example and its handlers."""
    share = installed.parent / "share" / "modem-agent"
    text = (share / "agent.toml").read_text().replace("/etc/modem-agent/handlers", str(share / "handlers"))
    for folder in ("/var/lib/modem-agent", "/run/modem-agent"):  # systemd creates them
        text = text.replace(folder, str(tmp_path))
    (tmp_path / "agent.toml").write_text(text)
    run(installed / "modem-agent", "config", "check", "--config", tmp_path / "agent.toml", cwd=tmp_path)
