"""`sandbox`: its options, its output, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from agent.at.transport.open import make_opener

ACCOUNT = "AC" + "1" * 32
SIM_SID = "HS" + "a" * 32
FLEET_SID = "HF" + "b" * 32
COMMAND = [sys.executable, "-c", "from agent.cli import main; main()"]


@pytest.mark.parametrize("listen", ["8480", ":8480", "host:", "host:x", "host:65536", "host:-1", ""])
def test_invalid_listen_address_is_wrong_usage(cli_env, listen):
    """Exit status 2 and an example."""
    result = cli_env.run_bare("sandbox", "--listen", listen, "--link-dir", str(cli_env.folder))
    assert result.exit_code == 2
    assert "is not HOST:PORT, for example 127.0.0.1:8480" in result.stderr


@pytest.mark.parametrize(
    ("sims", "sentence"),
    [
        (["frobnicate"], "there is no service frobnicate; there are super-sim, programmable-wireless"),
        (["super-sim=a", "super-sim=a"], "invalid value for --sim: two SIMs have the name a"),
        (["super-sim=../x"], "invalid value for --sim: the name '../x' is not usable as a file name"),
        (["super-sim:sid=DE1"], "super-sim:sid=DE1: sid must be HS and 32 hexadecimal digits"),
        (["programmable-wireless:status=gone"], "status must be one of new, ready, active, suspended"),
        (["programmable-wireless:fleet=x"], "there is no key fleet; there are sid, status, transport"),
    ],
)
def test_invalid_sim_is_wrong_usage(cli_env, sims, sentence):
    """Exit status 2 and the name."""
    words = [word for sim in sims for word in ("--sim", sim)]
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), *words)
    assert result.exit_code == 2
    assert "modem-agent sandbox --help" in result.stderr
    assert sentence in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("rate", ["0", "299", "fast", "9600.0", "-9600", "10000000"])
def test_invalid_baud_rate_is_wrong_usage(cli_env, rate):
    """Exit status 2 and the allowed values."""
    result = cli_env.run_bare(
        "sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), "--baud", rate
    )
    assert result.exit_code == 2
    assert f"{rate} is neither auto nor a rate from 300 to 4000000" in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--pin", "12"], "12: a PIN has 4 to 8 digits"),
        (["--pin", "1234:puk=1"], "1234:puk=1: puk must be 8 digits"),
        (["--pin", "1234:tries=4"], "tries must be 0 to 3"),
        (["--pin", "1234:retries=1"], "there is no key retries; there are puk, tries, puk-tries"),
        (["--pin", "1234@x"], "1234@x: there is no SIM x; there are super-sim, programmable-wireless"),
        (["--answer", "+X"], "+X is not COMMAND=ANSWER, for example '+CGPSINFO=+CGPSINFO: ,,,,,,,,'"),
        (["--answer", "+X=a@b"], "+X=a@b: there is no SIM b"),
        (["--tcp", "7000"], "7000 is not HOST:PORT, for example 127.0.0.1:7000"),
        (["--tcp", "::1:7000"], "::1:7000 is not HOST:PORT"),
        (["--tcp", "127.0.0.1:70000"], "is not HOST:PORT"),
        (
            ["--tcp", "h:1@super-sim", "--tcp", "h:2@super-sim"],
            "h:2@super-sim: each SIM has at most one --tcp",
        ),
        (["--sim", "super-sim", "--unix", "a", "--unix", "b"], "b: each SIM has at most one --unix"),
        (["--mode", "rw"], "rw is not an octal mode, for example 0660"),
        (["--group", "nobodys"], "there is no group nobodys on this machine"),
        (["--group", "99999999999"], "there is no group 99999999999 on this machine"),
        (["--unix", ""], "it must be a path or abstract:NAME"),
        (
            ["--fault", "mute:foo=1"],
            "fault mute: there is no key foo; the keys are after, for, times,",
        ),
    ],
)
def test_invalid_options_of_modules_are_wrong_usage(cli_env, words, sentence):
    """Exit status 2; the sentence names the value and what is allowed."""
    result = cli_env.run_bare("sandbox", "--link-dir", str(cli_env.folder), *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--unix", "{folder}/no/port"],
            "Cannot listen on {folder}/no/port: No such file or directory; choose",
        ),
        (["--unix", "{folder}"], "{folder} exists and is no socket; choose another --unix PATH."),
        (["--log-bytes", "{folder}/no/log"], "--log-bytes {folder}/no/log: No such file or directory"),
    ],
)
def test_unusable_files_of_modules_are_reported(cli_env, words, sentence):
    """One sentence, exit status 1."""
    words = [word.format(folder=cli_env.folder) for word in words]
    folder = str(cli_env.folder / "links")
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", folder, *words)
    assert result.exit_code == 1
    assert result.stderr.startswith("modem-agent: " + sentence.format(folder=cli_env.folder))
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "No such file or directory"),
        (b"\xff", "not a text file"),
        (b'step = [{action = "detach", for = "x"}]', "step 1 (detach): for: it must be seconds"),
        (
            b'step = [{action = "detach", sim = "x"}]',
            'step 1 (detach): sim: there is no SIM "x"; the SIMs are',
        ),
    ],
)
def test_unusable_scenario_is_reported(cli_env, text, sentence):
    """The file and what is wrong, in one line."""
    path = cli_env.folder / "scenario.toml"
    if text is not None:
        path.write_bytes(text)
    result = cli_env.run_bare("sandbox", "--link-dir", str(cli_env.folder), "--scenario", str(path))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"modem-agent: --scenario {path}: {sentence}")
    assert len(result.stderr.splitlines()) == 1


def test_unusable_link_folder_is_reported(cli_env):
    """The option and the error, exit status 1."""
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.config / "x"))
    assert result.exit_code == 1
    assert (
        result.stderr
        == f"modem-agent: --link-dir {cli_env.config}/x: Not a directory; choose another folder\n"
    )


def test_used_port_is_reported(cli_env):
    """One sentence and exit status 1; no links are left."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        result = cli_env.run_bare("sandbox", "--listen", address, "--link-dir", str(cli_env.folder / "links"))
    assert result.exit_code == 1
    assert address in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list((cli_env.folder / "links").iterdir()) == []


@pytest.mark.parametrize("name", ["sandbox", "demo"])
def test_missing_extra_is_reported(cli_env, monkeypatch, name):
    """One sentence that names what to install."""
    for module in list(sys.modules):
        if module.startswith(("hardware.sim.rest", "agent.demo")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    result = cli_env.run_bare(name, *([] if name == "demo" else ["--link-dir", str(cli_env.folder)]))
    assert result.exit_code == 1
    assert "aiohttp" in result.stderr
    assert "pip install 'modem-agent[sandbox]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def _get(url, path):
    with urllib.request.urlopen(url + path, timeout=20) as answer:
        return json.load(answer)


@pytest.mark.parametrize("form", ["--json", None])
def test_sandbox_prints_its_addresses(cli_env, form):
    """One line of JSON, or a line for each SIM; then it runs until SIGTERM and removes its links."""
    words = [
        "--listen",
        "127.0.0.1:0",
        "--link-dir",
        str(cli_env.folder / "links"),
        "--sim",
        f"super-sim=meter:sid={SIM_SID},status=inactive,fleet={FLEET_SID}",
        "--account",
        ACCOUNT,
        "--token",
        "secret",
        "--clock",
        "frozen,2026-11-01",
        "--seed",
        "3",
        "--supersim-port",
        "0",
        "--rule",
        "long-text=split",
        "--service-fault",
        "unavailable",
    ]
    process = subprocess.Popen(
        [*COMMAND, "sandbox", *words, *([form] if form else [])], stdout=subprocess.PIPE, text=True
    )
    try:
        first = process.stdout.readline()
        if form:
            description = json.loads(first)
            [sim] = description["sims"]
            assert (sim["unique_name"], sim["service"]) == ("meter", "super-sim")
            assert Path(sim["link"]).is_symlink()
            assert sim["sid"] == SIM_SID
            assert _get(description["url"], "/sandbox/rules")["rules"]["long-text"] == "split"
            [fault] = _get(description["url"], "/sandbox/services/faults")["faults"]
            assert fault["fault"] == "unavailable"
            assert (description["account"], description["token"]) == (ACCOUNT, "secret")
            assert description["url"].startswith("http://127.0.0.1:")
            assert description["product_urls"]["supersim"].startswith("http://127.0.0.1:")
        else:
            assert first.startswith("Console and REST API: http://127.0.0.1:")
            assert process.stdout.readline().startswith(
                "  supersim, with the paths of the vendor's host: http:"
            )
            assert process.stdout.readline().startswith("  meter  super-sim, SIM HS")
            assert process.stdout.readline() == f"Account {ACCOUNT}, token secret; seed 3\n"
            assert process.stdout.readline().startswith("The services need these credentials; --open")
            assert process.stdout.readline().startswith("The clock is frozen at 2026-11-01 00:00:00+00:00;")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert list((cli_env.folder / "links").iterdir()) == []


def test_ports_and_pin_from_the_command_line(cli_env):
    """A socket for an agent, a Unix socket, the mode of the port, a SIM with PIN, and all bytes in a file."""
    folder = cli_env.folder
    words = f"""--listen 127.0.0.1:0 --link-dir {folder}/links --json
        --sim super-sim=meter --sim super-sim=lamp --tcp 127.0.0.1:0 --unix {folder}/port@meter
        --mode 0666 --group {os.getgid()}
        --pin 4321:tries=1@meter --answer +CGPSINFO=none@meter --answer +CGPSINFO=here
        --log-bytes {folder}/bytes""".split()
    process = subprocess.Popen([*COMMAND, "sandbox", *words], stdout=subprocess.PIPE, text=True)
    try:
        meter, lamp = json.loads(process.stdout.readline())["sims"]
        assert meter["unix"] == f"{folder}/port"
        assert "tcp" not in lamp
        assert Path(lamp["link"]).stat().st_mode & 0o777 == 0o666
        make_opener(meter["tcp"])  # an agent's port
        host, port = meter["tcp"].removeprefix("socket://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"ATE0+CPIN?;+CGPSINFO\r")
            answer = b""
            while not answer.endswith(b"OK\r\n"):
                answer += client.recv(100)
            client.sendall(b"AT+CMEE=1;+CPIN=1111\r")
            refusal = b""
            while not refusal.endswith(b"\r\n+CME ERROR: 12\r\n"):
                refusal += client.recv(100)
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert b"\r\n+CPIN: SIM PIN\r\n\r\nhere\r\n" in answer
    log = (folder / "bytes").read_text().splitlines()
    assert any(line.endswith(r" meter > ATE0+CPIN?;+CGPSINFO\r") for line in log)
    assert any(r" lamp | \r\nRDY\r\n" in line for line in log)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--account", "AC1"], "AC1 is not AC and 32 hexadecimal digits"),
        (["--token", ""], "it must be printable ASCII characters without blanks"),
        (["--token", "a b"], "it must be printable ASCII characters without blanks"),
        (["--clock", "frozen", "--replay", "FILE"], "--replay does not take --clock"),
        (["--pin", "1234", "--replay", "FILE"], "--replay does not take --pin"),
        (["--clock", "soon"], 'soon: it must be a time such as "2026-11-01T00:00:00Z"'),
        (["--clock", "frozen,running"], "is not frozen, a time, or frozen,TIME"),
        (["--rule", "long-text=keep"], 'the rule long-text is one of refuse, truncate, split, not "keep"'),
        (["--rule", "nothing=x"], "there is no rule nothing; the rules are long-text"),
        (["--service-fault", "nothing"], 'there is no fault "nothing"'),
        (["--service-fault", "late:seconds=nan"], "fault late: "),
        (["--supersim-port", "65536"], "65536 is not in the range 0<=x<=65535"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--part-gap", "nan"], 'it must be seconds, or a duration such as "24h"'),
        (["--link-dir", ""], "it must be the path of a folder"),
        (["--open", "--replay", "FILE"], "--replay does not take --open"),
    ],
)
def test_invalid_values_are_wrong_usage(cli_env, words, sentence):
    """Exit status 2 and the reason."""
    result = cli_env.run_bare("sandbox", "--link-dir", str(cli_env.folder), *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    "host", ["", "a b", "http://example.com", "example.com:80", "127.1", "-", "x/y", "ü.example"]
)
def test_invalid_callback_host_is_wrong_usage(cli_env, host):
    """Exit status 2 and an example."""
    result = cli_env.run_bare(
        "sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), "--allow-callback", host
    )
    assert result.exit_code == 2
    assert f"{host} is not a host name or an address, for example hooks.example.com" in result.stderr


@pytest.mark.parametrize(
    ("option", "line"),
    [("--rule", "  sid-overrun=refuse|truncate|split  [default: refuse]"), ("--service-fault", "  times  ")],
)
def test_list_of_rules_and_faults(cli_env, option, line):
    """The word `list` prints all of them."""
    result = cli_env.run_bare("sandbox", option, "list")
    assert result.exit_code == 0
    assert any(each.startswith(line) for each in result.stdout.splitlines())
