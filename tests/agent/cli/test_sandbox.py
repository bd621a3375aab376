"""`sandbox`: its options, its output, and its end."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNT = "AC" + "1" * 32
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
        (["super-sim=a", "super-sim=a"], "a"),
        (["super-sim=../x"], "x"),
    ],
)
def test_invalid_sim_is_wrong_usage(cli_env, sims, sentence):
    """Exit status 2 and the name."""
    words = [word for sim in sims for word in ("--sim", sim)]
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), *words)
    assert result.exit_code == 2
    assert "Usage: modem-agent sandbox" in result.stderr
    assert sentence in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("rate", ["0", "299", "fast", "9600.0", "-9600", "10000000"])
def test_invalid_baud_rate_is_wrong_usage(cli_env, rate):
    """Exit status 2 and the allowed values."""
    result = cli_env.run_bare(
        "sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.folder), "--baud", rate
    )
    assert result.exit_code == 2
    assert f"{rate} is neither auto nor a rate from 300 to 4000000" in result.stderr


def test_unusable_link_folder_is_reported(cli_env):
    """The option and the error, exit status 1."""
    result = cli_env.run_bare("sandbox", "--listen", "127.0.0.1:0", "--link-dir", str(cli_env.config / "x"))
    assert result.exit_code == 1
    assert result.stderr == f"modem-agent: --link-dir {cli_env.config}/x: Not a directory\n"


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


@pytest.mark.parametrize("form", ["--json", None])
def test_sandbox_prints_its_addresses(cli_env, form):
    """One line of JSON, or a line for each SIM; then it runs until SIGTERM and removes its links."""
    words = [
        "--listen",
        "127.0.0.1:0",
        "--link-dir",
        str(cli_env.folder / "links"),
        "--sim",
        "super-sim=meter",
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
            assert sim["sid"].startswith("HS")
            assert (description["account"], description["token"]) == (ACCOUNT, "secret")
            assert description["url"].startswith("http://127.0.0.1:")
            assert description["product_urls"]["supersim"].startswith("http://127.0.0.1:")
        else:
            assert first.startswith("REST API, with a page that explains it: http://127.0.0.1:")
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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--account", "AC1"], "AC1 is not AC and 32 hexadecimal digits"),
        (["--token", ""], "it must be printable ASCII characters without blanks"),
        (["--token", "a b"], "it must be printable ASCII characters without blanks"),
        (["--clock", "frozen", "--replay", "FILE"], "--replay does not take --clock"),
        (["--clock", "soon"], 'soon: it must be a time such as "2026-11-01T00:00:00Z"'),
        (["--clock", "frozen,running"], "is not frozen, a time, or frozen,TIME"),
        (["--seed", "x"], "'x' is not a valid integer"),
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
