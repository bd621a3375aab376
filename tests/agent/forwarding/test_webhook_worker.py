"""Posting Commands to a real web server that accepts, refuses, fails, hangs, redirects or breaks off."""

import asyncio
import contextlib
import random
import re
import ssl
from pathlib import Path
from threading import Thread

import pytest
from aiohttp import web

from agent.common.config import Config, WebhookConfig
from agent.forwarding.delivery import Accepted, Postponed, TargetListener
from agent.forwarding.targets import make_targets, worker_settings
from agent.forwarding.webhook_signature import SigningSecretError, decode_secrets, sign
from agent.forwarding.webhook_worker import WebhookClient, parse_retry_after
from certificate import make_certificate

GUIDE = Path(__file__).parents[3] / "config/guides/forwarding.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = {"id": "HC0123", "text": "led on"}


class WebServer:
    """A server on a free port that gives the answers that a test plans, and keeps the requests."""

    def __init__(self):
        self.requests = []
        self.answer = web.Response(status=204)
        self.url = ""

    async def handle(self, request):
        self.requests.append((request.headers, await request.text()))
        answer = self.answer
        return await answer(request) if callable(answer) else answer


@pytest.fixture
async def server():
    server = WebServer()
    app = web.Application()
    app.router.add_post("/hook", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"
    yield server
    await runner.cleanup()


async def post(url, environ=(), **settings):
    config = WebhookConfig(url=url, timeout_s=0.3, **settings)
    client = WebhookClient(worker_settings(config, "gw"), dict(environ))
    return await asyncio.to_thread(client.deliver, MESSAGE)


def test_signature_is_that_of_the_reference_library():
    """The value was made with the package standardwebhooks."""
    [key] = decode_secrets(SECRET)
    signature = sign([key], "HC0123", 1700000000, b'{"test": 2432232314}')
    assert signature == "v1,9WEVQYm0eWO2gaGjF5FrHv/XOq4++Y74r/6XjvYGPXE="


def test_two_secrets_make_two_signatures_and_a_wrong_one_is_not_shown():
    """A receiver that changes its secret accepts either."""
    keys = decode_secrets(f"{SECRET}\n{SECRET}\n")
    assert len(sign(keys, "i", 1, b"").split(" ")) == 2
    with pytest.raises(SigningSecretError) as caught:
        decode_secrets("whsec_hunter2!")
    assert "hunter2" not in str(caught.value)


async def test_request_is_signed_json_with_a_stable_id(server, tmp_path):
    """Body and headers are those of Standard Webhooks; Authorization is that of its file."""
    (tmp_path / "webhook-secret").write_text(SECRET)
    (tmp_path / "webhook-authorization").write_text("Bearer abc\n")
    outcome = await post(server.url, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert outcome["outcome"] == "accepted"
    [(headers, body)] = server.requests
    assert headers["webhook-id"] == "HC0123"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer abc"
    expected = sign(decode_secrets(SECRET), "HC0123", int(headers["webhook-timestamp"]), body.encode())
    assert headers["webhook-signature"] == expected
    assert '"type": "command.received"' in body
    assert '"data": {"id": "HC0123", "text": "led on"}' in body


async def test_receiver_of_the_guide_takes_a_command_and_answers(tmp_path):
    """It refuses one that is signed with another secret."""
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    names = {}
    exec(code.partition("\n\nHTTPServer((")[0], names)  # noqa: S102  (the code of our own page)
    receiver = names["HTTPServer"](("127.0.0.1", 0), names["Receiver"])
    secret = tmp_path / "webhook-secret"
    with receiver:
        Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}).start()
        url = f"http://127.0.0.1:{receiver.server_port}/commands"
        outcomes = []
        for text in (SECRET, "whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA=="):
            secret.write_text(text)
            outcomes.append(await post(url, {"CREDENTIALS_DIRECTORY": str(tmp_path)}))
        receiver.shutdown()
    assert [each["outcome"] for each in outcomes] == ["accepted", "postponed"]
    assert "done: led on" in outcomes[0].values()


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "min_delay_s", "clause"),
    [
        (500, {}, "postponed", 0, "the server answers 500 Internal Server Error"),
        (503, {"retry-after": "120"}, "postponed", 120, "503"),
        (429, {"Retry-After": "99999"}, "postponed", 3600, "429 Too Many Requests"),
        (302, {"Location": "https://b.example/x"}, "postponed", 300, "to https://b.example/x"),
        (401, {}, "postponed", 300, "check secret_file and authorization_file in [webhook]"),
        (404, {}, "postponed", 300, "check url in [webhook]"),
        (410, {}, "postponed", 3600, "it wants no more requests; change [webhook] url"),
        (422, {}, "rejected", None, "the server answers 422"),
        (413, {}, "rejected", None, "the server answers 413"),
    ],
)
async def test_status_decides_whether_the_command_waits(
    server, status, headers, outcome, min_delay_s, clause
):
    """Only 413 and 422 end a Command; all else may be the fault of server or settings, and it waits."""
    server.answer = web.Response(status=status, headers=headers)
    found = await post(server.url)
    assert (found["outcome"], found.get("min_delay_s")) == (outcome, min_delay_s)
    assert clause in found["reason"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("response", "answer", "note"),
    [
        (web.Response(text="led is on"), {"text": "led is on"}, ""),
        (web.json_response({"reply": "led is on"}, status=201), {"text": "led is on"}, ""),
        (web.json_response({"hex": "01ff"}), {"hex": "01ff"}, ""),
        (web.Response(text="<p>", content_type="text/html"), {}, ""),
        (web.Response(text="{", content_type="application/json"), {}, "the answer is not valid JSON"),
    ],
)
async def test_body_of_the_answer_is_the_reply(server, response, answer, note):
    """A body that cannot be used changes nothing about the acceptance."""
    server.answer = response
    assert await post(server.url) == {"outcome": "accepted", "note": note, **answer}


async def test_server_that_hangs_or_is_away_postpones(server):
    """So does one that does not speak HTTP."""

    async def hang(_request):
        await asyncio.sleep(0.6)

    server.answer = hang
    assert (await post(server.url))["reason"].endswith("no answer in time")
    assert (await post("http://127.0.0.1:9/"))["reason"] == "http://127.0.0.1:9/: Connection refused"
    assert "its name cannot be resolved" in (await post("http://nowhere.invalid/"))["reason"]


async def test_answer_that_breaks_off_after_its_status_is_an_acceptance(server):
    """The status says that the server has the Command. Half an answer is not sent."""

    async def break_off(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"led is")
        request.transport.abort()
        return response

    server.answer = break_off
    assert await post(server.url) == {"outcome": "accepted", "note": "the answer broke off"}


async def test_answer_that_never_ends_is_an_acceptance(server):
    """The agent leaves time for it: else it would end the process, and post the Command again and again."""

    async def trickle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(12):
                await response.write(b"x")
                await asyncio.sleep(0.05)
        return response

    server.answer = trickle
    assert await post(server.url) == {"outcome": "accepted", "note": "the answer broke off"}
    [target] = make_targets(Config(webhook=WebhookConfig(url=server.url, timeout_s=20)), random.Random(1))
    assert target.delivery_timeout_s > 3 * 20


def test_retry_after_may_be_a_date():
    """Nonsense and the past mean no wait."""
    assert parse_retry_after("Sun, 29 Nov 2026 18:00:30 GMT", 1795975200.0) == 30
    assert parse_retry_after("Sun, 29 Nov 2026 17:00:00 GMT", 1795975200.0) == 0
    assert parse_retry_after("soon", 0.0) == 0


async def test_secret_file_that_all_may_read_is_not_used(server, tmp_path):
    """The sentence names the command that helps; nothing is posted."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o644)
    outcome = await post(server.url, secret_file=file)
    assert outcome["reason"].endswith(f"can be read by every user; run: chmod o= {file}")
    assert server.requests == []


async def test_certificate_of_an_unknown_ca_is_explained_and_ca_file_helps(tmp_path):
    """TLS checks the name and the CA of the server."""
    make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = WebServer()
    app = web.Application()
    app.router.add_post("/hook", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://localhost:{site._server.sockets[0].getsockname()[1]}/hook"
    try:
        assert "set ca_file if it has a CA of its own" in (await post(url))["reason"]
        assert (await post(url, ca_file=tmp_path / "cert.pem"))["outcome"] == "accepted"
        missing = await post(url, ca_file=tmp_path / "none.pem")
        assert missing["reason"] == f"ca_file {tmp_path}/none.pem cannot be used: No such file or directory"
    finally:
        await runner.cleanup()


async def deliver_when_started(target):
    """Deliver a Command as soon as the process of the target runs."""
    starting = Postponed("its process is being started")
    while (outcome := await target.deliver(MESSAGE)) == starting:  # noqa: ASYNC110  (nothing reports a start)
        await asyncio.sleep(0.02)
    return outcome


async def test_process_that_is_stuck_in_a_server_is_replaced(server):
    """The Command waits, and the next delivery is made by a new process."""

    async def hang(_request):
        await asyncio.sleep(1)

    server.answer = hang
    config = Config(webhook=WebhookConfig(url=server.url))
    [target] = make_targets(config, random.Random(1))
    target.delivery_timeout_s = 0.5
    reasons, ended = [], asyncio.Event()

    def on_disconnected(reason):
        reasons.append(reason)
        ended.set()

    listener = TargetListener(lambda _: None, on_disconnected, lambda _: None, None)
    task = asyncio.create_task(target.run(listener))
    async with asyncio.timeout(30):
        assert await deliver_when_started(target) == Postponed("no answer within 0.5 s")
        await ended.wait()
        server.answer, target.delivery_timeout_s = web.Response(text="led is on"), 20.0
        assert await deliver_when_started(target) == Accepted("led is on")
    assert reasons == ["its process has ended"]
    task.cancel()
    await asyncio.wait([task])
