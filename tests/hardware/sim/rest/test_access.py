"""Credentials: which ones the services accept, the token endpoint, and the account that resources show."""

from __future__ import annotations

import asyncio
import base64
import random
from datetime import UTC, datetime

import pytest

from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.service.access import AccessControl, AccountCredentials
from hardware.sim.service.errors import ServiceError

COMMANDS = "/supersim/v1/SmsCommands"
WIRELESS = "/wireless/v1/Commands"
TOKEN_PATH = "/api-services/v1/auth/token"
OWN = AccountCredentials(account_sid="AC" + "1" * 32, token="secret")
OTHER_ACCOUNT = "AC" + "2" * 32


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


GOOD = basic(OWN.account_sid, "secret")


@pytest.fixture
def is_open():
    return False


@pytest.fixture
async def server(tmp_path, wall_clock, is_open):
    """In place of the open sandbox of the other tests: one that checks credentials unless `is_open`."""
    clock = SandboxClock(wall_clock)
    sandbox = Sandbox(link_dir=tmp_path, clock=clock, rng=random.Random(1), credentials=OWN)
    server = SandboxServer(sandbox, ("127.0.0.1", 0), is_open=is_open)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def call(http):
    """Return a function that sends a request with an Authorization header."""

    async def call(method, path, authorization=None, **form):
        headers = {} if authorization is None else {"Authorization": authorization}
        return await http(method, path, headers=headers, data=form or None)

    return call


@pytest.mark.parametrize(
    "authorization",
    [
        GOOD,
        GOOD.replace("Basic", "basic"),
        basic(OWN.key_sid, OWN.key_secret),
        "Bearer secret",
        "bearer  secret",
    ],
)
async def test_accepted_credentials(call, authorization):
    """Account and token, API key and secret, and the token as a bearer token; the account is shown."""
    status, made = await call("POST", COMMANDS, authorization, Sim="super-sim", Payload="x")
    assert (status, made["account_sid"]) == (201, OWN.account_sid)
    assert (await call("GET", made["url"], authorization))[0] == 200


@pytest.mark.parametrize(
    "authorization",
    [
        *(None, "", "Basic", "Basic !", "Basic //8=", "Bearer", "Bearer wrong", "Digest x", "secret"),
        *(basic(OWN.account_sid, "wrong"), basic(OTHER_ACCOUNT, "secret"), basic("", "")),
        *(basic(OWN.key_sid, "secret"), basic(OWN.account_sid, OWN.key_secret), "Bearer 0.0", "Bearer fff.x"),
        f"Bearer {OWN.key_secret}",
    ],
)
async def test_refused_credentials(http, call, authorization):
    """401 with the vendor's body, for every operation."""
    for method, path in (
        ("POST", COMMANDS),
        ("GET", WIRELESS),
        ("DELETE", f"{WIRELESS}/DC1"),
        ("POST", "/supersim/v1/Fleets"),
        ("POST", "/v1/SmsCommands"),
    ):
        assert await call(method, path, authorization) == (
            401,
            {
                "code": 20003,
                "message": "Authenticate",
                "more_info": "https://www.twilio.com/docs/errors/20003",
                "status": 401,
            },
        )
        assert http.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("path", ["/supersim/v1/Nothing", "/wireless/v1/Sims", "/%73upersim/v1/Sims"])
async def test_every_path_of_the_services_is_protected(call, path):
    """Whether it exists or not, and however it is spelled."""
    assert (await call("GET", path))[0] == 401


async def test_control_needs_no_credentials(call, http):
    """The control interface, which shows the credentials, and the console."""
    assert (await call("GET", "/sandbox/sims"))[0] == 200
    assert (await call("GET", "/"))[0] == 200
    _, described = await call("GET", "/sandbox")
    assert described["api_key"] == {"sid": OWN.key_sid, "secret": OWN.key_secret}
    assert described["client"] == {"id": OWN.client_id, "secret": OWN.client_secret}
    assert described["token_url"] == f"{http.root}{TOKEN_PATH}"


async def test_access_token(call, wall_clock):
    """From the token endpoint, for an hour."""
    form = {
        "grant_type": "client_credentials",
        "client_id": OWN.client_id,
        "client_secret": OWN.client_secret,
    }
    status, body = await call("POST", TOKEN_PATH, **form)
    assert (status, body["expires_in"], body["token_type"]) == (200, 3600, "Bearer")
    authorization = f"Bearer {body['access_token']}"
    assert (await call("GET", COMMANDS, authorization))[0] == 200
    assert (await call("GET", COMMANDS, authorization + "0"))[0] == 401
    wall_clock.advance(seconds=3599)
    assert (await call("GET", COMMANDS, authorization))[0] == 200
    wall_clock.advance(seconds=1)
    assert (await call("GET", COMMANDS, authorization))[0] == 401


@pytest.mark.parametrize(
    ("form", "status", "keys"),
    [
        ({}, 400, {"code", "message"}),
        ({"grant_type": "password"}, 400, {"code", "message"}),
        ({"grant_type": "client_credentials"}, 401, {"error", "error_description"}),
        (
            {"grant_type": "client_credentials", "client_id": OWN.client_id, "client_secret": "x"},
            401,
            {"error", "error_description"},
        ),
    ],
)
async def test_refused_access_token(call, form, status, keys):
    """With the vendor's two bodies."""
    answer = await call("POST", TOKEN_PATH, **form)
    assert (answer[0], set(answer[1])) == (status, keys)


@pytest.mark.parametrize("is_open", [True])
async def test_open_sandbox_shows_the_account_of_the_caller(call, http):
    """Anything is accepted. Commands belong to the account that created them, and another one finds none."""
    others = basic(OTHER_ACCOUNT, "any")
    _, made = await call("POST", WIRELESS, others, Sim="programmable-wireless", Command="x")
    _, anonymous = await call("POST", WIRELESS, Sim="programmable-wireless", Command="y")
    assert (made["account_sid"], anonymous["account_sid"]) == (OTHER_ACCOUNT, OWN.account_sid)
    for authorization, shown in ((others, "yx"), (None, "yx"), ("Bearer x", "yx"), (GOOD, "y")):
        _, listed = await call("GET", WIRELESS, authorization)
        assert "".join(row["command"] for row in listed["commands"]) == shown
    assert (await call("GET", made["url"], GOOD))[0] == 404
    assert (await call("DELETE", made["url"], GOOD))[0] == 404
    assert (await call("GET", made["url"], "Basic broken"))[1]["account_sid"] == OTHER_ACCOUNT
    _, sim = await call("GET", "/supersim/v1/Sims/super-sim", others)
    assert sim["account_sid"] == OTHER_ACCOUNT
    assert (await call("POST", TOKEN_PATH, grant_type="client_credentials", client_id="x"))[0] == 200


def test_credentials_differ_by_account_and_token():
    """Key and client are stable for the same account and token."""
    again = AccountCredentials(account_sid=OWN.account_sid, token="secret")
    assert (again.key_sid, again.client_secret) == (OWN.key_sid, OWN.client_secret)
    for other in (
        AccountCredentials(account_sid=OTHER_ACCOUNT, token="secret"),
        AccountCredentials(account_sid=OWN.account_sid, token="other"),
    ):
        assert (other.key_sid, other.client_secret) != (OWN.key_sid, OWN.client_secret)
    drawn = AccountCredentials.draw(random.Random(1))
    assert drawn.account_sid.startswith("AC")
    assert AccountCredentials.draw(random.Random(1), "AC1", "t").token == "t"


def test_tokens_of_another_account_are_refused():
    """Also if they have not ended."""
    clock = lambda: datetime(2026, 11, 22, tzinfo=UTC)  # noqa: E731 - a clock in one line
    form = {"grant_type": "client_credentials"}
    foreign = AccountCredentials(account_sid=OTHER_ACCOUNT, token="x")
    token = AccessControl(foreign, clock, is_open=True).issue_token(form)["access_token"]
    with pytest.raises(ServiceError):
        AccessControl(OWN, clock, is_open=False).authenticate(f"Bearer {token}")


async def test_vendor_client(server):
    """With the account's token and with an API key; its exception for wrong ones has the code."""
    rest = pytest.importorskip("twilio.rest")
    base = pytest.importorskip("twilio.base.exceptions")

    def create(*credentials):
        client = rest.Client(*credentials)
        client.supersim.base_url = f"{server.url}/supersim"
        try:
            return client.supersim.v1.sms_commands.create(sim="super-sim", payload="x").account_sid
        finally:
            client.http_client.session.close()

    assert await asyncio.to_thread(create, OWN.account_sid, "secret") == OWN.account_sid
    made = await asyncio.to_thread(create, OWN.key_sid, OWN.key_secret, OWN.account_sid)
    assert made == OWN.account_sid
    with pytest.raises(base.TwilioRestException) as caught:
        await asyncio.to_thread(create, OWN.account_sid, "wrong")
    assert (caught.value.status, caught.value.code) == (401, 20003)
    assert caught.value.msg.endswith("Authenticate")
