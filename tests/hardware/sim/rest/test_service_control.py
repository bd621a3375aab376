"""Control of the services: rules, faults, states of Commands by hand, states of SIMs."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from hardware.sim.service.rules import RULES

SMS = "/supersim/v1/SmsCommands"
WIRELESS = "/wireless/v1/Commands"
FAULTS = "/sandbox/services/faults"


@pytest.fixture
def control(http):
    """Send JSON to `/sandbox`; returns status and body."""

    async def send(path, **body):
        return await http("POST", f"/sandbox/{path}", json=body)

    return send


@pytest.fixture
def queued(http, control):
    """Return a function that creates a Command which waits, since its SIM is out of coverage."""

    async def create(path=SMS, sim="super-sim", parameter="Payload", **parameters):
        await control(f"sims/{sim}/detach")
        status, made = await http.post(path, **{"Sim": sim, parameter: "x", **parameters})
        assert (status, made["status"]) == (201, "queued")
        return made

    return create


# Rules


async def test_rules_are_changed_while_the_sandbox_runs(http, control):
    """They apply to the next request."""
    _, shown = await http.get("/sandbox/rules")
    assert set(shown["rules"]) == set(shown["choices"]) == set(RULES)
    long = {"Sim": "super-sim", "Payload": "x" * 161}
    with_sid = {"Sim": "programmable-wireless", "Command": "x" * 128, "IncludeSid": "end"}
    assert (await http.post(SMS, **long))[0] == 400
    assert (await http.post(WIRELESS, **with_sid))[0] == 400
    status, changed = await control("rules", **{"long-text": "split", "sid-overrun": "truncate"})
    assert (status, changed["rules"]["long-text"]) == (200, "split")
    assert (await http.post(SMS, **long))[0] == 201
    assert (await http.post(WIRELESS, **with_sid))[0] == 201
    with_sid["Command"] += "x"
    assert (await http.post(WIRELESS, **with_sid))[0] == 400


async def test_reset_restores_rules_and_faults(http, control):
    """Those of the start."""
    await control("rules", ucs2="refuse")
    await control("services/faults", fault="unavailable:times=0")
    await control("reset")
    assert (await http.get("/sandbox/rules"))[1]["rules"]["ucs2"] == "accept"
    assert (await http.get(SMS))[0] == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"nothing": "x"}, "there is no rule nothing; the rules are long-text, "),
        ({"long-text": "keep"}, 'the rule long-text is one of refuse, truncate, split, not "keep"'),
        ({"long-text": True}, "is one of refuse"),
        ({"requests-per-s": -1}, "is a number from 0 to 1000000"),
        ({"requests-per-s": 1.5}, "is a number from 0 to 1000000"),
    ],
)
async def test_invalid_rule_is_refused(control, body, sentence):
    """With the possible values."""
    status, error = await control("rules", **body)
    assert (status, error["code"]) == (400, 33101)
    assert sentence in error["message"]


async def test_page_size_of_programmable_wireless(http, control, sandbox):
    """Its document allows 100, the description 1000: pages have at most 100 rows, or more is refused."""
    for _ in range(101):
        sandbox.services["programmable-wireless"].create({"Sim": "programmable-wireless", "Command": "x"})
    status, body = await http.get(WIRELESS, PageSize="1000")
    assert (status, len(body["commands"]), body["meta"]["page_size"]) == (200, 100, 100)
    _, second = await http.get(body["meta"]["next_page_url"])
    assert len(second["commands"]) == 1
    assert (await http.get(SMS, PageSize="1000"))[1]["meta"]["page_size"] == 1000
    await control("rules", **{"large-page": "refuse"})
    for size, code in (("100", None), ("101", 33103)):
        _, body = await http.get(WIRELESS, PageSize=size)
        assert body.get("code") == code
    assert (await http.get(SMS, PageSize="1000"))[0] == 200


async def test_requests_are_limited_to_a_rate(http, control, sandbox):
    """429 with Retry-After and the vendor's body, then the rate again; /sandbox is not limited."""
    sandbox.freeze_clock()
    await control("rules", **{"requests-per-s": 3})
    assert [(await http.get(SMS))[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    _, body = await http.post(SMS, Sim="super-sim", Payload="x")
    assert (body["status"], body["code"], http.headers["Retry-After"]) == (429, 20429, "1")
    await control("clock", advance=1)
    assert [(await http.get(SMS))[0] for _ in range(4)] == [200, 200, 200, 429]
    await control("rules", **{"requests-per-s": 0})
    assert (await http.get(SMS))[0] == 200


# Faults


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("unavailable", 503, 33004), ("internal-error", 500, 33000), ("too-many-requests", 429, 20429)],
)
async def test_fault_refuses_requests(http, control, fault, status, code):
    """As often as it says, of the method and path that it names; nothing is created."""
    added, body = await control("services/faults", fault=f"{fault}:times=2,method=post,path=SmsCommands")
    assert (added, len(body["faults"])) == (202, 1)
    assert (await http.get(SMS))[0] == 200
    assert (await http.post(WIRELESS, Sim="programmable-wireless", Command="x"))[0] == 201
    for _ in range(2):
        found, error = await http.post(SMS, Sim="super-sim", Payload="x")
        assert (found, error["status"], error["code"]) == (status, status, code)
    assert (await http.post(SMS, Sim="super-sim", Payload="x"))[0] == 201
    assert len((await http.get(SMS))[1]["sms_commands"]) == 1
    _, body = await http.get(FAULTS)
    assert (body["faults"], body["struck"]) == ([], [fault, fault])


@pytest.mark.parametrize(("fault", "count"), [("answer-lost", 1), ("request-lost", 0)])
async def test_fault_closes_the_connection(http, control, fault, count, caplog):
    """With the Command created, which a client that repeats its request creates twice, or without."""
    await control("services/faults", fault=f"{fault}:method=POST")
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post(SMS, Sim="super-sim", Payload="x")
    assert len((await http.get(SMS))[1]["sms_commands"]) == count
    assert caplog.records == []


async def test_late_answer(http, control, sandbox):
    """After a time of the sandbox's clock."""
    sandbox.freeze_clock()
    await control("services/faults", fault="late:seconds=30")
    request = asyncio.ensure_future(http.get(SMS))
    while not (await http.get(FAULTS))[1]["struck"]:
        pass
    assert not request.done()
    await control("clock", advance=31)
    assert (await request)[0] == 200


async def test_command_that_fails(http, control, sandbox):
    """Created as queued, failed with the code after a moment, and never in the module."""
    await control("services/faults", fault="command-failed:code=33000,path=SmsCommands")
    sandbox.freeze_clock()
    status, made = await http.post(SMS, Sim="super-sim", Payload="x")
    assert (status, made["status"]) == (201, "queued")
    await control("clock", advance=1)
    _, found = await http.get(made["url"])
    assert (found["status"], found["error_code"]) == ("failed", 33000)
    assert found["error_message"].endswith(".")
    assert "handed" not in [event.kind for _, _, event in sandbox.records.events]
    _, made = await http.post(SMS, Sim="super-sim", Payload="x")
    await control("clock", advance=1)
    assert (await http.get(made["url"]))[1]["status"] == "delivered"


async def test_faults_are_cancelled(http, control):
    """And invalid ones are refused."""
    await control("services/faults", fault="unavailable:times=0")
    assert [(await http.get(SMS))[0] for _ in range(3)] == [503] * 3
    assert (await http("DELETE", FAULTS))[1]["faults"] == []
    assert (await http.get(SMS))[0] == 200
    for fault in ("nothing", "late:seconds=nan", "unavailable:times=-1", "unavailable:x=1", ""):
        assert (await control("services/faults", fault=fault))[0] == 400


# Commands by hand


async def test_states_are_moved_by_hand(http, control, queued):
    """Queued, sent, delivered, while the SIM is out of coverage; the module does not get it later."""
    made = await queued()
    for word, status in (("send", "sent"), ("receipt", "delivered")):
        found, moved = await control(f"commands/{made['sid']}/{word}")
        assert (found, moved["status"]) == (200, status)
        assert (await http.get(made["url"]))[1]["status"] == status
    assert (await control("sims/super-sim/attach"))[1]["waiting"] == 0
    made = await queued()
    assert (await control(f"commands/{made['sid']}/deliver"))[1]["status"] == "delivered"
    _, shown = await http.get(f"/sandbox/commands/{made['sid']}")
    assert (shown["service"], shown["status"], shown["error_code"]) == ("super-sim", "delivered", None)


async def test_delivery_without_receipt_ends_with_sent(control, queued):
    """Programmable Wireless: a receipt that was not requested cannot come."""
    made = await queued(WIRELESS, "programmable-wireless", "Command", DeliveryReceiptRequested="false")
    assert (await control(f"commands/{made['sid']}/deliver"))[1]["status"] == "sent"
    status, error = await control(f"commands/{made['sid']}/receipt")
    assert (status, error["message"]) == (409, f"No receipt was requested for the Command {made['sid']}.")


async def test_command_is_failed_by_hand(http, control, queued):
    """With code and sentence, which the resource of a Super SIM Command shows, and no other resource."""
    made = await queued()
    status, _ = await control(f"commands/{made['sid']}/fail", code=30008, message="No such network.")
    assert status == 200
    _, found = await http.get(made["url"])
    assert (found["status"], found["error_code"]) == ("failed", 30008)
    assert found["error_message"] == "No such network."
    assert (await control("sims/super-sim/attach"))[1]["waiting"] == 0
    made = await queued(WIRELESS, "programmable-wireless", "Command")
    assert (await control(f"commands/{made['sid']}/fail"))[1]["error_code"] == 33000
    assert "error_code" not in (await http.get(made["url"]))[1]


async def test_impossible_move_is_refused(control, queued):
    """409 for a state that is over, 400 for an invalid code, 404 for an unknown Command."""
    sid = (await queued())["sid"]
    assert (await control(f"commands/{sid}/receipt"))[0] == 409
    for body in ({"code": 0}, {"code": "1"}, {"code": True}, {"message": ""}, {"message": 1}):
        assert (await control(f"commands/{sid}/fail", **body))[0] == 400
    await control(f"commands/{sid}/deliver")
    for word in ("send", "deliver", "receipt", "fail"):
        status, error = await control(f"commands/{sid}/{word}")
        assert status == 409
        assert f"The Command {sid} is delivered, not " in error["message"]
    for word in ("send", "deliver", "receipt", "fail", "redeliver"):
        assert (await control(f"commands/HC1/{word}"))[0] == 404


# SIMs


async def test_state_of_a_sim(http, control):
    """Also one that no update of the API sets; without ready or active there are no Commands (33104)."""
    status, sim = await control("sims/programmable-wireless", status="canceled")
    assert (status, sim["status"]) == (200, "canceled")
    assert (await http.post(WIRELESS, Sim="programmable-wireless", Command="x"))[1]["code"] == 33104
    await control("sims/programmable-wireless", status="ready", transport="ip")
    _, made = await http.post(WIRELESS, Sim="programmable-wireless", Command="x")
    assert made["transport"] == "ip"
    assert (await control(f"commands/{made['sid']}/deliver"))[1]["status"] == "delivered"
    for name, body in (
        ("super-sim", {"status": "canceled"}),
        ("super-sim", {"transport": "ip"}),
        ("super-sim", {"status": []}),
        ("super-sim", {"sid": "x"}),
    ):
        assert (await control(f"sims/{name}", **body))[0] == 400
    assert (await control("sims/nobody", status="ready"))[0] == 404


async def test_delayed_request_is_closed_by_a_reset(http, control, sandbox):
    """Its time never comes, and it must change nothing in what begins anew."""
    sandbox.freeze_clock()
    await control("services/faults", fault="late:seconds=30")
    request = asyncio.ensure_future(http.post(SMS, Sim="super-sim", Payload="x"))
    while not (await http.get(FAULTS))[1]["struck"]:
        pass
    await control("reset")
    with pytest.raises(aiohttp.ClientConnectionError):
        await asyncio.wait_for(request, 5)
    assert (await http.get(SMS))[1]["sms_commands"] == []
