"""Looks at the device while it works: what must have been committed at the moment something cannot be undone.

It reads the journal as it lies on the disk, by a connection of its own.
"""

import sqlite3

from hardware.sim.fault_events import JUNK
from soak.life import LIFE

CTRL_Z = b"\x1a"


class Watch:
    """Notes findings as (time, sentence)."""

    def __init__(self, world, letters):
        self._world = world
        self._letters = letters
        self.findings = []
        self.unseen = []
        """What the event loop was told that nobody had caught."""
        self.bodies = set()
        """Numbers of the messages that were `sending` when a body left."""
        self._attempts = {}
        self.sending = {}
        """By number of a message: when it was found to have become `sending`."""
        self._points, world.at_points = world.at_points, self._at
        self._reader = None
        self._of = None
        for name, store in world.module.stores.items():
            if name != "MT":
                self._guard(name, store)
        self._guard("SM of the second SIM", world.second_sim.messages)
        world.port.leaves = self._leaves
        taken = world.air.taken

        def and_kept(tpdu, how):
            taken(tpdu, how)
            if how == "acknowledged":
                self._must_be_kept(tpdu, "acknowledged")

        world.air.taken = and_kept
        world.loop.set_exception_handler(self._exception)

    def close(self):
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def journal(self):
        """The journal of the life that lasts, or lasted last."""
        path = self._world.life.folder / "journal.db"
        of = (path, path.stat().st_ino if path.exists() else 0)  # a damaged one is replaced by another
        if self._of != of:
            self.close()
            self._of = of
            self._reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        return self._reader

    def find(self, sentence):
        self.findings.append((self._world.loop.time(), sentence))

    # Nothing is deleted or acknowledged before it is committed

    def _guard(self, name, store):
        delete = store.delete

        def guarded(slot):
            stored = store.get(slot)
            if stored is not None and stored.status.received:
                self._must_be_kept(stored.tpdu, f"deleted from {name} {slot}")
            delete(slot)

        store.delete = guarded

    def _must_be_kept(self, tpdu, what):
        if not self._kept(tpdu):
            sheet = self._letters.sheets.get(tpdu[1:])
            name = tpdu.hex() if sheet is None else repr(sheet.letter.content)
            self.find(f"{what} before it was committed: {name}")

    def _kept(self, tpdu):
        """Whether the journal has the message, as what it should be."""
        journal = self.journal()
        sheet = self._letters.sheets.get(tpdu[1:])
        if sheet is not None and any(sheet.letter.at <= damage.at for damage in self._world.damages):
            return True  # it may have been, on a page that is gone
        raw = f"%{tpdu[1:].hex().upper()}"
        usurps = sheet is not None and sheet.letter.kind == "usurper" and self._world.damages
        if usurps and self._has("SELECT 1 FROM commands WHERE body IS ?", sheet.letter.content):
            return True  # nobody knows any more whose SID it bears
        if tpdu == JUNK or sheet is None or not sheet.letter.commands:
            if sheet is None and tpdu != JUNK:
                return self._has("SELECT 1 FROM reports")
            shown = None if sheet is None else sheet.letter.content
            return self._has("SELECT 1 FROM strays WHERE raw LIKE ? OR text IS ?", raw, shown) or (
                # in text mode what is stored is not what the network sent
                self._world.message_format == "text" and self._has("SELECT 1 FROM strays")
            )
        letter = sheet.letter
        row = "SELECT 1 FROM commands WHERE body IS ?"
        if self._has(row, letter.content):
            return True
        if len(letter.sheets) > 1:
            if self._world.message_format == "text":
                return self._has("SELECT 1 FROM parts") or self._has("SELECT 1 FROM strays")
            return self._has("SELECT 1 FROM parts WHERE raw LIKE ?", raw) or self._has(
                "SELECT 1 FROM strays WHERE raw LIKE ?", raw
            )
        return journal is None

    def _has(self, query, *values):
        try:
            return self.journal().execute(query, values).fetchone() is not None
        except sqlite3.DatabaseError:
            return bool(self._world.damages)  # nobody can tell

    def _rows(self, query):
        try:
            return self.journal().execute(query).fetchall()
        except sqlite3.DatabaseError:
            if not self._world.damages:
                raise
            return None

    # No body leaves before `sending` is committed

    def _leaves(self, data):
        if data.endswith(CTRL_Z) and len(data) > 1:
            rows = self._rows("SELECT id FROM replies WHERE state = 'sending'")
            self.bodies |= {number for (number,) in rows or ()}
            if rows == []:
                self.find("a body left although no message is `sending` on the disk")

    def _at(self, point, life):
        if point == "in a commit":
            now = self._world.loop.time()
            for number, attempts in (
                self._rows("SELECT id, attempts FROM replies WHERE state = 'sending'") or ()
            ):
                if self._attempts.get(number) != attempts:
                    self._attempts[number] = attempts
                    self.sending.setdefault(number, set()).add(now)
        self._points(point, life)

    def _exception(self, loop, context):
        task = context.get("task") or context.get("future")
        error = context.get("exception")
        text = f"{context['message']}: {type(error).__name__}: {error}"
        if getattr(task, "context", None) is not None:
            life = task.context.get(LIFE)
            if life is not None and not life.alive:
                return  # whoever is dead throws nothing
        self.unseen.append((self._world.loop.time(), text))
