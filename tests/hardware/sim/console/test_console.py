"""The messages of the console: what a page knows that has read them."""

from __future__ import annotations

import pytest


async def test_page_shows_the_path_of_a_command(open_page, create, send_from_sim):
    """From the REST request to the reply, which is shown in the path of the Command."""
    page = open_page()
    sid = create("ping")
    await page.read_until(lambda page: page.commands.get(sid, {}).get("status") == "delivered")
    send_from_sim("pong")
    await page.read_until(lambda page: page.answers)
    assert page.path(sid) == [
        ("rest", "Command created"),
        ("network", "Accepted by the service centre"),
        ("rest", "Status sent"),
        ("module", "Offered to the module"),
        ("module", "Acknowledged by the module"),
        ("rest", "Status delivered"),
        ("reply", "Accepted by the service centre"),
        ("reply", "Listed by the service"),
    ]
    [(reply, answered)] = page.answers.items()
    assert (answered, page.commands[reply]["body"]) == (sid, "pong")


async def test_page_shows_sims_as_they_are(open_page, sandbox, create):
    """Each change of a SIM brings its current state."""
    page = open_page()
    await page.read_until(lambda page: page.sims)
    assert (page.sims["super-sim"]["reachable"], page.sims["super-sim"]["waiting"]) == (True, 0)
    sandbox.detach("super-sim")
    create("ping")
    await page.read_until(lambda page: page.sims["super-sim"]["waiting"] == 1)
    assert page.sims["super-sim"]["reachable"] is False


async def test_page_shows_octets_on_the_ports(open_page, sandbox):
    """Both directions; what no client could read is marked."""
    page = open_page()
    await page.read_until(lambda page: page.port)
    sandbox.find_sim("super-sim").module.receive(b"AT\r")
    await page.read_until(lambda page: "OK" in page.port[-1]["octets"])
    assert page.port[-1]["octets"] == r"AT\r\r\nOK\r\n"
    assert page.port[-1]["direction"] == "|"


async def test_callback_is_shown_before_its_first_answer(open_page, create):
    """A receiver that is slow to answer, or none, is no reason to show nothing."""
    page = open_page()
    create("ping", CallbackUrl="http://127.0.0.1:9/never")
    await page.read_until(lambda page: page.callbacks)
    assert page.callbacks[1]["state"] == "waiting"
    await page.read_until(lambda page: page.callbacks[1]["tries"])
    assert page.callbacks[1]["tries"][0]["error"]


async def test_page_goes_on_after_the_message_that_it_has_read(open_page, create):
    """Nothing is repeated, nothing is missing."""
    page = open_page()
    first = create("one")
    await page.read_until(lambda page: page.commands.get(first, {}).get("status") == "delivered")
    second = create("two")
    again = open_page(page.last_id)
    await again.read_until(lambda page: page.commands.get(second, {}).get("status") == "delivered")
    assert (again.resets, set(again.commands)) == (0, {second})


@pytest.mark.parametrize("last_id", ["", "x", "1-1", "1-x", "-"])
async def test_page_with_an_unknown_id_begins_again(open_page, create, last_id):
    """For example after the sandbox was restarted."""
    sid = create("ping")
    page = open_page(last_id)
    await page.read_until(lambda page: sid in page.commands)
    assert page.resets == 1


async def test_page_that_missed_records_begins_again(open_page, create, sandbox):
    """It gets all that is retained, then goes on."""
    page = open_page()
    first = create("one")
    await page.read_until(lambda page: first in page.commands)
    module = sandbox.find_sim("super-sim").module
    for _ in range(2000):
        module.receive(b"AT\r")
    second = create("two")
    await page.read_until(lambda page: page.commands.get(second, {}).get("status") == "delivered")
    assert page.resets == 2
    assert {first, second} <= set(page.commands)
    assert len(page.port) <= 1500


async def test_messages_end_when_the_sandbox_stops(server):
    """A page that waits does not delay the stop."""
    ids = [number async for number, _ in _stop_after_first(server)]
    assert ids[0] == ""


async def _stop_after_first(server):
    async for message in server.console.follow():
        yield message
        server.console.stop()


async def test_agent_shows_its_part_of_the_path(open_page, server, sandbox, create, send_from_sim):
    """The reports name no SID: the Command is recognised by its content, the reply by the agent's report."""
    page = open_page()
    agent = server.console.add_agent("test")
    agent.set_state(sandbox.find_sim("super-sim"), "connected", is_connected=True)
    first, second = create("ping"), create("led on")
    await page.read_until(lambda page: page.commands.get(second, {}).get("status") == "delivered")
    for report in (
        {"kind": "received", "command": 7, "text": "ping"},
        {"kind": "running", "command": 7, "message": "handler ping"},
        {"kind": "done", "command": 7},
        {"kind": "queued", "command": 7, "text": "pong"},
        {"kind": "sending", "command": 7, "reply": 1, "text": "pong"},
        {"kind": "running", "command": 99},
    ):
        agent.report(report)
    send_from_sim("pong")
    await page.read_until(lambda page: page.answers)
    assert list(page.answers.values()) == [first]
    assert [step for step in page.path(first) if step[0] in ("agent", "handler", "reply")] == [
        ("agent", "Received and stored"),
        ("handler", "Handler started"),
        ("handler", "Handler finished"),
        ("reply", "Reply stored"),
        ("reply", "Reply passed to the module"),
        ("reply", "Accepted by the service centre"),
        ("reply", "Listed by the service"),
    ]
    assert page.agents["test"] == {
        "name": "test",
        "sim": "super-sim",
        "state": "connected",
        "connected": True,
    }


async def test_lost_message_is_no_part_of_the_next_one(open_page, create, sandbox, send_from_sim):
    """The service centre had accepted both; only what arrives is shown in the path of a Command."""
    page = open_page()
    sandbox.find_sim("super-sim").faults.add("message-lost:direction=from_sim")
    send_from_sim("lost")
    await page.read_until(lambda page: any("message-lost" in step["detail"] for step in page.steps))
    sid = create("ping")
    await page.read_until(lambda page: page.commands.get(sid, {}).get("status") == "delivered")
    send_from_sim("pong")
    await page.read_until(lambda page: page.answers)
    assert [stage for stage, _ in page.path(sid)].count("reply") == 2


async def test_agent_with_a_new_journal_begins_again_at_command_1(open_page, server, sandbox, create):
    """The console remembers the numbers of the agent before; the new Command has its own path."""
    page = open_page()
    agent = server.console.add_agent("test")
    agent.set_state(sandbox.find_sim("super-sim"), "runs", is_connected=True)
    for text in ("one", "two"):
        sid = create(text)
        await page.read_until(lambda page, sid=sid: page.commands.get(sid, {}).get("status") == "delivered")
        agent.report({"kind": "received", "command": 1, "text": text})
        agent.report({"kind": "done", "command": 1})
        await page.read_until(lambda page: page.steps[-1]["stage"] == "handler")
        assert [stage for stage, _ in page.path(sid)][-2:] == ["agent", "handler"]
