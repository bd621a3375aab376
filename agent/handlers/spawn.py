"""Starts the processes of handlers: an executable for one Command, a worker for a Python file.

Each process leads a session of its own, dies when the handler manager dies, and is a child subreaper (see
process_tree).
"""

# ruff: noqa: PTH123, PTH208, SIM105
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import os
import signal
import sys

from agent.handlers import process_tree, worker

TYPE_CHECKING = False  # importing typing would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterable


def start_executable(
    path: bytes, arguments: list[bytes], environment: dict[bytes, bytes], body: bytes
) -> tuple[int, int, int]:
    """Start an executable; return its pid and the read ends of its standard output and standard error.

    Raises OSError if it cannot be started, with the errno of execve(2), fork(2) or pipe(2).
    """
    (output, output_end), (log, log_end), (errno_fd, errno_end) = pipes = _make_pipes(3)
    try:
        # A file in memory instead of a pipe: an executable that does not read its input blocks nothing.
        with open(os.memfd_create("command"), "r+b", buffering=0) as stdin:
            stdin.write(body)
            stdin.seek(0)
            manager_pid = os.getpid()
            pid = os.fork()
            if pid == 0:
                stdio_fds = (stdin.fileno(), output_end, log_end)
                _exec_child(manager_pid, stdio_fds, errno_end, path, arguments, environment)
    except OSError:
        _close_fds(read_end for read_end, _ in pipes)
        raise
    finally:
        _close_fds(write_end for _, write_end in pipes)
    errno = os.read(errno_fd, 16)  # empty if the exec succeeded, which closes the write end
    os.close(errno_fd)
    if errno:
        _close_fds((output, log))
        os.waitpid(pid, 0)
        raise OSError(int(errno), os.strerror(int(errno)))
    return pid, output, log


def _exec_child(
    manager_pid: int,
    stdio_fds: tuple[int, int, int],
    errno_fd: int,
    path: bytes,
    arguments: list[bytes],
    environment: dict[bytes, bytes],
) -> None:
    try:
        _detach(manager_pid)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would keep that
            signal.signal(number, signal.SIG_DFL)
        for target, fd in enumerate(stdio_fds):
            os.dup2(fd, target)
        os.execve(path, [path, *arguments], environment)  # noqa: S606  (no shell, on purpose)
    except OSError as error:
        os.write(errno_fd, str(error.errno).encode())
    finally:
        os._exit(127)


def start_worker(path: bytes) -> tuple[int, int, int, int]:
    """Start the worker of a Python file.

    Returns its pid and three file descriptors: frames from it, frames to it, its log output. Raises OSError.
    """
    (incoming, incoming_end), (outgoing_end, outgoing), (log, log_end) = _make_pipes(3)
    manager_pid = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _worker_child(manager_pid, outgoing_end, incoming_end, log_end, path)
    except OSError:
        _close_fds((incoming, outgoing, log))
        raise
    finally:
        _close_fds((incoming_end, outgoing_end, log_end))
    return pid, incoming, outgoing, log


def _worker_child(manager_pid: int, incoming: int, outgoing: int, log_fd: int, path: bytes) -> None:
    try:
        _detach(manager_pid)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Output of user code goes to the log, never between the frames.
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        os.close(log_fd)  # frees a file for the listing below, if the limit is reached
        keep = {0, 1, 2, incoming, outgoing}
        _close_fds(int(name) for name in os.listdir("/proc/self/fd") if int(name) not in keep)
        worker.serve(os.fsdecode(path), incoming, outgoing)
    except BaseException as error:  # noqa: BLE001  (nothing may return into the manager's code)
        sys.__excepthook__(type(error), error, error.__traceback__)
    finally:
        os._exit(1)


def _detach(manager_pid: int) -> None:
    os.setsid()
    process_tree.set_parent_death_signal(manager_pid)
    process_tree.become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the manager ignores them
        signal.signal(number, signal.SIG_DFL)


def _make_pipes(count: int) -> list[tuple[int, int]]:
    """Return `count` pipes; on an OSError, none is left open."""
    pipes: list[tuple[int, int]] = []
    try:
        for _ in range(count):
            pipes.append(os.pipe())  # noqa: PERF401  (those made before an error must be closed)
    except OSError:
        _close_fds(fd for pipe in pipes for fd in pipe)
        raise
    return pipes


def _close_fds(fds: Iterable[int]) -> None:
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass  # the descriptor of /proc/self/fd itself, which is closed by now
