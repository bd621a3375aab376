"""The ledger: what was ordered against what was done, seen from outside the agent only.

Pure: it is given what the network, the handlers, the module and the journal's readers say after a quiet end,
and answers with sentences, one a violation.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from crash.audit_handlers import BINARY_PREFIX, REPEATABLE, WITH_ACTION

MAX_ATTEMPTS = 3
"""Runs of a repeatable handler, at the most."""
ERROR_REPLIES_PER_HOUR = 10
"""An hour; an interrupted Command beyond them is not answered, the journal alone tells."""
KIND_BY_FUNCTION = {"warm_again": "warmagain", "octets": "binary"}
"""Functions of Python files that have another name than their kind of Command."""
FINAL_COMMAND_STATES = {"done", "failed"}
FINAL_REPLY_STATES = {"sent", "delivered", "unknown"}


def command_number(row):
    """Of the order that a row of the inbox or a stray belongs to."""
    if row.get("mode") == "binary":
        octets = bytes.fromhex(row["body"])
        return int.from_bytes(octets[1:5], "big") if octets.startswith(BINARY_PREFIX) else None
    words = (row.get("body") or row.get("text") or "").split()
    return next((int(word) for word in words if word.isdecimal()), None)


def format_body(body):
    """A body as the outbox shows it."""
    return body if isinstance(body, str) else bytes(body).hex().upper()


@dataclass
class CrashInvariants:
    """All that is known after the end."""

    messages: list
    """Messages that the module has acknowledged."""
    audit_log: list
    """What handlers wrote: what, number, attempt, mark."""
    sent_bodies: list
    """Bodies of the messages that the module sent and the network took, in order."""
    inbox: list
    outbox: list
    ignored: list
    """Rows as `modem-agent ... --json` prints them."""
    actions: list
    """Rows (Command's id, state, reason)."""
    open_counts: dict
    """Where something was left, and how many."""
    violations: list = field(default_factory=list)

    def check(self):
        """Sentences, one a violation."""
        self.violations = [f"{count} left {where}" for where, count in self.open_counts.items() if count]
        self._begun, self._ended, self._acted = (
            {
                key: [n[2] for n in self.audit_log if n[:2] == (what, key)]
                for key in {n[1] for n in self.audit_log}
            }
            for what in ("begin", "end", "act")
        )
        self._replies = defaultdict(list)
        for row in self.outbox:
            self._replies[row["command"]].append(row)
        self._errors = sum("ERR" in (row["text"] or "") for row in self.outbox)
        rows = defaultdict(list)
        for row in self.inbox:
            rows[command_number(row)].append(row)
        for order in self.messages:
            found = rows.pop(order.number, [])
            if order.kind == "stray":
                self._check_ignored(order, found)
            elif len(found) != 1:
                self._add_violation(order, f"stands {len(found)} times in the journal")
            else:
                self._check_command(order, found[0])
        for number in rows:
            self.violations.append(f"Command {number} in the journal was never sent")
        known = {order.number for order in self.messages if order.kind == "stray"}
        for row in self.ignored:
            if command_number(row) not in known:
                self.violations.append(f"a Command became a stray: {row['reason']}: {row['text']}")
        self._check_sent_messages()
        return self.violations

    def _add_violation(self, message, sentence):
        self.violations.append(f"{message.kind} {message.number} {sentence}")

    def _check_ignored(self, message, rows):
        if rows or self._begun.get(message.number):
            self._add_violation(message, "was taken for a Command")
        if not any(command_number(row) == message.number for row in self.ignored):
            self._add_violation(message, "was not kept")

    def _check_command(self, message, row):
        if row["state"] not in FINAL_COMMAND_STATES:
            self._add_violation(message, f"is still {row['state']}")
            return
        name = (row["handler"] or message.kind).rpartition(":")[2]
        if KIND_BY_FUNCTION.get(name, name) != message.kind:
            self._add_violation(message, f"went to the handler {name}")
        begun, ended = self._begun.get(message.number, []), self._ended.get(message.number, [])
        most = MAX_ATTEMPTS if message.kind in REPEATABLE else 1
        if len(begun) > most or len(set(begun)) < len(begun):
            self._add_violation(message, f"was carried out {len(begun)} times, as attempts {begun}")
        if row["attempts"] > most or not set(begun) <= set(range(1, row["attempts"] + 1)):
            self._add_violation(message, f"has {row['attempts']} attempts in the journal, runs saw {begun}")
        if row["state"] == "done" and not ended:
            self._add_violation(message, "is done and was not carried out")
        if row["state"] == "failed":
            if "interrupt" not in (row["reason"] or ""):
                self._add_violation(message, f"failed: {row['reason']}")
            if row["attempts"] < most:
                self._add_violation(message, f"was given up after {row['attempts']} of {most} attempts")
        self._check_reply(message, row)
        self._check_action(message, row)

    def _check_reply(self, message, row):
        replies = self._replies.get(row["id"], [])
        texts = [reply["text"] for reply in replies]
        if row["state"] == "failed":
            if len(replies) != 1 and not (not replies and self._errors >= ERROR_REPLIES_PER_HOUR):
                self._add_violation(message, f"was interrupted and has {len(replies)} answers")
            if any("ERR" not in text for text in texts):
                self._add_violation(message, f"was interrupted and is answered {texts}")
            return
        wanted = format_body(message.body) if message.kind == "binary" else f"{message.kind} {message.number}"
        if (len(replies) == 1) == (message.kind == "long") or not all(wanted in text for text in texts):
            self._add_violation(message, f"is done and is answered {texts}")
        if [reply["part"] for reply in replies] != list(range(1, len(replies) + 1)):
            self._add_violation(message, "has an answer with other parts than it should have")

    def _check_action(self, message, row):
        acted = self._acted.get(message.number, [])
        actions = [(state, reason) for command, state, reason in self.actions if command == row["id"]]
        wanted = int(message.kind in WITH_ACTION and row["state"] == "done")
        if len(acted) > wanted or len(actions) != wanted:
            self._add_violation(message, f"has acted {len(acted)} times, {len(actions)} in the journal")
        for state, reason in actions:
            if state != "done" or (reason is None and len(acted) != 1):
                self._add_violation(
                    message, f"has an action that is {state} ({reason}), acted {len(acted)} times"
                )

    def _check_sent_messages(self):
        """No message twice, none that the journal does not know, none missing that it calls sent."""
        left = Counter(format_body(body) for body in self.sent_bodies)
        sent = Counter(row["text"] for row in self.outbox if row["state"] in ("sent", "delivered"))
        unknown = Counter(row["text"] for row in self.outbox if row["state"] == "unknown")
        for row in self.outbox:
            if row["state"] not in FINAL_REPLY_STATES:
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
        doubles = sum(row["duplicates"] for row in self.inbox)
        again = sum(len(attempts) > 1 for attempts in self._begun.values())
        return (
            f"{len(self.inbox)} Commands ({_format_counts(states)}), {doubles} doubles, {again} ran again, "
            f"{len(self.ignored)} strays, {len(self.outbox)} answers ({_format_counts(replies)}), "
            f"{len(self.actions)} actions"
        )


def _format_counts(counts):
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
