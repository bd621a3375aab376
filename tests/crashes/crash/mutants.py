"""Runs the agent with a mutant, to show that the invariants detect it; the product has no such option.

python mutants.py delete-first run --config agent.toml    instead of `modem-agent run --config agent.toml`
"""

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from agent.cli import main
from agent.journal.actions import ActionStore
from agent.journal.dedup import DedupIndex
from agent.journal.inbox import CommandStore
from agent.journal.outbox import OutboxStore
from agent.pipeline.receiver import Receiver

sys.path.append(str(Path(__file__).parents[2] / "simulation"))  # when run as a program

from patching import check_same_parameters


def _set_synchronous(level):
    """The journal does not wait for the disk."""

    class UnsyncedConnection(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement.upper().startswith("PRAGMA SYNCHRONOUS"):
                statement = f"PRAGMA synchronous = {level}"
            return super().execute(statement, *values)

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=UnsyncedConnection, **options)


def _delete_first():
    """A message is deleted from the module before it is committed."""
    store_and_delete, delete = Receiver._store_and_delete, Receiver._delete

    async def delete_first(self, message, *, run=True, is_announced=False):
        if message.slot is not None:
            await delete(self, message.slot, message.raw)
            await asyncio.sleep(0.002)  # a slow disk
        return await store_and_delete(self, message, run=run, is_announced=is_announced)

    patch_method(Receiver, "_store_and_delete", delete_first)


def _body_uncommitted():
    """`sending` is not committed before the body is sent."""
    patch_method(OutboxStore, "_set_sending", lambda self, reply, now: None)


def _begin_uncommitted():
    """`running` is not committed before the handler starts."""
    patch_method(CommandStore, "_set_running", lambda self, command, start, now: None)


def _run_again():
    """An interrupted Command runs again even if its handler is not repeatable."""
    interrupted = CommandStore.list_running
    patch_method(
        CommandStore,
        "list_running",
        lambda self: [row.replace(repeatable=True) for row in interrupted(self)],
    )


def _action_uncommitted():
    """`running` is not committed before the action starts."""
    patch_method(ActionStore, "mark_running", lambda self, action: None)


def _reply_in_second_commit():
    """A Command is done in one commit and its reply is queued in the next."""
    finish = CommandStore.finish

    def apart(self, command, state, reason=None, replies=(), action=None, **options):
        finish(self, command, state, reason)
        time.sleep(0.01)  # a slow disk
        return finish(self, command, state, reason, replies, action, **options)

    patch_method(CommandStore, "finish", apart)


def _no_dedup():
    """Received messages get no deduplication entry."""
    patch_method(DedupIndex, "record", lambda self, *values: None)


def _leave_orphan():
    """The agent starts a process that survives it."""
    subprocess.Popen(["sleep", "10"], stderr=subprocess.DEVNULL)


def patch_method(owner, name, function):
    """Replace a method. Raises AttributeError if it is gone, TypeError if the new one takes other
    arguments."""
    check_same_parameters(getattr(owner, name), function)
    setattr(owner, name, function)


MUTANTS = {
    "sync-off": lambda: _set_synchronous("OFF"),
    "sync-normal": lambda: _set_synchronous("NORMAL"),
    "delete-first": _delete_first,
    "body-first": _body_uncommitted,
    "begin-late": _begin_uncommitted,
    "run-again": _run_again,
    "act-again": _action_uncommitted,
    "answer-apart": _reply_in_second_commit,
    "no-dedup": _no_dedup,
    "leave-behind": _leave_orphan,
}
MUTANT_NAMES = tuple(MUTANTS)


def mutant_program(mutant):
    """Return the first words of a command line with this mutant; None for the installed command."""
    return None if mutant is None else (sys.executable, __file__, mutant)


if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
