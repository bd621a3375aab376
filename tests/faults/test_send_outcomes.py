"""F45 F47 F52 F53 F54 F65: sending replies, and status reports."""

import re
from datetime import timedelta

import pytest

import pdu
from fault.catalogue import PLAIN_SID_START, STATUS_REPORT, split_pdu
from fault.fault_world import FaultWorld, make_pdu
from fault.fixed_reply_runner import FixedReplyRunner
from hardware.sim.module.stores import MessageStatus, StoredTpdu

SEND_COMMAND = r"AT\+CMGS=.*"


def submitted(world):
    """Return the text and length (septets or octets) of each message that was submitted to the network."""
    messages = [
        pdu.decode(tpdu.hex(), direction="mo", sca=False) for tpdu in world.module.log.submitted_tpdus
    ]
    return [(each.text, each.user_data.length) for each in messages]


def refuse_submits(world, cause):
    """Let the network refuse messages: `cause()` returns the cause of a refusal, or None."""
    accept = world.network.submit

    def submit(station, token, tpdu):
        number = cause()
        if number is None:
            accept(station, token, tpdu)
        else:
            world.call_later(0.5, station.submitted, token, number)

    world.radio.submit = submit


# F45


async def test_f45_status_reports_are_off_by_default(tmp_path, message_format):
    """Without the setting neither TP-SRR nor the routing of reports is set."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        (submit,) = world.module.log.submitted_tpdus
        assert not pdu.decode(submit.hex(), direction="mo", sca=False).status_report_request
        assert world.module.settings.cnmi[3] == 0


@pytest.mark.parametrize("delivery", ["direct", "stored"])
async def test_f45_unrequested_status_report_is_not_executed(tmp_path, message_format, delivery):
    """A report by `+CDS` or `+CDSI` is logged, not executed, and removed from its store."""
    async with FaultWorld(tmp_path, message_format, device="ec25") as world:
        await world.start_and_settle()
        if delivery == "direct" and message_format == "pdu":
            world.interceptor.send_to_agent(f"\r\n+CDS: 21\r\n{STATUS_REPORT}\r\n".encode())
        elif delivery == "direct":
            world.interceptor.send_to_agent(
                b'\r\n+CDS: 6,42,"000",129,"26/11/21,22:30:00+00","26/11/21,22:30:00+00",0\r\n'
            )
        else:
            world.module.stores["SR"].add(StoredTpdu(MessageStatus.UNREAD, None, split_pdu(STATUS_REPORT)[0]))
            world.interceptor.send_to_agent(b'\r\n+CDSI: "SR",1\r\n')
        await world.advance(60)
        assert world.executed == []
        assert world.stored_indices("SR") == []
        assert len(world.events_of_kind("status report")) == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]


async def test_f45_store_full_of_reports_is_emptied(tmp_path, message_format):
    """60 reports in the receive store are deleted, and the Command between them is executed."""
    async with FaultWorld(tmp_path, message_format, device="ec25") as world:
        base = world.module.profile.first_index
        for number in range(60):
            world.store_pdu(base + number, STATUS_REPORT)
        world.store_pdu(base + 60, PLAIN_SID_START)
        await world.start_and_settle(60)
        assert world.stored_indices() == []
        assert world.executed == ["led on"]
        assert world.events_of_kind("ignored") == []


async def test_f45_status_report_is_matched_by_reference(tmp_path, message_format):
    """The report with the reference of the reply makes it `delivered`; another report changes nothing."""
    tables = {"service": {"name": "super-sim", "status_reports": True}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        await world.start_and_settle()
        world.interceptor.rewrite(SEND_COMMAND, re.compile(rb"\+CMGS: \d+"), b"+CMGS: 42")
        world.network._send_status_report = lambda line, message: None
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert [state for state, _ in world.replies] == ["sent"]
        now = pdu.Timestamp.of(world.true_time() + timedelta(seconds=1))
        for reference, state in ((41, "sent"), (42, "delivered")):
            report = pdu.StatusReport(
                message_reference=reference,
                recipient_address=pdu.Address.parse("000"),
                service_centre_timestamp=now,
                discharge_time=now,
                status=0,
            )
            world.deliver_pdu(pdu.encode(report).hex)
            await world.advance(10)
            assert [each for each, _ in world.replies] == [state]
        assert world.executed == ["led on"]
        assert world.stored_indices() == []
        assert world.stored_indices("SR") == []


# F47


REPLIES = {
    "160": ("a" * 160, [("a" * 160, 160)]),
    "161": ("a" * 161, [("a" * 158 + "..", 160)]),
    "306": ("a" * 306, [("a" * 158 + "..", 160)]),
    "160 with three braces": ("a" * 157 + "{}{", [("a" * 157 + "..", 159)]),
    "brace at the edge": ("a" * 159 + "{", [("a" * 158 + "..", 160)]),
    "quote": ("set “on”", [("set ?on?", 8)]),
    "emoji": ("ok 👍 ✓", [("ok ? ?", 6)]),
}


@pytest.mark.parametrize(("text", "expected"), REPLIES.values(), ids=REPLIES)
async def test_f47_reply_is_truncated_to_one_message(tmp_path, message_format, text, expected):
    """The reply is cut and marked, counted in septets; other characters become `?`."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, text)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert submitted(world) == expected
        assert [state for state, _ in world.replies] == ["sent"]


@pytest.mark.deviation("Text mode does not send a reply of several parts (max_parts = 1).")
@pytest.mark.parametrize(("text", "parts"), [("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 2)])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f47_reply_of_several_parts_with_max_parts(tmp_path, message_format, text, parts):
    """With max_parts = 2 at most two messages are sent, and each counts against the limits."""
    tables = {"service": {"name": "super-sim", "max_parts": 2}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, text)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert len(world.module.log.submitted_tpdus) == parts
        assert world.sent_bodies == [text if len(text) <= 306 else text[:304] + ".."]
        assert len(world.replies) == parts


async def test_f47_reply_in_ucs2_with_allow_ucs2(tmp_path, message_format):
    """A reply in UCS-2 is sent, and the next reply is GSM 7-bit again."""
    tables = {"service": {"name": "super-sim", "allow_ucs2": True}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("blink “1”"))
        await world.advance(10)
        world.deliver_pdu(make_pdu("blink 2", timestamp="26/11/21,22:30:09+00"))
        await world.advance(10)
        assert submitted(world) == [("did blink “1”", 26), ("did blink 2", 11)]


async def test_f47_changed_csmp_does_not_affect_the_reply(tmp_path, message_format):
    """Another program left +CSMP at UCS-2: the reply is GSM 7-bit."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.settings.csmp = (17, 167, 0, 8)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert submitted(world) == [("did led on", 10)]


# F52


NO_PROMPT = {
    "a": [b""],
    "b": b"\r\n+CMS ERROR: 302\r\n",
    "c": b"\r\nERROR\r\n",
    "d": None,
    "text instead": b"\r\nSMS not ready\r\n",
    "OK": b"\r\nOK\r\n",
    "late": [25.0, b"\r\n> "],
    "error and late": [b"\r\n+CMS ERROR: 515\r\n", 3.0, b"\r\n> "],
}


@pytest.mark.parametrize("response", NO_PROMPT.values(), ids=NO_PROMPT)
async def test_f52_body_is_not_written_without_a_prompt(tmp_path, message_format, response):
    """Waiting for the prompt times out, the line is resynchronised, and the reply is sent later."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        if response is None:
            echo = b"AT+CMGS=18\r" if message_format == "pdu" else b'AT+CMGS="003000300030"\r'
            world.interceptor.answer(SEND_COMMAND, echo)
        else:
            world.interceptor.answer(SEND_COMMAND, response)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(300)
        assert world.sent_bodies == ["did led on"]
        assert [state for state, _ in world.replies] == ["sent"]
        first, second = bytes(world.interceptor.agent_octets).split(b"AT+CMGS=")[1:]
        assert b"\x1a" not in first
        assert b"0001" not in first.split(b"\r", 1)[1]
        assert second.count(b"\x1a") == 1
        if response in ([b""], None):
            assert first.split(b"\r", 1)[1].startswith(b"\x1b")
        world.deliver_pdu(make_pdu("blink 1"))
        await world.advance(10)
        assert world.executed == ["led on", "blink 1"]


async def test_f52_prompt_that_never_comes(tmp_path, message_format):
    """The reply is retried with backoff, and reception goes on."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.answer(SEND_COMMAND, [b""], times=0)
        world.deliver_pdu(PLAIN_SID_START)
        for number in range(10):
            await world.advance(360)
            world.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        await world.advance(60)
        assert len(world.executed) == 11
        assert 3 <= len(world.interceptor.commands_matching(SEND_COMMAND)) <= 12
        assert b"\x1a" not in world.interceptor.agent_octets
        assert {state for state, _ in world.replies} == {"queued"}


# F53


ESC_RESPONSES = {"OK": b"\r\nOK\r\n", "ERROR": b"\r\nERROR\r\n", "nothing": b""}


@pytest.mark.deviation(
    "The order is as required, the times are not: the agent waits for responses instead of sleeping."
)
@pytest.mark.parametrize("response", ESC_RESPONSES.values(), ids=ESC_RESPONSES)
@pytest.mark.parametrize("typed", [b"", b"0011000"])
async def test_f53_open_text_entry_is_cancelled_at_the_start(tmp_path, message_format, response, typed):
    """Another program left the prompt open: ESC is written first, and the text begun is not sent."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.settings.text_mode = True
        world.module.receive(b'AT+CMGS="+15557654321"\r')
        world.module.receive(typed)
        assert world.module.command_reader.is_text_entry_open
        if response != b"\r\nOK\r\n":
            world.interceptor.rewrite("", re.compile(rb"\r\nOK\r\n"), response)
        world.store_pdu(1, PLAIN_SID_START)
        await world.start_and_settle(15)
        assert bytes(world.interceptor.agent_octets[:2]) == b"\x1b\r"
        assert b"\x1a" not in bytes(world.interceptor.agent_octets).split(b"AT+CMGS")[0]
        assert world.executed == ["led on"]
        assert submitted(world) == [("did led on", 10)]


# F54


async def test_f54_network_throttling_delays_replies(tmp_path, message_format):
    """After +CMS ERROR 42 the replies wait, and each is sent once."""
    tables = {"service": {"name": "super-sim", "max_per_minute": 1000}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        accepted_at = []

        def cause():
            now = world.loop.time()
            accepted_at[:] = [at for at in accepted_at if now - at < 60]
            if len(accepted_at) >= 20:
                return 42
            accepted_at.append(now)
            return None

        refuse_submits(world, cause)
        await world.start_and_settle()
        for number in range(30):
            world.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:{number:02}:00+00"))
            await world.advance(1)
        await world.advance(1800)
        assert len(world.sent_bodies) == len(set(world.sent_bodies)) == 30
        assert {state for state, _ in world.replies} == {"sent"}
        attempts = len(world.interceptor.commands_matching(SEND_COMMAND))
        assert attempts <= 45


@pytest.mark.long
async def test_f54_daily_quota_delays_replies(tmp_path, message_format):
    """After +CMS ERROR 21 there are few attempts until midnight, then all replies are sent once."""
    tables = {"service": {"name": "super-sim", "max_per_minute": 1000, "max_answer_age_s": 200_000}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        accepted = {}

        def cause():
            day = world.true_time().date()
            if accepted.get(day, 0) >= 100:
                return 21
            accepted[day] = accepted.get(day, 0) + 1
            return None

        refuse_submits(world, cause)
        await world.start_and_settle()
        for number in range(110):
            world.deliver_pdu(
                make_pdu(f"blink {number}", timestamp=f"26/11/21,22:{number % 60:02}:{number // 60:02}+00")
            )
            await world.advance(10)
        await world.advance(600)
        assert len(world.sent_bodies) == 100
        assert world.query_journal("SELECT count(*) FROM replies WHERE state = 'queued'") == [(10,)]
        before = len(world.interceptor.commands_matching(SEND_COMMAND))
        await world.advance(16 * 3600)
        assert len(world.sent_bodies) == len(set(world.sent_bodies)) == 110
        assert len(world.interceptor.commands_matching(SEND_COMMAND)) - before <= 10 + 24


@pytest.mark.long
async def test_f54_own_rate_limits_delay_replies(tmp_path, message_format):
    """Replies over the configured limits wait; this is logged once and shown in the status."""
    tables = {"service": {"name": "super-sim", "max_per_minute": 3, "max_per_day": 8}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        await world.start_and_settle()
        for number in range(12):
            world.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        await world.advance(30)
        assert len(world.sent_bodies) == 3
        await world.advance(3600)
        assert len(world.sent_bodies) == 8
        status = await world.control_api.get_status({})
        assert status["replies"]["queued"] == 4
        assert "8" in str(status["held"]) or "day" in str(status)
        assert len(world.events_of_kind("held")) <= 4
        await world.advance(86_400)
        assert len(world.sent_bodies) == len(set(world.sent_bodies)) == 12


# F65


NO_SERVICE_CENTRE = pdu.Address("", pdu.TypeOfNumber.UNKNOWN, pdu.NumberingPlan.ISDN)
"""The address that is shown as `+CSCA: "",129`."""


async def test_f65_lost_service_centre_is_restored(tmp_path, message_format):
    """The last known number is set again, and the reply is sent."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("blink 1"))
        await world.advance(10)
        previous = world.sim.service_centre
        world.sim.service_centre = NO_SERVICE_CENTRE
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.sent_bodies == ["did blink 1", "did led on"]
        assert str(world.sim.service_centre) == str(previous)


async def test_f65_configured_service_centre_is_set(tmp_path, message_format):
    """The module has `+CSCA: "",129`, and the configured number is set."""
    tables = {"modem": {"message_format": message_format, "service_centre": "+15550001234"}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        world.sim.service_centre = NO_SERVICE_CENTRE
        await world.start_and_settle()
        assert str(world.sim.service_centre) == "+15550001234"
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.sent_bodies == ["did led on"]


async def test_f65_replies_wait_without_a_service_centre(tmp_path, message_format):
    """Replies stay queued, the log says what is missing, and attempts are few."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.sim.service_centre = NO_SERVICE_CENTRE
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(3600)
        assert world.executed == ["led on"]
        assert [state for state, _ in world.replies] == ["queued"]
        assert any("service centre" in line for line in world.log_lines())
        assert len(world.interceptor.commands_matching(SEND_COMMAND)) <= 15
