"""Values of information lines and ranges of test answers, in the forms that modules use."""

import pytest

from agent.at.parameters import ParameterValue, parse_ranges, parse_values


def make_values(*texts):
    return tuple(ParameterValue(text) for text in texts)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("+CMGR: 0,,51", make_values("0", "", "51")),
        ('+CMGR: 0,"",51', (ParameterValue("0"), ParameterValue("", quoted=True), ParameterValue("51"))),
        (
            '+CMGR: 1,"Ops, night",51',
            (ParameterValue("1"), ParameterValue("Ops, night", quoted=True), ParameterValue("51")),
        ),
        ("+CMGR:0,,51", make_values("0", "", "51")),
        ('+CMTI: "ME", 3', (ParameterValue("ME", quoted=True), ParameterValue("3"))),
        ("+CMTI: ,-1", make_values("", "-1")),
        ('+CMTI: "SM"', (ParameterValue("SM", quoted=True),)),
        ('+CREG: "', (ParameterValue("", quoted=True),)),
        ("+CMGR: ,,", make_values("", "", "")),
        (
            '+CPMS: "ME", 0,23,"ME",0',
            (
                ParameterValue("ME", quoted=True),
                *make_values("0", "23"),
                ParameterValue("ME", quoted=True),
                ParameterValue("0"),
            ),
        ),
        ("+CSQ: 21,99", make_values("21", "99")),
        ("+CPIN: SIM PIN", make_values("SIM PIN")),
        ("+CMT:", ()),
        ("+CFUN", ()),
        ("8988303000000000001F", make_values("8988303000000000001F")),
    ],
)
def test_values_of_a_line(line, found):
    """Blanks, missing blanks, empty and quoted values are parsed alike."""
    assert tuple(parse_values(line)) == found


def test_missing_value_is_empty():
    """Short lines are common in the field: a missing value is not an error."""
    assert parse_values("+CREG: 1").get(1).text == ""
    assert parse_values("+CREG: 1").get(1).number is None
    assert parse_values("+CMGR: 0,,51").get(-1).number == 51
    assert parse_values("+CMTI: x,y").get(1).number is None
    assert parse_values("+X: ²").get(0).number is None


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("+CNMI: (0-2),(0,1),(0,2,3),(0,2),(1)", ["012", "01", "023", "02", "1"]),
        ("+CMGF: (0,1)", ["01"]),
        ("+CMGF: (0-1)", ["01"]),
        ("+CMGF: 0,1", ["0", "1"]),
        ('+CNMI: (00-02),( 0 , 001 ),("0"-"2"),("0","2")', ["012", "01", "012", "02"]),
    ],
)
def test_ranges_are_expanded(line, offered):
    """Lists and ranges become one set for each parameter."""
    assert parse_ranges(line) == tuple(frozenset(digits) for digits in offered)


@pytest.mark.parametrize(
    ("line", "number", "canonical"),
    [
        ("+X: 007", 7, "7"),
        ("+X: 000", 0, "0"),
        ('+X: "7"', 7, "7"),
        ('+X: " 07 "', 7, "7"),
        ("+X:  7 , 8", 7, "7"),
        ('+X: " ucs2"', None, "UCS2"),
        ("+X: -1", None, "-1"),
        ("+X:", None, ""),
    ],
)
def test_numbers_with_zeros_blanks_and_quotes(line, number, canonical):
    """A number is the same number, however a module writes it."""
    value = parse_values(line).get(0)
    assert (value.number, value.canonical) == (number, canonical)


def test_names_are_unquoted():
    """Names are quoted, with or without blanks between them."""
    assert parse_ranges('+CPMS: ("SM", "ME"),("SM"),()') == (
        frozenset({"SM", "ME"}),
        frozenset({"SM"}),
        frozenset({""}),
    )


def test_huge_range_is_cut():
    """A malformed test answer takes little memory."""
    assert len(parse_ranges("+CMGD: (0-4000000000)")[0]) == 257
