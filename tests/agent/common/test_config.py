from pathlib import Path

import pytest

from agent.common.config import Config, ConfigError, load_config, parse_config


def _errors(tables):
    with pytest.raises(ConfigError) as caught:
        parse_config(tables, "agent.toml")
    return list(caught.value.errors)


def test_an_empty_file_gives_the_documented_defaults():
    """Every key may be left out."""
    config = parse_config({}, "agent.toml")
    assert config == Config()
    assert config.modem.port == "auto"
    assert config.handlers.max_age_s is None


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            {"modem": {"prot": "x"}},
            (
                "agent.toml: unknown key modem.prot; [modem] has port, baud, profile, message_format, "
                "pin_file, service_centre"
            ),
        ),
        (
            {"modm": {}},
            (
                "agent.toml: unknown table [modm]; there are modem, service, handlers, journal, control, "
                "recovery"
            ),
        ),
        ({"modem": 3}, "agent.toml: modem must be a table: write [modem] on a line of its own"),
        (
            {"modem": {"baud": "fast"}},
            (
                "agent.toml: modem.baud must be a whole number of 300 or more and 4000000 or less or "
                '"auto", not "fast"'
            ),
        ),
        (
            {"modem": {"service_centre": "my operator"}},
            ('agent.toml: modem.service_centre must be a number like "+447700900000", not "my operator"'),
        ),
        (
            {"service": {"name": "x"}},
            (
                'agent.toml: service.name must be "super-sim" or "programmable-wireless" or '
                '"super-sim-beta", not "x"'
            ),
        ),
        ({"service": {"allow_ucs2": 1}}, "agent.toml: service.allow_ucs2 must be true or false, not 1"),
        (
            {"handlers": {"timeout_s": True}},
            "agent.toml: handlers.timeout_s must be a number above 0, not true",
        ),
        ({"handlers": {"directory": ""}}, 'agent.toml: handlers.directory must be a path, not ""'),
        (
            {"journal": {"dedup_days": 1}},
            "agent.toml: journal.dedup_days must be a number of 2 or more, not 1",
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(tables, sentence):
    """The sentence names file and key, and says what the key takes."""
    [said] = _errors(tables)
    assert said == sentence


@pytest.mark.parametrize("key", ["pin", "sim_pin", "puk"])
def test_a_pin_does_not_belong_here(key):
    """It is refused like any unknown key, never shown, and its place is named."""
    [said] = _errors({"modem": {key: "1234"}})
    assert said == (
        f"agent.toml: unknown key modem.{key}; a PIN stands in a file of its own: pin_file, or the systemd "
        "credential sim-pin"
    )


def test_an_unknown_profile():
    """It is said with those that there are; a known one and "auto" are taken."""
    [said] = _errors({"modem": {"profile": "ec26"}})
    assert said.startswith('agent.toml: modem.profile must be "auto" or one of a7670, bg95, bg96, ec21, ec25')
    assert said.endswith('not "ec26"')
    for name in ("auto", "generic", "ec25"):
        assert parse_config({"modem": {"profile": name}}, "agent.toml").modem.profile == name


def test_what_the_module_is_told():
    """A rate to be found, a file with a PIN, a service centre."""
    tables = {"modem": {"baud": "auto", "pin_file": "pin", "service_centre": "+447700900000"}}
    modem = parse_config(tables, "agent.toml", Path("/etc/modem-agent")).modem
    assert (modem.baud, modem.pin_file) == ("auto", Path("/etc/modem-agent/pin"))
    assert modem.service_centre == "+447700900000"


def test_text_mode_sends_no_parts():
    """What the message format cannot do is refused when it is asked for, not when an answer is too long."""
    said = _errors({"modem": {"message_format": "text"}, "service": {"max_parts": 2}})
    assert len(said) == 1
    assert "service.max_parts must be 1" in said[0]


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"recovery": {"power": "gpio"}}, "recovery.gpio_line must name a line"),
        ({"recovery": {"power": "usb"}, "modem": {"port": "socket://h:1"}}, "recovery.power must be"),
        ({"recovery": {"power": "relay"}}, 'recovery.power must be "none" or "gpio" or "usb"'),
        ({"recovery": {"resets_per_hour": -1}}, "recovery.resets_per_hour must be a whole number of 0"),
        ({"recovery": {"resets_per_day": 1.5}}, "recovery.resets_per_day must be a whole number"),
        ({"recovery": {"pulse_on_s": 100}}, "recovery.pulse_on_s must be a number of 0 or more and 60"),
        ({"recovery": {"gpio_drives": "led"}}, 'recovery.gpio_drives must be "power-key" or "reset"'),
        ({"recovery": {"may_drop_data": "no"}}, "recovery.may_drop_data must be true or false"),
    ],
)
def test_what_recovery_needs(tables, key):
    """One sentence with the key, before anything is switched."""
    [said] = _errors(tables)
    assert key in said


def test_all_mistakes_are_said_at_once():
    """One mistake does not hide the next."""
    said = _errors({"modem": {"port": 1, "x": 1}, "service": {"name": 2}, "y": {}, "journal": {"path": 3}})
    assert len(said) == 5


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path):
    """A configuration and what belongs to it can be moved together."""
    file = tmp_path / "agent.toml"
    file.write_text('[handlers]\ndirectory = "h"\n[journal]\npath = "/var/j.db"\n')
    config = load_config(file)
    assert config.handlers.directory == tmp_path / "h"
    assert config.journal.path == Path("/var/j.db")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"[modem\n", "no valid TOML"),
        (b"a = " + b"9" * 5000, "no valid TOML"),
        (b"a = " + b"[" * 5000, "too deep"),
        (b"\xff", "octet 0 is no UTF-8"),
        (None, "No such file"),
    ],
)
def test_an_unreadable_file_is_one_sentence(tmp_path, content, part):
    """What cannot be read is said with the name of the file."""
    file = tmp_path / "agent.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    [sentence] = caught.value.errors
    assert part in sentence
    assert str(file) in sentence
