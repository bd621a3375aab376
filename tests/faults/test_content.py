"""F26 F32 F34 F35: character sets, octets that are not UTF-8, text like protocol, binary Commands."""

import re

import pytest

from fault.catalogue import BIN_CLASS0_F4, BIN_CTRL, LATIN_GSM7, MULTILINE_OK, PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware import profile

TEXT = pytest.mark.parametrize("message_format", ["text"])
HEADER = b'\r\n+CMGR: "REC UNREAD","000",,"26/11/21,22:30:00+00"'
DETAILS = b',129,4,0,%d,"+15550001234",145,%d\r\n'
"""The fields that +CSDH=1 adds: <tooa>,<fo>,<pid>,<dcs>,<sca>,<tosca>,<length>."""


def module_with_charsets(*names):
    """Return the profile of a module with these character sets; the first one is the default."""
    return profile.load_simulator_profile("generic").replace(charsets=names)


async def receive_response(world, response):
    """Announce index 3, and give this response to each read of it."""
    world.store_pdu(3, PLAIN_SID_START)
    rule = world.interceptor.answer(r"AT\+CMGR=3", response, times=0)
    world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
    await world.advance(30)
    assert rule.applied
    assert world.stored_indices() == []


@TEXT
@pytest.mark.parametrize("charset", ["UCS2", "GSM", "IRA", "HEX", "8859-1"])
async def test_f26_every_character_set_gives_the_same_text(tmp_path, message_format, charset):
    """The module has only this character set, and text and reply arrive unchanged."""
    async with FaultWorld(tmp_path, message_format, device=module_with_charsets(charset)) as world:
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]


async def test_f26_unexpected_ucs2_is_not_executed_as_hex_digits(tmp_path, message_format):
    """Sender and text are in hexadecimal without +CSCS="UCS2": no handler gets the digits as text."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        header = HEADER.replace(b'"000"', b'"003000300030"')
        body = b"006C006500640020006F006E"
        details = DETAILS % (0, 6) if message_format == "text" else b"\r\n"
        await receive_response(world, header + details + body + b"\r\n\r\nOK\r\n")
        await world.advance(30)
        assert all("006C" not in content for content in world.executed)
        assert set(world.executed) <= {"led on"}
        assert world.stored_indices() == []


@pytest.mark.parametrize("other", ["GSM", "IRA", "HEX", "8859-1"])
@pytest.mark.parametrize("later", ["stays", "is set back"])
async def test_f26_character_set_changed_during_a_session(tmp_path, message_format, other, later):
    """Another program sets +CSCS: texts are correct, before and after it is set back."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        original = world.module.settings.cscs
        world.module.settings.cscs = other
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        if later == "is set back":
            world.module.settings.cscs = original
        await world.advance(600)
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(600)
        assert world.executed == ["led on", "led 2"]
        assert world.sent_bodies == ["did led on", "did led 2"]
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]


@TEXT
@pytest.mark.parametrize("details", [True, False], ids=["with details", "without details"])
async def test_f32_body_that_is_not_utf_8(tmp_path, message_format, details):
    """A Latin-1 text is decoded if the character set is known, else kept raw, and reception goes on."""
    async with FaultWorld(tmp_path, message_format, device=module_with_charsets("8859-1")) as world:
        await world.start_and_settle()
        header = HEADER + (DETAILS % (0, 7) if details else b"\r\n")
        await receive_response(world, header + b"caf\xe9 on\r\n\r\nOK\r\n")
        assert world.executed == (["café on"] if details else [])
        ignored = world.query_journal("SELECT raw FROM ignored")
        assert (len(ignored) == 0) if details else ("caf\xe9 on" in ignored[0][0])
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(20)
        assert world.executed[-1] == "led 2"


@pytest.mark.parametrize("octet", [0xE9, 0x80, 0xFF, 0xC3], ids=hex)
async def test_f32_octet_that_is_not_utf_8_in_any_line(tmp_path, message_format, octet):
    """It may be in a URC, a result or a name: the next message is executed at once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for line in (b'+COPS: 0,0,"T%cl"', b'+CUSD: 0,"%c"', b"%c", b"OK%c", b'+CMTI: "%c",1'):
            world.interceptor.send_to_agent(b"\r\n" + line.replace(b"%c", bytes([octet])) + b"\r\n")
        world.deliver_pdu(LATIN_GSM7)
        await world.advance(10)
        assert world.executed == ["café ñ £"]


PROTOCOL_TEXTS = [
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


FORMATS_AND_CHARSETS = [("pdu", "all"), *(("text", charset) for charset in ("all", "GSM", "IRA"))]
"""PDU mode does not depend on the character set."""


@pytest.mark.parametrize("text", PROTOCOL_TEXTS, ids=repr)
@pytest.mark.parametrize(("message_format", "charset"), FORMATS_AND_CHARSETS)
async def test_f34_text_like_protocol_is_not_parsed(tmp_path, message_format, text, charset):
    """The text arrives unchanged from list and read, and nothing in it is interpreted."""
    device = module_with_charsets(charset) if charset != "all" else profile.load_simulator_profile("generic")
    async with FaultWorld(tmp_path, message_format, device=device) as world:
        world.store_pdu(1, make_pdu(text, timestamp="26/11/21,22:00:00+00"))
        await world.start_and_settle()
        world.deliver_pdu(make_pdu(text))
        world.deliver_pdu(make_pdu("led 2", timestamp="26/11/21,22:31:00+00"))
        await world.advance(30)
        assert world.executed == [text, text, "led 2"]
        assert not world.interceptor.commands_matching(r"AT\+CMGR=9|AT\+CPMS=.SM.,?.*9")
        assert world.stored_indices() == []
        assert [line for line in world.log_lines(30) if not line.startswith("first start")] == []


@TEXT
@pytest.mark.parametrize("charset", ["GSM", "IRA", "UCS2", "HEX"])
@pytest.mark.parametrize("lines", [3, 14])
async def test_f34_reply_of_several_lines(tmp_path, message_format, charset, lines):
    """Line ends would end the text entry of some character sets: they are sent as UCS-2 or as spaces."""
    text = "\n".join(["line one"] * lines)
    async with FaultWorld(tmp_path, message_format, device=module_with_charsets(charset)) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu(text))
        await world.advance(30)
        expected = "did " + text
        if lines == 14 and charset in {"GSM", "IRA"}:
            expected = expected.replace("\n", " ")
        assert world.sent_bodies == [expected]


async def test_f34_text_with_result_and_urc_lines(tmp_path, message_format):
    """Four lines, among them a result and a URC, are one Command."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(MULTILINE_OK)
        await world.advance(10)
        assert world.executed == ['set 1\r\nOK\r\n+CMTI: "SM",9\r\nend']
        assert world.interceptor.commands_matching(r"AT\+CMGR=9") == []


@TEXT
async def test_f34_text_mode_without_csdh_is_refused(tmp_path, message_format):
    """Without +CSDH the end of a text is unclear: nothing is read, and the log names the setting."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CSDH.*", b"\r\nERROR\r\n", times=0)
        world.store_pdu(1, MULTILINE_OK)
        await world.start_and_settle(120)
        assert world.executed == []
        assert world.stored_indices() == [1]
        assert any('message_format = "pdu"' in line for line in world.log_lines(30))


BINARY = {
    "bin_ctrl": (BIN_CTRL, bytes.fromhex("1A0D0A1B004F4B0D0AFF7E")),
    "bin_class0_F4": (BIN_CLASS0_F4, bytes.fromhex("000102FE")),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("message_format", "charset"), [*FORMATS_AND_CHARSETS, ("text", "HEX")])
async def test_f35_binary_command_reaches_its_handler(tmp_path, message_format, name, charset):
    """The handler gets the exact octets, marked as binary."""
    pdu, octets = BINARY[name]
    device = module_with_charsets(charset) if charset != "all" else profile.load_simulator_profile("generic")
    async with FaultWorld(tmp_path, message_format, device=device, executables=("binary",)) as world:
        await world.start_and_settle()
        world.deliver_pdu(pdu)
        world.store_pdu(5, pdu.replace("62111222", "62111232"), 1)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",5\r\n')
        await world.advance(60)
        assert world.executed == [octets, octets]
        assert {run.handler for run in world.handler_runs} == {"binary"}
        assert world.query_journal("SELECT DISTINCT mode FROM commands") == [("binary",)]


@TEXT
@pytest.mark.parametrize("dcs", [4, 0])
async def test_f35_text_mode_dcs_selects_binary(tmp_path, message_format, dcs):
    """Hexadecimal digits are octets or text, depending on <dcs>."""
    async with FaultWorld(
        tmp_path, message_format, device=module_with_charsets("IRA"), executables=("binary",)
    ) as world:
        await world.start_and_settle()
        digits = b"1A0D0A1B004F4B0D0AFF7E"
        await receive_response(
            world, HEADER + DETAILS % (dcs, 11 if dcs else 22) + digits + b"\r\n\r\nOK\r\n"
        )
        assert world.executed == [BINARY["bin_ctrl"][1] if dcs else digits.decode()]


@TEXT
async def test_f35_text_mode_without_dcs_is_kept_raw(tmp_path, message_format):
    """Without <dcs> the message is kept raw, deleted and not executed."""
    async with FaultWorld(
        tmp_path, message_format, device=module_with_charsets("IRA"), executables=("binary",)
    ) as world:
        await world.start_and_settle()
        await receive_response(world, HEADER + b"\r\n1A0D0A1B004F4B0D0AFF7E\r\n\r\nOK\r\n")
        assert world.executed == []
        assert [
            re.sub(r"\s", "", raw)[-22:] for (raw,) in world.query_journal("SELECT raw FROM ignored")
        ] == ["1A0D0A1B004F4B0D0AFF7E"]
