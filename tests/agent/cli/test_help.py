"""The command line as a whole: commands, help texts, wrong usage."""

import click
import pytest

from agent.cli.commands import _COMMANDS, group
from agent.version import VERSION


def iter_commands(command=group, *names):
    """Yield the words of every command and group."""
    yield names
    if isinstance(command, click.Group):
        context = click.Context(command, **group.context_settings)
        for name in command.list_commands(context):
            yield from iter_commands(command.get_command(context, name), *names, name)


ALL = list(iter_commands())


def test_public_commands_exist():
    """Scripts and operators rely on these names."""
    names = {" ".join(words) for words in ALL}
    assert names >= {
        "run", "demo", "sandbox", "fleet", "send", "inbox", "outbox", "status", "at", "config check",
        "pdu decode", "pdu encode",
    }  # fmt: skip


@pytest.mark.parametrize("words", ALL, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_explains_command_and_options(cli_env, words, option):
    """A sentence on what the command does, and a text for every option."""
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
def test_command_list_has_a_sentence_for_each(cli_env, name):
    """On one line, without importing the command."""
    lines = [line for line in cli_env.run_bare("--help").stdout.splitlines() if line.startswith(f"  {name} ")]
    assert len(lines) == 1
    assert lines[0].endswith(".")


@pytest.mark.parametrize("words", [words for words in ALL if words[-1:] in (("inbox",), ("run",), ("send",))])
def test_help_shows_the_default_configuration_file(cli_env, words):
    """The default of --config is part of the help."""
    assert "/etc/modem-agent/agent.toml" in "".join(cli_env.run_bare(*words, "--help").stdout.split())


def test_version_is_one_line(cli_env):
    """Name and version."""
    assert cli_env.run_bare("--version").stdout == f"modem-agent, version {VERSION}\n"


@pytest.mark.parametrize(
    "words", [("frobnicate",), ("inbox", "--frobnicate"), ("config", "frobnicate"), ("inbox", "-n", "0"),
              ("inbox", "-n", "99999999999999999999"), ("send", "a", "b"), ("pdu",), ("at",)]
)  # fmt: skip
def test_wrong_usage_has_exit_status_2(cli_env, words):
    """One sentence on one line says what to type."""
    result = cli_env.run_bare(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("modem-agent: ")
    assert ": modem-agent " in result.stderr
    assert result.stderr.count("\n") == 1
