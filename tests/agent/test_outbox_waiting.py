"""Who waits for whom before it is sent, for how long, and what is given up."""

import sqlite3

import pytest

from agent.journal.journal import DAY_S
from agent.modem.sending import NotSent, Refused


def reasons(road):
    return road.look("SELECT reason FROM replies ORDER BY id")


async def test_a_wait_for_one_destination_blocks_no_other(road, make):
    """But nothing to the same destination overtakes."""
    modem = make.modem(road)
    road.message("one", "2936")
    road.message("two", "2936")
    road.message("three", "+15557654321")
    modem.plan("send", Refused(make.refused(38, after_body=True)))
    async with road.sending(modem):
        await road.passes(5)
        assert modem.sent == ["one", "three"]
        road.message("four", "+15557654321")
        road.work.set()
        await road.passes(5)
        assert modem.sent == ["one", "three", "four"]
        await road.passes(60)
        assert modem.sent == ["one", "three", "four", "one", "two"]
    assert road.replies() == ["sent"] * 4


async def test_of_several_waits_the_shortest_ends_first(road, make):
    """A destination that waits for a minute keeps none back that waits for seconds."""
    modem = make.modem(road)
    road.message("one", "2936")
    road.message("two", "+15557654321")
    modem.plan("send", Refused(make.refused(38, after_body=True)), NotSent("no prompt came"))
    async with road.sending(modem):
        await road.passes(20)
        assert modem.sent == ["one", "two"]
        await road.passes(60)
    assert modem.sent == ["one", "two", "one"]


@pytest.mark.parametrize("code", [21, 330, 310])
async def test_what_the_sim_or_the_module_refuses_holds_all(road, make, code):
    """Another destination would meet the same; its try is not burned."""
    modem = make.modem(road)
    road.message("one", "2936")
    road.message("two", "+15557654321")
    modem.plan("send", Refused(make.refused(code, after_body=True)))
    async with road.sending(modem):
        await road.passes(30)
        assert modem.sent == ["one"]
        await road.passes(4000)
    assert modem.sent[0:3] == ["one", "one", "two"]


async def test_a_new_session_shortens_no_wait(road, make):
    """A line that comes and goes is no reason to try more often."""
    road.message("one")
    modem = make.modem(road)
    modem.plan("send", Refused(make.refused(38, after_body=True)))
    async with road.sending(modem):
        await road.passes(1)
    later = make.modem(road)
    async with road.sending(later):
        await road.passes(50)
        assert later.sent == []
        await road.passes(15)
        assert later.sent == ["one"]


async def test_a_start_waits_by_the_attempts_on_disk(road, make):
    """Sending may be what ends the agent; but no longer than a minute, others do not wait."""
    road.message("one")
    for _ in range(6):
        road.queue.sending(1)
        road.queue.back(1, "gone", attempted=False)
    road.message("two", "+15557654321")
    road.restart()
    modem = make.modem(road)
    async with road.sending(modem):
        await road.passes(2)
        assert modem.sent == ["two"]
        await road.passes(60)
        assert modem.sent == ["two", "one"]


async def test_a_stale_answer_is_not_sent(road, make):
    """A day without a network, over sessions: it has failed, later ones leave."""
    modem = make.modem(road)
    road.message("old")
    modem.always["send"] = NotSent("no network")
    async with road.sending(modem):
        await road.passes(DAY_S - 60)
    road.restart()
    road.journal._base += 120
    road.wall_ahead += 120
    road.message("young")
    modem = make.modem(road)
    async with road.sending(modem):
        await road.passes(200)
    assert road.replies()[1] == "sent"
    assert "old" not in modem.sent


@pytest.mark.parametrize(("limit", "given_up"), [(3600.0, "1 h"), (DAY_S, "24 h")])
async def test_the_limit_is_a_setting(road, make, limit, given_up):
    """By hand or not; it ends at its time, not at the next work."""
    modem = make.modem(road)
    road.message("old")
    modem.plan("send", Refused(make.refused(21, after_body=True)))
    modem.always["send"] = Refused(make.refused(21, after_body=True))
    async with road.sending(modem, max_answer_age_s=limit):
        await road.passes(limit - 100)
        assert road.replies() == ["queued"]
        await road.passes(110)
        assert road.replies() == ["failed"]
        assert road.settled == 1
    assert reasons(road)[0].startswith(f"not sent within {given_up}, given up; ")
    assert "+CMS ERROR: 21" in reasons(road)[0]
    assert road.told("failed")[0].reply == 1


@pytest.mark.parametrize(("wall", "running"), [(400 * DAY_S, 0), (0, 400 * DAY_S)])
async def test_a_clock_that_jumps_makes_nothing_stale(road, make, wall, running):
    """The smaller difference counts: neither clock alone."""
    road.message("one")
    road.wall_ahead += wall
    road.journal._base += running
    modem = make.modem(road)
    async with road.sending(modem):
        await road.passes(1)
    assert modem.sent == ["one"]


async def test_what_the_daily_cap_kept_back_has_another_day(road, make):
    """The cap drops nothing in a day; but a loop of answers ends."""
    modem = make.modem(road)
    for number in range(10):
        road.message(f"{number}")
    async with road.sending(modem, max_per_day=3, max_per_minute=1000):
        await road.passes(3 * DAY_S)
    assert modem.sent == ["0", "1", "2", "3", "4", "5"]
    assert road.replies() == ["sent"] * 6 + ["failed"] * 4


async def test_what_is_held_says_why(road, make):
    """In the status, and in the outbox at the message that is next."""
    modem = make.modem(road)
    for number in range(3):
        road.message(f"{number}")
    async with road.sending(modem, max_per_minute=1):
        await road.passes(3)
        assert reasons(road)[1] == "held: the rate of 1 messages a minute is reached"


async def test_a_wait_is_told(road, make):
    """Which destination, why, and when again."""
    road.message("one")
    modem = make.modem(road)
    modem.plan("send", Refused(make.refused(38, after_body=True)))
    async with road.sending(modem):
        await road.passes(10)
        held = road.outbox(modem).held
    assert held.startswith("2936: ")
    assert "+CMS ERROR: 38" in held
    assert held.endswith("again in 49 s")


async def test_sending_that_may_have_been_committed_is_taken_back(road, make, monkeypatch):
    """The commit failed and reached the disk all the same; nothing has left, so it is sent later, once."""
    road.message("one")
    modem = make.modem(road)
    sending = road.queue.sending
    failing = [True]

    def committed_and_yet(reply):
        sending(reply)
        if failing:
            failing.clear()
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(road.queue, "sending", committed_and_yet)
    async with road.sending(modem):
        await road.passes(1)
        assert (modem.sent, road.replies()) == ([], ["sending"])
        await road.passes(200)
    assert modem.sent == ["one"]
    assert road.replies() == ["sent"]


async def test_what_is_given_up_keeps_nothing_back_any_more(road, make):
    """The next one to the same destination leaves at once, however long the wait would have been."""
    modem = make.modem(road)
    road.message("old")
    modem.plan("send", *[Refused(make.refused(38, after_body=True))] * 2)
    async with road.sending(modem, max_answer_age_s=100):
        await road.passes(90)
        assert modem.sent == ["old", "old"]
        road.message("new")
        await road.passes(15)
        assert modem.sent == ["old", "old", "new"]
    assert road.replies() == ["failed", "sent"]
