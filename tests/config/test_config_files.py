"""The files of config/ as they are shipped: agent.toml, the unit, the udev rules, the user.

What systemd and udev themselves think of them is asked in tests/system.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from agent.common.config import Config, load_config, parse_config
from hardware.profile import load_driver_profiles

CONFIG = Path(__file__).parents[2] / "config"
TOML = (CONFIG / "agent.toml").read_text()
OPTIONAL = re.compile(r"^#(\w+ = )", re.MULTILINE)
"""Keys that the example shows but does not set."""


def test_the_example_is_loaded_as_it_stands():
    """agent.toml needs no change to be valid, and differs from the defaults in the age limit alone."""
    config = load_config(CONFIG / "agent.toml")
    assert config.handlers.max_age_s == 90_000
    assert config == msgspec.structs.replace(
        Config(), handlers=msgspec.structs.replace(Config().handlers, max_age_s=90_000.0)
    )


def test_the_example_names_every_key():
    """Every key that the agent reads stands in the example, set or shown with its default."""
    tables = tomllib.loads(OPTIONAL.sub(r"\1", TOML))
    assert parse_config(tables, "agent.toml") == load_config(CONFIG / "agent.toml")
    shown = {(name, key) for name, table in tables.items() for key in table}
    read = {
        (table.name, key.name)
        for table in msgspec.structs.fields(Config)
        for key in msgspec.structs.fields(type(getattr(Config(), table.name)))
    }
    assert shown == read


def test_every_key_is_explained():
    """A comment stands right above each key of the example, or above the keys it stands together with."""
    lines = TOML.splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"#?\w+ = ", line):
            assert above.startswith("#"), f"nothing explains {line}"


def settings(file: str) -> dict[str, list[str]]:
    """The keys of a unit file, each with its values in order."""
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
def test_the_unit_says(key, value):
    """What the agent and its operator rely on stands in the unit, once."""
    assert settings("modem-agent.service")[key] == [value]


def test_the_unit_leaves_time_to_stop_and_breath_between_starts():
    """Stopping takes the agent up to 5 s, so systemd waits longer; after a crash it waits 5 s too."""
    unit = settings("modem-agent.service")
    assert int(unit["TimeoutStopSec"][0]) > 5
    assert int(unit["RestartSec"][0]) >= 5
    assert int(unit["WatchdogSec"][0]) >= 30  # fed at half of it: the CPU of an idle device wakes seldom


def test_the_unit_and_the_example_mean_the_same_places():
    """The directories that the unit makes are those of the paths in agent.toml."""
    config, unit = load_config(CONFIG / "agent.toml"), settings("modem-agent.service")
    assert str(config.journal.path.parent) == "/var/lib/" + unit["StateDirectory"][0]
    assert str(config.control.socket.parent) == "/run/" + unit["RuntimeDirectory"][0]


def test_the_user_of_the_unit_is_made():
    """The sysusers file makes the user of the unit and puts it into the group of the serial ports."""
    lines = [line.split() for line in (CONFIG / "modem-agent.sysusers").read_text().splitlines()]
    assert ["u", "modem-agent"] in [line[:2] for line in lines]
    assert ["m", "modem-agent", "dialout"] in lines


RULES = [line for line in (CONFIG / "78-modem-agent.rules").read_text().splitlines() if "ID_MM" in line]
PORT = re.compile(
    r'ATTRS\{idVendor\}=="[0-9a-f]{4}", ATTRS\{idProduct\}=="[0-9a-f]{4}", '
    r'ENV\{\.MODEM_AGENT_IF\}=="([0-9a-f]{2}|command)", ENV\{ID_MM_PORT_IGNORE\}="1"'
)


def test_the_rules_take_single_ports_only():
    """Each rule names vendor, product and one interface, and takes that port: never a whole device."""
    assert RULES
    for rule in RULES:
        assert PORT.fullmatch(rule), rule


def test_no_port_is_taken_twice():
    """One rule a port."""
    assert len(set(RULES)) == len(RULES)


def test_the_rules_and_the_profiles_name_the_same_ports():
    """Each AT port by which `port = "auto"` knows a module is kept from ModemManager, and no other."""
    taken = {tuple(re.findall(r'=="(\w+)"', rule)[:3]) for rule in RULES}
    known = set()
    for driver in load_driver_profiles().values():
        for layout in driver.usb:
            for product in layout.products:
                if layout.at_interface is not None:
                    known.add((layout.vendor, product, f"{layout.at_interface:02x}"))
                if layout.at_interface_classes:
                    known.add((layout.vendor, product, "command"))
    assert taken == known
