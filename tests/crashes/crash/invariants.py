"""Compares the messages that were sent with what was done, as seen from outside the agent.

The input is what the network, the handlers, the module and `modem-agent inbox` and `outbox` report after the
agent has become idle. The result is one sentence for each violation.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from reply_counts import find_wrong_reply_counts

from crash.audit_handlers import BINARY_PREFIX, REPEATABLE, WITH_ACTION

MAX_ATTEMPTS = 3
"""Greatest number of runs of a repeatable handler."""
ERROR_REPLIES_PER_HOUR = 10
"""Error replies in an hour. Further interrupted Commands are not answered; only the journal shows them."""
KIND_BY_FUNCTION = {"warm_again": "warmagain", "octets": "binary"}
"""Kind of Command by function name, for functions with another name."""
FINAL_COMMAND_STATES = {"done", "failed"}
FINAL_REPLY_STATES = {"sent", "delivered", "unknown"}


def command_number(row):
    """Return the number of the message that a row of the inbox belongs to; None if it has none."""
    if row.get("mode") == "binary":
        octets = bytes.fromhex(row["body"])
        return int.from_bytes(octets[1:5], "big") if octets.startswith(BINARY_PREFIX) else None
    words = (row.get("body") or row.get("text") or "").split()
    return next((int(word) for word in words if word.isdecimal()), None)


def format_body(body):
    """Return a body as the outbox shows it."""
    return body if isinstance(body, str) else bytes(body).hex().upper()


@dataclass
class CrashInvariants:
    """The observations after the end of a run, and the checks of them."""

    messages: list
    """Messages that the module has acknowledged."""
    audit_log: list
    """Records of the handlers: (kind, number, attempt, position of the disk log)."""
    sent_bodies: list
    """Bodies of the messages that the module sent and the network took, in message."""
    inbox: list
    outbox: list
    ignored: list
    """Rows as `modem-agent ... --json` prints them."""
    actions: list
    """Rows of (Command id, state, reason)."""
    open_counts: dict
    """Number of open items, by their place."""
    violations: list = field(default_factory=list)

    def check(self):
        """Return one sentence for each violation."""
        self.violations = [f"{count} left {where}" for where, count in self.open_counts.items() if count]
        self._started_attempts, self._ended_attempts, self._action_attempts = (
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
        for message in self.messages:
            found = rows.pop(message.number, [])
            if message.kind == "other sender":
                self._check_ignored(message, found)
            elif len(found) != 1:
                self._add_violation(message, f"is in the journal {len(found)} times")
            else:
                self._check_command(message, found[0])
        for number in rows:
            self.violations.append(f"Command {number} in the journal was never sent")
        known = {message.number for message in self.messages if message.kind == "other sender"}
        for row in self.ignored:
            if command_number(row) not in known:
                self.violations.append(f"a Command was ignored: {row['reason']}: {row['text']}")
        self._check_sent_messages()
        return self.violations

    def _add_violation(self, message, sentence):
        self.violations.append(f"{message.kind} {message.number} {sentence}")

    def _check_ignored(self, message, rows):
        if rows or self._started_attempts.get(message.number):
            self._add_violation(message, "was treated as a Command")
        if not any(command_number(row) == message.number for row in self.ignored):
            self._add_violation(message, "was not stored")

    def _check_command(self, message, row):
        if row["state"] not in FINAL_COMMAND_STATES:
            self._add_violation(message, f"is still {row['state']}")
            return
        name = (row["handler"] or message.kind).rpartition(":")[2]
        if KIND_BY_FUNCTION.get(name, name) != message.kind:
            self._add_violation(message, f"went to the handler {name}")
        started, ended = (
            self._started_attempts.get(message.number, []),
            self._ended_attempts.get(message.number, []),
        )
        most = MAX_ATTEMPTS if message.kind in REPEATABLE else 1
        if len(started) > most or len(set(started)) < len(started):
            self._add_violation(message, f"ran {len(started)} times, as attempts {started}")
        if row["attempts"] > most or not set(started) <= set(range(1, row["attempts"] + 1)):
            self._add_violation(
                message, f"has {row['attempts']} attempts in the journal, but ran as attempts {started}"
            )
        if row["state"] == "done" and not ended:
            self._add_violation(message, "is done but did not run")
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
                self._add_violation(message, f"was interrupted and has {len(replies)} replies")
            if any("ERR" not in text for text in texts):
                self._add_violation(message, f"was interrupted and is answered {texts}")
            return
        expected = (
            format_body(message.body) if message.kind == "binary" else f"{message.kind} {message.number}"
        )
        if (len(replies) == 1) == (message.kind == "long") or not all(expected in text for text in texts):
            self._add_violation(message, f"is done and is answered {texts}")
        if [reply["part"] for reply in replies] != list(range(1, len(replies) + 1)):
            self._add_violation(message, "has a reply with wrong part numbers")

    def _check_action(self, message, row):
        acted = self._action_attempts.get(message.number, [])
        actions = [(state, reason) for command, state, reason in self.actions if command == row["id"]]
        expected = int(message.kind in WITH_ACTION and row["state"] == "done")
        if len(acted) > expected or len(actions) != expected:
            self._add_violation(
                message, f"has acted {len(acted)} times, and has {len(actions)} actions in the journal"
            )
        for state, reason in actions:
            if state != "done" or (reason is None and len(acted) != 1):
                self._add_violation(
                    message, f"has an action that is {state} ({reason}), acted {len(acted)} times"
                )

    def _check_sent_messages(self):
        """Check that the network received exactly the messages that the journal has as sent, and each
        once."""
        for row in self.outbox:
            if row["state"] not in FINAL_REPLY_STATES:
                self.violations.append(f"the reply {row['text']!r} is {row['state']}: {row['reason']}")
        self.violations += find_wrong_reply_counts(
            map(format_body, self.sent_bodies), ((row["text"], row["state"]) for row in self.outbox)
        )

    def summary(self):
        """Return the figures of the run in one line."""
        states = Counter(row["state"] for row in self.inbox)
        replies = Counter(row["state"] for row in self.outbox)
        duplicates = sum(row["duplicates"] for row in self.inbox)
        again = sum(len(attempts) > 1 for attempts in self._started_attempts.values())
        return (
            f"{len(self.inbox)} Commands ({_format_counts(states)}), {duplicates} duplicates, "
            f"{again} ran again, "
            f"{len(self.ignored)} ignored, {len(self.outbox)} replies ({_format_counts(replies)}), "
            f"{len(self.actions)} actions"
        )


def _format_counts(counts):
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
