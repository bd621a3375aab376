"""What README.md and the guides tell an operator to type does what they say, on a booted device.

The tests use one container in order. Lines that need hardware or another boot are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "config/guides"


def blocks(page, language):
    """Return the code blocks of a page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def shell_lines(page, *parts):
    """Return the shell lines of a page that contain one of the parts, in order."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", "").splitlines()
    found = [line for line in lines if any(part in line for part in parts)]
    assert len(found) >= len(parts)
    return "\n".join(found)


@pytest.fixture(scope="module")
def gateway(boot_container, sandbox):
    """A booted device with the package installed and a module plugged in."""
    gateway = boot_container()
    gateway.plug_sandbox(sandbox)
    uptime = gateway.host_path("/usr/local/bin/uptime")  # of procps, which the tree does not have
    uptime.write_text("#!/bin/sh\necho up 1 minute\n")
    uptime.chmod(0o755)
    gateway.run("modem-agent", "setup", "--port", "/dev/ttyUSB0", "--service", "super-sim", "--yes")
    return gateway


pytestmark = pytest.mark.parametrize("installed_tree", ["trixie"], indirect=True, scope="module")


def test_first_handler_of_the_readme_answers(gateway, sandbox):
    lines = re.findall(
        "^    (printf .*\n)    (.*\n)    (.*\n)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    gateway.run("sh", "-ec", "".join(*lines))
    assert sandbox.run_command("uptime").startswith("up ")


def test_handler_can_be_tried_with_the_rights_of_the_service(gateway):
    """troubleshooting.md: it prints what the handler prints."""
    line = shell_lines(GUIDES / "troubleshooting.md", "--as-service").replace("led on", "uptime")
    assert re.search("^reply +up ", gateway.run("sh", "-ec", line), re.MULTILINE)


def test_web_server_gets_commands_when_setup_has_allowed_the_network(gateway, sandbox):
    """forwarding.md: the unit forbids the network until then, and log, `config check` and `doctor` say so."""
    page = GUIDES / "forwarding.md"
    receiver = gateway.host_path("/usr/local/sbin/receiver")
    receiver.write_text("#!/usr/bin/python3\n" + blocks(page, "python")[0])
    receiver.chmod(0o755)
    gateway.run("systemd-run", "--unit=receiver", "/usr/local/sbin/receiver")
    gateway.run("sh", "-ec", shell_lines(page, "modem-agent.webhook-secret"))
    gateway.configure(port='"/dev/ttyUSB0"', url='"http://127.0.0.1:9000/"')
    gateway.run("systemctl", "restart", "modem-agent")
    sandbox.send_command("valve open")
    no_network = "the service may not use the network"
    gateway.wait_for_log(no_network)
    assert no_network in gateway.output_of("modem-agent", "config", "check")
    findings = gateway.output_of("modem-agent", "doctor")
    assert re.search(
        rf"^wrong +forwarding .*{no_network}\n +next: sudo modem-agent setup", findings, re.MULTILINE
    )
    gateway.run("modem-agent", "setup", "--yes")
    sandbox.wait_for_reply("done: valve open", 30)
    assert re.search(r"^ok +forwarding ", gateway.output_of("modem-agent", "doctor"), re.MULTILINE)


def test_journal_moves_to_another_partition(gateway, sandbox):
    """read-only-root.md: the Commands of before are still there."""
    page = GUIDES / "read-only-root.md"
    gateway.run("sh", "-ec", "mkdir -p /data; " + shell_lines(page, "install -d"))
    (drop_in,) = blocks(page, "ini")
    gateway.drop_in(drop_in)
    gateway.configure(port='"/dev/ttyUSB0"', path=blocks(page, "toml")[0].partition("path = ")[2].strip())
    gateway.run("sh", "-ec", shell_lines(page, "systemctl stop", "cp -p", "systemctl start"))
    assert sandbox.run_command("ping").startswith("pong")
    assert "uptime" in gateway.run("modem-agent", "inbox")
    findings = gateway.output_of("modem-agent", "doctor")  # a warning, if the tests run in memory
    assert re.search(r"^(ok|warning) +journal +.*/data/modem-agent", findings, re.MULTILINE)


def test_second_modem_has_an_agent_of_its_own(gateway):
    """two-modems.md: the first agent goes on."""
    page = GUIDES / "two-modems.md"
    line = shell_lines(page, "setup --instance north").splitlines()[0]
    line = line.replace("/dev/serial/by-id/FIRST", "/dev/ttyUSB1") + " --yes --service super-sim"
    gateway.run("sh", "-ec", line)
    status = gateway.run("sh", "-ec", shell_lines(page, "status --config"))
    assert "/dev/ttyUSB1 does not exist" in status
    assert gateway.unit_property("ActiveState") == "active"
