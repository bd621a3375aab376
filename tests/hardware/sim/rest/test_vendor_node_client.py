"""The vendor's client for Node with only its base URL changed, and its check of signatures.

It runs if NODE_PATH names a folder with the package `twilio` (npm install twilio).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

SCRIPT = """
const http = require("http"), twilio = require("twilio"), querystring = require("querystring");
const [supersim, wireless, token] = process.argv.slice(1);
const client = twilio("AC" + "0".repeat(32), token);
client.supersim.baseUrl = supersim;
client.wireless.baseUrl = wireless;

function receive(server) {
    return new Promise(resolve => server.once("request", (request, answer) => {
        let body = "";
        request.on("data", chunk => body += chunk);
        request.on("end", () => {
            answer.end();
            const url = `http://127.0.0.1:${server.address().port}${request.url}`;
            const signature = request.headers["x-twilio-signature"];
            const form = querystring.parse(body);
            resolve([twilio.validateRequest(token, signature, url, form), form.Status]);
        });
    }));
}

async function main() {
    const receiver = http.createServer().listen(0, "127.0.0.1");
    await new Promise(resolve => receiver.once("listening", resolve));
    const callbackUrl = `http://127.0.0.1:${receiver.address().port}/status?x=1`;
    const received = receive(receiver);
    const smsCommands = client.supersim.v1.smsCommands;
    const sms = await smsCommands.create({sim: "super-sim", payload: "ü & {x}", callbackUrl});
    const command = await client.wireless.v1.commands.create({
        sim: "programmable-wireless", command: "x", includeSid: "end", deliveryReceiptRequested: false});
    for (let number = 0; number < 3; number++)
        await smsCommands.create({sim: "super-sim", payload: String(number)});
    const error = await smsCommands.create({sim: "nobody", payload: "x"}).catch(error => error);
    console.log(JSON.stringify({
        fetched: (await smsCommands(sms.sid).fetch()).payload,
        listed: (await smsCommands.list({pageSize: 3})).map(each => each.payload),
        removed: await client.wireless.v1.commands(command.sid).remove(),
        sims: (await client.wireless.v1.sims.list()).map(sim => sim.uniqueName),
        fleet: (await client.supersim.v1.fleets("default").fetch()).uniqueName,
        error: [error.status, error.code],
        callback: await received,
    }));
    receiver.close();
}
main();
"""

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None
    or not any((Path(folder) / "twilio").is_dir() for folder in os.environ.get("NODE_PATH", "").split(":")),
    reason="there is no client for Node: npm install twilio, and set NODE_PATH",
)


@pytest.mark.parametrize("has_own_ports", [False, True])
async def test_node_client(server, sandbox, has_own_ports):
    """Create, fetch, list in pages, delete, Sims, Fleets, errors, and a callback whose signature is valid."""
    urls = server.describe()["product_urls" if has_own_ports else "base_urls"]
    process = await asyncio.create_subprocess_exec(
        *("node", "-e", SCRIPT, urls["supersim"], urls["wireless"], sandbox.token),
        env={name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert json.loads(output) == {
        "fetched": "ü & {x}",
        "listed": ["2", "1", "0", "ü & {x}"],
        "removed": True,
        "sims": ["programmable-wireless"],
        "fleet": "default",
        "error": [404, 33107],
        "callback": [True, "sent"],
    }
