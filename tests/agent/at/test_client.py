"""The client: turns, deadlines, resynchronisation, text entry, and the end of a session."""

import asyncio

import pytest
from memory_transport import memory_transport_pair

from agent.at.client import AtClient
from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut, ErrorClass, ModemLost
from agent.at.events import EchoReturned, Unsolicited
from agent.at.trace import Trace

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
    """Run a scenario with a client and a scripted module."""

    def begin(scenario, **options):
        async def run():
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            client = await AtClient.open(near.open, **options)
            try:
                return await scenario(client, module)
            finally:
                client.close()
                await asyncio.sleep(0)

        return run_virtual(run())

    return begin


def now():
    return asyncio.get_running_loop().time()


def test_answer_has_its_payload(run_with_module):
    """The information lines come with their payload; only the command line is written."""

    async def scenario(client, module):
        module.on("AT+CMGR=3", f"\r\n+CMGR: 0,,17\r\n{PDU}\r\n".encode() + OK)
        response = await client.exchange(READ)
        assert [(line.text, line.payload) for line in response.information] == [("+CMGR: 0,,17", PDU)]
        assert response.text == "+CMGR: 0,,17"
        assert module.received == ["AT+CMGR=3"]

    run_with_module(scenario)


def test_refusal_has_code_and_retry_class(run_with_module):
    """The error carries code, name and retry class."""

    async def scenario(client, module):
        module.on("AT+CMGR=3", b"\r\n+CMS ERROR: 314\r\n")
        with pytest.raises(CommandRefused) as caught:
            await client.exchange(READ)
        assert (caught.value.kind, caught.value.code, caught.value.name) == ("cms", 314, "SIM busy")
        assert caught.value.error_class is ErrorClass.RETRY_SOON
        assert str(caught.value) == "AT+CMGR=3 was refused: +CMS ERROR: 314 (SIM busy)"

    run_with_module(scenario)


def test_commands_execute_in_call_order(run_with_module):
    """One command is pending at a time; callers are served in the order of their calls."""

    async def scenario(client, module):
        order = []

        async def ask(number):
            module.on(f"AT+N{number}", [0.1, OK])
            await client.exchange(AtCommand(f"AT+N{number}", 5))
            order.append(number)

        await asyncio.gather(*(ask(number) for number in range(5)))
        assert order == [0, 1, 2, 3, 4]
        assert module.received == [f"AT+N{number}" for number in range(5)]

    run_with_module(scenario)


def test_exclusive_access_is_not_interleaved(run_with_module):
    """No other command is written between the commands of one exclusive access."""

    async def scenario(client, module):
        module.on("AT+A", [0.1, OK])
        module.on("AT+B", [0.1, OK])
        module.on("AT+C", [0.1, OK])

        async def two():
            async with client.exclusive() as turn:
                await turn.exchange(AtCommand("AT+A", 5))
                await turn.exchange(AtCommand("AT+B", 5))

        await asyncio.gather(two(), client.exchange(AtCommand("AT+C", 5)))
        assert module.received == ["AT+A", "AT+B", "AT+C"]

    run_with_module(scenario)


def test_cancelled_caller_does_not_end_its_command(run_with_module):
    """The next command waits for the final result code of the cancelled one."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", [5, OK])
        waiting = asyncio.create_task(client.exchange(DELETE))
        await asyncio.sleep(1)
        waiting.cancel()
        module.on("AT+CPIN?", b"\r\n+CPIN: READY\r\n" + OK)
        began = now()
        await client.exchange(PIN)
        assert now() - began == pytest.approx(4)
        assert module.received == ["AT+CMGD=3", "AT+CPIN?"]

    run_with_module(scenario)


def test_timeout_is_raised_after_resynchronisation(run_with_module):
    """A command without a result times out at its own deadline; one query then resynchronises."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None)
        began = now()
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        assert now() - began == pytest.approx(30)
        assert module.received == ["AT+CMGD=3", "AT+CMEE?"]

    run_with_module(scenario)


def test_urcs_do_not_postpone_the_deadline(run_with_module):
    """Deadlines are absolute, whatever the module sends meanwhile."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", [part for _ in range(100) for part in (0.9, b"\r\n^RSSI:3\r\n")])
        began = now()
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        assert now() - began < 31

    run_with_module(scenario)


def test_late_error_belongs_to_the_abandoned_command(run_with_module):
    """A late error is raised for the abandoned command, and never for the next one."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", [30.05, b"\r\n+CMS ERROR: 320\r\n"])
        module.on("AT+CMEE?", [0.1, b"\r\n+CMEE: 1\r\n" + OK])
        with pytest.raises(CommandRefused) as caught:
            await client.exchange(DELETE)
        assert caught.value.code == 320
        module.on("AT+CMGD=4", OK)
        await client.exchange(AtCommand("AT+CMGD=4", 5))

    run_with_module(scenario)


def test_late_ok_before_the_first_mark_counts(run_with_module):
    """A result before the first mark belongs to the abandoned command: it was executed."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", [30.05, OK])
        module.on("AT+CMEE?", [0.1, b"\r\n+CMEE: 1\r\n" + OK])
        await client.exchange(DELETE)

    run_with_module(scenario)


def test_results_between_refused_queries_are_ignored(run_with_module):
    """An error may be a query's: the outcome stays unknown, and the connection works again."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", b"\r\nERROR\r\n")
        module.on("AT+CMGF?", b"\r\n+CMGF: 0\r\n" + OK)
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        module.on("AT+CPIN?", b"\r\n+CPIN: READY\r\n" + OK)
        assert (await client.exchange(PIN)).text == "+CPIN: READY"

    run_with_module(scenario)


def test_refusing_module_is_assumed_synchronised(run_with_module):
    """A module that refuses every query is assumed to be synchronised after a silence."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", b"\r\nERROR\r\n")
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)

    run_with_module(scenario)


def test_silent_module_is_lost(run_with_module):
    """If nothing is answered any more, the connection is lost and later commands fail."""

    async def scenario(client, module):
        module.rules = {line: [None] for line in module.rules}
        module.on("AT+CMGD=3", None)
        for query in ("+CMGF", "+CSCS", "+CSMS"):
            module.on(f"AT{query}?", None)
        began = now()
        with pytest.raises(ModemLost):
            await client.exchange(DELETE)
        assert now() - began < 30 + 25
        assert client.lost.is_set()
        with pytest.raises(ModemLost):
            await client.exchange(DELETE)
        with pytest.raises(ModemLost):
            await client.urcs.get()

    run_with_module(scenario)


def test_missing_final_result_counts_as_ok(run_with_module):
    """Information alone counts as OK after a short grace; the command is not repeated."""

    async def scenario(client, module):
        module.on("AT+CPIN?", b"\r\n+CPIN: READY\r\n")
        began = now()
        assert (await client.exchange(PIN)).text == "+CPIN: READY"
        assert now() - began < 3
        assert module.received.count("AT+CPIN?") == 1

    run_with_module(scenario)


def test_final_result_grace_ends_at_the_deadline(run_with_module):
    """Late information does not postpone the deadline."""

    async def scenario(client, module):
        module.on("AT+CPIN?", [9.5, b"\r\n+CPIN: READY\r\n"])
        began = now()
        assert (await client.exchange(PIN)).text == "+CPIN: READY"
        assert now() - began == pytest.approx(10)

    run_with_module(scenario)


def test_timed_out_query_is_not_used_as_marker(run_with_module):
    """Its late answer would be taken for the present: another query is written."""

    async def scenario(client, module):
        question = AtCommand("AT+CMEE?", 2, (ResponsePattern("+CMEE"),), requires_information=True)
        module.on("AT+CMEE?", [2.1, b"\r\n+CMEE: 1\r\n" + OK])
        module.on("AT+CMGF?", [0.3, b"\r\n+CMGF: 0\r\n" + OK])
        assert (await client.exchange(question)).text == "+CMEE: 1"
        assert module.received == ["AT+CMEE?", "AT+CMGF?"]

    run_with_module(scenario)


def test_ok_without_information_is_resynchronised(run_with_module):
    """Such an OK may be another program's: the true answer, which follows it, is returned."""

    async def scenario(client, module):
        module.on("AT+CPIN?", [OK, 0.02, b"\r\n+CPIN: READY\r\n" + OK])
        module.on("AT+CMEE?", [0.03, b"\r\n+CMEE: 1\r\n" + OK])
        assert (await client.exchange(PIN)).text == "+CPIN: READY"
        module.on("AT+CMGD=3", b"\r\n+CMS ERROR: 321\r\n")
        with pytest.raises(CommandRefused):
            await client.exchange(DELETE)

    run_with_module(scenario)


def test_ok_after_error_is_not_the_next_answer(run_with_module):
    """The OK that some modules send after an ERROR does not answer the next command."""

    async def scenario(client, module):
        module.on("AT+CMGR=3", [b"\r\nERROR\r\n", 0.05, OK])
        with pytest.raises(CommandRefused):
            await client.exchange(READ)
        module.on("AT+CMGD=3", [0.2, b"\r\n+CMS ERROR: 321\r\n"])
        with pytest.raises(CommandRefused):
            await client.exchange(DELETE)

    run_with_module(scenario)


def test_command_gap_delays_the_next_command(run_with_module):
    """By default the next command follows at once, otherwise after the gap."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", OK)
        began = now()
        await client.exchange(DELETE)
        await client.exchange(DELETE)
        return now() - began

    assert run_with_module(scenario) == pytest.approx(0, abs=1e-6)
    assert run_with_module(scenario, command_gap_s=0.1) == pytest.approx(0.1)


def test_restart_ends_the_pending_command(run_with_module):
    """A command that was pending at a restart fails after a short grace."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", [1, b"\r\nRDY\r\n"])
        began = now()
        with pytest.raises(CommandTimedOut, match=r"restarted \(RDY\)"):
            await client.exchange(DELETE)
        assert now() - began == pytest.approx(3)
        assert await client.urcs.get() == Unsolicited("RDY")

    run_with_module(scenario)


# Sending


def test_body_follows_the_prompt(run_with_module):
    """`before_body` runs between the prompt and the first octet of the body."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", b"\r\n+CMGS: 7\r\n" + OK)
        seen = []

        async def before_body():
            seen.extend(module.received)
            await asyncio.sleep(0.5)

        assert (await client.exchange(SEND, before_body)).text == "+CMGS: 7"
        assert seen == ["AT+CMGS=15"]
        assert module.received == ["AT+CMGS=15", "body 0011"]

    run_with_module(scenario)


def test_failing_before_body_closes_text_entry(run_with_module):
    """If `before_body` raises, text entry is closed and nothing is sent."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("esc", OK)

        async def before_body():
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await client.exchange(SEND, before_body)
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)
        assert module.received == ["AT+CMGS=15", "esc", "AT+CMEE?", "AT+CMGD=3"]

    run_with_module(scenario)


@pytest.mark.parametrize("moment", [0.5, 1.5])
def test_cancelled_caller_before_the_body_sends_nothing(run_with_module, moment):
    """If the caller is cancelled before or after the prompt, no body is written."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", [1, PROMPT])
        module.on("esc", OK)
        waiting = asyncio.create_task(client.exchange(SEND, lambda: asyncio.sleep(10)))
        await asyncio.sleep(moment)
        waiting.cancel()
        module.on("AT+CMGD=3", OK)
        began = now()
        await client.exchange(DELETE)
        assert now() - began < 1
        assert module.received == ["AT+CMGS=15", "esc", "AT+CMEE?", "AT+CMGD=3"]

    run_with_module(scenario)


def test_cancelled_caller_after_the_body_leaves_the_command_pending(run_with_module):
    """The command runs to its end, and the next one waits for it."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", [60, b"\r\n+CMGS: 7\r\n" + OK])
        waiting = asyncio.create_task(client.exchange(SEND))
        await asyncio.sleep(1)
        waiting.cancel()
        module.on("AT+CMGD=3", OK)
        began = now()
        await client.exchange(DELETE)
        assert now() - began == pytest.approx(59)
        assert module.received == ["AT+CMGS=15", "body 0011", "AT+CMGD=3"]

    run_with_module(scenario)


def test_error_during_before_body_is_raised(run_with_module):
    """The module may close text entry while `before_body` runs: the body is not written as a command."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", [PROMPT, 2, b"\r\n+CMS ERROR: 500\r\n"])
        with pytest.raises(CommandRefused) as caught:
            await client.exchange(SEND, lambda: asyncio.sleep(5))
        assert not caught.value.body_sent
        assert module.received == ["AT+CMGS=15"]

    run_with_module(scenario)


def test_late_prompt_is_closed_by_esc(run_with_module):
    """A prompt after the deadline is answered by ESC; no command is written into text entry."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", [10.5, PROMPT])
        module.on("esc", None, OK)
        module.on("AT+CMEE?", None, b"\r\n+CMEE: 1\r\n" + OK)
        with pytest.raises(CommandTimedOut) as caught:
            await client.exchange(SEND)
        assert not caught.value.body_sent
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)
        assert module.received[-1] == "AT+CMGD=3"
        assert not any(line.startswith("body") for line in module.received)

    run_with_module(scenario)


def test_abort_sequence_ends_text_entry_that_ignores_esc(run_with_module):
    """Text entry that ESC does not close is ended by a body of the wrong length, which is refused."""

    async def scenario(client, module):
        received = module.data_received
        module.data_received = lambda data: received(
            data.replace(b"\x1b", b"") if module.in_text_entry else data
        )
        module.on("AT+CMGS=15", [10.5, PROMPT])
        module.on("body", b"\r\n+CMS ERROR: 304\r\n")
        for query in ("+CMGF", "+CSCS", "+CSMS"):
            module.on(f"AT{query}?", f"\r\n{query}: 0\r\n".encode() + OK)
        with pytest.raises(CommandTimedOut):
            await client.exchange(SEND)
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)
        assert [line.partition(" ")[0] for line in module.received][-3:] == [
            "body",
            "AT+CSCS?",
            "AT+CMGD=3",
        ]

    run_with_module(scenario)


def test_text_entry_without_abort_sequence_is_lost(run_with_module):
    """Without an abort sequence nothing is written, not even an empty write: the connection is lost."""

    async def scenario(client, module):
        received, pieces = module.data_received, []

        def receive(data):
            pieces.append(data)
            received(data.replace(b"\x1b", b"") if module.in_text_entry else data)

        module.data_received = receive
        module.on("AT+CMGS=15", [10.5, PROMPT])
        with pytest.raises(ModemLost):
            await client.exchange(SEND.replace(abort_sequence=b""))
        assert b"" not in pieces
        assert not [piece for piece in pieces if b"\x1a" in piece]

    run_with_module(scenario)


@pytest.mark.parametrize("prompt", [None, PROMPT])
def test_abort_sequence_needs_a_prompt_and_no_body(run_with_module, prompt):
    """Without a prompt no text entry is open; after the body Ctrl-Z might send the rest of it."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", prompt)
        module.on("body", None)
        for query in ("+CMEE", "+CMGF"):
            module.on(f"AT{query}?", None)
        module.on("AT+CSCS?", b'\r\n+CSCS: "GSM"\r\n' + OK)
        with pytest.raises(CommandTimedOut):
            await client.exchange(SEND)
        assert module.received[-1] == "AT+CSCS?"
        assert module.octets.count(b"\x1a") == (0 if prompt is None else 1)

    run_with_module(scenario)


def test_outcomes_after_the_body(run_with_module):
    """Late results are found; ESC answered by OK proves that text entry was still open."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", [120.2, b"\r\n+CMGS: 9\r\n" + OK])
        module.on("AT+CMEE?", [0.5, b"\r\n+CMEE: 1\r\n" + OK])
        assert (await client.exchange(SEND)).text == "+CMGS: 9"

        module.on("body", [120.2, b"\r\n+CMS ERROR: 350\r\n"])
        with pytest.raises(CommandRefused) as refused:
            await client.exchange(SEND)
        assert refused.value.code == 350
        assert refused.value.error_class is ErrorClass.OUTCOME_UNKNOWN

        module.on("body", None)
        module.on("esc", OK)
        with pytest.raises(CommandTimedOut) as silent:
            await client.exchange(SEND)
        assert silent.value.escape_confirmed
        assert silent.value.body_sent

        module.on("esc", None)
        with pytest.raises(CommandTimedOut) as unknown:
            await client.exchange(SEND)
        assert not unknown.value.escape_confirmed

        module.on("body", b"\r\n+CMGS: 42\r\n")
        assert (await client.exchange(SEND)).text == "+CMGS: 42"

    run_with_module(scenario)


# The end


def test_lost_transport_fails_every_command(run_with_module):
    """Pending, waiting and later commands fail at once, and so does the reader of URCs."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None)
        waiting = [asyncio.create_task(client.exchange(DELETE)) for _ in range(3)]
        reader = asyncio.create_task(client.urcs.get())
        await asyncio.sleep(1)
        began = now()
        module.transport.close()
        for task in (*waiting, reader):
            with pytest.raises(ModemLost):
                await task
        assert now() == pytest.approx(began, abs=1e-6)
        with pytest.raises(ModemLost):
            await client.exchange(DELETE)

    run_with_module(scenario)


def test_urcs_before_the_end_can_be_read(run_with_module):
    """The URCs received before the close are still in the queue."""

    async def scenario(client, module):
        module.write(f"\r\n+CMT: ,17\r\n{PDU}\r\n".encode())
        await asyncio.sleep(0.1)
        client.close()
        assert await client.urcs.get() == Unsolicited("+CMT: ,17", PDU)
        with pytest.raises(ModemLost):
            await client.urcs.get()

    run_with_module(scenario)


def test_loss_after_the_body_reports_body_sent(run_with_module):
    """ModemLost shows that the body may have been sent."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", PROMPT)
        module.on("body", None)
        task = asyncio.create_task(client.exchange(SEND))
        await asyncio.sleep(1)
        module.transport.close()
        with pytest.raises(ModemLost) as lost:
            await task
        assert lost.value.body_sent

    run_with_module(scenario)


def test_loss_before_the_body_reports_no_body_sent(run_with_module):
    """ModemLost shows that nothing was sent."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", PROMPT)
        task = asyncio.create_task(client.exchange(SEND, lambda: asyncio.sleep(5)))
        await asyncio.sleep(1)
        module.transport.close()
        with pytest.raises(ModemLost) as lost:
            await task
        assert not lost.value.body_sent

    run_with_module(scenario)


def test_trace_has_both_directions(run_with_module):
    """Every octet is traced with its time, CR and LF escaped."""
    lines = []

    async def scenario(client, module):
        module.on("AT+CMGD=3", [0.25, OK])
        await client.exchange(DELETE)

    run_with_module(scenario, trace=Trace(lines.append))
    assert lines == [r"1000.000000 > AT+CMGD=3\r", r"1000.250000 < \r\nOK\r\n"]


def test_internal_error_ends_the_session(run_with_module):
    """An exception while processing received bytes ends the session."""

    async def scenario(client, module):
        client._connection.protocol.receive_data = None
        module.write(b"x")
        await asyncio.sleep(1)
        assert client.lost.is_set()
        assert "internal error" in str(client.lost_error)

    run_with_module(scenario)


def test_answer_soon_after_a_boot_urc_is_accepted(run_with_module):
    """A module that answers while it prints the last URCs of its start is let finish."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", [0.5, b"\r\nAPP RDY\r\n", 0.5, OK])
        await client.exchange(DELETE)

    run_with_module(scenario)


@pytest.mark.parametrize("forbids_body", [True, False])
def test_returned_echo_is_reported_once(run_with_module, forbids_body):
    """It shows lost settings; no body is written if it would have another meaning."""

    async def scenario(client, module):
        module.on("AT+CMGS=15", b"AT+CMGS=15\r" + PROMPT)
        module.on("body", b"\r\n+CMGS: 7\r\n" + OK)
        module.on("esc", OK)
        client.set_echo_expected(False, forbids_body=forbids_body)
        if forbids_body:
            with pytest.raises(CommandTimedOut) as caught:
                await client.exchange(SEND)
            assert not caught.value.body_sent
            assert not any(line.startswith("body") for line in module.received)
        else:
            assert (await client.exchange(SEND)).text == "+CMGS: 7"
        assert client.urcs.try_get() == EchoReturned()
        module.on("AT+CMGD=3", b"AT+CMGD=3\r" + OK)
        await client.exchange(DELETE)
        assert client.urcs.try_get() is None

    run_with_module(scenario)


def test_interpreter_receives_unread_events(run_with_module):
    """An interpreter that is set later receives earlier events too; its queue ends with the session."""

    async def scenario(client, module):
        module.write(b"\r\nRDY\r\n\r\nRING\r\n")
        await asyncio.sleep(0.1)
        queue = client.interpret_urcs(lambda event: "started" if event == Unsolicited("RDY") else None)
        assert await queue.get() == "started"
        assert queue is client.urcs
        module.write(b"\r\nRDY\r\n")
        assert await queue.get() == "started"
        client.close()
        with pytest.raises(ModemLost):
            await queue.get()
        with pytest.raises(ModemLost):
            await client.interpret_urcs(lambda event: event).get()

    run_with_module(scenario)
