"""The ledger: what was ordered against what was done, seen from outside the agent only.

Pure: it is given what the network, the handlers, the module and the journal's readers say after a quiet end,
and answers with sentences, one a violation.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from crash.handlers import ACTING, PREFIX, REPEATABLE

ATTEMPTS = 3
"""Runs of a repeatable handler, at the most."""
ERROR_ANSWERS = 10
"""An hour; an interrupted Command beyond them is not answered, the journal alone tells."""
FUNCTIONS = {"warm_again": "warmagain", "octets": "binary"}
"""Functions of Python files that have another name than their kind of Command."""
ENDED = {"done", "failed"}
SETTLED = {"sent", "delivered", "unknown"}


def number_of(row):
    """Of the order that a row of the inbox or a stray belongs to."""
    if row.get("mode") == "binary":
        octets = bytes.fromhex(row["body"])
        return int.from_bytes(octets[1:5], "big") if octets.startswith(PREFIX) else None
    words = (row.get("body") or row.get("text") or "").split()
    return next((int(word) for word in words if word.isdecimal()), None)


def shown(body):
    """A body as the outbox shows it."""
    return body if isinstance(body, str) else bytes(body).hex().upper()


@dataclass
class Ledger:
    """All that is known after the end."""

    orders: list
    """Messages that the module has acknowledged."""
    notes: list
    """What handlers wrote: what, number, attempt, mark."""
    left: list
    """Bodies of the messages that the module sent and the network took, in order."""
    inbox: list
    outbox: list
    strays: list
    """Rows as `modem-agent ... --json` prints them."""
    actions: list
    """Rows (Command's id, state, reason)."""
    remaining: dict
    """Where something was left, and how many."""
    violations: list = field(default_factory=list)

    def check(self):
        """Sentences, one a violation."""
        self.violations = [f"{count} left {where}" for where, count in self.remaining.items() if count]
        self._begun, self._ended, self._acted = (
            {key: [n[2] for n in self.notes if n[:2] == (what, key)] for key in {n[1] for n in self.notes}}
            for what in ("begin", "end", "act")
        )
        self._replies = defaultdict(list)
        for row in self.outbox:
            self._replies[row["command"]].append(row)
        self._errors = sum("ERR" in (row["text"] or "") for row in self.outbox)
        rows = defaultdict(list)
        for row in self.inbox:
            rows[number_of(row)].append(row)
        for order in self.orders:
            found = rows.pop(order.number, [])
            if order.kind == "stray":
                self._stray(order, found)
            elif len(found) != 1:
                self._say(order, f"stands {len(found)} times in the journal")
            else:
                self._command(order, found[0])
        for number in rows:
            self.violations.append(f"Command {number} in the journal was never sent")
        known = {order.number for order in self.orders if order.kind == "stray"}
        for row in self.strays:
            if number_of(row) not in known:
                self.violations.append(f"a Command became a stray: {row['reason']}: {row['text']}")
        self._messages()
        return self.violations

    def _say(self, order, sentence):
        self.violations.append(f"{order.kind} {order.number} {sentence}")

    def _stray(self, order, rows):
        if rows or self._begun.get(order.number):
            self._say(order, "was taken for a Command")
        if not any(number_of(row) == order.number for row in self.strays):
            self._say(order, "was not kept")

    def _command(self, order, row):
        if row["state"] not in ENDED:
            self._say(order, f"is still {row['state']}")
            return
        name = (row["handler"] or order.kind).rpartition(":")[2]
        if FUNCTIONS.get(name, name) != order.kind:
            self._say(order, f"went to the handler {name}")
        begun, ended = self._begun.get(order.number, []), self._ended.get(order.number, [])
        most = ATTEMPTS if order.kind in REPEATABLE else 1
        if len(begun) > most or len(set(begun)) < len(begun):
            self._say(order, f"was carried out {len(begun)} times, as attempts {begun}")
        if row["attempt"] > most or not set(begun) <= set(range(1, row["attempt"] + 1)):
            self._say(order, f"has {row['attempt']} attempts in the journal, runs saw {begun}")
        if row["state"] == "done" and not ended:
            self._say(order, "is done and was not carried out")
        if row["state"] == "failed":
            if "interrupt" not in (row["reason"] or ""):
                self._say(order, f"failed: {row['reason']}")
            if row["attempt"] < most:
                self._say(order, f"was given up after {row['attempt']} of {most} attempts")
        self._answer(order, row)
        self._action(order, row)

    def _answer(self, order, row):
        replies = self._replies.get(row["id"], [])
        texts = [reply["text"] for reply in replies]
        if row["state"] == "failed":
            if len(replies) != 1 and not (not replies and self._errors >= ERROR_ANSWERS):
                self._say(order, f"was interrupted and has {len(replies)} answers")
            if any("ERR" not in text for text in texts):
                self._say(order, f"was interrupted and is answered {texts}")
            return
        wanted = shown(order.body) if order.kind == "binary" else f"{order.kind} {order.number}"
        if (len(replies) == 1) == (order.kind == "long") or not all(wanted in text for text in texts):
            self._say(order, f"is done and is answered {texts}")
        if [reply["part"] for reply in replies] != list(range(1, len(replies) + 1)):
            self._say(order, "has an answer with other parts than it should have")

    def _action(self, order, row):
        acted = self._acted.get(order.number, [])
        actions = [(state, reason) for command, state, reason in self.actions if command == row["id"]]
        wanted = int(order.kind in ACTING and row["state"] == "done")
        if len(acted) > wanted or len(actions) != wanted:
            self._say(order, f"has acted {len(acted)} times, {len(actions)} in the journal")
        for state, reason in actions:
            if state != "done" or (reason is None and len(acted) != 1):
                self._say(order, f"has an action that is {state} ({reason}), acted {len(acted)} times")

    def _messages(self):
        """No message twice, none that the journal does not know, none missing that it calls sent."""
        left = Counter(shown(body) for body in self.left)
        sent = Counter(row["text"] for row in self.outbox if row["state"] in ("sent", "delivered"))
        unknown = Counter(row["text"] for row in self.outbox if row["state"] == "unknown")
        for row in self.outbox:
            if row["state"] not in SETTLED:
                self.violations.append(f"the answer {row['text']!r} is {row['state']}: {row['reason']}")
        for text in {*left, *sent}:
            if not sent[text] <= left[text] <= sent[text] + unknown[text]:
                self.violations.append(
                    f"the answer {text!r} left {left[text]} times; sent {sent[text]}, unknown {unknown[text]}"
                )

    def summary(self):
        """Figures in one line."""
        states = Counter(row["state"] for row in self.inbox)
        replies = Counter(row["state"] for row in self.outbox)
        doubles = sum(row["doubles"] for row in self.inbox)
        again = sum(len(attempts) > 1 for attempts in self._begun.values())
        return (
            f"{len(self.inbox)} Commands ({_list(states)}), {doubles} doubles, {again} ran again, "
            f"{len(self.strays)} strays, {len(self.outbox)} answers ({_list(replies)}), "
            f"{len(self.actions)} actions"
        )


def _list(counts):
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
