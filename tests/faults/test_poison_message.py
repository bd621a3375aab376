"""F04: an unreadable message among readable ones."""

import re

import pytest

from fault import catalogue
from fault.catalogue import UDL_LIES
from fault.fault_world import FaultWorld, make_pdu

PLACEHOLDER = make_pdu("placeholder", timestamp="26/11/21,22:30:30+00")
"""The message in the slot. The interceptor replaces it in the response."""
SHOWN_PLACEHOLDER = {
    "pdu": re.compile(rb"\d+\r\n" + PLACEHOLDER.encode()),
    "text": re.compile(rb"\d+\r\n" + "placeholder".encode("utf-16-be").hex().upper().encode()),
}
"""The length and the PDU or text of the placeholder in a response."""

UNREADABLE = {
    "not hexadecimal": b"33\r\nZZ..",
    "not hexadecimal, length as declared": b"33\r\n" + b"Z" * 82,
    "odd": b"29\r\n" + PLACEHOLDER[:-1].encode(),
    "cut off": b"29\r\n" + PLACEHOLDER[:30].encode(),
    "an address of 255 octets": b"29\r\nFF" + PLACEHOLDER[2:].encode(),
    "a submit": b"29\r\n" + (PLACEHOLDER[:16] + "05" + PLACEHOLDER[18:]).encode(),
    "missing user data": b"21\r\n" + UDL_LIES.encode(),
    "octets that are not text": b"29\r\n\x80\xfe\x00\x81",
}


def assert_all_processed(world, *executed):
    """Check that exactly these Commands were executed and the store is empty."""
    assert world.executed == list(executed)
    assert world.stored_indices() == []


@pytest.mark.deviation(
    "`badts_month` and `dangling_esc` are decoded and executed, not quarantined: a trailing ESC is a space,"
    " an invalid date is unknown."
)
@pytest.mark.parametrize("fixture", ["BADTS_MONTH", "DANGLING_ESC", "BADTS_ZERO"])
@pytest.mark.parametrize("read", ["at the start", "by +CMTI"])
async def test_f04_messages_with_bad_timestamp_or_escape_are_executed(
    tmp_path, message_format, fixture, read
):
    """An invalid timestamp or a trailing escape does not stop the message or its neighbours."""
    async with FaultWorld(tmp_path, message_format) as world:
        if read == "by +CMTI":
            await world.start_and_settle()
        world.store_pdu(1, make_pdu("led 1"))
        world.store_pdu(2, getattr(catalogue, fixture))
        world.store_pdu(3, make_pdu("led 3", timestamp="26/11/21,22:31:00+00"))
        if read == "by +CMTI":
            world.interceptor.send_to_agent(
                b"".join(b'\r\n+CMTI: "ME",%d\r\n' % index for index in (1, 2, 3))
            )
            await world.advance(20)
        else:
            await world.start_and_settle()
        text = "led on " if fixture == "DANGLING_ESC" else "led on"
        assert sorted(world.executed) == ["led 1", "led 3", text]
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]
        assert world.stored_indices() == []


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("read", ["at the start", "by +CMTI"])
async def test_f04_unreadable_message_does_not_block_others(tmp_path, message_format, unreadable, read):
    """It is kept raw, logged once and deleted. A restart changes nothing."""
    async with FaultWorld(tmp_path, message_format) as world:
        if read == "by +CMTI":
            await world.start_and_settle()
        world.interceptor.rewrite(r"AT\+CMG[LR].*", SHOWN_PLACEHOLDER[message_format], unreadable, times=0)
        world.store_pdu(1, make_pdu("led 1"))
        world.store_pdu(2, PLACEHOLDER)
        world.store_pdu(3, make_pdu("led 3", timestamp="26/11/21,22:31:00+00"))
        if read == "by +CMTI":
            world.interceptor.send_to_agent(
                b"".join(b'\r\n+CMTI: "ME",%d\r\n' % index for index in (1, 2, 3))
            )
            await world.advance(120)
        else:
            await world.start_and_settle(120)
        ignored_rows = world.query_journal("SELECT raw FROM ignored")
        assert_all_processed(world, "led 1", "led 3")
        assert len(ignored_rows) == 1
        assert len([line for line in world.log_lines() if line.startswith("ignored")]) == 1
        if message_format == "pdu" and unreadable.isascii():
            assert ignored_rows == [(unreadable.partition(b"\r\n")[2].decode(),)]
        await world.current_run.stop()
        await world.start_and_settle()
        assert_all_processed(world, "led 1", "led 3")
        assert world.query_journal("SELECT raw FROM ignored") == ignored_rows


async def test_f04_store_full_of_unreadable_messages_is_emptied(tmp_path, message_format):
    """Each is stored as ignored and deleted, so new messages find room."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.rewrite(
            r"AT\+CMG[LR].*", SHOWN_PLACEHOLDER[message_format], UNREADABLE["not hexadecimal"], times=0
        )
        for index in range(1, 21):
            world.store_pdu(index, PLACEHOLDER)
        world.interceptor.send_to_agent(b"\r\n+SMS FULL\r\n")
        await world.advance(3600)
        assert world.stored_indices() == []
        world.deliver_pdu(make_pdu("led 7"))
        await world.advance(20)
        assert world.executed == ["led 7"]
