"""The doctor asks a running agent: the port is not opened, and the agent goes on."""

import asyncio

import pytest

from agent.daemon.control_client import AgentNotRunning
from agent.diagnosis.doctor import Doctor
from agent.diagnosis.finding import MODULE_CHECKS, Check, Level
from fault.fault_world import FaultWorld, changed_module
from hardware.sim import virtual_time
from hardware.sim.module.sim_card import SimCard


@pytest.fixture
def examine_running(gateway):
    """Run an agent on a simulated module, examine both, and return the findings and the world."""

    def examine(*, prepare=lambda world: None, wait_s=60, sends=False, **world_fields):
        gateway.write_config()
        gateway.make_opener = lambda port, baud: pytest.fail("the port was opened")

        async def main():
            async with FaultWorld(gateway.folder / "world", **world_fields) as world:
                await world.start_and_settle(30)
                prepare(world)
                await world.advance(wait_s)
                api = world.control_api
                handlers = {"status": api.get_status, "at": api.run_at_command, "send": api.send_message}
                gateway.request = lambda values: handlers[values["do"]](values)
                doctor = Doctor(gateway.dependencies(), sends=sends)
                return [finding async for finding in doctor.examine()], world

        (gateway.folder / "world").mkdir()
        findings, world = virtual_time.run_virtual(asyncio.wait_for(main(), 10_000))
        assert [finding.check for finding in findings] == list(Check)
        return {finding.check: finding for finding in findings}, world

    return examine


def first_bad(findings):
    return next(each for each in findings.values() if each.level in {Level.WRONG, Level.WARNING})


def test_all_is_well(examine_running):
    """Every check is ok, also the message to the service."""
    findings, world = examine_running(sends=True)
    not_ok = {check for check, finding in findings.items() if finding.level is not Level.OK}
    # A socket has none of the first three, and nothing is configured for the last.
    assert not_ok == {Check.RIGHTS, Check.HOLDER, Check.MODEM_MANAGER, Check.FORWARDING}
    assert world.sent_bodies == ["modem-agent doctor"]
    assert findings[Check.NOTIFICATIONS].reason == "new messages are announced (+CNMI: 2,1,0,0,0)"


def test_sim_asks_for_its_puk(examine_running):
    """There is no session, so the agent's own sentence is the finding, at the right check."""
    findings, _ = examine_running(sim=SimCard(imsi="001010000000001", pin="1234", pin_retries=0))
    first = first_bad(findings)
    assert (first.check, first.level) == (Check.SIM, Level.WRONG)
    assert first.reason.startswith("the SIM asks for SIM PUK: it is blocked until its PUK is entered")
    assert findings[Check.REGISTRATION].level is Level.SKIPPED


def test_module_is_mute(examine_running):
    """The finding is about the module; all that it would have to answer is skipped."""
    findings, _ = examine_running(prepare=lambda world: world.module.faults.add("mute:for=0"), wait_s=300)
    assert first_bad(findings).check is Check.MODULE
    assert {findings[check].level for check in MODULE_CHECKS} == {Level.SKIPPED}


def test_registration_is_denied(examine_running):
    """The network refuses the module while the agent runs."""
    findings, _ = examine_running(prepare=lambda world: world.module.set_registration(3, 11))
    first = first_bad(findings)
    assert first.check is Check.REGISTRATION
    assert first.reason.startswith("registration denied")


def test_notifications_are_refused(examine_running):
    """The agent has asked for them, and the module refused."""
    device = changed_module(cnmi_allowed=((0,), (0,), (0,), (0,), (0,)))
    findings, _ = examine_running(device=device)
    first = first_bad(findings)
    assert (first.check, first.level) == (Check.NOTIFICATIONS, Level.WARNING)
    assert "announces no messages (+CNMI: " in first.reason


def test_journal_cannot_commit(examine_running):
    """The agent reports the error of its disk."""

    def fill_disk(world):
        world.disk_error = "database or disk is full"
        world.send("led on")

    findings, _ = examine_running(prepare=fill_disk)
    first = first_bad(findings)
    assert (first.check, first.level) == (Check.JOURNAL, Level.WRONG)
    assert "disk is full" in first.reason


def test_agent_ends_meanwhile(gateway):
    """The agent stops between the request for its status and the first question: a finding, no exception."""
    requests = []

    async def request(values):
        requests.append(values["do"])
        if values["do"] == "status":
            return {
                "version": "1",
                "pid": 1,
                "problems": [],
                "modem": {"registration": "registered, home", "state": ""},
                "recovery": {"not_done": None},
            }
        raise AgentNotRunning("no modem-agent answers at x; is it running?")

    gateway.request = request
    findings = {finding.check: finding for finding in gateway.examine()}
    assert findings[Check.MODULE].level is Level.WRONG
    assert requests == ["status", "at"]


def test_message_that_the_network_refuses_is_found(examine_running):
    """Everything else looks well; only a real message shows it."""
    findings, _ = examine_running(
        prepare=lambda world: world.module.faults.add("body-refused:refusal=CMS 38,times=0"), sends=True
    )
    first = first_bad(findings)
    assert (first.check, first.level) == (Check.LOOPBACK, Level.WRONG)
    assert "not sent within" in first.reason


def test_message_is_not_sent_without_an_agent(gateway):
    """A module is only asked."""
    gateway.sends = True
    loopback = gateway.examine()[-1]
    assert (loopback.check, loopback.level) == (Check.LOOPBACK, Level.SKIPPED)
    assert loopback.next_step == "sudo systemctl start modem-agent"
    assert gateway.module.log.submitted_tpdus == []
