"""The clock over HTTP: days pass at once, with a real server, real ports and a real receiver of callbacks."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from aiohttp import web

CLOCK = "/sandbox/clock"


@pytest.fixture
def move(http):
    """Return a function that changes the clock and returns the answer."""

    async def change(**keys):
        status, body = await http("POST", CLOCK, json=keys)
        assert status == 200, body
        return body

    return change


@pytest.fixture
async def kinds(sandbox, wait_until):
    """Waits until the modules are registered; returns a function for the events of a Command."""
    await wait_until(
        lambda: all(sandbox.network.is_reachable(sim.sim_card.imsi) for sim in sandbox.sims.values())
    )
    return lambda sid: [
        (str(event.kind), event.at) for _, _, event in sandbox.records.events if event.sid == sid
    ]


async def test_state_and_moves(http, move):
    """`advance` takes seconds and durations, `until` a time; a frozen clock stays where it was moved to."""
    before = (await http.get(CLOCK))[1]
    assert before["running"]
    assert before["offset_s"] == 0
    now = datetime.fromisoformat(before["now"])
    assert (await move(running=False))["running"] is False
    assert (await move(advance=90))["offset_s"] == 90
    assert (await move(advance="PT1H"))["offset_s"] == 3690
    end = now + timedelta(days=2)
    assert (await move(until=end.isoformat()))["now"] == end.isoformat()
    assert (await move(running=True))["running"]
    assert (await move(advance="1d"))["running"]
    _, body = await http.get("/sandbox/events")
    notes = [(event["sim"], event["note"]) for event in body["events"] if event["kind"] == "clock"]
    assert (None, "moved by 1:00:00") in notes


async def test_attempts_of_a_day_and_retention_of_30_days(http, sandbox, move, kinds, receiver):
    """A full module refuses a Command for 24 hours: it fails. 30 days after its creation it is gone."""
    await move(running=False)
    sandbox.find_sim("programmable-wireless").module.faults.add("store-full")
    _, made = await http.post(
        "/wireless/v1/Commands", Sim="programmable-wireless", Command="x", DeliveryReceiptRequested="true",
        CallbackUrl=receiver.url,
    )  # fmt: skip
    assert (await move(advance="24h1s"))["moments"] > 20
    events = kinds(made["sid"])
    offers = [at for kind, at in events if kind == "offered"]
    waits = [(second - first).total_seconds() for first, second in pairwise(offers)]
    assert waits[:5] == [30, 120, 600, 1800, 3600]
    assert "given_up" in [kind for kind, _ in events]
    assert (await http.get(made["url"]))[1]["status"] == "failed"
    assert receiver.statuses == ["failed"]
    await move(advance="P29D")
    assert (await http.get(made["url"]))[0] == 404


async def test_client_at_the_port_reacts_while_time_passes(http, sandbox, move, kinds, open_port):
    """The module waits 15 s for +CNMA; a client that needs a moment of real time is never too late."""
    terminal = open_port(sandbox.find_sim("super-sim").link)
    for line in ("ATE0", "AT+CSMS=1", "AT+CNMI=2,2,0,0,0"):
        await terminal.send_command(line)

    async def acknowledge():
        for _ in range(3):
            await terminal.wait_for("+CMT: ")
            await asyncio.sleep(0.02)
            await terminal.send_command("AT+CNMA")

    await move(running=False)
    sids = []
    for text in "abc":
        _, made = await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload=text)
        sids.append(made["sid"])
    task = asyncio.create_task(acknowledge())
    await move(advance="1h", quiet_s=0.01)
    await task
    for sid in sids:
        kind_names = [kind for kind, _ in kinds(sid)]
        assert kind_names.count("offered") == 1
        assert "acknowledged" in kind_names


async def test_callbacks_are_tried_again_at_their_times(http, move, receiver, kinds):
    """Each answer arrives before time goes on."""

    async def refuse_slowly(_request):
        await asyncio.sleep(0.05)
        return web.Response(status=503)

    receiver.answers = [refuse_slowly] * 4
    await move(running=False)
    await http.post(
        "/wireless/v1/Commands", Sim="programmable-wireless", Command="x", CallbackUrl=receiver.url
    )
    await move(until="idle")
    _, body = await http.get("/sandbox/callbacks")
    (callback,) = body["callbacks"]
    times = [datetime.fromisoformat(each["at"]) for each in callback["tries"]]
    assert [(second - first).total_seconds() for first, second in pairwise(times)] == [1, 5, 30]
    assert callback["state"] == "failed"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"advance": "soon"}, "advance"),
        ({"advance": -1}, "advance"),
        ({"advance": 1, "until": "idle"}, "until"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": 5}, "until"),
        ({"limit": 5}, "limit"),
        ({"running": "no"}, "running"),
        ({"advance": 1, "quiet_s": 1000}, "quiet_s"),
        ({"advanse": 1}, "advanse"),
    ],
)
async def test_invalid_requests_are_refused(http, keys, says):
    """With the name of the key; the clock does not move."""
    status, body = await http("POST", CLOCK, json=keys)
    assert status == 400
    assert says in body["message"]
    assert (await http.get(CLOCK))[1]["offset_s"] == 0


async def test_one_request_moves_the_clock(http, sandbox, move):
    """Another one gets 409 meanwhile; freezing ends the first, and the clock stays frozen."""
    started, go_on = asyncio.Event(), asyncio.Event()

    def start():
        started.set()
        sandbox.activity.note()

    await move(running=False)
    sandbox.clock.call_later(10, start)
    sandbox.clock.call_later(20, go_on.set)
    first = asyncio.create_task(move(advance=60, quiet_s=0.2))
    await started.wait()
    assert (await http("POST", CLOCK, json={"advance": 1}))[0] == 409
    await move(running=False)
    assert (await first)["offset_s"] == 10
    assert not go_on.is_set()


async def test_clock_is_not_moved_beyond_the_times_that_an_sms_can_carry(http, move):
    for _ in range(4):
        await move(advance="P3650D")
    status, body = await http("POST", CLOCK, json={"advance": "P3650D"})
    assert status == 400
    assert "2070" in body["message"]
