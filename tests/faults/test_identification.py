"""F131: the lines of an answer of free text, whatever they begin with."""

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld

HUAWEI = (
    b"\r\nManufacturer: X\r\nModel: Y\r\nRevision: Z\r\nIMEI: 359072060000017\r\n+GCAP: +CGSM\r\n\r\nOK\r\n"
)
IDENTIFICATIONS = {
    "capabilities": HUAWEI,
    "capabilities first": b"\r\n+GCAP: +CGSM,+FCLASS,+DS\r\nModel: Y\r\n\r\nOK\r\n",
    "each line with a name": (
        b'\r\n+CGMI: "X"\r\n+CGMM: "Y"\r\n+CGMR: Z\r\n+CGSN: 359072060000017\r\n\r\nOK\r\n'
    ),
    "names of V.250": b"\r\n+GMI: X\r\n+GMM: Y\r\n+GMR: Z\r\n+GSN: 359072060000017\r\n\r\nOK\r\n",
    "names of a vendor": b"\r\n^HWVER: 1\r\n$QCVER: 2\r\n%VER: 3\r\n!SKU: 4\r\n\r\nOK\r\n",
}


@pytest.mark.parametrize("profile", ["auto", "generic"])
@pytest.mark.parametrize("answer", IDENTIFICATIONS.values(), ids=IDENTIFICATIONS)
async def test_f131_lines_with_names_are_the_answer(tmp_path, message_format, answer, profile):
    """No line of the answers to ATI, +CGMI, +CGMM and +CGMR is taken for the answer to another program."""
    tables = {"modem": {"profile": profile, "message_format": message_format}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        for command in ("ATI", r"AT\+CGM[IMR]"):
            world.interceptor.answer(command, answer, times=0)
        await world.start_and_settle(120)
        assert world.events_of_kind("port conflict") == []
        lines = await world.modem.execute_at("ATI")
        assert lines == answer.decode().split("\r\n")[1:-3]
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(60)
        assert world.executed == ["led on"]
        assert world.events_of_kind("port conflict") == []


@pytest.mark.parametrize("urc", ['+CMTI: "ME",1', "+CREG: 5", "RING", '+QIND: "smsfull","ME"'])
async def test_f131_urc_inside_an_identification_stays_a_urc(tmp_path, message_format, urc):
    """What the agent knows as a URC is no part of the answer."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.insert("ATI", "after header", urc.encode() + b"\r\n")
        assert await world.modem.execute_at("ATI") == ["Simulated", "Generic", "Revision: 1.0"]
        if urc.startswith("+CREG"):
            assert world.modem.status.registration.circuit == 5


async def test_f131_notification_inside_an_identification_is_followed(tmp_path, message_format):
    """A message that is announced between two lines of the answer is handled at once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.store_pdu(1, PLAIN_SID_START)
        world.interceptor.insert("ATI", "after header", b'+CMTI: "ME",1\r\n')
        await world.modem.execute_at("ATI")
        await world.advance(2)
        assert world.executed == ["led on"]


@pytest.mark.parametrize("device", ["sim7600", "huawei_e3372_stick", "huawei_me909u", "wp76xx"])
async def test_f131_simulated_modules_name_their_capabilities(tmp_path, message_format, device):
    """The simulated modules answer ATI as their makers' manuals show it, and no alarm comes of it."""
    async with FaultWorld(tmp_path, message_format, device=device) as world:
        await world.start_and_settle(60)
        assert any(line.startswith("+GCAP: ") for line in await world.modem.execute_at("ATI"))
        assert world.events_of_kind("port conflict") == []


async def test_f131_identity_is_found_among_other_lines(tmp_path, message_format):
    """A number is found by its form, and a name is that of its own line."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(
            r"AT\+CGSN", b"\r\nIMEI: 35-907206-000001-7\r\n+GCAP: +CGSM\r\n\r\nOK\r\n", times=0
        )
        world.interceptor.answer(
            r"AT\+CGMM", b"\r\n^RSSI: 12\r\n+GCAP: +CGSM\r\nME909s\r\n\r\nOK\r\n", times=0
        )
        await world.start_and_settle()
        identity = await world.modem.query_identity()
        assert (identity.imei, identity.model) == ("359072060000017", "ME909s")
