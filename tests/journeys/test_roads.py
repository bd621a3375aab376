"""A Command from the REST call to its answer in the list, over everything that is real but the radio."""

import asyncio

import pytest

import pdu
from hardware.sim.network.events import EventKind

in_both_formats = pytest.mark.parametrize("message_format", ["pdu", "text"])


async def settle(house, answers):
    """Until so many answers have left and the store is empty; then a little, for what must not happen."""
    await house.until(lambda: len(house.answers()) >= answers)
    await house.emptied()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("house", ["super-sim", "programmable-wireless", "super-sim-beta"], indirect=True)
async def test_a_command_is_carried_out_once_and_answered(house):
    """Listed where the service lists answers, seen leaving where it does not."""
    async with house.living():
        sid = house.create("count one")
        await settle(house, 1)
    assert [line.split()[-1] for line in house.runs()] == ["one"]
    assert house.answers() == ["counted one"]
    kinds = [event.kind for event in house.happened]
    listed = EventKind.NOT_LISTED if house.service == "super-sim-beta" else EventKind.LISTED
    assert kinds.count(listed) == 1
    assert house.sandbox.services[house.service].fetch(sid).status == "delivered"
    assert house.states() == ["done"]
    assert house.replies() == ["sent"]


@in_both_formats
@pytest.mark.parametrize("where", ["start", "end"])
async def test_the_sid_reaches_the_handler(house, where):
    """As the REST call gave it, and no longer part of the text."""
    async with house.living():
        sid = house.create("count {x}", IncludeSid=where)
        await settle(house, 1)
    assert house.runs() == [f"{sid} {{x}}"]


@in_both_formats
async def test_the_same_message_again_is_not_run_again(house):
    """With a SID and without one; while the agent lives and after it was started anew."""
    async with house.living():
        sids = [house.create("count a", IncludeSid="end"), house.create("count b")]
        await settle(house, 2)
        for sid in sids:
            house.sandbox.redeliver(sid)
        await house.until(lambda: sum(e.kind is EventKind.ACKNOWLEDGED for e in house.happened) == 4)
        await settle(house, 2)
    for sid in sids:
        house.sandbox.redeliver(sid)
    async with house.living() as steps:
        await house.until(lambda: sum(step.what == "double" for step in steps) == 2)
        await settle(house, 2)
    assert len(house.runs()) == 2
    assert len(house.answers()) == 2


@in_both_formats
async def test_what_came_while_nobody_looked_is_carried_out(house):
    """More than the module can hold: the network keeps the rest until there is room."""
    for number in range(30):
        house.create(f"count {number}")
    await house.until(lambda: any(event.kind is EventKind.REFUSED for event in house.happened))
    async with house.living():
        await settle(house, 30)
    assert [line.split()[-1] for line in house.runs()] == [str(number) for number in range(30)]
    assert house.answers() == [f"counted {number}" for number in range(30)]


@in_both_formats
async def test_a_long_message_is_joined(house):
    """Several parts, carried out once and with all words, also when the agent starts between them."""
    words = " ".join(f"w{number}" for number in range(90))
    house.handler("words", 'echo "$#"')
    parts = pdu.segment(f"words {words}", reference=77)
    assert len(parts) == 3

    def send(part):
        house.sandbox.network.send(house.sandbox.sim("sim").card.imsi, pdu.Address.parse("2936"), part)

    send(parts[2])
    send(parts[0])
    async with house.living() as steps:
        await house.until(lambda: sum(step.what == "part" for step in steps) == 2)
        await house.emptied()
    async with house.living():
        send(parts[1])
        await settle(house, 1)
    assert house.answers() == ["90"]


@in_both_formats
async def test_strangers_are_kept_and_not_obeyed(house):
    """Neither a number that looks alike nor a name; nothing is answered, everything is deleted."""
    for sender in ("+15557654321", "29360", "2936x", "Orange"):
        house.sandbox.send_sms("sim", sender, "count 1")
    async with house.living() as steps:
        await house.until(lambda: sum(step.what == "stray" for step in steps) == 4)
        await house.emptied()
        await asyncio.sleep(0.1)
    assert house.runs() == []
    assert house.answers() == []


@pytest.mark.parametrize(
    "text",
    [
        "../count 1",
        "./count 1",
        "/bin/sh -c id",
        "count/../count 1",
        "handlers/count 1",
        "count; touch {canary}",
        "$(touch {canary}) 1",
        "`id`",
        "| touch {canary}",
        ".hidden",
        "count.then",
        "count\x00 1",
        "-c touch {canary}",
    ],
)
async def test_no_text_reaches_a_shell_or_a_path(house, text):
    """First words are looked up among names, never joined to a path; what is unknown is answered so."""
    canary = house.folder / "canary"
    async with house.living():
        house.create(text.format(canary=canary))
        await settle(house, 1)
    assert not canary.exists()
    assert house.runs() == []
    assert house.answers()[0].startswith("ERR ")


@in_both_formats
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("args $(id) ; ls | cat > x", ["$(id)", ";", "ls", "|", "cat", ">", "x"]),
        ("args '' \"a b\" \\", ["''", '"a', 'b"', "\\"]),
        ("args ../../etc/passwd *", ["../../etc/passwd", "*"]),
        ("args one\r\ntwo\nthree", ["one", "two", "three"]),
        ("args=VALUE x", ["VALUE", "x"]),
    ],
)
async def test_words_are_arguments_and_nothing_more(house, text, arguments):
    """No word is expanded, split again or taken for an option of a shell."""
    house.handler("args", f'for word; do echo "$word"; done > {house.folder}/seen; cat > {house.folder}/body')
    async with house.living():
        house.create(text)
        await house.until(lambda: house.states() == ["done"])
    assert (house.folder / "seen").read_text().splitlines() == arguments
    assert (house.folder / "body").read_bytes().decode() == text


@in_both_formats
@pytest.mark.parametrize("text", [" " * 160, "\r\n", " "])
async def test_a_text_without_words_is_done_and_not_answered(house, text):
    """Operators ping with empty messages; nobody pays for an answer."""
    async with house.living() as steps:
        house.create(text)
        await house.until(lambda: any(step.what == "done" for step in steps))
        await house.emptied()
    assert house.answers() == []
    assert house.states() == ["done"]


async def test_a_handler_that_blocks_is_ended_and_others_go_on(house):
    """The time limit ends a Python function that never returns; the next Command of its file works."""
    house.handler(
        "slow.py",
        "import time\nfrom agent import handler\n"
        "@handler('hang')\ndef hang(command):\n    while True:\n        time.sleep(100)\n"
        "@handler('quick')\ndef quick(command):\n    return 'quick'\n",
    )
    async with house.living():
        house.create("hang")
        house.create("count 1")
        house.create("quick")
        await house.until(lambda: len(house.answers()) == 3)
    assert sorted(house.answers()) == ["ERR timed out", "counted 1", "quick"]
    assert house.answers()[0] == "counted 1"


@in_both_formats
async def test_answer_then_act(house):
    """The action comes after its answer has left, once, and survives that the agent was not there."""
    house.handler("reboot", "echo rebooting")
    house.handler("reboot.then", f"echo acted >> {house.folder}/runs")
    async with house.living() as steps:
        house.create("reboot")
        await house.until(lambda: any(step.what == "acted" for step in steps))
    order = [step.what for step in steps if step.what in ("sent", "acting", "acted")]
    assert order == ["sent", "acting", "acted"]
    async with house.living():
        pass
    assert house.runs() == ["acted"]
