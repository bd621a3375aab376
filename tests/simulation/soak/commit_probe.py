"""Looks at the device while it works: what must have been committed at the moment something cannot be undone.

It reads the journal as it lies on the disk, by a connection of its own.
"""

import sqlite3

from hardware.sim.faults import FOREIGN_TPDU
from soak.agent_run import CURRENT_RUN

CTRL_Z = b"\x1a"


class CommitOrderProbe:
    """Notes findings as (time, sentence)."""

    def __init__(self, world, traffic):
        self._world = world
        self._traffic = traffic
        self.findings = []
        self.uncaught_errors = []
        """What the event loop was told that nobody had caught."""
        self.ids_with_body = set()
        """Numbers of the messages that were `sending` when a body left."""
        self._last_attempts = {}
        self.sending_since = {}
        """By number of a message: when it was found to have become `sending`."""
        self._next_kill_point_hook, world.on_kill_point = world.on_kill_point, self._on_kill_point
        self._connection = None
        self._opened_file = None
        for name, store in world.module.stores.items():
            if name != "MT":
                self._wrap_store(name, store)
        self._wrap_store("SM of the second SIM", world.second_sim.messages)
        world.port.on_written = self._on_agent_write
        taken = world.radio.on_accepted

        def and_kept(tpdu, how):
            taken(tpdu, how)
            if how == "acknowledged":
                self._require_stored(tpdu, "acknowledged")

        world.radio.on_accepted = and_kept
        world.loop.set_exception_handler(self._on_loop_exception)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def journal(self):
        """The journal of the life that lasts, or lasted last."""
        path = self._world.current_run.folder / "journal.db"
        of = (path, path.stat().st_ino if path.exists() else 0)  # a damaged one is replaced by another
        if self._opened_file != of:
            self.close()
            self._opened_file = of
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        return self._connection

    def add_finding(self, sentence):
        self.findings.append((self._world.loop.time(), sentence))

    # Nothing is deleted or acknowledged before it is committed

    def _wrap_store(self, name, store):
        delete = store.delete

        def guarded(slot):
            stored = store.get(slot)
            if stored is not None and stored.status.is_received:
                self._require_stored(stored.tpdu, f"deleted from {name} {slot}")
            delete(slot)

        store.delete = guarded

    def _require_stored(self, tpdu, effect):
        if not self._is_stored(tpdu):
            sheet = self._traffic.segments.get(tpdu[1:])
            name = tpdu.hex() if sheet is None else repr(sheet.message.content)
            self.add_finding(f"{effect} before it was committed: {name}")

    def _is_stored(self, tpdu):
        """Whether the journal has the message, as what it should be."""
        journal = self.journal()
        sheet = self._traffic.segments.get(tpdu[1:])
        if sheet is not None and any(
            sheet.message.created_at <= damage.at for damage in self._world.corruptions
        ):
            return True  # it may have been, on a page that is gone
        raw = f"%{tpdu[1:].hex().upper()}"
        usurps = sheet is not None and sheet.message.kind == "usurper" and self._world.corruptions
        if usurps and self._exists("SELECT 1 FROM commands WHERE body IS ?", sheet.message.content):
            return True  # nobody knows any more whose SID it bears
        if tpdu == FOREIGN_TPDU or sheet is None or not sheet.message.is_command:
            if sheet is None and tpdu != FOREIGN_TPDU:
                return self._exists("SELECT 1 FROM status_reports")
            shown = None if sheet is None else sheet.message.content
            return self._exists("SELECT 1 FROM ignored WHERE raw LIKE ? OR text IS ?", raw, shown) or (
                # in text mode what is stored is not what the network sent
                self._world.message_format == "text" and self._exists("SELECT 1 FROM ignored")
            )
        letter = sheet.message
        row = "SELECT 1 FROM commands WHERE body IS ?"
        if self._exists(row, letter.content):
            return True
        if len(letter.segments) > 1:
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
            return bool(self._world.corruptions)  # nobody can tell

    def _query(self, query):
        try:
            return self.journal().execute(query).fetchall()
        except sqlite3.DatabaseError:
            if not self._world.corruptions:
                raise
            return None

    # No body leaves before `sending` is committed

    def _on_agent_write(self, data):
        if data.endswith(CTRL_Z) and len(data) > 1:
            rows = self._query("SELECT id FROM replies WHERE state = 'sending'")
            self.ids_with_body |= {number for (number,) in rows or ()}
            if rows == []:
                self.add_finding("a body left although no message is `sending` on the disk")

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
            life = task.context.get(CURRENT_RUN)
            if life is not None and not life.is_alive:
                return  # whoever is dead throws nothing
        self.uncaught_errors.append((self._world.loop.time(), text))
