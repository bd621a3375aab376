"""Beginning anew between tests: what is forgotten, and what stays."""

from __future__ import annotations

import asyncio
import os
import random
from datetime import UTC, datetime

import pytest

from hardware.sim.network.events import NetworkEventKind
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.service.errors import ServiceError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def server(tmp_path):
    sandbox = Sandbox(link_dir=tmp_path, clock=SandboxClock(lambda: NOW), rng=random.Random(1))
    server = SandboxServer(sandbox, ("127.0.0.1", 0))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def sandbox(server):
    return server.sandbox


def create(sandbox, text="ping", **parameters):
    return sandbox.services["super-sim"].create({"Sim": "super-sim", "Payload": text, **parameters})


async def test_reset_forgets_what_has_happened(sandbox):
    """Commands, waiting messages, events, callbacks, faults, coverage, and changes of Sims and Fleets."""
    sandbox.detach("super-sim")
    sandbox.find_sim("super-sim").module.faults.add("mute:for=0")
    command = create(sandbox)
    sandbox.send_sms("super-sim", "+15557654321", "hello")
    sandbox.account.sims["/supersim"].update("super-sim", {"Status": "inactive", "UniqueName": "renamed"})
    sandbox.account.fleets.update("default", {"SmsCommandsUrl": "http://127.0.0.1:1/"})
    await sandbox.reset()
    sim = sandbox.find_sim("super-sim")
    with pytest.raises(ServiceError):
        sandbox.services["super-sim"].fetch(command.sid)
    assert sandbox.network.count_waiting(sim.sim_card.imsi) == 0
    assert sim.module.faults.describe() == {"faults": [], "struck": []}
    assert sandbox.network.is_reachable(sim.sim_card.imsi)
    assert sandbox.account.sims["/supersim"].fetch("super-sim").status == "active"
    assert sandbox.account.fleets.fetch("default").webhooks["SmsCommands"].url is None
    assert list(sandbox.callbacks.records) == []
    assert sandbox.records.events[-1][2].kind is NetworkEventKind.RESET


async def test_reset_keeps_identity(sandbox):
    """SIDs and links stay, and the numbers of events go on: a follower sees that it has begun anew."""
    before = [(sim.sid, str(sim.link), sim.sim_card.imsi) for sim in sandbox.sims.values()]
    create(sandbox)
    last = sandbox.records.events[-1][0]
    await sandbox.reset()
    assert [(sim.sid, str(sim.link), sim.sim_card.imsi) for sim in sandbox.sims.values()] == before
    assert sandbox.records.events[0][0] > last


async def test_open_port_survives_and_gets_nothing_old(sandbox, open_port):
    """A program that runs across tests sees a module that boots; no half command and no setting is left."""
    port = open_port(sandbox.find_sim("super-sim").link)
    await port.send_command("AT+CMGF=1")
    os.write(port._fd, b"ATE0V0\rAT+CM")
    await sandbox.reset()
    await port.wait_for("SMS DONE")
    assert await port.send_command("AT+CMGF?") == "\r\nAT+CMGF?\r\r\n+CMGF: 0\r\n\r\nOK\r\n"


async def test_moved_clock_shows_the_time_of_the_start_again(sandbox):
    """A test that moved the clock by weeks, or froze it, does not move it for the next one."""
    await sandbox.pass_time(30 * 86400)
    sandbox.freeze_clock()
    await sandbox.reset()
    assert sandbox.clock.is_running
    assert sandbox.clock.now() == NOW


async def test_console_starts_again(server):
    """What it shows begins with the reset, for a page that is open, too."""
    create(server.sandbox)
    shown = server.console.follow()
    async for _, message in shown:
        if "super-sim" in str(message):
            break
    await server.reset()
    create(server.sandbox, "after the reset")
    _, message = await anext(shown)
    assert "ping" not in str(message)
    await shown.aclose()


async def test_two_resets_at_the_same_time(server, sandbox, receiver):
    """Each is done at once, although the receiver of a callback has not answered."""

    called = asyncio.Event()

    async def hang(_request):
        called.set()
        await asyncio.Event().wait()

    receiver.answers = [hang]
    create(sandbox, CallbackUrl=receiver.url)
    await called.wait()
    await asyncio.gather(server.reset(), server.reset())
    assert sandbox.network.count_waiting(sandbox.find_sim("super-sim").sim_card.imsi) == 0
