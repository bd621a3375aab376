"""Programs for a shell use the simulated module. Their commands are those of `hardware/CLIENTS.md`."""

from __future__ import annotations

import pytest

from client_bench import documented_block, requires_program, run_shell

pytestmark = pytest.mark.system


async def run_block(bench, heading, then=""):
    """Run a block of the page; returns exit status and output."""
    return await run_shell(bench, documented_block(heading) + then)


@requires_program("gnokii", "gnokii")
async def test_gnokii(client_bench):
    """It identifies the module, sends, and reads the own number and a message."""
    client_bench.send("+4477009009", "hello gnokii")
    status, output = await run_block(client_bench, "gnokii", "gnokii --config gnokiirc --getsms ME 1 || true")
    assert status == 0, output
    for expected in (client_bench.module.profile.imei, "+447700900001", "hello gnokii"):
        assert expected in output
    assert client_bench.texts == [("2936", "hello")]


@requires_program("gammu", "gammu")
async def test_gammu(client_bench):
    """It identifies the module, sends and reads; `test_message_clients` has the rest."""
    client_bench.send("+4477009009", "hello gammu")
    status, output = await run_block(client_bench, "gammu")
    assert status == 0, output
    assert client_bench.module.profile.imei in output
    assert "hello gammu" in output
    assert client_bench.texts == [("2936", "hello")]


@requires_program("comgt", "comgt")
async def test_comgt(client_bench):
    """Its script `sig` shows the signal, and the default script waits for the registration."""
    status, output = await run_block(client_bench, "comgt", "comgt -d $PORT")
    assert status == 0, output
    assert output.count("Signal Quality: 21,99") == 2
    assert 'Registered on Home network: "Simulated",7' in output


@requires_program("chat", "ppp")
async def test_chat_gets_no_carrier(client_bench):
    """The dial script of pppd ends at once, with the status of its first ABORT string."""
    status, output = await run_block(client_bench, "chat and pppd")
    assert (status, "NO CARRIER" in output) == (4, True)
    assert client_bench.module.log.command_lines[-1] == "D*99#"


@requires_program("wvdial", "wvdial")
async def test_wvdial_gets_no_carrier(client_bench):
    """The commands of its default configuration are accepted."""
    _, output = await run_block(client_bench, "wvdial")
    assert "Modem initialized." in output
    assert "No Carrier!" in output


@requires_program("socat", "socat")
async def test_socat(client_bench):
    """By the pseudo-terminal and by both sockets."""
    status, output = await run_block(client_bench, "socat")
    assert status == 0, output
    assert output.count("+CSQ: 21,99") == 3


async def test_shell(client_bench):
    """It sends commands and reads lines, several times without a pause; the rate of stty stays."""
    block = documented_block("Shell")
    status, output = await run_shell(
        client_bench, block + block.replace("115200", "9600") * 4 + "stty -F $PORT speed"
    )
    assert status == 0
    assert output.count("+CSQ: 21,99") == 5
    assert output.endswith("9600\n")
