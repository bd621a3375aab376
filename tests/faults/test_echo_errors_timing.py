"""F42 F43 F46 F51: echo, errors, slow answers, and octets cut anywhere."""

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
from fault.saying import FixedReplyRunner
from hardware.sim.module.stores import MessageStatus
from soak import simulated_port

# F42


async def test_f42_echo_from_the_start(tmp_path, message_format):
    """(a) The answer to ATE0 is echoed itself."""
    async with FaultWorld(tmp_path, message_format) as scene:
        assert scene.module.settings.echo
        await scene.start_and_settle()
        assert not scene.module.settings.echo
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.log_lines(min_severity=30) == []


@pytest.mark.parametrize("seed", range(3))
async def test_f42_echo_comes_back(tmp_path, message_format, seed):
    """(b) After silent restarts at any moment: everything is carried out once and answered at most once."""
    chance = random.Random(seed)
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for number in range(12):
            scene.call_later(
                chance.random() * 300,
                scene.deliver_pdu,
                make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"),
            )
        for _ in range(4):
            scene.call_later(chance.random() * 300, lambda: scene.module.reboot(print_boot_lines=False))
        await scene.advance(1500)
        assert sorted(scene.executed) == sorted(f"blink {number}" for number in range(12))
        assert len(scene.sent_bodies) == len(set(scene.sent_bodies))
        assert len(scene.sent_bodies) >= 10
        assert scene.stored_indices() == []


async def test_f42_echo_that_stays(tmp_path, message_format):
    """(c) A module that answers ATE0 by OK and goes on echoing: nothing else changes."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.faults.add("echo-stuck:for=0")
        await scene.start_and_settle()
        for number in range(5):
            scene.deliver_pdu(make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        scene.deliver_pdu(MULTILINE_OK)
        await scene.advance(60)
        assert scene.module.settings.echo
        assert sorted(scene.executed) == sorted(
            ['set 1\r\nOK\r\n+CMTI: "SM",9\r\nend', *(f"blink {number}" for number in range(5))]
        )
        assert len(scene.sent_bodies) == 6
        assert scene.interceptor.commands_matching(r"AT\+CMGR=9") == []
        assert scene.stored_indices() == []
        assert scene.current_run.agent.components.supervisor.connection.session_count == 1


ECHOED = ["OK", '+CMTI: "ME",1', "ERROR", "+CMGS: 5", "> ", "RING", "0", "+CMS ERROR: 38", "RDY", "AT+CMGD=1"]


@pytest.mark.parametrize(
    ("charset", "text"),
    [*(("IRA", text) for text in ECHOED), ("GSM", "OK"), ("UCS2", "OK"), ("IRA", 'x\r\nOK\r\n+CMTI: "ME",1')],
)
@pytest.mark.parametrize("message_format", ["text"])
async def test_f42_an_echoed_body(tmp_path, message_format, charset, text):
    """(d) Text mode: what is typed after the prompt comes back, and is no answer, news or message."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.faults.add("echo-stuck:for=0")
        scene.interceptor.rewrite(
            r"AT\+CSCS=\?", re.compile(rb"\+CSCS: .*\r\n"), f'+CSCS: ("{charset}")\r\n'.encode(), times=0
        )
        scene.make_runner = lambda life: FixedReplyRunner(scene, life, text)
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(30)
        assert scene.sent_bodies == [text]
        assert [state for state, _ in scene.replies] == ["sent"]
        assert len(scene.interceptor.commands_matching(r"AT\+CMGR=1")) == 1
        assert scene.current_run.agent.components.supervisor.connection.session_count == 1
        assert scene.stored_indices() == []


@pytest.mark.parametrize("pieces", [1, 3, 10])
async def test_f42_an_echo_in_pieces(tmp_path, message_format, pieces):
    """News may come between the pieces of an echo."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.faults.add("echo-stuck:for=0")
        await scene.start_and_settle()
        line = b"AT+CMGR=1\r"
        cut = line[:pieces] + b"\r\n^RSSI:3\r\n" + line[pieces:]
        scene.interceptor.rewrite(r"AT\+CMGR=1", line, cut)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(40)
        assert scene.executed == ["led on"]
        assert scene.stored_indices() == []


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
    "+CMS ERROR: no sparrows",
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
async def test_f43_every_error_is_final(tmp_path, message_format, error):
    """To a reading, a deletion, a sending: the next command follows at once, and in the end all is done."""
    says = f"\r\n{error}\r\n".encode()
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for command in (r"AT\+CMGR=1", r"AT\+CMGD=1", r"AT\+CMGS=.*"):
            scene.interceptor.answer(command, says)
        before = len(scene.interceptor.commands)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(1200)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.stored_indices() == []
        assert scene.events_of_kind("no answer") == []
        assert scene.current_run.agent.components.supervisor.connection.session_count == 1
        asked = [line for _, line in scene.interceptor.commands[before:]]
        assert len([line for line in asked if line.startswith("AT+CMGS")]) == 2
        assert "AT+CMEE?" not in asked  # which is how the line is brought back into step


@pytest.mark.parametrize("error", ERRORS)
async def test_f43_errors_while_it_gets_ready(tmp_path, message_format, error):
    """What the work can do without may be refused in any words."""
    says = f"\r\n{error}\r\n".encode()
    async with FaultWorld(tmp_path, message_format) as scene:
        for command in (
            r"AT\+CSMS=1",
            r"AT\+CFUN\?",
            r"AT\+C\w?REG=1",
            r"AT\+CSCA\?",
            r"AT\+CSQ",
            r"AT\+CCID",
        ):
            scene.interceptor.answer(command, says, times=0)
        await scene.start_and_settle(100)  # "busy" is waited for, for a minute and a bit
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]


SAID = {
    "+CMS ERROR: 500": ("cms", 500),
    "+CMS ERROR:500": ("cms", 500),
    "+CMS ERROR: unknown error": ("cms", 500),
    "+CME ERROR: SIM busy": ("cme", 14),
    "+CME ERROR: 3517": ("cme", 3517),
    "+CMS ERROR: no sparrows": ("cms", None),
    "ERROR": ("error", None),
    "COMMAND NOT SUPPORT": ("error", None),
}


@pytest.mark.parametrize("text", SAID)
def test_f43_words_are_numbers(text):
    """So that the class of an error does not depend on +CMEE; what nobody knows may be tried again soon."""
    final = parse_final_result(text, allow_numeric=True)
    assert (final.ok, final.kind, final.code) == (False, *SAID[text])
    if final.code is None:
        assert classify_error(final.kind, final.code, after_body=False) is ErrorClass.RETRY_SOON


async def test_f43_errors_in_numbers_are_asked_for(tmp_path, message_format):
    """+CMEE=1 at the start, and again after a restart that forgets it."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        assert scene.module.settings.cmee == 1
        scene.module.reboot()
        await scene.advance(60)
        assert scene.module.settings.cmee == 1


# F46


async def test_f46_the_radio_takes_14_s(tmp_path, message_format):
    """+CFUN=1 is asked once and waited for."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.power.functionality = 4
        scene.interceptor.rewrite(r"AT\+CFUN=1", re.compile(rb"\r\nOK\r\n"), [14.0, b"\r\nOK\r\n"])
        await scene.start_and_settle(30)
        assert len(scene.interceptor.commands_matching(r"AT\+CFUN=1")) == 1
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.log_lines(min_severity=30) == []


async def test_f46_a_send_takes_58_s(tmp_path, message_format):
    """It is sent once, and what is told meanwhile is not lost."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        result = re.compile(rb"\r\n\+CMGS: (\d+)\r\n\r\nOK\r\n")
        late = [20.0, b'\r\n+CMTI: "ME",5\r\n', 38.0, b"\r\n+CMGS: 77\r\n\r\nOK\r\n"]
        scene.interceptor.rewrite(r"AT\+CMGS=.*", result, late)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        scene.store_pdu(5, make_pdu("blink 1"))
        await scene.advance(120)
        assert scene.executed == ["led on", "blink 1"]
        assert scene.sent_bodies == ["did led on", "did blink 1"]
        assert scene.query_journal("SELECT state, message_reference FROM replies WHERE id = 1") == [
            ("sent", 77)
        ]
        assert len(scene.interceptor.commands_matching(r"AT\+CMGS=.*")) == 2
        assert scene.events_of_kind("no answer") == []


async def test_f46_a_scan_takes_120_s(tmp_path, message_format):
    """A person's +COPS=?: the answer comes, nothing is asked over it, a message waits its turn."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        found = b'\r\n+COPS: (2,"T","T","00101",7)\r\n\r\nOK\r\n'
        scene.interceptor.answer(r"AT\+COPS=\?", [60.0, b'\r\n+CMTI: "ME",5\r\n', 60.0, found])
        asking = asyncio.ensure_future(
            scene.current_run.agent.components.control_api.run_at_command({"line": "AT+COPS=?"})
        )
        await scene.advance(30)
        scene.store_pdu(5, PLAIN_SID_START)
        before = len(scene.interceptor.commands)
        await scene.advance(80)
        assert scene.interceptor.commands[before:] == []
        assert (await asking)["lines"] == ['+COPS: (2,"T","T","00101",7)']
        await scene.advance(5)
        assert scene.executed == ["led on"]


async def test_f46_a_list_streams_for_8_s(tmp_path, message_format):
    """50 messages with pauses of a second: listed once, each carried out once, the news in between too."""
    lists = r"AT\+CMGL=4" if message_format == "pdu" else r'AT\+CMGL="ALL"'
    async with FaultWorld(tmp_path, message_format, device="ec25") as scene:
        await scene.start_and_settle()
        base = scene.module.profile.first_index
        for number in range(50):
            scene.store_pdu(
                base + number, make_pdu(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00")
            )
        entries = [
            scene.module.message_formatter.format_entry("+CMGL", stored, base + slot)
            for slot, stored in scene.module.stores["ME"]
        ]
        assert len(entries) == 50
        says = [b"\r\n"]
        for number, entry in enumerate(entries):
            if number % 6 == 5:
                says += [1.0, b'\r\n+CMTI: "ME",200\r\n' if number == 29 else b""]
            says.append(f"{entry}\r\n".encode("latin-1"))
        streamed = scene.interceptor.answer(lists, [*says, b"\r\nOK\r\n"])
        scene.store_pdu(200, PLAIN_SID_START, status=MessageStatus.READ)
        before = len(scene.interceptor.commands)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",\r\n')
        await scene.advance(7)
        during = [line for _, line in scene.interceptor.commands[before:]]
        assert [line for line in during if line.startswith("AT+CMG") and line[-1] != "?"] == [
            "AT+CMGL=4" if message_format == "pdu" else 'AT+CMGL="ALL"'
        ]
        await scene.advance(120)
        assert streamed.applied == 1
        assert sorted(scene.executed) == sorted(["led on", *(f"blink {number}" for number in range(50))])
        assert scene.stored_indices() == []
        assert scene.events_of_kind("no answer") == []


# F51


def every_octet(data):
    """(a)"""
    return [data[at : at + 1] for at in range(len(data))]


def between(*marks):
    """(b) Cut in the middle of these."""

    def cut(data):
        places = sorted(
            {found.start() + len(mark) // 2 for mark in marks for found in re.finditer(re.escape(mark), data)}
        )
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if data[a:b]]

    return cut


def at_random(seed):
    chance = random.Random(seed)

    def cut(data):
        pieces = []
        while data:
            size = chance.randint(1, 12)
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cut


CUTS = {
    "octets": every_octet,
    "line ends": between(b"\r\n"),
    "OK": between(b"OK"),
    "prompt": between(b"> "),
    "payload": between(PLAIN_SID_START.encode(), b"C4212C", b"0044"),
    "codes": between(b"+CMTI", b"+CMGR", b"+CMGS"),
    "random 1": at_random(1),
    "random 2": at_random(2),
}


async def session(folder, mode, cut):
    """What a session tells and asks, cut like this."""
    folder.mkdir()
    async with FaultWorld(folder, mode, split=cut) as scene:
        await scene.start_and_settle()
        for number, raw in enumerate([PLAIN_SID_START, MULTILINE_OK, make_pdu("blink 1")]):
            scene.deliver_pdu(raw)
            await scene.advance(20 if number else 30)
        scene.module.reboot()
        await scene.advance(60)
        scene.deliver_pdu(make_pdu("blink 2"))
        await scene.advance(30)
        assert len(scene.executed) == 4
        return [
            (step.kind, step.message) for _, _, step in scene.events
        ], scene.interceptor.commands_matching()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_f51_any_chunking_is_the_same_session(tmp_path, message_format, monkeypatch, cut):
    """The same is told and the same is asked, whatever the pieces, on a line as slow as 5 ms an octet."""
    if cut is every_octet:
        monkeypatch.setattr(simulated_port, "OCTET_TIME_S", 0.005)
    whole = await session(tmp_path / "whole", message_format, None)
    assert await session(tmp_path / "cut", message_format, cut) == whole


async def test_f51_news_and_an_answer_in_one_write(tmp_path, message_format):
    """(c) Five codes and an answer in one piece, in front of it and behind it."""
    codes = b'\r\n^RSSI:3\r\n\r\n+CMTI: "ME",4\r\n\r\n+CREG: 5\r\n\r\n^HCSQ:1\r\n\r\n+CMTI: "ME",5\r\n'
    for order in ("before", "behind"):
        folder = tmp_path / order
        folder.mkdir()
        async with FaultWorld(folder, message_format) as scene:
            await scene.start_and_settle()
            scene.store_pdu(4, make_pdu("blink 4", timestamp="26/11/21,22:30:04+00"))
            scene.store_pdu(5, make_pdu("blink 5", timestamp="26/11/21,22:30:05+00"))

            def tells(data, scene=scene, order=order):
                if data.startswith(b"\r\n+CMGR:") and scene.interceptor.last_command == "AT+CMGR=3":
                    return codes + data if order == "before" else data + codes
                return data

            scene.interceptor.filter_to_agent = tells
            scene.store_pdu(3, PLAIN_SID_START)
            scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",3\r\n')
            await scene.advance(10)
            assert scene.executed == ["led on", "blink 4", "blink 5"]
            assert (
                scene.current_run.agent.components.supervisor.connection.session.modem.status.registration.circuit
                == 5
            )
            assert scene.stored_indices() == []
            assert scene.events_of_kind("no answer") == []


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


def events(pieces):
    """What an engine tells that reads these pieces."""
    engine = AtProtocol()
    engine.send_command(READING)
    return [event for piece in pieces for event in engine.receive_data(piece)]


@settings(deadline=None, max_examples=150, database=None)
@given(st.sets(st.integers(1, len(TRANSCRIPT) - 1)))
def test_f51_any_cut_gives_the_same_events(cuts):
    """A property of the engine."""
    assert tpdu_length(PLAIN_SID_START) == 51
    places = [0, *sorted(cuts), len(TRANSCRIPT)]
    pieces = [TRANSCRIPT[a:b] for a, b in itertools.pairwise(places)]
    assert events(pieces) == events([TRANSCRIPT])
