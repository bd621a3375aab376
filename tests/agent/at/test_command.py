import pytest

from agent.at.command import AtCommand
from agent.at.errors import AtUsageError


@pytest.mark.parametrize(
    "line",
    [
        "AT+CMGS=12",
        'at+cmgs="000"',
        "AT+CSQ;+CMGW=3",
        "AT+CNMA=1,7",
        "ATD*99#",
        "AT D1",
        "AT+CMUX=0",
        "AT+CESP",
    ],
)
def test_command_that_leaves_command_state_is_rejected(line):
    """An operator's command must not leave the module in text entry or in a call."""
    with pytest.raises(AtUsageError, match="cannot be done from here"):
        AtCommand.from_user_input(line, 1)


@pytest.mark.parametrize(
    "line", ["AT", "ATI", "AT+CSQ", "AT+CMGS?", "AT+CMGS=?", "AT+CNMA=1", "AT+CMGF=0;+CSQ", "AT&D2"]
)
def test_other_commands_are_accepted(line):
    """They include the read and test forms of rejected commands."""
    assert AtCommand.from_user_input(line, 1).line == line


@pytest.mark.parametrize("line", ["hello", "", "AT\r+CFUN=0", "AT+X=\x1a", "AT" + "x" * 300])
def test_invalid_command_line_is_rejected(line):
    """A command is one printable line of bounded length."""
    with pytest.raises(AtUsageError, match="is not a valid AT command line"):
        AtCommand.from_user_input(line, 1)
