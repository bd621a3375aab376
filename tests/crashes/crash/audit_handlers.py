"""Handlers of every kind, which write down from outside the agent what was really carried out.

Each writes lines `WHAT NUMBER ATTEMPT MARK` into one file, synced: `begin`, `end`, `act`. NUMBER is the
Command's own, its first argument. MARK is how much the power cutter's log held at that moment, 0 without one.
"""

AT_MOST_ONCE = ("plain", "slow", "shoot", "back", "answer", "long", "warm", "warmly", "binary")
REPEATABLE = ("again", "reshoot", "warmagain")
WITH_ACTION = ("answer", "warmly")
KILLS_AGENT = ("shoot", "reshoot")
KINDS = AT_MOST_ONCE + REPEATABLE
BINARY_PREFIX = b"\x01"
"""Binary Commands begin with it; four octets of number follow."""

_SHELL_TEMPLATE = """#!/bin/sh
note() {{
    mark=0
    [ -z "{log}" ] || mark=$(od -An -tu8 -j16 -N8 "{log}")
    echo "$1" "$2" "$COMMAND_ATTEMPT" $mark >> {notes}
    sync -d {notes}
}}
{body}
"""

_KILL_AGENT = "read -r _ _ _ agent _ < /proc/$PPID/stat; kill -9 $agent"
"""Up the chain: the parent is what runs handlers, its parent is the agent."""

EXECUTABLE_BODIES = {
    "plain": 'note begin "$1"; note end "$1"; echo "plain $1"',
    "slow": 'note begin "$1"; sleep 0.4; note end "$1"; echo "slow $1"',
    "again": 'note begin "$1"; sleep 0.05; note end "$1"; echo "again $1"',
    "shoot": f'note begin "$1"; {_KILL_AGENT}; sleep 5; note end "$1"; echo "shoot $1"',
    "reshoot": f'note begin "$1"; {_KILL_AGENT}; sleep 5; note end "$1"; echo "reshoot $1"',
    "back": 'note begin "$1"; setsid sleep 300 > /dev/null 2>&1 & note end "$1"; echo "back $1"',
    "answer": 'note begin "$1"; note end "$1"; echo "answer $1"',
    "answer.then": 'note act "$1"',
    # Every part of the answer is another text, so that none can be sent twice unseen.
    "long": 'note begin "$1"; note end "$1"; echo $(seq -f "long $1 %03g" 1 30)',
}

_PYTHON_PRELUDE = '''"""Handlers that are functions, kept warm."""

import os
import time

from agent import Reply, handler


def note(what, number, command):
    mark = 0
    if {log!r}:
        with open({log!r}, "rb") as log:
            mark = int.from_bytes(log.read(24)[16:], "little")
    file = os.open({notes!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{what}} {{number}} {{command.attempt}} {{mark}}\\n".encode())
    os.fsync(file)
    os.close(file)


def carry_out(command, seconds=0):
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
    return f"warm {carry_out(command)}"


@handler("warmagain", repeatable=True)
def warm_again(command):
    return f"warmagain {carry_out(command, 0.05)}"
""",
    "acting.py": """
@handler("warmly")
def warmly(command):
    return Reply(f"warmly {carry_out(command)}", then="act")


def act(command):
    note("act", command.words[1], command)
""",
    "octets.py": f"""
@handler(binary_prefix={BINARY_PREFIX!r})
def octets(command):
    return {BINARY_PREFIX!r} + int(carry_out(command)).to_bytes(4, "big")
""",
}


def install_handlers(folder, audit_log, disk_log=""):
    """Write them all; `log` is the log of the power cutter."""
    folder.mkdir(mode=0o755, exist_ok=True)
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
    """What they wrote: tuples of what, number, attempt, mark."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [
        (what, int(number), int(attempt), int(mark)) for what, number, attempt, mark in map(str.split, lines)
    ]
