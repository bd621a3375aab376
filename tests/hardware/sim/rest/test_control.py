"""The control interface."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from hardware.sim.sandbox_faults import SANDBOX_FAULT_DESCRIPTIONS
from hardware.sim.service.product import PRODUCTS


@pytest.fixture
async def wait_until_reachable(sandbox, wait_until):
    """Waits until all modules are registered."""
    await wait_until(
        lambda: all(sandbox.network.is_reachable(sim.sim_card.imsi) for sim in sandbox.sims.values())
    )


def kinds(sandbox, sid=None):
    return [str(event.kind) for _, _, event in sandbox.records.events if sid in (None, event.sid)]


async def test_server_is_described(http, server):
    """The same that `--json` prints."""
    for path in ("/sandbox", "/sandbox/"):
        assert await http.get(path) == (200, json.loads(json.dumps(server.describe())))
    _, body = await http.get("/sandbox/sims")
    assert [sim["service"] for sim in body["sims"]] == list(PRODUCTS)
    for sim in body["sims"]:
        for name in (sim["sid"], sim["unique_name"]):
            status, one = await http.get(f"/sandbox/sims/{name}")
            assert (status, one["sid"]) == (200, sim["sid"])


@pytest.mark.usefixtures("wait_until_reachable")
async def test_out_of_coverage_and_back(http, sandbox, wait_until):
    """A Command waits while the SIM is out of coverage and is delivered afterwards."""
    status, sim = await http("POST", "/sandbox/sims/super-sim/detach")
    assert (status, sim["reachable"]) == (200, False)
    _, made = await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="x")
    await wait_until(lambda: "handed" in kinds(sandbox, made["sid"]))
    _, sim = await http.get("/sandbox/sims/super-sim")
    assert (sim["waiting"], (await http.get(made["url"]))[1]["status"]) == (1, "queued")
    await http("POST", "/sandbox/sims/super-sim/attach")
    await wait_until(lambda: "acknowledged" in kinds(sandbox, made["sid"]))
    assert (await http.get(made["url"]))[1]["status"] == "delivered"


@pytest.mark.usefixtures("wait_until_reachable")
async def test_sms_from_any_number(http, sandbox, wait_until):
    """Digits, international, alphanumeric; text and octets; it is delivered to the module."""
    for body in (
        {"from": "+15557654321", "text": "reboot"},
        {"from": "2936", "text": "{€} ☃"},
        {"from": "Orange", "text": "hello"},
        {"from": "000", "hex": "00ff"},
    ):
        status, answer = await http("POST", "/sandbox/sims/super-sim/messages", data=json.dumps(body))
        assert (status, answer) == (202, {"parts": 1})
    assert (await http("POST", "/sandbox/sims/super-sim/messages", json={"from": "1", "text": "x" * 200}))[
        1
    ] == {"parts": 2}
    await wait_until(lambda: kinds(sandbox).count("acknowledged") == 6)
    handed = [(event.number, event.body) for _, _, event in sandbox.records.events if event.kind == "handed"]
    assert handed[:4] == [
        ("+15557654321", "reboot"),
        ("2936", "{€} ☃"),
        ("Orange", "hello"),
        ("000", b"\x00\xff"),
    ]


@pytest.mark.usefixtures("wait_until_reachable")
async def test_redelivery_and_lost_acknowledgement(http, sandbox, wait_until):
    """The network delivers twice, and once more after a lost acknowledgement."""
    _, made = await http.post("/wireless/v1/Commands", Sim="programmable-wireless", Command="x")
    status, _ = await http("POST", f"/sandbox/commands/{made['sid']}/redeliver")
    assert status == 202
    await wait_until(lambda: kinds(sandbox, made["sid"]).count("acknowledged") == 2)
    await http("POST", "/sandbox/sims/programmable-wireless/lose", data='{"count": 1}')
    _, made = await http.post("/wireless/v1/Commands", Sim="programmable-wireless", Command="y")
    await wait_until(lambda: "acknowledgement_lost" in kinds(sandbox, made["sid"]))
    assert (await http.get(made["url"]))[1]["status"] == "sent"


async def fault(http, text, sim="super-sim"):
    return await http("POST", f"/sandbox/sims/{sim}/faults", data=json.dumps({"fault": text}))


@pytest.mark.usefixtures("wait_until_reachable")
async def test_answers_are_scripted_and_removed(http, sandbox):
    """For one module; all of them, or that to one command."""
    path = "/sandbox/sims/super-sim/answers"
    for answer in ("+CGPSINFO=here", r"+CGPS=1=>OK\n+CGPS: ready"):
        status, body = await http("POST", path, data=json.dumps({"answer": answer}))
    assert (status, body["answers"]) == (201, ["+CGPSINFO=here", r"+CGPS=1=>OK\n+CGPS: ready"])
    assert (await http.get(path))[1] == body
    assert (await http.get("/sandbox/sims/super-sim-beta/answers"))[1] == {"answers": []}
    status, body = await http("DELETE", f"{path}?command=+CGPS%3D1")
    assert (status, body) == (200, {"answers": ["+CGPSINFO=here"]})
    assert (await http("DELETE", f"{path}?command=%2BCGPS"))[0] == 404
    assert (await http("DELETE", path))[1] == {"answers": []}
    status, body = await http("POST", path, data=json.dumps({"answer": "+CGPS=1=OK"}))
    assert status == 400
    assert "written NAME=VALUES=>ANSWER" in body["message"]


async def test_faults_are_added_and_cancelled(http, sandbox):
    """With the syntax of faults, for one module; waiting and active faults are removed."""
    assert (await http.get("/sandbox/faults"))[1] == {"faults": SANDBOX_FAULT_DESCRIPTIONS}
    assert (await fault(http, "settings-lost"))[0] == 202
    await fault(http, "reboot-loud:after=1000")
    status, body = await fault(http, "refused:command=+CSQ,times=0")
    assert (status, body) == (
        202,
        {
            "faults": [
                {"fault": "reboot-loud:after=1000", "waits": True},
                {"fault": "refused:command=+CSQ,times=0", "waits": False},
            ],
            "struck": ["settings-lost"],
        },
    )
    assert await http.get("/sandbox/sims/super-sim/faults") == (200, body)
    assert (await http.get("/sandbox/sims/super-sim-beta/faults"))[1] == {"faults": [], "struck": []}
    module = sandbox.find_sim("super-sim").module
    module.receive(b"AT+CSQ\r")
    (late,) = (each.timer for each in module.faults._faults if each.timer)
    status, body = await http("DELETE", "/sandbox/sims/super-sim/faults")
    assert (status, body) == (200, {"faults": [], "struck": ["settings-lost", "refused"]})
    assert late.action is None
    module.receive(b"AT+CSQ\r")
    assert module.faults.triggered == ["settings-lost", "refused"]


@pytest.mark.usefixtures("wait_until_reachable")
async def test_fault_begins_after_its_delay(http, sandbox, wait_until):
    """Not before."""
    module = sandbox.find_sim("super-sim").module
    boots = module.log.boot_count
    await fault(http, "reboot-loud:after=0.05")
    assert module.log.boot_count == boots
    async with asyncio.timeout(5):
        while module.faults.describe()["faults"]:  # noqa: ASYNC110  (a fault sends no event)
            await asyncio.sleep(0.01)
    assert module.log.boot_count == boots + 1


@pytest.mark.usefixtures("wait_until_reachable")
async def test_cancelling_ends_endless_faults(http, sandbox):
    """Port, line, SIM and registration come back when the faults are cancelled."""
    sim = sandbox.find_sim("super-sim")
    for text in ("write-blocked:for=0", "port-gone:for=0", "sim-removed:for=0"):
        await fault(http, text)
    assert not sim.link.is_symlink()
    assert not sim.module.sim.present
    await http("DELETE", "/sandbox/sims/super-sim/faults")
    assert sim.link.is_symlink()
    assert sim.ports.pty._terminal is not None
    assert sim.module.sim.present
    other = "programmable-wireless"
    await fault(http, "registration-lost:for=0,stat=3", other)
    assert sandbox.find_sim(other).module.registration.stat == 3
    await http("DELETE", f"/sandbox/sims/{other}/faults")
    assert sandbox.find_sim(other).module.registration.is_registered


@pytest.mark.usefixtures("wait_until_reachable")
async def test_blocked_line_takes_nothing(http, sandbox):
    """The client's bytes wait, and are processed when the fault is over."""
    sim = sandbox.find_sim("super-sim")
    await fault(http, "write-blocked:for=0")
    client = os.open(sim.link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        os.write(client, b"AT+CSQ\r")
        for _ in range(20):
            await asyncio.sleep(0)
        assert sim.module.log.command_lines == []
        await http("DELETE", "/sandbox/sims/super-sim/faults")
        assert sim.module.log.command_lines == ["+CSQ"]
    finally:
        os.close(client)


@pytest.mark.usefixtures("wait_until_reachable")
async def test_no_fault_outlives_the_sandbox(http, sandbox):
    """A port that was to come back later stays closed after the sandbox has stopped."""
    await fault(http, "port-gone:for=0.02")
    await fault(http, "port-gone:after=0.03,for=0.01", "super-sim-beta")
    links = [sandbox.find_sim(name).link for name in ("super-sim", "super-sim-beta")]
    await sandbox.stop()
    await asyncio.sleep(0.06)
    assert not any(link.is_symlink() for link in links)


async def test_events_after_a_number(http):
    """Events are numbered from 1; each is returned only once to a client that passes the last number."""
    await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="x")
    _, body = await http.get("/sandbox/events")
    numbers = [event["event"] for event in body["events"]]
    assert numbers == list(range(1, len(numbers) + 1))
    _, body = await http.get("/sandbox/events", after=str(numbers[-1] - 1))
    assert body["events"][0]["event"] == numbers[-1]


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("GET", "/sandbox/sims/nobody", None, 404),
        ("POST", "/sandbox/sims/nobody/detach", None, 404),
        ("POST", "/sandbox/commands/nothing/redeliver", None, 404),
        ("GET", "/sandbox/sims/nobody/faults", None, 404),
        ("POST", "/sandbox/sims/nobody/faults", '{"fault": "mute"}', 404),
        ("DELETE", "/sandbox/sims/nobody/faults", None, 404),
        ("POST", "/sandbox/sims/super-sim/faults", "{}", 400),
        ("POST", "/sandbox/sims/super-sim/faults", '{"fault": "moot"}', 400),
        ("POST", "/sandbox/sims/super-sim/faults", '{"fault": "mute:for=x"}', 400),
        ("POST", "/sandbox/sims/super-sim/faults", '{"fault": ["mute"]}', 400),
        ("GET", "/sandbox/events?after=-1", None, 400),
        ("POST", "/sandbox/sims/super-sim/lose", '{"count": 0}', 400),
        ("POST", "/sandbox/sims/super-sim/lose", '{"count": true}', 400),
        ("POST", "/sandbox/sims/super-sim/messages", "from=1&text=x", 400),
        ("POST", "/sandbox/sims/super-sim/messages", "[" * 100_000, 400),
        ("POST", "/sandbox/sims/super-sim/messages", b"\xff", 400),
        ("POST", "/sandbox/sims/super-sim/messages", "[]", 400),
        ("POST", "/sandbox/sims/super-sim/messages", "{}", 400),
        ("POST", "/sandbox/sims/super-sim/messages", '{"from": "1"}', 400),
        ("POST", "/sandbox/sims/super-sim/messages", '{"from": 1, "text": "x"}', 400),
        ("POST", "/sandbox/sims/super-sim/messages", '{"from": "1", "hex": "0"}', 400),
        ("POST", "/sandbox/sims/super-sim/messages", '{"from": "1", "text": "\\ud800"}', 400),
        ("POST", "/sandbox/sims/super-sim/messages", '{"from": "Far too long a name", "text": "x"}', 400),
        ("POST", "/sandbox/sims/super-sim/messages", json.dumps({"from": "1" * 30, "text": "x"}), 400),
        ("POST", "/sandbox/sims/super-sim/messages", json.dumps({"from": "1", "text": "x" * 50_000}), 400),
    ],
)
async def test_invalid_control_request_is_refused(http, method, path, data, status):
    """One sentence says what is wrong; never an internal error."""
    response_status, body = await http(method, path, data=data)
    assert (response_status, body["status"]) == (status, status)
    assert body["message"].endswith(".")


@pytest.mark.usefixtures("wait_until_reachable")
async def test_faults_of_the_network(http, sandbox, wait_until):
    """They are added, shown and cancelled like those of the module; each effect is an event."""
    await fault(http, "message-duplicated")
    await fault(http, "settings-lost")
    status, body = await fault(http, "rate-limited:rate=5")
    assert status == 202
    assert [each["fault"] for each in body["faults"]] == ["message-duplicated", "rate-limited:rate=5"]
    _, made = await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="x")
    await wait_until(lambda: "fault" in kinds(sandbox, made["sid"]))
    _, body = await http.get("/sandbox/events")
    notes = [(event["sim"], event["note"]) for event in body["events"] if event["kind"] == "fault"]
    assert notes == [
        ("super-sim", "settings-lost: the module falls back to the saved settings without a restart"),
        ("super-sim", "message-duplicated: it arrives twice"),
    ]
    _, body = await http("DELETE", "/sandbox/sims/super-sim/faults")
    assert body["faults"] == []
    status, body = await fault(http, "message-lost:chance=maybe")
    assert (status, "chance" in body["message"]) == (400, True)


@pytest.mark.parametrize(
    ("path", "data", "sentence"),
    [
        ("sims/super-sim/lose", '{"times": 2}', "parameter times is invalid: the keys are count"),
        ("sims/super-sim/faults", '{"falt": "mute"}', "parameter falt is invalid: the keys are fault"),
        ("sims/super-sim/messages", '{"to": "1"}', "parameter to is invalid: the keys are from, text, hex"),
        ("sims/super-sim/answers", "answer=x", 'it must be JSON, such as {"answer": ...}'),
        ("sim/super-sim", "{}", "was not found; there are /sandbox, /sandbox/callbacks,"),
    ],
)
async def test_wrong_request_is_told_what_there_is(http, path, data, sentence):
    """A key or a path that does not exist gets the list of those that do."""
    _, body = await http("POST", f"/sandbox/{path}", data=data)
    assert sentence in body["message"]


async def test_readme_lists_the_control_paths(http):
    """The table of hardware/README.md has exactly the paths that exist."""
    page = (Path(__file__).parents[4] / "hardware/README.md").read_text()
    section = page.partition("\n## Control by REST\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(?:[A-Z]+ )?(/sandbox[^` ]*)`", section, re.MULTILINE)
    for word in ("send", "receipt", "deliver", "fail", "redeliver"):
        assert f"`{word}`" in section
        listed.append(f"/sandbox/commands/SID/{word}")
    listed.remove("/sandbox/commands/SID/WORD")
    _, body = await http.get("/sandbox/nothing")
    existing = body["message"].partition("there are ")[2].rstrip(".")
    names = {"{name}": "NAME", "{sid}": "SID", "{number}": "N"}
    assert set(listed) == set(re.sub(r"{\w+}", lambda found: names[found[0]], existing).split(", "))
