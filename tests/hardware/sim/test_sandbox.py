"""The sandbox as a whole: SIMs in modules on pseudo-terminals, its description, start and stop."""

from __future__ import annotations

import asyncio
import os
import random
import re
import resource
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

import pdu
from hardware.sim.rest.server import SandboxServer, SandboxUnavailable
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SimSpec

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def make_sandbox(tmp_path):
    def make(*sims, **how):
        how = {"link_dir": tmp_path / "ports", **({"sims": sims} if sims else {}), **how}
        return Sandbox(clock=SandboxClock(lambda: NOW), rng=random.Random(1), **how)

    return make


@pytest.fixture
def make_server(make_sandbox):
    def make(port=0, **how):
        return SandboxServer(make_sandbox(**how), ("127.0.0.1", port))

    return make


async def test_default_sims(make_server, tmp_path):
    """Three SIMs named after their services, with links of the same names; `describe` has them all."""
    server = make_server()
    await server.start()
    try:
        description = server.describe()
        names = ["super-sim", "programmable-wireless", "super-sim-beta"]
        assert [sim["unique_name"] for sim in description["sims"]] == names
        assert [sim["service"] for sim in description["sims"]] == names
        assert [sim["sid"][:2] for sim in description["sims"]] == ["HS", "DE", "HS"]
        assert [sim["link"] for sim in description["sims"]] == [
            str(tmp_path / "ports" / name) for name in names
        ]
        assert description["base_urls"] == {
            "supersim": f"{description['url']}/supersim",
            "wireless": f"{description['url']}/wireless",
        }
        assert description["account"].startswith("AC")
        for sim in description["sims"]:
            assert os.path.exists(sim["link"])  # noqa: ASYNC240, PTH110 - a symbolic link to a terminal
    finally:
        await server.stop()


async def test_stop_leaves_nothing_behind(make_server, tmp_path):
    """No link, no task, no open file; a second stop does nothing."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder is no ordinary one
    tasks = asyncio.all_tasks()
    server = make_server()
    await server.stop()
    await server.start()
    server.sandbox.send_sms("super-sim", "000", "waits for the module to attach")
    await server.stop()
    await server.stop()
    assert server.sandbox.network._timers.is_idle
    assert list((tmp_path / "ports").iterdir()) == []
    assert asyncio.all_tasks() == tasks
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the folder is no ordinary one


async def test_sandbox_can_be_restarted(make_server):
    """With the same account, and new SIMs."""
    server = make_server()
    for _ in range(2):
        await server.start()
        assert len(server.describe()["sims"]) == 3
        await server.stop()


async def test_address_in_use(make_server, tmp_path):
    """One sentence with address and remedy, and nothing is left behind."""
    first = make_server(link_dir=tmp_path / "first")
    await first.start()
    port = int(first.url.rpartition(":")[2])
    second = make_server(port)
    with pytest.raises(SandboxUnavailable, match=rf"^Cannot listen on 127\.0\.0\.1:{port}: .*--listen"):
        await second.start()
    assert list((tmp_path / "ports").iterdir()) == []
    await first.stop()


async def test_link_folder_that_cannot_be_created(make_server, tmp_path):
    """One sentence that names it."""
    (tmp_path / "file").write_text("")
    server = make_server(link_dir=tmp_path / "file" / "ports")
    with pytest.raises(SandboxUnavailable, match="--link-dir"):
        await server.start()


@pytest.mark.parametrize(
    ("sims", "says"),
    [
        ([SimSpec(service="carrier-pigeon")], "no service carrier-pigeon"),
        ([SimSpec(unique_name="../x")], "is not usable as a file name"),
        ([SimSpec(unique_name=".x")], "is not usable as a file name"),
        ([SimSpec(unique_name="x\n")], "is not usable as a file name"),
        ([SimSpec(unique_name="a"), SimSpec(unique_name="a")], "two SIMs have the name a"),
        ([SimSpec(), SimSpec()], "two SIMs have the name super-sim"),
    ],
)
def test_invalid_sims_are_refused(make_sandbox, sims, says):
    """One sentence before anything starts."""
    with pytest.raises(ValueError, match=says):
        make_sandbox(*sims)


@pytest.mark.parametrize(
    ("name", "path", "number", "parameter"),
    [
        ("super-sim", "/supersim/v1/SmsCommands", "000", "Payload"),
        ("programmable-wireless", "/wireless/v1/Commands", "2936", "Command"),
        ("super-sim-beta", "/supersim/v1/Commands", "000", "Command"),
    ],
)
async def test_command_reaches_an_at_client_and_is_answered(
    make_server, open_port, name, path, number, parameter
):
    """Created over HTTP, read over the port with plain AT commands, answered, listed (but by the beta)."""
    server = make_server()
    sandbox = server.sandbox
    await server.start()
    terminal = open_port(sandbox.find_sim(name).link)
    try:
        async with aiohttp.ClientSession(server.url) as http:
            for line in ("ATE0", "AT+CMEE=1", "AT+CMGF=0", "AT+CNMI=2,1,0,0,0"):
                await terminal.send_command(line)
            while not re.search(r"CREG: 0,[15]", await terminal.send_command("AT+CREG?")):
                pass
            async with http.post(path, data={"Sim": name, parameter: "led on"}) as answer:
                made = await answer.json()
            index = re.search(
                r'"ME",(\d+)', await terminal.wait_for("\r\n+CMTI: ") + await terminal.wait_for("\r\n")
            )[1]
            heard = await terminal.send_command(f"AT+CMGR={index}")
            message = pdu.decode(re.search(r"\r\n([0-9A-F]+)\r\n", heard)[1])
            assert (message.text, str(message.originating_address)) == ("led on", number)
            await terminal.send_command(f"AT+CMGD={index}")
            reply = pdu.encode(pdu.Submit(pdu.Address.parse(number), pdu.UserData.of("led is {on}")))
            await terminal.send_command(f"AT+CMGS={reply.length}", "> ")
            assert "+CMGS: " in await terminal.send_command(reply.hex + "\x1a")
            async with http.get(made["url"].removeprefix(server.url)) as answer:
                assert (await answer.json())["status"] == "delivered"
            async with http.get(path, params={"Direction": "from_sim"}) as answer:
                body = await answer.json()
            answers = [row[parameter.lower()] for row in body[body["meta"]["key"]]]
            assert answers == ([] if name == "super-sim-beta" else ["led is {on}"])
            assert [message.body for message in sandbox.network.mo_messages] == ["led is {on}"]
    finally:
        await server.stop()


async def test_module_out_of_coverage_searches(make_sandbox, open_port):
    """Its module searches, and registers again when it is back."""
    sandbox = make_sandbox(SimSpec(unique_name="meter"))
    await sandbox.start()
    terminal = open_port(sandbox.find_sim("meter").link)
    try:
        await terminal.send_command("ATE0")
        while "CREG: 0,5" not in await terminal.send_command("AT+CREG?"):
            pass
        await terminal.send_command("AT+CREG=1")
        sandbox.detach("meter")
        await terminal.wait_for("\r\n+CREG: 2\r\n")
        await terminal.send_command("AT+CFUN=4")
        sandbox.attach("meter")
        assert "CREG: 1,0" in await terminal.send_command("AT+CREG?")
        await terminal.send_command("AT+CFUN=1")
        await terminal.wait_for("\r\n+CREG: 5\r\n")
    finally:
        await sandbox.stop()


def count_open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_limit_of_open_files_is_named(make_server, tmp_path):
    """The error names no file; the remedy is another one than for a link that cannot be made."""
    server = make_server(sims=[SimSpec(unique_name=f"sim-{number}") for number in range(50)])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count_open_files() + 20, limits[1]))
    try:
        with pytest.raises(SandboxUnavailable, match="ulimit -n"):
            await server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list((tmp_path / "ports").iterdir()) == []
