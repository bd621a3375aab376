"""One message that cannot be read, among others that can."""

import re

import pytest

from fault import catalogue
from fault.catalogue import UDL_LIES
from fault.fault_world import FaultWorld, make_pdu

PLACEHOLDER = make_pdu("placeholder", timestamp="26/11/21,22:30:30+00")
"""Stands in the slot; what the module shows of it is changed on the line."""
SHOWN = {
    "pdu": re.compile(rb"\d+\r\n" + PLACEHOLDER.encode()),
    "text": re.compile(rb"\d+\r\n" + "placeholder".encode("utf-16-be").hex().upper().encode()),
}
"""Its length, and itself."""

UNREADABLE = {
    "not hexadecimal": b"33\r\nZZ..",
    "not hexadecimal, as long as it says": b"33\r\n" + b"Z" * 82,
    "odd": b"29\r\n" + PLACEHOLDER[:-1].encode(),
    "cut off": b"29\r\n" + PLACEHOLDER[:30].encode(),
    "an address of 255 octets": b"29\r\nFF" + PLACEHOLDER[2:].encode(),
    "a submit": b"29\r\n" + (PLACEHOLDER[:16] + "05" + PLACEHOLDER[18:]).encode(),
    "user data that are not there": b"21\r\n" + UDL_LIES.encode(),
    "octets that are no text": b"29\r\n\x80\xfe\x00\x81",
}


def settled(scene, *carried_out):
    """The good ones were handled, the stores are empty."""
    assert scene.executed == list(carried_out)
    assert scene.stored_indices() == []


@pytest.mark.deviation(
    "The design holds (a lone ESC reads as a space, a date that is none is unknown): `badts_month` and"
    " `dangling_esc` are decoded and carried out, not quarantined."
)
@pytest.mark.parametrize("poison", ["BADTS_MONTH", "DANGLING_ESC", "BADTS_ZERO"])
@pytest.mark.parametrize("told", ["at the start", "by +CMTI"])
async def test_f04_what_others_cannot_read_is_read(tmp_path, message_format, poison, told):
    """Month 13, no date at all, a lone ESC at the end: all three messages are handled."""
    async with FaultWorld(tmp_path, message_format) as scene:
        if told == "by +CMTI":
            await scene.start_and_settle()
        scene.store_pdu(1, make_pdu("led 1"))
        scene.store_pdu(2, getattr(catalogue, poison))
        scene.store_pdu(3, make_pdu("led 3", timestamp="26/11/21,22:31:00+00"))
        if told == "by +CMTI":
            scene.interceptor.send_to_agent(
                b"".join(b'\r\n+CMTI: "ME",%d\r\n' % index for index in (1, 2, 3))
            )
            await scene.advance(20)
        else:
            await scene.start_and_settle()
        text = "led on " if poison == "DANGLING_ESC" else "led on"
        assert sorted(scene.executed) == ["led 1", "led 3", text]
        assert scene.query_journal("SELECT count(*) FROM ignored") == [(0,)]
        assert scene.stored_indices() == []


@pytest.mark.parametrize("poison", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("told", ["at the start", "by +CMTI"])
async def test_f04_what_cannot_be_read_stops_nobody(tmp_path, message_format, poison, told):
    """1 and 3 are handled; 2 is kept raw, told once, deleted; a restart changes nothing."""
    async with FaultWorld(tmp_path, message_format) as scene:
        if told == "by +CMTI":
            await scene.start_and_settle()
        scene.interceptor.rewrite(r"AT\+CMG[LR].*", SHOWN[message_format], poison, times=0)
        scene.store_pdu(1, make_pdu("led 1"))
        scene.store_pdu(2, PLACEHOLDER)
        scene.store_pdu(3, make_pdu("led 3", timestamp="26/11/21,22:31:00+00"))
        if told == "by +CMTI":
            scene.interceptor.send_to_agent(
                b"".join(b'\r\n+CMTI: "ME",%d\r\n' % index for index in (1, 2, 3))
            )
            await scene.advance(120)
        else:
            await scene.start_and_settle(120)
        strays = scene.query_journal("SELECT raw FROM ignored")
        settled(scene, "led 1", "led 3")
        assert len(strays) == 1
        assert len([line for line in scene.log_lines() if line.startswith("ignored")]) == 1
        if message_format == "pdu" and poison.isascii():
            assert strays == [(poison.partition(b"\r\n")[2].decode(),)]
        await scene.current_run.stop()
        await scene.start_and_settle()
        settled(scene, "led 1", "led 3")
        assert scene.query_journal("SELECT raw FROM ignored") == strays


async def test_f04_a_store_full_of_it_still_receives(tmp_path, message_format):
    """Each is one stray, none eats its slot for ever."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.rewrite(
            r"AT\+CMG[LR].*", SHOWN[message_format], UNREADABLE["not hexadecimal"], times=0
        )
        for index in range(1, 21):
            scene.store_pdu(index, PLACEHOLDER)
        scene.interceptor.send_to_agent(b"\r\n+SMS FULL\r\n")
        await scene.advance(3600)
        assert scene.stored_indices() == []
        scene.deliver_pdu(make_pdu("led 7"))
        await scene.advance(20)
        assert scene.executed == ["led 7"]
