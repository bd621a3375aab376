"""`inbox` and `outbox`: what stands in the journal, for people and for scripts."""

import pytest

from agent.journal.journal import Journal


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_no_journal_is_a_sentence(cli_env, name):
    """Exit status 1; nothing is created by looking."""
    result = cli_env.run(name)
    assert result.exit_code == 1
    assert result.stderr == (
        f"modem-agent: there is no journal at {cli_env.folder}/journal.db; has modem-agent run with this "
        "configuration?\n"
    )
    assert not (cli_env.folder / "journal.db").exists()


def test_a_journal_that_is_none_is_a_sentence(cli_env):
    """Damaged, empty, or something else."""
    (cli_env.folder / "journal.db").write_bytes(b"x" * 5000)
    result = cli_env.run("inbox")
    assert result.exit_code == 1
    assert "journal.db cannot be read: file is not a database" in result.stderr


def test_a_name_that_no_file_can_have_is_a_sentence(cli_env):
    """The system refuses it: exit status 1."""
    cli_env.write(journal=f'[journal]\npath = "{"x" * 300}"')
    result = cli_env.run("inbox")
    assert result.exit_code == 1
    assert "cannot be looked at: File name too long" in result.stderr


@pytest.mark.parametrize(
    ("words", "nothing"),
    [
        (("inbox",), "no Commands yet"),
        (("inbox", "--strays"), "no strays"),
        (("outbox",), "nothing sent yet"),
    ],
)
def test_an_empty_journal_is_said(cli_env, parse_json_output, words, nothing):
    """In words, and as an empty list for scripts."""
    Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0).close()
    assert cli_env.run(*words).stdout == f"{nothing}\n"
    assert parse_json_output(cli_env.run(*words, "--json")) == []


def test_the_inbox(cli_env):
    """A line a Command: state, time, SID whole, body."""
    sid = cli_env.make_journal()
    lines = cli_env.run("inbox").stdout.splitlines()
    assert lines[0].split() == ["id", "state", "received", "sid", "body", "handler"]
    assert lines[1].split() == ["1", "done", "2026-11-22T12:00:00+00:00", sid, "led", "on", "led"]
    assert lines[2].split()[:3] == ["2", "received", "2026-11-22T12:00:00+00:00"]
    assert len(lines) == 3


def test_the_outbox(cli_env):
    """A line a message: state, its Command, where it went, what it says."""
    cli_env.make_journal()
    lines = cli_env.run("outbox").stdout.splitlines()
    assert lines[0].split() == ["id", "state", "queued", "command", "destination", "text", "attempts"]
    assert lines[1].split()[:2] == ["1", "sent"]
    assert lines[1].split()[3:] == ["1", "000", "led", "is", "on", "1"]
    assert "a\\nb" in lines[2]


def test_the_newest_are_shown_oldest_first(cli_env, parse_json_output):
    """As many as asked for."""
    cli_env.make_journal()
    assert [row["id"] for row in parse_json_output(cli_env.run("inbox", "--json"))] == [1, 2]
    assert [row["id"] for row in parse_json_output(cli_env.run("inbox", "--json", "-n", "1"))] == [2]


def test_documents_hold_everything(cli_env, parse_json_output):
    """For scripts: names as in the journal, times as ISO 8601."""
    sid = cli_env.make_journal()
    command = parse_json_output(cli_env.run("inbox", "--json"))[0]
    assert command == {
        "id": 1, "state": "done", "sid": sid, "sender": "000", "mode": "text", "body": "led on",
        "timestamp": None, "attempts": 1, "duplicates": 0, "handler": "led", "reason": None,
        "received": "2026-11-22T12:00:00+00:00", "ended": "2026-11-22T12:00:00+00:00",
    }  # fmt: skip
    message = parse_json_output(cli_env.run("outbox", "--json"))[0]
    assert (message["state"], message["sid"], message["message_reference"]) == ("sent", sid, 7)
    [stray] = parse_json_output(cli_env.run("inbox", "--strays", "--json"))
    assert stray["text"] == "led \x1b[2J\x9b31m\u202eon\n\x07"
    assert stray["raw"] == "02"


@pytest.mark.parametrize("words", [("inbox",), ("inbox", "--strays"), ("outbox",)])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_control_character_of_a_stranger_reaches_the_terminal(cli_env, words, form):
    """ESC, the 8-bit CSI, BEL, line feeds, marks that turn the writing: all are shown as escapes."""
    cli_env.make_journal()
    output = cli_env.run(*words, *form).stdout
    assert all(character.isprintable() for line in output.split("\n") for character in line)
    assert len(output.splitlines()) <= 3


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_sid_is_whole_on_any_terminal(cli_env, monkeypatch, width):
    """People copy it."""
    sid = cli_env.make_journal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda self: True))
    assert sid in cli_env.run("inbox").stdout
