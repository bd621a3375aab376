"""Profiles: every file is valid, says what both sides need, and a module of it starts."""

from __future__ import annotations

import pytest

from hardware import profile


@pytest.mark.parametrize("name", profile.names())
def test_every_profile_is_valid(name):
    """Both tables, no unknown key; what is named exists."""
    device = profile.device(name)
    assert profile.driver(name)
    assert device.store in device.memories[0]
    known = {*device.stores, "SM", "MT"}
    assert known >= set().union(*device.memories, {device.report_store})
    assert all(value in allowed for value, allowed in zip(device.cnmi, device.cnmi_allowed, strict=True))
    assert device.cfun in device.functions


def test_names():
    """The plain module and real ones."""
    assert {"generic", "ec25", "bg96", "sim7600"} <= set(profile.names())


def test_the_defaults_are_the_plain_module():
    """generic.toml adds nothing but its name."""
    assert profile.device() == profile.DeviceProfile()


@pytest.mark.parametrize("name", profile.names())
def test_sources_are_named(name):
    """What is said of a real module has a source."""
    if name != "generic":
        assert profile.driver(name).sources


def test_a_profile_that_does_not_exist():
    """One sentence that names it and those there are."""
    with pytest.raises(profile.ProfileError, match=r'"ec26"; known are .*ec25'):
        profile.device("ec26")
    with pytest.raises(profile.ProfileError, match="known are"):
        profile.device("../profile")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[device]\ncolour = 1", "colour"),
        ("[device]\nfirst_index = true", "first_index"),
        ("[device", "Expected"),
    ],
)
def test_a_broken_profile(tmp_path, monkeypatch, text, sentence):
    """The sentence names file, table and key."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(text)
    monkeypatch.setattr(profile.resources, "files", lambda _: tmp_path)
    with pytest.raises(profile.ProfileError, match=f"profile mine, table device: .*{sentence}"):
        profile.device("mine")
