"""The REST API of the services: statuses, bodies, links and errors as documented by the vendors."""

from __future__ import annotations

import asyncio
import io
import json
import re

import pytest

SMS = "/supersim/v1/SmsCommands"
WIRELESS = "/wireless/v1/Commands"
BETA = "/supersim/v1/Commands"
ALL = (
    (SMS, "super-sim", "Payload"),
    (WIRELESS, "programmable-wireless", "Command"),
    (BETA, "super-sim-beta", "Command"),
)
MISSING_SID = {SMS: "HC" + "0" * 32, WIRELESS: "DC" + "0" * 32, BETA: "HC" + "0" * 32}


def is_error(body, status, code):
    """The one described body: `code`, `status` and `message` are required, no `type` and no `title`."""
    assert set(body) == {"code", "status", "message", "more_info"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["message"].endswith(".")
    assert body["more_info"].endswith(f"/{code}")
    return True


@pytest.mark.parametrize(("path", "sim", "parameter"), ALL)
async def test_create_and_fetch(http, server, sandbox, path, sim, parameter):
    """201 with the queued resource, 200 with the same later at its URL."""
    status, made = await http.post(path, **{"Sim": sim, parameter: "led on"})
    assert status == 201
    assert http.headers["Content-Type"].startswith("application/json")
    assert (made["status"], made["direction"], made[parameter.lower()]) == ("queued", "to_sim", "led on")
    assert made["sim_sid"] == sandbox.sims[sim].sid
    assert made["account_sid"] == sandbox.account_sid
    assert made["date_created"] == made["date_updated"] == "2026-11-22T12:00:00Z"
    assert made["url"] == f"{server.url}{path}/{made['sid']}"
    status, found = await http.get(made["url"])
    assert status == 200
    assert {**found, "status": "queued"} == made


async def test_wireless_command_with_all_parameters(http):
    """All documented parameters at once."""
    status, made = await http.post(
        WIRELESS,
        Sim="programmable-wireless",
        Command="SGVsbG8sIE1hY2hpbmUh==",
        CommandMode="binary",
        IncludeSid="none",
        DeliveryReceiptRequested="false",
        CallbackUrl="http://127.0.0.1:1/",
        CallbackMethod="GET",
    )
    assert status == 201
    assert made["command"] == "SGVsbG8sIE1hY2hpbmUh=="
    assert (made["command_mode"], made["transport"]) == ("binary", "sms")
    assert made["delivery_receipt_requested"] is False


async def test_characters_survive_the_form(http):
    """Percent signs, plus signs, line ends, euro, snowman."""
    for text in ("50% + 1 = ?&x", "a\r\nb", "{€}", "☃ \U0001f600", "\x00"):
        status, made = await http.post(SMS, Sim="super-sim", Payload=text)
        assert (status, made["payload"]) == (201, text)


@pytest.mark.parametrize(
    ("path", "form", "status", "code"),
    [
        (SMS, {}, 400, 33102),
        (SMS, {"Sim": "super-sim"}, 400, 33102),
        (SMS, {"Payload": "hi"}, 400, 33102),
        (SMS, {"Sim": "super-sim", "Payload": "x" * 161}, 400, 33101),
        (SMS, {"Sim": "nobody", "Payload": "hi"}, 404, 33107),
        (SMS, {"Sim": "programmable-wireless", "Payload": "hi"}, 404, 33107),
        (WIRELESS, {"Command": "hi"}, 400, 33102),
        (WIRELESS, {"Sim": "DE" + "0" * 32, "Command": "hi"}, 404, 33107),
        (WIRELESS, {"Sim": "programmable-wireless", "Command": "x" * 126, "IncludeSid": "start"}, 400, 33101),
        (WIRELESS, {"Sim": "programmable-wireless", "Command": "hi", "IncludeSid": "x"}, 400, 33101),
        (BETA, {"Sim": "super-sim-beta", "Payload": "hi"}, 400, 33102),
    ],
)
async def test_invalid_command_is_refused(http, path, form, status, code):
    """With the codes of the dictionary, and nothing is created."""
    response_status, body = await http.post(path, **form)
    assert response_status == status
    assert is_error(body, status, code)
    assert (await http.get(path))[1][body_key(path)] == []


def body_key(path):
    return "sms_commands" if path == SMS else "commands"


@pytest.mark.parametrize(
    ("data", "media", "status", "code"),
    [
        (b"", None, 400, 33102),
        (b"Sim=super-sim&Payload=%ff%fe", "application/x-www-form-urlencoded", 400, 33101),
        (b"Sim=super-sim&Payload=\xff", "application/x-www-form-urlencoded", 400, 33101),
        (b"Sim=super-sim&Payload=a&Payload=b", "application/x-www-form-urlencoded", 400, 33121),
        (b"&".join(b"x%d=1" % n for n in range(200)), "application/x-www-form-urlencoded", 400, 33101),
        (b'{"Sim": "super-sim", "Payload": "hi"}', "application/json", 415, 33000),
        (b"Sim=super-sim&Payload=hi", "text/plain", 415, 33000),
    ],
)
async def test_invalid_form_is_refused(http, data, media, status, code):
    """Empty, not UTF-8, conflicting, of another media type."""
    headers = {"Content-Type": media} if media else {}
    response_status, body = await http("POST", SMS, data=data, headers=headers)
    assert response_status == status
    assert is_error(body, status, code)


async def test_oversized_body_is_refused(http):
    """413 in the documented form."""
    status, body = await http("POST", SMS, data=io.BytesIO(b"x" * 2_000_000))
    assert status == 413
    assert is_error(body, 413, 33000)


@pytest.mark.parametrize("path", [path for path, _, _ in ALL])
async def test_unknown_resource_is_not_found(http, path):
    """404 for an unknown SID, a SID of another form, and an unknown path."""
    for where in (
        f"{path}/{MISSING_SID[path]}",
        f"{path}/x",
        f"{path}/x/y",
        "/supersim/v2/SmsCommands",
        "/nothing",
    ):
        status, body = await http.get(where)
        assert status == 404
        assert is_error(body, 404, 20404)


@pytest.mark.parametrize("path", [path for path, _, _ in ALL])
async def test_undocumented_method_is_refused(http, path):
    """405 that names the allowed ones; only one service deletes."""
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"):
        status, body = await http(method, path)
        assert status == 405
        assert is_error(body, 405, 20004)
        assert http.headers["Allow"] == "GET,POST"
    one = f"{path}/{MISSING_SID[path]}"
    for method in ("PUT", "PATCH", "POST") + (("DELETE",) if path != WIRELESS else ()):
        assert (await http(method, one))[0] == 405
    assert (await http("HEAD", path))[0] == 405


async def test_delete(http):
    """204 without a body; then the resource is gone."""
    _, made = await http.post(WIRELESS, Sim="programmable-wireless", Command="x")
    assert await http("DELETE", made["url"]) == (204, "")
    for method in ("GET", "DELETE"):
        status, body = await http(method, made["url"])
        assert status == 404
        assert is_error(body, 404, 20404)


async def test_empty_list(http, server, sandbox):
    """The sample of the description, with the address of the sandbox."""
    status, body = await http.get(SMS, Status="received", Sim=sandbox.sims["super-sim"].sid)
    url = f"{server.url}{SMS}?Status=received&Sim={sandbox.sims['super-sim'].sid}&PageSize=50&Page=0"
    assert status == 200
    assert body == {
        "sms_commands": [],
        "meta": {
            "first_page_url": url,
            "key": "sms_commands",
            "next_page_url": None,
            "page": 0,
            "page_size": 50,
            "previous_page_url": None,
            "url": url,
        },
    }


@pytest.mark.parametrize(("path", "sim", "parameter"), ALL)
async def test_list_is_read_through_its_links(http, path, sim, parameter):
    """Newest first, each once, every link at the address that was called."""
    for number in range(5):
        await http.post(path, **{"Sim": sim, parameter: str(number)})
    status, body = await http.get(path, PageSize="2", Direction="to_sim")
    seen = []
    while True:
        assert status == 200
        meta = body["meta"]
        seen += [row[parameter.lower()] for row in body[meta["key"]]]
        for link in (meta["url"], meta["first_page_url"]):
            assert link.startswith(f"{http.root}{path}?Direction=to_sim&PageSize=2&Page=")
        if meta["next_page_url"] is None:
            break
        status, body = await http.get(meta["next_page_url"])
    assert seen == ["4", "3", "2", "1", "0"]
    assert meta["page"] == 2
    assert (await http.get(meta["previous_page_url"]))[1]["meta"]["page"] == 1


async def test_links_have_the_host_of_the_request(http, server):
    """A client follows them with its credentials: never another host."""
    port = server.url.rpartition(":")[2]
    await http.post(SMS, Sim="super-sim", Payload="1")
    _, made = await http(
        "POST", SMS, data={"Sim": "super-sim", "Payload": "2"}, headers={"Host": f"pi.local:{port}"}
    )
    assert made["url"].startswith(f"http://pi.local:{port}{SMS}/HC")
    _, body = await http("GET", f"{SMS}?PageSize=1", headers={"Host": f"pi.local:{port}"})
    assert body["meta"]["next_page_url"].startswith(
        f"http://pi.local:{port}{SMS}?PageSize=1&Page=1&PageToken="
    )


async def test_links_without_host_header(server):
    """HTTP/1.0 has no host; the address of the socket is used."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {SMS} HTTP/1.0\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    assert re.search(r'"url": "(.*?)\?', answer)[1] == server.url + SMS


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("PageSize=0", 33103),
        ("PageSize=1001", 33103),
        ("Page=x", 33103),
        ("PageToken=x", 33103),
        ("Status=x", 33101),
        ("Direction=%ff", 33101),
        ("Status=sent&Status=failed", 33121),
    ],
)
async def test_invalid_list_request_is_refused(http, query, code):
    """400 with the code for paging or for an invalid value."""
    status, body = await http.get(f"{SMS}?{query}")
    assert status == 400
    assert is_error(body, 400, code)


async def test_parameters_that_no_operation_reads_are_ignored(http):
    """Also if they are given twice; an empty filter is none, and a page may have any number."""
    form = "Sim=super-sim&Payload=x&Other=1&Other=2"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await http("POST", SMS, data=form, headers=headers))[0] == 201
    for query, count in (
        ("x=1&x=2", 1),
        ("Status=&Sim=&Direction=", 1),
        ("Page=1000000000000001", 0),
        ("Page=" + "9" * 5000, 0),
        ("Page=000", 1),
    ):
        status, body = await http.get(f"{SMS}?{query}")
        assert (status, len(body["sms_commands"])) == (200, count)


@pytest.mark.parametrize("path", [SMS, "/sandbox/sims/super-sim/faults"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_body_in_another_encoding_is_refused(http, path, encoding):
    """A body that is said to be compressed and is not."""
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-www-form-urlencoded"}
    status, body = await http("POST", path, data=b"Sim=super-sim&Payload=hi", headers=headers)
    assert status == 400
    assert is_error(body, 400, 33101)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nX: \x00", 400),
        (b"GET / HTTP/9.9", 400),
        (b"POST /v1/SmsCommands HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\nContent-Length: 0", 417),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: \xe9", 400),
    ],
)
async def test_request_that_is_not_http_is_answered_with_json(server, caplog, request_head, status):
    """In the documented form, like every other error; nothing is logged."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request_head + b"\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert int(head.split()[1]) == status
    found = json.loads(body)
    assert is_error(found, status, found["code"])
    assert caplog.records == []


async def test_client_that_hangs_up_is_not_logged(server, caplog):
    """In the middle of the body."""
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/SmsCommands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nSim="
    )
    await writer.drain()
    await asyncio.sleep(0.01)  # the server reads the body
    writer.transport.abort()
    await server.stop()
    assert caplog.records == []


@pytest.mark.parametrize("credentials", ["Basic QUM6eA==", "Bearer token", "nonsense"])
async def test_any_credentials_are_accepted(http, credentials):
    """There is one account."""
    status, _ = await http("GET", SMS, headers={"Authorization": credentials})
    assert status == 200


async def test_internal_error_has_the_documented_form(http, sandbox, monkeypatch, caplog):
    """500 and one log entry, no HTML page of the framework."""
    monkeypatch.setattr(sandbox.services["super-sim"], "list_page", lambda _: 1 / 0)
    status, body = await http.get(SMS)
    assert status == 500
    assert is_error(body, 500, 33000)
    assert "GET /supersim/v1/SmsCommands failed" in caplog.text


async def test_resource_older_than_30_days_is_gone(http, wall_clock):
    """404 when fetched, and not listed."""
    _, made = await http.post(SMS, Sim="super-sim", Payload="x")
    wall_clock.advance(days=30, seconds=1)
    assert (await http.get(made["url"]))[0] == 404
    assert (await http.get(SMS))[1]["sms_commands"] == []
