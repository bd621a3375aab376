"""Cutting command lines: V.250 5.2 to 5.4."""

from __future__ import annotations

import pytest

from hardware.sim.module.command_parser import (
    CommandForm,
    CommandParameters,
    ParsedCommand,
    QuotedString,
    normalise,
    parse_next_command,
)
from hardware.sim.module.errors import CommandError


def parse_line(body):
    """All commands of a body."""
    body, place, commands = normalise(body), 0, []
    while place < len(body):
        asked, place = parse_next_command(body, place)
        commands.append((asked.name, asked.form.value, asked.parameters.items))
    return commands


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("", []),
        (" ", []),
        ("E0", [("E", "", ("0",))]),
        ("e", [("E", "", (None,))]),
        ("&F", [("&F", "", (None,))]),
        ("E0V1&C1", [("E", "", ("0",)), ("V", "", ("1",)), ("&C", "", ("1",))]),
        ("S3?", [("S", "", ("3", "?", None))]),
        ("S3=13", [("S", "", ("3", "=", "13"))]),
        ("S5=", [("S", "", ("5", "=", None))]),
        ("E0+CMEE=1;+CSMS=1", [("E", "", ("0",)), ("+CMEE", "=", ("1",)), ("+CSMS", "=", ("1",))]),
        ("+CREG?;+CEREG?", [("+CREG", "?", ()), ("+CEREG", "?", ())]),
        ("+CMGF=?", [("+CMGF", "=?", ())]),
        ("+CMEE=1;E0", [("+CMEE", "=", ("1",)), ("E", "", ("0",))]),
        ("+ c m g l = 4", [("+CMGL", "=", ("4",))]),
        ("+cmgl=4", [("+CMGL", "=", ("4",))]),
        ("+CMGF=\n1", [("+CMGF", "=", ("1",))]),
        ('+CPMS="SM"', [("+CPMS", "=", (QuotedString("SM"),))]),
        ('+CPMS= "S m" , "ME"', [("+CPMS", "=", (QuotedString("S m"), QuotedString("ME")))]),
        ('+CMGW=,,"a;b,c"', [("+CMGW", "=", (None, None, QuotedString("a;b,c")))]),
        (r'+CSCB=0,"say \22hi\22\5C"', [("+CSCB", "=", ("0", QuotedString('say "hi"\\')))]),
        ("+CNMI=2,,0,", [("+CNMI", "=", ("2", None, "0", None))]),
        ("^ICCID?", [("^ICCID", "?", ())]),
        ("%XICCID", [("%XICCID", "", ())]),
    ],
)
def test_line_is_split_into_commands(body, commands):
    """Each command has its name, form and parameters."""
    assert parse_line(body) == commands


@pytest.mark.parametrize(
    "body", ["+", "+1", "=", '+CPMS="SM', '+CPMS=S"M"', '+CPMS="SM"x', "+CMGF?x", "~", "1"]
)
def test_malformed_command_is_an_error(body):
    """A malformed command gives a plain ERROR."""
    with pytest.raises(CommandError) as refusal:
        parse_line(body)
    assert refusal.value.kind == "error"


def test_commands_before_a_malformed_one_are_parsed():
    """A line is parsed only as far as it is executed."""
    asked, place = parse_next_command("+CMEE=1;+", 0)
    assert asked == ParsedCommand("+CMEE", CommandForm.SET, CommandParameters(("1",)), "+CMEE=1")
    with pytest.raises(CommandError):
        parse_next_command("+CMEE=1;+", place)


@pytest.mark.parametrize(
    ("items", "place", "allowed", "default", "number"),
    [
        (("1",), 0, range(2), None, 1),
        (("007",), 0, range(8), None, 7),
        ((None,), 0, range(2), 1, 1),
        ((), 3, range(2), 0, 0),
        ((), 0, range(2), None, None),
        (("2",), 0, range(2), 0, None),
        (("-1",), 0, range(2), 0, None),
        (("x",), 0, range(2), 0, None),
        ((QuotedString("1"),), 0, range(2), 0, None),
        (("9999999999",), 0, range(10**12), 0, None),
        (("4",), 0, (0, 1, 4), None, 4),
        (("3",), 0, (0, 1, 4), None, None),
    ],
)
def test_number_parameter(items, place, allowed, default, number):
    """Decimal, in range and of the right type; None means an error."""
    values = CommandParameters(items)
    if number is None:
        with pytest.raises(CommandError):
            values.get_number(place, allowed, default)
    else:
        assert values.get_number(place, allowed, default) == number


def test_string_parameter():
    """Quoted, or omitted with a default; some may come without quotes."""
    values = CommandParameters((QuotedString("a"), "b", None))
    assert values.get_string(0) == "a"
    assert values.get_string(2, "d") == "d"
    assert (values.get_string_or_word(0), values.get_string_or_word(1)) == ("a", "b")
    assert [values.has(place) for place in range(4)] == [True, True, False, False]
    for place in (1, 2, 3):
        with pytest.raises(CommandError):
            values.get_string(place)
    for place in (2, 3):
        with pytest.raises(CommandError):
            values.get_string_or_word(place)
    values.require_at_most(3)
    with pytest.raises(CommandError):
        values.require_at_most(2)
