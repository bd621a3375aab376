"""The installed service as a process: its log, its open files, and the limit of its open files."""

import asyncio
import os
import resource
import signal
from contextlib import asynccontextmanager
from pathlib import Path


def open_file_descriptors(pid):
    """Return the file descriptors that a process has open. A new file gets the lowest free one."""
    return {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def cpu_time_s(pid):
    """Return the CPU time of a process in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


class ServiceProcess:
    """A running service and the lines of its log."""

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

    def lines_with(self, text):
        return [line for line in self.lines if text in line]

    async def wait_for_line(self, text, timeout_s=20):
        async with asyncio.timeout(timeout_s):
            while not self.lines_with(text):
                self._changed.clear()
                await self._changed.wait()

    def forbid_opening_files(self):
        """Lower the limit so that no file can be opened; open files stay open. Return the previous limits."""
        limits = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        lowest = next(number for number in range(10_000) if number not in open_file_descriptors(self.pid))
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (lowest, limits[1]))
        return limits

    def restore_file_limit(self, limits):
        """Restore the limits that `forbid_opening_files` returned."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limits)

    async def stop(self):
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await self._reading
            await self.process.wait()


@asynccontextmanager
async def running_service(sandbox_env, program=None):
    """Start the service; the context begins with its first session, and the service is stopped after it."""
    service = ServiceProcess(await sandbox_env.start_agent(program))
    try:
        await service.wait_for_line(" session: ")
        yield service
    finally:
        await service.stop()
