"""A Command over a real broker, or a real web server, and its reply in the list of the service."""

import asyncio

import pytest
from aiohttp import web

pytest.importorskip("paho")
from mosquitto import MOSQUITTO, Broker, Subscriber


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
async def test_command_waits_for_the_broker_and_is_answered(sandbox_env, tmp_path):
    """It comes while the broker is down, outlasts the agent, and holds up no handler."""
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    with sandbox_env.config.open("a") as file:
        file.write(f'[mqtt]\nbroker = "mqtt://127.0.0.1:{broker.plain}"\ngateway = "gw"\n')
    async with sandbox_env.run_in_process() as events:
        sandbox_env.create_command("valve open")
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted one"])
        assert sandbox_env.command_states() == ["received", "done"]
        assert any("Connection refused; Commands for it wait" in event.message for event in events)
    broker.start()
    try:
        async with Subscriber(broker.plain, "modem-agent/gw/command") as valve:
            valve.client.on_message = lambda client, _, message: client.publish(
                message.properties.ResponseTopic, "valve is open", qos=1
            )
            async with sandbox_env.run_in_process():
                await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2)
    finally:
        broker.stop()
    assert sandbox_env.sent_bodies() == ["counted one", "valve is open"]
    assert sandbox_env.command_states() == ["done", "done"]


async def test_body_of_the_web_server_is_the_reply(sandbox_env):
    """The server fails first; the id of both requests is the same."""
    requests = []

    async def handle(request):
        requests.append((request.headers["webhook-id"], (await request.json())["data"]["text"]))
        return web.Response(status=503) if len(requests) == 1 else web.Response(text="valve is open")

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    with sandbox_env.config.open("a") as file:
        file.write(f'[webhook]\nurl = "http://127.0.0.1:{port}/"\ncommands = ["valve"]\n')
    try:
        async with sandbox_env.run_in_process():
            sid = sandbox_env.create_command("valve open", IncludeSid="end")
            await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["valve is open"])
    finally:
        await asyncio.wait_for(runner.cleanup(), 5)
    assert requests == [(sid, "valve open")] * 2
