"""`modem-agent doctor` on a terminal and for scripts, and the bundle for the sandbox."""

import json
import zipfile

import pytest


def test_wrong_finding_has_exit_status_1(cli_env):
    """The reason and what to type next; what depends on the port is skipped."""
    result = cli_env.run("doctor")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("wrong ")]
    assert lines[at].startswith("wrong    port             port /dev/nowhere does not exist")
    assert lines[at + 1].strip().startswith("next: ls -l /dev/serial/by-id")
    assert "skipped  SIM              the port cannot be used" in lines
    assert "Traceback" not in result.output


def test_json_is_one_document(cli_env):
    """With the worst level, and every check in order."""
    result = cli_env.run("doctor", "--json")
    document = json.loads(result.stdout)
    assert document["result"] == "wrong"
    assert document["findings"][0] == {
        "check": "configuration",
        "level": "ok",
        "reason": "agent.toml is valid: super-sim on /dev/nowhere",
        "next_step": "",
        "details": [],
    }


def test_harmless_mistake_is_a_warning(cli_env):
    """A file that is not executable is no handler; the module behind a socket is missing as well."""
    cli_env.write(modem='[modem]\nport = "socket://127.0.0.1:1"')
    (cli_env.folder / "handlers" / "led").write_text("#!/bin/sh\n")
    result = cli_env.run("doctor")
    assert result.exit_code == 1  # no module is there
    assert "cannot connect to socket://127.0.0.1:1" in result.stdout
    assert "warning  handlers         " in result.stdout


def test_broken_toml_is_a_finding(cli_env):
    """Exit status 1 as for each other cause, not that of wrong usage."""
    cli_env.write("[modem")
    result = cli_env.run("doctor")
    assert result.exit_code == 1
    assert result.stdout.startswith("wrong    configuration")
    assert result.stdout.count("skipped ") == 18


@pytest.mark.parametrize("option", ["--bundle", "--module"])
def test_file_that_cannot_be_written_is_reported(cli_env, option):
    """One sentence, with the reason."""
    result = cli_env.run("doctor", option, "/nowhere/file")
    assert result.exit_code == 1
    assert result.stderr.startswith("modem-agent: ")
    assert len(result.stderr.splitlines()) == 1


def test_zip_file_without_recording_is_not_replayed(cli_env, tmp_path):
    """One sentence and exit status 2."""
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("x", "y")
    result = cli_env.run_bare("sandbox", "--replay", str(tmp_path / "other.zip"))
    assert result.exit_code == 2
    assert "a zip file without a recording" in result.stderr
