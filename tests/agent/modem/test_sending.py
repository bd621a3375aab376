"""Sending: each of the four outcomes is true."""

import asyncio

import pytest

import pdu
from agent.at.errors import ErrorClass
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, Sent

OK = b"\r\nOK\r\n"
PROMPT = b"\r\n> "


def submit(text="OK 17", number="2936"):
    (user_data,) = pdu.segment(text)
    return pdu.Submit(pdu.Address.parse(number), user_data, validity_period=pdu.RelativeValidity(167))


CMGS = "AT+CMGS=15"
BODY = "001100048192630000A705CF25287603"


class RecordingCommit:
    """Records when the commit before the body happens, and may fail."""

    def __init__(self, script=None):
        self.script = script
        self.lines_at_commit = None

    async def __call__(self):
        self.lines_at_commit = list(self.script.received_lines) if self.script else []
        await asyncio.sleep(0.02)


def now():
    return asyncio.get_running_loop().time()


def test_message_is_sent(run_scripted_modem):
    """TPDU length, prompt, commit, hexadecimal digits with Ctrl-Z, message reference."""

    async def scenario(modem, script):
        journal = RecordingCommit(script)
        assert await modem.send(submit(), journal) == Sent(2)
        assert journal.lines_at_commit == [CMGS]
        assert script.received_lines == [CMGS, f"body {BODY}"]

    run_scripted_modem(scenario, table={CMGS: PROMPT, "body": b"\r\n+CMGS: 2\r\n" + OK})


@pytest.mark.parametrize(
    ("prompt", "after"),
    [
        ([b"\r\n> "], 0),
        ([b"AT+CMGS=15\r\r\n>\r\n\r"], 0),
        ([b">"], 0),
        ([b"\r\n>", 0.05, b" "], 0),
        ([b'\r\n+CMTI: "ME",4\r\n\r\n> '], 0),
        ([5.0, b"\r\n> "], 5),
    ],
)
def test_prompt_variants(run_scripted_modem, prompt, after):
    """The body is written once, soon after the prompt."""

    async def scenario(modem, script):
        began = now()
        assert await modem.send(submit(), RecordingCommit()) == Sent(0)
        assert now() - began < after + 0.5
        assert script.received_lines.count(f"body {BODY}") == 1

    run_scripted_modem(scenario, table={CMGS: prompt, "body": b"\r\n+CMGS: 0\r\n" + OK})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"\r\n+CMGS: 42\r\n", Sent(42)),
        (OK, Sent(None)),
        ([65, b"\r\n+CMGS: 7\r\n" + OK], Sent(7)),
        (b'\r\n+CMGS: 7,"26/09/21,14:13:20+00"\r\n' + OK, Sent(7)),
        ([120.05, b"\r\n+CMGS: 9\r\n" + OK], Sent(9)),
    ],
)
def test_sent_outcome(run_scripted_modem, answer, outcome):
    """This holds also if the result comes late, without its OK, or as OK alone."""

    async def scenario(modem, script):
        assert await modem.send(submit(), RecordingCommit()) == outcome
        assert len([line for line in script.received_lines if line.startswith("body")]) == 1

    late = [0.1, b"\r\n+CMEE: 1\r\n" + OK]
    run_scripted_modem(scenario, table={CMGS: PROMPT, "body": answer, "AT+CMEE?": late})


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        *((38, ErrorClass.RETRY_LATER), (41, ErrorClass.RETRY_SOON), (69, ErrorClass.PERMANENT)),
        *((21, ErrorClass.BARRED), (331, ErrorClass.NOT_READY), (322, ErrorClass.STORE_FULL)),
        *((304, ErrorClass.PERMANENT), (500, ErrorClass.OUTCOME_UNKNOWN), (332, ErrorClass.OUTCOME_UNKNOWN)),
        (512, ErrorClass.OUTCOME_UNKNOWN),
    ],
)
def test_refused_after_the_body(run_scripted_modem, code, error_class):
    """The error has the class that applies after a body."""

    async def scenario(modem, script):
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, Refused)
        assert (outcome.error.code, outcome.error.error_class) == (code, error_class)
        assert outcome.error.body_sent

    run_scripted_modem(scenario, table={CMGS: PROMPT, "body": f"\r\n+CMS ERROR: {code}\r\n".encode()})


@pytest.mark.parametrize("answer", [b"\r\n+CMS ERROR: 302\r\n", b"\r\nERROR\r\n", b"\r\n+CME ERROR: 14\r\n"])
def test_refused_before_the_prompt(run_scripted_modem, answer):
    """No octet of the body is written, and nothing is committed."""

    async def scenario(modem, script):
        journal = RecordingCommit(script)
        outcome = await modem.send(submit(), journal)
        assert isinstance(outcome, Refused)
        assert not outcome.error.body_sent
        assert journal.lines_at_commit is None
        assert script.received_lines == [CMGS]

    run_scripted_modem(scenario, table={CMGS: answer})


def test_missing_prompt_is_not_sent(run_scripted_modem):
    """Without a prompt nothing leaves; ESC and a resynchronisation precede the next command."""

    async def scenario(modem, script):
        began = now()
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, NotSent)
        assert now() - began < 15
        assert script.received_lines == [CMGS, "esc", "AT+CMEE?"]
        script.table["AT+CSQ"] = b"\r\n+CSQ: 21,99\r\n" + OK
        assert (await modem.query_signal()).dbm == -71

    run_scripted_modem(scenario, table={CMGS: b"AT+CMGS=15\r"})


def test_missing_result_is_unknown(run_scripted_modem):
    """Ctrl-Z may have left and no result came: the outcome is unknown after the timeout of the module."""

    async def scenario(modem, script):
        began = now()
        assert isinstance(await modem.send(submit(), RecordingCommit()), OutcomeUnknown)
        assert 120 <= now() - began < 130
        assert len([line for line in script.received_lines if line.startswith("body")]) == 1

    run_scripted_modem(scenario, table={CMGS: PROMPT, "body": None})


def test_lost_ctrl_z_is_not_sent(run_scripted_modem):
    """The module is still in text entry: it answers ESC by OK, which proves that nothing left."""

    async def scenario(modem, script):
        handle = script.handle

        def deaf(line, octets):
            if line == "body":
                script.is_text_entry = True
            else:
                handle(line, octets)

        script.handle = deaf
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, NotSent)
        assert "still waiting for text" in outcome.reason

    run_scripted_modem(scenario, table={CMGS: PROMPT, "esc": OK})


def test_text_entry_that_esc_does_not_close(run_scripted_modem):
    """A body of the wrong length, which must be refused, closes it; then the next message is sent."""

    async def scenario(modem, script):
        received = script.data_received
        script.data_received = lambda data: received(
            data.replace(b"\x1b", b"") if script.is_text_entry else data
        )
        assert isinstance(await modem.send(submit(), RecordingCommit()), NotSent)
        script.table |= {CMGS: PROMPT, "body": b"\r\n+CMGS: 2\r\n" + OK}
        assert await modem.send(submit(), RecordingCommit()) == Sent(2)

    table = {
        CMGS: [10.5, PROMPT],
        "body": b"\r\n+CMS ERROR: 304\r\n",
        "AT+CSCS?": b'\r\n+CSCS: "GSM"\r\n' + OK,
    }
    run_scripted_modem(scenario, table=table)


def test_late_error_is_a_refusal(run_scripted_modem):
    """An error after the timeout counts as a refusal."""

    async def scenario(modem, script):
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, Refused)
        assert outcome.error.code == 350

    table = {
        CMGS: PROMPT,
        "body": [120.5, b"\r\n+CMS ERROR: 350\r\n"],
        "AT+CMEE?": [0.5, b"\r\n+CMEE: 1\r\n" + OK],
    }
    run_scripted_modem(scenario, table=table)


def test_restart_while_sending_is_unknown(run_modem_bench):
    """The module restarts after the body: unknown at once, not after two minutes."""

    async def scenario(bench):
        bench.network.answers = False
        sending = asyncio.create_task(bench.modem.send(submit(), RecordingCommit()))
        await asyncio.sleep(2)
        began = now()
        bench.module.reboot()
        outcome = await sending
        assert isinstance(outcome, OutcomeUnknown)
        assert now() - began < 10

    run_modem_bench(scenario)


def test_connection_lost_while_sending(run_scripted_modem):
    """Before the body nothing left, after it the outcome is unknown."""

    async def before(modem, script):
        asyncio.get_running_loop().call_later(1, script.transport.close)
        assert isinstance(await modem.send(submit(), lambda: asyncio.sleep(5)), NotSent)

    async def after(modem, script):
        asyncio.get_running_loop().call_later(1, script.transport.close)
        assert isinstance(await modem.send(submit(), RecordingCommit()), OutcomeUnknown)

    run_scripted_modem(before, table={CMGS: PROMPT})
    run_scripted_modem(after, table={CMGS: PROMPT, "body": None})


def test_failed_commit_aborts_the_send(run_scripted_modem):
    """An exception of `before_body` is passed on; text entry is closed and nothing was sent."""

    async def scenario(modem, script):
        async def full():
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await modem.send(submit(), full)
        await modem.sweep("ME")
        assert script.received_lines == [CMGS, "esc", "AT+CMEE?", "AT+CMGL=4"]

    run_scripted_modem(scenario, table={CMGS: PROMPT, "esc": OK})


def test_unencodable_message_is_refused(run_scripted_modem):
    """It is refused before anything is written."""

    async def scenario(modem, script):
        (user_data,) = pdu.segment("hi")
        wrong = pdu.Submit(pdu.Address.parse("2936"), user_data, data_coding_scheme=4)
        with pytest.raises(pdu.PduError):
            await modem.send(wrong, RecordingCommit())
        assert script.received_lines == []

    run_scripted_modem(scenario)


def test_urcs_while_sending(run_modem_bench):
    """Messages that arrive meanwhile are reported, and the result is still found."""

    async def scenario(bench):
        bench.network.answers = False
        sending = asyncio.create_task(bench.modem.send(submit(), RecordingCommit()))
        await asyncio.sleep(1)
        bench.deliver("one")
        bench.deliver("two")
        await asyncio.sleep(1)
        bench.module.submitted(bench.network.token, None)
        assert isinstance(await sending, Sent)
        assert (await bench.modem.next_event()).slot.index == 1
        assert (await bench.modem.next_event()).slot.index == 2

    run_modem_bench(scenario)


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("final-lost:command=+CMGS", (Sent,)),
        ("information-lost:command=+CMGS", (Sent,)),
        ("answer-lost:command=+CMGS", (OutcomeUnknown,)),
        ("prompt-late:seconds=8", (Sent,)),
        ("prompt-late:seconds=12", (NotSent,)),
        ("prompt-missing", (NotSent,)),
        ("refused:command=+CMGS,refusal=CMS 302", (Refused,)),
        ("mute:for=200", (NotSent,)),
        ("rubbish:command=+CMGS", (Sent,)),
    ],
)
def test_send_outcomes_with_simulated_faults(run_modem_bench, fault, kinds):
    """Each outcome is true: what is called not sent has not left, and nothing leaves twice."""

    async def scenario(bench):
        bench.module.faults.add(fault)
        await bench.settle()
        outcome = await bench.modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, kinds), outcome
        left = len(bench.module.log.submitted_tpdus)
        assert left == (0 if isinstance(outcome, NotSent | Refused) else 1)
        if not bench.modem.loss_reason:
            assert isinstance(await bench.modem.send(submit("again"), RecordingCommit()), Sent)
            assert len(bench.module.log.submitted_tpdus) == left + 1

    run_modem_bench(scenario)
