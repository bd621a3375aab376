"""F45 F47 F52 F53 F54 F65: what becomes of an answer."""

import re
from datetime import timedelta

import pytest

import pdu
from fault.catalogue import PLAIN_SID_START, STATUS_REPORT, octets
from fault.saying import Saying
from fault.scene import Scene, message
from hardware.sim.module.memory import Status, Stored

SENDS = r"AT\+CMGS=.*"


def sent(scene):
    """(text, septets or octets) of each message that was handed to the network."""
    messages = [pdu.decode(each.hex(), direction="mo", sca=False) for each in scene.module.ledger.submits]
    return [(each.text, each.user_data.length) for each in messages]


def refuse(scene, cause):
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


async def test_f45_reports_are_not_asked_for(tmp_path, mode):
    """Off unless a setting says otherwise: no TP-SRR, no routing of reports."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.arrive(PLAIN_SID_START)
        await scene.passes(10)
        (submit,) = scene.module.ledger.submits
        assert not pdu.decode(submit.hex(), direction="mo", sca=False).status_report_request
        assert scene.module.settings.cnmi[3] == 0


@pytest.mark.parametrize("way", ["handed over", "stored"])
async def test_f45_a_report_nobody_asked_for(tmp_path, mode, way):
    """`+CDS: 21` with the report behind it, or `+CDSI: "SR",19`: no Command, and nothing stays in a store."""
    async with Scene(tmp_path, mode, device="ec25") as scene:
        await scene.begin()
        if way == "handed over" and mode == "pdu":
            scene.opponent.say(f"\r\n+CDS: 21\r\n{STATUS_REPORT}\r\n".encode())
        elif way == "handed over":
            scene.opponent.say(
                b'\r\n+CDS: 6,42,"000",129,"26/11/21,22:30:00+00","26/11/21,22:30:00+00",0\r\n'
            )
        else:
            scene.module.stores["SR"].add(Stored(Status.UNREAD, None, octets(STATUS_REPORT)[0]))
            scene.opponent.say(b'\r\n+CDSI: "SR",1\r\n')
        await scene.passes(60)
        assert scene.carried_out == []
        assert scene.slots("SR") == []
        assert len(scene.said("report")) == 1
        scene.arrive(PLAIN_SID_START)
        await scene.passes(5)
        assert scene.carried_out == ["led on"]


async def test_f45_a_store_full_of_reports(tmp_path, mode):
    """60 of them at the start where messages arrive: all go, the Command between them counts."""
    async with Scene(tmp_path, mode, device="ec25") as scene:
        base = scene.module.device.first_index
        for number in range(60):
            scene.store(base + number, STATUS_REPORT)
        scene.store(base + 60, PLAIN_SID_START)
        await scene.begin(60)
        assert scene.slots() == []
        assert scene.carried_out == ["led on"]
        assert scene.said("stray") == []


async def test_f45_a_report_is_matched(tmp_path, mode):
    """By its reference: the answer is delivered then. One with another reference changes nothing."""
    reports = {"service": {"name": "super-sim", "status_reports": True}}
    async with Scene(tmp_path, mode, tables=reports) as scene:
        await scene.begin()
        scene.opponent.rewrite(SENDS, re.compile(rb"\+CMGS: \d+"), b"+CMGS: 42")
        scene.module.network._world.network._report = lambda line, message: None
        scene.arrive(PLAIN_SID_START)
        await scene.passes(10)
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
            scene.arrive(pdu.encode(report).hex)
            await scene.passes(10)
            assert [each for each, _ in scene.replies] == [state]
        assert scene.carried_out == ["led on"]
        assert scene.slots() == []
        assert scene.slots("SR") == []


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
async def test_f47_one_message_unless_asked(tmp_path, mode, text, leaves):
    """Cut and marked, counted in septets; what is not in the alphabet is shown as `?`."""
    async with Scene(tmp_path, mode) as scene:
        scene.make_runner = lambda life: Saying(scene, life, text)
        await scene.begin()
        scene.arrive(PLAIN_SID_START)
        await scene.passes(20)
        assert sent(scene) == leaves
        assert [state for state, _ in scene.replies] == ["sent"]


@pytest.mark.deviation("Text mode sends no answer of several parts (max_parts = 1).")
@pytest.mark.parametrize(("text", "parts"), [("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 2)])
@pytest.mark.parametrize("mode", ["pdu"])
async def test_f47_parts_where_allowed(tmp_path, mode, text, parts):
    """Two messages, no more; each counts against the limits."""
    tables = {"service": {"name": "super-sim", "max_parts": 2}}
    async with Scene(tmp_path, mode, tables=tables) as scene:
        scene.make_runner = lambda life: Saying(scene, life, text)
        await scene.begin()
        scene.arrive(PLAIN_SID_START)
        await scene.passes(30)
        assert len(scene.module.ledger.submits) == parts
        assert scene.bodies == [text if len(text) <= 306 else text[:304] + ".."]
        assert len(scene.replies) == parts


async def test_f47_ucs2_only_where_allowed(tmp_path, mode):
    """70 characters then; and the next answer is GSM 7-bit again, whatever +CSMP was left behind."""
    tables = {"service": {"name": "super-sim", "allow_ucs2": True}}
    async with Scene(tmp_path, mode, tables=tables) as scene:
        await scene.begin()
        scene.arrive(message("blink “1”"))
        await scene.passes(10)
        scene.arrive(message("blink 2", timestamp="26/11/21,22:30:09+00"))
        await scene.passes(10)
        assert sent(scene) == [("did blink “1”", 26), ("did blink 2", 11)]


async def test_f47_a_foreign_csmp(tmp_path, mode):
    """Somebody left +CSMP at UCS-2: the answer is what it should be."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.module.settings.csmp = (17, 167, 0, 8)
        scene.arrive(PLAIN_SID_START)
        await scene.passes(10)
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
async def test_f52_no_prompt(tmp_path, mode, says):
    """No octet of the body without it, an end to the waiting, back into step, and later another attempt."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        if says is None:
            echo = b"AT+CMGS=18\r" if mode == "pdu" else b'AT+CMGS="003000300030"\r'
            scene.opponent.answer(SENDS, echo)
        else:
            scene.opponent.answer(SENDS, says)
        scene.arrive(PLAIN_SID_START)
        await scene.passes(300)
        assert scene.bodies == ["did led on"]
        assert [state for state, _ in scene.replies] == ["sent"]
        first, second = bytes(scene.opponent.octets).split(b"AT+CMGS=")[1:]
        assert b"\x1a" not in first
        assert b"0001" not in first.split(b"\r", 1)[1]
        assert second.count(b"\x1a") == 1
        if says in ([b""], None):
            assert first.split(b"\r", 1)[1].startswith(b"\x1b")
        scene.arrive(message("blink 1"))
        await scene.passes(10)
        assert scene.carried_out == ["led on", "blink 1"]


async def test_f52_no_prompt_ever(tmp_path, mode):
    """It is held with waits that grow, and messages are received all the time."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.opponent.answer(SENDS, [b""], times=0)
        scene.arrive(PLAIN_SID_START)
        for number in range(10):
            await scene.passes(360)
            scene.arrive(message(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        await scene.passes(60)
        assert len(scene.carried_out) == 11
        assert 3 <= len(scene.opponent.lines(SENDS)) <= 12
        assert b"\x1a" not in scene.opponent.octets
        assert {state for state, _ in scene.replies} == {"queued"}


# F53


ESCAPED = {"OK": b"\r\nOK\r\n", "ERROR": b"\r\nERROR\r\n", "nothing": b""}


@pytest.mark.deviation("The order holds, the times do not: nothing sleeps where something can be awaited.")
@pytest.mark.parametrize("says", ESCAPED.values(), ids=ESCAPED)
@pytest.mark.parametrize("typed", [b"", b"0011000"])
async def test_f53_text_entry_is_open(tmp_path, mode, says, typed):
    """Somebody died at the prompt: ESC goes first, Ctrl-Z never, and what was begun is not sent."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.settings.text_mode = True
        scene.module.receive(b'AT+CMGS="+15557654321"\r')
        scene.module.receive(typed)
        assert scene.module.terminal.entering
        if says != b"\r\nOK\r\n":
            scene.opponent.rewrite("", re.compile(rb"\r\nOK\r\n"), says)
        scene.store(1, PLAIN_SID_START)
        await scene.begin(15)
        assert bytes(scene.opponent.octets[:2]) == b"\x1b\r"
        assert b"\x1a" not in bytes(scene.opponent.octets).split(b"AT+CMGS")[0]
        assert scene.carried_out == ["led on"]
        assert sent(scene) == [("did led on", 10)]


# F54


async def test_f54_throttled_by_the_network(tmp_path, mode):
    """+CMS ERROR 42 after 20 in a minute: held, all leave in the end, each once."""
    allowed = {"service": {"name": "super-sim", "max_per_minute": 1000}}
    async with Scene(tmp_path, mode, tables=allowed) as scene:
        taken = []

        def cause():
            now = scene.loop.time()
            taken[:] = [at for at in taken if now - at < 60]
            if len(taken) >= 20:
                return 42
            taken.append(now)
            return None

        refuse(scene, cause)
        await scene.begin()
        for number in range(30):
            scene.arrive(message(f"blink {number}", timestamp=f"26/11/21,22:{number:02}:00+00"))
            await scene.passes(1)
        await scene.passes(1800)
        assert len(scene.bodies) == len(set(scene.bodies)) == 30
        assert {state for state, _ in scene.replies} == {"sent"}
        attempts = len(scene.opponent.lines(SENDS))
        assert attempts <= 45


async def test_f54_a_daily_quota(tmp_path, mode):
    """+CMS ERROR 21 after 100 a day: few attempts until midnight, then the rest, nothing burned."""
    allowed = {"service": {"name": "super-sim", "max_per_minute": 1000, "max_answer_age_s": 200_000}}
    async with Scene(tmp_path, mode, tables=allowed) as scene:
        taken = {}

        def cause():
            day = scene.true_time().date()
            if taken.get(day, 0) >= 100:
                return 21
            taken[day] = taken.get(day, 0) + 1
            return None

        refuse(scene, cause)
        await scene.begin()
        for number in range(110):
            scene.arrive(
                message(f"blink {number}", timestamp=f"26/11/21,22:{number % 60:02}:{number // 60:02}+00")
            )
            await scene.passes(10)
        await scene.passes(600)
        assert len(scene.bodies) == 100
        assert scene.journal("SELECT count(*) FROM replies WHERE state = 'queued'") == [(10,)]
        before = len(scene.opponent.lines(SENDS))
        await scene.passes(16 * 3600)
        assert len(scene.bodies) == len(set(scene.bodies)) == 110
        assert len(scene.opponent.lines(SENDS)) - before <= 10 + 24


async def test_f54_our_own_limits(tmp_path, mode):
    """10 a minute and 200 a day unless set otherwise; held, said once, and seen in the status."""
    allowed = {"service": {"name": "super-sim", "max_per_minute": 3, "max_per_day": 8}}
    async with Scene(tmp_path, mode, tables=allowed) as scene:
        await scene.begin()
        for number in range(12):
            scene.arrive(message(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        await scene.passes(30)
        assert len(scene.bodies) == 3
        await scene.passes(3600)
        assert len(scene.bodies) == 8
        status = await scene.life.agent._desk.status({})
        assert status["replies"]["queued"] == 4
        assert "8" in str(status["held"]) or "day" in str(status)
        assert len(scene.said("held")) <= 4
        await scene.passes(86_400)
        assert len(scene.bodies) == len(set(scene.bodies)) == 12


# F65


NO_CENTRE = pdu.Address("", pdu.TypeOfNumber.UNKNOWN, pdu.NumberingPlan.ISDN)
"""+CSCA: "",129"""


async def test_f65_the_service_centre_is_lost(tmp_path, mode):
    """The last number that was known, or the configured one, is put back; the answer leaves."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.arrive(message("blink 1"))
        await scene.passes(10)
        known = scene.sim.service_centre
        scene.sim.service_centre = NO_CENTRE
        scene.arrive(PLAIN_SID_START)
        await scene.passes(30)
        assert scene.bodies == ["did blink 1", "did led on"]
        assert str(scene.sim.service_centre) == str(known)


async def test_f65_the_configured_number_is_set(tmp_path, mode):
    """In the octets of the catalogue: `+CSCA: "",129`, then AT+CSCA with the number."""
    tables = {"modem": {"message_format": mode, "service_centre": "+15550001234"}}
    async with Scene(tmp_path, mode, tables=tables) as scene:
        scene.sim.service_centre = NO_CENTRE
        await scene.begin()
        assert str(scene.sim.service_centre) == "+15550001234"
        scene.arrive(PLAIN_SID_START)
        await scene.passes(10)
        assert scene.bodies == ["did led on"]


async def test_f65_no_number_at_all(tmp_path, mode):
    """Held with a sentence that says what is missing; never burned in a minute."""
    async with Scene(tmp_path, mode) as scene:
        scene.sim.service_centre = NO_CENTRE
        await scene.begin()
        scene.arrive(PLAIN_SID_START)
        await scene.passes(3600)
        assert scene.carried_out == ["led on"]
        assert [state for state, _ in scene.replies] == ["queued"]
        assert any("service centre" in line for line in scene.log())
        assert len(scene.opponent.lines(SENDS)) <= 15
