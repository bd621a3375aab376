"""The explanation of a port on which no module answers."""

import pytest

from agent.at.no_answer import explain_no_answer, has_ppp_frame


@pytest.mark.parametrize(
    ("lines", "explanation"),
    [
        ([], "nothing came back"),
        (["$GPGGA,123519,4807.038,N"], "GNSS port"),
        (["raspberrypi login:"], "disable serial-getty"),
        (["[    1.234567] usb 1-1: new device"], "console="),
        ([r"non-text bytes: \x00\xff"], r"only non-text bytes: \x00\xff (another baud rate?)"),
        (["hello", 'AT+CPIN="1234"'], """the last line received was 'AT+CPIN="****"'"""),
    ],
)
def test_explanation_by_received_lines(lines, explanation):
    """An operator learns which port it is, and a PIN is not shown."""
    assert explanation in explain_no_answer(lines, is_data_mode=False)


def test_data_mode_is_explained_first():
    """PPP frames explain everything else."""
    assert "another program has dialled" in explain_no_answer(["login:"], is_data_mode=True)


@pytest.mark.parametrize(
    ("line", "is_frame"),
    [("~\xff}#\xc0!}!}!} }4", True), (r"~\xff\x03", True), ("~!E", True), ("~ is a tilde", False)],
)
def test_ppp_frames(line, is_frame):
    """Frames are recognised as octets and as escaped text."""
    assert has_ppp_frame(line) is is_frame
