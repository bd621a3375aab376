"""`handlers list`, `handlers test`, `handlers enable`."""

import json

import pytest

from agent.diagnosis.service_sandbox import make_command


def write(cli_env, name, text, mode=0o755):
    path = cli_env.folder / "handlers" / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_list_shows_limits_mistakes_and_what_could_be_added(cli_env):
    """A handler of each kind; exit status 1 because of the mistake."""
    write(cli_env, "led", "#!/bin/sh\n")
    write(cli_env, "led.toml", "timeout_s = 5\nrepeatable = true\n", 0o644)
    write(cli_env, "bad", "#!/bin/sh\n", 0o777)
    write(cli_env, "alert", "#!/bin/sh\n")
    write(cli_env, "alert.toml", "ignored = true\n", 0o644)
    write(
        cli_env,
        "device.py",
        "from agent import handler\n"
        '@handler("temp", "t", json_key="get", binary_prefix=b"\\x01", port=7)\ndef f(c): pass\n'
        "@handler(default=True)\ndef g(c): pass\n",
        0o644,
    )
    result = cli_env.run("handlers", "list", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    rows = {row["name"]: row for row in answer["handlers"]}
    assert rows["alert"]["trigger"] == "ignored messages"
    assert rows["led"] == {
        "name": "led",
        "trigger": "led",
        "kind": "executable",
        "file": str(cli_env.folder / "handlers/led"),
        "timeout_s": 5,
        "max_age_s": None,
        "repeatable": True,
        "reply_to": None,
        "then": None,
        "error": None,
    }
    assert rows["device.py:f"]["trigger"] == 'temp, t, "get", 01, port 7'
    assert rows["device.py:g"]["trigger"] == "all other Commands"
    assert rows["ping"]["kind"] == "builtin"
    assert "chmod go-w" in rows["bad"]["error"]
    assert answer["errors"] == [rows["bad"]["error"]]
    assert "reboot" in answer["ready"]
    assert "led" not in answer["ready"]
    shown = cli_env.run("handlers", "list").stdout
    assert f"error: {answer['errors'][0]}\n" in shown
    assert "  reboot       reboot: answers, then reboots the device.\n" in shown


@pytest.mark.parametrize(
    ("script", "words", "shown"),
    [
        (
            "echo led is on; echo note >&2",
            ("led", "on"),
            (
                "result    exit status 0, S s\nstderr    note\nreply     led is on\n"
                "length    9 of 160 characters, 1 SMS to 000\n"
            ),
        ),
        (
            "printf %0170d 0",
            ("led",),
            (
                f"result    exit status 0, S s\nreply     {'0' * 158}..\n"
                "length    160 of 160 characters, 1 SMS to 000\n"
                "cut       the last 12 characters are not sent ([service] max_parts)\n"
            ),
        ),
        ("true", ("led",), "result    exit status 0, S s\nreply     none\n"),
        (
            "pwd; echo $1 $COMMAND_SENDER ${COMMAND_SID-none} $COMMAND_MODE $COMMAND_ATTEMPT; cat; ulimit -d",
            ("led a b",),
            (
                "result    exit status 0, S s\nreply     /\n          a 000 none text 1\n"
                "          led a b262144\nlength    33 of 160 characters, 1 SMS to 000\n"
            ),
        ),
        (
            "echo disk on fire >&2; exit 3",
            ("led",),
            (
                "result    exit status 3, S s\nstderr    disk on fire\nreply     ERR failed\n"
                "length    10 of 160 characters, 1 SMS to 000\n"
            ),
        ),
        (
            "sleep 9",
            ("led",),
            (
                "result    killed at its time limit of 0.2 s, S s\nreply     ERR timed out\n"
                "length    13 of 160 characters, 1 SMS to 000\n"
            ),
        ),
    ],
    ids=["reply", "cut", "no reply", "environment", "failure", "time limit"],
)
def test_test_shows_what_the_agent_would_send(cli_env, script, words, shown, monkeypatch):
    """With arguments, input, limits and working directory of the agent."""
    monkeypatch.chdir(cli_env.folder)
    monkeypatch.setenv("INVOCATION_ID", "1")
    if "time limit" in shown:
        write(cli_env, "led.toml", "timeout_s = 0.2\n", 0o644)
    path = write(cli_env, "led", f"#!/bin/sh\n{script}\n")
    result = cli_env.run("handlers", "test", *words)
    output = result.stdout.splitlines(keepends=True)
    assert output[0] == f"handler   led ({path})\n"
    output[1] = f"{output[1].rpartition(', ')[0]}, S s\n"
    assert "".join(output[1:]) == shown
    assert result.exit_code == ("ERR" in shown)


def test_test_runs_binary_commands_and_actions(cli_env):
    """The reply in hex digits; the action with --then only."""
    cli_env.write(service='[service]\nname = "programmable-wireless"')
    write(
        cli_env,
        "device.py",
        "from agent import Reply, handler\n"
        '@handler(binary_prefix=b"\\x01")\ndef f(c): return Reply(c.data[::-1], then=act)\n'
        "def act(c): print('acted')\n",
        0o644,
    )
    first, second = (
        json.loads(cli_env.run("handlers", "test", "--hex", "01FF", "--json", *then).stdout)
        for then in ((), ("--then",))
    )
    assert (first["reply"], first["length"], first["reply_to"]) == ("FF01", "2 of 140 octets", "2936")
    assert (first["then"], first["stderr"]) == ("act would run", "")
    assert (second["then"], second["stderr"]) == ("act: returned", "acted")


def test_test_of_a_command_without_handler_names_those_that_exist(cli_env):
    """Exit status 1, and the reply that the cloud would get."""
    result = cli_env.run("handlers", "test", "lde on")
    assert result.exit_code == 1
    assert "no handler; there are handlers for help, ping, status\n" in result.stdout
    assert "ERR unknown lde\n" in result.stdout


@pytest.mark.parametrize("words", [(), ("--hex", "0"), ("led", "--hex", "01")])
def test_test_needs_a_text_or_octets(cli_env, words):
    """Wrong usage is exit status 2."""
    assert cli_env.run("handlers", "test", *words).exit_code == 2


def test_enable_copies_the_files_and_says_which_rights_are_missing(cli_env):
    """A file of the operator is never overwritten."""
    result = cli_env.run("handlers", "enable", "reboot")
    folder = cli_env.folder / "handlers"
    assert sorted(path.name for path in folder.iterdir()) == ["reboot", "reboot.then", "reboot.toml"]
    assert [(folder / name).stat().st_mode & 0o777 for name in ("reboot", "reboot.then")] == [0o755, 0o755]
    assert "    sudo systemctl enable --now sms-reboot.path\n" in result.stdout
    (folder / "reboot").unlink()
    result = cli_env.run("handlers", "enable", "reboot")
    assert (result.exit_code, list(folder.glob("reboot"))) == (1, [])
    assert f"{folder}/reboot.then exists already and is not changed" in result.stderr
    assert cli_env.run("handlers", "enable", "nothing").exit_code == 2


UNIT = """\
# /usr/lib/systemd/system/modem-agent.service
[Unit]
Description=Commands by SMS
[Service]
ExecStart=/opt/modem-agent/bin/modem-agent run
Type=notify
User=modem-agent
RuntimeDirectory=modem-agent
# a comment
CapabilityBoundingSet=
[Install]
WantedBy=multi-user.target

# /etc/systemd/system/modem-agent.service.d/network.conf
[Service]
IPAddressDeny=
"""


def test_sandbox_has_the_rights_of_the_unit_and_not_its_start():
    """Drop-ins count; the folders of the running agent are used and not removed."""
    assert make_command(UNIT.splitlines(), "modem-agent", ["modem-agent", "handlers", "test", "led"]) == [
        *("systemd-run", "--quiet", "--pipe", "--wait", "--collect"),
        "--property=ReadWritePaths=-/run/modem-agent -/var/lib/modem-agent",
        "--property=Environment=RUNTIME_DIRECTORY=/run/modem-agent STATE_DIRECTORY=/var/lib/modem-agent",
        *("--property=User=modem-agent", "--property=CapabilityBoundingSet=", "--property=IPAddressDeny="),
        *("--", "modem-agent", "handlers", "test", "led"),
    ]
