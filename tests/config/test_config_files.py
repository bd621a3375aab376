"""The shipped files of config/: agent.toml, systemd unit, udev rules, sysusers.

tests/system tries them with systemd and udev.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

from agent.common.config import Config, load_config, parse_config
from hardware.profile import load_driver_profiles

CONFIG = Path(__file__).parents[2] / "config"
TOML = (CONFIG / "agent.toml").read_text()
OPTIONAL = re.compile(r"^#(\w+ = )", re.MULTILINE)
"""Keys that agent.toml shows in a comment with their default."""


def test_shipped_configuration_is_valid_without_changes():
    """It differs from the defaults only in the age limit."""
    config = load_config(CONFIG / "agent.toml")
    assert config.handlers.max_age_s == 90_000
    assert config == Config().replace(handlers=Config().handlers.replace(max_age_s=90_000.0))


def test_shipped_configuration_shows_every_key():
    """Every key that the agent reads is set, or shown with its default in a comment."""
    tables = tomllib.loads(OPTIONAL.sub(r"\1", TOML))
    assert parse_config(tables, "agent.toml") == load_config(CONFIG / "agent.toml")
    shown = {(name, key) for name, table in tables.items() for key in table}
    read = {(name, key) for name, table in Config().tables().items() for key in table.as_dict()}
    assert shown == read


def test_every_key_has_a_comment():
    """Directly above the key, or above the group of keys to which it belongs."""
    lines = TOML.splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"#?\w+ = ", line):
            assert above.startswith("#"), f"no comment above {line}"


def settings(file: str) -> dict[str, list[str]]:
    """Return the keys of a unit file, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (CONFIG / file).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ExecStart", "/opt/modem-agent/bin/modem-agent run"),
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("User", "modem-agent"),
        ("SupplementaryGroups", "dialout"),
        ("StateDirectory", "modem-agent"),
        ("RuntimeDirectory", "modem-agent"),
        ("KillMode", "mixed"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "2"),
        ("StartLimitIntervalSec", "0"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("DevicePolicy", "closed"),
        ("UMask", "0077"),
    ],
)
def test_unit_has_required_settings(key, value):
    """Each setting on which the agent and its operator rely is present once."""
    assert settings("modem-agent.service")[key] == [value]


def test_unit_timeouts_exceed_those_of_the_agent():
    """The agent needs up to 5 s to stop, so systemd waits longer; it also waits 5 s before a restart."""
    unit = settings("modem-agent.service")
    assert int(unit["TimeoutStopSec"][0]) > 5
    assert int(unit["RestartSec"][0]) >= 5
    assert int(unit["WatchdogSec"][0]) >= 30  # notified at half of it: the CPU of an idle device wakes rarely


def test_unit_creates_the_folders_of_the_configuration():
    """The directories of the unit are those of the paths in agent.toml."""
    config, unit = load_config(CONFIG / "agent.toml"), settings("modem-agent.service")
    assert str(config.journal.path.parent) == "/var/lib/" + unit["StateDirectory"][0]
    assert str(config.control.socket.parent) == "/run/" + unit["RuntimeDirectory"][0]


def test_template_unit_differs_only_in_what_an_instance_has_of_its_own():
    """Stopping one instance deletes its runtime directory, so none is inside that of another."""
    unit, template = settings("modem-agent.service"), settings("modem-agent@.service")
    different = {key: template[key] for key in unit | template if unit.get(key) != template.get(key)}
    assert different == {
        "Description": ["Commands by SMS (%i)"],
        "ExecStart": ["/opt/modem-agent/bin/modem-agent run --config /etc/modem-agent/%i.toml"],
        "LoadCredential": [
            f"{name}:modem-agent-%i.{name}"
            for name in ("sim-pin", "mqtt-password", "webhook-secret", "webhook-authorization")
        ],
        "StateDirectory": ["modem-agent-%i"],
        "RuntimeDirectory": ["modem-agent-%i"],
    }


def test_sysusers_file_creates_the_user_of_the_unit():
    """It is a member of the group of the serial ports."""
    lines = [line.split() for line in (CONFIG / "modem-agent.sysusers").read_text().splitlines()]
    assert ["u", "modem-agent"] in [line[:2] for line in lines]
    assert ["m", "modem-agent", "dialout"] in lines


RULES = [line for line in (CONFIG / "78-modem-agent.rules").read_text().splitlines() if "ID_MM" in line]
PORT = re.compile(
    r'ATTRS\{idVendor\}=="[0-9a-f]{4}", ATTRS\{idProduct\}=="[0-9a-f]{4}", '
    r'ENV\{\.MODEM_AGENT_IF\}=="([0-9a-f]{2}|command)", ENV\{ID_MM_PORT_IGNORE\}="1"'
)


def test_udev_rules_match_single_ports():
    """Each rule names vendor, product and one interface, never a whole device."""
    assert RULES
    for rule in RULES:
        assert PORT.fullmatch(rule), rule


def test_udev_rules_have_no_duplicates():
    """There is one rule for each port."""
    assert len(set(RULES)) == len(RULES)


def test_udev_rules_match_the_ports_of_the_profiles():
    """ModemManager is kept away from each AT port that `port = "auto"` can find, and from no other."""
    ruled = {tuple(re.findall(r'=="(\w+)"', rule)[:3]) for rule in RULES}
    named = set()
    for driver in load_driver_profiles().values():
        for layout in driver.usb:
            for product in layout.products:
                if layout.at_interface is not None:
                    named.add((layout.vendor, product, f"{layout.at_interface:02x}"))
                if layout.at_interface_classes:
                    named.add((layout.vendor, product, "command"))
    assert ruled == named
