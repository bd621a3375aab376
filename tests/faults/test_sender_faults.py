"""F124 F127 F136: refusals by a sick module, a lost result, and replies that were cut."""

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from fault.fixed_reply_runner import FixedReplyRunner
from hardware import profile

# F124


SICK_CODES = ["CMS 1", "CMS 30", "CMS 50", "CMS 69", "CMS 96", "CMS 304", "CME 4"]
"""Errors that are permanent if a working module reports them."""


def restarts(world):
    """Return the log lines about restarts because of refused messages."""
    return [str(event) for event in world.events_of_kind("recovery") if "refuses messages" in str(event)]


@pytest.mark.parametrize("error", SICK_CODES)
async def test_f124_module_that_refuses_every_body_is_restarted(tmp_path, message_format, error):
    """After one reply that worked, no reply is given up; all leave after one restart, in order."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(20)
        world.module.faults.add(f"body-refused:refusal={error}")
        for number in range(1, 4):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(20)
        await world.advance(120)
        assert [state for state, _ in world.replies] == ["sent"] * 4
        assert world.sent_bodies == [f"did led {number}" for number in range(4)]
        assert len(restarts(world)) == 1
        assert "1 of 3 resets this hour" in restarts(world)[0]
        assert any("the module is suspected" in line for line in world.log_lines())


async def test_f124_refusal_before_the_prompt_is_suspected_too(tmp_path, message_format):
    """The module refuses AT+CMGS itself until it is restarted."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(20)
        refused = world.interceptor.answer(r"AT\+CMGS=.*", b"\r\n+CMS ERROR: 1\r\n", times=2)
        world.deliver_pdu(make_pdu("led 1"))
        await world.advance(120)
        assert refused.applied == 2
        assert [state for state, _ in world.replies] == ["sent", "sent"]
        assert len(restarts(world)) == 1


async def test_f124_acceptance_is_remembered_over_a_restart_of_the_agent(tmp_path, message_format):
    """The journal shows that the number accepted a message within the day."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(20)
        await world.current_run.stop()
        world.module.faults.add("body-refused")
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 1"))
        await world.advance(150)
        assert [state for state, _ in world.replies] == ["sent", "sent"]


async def test_f124_number_that_never_accepted_a_message_is_believed_to_be_wrong(tmp_path, message_format):
    """A permanent error for an unknown number ends its message at once, and nothing is restarted."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.faults.add("body-refused")
        response = await world.control_api.send_message({"text": "hello", "to": "+15557654321"})
        assert [message["state"] for message in response["messages"]] == ["failed"]
        assert "unassigned number" in response["messages"][0]["reason"]
        assert restarts(world) == []


async def test_f124_refusal_that_outlasts_a_restart_is_believed(tmp_path, message_format):
    """The message has failed after one restart, and the same error costs no other restart that day."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(20)
        for number in (1, 2):
            rule = world.interceptor.answer(r"AT\+CMGS=.*", b"\r\n+CMS ERROR: 304\r\n", times=0)
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(600)
            assert world.replies[-1][0] == "failed"
            assert len(restarts(world)) == 1
            world.interceptor.clear_rules()
        assert rule.applied == 1
        world.deliver_pdu(make_pdu("led 3"))
        await world.advance(20)
        assert world.replies[-1] == ("sent", "did led 3")


async def test_f124_replies_wait_while_no_restart_is_allowed(tmp_path, message_format):
    """Without a budget for resets nothing is given up for hours, and a restart by hand ends the wait."""
    tables = {"recovery": {"resets_per_hour": 0}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(20)
        world.module.faults.add("body-refused")
        world.deliver_pdu(make_pdu("led 1"))
        await world.advance(3 * 3600)
        assert [state for state, _ in world.replies] == ["sent", "queued"]
        assert "the module is suspected" in (await world.control_api.get_status({}))["held"]
        world.module.reboot()
        await world.advance(2 * 3600)
        assert [state for state, _ in world.replies] == ["sent", "sent"]


@pytest.mark.parametrize("error", ["CMS 41", "CMS 42", "CMS 27", "CMS 21", "ERROR", "CME 100", "CMS 331"])
async def test_f124_module_that_refuses_every_body_for_now_is_restarted(tmp_path, message_format, error):
    """Also for a number that has accepted nothing yet: all leave after one restart, in order."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.faults.add(f"body-refused:refusal={error}")
        for number in range(3):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(20)
        await world.advance(2 * 3600)
        assert [state for state, _ in world.replies] == ["sent"] * 3
        assert world.sent_bodies == [f"did led {number}" for number in range(3)]
        assert len(restarts(world)) == 1


async def test_f124_module_whose_results_are_all_unknown_is_restarted(tmp_path, message_format):
    """`+CMS ERROR: 500` after each body: nothing is sent twice, and replies after the restart are sent."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.faults.add("body-refused:refusal=CMS 500")
        for number in range(4):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(400)
        assert [state for state, _ in world.replies] == ["unknown", "unknown", "unknown", "sent"]
        assert world.sent_bodies == ["did led 3"]
        assert len(restarts(world)) == 1


@pytest.mark.parametrize("resets_per_hour", [0, 3])
async def test_f124_long_temporary_failure_costs_one_restart_a_day(tmp_path, resets_per_hour):
    """The service centre fails for 15 hours: attempts end, and nothing is restarted again and again."""
    tables = {"recovery": {"resets_per_hour": resets_per_hour}}
    async with FaultWorld(tmp_path, tables=tables) as world:
        await world.start_and_settle()
        rule = world.interceptor.answer(r"AT\+CMGS=.*", b"\r\n+CMS ERROR: 41\r\n", times=0)
        for number in range(3):
            world.deliver_pdu(make_pdu(f"led {number}"))
        await world.advance(15 * 3600)
        assert {state for state, _ in world.replies} == {"failed"}
        done = [line for line in restarts(world) if "not done" not in line]
        assert len(done) == min(resets_per_hour, 1)
        assert rule.applied == 3 * 12
        rule.remaining = 0
        world.deliver_pdu(make_pdu("led 3"))
        await world.advance(2 * 3600)
        assert [state for state, _ in world.replies] == ["failed"] * 3 + ["sent"]


# F127


DIRECT_DELIVERY = ((0, 1, 2, 3), (0, 2), (0,), (0, 1), (0, 1))
"""The values of +CNMI of a module that cannot store messages."""


def module_with_timeout(name, **changes):
    """Return the simulated module `name` with these changes."""
    return profile.load_simulator_profile(name).replace(**changes)


@pytest.mark.parametrize(
    ("name", "longest_s"), [("a7670", 40), ("sim7000", 60), ("sim800", 60), ("generic", 120)]
)
async def test_f127_lost_result_is_awaited_for_the_longest_time_of_the_module(tmp_path, name, longest_s):
    """The notification that came meanwhile is followed right after, and no octet is written before."""
    tables = {"modem": {"profile": name}}
    async with FaultWorld(tmp_path, device=module_with_timeout(name, boot_s=1.0), tables=tables) as world:
        await world.start_and_settle(60)
        world.module.faults.add("answer-lost:command=+CMGS")
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(5)
        assert world.executed == ["led 0"]
        world.deliver_pdu(make_pdu("led 1"))
        written = len(world.interceptor.agent_octets)
        await world.advance(longest_s - 10)
        assert len(world.interceptor.agent_octets) == written
        assert world.executed == ["led 0"]
        await world.advance(15)
        assert world.executed == ["led 0", "led 1"]
        await world.advance(30)
        assert [state for state, _ in world.replies] == ["unknown", "sent"]


async def test_f127_status_shows_that_a_message_waits_for_its_result(tmp_path, message_format):
    """It names the message and the longest wait, and nothing once the result is there."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        assert (await world.control_api.get_status({}))["modem"]["sending"] is None
        world.module.faults.add("answer-lost:command=+CMGS")
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(32)
        text = (await world.control_api.get_status({}))["modem"]["sending"]
        assert text.startswith("reply 1 waits for its result, 3")
        assert text.endswith(" s so far and 120 s at most")
        await world.advance(120)
        assert (await world.control_api.get_status({}))["modem"]["sending"] is None


@pytest.mark.parametrize("csms", [0, 1])
async def test_f127_direct_deliveries_are_committed_while_a_result_is_awaited(tmp_path, csms):
    """Reception goes on: each message is in the journal and run although the module can be asked nothing."""
    device = module_with_timeout("generic", cnmi_allowed=DIRECT_DELIVERY)
    async with FaultWorld(tmp_path, device=device) as world:
        if not csms:
            world.interceptor.answer(r"AT\+CSMS=.*", b"\r\n+CMS ERROR: 303\r\n", times=0)
        await world.start_and_settle()
        world.module.faults.add("answer-lost:command=+CMGS")
        world.deliver_pdu(make_pdu("led 0"))
        await world.advance(5)
        for number in (1, 2, 3):
            lines = f"\r\n+CMT: ,23\r\n{make_pdu(f'led {number}')}\r\n"
            world.interceptor.send_to_agent(lines.encode())
            await world.advance(0 if number == 1 else 3)  # the first two come in one read
        assert world.executed == [f"led {number}" for number in range(4)]
        assert world.replies[0][0] == "sending"
        await world.advance(200)
        assert [state for state, _ in world.replies] == ["unknown", "sent", "sent", "sent"]
        assert len(world.executed) == 4


async def test_f127_announced_messages_are_read_before_the_next_reply(tmp_path, message_format):
    """Replies whose results are all lost do not keep the messages that came meanwhile waiting."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in (0, 1):
            world.deliver_pdu(make_pdu(f"led {number}"))
        world.module.faults.add("answer-lost:command=+CMGS,times=2")
        await world.advance(5)
        for number in (2, 3, 4):
            world.deliver_pdu(make_pdu(f"led {number}"))
        await world.advance(123)
        assert world.executed == [f"led {number}" for number in range(5)]


# F136


CUT_REPLIES = [("a" * 160, 0), ("a" * 161, 3), ("a" * 500, 342), ("\u20ac" * 90, 11)]
"""Replies, and the number of characters that do not fit into one message."""


@pytest.mark.parametrize(("reply", "omitted"), CUT_REPLIES)
async def test_f136_reply_that_was_cut_says_so(tmp_path, message_format, reply, omitted):
    """The log and the outbox show how many characters were cut off; a whole reply shows none."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, reply)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert world.query_journal("SELECT omitted FROM replies") == [(omitted,)]
        (line,) = [line for line in world.log_lines() if line.startswith("queued")]
        assert (f"its last {omitted} characters are not sent" in line) is (omitted > 0)


async def test_f136_last_part_of_a_cut_reply_says_so(tmp_path):
    """Of three messages, the one that ends with the mark shows the cut."""
    tables = {"service": {"name": "super-sim", "max_parts": 3}}
    async with FaultWorld(tmp_path, tables=tables) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, "a" * 500)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert world.query_journal("SELECT part, omitted FROM replies") == [(1, 0), (2, 0), (3, 43)]


async def test_f136_built_in_help_that_was_cut_says_so(tmp_path, message_format):
    """A built-in handler that shortens its reply itself shows it, too."""
    names = [f"relay-{number:02}" for number in range(30)]
    async with FaultWorld(tmp_path, message_format, executables=names) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("help"))
        await world.advance(20)
        ((omitted,),) = world.query_journal("SELECT omitted FROM replies")
        assert omitted > 100
        assert any(f"its last {omitted} characters are not sent" in line for line in world.log_lines())


async def test_f136_sent_message_that_was_cut_says_so(tmp_path):
    """`modem-agent send` returns the number of characters that were cut off."""
    async with FaultWorld(tmp_path) as world:
        await world.start_and_settle()
        response = await world.control_api.send_message({"text": "a" * 170})
        assert response["omitted"] == 12
