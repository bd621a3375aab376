"""F40 F41 F49 F59 F60 F67 F68: the content of messages and its coding."""

import asyncio
import os
import pty
import re
import termios

import pytest

import pdu
from agent.at.transport.serial_port import open_serial
from fault.catalogue import (
    BADTS_MONTH,
    BADTS_ZERO,
    BIN_CLASS0_F4,
    CLASS0_10,
    DANGLING_ESC,
    FLASH_F0,
    JSON_SID_END,
    MAX160,
    MULTILINE_OK,
    NEG_TZ,
    PLAIN_SID_START,
    SID,
    UCS2,
    UDL_LIES,
    split_pdu,
)
from fault.fault_world import FaultWorld, make_pdu
from fault.fixed_reply_runner import FixedReplyRunner

CHARACTERS = re.compile(rb"\+CSCS: \(.*\)\r\n")
"""The response to +CSCS=?."""


def offer_charsets(world, *names):
    """Let the module offer only these character sets."""
    offered = ",".join(f'"{name}"' for name in names)
    world.interceptor.rewrite(r"AT\+CSCS=\?", CHARACTERS, f"+CSCS: ({offered})\r\n".encode(), times=0)


def store_shown_as(world, body, *, length="", header='"REC UNREAD","000",,"26/11/21,22:30:00+00"', coding=0):
    """Put a message into slot 7 that text mode shows like this, and announce it."""
    world.store_pdu(7, make_pdu("x"))
    details = f',129,4,0,{coding},"+15550001234",145,{length}' if length != "" else ""
    response = f"\r\n+CMGR: {header}{details}\r\n".encode("latin-1") + body + b"\r\n\r\nOK\r\n"
    world.interceptor.answer(r"AT\+CMGR=7", response, times=0)
    world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",7\r\n')


# F40


async def test_f40_message_of_several_lines_is_one_command(tmp_path, message_format):
    """Lines that look like results or URCs are part of the text, and no other slot is read."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(MULTILINE_OK)
        await world.advance(10)
        assert world.executed == ['set 1\r\nOK\r\n+CMTI: "SM",9\r\nend']
        assert world.interceptor.commands_matching(r"AT\+CMGR=9") == []
        assert world.stored_indices() == []


LINES = [
    "set 1\r\nsecond line\r\n\r\nthird",
    "one\ntwo",
    "one\rtwo",
    "\r\nOK\r\n",
    "a\r\n> ",
    "OK\r\n\r\nERROR\r\n",
]


@pytest.mark.parametrize("text", LINES)
@pytest.mark.parametrize("charset", ["UCS2", "GSM"])
@pytest.mark.parametrize("message_format", ["text"])
async def test_f40_text_mode_length_keeps_line_ends(tmp_path, message_format, charset, text):
    """In text mode <length> delimits the text, so line ends stay as they are."""
    async with FaultWorld(tmp_path, message_format) as world:
        offer_charsets(world, charset)
        await world.start_and_settle()
        body = text.encode("utf-16-be").hex().upper() if charset == "UCS2" else text
        store_shown_as(world, body.encode(), length=len(text))
        await world.advance(10)
        assert world.executed == [text]
        assert world.stored_indices() == []
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed[1:] == ["led on"]


@pytest.mark.deviation(
    "Text mode needs +CSDH=1 and <length>: a message without <length> is kept and shown, not executed."
)
@pytest.mark.parametrize("message_format", ["text"])
async def test_f40_text_mode_without_length_is_not_executed(tmp_path, message_format):
    """If the module shows no <length> despite +CSDH=1, no part of the text is executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        offer_charsets(world, "GSM", "IRA")
        await world.start_and_settle()
        store_shown_as(world, b"set 1\r\nsecond line\r\n\r\nthird")
        await world.advance(60)
        assert world.executed == []
        assert len(world.events_of_kind("ignored")) == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]


# F41


async def test_f41_json_with_braces_is_received(tmp_path, message_format):
    """JSON that uses the extension table arrives unchanged, and the SID at its end is found."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(JSON_SID_END)
        await world.advance(10)
        assert world.executed == ['{"led":[1,2],"k":"a_b@c$"}']
        assert world.query_journal("SELECT sid FROM commands") == [(SID,)]


@pytest.mark.parametrize("charset", ["UCS2", "HEX", "GSM", "IRA"])
@pytest.mark.parametrize("text", ['{"led":[1,2],"k":"a_b@c$"}', "[]{}\\^|~€", "{" * 80])
@pytest.mark.parametrize("message_format", ["text"])
async def test_f41_extension_table_in_every_character_set(tmp_path, message_format, charset, text):
    """In text mode these characters arrive unchanged if the module's character set has them."""
    async with FaultWorld(tmp_path, message_format) as world:
        offer_charsets(world, charset)
        await world.start_and_settle()
        world.deliver_pdu(make_pdu(text))
        await world.advance(10)
        assert world.executed == [text if charset != "IRA" else text.replace("€", "?")]


@pytest.mark.parametrize(("text", "septets"), [('{"ok":true}', 13), ("[~|^\\€]", 14), ("{}" * 40, 160)])
async def test_f41_extension_characters_count_two_septets_when_sent(tmp_path, message_format, text, septets):
    """A reply that just fits is sent unchanged in one message."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, text)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        (submit,) = world.module.log.submitted_tpdus
        sent = pdu.decode(submit.hex(), direction="mo", sca=False)
        assert sent.text == text
        assert sent.user_data.length == septets


# F49


@pytest.mark.parametrize("pdu", [BADTS_ZERO, BADTS_MONTH], ids=["zero", "month"])
async def test_f49_invalid_timestamp_does_not_deduplicate(tmp_path, message_format, pdu):
    """The message is executed, its time is unknown, and it is not used to detect duplicates."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(pdu)
        await world.advance(10)
        world.deliver_pdu(pdu)
        world.deliver_pdu(make_pdu("blink 1"))
        await world.advance(10)
        assert world.executed.count("led on") == 2
        assert world.executed.count("blink 1") == 1
        assert world.query_journal("SELECT timestamp FROM commands WHERE body = 'led on'") == [
            (None,),
            (None,),
        ]
        assert world.sent_bodies.count("did led on") == 2


async def test_f49_sid_deduplicates_without_timestamp(tmp_path, message_format):
    """The SID detects the duplicate."""
    message = make_pdu(f"{SID} led on", timestamp="00/00/00,00:00:00+00")
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for _ in range(2):
            world.deliver_pdu(message)
            await world.advance(10)
        assert world.executed == ["led on"]
        assert len(world.events_of_kind("duplicate")) == 1


async def test_f49_time_zones_in_quarter_hours(tmp_path, message_format):
    """The zone is in quarters of an hour, with the sign in bit 3."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(NEG_TZ)
        world.deliver_pdu(make_pdu("blink 32", timestamp="26/11/21,22:30:00+32"))
        world.deliver_pdu(make_pdu("blink 35", timestamp="26/11/21,22:30:00+35"))
        await world.advance(10)
        assert world.query_journal("SELECT body, timestamp FROM commands ORDER BY body") == [
            ("blink 32", "2026-11-21T22:30:00+08:00"),
            ("blink 35", "2026-11-21T22:30:00+08:45"),
            ("led on", "2026-11-21T22:30:00-07:00"),
        ]


TEXT_TIMESTAMPS = {
    "26/11/21,22:30:00-28": "2026-11-21T22:30:00-07:00",
    "26/11/21,22:30:00+32": "2026-11-21T22:30:00+08:00",
    "00/00/00,00:00:00+00": None,
    "26/13/21,22:30:00+00": None,
    "26/02/30,22:30:00+00": None,
    "26/11/21,24:30:00+00": None,
    "26/11/21,22:60:00+00": None,
    "FF/FF/FF,FF:FF:FF+7F": None,
    "26/11/21,22:30:00": None,
    "": None,
    "2026/11/21,22:30:00+00": "2026-11-21T22:30:00+00:00",
    "26/11/21,22:30:00+4": "2026-11-21T22:30:00+01:00",
    "04/01/01,00:00:00+00": "2004-01-01T00:00:00+00:00",
}


@pytest.mark.parametrize(("shown", "timestamp"), TEXT_TIMESTAMPS.items())
@pytest.mark.parametrize("message_format", ["text"])
async def test_f49_text_mode_timestamps(tmp_path, message_format, shown, timestamp):
    """A valid timestamp is stored. An invalid one is stored as unknown, and the message is executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        offer_charsets(world, "GSM")
        await world.start_and_settle()
        store_shown_as(world, b"led on", length=6, header=f'"REC UNREAD","000",,"{shown}"')
        await world.advance(10)
        assert world.executed == ["led on"]
        assert world.query_journal("SELECT timestamp FROM commands") == [(timestamp,)]
        assert world.stored_indices() == []


async def test_f49_messages_without_timestamp_come_last_in_a_sweep(tmp_path, message_format):
    """Messages without a valid timestamp are executed last, in the order of their slots."""
    async with FaultWorld(tmp_path, message_format) as world:
        for slot, (text, timestamp) in enumerate(
            [("1", "00/00/00,00:00:00+00"), ("2", "26/11/21,22:30:02+00"), ("3", "26/13/21,22:30:00+00")], 1
        ):
            world.store_pdu(slot, make_pdu(f"blink {text}", timestamp=timestamp))
        world.store_pdu(4, make_pdu("blink 4", timestamp="26/11/21,22:30:01+00"))
        await world.start_and_settle()
        assert world.executed == ["blink 4", "blink 2", "blink 1", "blink 3"]


# F59


@pytest.mark.parametrize("message_format", ["text"])
async def test_f59_control_octets_of_the_gsm_alphabet(tmp_path, message_format):
    """With +CSCS="GSM" the octets 00, 11 and 02 are characters, not NUL, XON or noise."""
    async with FaultWorld(tmp_path, message_format) as world:
        offer_charsets(world, "GSM")
        await world.start_and_settle()
        store_shown_as(world, bytes.fromhex("611162006302"), length=6)
        await world.advance(10)
        assert world.executed == ["a_b@c$"]


GSM_CHARACTERS = [chr(number) for number in range(0x20, 0x7F)] + list(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà€"
)


@pytest.mark.parametrize("charset", ["UCS2", "HEX", "GSM"])
async def test_f59_every_gsm_character_round_trips(tmp_path, message_format, charset):
    """Every character of the alphabet and its extension arrives and is answered unchanged."""
    characters = "".join(character for character in GSM_CHARACTERS if pdu.septets(character) is not None)
    texts = ["blink " + characters[at : at + 60] for at in range(0, len(characters), 60)]
    texts += ["blink @", "blink @@@@@@@@", "blink @@@@@@@@@ ", "blink \x11\x13"[:6] + "ΔΓ_"]
    async with FaultWorld(tmp_path, message_format) as world:
        offer_charsets(world, charset)
        await world.start_and_settle()
        for number, text in enumerate(texts):
            world.deliver_pdu(make_pdu(text, timestamp=f"26/11/21,22:30:{number:02}+00"))
        await world.advance(100)
        assert world.executed == texts
        assert world.sent_bodies == [f"did {text}" for text in texts]


@pytest.mark.real_time
async def test_f59_serial_port_passes_every_octet(tmp_path):
    """XON, XOFF, NUL, CR and LF pass a real port unchanged: no flow control, no translation."""
    master, slave = pty.openpty()
    received = asyncio.Queue()

    class Reader:
        def data_received(self, data):
            received.put_nowait(data)

        def connection_lost(self, reason):
            received.put_nowait(reason.encode())

    connection = await open_serial(os.ttyname(slave), 115200, Reader())
    try:
        flags = termios.tcgetattr(slave)[0]
        assert not flags & (termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.ISTRIP)
        octets = bytes(range(256))
        os.write(master, octets)
        got = b""
        async with asyncio.timeout(10):
            while len(got) < len(octets):
                got += await received.get()
        assert got == octets
    finally:
        connection.close()
        await connection.wait_closed()
        os.close(master)
        os.close(slave)


async def test_f59_at_underscore_and_dollar_in_one_message(tmp_path, message_format):
    """`@`, `_` and `$` arrive and are answered unchanged."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("a_b@c$"))
        await world.advance(10)
        assert world.executed == ["a_b@c$"]
        assert world.sent_bodies == ["did a_b@c$"]


# F60


VALID_PDU = PLAIN_SID_START
INVALID_PDUS = {
    "odd number of digits": VALID_PDU[:-1],
    "not hexadecimal": VALID_PDU[:40] + "ZZ" + VALID_PDU[42:],
    "nothing hexadecimal": "ZZ" * 51,
    "40 octets of 51": VALID_PDU[: 2 * (8 + 40)],
    "SCA length FF": "FF" + VALID_PDU[2:],
    "SCA length 0C": "0C" + VALID_PDU[2:],
    "400 octets": VALID_PDU + "00" * (400 - len(VALID_PDU) // 2),
    "nothing but FF": "FF" * 59,
    "nothing but 00": "00" * 59,
    "one octet": "07",
    "truncated address": "07915155001032F404FF8100F0",
}


@pytest.mark.parametrize("line", INVALID_PDUS.values(), ids=INVALID_PDUS)
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f60_undecodable_pdu_is_kept_raw(tmp_path, message_format, line):
    """It is stored as received, deleted once and not executed. Messages before and after it are executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, make_pdu("blink 1"))
        world.store_pdu(2, PLAIN_SID_START)
        world.store_pdu(3, make_pdu("blink 3"))
        world.interceptor.rewrite("AT.*", PLAIN_SID_START.encode(), line.encode(), times=0)
        await world.start_and_settle(30)
        assert world.executed == ["blink 1", "blink 3"]
        assert world.query_journal("SELECT raw FROM ignored") == [(line,)]
        assert world.stored_indices() == []
        assert len(world.interceptor.commands_matching(r"AT\+CMGD=2")) == 1
        world.current_run.kill("SIGKILL")
        await world.start_and_settle()
        assert world.query_journal("SELECT count(*) FROM ignored") == [(1,)]
        assert world.connection.session_count == 1


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f60_user_data_length_beyond_the_data_is_an_error(tmp_path, message_format):
    """40 septets are declared and 6 are present: the message is kept raw and not executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("blink 1"))
        world.store_pdu(5, UDL_LIES)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",5\r\n')
        await world.advance(30)
        assert world.executed == ["blink 1"]
        assert world.query_journal("SELECT raw FROM ignored") == [(UDL_LIES,)]
        assert world.stored_indices() == []


@pytest.mark.deviation("<dangling_esc> and <badts_month> are decoded, not quarantined.")
async def test_f60_trailing_escape_is_decoded_as_a_space(tmp_path, message_format):
    """The rest of the text is kept."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(DANGLING_ESC)
        await world.advance(10)
        assert world.executed == ["led on "]


async def test_f60_longest_single_message_is_decoded(tmp_path, message_format):
    """All 160 septets are decoded."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(MAX160)
        await world.advance(10)
        assert world.executed == ["0123456789" * 16]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f60_mutated_pdus_do_not_stop_reception(tmp_path, message_format):
    """Each of a hundred mutated PDUs is kept or executed, and the next valid message is executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in range(100):
            digits = list(world.rng.choice([PLAIN_SID_START, JSON_SID_END, BIN_CLASS0_F4, UCS2]))
            for _ in range(world.rng.randint(1, 6)):
                match world.rng.randrange(3):
                    case 0:
                        digits[world.rng.randrange(len(digits))] = world.rng.choice("0123456789ABCDEF")
                    case 1:
                        del digits[world.rng.randrange(len(digits))]
                    case 2:
                        digits.insert(world.rng.randrange(len(digits)), world.rng.choice("0F8"))
            line = "".join(digits)
            response = f"\r\n+CMGR: 0,,{len(line) // 2 - 8}\r\n{line}\r\n\r\nOK\r\n".encode()
            world.store_pdu(9, make_pdu("x"))
            rule = world.interceptor.answer(r"AT\+CMGR=9", response, times=0)
            world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",9\r\n')
            await world.advance(3)
            world.interceptor.clear_rules()
            assert rule.applied >= 1
            assert world.stored_indices() == [], (number, line)
        world.deliver_pdu(make_pdu("blink 1"))
        await world.advance(700)
        assert world.executed[-1] == "blink 1"
        assert world.connection.session_count == 1


# F67


async def test_f67_ucs2_message_with_sid(tmp_path, message_format):
    """Typographic quotes arrive unchanged, and the SID is found."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(UCS2)
        await world.advance(10)
        assert world.executed == ["set “on”"]
        assert world.query_journal("SELECT sid FROM commands") == [(SID,)]


@pytest.mark.parametrize("sid", ["start", "end"])
@pytest.mark.parametrize("text", ["blink 😀👍", "日本語 ok"])
async def test_f67_sid_in_ucs2_at_either_end(tmp_path, message_format, text, sid):
    """The SID is found at the start and at the end of a UCS-2 text."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu({"start": f"{SID} {text}", "end": f"{text} {SID}"}[sid]))
        await world.advance(10)
        assert world.executed == [text]
        assert world.query_journal("SELECT sid FROM commands") == [(SID,)]


@pytest.mark.parametrize("text", ["😀", "Привет", "a\U0010ffff", "é\u0301", "\ufeffled"])
async def test_f67_surrogate_pairs_are_one_character(tmp_path, message_format, text):
    """UCS-2 texts arrive unchanged."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu(text))
        await world.advance(10)
        assert world.executed == [text]


# F68


CLASS_0_PDUS = {"F0": FLASH_F0, "10": CLASS0_10}


@pytest.mark.parametrize("pdu", CLASS_0_PDUS.values(), ids=CLASS_0_PDUS)
async def test_f68_class_0_is_delivered_directly(tmp_path, message_format, pdu):
    """A class 0 message arrives by +CMT although +CNMI requests storing, and is executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(pdu)
        await world.advance(10)
        assert world.executed == ["flash"]
        assert world.interceptor.commands_matching(r"AT\+CNMA.*") != []


@pytest.mark.parametrize("header", ["+CMT: ,20", '+CMT: "",20', "+CMT:,20", "+CMT: 20", '+CMT: "Ops",20'])
@pytest.mark.parametrize("pdu", CLASS_0_PDUS.values(), ids=CLASS_0_PDUS)
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f68_unexpected_cmt_headers_are_accepted(tmp_path, message_format, pdu, header):
    """A direct delivery that was not requested is executed, whatever the form of its header."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.send_to_agent(f"\r\n{header}\r\n{pdu}\r\n".encode())
        await world.advance(10)
        assert world.executed == ["flash"]
        assert world.sent_bodies == ["did flash"]


async def test_f68_binary_class_0(tmp_path, message_format):
    """DCS F4 is 8-bit data, whatever the class."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(BIN_CLASS0_F4)
        await world.advance(10)
        assert world.executed == [bytes.fromhex("000102FE")]


CODING_GROUPS = {
    **dict.fromkeys((0x00, 0x13, 0x40, 0xC8, 0xD0, 0xF3), "GSM"),
    **dict.fromkeys((0x04, 0x17, 0xF7), "8 bit"),
    **dict.fromkeys((0x08, 0x1B, 0xE0), "UCS-2"),
    **dict.fromkeys((0x0C, 0x80, 0xBF), "reserved"),
}
DATA = {"GSM": "E8329BFD06", "8 bit": "68656C6C6F", "UCS-2": "00680065006C006C006F", "reserved": "E8329BFD06"}


@pytest.mark.deviation("Reserved data codings are read as GSM 7-bit (23.038 4), not quarantined.")
@pytest.mark.parametrize("coding", CODING_GROUPS, ids=lambda coding: f"{coding:02X}")
async def test_f68_data_coding_groups(tmp_path, message_format, coding):
    """Each coding group of 23.038 clause 4 is decoded."""
    data = DATA[CODING_GROUPS[coding]]
    length = {"GSM": 5, "8 bit": 5, "UCS-2": 10, "reserved": 5}[CODING_GROUPS[coding]]
    raw = f"07915155001032F404038100F000{coding:02X}62111222030000{length:02X}{data}"
    assert len(split_pdu(raw)[0]) == 15 + len(data) // 2
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.store_pdu(6, raw)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",6\r\n')
        await world.advance(10)
        assert world.executed == [b"hello" if CODING_GROUPS[coding] == "8 bit" else "hello"]
        assert world.stored_indices() == []
