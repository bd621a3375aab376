"""Checked after each run: what the world saw against what the product promises.

Each allowance says why it is there. What is found is a sentence that names the Command or the message.
"""

import collections
import math
import re
from datetime import datetime

from agent.journal.ignored import MAX_IGNORED_MESSAGES
from soak import db_corruption
from soak.direct_delivery_losses import SLOW_COMMIT_WINDOW_S, DirectDeliveryLosses
from soak.limits import LimitChecker
from soak.traffic import LONG_TEXT
from soak.world import START_WALL_TIME
from virtual_time import START_TIME_S

FINAL_REPLY_STATES = {"sent", "delivered", "failed", "unknown"}
OPEN_STATES = {
    "commands": ("received", "running"),
    "replies": ("queued", "sending"),
    "actions": ("pending", "running"),
}


FIRST_SWEEP_S = 600.0
"""Trouble may keep the first look into the stores from coming to its end."""


class InvariantChecker:
    """All checks over one world after its weather has passed."""

    def __init__(self, world, scenario, probe):
        self.world = world
        self.scenario = scenario
        self.probe = probe
        self.messages = scenario.traffic.messages
        self.delivery_losses = DirectDeliveryLosses(world, scenario)
        self.limit_checker = LimitChecker(self)
        self.findings = [f"{time:.3f} {text}" for time, text in probe.findings]
        self.rows = db_corruption.read_tables(world.current_run.folder / db_corruption.JOURNAL_NAME)
        self.lost_rows = self._collect_lost_rows()
        """Rows that a damage has taken, by table: they count as what they were then."""
        self.last_corruption_at = max((each.at for each in world.corruptions), default=0.0)
        self.commands_by_body = collections.defaultdict(list)
        for row in self.rows["commands"]:
            self.commands_by_body[row["body"]].append(row)
        self.replies_by_command = collections.defaultdict(list)
        for row in self.rows["replies"]:
            if not self._is_lost("replies", row):  # a number that is lost is given again
                self.replies_by_command[row["command_id"]].append(row)
        self.runs_by_content = collections.defaultdict(list)
        for run in world.handler_runs:
            self.runs_by_content[run.content].append(run)

    def _collect_lost_rows(self):
        lost = collections.defaultdict(list)
        for damaged in self.world.corruptions:
            for table, rows in damaged.rows_before.items():
                there = {_row_key(table, row) for row in self.rows[table]}
                lost[table] += [row for row in rows if _row_key(table, row) not in there]
                self.rows[table] += [row for row in rows if _row_key(table, row) not in there]
        return lost

    def _is_lost(self, table, row):
        return any(row is each for each in self.lost_rows[table])

    def _may_be_forgotten(self, message):
        """Whether what was known of it may be gone with a damage."""
        return message.created_at <= self.last_corruption_at

    def _dedup_horizon(self):
        """Before this, by the time stamps, what was damaged says that nothing runs a second time."""
        told = [str(step) for step in self.world.events_of_kind("journal damaged")]
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
        self._check_commands()
        self._check_ignored()
        self._check_replies()
        self._check_actions()
        self._check_nothing_pending()
        self._check_agent_runs()
        self.limit_checker.check()
        return self.findings

    def add_finding(self, sentence):
        self.findings.append(sentence.replace(LONG_TEXT[:150], "...abc"))

    # Every Command exactly as often as its handler promises

    def _check_commands(self):
        by_content = collections.defaultdict(list)
        for letter in self.messages:
            if letter.is_command or self._may_be_reused_sid(letter):
                by_content[letter.content].append(letter)
        for content, letters in by_content.items():
            rows = self.commands_by_body.pop(content, [])
            self._check_row_count(content, letters, rows)
            self._check_runs(content, letters[0], rows)
            self._check_no_rerun(content, letters, rows)
        for content in self.commands_by_body:
            self.add_finding(f"the journal has a Command that nobody sent: {content!r}")

    def _may_be_reused_sid(self, message):
        """Whether nobody may know any more whose SID it bears."""
        return (
            message.kind == "usurper"
            and bool(self.world.corruptions)
            and any(row["body"] == message.content for row in self.rows["commands"])
        )

    def _check_row_count(self, content, messages, rows):
        """One row for each Command that the module has taken whole."""
        low = high = 0
        for letter in messages:
            least, most = self._expected_rows(letter)
            low, high = low + least, high + most
            if self._may_be_forgotten(letter):  # kept as expired where nobody knows whether it ran
                high += len(self.world.corruptions)
        if not low <= len(rows) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            self.add_finding(
                f"{content!r} stands {len(rows)} times in the journal, not {wanted}: {_describe(messages)}"
            )

    def _expected_rows(self, message):
        """How many rows there may be, at least and at most."""
        if not all(sheet.offered_at for sheet in message.segments):
            return 0, 0
        deliveries = max(len(sheet.offered_at) for sheet in message.segments)
        # Nobody can know a Command again that has neither SID nor date, or where a setting says not to.
        unknowable = message.sid is None and (message.sent_at is None or not self.scenario.dedup_without_sid)
        most = deliveries if unknowable else 1
        if unknowable and any("ignored" in name for _, name in self.scenario.injected_faults):
            most = len(self.rows["commands"])  # a module that only says that it deletes offers it anew
        if not message.is_accepted:
            # The module heard it and could not answer for it: the agent may have it or not.
            return 0, most
        return (0 if self._loss_is_allowed(message) else 1), most

    def _loss_is_allowed(self, message):
        """Whether one of its messages may be lost."""
        if len(message.segments) > 1 and self._may_be_forgotten(message):
            return True  # a part that waited for the others
        shown = any(
            str(message.content) in str(row["raw"]) + str(row["text"]) for row in self.rows["ignored"]
        )
        if shown and self.world.message_format == "text" and message.kind == "immediate":
            return True  # what a module hands over that has lost +CSDH=1 is kept, and is no Command
        away = {stored.tpdu[1:] for _, stored in self.world.second_sim.messages}
        return any(
            sheet.tpdu_tail in away or self.delivery_losses.may_be_lost(sheet) for sheet in message.segments
        )

    def _check_runs(self, content, message, rows):
        """Not more runs than begun on the disk; as many, where the journal says that the run ended."""
        runs = self.runs_by_content.pop(content, [])
        attempts = sum(row["attempts"] for row in rows)
        if len(runs) > attempts:
            self.add_finding(f"{content!r} ran {len(runs)} times, {attempts} begun in the journal")
        most = 3 if message.is_repeatable else 1
        ended = 0
        for row in rows:
            if row["attempts"] > most:
                self.add_finding(
                    f"{content!r} was begun {row['attempts']} times, at most {most} are promised"
                )
            if self._is_lost("commands", row):
                continue
            found = row["reason"] == "it was in the module before the first start"
            if found and not self._may_predate_first_sweep(message):
                self.add_finding(f"{content!r} was kept as found at the first start, and came later")
            if row["state"] == "expired" and not found and not self._is_rightly_expired(message, row):
                self.add_finding(f"{content!r} was kept as expired and is not: {row['reason']}")
            if row["state"] == "failed" and row["reason"] == "interrupted":
                self._check_interrupted(content, row, runs, attempts)
            elif row["attempts"]:
                ended += 1
            elif row["state"] == "done" and content and row["handler"] != "ping":
                self.add_finding(f"{content!r} is done and was never begun")
            elif row["state"] == "failed" and row["reason"] != "no handler":
                self.add_finding(f"{content!r} failed before it was begun: {row['reason']}")
        if message.kind != "builtin" and len(runs) < ended:
            self.add_finding(f"{content!r} ran {len(runs)} times, though {ended} of it came to an end")

    def _check_no_rerun(self, content, messages, rows):
        """Whatever the rows say: what is known again does not run again."""
        if not self.world.corruptions or messages[0].is_repeatable:
            return
        known = self._dedup_horizon()
        most = 0
        for letter in messages:
            again = letter.sent_at is None or letter.sent_at.timestamp() >= known
            most += max(self._expected_rows(letter)[1], len(self.world.corruptions) + 1 if again else 0)
        ran = sum(run.content == content for run in self.world.handler_runs)
        if ran > most:
            self.add_finding(f"{content!r} ran {ran} times, and the damaged journal promised at most {most}")

    def _check_interrupted(self, content, row, runs, begun):
        """A life must have ended during the run; or between the commit that it begins and its beginning."""
        for run in runs:
            life = self.world.agent_runs[run.agent_run]
            if life.ended_at is not None and (run.outcome == "stuck" or self._was_cut_short(run, life)):
                return
        if len(runs) >= begun or not any(
            life.end_reason not in ("", "stopped") for life in self.world.agent_runs
        ):
            self.add_finding(f"{content!r} is called interrupted, and nothing interrupted it: {runs}")

    def _was_cut_short(self, run, agent_run):
        """Whether its life ended before what came of it can have been on the disk."""
        end = run.started_at + run.duration_s
        if agent_run.ended_at <= end + 1:
            return True
        # What a handler said is in memory while the disk takes nothing, or takes its time.
        troubles = self.scenario.disk_failures + self.scenario.disk_delays
        return any(
            begin <= end + 1 and end <= over and agent_run.ended_at <= over + SLOW_COMMIT_WINDOW_S
            for begin, over in troubles
        )

    def _may_predate_first_sweep(self, message):
        """Whether it may have been there before the first look into the stores was over."""
        if self.world.corruptions and message.created_at < self.last_corruption_at + FIRST_SWEEP_S:
            return self.scenario.first_start == "skip"
        return (
            self.scenario.first_start == "skip"
            and message.created_at < self.scenario.preload_until + FIRST_SWEEP_S
        )

    def _is_rightly_expired(self, message, row):
        limit = self.scenario.max_age_s
        if (
            message.sent_at is not None
            and message.sent_at.timestamp() <= START_WALL_TIME + self.last_corruption_at - START_TIME_S
        ):
            return True  # nobody knows whether it ran
        if message.sent_at is None or limit is None:
            return False
        return row["ended_wall"] - message.sent_at.timestamp() > limit

    def _check_ignored(self):
        """Nobody else commands."""
        for content, runs in self.runs_by_content.items():
            self.add_finding(f"{content!r} ran {len(runs)} times and commands nothing")
        kept = {row["text"] for row in self.rows["ignored"]}
        if self.world.message_format == "pdu" and len(self.rows["ignored"]) < MAX_IGNORED_MESSAGES:
            for letter in self.messages:
                kept_by_now = (
                    letter.is_accepted
                    and not self._loss_is_allowed(letter)
                    and not self._may_be_forgotten(letter)
                )
                if (
                    letter.kind in {"stray", "usurper"}
                    and kept_by_now
                    and not self._may_be_reused_sid(letter)
                ):
                    texts = {letter.content}
                    if not texts & kept:
                        self.add_finding(f"the stray {letter.content!r} is not shown")

    # Every Command is answered

    def _check_replies(self):
        said = collections.Counter()
        for _time, event in self.world.network_events:
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
                self.add_finding(f"the answer {text!r} reached the network {said[text]} times, not {wanted}")
        errors = sum(row["error_answer"] for row in self.rows["replies"])
        for row in self.rows["commands"]:
            if self._is_lost("commands", row):
                continue
            self._check_reply(row, self.replies_by_command.get(row["id"], []), errors)

    def _check_reply(self, row, replies, errors):
        plan = self.world.plans.get(row["body"])
        body = row["body"]
        lost = any(each["command_id"] == row["id"] for each in self.lost_rows["replies"])
        if row["state"] == "expired" or not row["answerable"]:
            if replies:
                self.add_finding(f"{body!r} was answered, and must not be")
            return
        if len(replies) > self.scenario.max_parts:
            self.add_finding(f"{body!r} has {len(replies)} answers")
        if row["state"] == "done":
            silent = body == "" or (plan is not None and plan.attempts[-1][1] == "nothing")
            if not replies and not silent and not lost:
                self.add_finding(f"{body!r} is done without an answer")
        elif row["state"] == "failed" and not replies and not lost and errors < 10:
            # At most ten error answers an hour leave the device: a loop of two automatons ends so.
            self.add_finding(f"{body!r} failed without an answer")
        for reply in replies:
            if reply["destination"] != self.world.service.number:
                self.add_finding(f"the answer to {body!r} went to {reply['destination']}")
            if reply["state"] == "failed" and not reply["reason"]:
                self.add_finding(f"the answer to {body!r} failed and nobody says why")

    # Answer, then act

    def _check_actions(self):
        acts = collections.Counter(run.content for run in self.world.action_runs)
        for content, count in acts.items():
            rows = [row for row in self.rows["actions"] if content in self._bodies_of(row["command_id"])]
            if count > len(rows):
                self.add_finding(
                    f"the action after {content!r} ran {count} times, asked for {len(rows)} times"
                )
        for row in self.rows["actions"]:
            if self._is_lost("actions", row):
                continue
            content = next(iter(self._bodies_of(row["command_id"])), None)
            if row["state"] == "done" and not acts[content] and not row["reason"]:
                self.add_finding(f"the action after {content!r} is done and never ran")

    def _bodies_of(self, command):
        """Of the Commands of that number, those that are lost last: a lost number is given again."""
        rows = [row for row in self.rows["commands"] if row["id"] == command]
        rows.sort(key=lambda row: self._is_lost("commands", row))
        return [row["body"] for row in rows]

    # Nothing stays for ever

    def _check_nothing_pending(self):
        for table, states in OPEN_STATES.items():
            for row in self.rows[table]:
                if row["state"] in states and not self._is_capped(table) and not self._is_lost(table, row):
                    self.add_finding(f"{table} {row['id']} is {row['state']} at the end: {row}")
        # A session that was not told the names of the stores looks into no other than the module's choice.
        unnamed = any(
            "a store that the module chooses" in str(step)
            for step in self.world.events_of_kind("session")[-1:]
        )
        for name, store in self.world.module.stores.items():
            if name in {"ME", "SM"} | ({"SR"} if not unnamed else set()):
                for slot, stored in store:
                    if stored.status.is_received:
                        self.add_finding(f"{name} {slot} still holds {stored.tpdu.hex()}")
        waiting = self.world.network.count_waiting(self.world.first_sim.imsi)
        if waiting:
            self.add_finding(f"{waiting} messages wait in the network at the end")
        for letter in self.messages:
            if letter.kind == "proof":
                self._check_liveness(letter)

    def _is_capped(self, table):
        """The daily cap holds answers; what may have left counts."""
        left = sum(row["state"] in {"sent", "delivered", "unknown"} for row in self.rows["replies"])
        return table == "replies" and left >= self.scenario.max_per_day

    def _check_liveness(self, message):
        """In the quiet time everything works at once."""
        rows = [row for row in self.rows["commands"] if row["body"] == message.content]
        states = [row["state"] for row in rows]
        if states != ["done"] and not (states == ["expired"] and self._is_rightly_expired(message, rows[0])):
            self.add_finding(f"{message.content!r} in the quiet time is {states}")
        for row in rows:
            for reply in self.replies_by_command.get(row["id"], []):
                if reply["state"] not in {"sent", "delivered"} and not self._is_capped("replies"):
                    self.add_finding(
                        f"the answer to {message.content!r} in the quiet time is {reply['state']}"
                    )

    # No task dies unseen

    def _check_agent_runs(self):
        for time, text in self.probe.uncaught_errors:
            self.add_finding(f"{time:.3f} nobody caught: {text}")
        for time, _, error in self.world.unforced_ends:
            if error is not None:
                self.add_finding(f"{time:.3f} the agent ended by {type(error).__name__}: {error}")
        for time, _, step in self.world.events:
            if step.kind == "session failed":
                self.add_finding(f"{time:.3f} {step}")
        for number, life in enumerate(self.world.agent_runs):
            stuck = any(run.agent_run == number and run.outcome == "stuck" for run in self.world.handler_runs)
            if life.end_reason == "watchdog" and not stuck:
                self.add_finding(f"life {number} was ended by the watchdog, and nothing of ours held it up")
        for seconds in self.scenario.host.stop_durations:
            if seconds > 6:
                self.add_finding(f"an orderly stop took {seconds:.1f} s")
        if not self.world.current_run.is_alive:
            self.add_finding("the agent is not alive at the end")


def _describe(messages):
    return "; ".join(
        f"{letter.kind} {letter.sid or ''} offered {[sheet.offered_at for sheet in letter.segments]} "
        f"taken {[sheet.accepted for sheet in letter.segments]}"
        for letter in messages
    )


def _row_key(table, row):
    """What a row is known by, before a damage and after it."""
    match table:
        case "commands":
            return row["id"], row["body"], row["received_wall"]
        case "replies":
            return row["id"], row["text"], row["queued_wall"]
        case "slots":
            return row["store"], row["slot"]
        case "parts":
            return row["sender"], row["reference"], row["reference_16bit"], row["total"], row["number"]
        case "actions":
            return row["id"], row["command_id"], row["requested_wall"]
    return row["id"]
