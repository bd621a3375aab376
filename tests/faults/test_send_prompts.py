"""Sending: prompts in all shapes, outcomes nobody knows, refusals of every kind, and no retry for ever."""

import itertools
import re

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu

PROMPTS = {
    "a": [b"\r\n> "],
    "b": [b"\r\n>\r\n\r"],
    "b as captured": [b"\r\r\n>\r\n\r"],
    "c": [b">"],
    "d": [b"\r\n>", 0.05, b" "],
    "e": [b'\r\n+CMTI: "ME",4\r\n\r\n> '],
    "no space": [b"\r\n>"],
    "after a line feed": [b"\n> "],
    "a line end and a space": [b"\r\n> \r\n"],
    "in pieces": [b"\r", 0.2, b"\n", 0.2, b">", 0.2, b" "],
    "late": [4.0, b"\r\n> "],
    "twice": [b"\r\n> \r\n> "],
    "a code glued to it": [b'\r\n+CMTI: "ME",4\r\n> '],
    "a code right behind it": [b'\r\n> \r\n+CMTI: "ME",4\r\n'],
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
async def test_f07_every_prompt_is_a_prompt(tmp_path, message_format, prompt):
    """The body is written once, within 500 ms of the prompt's own octet; a code beside it is followed."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        rule = scene.interceptor.rewrite(r"AT\+CMGS=.*", b"\r\n> ", prompt)
        if any(b"+CMTI" in piece for piece in prompt if isinstance(piece, bytes)):
            scene.store_pdu(4, make_pdu("led 4"))
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(60)
        assert rule.applied == 1
        trace = scene.port.trace
        asked = next(at for at, way, octets in trace if way == ">" and b"AT+CMGS=" in octets)
        prompted = next(at for at, way, octets in trace if at > asked and way == "<" and b">" in octets)
        body = next(at for at, way, octets in trace if at > asked and way == ">" and octets[-1:] == b"\x1a")
        assert body - prompted < 0.5
        if any(b"+CMTI" in piece for piece in prompt if isinstance(piece, bytes)):
            assert sorted(scene.executed) == ["led 4", "led on"]
            assert sorted(scene.sent_bodies) == ["did led 4", "did led on"]
        else:
            assert scene.sent_bodies == ["did led on"]
        assert scene.interceptor.agent_octets.count(b"\x1a") == len(scene.sent_bodies)
        assert scene.interceptor.agent_octets.count(b"\x1b") == 1  # that of the start
        assert {state for state, _ in scene.replies} == {"sent"}


@pytest.mark.parametrize("transmitted", [False, True], ids=["not sent", "sent all the same"])
async def test_f08_no_retry_for_ever(tmp_path, message_format, transmitted):
    """Every send ends with +CMS ERROR: 38 after 5 s, for 24 h and ten starts: attempts are bounded."""
    async with FaultWorld(tmp_path, message_format) as scene:
        refuse_sending(scene, b"\r\n+CMS ERROR: 38\r\n", transmitted=transmitted)
        scene.deliver_pdu(PLAIN_SID_START)
        scene.store_pdu(1, PLAIN_SID_START)
        for _ in range(10):
            await scene.start_and_settle(2.4 * 3600)
            await scene.current_run.stop()
        attempts = scene.interceptor.commands_matching(r"AT\+CMGS=.*")
        assert scene.executed == ["led on"]
        assert 3 <= len(attempts) <= 12
        times = [at for at, line in scene.interceptor.commands if line.startswith("AT+CMGS")]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(waits) > 40
        assert waits[-1] > 1000
        assert [state for state, _ in scene.replies] == ["failed"]
        assert len([line for line in scene.log_lines(30) if line.startswith("failed")]) == 1
        assert len(scene.sent_bodies) == (len(attempts) if transmitted else 0)


def refuse_sending(scene, result, *, transmitted=False, times=0, after=5):
    """What the module says to a body, instead of its result; without `transmitted` nothing leaves it."""
    rule = scene.interceptor.rewrite(
        r"AT\+CMGS=.*", re.compile(rb"\r\n\+CM[SG].*", re.DOTALL), [float(after), result], times
    )
    submit = scene.network.submit

    def refused(station, token, tpdu):
        if rule.remaining and not transmitted:
            scene.call_later(0.05, station.submitted, token, 41)
        else:
            submit(station, token, tpdu)

    scene.network.submit = refused


UNKNOWN = {
    "a": b"\r\n+CMGS: 42\r\n",
    "b": b"",
    "c": b"\r\nOK\r\n",
    "d": [65.0, b"\r\n+CMGS: 42\r\n\r\nOK\r\n"],
    "no blank": b"\r\n+CMGS:42\r\nOK\r\n",
    "with a time": b'\r\n+CMGS: 42,"26/11/22,12:00:00+00"\r\n\r\nOK\r\n',
    "result first": [b"\r\nOK\r\n", 0.02, b"\r\n+CMGS: 42\r\n"],
    "far apart": [b"\r\n+CMGS: 42\r\n", 30.0, b"\r\nOK\r\n"],
    "twice": b"\r\n+CMGS: 42\r\n\r\nOK\r\n\r\n+CMGS: 42\r\n\r\nOK\r\n",
    "in numbers": b"+CMGS: 42\r\n0\r",
    "after two minutes and more": [125.0, b"\r\n+CMGS: 42\r\n\r\nOK\r\n"],
}


@pytest.mark.deviation(
    "The design holds: an unknown outcome is left alone; with `service.resend_unknown` it is sent once more."
)
@pytest.mark.parametrize("resend", [False, True], ids=["left alone", "sent once more"])
@pytest.mark.parametrize("case", UNKNOWN)
async def test_f20_outcome_of_a_send(tmp_path, message_format, case, resend):
    """Sent, not sent and unknown are told apart, durably; at most one copy, with the setting at most two."""

    tables = {"service": {"name": "super-sim", "resend_unknown": resend}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as scene:
        await scene.start_and_settle()
        scene.interceptor.rewrite(
            r"AT\+CMGS=.*", re.compile(rb"\r\n\+CMGS: .*", re.DOTALL), UNKNOWN[case], times=0
        )
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(3600)
        if case == "b":
            states = ["unknown"] * (1 + resend)  # a row for each that may have left
            assert len(scene.sent_bodies) == 1 + resend
        else:
            states = ["sent"]
            assert len(scene.sent_bodies) == 1
        assert [state for state, _ in scene.replies] == states
        await scene.current_run.stop()
        await scene.start_and_settle(3600)
        assert [state for state, _ in scene.replies] == states
        assert len(scene.sent_bodies) == 1 + (resend and case == "b")
        assert scene.executed == ["led on"]


CODES = {
    "tried again": [38, 41, 42, 47, 314, 331, 515, 322, 330],
    "after hours": [21, 8],
    "given up": [1, 50, 69, 304, 305, 30, 96],
    "unknown": [500, 512, 332],
}
"""What becomes of a message that the network or the module refuses with this after its body."""


@pytest.mark.deviation(
    "The design holds (the table of codes): after a body 500, 332 and 512 up may mean that the message left,"
    " so they are unknown and not repeated; 8 and 21 are quotas or bars and are tried again after hours; 28"
    " waits for the SIM."
)
@pytest.mark.parametrize(("fate", "code"), [(fate, code) for fate in CODES for code in CODES[fate]])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f21_every_code_has_its_class(tmp_path, message_format, fate, code):
    """Temporary ones are tried again, permanent ones never, what may have left is left alone."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        refuse_sending(scene, b"\r\n+CMS ERROR: %d\r\n" % code, times=1)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(20)
        first = len(scene.interceptor.commands_matching(r"AT\+CMGS=.*"))
        await scene.advance(300)
        soon = len(scene.interceptor.commands_matching(r"AT\+CMGS=.*"))
        await scene.advance(6 * 3600)
        states = [state for state, _ in scene.replies]
        match fate:
            case "tried again":
                assert (soon, states) == (2, ["sent"])
            case "after hours":
                assert (first, soon, states) == (1, 1, ["sent"])
            case "given up":
                assert (soon, states) == (1, ["failed"])
            case "unknown":
                assert (soon, states) == (1, ["unknown"])
        assert len(scene.interceptor.commands_matching(r"AT\+CMGS=.*")) <= 2


@pytest.mark.parametrize("code", [500, 512, 332, 304, 330, 38])
async def test_f21_before_the_body_nothing_is_unknown(tmp_path, message_format, code):
    """Refused in place of the prompt, nothing left: tried again, unless the message itself is wrong."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.answer(r"AT\+CMGS=.*", b"\r\n+CMS ERROR: %d\r\n" % code)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(600)
        assert [state for state, _ in scene.replies] == (["failed"] if code == 304 else ["sent"])


@pytest.mark.parametrize("word", [b"ERROR", b"+CMS ERROR: 28", b"+CME ERROR: 100"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f21_what_says_nothing_is_tried_a_few_times(tmp_path, message_format, word):
    """A plain ERROR for ever: bounded attempts over hours, then failed."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        refuse_sending(scene, b"\r\n" + word + b"\r\n", after=1)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(23 * 3600)
        assert 3 <= len(scene.interceptor.commands_matching(r"AT\+CMGS=.*")) <= 12
        assert [state for state, _ in scene.replies] == ["failed"]
