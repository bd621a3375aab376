"""Places that the configuration names: what the check says of those that cannot work."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from agent.cli import group


def _check(tmp_path, **places):
    (tmp_path / "handlers").mkdir()
    values = {"journal": tmp_path / "journal.db", "control": tmp_path / "control.sock"} | places
    (tmp_path / "agent.toml").write_text(
        f'[handlers]\ndirectory = "handlers"\n[journal]\npath = "{values["journal"]}"\n'
        f'[control]\nsocket = "{values["control"]}"\n'
    )
    return CliRunner().invoke(group, ["config", "check", "--config", str(tmp_path / "agent.toml")])


def test_good_places_are_in_order(tmp_path):
    """Nothing is said but that."""
    result = _check(tmp_path)
    assert result.exit_code == 0, result.output
    assert "is in order" in result.output


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ({"journal": "."}, "journal.path: {folder} is a folder; name a file in it"),
        ({"control": "handlers"}, "control.socket: {folder}/handlers is a folder; name a file in it"),
        (
            {"journal": "no/journal.db"},
            "journal.path: there is no folder {folder}/no; make it or name another",
        ),
        ({"control": "x" * 120}, "octets that the path of a socket may have"),
    ],
)
def test_an_impossible_place_is_one_sentence(tmp_path, places, sentence):
    """Exit status 2, the key and the place are named."""
    result = _check(tmp_path, **places)
    assert result.exit_code == 2
    assert sentence.format(folder=tmp_path) in result.output


def test_folders_that_systemd_makes_are_no_mistake(tmp_path):
    """Before the first start they are not there; the shipped unit has systemd make them."""
    result = _check(
        tmp_path, journal="/var/lib/modem-agent/journal.db", control="/run/modem-agent/control.sock"
    )
    assert result.exit_code == 0, result.output


def test_two_sandboxes_do_not_share_a_folder_of_links(tmp_path):
    """The second would take the links of the first, and take them away when it ends."""
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
            assert f"another sandbox has its links in {tmp_path}" in second.stderr
            assert (tmp_path / "super-sim").exists()
        finally:
            first.terminate()
