"""A Command from the REST call to its reply in the list of the service; only the radio is simulated."""

import asyncio

import pytest

import pdu
from hardware.sim.network.events import NetworkEventKind

in_both_formats = pytest.mark.parametrize("message_format", ["pdu", "text"])


async def wait_settled(sandbox_env, replies):
    """Wait until so many replies are sent and the store is empty, then 0.1 s for anything that must not
    happen."""
    await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) >= replies)
    await sandbox_env.wait_store_empty()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "sandbox_env", ["super-sim", "programmable-wireless", "super-sim-beta"], indirect=True
)
async def test_command_runs_once_and_is_answered(sandbox_env):
    """The reply is in the list of the service, or in the network events if the service has no list."""
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
async def test_sid_reaches_the_handler(sandbox_env, where):
    """The handler gets the SID of the REST call, and the text without it."""
    async with sandbox_env.run_in_process():
        sid = sandbox_env.create_command("count {x}", IncludeSid=where)
        await wait_settled(sandbox_env, 1)
    assert sandbox_env.handler_log_lines() == [f"{sid} {{x}}"]


@in_both_formats
async def test_redelivered_command_does_not_run_again(sandbox_env):
    """This holds with and without a SID, in the same run of the agent and after a restart."""
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
    async with sandbox_env.run_in_process() as events:
        await sandbox_env.wait_until(lambda: sum(event.kind == "duplicate" for event in events) == 2)
        await wait_settled(sandbox_env, 2)
    assert len(sandbox_env.handler_log_lines()) == 2
    assert len(sandbox_env.sent_bodies()) == 2


@in_both_formats
async def test_commands_received_before_the_start_run(sandbox_env):
    """More messages than the module can store: the network keeps the rest until there is space.

    Those in the store run in their order. The others may change places: their time stamps are of one second.
    """
    for number in range(30):
        sandbox_env.create_command(f"count {number}")
    await sandbox_env.wait_until(
        lambda: any(event.kind is NetworkEventKind.REFUSED for event in sandbox_env.network_events)
    )
    async with sandbox_env.run_in_process():
        await wait_settled(sandbox_env, 30)
    ran = [int(line.split()[-1]) for line in sandbox_env.handler_log_lines()]
    stored = sandbox_env.sandbox.find_sim("sim").module.stores["ME"].capacity
    assert ran[:stored] == list(range(stored))
    assert sorted(ran) == list(range(30))
    assert sandbox_env.sent_bodies() == [f"counted {number}" for number in ran]


@in_both_formats
async def test_multipart_command_is_joined(sandbox_env):
    """The Command runs once with all words, even if the agent restarts between the parts."""
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
    async with sandbox_env.run_in_process() as events:
        await sandbox_env.wait_until(lambda: sum(event.kind == "part" for event in events) == 2)
        await sandbox_env.wait_store_empty()
    async with sandbox_env.run_in_process():
        send(parts[1])
        await wait_settled(sandbox_env, 1)
    assert sandbox_env.sent_bodies() == ["90"]


@in_both_formats
async def test_other_senders_are_ignored(sandbox_env):
    """Messages from similar numbers and from names are stored, deleted from the module and not answered."""
    for sender in ("+15557654321", "29360", "2936x", "Orange"):
        sandbox_env.sandbox.send_sms("sim", sender, "count 1")
    async with sandbox_env.run_in_process() as events:
        await sandbox_env.wait_until(lambda: sum(event.kind == "ignored" for event in events) == 4)
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
    """The first word is looked up among handler names and never becomes a path; an unknown word is an
    error."""
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
async def test_words_are_plain_arguments(sandbox_env, text, arguments):
    """No word is expanded, split again or interpreted by a shell."""
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
async def test_empty_text_is_done_without_a_reply(sandbox_env, text):
    """Operators use empty messages as a ping; a reply would cost money."""
    async with sandbox_env.run_in_process() as events:
        sandbox_env.create_command(text)
        await sandbox_env.wait_until(lambda: any(event.kind == "done" for event in events))
        await sandbox_env.wait_store_empty()
    assert sandbox_env.sent_bodies() == []
    assert sandbox_env.command_states() == ["done"]


async def test_blocking_handler_times_out_and_others_run(sandbox_env):
    """The timeout ends a Python function that never returns; the next Command of its file runs."""
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
async def test_action_follows_its_reply(sandbox_env):
    """The action runs once, after its reply is sent, and not again after a restart."""
    sandbox_env.write_handler("reboot", "echo rebooting")
    sandbox_env.write_handler("reboot.then", f"echo acted >> {sandbox_env.folder}/runs")
    async with sandbox_env.run_in_process() as events:
        sandbox_env.create_command("reboot")
        await sandbox_env.wait_until(lambda: any(event.kind == "action finished" for event in events))
    order = [event.kind for event in events if event.kind in ("sent", "action started", "action finished")]
    assert order == ["sent", "action started", "action finished"]
    async with sandbox_env.run_in_process():
        pass
    assert sandbox_env.handler_log_lines() == ["acted"]
