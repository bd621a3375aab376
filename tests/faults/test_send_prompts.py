"""F07 F08 F20 F21: prompt variants, bounded retries, unknown outcomes, and error classes."""

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
    "space and line end": [b"\r\n> \r\n"],
    "in pieces": [b"\r", 0.2, b"\n", 0.2, b">", 0.2, b" "],
    "late": [4.0, b"\r\n> "],
    "twice": [b"\r\n> \r\n> "],
    "URC before it without a line end": [b'\r\n+CMTI: "ME",4\r\n> '],
    "URC right after it": [b'\r\n> \r\n+CMTI: "ME",4\r\n'],
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
async def test_f07_every_prompt_variant_is_recognised(tmp_path, message_format, prompt):
    """The body is written once, within 500 ms of the prompt, and a URC beside it is processed."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        rule = world.interceptor.rewrite(r"AT\+CMGS=.*", b"\r\n> ", prompt)
        if any(b"+CMTI" in piece for piece in prompt if isinstance(piece, bytes)):
            world.store_pdu(4, make_pdu("led 4"))
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(60)
        assert rule.applied == 1
        trace = world.port.trace
        command_at = next(at for at, way, octets in trace if way == ">" and b"AT+CMGS=" in octets)
        prompt_at = next(at for at, way, octets in trace if at > command_at and way == "<" and b">" in octets)
        body_at = next(
            at for at, way, octets in trace if at > command_at and way == ">" and octets[-1:] == b"\x1a"
        )
        assert body_at - prompt_at < 0.5
        if any(b"+CMTI" in piece for piece in prompt if isinstance(piece, bytes)):
            assert sorted(world.executed) == ["led 4", "led on"]
            assert sorted(world.sent_bodies) == ["did led 4", "did led on"]
        else:
            assert world.sent_bodies == ["did led on"]
        assert world.interceptor.agent_octets.count(b"\x1a") == len(world.sent_bodies)
        assert world.interceptor.agent_octets.count(b"\x1b") == 1  # written at the start
        assert {state for state, _ in world.replies} == {"sent"}


@pytest.mark.long
@pytest.mark.parametrize("transmitted", [False, True], ids=["not sent", "sent anyway"])
async def test_f08_send_attempts_are_bounded(tmp_path, message_format, transmitted):
    """Every send fails with +CMS ERROR: 38, for 24 h and ten starts: attempts end, and the reply fails."""
    async with FaultWorld(tmp_path, message_format) as world:
        refuse_sending(world, b"\r\n+CMS ERROR: 38\r\n", transmitted=transmitted)
        world.deliver_pdu(PLAIN_SID_START)
        world.store_pdu(1, PLAIN_SID_START)
        for _ in range(10):
            await world.start_and_settle(2.4 * 3600)
            await world.current_run.stop()
        attempts = world.interceptor.commands_matching(r"AT\+CMGS=.*")
        assert world.executed == ["led on"]
        assert 3 <= len(attempts) <= 12
        times = [at for at, line in world.interceptor.commands if line.startswith("AT+CMGS")]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(waits) > 15  # an attempt follows each restart of the module, the others are further apart
        assert max(waits) > 1000
        assert [state for state, _ in world.replies] == ["failed"]
        assert len([line for line in world.log_lines(30) if line.startswith("failed")]) == 1
        assert len(world.sent_bodies) == (len(attempts) if transmitted else 0)


def refuse_sending(world, result, *, transmitted=False, times=0, after=5):
    """Replace the result of a send. Without `transmitted` the message is not submitted to the network."""
    rule = world.interceptor.rewrite(
        r"AT\+CMGS=.*", re.compile(rb"\r\n\+CM[SG].*", re.DOTALL), [float(after), result], times
    )
    submit = world.network.submit

    def submit_or_refuse(station, token, tpdu):
        if rule.remaining and not transmitted:
            world.call_later(0.05, station.submitted, token, 41)
        else:
            submit(station, token, tpdu)

    world.network.submit = submit_or_refuse


SEND_RESULTS = {
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
    "An unknown outcome is not resent by default; with `service.resend_unknown` the reply is resent once."
)
@pytest.mark.parametrize("resend", [False, True], ids=["not resent", "resent"])
@pytest.mark.parametrize("case", SEND_RESULTS)
async def test_f20_send_outcome_is_stored(tmp_path, message_format, case, resend):
    """Sent and unknown outcomes are distinguished and stored.

    At most one copy is sent, with `resend_unknown` at most two.
    """

    tables = {"service": {"name": "super-sim", "resend_unknown": resend}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        await world.start_and_settle()
        world.interceptor.rewrite(
            r"AT\+CMGS=.*", re.compile(rb"\r\n\+CMGS: .*", re.DOTALL), SEND_RESULTS[case], times=0
        )
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(3600)
        if case == "b":
            states = ["unknown"] * (1 + resend)  # a row for each message that may have been sent
            assert len(world.sent_bodies) == 1 + resend
        else:
            states = ["sent"]
            assert len(world.sent_bodies) == 1
        assert [state for state, _ in world.replies] == states
        await world.current_run.stop()
        await world.start_and_settle(3600)
        assert [state for state, _ in world.replies] == states
        assert len(world.sent_bodies) == 1 + (resend and case == "b")
        assert world.executed == ["led on"]


CODES_BY_OUTCOME = {
    "tried again": [38, 41, 42, 47, 314, 331, 515, 322, 330],
    "after hours": [21, 8],
    "given up": [1, 50, 69, 304, 305, 30, 96],
    "unknown": [500, 512, 332],
}
"""The codes after a body, by the outcome of the message."""


@pytest.mark.deviation(
    "After a body 500, 332, and 512 and above may mean that the message was sent: the outcome is unknown and"
    " not resent; 8 and 21 are quotas or bars and are retried after hours; 28 waits for the SIM."
)
@pytest.mark.parametrize(
    ("outcome", "code"),
    [(outcome, code) for outcome, codes in CODES_BY_OUTCOME.items() for code in codes],
)
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f21_error_code_decides_on_the_retry(tmp_path, message_format, outcome, code):
    """Temporary errors are retried, permanent ones are not, unknown outcomes are left alone."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        refuse_sending(world, b"\r\n+CMS ERROR: %d\r\n" % code, times=1)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        first = len(world.interceptor.commands_matching(r"AT\+CMGS=.*"))
        await world.advance(300)
        soon = len(world.interceptor.commands_matching(r"AT\+CMGS=.*"))
        await world.advance(6 * 3600)
        states = [state for state, _ in world.replies]
        match outcome:
            case "tried again":
                assert (soon, states) == (2, ["sent"])
            case "after hours":
                assert (first, soon, states) == (1, 1, ["sent"])
            case "given up":
                assert (soon, states) == (1, ["failed"])
            case "unknown":
                assert (soon, states) == (1, ["unknown"])
        assert len(world.interceptor.commands_matching(r"AT\+CMGS=.*")) <= 2


@pytest.mark.parametrize("code", [500, 512, 332, 304, 330, 38])
async def test_f21_error_before_the_body_is_never_unknown(tmp_path, message_format, code):
    """Nothing was sent, so the reply is retried, unless the message itself is invalid."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CMGS=.*", b"\r\n+CMS ERROR: %d\r\n" % code)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(600)
        assert [state for state, _ in world.replies] == (["failed"] if code == 304 else ["sent"])


@pytest.mark.long
@pytest.mark.parametrize("error", [b"ERROR", b"+CMS ERROR: 28", b"+CME ERROR: 100"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f21_generic_error_is_retried_a_few_times(tmp_path, message_format, error):
    """The attempts are spread over hours, then the reply fails."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        refuse_sending(world, b"\r\n" + error + b"\r\n", after=1)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(23 * 3600)
        assert 3 <= len(world.interceptor.commands_matching(r"AT\+CMGS=.*")) <= 12
        assert [state for state, _ in world.replies] == ["failed"]
