"""The channel: turns, deadlines, lines that are in doubt, and the end."""

import asyncio
import dataclasses

import pytest

from agent.at.client import AtClient
from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut, ErrorClass, ModemLost
from agent.at.events import EchoReturned, Unsolicited
from agent.at.trace import Trace
from agent.at.transport.memory import memory_transport_pair

OK = b"\r\nOK\r\n"
PDU = "079144770009000004038100F000006290124131020002E834"
READ = AtCommand(
    "AT+CMGR=3", 10, (ResponsePattern("+CMGR", payload_kind=PayloadKind.HEX_LINE),), requires_information=True
)
DELETE = AtCommand("AT+CMGD=3", 30)
PIN = AtCommand("AT+CPIN?", 10, (ResponsePattern("+CPIN"),), requires_information=True)
SEND = AtCommand(
    "AT+CMGS=15",
    10,
    (ResponsePattern("+CMGS"),),
    requires_information=True,
    body=b"0011\x1a",
    body_timeout_s=120,
    abort_sequence=b"\x1a",
)
PROMPT = b"\r\n> "


@pytest.fixture
def run_with_module(run_virtual, attach_scripted_module):
    """Run a story with a channel and the module at its other end."""

    def begin(story, **options):
        async def whole():
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            channel = await AtClient.open(near.open, **options)
            try:
                return await story(channel, module)
            finally:
                channel.close()
                await asyncio.sleep(0)

        return run_virtual(whole())

    return begin


def now():
    return asyncio.get_running_loop().time()


def test_an_answer(run_with_module):
    """The information lines come with their payload; nothing else is written than the command."""

    async def story(channel, module):
        module.on("AT+CMGR=3", f"\r\n+CMGR: 0,,17\r\n{PDU}\r\n".encode() + OK)
        response = await channel.exchange(READ)
        assert [(line.text, line.payload) for line in response.information] == [("+CMGR: 0,,17", PDU)]
        assert response.text == "+CMGR: 0,,17"
        assert module.heard == ["AT+CMGR=3"]

    run_with_module(story)


def test_a_refusal_says_whether_trying_again_helps(run_with_module):
    """The error carries code, name and class."""

    async def story(channel, module):
        module.on("AT+CMGR=3", b"\r\n+CMS ERROR: 314\r\n")
        with pytest.raises(CommandRefused) as caught:
            await channel.exchange(READ)
        assert (caught.value.kind, caught.value.code, caught.value.name) == ("cms", 314, "SIM busy")
        assert caught.value.error_class is ErrorClass.RETRY_SOON
        assert str(caught.value) == "AT+CMGR=3 was refused: +CMS ERROR: 314 (SIM busy)"

    run_with_module(story)


def test_turns_are_taken_in_order(run_with_module):
    """One command is in the air at a time; whoever asks first is served first."""

    async def story(channel, module):
        order = []

        async def ask(number):
            module.on(f"AT+N{number}", [0.1, OK])
            await channel.exchange(AtCommand(f"AT+N{number}", 5))
            order.append(number)

        await asyncio.gather(*(ask(number) for number in range(5)))
        assert order == [0, 1, 2, 3, 4]
        assert module.heard == [f"AT+N{number}" for number in range(5)]

    run_with_module(story)


def test_a_turn_of_several_commands_is_not_divided(run_with_module):
    """Choosing the store and deleting are one: nobody's command gets between."""

    async def story(channel, module):
        module.on("AT+A", [0.1, OK])
        module.on("AT+B", [0.1, OK])
        module.on("AT+C", [0.1, OK])

        async def two():
            async with channel.exclusive() as turn:
                await turn.exchange(AtCommand("AT+A", 5))
                await turn.exchange(AtCommand("AT+B", 5))

        await asyncio.gather(two(), channel.exchange(AtCommand("AT+C", 5)))
        assert module.heard == ["AT+A", "AT+B", "AT+C"]

    run_with_module(story)


def test_whoever_waits_may_go(run_with_module):
    """A cancelled waiter does not end the conversation: the next command waits for its final result."""

    async def story(channel, module):
        module.on("AT+CMGD=3", [5, OK])
        waiting = asyncio.create_task(channel.exchange(DELETE))
        await asyncio.sleep(1)
        waiting.cancel()
        module.on("AT+CPIN?", b"\r\n+CPIN: READY\r\n" + OK)
        began = now()
        await channel.exchange(PIN)
        assert now() - began == pytest.approx(4)
        assert module.heard == ["AT+CMGD=3", "AT+CPIN?"]

    run_with_module(story)


def test_silence_is_told_after_the_line_is_clean(run_with_module):
    """A command without a result times out at its own deadline; the mark of the present is found at once."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None)
        began = now()
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        assert now() - began == pytest.approx(30)
        assert module.heard == ["AT+CMGD=3", "AT+CMEE?"]

    run_with_module(story)


def test_chatter_postpones_no_deadline(run_with_module):
    """Deadlines are absolute, whatever the module says meanwhile."""

    async def story(channel, module):
        module.on("AT+CMGD=3", [part for _ in range(100) for part in (0.9, b"\r\n^RSSI:3\r\n")])
        began = now()
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        assert now() - began < 31

    run_with_module(story)


def test_a_late_result_never_answers_the_next_command(run_with_module):
    """The OK of a command given up is not the OK of the next one, even if it comes just before that."""

    async def story(channel, module):
        module.on("AT+CMGD=3", [30.05, b"\r\n+CMS ERROR: 320\r\n"])
        module.on("AT+CMEE?", [0.1, b"\r\n+CMEE: 1\r\n" + OK])
        with pytest.raises(CommandRefused) as caught:
            await channel.exchange(DELETE)
        assert caught.value.code == 320
        module.on("AT+CMGD=4", OK)
        await channel.exchange(AtCommand("AT+CMGD=4", 5))

    run_with_module(story)


def test_a_late_ok_counts_when_it_surely_belongs(run_with_module):
    """A result that comes before the first mark belongs to the command: it was carried out after all."""

    async def story(channel, module):
        module.on("AT+CMGD=3", [30.05, OK])
        module.on("AT+CMEE?", [0.1, b"\r\n+CMEE: 1\r\n" + OK])
        await channel.exchange(DELETE)

    run_with_module(story)


def test_results_between_refused_queries_are_nobodys(run_with_module):
    """Where queries are refused, an error may be theirs: the outcome stays unknown, the line gets clean."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", b"\r\nERROR\r\n")
        module.on("AT+CMGF?", b"\r\n+CMGF: 0\r\n" + OK)
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        module.on("AT+CPIN?", b"\r\n+CPIN: READY\r\n" + OK)
        assert (await channel.exchange(PIN)).text == "+CPIN: READY"

    run_with_module(story)


def test_a_module_that_refuses_every_query(run_with_module):
    """It is believed after a silence; the session lives on."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", b"\r\nERROR\r\n")
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)

    run_with_module(story)


def test_a_mute_module_is_lost(run_with_module):
    """When nothing answers any more the channel ends, and with it everything that is asked later."""

    async def story(channel, module):
        module.rules = {line: [None] for line in module.rules}
        module.on("AT+CMGD=3", None)
        for query in ("+CMGF", "+CSCS", "+CSMS"):
            module.on(f"AT{query}?", None)
        began = now()
        with pytest.raises(ModemLost):
            await channel.exchange(DELETE)
        assert now() - began < 30 + 25
        assert channel.lost.is_set()
        with pytest.raises(ModemLost):
            await channel.exchange(DELETE)
        with pytest.raises(ModemLost):
            await channel.urcs.get()

    run_with_module(story)


def test_a_final_result_that_never_comes(run_with_module):
    """Information without OK counts as carried out after a short grace, and is not asked again."""

    async def story(channel, module):
        module.on("AT+CPIN?", b"\r\n+CPIN: READY\r\n")
        began = now()
        assert (await channel.exchange(PIN)).text == "+CPIN: READY"
        assert now() - began < 3
        assert module.heard.count("AT+CPIN?") == 1

    run_with_module(story)


def test_the_grace_for_a_final_result_ends_with_the_deadline(run_with_module):
    """Information that comes late does not postpone the deadline."""

    async def story(channel, module):
        module.on("AT+CPIN?", [9.5, b"\r\n+CPIN: READY\r\n"])
        began = now()
        assert (await channel.exchange(PIN)).text == "+CPIN: READY"
        assert now() - began == pytest.approx(10)

    run_with_module(story)


def test_the_question_that_timed_out_marks_nothing(run_with_module):
    """Its late answer would be taken for the present: another question is asked."""

    async def story(channel, module):
        question = AtCommand("AT+CMEE?", 2, (ResponsePattern("+CMEE"),), requires_information=True)
        module.on("AT+CMEE?", [2.1, b"\r\n+CMEE: 1\r\n" + OK])
        module.on("AT+CMGF?", [0.3, b"\r\n+CMGF: 0\r\n" + OK])
        assert (await channel.exchange(question)).text == "+CMEE: 1"
        assert module.heard == ["AT+CMEE?", "AT+CMGF?"]

    run_with_module(story)


def test_an_ok_without_the_information_due(run_with_module):
    """It may be somebody else's OK: the true answer, which comes after it, is the answer."""

    async def story(channel, module):
        module.on("AT+CPIN?", [OK, 0.02, b"\r\n+CPIN: READY\r\n" + OK])
        module.on("AT+CMEE?", [0.03, b"\r\n+CMEE: 1\r\n" + OK])
        assert (await channel.exchange(PIN)).text == "+CPIN: READY"
        module.on("AT+CMGD=3", b"\r\n+CMS ERROR: 321\r\n")
        with pytest.raises(CommandRefused):
            await channel.exchange(DELETE)

    run_with_module(story)


def test_error_and_then_ok(run_with_module):
    """The OK that some modules send after an ERROR answers nothing that is asked next."""

    async def story(channel, module):
        module.on("AT+CMGR=3", [b"\r\nERROR\r\n", 0.05, OK])
        with pytest.raises(CommandRefused):
            await channel.exchange(READ)
        module.on("AT+CMGD=3", [0.2, b"\r\n+CMS ERROR: 321\r\n"])
        with pytest.raises(CommandRefused):
            await channel.exchange(DELETE)

    run_with_module(story)


def test_a_pause_where_a_profile_asks_for_one(run_with_module):
    """By default the next command follows at once, else after the pause."""

    async def story(channel, module):
        module.on("AT+CMGD=3", OK)
        began = now()
        await channel.exchange(DELETE)
        await channel.exchange(DELETE)
        return now() - began

    assert run_with_module(story) == 0
    assert run_with_module(story, command_gap_s=0.1) == pytest.approx(0.1)


def test_a_restart_ends_what_is_under_way(run_with_module):
    """What was asked before the module restarted will not be answered: no waiting for it."""

    async def story(channel, module):
        module.on("AT+CMGD=3", [1, b"\r\nRDY\r\n"])
        began = now()
        with pytest.raises(CommandTimedOut, match=r"restarted \(RDY\)"):
            await channel.exchange(DELETE)
        assert now() - began == pytest.approx(3)
        assert await channel.urcs.get() == Unsolicited("RDY")

    run_with_module(story)


# Sending


def test_a_body_follows_the_prompt(run_with_module):
    """What must happen before the body leaves happens between the prompt and its first octet."""

    async def story(channel, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", b"\r\n+CMGS: 7\r\n" + OK)
        seen = []

        async def before_body():
            seen.extend(module.heard)
            await asyncio.sleep(0.5)

        assert (await channel.exchange(SEND, before_body)).text == "+CMGS: 7"
        assert seen == ["AT+CMGS=15"]
        assert module.heard == ["AT+CMGS=15", "body 0011"]

    run_with_module(story)


def test_no_body_when_its_condition_fails(run_with_module):
    """When what must happen first does not, text entry is closed and nothing is sent."""

    async def story(channel, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("esc", OK)

        async def before_body():
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await channel.exchange(SEND, before_body)
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)
        assert module.heard == ["AT+CMGS=15", "esc", "AT+CMEE?", "AT+CMGD=3"]

    run_with_module(story)


@pytest.mark.parametrize("moment", [0.5, 1.5])
def test_no_body_for_nobody(run_with_module, moment):
    """Whoever asked may go before the body: then none is written, before as after the prompt."""

    async def story(channel, module):
        module.on("AT+CMGS=15", [1, PROMPT])
        module.on("esc", OK)
        waiting = asyncio.create_task(channel.exchange(SEND, lambda: asyncio.sleep(10)))
        await asyncio.sleep(moment)
        waiting.cancel()
        module.on("AT+CMGD=3", OK)
        began = now()
        await channel.exchange(DELETE)
        assert now() - began < 1
        assert module.heard == ["AT+CMGS=15", "esc", "AT+CMEE?", "AT+CMGD=3"]

    run_with_module(story)


def test_once_the_body_left_the_result_is_waited_for(run_with_module):
    """A waiter that goes after the body leaves the conversation to its end."""

    async def story(channel, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", [60, b"\r\n+CMGS: 7\r\n" + OK])
        waiting = asyncio.create_task(channel.exchange(SEND))
        await asyncio.sleep(1)
        waiting.cancel()
        module.on("AT+CMGD=3", OK)
        began = now()
        await channel.exchange(DELETE)
        assert now() - began == pytest.approx(59)
        assert module.heard == ["AT+CMGS=15", "body 0011", "AT+CMGD=3"]

    run_with_module(story)


def test_an_error_before_the_body_is_written(run_with_module):
    """The module may give up while the journal commits: the body is not written as a command then."""

    async def story(channel, module):
        module.on("AT+CMGS=15", [PROMPT, 2, b"\r\n+CMS ERROR: 500\r\n"])
        with pytest.raises(CommandRefused) as caught:
            await channel.exchange(SEND, lambda: asyncio.sleep(5))
        assert not caught.value.body_sent
        assert module.heard == ["AT+CMGS=15"]

    run_with_module(story)


def test_a_late_prompt_swallows_nothing(run_with_module):
    """A prompt after the deadline is answered by ESC, and no command is written into the text entry."""

    async def story(channel, module):
        module.on("AT+CMGS=15", [10.5, PROMPT])
        module.on("esc", None, OK)
        module.on("AT+CMEE?", None, b"\r\n+CMEE: 1\r\n" + OK)
        with pytest.raises(CommandTimedOut) as caught:
            await channel.exchange(SEND)
        assert not caught.value.body_sent
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)
        assert module.heard[-1] == "AT+CMGD=3"
        assert not any(heard.startswith("body") for heard in module.heard)

    run_with_module(story)


def test_where_esc_does_not_abort(run_with_module):
    """Text entry that ESC does not close is ended by what must be refused: the length is wrong."""

    async def story(channel, module):
        received = module.data_received
        module.data_received = lambda data: received(data.replace(b"\x1b", b"") if module.entry else data)
        module.on("AT+CMGS=15", [10.5, PROMPT])
        module.on("body", b"\r\n+CMS ERROR: 304\r\n")
        for query in ("+CMGF", "+CSCS", "+CSMS"):
            module.on(f"AT{query}?", f"\r\n{query}: 0\r\n".encode() + OK)
        with pytest.raises(CommandTimedOut):
            await channel.exchange(SEND)
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)
        assert [heard.partition(" ")[0] for heard in module.heard][-3:] == ["body", "AT+CSCS?", "AT+CMGD=3"]

    run_with_module(story)


def test_where_nothing_ends_a_text_entry(run_with_module):
    """A command without a harmless end has none written, not even an empty one: the line is lost."""

    async def story(channel, module):
        received, pieces = module.data_received, []

        def hears(data):
            pieces.append(data)
            received(data.replace(b"\x1b", b"") if module.entry else data)

        module.data_received = hears
        module.on("AT+CMGS=15", [10.5, PROMPT])
        with pytest.raises(ModemLost):
            await channel.exchange(dataclasses.replace(SEND, abort_sequence=b""))
        assert b"" not in pieces
        assert not [piece for piece in pieces if b"\x1a" in piece]

    run_with_module(story)


@pytest.mark.parametrize("prompt", [None, PROMPT])
def test_ctrl_z_is_no_way_out_otherwise(run_with_module, prompt):
    """Without a prompt there is no entry to close; after the body it might send what is left of it."""

    async def story(channel, module):
        module.on("AT+CMGS=15", prompt)
        module.on("body", None)
        for query in ("+CMEE", "+CMGF"):
            module.on(f"AT{query}?", None)
        module.on("AT+CSCS?", b'\r\n+CSCS: "GSM"\r\n' + OK)
        with pytest.raises(CommandTimedOut):
            await channel.exchange(SEND)
        assert module.heard[-1] == "AT+CSCS?"
        assert module.octets.count(b"\x1a") == (0 if prompt is None else 1)

    run_with_module(story)


def test_the_outcomes_after_the_body(run_with_module):
    """Late results are found; an ESC answered by OK proves that the text entry was still open."""

    async def story(channel, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", [120.2, b"\r\n+CMGS: 9\r\n" + OK])
        module.on("AT+CMEE?", [0.5, b"\r\n+CMEE: 1\r\n" + OK])
        assert (await channel.exchange(SEND)).text == "+CMGS: 9"

        module.on("body", [120.2, b"\r\n+CMS ERROR: 350\r\n"])
        with pytest.raises(CommandRefused) as refused:
            await channel.exchange(SEND)
        assert refused.value.code == 350
        assert refused.value.error_class is ErrorClass.OUTCOME_UNKNOWN

        module.on("body", None)
        module.on("esc", OK)
        with pytest.raises(CommandTimedOut) as silent:
            await channel.exchange(SEND)
        assert silent.value.escape_confirmed
        assert silent.value.body_sent

        module.on("esc", None)
        with pytest.raises(CommandTimedOut) as unknown:
            await channel.exchange(SEND)
        assert not unknown.value.escape_confirmed

        module.on("body", b"\r\n+CMGS: 42\r\n")
        assert (await channel.exchange(SEND)).text == "+CMGS: 42"

    run_with_module(story)


# The end


def test_a_lost_wire_fails_everything(run_with_module):
    """What is under way, what waits for its turn and what comes later all fail at once."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None)
        waiting = [asyncio.create_task(channel.exchange(DELETE)) for _ in range(3)]
        news = asyncio.create_task(channel.urcs.get())
        await asyncio.sleep(1)
        began = now()
        module.wire.close()
        for task in (*waiting, news):
            with pytest.raises(ModemLost):
                await task
        assert now() == began
        with pytest.raises(ModemLost):
            await channel.exchange(DELETE)

    run_with_module(story)


def test_news_that_came_before_the_end_is_still_told(run_with_module):
    """A closing session keeps what it was given."""

    async def story(channel, module):
        module.write(f"\r\n+CMT: ,17\r\n{PDU}\r\n".encode())
        await asyncio.sleep(0.1)
        channel.close()
        assert await channel.urcs.get() == Unsolicited("+CMT: ,17", PDU)
        with pytest.raises(ModemLost):
            await channel.urcs.get()

    run_with_module(story)


def test_a_send_that_the_wire_takes_along(run_with_module):
    """The loss tells whether the body may have left."""

    async def story(channel, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", None)
        task = asyncio.create_task(channel.exchange(SEND))
        await asyncio.sleep(1)
        module.wire.close()
        with pytest.raises(ModemLost) as lost:
            await task
        assert lost.value.body_sent

    run_with_module(story)


def test_a_send_whose_wire_goes_before_the_body(run_with_module):
    """Nothing left: the loss says so."""

    async def story(channel, module):
        module.on("AT+CMGS=15", PROMPT)
        task = asyncio.create_task(channel.exchange(SEND, lambda: asyncio.sleep(5)))
        await asyncio.sleep(1)
        module.wire.close()
        with pytest.raises(ModemLost) as lost:
            await task
        assert not lost.value.body_sent

    run_with_module(story)


def test_the_trace_has_both_directions(run_with_module):
    """Every octet is shown, with its time, CR and LF visible."""
    lines = []

    async def story(channel, module):
        module.on("AT+CMGD=3", [0.25, OK])
        await channel.exchange(DELETE)

    run_with_module(story, trace=Trace(lines.append))
    assert lines == [r"1000.000000 > AT+CMGD=3\r", r"1000.250000 < \r\nOK\r\n"]


def test_a_mistake_of_ours_ends_the_session(run_with_module):
    """Should reading octets ever fail, the session ends instead of going deaf."""

    async def story(channel, module):
        channel._connection.protocol.receive_data = None
        module.write(b"x")
        await asyncio.sleep(1)
        assert channel.lost.is_set()
        assert "internal error" in str(channel.lost_error)

    run_with_module(story)


def test_the_last_lines_of_a_start_disturb_nothing(run_with_module):
    """A module that still says that it has started, while it answers already, is let finish."""

    async def story(channel, module):
        module.on("AT+CMGD=3", [0.5, b"\r\nAPP RDY\r\n", 0.5, OK])
        await channel.exchange(DELETE)

    run_with_module(story)


@pytest.mark.parametrize("forbids_body", [True, False])
def test_an_echo_that_comes_back(run_with_module, forbids_body):
    """It is told once, as a sign of lost settings; where a body would mean another thing, none is written."""

    async def story(channel, module):
        module.on("AT+CMGS=15", b"AT+CMGS=15\r" + PROMPT)
        module.on("body", b"\r\n+CMGS: 7\r\n" + OK)
        module.on("esc", OK)
        channel.set_echo_expected(False, forbids_body=forbids_body)
        if forbids_body:
            with pytest.raises(CommandTimedOut) as caught:
                await channel.exchange(SEND)
            assert not caught.value.body_sent
            assert not any(heard.startswith("body") for heard in module.heard)
        else:
            assert (await channel.exchange(SEND)).text == "+CMGS: 7"
        assert channel.urcs.try_get() == EchoReturned()
        module.on("AT+CMGD=3", b"AT+CMGD=3\r" + OK)
        await channel.exchange(DELETE)
        assert channel.urcs.try_get() is None

    run_with_module(story)


def test_interpreter_receives_unread_events(run_with_module):
    """An interpreter that is set later receives earlier events too; its queue ends with the session."""

    async def story(channel, module):
        module.write(b"\r\nRDY\r\n\r\nRING\r\n")
        await asyncio.sleep(0.1)
        queue = channel.interpret_urcs(lambda event: "started" if event == Unsolicited("RDY") else None)
        assert await queue.get() == "started"
        assert queue is channel.urcs
        module.write(b"\r\nRDY\r\n")
        assert await queue.get() == "started"
        channel.close()
        with pytest.raises(ModemLost):
            await queue.get()
        with pytest.raises(ModemLost):
            await channel.interpret_urcs(lambda event: event).get()

    run_with_module(story)
