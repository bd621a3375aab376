"""The SIM: its PIN is tried once in every case; its service centre number is restored."""

import asyncio
import random
import sqlite3
from datetime import UTC, datetime

import pytest
from memory_transport import memory_transport_pair

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.trace import Trace
from agent.common.runtime import Runtime
from agent.common.watchdog import DeadlineMonitor
from agent.daemon.sim_memory import JournalSimMemory
from agent.journal.executor import InlineExecutor
from agent.journal.journal import Journal
from agent.journal.sims import SimStore
from agent.modem.error import ModemUnusable
from agent.modem.modem import Modem
from agent.modem.options import ModemOptions
from agent.modem.sim import Pin, SimConfig
from hardware.profile import SimulatorProfile
from hardware.sim.module.errors import CommandError, cme_error, parse_error
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.sim_card import SimCard

OK = b"\r\nOK\r\n"
SOURCE = "/etc/modem-agent/pin"


class Killed(BaseException):
    """Raised instead of SIGKILL: no code of the agent runs after it."""


class HookedExecutor(InlineExecutor):
    """Calls a hook before or after a database function, by the name of the function."""

    def __init__(self):
        self.before = {}
        self.after = {}

    async def run(self, function, *arguments, **named):
        if (hook := self.before.get(function.__name__)) is not None:
            hook()
        result = await super().run(function, *arguments, **named)
        if (hook := self.after.get(function.__name__)) is not None:
            await hook()
        return result

    def kill_after(self, name):
        """Make the agent end right after this function has committed."""
        self.after = {name: die}


async def die():
    raise Killed


class SimDevice:
    """A module with its SIM and a journal, which outlive the agent."""

    def __init__(self, path, sim, device):
        self.path = path
        self.sim = sim
        self.device = device
        self.events = []
        self.trace = []
        self.written = b""
        self.db_executor = HookedExecutor()
        self.far = None

    async def power_up(self):
        self.loop = asyncio.get_running_loop()
        self.module = SimulatedModule(
            scheduler=self.loop,
            wall_clock=wall_clock,
            network=FakeNetwork(),
            profile=self.device,
            sim=self.sim,
            write=self.write_to_agent,
        )
        self.module.power_on()

    def write_to_agent(self, data):
        if self.far is not None:
            self.far.write(data)

    def data_received(self, data):
        self.written += data
        self.module.receive(data)

    def connection_lost(self, reason):
        """Part of the transport protocol."""

    async def start(self, pin="1234", service_centre="", profile="generic"):
        """Start the agent and initialise the module; raises what initialisation raises."""
        self.near, self.far = memory_transport_pair()
        await self.far.open(self)
        journal = Journal(self.path, lambda: 1.7e9, self.loop.time)
        try:
            sim_store = SimStore(journal)
            runtime = Runtime(
                emit=self.events.append,
                deadlines=DeadlineMonitor(self.loop.time),
                random=random.Random(1),
                wall_clock=lambda: 1.7e9,
                db=self.db_executor,
            )
            memory = JournalSimMemory(runtime=runtime, sim_store=sim_store)
            configured_pin = Pin(pin, SOURCE) if isinstance(pin, str) else pin
            trace = Trace(self.trace.append)
            client = await AtClient.open(self.near.open, trace)
            modem = Modem(
                client,
                ModemOptions(profile=profile, sim_config=SimConfig(memory, configured_pin, service_centre)),
            )
            try:
                status = await modem.initialise()
                await modem.query_identity()
                return status
            finally:
                modem.close()
                trace.close()
                await asyncio.sleep(0.1)
        finally:
            journal.close()

    def count_pin_writes(self):
        """Return how many PINs were written since the last call."""
        count = sum(line.startswith("+CPIN=") for line in self.module.log.command_lines)
        self.module.log.command_lines.clear()
        return count

    def pin_rows(self):
        journal = Journal(self.path, lambda: 1.7e9, lambda: 0.0)
        try:
            return journal.connection.execute("SELECT iccid, state FROM pin_attempts").fetchall()
        finally:
            journal.close()


class FakeNetwork:
    """A network that accepts the registration."""

    def attach(self, station):
        return 1

    def detach(self, station):
        pass

    def memory_available(self, station):
        pass


def wall_clock():
    return datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def run_pin_device(run_virtual, tmp_path):
    """Run a test with a device whose SIM requires a PIN."""

    def run(scenario, *, pin="1234", tries=3, sim_card=None, **fields):
        async def main():
            sim = sim_card or SimCard(pin=pin, pin_retries=tries)
            bench = SimDevice(tmp_path / "journal.db", sim, SimulatorProfile(**fields))
            await bench.power_up()
            await scenario(bench)

        run_virtual(main())

    return run


async def expect_unusable(bench, match, **options):
    with pytest.raises(ModemUnusable, match=match) as caught:
        await bench.start(**options)
    return str(caught.value)


def test_right_pin_is_entered(run_pin_device):
    """It is entered if the SIM asks for it, and leaves no record.

    It is not entered if the SIM does not ask.
    """

    async def scenario(bench):
        status = await bench.start()
        assert status.registration.can_send
        assert bench.count_pin_writes() == 1
        assert bench.pin_rows() == []
        await bench.start()
        assert bench.count_pin_writes() == 0
        bench.module.reboot()
        await bench.start()
        assert bench.count_pin_writes() == 1
        assert bench.sim.pin_retries == 3

    run_pin_device(scenario, sms_ready_s=8.0, announces_pin_unlock=True)


def test_wrong_pin_costs_one_try(run_pin_device):
    """After any restart of module or agent it is reported, and never entered again."""

    async def scenario(bench):
        error_text = await expect_unusable(
            bench, rf"refuses the PIN of {SOURCE} as wrong \(tries left: 2\)", pin="9999"
        )
        assert "9999" not in error_text
        assert bench.count_pin_writes() == 1
        for _ in range(5):
            await expect_unusable(
                bench, rf"PIN of {SOURCE} was refused .* write the right one there", pin="9999"
            )
            bench.module.reboot()
        assert bench.count_pin_writes() == 0
        assert bench.sim.pin_retries == 2
        await bench.start(pin="1234")
        assert bench.sim.pin_retries == 3

    run_pin_device(scenario)


def test_pin_corrected_while_the_agent_runs(run_pin_device):
    """The next session uses the corrected PIN; the refused one is never tried again."""
    stands = ["9999"]

    def again():
        return Pin(stands[0], SOURCE, again)

    async def scenario(bench):
        await expect_unusable(
            bench, r"as wrong .* write the right one there, which is tried within a minute", pin=again()
        )
        for _ in range(3):
            await expect_unusable(bench, "was refused by this SIM .* within a minute", pin=again())
        assert bench.sim.pin_retries == 2
        pin = again()
        stands[0] = "1234"
        await bench.start(pin=pin)
        assert bench.sim.pin_retries == 3
        bench.module.reboot()
        stands[0] = "9999"
        await expect_unusable(bench, "was refused by this SIM", pin=pin)
        assert bench.sim.pin_retries == 3

    run_pin_device(scenario)


def test_unreadable_pin_file(run_pin_device):
    """Nothing is entered, and the reason is raised."""

    def again():
        raise ModemUnusable("the SIM asks for its PIN; agent.toml: modem.pin_file: pin: No such file")

    async def scenario(bench):
        await expect_unusable(bench, "No such file", pin=Pin("1234", SOURCE, again))
        assert bench.count_pin_writes() == 0

    run_pin_device(scenario)


@pytest.mark.parametrize("tries", [1, 0])
def test_last_try_is_not_risked(run_pin_device, tries):
    """The error names the remedy."""

    async def scenario(bench):
        await expect_unusable(bench, "1 try left, which is not risked" if tries else "SIM PUK: it is blocked")
        assert bench.count_pin_writes() == 0
        assert bench.sim.pin_retries == tries

    run_pin_device(scenario, tries=tries)


def test_third_pin_is_not_tried(run_pin_device):
    """Two wrong PINs leave one try, which is not risked."""

    async def scenario(bench):
        for pin in ("1111", "2222"):
            await expect_unusable(bench, "as wrong", pin=pin)
        await expect_unusable(bench, "1 try left", pin="3333")
        assert bench.sim.pin_retries == 1

    run_pin_device(scenario)


def test_pin_without_a_count_of_tries(run_pin_device):
    """If the module does not report the tries, each PIN is tried once, also after an unknown result."""

    async def scenario(bench):
        await expect_unusable(bench, "as wrong; it is not tried", pin="9999")
        await expect_unusable(bench, "was refused", pin="9999")
        assert bench.sim.pin_retries == 2
        await bench.start()

    run_pin_device(scenario, unsupported_commands=("+CPINR",))


@pytest.mark.parametrize(
    ("profile", "command", "answer", "used"),
    [
        ("ec25", '+QPINC="SC"', '+QPINC: "SC",1,10', False),
        ("ec25", '+QPINC="SC"', '+QPINC: "SC",3,10', True),
        ("me910c1", "#PCT", "#PCT: 1", False),
        ("me910c1", "#PCT", "#PCT: 3", True),
    ],
)
def test_pin_tries_command_of_the_profile(run_pin_device, profile, command, answer, used):
    """It is used if the module refuses +CPINR."""

    async def scenario(bench):
        if used:
            await bench.start(profile=profile)
        else:
            await expect_unusable(bench, "1 try left", profile=profile)
        assert bench.count_pin_writes() == used

    run_pin_device(scenario, unsupported_commands=("+CPINR",), answers={command: answer})


def test_missing_pin(run_pin_device):
    """The error names the remedy, and nothing is tried."""

    async def scenario(bench):
        await expect_unusable(bench, r"asks for SIM PIN; configure it by \[modem\] pin_file", pin=None)
        assert bench.count_pin_writes() == 0

    run_pin_device(scenario)


# The agent is killed


@pytest.mark.parametrize("pin", ["1234", "9999"])
def test_kill_before_the_pin_is_written(run_pin_device, pin):
    """No try was lost and the SIM shows it: the same PIN may be tried once."""

    async def scenario(bench):
        for _ in range(3):
            bench.db_executor.kill_after("reserve_pin_attempt")
            with pytest.raises(Killed):
                await bench.start(pin=pin)
            assert bench.count_pin_writes() == 0
            assert [state for _, state in bench.pin_rows()] == ["trying"]
        bench.db_executor.after = {}
        if pin == "1234":
            await bench.start(pin=pin)
        else:
            await expect_unusable(bench, "as wrong", pin=pin)
            await expect_unusable(bench, "was refused", pin=pin)
        assert bench.count_pin_writes() == 1

    run_pin_device(scenario)


def test_kill_before_the_pin_is_written_without_a_count(run_pin_device):
    """It is unknown whether the PIN was written: the operator must act."""

    async def scenario(bench):
        bench.db_executor.kill_after("reserve_pin_attempt")
        with pytest.raises(Killed):
            await bench.start()
        bench.db_executor.after = {}
        await expect_unusable(bench, f"ended while it tried the PIN of {SOURCE}")
        assert bench.count_pin_writes() == 0

    run_pin_device(scenario, unsupported_commands=("+CPINR",))


def test_kill_before_the_refusal_is_recorded(run_pin_device):
    """The SIM shows that a try is missing, so the PIN is not tried again."""

    async def scenario(bench):
        receive = bench.module.receive

        def receive_and_hang_up(data):
            receive(data)
            if b"+CPIN=" in data:
                bench.near.close()

        bench.module.receive = receive_and_hang_up
        with pytest.raises(ModemLost, match="no answer to AT"):
            await bench.start(pin="9999")
        bench.module.receive = receive
        assert bench.sim.pin_retries == 2
        assert bench.count_pin_writes() == 1
        await expect_unusable(bench, "ended while it tried", pin="9999")
        assert bench.count_pin_writes() == 0
        assert bench.sim.pin_retries == 2

    run_pin_device(scenario)


def test_kill_after_the_right_pin(run_pin_device):
    """The SIM is found unlocked, which resolves the attempt.

    After the next restart the PIN is entered again.
    """

    async def scenario(bench):
        bench.db_executor.kill_after("record_sim_seen")
        with pytest.raises(Killed):
            await bench.start()
        assert bench.pin_rows() == []
        bench.db_executor.after = {}
        bench.module.reboot()
        await bench.start()

    run_pin_device(scenario)


def test_pin_neither_accepted_nor_refused(run_pin_device):
    """A busy SIM that keeps its tries is tried again in the next session."""

    async def scenario(bench):
        enter = bench.module.sim_access.enter_pin

        def busy(code, new):
            bench.module.sim_access.enter_pin = enter
            raise cme_error(100)

        bench.module.sim_access.enter_pin = busy
        await expect_unusable(bench, "did not take the PIN now, and no try was lost")
        assert bench.pin_rows() == []
        await bench.start()

    run_pin_device(scenario)


def test_pin_refused_by_a_plain_error_after_a_slow_commit(run_pin_device):
    """The refusal has cost a try and is reported once, although a URC came during the commit."""

    async def scenario(bench):
        async def delay():
            await asyncio.sleep(40)
            bench.module.context.output.write_urc("+CREG: 2")
            await asyncio.sleep(0.1)

        bench.db_executor.after = {"reserve_pin_attempt": delay}
        await expect_unusable(bench, r"as wrong \(tries left: 2\)", pin="9999")
        assert bench.count_pin_writes() == 1
        assert bench.sim.pin_retries == 2

    run_pin_device(scenario, unsupported_commands=("+CMEE",))


@pytest.mark.parametrize("silence", ["CME 100", "CME 14", None])
def test_unknown_sim_state_does_not_confirm_the_pin(run_pin_device, silence):
    """If neither the PIN nor +CPIN? is answered, there is no second attempt, whatever the number of remaining
    attempts is."""

    async def scenario(bench):
        enter, state = bench.module.sim_access.enter_pin, bench.module.sim_access.pin_state

        def deny():
            if silence is None:
                return ""
            raise parse_error(silence)

        def wrong(code, new):
            try:
                enter(code, new)
            except CommandError:
                bench.module.sim_access.pin_state = deny
                raise cme_error(100) from None

        bench.module.sim_access.enter_pin = wrong
        await expect_unusable(bench, "as wrong|it is unknown whether", pin="9999")
        bench.module.sim_access.enter_pin, bench.module.sim_access.pin_state = enter, state
        await expect_unusable(bench, "was refused", pin="9999")
        assert bench.count_pin_writes() == 1
        assert bench.sim.pin_retries == 2

    run_pin_device(scenario)


def test_pin_is_not_tried_without_a_commit(run_pin_device):
    """While the journal cannot be written, no PIN is entered."""

    def raise_disk_full():
        raise sqlite3.OperationalError("database or disk is full")

    async def scenario(bench):
        bench.db_executor.before = {"reserve_pin_attempt": raise_disk_full}
        await expect_unusable(
            bench, "not entered while the journal cannot be written: database or disk is full"
        )
        assert bench.count_pin_writes() == 0

    run_pin_device(scenario)


def test_pin_does_not_appear_anywhere(run_pin_device):
    """Not in the trace, not in events, not in the journal."""

    async def scenario(bench):
        await expect_unusable(bench, "as wrong", pin="73519")
        await bench.start(pin="48260", service_centre="+447700900001")
        assert b'AT+CPIN="73519"' in bench.written
        output = "".join(bench.trace) + "".join(map(str, bench.events))
        assert 'AT+CPIN="****"' in output
        for pin in ("73519", "48260"):
            assert pin not in output
            for path in bench.path.parent.iterdir():
                assert pin.encode() not in path.read_bytes()

    run_pin_device(scenario, pin="48260")


@pytest.mark.parametrize("answer", [None, b"\r\nRDY\r\n"])
def test_lost_answer_does_not_reveal_the_pin(run_scripted_modem, answer):
    """Errors name the command without its value."""

    class Book:
        async def reserve_pin_attempt(self, iccid, pin, *, no_tries_lost):
            return ""

        async def record_pin_result(self, iccid, *, refused):
            self.refused = refused

    memory = Book()

    async def scenario(modem, script):
        with pytest.raises(ModemUnusable) as caught:
            await modem.initialise()
        assert "1234" not in str(caught.value)
        assert "****" in str(caught.value)
        assert script.received_lines.count('AT+CPIN="1234"') == 1
        assert memory.refused

    table = {"AT+CPIN?": b"\r\n+CPIN: SIM PIN\r\n" + OK, 'AT+CPIN="1234"': answer}
    options = {"sim_config": SimConfig(memory, Pin("1234", SOURCE))}
    run_scripted_modem(scenario, initialise=False, table=table, options=options)


def test_another_sim_is_reported(run_pin_device):
    """It has its own tries, and one event reports the change."""

    async def scenario(bench):
        await bench.start()
        bench.sim.iccid, bench.sim.pin = "89440000000000000025", "1234"
        bench.module.reboot()
        await bench.start()
        (step,) = bench.events
        assert str(step).startswith("sim: another SIM is in the module: …000025, it was …000017")

    run_pin_device(scenario)


# The service centre


def test_service_centre_is_restored(run_pin_device):
    """The last known number of this SIM is written again."""

    async def scenario(bench):
        assert (await bench.start()).service_centre == "+447700900000"
        clear_service_centre(bench)
        status = await bench.start()
        assert status.service_centre == "+447700900000"
        assert any("had lost its service centre number: +447700900000" in note for note in status.notes)
        bench.sim.iccid = "89440000000000000025"
        clear_service_centre(bench)
        status = await bench.start()
        assert status.service_centre == ""
        assert any("write service_centre into [modem]" in note for note in status.notes)

    run_pin_device(scenario, sim_card=SimCard())


def test_configured_service_centre_is_used_if_the_sim_has_none(run_pin_device):
    """A number that the SIM has is not changed."""

    async def scenario(bench):
        assert (await bench.start(service_centre="+1555")).service_centre == "+447700900000"
        clear_service_centre(bench)
        assert (await bench.start(service_centre="+15550001234")).service_centre == "+15550001234"

    run_pin_device(scenario, sim_card=SimCard())


def clear_service_centre(bench):
    """Delete the service centre number of the SIM."""

    class Nothing:
        def __str__(self):
            return ""

        type_of_address = 129

    bench.sim.service_centre = Nothing()


def test_service_centre_in_a_character_set(run_scripted_modem):
    """With UCS2 the number is written in the character set."""
    current = [b'\r\n+CSCA: "",129\r\n' + OK]

    def written(line):
        assert line == 'AT+CSCA="002B0031003500350035",145'
        current[0] = b'\r\n+CSCA: "002B0031003500350035",145\r\n' + OK
        return OK

    async def scenario(modem, script):
        assert (await modem.initialise()).service_centre == "+1555"

    table = {
        "AT+CMGF?": b"\r\n+CMGF: 1\r\n" + OK,
        "AT+CSDH?": b"\r\n+CSDH: 1\r\n" + OK,
        "AT+CSCS?": b'\r\n+CSCS: "UCS2"\r\n' + OK,
        "AT+CSCA?": lambda _: current[0],
        'AT+CSCA="002B0031003500350035",145': written,
    }
    options = {"message_format": "text", "sim_config": SimConfig(service_centre="+1555")}
    run_scripted_modem(scenario, initialise=False, table=table, options=options)


@pytest.mark.parametrize("state", ["PH-SIM PIN", "PH-NET PIN", "SIM PIN2", "PH-FSIM PIN", "SOMETHING NEW"])
def test_other_locks_are_left_to_the_operator(run_scripted_modem, state):
    """The PIN is for SIM PIN only: it is not entered for another lock, and no session begins behind one."""

    async def scenario(modem, script):
        with pytest.raises(ModemUnusable, match=f"the SIM asks for {state}; switch it off in a phone"):
            await modem.initialise()
        assert not any("CPIN=" in line for line in script.received_lines)

    table = {"AT+CPIN?": f"\r\n+CPIN: {state}\r\n".encode() + OK}
    run_scripted_modem(
        scenario, initialise=False, table=table, options={"sim_config": SimConfig(None, Pin("1234", SOURCE))}
    )


def test_tries_reported_only_after_the_attempt(run_scripted_modem):
    """There is no earlier count to compare with: the result is unknown, and the PIN is not tried again."""

    class Book:
        async def reserve_pin_attempt(self, iccid, pin, *, no_tries_lost):
            assert not no_tries_lost
            return ""

        async def record_pin_result(self, iccid, *, refused):
            self.refused = refused

    memory = Book()

    async def scenario(modem, script):
        with pytest.raises(ModemUnusable, match="it is unknown whether the SIM refused the PIN"):
            await modem.initialise()
        assert script.received_lines.count('AT+CPIN="1234"') == 1
        assert memory.refused

    answers = iter([b"\r\nERROR\r\n"])
    table = {
        "AT+CPIN?": b"\r\n+CPIN: SIM PIN\r\n" + OK,
        "AT+CPINR": lambda line: next(answers, b"\r\n+CPINR: SIM PIN,2,3\r\n" + OK),
    }
    run_scripted_modem(
        scenario,
        initialise=False,
        table=table,
        options={"sim_config": SimConfig(memory, Pin("1234", SOURCE))},
    )
