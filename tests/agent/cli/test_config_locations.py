"""`config check`: paths in the configuration that cannot work; the folder of links of a sandbox."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from agent.cli.commands import group


def _check(tmp_path, **paths):
    (tmp_path / "handlers").mkdir()
    values = {"journal": tmp_path / "journal.db", "control": tmp_path / "control.sock"} | paths
    (tmp_path / "agent.toml").write_text(
        f'[handlers]\ndirectory = "handlers"\n'
        f'[journal]\nallow_volatile = true\npath = "{values["journal"]}"\n'
        f'[control]\nsocket = "{values["control"]}"\n'
    )
    return CliRunner().invoke(group, ["config", "check", "--config", str(tmp_path / "agent.toml")])


def test_usable_paths_are_valid(tmp_path):
    """Exit status 0."""
    result = _check(tmp_path)
    assert result.exit_code == 0, result.output
    assert "is valid" in result.output


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        ({"journal": "."}, "journal.path: {folder} is a folder; name a file in it"),
        ({"control": "handlers"}, "control.socket: {folder}/handlers is a folder; name a file in it"),
        (
            {"journal": "no/journal.db"},
            "journal.path: there is no folder {folder}/no; create it or name another",
        ),
        ({"control": "x" * 120}, "is too long; the path of a socket has at most 107 octets"),
    ],
)
def test_impossible_path_is_reported(tmp_path, paths, sentence):
    """One sentence with key and path, and exit status 2."""
    result = _check(tmp_path, **paths)
    assert result.exit_code == 2
    assert sentence.format(folder=tmp_path) in result.output


def test_missing_folders_of_systemd_are_valid(tmp_path):
    """They do not exist before the first start; systemd creates them for the shipped unit."""
    result = _check(
        tmp_path, journal="/var/lib/modem-agent/journal.db", control="/run/modem-agent/control.sock"
    )
    assert result.exit_code == 0, result.output


def test_second_sandbox_in_a_link_folder_is_refused(tmp_path):
    """It would replace the links of the first and remove them at its end."""
    code = "from agent.cli import main; import sys; sys.argv = ['modem-agent', *sys.argv[1:]]; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "sandbox",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--link-dir",
        tmp_path,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline().startswith(b"{")
            second = subprocess.run(command, capture_output=True, text=True, check=False)
            assert second.returncode == 1
            assert f"another sandbox uses {tmp_path}" in second.stderr
            assert (tmp_path / "super-sim").exists()
        finally:
            first.terminate()
