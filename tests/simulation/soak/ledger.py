"""Checked after each run: what the world saw against what the product promises.

Each allowance says why it is there. What is found is a sentence that names the Command or the message.
"""

import collections
import math
import re
from datetime import datetime

from agent.journal.strays import STRAYS_KEPT
from soak import damage
from soak.handed import SLOW_COMMIT_S, Handed
from soak.letters import LONG
from soak.limits import Limits
from soak.virtual import BEGIN
from soak.world import EPOCH

SETTLED = {"sent", "delivered", "failed", "unknown"}
OPEN = {
    "commands": ("received", "running"),
    "replies": ("queued", "sending"),
    "actions": ("waiting", "acting"),
}


FIRST_LOOK_S = 600.0
"""Trouble may keep the first look into the stores from coming to its end."""


class Ledger:
    """All checks over one world after its weather has passed."""

    def __init__(self, world, weather, watch):
        self.world = world
        self.weather = weather
        self.watch = watch
        self.letters = weather.letters.all
        self.handed = Handed(world, weather)
        self.limits = Limits(self)
        self.findings = [f"{time:.3f} {text}" for time, text in watch.findings]
        self.rows = damage.read(world.life.folder / damage.NAME)
        self.lost = self._lost()
        """Rows that a damage has taken, by table: they count as what they were then."""
        self.damaged_at = max((each.at for each in world.damages), default=0.0)
        self.by_body = collections.defaultdict(list)
        for row in self.rows["commands"]:
            self.by_body[row["body"]].append(row)
        self.replies = collections.defaultdict(list)
        for row in self.rows["replies"]:
            if not self._is_lost("replies", row):  # a number that is lost is given again
                self.replies[row["command"]].append(row)
        self.runs = collections.defaultdict(list)
        for run in world.runs:
            self.runs[run.content].append(run)

    def _lost(self):
        lost = collections.defaultdict(list)
        for damaged in self.world.damages:
            for table, rows in damaged.rows.items():
                there = {_name(table, row) for row in self.rows[table]}
                lost[table] += [row for row in rows if _name(table, row) not in there]
                self.rows[table] += [row for row in rows if _name(table, row) not in there]
        return lost

    def _is_lost(self, table, row):
        return any(row is each for each in self.lost[table])

    def _may_be_lost(self, letter):
        """Whether what was known of it may be gone with a damage."""
        return letter.at <= self.damaged_at

    def _known_before(self):
        """Before this, by the time stamps, what was damaged says that nothing runs a second time."""
        told = [str(step) for step in self.world.said("journal damaged")]
        if not any("may be carried out again" in text for text in told):
            return math.inf
        dates = [re.search(r"unless it was sent before (\S+):", text) for text in told]
        return min(
            datetime.fromisoformat(date[1]).timestamp() if date else 0.0
            for date, text in zip(dates, told, strict=True)
            if "may be carried out again" in text
        )

    def check(self):
        """All findings."""
        self._commands()
        self._strays()
        self._answers()
        self._actions()
        self._nothing_left()
        self._lives()
        self.limits.check()
        return self.findings

    def find(self, sentence):
        self.findings.append(sentence.replace(LONG[:150], "...abc"))

    # Every Command exactly as often as its handler promises

    def _commands(self):
        by_content = collections.defaultdict(list)
        for letter in self.letters:
            if letter.commands or self._usurps(letter):
                by_content[letter.content].append(letter)
        for content, letters in by_content.items():
            rows = self.by_body.pop(content, [])
            self._rows(content, letters, rows)
            self._runs(content, letters[0], rows)
            self._twice(content, letters, rows)
        for content in self.by_body:
            self.find(f"the journal has a Command that nobody sent: {content!r}")

    def _usurps(self, letter):
        """Whether nobody may know any more whose SID it bears."""
        return (
            letter.kind == "usurper"
            and bool(self.world.damages)
            and any(row["body"] == letter.content for row in self.rows["commands"])
        )

    def _rows(self, content, letters, rows):
        """One row for each Command that the module has taken whole."""
        low = high = 0
        for letter in letters:
            least, most = self._wanted(letter)
            low, high = low + least, high + most
            if self._may_be_lost(letter):  # kept as expired where nobody knows whether it ran
                high += len(self.world.damages)
        if not low <= len(rows) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            self.find(f"{content!r} stands {len(rows)} times in the journal, not {wanted}: {_said(letters)}")

    def _wanted(self, letter):
        """How many rows there may be, at least and at most."""
        if not all(sheet.offers for sheet in letter.sheets):
            return 0, 0
        deliveries = max(len(sheet.offers) for sheet in letter.sheets)
        # Nobody can know a Command again that has neither SID nor date, or where a setting says not to.
        unknowable = letter.sid is None and (letter.stamped is None or not self.weather.dedup_without_sid)
        most = deliveries if unknowable else 1
        if unknowable and any("ignored" in name for _, name in self.weather.struck):
            most = len(self.rows["commands"])  # a module that only says that it deletes offers it anew
        if not letter.whole:
            # The module heard it and could not answer for it: the agent may have it or not.
            return 0, most
        return (0 if self._excused(letter) else 1), most

    def _excused(self, letter):
        """Whether one of its messages may be lost."""
        if len(letter.sheets) > 1 and self._may_be_lost(letter):
            return True  # a part that waited for the others
        shown = any(str(letter.content) in str(row["raw"]) + str(row["text"]) for row in self.rows["strays"])
        if shown and self.world.message_format == "text" and letter.kind == "immediate":
            return True  # what a module hands over that has lost +CSDH=1 is kept, and is no Command
        away = {stored.tpdu[1:] for _, stored in self.world.second_sim.messages}
        return any(sheet.octets in away or self.handed.excuses(sheet) for sheet in letter.sheets)

    def _runs(self, content, letter, rows):
        """Not more runs than begun on the disk; as many, where the journal says that the run ended."""
        runs = self.runs.pop(content, [])
        attempts = sum(row["attempt"] for row in rows)
        if len(runs) > attempts:
            self.find(f"{content!r} ran {len(runs)} times, {attempts} begun in the journal")
        most = 3 if letter.repeatable else 1
        ended = 0
        for row in rows:
            if row["attempt"] > most:
                self.find(f"{content!r} was begun {row['attempt']} times, at most {most} are promised")
            if self._is_lost("commands", row):
                continue
            found = row["reason"] == "it was in the module before the first start"
            if found and not self._found(letter):
                self.find(f"{content!r} was kept as found at the first start, and came later")
            if row["state"] == "expired" and not found and not self._honestly_expired(letter, row):
                self.find(f"{content!r} was kept as expired and is not: {row['reason']}")
            if row["state"] == "failed" and row["reason"] == "interrupted":
                self._interrupted(content, row, runs, attempts)
            elif row["attempt"]:
                ended += 1
            elif row["state"] == "done" and content and row["handler"] != "ping":
                self.find(f"{content!r} is done and was never begun")
            elif row["state"] == "failed" and row["reason"] != "no handler":
                self.find(f"{content!r} failed before it was begun: {row['reason']}")
        if letter.kind != "builtin" and len(runs) < ended:
            self.find(f"{content!r} ran {len(runs)} times, though {ended} of it came to an end")

    def _twice(self, content, letters, rows):
        """Whatever the rows say: what is known again does not run again."""
        if not self.world.damages or letters[0].repeatable:
            return
        known = self._known_before()
        most = 0
        for letter in letters:
            again = letter.stamped is None or letter.stamped.timestamp() >= known
            most += max(self._wanted(letter)[1], len(self.world.damages) + 1 if again else 0)
        ran = sum(run.content == content for run in self.world.runs)
        if ran > most:
            self.find(f"{content!r} ran {ran} times, and the damaged journal promised at most {most}")

    def _interrupted(self, content, row, runs, begun):
        """A life must have ended during the run; or between the commit that it begins and its beginning."""
        for run in runs:
            life = self.world.lives[run.life]
            if life.ended_at is not None and (run.does == "stuck" or self._cut(run, life)):
                return
        if len(runs) >= begun or not any(life.end not in ("", "stopped") for life in self.world.lives):
            self.find(f"{content!r} is called interrupted, and nothing interrupted it: {runs}")

    def _cut(self, run, life):
        """Whether its life ended before what came of it can have been on the disk."""
        end = run.at + run.seconds
        if life.ended_at <= end + 1:
            return True
        # What a handler said is in memory while the disk takes nothing, or takes its time.
        troubles = self.weather.disk_troubles + self.weather.slow_disks
        return any(
            begin <= end + 1 and end <= over and life.ended_at <= over + SLOW_COMMIT_S
            for begin, over in troubles
        )

    def _found(self, letter):
        """Whether it may have been there before the first look into the stores was over."""
        if self.world.damages and letter.at < self.damaged_at + FIRST_LOOK_S:
            return self.weather.first_start == "keep"
        return self.weather.first_start == "keep" and letter.at < self.weather.first_until + FIRST_LOOK_S

    def _honestly_expired(self, letter, row):
        limit = self.weather.max_age_s
        if letter.stamped is not None and letter.stamped.timestamp() <= EPOCH + self.damaged_at - BEGIN:
            return True  # nobody knows whether it ran
        if letter.stamped is None or limit is None:
            return False
        return row["ended_wall"] - letter.stamped.timestamp() > limit

    def _strays(self):
        """Nobody else commands."""
        for content, runs in self.runs.items():
            self.find(f"{content!r} ran {len(runs)} times and commands nothing")
        kept = {row["text"] for row in self.rows["strays"]}
        if self.world.message_format == "pdu" and len(self.rows["strays"]) < STRAYS_KEPT:
            for letter in self.letters:
                kept_by_now = letter.whole and not self._excused(letter) and not self._may_be_lost(letter)
                if letter.kind in {"stray", "usurper"} and kept_by_now and not self._usurps(letter):
                    texts = {letter.content}
                    if not texts & kept:
                        self.find(f"the stray {letter.content!r} is not shown")

    # Every Command is answered

    def _answers(self):
        said = collections.Counter()
        for _time, event in self.world.events:
            if event.kind == "originated":
                said[event.body if isinstance(event.body, str) else event.body.hex().upper()] += 1
        sent, unknown = collections.Counter(), collections.Counter()
        for row in self.rows["replies"]:
            (sent if row["state"] in {"sent", "delivered"} else unknown)[row["text"]] += (
                row["state"] != "queued"
            )
        for text in {*said, *sent, *unknown}:
            low = sent[text]
            high = low + unknown[text]  # what is unknown may have left
            if not low <= said[text] <= high:
                wanted = low if low == high else f"{low} to {high}"
                self.find(f"the answer {text!r} reached the network {said[text]} times, not {wanted}")
        errors = sum(row["error_answer"] for row in self.rows["replies"])
        for row in self.rows["commands"]:
            if self._is_lost("commands", row):
                continue
            self._answer(row, self.replies.get(row["id"], []), errors)

    def _answer(self, row, replies, errors):
        plan = self.world.plans.get(row["body"])
        body = row["body"]
        lost = any(each["command"] == row["id"] for each in self.lost["replies"])
        if row["state"] == "expired" or not row["answerable"]:
            if replies:
                self.find(f"{body!r} was answered, and must not be")
            return
        if len(replies) > self.weather.max_parts:
            self.find(f"{body!r} has {len(replies)} answers")
        if row["state"] == "done":
            silent = body == "" or (plan is not None and plan.attempts[-1][1] == "nothing")
            if not replies and not silent and not lost:
                self.find(f"{body!r} is done without an answer")
        elif row["state"] == "failed" and not replies and not lost and errors < 10:
            # At most ten error answers an hour leave the device: a loop of two automatons ends so.
            self.find(f"{body!r} failed without an answer")
        for reply in replies:
            if reply["destination"] != self.world.service.number:
                self.find(f"the answer to {body!r} went to {reply['destination']}")
            if reply["state"] == "failed" and not reply["reason"]:
                self.find(f"the answer to {body!r} failed and nobody says why")

    # Answer, then act

    def _actions(self):
        acts = collections.Counter(run.content for run in self.world.acts)
        for content, count in acts.items():
            rows = [row for row in self.rows["actions"] if content in self._bodies(row["command"])]
            if count > len(rows):
                self.find(f"the action after {content!r} ran {count} times, asked for {len(rows)} times")
        for row in self.rows["actions"]:
            if self._is_lost("actions", row):
                continue
            content = next(iter(self._bodies(row["command"])), None)
            if row["state"] == "done" and not acts[content] and not row["reason"]:
                self.find(f"the action after {content!r} is done and never ran")

    def _bodies(self, command):
        """Of the Commands of that number, those that are lost last: a lost number is given again."""
        rows = [row for row in self.rows["commands"] if row["id"] == command]
        rows.sort(key=lambda row: self._is_lost("commands", row))
        return [row["body"] for row in rows]

    # Nothing stays for ever

    def _nothing_left(self):
        for table, states in OPEN.items():
            for row in self.rows[table]:
                if row["state"] in states and not self._held(table) and not self._is_lost(table, row):
                    self.find(f"{table} {row['id']} is {row['state']} at the end: {row}")
        # A session that was not told the names of the stores looks into no other than the module's choice.
        unnamed = any("a store of its choice" in str(step) for step in self.world.said("session")[-1:])
        for name, store in self.world.module.stores.items():
            if name in {"ME", "SM"} | ({"SR"} if not unnamed else set()):
                for slot, stored in store:
                    if stored.status.received:
                        self.find(f"{name} {slot} still holds {stored.tpdu.hex()}")
        waiting = self.world.network.waiting(self.world.first_sim.imsi)
        if waiting:
            self.find(f"{waiting} messages wait in the network at the end")
        for letter in self.letters:
            if letter.kind == "proof":
                self._proof(letter)

    def _held(self, table):
        """The daily cap holds answers; what may have left counts."""
        left = sum(row["state"] in {"sent", "delivered", "unknown"} for row in self.rows["replies"])
        return table == "replies" and left >= self.weather.max_per_day

    def _proof(self, letter):
        """In the quiet time everything works at once."""
        rows = [row for row in self.rows["commands"] if row["body"] == letter.content]
        states = [row["state"] for row in rows]
        if states != ["done"] and not (states == ["expired"] and self._honestly_expired(letter, rows[0])):
            self.find(f"{letter.content!r} in the quiet time is {states}")
        for row in rows:
            for reply in self.replies.get(row["id"], []):
                if reply["state"] not in {"sent", "delivered"} and not self._held("replies"):
                    self.find(f"the answer to {letter.content!r} in the quiet time is {reply['state']}")

    # No task dies unseen

    def _lives(self):
        for time, text in self.watch.unseen:
            self.find(f"{time:.3f} nobody caught: {text}")
        for time, _, error in self.world.ends:
            if error is not None:
                self.find(f"{time:.3f} the agent ended by {type(error).__name__}: {error}")
        for time, _, step in self.world.steps:
            if step.what == "session failed":
                self.find(f"{time:.3f} {step}")
        for number, life in enumerate(self.world.lives):
            stuck = any(run.life == number and run.does == "stuck" for run in self.world.runs)
            if life.end == "watchdog" and not stuck:
                self.find(f"life {number} was ended by the watchdog, and nothing of ours held it up")
        for seconds in self.weather.host.stops:
            if seconds > 6:
                self.find(f"an orderly stop took {seconds:.1f} s")
        if not self.world.life.alive:
            self.find("the agent is not alive at the end")


def _said(letters):
    return "; ".join(
        f"{letter.kind} {letter.sid or ''} offered {[sheet.offers for sheet in letter.sheets]} "
        f"taken {[sheet.taken for sheet in letter.sheets]}"
        for letter in letters
    )


def _name(table, row):
    """What a row is known by, before a damage and after it."""
    match table:
        case "commands":
            return row["id"], row["body"], row["received_wall"]
        case "replies":
            return row["id"], row["text"], row["queued_wall"]
        case "slots":
            return row["store"], row["slot"]
        case "parts":
            return row["sender"], row["reference"], row["wide"], row["total"], row["number"]
        case "actions":
            return row["id"], row["command"], row["asked_wall"]
    return row["id"]
