"""The keeper: the one process under which all user code runs, so that none runs in the agent.

The agent starts it when it first needs a handler and talks frames with it over a socket. The keeper starts
an executable for one Command, or a worker for a Python file, which it keeps warm; it watches their time,
hands on what they say, and ends them with everything they started. When the agent's end of the socket closes,
because the agent stopped or was killed, it ends all there is below it, and itself. It decides nothing about
Commands.

All is one loop over poll(2), woken by pipes and by SIGCHLD. A run ends with its process, not with its pipes:
a child in the background may hold them.
"""

# ruff: noqa: PTH119, PTH123
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import gc
import os
import resource
import signal
import time

from agent.handlers import processes, spawn
from agent.handlers.frames import Frame, split
from agent.handlers.pipes import Channel, Lines, Output, Poller, read_some

MAX_OUTPUT = 128 * 1024
"""Octets kept of an executable's answer: more than 255 concatenated messages can carry."""
MAX_LOG = 8 * 1024
"""Octets a run may write to the log."""
MAX_LEFT = 64
"""Pipes kept open for children that finished executables left in the background."""
MAX_CHILDREN = 32
"""Children a worker may have after a run, dead ones that nobody waited for included."""
GROWTH = 32 * 1024 * 1024
"""Octets a worker may grow by after its first Command; then it is replaced."""
GRACE_S = 1.0
"""Between SIGTERM and SIGKILL when the agent stops, so that the whole stop stays under 3 s."""
OOM_SCORE = 500
"""Of 1000: far before the agent, not before a process that eats all the memory there is."""
LAST_S = 1.0
"""A killed process is gone in milliseconds, unless the kernel itself is stuck."""


class Program:
    """One executable, at work on one Command."""

    def __init__(self, number: bytes, pid: int, deadline: float | None, output: Output, log: Lines) -> None:
        self.number = number
        self.pid = pid
        self.deadline = deadline
        self.overdue = False
        self.output = output
        self.log = log


class Worker:
    """The process of one Python file; `number` is empty while it waits for work."""

    def __init__(self, path: bytes, number: bytes, pid: int, deadline: float, log: Lines) -> None:
        self.path = path
        self.number = number
        self.pid = pid
        self.deadline: float | None = deadline
        self.overdue = False
        self.log = log
        self.channel: Channel
        self.call: Frame | None = None
        """Waits until the file is loaded."""
        self.loaded = False
        self.size = 0
        """Octets of memory after the first Command, 0 until then; many handlers import at their first use."""


class Keeper:
    """The loop and its state."""

    def __init__(self, socket: int, poller: Poller) -> None:
        self._poller = poller
        self._agent = Channel(poller, socket, socket, self._heard, self._agent_gone)
        self._processes: dict[int, Program | Worker] = {}
        """All that was started and has not ended, by pid."""
        self._workers: dict[bytes, Worker] = {}
        """The worker that the next Command of a file goes to, by path."""
        self._left: list[Output] = []
        self._serving = True
        self._grace_s = 0.0

    def serve(self) -> None:
        """Work until the agent says stop or is gone; then nothing is left."""
        # Whoever never hears this knows that nothing was started.
        self._agent.send({"verb": b"lives"})
        try:
            while self._serving:
                self._poller.wait(self._until_deadline())
                self._reap()
                self._end_overdue()
        finally:
            self._end_all()

    # What the agent asks

    def _heard(self, frame: Frame) -> None:
        match frame["verb"]:
            case b"program":
                self._run_program(frame)
            case b"load" | b"call":
                self._ask_worker(frame)
            case b"cancel":
                for process in self._processes.values():
                    if process.number == frame["number"]:
                        self._end_run(process)
            case b"stop":
                self._grace_s = GRACE_S
                self._serving = False

    def _agent_gone(self) -> None:
        self._serving = False

    def _run_program(self, frame: Frame) -> None:
        environment = dict(os.environb)
        for setting in split(frame["environment"]):
            name, _, value = setting.partition(b"=")
            environment[name] = value
        try:
            pid, output, log = spawn.start_program(
                frame["path"], split(frame["arguments"]), environment, frame["body"]
            )
        except OSError as error:
            self._not_started(frame, error)
            return
        self._processes[pid] = Program(
            frame["number"],
            pid,
            time.monotonic() + float(frame["limit"]),
            Output(self._poller, output, MAX_OUTPUT),
            self._lines(log, frame["path"]),
        )

    def _ask_worker(self, frame: Frame) -> None:
        worker = self._workers.get(frame["path"])
        if worker is not None and frame["verb"] == b"load":
            self._retire(worker)
            worker = None
        if worker is None:
            try:
                worker = self._start_worker(frame)
            except OSError as error:
                self._not_started(frame, error)
                return
        worker.number = frame["number"]
        worker.call = frame if frame["verb"] == b"call" else None
        if worker.loaded:
            self._call(worker)

    def _not_started(self, frame: Frame, error: OSError) -> None:
        errno = str(error.errno).encode()
        self._agent.send({"verb": b"unstarted", "errno": errno, "number": frame["number"]})

    def _start_worker(self, frame: Frame) -> Worker:
        path = frame["path"]
        pid, incoming, outgoing, log = spawn.start_worker(path)
        deadline = time.monotonic() + float(frame["load_limit"])
        worker = Worker(path, b"", pid, deadline, self._lines(log, path))
        worker.channel = Channel(
            self._poller,
            incoming,
            outgoing,
            lambda said: self._worker_said(worker, said),
            lambda: processes.end_tree(pid),  # nobody can talk to it any more
        )
        self._processes[pid] = self._workers[path] = worker
        return worker

    def _call(self, worker: Worker) -> None:
        """Hand the worker its Command; from now on its time runs."""
        if worker.call is None:
            return
        worker.deadline = time.monotonic() + float(worker.call["limit"])
        worker.log.renew()
        worker.channel.send(worker.call)
        worker.call = None

    # What the processes say

    def _lines(self, file: int, path: bytes) -> Lines:
        name = os.path.basename(path)
        return Lines(
            self._poller,
            file,
            MAX_LOG,
            lambda line: self._agent.send({"verb": b"log", "name": name, "line": line}),
        )

    def _worker_said(self, worker: Worker, said: Frame) -> None:
        if not worker.number:
            return
        match said.get("verb"):
            case b"declares":
                self._agent.send(said | {"number": worker.number})
            case b"loaded":
                worker.loaded = True
                if worker.call is None:
                    self._rest(worker, said)
                else:
                    self._call(worker)
            case b"broken" | b"finished" | b"failed" | b"later":
                self._rest(worker, said)

    def _rest(self, worker: Worker, said: Frame) -> None:
        """The worker is done with what it was asked."""
        worker.log.drain()
        worker.log.flush()
        self._agent.send(said | {"number": worker.number})
        worker.number = b""
        worker.deadline = None
        if said["verb"] == b"broken" or (said["verb"] != b"loaded" and self._worn(worker)):
            self._retire(worker)

    def _worn(self, worker: Worker) -> bool:
        """Whether the next Command had better get a fresh process."""
        size = processes.resident(worker.pid)
        worker.size = worker.size or size
        return size - worker.size > GROWTH or processes.children_of(worker.pid) > MAX_CHILDREN

    def _retire(self, worker: Worker) -> None:
        """Let it end."""
        self._forget(worker)
        worker.channel.close()  # upon which it ends
        worker.deadline = time.monotonic() + LAST_S

    def _forget(self, worker: Worker) -> None:
        """The next Command of its file gets a new one."""
        if self._workers.get(worker.path) is worker:
            del self._workers[worker.path]

    # How processes end

    def _reap(self) -> bool:
        """Take leave of all that have ended, adopted orphans too; whether any are left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            process = self._processes.pop(pid, None)
            if process is not None:
                self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: Program | Worker, status: int) -> None:
        said: Frame = {"verb": b"overdue" if process.overdue else b"ended", "status": str(status).encode()}
        outputs: list[Output] = [process.log]
        if isinstance(process, Worker):
            self._forget(process)
            process.channel.drain()  # it may have answered with its last breath
            process.channel.close()
        else:
            outputs.append(process.output)
        for output in outputs:
            output.drain()
        process.log.flush()
        if isinstance(process, Program):
            said["output"] = bytes(process.output.content)
        if process.number:
            self._agent.send(said | {"number": process.number})
        self._left = [output for output in self._left + outputs if output.open]
        for output in self._left[:-MAX_LEFT]:
            output.close()

    def _until_deadline(self) -> float | None:
        deadlines = [each.deadline for each in self._processes.values() if each.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for process in self._processes.values():
            if process.deadline is not None and process.deadline <= now:
                self._end_run(process)

    def _end_run(self, process: Program | Worker) -> None:
        """Without warning: a process that is told may end alone and leave children behind."""
        process.deadline = None
        process.overdue = True
        if isinstance(process, Worker):
            self._forget(process)
        processes.end_tree(process.pid)

    def _end_all(self) -> None:
        """End everything below the keeper, with manners if the agent stops, at once if it was killed."""
        itself = os.getpid()
        if self._grace_s:
            for worker in list(self._workers.values()):
                if not worker.number:
                    self._retire(worker)  # it may ignore SIGTERM, but it reads this pipe
            for pid in processes.descendants(itself):
                processes.send(pid, signal.SIGTERM)
            self._await_ends(self._grace_s)
        processes.end_tree(itself, including_root=False)
        self._await_ends(LAST_S)

    def _await_ends(self, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while self._reap() and (left := deadline - time.monotonic()) > 0:
            self._poller.wait(left)


def main(memory: int) -> None:
    """Be the keeper for whoever holds the other end of file descriptor 0.

    `memory`: octets of data that each process may have.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the agent is what ends this one
    socket = os.dup(0)
    os.dup2(1, 0)  # /dev/null
    poller = Poller()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    poller.add(woken, lambda _: read_some(woken))
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    processes.adopt_orphans()
    _spare_the_agent(memory)
    gc.freeze()  # what is here is shared with every worker; a collection would copy it
    Keeper(socket, poller).serve()


def _spare_the_agent(memory: int) -> None:
    """When memory runs out, handlers meet it first: by their limit, else as the kernel's first choice."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))  # a handler that needs more may raise its own
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            if int(file.read()) < OOM_SCORE:
                file.write(str(OOM_SCORE).encode())
    except OSError:
        pass  # without it the kernel chooses by size, which is mostly right too
