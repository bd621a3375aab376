"""The real service as a process: what it says, what it has open, and what it may open."""

import asyncio
import os
import resource
import signal
from contextlib import asynccontextmanager
from pathlib import Path


def open_file_descriptors(pid):
    """Numbers of the files that a process has open; new ones get the lowest that are free."""
    return {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def cpu_time_s(pid):
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


class ServiceProcess:
    """The service as a process, and what it says."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid
        self.lines = []
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stderr:
            self.lines.append(line.decode().strip())
            self._changed.set()

    def lines_with(self, words):
        return [line for line in self.lines if words in line]

    async def wait_for_line(self, words, timeout_s=20):
        async with asyncio.timeout(timeout_s):
            while not self.lines_with(words):
                self._changed.clear()
                await self._changed.wait()

    def forbid_opening_files(self):
        """From now on it can open none, though all that are open go on."""
        limits = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        lowest = next(number for number in range(10_000) if number not in open_file_descriptors(self.pid))
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (lowest, limits[1]))
        return limits

    def restore_file_limit(self, limits):
        """As it was before."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limits)

    async def stop(self):
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await self._reading
            await self.process.wait()


@asynccontextmanager
async def running_service(sandbox_env, program=None):
    """From its first session to its end."""
    service = ServiceProcess(await sandbox_env.start_agent(program))
    try:
        await service.wait_for_line(" session: ")
        yield service
    finally:
        await service.stop()
