"""Man pages and completions have what the help texts and agent.toml have."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import click
import pytest

from agent.cli.commands import group
from agent.installation.manual import make_completions, make_manual_pages

CONFIG = Path(__file__).parents[3] / "config" / "agent.toml"
PAGES = make_manual_pages(group, "1.2", CONFIG.read_text())


def test_every_command_has_a_page_with_its_options():
    """Also the commands below `config` and `pdu`."""
    page = PAGES["modem-agent-config-check.1"]
    assert r"\fB\-\-config FILE\fR" in page
    assert "\n.TP\n2\nthere is an error, or wrong usage\n" in page
    assert "Exit status:" not in page
    assert PAGES["modem-agent-sandbox.1"].count(".TP") > 10
    for name in group.list_commands(click.Context(group)):
        assert f"modem-agent-{name}.1" in PAGES


def test_every_key_is_in_the_page_of_the_configuration():
    """With the comment that agent.toml has above it."""
    page = PAGES["modem-agent.toml.5"]
    for table, keys in tomllib.loads(CONFIG.read_text()).items():
        assert f'.SH "[{table}]"' in page
        for key in keys:
            assert rf"\fB{key}\fR: " in page
    assert "Retention of message texts, in days." in page
    assert r"\fBallow_ucs2\fR: true or false; default: false" in page  # shown in agent.toml as a comment


@pytest.mark.parametrize("name", PAGES)
def test_no_text_is_taken_for_a_request_of_roff(name):
    """A line of text never begins with a dot or a quote."""
    requests = {"TH", "SH", "B", "BR", "I", "TP", "TQ", "PP", "nf", "fi"}
    for line in PAGES[name].splitlines():
        assert not line.startswith("'")
        if line.startswith("."):
            assert line[1:].partition(" ")[0] in requests


def test_each_shell_calls_the_program():
    scripts = make_completions(group)
    assert [file.partition("/")[0] for file in scripts] == ["bash-completion", "zsh", "fish"]
    for shell, script in zip(("bash", "zsh", "fish"), scripts.values(), strict=True):
        assert f"_MODEM_AGENT_COMPLETE={shell}_complete" in script.replace(" ", "").replace("env", "")


def test_help_options_are_those_of_the_program():
    """Making the pages leaves the commands as they are."""
    for name in itertools.islice(PAGES, 3):
        assert r"\fB\-h, \-\-help\fR" in PAGES[name]
