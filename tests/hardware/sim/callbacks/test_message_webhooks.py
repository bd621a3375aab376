"""Webhooks for messages from a SIM: of the Fleet for Super SIM, of the Sim for Programmable Wireless."""

from __future__ import annotations

import asyncio

import pytest


def signature_is_valid(sandbox, request):
    """Ask the vendor's own validator."""
    module = pytest.importorskip("twilio.request_validator")
    validator = module.RequestValidator(sandbox.token)
    return validator.validate(request["url"], request["form"], request["headers"]["X-Twilio-Signature"])


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_fleet_webhook(http, sandbox, receiver, send_from_sim, method):
    """The ten parameters of captured requests, in their order."""
    form = {"SmsCommandsUrl": receiver.url, "SmsCommandsMethod": method}
    assert (await http("POST", "/supersim/v1/Fleets/default", form))[0] == 200
    await send_from_sim("super-sim", "000", "21.5 °C €")
    (request,) = await receiver.wait_for(1)
    _, listed = await http("GET", "/supersim/v1/SmsCommands?Direction=from_sim")
    (row,) = listed["sms_commands"]
    assert request["method"] == method
    assert list(request["parameters"].items()) == [
        ("Status", "received"),
        ("ApiVersion", "v1"),
        ("Command", "21.5 °C €"),
        ("SimUniqueName", "super-sim"),
        ("Payload", "21.5 °C €"),
        ("SimSid", row["sim_sid"]),
        ("Direction", "from_sim"),
        ("CommandSid", row["sid"]),
        ("AccountSid", sandbox.account_sid),
        ("PayloadType", "text"),
    ]
    assert signature_is_valid(sandbox, request)


async def test_binary_from_a_super_sim_is_told_apart(http, receiver, send_from_sim):
    """The payload is base64, and its type says so."""
    await http("POST", "/supersim/v1/Fleets/default", {"SmsCommandsUrl": receiver.url})
    await send_from_sim("super-sim", "000", b"\x01\x02\x03")
    (request,) = await receiver.wait_for(1)
    shown = request["parameters"]
    assert (shown["Payload"], shown["Command"], shown["PayloadType"]) == ("AQID", "AQID", "binary")


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("content", "command", "mode"), [("on", "on", "text"), (b"\xff\x00", "/wA=", "binary")]
)
async def test_sim_webhook(http, sandbox, receiver, send_from_sim, method, content, command, mode):
    """The eight parameters of the document; the constant one as status and as direction."""
    form = {"CommandsCallbackUrl": receiver.url, "CommandsCallbackMethod": method}
    status, sim = await http("POST", "/wireless/v1/Sims/programmable-wireless", form)
    assert (status, sim["commands_callback_url"], sim["commands_callback_method"]) == (
        200,
        receiver.url,
        method,
    )
    await send_from_sim("programmable-wireless", "2936", content)
    (request,) = await receiver.wait_for(1)
    _, listed = await http("GET", "/wireless/v1/Commands?Direction=from_sim")
    (row,) = listed["commands"]
    assert request["method"] == method
    assert request["parameters"] == {
        "CommandSid": row["sid"],
        "SimSid": sim["sid"],
        "SimUniqueName": "programmable-wireless",
        "Command": command,
        "Status": "received",
        "Direction": "from_sim",
        "ApiVersion": "v1",
        "AccountSid": sandbox.account_sid,
        "CommandMode": mode,
    }
    assert signature_is_valid(sandbox, request)


async def test_messages_that_call_nobody(http, sandbox, receiver, send_from_sim):
    """To another number, of the beta, of a SIM whose Fleet has Commands off, and without a URL."""
    _, fleet = await http(
        "POST",
        "/supersim/v1/Fleets",
        {"NetworkAccessProfile": "any", "SmsCommandsEnabled": "false", "SmsCommandsUrl": receiver.url},
    )
    await http("POST", "/supersim/v1/Fleets/default", {"SmsCommandsUrl": receiver.url})
    await http("POST", "/wireless/v1/Sims/programmable-wireless", {"CommandsCallbackUrl": receiver.url})
    await send_from_sim("programmable-wireless", "+15557654321", "x")
    await send_from_sim("super-sim-beta", "000", "x")
    await http("POST", "/supersim/v1/Sims/super-sim", {"Fleet": fleet["sid"]})
    await send_from_sim("super-sim", "000", "x")
    await http("POST", "/wireless/v1/Sims/programmable-wireless", {"CommandsCallbackUrl": ""})
    await send_from_sim("programmable-wireless", "2936", "x")
    await asyncio.sleep(0.1)
    assert receiver.requests == []
    assert list(sandbox.callbacks.records) == []
