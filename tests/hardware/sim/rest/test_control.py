"""The control interface and the front page."""

from __future__ import annotations

import json
import shlex

import pytest

from hardware.sim.service.product import PRODUCTS


@pytest.fixture
async def reached(sandbox, until):
    """Waits until all modules are registered."""
    await until(lambda: all(sandbox.network.reachable(sim.card.imsi) for sim in sandbox.sims.values()))


def kinds(sandbox, sid=None):
    return [str(event.kind) for _, _, event in sandbox.events if sid in (None, event.sid)]


async def test_what_there_is(http, sandbox):
    """The same that `--json` prints."""
    for path in ("/sandbox", "/sandbox/"):
        assert await http.get(path) == (200, json.loads(json.dumps(sandbox.describe())))
    _, body = await http.get("/sandbox/sims")
    assert [sim["service"] for sim in body["sims"]] == list(PRODUCTS)
    for sim in body["sims"]:
        for name in (sim["sid"], sim["unique_name"]):
            status, one = await http.get(f"/sandbox/sims/{name}")
            assert (status, one["sid"]) == (200, sim["sid"])


@pytest.mark.usefixtures("reached")
async def test_out_of_coverage_and_back(http, sandbox, until):
    """A Command waits while the SIM is out of reach and is delivered when it is back."""
    status, sim = await http("POST", "/sandbox/sims/super-sim/detach")
    assert (status, sim["reachable"]) == (200, False)
    _, made = await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="x")
    await until(lambda: "handed" in kinds(sandbox, made["sid"]))
    _, sim = await http.get("/sandbox/sims/super-sim")
    assert (sim["waiting"], (await http.get(made["url"]))[1]["status"]) == (1, "queued")
    await http("POST", "/sandbox/sims/super-sim/attach")
    await until(lambda: "acknowledged" in kinds(sandbox, made["sid"]))
    assert (await http.get(made["url"]))[1]["status"] == "delivered"


@pytest.mark.usefixtures("reached")
async def test_an_sms_from_a_stranger(http, sandbox, until):
    """Digits, international, alphanumeric; text and octets; it goes to the module."""
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
    await until(lambda: kinds(sandbox).count("acknowledged") == 6)
    handed = [(event.number, event.body) for _, _, event in sandbox.events if event.kind == "handed"]
    assert handed[:4] == [
        ("+15557654321", "reboot"),
        ("2936", "{€} ☃"),
        ("Orange", "hello"),
        ("000", b"\x00\xff"),
    ]


@pytest.mark.usefixtures("reached")
async def test_the_same_command_again(http, sandbox, until):
    """The network brings it twice, and once more when an acknowledgement got lost."""
    _, made = await http.post("/wireless/v1/Commands", Sim="programmable-wireless", Command="x")
    status, _ = await http("POST", f"/sandbox/commands/{made['sid']}/redeliver")
    assert status == 202
    await until(lambda: kinds(sandbox, made["sid"]).count("acknowledged") == 2)
    await http("POST", "/sandbox/sims/programmable-wireless/lose", data='{"count": 1}')
    _, made = await http.post("/wireless/v1/Commands", Sim="programmable-wireless", Command="y")
    await until(lambda: "acknowledgement_lost" in kinds(sandbox, made["sid"]))
    assert (await http.get(made["url"]))[1]["status"] == "sent"


async def test_events_after_one(http):
    """Numbered from 1, each only once for whoever remembers the last."""
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
async def test_what_is_refused(http, method, path, data, status):
    """One sentence that says what is wrong, never a mistake of ours."""
    told, body = await http(method, path, data=data)
    assert (told, body["status"]) == (status, status)
    assert body["message"].endswith(".")


async def test_the_front_page_has_lines_to_copy(http, sandbox):
    """Each curl line for creating a Command works as it stands, the collections are named."""
    status, page = await http.get("/")
    assert status == 200
    assert http.headers["Content-Type"].startswith("text/html")
    for product in PRODUCTS.values():
        assert f"{sandbox.url}{product.path}" in page
    commands = [shlex.split(line) for line in page.splitlines() if "  curl " in line and "Sim=" in line]
    assert len(commands) == 3
    for words in commands:
        form = dict(word.split("=", 1) for word in words if word.startswith(("Sim=", "Payload=", "Command=")))
        (url,) = (word for word in words if word.startswith("http"))
        assert (await http.post(url, **form))[0] == 201


async def test_the_front_page_believes_no_host(http):
    """What a caller writes into Host is shown as text."""
    _, page = await http("GET", "/", headers={"Host": "<script>x</script>"})
    assert "<script>" not in page
