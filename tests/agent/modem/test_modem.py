"""The modem against the simulated module: what is received, sent and heard, end to end."""

import pdu
from agent.modem.events import MessageArrived
from agent.modem.sending import Sent
from agent.modem.stored_message import Slot


def submit(text="OK 17", number="000"):
    (user_data,) = pdu.segment(text)
    return pdu.Submit(pdu.Address.parse(number), user_data)


async def nothing():
    """No condition for the body."""


def test_a_message_comes_and_an_answer_goes(run_modem_bench):
    """Notification, reading, deleting, sending: one command each and nothing else."""

    async def story(stand):
        stand.deliver("hi")
        news = await stand.modem.next_event()
        assert news == MessageArrived(Slot("ME", 1))
        message = await stand.modem.read(news.slot)
        assert message.message.text == "hi"
        assert str(message.message.originating_address) == "000"
        assert message.slot == news.slot
        await stand.modem.delete(news.slot)
        outcome = await stand.modem.send(submit(), nothing)
        assert outcome == Sent(0)
        assert stand.executed_lines == [
            "+CMGR=1",
            "+CMGD=1",
            f"+CMGS={len(stand.module.log.submitted_tpdus[0])}",
        ]
        assert await stand.modem.sweep() == []

    run_modem_bench(story)
