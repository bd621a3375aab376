"""`send`, `status` and `at`: asking the running agent."""

import importlib

import pytest

STATUS = {
    "version": "1.0",
    "service": "super-sim",
    "number": "000",
    "modem": {
        "state": "EC25, registered\x1b[2J",
        "sessions": 2,
        "module": "Quectel EC25",
        "notifications": True,
        "store": None,
        "stores": ["ME 1 of 50", "SM 0 of 20"],
        "notes": [],
    },
    "recovery": {
        "state": "works",
        "resets_hour": 1,
        "resets_per_hour": 3,
        "resets_day": 2,
        "resets_per_day": 12,
    },
    "held": "the rate of 10 messages a minute is reached",
    "damaged": ["journal.db.damaged-20261122T120000Z"],
    "commands": {"done": 3, "strays": 1},
    "replies": {},
    "running": ["led"],
    "late": [],
}


@pytest.mark.parametrize("words", [("send", "x"), ("status",), ("at", "AT")])
def test_no_agent_is_a_sentence(cli_env, words):
    """Exit status 1; the socket is named."""
    result = cli_env.run(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"modem-agent: no modem-agent answers at {cli_env.folder}/control.sock; is it running?\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give either a TEXT or --hex HEX"),
        (("text", "--hex", "01"), "give either a TEXT or --hex HEX"),
        (("",), "there is nothing in it to send"),
        (("--hex", ""), "there is nothing in it to send"),
        (("--hex", "0"), "it takes pairs of hexadecimal digits, for example 01FF"),
        (("--hex", "xy"), "it takes pairs of hexadecimal digits, for example 01FF"),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(cli_env, words, sentence):
    """Exit status 2, whether an agent runs or not."""
    result = cli_env.run("send", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (("hello",), {"text": "hello", "hex": None, "to": None, "wait": True}),
        (("--hex", "01 FF"), {"text": None, "hex": "01 FF", "to": None, "wait": True}),
        (("x", "--to", "+1555", "--no-wait"), {"text": "x", "hex": None, "to": "+1555", "wait": False}),
        (("--", "-5"), {"text": "-5", "hex": None, "to": None, "wait": True}),
    ],
)
async def test_what_send_asks_for(cli_env, words, request_):
    """Everything that was said, and nothing else."""
    answer = {"to": "000", "messages": [{"reply": 4, "state": "sent", "reason": None}]}
    words = ("--config", str(cli_env.config), *words) if "--" in words else words
    if "--" in words:
        cli_env.run = cli_env.run_bare
    result, requests = await cli_env.run_beside_agent({"send": answer}, "send", *words)
    assert requests == [{"do": "send", **request_}]
    assert result.exit_code == 0
    assert result.stdout == "reply 4 to 000: sent\n"


@pytest.mark.parametrize(
    ("state", "reason", "status"),
    [
        ("sent", None, 0),
        ("queued", None, 0),
        ("delivered", None, 0),
        ("failed", "no\x1b[2J", 1),
        ("unknown", "x", 1),
    ],
)
async def test_the_fate_is_the_exit_status(cli_env, parse_json_output, state, reason, status):
    """In words and as a document; what a module said moves no cursor."""
    answer = {"to": "000", "messages": [{"reply": 4, "state": state, "reason": reason}]}
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hello")
    assert result.exit_code == status
    said = "" if reason is None else ": " + reason.replace("\x1b", "\\x1b")
    assert result.stdout == f"reply 4 to 000: {state}{said}\n"
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hello", "--json")
    assert result.exit_code == status
    assert parse_json_output(result) == answer


async def test_what_was_changed_to_fit_is_said(cli_env):
    """Nobody takes the whole text for sent when a part of it was; scripts find it in the document."""
    answer = {"to": "000", "text": "hel..", "messages": [{"reply": 4, "state": "sent", "reason": None}]}
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hello")
    assert result.exit_code == 0
    assert result.stdout == "reply 4 to 000: sent\n"
    assert result.stderr == "note: shortened or changed to fit: hel..\n"
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hel..")
    assert result.stderr == ""


@pytest.mark.parametrize("words", [("send", "\udcff"), ("send", "x", "--to", "\udcff"), ("at", "AT\udcff")])
async def test_what_is_no_utf_8_is_a_sentence(cli_env, words):
    """The shell hands over octets as they are."""
    answer = {"to": "000", "messages": []}
    result, requests = await cli_env.run_beside_agent({"send": answer, "at": answer}, *words)
    assert requests == []
    assert result.exit_code == 1
    assert result.stderr == (
        f"modem-agent: '{words[-1].encode('unicode_escape').decode()}' is no UTF-8 "
        "and cannot be handed to the agent\n"
    )


def test_who_does_not_wait_is_told_what_becomes_of_it(cli_env, monkeypatch):
    """Ctrl-C ends the waiting and not the message."""

    def interrupted(*_words):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("agent.cli.send"), "send_request", interrupted)
    result = cli_env.run("send", "x")
    assert result.exit_code == 1
    assert result.stderr == (
        "modem-agent: not waited for; what is queued is sent when it can be: see modem-agent outbox\n"
    )


async def test_a_refusal_of_the_agent_is_a_sentence(cli_env):
    """Exit status 1."""
    result, _ = await cli_env.run_beside_agent({}, "send", "hello")
    assert result.exit_code == 1
    assert result.stderr.startswith("modem-agent: unknown request 'send'")


async def test_status_for_people(cli_env):
    """A line each; what is empty is left out, nothing moves the cursor."""
    result, requests = await cli_env.run_beside_agent({"status": STATUS}, "status")
    assert requests == [{"do": "status"}]
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "agent          1.0, super-sim (000)",
        "state          EC25, registered\\x1b[2J",
        "sessions       2",
        "module         Quectel EC25",
        "notifications  yes",
        "stores         ME 1 of 50, SM 0 of 20",
        "recovery       works",
        "resets         1 of 3 this hour, 2 of 12 today",
        "held           the rate of 10 messages a minute is reached",
        "damaged        journal.db.damaged-20261122T120000Z",
        "commands       3 done, 1 strays",
        "running        led",
    ]


async def test_status_for_scripts(cli_env, parse_json_output):
    """The whole document."""
    result, _ = await cli_env.run_beside_agent({"status": STATUS}, "status", "--json")
    assert parse_json_output(result) == STATUS
    assert "\x1b" not in result.stdout


async def test_one_at_command(cli_env, parse_json_output):
    """The lines of the module, harmless, and OK; as a document whole."""
    answer = {"lines": ["+CSQ: 20,99", "a\x1bb"]}
    result, requests = await cli_env.run_beside_agent({"at": answer}, "at", "AT+CSQ")
    assert requests == [{"do": "at", "line": "AT+CSQ"}]
    assert result.stdout == "+CSQ: 20,99\na\\x1bb\nOK\n"
    result, _ = await cli_env.run_beside_agent({"at": answer}, "at", "AT+CSQ", "--json")
    assert parse_json_output(result) == answer
