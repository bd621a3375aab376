"""Sending: four outcomes, and each is what it says."""

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
    """What must stand before the body leaves."""

    def __init__(self, script=None):
        self.script = script
        self.seen = None

    async def __call__(self):
        self.seen = list(self.script.received_lines) if self.script else []
        await asyncio.sleep(0.02)


def now():
    return asyncio.get_running_loop().time()


def test_a_message_is_sent(run_scripted_modem):
    """The length of the TPDU, the prompt, the commit, the digits with Ctrl-Z, the message reference."""

    async def story(modem, script):
        journal = RecordingCommit(script)
        assert await modem.send(submit(), journal) == Sent(2)
        assert journal.seen == [CMGS]
        assert script.received_lines == [CMGS, f"body {BODY}"]

    run_scripted_modem(story, table={CMGS: PROMPT, "body": b"\r\n+CMGS: 2\r\n" + OK})


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
def test_prompts_in_all_shapes(run_scripted_modem, prompt, after):
    """The body is written once, soon after the prompt."""

    async def story(modem, script):
        began = now()
        assert await modem.send(submit(), RecordingCommit()) == Sent(0)
        assert now() - began < after + 0.5
        assert script.received_lines.count(f"body {BODY}") == 1

    run_scripted_modem(story, table={CMGS: prompt, "body": b"\r\n+CMGS: 0\r\n" + OK})


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
def test_sent(run_scripted_modem, answer, outcome):
    """Also when the result comes late, or without its OK, or as nothing but OK."""

    async def story(modem, script):
        assert await modem.send(submit(), RecordingCommit()) == outcome
        assert len([line for line in script.received_lines if line.startswith("body")]) == 1

    late = [0.1, b"\r\n+CMEE: 1\r\n" + OK]
    run_scripted_modem(story, table={CMGS: PROMPT, "body": answer, "AT+CMEE?": late})


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
    """The error is handed on with its class, as it is after a body."""

    async def story(modem, script):
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, Refused)
        assert (outcome.error.code, outcome.error.error_class) == (code, error_class)
        assert outcome.error.body_sent

    run_scripted_modem(story, table={CMGS: PROMPT, "body": f"\r\n+CMS ERROR: {code}\r\n".encode()})


@pytest.mark.parametrize("answer", [b"\r\n+CMS ERROR: 302\r\n", b"\r\nERROR\r\n", b"\r\n+CME ERROR: 14\r\n"])
def test_refused_in_place_of_the_prompt(run_scripted_modem, answer):
    """Nothing of the body is written, and the journal is not asked."""

    async def story(modem, script):
        journal = RecordingCommit(script)
        outcome = await modem.send(submit(), journal)
        assert isinstance(outcome, Refused)
        assert not outcome.error.body_sent
        assert journal.seen is None
        assert script.received_lines == [CMGS]

    run_scripted_modem(story, table={CMGS: answer})


def test_no_prompt(run_scripted_modem):
    """Without a prompt nothing leaves; ESC and a new mark before the next command."""

    async def story(modem, script):
        began = now()
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, NotSent)
        assert now() - began < 15
        assert script.received_lines == [CMGS, "esc", "AT+CMEE?"]
        script.table["AT+CSQ"] = b"\r\n+CSQ: 21,99\r\n" + OK
        assert (await modem.query_signal()).dbm == -71

    run_scripted_modem(story, table={CMGS: b"AT+CMGS=15\r"})


def test_no_result(run_scripted_modem):
    """Ctrl-Z may have left and nothing came: unknown, after the module's own limit."""

    async def story(modem, script):
        began = now()
        assert isinstance(await modem.send(submit(), RecordingCommit()), OutcomeUnknown)
        assert 120 <= now() - began < 130
        assert len([line for line in script.received_lines if line.startswith("body")]) == 1

    run_scripted_modem(story, table={CMGS: PROMPT, "body": None})


def test_ctrl_z_that_got_lost(run_scripted_modem):
    """The module still takes text: ESC is answered by OK, and that proves that nothing left."""

    async def story(modem, script):
        hear = script.handle

        def deaf(line, octets):
            if line == "body":
                script.is_text_entry = True
            else:
                hear(line, octets)

        script.handle = deaf
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, NotSent)
        assert "still waiting for text" in outcome.reason

    run_scripted_modem(story, table={CMGS: PROMPT, "esc": OK})


def test_an_entry_that_esc_does_not_close(run_scripted_modem):
    """It is ended by what must be refused, because the length is wrong; then the message is sent."""

    async def story(modem, script):
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
    run_scripted_modem(story, table=table)


def test_a_late_error(run_scripted_modem):
    """A refusal after the limit is one."""

    async def story(modem, script):
        outcome = await modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, Refused)
        assert outcome.error.code == 350

    table = {
        CMGS: PROMPT,
        "body": [120.5, b"\r\n+CMS ERROR: 350\r\n"],
        "AT+CMEE?": [0.5, b"\r\n+CMEE: 1\r\n" + OK],
    }
    run_scripted_modem(story, table=table)


def test_a_restart_while_sending(run_modem_bench):
    """The module restarts with the message in the air: unknown at once, not after two minutes."""

    async def story(stand):
        stand.network.answers = False
        sending = asyncio.create_task(stand.modem.send(submit(), RecordingCommit()))
        await asyncio.sleep(2)
        began = now()
        stand.module.reboot()
        outcome = await sending
        assert isinstance(outcome, OutcomeUnknown)
        assert now() - began < 10

    run_modem_bench(story)


def test_the_line_goes_while_sending(run_scripted_modem):
    """Before the body nothing left, after it nobody knows."""

    async def before(modem, script):
        asyncio.get_running_loop().call_later(1, script.wire.close)
        assert isinstance(await modem.send(submit(), lambda: asyncio.sleep(5)), NotSent)

    async def after(modem, script):
        asyncio.get_running_loop().call_later(1, script.wire.close)
        assert isinstance(await modem.send(submit(), RecordingCommit()), OutcomeUnknown)

    run_scripted_modem(before, table={CMGS: PROMPT})
    run_scripted_modem(after, table={CMGS: PROMPT, "body": None})


def test_a_journal_that_cannot_commit(run_scripted_modem):
    """What before_body raises is handed on; the entry is closed and nothing was sent."""

    async def story(modem, script):
        async def full():
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await modem.send(submit(), full)
        await modem.sweep("ME")
        assert script.received_lines == [CMGS, "esc", "AT+CMEE?", "AT+CMGL=4"]

    run_scripted_modem(story, table={CMGS: PROMPT, "esc": OK})


def test_a_message_that_cannot_be_encoded(run_scripted_modem):
    """It is refused before anything is written."""

    async def story(modem, script):
        (user_data,) = pdu.segment("hi")
        wrong = pdu.Submit(pdu.Address.parse("2936"), user_data, data_coding_scheme=4)
        with pytest.raises(pdu.PduError):
            await modem.send(wrong, RecordingCommit())
        assert script.received_lines == []

    run_scripted_modem(story)


def test_messages_that_arrive_meanwhile(run_modem_bench):
    """What comes while a message is in the air is told, and the result is still the result."""

    async def story(stand):
        stand.network.answers = False
        sending = asyncio.create_task(stand.modem.send(submit(), RecordingCommit()))
        await asyncio.sleep(1)
        stand.deliver("one")
        stand.deliver("two")
        await asyncio.sleep(1)
        stand.module.submitted(stand.network.token, None)
        assert isinstance(await sending, Sent)
        assert (await stand.modem.next_event()).slot.index == 1
        assert (await stand.modem.next_event()).slot.index == 2

    run_modem_bench(story)


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
def test_misfortunes_of_the_simulator(run_modem_bench, fault, kinds):
    """Each outcome is true: what is called not sent never left, and nothing leaves twice."""

    async def story(stand):
        stand.module.faults.add(fault)
        await stand.settle()
        outcome = await stand.modem.send(submit(), RecordingCommit())
        assert isinstance(outcome, kinds), outcome
        left = len(stand.module.log.submitted_tpdus)
        assert left == (0 if isinstance(outcome, NotSent | Refused) else 1)
        if not stand.modem.loss_reason:
            assert isinstance(await stand.modem.send(submit("again"), RecordingCommit()), Sent)
            assert len(stand.module.log.submitted_tpdus) == left + 1

    run_modem_bench(story)
