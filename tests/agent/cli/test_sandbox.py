"""`sandbox`: what it is told and what it tells."""

import importlib
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.daemon.control_socket import ControlUnusable

demo_module = importlib.import_module("agent.cli.demo")  # its command bears the same name
COMMAND = [sys.executable, "-c", "from agent.cli import main; main()"]


@pytest.mark.parametrize("listen", ["8480", ":8480", "host:", "host:x", "host:65536", "host:-1", ""])
def test_an_address_that_is_none(cli_env, listen):
    """Exit status 2 and an example."""
    result = cli_env.run_bare("sandbox", "--listen", listen, "--link-dir", str(cli_env.folder))
    assert result.exit_code == 2
    assert "is not HOST:PORT, for example 127.0.0.1:8480" in result.stderr


@pytest.mark.parametrize(
    ("sims", "sentence"),
    [
        (["frobnicate"], "there is no service frobnicate; there are super-sim, programmable-wireless"),
        (["super-sim=a", "super-sim=a"], "a"),
        (["super-sim=../x"], "x"),
    ],
)
def test_sims_that_cannot_be(cli_env, sims, sentence):
    """Exit status 2; the name is said."""
    words = [word for sim in sims for word in ("--sim", sim)]
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), *words)
    assert result.exit_code == 2
    assert "Usage: modem-agent sandbox" in result.stderr
    assert sentence in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("rate", ["0", "299", "fast", "9600.0", "-9600", "10000000"])
def test_a_rate_that_is_none(cli_env, rate):
    """Exit status 2; what there is, is said."""
    result = cli_env.run_bare(
        "sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), "--baud", rate
    )
    assert result.exit_code == 2
    assert f"{rate} is neither auto nor a rate from 300 to 4000000" in result.stderr


def test_a_folder_that_is_none(cli_env):
    """Exit status 1 and the option."""
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.config / "x"))
    assert result.exit_code == 1
    assert result.stderr == f"modem-agent: --link-dir {cli_env.config}/x: Not a directory\n"


def test_a_port_that_is_taken(cli_env):
    """Exit status 1; the links are not left behind."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        address = f"127.0.0.1:{line.getsockname()[1]}"
        result = cli_env.run_bare("sandbox", "--listen", address, "--link-dir", str(cli_env.folder / "links"))
    assert result.exit_code == 1
    assert address in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list((cli_env.folder / "links").iterdir()) == []


@pytest.mark.parametrize("name", ["sandbox", "demo"])
def test_without_the_extra(cli_env, monkeypatch, name):
    """One sentence that says what to install."""
    for module in list(sys.modules):
        if module.startswith(("hardware.sim.rest", "agent.demo")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    result = cli_env.run_bare(name, *([] if name == "demo" else ["--link-dir", str(cli_env.folder)]))
    assert result.exit_code == 1
    assert "aiohttp" in result.stderr
    assert "pip install 'modem-agent[sandbox]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("form", ["--json", None])
def test_it_says_where_everything_is(cli_env, form):
    """For scripts in one first line, for people in a few; then it goes on until it is told to end."""
    words = [
        "--listen",
        "127.0.0.1:0",
        "--link-dir",
        str(cli_env.folder / "links"),
        "--sim",
        "super-sim=meter",
    ]
    process = subprocess.Popen(
        [*COMMAND, "sandbox", *words, *([form] if form else [])], stdout=subprocess.PIPE, text=True
    )
    try:
        first = process.stdout.readline()
        if form:
            told = json.loads(first)
            [sim] = told["sims"]
            assert (sim["unique_name"], sim["service"]) == ("meter", "super-sim")
            assert Path(sim["link"]).is_symlink()
            assert sim["sid"].startswith("HS")
            assert told["account"].startswith("AC")
            assert told["token"]
            assert told["url"].startswith("http://127.0.0.1:")
        else:
            assert first.startswith("REST API and a page that explains it: http://127.0.0.1:")
            assert process.stdout.readline().startswith("  meter  super-sim, SIM HS")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert list((cli_env.folder / "links").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "sentences"),
    [
        (OSError(28, "No space left on device", "/tmp/x"), ["[Errno 28] No space left on device: '/tmp/x'"]),
        (ExceptionGroup("three", [ControlUnusable("too long")] * 3), ["too long"]),
        (
            ExceptionGroup("two", [ControlUnusable("a"), ExceptionGroup("in", [OSError("b")])]),
            ["a", "b"],
        ),
    ],
)
def test_a_demo_that_cannot_be_set_up(cli_env, monkeypatch, error, sentences):
    """A sentence for each reason, however many agents it met."""

    async def fails(*_words, **_more):
        raise error

    monkeypatch.setattr(demo_module, "_run_demo", fails)
    result = cli_env.run_bare("demo", "--once")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"modem-agent: the demo cannot be set up: {each}" for each in sentences
    ]


def test_a_demo_whose_agents_are_never_ready(cli_env, monkeypatch):
    """A sentence."""

    async def never(*_words, **_more):
        raise TimeoutError

    monkeypatch.setattr(demo_module, "_run_demo", never)
    result = cli_env.run_bare("demo", "--once")
    assert result.exit_code == 1
    assert "did not become ready in time" in result.stderr
