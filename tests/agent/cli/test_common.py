"""The PIN of the SIM: where it comes from and what it must be. JSON on a terminal."""

import json
import sys

import pytest

from agent.cli.common import exit_with_error, print_json
from agent.cli.module_settings import load_sim_pin
from agent.common.config import Config, ConfigError, ModemConfig
from agent.daemon.control_client import ControlError, ControlForbidden
from agent.journal.queries import JournalForbidden
from agent.modem.error import ModemUnusable


def write_pin_file(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return Config(modem=ModemConfig(pin_file=path))


def test_pin_comes_from_the_file_or_the_credential(tmp_path):
    """A pin_file precedes the credential; without both there is no PIN."""
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load_sim_pin(tmp_path, Config(), {}) is None
    assert load_sim_pin(tmp_path, Config(), credentials) is None
    (tmp_path / "sim-pin").write_text("4321\n")
    (tmp_path / "sim-pin").chmod(0o444)
    pin = load_sim_pin(tmp_path, Config(), credentials)
    assert (pin.digits, pin.source) == ("4321", "the credential sim-pin")
    pin = load_sim_pin(tmp_path, write_pin_file(tmp_path / "pin", " 1234\n"), credentials)
    assert (pin.digits, pin.source) == ("1234", str(tmp_path / "pin"))
    assert "1234" not in repr(pin)


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("12a4", 0o600, "must contain the PIN of the SIM and nothing else: 4 to 8 digits"),
        ("123", 0o600, "4 to 8 digits"),
        ("123456789", 0o600, "4 to 8 digits"),
        ("١٢٣٤", 0o600, "4 to 8 digits"),
        ("1234 5678", 0o600, "4 to 8 digits"),
        ("1234", 0o604, "can be read by every user; run: chmod o= "),
    ],
)
def test_unusable_pin_file_is_reported(tmp_path, text, mode, sentence):
    """One sentence with key and file, without the content of the file."""
    config = write_pin_file(tmp_path / "pin", text, mode)
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_sim_pin(tmp_path / "agent.toml", config, {})
    assert str(caught.value).startswith(f"{tmp_path}/agent.toml: modem.pin_file: {tmp_path}/pin")
    assert text not in str(caught.value).replace("1234 or", "")


def test_missing_pin_file_is_named(tmp_path):
    """The error names its key."""
    with pytest.raises(ConfigError, match=r"modem.pin_file: .*/pin: No such file"):
        load_sim_pin(tmp_path, Config(modem=ModemConfig(pin_file=tmp_path / "pin")), {})


@pytest.mark.parametrize("words", [("run",), ("config", "check")], ids=" ".join)
def test_run_and_check_refuse_an_unusable_pin(cli_env, words, tmp_path):
    """Exit status 2, before anything is opened."""
    (tmp_path / "pin").write_text("12x4")
    (tmp_path / "pin").chmod(0o600)
    cli_env.write(f'[modem]\npin_file = "{tmp_path}/pin"')
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert "4 to 8 digits" in result.stderr
    assert "12x4" not in result.stderr


def test_pin_file_is_reloaded_but_a_credential_is_not(tmp_path):
    """A file is read again, with the same checks, when the SIM asks; a credential is a copy by systemd."""
    file = tmp_path / "pin"
    pin = load_sim_pin(tmp_path / "agent.toml", write_pin_file(file, "1234"), {})
    file.write_text("5678\n")
    assert pin.reload().digits == pin.reload().reload().digits == "5678"
    assert "within a minute" in pin.fix_hint
    for break_it in (lambda: file.write_text("no PIN"), file.unlink):
        break_it()
        with pytest.raises(ModemUnusable, match=r"asks for its PIN; .*modem.pin_file: ") as caught:
            pin.reload()
        assert "no PIN" not in str(caught.value)
    (tmp_path / "sim-pin").write_text("4321")
    pin = load_sim_pin(tmp_path, Config(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert pin.reload is None
    assert "restart the agent" in pin.fix_hint


def test_json_has_no_control_characters_on_a_terminal(capsys):
    """Nor half of a surrogate pair, which a path may have that is not UTF-8; it reads back as it was."""
    value = {"text": "\x1b[31m é 🙂", "link": "/dev/\udcff"}
    print_json(value)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert json.loads(printed) == value


@pytest.mark.parametrize("kind", [ControlForbidden, JournalForbidden])
def test_missing_rights_get_the_line_with_sudo(kind, capsys, monkeypatch):
    """It can be copied; the exit status is that of wrong usage."""
    monkeypatch.setattr(sys, "argv", ["/opt/x/modem-agent", "send", "hello world"])
    with pytest.raises(SystemExit) as ended:
        exit_with_error(kind("only root may"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "modem-agent: only root may: sudo modem-agent send 'hello world'\n"


def test_other_errors_are_failures(capsys):
    """Without a line."""
    with pytest.raises(SystemExit) as ended:
        exit_with_error(ControlError("busy"))
    assert ended.value.code == 1
    assert capsys.readouterr().err == "modem-agent: busy\n"
