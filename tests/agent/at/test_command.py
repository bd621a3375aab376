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
def test_what_leaves_the_command_state_is_not_written(line):
    """A person's command must not leave the module at a prompt or in a call: the agent would be deaf."""
    with pytest.raises(AtUsageError, match="cannot be done from here"):
        AtCommand.from_user_input(line, 1)


@pytest.mark.parametrize(
    "line", ["AT", "ATI", "AT+CSQ", "AT+CMGS?", "AT+CMGS=?", "AT+CNMA=1", "AT+CMGF=0;+CSQ", "AT&D2"]
)
def test_everything_else_is(line):
    """Also the read and test forms of those."""
    assert AtCommand.from_user_input(line, 1).line == line


@pytest.mark.parametrize("line", ["hello", "", "AT\r+CFUN=0", "AT+X=\x1a", "AT" + "x" * 300])
def test_what_is_no_command_line_is_not_written(line):
    """One line, printable, of a length that modules take."""
    with pytest.raises(AtUsageError, match="is not a valid AT command line"):
        AtCommand.from_user_input(line, 1)
