"""The real service without a file to spare: nothing fails by it that has not begun, and all recovers."""

import asyncio
import json
import time

from crash.service import cpu_s, serving


async def test_a_handler_that_cannot_be_started_is_started_later(house):
    """Not even the process for handlers can be: said once; the Command runs, once, when there are files."""
    async with serving(house) as service:
        house.create("ping")
        await house.until(lambda: house.answers() == ["pong"])
        limits = service.no_files()
        house.create("count one")
        await service.says("no handler can be started")
        assert house.states()[1] in {"received", "running"}
        service.files(limits)
        await house.until(lambda: "counted one" in house.answers())
        await service.says("handlers are started again")
    assert [line.split()[-1] for line in house.runs()] == ["one"]
    assert house.states() == ["done", "done"]
    assert house.ask("SELECT attempt FROM commands") == [(1,), (1,)]
    [said] = service.said("no handler can be started")
    assert "Too many open files" in said


async def test_who_asks_waits_and_the_processor_rests(house):
    """The control socket: one line, no loop at full speed, and the answer when there are files again."""
    async with serving(house) as service:
        limits = service.no_files()
        reader, writer = await asyncio.open_unix_connection(house.folder / "control.sock")
        writer.write(b'{"do": "status"}\n')
        await service.says("nobody can be let in: Too many open files")
        before, began = cpu_s(service.pid), time.monotonic()
        await asyncio.sleep(1.5)
        assert cpu_s(service.pid) - before < 0.3 * (time.monotonic() - began)
        service.files(limits)
        async with asyncio.timeout(10):
            assert json.loads(await reader.readline())["ok"]
        writer.close()
        await writer.wait_closed()
    assert len(service.said("control socket")) == 1
    assert service.said("Traceback") == []


async def test_the_first_message_of_all(house):
    """The agent has not even read its own files for it: it stays in the module, and is no stray."""
    async with serving(house) as service:
        limits = service.no_files()
        house.create("count one")
        await service.says("Too many open files")
        service.files(limits)
        await house.until(lambda: house.answers() == ["counted one"])
        await house.emptied()
    assert house.ask("SELECT count(*) FROM strays") == [(0,)]
    assert house.states() == ["done"]


async def test_a_port_is_opened_again_when_there_are_files(house):
    """Said and waited for, and all goes on."""
    async with serving(house) as service:
        limits = service.no_files()
        house.sandbox.sim("sim").module.faults.add("port-gone:for=1")
        await service.says(" session ended: ")
        service.no_files()  # the port's own is free now
        await service.says(f"port {house.port} cannot be opened")
        sessions = len(service.said(" session: "))
        service.files(limits)
        house.create("count one")
        await house.until(lambda: house.answers() == ["counted one"], 30)
        await house.emptied()
        assert len(service.said(" session: ")) == sessions + 1
