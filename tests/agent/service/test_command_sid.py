import pytest

from agent.service.command_sid import split_sid

SID = "DC0123456789abcdef0123456789ABCDEF"
NORMALISED = "DC0123456789abcdef0123456789abcdef"
OTHER = "HC" + "f" * 32


@pytest.mark.parametrize(
    ("text", "sid", "body"),
    [
        (f"{SID} led on", NORMALISED, "led on"),
        (f"led on {SID}", NORMALISED, "led on"),
        (SID, NORMALISED, ""),
        (f"{SID} ", NORMALISED, ""),
        (f" {SID}", NORMALISED, ""),
        (f"{OTHER} on", OTHER, "on"),
        (f"{SID} on {OTHER}", NORMALISED, f"on {OTHER}"),
        (f"{SID} {OTHER}", NORMALISED, OTHER),
        (f"{SID}  two spaces", NORMALISED, " two spaces"),
        (f"a  {SID}", NORMALISED, "a "),
    ],
)
def test_complete_sid_is_split_from_body(text, sid, body):
    """A SID may be at the start, before a space or the end, or at the end after a space; the first counts."""
    assert split_sid(text) == (sid, body)


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
def test_incomplete_sid_stays_in_body(text):
    """A truncated SID, one without a space, or another kind of SID does not count: the body is unchanged."""
    assert split_sid(text) == (None, text)
