"""What holds all messages back without counting an attempt: no network, and sending that ends sessions."""

import asyncio

import pytest

from agent.modem.sending import Unknown
from agent.modem.state import Registration


@pytest.mark.parametrize(
    ("registration", "says"),
    [
        (Registration(2, 2, 2), "searching: messages wait for a network"),
        (Registration(3, 3), "registration denied: messages wait for a network"),
        (Registration(0), "not registered: messages wait for a network"),
    ],
)
async def test_no_network_holds_messages(road, make, registration, says):
    """For as long as it lasts: queued, never tried, no attempt counted; said once."""
    road.message()
    modem = make.modem(road)
    modem.registered = registration
    async with road.sending(modem):
        await road.passes(3600)
        assert road.replies() == ["queued"]
        assert road.look("SELECT attempts FROM replies") == [0]
        assert road.happened("send") == []
        assert [step.detail for step in road.told("held")] == [says]
        modem.registered = Registration(1)
        await road.passes(20)
        assert road.replies() == ["sent"]


async def test_one_domain_is_enough(road, make):
    """Circuit switched denied, EPS registered: it is sent."""
    road.message()
    modem = make.modem(road)
    modem.registered = Registration(3, 3, 5)
    async with road.sending(modem):
        await road.passes(5)
        assert road.replies() == ["sent"]


async def test_sending_rests_as_long_as_it_must(road, make):
    """And goes on by itself."""
    road.rest.left(road.now() - 100)
    road.rest.lost(road.now() - 99)
    road.rest.left(road.now() - 50)
    assert road.rest.lost(road.now()) is None
    road.rest.left(road.now() - 9)
    road.rest.lost(road.now() - 8)
    road.rest.left(road.now() - 5)
    assert road.rest.lost(road.now()) == 300
    road.message()
    async with road.sending(make.modem(road)):
        await road.passes(295)
        assert road.replies() == ["queued"]
        assert "sending rests" in road.told("held")[0].detail
        await road.passes(10)
        assert road.replies() == ["sent"]


async def test_each_body_is_noted_before_it_leaves(road, make):
    """Two sessions that are lost right after it count."""
    for expected in (None, 300):
        road.message()
        modem = make.modem(road)

        async def ends(_submit, modem=modem):
            await road.passes(0.3)
            modem.lose()
            return Unknown(modem.loss)

        modem.plan("send", ends)
        async with road.sending(modem):
            await road.passes(2)
        assert road.rest.lost(road.now()) == expected


async def test_what_holds_all_back_is_told_for_as_long_as_it_does(road, make):
    """For `status`: nothing, then why, then nothing again."""
    modem = make.modem(road)
    outbox = road.outbox(modem)
    task = asyncio.create_task(outbox.run())
    await road.passes(1)
    assert outbox.held == ""
    modem.registered = Registration(2)
    road.message()
    road.work.set()
    await road.passes(1)
    assert outbox.held == "searching: messages wait for a network"
    modem.registered = Registration(1)
    await road.passes(20)
    assert outbox.held == ""
    modem.lose()
    await task
