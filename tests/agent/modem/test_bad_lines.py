"""The modem over serial lines that cut, delay and lose octets: what it reports stays true."""

import asyncio
import random

import pytest

import pdu
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.events import DirectDelivery, MessageArrived, SettingsLost
from agent.modem.modem import ModemUnusable
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, Sent
from agent.modem.stored_message import Undecodable


class BadLine:
    """Sits between the simulated module and the line, and cuts, delays or loses what the module writes."""

    def __init__(self, bench, seed, pieces, delay_s, loss):
        self.rng = random.Random(seed)
        self.bench = bench
        self.max_chunk_octets, self.delay_s, self.loss_rate = pieces, delay_s, loss
        self.next_write_at = 0.0
        self.write = bench.far.write
        bench.module.context.output_batch.sink = self.forward

    def forward(self, data):
        loop = asyncio.get_running_loop()
        while data:
            size = self.rng.randint(1, self.max_chunk_octets)
            piece, data = data[:size], data[size:]
            self.next_write_at = max(self.next_write_at, loop.time()) + self.rng.random() * self.delay_s
            if self.rng.random() >= self.loss_rate:
                loop.call_at(self.next_write_at, self.write, piece)


class FakeJournal:
    """Records the messages that were seen and the outcomes of what was sent."""

    def __init__(self):
        self.seen = set()
        self.sent, self.not_sent, self.unknown = set(), set(), set()


BAD_LINES = {
    "faithful": (4096, 0.0, 0.0),
    "byte by byte": (1, 0.001, 0.0),
    "late": (64, 0.3, 0.0),
    "losing": (24, 0.002, 0.004),
}


async def receive_next(modem, journal):
    """Receive as the pipeline does.

    Read what an event names, record it, delete it, and sweep from time to time.
    """
    while True:
        try:
            async with asyncio.timeout(60):
                event = await modem.next_event()
        except TimeoutError:
            messages = await modem.sweep()
        else:
            if isinstance(event, SettingsLost):
                await modem.initialise()
            if isinstance(event, DirectDelivery) and not isinstance(event.message.message, Undecodable):
                journal.seen.add(event.message.message.text)
                await event.acknowledge()
            slot = event.slot if isinstance(event, MessageArrived) else None
            message = await modem.read(slot) if slot is not None else None
            messages = [message] if message is not None else await modem.sweep()
        for message in messages:
            assert not isinstance(message.message, Undecodable), message
            journal.seen.add(message.message.text)
            await modem.delete(message.slot)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("line", BAD_LINES)
def test_receiving_and_sending_over_a_bad_line(run_modem_bench, line, seed):
    """Every message is seen whole before it is deleted.

    What is called not sent has not left; nothing is sent twice.
    """

    async def scenario(bench):
        BadLine(bench, seed, *BAD_LINES[line])
        rng = random.Random(seed + 100)
        journal = FakeJournal()
        arrived = [f"message {number} of {seed}" for number in range(12)]
        for number, text in enumerate(arrived):
            bench.loop.call_later(rng.random() * 600, lambda t=text, n=number: bench.deliver(t, minute=n))
        bench.loop.call_later(300, bench.module.reboot)

        async def receive_all():
            while True:
                try:
                    await receive_next(bench.modem, journal)
                except (CommandTimedOut, CommandRefused, ModemUnusable):
                    await asyncio.sleep(1)

        async def send_all():
            for number in range(12):
                await asyncio.sleep(rng.random() * 60)
                text = f"reply {number} of {seed}"
                (user_data,) = pdu.segment(text)
                submit = pdu.Submit(pdu.Address.parse("000"), user_data)
                match await bench.modem.send(submit, lambda: asyncio.sleep(0.01)):
                    case Sent():
                        journal.sent.add(text)
                    case NotSent() | Refused():
                        journal.not_sent.add(text)
                    case OutcomeUnknown():
                        journal.unknown.add(text)

        receiving = asyncio.create_task(receive_all())
        await send_all()
        await asyncio.sleep(2000)
        receiving.cancel()
        left = [
            pdu.decode(octets.hex(), direction="mo", sca=False).text
            for octets in bench.module.log.submitted_tpdus
        ]
        assert len(left) == len(set(left))
        assert not journal.not_sent & set(left)
        assert journal.sent <= set(left) <= journal.sent | journal.unknown
        if not bench.modem.loss_reason:
            assert journal.seen == set(arrived)
        assert journal.seen <= set(arrived)
        if line != "losing":
            assert not bench.modem.loss_reason
            assert len(journal.sent) >= 11

    run_modem_bench(scenario)
