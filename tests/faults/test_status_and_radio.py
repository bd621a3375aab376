"""F132 F135: what `status` shows, a radio that somebody switched off, and AT commands of lasting effect."""

import re

import pytest

from agent.daemon.control_socket import ControlError
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu

HOUR = 3600


def radio_lines(world):
    return [str(event) for event in world.events_of_kind("recovery") if "CFUN" in str(event)]


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "silent"])
@pytest.mark.parametrize("functionality", [0, 4])
async def test_f135_radio_is_switched_on_again(tmp_path, message_format, functionality, announced):
    """The queued reply and the next Command go through; the log has one line. A module may report nothing."""
    async with FaultWorld(tmp_path, message_format) as world:
        if not announced:
            world.module.faults.add("code-lost:command=+CREG,times=0")
            world.module.faults.add("code-lost:command=+CGREG,times=0")
            world.module.faults.add("code-lost:command=+CEREG,times=0")
        await world.start_and_settle(100)
        world.module.faults.add(f"radio-off:fun={functionality}")
        assert world.module.power.functionality == functionality
        await world.advance(20 if announced else 330)
        assert world.module.power.functionality == 1
        assert radio_lines(world) == [
            "recovery: another program has switched its radio off: switch it on again (AT+CFUN=1)"
        ]
        await world.advance(60)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(60)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.query_journal("SELECT count(*) FROM resets") == [(0,)]


async def test_f135_module_that_stays_registered_with_its_radio_off(tmp_path, message_format):
    """A simulator reports home for ever; the refused message is the first sign, and leaves within a minute."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(100)
        for domain in ("CREG", "CGREG", "CEREG"):
            world.interceptor.answer(
                rf"AT\+{domain}\?", b"\r\n+%s: 1,1\r\n\r\nOK\r\n" % domain.encode(), times=0
            )
            world.module.faults.add(f"code-lost:command=+{domain},times=0")
        world.module.faults.add("radio-off")
        world.store_pdu(3, PLAIN_SID_START)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        await world.advance(150)
        assert world.sent_bodies == ["did led on"]
        assert len(radio_lines(world)) == 1


async def test_f135_radio_that_is_switched_off_again_and_again(tmp_path):
    """The waits grow, because each time the module attaches; the data link of the gateway prevents nothing."""
    async with FaultWorld(
        tmp_path, "pdu", dependencies={"describe_module_users": lambda: "wwan0 is up"}
    ) as world:
        await world.start_and_settle(100)
        for _ in range(24 * 12):
            world.module.faults.add("radio-off")
            await world.advance(300)
        switched_on = [line for _, line in world.interceptor.commands if line == "AT+CFUN=1"]
        assert 6 <= len(switched_on) <= 14
        await world.advance(5 * HOUR)
        assert world.module.power.functionality == 1
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(30)
        assert world.sent_bodies == ["did led 2"]


async def test_f135_power_saving_mode_of_the_maker_is_left_alone(tmp_path):
    """A module in another mode that finds its network works."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(100)
        world.interceptor.answer(r"AT\+CFUN\?", b"\r\n+CFUN: 5\r\n\r\nOK\r\n", times=0)
        await world.advance(HOUR)
        assert [line for _, line in world.interceptor.commands if re.match(r"AT\+CFUN=", line)] == []


LASTING_LINES = [
    "AT+CFUN=0",
    "at+cfun=4",
    " AT +CFUN = 4 ",
    "AT+CFUN=1,1",
    "AT+CMGD=1,4",
    "AT+CSQ;+CMGD=1,4",
    "ATE0+CFUN=4",
    "at+csq ; +cmgd = 1 , 4",
    'AT+CLCK="SC",1,"4711"',
    "AT&W",
    "AT+COPS=2",
    "AT+CPOF",
    "AT+IPR=9600",
]


@pytest.mark.parametrize("line", LASTING_LINES)
async def test_f135_command_of_lasting_effect_asks_for_force(tmp_path, line):
    """The sentence names the command and --force; the module gets nothing, and no PIN is shown."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(100)
        written = len(world.interceptor.commands)
        with pytest.raises(ControlError, match=r"\+|&W") as refused:
            await world.control_api.run_at_command({"line": line})
        assert "--force" in str(refused.value)
        assert "4711" not in str(refused.value)
        assert len(world.interceptor.commands) == written


@pytest.mark.parametrize("line", ["at+csq", "AT+CPMS?", "ATI", "AT+COPS?", "AT+CSQ;+CREG?", "AT+CMGD=?"])
async def test_f135_query_needs_no_force(tmp_path, line):
    """It is executed at once, in lower case too."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(100)
        assert (await world.control_api.run_at_command({"line": line}))["lines"]


async def test_f135_radio_that_the_operator_switches_off_by_force(tmp_path):
    """The module executes it, and the agent switches the radio on again within seconds."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(100)
        await world.control_api.run_at_command({"line": "at+cfun=4", "force": True})
        assert world.module.power.functionality == 4
        await world.advance(10)
        assert world.module.power.functionality == 1
        assert len(radio_lines(world)) == 1
