"""The service can open no further file: nothing fails that has not begun, and everything recovers."""

import asyncio
import json
import time

import pytest

from crash.service_process import cpu_time_s, running_service

pytestmark = pytest.mark.long


async def test_handler_that_cannot_be_started_is_started_later(sandbox_env):
    """The handler manager cannot be started either. One line is logged, and the Command runs once, later."""
    async with running_service(sandbox_env) as service:
        sandbox_env.create_command("ping")
        await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["pong"])
        limits = service.forbid_opening_files()
        sandbox_env.create_command("count one")
        await service.wait_for_line("cannot start handlers")
        assert sandbox_env.command_states()[1] in {"received", "running"}
        service.restore_file_limit(limits)
        await sandbox_env.wait_until(lambda: "counted one" in sandbox_env.sent_bodies())
        await service.wait_for_line("handlers start again")
    assert [line.split()[-1] for line in sandbox_env.handler_log_lines()] == ["one"]
    assert sandbox_env.command_states() == ["done", "done"]
    assert sandbox_env.query_journal("SELECT attempts FROM commands") == [(1,), (1,)]
    [line] = service.lines_with("cannot start handlers")
    assert "Too many open files" in line


async def test_control_client_waits_without_busy_loop(sandbox_env):
    """One line is logged, the agent uses little CPU time, and the client is answered later."""
    async with running_service(sandbox_env) as service:
        limits = service.forbid_opening_files()
        reader, writer = await asyncio.open_unix_connection(sandbox_env.folder / "control.sock")
        writer.write(b'{"do": "status"}\n')
        await service.wait_for_line("clients cannot be accepted: Too many open files")
        before, began = cpu_time_s(service.pid), time.monotonic()
        await asyncio.sleep(1.5)
        assert cpu_time_s(service.pid) - before < 0.3 * (time.monotonic() - began)
        service.restore_file_limit(limits)
        async with asyncio.timeout(10):
            assert json.loads(await reader.readline())["ok"]
        writer.close()
        await writer.wait_closed()
    assert len(service.lines_with("control socket")) == 1
    assert service.lines_with("Traceback") == []


async def test_first_message_stays_in_the_module(sandbox_env):
    """The agent has not even imported its modules for decoding.

    The message is not ignored; it is read later.
    """
    async with running_service(sandbox_env) as service:
        limits = service.forbid_opening_files()
        sandbox_env.create_command("count one")
        await service.wait_for_line("Too many open files")
        service.restore_file_limit(limits)
        await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted one"])
        await sandbox_env.wait_store_empty()
    assert sandbox_env.query_journal("SELECT count(*) FROM ignored") == [(0,)]
    assert sandbox_env.command_states() == ["done"]


async def test_port_is_opened_when_files_can_be_opened_again(sandbox_env):
    """The agent logs the reason and waits; then it starts a session and runs the Command."""
    async with running_service(sandbox_env) as service:
        limits = service.forbid_opening_files()
        sandbox_env.sandbox.find_sim("sim").module.faults.add("port-gone:for=5")
        await service.wait_for_line(" session ended: ")
        service.forbid_opening_files()  # also the descriptor that the port has freed
        await service.wait_for_line(f"port {sandbox_env.port} cannot be opened")
        sessions = len(service.lines_with(" session: "))
        service.restore_file_limit(limits)
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted one"], 30)
        await sandbox_env.wait_store_empty()
        assert len(service.lines_with(" session: ")) == sessions + 1
