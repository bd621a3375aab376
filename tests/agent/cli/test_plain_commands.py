"""Commands that run without click: they do what the commands of click do, and load little."""

import subprocess
import sys
import tomllib

import pytest

from agent.cli import CONFIG_OPTION, DEFAULT_CONFIG, PLAIN_COMMANDS
from agent.cli.commands import group
from agent.cli.control_path import DEFAULT_CONTROL_SOCKET, find_control_socket
from agent.common.config import DEFAULT_CONFIG_PATH, ControlConfig, parse_config

MAIN = [sys.executable, "-c", "from agent.cli import main; main()"]


@pytest.mark.parametrize("name", PLAIN_COMMANDS)
def test_plain_command_has_the_options_of_click(name):
    """Each flag is a flag of the click command with the same parameter; --config has the same default."""
    options = {option: each for each in group.get_command(None, name).params for option in each.opts}
    for flag, parameter in PLAIN_COMMANDS[name].items():
        assert (options[flag].name, options[flag].is_flag) == (parameter, True)
    assert str(options[CONFIG_OPTION].default) == DEFAULT_CONFIG == str(DEFAULT_CONFIG_PATH)


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "--json", "--check"],
        ["run"],
    ],
    ids=" ".join,
)
def test_plain_command_fails_like_the_command_of_click(cli_env, words):
    """Output and exit status are the same, here for a configuration that cannot work."""
    cli_env.config.write_text("[modem]\nnonsense = 1\n")
    words = [*words, "--config", str(cli_env.config)]
    plain = subprocess.run([*MAIN, *words], capture_output=True, text=True, check=False)
    by_click = cli_env.run_bare(*words)
    assert (plain.stdout, plain.stderr, plain.returncode) == (by_click.stdout, by_click.stderr, 2)


def test_version_is_that_of_click(cli_env):
    """It is printed in the same words."""
    result = subprocess.run([*MAIN, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == cli_env.run_bare("--version").stdout


@pytest.mark.parametrize(
    "words", [["status", "--jsn"], ["run", "--config"], ["status", "extra"]], ids=" ".join
)
def test_other_arguments_are_parsed_by_click(cli_env, words):
    """It explains the mistake."""
    result = subprocess.run([*MAIN, *words], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == cli_env.run_bare(*words).stderr


USUAL = {
    "": DEFAULT_CONTROL_SOCKET,
    "[modem]\nport = 'auto'\n": DEFAULT_CONTROL_SOCKET,
    '[modem]\nsocket = "/x"\n[control]\n': DEFAULT_CONTROL_SOCKET,
    '[control]\nsocket = "/run/a.sock"  # here\n[service]\nsocket = "/b"\n': "/run/a.sock",
    '# [control]\n  [control]\n  socket="sock/et"\n': "sock/et",
}
UNUSUAL = [
    '[ control ]\nsocket = "/a"\n',
    'control.socket = "/a"\n',
    'control = {socket = "/a"}\n',
    "[control]\nsocket = '/a'\n",
    '[control]\nsocket = "/\\u0061"\n',
    '[control]\nsocket = "/a" "b"\n',
    "[control]\nsocket = 1\n",
    '[control]\nsocket = ""\n',
    '[control]\nsocket = "/a"\nsocket = "/b"\n',
    '[modem]\nport = """\n[control]\nsocket = "/a"\n"""\n',
    '["control"]\nsocket = "/a"\n',
]


@pytest.mark.parametrize(("text", "socket"), USUAL.items())
def test_control_socket_is_found_in_its_usual_form(tmp_path, text, socket):
    """The path is the one that the parser of TOML finds."""
    file = tmp_path / "agent.toml"
    file.write_text(text)
    tables = {name: table for name, table in tomllib.loads(text).items() if name == "control"}
    parsed = parse_config(tables, "agent.toml", tmp_path).control.socket
    assert find_control_socket(str(file)) == str(tmp_path / socket) == str(parsed)
    assert str(ControlConfig().socket) == DEFAULT_CONTROL_SOCKET


@pytest.mark.parametrize("text", UNUSUAL)
def test_control_socket_in_another_form_is_left_to_the_parser(tmp_path, text):
    """Also a value that is wrong: the parser explains it."""
    (tmp_path / "agent.toml").write_text(text)
    assert find_control_socket(str(tmp_path / "agent.toml")) is None
    assert find_control_socket(str(tmp_path / "absent.toml")) is None
