"""How the keeper starts processes: an executable for one Command, a worker for a Python file.

Both become leader of a session of their own, die when the keeper dies, and adopt what their descendants leave
behind (see processes).
"""

# ruff: noqa: PTH208, SIM105
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import os
import signal
import sys

from agent.handlers import processes, worker


def start_program(
    path: bytes, arguments: list[bytes], environment: dict[bytes, bytes], body: bytes
) -> tuple[int, int, int]:
    """Start an executable; returns its pid and our ends of its standard output and standard error.

    Raises OSError with the errno of execve(2) when it cannot be started.
    """
    # A file in memory and no pipe: whoever does not read its input blocks nobody, however long it is.
    stdin = os.memfd_create("command")
    output, output_end = os.pipe()
    log, log_end = os.pipe()
    failure, failure_end = os.pipe()
    try:
        os.write(stdin, body)
        os.lseek(stdin, 0, os.SEEK_SET)
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            _program(keeper, stdin, output_end, log_end, failure_end, path, arguments, environment)
    except OSError:
        os.close(output)
        os.close(log)
        os.close(failure)
        raise
    finally:
        for file in (stdin, output_end, log_end, failure_end):
            os.close(file)
    reason = os.read(failure, 16)  # its other end is closed by the exec
    os.close(failure)
    if reason:
        os.close(output)
        os.close(log)
        os.waitpid(pid, 0)
        raise OSError(int(reason), os.strerror(int(reason)))
    return pid, output, log


def _program(
    keeper: int,
    stdin: int,
    stdout: int,
    stderr: int,
    failure: int,
    path: bytes,
    arguments: list[bytes],
    environment: dict[bytes, bytes],
) -> None:
    try:
        _stand_alone(keeper)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python itself, which exec would hand on
            signal.signal(number, signal.SIG_DFL)
        for target, file in enumerate((stdin, stdout, stderr)):
            os.dup2(file, target)
        os.execve(path, [path, *arguments], environment)  # noqa: S606  (no shell: that is the point)
    except OSError as error:
        os.write(failure, str(error.errno).encode())
    finally:
        os._exit(127)


def start_worker(path: bytes) -> tuple[int, int, int, int]:
    """Start the worker of a Python file.

    Returns its pid and our ends: what it says to us, what we say to it, what it writes for the log.
    """
    incoming, incoming_end = os.pipe()
    outgoing_end, outgoing = os.pipe()
    log, log_end = os.pipe()
    keeper = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _worker(keeper, outgoing_end, incoming_end, log_end, path)
    except OSError:
        for file in (incoming, outgoing, log):
            os.close(file)
        raise
    finally:
        for file in (incoming_end, outgoing_end, log_end):
            os.close(file)
    return pid, incoming, outgoing, log


def _worker(keeper: int, incoming: int, outgoing: int, log: int, path: bytes) -> None:
    try:
        _stand_alone(keeper)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # What user code prints is for the log. It can never disturb what worker and keeper say to each other.
        os.dup2(log, 1)
        os.dup2(log, 2)
        keep = {0, 1, 2, incoming, outgoing}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in keep:
                _close(int(name))
        worker.serve(os.fsdecode(path), incoming, outgoing)
    except BaseException as error:  # noqa: BLE001  (nothing may return into the keeper's code)
        sys.__excepthook__(type(error), error, error.__traceback__)
    finally:
        os._exit(1)


def _stand_alone(keeper: int) -> None:
    os.setsid()
    processes.die_with(keeper)
    processes.adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # ignored by the keeper
        signal.signal(number, signal.SIG_DFL)


def _close(file: int) -> None:
    try:
        os.close(file)
    except OSError:
        pass  # the one that listed them
