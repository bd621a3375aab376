"""Profiles: every file is valid and has its sources, quirks are used, errors are reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardware import profile
from hardware.quirks import Quirk

PROFILES = Path(profile.__file__).parent / "profiles"
TAGS = set(re.findall(r"^- \[(\S+)\]", (PROFILES / "README.md").read_text(), re.MULTILINE))
RULES = Path(__file__).parents[2] / "config/78-modem-agent.rules"
MODULES = """
    bg96 bg95 ec25 ec21 eg91 eg95 rm500q sim7600 sim7000 sim7070 a7670 sim800 sara_r410m sara_r5 sara_u201
    lara_r6_00b lara_r6_01b toby_l4 toby_l2 me910c1 le910c1 hl7812 wp76xx huawei_e3372_stick huawei_me909u
    nrf91
"""


@pytest.mark.parametrize("name", profile.list_profiles())
def test_every_profile_is_valid(name):
    """Both tables load without an unknown key, and every named command, store and setting exists."""
    device = profile.load_simulator_profile(name)
    assert profile.load_driver_profile(name)
    assert device.store in device.memories[0]
    known = {*device.stores, "SM", "MT"}
    assert known >= set().union(*device.memories, {device.report_store})
    assert all(value in allowed for value, allowed in zip(device.cnmi, device.cnmi_allowed, strict=True))
    assert device.cfun in device.functions


def test_profiles_are_listed():
    """The generic module and real ones."""
    assert profile.list_profiles() == sorted(["generic", *MODULES.split()])


def test_generic_profile_has_only_defaults():
    """generic.toml adds nothing but a name."""
    assert profile.load_simulator_profile() == profile.SimulatorProfile()


def words(text):
    return set(re.findall(r"[\w-]+", text))


@pytest.mark.parametrize("name", sorted({*profile.list_profiles()} - {"generic"}))
def test_every_profile_names_its_sources(name):
    """The comment at the top names sources of profiles/README.md, also those of all later comments."""
    heading, _, tables = (PROFILES / f"{name}.toml").read_text().partition("[device]")
    beside = {word for line in tables.splitlines() for word in words(line.partition("#")[2])}
    assert re.search(r"[Ss]ource", heading)
    assert TAGS & words(heading)
    assert TAGS & beside <= words(heading)


def test_every_source_is_used():
    """profiles/README.md lists no other sources."""
    used = set().union(*(words(file.read_text()) for file in PROFILES.glob("*.toml")))
    assert used >= TAGS


@pytest.mark.parametrize("quirk", Quirk)
def test_every_quirk_is_used(quirk):
    """By at least one profile."""
    assert any(quirk in driver.quirks for driver in profile.load_driver_profiles().values())


def test_generic_driver_has_no_values():
    """Nothing is assumed of a module that matches no profile."""
    assert profile.load_driver_profile() == profile.DriverProfile()


def test_same_as_inherits_values():
    """EG91 shares the EC25's manual but has its own times; models and USB ids are not inherited."""
    ec25, eg91 = profile.load_driver_profile("ec25"), profile.load_driver_profile("eg91")
    assert eg91.cmgs_timeout_s == ec25.cmgs_timeout_s == 120
    assert eg91.power_key_on_s != ec25.power_key_on_s
    assert eg91.models == ("EG91",)
    assert [layout.products for layout in eg91.usb] == [("0191",)]
    assert profile.load_simulator_profile("eg91").stores == profile.load_simulator_profile("ec25").stores


def test_same_as_does_not_inherit_identification(tmp_path, monkeypatch):
    """Even if the file has no models and no USB ids."""
    (tmp_path / "profiles").mkdir()
    usb = 'usb = [{ vendor = "2c7c", products = ["0125"] }]'
    (tmp_path / "profiles" / "other.toml").write_text(f'[driver]\nmodels = ["X1"]\nready_mask = 2\n{usb}')
    (tmp_path / "profiles" / "mine.toml").write_text('same_as = "other"')
    monkeypatch.setattr(profile, "PROFILE_FOLDER", tmp_path / "profiles")
    assert profile.load_driver_profile("mine") == profile.DriverProfile(ready_mask=2)


def test_drivers_are_filtered_by_text():
    """Only files that contain the text are parsed."""
    assert set(profile.load_driver_profiles("12d1")) == {"huawei_e3372_stick", "huawei_me909u"}
    assert set(profile.load_driver_profiles()) == set(profile.list_profiles())


def test_udev_rules_match_the_profiles():
    """ModemManager is kept away from exactly the AT ports of the profiles."""
    line = re.compile(
        r'^ATTRS\{idVendor\}=="(\w+)", ATTRS\{idProduct\}=="(\w+)", ENV\{\.MODEM_AGENT_IF\}=="(\w+)", '
        r'ENV\{ID_MM_PORT_IGNORE\}="1"$',
        re.MULTILINE,
    )
    ruled = line.findall(RULES.read_text())
    named = [
        (layout.vendor, product, "command" if layout.at_interface_classes else f"{layout.at_interface:02x}")
        for driver in profile.load_driver_profiles().values()
        for layout in driver.usb
        for product in layout.products
        if layout.at_interface is not None or layout.at_interface_classes
    ]
    assert len(ruled) == len(set(ruled)) == RULES.read_text().count("ID_MM_PORT_IGNORE")
    assert set(ruled) == set(named)
    assert {
        layout.at_interface_classes
        for driver in profile.load_driver_profiles().values()
        for layout in driver.usb
    } == {
        (),
        ("ff/02/02", "ff/01/02"),
    }


def test_modules_with_one_product_id_share_the_at_interface():
    """So the AT port is known before the module."""
    ports = {}
    for driver in profile.load_driver_profiles().values():
        for layout in driver.usb:
            for product in layout.products:
                assert ports.setdefault((layout.vendor, product), layout.at_interface) == layout.at_interface


def test_unknown_profile_is_reported():
    """One sentence with its name and all existing profiles."""
    with pytest.raises(profile.ProfileError, match=r'"ec26"; there are .*ec25'):
        profile.load_simulator_profile("ec26")
    with pytest.raises(profile.ProfileError, match="there are"):
        profile.load_simulator_profile("../profile")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[device]\ncolour = 1", "colour"),
        ("[device]\nfirst_index = true", "first_index"),
        ("[device", "Expected"),
        ("colour = 1", "colour"),
        ("[drivers]", "drivers"),
        ('same_as = "nobody"', "nobody"),
        ('same_as = "mine"', "refers to the profile itself"),
    ],
)
def test_invalid_profile_is_reported(tmp_path, monkeypatch, text, sentence):
    """The sentence has file, table and key."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(text)
    monkeypatch.setattr(profile, "PROFILE_FOLDER", tmp_path / "profiles")
    with pytest.raises(profile.ProfileError, match=rf"profile .*{sentence}") as caught:
        profile.load_simulator_profile("mine")
    assert "mine" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[driver]\nquirks = ["sings"]', "sings"),
        ("[driver]\nvendor_id = '2c7c'", "vendor_id"),
        ("[driver]\ninter_command_delay_s = -1", "inter_command_delay_s"),
        ("[[driver.usb]]\nvendor = '2C7C'\nproducts = []", "vendor"),
        ("[[driver.usb]]\nvendor = '2c7c'\nproducts = ['125']", "products"),
        ("[[driver.usb]]\nvendor = '2c7c'\nproducts = ['0125']\nat_classes = ['ff']", "at_classes"),
    ],
)
def test_invalid_driver_table_is_reported(tmp_path, monkeypatch, text, sentence):
    """Quirks, times and ids are checked as well."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(text)
    monkeypatch.setattr(profile, "PROFILE_FOLDER", tmp_path / "profiles")
    with pytest.raises(profile.ProfileError, match=f"profile mine, table driver: .*{sentence}"):
        profile.load_driver_profile("mine")
