"""How the keeper starts processes: an executable for one Command, a worker for a Python file.

Both become leader of a session of their own, die when the keeper dies, and adopt what their descendants leave
behind (see processes).
"""

# ruff: noqa: PTH123, PTH208, SIM105
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import os
import signal
import sys

from agent.handlers import process_tree, worker

TYPE_CHECKING = False  # typing itself would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterable


def start_executable(
    path: bytes, arguments: list[bytes], environment: dict[bytes, bytes], body: bytes
) -> tuple[int, int, int]:
    """Start an executable; returns its pid and our ends of its standard output and standard error.

    Raises OSError with the errno of execve(2) when it cannot be started.
    """
    (output, output_end), (log, log_end), (failure, failure_end) = ours = _make_pipes(3)
    try:
        # A file in memory and no pipe: whoever does not read its input blocks nobody, however long it is.
        with open(os.memfd_create("command"), "r+b", buffering=0) as stdin:
            stdin.write(body)
            stdin.seek(0)
            keeper = os.getpid()
            pid = os.fork()
            if pid == 0:
                files = (stdin.fileno(), output_end, log_end)
                _exec_child(keeper, files, failure_end, path, arguments, environment)
    except OSError:
        _close_fds(file for file, _ in ours)
        raise
    finally:
        _close_fds(end for _, end in ours)
    errno = os.read(failure, 16)  # its other end is closed by the exec
    os.close(failure)
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
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python itself, which exec would hand on
            signal.signal(number, signal.SIG_DFL)
        for target, file in enumerate(stdio_fds):
            os.dup2(file, target)
        os.execve(path, [path, *arguments], environment)  # noqa: S606  (no shell: that is the point)
    except OSError as error:
        os.write(errno_fd, str(error.errno).encode())
    finally:
        os._exit(127)


def start_worker(path: bytes) -> tuple[int, int, int, int]:
    """Start the worker of a Python file.

    Returns its pid and our ends: what it says to us, what we say to it, what it writes for the log.
    """
    (incoming, incoming_end), (outgoing_end, outgoing), (log, log_end) = _make_pipes(3)
    keeper = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _worker_child(keeper, outgoing_end, incoming_end, log_end, path)
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
        # What user code prints is for the log. It can never disturb what worker and keeper say to each other.
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        os.close(log_fd)  # the keeper may have no file left, and reading the folder takes one
        keep = {0, 1, 2, incoming, outgoing}
        _close_fds(int(name) for name in os.listdir("/proc/self/fd") if int(name) not in keep)
        worker.serve(os.fsdecode(path), incoming, outgoing)
    except BaseException as error:  # noqa: BLE001  (nothing may return into the keeper's code)
        sys.__excepthook__(type(error), error, error.__traceback__)
    finally:
        os._exit(1)


def _detach(manager_pid: int) -> None:
    os.setsid()
    process_tree.set_parent_death_signal(manager_pid)
    process_tree.become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # ignored by the keeper
        signal.signal(number, signal.SIG_DFL)


def _make_pipes(count: int) -> list[tuple[int, int]]:
    """So many pipes, or none and an OSError."""
    pipes: list[tuple[int, int]] = []
    try:
        for _ in range(count):
            pipes.append(os.pipe())  # noqa: PERF401  (those made before an error must be closed)
    except OSError:
        _close_fds(file for pipe in pipes for file in pipe)
        raise
    return pipes


def _close_fds(fds: Iterable[int]) -> None:
    for file in fds:
        try:
            os.close(file)
        except OSError:
            pass  # it was open while the folder was read, to read it
