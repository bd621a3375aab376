"""The console in a real browser: a headless Chromium opens the page of a sandbox with an agent."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from agent.cli.sandbox_agents import following_agents
from browser import run_browser
from crash.sandbox_env import build_sandbox_env
from hardware.sim.rest.server import SandboxServer

CONFIG = """
[modem]
port = "{port}"
[service]
name = "super-sim"
[handlers]
directory = "handlers"
[journal]
path = "journal.db"
allow_volatile = true
[control]
socket = "control.sock"
"""

CONTRASTS = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const background = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((node) =>
    node.checkVisibility()
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return texts.map((node) => {
    const [one, other] = [luminance(parse(getComputedStyle(node).color)), luminance(background(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return [Math.round(ratio * 100) / 100, node.textContent.slice(0, 40)];
  });
})()
"""
"""Contrast of each visible text against its background, as WCAG 2 computes it."""


@pytest.fixture
async def env(tmp_path):
    """A sandbox with one SIM, and the folder of its agent, whose handler `led` answers."""
    (tmp_path / "agent").mkdir()
    env = build_sandbox_env(tmp_path / "agent", "super-sim")
    env.write_handler("led", 'echo "led is $1"')
    env.config.write_text(CONFIG.format(port=env.port))
    return env


@pytest.fixture
async def server(env):
    server = SandboxServer(env.sandbox, ("127.0.0.1", 0))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def page(server, tmp_path):
    """The page of the sandbox, loaded and connected."""
    async with run_browser(tmp_path) as page:
        await page.open(f"{server.url}/")
        await page.resize(1280)
        await page.until("document.getElementById('connection')?.textContent === 'live'")
        await page.until("document.querySelectorAll('.card').length === 1")
        await page.until("document.querySelectorAll('#connect-body dt').length > 0")
        yield page
        assert page.problems == []


@asynccontextmanager
async def running_agent(env, server):
    async with following_agents(server, [env.folder / "control.sock"]), env.run_in_process():
        yield


async def send(page, text):
    """Send a Command with the form."""
    await page.evaluate("document.getElementById('send-body').focus()")
    await page.type(text)
    await page.press("Enter")


async def test_page_loads_only_its_own_files(page, server):
    """No error in the console of the browser, nothing from elsewhere."""
    assert {url.rsplit("/", 1)[0] for url in page.requests} == {
        server.url,
        f"{server.url}/console",
        f"{server.url}/sandbox",
        f"{server.url}/sandbox/services",
    }


async def test_command_is_shown_live_until_the_reply_of_the_agent(page, env, server):
    """Its state, the part of an agent in another process, and the reply; texts are shown as they are."""
    async with running_agent(env, server):
        await page.until("document.querySelector('.card').textContent.includes('modem-agent')")
        await send(page, "led <b>on</b>")
        await page.until("document.querySelector('.state')?.textContent === 'received'")
        await page.until("document.querySelectorAll('.stage.good').length >= 4")
        shown = await page.evaluate("document.getElementById('command-list').innerText")
    assert "led is <b>on</b>" in shown
    for step in ("Command created", "Acknowledged by the module", "Handler started", "Reply stored"):
        assert step in shown
    assert "led is <b>on</b>" in await page.evaluate("document.getElementById('announcer').textContent")
    assert await page.evaluate("document.querySelectorAll('main b').length") == 0


async def test_pdu_is_decoded_on_a_click(page, env, server):
    """Field by field; Escape closes the dialog and gives the focus back."""
    async with running_agent(env, server):
        await send(page, "led green")
        await page.until("document.querySelectorAll('.pdu').length >= 2")
    await page.evaluate("document.querySelector('.pdu').focus()")
    await page.press("Enter")
    await page.until("document.getElementById('pdu-dialog').open")
    fields = await page.evaluate("document.getElementById('pdu-body').innerText")
    for text in ("originating address", "TP-OA", "'led green'", "no more messages"):
        assert text in fields
    await page.press("Escape")
    await page.until("document.activeElement.classList.contains('pdu')")
    port = await page.evaluate("document.getElementById('port-log').textContent")
    assert "AT+CMGR=1CR" in port


async def test_page_is_usable_by_keyboard_alone(page):
    """The first Tab offers to skip the head; the form, the options and a Command are reached and used."""
    await page.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.press("Enter")
    await page.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "send-sim"
    await page.press("Tab")
    await page.type("ping")
    await page.press("Tab", 2)
    assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"
    await page.press(" ")
    await page.until("document.querySelector('#send-form details').open")
    await page.evaluate("document.getElementById('send-button').focus()")
    await page.press(" ")
    await page.until("document.querySelector('.command')?.textContent.includes('delivered')")
    await page.evaluate("document.getElementById('commands-sim').focus()")
    await page.press("Tab")
    await page.press("Enter")
    await page.until("document.querySelector('.command').getAttribute('aria-expanded') === 'false'")
    assert await page.evaluate("document.activeElement.className") == "command"
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_faults_coverage_and_clock_are_controlled(page, env):
    """The sandbox does what the buttons say, and the page shows it."""
    await page.evaluate("document.getElementById('fault-name').value = 'mute'")
    await page.evaluate("document.getElementById('fault-keys').value = 'after=60'")
    await page.click("#fault-form .primary")
    await page.until("document.getElementById('fault-list').textContent.includes('mute:after=60')")
    assert env.sandbox.find_sim("sim").module.faults.describe()["faults"][0]["waits"] is True
    await page.click("#fault-cancel")
    await page.until("document.getElementById('fault-list').children.length === 0")
    await page.evaluate("document.getElementById('fault-target').value = '/services/'")
    await page.evaluate("document.getElementById('fault-target').dispatchEvent(new Event('change'))")
    await page.evaluate("document.getElementById('fault-keys').value = ''")
    await page.until("document.getElementById('fault-meaning').textContent.includes('503')")
    await page.click("#fault-form .primary")
    await page.until("document.getElementById('fault-list').textContent === 'unavailable'")
    await page.click("#send-button")
    await page.until("document.getElementById('problem').textContent.includes('unavailable')")
    page.problems.clear()  # the browser reports the 503
    await page.click("[data-key=detach]")
    await page.until("document.querySelector('.card').textContent.includes('not reachable')")
    await page.click("#clock-freeze")
    await page.until("document.getElementById('clock').classList.contains('frozen')")
    before = env.sandbox.clock.now()
    await page.click("[aria-label='Let 1 h pass']")
    await page.until("document.getElementById('announcer').textContent === 'The clock was moved'")
    assert (env.sandbox.clock.now() - before).total_seconds() == 3600


async def test_command_is_moved_by_hand(page, env):
    """Without any module: the states that a back end has to expect."""
    env.sandbox.detach("sim")
    for text, states in (("one", ("sent", "delivered")), ("two", ("failed",))):
        await send(page, text)
        await page.until(f"document.querySelector('.command .body')?.textContent.endsWith('{text}')")
        for state in states:
            label = {"sent": "send", "delivered": "deliver", "failed": "fail"}[state]
            await page.until(f"document.querySelector('[data-key={label}]') !== null")
            await page.click(f"[data-key={label}]")
            await page.until(f"document.querySelector('.state').textContent === '{state}'")
    assert "could not be delivered" in await page.evaluate("document.querySelector('.path').textContent")


async def test_page_fits_a_phone(page, env, server):
    """Nothing makes a page of 320 pixels scroll sideways, neither an open path nor the fields of a PDU."""
    async with running_agent(env, server):
        await send(page, "led " + "x" * 60)
        await page.until("document.querySelectorAll('.pdu').length >= 2")
    await page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    for width in (320, 390):
        await page.resize(width)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        await page.click(".pdu")
        await page.until("document.getElementById('pdu-dialog').open")
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        await page.press("Escape")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_have_contrast(page, scheme):
    """At least 4.5 in the colours that the system prefers; the two have different backgrounds."""
    await page.use_colours(scheme)
    await send(page, "ping")
    await page.until("document.querySelectorAll('.step').length > 4")
    await page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    await page.until("document.getAnimations().length === 0")
    ratios = await page.evaluate(CONTRASTS)
    assert len(ratios) > 50
    assert [each for each in ratios if each[0] < 4.5] == []
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(17, 22, 27)") == (scheme == "dark")


async def test_controls_have_names(page):
    """For users of screen readers: each control and each region has a name, the headings are in order."""
    await send(page, "ping")
    await page.until("document.querySelectorAll('.step').length > 4")
    tree = await page.call("Accessibility.getFullAXTree")
    nodes = [node for node in tree["nodes"] if not node.get("ignored")]
    roles = {"button", "textbox", "searchbox", "combobox", "checkbox", "link", "region", "log", "form"}
    unnamed = [
        json.dumps(node["role"])
        for node in nodes
        if node["role"]["value"] in roles and not node.get("name", {}).get("value")
    ]
    assert unnamed == []
    levels = [
        next(each["value"]["value"] for each in node["properties"] if each["name"] == "level")
        for node in nodes
        if node["role"]["value"] == "heading"
    ]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


async def test_page_connects_again_after_a_restart(page, server, env):
    """The sandbox ends and starts at the same address: the page shows the new one without a reload."""
    await send(page, "ping")
    await page.until("document.querySelectorAll('.command').length === 1")
    port = int(server.url.rpartition(":")[2])
    await server.stop()
    await page.until("document.getElementById('connection').classList.contains('off')")
    page.problems.clear()  # the browser reports the lost connection
    again = SandboxServer(env.sandbox, ("127.0.0.1", port))
    await again.start()
    try:
        await page.until("document.getElementById('connection')?.textContent === 'live'")
        await page.until("document.querySelectorAll('.command').length === 0")
        page.problems.clear()
    finally:
        await again.stop()
