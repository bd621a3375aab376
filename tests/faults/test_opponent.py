"""The opponent itself: its octets arrive where it was told."""

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.opponent import PLACES
from fault.scene import Scene, message


async def test_without_rules_it_is_not_noticed(tmp_path, mode):
    """A Command is carried out and answered as without it."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.arrive(PLAIN_SID_START)
        scene.arrive(message("anything at all"))
        await scene.passes(10)
        assert scene.carried_out == ["led on", "anything at all"]
        assert scene.bodies == ["did led on", "did anything at all"]
        assert scene.slots() == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("echo", ["echo on", "echo off"])
@pytest.mark.parametrize("mode", ["pdu"])
async def test_every_place_is_where_it_says(tmp_path, mode, place, echo):
    """In the octets that the agent reads, echo on and off."""
    heard = bytearray()
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.module.settings.echo = echo == "echo on"
        scene.store(3, PLAIN_SID_START)
        rule = scene.opponent.insert(r"AT\+CMGR=3", place, b"<HERE>")
        scene.opponent.tells = lambda data: heard.extend(data) or data
        scene.opponent.say(b'\r\n+CMTI: "ME",3\r\n')
        await scene.passes(5)
        assert rule.struck == 1
    line = b"AT+CMGR=3\r" if scene.module.settings.echo else b""
    header = b"\r\n+CMGR: 0,,51\r\n"
    around = {
        "before echo": (b"", line),
        "after echo": (line, header),
        "before header": (line, header),
        "after header": (header, PLAIN_SID_START.encode()),
        "after PDU": (PLAIN_SID_START.encode() + b"\r\n", b"\r\nOK\r\n"),
        "after OK": (b"\r\nOK\r\n", b""),
    }
    before, after = around[place]
    assert before + b"<HERE>" + after in heard


@pytest.mark.parametrize("mode", ["pdu"])
async def test_pauses_keep_the_order(tmp_path, mode):
    """What is said later comes later, whatever pause is running."""
    heard = []
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.opponent.tells = lambda data: heard.append((scene.loop.time(), data)) or data
        scene.opponent.say([b"\r\n^ONE\r\n", 3, b"\r\n^TWO\r\n"])
        scene.opponent.say(b"\r\n^THREE\r\n")
        await scene.passes(5)
        scene.opponent.say(b"\r\n^FOUR\r\n")
        await scene.passes(1)
    assert [data.strip() for _, data in heard] == [b"^ONE", b"^TWO", b"^THREE", b"^FOUR"]


@pytest.mark.parametrize("mode", ["pdu"])
async def test_answers_and_rewrites(tmp_path, mode):
    """An answer keeps a command from the module, a rewrite changes what the module says to it."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.store(3, PLAIN_SID_START)
        scene.store(4, message("led 2"))
        refused = scene.opponent.answer(r"AT\+CMGR=3", b"\r\n+CMS ERROR: 321\r\n")
        changed = scene.opponent.rewrite(r"AT\+CMGR=4", b"+CMGR: 0,,", b'+CMGR: 0,"",')
        scene.opponent.say(b'\r\n+CMTI: "ME",3\r\n\r\n+CMTI: "ME",4\r\n')
        await scene.passes(2)
        assert (refused.struck, changed.struck) == (1, 1)
        assert scene.carried_out == ["led 2", "led on"]  # the second by the sweep after the refusal
