"""What messages say: character sets, octets that are no UTF-8, text like protocol, binary Commands."""

import re

import msgspec
import pytest

from fault.catalogue import BIN_CLASS0_F4, BIN_CTRL, LATIN_GSM7, MULTILINE_OK, PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware import profile

TEXT = pytest.mark.parametrize("message_format", ["text"])
HEADER = b'\r\n+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00"'
DETAILS = b',129,4,0,%d,"+15550001234",145,%d\r\n'
"""What +CSDH=1 adds: <tooa>,<fo>,<pid>,<dcs>,<sca>,<tosca>,<length>."""


def sets(*names):
    """A module with these character sets, the first one at its start."""
    return msgspec.structs.replace(profile.load_simulator_profile("generic"), charsets=names)


async def reads(scene, answer):
    """+CMTI, and this is the whole answer to each reading of index 3."""
    scene.store_pdu(3, PLAIN_SID_START)
    rule = scene.interceptor.answer(r"AT\+CMGR=3", answer, times=0)
    scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
    await scene.advance(30)
    assert rule.applied
    assert scene.stored_indices() == []


@TEXT
@pytest.mark.parametrize("charset", ["UCS2", "GSM", "IRA", "HEX", "8859-1"])
async def test_f26_whatever_the_character_set(tmp_path, message_format, charset):
    """A module that has only this one, or is set to it by others in mid-session: the same text arrives."""
    async with FaultWorld(tmp_path, message_format, device=sets(charset)) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]


async def test_f26_the_octets_as_given(tmp_path, message_format):
    """Sender and text in hexadecimal although nobody chose UCS2: no handler gets to see digits as text."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        header = HEADER.replace(b'"000"', b'"003000300030"')
        body = b"006C006500640020006F006E"
        details = DETAILS % (0, 6) if message_format == "text" else b"\r\n"
        await reads(scene, header + details + body + b"\r\n\r\nOK\r\n")
        await scene.advance(30)
        assert all("006C" not in content for content in scene.executed)
        assert set(scene.executed) <= {"led on"}
        assert scene.stored_indices() == []


@pytest.mark.parametrize("other", ["GSM", "IRA", "HEX", "8859-1"])
@pytest.mark.parametrize("again", ["stays", "back"])
async def test_f26_changed_in_mid_session(tmp_path, message_format, other, again):
    """Somebody else sets +CSCS while the agent works: texts are right, before and after it is set back."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        mine = scene.module.settings.cscs
        scene.module.settings.cscs = other
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        if again == "back":
            scene.module.settings.cscs = mine
        await scene.advance(600)
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(600)
        assert scene.executed == ["led on", "led 2"]
        assert scene.sent_bodies == ["did led on", "did led 2"]
        assert scene.query_journal("SELECT count(*) FROM ignored") == [(0,)]


@TEXT
@pytest.mark.parametrize("details", [True, False], ids=["with details", "as given"])
async def test_f32_a_body_that_is_no_utf_8(tmp_path, message_format, details):
    """0xE9 in Latin-1: the reader lives; with the character set known the text is right, else kept raw."""
    async with FaultWorld(tmp_path, message_format, device=sets("8859-1")) as scene:
        await scene.start_and_settle()
        header = HEADER + (DETAILS % (0, 7) if details else b"\r\n")
        await reads(scene, header + b"caf\xe9 on\r\n\r\nOK\r\n")
        assert scene.executed == (["café on"] if details else [])
        strays = scene.query_journal("SELECT raw FROM ignored")
        assert (len(strays) == 0) if details else ("caf\xe9 on" in strays[0][0])
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(20)
        assert scene.executed[-1] == "led 2"


@pytest.mark.parametrize("octet", [0xE9, 0x80, 0xFF, 0xC3], ids=hex)
async def test_f32_such_an_octet_in_any_line(tmp_path, message_format, octet):
    """In a name, a code or an answer: the next message is handled at once."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for line in (b'+COPS: 0,0,"T%cl"', b'+CUSD: 0,"%c"', b"%c", b"OK%c", b'+CMTI: "%c",1'):
            scene.interceptor.send_to_agent(b"\r\n" + line.replace(b"%c", bytes([octet])) + b"\r\n")
        scene.deliver_pdu(LATIN_GSM7)
        await scene.advance(10)
        assert scene.executed == ["café ñ £"]


PROTOCOL = [
    "OK",
    "ERROR",
    'set 1\r\nOK\r\n+CMTI: "SM",9\r\nend',
    "> ",
    ">",
    "+CMGR: 0,,20",
    "RING",
    "NO CARRIER",
    "AT+CMGD=1,4",
    "\r\n\r\nOK\r\n",
    "+CMT: ,51\r\n" + "0" * 40,
    "+CMS ERROR: 500",
    "0",
    "+CPIN: NOT READY",
    "RDY",
]


IN_ALL = [("pdu", "all"), *(("text", charset) for charset in ("all", "GSM", "IRA"))]
"""PDU mode has no character set."""


@pytest.mark.parametrize("text", PROTOCOL, ids=repr)
@pytest.mark.parametrize(("message_format", "charset"), IN_ALL)
async def test_f34_text_that_looks_like_protocol(tmp_path, message_format, text, charset):
    """Stored, listed and read: the text is identical, nothing in it is obeyed, the dialogue stays in step."""
    device = sets(charset) if charset != "all" else profile.load_simulator_profile("generic")
    async with FaultWorld(tmp_path, message_format, device=device) as scene:
        scene.store_pdu(1, make_pdu(text, timestamp="26/11/21,22:00:00+00"))
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu(text))
        scene.deliver_pdu(make_pdu("led 2", timestamp="26/11/21,22:31:00+00"))
        await scene.advance(30)
        assert scene.executed == [text, text, "led 2"]
        assert not scene.interceptor.commands_matching(r"AT\+CMGR=9|AT\+CPMS=.SM.,?.*9")
        assert scene.stored_indices() == []
        assert [line for line in scene.log_lines(30) if not line.startswith("first start")] == []


@TEXT
@pytest.mark.parametrize("charset", ["GSM", "IRA", "UCS2", "HEX"])
@pytest.mark.parametrize("lines", [3, 14])
async def test_f34_an_answer_of_several_lines(tmp_path, message_format, charset, lines):
    """A line end would end the text entry of some sets: it goes as UCS-2, or else as a blank."""
    text = "\n".join(["line one"] * lines)
    async with FaultWorld(tmp_path, message_format, device=sets(charset)) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu(text))
        await scene.advance(30)
        sent = "did " + text
        if lines == 14 and charset in {"GSM", "IRA"}:
            sent = sent.replace("\n", " ")
        assert scene.sent_bodies == [sent]


async def test_f34_the_fixture(tmp_path, message_format):
    """Four lines, a result and a code among them; with details the text mode says where they end."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(MULTILINE_OK)
        await scene.advance(10)
        assert scene.executed == ['set 1\r\nOK\r\n+CMTI: "SM",9\r\nend']
        assert scene.interceptor.commands_matching(r"AT\+CMGR=9") == []


@TEXT
async def test_f34_text_mode_without_lengths(tmp_path, message_format):
    """+CSDH refused: where texts end could only be guessed, so the agent says that and takes none."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(r"AT\+CSDH.*", b"\r\nERROR\r\n", times=0)
        scene.store_pdu(1, MULTILINE_OK)
        await scene.start_and_settle(120)
        assert scene.executed == []
        assert scene.stored_indices() == [1]
        assert any('message_format = "pdu"' in line for line in scene.log_lines(30))


BINARY = {
    "bin_ctrl": (BIN_CTRL, bytes.fromhex("1A0D0A1B004F4B0D0AFF7E")),
    "bin_class0_F4": (BIN_CLASS0_F4, bytes.fromhex("000102FE")),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("message_format", "charset"), [*IN_ALL, ("text", "HEX")])
async def test_f35_binary_commands(tmp_path, message_format, name, charset):
    """The very octets reach the handler, marked binary; the log shows none of them."""
    pdu, octets = BINARY[name]
    device = sets(charset) if charset != "all" else profile.load_simulator_profile("generic")
    async with FaultWorld(tmp_path, message_format, device=device, executables=("binary",)) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(pdu)
        scene.store_pdu(5, pdu.replace("62111222", "62111232"), 1)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",5\r\n')
        await scene.advance(60)
        assert scene.executed == [octets, octets]
        assert {run.handler for run in scene.handler_runs} == {"binary"}
        assert scene.query_journal("SELECT DISTINCT mode FROM commands") == [("binary",)]


@TEXT
@pytest.mark.parametrize("dcs", [4, 0])
async def test_f35_the_octets_as_given(tmp_path, message_format, dcs):
    """Hexadecimal digits in text mode: <dcs> tells octets from a text of digits."""
    async with FaultWorld(tmp_path, message_format, device=sets("IRA"), executables=("binary",)) as scene:
        await scene.start_and_settle()
        digits = b"1A0D0A1B004F4B0D0AFF7E"
        await reads(scene, HEADER + DETAILS % (dcs, 11 if dcs else 22) + digits + b"\r\n\r\nOK\r\n")
        assert scene.executed == [BINARY["bin_ctrl"][1] if dcs else digits.decode()]


@TEXT
async def test_f35_without_details_nothing_is_guessed(tmp_path, message_format):
    """The header as given has no <dcs>: kept raw, deleted, not handed to anybody."""
    async with FaultWorld(tmp_path, message_format, device=sets("IRA"), executables=("binary",)) as scene:
        await scene.start_and_settle()
        await reads(scene, HEADER + b"\r\n1A0D0A1B004F4B0D0AFF7E\r\n\r\nOK\r\n")
        assert scene.executed == []
        assert [
            re.sub(r"\s", "", raw)[-22:] for (raw,) in scene.query_journal("SELECT raw FROM ignored")
        ] == ["1A0D0A1B004F4B0D0AFF7E"]
