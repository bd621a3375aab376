"""F117 F118 F119 F121: stores, numbers and strings in the forms that modules use."""

import re

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, changed_module, make_pdu

# F119


REGISTRATIONS = {
    "padded": "000,001",
    "one padded": "0,001",
    "padded to four": "0000,0001",
    "quoted": '"0","1"',
    "state quoted": '0,"1"',
    "blanks": " 0 , 1 ",
    "blanks in quotes": '" 0 "," 1 "',
    "without <n>": "1",
    "empty <n>": ",1",
    "area, padded": '002,001,"1A2B","0012C0DE",007',
    "area, padded to four": '0002,0001,"1A2B","0012C0DE",7',
    "area without quotes, padded": "0002,0001,1A2B,0012C0DE,7",
    "area, quoted": '"2","1","1A2B","0012C0DE","7"',
    "area without <n>": '1,"1A2B","0012C0DE",7',
}


@pytest.mark.parametrize("values", REGISTRATIONS.values(), ids=REGISTRATIONS)
async def test_f119_registration_in_odd_numbers(tmp_path, message_format, values):
    """The module is registered at home, and the reply leaves."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CREG\?", f"\r\n+CREG: {values}\r\n\r\nOK\r\n".encode(), times=0)
        world.interceptor.answer(r"AT\+C(G|E)REG\?", b"\r\nERROR\r\n", times=0)
        await world.start_and_settle()
        assert world.modem.status.registration.circuit == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.sent_bodies == ["did led on"]
        assert (await world.modem.query_registration()).circuit == 1
        queries = world.interceptor.commands_matching(r"AT\+(CMEE|CMGF|CSCS|CSMS|CREG)\?")
        assert queries[-1] == "AT+CREG?"  # it was not followed by a resynchronisation


@pytest.mark.parametrize(
    ("urc", "state"),
    [
        ("+CREG: 005", 5),
        ('+CREG: "5"', 5),
        ('+CREG: 005,"0012","0012C0DE",7', 5),
        ("+CREG: 5,0012,0012C0DE", 5),
        ('+CREG: "5","1A2B","0012C0DE"', 5),
    ],
)
@pytest.mark.parametrize("position", ["before header", "after header"])
async def test_f119_registration_urc_beside_the_answer(tmp_path, urc, state, position):
    """A URC with the name of the answer stays a URC, in whatever order they come."""
    async with FaultWorld(tmp_path) as world:
        await world.start_and_settle()
        urcs = []
        handle = world.modem._urc_handler._interpret_urc
        world.modem._urc_handler._interpret_urc = lambda each: urcs.append(each.text) or handle(each)
        lines = [urc, "+CREG: 001,001"] if position == "before header" else ["+CREG: 001,001", urc]
        world.interceptor.answer(r"AT\+CREG\?", ("\r\n" + "\r\n".join(lines) + "\r\n\r\nOK\r\n").encode())
        assert (await world.modem.query_registration()).circuit == 1
        assert urcs == [urc]


STYLES = ["padded", "spaced", "quoted"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("cnmi", ["stored", "direct"])
async def test_f119_module_that_writes_all_numbers_so(tmp_path, message_format, style, cnmi):
    """Set-up, sweeps, notifications, direct deliveries, replies and reports work; nothing is set up twice."""
    changes = {} if cnmi == "stored" else {"cnmi_allowed": ((0, 1, 2, 3), (0, 2), (0,), (0, 1, 2), (0, 1))}
    device = changed_module(number_style=style, **changes)
    tables = {"service": {"status_reports": True}}
    async with FaultWorld(tmp_path, message_format, device=device, tables=tables) as world:
        world.store_pdu(2, make_pdu("led 1"))
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(600)
        world.deliver_pdu(make_pdu("led 3"))
        await world.advance(60)
        assert world.executed == ["led 1", "led 2", "led 3"]
        assert world.sent_bodies == ["did led 1", "did led 2", "did led 3"]
        assert {state for state, _ in world.replies} == {"delivered"}
        assert world.stored_indices() == world.stored_indices("SR") == []
        assert len(world.events_of_kind("session")) == 1
        signal = await world.modem.query_signal()
        assert signal.dbm is not None
        if cnmi == "stored":
            assert world.modem.is_notifying
            assert world.modem.status.store_usage[0][1:] == (1, 20)


@pytest.mark.parametrize("error", ["+CMS ERROR: 0038", '+CMS ERROR: "38"', "+CMS ERROR:  38 "])
async def test_f119_error_numbers(tmp_path, message_format, error):
    """A refusal that may pass is retried, however its number is written."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        result = re.compile(rb"\r\n\+CMGS: .*OK\r\n", re.DOTALL)
        world.interceptor.rewrite(r"AT\+CMGS=.*", result, f"\r\n{error}\r\n".encode())
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        [(state, reason)] = world.query_journal("SELECT state, reason FROM replies")
        assert state == "queued"
        assert "network out of order" in reason
