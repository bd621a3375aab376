"""F45 F47 F52 F53 F54 F65: what becomes of an answer."""

import re
from datetime import timedelta

import pytest

import pdu
from fault.catalogue import PLAIN_SID_START, STATUS_REPORT, split_pdu
from fault.fault_world import FaultWorld, make_pdu
from fault.saying import FixedReplyRunner
from hardware.sim.module.stores import MessageStatus, StoredTpdu

SEND_COMMAND = r"AT\+CMGS=.*"


def sent(scene):
    """(text, septets or octets) of each message that was handed to the network."""
    messages = [
        pdu.decode(each.hex(), direction="mo", sca=False) for each in scene.module.log.submitted_tpdus
    ]
    return [(each.text, each.user_data.length) for each in messages]


def refuse_submits(scene, cause):
    """What the network says to a message: `cause()` is the number of a refusal, or None."""
    air = scene.module.network
    take = scene.network.submit

    def submit(station, token, tpdu):
        number = cause()
        if number is None:
            take(station, token, tpdu)
        else:
            scene.call_later(0.5, station.submitted, token, number)

    air.submit = submit


# F45


async def test_f45_reports_are_not_asked_for(tmp_path, message_format):
    """Off unless a setting says otherwise: no TP-SRR, no routing of reports."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        (submit,) = scene.module.log.submitted_tpdus
        assert not pdu.decode(submit.hex(), direction="mo", sca=False).status_report_request
        assert scene.module.settings.cnmi[3] == 0


@pytest.mark.parametrize("way", ["handed over", "stored"])
async def test_f45_a_report_nobody_asked_for(tmp_path, message_format, way):
    """`+CDS: 21` with the report behind it, or `+CDSI: "SR",19`: no Command, and nothing stays in a store."""
    async with FaultWorld(tmp_path, message_format, device="ec25") as scene:
        await scene.start_and_settle()
        if way == "handed over" and message_format == "pdu":
            scene.interceptor.send_to_agent(f"\r\n+CDS: 21\r\n{STATUS_REPORT}\r\n".encode())
        elif way == "handed over":
            scene.interceptor.send_to_agent(
                b'\r\n+CDS: 6,42,"000",129,"26/11/21,22:30:00+00","26/11/21,22:30:00+00",0\r\n'
            )
        else:
            scene.module.stores["SR"].add(StoredTpdu(MessageStatus.UNREAD, None, split_pdu(STATUS_REPORT)[0]))
            scene.interceptor.send_to_agent(b'\r\n+CDSI: "SR",1\r\n')
        await scene.advance(60)
        assert scene.executed == []
        assert scene.stored_indices("SR") == []
        assert len(scene.events_of_kind("status report")) == 1
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]


async def test_f45_a_store_full_of_reports(tmp_path, message_format):
    """60 of them at the start where messages arrive: all go, the Command between them counts."""
    async with FaultWorld(tmp_path, message_format, device="ec25") as scene:
        base = scene.module.profile.first_index
        for number in range(60):
            scene.store_pdu(base + number, STATUS_REPORT)
        scene.store_pdu(base + 60, PLAIN_SID_START)
        await scene.start_and_settle(60)
        assert scene.stored_indices() == []
        assert scene.executed == ["led on"]
        assert scene.events_of_kind("ignored") == []


async def test_f45_a_report_is_matched(tmp_path, message_format):
    """By its reference: the answer is delivered then. One with another reference changes nothing."""
    reports = {"service": {"name": "super-sim", "status_reports": True}}
    async with FaultWorld(tmp_path, message_format, tables=reports) as scene:
        await scene.start_and_settle()
        scene.interceptor.rewrite(SEND_COMMAND, re.compile(rb"\+CMGS: \d+"), b"+CMGS: 42")
        scene.module.network._world.network._send_status_report = lambda line, message: None
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert [state for state, _ in scene.replies] == ["sent"]
        now = pdu.Timestamp.of(scene.true_time() + timedelta(seconds=1))
        for reference, state in ((41, "sent"), (42, "delivered")):
            report = pdu.StatusReport(
                message_reference=reference,
                recipient_address=pdu.Address.parse("000"),
                service_centre_timestamp=now,
                discharge_time=now,
                status=0,
            )
            scene.deliver_pdu(pdu.encode(report).hex)
            await scene.advance(10)
            assert [each for each, _ in scene.replies] == [state]
        assert scene.executed == ["led on"]
        assert scene.stored_indices() == []
        assert scene.stored_indices("SR") == []


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


@pytest.mark.parametrize(("text", "leaves"), REPLIES.values(), ids=REPLIES)
async def test_f47_one_message_unless_asked(tmp_path, message_format, text, leaves):
    """Cut and marked, counted in septets; what is not in the alphabet is shown as `?`."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.make_runner = lambda life: FixedReplyRunner(scene, life, text)
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(20)
        assert sent(scene) == leaves
        assert [state for state, _ in scene.replies] == ["sent"]


@pytest.mark.deviation("Text mode sends no answer of several parts (max_parts = 1).")
@pytest.mark.parametrize(("text", "parts"), [("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 2)])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f47_parts_where_allowed(tmp_path, message_format, text, parts):
    """Two messages, no more; each counts against the limits."""
    tables = {"service": {"name": "super-sim", "max_parts": 2}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as scene:
        scene.make_runner = lambda life: FixedReplyRunner(scene, life, text)
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        assert len(scene.module.log.submitted_tpdus) == parts
        assert scene.sent_bodies == [text if len(text) <= 306 else text[:304] + ".."]
        assert len(scene.replies) == parts


async def test_f47_ucs2_only_where_allowed(tmp_path, message_format):
    """70 characters then; and the next answer is GSM 7-bit again, whatever +CSMP was left behind."""
    tables = {"service": {"name": "super-sim", "allow_ucs2": True}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu("blink “1”"))
        await scene.advance(10)
        scene.deliver_pdu(make_pdu("blink 2", timestamp="26/11/21,22:30:09+00"))
        await scene.advance(10)
        assert sent(scene) == [("did blink “1”", 26), ("did blink 2", 11)]


async def test_f47_a_foreign_csmp(tmp_path, message_format):
    """Somebody left +CSMP at UCS-2: the answer is what it should be."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.module.settings.csmp = (17, 167, 0, 8)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert sent(scene) == [("did led on", 10)]


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


@pytest.mark.parametrize("says", NO_PROMPT.values(), ids=NO_PROMPT)
async def test_f52_no_prompt(tmp_path, message_format, says):
    """No octet of the body without it, an end to the waiting, back into step, and later another attempt."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        if says is None:
            echo = b"AT+CMGS=18\r" if message_format == "pdu" else b'AT+CMGS="003000300030"\r'
            scene.interceptor.answer(SEND_COMMAND, echo)
        else:
            scene.interceptor.answer(SEND_COMMAND, says)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(300)
        assert scene.sent_bodies == ["did led on"]
        assert [state for state, _ in scene.replies] == ["sent"]
        first, second = bytes(scene.interceptor.agent_octets).split(b"AT+CMGS=")[1:]
        assert b"\x1a" not in first
        assert b"0001" not in first.split(b"\r", 1)[1]
        assert second.count(b"\x1a") == 1
        if says in ([b""], None):
            assert first.split(b"\r", 1)[1].startswith(b"\x1b")
        scene.deliver_pdu(make_pdu("blink 1"))
        await scene.advance(10)
        assert scene.executed == ["led on", "blink 1"]


async def test_f52_no_prompt_ever(tmp_path, message_format):
    """It is held with waits that grow, and messages are received all the time."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.answer(SEND_COMMAND, [b""], times=0)
        scene.deliver_pdu(PLAIN_SID_START)
        for number in range(10):
            await scene.advance(360)
            scene.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        await scene.advance(60)
        assert len(scene.executed) == 11
        assert 3 <= len(scene.interceptor.commands_matching(SEND_COMMAND)) <= 12
        assert b"\x1a" not in scene.interceptor.agent_octets
        assert {state for state, _ in scene.replies} == {"queued"}


# F53


ESCAPED = {"OK": b"\r\nOK\r\n", "ERROR": b"\r\nERROR\r\n", "nothing": b""}


@pytest.mark.deviation("The order holds, the times do not: nothing sleeps where something can be awaited.")
@pytest.mark.parametrize("says", ESCAPED.values(), ids=ESCAPED)
@pytest.mark.parametrize("typed", [b"", b"0011000"])
async def test_f53_text_entry_is_open(tmp_path, message_format, says, typed):
    """Somebody died at the prompt: ESC goes first, Ctrl-Z never, and what was begun is not sent."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.settings.text_mode = True
        scene.module.receive(b'AT+CMGS="+15557654321"\r')
        scene.module.receive(typed)
        assert scene.module.command_reader.is_text_entry_open
        if says != b"\r\nOK\r\n":
            scene.interceptor.rewrite("", re.compile(rb"\r\nOK\r\n"), says)
        scene.store_pdu(1, PLAIN_SID_START)
        await scene.start_and_settle(15)
        assert bytes(scene.interceptor.agent_octets[:2]) == b"\x1b\r"
        assert b"\x1a" not in bytes(scene.interceptor.agent_octets).split(b"AT+CMGS")[0]
        assert scene.executed == ["led on"]
        assert sent(scene) == [("did led on", 10)]


# F54


async def test_f54_throttled_by_the_network(tmp_path, message_format):
    """+CMS ERROR 42 after 20 in a minute: held, all leave in the end, each once."""
    allowed = {"service": {"name": "super-sim", "max_per_minute": 1000}}
    async with FaultWorld(tmp_path, message_format, tables=allowed) as scene:
        taken = []

        def cause():
            now = scene.loop.time()
            taken[:] = [at for at in taken if now - at < 60]
            if len(taken) >= 20:
                return 42
            taken.append(now)
            return None

        refuse_submits(scene, cause)
        await scene.start_and_settle()
        for number in range(30):
            scene.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:{number:02}:00+00"))
            await scene.advance(1)
        await scene.advance(1800)
        assert len(scene.sent_bodies) == len(set(scene.sent_bodies)) == 30
        assert {state for state, _ in scene.replies} == {"sent"}
        attempts = len(scene.interceptor.commands_matching(SEND_COMMAND))
        assert attempts <= 45


async def test_f54_a_daily_quota(tmp_path, message_format):
    """+CMS ERROR 21 after 100 a day: few attempts until midnight, then the rest, nothing burned."""
    allowed = {"service": {"name": "super-sim", "max_per_minute": 1000, "max_answer_age_s": 200_000}}
    async with FaultWorld(tmp_path, message_format, tables=allowed) as scene:
        taken = {}

        def cause():
            day = scene.true_time().date()
            if taken.get(day, 0) >= 100:
                return 21
            taken[day] = taken.get(day, 0) + 1
            return None

        refuse_submits(scene, cause)
        await scene.start_and_settle()
        for number in range(110):
            scene.deliver_pdu(
                make_pdu(f"blink {number}", timestamp=f"26/11/21,22:{number % 60:02}:{number // 60:02}+00")
            )
            await scene.advance(10)
        await scene.advance(600)
        assert len(scene.sent_bodies) == 100
        assert scene.query_journal("SELECT count(*) FROM replies WHERE state = 'queued'") == [(10,)]
        before = len(scene.interceptor.commands_matching(SEND_COMMAND))
        await scene.advance(16 * 3600)
        assert len(scene.sent_bodies) == len(set(scene.sent_bodies)) == 110
        assert len(scene.interceptor.commands_matching(SEND_COMMAND)) - before <= 10 + 24


async def test_f54_our_own_limits(tmp_path, message_format):
    """10 a minute and 200 a day unless set otherwise; held, said once, and seen in the status."""
    allowed = {"service": {"name": "super-sim", "max_per_minute": 3, "max_per_day": 8}}
    async with FaultWorld(tmp_path, message_format, tables=allowed) as scene:
        await scene.start_and_settle()
        for number in range(12):
            scene.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        await scene.advance(30)
        assert len(scene.sent_bodies) == 3
        await scene.advance(3600)
        assert len(scene.sent_bodies) == 8
        status = await scene.current_run.agent.components.control_api.get_status({})
        assert status["replies"]["queued"] == 4
        assert "8" in str(status["held"]) or "day" in str(status)
        assert len(scene.events_of_kind("held")) <= 4
        await scene.advance(86_400)
        assert len(scene.sent_bodies) == len(set(scene.sent_bodies)) == 12


# F65


NO_CENTRE = pdu.Address("", pdu.TypeOfNumber.UNKNOWN, pdu.NumberingPlan.ISDN)
"""+CSCA: "",129"""


async def test_f65_the_service_centre_is_lost(tmp_path, message_format):
    """The last number that was known, or the configured one, is put back; the answer leaves."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu("blink 1"))
        await scene.advance(10)
        known = scene.sim.service_centre
        scene.sim.service_centre = NO_CENTRE
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        assert scene.sent_bodies == ["did blink 1", "did led on"]
        assert str(scene.sim.service_centre) == str(known)


async def test_f65_the_configured_number_is_set(tmp_path, message_format):
    """In the octets of the catalogue: `+CSCA: "",129`, then AT+CSCA with the number."""
    tables = {"modem": {"message_format": message_format, "service_centre": "+15550001234"}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as scene:
        scene.sim.service_centre = NO_CENTRE
        await scene.start_and_settle()
        assert str(scene.sim.service_centre) == "+15550001234"
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert scene.sent_bodies == ["did led on"]


async def test_f65_no_number_at_all(tmp_path, message_format):
    """Held with a sentence that says what is missing; never burned in a minute."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.sim.service_centre = NO_CENTRE
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(3600)
        assert scene.executed == ["led on"]
        assert [state for state, _ in scene.replies] == ["queued"]
        assert any("service centre" in line for line in scene.log_lines())
        assert len(scene.interceptor.commands_matching(SEND_COMMAND)) <= 15
