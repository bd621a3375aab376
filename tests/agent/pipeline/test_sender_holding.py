"""What holds all messages back without counting an attempt: no network, and sending that ends sessions."""

import asyncio

import pytest

from agent.modem.sending import OutcomeUnknown
from agent.modem.status_queries import Registration


@pytest.mark.parametrize(
    ("registration", "says"),
    [
        (Registration(2, 2, 2), "searching: messages wait for a network"),
        (Registration(3, 3), "registration denied: messages wait for a network"),
        (Registration(0), "not registered: messages wait for a network"),
    ],
)
async def test_no_network_holds_messages(pipeline, factories, registration, says):
    """For as long as it lasts: queued, never tried, no attempt counted; said once."""
    pipeline.queue_message()
    modem = factories.modem(pipeline)
    modem.registered = registration
    async with pipeline.run_sender(modem):
        await pipeline.advance(3600)
        assert pipeline.reply_states() == ["queued"]
        assert pipeline.query_column("SELECT attempts FROM replies") == [0]
        assert pipeline.calls_of("send") == []
        assert [step.message for step in pipeline.events_of_kind("held")] == [says]
        modem.registered = Registration(1)
        await pipeline.advance(20)
        assert pipeline.reply_states() == ["sent"]


async def test_one_domain_is_enough(pipeline, factories):
    """Circuit switched denied, EPS registered: it is sent."""
    pipeline.queue_message()
    modem = factories.modem(pipeline)
    modem.registered = Registration(3, 3, 5)
    async with pipeline.run_sender(modem):
        await pipeline.advance(5)
        assert pipeline.reply_states() == ["sent"]


async def test_sending_rests_as_long_as_it_must(pipeline, factories):
    """And goes on by itself."""
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 100)
    pipeline.brownout_guard.on_session_lost(pipeline.monotonic() - 99)
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 50)
    assert pipeline.brownout_guard.on_session_lost(pipeline.monotonic()) is None
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 9)
    pipeline.brownout_guard.on_session_lost(pipeline.monotonic() - 8)
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 5)
    assert pipeline.brownout_guard.on_session_lost(pipeline.monotonic()) == 300
    pipeline.queue_message()
    async with pipeline.run_sender(factories.modem(pipeline)):
        await pipeline.advance(295)
        assert pipeline.reply_states() == ["queued"]
        assert "sending rests" in pipeline.events_of_kind("held")[0].message
        await pipeline.advance(10)
        assert pipeline.reply_states() == ["sent"]


async def test_each_body_is_noted_before_it_leaves(pipeline, factories):
    """Two sessions that are lost right after it count."""
    for expected in (None, 300):
        pipeline.queue_message()
        modem = factories.modem(pipeline)

        async def ends(_submit, modem=modem):
            await pipeline.advance(0.3)
            modem.lose_line()
            return OutcomeUnknown(modem.loss_reason)

        modem.plan("send", ends)
        async with pipeline.run_sender(modem):
            await pipeline.advance(2)
        assert pipeline.brownout_guard.on_session_lost(pipeline.monotonic()) == expected


async def test_what_holds_all_back_is_told_for_as_long_as_it_does(pipeline, factories):
    """For `status`: nothing, then why, then nothing again."""
    modem = factories.modem(pipeline)
    sender = pipeline.make_sender(modem)
    task = asyncio.create_task(sender.run())
    await pipeline.advance(1)
    assert sender.blocked_by == ""
    modem.registered = Registration(2)
    pipeline.queue_message()
    pipeline.send_requested.set()
    await pipeline.advance(1)
    assert sender.blocked_by == "searching: messages wait for a network"
    modem.registered = Registration(1)
    await pipeline.advance(20)
    assert sender.blocked_by == ""
    modem.lose_line()
    await task
