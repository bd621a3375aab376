"""Programs for a shell use the simulated module: gnokii, comgt, chat, wvdial, socat, stty and redirections.

Each line is that of `hardware/CLIENTS.md`.
"""

from __future__ import annotations

import asyncio

import pytest

from client_bench import LIMIT_S, find_program, requires_program, run

pytestmark = pytest.mark.system


async def run_shell(script, **values):
    """Run a script; returns its exit status and its output."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script.format(**values),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.fixture
def gnokii(client_bench):
    """Runs one gnokii command. It takes only short paths."""
    config = client_bench.folder / "gnokiirc"
    config.write_text(
        f"[global]\nport = {client_bench.port.resolve()}\nmodel = AT\nconnection = serial\n[logging]\n"
    )

    async def command(*words, stdin=None):
        return await run(find_program("gnokii"), "--config", config, *words, stdin=stdin)

    return command


@requires_program("gnokii", "gnokii")
async def test_gnokii(client_bench, gnokii):
    """It identifies the module, reads a message and the own number, and sends."""
    assert client_bench.module.profile.imei in await gnokii("--identify")
    client_bench.send("+4477009009", "hello gnokii")
    assert "hello gnokii" in await gnokii("--getsms", "ME", "1")
    assert "+447700900001" in await gnokii("--getphonebook", "ON", "1", "1")
    await gnokii("--sendsms", "2936", stdin=b"from gnokii\n")
    assert client_bench.texts == [("2936", "from gnokii")]


@requires_program("comgt", "comgt")
async def test_comgt(client_bench):
    """Its default script waits for the registration and shows the signal; `sig` shows only that."""
    output = await run(find_program("comgt"), "-d", client_bench.port)
    assert 'Registered on Home network: "Simulated",7' in output
    assert "Signal Quality: 21,99" in await run(find_program("comgt"), "-d", client_bench.port, "sig")


@requires_program("chat", "ppp")
async def test_chat_gets_no_carrier(client_bench):
    """The dial script of pppd ends at once, with the status of its first ABORT string."""
    status, output = await run_shell(
        """{chat} -V -t 10 ABORT 'NO CARRIER' '' ATZ OK 'AT+CGDCONT=1,"IP","super"' OK 'ATD*99#' """
        "CONNECT '' < {port} > {port}",
        chat=find_program("chat"),
        port=client_bench.port,
    )
    assert (status, "NO CARRIER" in output) == (4, True)
    assert client_bench.module.log.command_lines[-1] == "D*99#"


@requires_program("wvdial", "wvdial")
async def test_wvdial_gets_no_carrier(client_bench):
    """The commands of its default configuration are accepted."""
    config = client_bench.folder / "wvdial.conf"
    config.write_text(
        f"[Dialer Defaults]\nModem = {client_bench.port}\nBaud = 115200\nInit1 = ATZ\n"
        "Init2 = ATQ0 V1 E1 S0=0 &C1 &D2 +FCLASS=0\nPhone = *99#\nUsername = x\nPassword = x\n"
        "Dial Attempts = 1\n"
    )
    _, output = await run_shell("{wvdial} -C {config} 2>&1", wvdial=find_program("wvdial"), config=config)
    assert "Modem initialized." in output
    assert "No Carrier!" in output


@requires_program("socat", "socat")
@pytest.mark.parametrize("address", ["{port},raw,echo=0", "UNIX-CONNECT:{unix}", "TCP:127.0.0.1:{tcp}"])
async def test_socat(client_bench, address):
    """By the pseudo-terminal and by both sockets."""
    values = {"port": client_bench.port, "unix": client_bench.unix, "tcp": client_bench.tcp_port}
    output = await run(find_program("socat"), "-t1", "-", address.format(**values), stdin=b"AT+CSQ\r")
    assert "+CSQ: 21,99" in output
    assert "OK" in output


async def test_shell(client_bench):
    """stty sets the line, and a shell sends commands and reads lines; several times without a pause."""
    script = r"""
        stty -F {port} 9600 raw -echo
        for round in 1 2 3 4 5; do
            exec 3<>{port}
            printf 'ATE0+CSQ\r' >&3
            while read -t 10 -r line <&3 && [ "$line" != $'OK\r' ]; do echo "$line"; done
            exec 3>&-
        done
        stty -F {port} speed
    """
    status, output = await run_shell(script, port=client_bench.port)
    assert status == 0
    assert output.count("+CSQ: 21,99") == 5
    assert output.endswith("9600\n")
