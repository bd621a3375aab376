"""Paths as on the vendors' hosts: without prefix where one product has them, else by port, host or SID."""

from __future__ import annotations

import pytest

SIMS = {"/supersim": "super-sim", "/wireless": "programmable-wireless"}


@pytest.fixture
def own_urls(server):
    return server.describe()["product_urls"]


async def test_path_of_one_product_needs_no_prefix(http):
    """The line of the document with its host replaced; the URLs of the answer are those of the caller."""
    status, made = await http.post("/v1/SmsCommands", Sim="super-sim", Payload="x")
    assert (status, made["url"]) == (201, f"{http.root}/v1/SmsCommands/{made['sid']}")
    assert (await http.get(made["url"]))[1]["sid"] == made["sid"]
    assert (await http.get(f"/supersim/v1/SmsCommands/{made['sid']}"))[0] == 200
    _, body = await http.get("/v1/SmsCommands", PageSize="1")
    assert body["meta"]["url"] == f"{http.root}/v1/SmsCommands?PageSize=1&Page=0"
    assert (await http("DELETE", made["url"]))[0] == 405
    _, body = await http.get("/v1/Fleets/default")
    assert body["url"].startswith(f"{http.root}/v1/Fleets/HF")


@pytest.mark.parametrize("path", ["/v1/Commands", "/v1/Sims", "/v1/Commands/x", "/v1/Sims/super-sim"])
async def test_path_of_two_products_is_explained(http, path):
    """404 that names the two choices."""
    status, body = await http.get(path)
    assert (status, body["code"]) == (404, 20404)
    assert f"/supersim{path} or /wireless{path}" in body["message"]


async def test_sid_decides(http, sandbox):
    """DE and DC belong to Programmable Wireless, HS and HC to Super SIM."""
    for name, sim in sandbox.sims.items():
        status, body = await http.get(f"/v1/Sims/{sim.sid}")
        assert (status, body["unique_name"]) == (200, name)
    _, made = await http.post("/wireless/v1/Commands", Sim="programmable-wireless", Command="x")
    assert (await http.get(f"/v1/Commands/{made['sid']}"))[1]["command"] == "x"
    assert (await http("DELETE", f"/v1/Commands/HC{'0' * 32}"))[0] == 405
    assert http.headers["Allow"] == "GET"
    assert (await http("DELETE", f"/v1/Commands/{made['sid']}"))[0] == 204


@pytest.mark.parametrize("base_path", SIMS)
async def test_port_of_a_product(http, own_urls, base_path):
    """Its paths are those of the vendor's host, and those of the other product do not exist there."""
    url = own_urls[base_path.strip("/")]
    sim = {"/supersim": "super-sim-beta"}.get(base_path, "programmable-wireless")
    status, made = await http("POST", f"{url}/v1/Commands", data={"Sim": sim, "Command": "x"})
    assert (status, made["url"]) == (201, f"{url}/v1/Commands/{made['sid']}")
    assert (await http.get(f"{url}/v1/Sims/{sim}"))[0] == 200
    found = (await http.get(f"{url}/v1/SmsCommands"))[0], (await http.get(f"{url}/v1/Fleets"))[0]
    assert found == ((200, 200) if base_path == "/supersim" else (404, 404))
    assert (await http("PUT", f"{url}/v1/Sims"))[0] == 405
    assert http.headers["Allow"] == ("GET,POST" if base_path == "/supersim" else "GET")
    assert (await http.get(f"{url}/sandbox"))[1]["product_urls"] == own_urls


@pytest.mark.parametrize(
    ("host", "sim"),
    [
        *(("supersim.localhost", "super-sim"), ("supersim.api.korewireless.com", "super-sim")),
        *(
            ("wireless.localhost:1", "programmable-wireless"),
            ("WIRELESS.twilio.com.", "programmable-wireless"),
        ),
    ],
)
async def test_host_of_a_product(http, host, sim):
    """A proxy, or a line in /etc/hosts, may pass the vendor's host on."""
    status, body = await http("GET", f"/v1/Sims/{sim}", headers={"Host": host})
    assert (status, body["unique_name"]) == (200, sim)
