"""The SIM: its PIN is tried once, on every road; its service centre number comes back."""

import asyncio
import random
import sqlite3
from datetime import UTC, datetime

import pytest

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.trace import Trace
from agent.at.transport.memory import memory_transport_pair
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
    """As after kill -9: nothing of the agent goes on."""


class SimDevice:
    """A module and its SIM that outlive the agent, and the journal."""

    def __init__(self, path, sim, device):
        self.path = path
        self.sim = sim
        self.device = device
        self.events = []
        self.trace = []
        self.written = b""
        self.kill_after = None
        self.far = None

    async def power_up(self):
        self.loop = asyncio.get_running_loop()
        self.module = SimulatedModule(
            self.loop, FakeNetwork(), self.device, self.sim, self.write_to_agent, wall_clock
        )
        self.module.power_on()

    def write_to_agent(self, data):
        if self.far is not None:
            self.far.write(data)

    def data_received(self, data):
        self.written += data
        self.module.receive(data)

    def connection_lost(self, reason):
        """The agent is gone."""

    async def start(self, pin="1234", service_centre="", profile="generic"):
        """One start of the agent, to the end of its initialisation."""
        self.near, self.far = memory_transport_pair()
        await self.far.open(self)
        journal = Journal(self.path, lambda: 1.7e9, self.loop.time)
        try:
            cards = SimStore(journal)
            book = JournalSimMemory(InlineExecutor(), cards, random.Random(1), self.events.append)
            if self.kill_after is not None:
                kill_after_commit(book, self.kill_after)
            known = Pin(pin, SOURCE) if isinstance(pin, str) else pin
            trace = Trace(self.trace.append)
            channel = await AtClient.open(self.near.open, trace)
            modem = Modem(
                channel,
                ModemOptions(profile=profile, sim_config=SimConfig(book, known, service_centre)),
            )
            try:
                condition = await modem.initialise()
                await modem.query_identity()
                return condition
            finally:
                modem.close()
                trace.close()
                await asyncio.sleep(0.1)
        finally:
            journal.close()

    def count_pin_writes(self):
        """How often a PIN was written."""
        count = sum(line.startswith("+CPIN=") for line in self.module.log.command_lines)
        self.module.log.command_lines.clear()
        return count

    def pin_rows(self):
        journal = Journal(self.path, lambda: 1.7e9, lambda: 0.0)
        try:
            return journal.connection.execute("SELECT iccid, state FROM pin_attempts").fetchall()
        finally:
            journal.close()


def kill_after_commit(memory, method):
    """Let the agent end right after a commit."""
    whole = getattr(memory, method)

    async def and_die(*arguments, **named):
        await whole(*arguments, **named)
        raise Killed

    setattr(memory, method, and_die)


class FakeNetwork:
    """A network."""

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
    """Run a story with a device whose SIM asks for a PIN."""

    def begin(story, *, pin="1234", tries=3, card=None, **fields):
        async def whole():
            sim = card or SimCard(pin=pin, pin_retries=tries)
            stand = SimDevice(tmp_path / "journal.db", sim, SimulatorProfile(**fields))
            await stand.power_up()
            await story(stand)

        run_virtual(whole())

    return begin


async def expect_unusable(stand, match, **options):
    with pytest.raises(ModemUnusable, match=match) as caught:
        await stand.start(**options)
    return str(caught.value)


def test_the_right_pin(run_pin_device):
    """Entered when the SIM asks, ready after it, gone from the journal; not entered where nobody asks."""

    async def story(stand):
        condition = await stand.start()
        assert condition.registration.can_send
        assert stand.count_pin_writes() == 1
        assert stand.pin_rows() == []
        await stand.start()
        assert stand.count_pin_writes() == 0
        stand.module.reboot()
        await stand.start()
        assert stand.count_pin_writes() == 1
        assert stand.sim.pin_retries == 3

    run_pin_device(story, sms_ready_s=8.0, announces_pin_unlock=True)


def test_a_wrong_pin_costs_one_try(run_pin_device):
    """Whatever starts again, module or agent: it is told each time and never entered again."""

    async def story(stand):
        said = await expect_unusable(
            stand, rf"refuses the PIN of {SOURCE} as wrong \(tries left: 2\)", pin="9999"
        )
        assert "9999" not in said
        assert stand.count_pin_writes() == 1
        for _ in range(5):
            await expect_unusable(
                stand, rf"PIN of {SOURCE} was refused .* write the right one there", pin="9999"
            )
            stand.module.reboot()
        assert stand.count_pin_writes() == 0
        assert stand.sim.pin_retries == 2
        await stand.start(pin="1234")
        assert stand.sim.pin_retries == 3

    run_pin_device(story)


def test_a_pin_that_is_corrected_while_the_agent_runs(run_pin_device):
    """The next session takes what stands there now; what was refused before is not tried again, ever."""
    stands = ["9999"]

    def again():
        return Pin(stands[0], SOURCE, again)

    async def story(stand):
        await expect_unusable(
            stand, r"as wrong .* write the right one there, which is tried within a minute", pin=again()
        )
        for _ in range(3):
            await expect_unusable(stand, "was refused by this SIM .* within a minute", pin=again())
        assert stand.sim.pin_retries == 2
        pin = again()
        stands[0] = "1234"
        await stand.start(pin=pin)
        assert stand.sim.pin_retries == 3
        stand.module.reboot()
        stands[0] = "9999"
        await expect_unusable(stand, "was refused by this SIM", pin=pin)
        assert stand.sim.pin_retries == 3

    run_pin_device(story)


def test_a_pin_that_cannot_be_read_any_more(run_pin_device):
    """Nothing is entered; the reason is told."""

    def again():
        raise ModemUnusable("the SIM asks for its PIN; agent.toml: modem.pin_file: pin: No such file")

    async def story(stand):
        await expect_unusable(stand, "No such file", pin=Pin("1234", SOURCE, again))
        assert stand.count_pin_writes() == 0

    run_pin_device(story)


@pytest.mark.parametrize("tries", [1, 0])
def test_the_last_try_is_nobodys_to_risk(run_pin_device, tries):
    """Nor is a PUK asked for from a file."""

    async def story(stand):
        await expect_unusable(stand, "1 try left, which is not risked" if tries else "SIM PUK: it is blocked")
        assert stand.count_pin_writes() == 0
        assert stand.sim.pin_retries == tries

    run_pin_device(story, tries=tries)


def test_two_wrong_values_leave_one_try(run_pin_device):
    """Each was somebody's wish; a third one is not tried."""

    async def story(stand):
        for pin in ("1111", "2222"):
            await expect_unusable(stand, "as wrong", pin=pin)
        await expect_unusable(stand, "1 try left", pin="3333")
        assert stand.sim.pin_retries == 1

    run_pin_device(story)


def test_without_a_count_of_tries(run_pin_device):
    """A module that does not tell them: one attempt for each value, and no second after a doubtful one."""

    async def story(stand):
        await expect_unusable(stand, "as wrong; it is not tried", pin="9999")
        await expect_unusable(stand, "was refused", pin="9999")
        assert stand.sim.pin_retries == 2
        await stand.start()

    run_pin_device(story, unsupported_commands=("+CPINR",))


@pytest.mark.parametrize(
    ("profile", "command", "answer", "used"),
    [
        ("ec25", '+QPINC="SC"', '+QPINC: "SC",1,10', False),
        ("ec25", '+QPINC="SC"', '+QPINC: "SC",3,10', True),
        ("me910c1", "#PCT", "#PCT: 1", False),
        ("me910c1", "#PCT", "#PCT: 3", True),
    ],
)
def test_the_count_in_the_words_of_the_maker(run_pin_device, profile, command, answer, used):
    """Where +CPINR is unknown."""

    async def story(stand):
        if used:
            await stand.start(profile=profile)
        else:
            await expect_unusable(stand, "1 try left", profile=profile)
        assert stand.count_pin_writes() == used

    run_pin_device(story, unsupported_commands=("+CPINR",), answers={command: answer})


def test_no_pin_is_known(run_pin_device):
    """What to do, and nothing is tried."""

    async def story(stand):
        await expect_unusable(stand, r"asks for SIM PIN; configure it by \[modem\] pin_file", pin=None)
        assert stand.count_pin_writes() == 0

    run_pin_device(story)


# The agent dies in between


@pytest.mark.parametrize("pin", ["1234", "9999"])
def test_killed_between_commit_and_write(run_pin_device, pin):
    """No try was lost and the SIM shows it: the same value may be tried, once."""

    async def story(stand):
        for _ in range(3):
            stand.kill_after = "reserve_pin_attempt"
            with pytest.raises(Killed):
                await stand.start(pin=pin)
            assert stand.count_pin_writes() == 0
            assert [state for _, state in stand.pin_rows()] == ["trying"]
        stand.kill_after = None
        if pin == "1234":
            await stand.start(pin=pin)
        else:
            await expect_unusable(stand, "as wrong", pin=pin)
            await expect_unusable(stand, "was refused", pin=pin)
        assert stand.count_pin_writes() == 1

    run_pin_device(story)


def test_killed_between_commit_and_write_without_a_count(run_pin_device):
    """Nobody knows whether it got there: it is left to a person."""

    async def story(stand):
        stand.kill_after = "reserve_pin_attempt"
        with pytest.raises(Killed):
            await stand.start()
        stand.kill_after = None
        await expect_unusable(stand, f"ended while it tried the PIN of {SOURCE}")
        assert stand.count_pin_writes() == 0

    run_pin_device(story, unsupported_commands=("+CPINR",))


def test_killed_before_a_wrong_answer_is_kept(run_pin_device):
    """The SIM counts: a try is missing, so the value is not tried again."""

    async def story(stand):
        whole = stand.module.receive

        def and_hang_up(data):
            whole(data)
            if b"+CPIN=" in data:
                stand.near.close()

        stand.module.receive = and_hang_up
        with pytest.raises(ModemLost, match="no answer to AT"):
            await stand.start(pin="9999")
        stand.module.receive = whole
        assert stand.sim.pin_retries == 2
        assert stand.count_pin_writes() == 1
        await expect_unusable(stand, "ended while it tried", pin="9999")
        assert stand.count_pin_writes() == 0
        assert stand.sim.pin_retries == 2

    run_pin_device(story)


def test_killed_after_the_right_pin(run_pin_device):
    """The SIM is found open, which ends the doubt: at the next start it is entered again."""

    async def story(stand):
        stand.kill_after = "record_sim_seen"
        with pytest.raises(Killed):
            await stand.start()
        assert stand.pin_rows() == []
        stand.kill_after = None
        stand.module.reboot()
        await stand.start()

    run_pin_device(story)


def test_what_is_neither_yes_nor_no(run_pin_device):
    """A busy SIM that keeps its tries is asked again in the next session."""

    async def story(stand):
        enter = stand.module.sim_access.enter_pin

        def busy(code, new):
            stand.module.sim_access.enter_pin = enter
            raise cme_error(100)

        stand.module.sim_access.enter_pin = busy
        await expect_unusable(stand, "did not take the PIN now, and no try was lost")
        assert stand.pin_rows() == []
        await stand.start()

    run_pin_device(story)


def test_a_pin_is_refused_by_a_bare_error_after_a_slow_commit(run_pin_device, monkeypatch):
    """The disk took its time, and news came meanwhile: its refusal has cost a try and comes once."""
    committed = JournalSimMemory.reserve_pin_attempt

    async def story(stand):
        async def slow(*arguments, **named):
            answer = await committed(*arguments, **named)
            await asyncio.sleep(40)
            stand.module.output.write_urc("+CREG: 2")
            await asyncio.sleep(0.1)
            return answer

        monkeypatch.setattr(JournalSimMemory, "reserve_pin_attempt", slow)
        await expect_unusable(stand, r"as wrong \(tries left: 2\)", pin="9999")
        assert stand.count_pin_writes() == 1
        assert stand.sim.pin_retries == 2

    run_pin_device(story, unsupported_commands=("+CMEE",))


@pytest.mark.parametrize("silence", ["CME 100", "CME 14", None])
def test_a_module_that_does_not_tell_its_state_says_nothing_about_the_pin(run_pin_device, silence):
    """Neither the PIN's answer nor +CPIN? can be had: there is no second attempt, whatever the tries say."""

    async def story(stand):
        enter, state = stand.module.sim_access.enter_pin, stand.module.sim_access.pin_state

        def deny():
            if silence is None:
                return ""
            raise parse_error(silence)

        def wrong(code, new):
            try:
                enter(code, new)
            except CommandError:
                stand.module.sim_access.pin_state = deny
                raise cme_error(100) from None

        stand.module.sim_access.enter_pin = wrong
        await expect_unusable(stand, "as wrong|it is unknown whether", pin="9999")
        stand.module.sim_access.enter_pin, stand.module.sim_access.pin_state = enter, state
        await expect_unusable(stand, "was refused", pin="9999")
        assert stand.count_pin_writes() == 1
        assert stand.sim.pin_retries == 2

    run_pin_device(story)


def test_no_commit_no_attempt(run_pin_device, monkeypatch):
    """While the journal cannot be written no PIN is."""

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SimStore, "reserve_pin_attempt", full)

    async def story(stand):
        await expect_unusable(
            stand, "not tried while the journal cannot be written: database or disk is full"
        )
        assert stand.count_pin_writes() == 0

    run_pin_device(story)


def test_the_pin_is_nowhere_to_be_read(run_pin_device):
    """Not in the trace, not in what is told, not in the journal."""

    async def story(stand):
        await expect_unusable(stand, "as wrong", pin="73519")
        await stand.start(pin="48260", service_centre="+447700900001")
        assert b'AT+CPIN="73519"' in stand.written
        seen = "".join(stand.trace) + "".join(map(str, stand.events))
        assert 'AT+CPIN="****"' in seen
        for pin in ("73519", "48260"):
            assert pin not in seen
            for path in stand.path.parent.iterdir():
                assert pin.encode() not in path.read_bytes()

    run_pin_device(story, pin="48260")


@pytest.mark.parametrize("answer", [None, b"\r\nRDY\r\n"])
def test_a_lost_answer_shows_no_pin(run_scripted_modem, answer):
    """Time-outs and lost lines name the command without its value."""

    class Book:
        async def reserve_pin_attempt(self, iccid, pin, *, no_tries_lost):
            return ""

        async def record_pin_result(self, iccid, *, refused):
            self.refused = refused

    book = Book()

    async def story(modem, script):
        with pytest.raises(ModemUnusable) as caught:
            await modem.initialise()
        assert "1234" not in str(caught.value)
        assert "****" in str(caught.value)
        assert script.received_lines.count('AT+CPIN="1234"') == 1
        assert book.refused

    table = {"AT+CPIN?": b"\r\n+CPIN: SIM PIN\r\n" + OK, 'AT+CPIN="1234"': answer}
    options = {"sim_config": SimConfig(book, Pin("1234", SOURCE))}
    run_scripted_modem(story, initialise=False, table=table, options=options)


def test_another_sim(run_pin_device):
    """It has its own tries, and that it is another one is said in one line."""

    async def story(stand):
        await stand.start()
        stand.sim.iccid, stand.sim.pin = "89440000000000000025", "1234"
        stand.module.reboot()
        await stand.start()
        (step,) = stand.events
        assert str(step).startswith("sim: another SIM is in the module: …000025, it was …000017")

    run_pin_device(story)


# The service centre


def test_the_last_known_number_comes_back(run_pin_device):
    """It belongs to this card."""

    async def story(stand):
        assert (await stand.start()).service_centre == "+447700900000"
        clear_service_centre(stand)
        condition = await stand.start()
        assert condition.service_centre == "+447700900000"
        assert any("had lost its service centre number: +447700900000" in note for note in condition.notes)
        stand.sim.iccid = "89440000000000000025"
        clear_service_centre(stand)
        condition = await stand.start()
        assert condition.service_centre == ""
        assert any("write service_centre into [modem]" in note for note in condition.notes)

    run_pin_device(story, card=SimCard())


def test_the_configured_number_is_taken_where_there_is_none(run_pin_device):
    """A number that the SIM has is left alone."""

    async def story(stand):
        assert (await stand.start(service_centre="+1555")).service_centre == "+447700900000"
        clear_service_centre(stand)
        assert (await stand.start(service_centre="+15550001234")).service_centre == "+15550001234"

    run_pin_device(story, card=SimCard())


def clear_service_centre(stand):
    """The SIM loses its number, as some do."""

    class Nothing:
        def __str__(self):
            return ""

        type_of_address = 129

    stand.sim.service_centre = Nothing()


def test_a_number_in_the_words_of_text_mode(run_scripted_modem):
    """Under UCS2 it is written as the character set wants it."""
    standing = [b'\r\n+CSCA: "",129\r\n' + OK]

    def written(line):
        assert line == 'AT+CSCA="002B0031003500350035",145'
        standing[0] = b'\r\n+CSCA: "002B0031003500350035",145\r\n' + OK
        return OK

    async def story(modem, script):
        assert (await modem.initialise()).service_centre == "+1555"

    table = {
        "AT+CMGF?": b"\r\n+CMGF: 1\r\n" + OK,
        "AT+CSDH?": b"\r\n+CSDH: 1\r\n" + OK,
        "AT+CSCS?": b'\r\n+CSCS: "UCS2"\r\n' + OK,
        "AT+CSCA?": lambda _: standing[0],
        'AT+CSCA="002B0031003500350035",145': written,
    }
    options = {"message_format": "text", "sim_config": SimConfig(service_centre="+1555")}
    run_scripted_modem(story, initialise=False, table=table, options=options)


@pytest.mark.parametrize("state", ["PH-SIM PIN", "PH-NET PIN", "SIM PIN2", "PH-FSIM PIN", "SOMETHING NEW"])
def test_another_lock_is_left_to_a_person(run_scripted_modem, state):
    """The PIN is for SIM PIN alone: it is written nowhere else, and no session begins behind a lock."""

    async def story(modem, script):
        with pytest.raises(ModemUnusable, match=f"the SIM asks for {state}; switch it off in a phone"):
            await modem.initialise()
        assert not any("CPIN=" in line for line in script.received_lines)

    table = {"AT+CPIN?": f"\r\n+CPIN: {state}\r\n".encode() + OK}
    run_scripted_modem(
        story, initialise=False, table=table, options={"sim_config": SimConfig(None, Pin("1234", SOURCE))}
    )


def test_tries_that_are_told_only_afterwards(run_scripted_modem):
    """There is nothing to compare them with: nobody knows about the PIN, and it is not tried again."""

    class Book:
        async def reserve_pin_attempt(self, iccid, pin, *, no_tries_lost):
            assert not no_tries_lost
            return ""

        async def record_pin_result(self, iccid, *, refused):
            self.refused = refused

    book = Book()

    async def story(modem, script):
        with pytest.raises(ModemUnusable, match="it is unknown whether the SIM refused the PIN"):
            await modem.initialise()
        assert script.received_lines.count('AT+CPIN="1234"') == 1
        assert book.refused

    answers = iter([b"\r\nERROR\r\n"])
    table = {
        "AT+CPIN?": b"\r\n+CPIN: SIM PIN\r\n" + OK,
        "AT+CPINR": lambda line: next(answers, b"\r\n+CPINR: SIM PIN,2,3\r\n" + OK),
    }
    run_scripted_modem(
        story, initialise=False, table=table, options={"sim_config": SimConfig(book, Pin("1234", SOURCE))}
    )
