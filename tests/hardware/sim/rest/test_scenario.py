"""Scenarios over HTTP."""

from __future__ import annotations

import pytest

SCENARIO = "/sandbox/scenario"
TOML = """
title = "t"
[[step]]
at = "1h"
sim = "super-sim"
action = "message"
from = "Mom"
text = "ä"
"""


async def test_scenario_is_started_followed_and_stopped(http, sandbox):
    """The body is TOML, or JSON; the clock can be moved through it; a reset forgets it."""
    assert (await http.get(SCENARIO))[0] == 404
    await http("POST", "/sandbox/clock", json={"running": False})
    status, body = await http("POST", SCENARIO, data=TOML)
    assert (status, body["title"], body["state"]) == (202, "t", "running")
    assert body["steps"] == [
        {
            "step": 1,
            "sim": "super-sim",
            "words": "message ä",
            "done": 0,
            "times": 1,
            "next_s": 3600,
            "failure": "",
        }
    ]
    await http("POST", "/sandbox/clock", json={"until": "idle"})
    assert (await http.get(SCENARIO))[1]["state"] == "over"
    assert "message ä" in str([event.note for _, _, event in sandbox.records.events])
    again = {"step": [{"action": "command", "text": "x", "every": 1}]}
    assert (await http("POST", SCENARIO, json=again))[1]["state"] == "running"
    assert (await http("DELETE", SCENARIO))[1]["state"] == "stopped"
    await http("POST", "/sandbox/reset")
    assert (await http.get(SCENARIO))[0] == 404


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a scenario needs at least one [[step]]"),
        (b"\xff", "it must be TOML or JSON in UTF-8"),
        (b"{", "it must be TOML or JSON in UTF-8"),
        (rb'{"title": "\ud800"}', "it must be TOML or JSON in UTF-8"),
        (b"[[step", "it is not TOML"),
        (b'step = [{action = "command"}]', "step 1 (command): text is missing"),
    ],
)
async def test_invalid_scenarios_are_refused(http, data, says):
    """One sentence; a scenario that runs goes on."""
    await http("POST", SCENARIO, data=TOML)
    status, body = await http("POST", SCENARIO, data=data)
    assert status == 400
    assert says in body["message"]
    assert (await http.get(SCENARIO))[1]["state"] == "running"
