"""Fakes for the tests of the agent: modem, port, handler runner and random source."""

import asyncio
from collections import defaultdict, deque
from datetime import UTC, datetime
from random import Random

from memory_transport import memory_transport_pair

import pdu
from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import FinalResult, Information
from agent.handlers.results import Failed, Finished
from agent.handlers.spec import HandlerSpec
from agent.modem.events import DirectDelivery, MessageArrived
from agent.modem.message_format import decode_pdu
from agent.modem.network_operator import NetworkOperator
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, Sent
from agent.modem.settings import ModemSettings, modem_status
from agent.modem.signal_quality import SignalQuality
from agent.modem.sim_status import query_sim_status
from agent.modem.status_queries import Identity, Registration, Signal
from agent.modem.stored_message import Slot, StoredMessage
from hardware.profile import DriverProfile


def deliver_hex(content, sender="2936", minute=0, second=0, **fields):
    """Return an encoded SMS-DELIVER in hexadecimal digits."""
    data = content if isinstance(content, pdu.UserData) else pdu.segment(content)[0]
    values = {
        "originating_address": pdu.Address.parse(sender),
        "service_centre_timestamp": pdu.Timestamp.of(datetime(2026, 11, 22, 11, minute, second, tzinfo=UTC)),
        "user_data": data,
        "data_coding_scheme": data.data_coding_scheme,
        "service_centre_address": pdu.Address.parse("+447700900000"),
    }
    return pdu.encode(pdu.Deliver(**(values | fields))).hex


def command_timed_out(command="AT+X"):
    """Return the error of a command without a result."""
    return CommandTimedOut(command, f"{command}: no answer within 10 s")


def command_refused(code, *, after_body=False, kind="cms", command="AT+X"):
    """Return the error of a command that the module refused; a code of None is a plain ERROR."""
    text = "ERROR" if code is None else f"+{kind.upper()} ERROR: {code}"
    final = FinalResult(text, ok=False, kind=ErrorKind.PLAIN if code is None else ErrorKind(kind), code=code)
    return CommandRefused(command, final, body_sent=after_body)


class FixedRandom(Random):
    """A random source without jitter: `random` always returns 0.5."""

    def random(self):
        return 0.5


class FakeModem:
    """A fake of `Modem` with slots, events, and planned results for each operation.

    `plan("read", error)` lets the next read raise the error. A coroutine function instead of an error is
    called with the arguments (for "delete", in place of the deletion), and None stands for the normal
    behaviour. A plan for "send" is an outcome or a coroutine function. `defaults` has the results of
    operations without a plan.
    """

    def __init__(self, harness, latency_s=0.02):
        self.harness = harness
        self.stored = {}
        self.pending_events = deque()
        self.planned = defaultdict(deque)
        self.defaults = {}
        self.is_notifying = True
        self.is_sending = False
        self.send_timeout_s = 120.0
        self.cnmi = (2, 1)
        self.has_unannounced = False
        self.has_lost_settings = False
        self.is_sim_blocking_reads = False
        self.read_error = ""
        self.lost = asyncio.Event()
        self.status_changed = asyncio.Event()
        self.wakeup = asyncio.Event()
        self.latency_s = latency_s
        self.reference = 0
        self.sent_contents = []
        """The contents of messages whose body was written."""
        self.sent_submits = []
        self.loss_reason = ""
        self.initialised = False
        self.has_answered = True
        self.is_radio_off = False
        self.driver = DriverProfile()
        self.registered = Registration(1)
        self.sim_answer = ["+CPIN: READY"]
        """The response to AT+CPIN?: lines, or an error to raise."""
        harness.modem = self

    def plan(self, operation, *outcomes):
        """Set the results of the next calls of an operation."""
        self.planned[operation].extend(outcomes)

    def include_every_store(self, *, for_report=False):
        """Do nothing: a sweep always reads every store."""

    # Control by the test

    def store_message(
        self, index, content="led on", sender="2936", store="ME", *, raw=None, announce=False, **fields
    ):
        """Store a message in a slot and return its hexadecimal digits."""
        slot = Slot(store, index)
        self.stored[slot] = raw if raw is not None else deliver_hex(content, sender, **fields)
        if announce:
            self.emit_events(MessageArrived(slot))
        return self.stored[slot]

    def emit_events(self, *events):
        """Emit events as if unsolicited result codes had arrived."""
        self.pending_events.extend(events)
        self.wakeup.set()

    def deliver_direct(self, content="led on", *, raw=None, **fields):
        """Deliver a message directly (+CMT) and return its hexadecimal digits."""
        raw = raw or deliver_hex(content, **fields)

        async def acknowledge():
            await self._run_operation("acknowledge", raw)

        self.emit_events(DirectDelivery(StoredMessage(None, raw, decode_pdu(raw)), acknowledge))
        return raw

    def lose_line(self, reason="unplugged"):
        """Lose the connection to the module."""
        if not self.loss_reason:
            self.loss_reason = reason
        self.lost.set()
        self.wakeup.set()

    # The interface of Modem

    async def initialise(self):
        await self._run_operation("initialise")
        self.initialised = True
        return self.status

    @property
    def status(self):
        return modem_status(
            ModemSettings(store="ME", cnmi=self.cnmi, registration=self.registered),
            is_notifying=self.is_notifying,
        )

    async def sweep(self):
        await self._run_operation("sweep")
        if self.has_lost_settings:
            return []
        found = [StoredMessage(slot, raw, decode_pdu(raw)) for slot, raw in self.stored.items()]
        return sorted(found, key=lambda each: each.sort_key)

    async def read(self, slot):
        await self._run_operation("read", slot)
        raw = self.stored.get(slot)
        return None if raw is None else StoredMessage(slot, raw, decode_pdu(raw))

    async def delete(self, slot, raw=None):
        if not await self._run_operation("delete", slot):
            self.stored.pop(slot, None)
        return True

    def take_silent_slots(self):
        return []

    @property
    def prompts_at_once(self):
        return not self.lost.is_set() and not self.is_sending

    async def send(self, submit, before_body):
        self.is_sending = True
        try:
            return await self._send(submit, before_body)
        finally:
            self.is_sending = False

    async def _send(self, submit, before_body):
        content = submit.text if submit.text is not None else submit.data
        plan = self.planned["send"].popleft() if self.planned["send"] else self.defaults.get("send")
        if self.lost.is_set():
            return NotSent(self.loss_reason)
        self.harness.call_log.append(("send", content))
        await self._wait_latency()
        if isinstance(plan, NotSent):
            return plan
        if isinstance(plan, Refused) and not plan.error.body_sent:
            return plan
        if isinstance(plan, Exception):
            raise plan
        await before_body()
        self.harness.call_log.append(("body", content))
        self.sent_contents.append(content)
        self.sent_submits.append(submit)
        if callable(plan):
            return await plan(submit)
        await self._wait_latency()
        if self.lost.is_set():
            return OutcomeUnknown(self.loss_reason)
        self.reference = (self.reference + 1) % 256
        return plan or Sent(self.reference)

    async def query_identity(self):
        await self._run_operation("identity")
        return Identity("Quectel", "EC25", "EC25EFAR06A01M4G", "861234567890123", "", "8988307000000000000")

    async def query_radio(self):
        await self._run_operation("functionality")

    async def query_registration(self):
        await self._run_operation("registration")
        return self.registered

    async def query_signal(self):
        await self._run_operation("signal")
        return Signal(-71)

    async def query_operator(self):
        await self._run_operation("operator")
        return NetworkOperator("Simulated", "LTE")

    async def query_signal_quality(self):
        await self._run_operation("signal quality")
        return SignalQuality(-61, rsrp_dbm=-90)

    async def query_sim_status(self):
        async def exchange(_command):
            return Information((await self.execute_at("AT+CPIN?"))[0])

        return await query_sim_status(exchange)

    async def execute_at(self, line):
        await self._run_operation("at", line)
        if line != "AT+CPIN?":
            return ["+CSQ: 20,99"]
        if isinstance(self.sim_answer, Exception):
            raise self.sim_answer
        return self.sim_answer

    async def restart(self):
        await self._run_operation("restart")

    async def cycle_radio(self, *, power_cycle_sim=False):
        await self._run_operation("radio", power_cycle_sim)

    async def reselect_network(self):
        await self._run_operation("reselect")

    async def next_event(self):
        while not self.pending_events:
            if self.lost.is_set():
                raise ModemLost(self.loss_reason)
            self.wakeup.clear()
            await self.wakeup.wait()
        return self.pending_events.popleft()

    def poll_event(self):
        return self.pending_events.popleft() if self.pending_events else None

    async def wait(self, event, timeout_s):
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.lost.wait())]
        try:
            limit = None if timeout_s == float("inf") else timeout_s
            await asyncio.wait(waiters, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        if self.lost.is_set():
            raise ModemLost(self.loss_reason)

    def close(self, reason="the session was closed"):
        self.harness.call_log.append(("close",))
        self.lose_line(reason)

    async def wait_closed(self):
        self.harness.call_log.append(("closed",))

    async def _run_operation(self, operation, *arguments):
        if self.lost.is_set():
            raise ModemLost(self.loss_reason)
        self.harness.call_log.append((operation, *arguments))
        await self._wait_latency()
        plan = self.planned[operation].popleft() if self.planned[operation] else self.defaults.get(operation)
        if isinstance(plan, Exception):
            raise plan
        if plan is not None:
            await plan(*arguments)
        if self.lost.is_set():
            raise ModemLost(self.loss_reason)
        return plan is not None

    async def _wait_latency(self):
        await asyncio.sleep(self.latency_s)


class FakeStarter:
    """Starts nothing: each Command waits."""

    def choose_start(self, row, unfinished, now):
        return None

    def on_start_uncertain(self):
        """Nothing is running."""


class FakeRunner:
    """A handler runner without processes. It records each run and returns planned results.

    Without a plan the result contains the text of the Command.
    """

    def __init__(self, harness):
        self.harness = harness
        self.runs = []
        """Tuples of handler, text or octets, and attempt, in order of start."""
        self.run_actions = []
        self.programs = []
        self.planned = defaultdict(deque)
        self.stopped = asyncio.Event()
        self.declarations = {}

    def plan(self, name, *outcomes):
        """Set the next results of a handler or action: outcomes, errors to raise, or coroutine functions."""
        self.planned[name].extend(outcomes)

    async def load(self, file):
        found = self.declarations.get(file.name, [])
        return await found() if callable(found) else found

    def activate(self, files):
        self.harness.call_log.append(("activate", *sorted(file.name for file in files)))

    async def run(self, spec, command, timeout_s):
        content = command.text if command.data is None else command.data
        self.runs.append((spec.name, content, command.attempt))
        self.harness.call_log.append(("run", spec.name, command.attempt))
        return await self._planned_result(spec.name, command, Finished(f"did {content}"))

    async def run_action(self, spec, action, command, timeout_s=30.0):
        self.run_actions.append((spec.name, action, timeout_s))
        self.harness.call_log.append(("act", spec.name))
        return await self._planned_result(action, command, Finished(None))

    async def _planned_result(self, name, command, default):
        plan = self.planned[name].popleft() if self.planned[name] else default
        if isinstance(plan, Exception):
            raise plan
        if callable(plan):
            run = asyncio.ensure_future(plan(command))
            stopped = asyncio.ensure_future(self.stopped.wait())
            await asyncio.wait((run, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not run.done():
                run.cancel()
                return Failed("the agent is stopping")
            return run.result()
        return plan

    async def run_program(self, program):
        self.programs.append(program)
        self.harness.call_log.append(("program", *program.words[1:]))
        return await self._planned_result(program.path.name, program, Finished(None))

    async def close(self):
        self.harness.call_log.append(("runner closed",))
        self.stopped.set()


def executable_spec(name, **options):
    """Return an executable handler whose word is its name."""
    return HandlerSpec(name, "executable", words=(name,), **options)


class FarEnd:
    """The module's end of an in-memory serial line."""

    def __init__(self, transport, answer):
        self.transport = transport
        self.answer = answer
        self.partial_line = b""

    def data_received(self, data):
        """Write the planned response to each line."""
        *lines, self.partial_line = (self.partial_line + data).split(b"\r")
        for line in lines:
            self.transport.write(self.answer(line.strip(b"\x1b\n").decode()))

    def connection_lost(self, reason):
        self.disconnect_reason = reason


class FakePort:
    """A port opener with planned errors. It opens an in-memory line and checks that only one is open."""

    def __init__(self):
        self.planned = []
        self.default = None
        self.opened_at = []
        self.open_count = 0
        self.close_delay_s = 0.0
        self.answer = lambda line: b""
        """Return the response of the module to a line."""

    async def __call__(self, reader):
        self.opened_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
        plan = self.planned.pop(0) if self.planned else self.default
        if isinstance(plan, Exception):
            raise plan
        if plan is not None:
            await plan()
        near, far = memory_transport_pair()
        await far.open(FarEnd(far, self.answer))
        transport = await near.open(reader)
        assert self.open_count == 0, "the port is already open"
        self.open_count = 1

        async def wait_closed():
            await asyncio.sleep(self.close_delay_s)
            self.open_count = 0

        transport.wait_closed = wait_closed
        return transport


class FailingConnection:
    """An SQLite connection of which chosen queries fail."""

    def __init__(self, connection, failures):
        """`failures`: pairs of a text and an error.

        A query that contains the text raises it, and removes it.
        """
        self._connection = connection
        self._failures = failures

    def execute(self, query, values=()):
        for failure in self._failures:
            if failure[0] in query:
                self._failures.remove(failure)
                raise failure[1]
        return self._connection.execute(query, values)

    def __getattr__(self, name):
        return getattr(self._connection, name)
