"""`why`, and `inbox` and `outbox` with a number: everything about one Command or message."""

import pytest

import pdu
from agent.cli.message_advice import explain_command, explain_reply
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import OutboxStore
from agent.service.message import ReceivedCommand

EPOCH = 1_795_348_800.0  # 2026-11-22 12:00 UTC
SID = "HC" + "0" * 32


@pytest.fixture
def failed_command(cli_env):
    """A journal whose Command 3 failed in its second run, was delivered again, and has a long answer."""
    cli_env.make_journal()
    now = [EPOCH + 100.0]
    journal = Journal(cli_env.folder / "journal.db", lambda: now[0], lambda: now[0] - EPOCH)
    outbox = OutboxStore(journal)
    inbox = CommandStore(journal, outbox)

    def deliver(_):
        return ReceivedCommand("000", "DC" + "1" * 32, "led off", None, None, answerable=True)

    inbox.store(None, "03", deliver)
    for seconds in (1, 60):
        now[0] += seconds
        inbox.mark_running(3, "led", repeatable=True)
        now[0] += 0.5
        if seconds == 1:
            inbox.requeue(3, "exit status 75", stderr="busy")
    answers = [OutgoingMessage("000", pdu.segment("ERR failed")[0], 1, 1, omitted=7)]
    inbox.finish(3, "failed", "exit status 3", answers, stderr="led:\ndisk on fire \x1b[2J")
    inbox.store(None, "03", deliver)
    now[0] += 2
    outbox.mark_sending(3)
    now[0] += 3
    outbox.mark_sent(3, 41)
    journal.close()


@pytest.mark.parametrize(
    "words", [("why", "3"), ("why", "dc11"), ("inbox", "3"), ("inbox", "DC111")], ids=" ".join
)
def test_everything_about_a_command(cli_env, failed_command, words):
    """By its number, or by the beginning of its SID."""
    result = cli_env.run(*words)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "Command 3 failed: exit status 3"
    assert "To try it: sudo modem-agent handlers test 'led off'" in lines
    assert f"SID DC{'1' * 32}" in lines
    assert "handler led, 2 attempts, may run again" in lines
    assert [line.partition(", ")[2] for line in lines if line.startswith(("started", "ended"))] == [
        "1 min 2 s later",
        "0.5 s later",
    ]
    assert "stderr disk on fire \\x1b[2J" in lines
    assert any(line.startswith("delivered again 1 time, last ") for line in lines)
    assert "length 10 septets of 160 for one SMS, 7 characters cut off" in lines
    assert "to 000, 1 attempt, message reference 41" in lines
    assert [line.partition(", ")[2] for line in lines if line.startswith(("body left", "accepted"))] == [
        "2 s later",
        "3 s later",
    ]


def test_json_has_the_rows_of_the_journal(cli_env, failed_command, parse_json_output):
    """The Command with its replies and actions; times are ISO 8601."""
    command = parse_json_output(cli_env.run("why", "3", "--json"))
    assert command["stderr"].startswith("led:")
    assert command["started"] == "2026-11-22T12:02:41+00:00"
    assert command["replies"][0]["message_reference"] == 41
    assert command["actions"] == command["replies"][0]["reports"] == []
    reply = parse_json_output(cli_env.run("outbox", "3", "--json"))
    assert (reply["sending"], reply["sent"]) == ("2026-11-22T12:02:44+00:00", "2026-11-22T12:02:47+00:00")


def test_message_of_the_outbox_names_its_command(cli_env, failed_command):
    """What was not an answer names none."""
    assert "modem-agent why 3" in cli_env.run("outbox", "3").stdout
    assert "why" not in cli_env.run("outbox", "2").stdout


def test_ignored_message_is_explained(cli_env):
    """With the reason and what to do."""
    cli_env.make_journal()
    output = cli_env.run("inbox", "--ignored", "1").stdout
    assert output.startswith("Message 1 ignored: not from 000")
    assert "service.name" in output


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("why", "9"), 1, "there is no Command 9: modem-agent inbox lists those of 31 days"),
        (("why", "9" * 30), 1, "there is no Command 999"),
        (("why", "HC1"), 1, "it has not arrived (sudo modem-agent doctor), or the SID is not in its text"),
        (("why", "SM1"), 1, "SM1 is no SID of a Command, which begins with DC or HC"),
        (("why", "led on"), 2, "led on is neither a number nor a SID: modem-agent inbox lists both"),
        (("why", "%"), 2, "% is neither a number nor a SID"),
        (("outbox", "9"), 1, "there is no message 9: modem-agent outbox lists them"),
        (("outbox", "HC1"), 2, "HC1 is not a number: modem-agent outbox lists them"),
        (
            ("inbox", "--ignored", "9"),
            1,
            "there is no ignored message 9: modem-agent inbox --ignored lists them",
        ),
        (("inbox", "--ignored", "x"), 2, "x is not a number: modem-agent inbox --ignored lists them"),
    ],
)
def test_unknown_message_says_where_to_look(cli_env, words, status, sentence):
    """Exit status 1 for what is not there, 2 for what cannot be."""
    cli_env.make_journal()
    result = cli_env.run(*words)
    assert (result.exit_code, result.stdout) == (status, "")
    assert sentence in result.stderr


def test_sid_that_fits_several_or_only_traces(cli_env, failed_command):
    """Several are listed; a pruned Command and an ignored message with the SID are named."""
    journal = Journal(cli_env.folder / "journal.db", lambda: EPOCH, lambda: 0.0)
    with journal.transaction():
        journal.execute("UPDATE commands SET sid = ? WHERE id = 2", ("HC" + "0" * 31 + "1",))
        journal.execute("DELETE FROM commands WHERE id = 3")
        journal.execute("UPDATE ignored SET text = ?", (f"DC{'2' * 32} led on",))
    journal.close()
    assert cli_env.run("why", "hc0").stderr.splitlines()[1:] == [
        f"modem-agent: HC{'0' * 31}1",
        f"modem-agent: {SID}",
    ]
    assert "was Command 3; its text was deleted" in cli_env.run("why", "DC" + "1" * 32).stderr
    assert "modem-agent inbox --ignored 1" in cli_env.run("why", "DC" + "2" * 32).stderr


COMMAND = {"state": "failed", "reason": None, "attempts": 1, "duplicates": 0, "answerable": 1, "mode": "text"}
COMMAND |= {"handler": None, "body": "led on", "stderr": None}


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"reason": "no handler"}, "reload modem-agent"),
        ({"reason": "interrupted"}, "not run again"),
        ({"reason": "ended after 30 s"}, "timeout_s"),
        ({"reason": "exit status 1", "stderr": "sudo: The no new privileges flag is set"}, "polkit"),
        ({"reason": "killed by SIGKILL"}, "memory"),
        ({"state": "expired", "reason": "older than max_age_s allows"}, "max_age_s"),
        ({"state": "expired", "reason": "it was in the module before the first start"}, "first_start"),
        ({"state": "expired", "reason": "older than the deduplication entries reach back"}, "may have run"),
        ({"state": "received", "attempts": 0}, "max_concurrent"),
        ({"state": "received", "reason": "exit status 75"}, "three attempts"),
        ({"state": "running"}, "repeatable"),
        ({"state": "done", "answerable": 0}, "loop"),
        ({"state": "done"}, "its handler returned none"),
        ({"reason": "x"}, "at most 10 answers"),
    ],
)
def test_each_state_of_a_command_has_advice(changes, advice):
    """It names the setting or the command line to use."""
    assert advice in " ".join(explain_command(COMMAND | changes, []))


@pytest.mark.parametrize(
    ("state", "reason", "advice"),
    [
        ("queued", "waiting: no network", "It waits to be sent: no network. See"),
        ("queued", None, "It waits to be sent. See"),
        ("failed", "refused", "doctor --send"),
        ("unknown", "x", "resend_unknown"),
        ("sent", None, "status_reports"),
    ],
)
def test_each_state_of_a_message_has_advice(state, reason, advice):
    """It says whether the message may still arrive."""
    assert advice in " ".join(explain_reply({"state": state, "reason": reason, "omitted": 0}))


def test_journal_of_an_older_agent_is_shown(cli_env, failed_command):
    """After an upgrade, before the first start: what the older agent did not store is left out."""
    journal = Journal(cli_env.folder / "journal.db", lambda: EPOCH, lambda: 0.0)
    with journal.transaction():
        for column in ("started_wall", "stderr", "duplicate_wall"):
            journal.execute(f"ALTER TABLE commands DROP COLUMN {column}")
        journal.execute("ALTER TABLE replies DROP COLUMN sending_wall")
    journal.close()
    output = cli_env.run("why", "3").stdout
    assert "Command 3 failed: exit status 3" in output
    assert "body left" not in output
