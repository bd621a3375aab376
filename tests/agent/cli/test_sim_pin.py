"""Where the PIN of the SIM comes from."""

import pytest

from agent.cli.common import load_sim_pin
from agent.common.config import Config, ConfigError, ModemConfig
from agent.modem.error import ModemUnusable


def written(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return Config(modem=ModemConfig(pin_file=path))


def test_from_a_file_or_a_credential(tmp_path):
    """The file that is named comes before the credential; without either there is none."""
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load_sim_pin(tmp_path, Config(), {}) is None
    assert load_sim_pin(tmp_path, Config(), credentials) is None
    (tmp_path / "sim-pin").write_text("4321\n")
    (tmp_path / "sim-pin").chmod(0o444)
    pin = load_sim_pin(tmp_path, Config(), credentials)
    assert (pin.digits, pin.source) == ("4321", "the credential sim-pin")
    pin = load_sim_pin(tmp_path, written(tmp_path / "pin", " 1234\n"), credentials)
    assert (pin.digits, pin.source) == ("1234", str(tmp_path / "pin"))
    assert "1234" not in repr(pin)


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("12a4", 0o600, "must hold the PIN of the SIM and nothing else: 4 to 8 digits"),
        ("123", 0o600, "4 to 8 digits"),
        ("123456789", 0o600, "4 to 8 digits"),
        ("١٢٣٤", 0o600, "4 to 8 digits"),
        ("1234 5678", 0o600, "4 to 8 digits"),
        ("1234", 0o604, "is open to everybody: chmod o= "),
    ],
)
def test_a_file_that_will_not_do(tmp_path, text, mode, sentence):
    """One sentence with key and file, which does not show what stands in it."""
    config = written(tmp_path / "pin", text, mode)
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_sim_pin(tmp_path / "agent.toml", config, {})
    assert str(caught.value).startswith(f"{tmp_path}/agent.toml: modem.pin_file: {tmp_path}/pin")
    assert text not in str(caught.value).replace("1234 or", "")


def test_a_file_that_is_not_there(tmp_path):
    """It is named."""
    with pytest.raises(ConfigError, match=r"modem.pin_file: .*/pin: No such file"):
        load_sim_pin(tmp_path, Config(modem=ModemConfig(pin_file=tmp_path / "pin")), {})


@pytest.mark.parametrize("words", [("run",), ("config", "check")], ids=" ".join)
def test_whoever_starts_with_it_is_told(cli_env, words, tmp_path):
    """Exit status 2, before anything is opened."""
    (tmp_path / "pin").write_text("12x4")
    (tmp_path / "pin").chmod(0o600)
    cli_env.write(f'[modem]\npin_file = "{tmp_path}/pin"')
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert "4 to 8 digits" in result.stderr
    assert "12x4" not in result.stderr


def test_what_changes_while_the_agent_runs(tmp_path):
    """A file is read anew when the SIM asks, with the same demands; a credential is systemd's copy."""
    file = tmp_path / "pin"
    pin = load_sim_pin(tmp_path / "agent.toml", written(file, "1234"), {})
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
