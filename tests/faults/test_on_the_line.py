"""F42 F43 F46 F51: echo, errors, slow answers, and octets cut anywhere."""

import asyncio
import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.at.codes import ErrorClass, classify
from agent.at.command import Answer, AtCommand, Payload
from agent.at.engine import Engine
from agent.at.grammar import final_result
from fault.catalogue import MULTILINE_OK, PLAIN_SID_START, length
from fault.saying import Saying
from fault.scene import Scene, message
from hardware.sim.module.memory import Status
from soak import port

# F42


async def test_f42_echo_from_the_start(tmp_path, mode):
    """(a) The answer to ATE0 is echoed itself."""
    async with Scene(tmp_path, mode) as scene:
        assert scene.module.settings.echo
        await scene.begin()
        assert not scene.module.settings.echo
        scene.arrive(PLAIN_SID_START)
        await scene.passes(5)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.log(weight=30) == []


@pytest.mark.parametrize("seed", range(3))
async def test_f42_echo_comes_back(tmp_path, mode, seed):
    """(b) After silent restarts at any moment: everything is carried out once and answered at most once."""
    chance = random.Random(seed)
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        for number in range(12):
            scene.call_later(
                chance.random() * 300,
                scene.arrive,
                message(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"),
            )
        for _ in range(4):
            scene.call_later(chance.random() * 300, lambda: scene.module.reboot(loud=False))
        await scene.passes(1500)
        assert sorted(scene.carried_out) == sorted(f"blink {number}" for number in range(12))
        assert len(scene.bodies) == len(set(scene.bodies))
        assert len(scene.bodies) >= 10
        assert scene.slots() == []


async def test_f42_echo_that_stays(tmp_path, mode):
    """(c) A module that answers ATE0 by OK and goes on echoing: nothing else changes."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.faults.add("echo-stuck:for=0")
        await scene.begin()
        for number in range(5):
            scene.arrive(message(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        scene.arrive(MULTILINE_OK)
        await scene.passes(60)
        assert scene.module.settings.echo
        assert sorted(scene.carried_out) == sorted(
            ['set 1\r\nOK\r\n+CMTI: "SM",9\r\nend', *(f"blink {number}" for number in range(5))]
        )
        assert len(scene.bodies) == 6
        assert scene.opponent.lines(r"AT\+CMGR=9") == []
        assert scene.slots() == []
        assert scene.life.agent._supervisor.connection.sessions == 1


ECHOED = ["OK", '+CMTI: "ME",1', "ERROR", "+CMGS: 5", "> ", "RING", "0", "+CMS ERROR: 38", "RDY", "AT+CMGD=1"]


@pytest.mark.parametrize(
    ("charset", "text"),
    [*(("IRA", text) for text in ECHOED), ("GSM", "OK"), ("UCS2", "OK"), ("IRA", 'x\r\nOK\r\n+CMTI: "ME",1')],
)
@pytest.mark.parametrize("mode", ["text"])
async def test_f42_an_echoed_body(tmp_path, mode, charset, text):
    """(d) Text mode: what is typed after the prompt comes back, and is no answer, news or message."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.faults.add("echo-stuck:for=0")
        scene.opponent.rewrite(
            r"AT\+CSCS=\?", re.compile(rb"\+CSCS: .*\r\n"), f'+CSCS: ("{charset}")\r\n'.encode(), times=0
        )
        scene.make_runner = lambda life: Saying(scene, life, text)
        await scene.begin()
        scene.arrive(PLAIN_SID_START)
        await scene.passes(30)
        assert scene.bodies == [text]
        assert [state for state, _ in scene.replies] == ["sent"]
        assert len(scene.opponent.lines(r"AT\+CMGR=1")) == 1
        assert scene.life.agent._supervisor.connection.sessions == 1
        assert scene.slots() == []


@pytest.mark.parametrize("pieces", [1, 3, 10])
async def test_f42_an_echo_in_pieces(tmp_path, mode, pieces):
    """News may come between the pieces of an echo."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.faults.add("echo-stuck:for=0")
        await scene.begin()
        line = b"AT+CMGR=1\r"
        cut = line[:pieces] + b"\r\n^RSSI:3\r\n" + line[pieces:]
        scene.opponent.rewrite(r"AT\+CMGR=1", line, cut)
        scene.arrive(PLAIN_SID_START)
        await scene.passes(40)
        assert scene.carried_out == ["led on"]
        assert scene.slots() == []


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
NEIGHBOURS = [
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
    ("mode", "error"),
    [*itertools.product(["pdu", "text"], ERRORS), *(("pdu", error) for error in NEIGHBOURS)],
)
async def test_f43_every_error_is_final(tmp_path, mode, error):
    """To a reading, a deletion, a sending: the next command follows at once, and in the end all is done."""
    says = f"\r\n{error}\r\n".encode()
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        for command in (r"AT\+CMGR=1", r"AT\+CMGD=1", r"AT\+CMGS=.*"):
            scene.opponent.answer(command, says)
        before = len(scene.opponent.written)
        scene.arrive(PLAIN_SID_START)
        await scene.passes(1200)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.slots() == []
        assert scene.said("silence") == []
        assert scene.life.agent._supervisor.connection.sessions == 1
        asked = [line for _, line in scene.opponent.written[before:]]
        assert len([line for line in asked if line.startswith("AT+CMGS")]) == 2
        assert "AT+CMEE?" not in asked  # which is how the line is brought back into step


@pytest.mark.parametrize("error", ERRORS)
async def test_f43_errors_while_it_gets_ready(tmp_path, mode, error):
    """What the work can do without may be refused in any words."""
    says = f"\r\n{error}\r\n".encode()
    async with Scene(tmp_path, mode) as scene:
        for command in (
            r"AT\+CSMS=1",
            r"AT\+CFUN\?",
            r"AT\+C\w?REG=1",
            r"AT\+CSCA\?",
            r"AT\+CSQ",
            r"AT\+CCID",
        ):
            scene.opponent.answer(command, says, times=0)
        await scene.begin(100)  # "busy" is waited for, for a minute and a bit
        scene.arrive(PLAIN_SID_START)
        await scene.passes(5)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]


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
    final = final_result(text, numeric=True)
    assert (final.ok, final.kind, final.code) == (False, *SAID[text])
    if final.code is None:
        assert classify(final.kind, final.code, after_body=False) is ErrorClass.TEMPORARY


async def test_f43_errors_in_numbers_are_asked_for(tmp_path, mode):
    """+CMEE=1 at the start, and again after a restart that forgets it."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        assert scene.module.settings.cmee == 1
        scene.module.reboot()
        await scene.passes(60)
        assert scene.module.settings.cmee == 1


# F46


async def test_f46_the_radio_takes_14_s(tmp_path, mode):
    """+CFUN=1 is asked once and waited for."""
    async with Scene(tmp_path, mode) as scene:
        scene.module.power.function = 4
        scene.opponent.rewrite(r"AT\+CFUN=1", re.compile(rb"\r\nOK\r\n"), [14.0, b"\r\nOK\r\n"])
        await scene.begin(30)
        assert len(scene.opponent.lines(r"AT\+CFUN=1")) == 1
        scene.arrive(PLAIN_SID_START)
        await scene.passes(5)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.log(weight=30) == []


async def test_f46_a_send_takes_58_s(tmp_path, mode):
    """It is sent once, and what is told meanwhile is not lost."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        result = re.compile(rb"\r\n\+CMGS: (\d+)\r\n\r\nOK\r\n")
        late = [20.0, b'\r\n+CMTI: "ME",5\r\n', 38.0, b"\r\n+CMGS: 77\r\n\r\nOK\r\n"]
        scene.opponent.rewrite(r"AT\+CMGS=.*", result, late)
        scene.arrive(PLAIN_SID_START)
        await scene.passes(10)
        scene.store(5, message("blink 1"))
        await scene.passes(120)
        assert scene.carried_out == ["led on", "blink 1"]
        assert scene.bodies == ["did led on", "did blink 1"]
        assert scene.journal("SELECT state, message_reference FROM replies WHERE id = 1") == [("sent", 77)]
        assert len(scene.opponent.lines(r"AT\+CMGS=.*")) == 2
        assert scene.said("silence") == []


async def test_f46_a_scan_takes_120_s(tmp_path, mode):
    """A person's +COPS=?: the answer comes, nothing is asked over it, a message waits its turn."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        found = b'\r\n+COPS: (2,"T","T","00101",7)\r\n\r\nOK\r\n'
        scene.opponent.answer(r"AT\+COPS=\?", [60.0, b'\r\n+CMTI: "ME",5\r\n', 60.0, found])
        asking = asyncio.ensure_future(scene.life.agent._desk.at({"line": "AT+COPS=?"}))
        await scene.passes(30)
        scene.store(5, PLAIN_SID_START)
        before = len(scene.opponent.written)
        await scene.passes(80)
        assert scene.opponent.written[before:] == []
        assert (await asking)["lines"] == ['+COPS: (2,"T","T","00101",7)']
        await scene.passes(5)
        assert scene.carried_out == ["led on"]


async def test_f46_a_list_streams_for_8_s(tmp_path, mode):
    """50 messages with pauses of a second: listed once, each carried out once, the news in between too."""
    lists = r"AT\+CMGL=4" if mode == "pdu" else r'AT\+CMGL="ALL"'
    async with Scene(tmp_path, mode, device="ec25") as scene:
        await scene.begin()
        base = scene.module.device.first_index
        for number in range(50):
            scene.store(base + number, message(f"blink {number}", timestamp=f"26/11/21,22:30:{number:02}+00"))
        entries = [
            scene.module.rendering.entry("+CMGL", stored, base + slot)
            for slot, stored in scene.module.stores["ME"]
        ]
        assert len(entries) == 50
        says = [b"\r\n"]
        for number, entry in enumerate(entries):
            if number % 6 == 5:
                says += [1.0, b'\r\n+CMTI: "ME",200\r\n' if number == 29 else b""]
            says.append(f"{entry}\r\n".encode("latin-1"))
        streamed = scene.opponent.answer(lists, [*says, b"\r\nOK\r\n"])
        scene.store(200, PLAIN_SID_START, status=Status.READ)
        before = len(scene.opponent.written)
        scene.opponent.say(b'\r\n+CMTI: "ME",\r\n')
        await scene.passes(7)
        during = [line for _, line in scene.opponent.written[before:]]
        assert [line for line in during if line.startswith("AT+CMG") and line[-1] != "?"] == [
            "AT+CMGL=4" if mode == "pdu" else 'AT+CMGL="ALL"'
        ]
        await scene.passes(120)
        assert streamed.struck == 1
        assert sorted(scene.carried_out) == sorted(["led on", *(f"blink {number}" for number in range(50))])
        assert scene.slots() == []
        assert scene.said("silence") == []


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
    async with Scene(folder, mode, cut=cut) as scene:
        await scene.begin()
        for number, raw in enumerate([PLAIN_SID_START, MULTILINE_OK, message("blink 1")]):
            scene.arrive(raw)
            await scene.passes(20 if number else 30)
        scene.module.reboot()
        await scene.passes(60)
        scene.arrive(message("blink 2"))
        await scene.passes(30)
        assert len(scene.carried_out) == 4
        return [(step.what, step.detail) for _, _, step in scene.steps], scene.opponent.lines()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_f51_any_chunking_is_the_same_session(tmp_path, mode, monkeypatch, cut):
    """The same is told and the same is asked, whatever the pieces, on a line as slow as 5 ms an octet."""
    if cut is every_octet:
        monkeypatch.setattr(port, "OCTET_S", 0.005)
    whole = await session(tmp_path / "whole", mode, None)
    assert await session(tmp_path / "cut", mode, cut) == whole


async def test_f51_news_and_an_answer_in_one_write(tmp_path, mode):
    """(c) Five codes and an answer in one piece, in front of it and behind it."""
    codes = b'\r\n^RSSI:3\r\n\r\n+CMTI: "ME",4\r\n\r\n+CREG: 5\r\n\r\n^HCSQ:1\r\n\r\n+CMTI: "ME",5\r\n'
    for order in ("before", "behind"):
        folder = tmp_path / order
        folder.mkdir()
        async with Scene(folder, mode) as scene:
            await scene.begin()
            scene.store(4, message("blink 4", timestamp="26/11/21,22:30:04+00"))
            scene.store(5, message("blink 5", timestamp="26/11/21,22:30:05+00"))

            def tells(data, scene=scene, order=order):
                if data.startswith(b"\r\n+CMGR:") and scene.opponent.command == "AT+CMGR=3":
                    return codes + data if order == "before" else data + codes
                return data

            scene.opponent.tells = tells
            scene.store(3, PLAIN_SID_START)
            scene.opponent.say(b'\r\n+CMTI: "ME",3\r\n')
            await scene.passes(10)
            assert scene.carried_out == ["led on", "blink 4", "blink 5"]
            assert scene.life.agent._supervisor.connection.session.modem.condition.registration.circuit == 5
            assert scene.slots() == []
            assert scene.said("silence") == []


TRANSCRIPT = (
    b'\r\n^RSSI:3\r\n\r\n+CMTI: "ME",4\r\nAT+CMGR=3\r\r\n+CMGR: 0,,51\r\n'
    + PLAIN_SID_START.encode()
    + b"\r\n\r\n+CREG: 1\r\n\r\nOK\r\n\x00\xff\r\n+CMT: ,51\r\n"
    + PLAIN_SID_START.encode()
    + b"\r\n\r\nRING\r\n\r\nNO CARRIER\r\n"
)
READING = AtCommand("AT+CMGR=3", 10, (Answer("+CMGR", payload=Payload.HEX_LINE),), informs=True)


def events(pieces):
    """What an engine tells that reads these pieces."""
    engine = Engine()
    engine.begin(READING)
    return [event for piece in pieces for event in engine.receive(piece)]


@settings(deadline=None, max_examples=150, database=None)
@given(st.sets(st.integers(1, len(TRANSCRIPT) - 1)))
def test_f51_any_cut_gives_the_same_events(cuts):
    """A property of the engine."""
    assert length(PLAIN_SID_START) == 51
    places = [0, *sorted(cuts), len(TRANSCRIPT)]
    pieces = [TRANSCRIPT[a:b] for a, b in itertools.pairwise(places)]
    assert events(pieces) == events([TRANSCRIPT])
