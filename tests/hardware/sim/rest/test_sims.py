"""Sim and Fleet resources: by plain HTTP, and by the vendor's own client with only its base URL changed."""

from __future__ import annotations

import asyncio
import random

import pytest

from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SimSpec
from hardware.sim.service.errors import ServiceError

SIMS = "/supersim/v1/Sims"
FLEETS = "/supersim/v1/Fleets"
WIRELESS_SIMS = "/wireless/v1/Sims"


@pytest.fixture
def client(server):
    rest = pytest.importorskip(
        "twilio.rest", reason="the vendor's client is not installed: pip install twilio"
    )
    client = rest.Client("AC" + "0" * 32, "token")
    client.supersim.base_url = f"{server.url}/supersim"
    client.wireless.base_url = f"{server.url}/wireless"
    yield client
    client.http_client.session.close()


async def call(function, *arguments, **parameters):
    """The client blocks, so it runs in a thread beside the sandbox."""
    return await asyncio.to_thread(function, *arguments, **parameters)


async def test_super_sim_resource(http, sandbox):
    """By SID and by name, with the fields of the sample."""
    sim = sandbox.sims["super-sim"]
    for name in (sim.sid, "super-sim"):
        status, body = await http.get(f"{SIMS}/{name}")
        url = f"{http.root}{SIMS}/{sim.sid}"
        assert (status, body) == (
            200,
            {
                "sid": sim.sid,
                "account_sid": sandbox.account_sid,
                "unique_name": "super-sim",
                "status": "active",
                "fleet_sid": f"HF{1:032x}",
                "iccid": sim.sim_card.iccid,
                "date_created": "2026-11-22T12:00:00Z",
                "date_updated": "2026-11-22T12:00:00Z",
                "url": url,
                "links": {
                    "billing_periods": f"{url}/BillingPeriods",
                    "sim_ip_addresses": f"{url}/IpAddresses",
                },
            },
        )


async def test_lists_and_filters(http, sandbox):
    """Newest first, in pages; Super SIM and its beta are one list."""
    _, body = await http.get(SIMS)
    assert [sim["unique_name"] for sim in body["sims"]] == ["super-sim-beta", "super-sim"]
    assert (body["meta"]["key"], body["meta"]["next_page_url"]) == ("sims", None)
    _, first = await http.get(SIMS, PageSize=1)
    _, second = await http.get(first["meta"]["next_page_url"])
    assert [sim["unique_name"] for sim in first["sims"] + second["sims"]] == ["super-sim-beta", "super-sim"]
    iccid = sandbox.sims["super-sim"].sim_card.iccid
    for query, count in (
        ({"Status": "active"}, 2),
        ({"Status": "new"}, 0),
        ({"Fleet": "default"}, 2),
        ({"Fleet": "nothing"}, 0),
        ({"Iccid": iccid}, 1),
    ):
        assert len((await http.get(SIMS, **query))[1]["sims"]) == count
    _, body = await http.get(WIRELESS_SIMS, Status="active")
    assert [sim["unique_name"] for sim in body["sims"]] == ["programmable-wireless"]
    _, body = await http.get(FLEETS, NetworkAccessProfile="default")
    assert [fleet["unique_name"] for fleet in body["fleets"]] == ["default"]


@pytest.mark.parametrize(
    ("path", "form", "expected"),
    [
        (f"{SIMS}/nobody", {}, (404, 20404)),
        (f"{FLEETS}/nobody", {}, (404, 20404)),
        (f"{SIMS}/super-sim", {"Status": "suspended"}, (400, 33101)),
        (f"{SIMS}/super-sim", {"UniqueName": "super-sim-beta"}, (400, 33101)),
        (f"{SIMS}/super-sim", {"Fleet": "nothing"}, (400, 33101)),
        (f"{SIMS}/super-sim", {"CallbackUrl": "nowhere"}, (400, 33101)),
        (f"{WIRELESS_SIMS}/programmable-wireless", {"CommandsCallbackUrl": "nowhere"}, (400, 33101)),
        (f"{WIRELESS_SIMS}/programmable-wireless", {"CommandsCallbackMethod": "PUT"}, (400, 33101)),
        (f"{WIRELESS_SIMS}/programmable-wireless", {"Status": "inactive"}, (400, 33101)),
        (FLEETS, {}, (400, 33102)),
        (FLEETS, {"NetworkAccessProfile": "x", "SmsCommandsUrl": "ftp://x/"}, (400, 33101)),
        (FLEETS, {"NetworkAccessProfile": "x", "UniqueName": "default"}, (400, 33101)),
        (FLEETS, {"NetworkAccessProfile": "x", "DataLimit": "0"}, (400, 33101)),
        (FLEETS, {"NetworkAccessProfile": "x", "SmsCommandsEnabled": "maybe"}, (400, 33101)),
        (f"{FLEETS}/default", {"SmsCommandsMethod": "get"}, (400, 33101)),
        (SIMS, {"Iccid": "89883070000123456789"}, (400, 33102)),
        (SIMS, {"Iccid": "x", "RegistrationCode": "H3LL0W0RLD"}, (400, 33101)),
        (SIMS, {"Iccid": "89883070000123456789", "RegistrationCode": "short"}, (400, 33101)),
        (WIRELESS_SIMS, {"Iccid": "1"}, (405, 20004)),
    ],
)
async def test_refusals(http, path, form, expected):
    """With status and code of the vendor's error body; nothing is changed."""
    before = [(await http.get(each))[1] for each in (SIMS, FLEETS, WIRELESS_SIMS)]
    status, body = await http.post(path, **form)
    assert (status, body["code"], body["status"]) == (*expected, expected[0])
    assert [(await http.get(each))[1] for each in (SIMS, FLEETS, WIRELESS_SIMS)] == before


async def test_renamed_sim(http):
    """Commands find it by its new name, and no longer by the old one."""
    status, sim = await http.post(f"{SIMS}/super-sim", UniqueName="Parking Meter 1")
    assert (status, sim["unique_name"]) == (200, "Parking Meter 1")
    commands = "/supersim/v1/SmsCommands"
    assert (await http.post(commands, Sim="Parking Meter 1", Payload="x"))[0] == 201
    assert (await http.post(commands, Sim="super-sim", Payload="x"))[0] == 404
    assert (await http.post(f"{SIMS}/{sim['sid']}", UniqueName=""))[1]["unique_name"] is None
    assert (await http.get(f"{SIMS}/Parking%20Meter%201"))[0] == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [({"Status": "inactive"}, 400), ({"Status": "ready"}, 201), ({"Fleet": "quiet"}, 400)],
)
async def test_usable_sims(http, change, status):
    """A SIM that is not ready or active, or whose Fleet has Commands off, gets no Command."""
    await http.post(FLEETS, NetworkAccessProfile="x", UniqueName="quiet", SmsCommandsEnabled="false")
    assert (await http.post(f"{SIMS}/super-sim", **change))[0] == 200
    answer = await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="x")
    assert answer[0] == status
    assert status == 201 or answer[1]["code"] == 33104


async def test_claimed_sim(http):
    """New, in no Fleet and in no module: its Commands wait as soon as it is usable."""
    form = {"Iccid": "89883070000123456789", "RegistrationCode": "H3LL0W0RLD"}
    status, sim = await http.post(SIMS, **form)
    assert (status, sim["status"], sim["fleet_sid"], sim["unique_name"]) == (201, "new", None, None)
    assert (await http.post(SIMS, **form))[0] == 400
    command = {"Sim": sim["sid"], "Payload": "x"}
    assert (await http.post("/supersim/v1/SmsCommands", **command))[1]["code"] == 33104
    await http.post(f"{SIMS}/{sim['sid']}", Status="ready")
    assert (await http.post("/supersim/v1/SmsCommands", **command))[1]["code"] == 33104
    await http.post(f"{SIMS}/{sim['sid']}", Fleet="default")
    status, made = await http.post("/supersim/v1/SmsCommands", **command)
    assert (status, made["status"]) == (201, "queued")


async def test_vendor_client_manages_fleets_and_sims(client):
    """Create, list, fetch, update."""
    supersim = client.supersim.v1
    fleet = await call(
        supersim.fleets.create,
        network_access_profile="HA" + "b" * 32,
        unique_name="Pilot Fleet",
        sms_commands_enabled=True,
        sms_commands_url="http://127.0.0.1:1/sms#rc=2",
        sms_commands_method="GET",
        data_limit=500,
    )
    assert (fleet.unique_name, fleet.data_limit, fleet.sms_commands_enabled) == ("Pilot Fleet", 500, True)
    assert (fleet.sms_commands_url, fleet.sms_commands_method) == ("http://127.0.0.1:1/sms#rc=2", "GET")
    assert fleet.network_access_profile_sid == "HA" + "b" * 32
    changed = await call(supersim.fleets("Pilot Fleet").update, sms_commands_url="http://127.0.0.1:2/")
    assert (changed.sid, changed.sms_commands_url) == (fleet.sid, "http://127.0.0.1:2/")
    assert changed.sms_commands_method == "GET"
    assert [each.unique_name for each in await call(supersim.fleets.list)] == ["Pilot Fleet", "default"]
    sim = await call(supersim.sims("super-sim").update, fleet="Pilot Fleet", status="ready", unique_name="m")
    assert (sim.fleet_sid, sim.status, sim.unique_name) == (fleet.sid, "ready", "m")
    assert [each.sid for each in await call(supersim.sims.list, fleet=fleet.sid)] == [sim.sid]
    assert (await call(supersim.sims(sim.sid).fetch)).date_updated == sim.date_updated


async def test_vendor_client_manages_wireless_sims(client):
    """List, fetch, update."""
    sims = client.wireless.v1.sims
    (sim,) = await call(sims.list)
    changed = await call(
        sims(sim.sid).update,
        unique_name="meter",
        friendly_name="The meter",
        commands_callback_url="http://127.0.0.1:1/",
        commands_callback_method="GET",
        status="ready",
    )
    assert (changed.unique_name, changed.friendly_name, changed.status) == ("meter", "The meter", "ready")
    found = await call(sims("meter").fetch)
    assert (found.commands_callback_url, found.commands_callback_method) == ("http://127.0.0.1:1/", "GET")
    assert found.date_created == sim.date_created


async def test_fleet_of_the_command_line(tmp_path, wall_clock):
    """By SID or by name, made if there is none; an empty name is none, and Commands are then not possible."""
    sims = [
        SimSpec(unique_name="a", fleet="HF" + "b" * 32),
        SimSpec(unique_name="b", fleet="meters"),
        SimSpec(unique_name="c", fleet="meters"),
        SimSpec(unique_name="d", fleet=""),
        SimSpec(unique_name="e"),
    ]
    box = Sandbox(sims=sims, link_dir=tmp_path, clock=SandboxClock(wall_clock), rng=random.Random(1))
    await box.start()
    fleets = [sim.fleet for sim in box.account.sims["/supersim"].list_page({}).rows[::-1]]
    with pytest.raises(ServiceError, match="it is assigned to no Fleet"):
        box.services["super-sim"].create({"Sim": "d", "Payload": "x"})
    await box.stop()
    assert [fleet and fleet.unique_name for fleet in fleets] == [None, "meters", "meters", None, "default"]
    assert (fleets[0].sid, fleets[1] is fleets[2], fleets[3]) == ("HF" + "b" * 32, True, None)
