"""A headless Chromium, driven by the DevTools protocol over a WebSocket.

aiohttp is there anyway, so this needs no driver program and no further library.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from pathlib import Path

import aiohttp

START_TIMEOUT_S = 30.0
WAIT_S = 15.0
"""Time in which a page must reach an awaited state; a loaded machine needs some of it."""

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowDown": 40}
"""Key codes of the keys without a character of their own, and of those that activate a control."""


class BrowserPage:
    """One page of a browser that was started for it."""

    def __init__(self, socket):
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting = {}
        self._session = None
        self.problems = []
        """Console messages of level error and warning, exceptions, and requests that failed."""
        self.requests = []
        """URLs of all requests."""
        self._reader = asyncio.create_task(self._read())

    async def call(self, method, **parameters):
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        return await asyncio.wait_for(future, START_TIMEOUT_S)

    async def _read(self):
        async for message in self._socket:
            answer = json.loads(message.data)
            if future := self._waiting.pop(answer.get("id"), None):
                if "error" in answer:
                    future.set_exception(RuntimeError(answer["error"]["message"]))
                else:
                    future.set_result(answer["result"])
            else:
                self._note(answer.get("method"), answer.get("params", {}))

    def _note(self, method, event):
        if method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.problems.append(str(event["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    async def open(self, url):
        """Attach to a new page, and load the URL."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression):
        """Return the value of a JavaScript expression."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    async def until(self, expression):
        """Wait until an expression is true; return its value."""
        loop = asyncio.get_running_loop()
        end = loop.time() + WAIT_S
        while not (value := await self.evaluate(expression)):
            if loop.time() > end:
                text = await self.evaluate("document.body.innerText")
                raise AssertionError(f"{expression} did not become true; the page shows:\n{text}")
            await asyncio.sleep(0.05)
        return value

    async def click(self, selector):
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def press(self, key, count=1):
        """Press a key, as a person does."""
        code = KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key)
        for _ in range(count):
            common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            await self.call("Input.dispatchKeyEvent", **common, **down)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def type(self, text):
        """Type a text into the field that has the focus, in place of its content."""
        await self.evaluate("document.activeElement.select()")
        await self.call("Input.insertText", text=text)

    async def resize(self, width, height=900):
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    async def use_colours(self, scheme):
        """Prefer `light` or `dark`, as the setting of a system does."""
        await self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    async def save_screenshot(self, path, *, whole=False):
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    async def close(self):
        """End the browser, with the processes that it has started."""
        self._session = None
        await self.call("Browser.close")
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


@contextlib.asynccontextmanager
async def run_browser(folder: Path):
    """Start Chromium with its profile in `folder`, and yield an empty page."""
    profile = folder / "profile"
    process = await asyncio.create_subprocess_exec(
        "chromium",
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "--no-sandbox",  # root cannot use Chromium's own; the only page that is opened is ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"},
    )
    try:
        port, path = await _read_address(profile / "DevToolsActivePort")
        url = f"ws://127.0.0.1:{port}{path}"
        async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
            page = BrowserPage(socket)
            try:
                yield page
            finally:
                await page.close()
        await asyncio.wait_for(process.wait(), START_TIMEOUT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read_address(file):
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            with contextlib.suppress(OSError, ValueError):
                port, path = file.read_text().split()
                return int(port), path
            await asyncio.sleep(0.05)
