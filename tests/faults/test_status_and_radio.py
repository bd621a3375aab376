"""F132 F135: what `status` shows, a radio that somebody switched off, and AT commands of lasting effect."""

import re

import pytest

from agent.common.events import Condition, Event, EventKind
from agent.daemon.control_client import ControlError
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
    """A simulator reports home for ever. The refused message is the first sign, and leaves later."""
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


async def test_f135_radio_is_checked_again_after_a_refused_query(tmp_path):
    """A module that was busy once still reports +CFUN at the next query."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(100)
        world.interceptor.answer(r"AT\+CFUN\?", b"\r\n+CME ERROR: 14\r\n", times=1)
        await world.advance(330)
        world.module.faults.add("radio-off")
        await world.advance(330)
        assert world.module.power.functionality == 1


@pytest.mark.long
async def test_f135_radio_that_is_switched_off_again_and_again(tmp_path):
    """The waits grow, because each time the module attaches. A data link prevents nothing."""
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


async def get_status(world):
    return await world.control_api.get_status({})


async def test_f132_status_of_a_module_that_works(tmp_path, message_format):
    """No problem; the last Command and answer with their times, also after a restart of the agent."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(60)
        status = await get_status(world)
        assert status["problems"] == []
        assert status["last_command"] is status["last_answer"] is None
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        await world.current_run.stop()
        await world.start_and_settle(60)
        status = await get_status(world)
        assert status["problems"] == []
        assert status["modem"]["problem"] is status["modem"]["sim_absent_since"] is None
        assert status["journal_error"] is status["port_conflict"] is None
        assert status["last_command"].items() >= {"id": 1, "state": "done"}.items()
        assert status["last_command"]["received"].startswith("2026-11-22T12:0")
        assert status["last_answer"].items() >= {"id": 1, "state": "sent", "command": 1}.items()
        assert status["last_answer"]["sent"].startswith("2026-11-22T12:0")


async def test_f132_reason_stays_while_the_next_attempt_runs(tmp_path):
    """At any moment the status has the reason, and since when; systemd shows it too."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(60)
        world.module.faults.add("mute:for=0")
        world.store_pdu(3, PLAIN_SID_START)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
        while (await get_status(world))["modem"]["problem"] is None:
            await world.advance(5)
        since = (await get_status(world))["modem"]["problem_since"]
        states = set()
        for _ in range(60):
            await world.advance(5)
            status = await get_status(world)
            states.add(world.connection.state.name)
            assert re.search(r"no module answers|no answer to", status["modem"]["state"])
            assert re.search(r"no module answers|no answer to", status["modem"]["problem"])
            assert status["modem"]["problem_since"] == since
            assert "no session with the module" in status["problems"][0]
        assert {"INITIALISING", "WAITING"} <= states
        texts = [text for _, _, text in world.sd_notifications if text.startswith("STATUS=")]
        assert re.search(r"no module answers.*now initialising the module", texts[-1] + texts[-2])


async def test_f132_absent_sim_has_its_time(tmp_path, message_format):
    """It stays the time of the first report while recovery actions and attempts go on; a SIM ends it."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(60)
        world.module.faults.add("sim-removed:for=0")
        await world.advance(300)
        status = await get_status(world)
        since = status["modem"]["sim_absent_since"]
        assert since.startswith("2026-11-22T12:0")
        assert "SIM" in status["problems"][0]
        for _ in range(5):
            await world.advance(600)
            status = await get_status(world)
            assert status["modem"]["sim_absent_since"] == since
            assert "the module sees no SIM" in status["modem"]["state"]
        world.sim.present = True
        world.module.reboot()
        await world.advance(300)
        status = await get_status(world)
        assert status["modem"]["sim_absent_since"] is None
        assert status["problems"] == []


@pytest.mark.parametrize("session_ends", [False, True])
async def test_f132_journal_that_cannot_commit(tmp_path, message_format, session_ends):
    """It is a problem since its first failure, until a commit succeeds; the log has the end of it as well."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(60)
        world.disk_error = "database or disk is full"
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(120)
        for _ in range(2):
            status = await get_status(world)
            assert re.fullmatch(
                r"since 2026-11-22T12:01:\S+: database or disk is full.*", status["journal_error"]
            )
            assert "database or disk is full" in status["problems"][0]
            await world.advance(60)
        if session_ends:
            world.port.unplug()
            await world.advance(10)
            world.port.plug()
        world.disk_error = None
        await world.advance(120)
        status = await get_status(world)
        assert status["journal_error"] is None
        assert status["problems"] == []
        kinds = [event.kind for _, _, event in world.events if event.kind.startswith("journal")]
        assert kinds[-1] == "journal commits again"


async def test_f132_port_conflict_is_shown_with_its_time(tmp_path):
    """It is no problem of its own: what cannot be received is reported for itself."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(100)
        world.interceptor.send_to_agent(b"\r\n+GCAP: +CGSM\r\n\r\nOK\r\n")
        await world.advance(10)
        assert world.events_of_kind("port conflict")
        status = await get_status(world)
        assert status["port_conflict"].startswith("2026-11-22T12:01")
        assert "another program seems to use the module's port" in status["port_conflict"]
        assert status["problems"] == []


async def test_f132_recovery_action_that_was_not_done(tmp_path):
    """The reason is shown for as long as the action is due."""
    user = "the network interface wwan0 of the same USB device is up"
    async with FaultWorld(tmp_path, "pdu", dependencies={"describe_module_users": lambda: user}) as world:
        await world.start_and_settle(60)
        world.module.faults.add("mute:for=0")
        await world.advance(HOUR)
        assert user in (await get_status(world))["recovery"]["not_done"]
        world.module.faults.clear()
        await world.advance(120)
        assert (await get_status(world))["recovery"]["not_done"] is None


async def break_network(world):
    world.module.set_registration(2)


async def break_reads(world):
    world.store_pdu(3, PLAIN_SID_START)
    for command in ("+CMGL", "+CMGR"):
        world.module.faults.add(f"refused:command={command},refusal=CMS 500,times=0")
    await world.advance(300)


async def break_limit(world):
    for number in range(12):
        await world.control_api.send_message({"text": f"n {number}", "wait": False})


PROBLEMS = {
    "network": (break_network, "Commands cannot be received or answered: searching"),
    "reads": (break_reads, "Commands cannot be received: the module refuses to read its messages"),
    "limit": (break_limit, "Commands cannot be answered: the rate limit of 10 messages a minute is reached"),
}


@pytest.mark.parametrize(("cause", "sentence"), PROBLEMS.values(), ids=PROBLEMS)
async def test_f132_problems_of_a_session(tmp_path, cause, sentence):
    """Each is one sentence; the most important is the first."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(60)
        await cause(world)
        await world.advance(30)
        status = await get_status(world)
        assert [each[: len(sentence)] for each in status["problems"]] == [sentence], status


async def test_f132_held_is_not_shown_after_the_last_reply(tmp_path):
    """A reply that waited for a network and then expired leaves nothing that is held."""
    async with FaultWorld(tmp_path, "pdu", tables={"service": {"max_answer_age_s": 600}}) as world:
        await world.start_and_settle(60)
        world.module.set_registration(2)
        world.module.faults.add("ignored:command=+COPS,times=0")
        await world.control_api.send_message({"text": "hello", "wait": False})
        await world.advance(60)
        assert "network" in (await get_status(world))["held"]
        await world.advance(660)
        world.module.set_registration(1)
        await world.advance(60)
        status = await get_status(world)
        assert status["held"] == ""
        assert status["problems"] == []


async def test_f135_send_says_at_once_what_it_waits_for(tmp_path):
    """And again when that changes; then its outcome."""
    async with FaultWorld(tmp_path, "pdu") as world:
        world.port.unplug()
        await world.start_and_settle(20)
        response = await world.control_api.send_message({"text": "hello", "wait": False})
        assert response["waiting_for"].startswith(
            "there is no session with the module: the port /dev/ttyUSB2"
        )
        request = {"replies": [response["messages"][0]["reply"]]}
        world.module.set_registration(2)
        world.port.plug()
        world.call_later(90, world.module.set_registration, 1)
        reasons = []
        while response["waiting_for"] is not None:
            known = {"known": response["waiting_for"]}
            response = await world.control_api.wait_for_outcome(request | known)
            reasons.append(response["waiting_for"])
        assert response["messages"][0]["state"] == "sent"
        assert any("there is no network" in (reason or "") for reason in reasons)


async def test_f135_message_behind_one_whose_result_is_missing(tmp_path):
    """`send` and `status` name the message that is waited for."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(60)
        world.module.faults.add("answer-lost:command=+CMGS,times=1")
        await world.control_api.send_message({"text": "first", "wait": False})
        await world.advance(20)
        response = await world.control_api.send_message({"text": "second", "wait": False})
        assert "reply 1 waits for its result" in response["waiting_for"]
        assert "reply 1 waits for its result" in (await get_status(world))["modem"]["sending"]
        known = {"known": response["waiting_for"]}
        while response["waiting_for"] is not None:
            response = await world.control_api.wait_for_outcome({"replies": [2], **known})
            known = {"known": response["waiting_for"]}
        assert [state for state, _ in world.replies] == ["unknown", "sent"]


async def test_f135_send_gives_up_waiting_with_the_reason(tmp_path):
    """The message stays queued."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(60)
        world.module.set_registration(2)
        await world.advance(10)
        response = await world.control_api.send_message({"text": "hello", "wait": False})
        request = {"replies": [1], "known": response["waiting_for"], "within_s": 30}
        with pytest.raises(ControlError, match=r"searching.*it stays queued"):
            await world.control_api.wait_for_outcome(request)
        assert world.replies == [("queued", "hello")]


async def test_f135_wait_for_a_number_that_sqlite_does_not_have(tmp_path):
    """The request is refused with a sentence, and the connection stays open."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(20)
        for number in (0, -1, 2**63, "1"):
            with pytest.raises(ControlError, match="replies must be"):
                await world.control_api.wait_for_outcome({"replies": [number]})


async def test_f132_recovery_action_that_is_no_longer_due_within_a_session(tmp_path):
    """The network is back without the action, so it is not shown any more."""
    user = "the network interface wwan0 of the same USB device is up"
    async with FaultWorld(tmp_path, "pdu", dependencies={"describe_module_users": lambda: user}) as world:
        await world.start_and_settle(60)
        world.module.set_registration(2)
        await world.advance(HOUR)
        assert user in (await get_status(world))["recovery"]["not_done"]
        world.module.set_registration(1)
        await world.advance(120)
        assert (await get_status(world))["recovery"]["not_done"] is None


async def test_f132_handlers_that_cannot_be_started(tmp_path):
    """They are a problem for Commands, not for a message of the operator, and not after the last attempt."""
    async with FaultWorld(tmp_path, "pdu") as world:
        await world.start_and_settle(60)
        kind, condition = EventKind.CANNOT_START_HANDLERS, Condition.HANDLERS
        emit = world.current_run.agent.components.runtime.emit
        emit(Event(kind, "no file descriptors", condition=condition))
        assert "no handler can be started" in (await get_status(world))["problems"][0]
        response = await world.control_api.send_message({"text": "hello", "wait": False})
        assert response["waiting_for"] == ""
        await world.advance(400)
        assert (await get_status(world))["problems"] == []
