"""The handler manager: the process that starts, watches and ends all processes of user code.

The agent starts it when it first needs a handler; they exchange frames over a socket. The manager starts an
executable for one Command, or a worker for a Python file, which stays for further Commands. It enforces the
time limits, forwards responses and log lines, and kills a run with all its descendants. When the agent's end
of the socket closes, because the agent stopped or was killed, the manager kills all its descendants and ends.
It makes no decisions about Commands.

It is one loop over poll(2), woken by pipes and by SIGCHLD. A run ends with its process and not with its
pipes, which a background child may keep open.
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
"""Limit of an executable's reply in octets: more than 255 concatenated messages can carry."""
MAX_LOG_BYTES = 8 * 1024
"""Limit of the log output of a run in octets."""
MAX_BACKGROUND_PIPES = 64
"""Limit of the pipes kept open for background children of executables that have ended."""
MAX_WORKER_CHILDREN = 32
"""A worker with more children than this after a run, zombies included, is replaced."""
MAX_WORKER_GROWTH_BYTES = 32 * 1024 * 1024
"""A worker that has grown by more than this since its first Command is replaced."""
STOP_GRACE_S = 1.0
"""Time between SIGTERM and SIGKILL when the agent stops. The whole stop must take less than 3 s."""
OOM_SCORE_ADJ = 500
"""Of 1000: the kernel kills handlers long before the agent, but not before a process that uses all memory."""
KILL_WAIT_S = 1.0
"""Limit of the wait for killed processes, which end in milliseconds unless they hang in the kernel."""


class ExecutableRun:
    """The process of one executable, which runs for one Command."""

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
    """The process of one Python file, which runs one Command after another."""

    def __init__(
        self, path: bytes, pid: int, deadline: float, channel: FrameChannel, log: LineForwarder
    ) -> None:
        self.path = path
        self.request_id = b""
        """The request that it works on; empty while it is idle."""
        self.pid = pid
        self.deadline: float | None = deadline
        self.timed_out = False
        self.channel = channel
        self.log = log
        self.pending_call: Frame | None = None
        """The call to send when the file is loaded."""
        self.is_loaded = False
        self.baseline_rss = 0
        """Memory in octets after the first Command, 0 before: many handlers import modules at first use."""


class HandlerManager:
    """The event loop of the process, its workers and its running executables."""

    def __init__(self, socket: int, poller: Poller) -> None:
        self._poller = poller
        self._agent_channel = FrameChannel(poller, socket, socket, self._on_request, self._on_agent_gone)
        self._processes: dict[int, ExecutableRun | WorkerProcess] = {}
        """All child processes that have not ended, by pid."""
        self._workers: dict[bytes, WorkerProcess] = {}
        """The worker for the next Command of a file, by path."""
        self._successors: dict[bytes, WorkerProcess] = {}
        """The worker of a file that was read again while it had one, by path; `activate` puts it in place."""
        self._background_outputs: list[OutputBuffer] = []
        self._serving = True
        self._grace_s = 0.0

    def serve(self) -> None:
        """Serve requests until the agent sends stop or is gone, then end all descendants."""
        # If this frame never arrives, the agent knows that no handler was started.
        self._agent_channel.send({"verb": b"ready"})
        try:
            while self._serving:
                self._poller.wait(self._time_to_deadline())
                self._reap()
                self._kill_timed_out()
        finally:
            self._shut_down()

    # Requests of the agent

    def _on_request(self, frame: Frame) -> None:
        match frame["verb"]:
            case b"run_executable":
                self._start_executable(frame)
            case b"load" | b"call":
                self._dispatch_to_worker(frame)
            case b"activate":
                self._activate(split_nul(frame["paths"]))
            case b"cancel":
                for process in self._processes.values():
                    if process.request_id == frame["request_id"]:
                        self._kill_run(process)
            case b"stop":
                self._grace_s = STOP_GRACE_S
                self._serving = False

    def _on_agent_gone(self) -> None:
        self._serving = False

    def _start_executable(self, frame: Frame) -> None:
        environment = dict(os.environb)
        for variable in split_nul(frame["environment"]):
            name, _, value = variable.partition(b"=")
            environment[name] = value
        try:
            pid, output, log = spawn.start_executable(
                frame["path"], split_nul(frame["arguments"]), environment, frame["body"]
            )
        except OSError as error:
            self._send_not_started(frame, error)
            return
        self._processes[pid] = ExecutableRun(
            frame["request_id"],
            pid,
            time.monotonic() + float(frame["timeout"]),
            OutputBuffer(self._poller, output, MAX_OUTPUT_BYTES),
            self._log_forwarder(log, frame["path"]),
        )

    def _dispatch_to_worker(self, frame: Frame) -> None:
        path = frame["path"]
        worker = self._workers.get(path)
        if worker is None or frame["verb"] == b"load":
            try:
                started = self._start_worker(frame)
            except OSError as error:
                self._send_not_started(frame, error)
                return
            if worker is None:
                self._workers[path] = started
            else:
                if (other := self._successors.get(path)) is not None:
                    self._recycle(other)
                self._successors[path] = started
            worker = started
        worker.request_id = frame["request_id"]
        worker.pending_call = frame if frame["verb"] == b"call" else None
        if worker.is_loaded:
            self._send_call(worker)

    def _send_not_started(self, frame: Frame, error: OSError) -> None:
        errno = str(error.errno).encode()
        self._agent_channel.send({"verb": b"not_started", "errno": errno, "request_id": frame["request_id"]})

    def _start_worker(self, frame: Frame) -> WorkerProcess:
        path = frame["path"]
        pid, incoming, outgoing, log = spawn.start_worker(path)
        deadline = time.monotonic() + float(frame["load_timeout"])
        channel = FrameChannel(
            self._poller,
            incoming,
            outgoing,
            lambda message: self._on_worker_message(worker, message),
            lambda: process_tree.kill_tree(pid),  # without its pipes, the worker is useless
        )
        worker = WorkerProcess(path, pid, deadline, channel, self._log_forwarder(log, path))
        self._processes[pid] = worker
        return worker

    def _activate(self, paths: list[bytes]) -> None:
        """Let the files that were read again have their new workers, and end those of all other files.

        A worker that is busy ends after its Command.
        """
        replaced = [
            worker for path, worker in self._workers.items() if path in self._successors or path not in paths
        ]
        self._workers.update(self._successors)
        self._successors.clear()
        for worker in replaced:
            if worker.request_id:
                self._unregister_worker(worker)
            else:
                self._recycle(worker)

    def _send_call(self, worker: WorkerProcess) -> None:
        """Send the worker its pending call and start its time limit."""
        if worker.pending_call is None:
            return
        worker.deadline = time.monotonic() + float(worker.pending_call["timeout"])
        worker.log.reset_limit()
        worker.channel.send(worker.pending_call)
        worker.pending_call = None

    # Messages and log output of the processes

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
            case b"declaration":
                self._agent_channel.send(message | {"request_id": worker.request_id})
            case b"loaded":
                worker.is_loaded = True
                if worker.pending_call is None:
                    self._worker_idle(worker, message)
                else:
                    self._send_call(worker)
            case b"load_failed" | b"finished" | b"failed" | b"retry_later":
                self._worker_idle(worker, message)

    def _worker_idle(self, worker: WorkerProcess, message: Frame) -> None:
        """Send the worker's response to the agent and make the worker available, or replace it."""
        worker.log.read_remaining()
        worker.log.flush()
        self._agent_channel.send(message | {"request_id": worker.request_id, "log": worker.log.tail})
        worker.request_id = b""
        worker.deadline = None
        if message["verb"] == b"load_failed" or (
            message["verb"] != b"loaded" and (self._is_replaced(worker) or self._needs_recycling(worker))
        ):
            self._recycle(worker)

    def _is_replaced(self, worker: WorkerProcess) -> bool:
        return self._workers.get(worker.path) is not worker

    def _needs_recycling(self, worker: WorkerProcess) -> bool:
        """Return True if the worker has grown too much or has too many children."""
        size = process_tree.rss_bytes(worker.pid)
        worker.baseline_rss = worker.baseline_rss or size
        return (
            size - worker.baseline_rss > MAX_WORKER_GROWTH_BYTES
            or process_tree.count_children(worker.pid) > MAX_WORKER_CHILDREN
        )

    def _recycle(self, worker: WorkerProcess) -> None:
        """Let the worker end; the next Command of its file gets a new one."""
        self._unregister_worker(worker)
        worker.channel.close()  # the worker ends at the end of its input
        worker.deadline = time.monotonic() + KILL_WAIT_S

    def _unregister_worker(self, worker: WorkerProcess) -> None:
        """Send no further Commands to this worker."""
        for workers in (self._workers, self._successors):
            if workers.get(worker.path) is worker:
                del workers[worker.path]

    # The end of processes

    def _reap(self) -> bool:
        """Wait for all children that have ended, also adopted ones; return True if any are left."""
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
        message: Frame = {
            "verb": b"timed_out" if process.timed_out else b"exited",
            "status": str(status).encode(),
        }
        outputs: list[OutputBuffer] = [process.log]
        if isinstance(process, WorkerProcess):
            self._unregister_worker(process)
            process.channel.read_remaining()  # a response that it wrote just before its end
            process.channel.close()
        else:
            outputs.append(process.output)
        for output in outputs:
            output.read_remaining()
        process.log.flush()
        message["log"] = process.log.tail
        if isinstance(process, ExecutableRun):
            message["output"] = bytes(process.output.content)
        if process.request_id:
            self._agent_channel.send(message | {"request_id": process.request_id})
        self._background_outputs = [output for output in self._background_outputs + outputs if output.is_open]
        for output in self._background_outputs[:-MAX_BACKGROUND_PIPES]:
            output.close()

    def _time_to_deadline(self) -> float | None:
        deadlines = [process.deadline for process in self._processes.values() if process.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _kill_timed_out(self) -> None:
        now = time.monotonic()
        for process in self._processes.values():
            if process.deadline is not None and process.deadline <= now:
                self._kill_run(process)

    def _kill_run(self, process: ExecutableRun | WorkerProcess) -> None:
        """Kill a run with all its descendants.

        There is no SIGTERM first: a process that ends at SIGTERM may leave children behind.
        """
        process.deadline = None
        process.timed_out = True
        if isinstance(process, WorkerProcess):
            self._unregister_worker(process)
        process_tree.kill_tree(process.pid)

    def _shut_down(self) -> None:
        """End all descendants: with SIGTERM and a delay if the agent stops, at once if it was killed."""
        own_pid = os.getpid()
        if self._grace_s:
            for worker in (*self._workers.values(), *self._successors.values()):
                if not worker.request_id:
                    self._recycle(worker)  # a worker may ignore SIGTERM, but not the end of its input
            for pid in process_tree.descendants(own_pid):
                process_tree.send_signal(pid, signal.SIGTERM)
            self._wait_for_exits(self._grace_s)
        process_tree.kill_tree(own_pid, including_root=False)
        self._wait_for_exits(KILL_WAIT_S)

    def _wait_for_exits(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._reap() and (left := deadline - time.monotonic()) > 0:
            self._poller.wait(left)


def main(memory_limit: int) -> None:
    """Run the manager for the agent at the other end of file descriptor 0, a socket.

    `memory_limit`: limit of the data segment of each process (RLIMIT_DATA) in octets.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the manager ends when the agent ends
    socket = os.dup(0)
    os.dup2(1, 0)  # /dev/null
    poller = Poller()
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    poller.add(wakeup_read, lambda _: read_available(wakeup_read))
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    process_tree.become_subreaper()
    _limit_memory(memory_limit)
    gc.freeze()  # these objects are shared with all workers; a collection would copy their pages
    HandlerManager(socket, poller).serve()


def _limit_memory(memory_limit: int) -> None:
    """Limit the memory of this process and its children, and let the kernel kill them before the agent."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory_limit if hard == resource.RLIM_INFINITY else min(memory_limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))  # a handler may raise the soft limit
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            if int(file.read()) < OOM_SCORE_ADJ:
                file.write(str(OOM_SCORE_ADJ).encode())
    except OSError:
        pass  # without it the kernel chooses by size, which is mostly right
