"""`send` and `at`: commands that use the control socket of the running agent."""

import asyncio
import signal
import sys

import pytest

from agent.daemon.control_socket import ControlServer


@pytest.mark.parametrize("words", [("send", "x"), ("status",), ("at", "AT")])
def test_missing_agent_is_reported(cli_env, words):
    """One sentence with the socket, and exit status 1."""
    result = cli_env.run(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"modem-agent: no modem-agent answers at {cli_env.folder}/control.sock: it does not run, or has "
        "another [control] socket; see: systemctl status modem-agent\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give either TEXT or --hex HEX"),
        (("text", "--hex", "01"), "give either TEXT or --hex HEX"),
        (("",), "the message is empty"),
        (("--hex", ""), "the message is empty"),
        (("--hex", "0"), "the value must be pairs of hexadecimal digits, for example 01FF"),
        (("--hex", "xy"), "the value must be pairs of hexadecimal digits, for example 01FF"),
    ],
)
def test_unsendable_message_is_wrong_usage(cli_env, words, sentence):
    """Exit status 2, with or without a running agent."""
    result = cli_env.run("send", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (("hello",), {"text": "hello", "hex": None, "to": None, "wait": False}),
        (("--hex", "01 FF"), {"text": None, "hex": "01 FF", "to": None, "wait": False}),
        (("x", "--to", "+1555", "--no-wait"), {"text": "x", "hex": None, "to": "+1555", "wait": False}),
        (("--", "-5"), {"text": "-5", "hex": None, "to": None, "wait": False}),
    ],
)
async def test_send_passes_its_arguments_to_the_agent(cli_env, words, request_):
    """All of them, and nothing else."""
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
async def test_send_reports_the_state_as_exit_status(cli_env, parse_json_output, state, reason, status):
    """The output is text or JSON; control characters in the reason are escaped."""
    answer = {"to": "000", "messages": [{"reply": 4, "state": state, "reason": reason}]}
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hello")
    assert result.exit_code == status
    suffix = "" if reason is None else ": " + reason.replace("\x1b", "\\x1b")
    assert result.stdout == f"reply 4 to 000: {state}{suffix}\n"
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hello", "--json")
    assert result.exit_code == status
    assert parse_json_output(result) == answer


async def test_changed_text_is_reported(cli_env):
    """A note shows the text that was sent if it is not the whole text; JSON has it as well."""
    answer = {"to": "000", "text": "hel..", "messages": [{"reply": 4, "state": "sent", "reason": None}]}
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hello")
    assert result.exit_code == 0
    assert result.stdout == "reply 4 to 000: sent\n"
    assert result.stderr == "note: the text was shortened or changed: hel..\n"
    result, _ = await cli_env.run_beside_agent({"send": answer}, "send", "hel..")
    assert result.stderr == ""


@pytest.mark.parametrize("words", [("send", "\udcff"), ("send", "x", "--to", "\udcff"), ("at", "AT\udcff")])
async def test_argument_that_is_not_utf8_is_reported(cli_env, words):
    """The shell passes bytes unchanged; the agent is not asked."""
    answer = {"to": "000", "messages": []}
    result, requests = await cli_env.run_beside_agent({"send": answer, "at": answer}, *words)
    assert requests == []
    assert result.exit_code == 1
    assert result.stderr == (
        f"modem-agent: '{words[-1].encode('unicode_escape').decode()}' is not valid UTF-8 "
        "and cannot be sent to the agent\n"
    )


async def test_interrupted_send_leaves_the_message_queued(cli_env):
    """Ctrl-C ends the command, which prints that the message stays queued."""
    requested = asyncio.Event()

    async def wait_for_result(_request):
        requested.set()
        await asyncio.Event().wait()

    server = ControlServer(cli_env.folder / "control.sock", {"send": wait_for_result})
    await server.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from agent.cli import main; main()", "send", "x"),
        *("--config", cli_env.config),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            await requested.wait()
            process.send_signal(signal.SIGINT)
            _, errors = await process.communicate()
    finally:
        await server.stop()
    assert process.returncode == 1
    assert errors.decode() == (
        "modem-agent: interrupted; the message stays queued and is sent when possible: "
        "see modem-agent outbox\n"
    )


async def test_refusal_of_the_agent_is_reported(cli_env):
    """Its sentence, and exit status 1."""
    result, _ = await cli_env.run_beside_agent({}, "send", "hello")
    assert result.exit_code == 1
    assert result.stderr.startswith("modem-agent: unknown request 'send'")


async def test_send_says_what_the_message_waits_for(cli_env, parse_json_output):
    """At once, and then until it has its outcome; the time that is left is passed on."""
    message = {"reply": 4, "state": "queued", "reason": None}
    answers = {
        "send": {"to": "000", "messages": [message], "waiting_for": "no network\x1b"},
        "wait": {"messages": [message | {"state": "sent"}], "waiting_for": None, "within_s": 200.0},
    }
    result, requests = await cli_env.run_beside_agent(answers, "send", "hello")
    assert requests[1] == {"do": "wait", "replies": [4], "known": "no network\x1b"}
    assert result.stderr == "reply 4 waits: no network\\x1b\n"
    assert result.stdout == "reply 4 to 000: sent\n"
    result, _ = await cli_env.run_beside_agent(answers, "send", "hello", "--json")
    assert parse_json_output(result)["messages"] == [message | {"state": "sent"}]
    result, requests = await cli_env.run_beside_agent(answers, "send", "hello", "--no-wait")
    assert len(requests) == 1
    assert result.stderr == "reply 4 waits: no network\\x1b\n"
    assert result.stdout == "reply 4 to 000: queued\n"


async def test_at_prints_the_response(cli_env, parse_json_output):
    """The lines of the module with control characters escaped, and OK; or the whole answer as JSON."""
    answer = {"lines": ["+CSQ: 20,99", "a\x1bb"]}
    result, requests = await cli_env.run_beside_agent({"at": answer}, "at", "AT+CSQ")
    assert requests == [{"do": "at", "line": "AT+CSQ"}]
    assert result.stdout == "+CSQ: 20,99\na\\x1bb\nOK\n"
    result, _ = await cli_env.run_beside_agent({"at": answer}, "at", "AT+CSQ", "--json")
    assert parse_json_output(result) == answer


async def test_quiet_at_prints_the_answer_alone(cli_env):
    """A script takes it as it is; a setting prints nothing."""
    for lines, printed in ((["+CSQ: 20,99"], "+CSQ: 20,99\n"), ([], "")):
        result, _ = await cli_env.run_beside_agent({"at": {"lines": lines}}, "at", "--quiet", "AT+CSQ")
        assert result.stdout == printed
        assert result.exit_code == 0


async def test_at_passes_force_to_the_agent(cli_env):
    """The agent decides which commands need it."""
    result, requests = await cli_env.run_beside_agent({"at": {"lines": []}}, "at", "--force", "AT+CFUN=0")
    assert requests == [{"do": "at", "line": "AT+CFUN=0", "force": True}]
    assert result.stdout == "OK\n"
