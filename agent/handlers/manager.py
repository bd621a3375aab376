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

from agent.handlers import process_tree, spawn
from agent.handlers.framing import Frame, split_nul
from agent.handlers.pipes import FrameChannel, LineForwarder, OutputBuffer, Poller, read_available

MAX_OUTPUT_BYTES = 128 * 1024
"""Octets kept of an executable's answer: more than 255 concatenated messages can carry."""
MAX_LOG_BYTES = 8 * 1024
"""Octets a run may write to the log."""
MAX_BACKGROUND_PIPES = 64
"""Pipes kept open for children that finished executables left in the background."""
MAX_WORKER_CHILDREN = 32
"""Children a worker may have after a run, dead ones that nobody waited for included."""
MAX_WORKER_GROWTH_BYTES = 32 * 1024 * 1024
"""Octets a worker may grow by after its first Command; then it is replaced."""
STOP_GRACE_S = 1.0
"""Between SIGTERM and SIGKILL when the agent stops, so that the whole stop stays under 3 s."""
OOM_SCORE_ADJ = 500
"""Of 1000: far before the agent, not before a process that eats all the memory there is."""
KILL_WAIT_S = 1.0
"""A killed process is gone in milliseconds, unless the kernel itself is stuck."""


class ExecutableRun:
    """One executable, at work on one Command."""

    def __init__(
        self, request_id: bytes, pid: int, deadline: float | None, output: OutputBuffer, log: LineForwarder
    ) -> None:
        self.request_id = request_id
        self.pid = pid
        self.deadline = deadline
        self.timed_out = False
        self.output = output
        self.log = log


class WorkerProcess:
    """The process of one Python file; `number` is empty while it waits for work."""

    def __init__(self, path: bytes, request_id: bytes, pid: int, deadline: float, log: LineForwarder) -> None:
        self.path = path
        self.request_id = request_id
        self.pid = pid
        self.deadline: float | None = deadline
        self.timed_out = False
        self.log = log
        self.channel: FrameChannel
        self.pending_call: Frame | None = None
        """Waits until the file is loaded."""
        self.is_loaded = False
        self.baseline_rss = 0
        """Octets of memory after the first Command, 0 until then; many handlers import at their first use."""


class HandlerManager:
    """The loop and its state."""

    def __init__(self, socket: int, poller: Poller) -> None:
        self._poller = poller
        self._agent_channel = FrameChannel(poller, socket, socket, self._on_request, self._on_agent_gone)
        self._processes: dict[int, ExecutableRun | WorkerProcess] = {}
        """All that was started and has not ended, by pid."""
        self._workers: dict[bytes, WorkerProcess] = {}
        """The worker that the next Command of a file goes to, by path."""
        self._background_outputs: list[OutputBuffer] = []
        self._serving = True
        self._grace_s = 0.0

    def serve(self) -> None:
        """Work until the agent says stop or is gone; then nothing is left."""
        # Whoever never hears this knows that nothing was started.
        self._agent_channel.send({"verb": b"lives"})
        try:
            while self._serving:
                self._poller.wait(self._time_to_deadline())
                self._reap()
                self._kill_timed_out()
        finally:
            self._shut_down()

    # What the agent asks

    def _on_request(self, frame: Frame) -> None:
        match frame["verb"]:
            case b"program":
                self._start_executable(frame)
            case b"load" | b"call":
                self._dispatch_to_worker(frame)
            case b"cancel":
                for process in self._processes.values():
                    if process.request_id == frame["number"]:
                        self._kill_run(process)
            case b"stop":
                self._grace_s = STOP_GRACE_S
                self._serving = False

    def _on_agent_gone(self) -> None:
        self._serving = False

    def _start_executable(self, frame: Frame) -> None:
        environment = dict(os.environb)
        for setting in split_nul(frame["environment"]):
            name, _, value = setting.partition(b"=")
            environment[name] = value
        try:
            pid, output, log = spawn.start_executable(
                frame["path"], split_nul(frame["arguments"]), environment, frame["body"]
            )
        except OSError as error:
            self._send_not_started(frame, error)
            return
        self._processes[pid] = ExecutableRun(
            frame["number"],
            pid,
            time.monotonic() + float(frame["limit"]),
            OutputBuffer(self._poller, output, MAX_OUTPUT_BYTES),
            self._log_forwarder(log, frame["path"]),
        )

    def _dispatch_to_worker(self, frame: Frame) -> None:
        worker = self._workers.get(frame["path"])
        if worker is not None and frame["verb"] == b"load":
            self._recycle(worker)
            worker = None
        if worker is None:
            try:
                worker = self._start_worker(frame)
            except OSError as error:
                self._send_not_started(frame, error)
                return
        worker.request_id = frame["number"]
        worker.pending_call = frame if frame["verb"] == b"call" else None
        if worker.is_loaded:
            self._send_call(worker)

    def _send_not_started(self, frame: Frame, error: OSError) -> None:
        errno = str(error.errno).encode()
        self._agent_channel.send({"verb": b"unstarted", "errno": errno, "number": frame["number"]})

    def _start_worker(self, frame: Frame) -> WorkerProcess:
        path = frame["path"]
        pid, incoming, outgoing, log = spawn.start_worker(path)
        deadline = time.monotonic() + float(frame["load_limit"])
        worker = WorkerProcess(path, b"", pid, deadline, self._log_forwarder(log, path))
        worker.channel = FrameChannel(
            self._poller,
            incoming,
            outgoing,
            lambda said: self._on_worker_message(worker, said),
            lambda: process_tree.kill_tree(pid),  # nobody can talk to it any more
        )
        self._processes[pid] = self._workers[path] = worker
        return worker

    def _send_call(self, worker: WorkerProcess) -> None:
        """Hand the worker its Command; from now on its time runs."""
        if worker.pending_call is None:
            return
        worker.deadline = time.monotonic() + float(worker.pending_call["limit"])
        worker.log.reset_limit()
        worker.channel.send(worker.pending_call)
        worker.pending_call = None

    # What the processes say

    def _log_forwarder(self, fd: int, path: bytes) -> LineForwarder:
        name = os.path.basename(path)
        return LineForwarder(
            self._poller,
            fd,
            MAX_LOG_BYTES,
            lambda line: self._agent_channel.send({"verb": b"log", "name": name, "line": line}),
        )

    def _on_worker_message(self, worker: WorkerProcess, message: Frame) -> None:
        if not worker.request_id:
            return
        match message.get("verb"):
            case b"declares":
                self._agent_channel.send(message | {"number": worker.request_id})
            case b"loaded":
                worker.is_loaded = True
                if worker.pending_call is None:
                    self._worker_idle(worker, message)
                else:
                    self._send_call(worker)
            case b"broken" | b"finished" | b"failed" | b"later":
                self._worker_idle(worker, message)

    def _worker_idle(self, worker: WorkerProcess, message: Frame) -> None:
        """The worker is done with what it was asked."""
        worker.log.read_remaining()
        worker.log.flush()
        self._agent_channel.send(message | {"number": worker.request_id})
        worker.request_id = b""
        worker.deadline = None
        if message["verb"] == b"broken" or (message["verb"] != b"loaded" and self._needs_recycling(worker)):
            self._recycle(worker)

    def _needs_recycling(self, worker: WorkerProcess) -> bool:
        """Whether the next Command had better get a fresh process."""
        size = process_tree.rss_bytes(worker.pid)
        worker.baseline_rss = worker.baseline_rss or size
        return (
            size - worker.baseline_rss > MAX_WORKER_GROWTH_BYTES
            or process_tree.count_children(worker.pid) > MAX_WORKER_CHILDREN
        )

    def _recycle(self, worker: WorkerProcess) -> None:
        """Let it end."""
        self._unregister_worker(worker)
        worker.channel.close()  # upon which it ends
        worker.deadline = time.monotonic() + KILL_WAIT_S

    def _unregister_worker(self, worker: WorkerProcess) -> None:
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
                self._on_exit(process, os.waitstatus_to_exitcode(status))

    def _on_exit(self, process: ExecutableRun | WorkerProcess, status: int) -> None:
        said: Frame = {"verb": b"overdue" if process.timed_out else b"ended", "status": str(status).encode()}
        outputs: list[OutputBuffer] = [process.log]
        if isinstance(process, WorkerProcess):
            self._unregister_worker(process)
            process.channel.read_remaining()  # it may have answered with its last breath
            process.channel.close()
        else:
            outputs.append(process.output)
        for output in outputs:
            output.read_remaining()
        process.log.flush()
        if isinstance(process, ExecutableRun):
            said["output"] = bytes(process.output.content)
        if process.request_id:
            self._agent_channel.send(said | {"number": process.request_id})
        self._background_outputs = [output for output in self._background_outputs + outputs if output.is_open]
        for output in self._background_outputs[:-MAX_BACKGROUND_PIPES]:
            output.close()

    def _time_to_deadline(self) -> float | None:
        deadlines = [each.deadline for each in self._processes.values() if each.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _kill_timed_out(self) -> None:
        now = time.monotonic()
        for process in self._processes.values():
            if process.deadline is not None and process.deadline <= now:
                self._kill_run(process)

    def _kill_run(self, process: ExecutableRun | WorkerProcess) -> None:
        """Without warning: a process that is told may end alone and leave children behind."""
        process.deadline = None
        process.timed_out = True
        if isinstance(process, WorkerProcess):
            self._unregister_worker(process)
        process_tree.kill_tree(process.pid)

    def _shut_down(self) -> None:
        """End everything below the keeper, with manners if the agent stops, at once if it was killed."""
        itself = os.getpid()
        if self._grace_s:
            for worker in list(self._workers.values()):
                if not worker.request_id:
                    self._recycle(worker)  # it may ignore SIGTERM, but it reads this pipe
            for pid in process_tree.descendants(itself):
                process_tree.send_signal(pid, signal.SIGTERM)
            self._wait_for_exits(self._grace_s)
        process_tree.kill_tree(itself, including_root=False)
        self._wait_for_exits(KILL_WAIT_S)

    def _wait_for_exits(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._reap() and (left := deadline - time.monotonic()) > 0:
            self._poller.wait(left)


def main(memory_limit: int) -> None:
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
    poller.add(woken, lambda _: read_available(woken))
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    process_tree.become_subreaper()
    _limit_memory(memory_limit)
    gc.freeze()  # what is here is shared with every worker; a collection would copy it
    HandlerManager(socket, poller).serve()


def _limit_memory(memory_limit: int) -> None:
    """When memory runs out, handlers meet it first: by their limit, else as the kernel's first choice."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory_limit if hard == resource.RLIM_INFINITY else min(memory_limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))  # a handler that needs more may raise its own
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            if int(file.read()) < OOM_SCORE_ADJ:
                file.write(str(OOM_SCORE_ADJ).encode())
    except OSError:
        pass  # without it the kernel chooses by size, which is mostly right too
