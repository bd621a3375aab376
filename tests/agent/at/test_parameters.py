"""Values of information lines and ranges of test answers, as modules write them."""

import pytest

from agent.at.parameters import Value, ranges, values


def plain(*texts):
    return tuple(Value(text) for text in texts)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("+CMGR: 0,,51", plain("0", "", "51")),
        ('+CMGR: 0,"",51', (Value("0"), Value("", quoted=True), Value("51"))),
        ('+CMGR: 1,"Ops, night",51', (Value("1"), Value("Ops, night", quoted=True), Value("51"))),
        ("+CMGR:0,,51", plain("0", "", "51")),
        ('+CMTI: "ME", 3', (Value("ME", quoted=True), Value("3"))),
        ("+CMTI: ,-1", plain("", "-1")),
        ('+CMTI: "SM"', (Value("SM", quoted=True),)),
        ('+CREG: "', (Value("", quoted=True),)),
        ("+CMGR: ,,", plain("", "", "")),
        (
            '+CPMS: "ME", 0,23,"ME",0',
            (Value("ME", quoted=True), *plain("0", "23"), Value("ME", quoted=True), Value("0")),
        ),
        ("+CSQ: 21,99", plain("21", "99")),
        ("+CPIN: SIM PIN", plain("SIM PIN")),
        ("+CMT:", ()),
        ("+CFUN", ()),
        ("8988303000000000001F", plain("8988303000000000001F")),
    ],
)
def test_values(line, found):
    """Blanks, missing blanks, empty and quoted values all read alike."""
    assert tuple(values(line)) == found


def test_a_value_that_is_not_there_is_empty():
    """Short lines are common in the field: a missing value is no mistake of ours."""
    assert values("+CREG: 1").at(1).text == ""
    assert values("+CREG: 1").at(1).number is None
    assert values("+CMGR: 0,,51").at(-1).number == 51
    assert values("+CMTI: x,y").at(1).number is None
    assert values("+X: ²").at(0).number is None


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("+CNMI: (0-2),(0,1),(0,2,3),(0,2),(1)", ["012", "01", "023", "02", "1"]),
        ("+CMGF: (0,1)", ["01"]),
        ("+CMGF: (0-1)", ["01"]),
        ("+CMGF: 0,1", ["0", "1"]),
    ],
)
def test_ranges(line, offered):
    """Lists and ranges are one set a value."""
    assert ranges(line) == tuple(frozenset(digits) for digits in offered)


def test_ranges_of_names():
    """Names come quoted, with or without blanks."""
    assert ranges('+CPMS: ("SM", "ME"),("SM"),()') == (
        frozenset({"SM", "ME"}),
        frozenset({"SM"}),
        frozenset({""}),
    )


def test_a_range_without_end_is_cut():
    """A strange test answer costs no memory."""
    assert len(ranges("+CMGD: (0-4000000000)")[0]) == 257
