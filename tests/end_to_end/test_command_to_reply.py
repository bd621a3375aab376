"""A Command from the REST call to its answer in the list, over everything that is real but the radio."""

import asyncio

import pytest

import pdu
from hardware.sim.network.events import NetworkEventKind

in_both_formats = pytest.mark.parametrize("message_format", ["pdu", "text"])


async def wait_settled(sandbox_env, replies):
    """Until so many answers have left and the store is empty; then a little, for what must not happen."""
    await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) >= replies)
    await sandbox_env.wait_store_empty()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "sandbox_env", ["super-sim", "programmable-wireless", "super-sim-beta"], indirect=True
)
async def test_a_command_is_carried_out_once_and_answered(sandbox_env):
    """Listed where the service lists answers, seen leaving where it does not."""
    async with sandbox_env.run_in_process():
        sid = sandbox_env.create_command("count one")
        await wait_settled(sandbox_env, 1)
    assert [line.split()[-1] for line in sandbox_env.handler_log_lines()] == ["one"]
    assert sandbox_env.sent_bodies() == ["counted one"]
    kinds = [event.kind for event in sandbox_env.network_events]
    listed = (
        NetworkEventKind.NOT_LISTED if sandbox_env.service == "super-sim-beta" else NetworkEventKind.LISTED
    )
    assert kinds.count(listed) == 1
    assert sandbox_env.sandbox.services[sandbox_env.service].fetch(sid).status == "delivered"
    assert sandbox_env.command_states() == ["done"]
    assert sandbox_env.reply_states() == ["sent"]


@in_both_formats
@pytest.mark.parametrize("where", ["start", "end"])
async def test_the_sid_reaches_the_handler(sandbox_env, where):
    """As the REST call gave it, and no longer part of the text."""
    async with sandbox_env.run_in_process():
        sid = sandbox_env.create_command("count {x}", IncludeSid=where)
        await wait_settled(sandbox_env, 1)
    assert sandbox_env.handler_log_lines() == [f"{sid} {{x}}"]


@in_both_formats
async def test_the_same_message_again_is_not_run_again(sandbox_env):
    """With a SID and without one; while the agent lives and after it was started anew."""
    async with sandbox_env.run_in_process():
        sids = [
            sandbox_env.create_command("count a", IncludeSid="end"),
            sandbox_env.create_command("count b"),
        ]
        await wait_settled(sandbox_env, 2)
        for sid in sids:
            sandbox_env.sandbox.redeliver(sid)
        await sandbox_env.wait_until(
            lambda: sum(e.kind is NetworkEventKind.ACKNOWLEDGED for e in sandbox_env.network_events) == 4
        )
        await wait_settled(sandbox_env, 2)
    for sid in sids:
        sandbox_env.sandbox.redeliver(sid)
    async with sandbox_env.run_in_process() as steps:
        await sandbox_env.wait_until(lambda: sum(step.kind == "duplicate" for step in steps) == 2)
        await wait_settled(sandbox_env, 2)
    assert len(sandbox_env.handler_log_lines()) == 2
    assert len(sandbox_env.sent_bodies()) == 2


@in_both_formats
async def test_what_came_while_nobody_looked_is_carried_out(sandbox_env):
    """More than the module can hold: the network keeps the rest until there is room."""
    for number in range(30):
        sandbox_env.create_command(f"count {number}")
    await sandbox_env.wait_until(
        lambda: any(event.kind is NetworkEventKind.REFUSED for event in sandbox_env.network_events)
    )
    async with sandbox_env.run_in_process():
        await wait_settled(sandbox_env, 30)
    assert [line.split()[-1] for line in sandbox_env.handler_log_lines()] == [
        str(number) for number in range(30)
    ]
    assert sandbox_env.sent_bodies() == [f"counted {number}" for number in range(30)]


@in_both_formats
async def test_a_long_message_is_joined(sandbox_env):
    """Several parts, carried out once and with all words, also when the agent starts between them."""
    words = " ".join(f"w{number}" for number in range(90))
    sandbox_env.write_handler("words", 'echo "$#"')
    parts = pdu.segment(f"words {words}", reference=77)
    assert len(parts) == 3

    def send(part):
        sandbox_env.sandbox.network.send(
            sandbox_env.sandbox.find_sim("sim").sim_card.imsi, pdu.Address.parse("2936"), part
        )

    send(parts[2])
    send(parts[0])
    async with sandbox_env.run_in_process() as steps:
        await sandbox_env.wait_until(lambda: sum(step.kind == "part" for step in steps) == 2)
        await sandbox_env.wait_store_empty()
    async with sandbox_env.run_in_process():
        send(parts[1])
        await wait_settled(sandbox_env, 1)
    assert sandbox_env.sent_bodies() == ["90"]


@in_both_formats
async def test_strangers_are_kept_and_not_obeyed(sandbox_env):
    """Neither a number that looks alike nor a name; nothing is answered, everything is deleted."""
    for sender in ("+15557654321", "29360", "2936x", "Orange"):
        sandbox_env.sandbox.send_sms("sim", sender, "count 1")
    async with sandbox_env.run_in_process() as steps:
        await sandbox_env.wait_until(lambda: sum(step.kind == "ignored" for step in steps) == 4)
        await sandbox_env.wait_store_empty()
        await asyncio.sleep(0.1)
    assert sandbox_env.handler_log_lines() == []
    assert sandbox_env.sent_bodies() == []


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
async def test_no_text_reaches_a_shell_or_a_path(sandbox_env, text):
    """First words are looked up among names, never joined to a path; what is unknown is answered so."""
    canary = sandbox_env.folder / "canary"
    async with sandbox_env.run_in_process():
        sandbox_env.create_command(text.format(canary=canary))
        await wait_settled(sandbox_env, 1)
    assert not canary.exists()
    assert sandbox_env.handler_log_lines() == []
    assert sandbox_env.sent_bodies()[0].startswith("ERR ")


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
async def test_words_are_arguments_and_nothing_more(sandbox_env, text, arguments):
    """No word is expanded, split again or taken for an option of a shell."""
    sandbox_env.write_handler(
        "args",
        f'for word; do echo "$word"; done > {sandbox_env.folder}/seen; cat > {sandbox_env.folder}/body',
    )
    async with sandbox_env.run_in_process():
        sandbox_env.create_command(text)
        await sandbox_env.wait_until(lambda: sandbox_env.command_states() == ["done"])
    assert (sandbox_env.folder / "seen").read_text().splitlines() == arguments
    assert (sandbox_env.folder / "body").read_bytes().decode() == text


@in_both_formats
@pytest.mark.parametrize("text", [" " * 160, "\r\n", " "])
async def test_a_text_without_words_is_done_and_not_answered(sandbox_env, text):
    """Operators ping with empty messages; nobody pays for an answer."""
    async with sandbox_env.run_in_process() as steps:
        sandbox_env.create_command(text)
        await sandbox_env.wait_until(lambda: any(step.kind == "done" for step in steps))
        await sandbox_env.wait_store_empty()
    assert sandbox_env.sent_bodies() == []
    assert sandbox_env.command_states() == ["done"]


async def test_a_handler_that_blocks_is_ended_and_others_go_on(sandbox_env):
    """The time limit ends a Python function that never returns; the next Command of its file works."""
    sandbox_env.write_handler(
        "slow.py",
        "import time\nfrom agent import handler\n"
        "@handler('hang')\ndef hang(command):\n    while True:\n        time.sleep(100)\n"
        "@handler('quick')\ndef quick(command):\n    return 'quick'\n",
    )
    async with sandbox_env.run_in_process():
        sandbox_env.create_command("hang")
        sandbox_env.create_command("count 1")
        sandbox_env.create_command("quick")
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 3)
    assert sorted(sandbox_env.sent_bodies()) == ["ERR timed out", "counted 1", "quick"]
    assert sandbox_env.sent_bodies()[0] == "counted 1"


@in_both_formats
async def test_answer_then_act(sandbox_env):
    """The action comes after its answer has left, once, and survives that the agent was not there."""
    sandbox_env.write_handler("reboot", "echo rebooting")
    sandbox_env.write_handler("reboot.then", f"echo acted >> {sandbox_env.folder}/runs")
    async with sandbox_env.run_in_process() as steps:
        sandbox_env.create_command("reboot")
        await sandbox_env.wait_until(lambda: any(step.kind == "action finished" for step in steps))
    order = [step.kind for step in steps if step.kind in ("sent", "action started", "action finished")]
    assert order == ["sent", "action started", "action finished"]
    async with sandbox_env.run_in_process():
        pass
    assert sandbox_env.handler_log_lines() == ["acted"]
