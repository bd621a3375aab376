from pathlib import Path

import pytest

from agent.common.config import Config, ConfigError, load_config, parse_config


def _errors(tables):
    with pytest.raises(ConfigError) as caught:
        parse_config(tables, "agent.toml")
    return list(caught.value.errors)


def test_empty_file_gives_the_defaults():
    """Every key is optional."""
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
                "pin_file, service_centre, init"
            ),
        ),
        (
            {"modm": {}},
            (
                "agent.toml: unknown table [modm]; the tables are modem, service, handlers, journal, "
                "control, alarm, recovery, mqtt, webhook, metrics"
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
def test_error_is_one_sentence_with_the_key(tables, sentence):
    """The sentence contains the file, the key and the values that the key accepts."""
    [error] = _errors(tables)
    assert error == sentence


@pytest.mark.parametrize("key", ["pin", "sim_pin", "puk"])
def test_pin_is_refused_without_being_shown(key):
    """The error names the right place for a PIN and does not contain it."""
    [error] = _errors({"modem": {key: "1234"}})
    assert error == (
        f"agent.toml: unknown key modem.{key}; a PIN belongs in a file of its own: pin_file, or the systemd "
        "credential sim-pin"
    )


def test_unknown_profile_is_refused():
    """The error lists the known profiles. A known profile and "auto" are accepted."""
    [error] = _errors({"modem": {"profile": "ec26"}})
    assert error.startswith('agent.toml: modem.profile must be "auto" or one of a7670, bg95, bg96, ec21')
    assert error.endswith('not "ec26"')
    for name in ("auto", "generic", "ec25"):
        assert parse_config({"modem": {"profile": name}}, "agent.toml").modem.profile == name


def test_modem_settings_are_parsed():
    """The baud rate may be "auto", the path of the PIN file may be relative."""
    tables = {"modem": {"baud": "auto", "pin_file": "pin", "service_centre": "+447700900000"}}
    modem = parse_config(tables, "agent.toml", Path("/etc/modem-agent")).modem
    assert (modem.baud, modem.pin_file) == ("auto", Path("/etc/modem-agent/pin"))
    assert modem.service_centre == "+447700900000"


def test_text_mode_excludes_multipart_replies():
    """The combination is refused when the file is read, not when a reply is too long."""
    errors = _errors({"modem": {"message_format": "text"}, "service": {"max_parts": 2}})
    assert len(errors) == 1
    assert "service.max_parts must be 1" in errors[0]


def test_spread_is_shorter_than_the_age_of_a_reply():
    """Otherwise replies would be given up while they wait."""
    [error] = _errors({"service": {"reply_spread_s": 600, "max_answer_age_s": 600}})
    assert "service.reply_spread_s must be less than service.max_answer_age_s, 600" in error


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"recovery": {"power": "gpio"}}, "recovery.gpio_line must be set"),
        ({"recovery": {"power": "usb"}, "modem": {"port": "socket://h:1"}}, "recovery.power must be"),
        ({"recovery": {"power": "relay"}}, 'recovery.power must be "none" or "gpio" or "usb"'),
        ({"recovery": {"resets_per_hour": -1}}, "recovery.resets_per_hour must be a whole number of 0"),
        ({"recovery": {"resets_per_day": 1.5}}, "recovery.resets_per_day must be a whole number"),
        ({"recovery": {"pulse_on_s": 100}}, "recovery.pulse_on_s must be a number of 0 or more and 60"),
        ({"recovery": {"gpio_drives": "led"}}, 'recovery.gpio_drives must be "power-key" or "reset"'),
        ({"recovery": {"may_drop_data": "no"}}, "recovery.may_drop_data must be true or false"),
    ],
)
def test_impossible_recovery_settings_are_refused(tables, key):
    """The error is one sentence with the key."""
    [error] = _errors(tables)
    assert key in error


def test_all_errors_are_reported_together():
    """One error does not hide the next."""
    errors = _errors({"modem": {"port": 1, "x": 1}, "service": {"name": 2}, "y": {}, "journal": {"path": 3}})
    assert len(errors) == 5


def test_relative_paths_start_at_the_directory_of_the_file(tmp_path):
    """A configuration and the files beside it can be moved together."""
    file = tmp_path / "agent.toml"
    file.write_text('[handlers]\ndirectory = "h"\n[journal]\npath = "/var/j.db"\n')
    config = load_config(file)
    assert config.handlers.directory == tmp_path / "h"
    assert config.journal.path == Path("/var/j.db")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"[modem\n", "not valid TOML"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000, "too deeply"),
        (b"\xff", "octet 0 is not valid UTF-8"),
        (None, "No such file"),
    ],
)
def test_unreadable_file_is_one_sentence(tmp_path, content, part):
    """The sentence contains the path of the file."""
    file = tmp_path / "agent.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    [sentence] = caught.value.errors
    assert part in sentence
    assert str(file) in sentence
