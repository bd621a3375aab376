"""F42 F43 F46 F51: echo, errors, slow responses, and arbitrary chunks."""

import asyncio
import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.error_codes import ErrorClass, classify_error
from agent.at.line_parser import parse_final_result
from agent.at.protocol import AtProtocol
from fault.catalogue import MULTILINE_OK, PLAIN_SID_START, tpdu_length
from fault.fault_world import FaultWorld, make_pdu
from fault.fixed_reply_runner import FixedReplyRunner
from hardware.sim.module.message_formatter import MessageFormatter
from hardware.sim.module.stores import MessageStatus
from soak import simulated_port

# F42


async def test_f42_echo_is_switched_off(tmp_path, message_format):
    """(a) The response to ATE0 is itself preceded by an echo."""
    async with FaultWorld(tmp_path, message_format) as world:
        assert world.module.settings.echo
        await world.start_and_settle()
        assert not world.module.settings.echo
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.log_lines(min_severity=30) == []


@pytest.mark.parametrize("seed", range(3))
async def test_f42_echo_returns_after_silent_restarts(tmp_path, message_format, seed):
    """(b) After silent restarts at any time each Command is executed once and answered at most once."""
    rng = random.Random(seed)
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in range(12):
            world.call_later(
                rng.random() * 300,
                world.deliver_pdu,
                make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"),
            )
        for _ in range(4):
            world.call_later(rng.random() * 300, lambda: world.module.reboot(print_boot_lines=False))
        await world.advance(1500)
        assert sorted(world.executed) == sorted(f"blink {number}" for number in range(12))
        assert len(world.sent_bodies) == len(set(world.sent_bodies))
        assert len(world.sent_bodies) >= 10
        assert world.stored_indices() == []


async def test_f42_echo_that_cannot_be_switched_off(tmp_path, message_format):
    """(c) The module answers ATE0 with OK and keeps echoing: the agent works as without echo."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.faults.add("echo-stuck:for=0")
        await world.start_and_settle()
        for number in range(5):
            world.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        world.deliver_pdu(MULTILINE_OK)
        await world.advance(60)
        assert world.module.settings.echo
        assert sorted(world.executed) == sorted(
            ['set 1\r\nOK\r\n+CMTI: "SM",9\r\nend', *(f"blink {number}" for number in range(5))]
        )
        assert len(world.sent_bodies) == 6
        assert world.interceptor.commands_matching(r"AT\+CMGR=9") == []
        assert world.stored_indices() == []
        assert world.connection.session_count == 1


ECHOED = ["OK", '+CMTI: "ME",1', "ERROR", "+CMGS: 5", "> ", "RING", "0", "+CMS ERROR: 38", "RDY", "AT+CMGD=1"]


@pytest.mark.parametrize(
    ("charset", "text"),
    [*(("IRA", text) for text in ECHOED), ("GSM", "OK"), ("UCS2", "OK"), ("IRA", 'x\r\nOK\r\n+CMTI: "ME",1')],
)
@pytest.mark.parametrize("message_format", ["text"])
async def test_f42_echoed_body_is_not_parsed(tmp_path, message_format, charset, text):
    """(d) In text mode the echoed body is not taken for a result, a URC or a message."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.faults.add("echo-stuck:for=0")
        world.interceptor.rewrite(
            r"AT\+CSCS=\?", re.compile(rb"\+CSCS: .*\r\n"), f'+CSCS: ("{charset}")\r\n'.encode(), times=0
        )
        world.make_runner = lambda agent_run: FixedReplyRunner(world, agent_run, text)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.sent_bodies == [text]
        assert [state for state, _ in world.replies] == ["sent"]
        assert len(world.interceptor.commands_matching(r"AT\+CMGR=1")) == 1
        assert world.connection.session_count == 1
        assert world.stored_indices() == []


@pytest.mark.parametrize("pieces", [1, 3, 10])
async def test_f42_urc_inside_an_echo(tmp_path, message_format, pieces):
    """A URC may arrive between two parts of an echo."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.faults.add("echo-stuck:for=0")
        await world.start_and_settle()
        line = b"AT+CMGR=1\r"
        cut = line[:pieces] + b"\r\n^RSSI:3\r\n" + line[pieces:]
        world.interceptor.rewrite(r"AT\+CMGR=1", line, cut)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(40)
        assert world.executed == ["led on"]
        assert world.stored_indices() == []


# F43


ERRORS = [
    "ERROR",
    "+CMS ERROR: 500",
    "+CMS ERROR: unknown error",
    "+CME ERROR: SIM busy",
    "+CME ERROR: 3517",
    "COMMAND NOT SUPPORT",
    "+CMS ERROR:500",
]
SIMILAR_ERRORS = [
    "+CME ERROR:14",
    "+CMS ERROR : 500",
    "+CMS ERROR: no such text",
    "+CMS ERROR",
    "+CMS ERROR: 99999",
    "+CME ERROR: sim busy",
    "+cms error: 500",
    "+EXT ERROR: 3",
    "+CIS ERROR: 5",
    "MODEM ERROR: 7",
    "TOO MANY PARAMETERS",
    "COMMAND NOT SUPPORTED",
    "ERROR: 14",
    "Error",
]


@pytest.mark.parametrize(
    ("message_format", "error"),
    [*itertools.product(["pdu", "text"], ERRORS), *(("pdu", error) for error in SIMILAR_ERRORS)],
)
async def test_f43_every_error_is_a_final_result(tmp_path, message_format, error):
    """An error ends a read, a delete or a send at once, and the operation is retried later."""
    response = f"\r\n{error}\r\n".encode()
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for command in (r"AT\+CMGR=1", r"AT\+CMGD=1", r"AT\+CMGS=.*"):
            world.interceptor.answer(command, response)
        before = len(world.interceptor.commands)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(1200)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.stored_indices() == []
        assert world.events_of_kind("no answer") == []
        assert world.connection.session_count == 1
        written = [line for _, line in world.interceptor.commands[before:]]
        assert len([line for line in written if line.startswith("AT+CMGS")]) == 2
        assert "AT+CMEE?" not in written  # the command that resynchronises the line


@pytest.mark.parametrize("error", ERRORS)
async def test_f43_optional_setup_commands_may_fail(tmp_path, message_format, error):
    """Setup goes on whatever error an optional command gets."""
    response = f"\r\n{error}\r\n".encode()
    async with FaultWorld(tmp_path, message_format) as world:
        for command in (
            r"AT\+CSMS=1",
            r"AT\+CFUN\?",
            r"AT\+C\w?REG=1",
            r"AT\+CSCA\?",
            r"AT\+CSQ",
            r"AT\+CCID",
        ):
            world.interceptor.answer(command, response, times=0)
        await world.start_and_settle(100)  # after "SIM busy" the agent waits for more than a minute
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]


VERBOSE_ERRORS = {
    "+CMS ERROR: 500": ("cms", 500),
    "+CMS ERROR:500": ("cms", 500),
    "+CMS ERROR: unknown error": ("cms", 500),
    "+CME ERROR: SIM busy": ("cme", 14),
    "+CME ERROR: 3517": ("cme", 3517),
    "+CMS ERROR: no such text": ("cms", None),
    "ERROR": ("error", None),
    "COMMAND NOT SUPPORT": ("error", None),
}


@pytest.mark.parametrize("text", VERBOSE_ERRORS)
def test_f43_verbose_errors_map_to_codes(text):
    """Error texts map to the numeric code, so the error class does not depend on +CMEE."""
    final = parse_final_result(text, allow_numeric=True)
    assert (final.ok, final.kind, final.code) == (False, *VERBOSE_ERRORS[text])
    if final.code is None:
        assert classify_error(final.kind, final.code, after_body=False) is ErrorClass.RETRY_SOON


async def test_f43_numeric_errors_are_enabled(tmp_path, message_format):
    """+CMEE=1 is set at the start, and again after a restart of the module."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        assert world.module.settings.cmee == 1
        world.module.reboot()
        await world.advance(60)
        assert world.module.settings.cmee == 1


# F46


async def test_f46_slow_cfun_is_sent_once(tmp_path, message_format):
    """+CFUN=1 that takes 14 s is sent once."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.power.functionality = 4
        world.interceptor.rewrite(r"AT\+CFUN=1", re.compile(rb"\r\nOK\r\n"), [14.0, b"\r\nOK\r\n"])
        await world.start_and_settle(30)
        assert len(world.interceptor.commands_matching(r"AT\+CFUN=1")) == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.log_lines(min_severity=30) == []


async def test_f46_slow_send_is_not_repeated(tmp_path, message_format):
    """A send that takes 58 s is sent once, and a URC that arrives meanwhile is not lost."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        result = re.compile(rb"\r\n\+CMGS: (\d+)\r\n\r\nOK\r\n")
        late = [20.0, b'\r\n+CMTI: "ME",5\r\n', 38.0, b"\r\n+CMGS: 77\r\n\r\nOK\r\n"]
        world.interceptor.rewrite(r"AT\+CMGS=.*", result, late)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        world.store_pdu(5, make_pdu("blink 1"))
        await world.advance(120)
        assert world.executed == ["led on", "blink 1"]
        assert world.sent_bodies == ["did led on", "did blink 1"]
        assert world.query_journal("SELECT state, message_reference FROM replies WHERE id = 1") == [
            ("sent", 77)
        ]
        assert len(world.interceptor.commands_matching(r"AT\+CMGS=.*")) == 2
        assert world.events_of_kind("no answer") == []


async def test_f46_network_scan_blocks_other_commands(tmp_path, message_format):
    """During +COPS=? of an operator no other command is written; a message is read afterwards."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        networks = b'\r\n+COPS: (2,"T","T","00101",7)\r\n\r\nOK\r\n'
        world.interceptor.answer(r"AT\+COPS=\?", [60.0, b'\r\n+CMTI: "ME",5\r\n', 60.0, networks])
        request = asyncio.ensure_future(world.control_api.run_at_command({"line": "AT+COPS=?"}))
        await world.advance(30)
        world.store_pdu(5, PLAIN_SID_START)
        before = len(world.interceptor.commands)
        await world.advance(80)
        assert world.interceptor.commands[before:] == []
        assert (await request)["lines"] == ['+COPS: (2,"T","T","00101",7)']
        await world.advance(5)
        assert world.executed == ["led on"]


async def test_f46_slow_list_is_read_once(tmp_path, message_format):
    """A list of 50 messages with pauses of 1 s is read once, and each Command is executed once."""
    list_command = r"AT\+CMGL=4" if message_format == "pdu" else r'AT\+CMGL="ALL"'
    async with FaultWorld(tmp_path, message_format, device="ec25") as world:
        await world.start_and_settle()
        base = world.module.profile.first_index
        for number in range(50):
            world.store_pdu(
                base + number, make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00")
            )
        formatter = MessageFormatter(world.module.context)
        entries = [
            formatter.format_entry("+CMGL", stored, base + slot) for slot, stored in world.module.stores["ME"]
        ]
        assert len(entries) == 50
        output = [b"\r\n"]
        for number, entry in enumerate(entries):
            if number % 6 == 5:
                output += [1.0, b'\r\n+CMTI: "ME",200\r\n' if number == 29 else b""]
            output.append(f"{entry}\r\n".encode("latin-1"))
        rule = world.interceptor.answer(list_command, [*output, b"\r\nOK\r\n"])
        world.store_pdu(200, PLAIN_SID_START, status=MessageStatus.READ)
        before = len(world.interceptor.commands)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",\r\n')
        await world.advance(7)
        during = [line for _, line in world.interceptor.commands[before:]]
        assert [line for line in during if line.startswith("AT+CMG") and line[-1] != "?"] == [
            "AT+CMGL=4" if message_format == "pdu" else 'AT+CMGL="ALL"'
        ]
        await world.advance(120)
        assert rule.applied == 1
        assert sorted(world.executed) == sorted(["led on", *(f"blink {number}" for number in range(50))])
        assert world.stored_indices() == []
        assert world.events_of_kind("no answer") == []


# F51


def split_octets(data):
    """(a) Split after every octet."""
    return [data[at : at + 1] for at in range(len(data))]


def split_inside(*marks):
    """(b) Return a function that splits in the middle of these."""

    def cut(data):
        places = sorted(
            {found.start() + len(mark) // 2 for mark in marks for found in re.finditer(re.escape(mark), data)}
        )
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if data[a:b]]

    return cut


def split_at_random(seed):
    rng = random.Random(seed)

    def cut(data):
        pieces = []
        while data:
            size = rng.randint(1, 12)
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cut


CUTS = {
    "octets": split_octets,
    "line ends": split_inside(b"\r\n"),
    "OK": split_inside(b"OK"),
    "prompt": split_inside(b"> "),
    "payload": split_inside(PLAIN_SID_START.encode(), b"C4212C", b"0044"),
    "URCs": split_inside(b"+CMTI", b"+CMGR", b"+CMGS"),
    "random 1": split_at_random(1),
    "random 2": split_at_random(2),
}


async def record_session(folder, message_format, cut):
    """Return events and command lines of a session whose input is split like this."""
    folder.mkdir()
    async with FaultWorld(folder, message_format, split=cut) as world:
        await world.start_and_settle()
        for number, raw in enumerate([PLAIN_SID_START, MULTILINE_OK, make_pdu("blink 1")]):
            world.deliver_pdu(raw)
            await world.advance(20 if number else 30)
        world.module.reboot()
        await world.advance(60)
        world.deliver_pdu(make_pdu("blink 2"))
        await world.advance(30)
        assert len(world.executed) == 4
        return [
            (event.kind, event.message) for _, _, event in world.events
        ], world.interceptor.commands_matching()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_f51_chunking_does_not_change_the_session(tmp_path, message_format, monkeypatch, cut):
    """Events and commands are the same, however the octets are split."""
    if cut is split_octets:
        monkeypatch.setattr(simulated_port, "OCTET_TIME_S", 0.005)
    whole = await record_session(tmp_path / "whole", message_format, None)
    assert await record_session(tmp_path / "cut", message_format, cut) == whole


async def test_f51_urcs_and_a_response_in_one_read(tmp_path, message_format):
    """(c) Five URCs before or after a response in one read are all processed."""
    urcs = b'\r\n^RSSI:3\r\n\r\n+CMTI: "ME",4\r\n\r\n+CREG: 5\r\n\r\n^HCSQ:1\r\n\r\n+CMTI: "ME",5\r\n'
    for order in ("before", "behind"):
        folder = tmp_path / order
        folder.mkdir()
        async with FaultWorld(folder, message_format) as world:
            await world.start_and_settle()
            world.store_pdu(4, make_pdu("blink 4", timestamp="26/11/21,22:30:04+00"))
            world.store_pdu(5, make_pdu("blink 5", timestamp="26/11/21,22:30:05+00"))

            def add_urcs(data, world=world, order=order):
                if data.startswith(b"\r\n+CMGR:") and world.interceptor.last_command == "AT+CMGR=3":
                    return urcs + data if order == "before" else data + urcs
                return data

            world.interceptor.filter_to_agent = add_urcs
            world.store_pdu(3, PLAIN_SID_START)
            world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
            await world.advance(10)
            assert world.executed == ["led on", "blink 4", "blink 5"]
            assert world.connection.session.modem.status.registration.circuit == 5
            assert world.stored_indices() == []
            assert world.events_of_kind("no answer") == []


TRANSCRIPT = (
    b'\r\n^RSSI:3\r\n\r\n+CMTI: "ME",4\r\nAT+CMGR=3\r\r\n+CMGR: 0,,51\r\n'
    + PLAIN_SID_START.encode()
    + b"\r\n\r\n+CREG: 1\r\n\r\nOK\r\n\x00\xff\r\n+CMT: ,51\r\n"
    + PLAIN_SID_START.encode()
    + b"\r\n\r\nRING\r\n\r\nNO CARRIER\r\n"
)
READING = AtCommand(
    "AT+CMGR=3", 10, (ResponsePattern("+CMGR", payload_kind=PayloadKind.HEX_LINE),), requires_information=True
)


def parse(pieces):
    """Return the parser events for these pieces."""
    protocol = AtProtocol()
    protocol.send_command(READING)
    return [event for piece in pieces for event in protocol.receive_data(piece)]


@settings(deadline=None, max_examples=150, database=None)
@given(st.sets(st.integers(1, len(TRANSCRIPT) - 1)))
def test_f51_parser_events_do_not_depend_on_chunking(cuts):
    """The parser returns the same events for every way to split a transcript."""
    assert tpdu_length(PLAIN_SID_START) == 51
    places = [0, *sorted(cuts), len(TRANSCRIPT)]
    pieces = [TRANSCRIPT[a:b] for a, b in itertools.pairwise(places)]
    assert parse(pieces) == parse([TRANSCRIPT])
