"""Requests that a web page in the developer's browser could make are refused before they change anything."""

from __future__ import annotations

import pytest

SMS = "/supersim/v1/SmsCommands"
FORM = {"Sim": "super-sim", "Payload": "x"}


@pytest.fixture
def port(server):
    return server.url.rpartition(":")[2]


async def test_host_that_is_this_machine_or_allowed(http, port):
    """Loopback, names below localhost, the names of the option, and the vendors' hosts."""
    for name in (
        *("127.0.0.1:{}", "localhost:{}", "LOCALHOST", "localhost.:{}", "supersim.localhost:{}", "127.3.2.1"),
        *("[::1]:{}", "pi.local:{}", "supersim.twilio.com", "programmable-wireless.api.korewireless.com"),
        "api.korewireless.com",
    ):
        host = name.format(port)
        status, made = await http("POST", SMS, data=FORM, headers={"Host": host})
        assert status == 201
        assert made["url"].startswith(f"http://{host}/")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("evil.example", 403), ("127.0.0.1.evil.example:{}", 403), ("10.0.0.1:{}", 403)),
        *(("localhost.evil.example", 403), ("[fe80::1]", 403)),
        *(
            ("", 400),
            ("a b", 400),
            ("127.0.0.1:x", 400),
            ("user@127.0.0.1", 400),
            ("h\xe9", 400),
            ("[::", 400),
        ),
    ],
)
async def test_foreign_host_is_refused(http, sandbox, port, host, status):
    """DNS rebinding gives a foreign name the address of this machine; reading, too, shows the token."""
    for path in (SMS, "/sandbox/sims/super-sim/detach", "/sandbox", "/", "/nothing"):
        method = "GET" if path in ("/", "/sandbox") else "POST"
        found, body = await http(method, path, data=FORM, headers={"Host": host.format(port)})
        assert (found, body["status"]) == (status, status)
    assert not sandbox.services["super-sim"].list_page({}).rows
    assert sandbox.network.is_reachable(sandbox.sims["super-sim"].sim_card.imsi)


@pytest.mark.parametrize(
    "headers",
    [
        *({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:3000"}),
        *({"Origin": "http://[::"}, {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"}),
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_page_of_another_site_is_refused(http, sandbox, headers):
    """A simple form needs no permission of CORS, so the site of the page is checked."""
    for path in (SMS, "/sandbox/sims/super-sim/detach"):
        status, body = await http("POST", path, data=FORM, headers=headers)
        assert (status, body["code"]) == (403, 20403)
        assert "Access-Control-Allow-Origin" not in http.headers
    assert not sandbox.services["super-sim"].list_page({}).rows
    assert sandbox.network.is_reachable(sandbox.sims["super-sim"].sim_card.imsi)


async def test_own_page_may_send(http, server):
    """The console of the sandbox itself."""
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert (await http("POST", SMS, data=FORM, headers=headers))[0] == 201
    assert (await http("GET", "/", headers={"Sec-Fetch-Site": "cross-site"}))[0] == 200  # a link
