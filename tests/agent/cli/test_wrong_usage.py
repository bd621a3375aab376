"""A mistake on the command line gets one sentence with the line to type, and exit status 2."""

import pytest

MISTAKES = {
    "version": "there is no command version: modem-agent --version",
    "-V": "there is no command -V: modem-agent --version",
    "help": "help is an option: modem-agent --help",
    "help send": "help is an option: modem-agent send --help",
    "restart": "systemd does that: sudo systemctl restart modem-agent",
    "stop": "systemd does that: sudo systemctl stop modem-agent",
    "logs": "the log is in the journal of systemd: journalctl -u modem-agent -e",
    "install": "there is no command install: modem-agent setup",
    "uninstall": "there is no command uninstall: modem-agent setup --remove",
    "decode 0791": "there is no command decode: modem-agent pdu decode 0791",
    "AT+CSQ": "AT commands have a command of their own: modem-agent at AT+CSQ",
    "ati": "there is no command ati: modem-agent at",
    "HC01234567": "a SID is explained by: modem-agent why HC01234567",
    "statsu --json": "there is no command statsu: modem-agent status --json",
    "frobnicate": "there is no command frobnicate: modem-agent --help lists them",
    "--frobnicate": "there is no option --frobnicate: modem-agent --help",
    "check config": "the words are the other way round: modem-agent config check",
    "--json status": "options follow the command: modem-agent status --json",
    "--config x.toml inbox -n 3": "options follow the command: modem-agent inbox -n 3 --config x.toml",
    "send hello world": 'put a text of several words in quotes: modem-agent send "hello world"',
    "send hello --to +1555 world": (
        'put a text of several words in quotes: modem-agent send --to +1555 "hello world"'
    ),
    "send": 'give either TEXT or --hex HEX: modem-agent send "pump is on"',
    "send --too 1 x": "send has no option --too: modem-agent send --to 1 x",
    "send -5": "a text that begins with a dash follows two dashes: modem-agent send -- -5",
    "at": "at needs COMMAND: modem-agent at AT+CSQ",
    "at CSQ": "an AT command begins with AT: modem-agent at AT+CSQ",
    "at +CSQ": "an AT command begins with AT: modem-agent at AT+CSQ",
    "at I": "an AT command begins with AT: modem-agent at ATI",
    "at AT CSQ": 'put a text of several words in quotes: modem-agent at "AT CSQ"',
    "status watch": "watch is an option: modem-agent status --watch",
    "status x": "status takes no x: modem-agent status",
    "inbox --jsn": "inbox has no option --jsn: modem-agent inbox --json",
    "inbox --frobnicate": "inbox has no option --frobnicate: modem-agent inbox --help lists them",
    "inbox -n": "option '-n' requires an argument: modem-agent inbox --help",
    "why": "why needs SID|NUMBER: modem-agent why HC0123",
    "config chekc": "config has no command chekc: modem-agent config check",
    "config": "config needs one of these commands: check; see: modem-agent config --help",
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.items(), ids=MISTAKES)
def test_mistake_gets_the_line_to_type(cli_env, words, sentence):
    """One sentence; a line that was meant is given as it would have been right."""
    result = cli_env.run_bare(*words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"modem-agent: {sentence}\n"


def test_words_with_signs_of_the_shell_are_quoted(cli_env):
    """The line can be copied as it is; control characters are escaped."""
    assert cli_env.run_bare("send", "a$b", "c d").stderr == (
        "modem-agent: put a text of several words in quotes: modem-agent send 'a$b c d'\n"
    )
    assert "\x1b" not in cli_env.run_bare("x\x1b[2J").stderr
