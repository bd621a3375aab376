"""The vendor's own client with only its base URL changed: create, fetch, list in pages, delete, errors.

`twilio` 8 or newer has SmsCommands and Programmable Wireless; the beta's Commands are in versions up to 7.7.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

rest = pytest.importorskip("twilio.rest", reason="the vendor's client is not installed: pip install twilio")
base = pytest.importorskip("twilio.base.exceptions")

ACCOUNT = "AC" + "0" * 32


@pytest.fixture
def client(server):
    client = rest.Client(ACCOUNT, "token")
    client.supersim.base_url = f"{server.url}/supersim"
    client.wireless.base_url = f"{server.url}/wireless"
    yield client
    client.http_client.session.close()


@pytest.fixture
def beta(client):
    try:
        return client.supersim.v1.commands
    except AttributeError:
        pytest.skip("this client no longer has the beta's Commands: pip install twilio==7.7.1")


async def call(function, *arguments, **parameters):
    """The client blocks, so it runs in a thread beside the sandbox."""
    return await asyncio.to_thread(function, *arguments, **parameters)


async def test_sms_commands(client, sandbox):
    """Created by unique name, fetched as itself, with dates that the client parses."""
    commands = client.supersim.v1.sms_commands
    made = await call(commands.create, sim="super-sim", payload="led {on} €")
    assert (made.status, made.direction, made.payload) == ("queued", "to_sim", "led {on} €")
    assert made.sim_sid == sandbox.sims["super-sim"].sid
    assert made.date_created == datetime(2026, 11, 22, 12, tzinfo=UTC)
    found = await call(commands(made.sid).fetch)
    assert (found.sid, found.date_updated, found.url) == (made.sid, made.date_updated, made.url)


async def test_wireless_commands(client):
    """All parameters; after the deletion the Command is not found."""
    commands = client.wireless.v1.commands
    made = await call(
        commands.create,
        command="SGVsbG8sIE1hY2hpbmUh==",
        sim="programmable-wireless",
        command_mode="binary",
        delivery_receipt_requested=False,
        callback_url="http://127.0.0.1:1/",
        callback_method="POST",
    )
    assert (made.command_mode, made.transport) == ("binary", "sms")
    assert made.delivery_receipt_requested is False
    with_sid = await call(commands.create, command="hi", sim="programmable-wireless", include_sid="start")
    assert await call(commands(with_sid.sid).delete) is True
    with pytest.raises(base.TwilioRestException) as caught:
        await call(commands(with_sid.sid).fetch)
    assert (caught.value.status, caught.value.code) == (404, 20404)


@pytest.mark.parametrize("page_size", [1, 2, 3, 50])
async def test_lists_in_pages(client, page_size):
    """Every Command once, newest first, whatever the size of the pages."""
    commands = client.supersim.v1.sms_commands
    for number in range(5):
        await call(commands.create, sim="super-sim", payload=str(number))
    listed = await call(commands.list, direction="to_sim", sim="super-sim", page_size=page_size)
    assert [command.payload for command in listed] == ["4", "3", "2", "1", "0"]
    assert len(await call(commands.list, limit=3)) == 3
    assert await call(commands.list, status="received") == []
    page = await call(commands.page, page_size=2)
    second = await call(page.next_page)
    assert [command.payload for command in second] == ["2", "1"]
    assert [command.payload for command in await call(second.previous_page)] == ["4", "3"]


async def test_delete_while_listing(client):
    """Deleting the rows of a page hides no row of the next."""
    commands = client.wireless.v1.commands
    for number in range(5):
        await call(commands.create, sim="programmable-wireless", command=str(number))

    def sweep():
        return [command.delete() for command in commands.stream(page_size=2)]

    assert await call(sweep) == [True] * 5
    assert await call(commands.list) == []


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"sim": "nobody", "command": "hi"}, 404, 33107),
        ({"command": "hi"}, 400, 33102),
        ({"sim": "programmable-wireless", "command": "x" * 161}, 400, 33101),
        ({"sim": "programmable-wireless", "command": "x" * 126, "include_sid": "end"}, 400, 33101),
    ],
)
async def test_errors(client, parameters, status, code):
    """The client's exception has status, code and sentence."""
    with pytest.raises(base.TwilioRestException) as caught:
        await call(client.wireless.v1.commands.create, **parameters)
    assert type(caught.value) is base.TwilioRestException
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.msg


async def test_beta_commands(beta):
    """Created, fetched and listed by a client version of that time."""
    made = await call(beta.create, sim="super-sim-beta", command="hi")
    assert (made.status, made.direction, made.command) == ("queued", "to_sim", "hi")
    assert (await call(beta(made.sid).fetch)).sid == made.sid
    for number in range(2):
        await call(beta.create, sim="super-sim-beta", command=str(number))
    assert [command.command for command in await call(beta.list, page_size=1)] == ["1", "0", "hi"]
