import pytest

from agent.service.sid import split

SID = "DC0123456789abcdef0123456789ABCDEF"
WRITTEN = "DC0123456789abcdef0123456789abcdef"
OTHER = "HC" + "f" * 32


@pytest.mark.parametrize(
    ("text", "sid", "body"),
    [
        (f"{SID} led on", WRITTEN, "led on"),
        (f"led on {SID}", WRITTEN, "led on"),
        (SID, WRITTEN, ""),
        (f"{SID} ", WRITTEN, ""),
        (f" {SID}", WRITTEN, ""),
        (f"{OTHER} on", OTHER, "on"),
        (f"{SID} on {OTHER}", WRITTEN, f"on {OTHER}"),
        (f"{SID} {OTHER}", WRITTEN, OTHER),
        (f"{SID}  two spaces", WRITTEN, " two spaces"),
        (f"a  {SID}", WRITTEN, "a "),
    ],
)
def test_a_whole_sid_is_taken_out(text, sid, body):
    """Whole before a space or the end, or at the very end after a space; the first of two counts."""
    assert split(text) == (sid, body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "led on",
        SID[:-1],
        f"{SID[:-1]} led on",
        f"led on {SID[:-1]}",
        f"led on{SID}",
        f"{SID}led on",
        f"{SID}\tled on",
        f"{SID}\n",
        f"led {SID} on",
        f"led on {SID}.",
        f"led on {SID}\r\n",
        f"XC{SID[2:]} on",
        f"dc{SID[2:]} on",
        f"{SID[:-1]}g on",
        f"{SID[:-1]}\u0661 on",
        f"{SID}0 on",
        f"on 0{SID}",
        f"on XC{SID[2:]}",
        f"on {SID[:-1]}g",
        "turn the lights on in the_room_with_thirty-four_characters",
    ],
)
def test_anything_less_than_whole_stays_in_the_body(text):
    """A cut, glued or foreign SID is no SID: the body stays as it came."""
    assert split(text) == (None, text)
