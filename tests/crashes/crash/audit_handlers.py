"""Handlers of every kind that record each run in an audit log, independently of the agent.

Each appends lines `WHAT NUMBER ATTEMPT POSITION` to one file and syncs it. WHAT is `begin`, `end` or `act`.
NUMBER is the number of the Command, which is its first argument. POSITION is the number of entries in the log
of the `LoggedDisk` at that moment, 0 without one.
"""

AT_MOST_ONCE = ("plain", "slow", "shoot", "back", "answer", "long", "warm", "warmly", "binary")
REPEATABLE = ("again", "reshoot", "warmagain")
WITH_ACTION = ("answer", "warmly")
KILLS_AGENT = ("shoot", "reshoot")
KINDS = AT_MOST_ONCE + REPEATABLE
BINARY_PREFIX = b"\x01"
"""First octet of binary Commands; the number follows in four octets."""

_SHELL_TEMPLATE = """#!/bin/sh
note() {{
    position=0
    [ -z "{log}" ] || position=$(od -An -tu8 -j16 -N8 "{log}")
    echo "$1" "$2" "$COMMAND_ATTEMPT" $position >> {notes}
    sync -d {notes}
}}
{body}
"""

_KILL_AGENT = "read -r _ _ _ agent _ < /proc/$PPID/stat; kill -9 $agent"
"""The parent of a handler is the handler manager; the parent of the manager is the agent."""

EXECUTABLE_BODIES = {
    "plain": 'note begin "$1"; note end "$1"; echo "plain $1"',
    "slow": 'note begin "$1"; sleep 0.4; note end "$1"; echo "slow $1"',
    "again": 'note begin "$1"; sleep 0.05; note end "$1"; echo "again $1"',
    "shoot": f'note begin "$1"; {_KILL_AGENT}; sleep 5; note end "$1"; echo "shoot $1"',
    "reshoot": f'note begin "$1"; {_KILL_AGENT}; sleep 5; note end "$1"; echo "reshoot $1"',
    "back": 'note begin "$1"; setsid sleep 300 > /dev/null 2>&1 & note end "$1"; echo "back $1"',
    "answer": 'note begin "$1"; note end "$1"; echo "answer $1"',
    "answer.then": 'note act "$1"',
    # Each part of the reply has another text, so that a part that is sent twice is noticed.
    "long": 'note begin "$1"; note end "$1"; echo $(seq -f "long $1 %03g" 1 30)',
}

_PYTHON_PRELUDE = '''"""Handlers that are functions, in a worker process."""

import os
import time

from agent import Reply, handler


def note(what, number, command):
    position = 0
    if {log!r}:
        with open({log!r}, "rb") as log:
            position = int.from_bytes(log.read(24)[16:], "little")
    file = os.open({notes!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{what}} {{number}} {{command.attempt}} {{position}}\\n".encode())
    os.fsync(file)
    os.close(file)


def run_and_record(command, seconds=0):
    number = command.words[1] if command.words else int.from_bytes(command.data[1:5], "big")
    note("begin", number, command)
    time.sleep(seconds)
    note("end", number, command)
    return number

'''

PYTHON_FILES = {
    "functions.py": """
@handler("warm")
def warm(command):
    return f"warm {run_and_record(command)}"


@handler("warmagain", repeatable=True)
def warm_again(command):
    return f"warmagain {run_and_record(command, 0.05)}"
""",
    "acting.py": """
@handler("warmly")
def warmly(command):
    return Reply(f"warmly {run_and_record(command)}", then="act")


def act(command):
    note("act", command.words[1], command)
""",
    "octets.py": f"""
@handler(binary_prefix={BINARY_PREFIX!r})
def octets(command):
    return {BINARY_PREFIX!r} + int(run_and_record(command)).to_bytes(4, "big")
""",
}


def install_handlers(folder, audit_log, disk_log=""):
    """Write all handlers into the folder. `disk_log` is the path of the log of a `LoggedDisk`, or empty."""
    for name, body in EXECUTABLE_BODIES.items():
        path = folder / name
        path.write_text(_SHELL_TEMPLATE.format(log=disk_log, notes=audit_log, body=body))
        path.chmod(0o755)
    for name in ("again", "reshoot"):
        _write_plain_file(folder / f"{name}.toml", "repeatable = true\n")
    for name, body in PYTHON_FILES.items():
        _write_plain_file(
            folder / name, _PYTHON_PRELUDE.format(log=str(disk_log), notes=str(audit_log)) + body
        )


def _write_plain_file(path, text):
    path.write_text(text)
    path.chmod(0o644)


def read_audit_log(path):
    """Return the records as tuples of what, number, attempt, position."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [
        (what, int(number), int(attempt), int(position))
        for what, number, attempt, position in map(str.split, lines)
    ]
