"""The command itself: what there is, what help teaches, usage."""

import click
import pytest

from agent.cli import _COMMANDS, group
from agent.version import VERSION


def commands(command=group, *names):
    """Every command there is, with the words that lead to it."""
    yield names
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), *names, name)


ALL = list(commands())


def test_the_commands_of_the_design_are_there():
    """Scripts and people rely on these names."""
    names = {" ".join(words) for words in ALL}
    assert names >= {
        "run", "demo", "sandbox", "send", "inbox", "outbox", "status", "at", "config check",
        "pdu decode", "pdu encode",
    }  # fmt: skip


@pytest.mark.parametrize("words", ALL, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_teaches(cli_env, words, option):
    """A sentence on what it does, and every option and argument explained."""
    result = cli_env.run_bare(*words, option)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"Usage: {' '.join(('modem-agent', *words))}")
    assert lines[2].strip().endswith((".", ",", ":")) or len(lines[2]) > 40
    for number, line in enumerate(lines):
        option_name = line.strip().split(" ")[0]
        if option_name.startswith("-"):
            explained = len(line.split("  ")) > 2 or lines[number + 1].startswith("     ")
            assert explained, f"{option_name} of {words} is not explained"


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_the_list_says_what_each_does(cli_env, name):
    """In one line, without loading it."""
    lines = [line for line in cli_env.run_bare("--help").stdout.splitlines() if line.startswith(f"  {name} ")]
    assert len(lines) == 1
    assert lines[0].endswith(".")


@pytest.mark.parametrize("words", [words for words in ALL if words[-1:] in (("inbox",), ("run",), ("send",))])
def test_the_configuration_has_a_default(cli_env, words):
    """And can be named."""
    assert "/etc/modem-agent/agent.toml" in "".join(cli_env.run_bare(*words, "--help").stdout.split())


def test_the_version(cli_env):
    """One line."""
    assert cli_env.run_bare("--version").stdout == f"modem-agent, version {VERSION}\n"


@pytest.mark.parametrize(
    "words", [("frobnicate",), ("inbox", "--frobnicate"), ("config", "frobnicate"), ("inbox", "-n", "0"),
              ("inbox", "-n", "99999999999999999999"), ("send", "a", "b"), ("pdu",), ("at",)]
)  # fmt: skip
def test_wrong_usage_is_exit_status_2(cli_env, words):
    """With a hint on how it is used."""
    result = cli_env.run_bare(*words)
    assert result.exit_code == 2
    assert "Usage: modem-agent" in result.stderr
