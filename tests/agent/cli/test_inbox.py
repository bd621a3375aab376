"""`inbox` and `outbox`: the journal as tables and as JSON."""

import pytest

from agent.journal.journal import Journal


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_missing_journal_is_reported(cli_env, name):
    """One sentence and exit status 1; no journal is created."""
    result = cli_env.run(name)
    assert result.exit_code == 1
    assert result.stderr == (
        f"modem-agent: there is no journal at {cli_env.folder}/journal.db; has modem-agent run with this "
        "configuration?\n"
    )
    assert not (cli_env.folder / "journal.db").exists()


def test_file_that_is_not_a_database_is_reported(cli_env):
    """One sentence and exit status 1."""
    (cli_env.folder / "journal.db").write_bytes(b"x" * 5000)
    result = cli_env.run("inbox")
    assert result.exit_code == 1
    assert "journal.db cannot be read: file is not a database" in result.stderr


def test_impossible_file_name_is_reported(cli_env):
    """The error of the system, and exit status 1."""
    cli_env.write(journal=f'[journal]\npath = "{"x" * 300}"')
    result = cli_env.run("inbox")
    assert result.exit_code == 1
    assert "cannot be opened: File name too long" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("inbox",), "no Commands yet"),
        (("inbox", "--ignored"), "no ignored messages"),
        (("outbox",), "no messages yet"),
    ],
)
def test_empty_journal_has_a_message_or_an_empty_list(cli_env, parse_json_output, words, message):
    """A message for a person, an empty JSON list for a script."""
    Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0).close()
    assert cli_env.run(*words).stdout == f"{message}\n"
    assert parse_json_output(cli_env.run(*words, "--json")) == []


def test_inbox_lists_one_command_a_line(cli_env):
    """State, time, the whole SID, body and handler; empty columns are left out."""
    sid = cli_env.make_journal()
    lines = cli_env.run("inbox").stdout.splitlines()
    assert lines[0].split() == ["id", "state", "received", "sid", "body", "handler"]
    assert lines[1].split() == ["1", "done", "2026-11-22T12:00:00+00:00", sid, "led", "on", "led"]
    assert lines[2].split()[:3] == ["2", "received", "2026-11-22T12:00:00+00:00"]
    assert len(lines) == 3


def test_outbox_lists_one_message_a_line(cli_env):
    """State, time, its Command, destination, text and attempts."""
    cli_env.make_journal()
    lines = cli_env.run("outbox").stdout.splitlines()
    assert lines[0].split() == ["id", "state", "queued", "command", "destination", "text", "attempts"]
    assert lines[1].split()[:2] == ["1", "sent"]
    assert lines[1].split()[3:] == ["1", "000", "led", "is", "on", "1"]
    assert "a\\nb" in lines[2]


def test_limit_keeps_the_newest_rows(cli_env, parse_json_output):
    """The newest rows, and among them the oldest first."""
    cli_env.make_journal()
    assert [row["id"] for row in parse_json_output(cli_env.run("inbox", "--json"))] == [1, 2]
    assert [row["id"] for row in parse_json_output(cli_env.run("inbox", "--json", "-n", "1"))] == [2]


def test_json_has_every_column(cli_env, parse_json_output):
    """Names as in the journal, times in ISO 8601, the raw PDU in hexadecimal digits."""
    sid = cli_env.make_journal()
    command = parse_json_output(cli_env.run("inbox", "--json"))[0]
    assert command == {
        "id": 1, "state": "done", "sid": sid, "sender": "000", "mode": "text", "body": "led on",
        "timestamp": None, "attempts": 1, "duplicates": 0, "handler": "led", "reason": None, "port": None,
        "received": "2026-11-22T12:00:00+00:00", "ended": "2026-11-22T12:00:00+00:00",
    }  # fmt: skip
    reply = parse_json_output(cli_env.run("outbox", "--json"))[0]
    assert (reply["state"], reply["sid"], reply["message_reference"]) == ("sent", sid, 7)
    [ignored] = parse_json_output(cli_env.run("inbox", "--ignored", "--json"))
    assert ignored["text"] == "led \x1b[2J\x9b31m\u202eon\n\x07"
    assert ignored["raw"] == "02"


@pytest.mark.parametrize("words", [("inbox",), ("inbox", "--ignored"), ("outbox",)])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_control_characters_of_a_message_are_escaped(cli_env, words, form):
    """ESC, the 8-bit CSI, BEL, line feed and bidirectional marks never reach the terminal."""
    cli_env.make_journal()
    output = cli_env.run(*words, *form).stdout
    assert all(character.isprintable() for line in output.split("\n") for character in line)
    assert len(output.splitlines()) <= 3


@pytest.mark.parametrize("width", [40, 80, 200])
def test_sid_is_not_wrapped_on_any_terminal(cli_env, monkeypatch, width):
    """So that it can be copied."""
    sid = cli_env.make_journal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    assert sid in cli_env.run("inbox").stdout
