"""The agent with a mistake planted, to see that the ledger finds it: the product itself has no such switch.

python planted.py delete-first run --config agent.toml    stands for `modem-agent run --config agent.toml`
"""

import asyncio
import dataclasses
import sqlite3
import subprocess
import sys
import time

from agent.cli import main
from agent.intake import Intake
from agent.journal.actions import Actions
from agent.journal.doubles import Doubles
from agent.journal.inbox import Inbox
from agent.journal.outbox import Outbox


def _synchronous(level):
    """The journal does not wait for the disk."""

    class Careless(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement.upper().startswith("PRAGMA SYNCHRONOUS"):
                statement = f"PRAGMA synchronous = {level}"
            return super().execute(statement, *values)

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Careless, **options)


def _delete_first():
    """A message is deleted from the module before it is committed."""
    take, delete = Intake._take, Intake._delete

    async def careless(self, message):
        if message.slot is not None:
            await delete(self, message.slot, message.raw)
            await asyncio.sleep(0.002)  # a slow disk
        return await take(self, message)

    replace(Intake, "_take", careless)


def _body_first():
    """That a body may leave is not committed before it does."""
    replace(Outbox, "sending", lambda self, reply: None)


def _begin_late():
    """That a run begins is not committed before it does."""
    replace(Inbox, "begin", lambda self, command, handler, **options: None)


def _run_again():
    """What was interrupted runs again, whatever its handler says."""
    interrupted = Inbox.interrupted
    replace(
        Inbox,
        "interrupted",
        lambda self: [dataclasses.replace(row, repeatable=True) for row in interrupted(self)],
    )


def _act_again():
    """That an action begins is not committed before it does."""
    replace(Actions, "begin", lambda self, action: None)


def _answer_apart():
    """A Command is done in one commit, its answer queued in the next."""
    finish = Inbox.finish

    def apart(self, command, state, reason=None, replies=(), action=None):
        finish(self, command, state, reason)
        time.sleep(0.01)  # a slow disk
        finish(self, command, state, reason, replies, action)

    replace(Inbox, "finish", apart)


def _no_doubles():
    """Nobody remembers what has been received."""
    replace(Doubles, "remember", lambda self, *values: None)


def _leave_behind():
    """The agent starts a process that does not notice its end."""
    subprocess.Popen(["sleep", "10"], stderr=subprocess.DEVNULL)


def replace(owner, name, function):
    """Put another function into its place; a plant that has no soil any more must be seen."""
    getattr(owner, name)
    setattr(owner, name, function)


PLANTS = {
    "sync-off": lambda: _synchronous("OFF"),
    "sync-normal": lambda: _synchronous("NORMAL"),
    "delete-first": _delete_first,
    "body-first": _body_first,
    "begin-late": _begin_late,
    "run-again": _run_again,
    "act-again": _act_again,
    "answer-apart": _answer_apart,
    "no-doubles": _no_doubles,
    "leave-behind": _leave_behind,
}
NAMES = tuple(PLANTS)


def program(plant):
    """The beginning of the command line of such an agent; None is the one as installed."""
    return None if plant is None else (sys.executable, __file__, plant)


if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    main()
