"""Checks during a run that whatever cannot be undone was committed before.

The probe reads the journal file through its own connection, so it sees what is committed.
"""

import sqlite3

from agent.at.resync import PROBE, RESTORE_RESULT_CODES, SYNC_QUERIES
from hardware.sim.faults import FOREIGN_TPDU
from soak.agent_run import CURRENT_RUN

CTRL_Z = b"\x1a"
RESYNC_LINES = {f"{query.line}\r".encode() for query in (*SYNC_QUERIES, PROBE, RESTORE_RESULT_CODES)}
"""What may be written while the last command is not answered."""


class CommitOrderProbe:
    """Collects findings as (time, sentence)."""

    def __init__(self, world, traffic):
        self._world = world
        self._traffic = traffic
        self.findings = []
        self.uncaught_errors = []
        """Errors that reached the exception handler of the event loop, as (time, text)."""
        self._last_command = None
        """The opening of the port, and what the agent had received, when the last command was written."""
        self.ids_with_body = set()
        """Ids of the replies that were `sending` when a body was written."""
        self._last_attempts = {}
        self.sending_since = {}
        """Times at which each reply became `sending`, by its id."""
        self._next_kill_point_hook, world.on_kill_point = world.on_kill_point, self._on_kill_point
        self._connection = None
        self._opened_file = None
        for name, store in world.module.stores.items():
            if name != "MT":
                self._wrap_store(name, store)
        self._wrap_store("SM of the second SIM", world.second_sim.messages)
        world.port.on_written = self._on_agent_write
        on_accepted = world.radio.on_accepted

        def check_accepted(tpdu, how):
            on_accepted(tpdu, how)
            if how == "acknowledged":
                self._require_stored(tpdu, "acknowledged")

        world.radio.on_accepted = check_accepted
        world.loop.set_exception_handler(self._on_loop_exception)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def journal(self):
        """Return a read-only connection to the journal of the current agent run."""
        path = self._world.current_run.folder / "journal.db"
        opened = (path, path.stat().st_ino if path.exists() else 0)  # a damaged file is replaced
        if self._opened_file != opened:
            self.close()
            self._opened_file = opened
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        return self._connection

    def add_finding(self, sentence):
        self.findings.append((self._world.loop.time(), sentence))

    # Nothing is deleted or acknowledged before it is committed

    def _wrap_store(self, name, store):
        delete = store.delete

        def checked_delete(slot):
            stored = store.get(slot)
            if stored is not None and stored.status.is_received:
                self._require_stored(stored.tpdu, f"deleted from {name} {slot}")
            delete(slot)

        store.delete = checked_delete

    def _require_stored(self, tpdu, effect):
        if not self._is_stored(tpdu):
            segment = self._traffic.segments.get(tpdu[1:])
            name = tpdu.hex() if segment is None else repr(segment.message.content)
            self.add_finding(f"{effect} before it was committed: {name}")

    def _is_stored(self, tpdu):
        """Return True if the journal has the message in the right table."""
        journal = self.journal()
        segment = self._traffic.segments.get(tpdu[1:])
        if segment is not None and any(
            segment.message.created_at <= corruption.at for corruption in self._world.corruptions
        ):
            return True  # it may have been stored on a page that is lost
        raw = f"%{tpdu[1:].hex().upper()}"
        reuses_sid = segment is not None and segment.message.kind == "reused SID" and self._world.corruptions
        if reuses_sid and self._exists("SELECT 1 FROM commands WHERE body IS ?", segment.message.content):
            return True  # the record of the first use of its SID may be lost
        if tpdu == FOREIGN_TPDU or segment is None or not segment.message.is_command:
            if segment is None and tpdu != FOREIGN_TPDU:
                return self._exists("SELECT 1 FROM status_reports")
            shown = None if segment is None else segment.message.content
            return self._exists("SELECT 1 FROM ignored WHERE raw LIKE ? OR text IS ?", raw, shown) or (
                # in text mode the raw form is not the TPDU of the network
                self._world.message_format == "text" and self._exists("SELECT 1 FROM ignored")
            )
        message = segment.message
        row = "SELECT 1 FROM commands WHERE body IS ?"
        if self._exists(row, message.content):
            return True
        if len(message.segments) > 1:
            if self._world.message_format == "text":
                return self._exists("SELECT 1 FROM parts") or self._exists("SELECT 1 FROM ignored")
            return self._exists("SELECT 1 FROM parts WHERE raw LIKE ?", raw) or self._exists(
                "SELECT 1 FROM ignored WHERE raw LIKE ?", raw
            )
        return journal is None

    def _exists(self, query, *values):
        try:
            return self.journal().execute(query, values).fetchone() is not None
        except sqlite3.DatabaseError:
            return bool(self._world.corruptions)  # a damaged file cannot be read

    def _query(self, query):
        try:
            return self.journal().execute(query).fetchall()
        except sqlite3.DatabaseError:
            if not self._world.corruptions:
                raise
            return None

    # No body is written before `sending` is committed

    def _on_agent_write(self, data):
        if data.endswith(CTRL_Z) and len(data) > 1:
            rows = self._query("SELECT id FROM replies WHERE state = 'sending'")
            self.ids_with_body |= {number for (number,) in rows or ()}
            if rows == []:
                self.add_finding("a body was written although no reply is `sending` in the journal")
        if data.startswith(b"AT") and data not in RESYNC_LINES:
            self._check_last_command(data)

    def _check_last_command(self, line):
        """Check that the module has sent something since the last command on this transport."""
        port = self._world.port
        now = (port.open_count, port.received_count)
        if self._last_command == now:
            self.add_finding(f"{line!r} was written although the last command was not answered")
        self._last_command = now

    def _on_kill_point(self, point, agent_run):
        if point == "in a commit":
            now = self._world.loop.time()
            for number, attempts in (
                self._query("SELECT id, attempts FROM replies WHERE state = 'sending'") or ()
            ):
                if self._last_attempts.get(number) != attempts:
                    self._last_attempts[number] = attempts
                    self.sending_since.setdefault(number, set()).add(now)
        self._next_kill_point_hook(point, agent_run)

    def _on_loop_exception(self, loop, context):
        task = context.get("task") or context.get("future")
        error = context.get("exception")
        text = f"{context['message']}: {type(error).__name__}: {error}"
        if getattr(task, "context", None) is not None:
            agent_run = task.context.get(CURRENT_RUN)
            if agent_run is not None and not agent_run.is_alive:
                return  # a killed agent cannot raise anything
        self.uncaught_errors.append((self._world.loop.time(), text))
