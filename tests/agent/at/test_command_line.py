"""AT command lines: how they are split, and what their commands do."""

import pytest

from agent.at.command_line import split_command_line


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("AT", []),
        ("AT;", []),
        ("at+csq", ["+CSQ"]),
        ("AT +CFUN = 0", ["+CFUN=0"]),
        ("ATE0V1+CFUN=4;+CSQ", ["E0", "V1", "+CFUN=4", "+CSQ"]),
        ("AT+CSQ ; +cmgd=1,4;;I", ["+CSQ", "+CMGD=1,4", "I"]),
        ('AT+CUSD=1,"a;B c";+CSQ', ['+CUSD=1,"a;B c"', "+CSQ"]),
        ('AT+CUSD=1,"a;b', ['+CUSD=1,"a;b']),
        ("AT&F0S0=1S3?\\Q3%Q", ["&F0", "S0=1", "S3?", "\\Q3", "%Q"]),
        ("ATE0D*99#;+CSQ", ["E0", "D*99#;+CSQ"]),
        ("AT+CSQ;=7", ["+CSQ", "=7"]),
        ("A/", ["A/"]),
    ],
)
def test_line_is_split_into_its_commands(line, parts):
    """Blanks and case do not matter outside of quotes; what is no command stays whole."""
    assert [str(part) for part in split_command_line(line)] == parts


HARMLESS = [
    "AT",
    "ATI",
    "ATI9",
    "ATE0",
    "AT+CSQ",
    "at+csq",
    "AT+CFUN?",
    "AT+CFUN=?",
    "AT+CMGD=?",
    "AT+COPS=?",
    "AT+CPIN?",
    "AT+CMGL=4",
    "AT+CMGR=1",
    'AT+CPMS="SM","SM","SM"',
    "AT+CSQ;+CREG?;+CPMS?",
    "ATS0?",
    "AT+CGDCONT?",
    'AT+QENG="servingcell"',
    "AT+CPSI?",
]
LASTING = [
    "AT+CFUN=0",
    "at+cfun=0",
    "AT+CFUN=1,1",
    "AT+CFUN",
    "AT+CMGD=1",
    "AT+CMGD=1,4",
    "AT+CSQ;+CMGD=1",
    "ATE0+CFUN=4",
    "ATZ",
    "AT&F",
    "AT&W",
    'AT+CPIN="1234"',
    'AT+CLCK="SC",1,"1234"',
    "AT+COPS=2",
    'AT+CSCA="+1"',
    "AT+IPR=9600",
    "AT+CPOWD=1",
    "AT+QPOWD",
    "AT#REBOOT",
    "AT^RESET",
    "AT!RESET",
    "AT$QCPWRDN",
    "AT*PSCPOF",
    "AT+CGATT=0",
    'AT+QCFG="nwscanmode",3',
    "AT+CNMP=38",
    "AT+CMEE=0",
    "AT+CNMA",
    "ATV0",
    "ATS0=1",
    "AT+UNKNOWN",
]


@pytest.mark.parametrize(
    ("line", "lasting"), [(each, False) for each in HARMLESS] + [(each, True) for each in LASTING]
)
def test_lasting_effect(line, lasting):
    """Queries, and settings that the agent checks, have none; whatever is unknown may have one."""
    assert any(part.has_lasting_effect for part in split_command_line(line)) is lasting


@pytest.mark.parametrize(
    ("line", "leaves"),
    [
        ("AT+CMGS=17", True),
        ("at+cmgw = 17", True),
        ("AT+CSQ;D123", True),
        ("ATD*99#", True),
        ("AT+CGDATA", True),
        ("AT+CMUX=0", True),
        ("AT+CNMA=1,5", True),
        ("AT+CNMA=1", False),
        ("AT+CMGS=?", False),
        ("AT+CMUX?", False),
    ],
)
def test_commands_that_leave_the_command_state(line, leaves):
    """Nothing would end a text entry, a call or a multiplexer."""
    assert any(part.leaves_command_state for part in split_command_line(line)) is leaves
