"""Status callbacks of Commands, from the REST request to a receiver on loopback."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

SUPER_SIM = "/supersim/v1/SmsCommands"
BETA = "/supersim/v1/Commands"
WIRELESS = "/wireless/v1/Commands"


def signature_is_valid(sandbox, request):
    """Ask the vendor's own validator."""
    module = pytest.importorskip("twilio.request_validator")
    validator = module.RequestValidator(sandbox.token)
    return validator.validate(request["url"], request["form"], request["headers"]["X-Twilio-Signature"])


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_super_sim_reports_every_status(http, sandbox, receiver, method):
    """`sent` and `delivered`, in this order, with the parameters of the document and no other."""
    form = {
        "Sim": "super-sim",
        "Payload": "led {on} €",
        "CallbackUrl": receiver.url,
        "CallbackMethod": method,
    }
    status, made = await http("POST", SUPER_SIM, form)
    assert (status, made["status"]) == (201, "queued")
    requests = await receiver.wait_for(2)
    for request, status in zip(requests, ("sent", "delivered"), strict=True):
        assert request["method"] == method
        assert request["parameters"] == {
            "AccountSid": sandbox.account_sid,
            "CommandSid": made["sid"],
            "SimSid": made["sim_sid"],
            "SimUniqueName": "super-sim",
            "Payload": "led {on} €",
            "PayloadType": "text",
            "Direction": "to_sim",
            "Status": status,
        }
        assert signature_is_valid(sandbox, request)
        if method == "POST":
            assert request["headers"]["Content-Type"] == "application/x-www-form-urlencoded"


async def test_get_keeps_the_query_of_the_url(http, sandbox, receiver):
    """The parameters follow it, and the signature covers both; the fragment is not sent."""
    url = f"{receiver.url}?tenant=7&x=a%20b#rc=1"
    await http(
        "POST", SUPER_SIM, {"Sim": "super-sim", "Payload": "x", "CallbackUrl": url, "CallbackMethod": "GET"}
    )
    request = (await receiver.wait_for(2))[0]
    assert request["path"].startswith("/hook?tenant=7&x=a%20b&AccountSid=AC")
    assert signature_is_valid(sandbox, request)


async def test_wireless_reports_when_sending_has_ended(http, sandbox, receiver):
    """One request, `delivered`, with the eight parameters of the product and the direction."""
    form = {"Sim": "programmable-wireless", "Command": "ping", "CallbackUrl": receiver.url}
    _, made = await http("POST", WIRELESS, form)
    (request,) = await receiver.wait_for(1)
    assert request["parameters"] == {
        "CommandSid": made["sid"],
        "SimSid": made["sim_sid"],
        "SimUniqueName": "programmable-wireless",
        "Command": "ping",
        "Status": "delivered",
        "Direction": "to_sim",
        "ApiVersion": "v1",
        "AccountSid": sandbox.account_sid,
        "CommandMode": "text",
    }
    assert signature_is_valid(sandbox, request)


async def test_wireless_without_receipt_ends_with_sent(http, receiver):
    """Nothing more is known of such a Command; a binary one shows its base64."""
    form = {
        "Sim": "programmable-wireless",
        "Command": "AQID",
        "CommandMode": "binary",
        "DeliveryReceiptRequested": "false",
        "CallbackUrl": receiver.url,
    }
    _, made = await http("POST", WIRELESS, form)
    (request,) = await receiver.wait_for(1)
    shown = {name: request["parameters"][name] for name in ("Command", "CommandMode", "Status")}
    assert shown == {"Command": "AQID", "CommandMode": "binary", "Status": "sent"}
    await asyncio.sleep(0.1)
    assert len(receiver.requests) == 1
    assert (await http("GET", made["url"]))[1]["status"] == "sent"


async def test_failed_command_has_code_and_message(http, sandbox, receiver):
    """Super SIM: only then. The beta fails at once without coverage."""
    await http("POST", "/sandbox/sims/super-sim-beta/detach")
    _, made = await http("POST", BETA, {"Sim": "super-sim-beta", "Command": "x", "CallbackUrl": receiver.url})
    (request,) = await receiver.wait_for(1)
    assert request["parameters"] == {
        "AccountSid": sandbox.account_sid,
        "CommandSid": made["sid"],
        "SimSid": made["sim_sid"],
        "SimUniqueName": "super-sim-beta",
        "Command": "x",
        "Direction": "to_sim",
        "Status": "failed",
        "ErrorCode": "33000",
        "ErrorMessage": "The Command could not be delivered to the SIM.",
    }
    service = sandbox.services["super-sim"]
    await http("POST", "/sandbox/sims/super-sim/detach")
    _, made = await http("POST", SUPER_SIM, {"Sim": "super-sim", "Payload": "x", "CallbackUrl": receiver.url})
    service.fail(service.fetch(made["sid"]), 83999, "On demand.")
    request = (await receiver.wait_for(2))[1]
    assert (request["parameters"]["ErrorCode"], request["parameters"]["ErrorMessage"]) == (
        "83999",
        "On demand.",
    )


@pytest.mark.parametrize(
    "url",
    [
        *("nowhere", "ftp://127.0.0.1/x", "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://a b/"),
        *("http://127.1/", "http://[::1/x", "http://127.0.0.1/{x}", "http:///x", "javascript:alert(1)"),
    ],
)
@pytest.mark.parametrize("path", [SUPER_SIM, BETA, WIRELESS])
async def test_impossible_callback_url_is_refused(http, url, path):
    """400 with the vendor's error body; no Command is created."""
    name = {SUPER_SIM: "super-sim", BETA: "super-sim-beta", WIRELESS: "programmable-wireless"}[path]
    status, error = await http(
        "POST", path, {"Sim": name, "Payload": "x", "Command": "x", "CallbackUrl": url}
    )
    assert (status, error["status"], error["code"]) == (400, 400, 33101)
    assert "CallbackUrl" in error["message"]
    assert sorted(error) == ["code", "message", "more_info", "status"]
    _, listed = await http("GET", path)
    assert listed[listed["meta"]["key"]] == []


async def test_tries_are_visible(http, sandbox, receiver, wait_until):
    """In the list of callbacks, one by one, and in the events."""
    receiver.answers = [500, web.Response(status=200, text="thank you")]
    form = {"Sim": "programmable-wireless", "Command": "x", "CallbackUrl": receiver.url}
    _, made = await http("POST", WIRELESS, form)
    await wait_until(lambda: sandbox.callbacks.records and sandbox.callbacks.records[0].state == "accepted")
    _, callback = await http("GET", "/sandbox/callbacks/1")
    assert (callback["state"], callback["kind"], callback["sid"]) == ("accepted", "status", made["sid"])
    assert (callback["method"], callback["url"]) == ("POST", receiver.url)
    assert [(each["status"], each["body"]) for each in callback["tries"]] == [
        (500, ""),
        (200, "thank you"),
    ]
    assert (await http("GET", "/sandbox/callbacks"))[1] == {"callbacks": [callback]}
    assert (await http("GET", "/sandbox/callbacks?after=1"))[1] == {"callbacks": []}
    assert (await http("GET", "/sandbox/callbacks?after=x"))[0] == 400
    assert (await http("GET", "/sandbox/callbacks/2"))[0] == 404
    assert (await http("GET", "/sandbox/callbacks/x"))[0] == 404
    events = [event for _, _, event in sandbox.records.events if event.kind.startswith("callback")]
    assert [(str(event.kind), event.sid, event.note) for event in events] == [
        ("callback_failed", made["sid"], f"1: POST {receiver.url}, answered 500; another try follows"),
        ("callback_accepted", made["sid"], f"1: POST {receiver.url}, answered 200"),
    ]
    _, log = await http("GET", "/sandbox/events")
    assert log["events"][-1]["kind"] == "callback_accepted"


async def test_stranger_is_not_called(http, sandbox, wait_until):
    """The Command is created as usual; the event names the option that allows the host."""
    form = {"Sim": "super-sim", "Payload": "x", "CallbackUrl": "http://blahblah.com/go"}
    status, _ = await http("POST", SUPER_SIM, form)
    assert status == 201
    await wait_until(lambda: any(event.kind == "callback_not_sent" for _, _, event in sandbox.records.events))
    (event, *_) = [event for _, _, event in sandbox.records.events if event.kind == "callback_not_sent"]
    assert "--allow-callback blahblah.com" in event.note


async def test_slow_receiver_delays_no_command(http, receiver):
    """While it holds its answer, Commands are created and delivered, and others are called."""
    hold = asyncio.Event()

    async def wait(_request):
        await hold.wait()
        return web.Response()

    receiver.answers = [wait]
    form = {"Sim": "super-sim", "Payload": "x", "CallbackUrl": receiver.url}
    await http("POST", SUPER_SIM, form)
    await receiver.wait_for(1)
    _, second = await http("POST", SUPER_SIM, form)
    await receiver.wait_for(3)
    assert [request["parameters"]["CommandSid"] for request in receiver.requests[1:]] == [second["sid"]] * 2
    hold.set()
    await receiver.wait_for(4)
    assert receiver.requests[3]["parameters"]["Status"] == "delivered"


async def test_vendor_client_creates_a_command_with_callbacks(server, sandbox, receiver):
    """The client is unmodified but for its base URL; its validator accepts the requests."""
    rest = pytest.importorskip("twilio.rest")
    client = rest.Client(sandbox.account_sid, sandbox.token)
    client.supersim.base_url = f"{server.url}/supersim"

    def create():
        return client.supersim.v1.sms_commands.create(
            sim="super-sim", payload=json.dumps({"enable": "True"}), callback_url=receiver.url
        )

    made = await asyncio.to_thread(create)
    client.http_client.session.close()
    requests = await receiver.wait_for(2)
    assert receiver.statuses == ["sent", "delivered"]
    assert {request["parameters"]["CommandSid"] for request in requests} == {made.sid}
    assert all(signature_is_valid(sandbox, request) for request in requests)
