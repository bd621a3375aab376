"""The modem over a pseudo-terminal, in real time."""

import asyncio
from datetime import UTC, datetime

import pytest

import pdu
from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.transport.open import make_opener
from agent.modem.modem import Modem
from agent.modem.sending import Sent
from hardware.profile import SimulatorProfile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.pty import Pty
from hardware.sim.module.sim_card import SimCard

CENTRE = pdu.Address.parse("+447700900000")


class FakeNetwork:
    """A network that accepts everything at once."""

    def attach(self, station):
        return 1

    def detach(self, station):
        pass

    def submit(self, station, token, tpdu):
        station.submitted(token, None)

    def acknowledge(self, station, reference, cause):
        pass

    def memory_available(self, station):
        pass


@pytest.fixture
async def module_on_pty(tmp_path):
    """A simulated module on a pseudo-terminal."""
    pty = Pty(tmp_path / "modem")
    loop = asyncio.get_running_loop()
    simulated = SimulatedModule(
        scheduler=loop,
        wall_clock=lambda: datetime(2026, 11, 22, tzinfo=UTC),
        network=FakeNetwork(),
        profile=SimulatorProfile(),
        sim=SimCard(),
        write=pty.write,
    )
    simulated.pty = pty
    pty.start(simulated.receive)
    simulated.power_on()
    yield simulated
    pty.close()


def deliver(module, number):
    (user_data,) = pdu.segment(f"message {number}")
    message = pdu.Deliver(
        originating_address=pdu.Address.parse("000"),
        service_centre_timestamp=pdu.Timestamp.of(datetime(2026, 11, 22, 12, 0, number, tzinfo=UTC)),
        user_data=user_data,
    )
    module.deliver(number, CENTRE, pdu.encode(message, sca=False).octets)


async def commit():
    """Takes the place of the commit of the journal."""


async def test_twenty_messages_and_replies(module_on_pty):
    """Each is read, deleted and answered; nothing is lost and nothing is sent twice."""
    modem = Modem(await AtClient.open(make_opener(str(module_on_pty.pty.link))))
    async with asyncio.timeout(20):
        await modem.initialise()
        (user_data,) = pdu.segment("OK")
        for number in range(20):
            deliver(module_on_pty, number)
            event = await modem.next_event()
            message = await modem.read(event.slot)
            assert message.message.text == f"message {number}"
            await modem.delete(event.slot)
            assert await modem.send(pdu.Submit(pdu.Address.parse("000"), user_data), commit) == Sent(number)
        assert await modem.sweep() == []
        modem.close()
        await modem.wait_closed()
    assert len(module_on_pty.log.submitted_tpdus) == 20


async def test_consecutive_sessions_on_one_port(module_on_pty):
    """A session leaves the port usable for the next one, even if it ends within a message."""
    opener = make_opener(str(module_on_pty.pty.link))
    for number in range(3):
        modem = Modem(await AtClient.open(opener))
        async with asyncio.timeout(20):
            await modem.initialise()
            deliver(module_on_pty, number)
            event = await modem.next_event()
            assert (await modem.read(event.slot)).message.text == f"message {number}"
            await modem.delete(event.slot)
            (user_data,) = pdu.segment("OK")
            sending = asyncio.create_task(
                modem.send(pdu.Submit(pdu.Address.parse("000"), user_data), lambda: asyncio.sleep(60))
            )
            await asyncio.sleep(0.1)
            sending.cancel()
            modem.close()
            await modem.wait_closed()
    assert module_on_pty.log.submitted_tpdus == []


async def test_unplugged_port_ends_the_session(module_on_pty):
    """The session ends at once."""
    modem = Modem(await AtClient.open(make_opener(str(module_on_pty.pty.link))))
    async with asyncio.timeout(20):
        await modem.initialise()
        waiting = asyncio.create_task(modem.next_event())
        await asyncio.sleep(0)
        module_on_pty.pty.unplug()
        with pytest.raises(ModemLost, match="is gone"):
            await waiting
        with pytest.raises(ModemLost):
            await modem.sweep()
        await modem.wait_closed()
        module_on_pty.pty.plug()
