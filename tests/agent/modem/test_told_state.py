"""What a line says of the registration when nobody has asked, or when its asker waits no more."""

import pytest

from agent.modem.status_queries import parse_registration_urc


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("+CREG: 5", 5),
        ("+CEREG:3", 3),
        ('+CREG: 2,"1A2B","0012C0DE",7', 2),
        ("+CREG: 1,1A2B,0012C0DE", 1),
        ("+CREG: 1, 0A2B, 0012C0DE", 1),
        ("+CREG: 5,2011,4711", 5),
        ("+CREG: 0,1", 1),
        ("+CGREG: 2, 5", 5),
        ('+CREG: 2,5,"1A2B","0012C0DE",7', 5),
        ("+CREG: ", None),
        ('+CREG: "', None),
    ],
)
def test_the_state_is_found_in_either_form(line, state):
    """Some modules say OK first and answer after it; <n> of the read form is no state."""
    assert parse_registration_urc(line) == state
