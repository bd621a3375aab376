"""`Modem` against the simulated module, end to end."""

import pdu
from agent.modem.events import MessageArrived
from agent.modem.sending import Sent
from agent.modem.stored_message import Slot


def submit(text="OK 17", number="000"):
    (user_data,) = pdu.segment(text)
    return pdu.Submit(pdu.Address.parse(number), user_data)


async def no_wait():
    """Do nothing before the body."""


def test_one_message_and_its_reply_need_three_commands(run_modem_bench):
    """Notification, read, delete, send: one command each and no other."""

    async def scenario(bench):
        bench.deliver("hi")
        event = await bench.modem.next_event()
        assert event == MessageArrived(Slot("ME", 1))
        message = await bench.modem.read(event.slot)
        assert message.message.text == "hi"
        assert str(message.message.originating_address) == "000"
        assert message.slot == event.slot
        await bench.modem.delete(event.slot)
        outcome = await bench.modem.send(submit(), no_wait)
        assert outcome == Sent(0)
        assert bench.executed_lines == [
            "+CMGR=1",
            "+CMGD=1",
            f"+CMGS={len(bench.module.log.submitted_tpdus[0])}",
        ]
        assert await bench.modem.sweep() == []

    run_modem_bench(scenario)
