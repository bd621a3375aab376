"""Compares what was observed in a run with what the product promises.

A comment beside each exception gives its reason. A finding is a sentence that names the Command or the
message.
"""

import collections
import math
import re
from datetime import datetime

from reply_counts import find_wrong_reply_counts

from agent.journal.ignored import MAX_IGNORED_MESSAGES
from hardware.sim.virtual_time import START_TIME_S
from soak import db_corruption
from soak.direct_delivery_losses import SLOW_COMMIT_WINDOW_S, DirectDeliveryLosses
from soak.limits import LimitChecker
from soak.scenario import BODY_REFUSALS, HOUR_S
from soak.traffic import LONG_TEXT
from soak.world import START_WALL_TIME

OPEN_STATES = {
    "commands": ("received", "running"),
    "replies": ("queued", "sending"),
    "actions": ("pending", "running"),
}


LIVENESS_LIMIT_S = 30.0
"""Time in which a Command in the quiet period is run, although a notification may be lost."""
FIRST_SWEEP_S = 600.0
"""Faults may delay the end of the first sweep by this long."""


class InvariantChecker:
    """All checks of one run, after its quiet period."""

    def __init__(self, world, scenario, probe):
        self.world = world
        self.scenario = scenario
        self.probe = probe
        self.messages = scenario.traffic.messages
        self.delivery_losses = DirectDeliveryLosses(world, scenario)
        self.limit_checker = LimitChecker(self)
        self.findings = [f"{time:.3f} {text}" for time, text in probe.findings]
        self.findings += scenario.module_findings
        self.rows = db_corruption.read_tables(world.current_run.folder / db_corruption.JOURNAL_NAME)
        self.lost_rows = self._collect_lost_rows()
        """Rows that a corruption removed, by table. They count with the state that they had then."""
        self.last_corruption_at = max((each.at for each in world.corruptions), default=0.0)
        self.commands_by_body = collections.defaultdict(list)
        for row in self.rows["commands"]:
            self.commands_by_body[row["body"]].append(row)
        self.replies_by_command = collections.defaultdict(list)
        for row in self.rows["replies"]:
            if not self._is_lost("replies", row):  # ids of lost rows are used again
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
        """Return True if a corruption may have removed what the journal had of this message."""
        return message.created_at <= self.last_corruption_at

    def _dedup_horizon(self):
        """Return the time stamp before which a repaired journal promises that nothing runs twice."""
        reports = [str(event) for event in self.world.events_of_kind("journal damaged")]
        if not any("may be run again" in text for text in reports):
            return math.inf
        dates = [re.search(r"unless it was sent before (\S+):", text) for text in reports]
        return min(
            datetime.fromisoformat(date[1]).timestamp() if date else 0.0
            for date, text in zip(dates, reports, strict=True)
            if "may be run again" in text
        )

    def check(self):
        """Run all checks and return the findings."""
        self._check_commands()
        self._check_ignored()
        self._check_replies()
        self._check_refusals()
        self._check_actions()
        self._check_nothing_pending()
        self._check_agent_runs()
        self._check_port_conflicts()
        self.limit_checker.check()
        return self.findings

    def add_finding(self, sentence):
        self.findings.append(sentence.replace(LONG_TEXT[:150], "...abc"))

    # Every Command runs as often as its handler promises

    def _check_commands(self):
        by_content = collections.defaultdict(list)
        for message in self.messages:
            if message.is_command or self._may_be_reused_sid(message):
                by_content[message.content].append(message)
        for content, messages in by_content.items():
            rows = self.commands_by_body.pop(content, [])
            self._check_row_count(content, messages, rows)
            self._check_runs(content, messages[0], rows)
            self._check_no_rerun(content, messages, rows)
        for content in self.commands_by_body:
            self.add_finding(f"the journal has a Command that was not sent: {content!r}")

    def _may_be_reused_sid(self, message):
        """Return True if a corruption may have removed the record of the first use of its SID."""
        return (
            message.kind == "reused SID"
            and bool(self.world.corruptions)
            and any(row["body"] == message.content for row in self.rows["commands"])
        )

    def _check_row_count(self, content, messages, rows):
        """Check that there is one row for each Command that the module accepted completely."""
        low = high = 0
        for message in messages:
            least, most = self._expected_rows(message)
            low, high = low + least, high + most
            if self._may_be_forgotten(message):  # stored as expired if it is unknown whether it ran
                high += len(self.world.corruptions)
        if not low <= len(rows) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            self.add_finding(
                f"{content!r} is in the journal {len(rows)} times, not {wanted}: {_describe(messages)}"
            )

        faults = [name for _, name in self.scenario.injected_faults]
        if any(name.startswith(("information-lost", "noise")) for name in faults):
            return  # a read whose lines are lost looks like an empty slot; what is there later is a duplicate
        deliveries = sum(len(segment.offered_at) for each in messages for segment in each.segments)
        duplicates = sum(row["duplicates"] for row in rows)
        allowed = max(deliveries - len(rows), 0)
        if any(name.startswith("slot-kept") for name in faults):
            # It is a duplicate if the agent ended before it noticed that the message stayed after its delete.
            allowed += len(self.world.agent_runs) - 1
        if duplicates > allowed and not any(map(self._may_be_forgotten, messages)):
            self.add_finding(
                f"{content!r} came {deliveries} times and has {len(rows)} rows, but {duplicates} duplicates"
            )

    def _expected_rows(self, message):
        """Return the least and the greatest number of rows for a message."""
        if not all(segment.offered_at for segment in message.segments):
            return 0, 0
        deliveries = max(len(segment.offered_at) for segment in message.segments)
        # A duplicate cannot be recognised without SID and date, or if a setting switches that off.
        not_recognisable = message.sid is None and (
            message.sent_at is None or not self.scenario.dedup_without_sid
        )
        most = deliveries if not_recognisable else 1
        if not_recognisable and any(
            name.startswith(("ignored", "slot-kept")) for _, name in self.scenario.injected_faults
        ):
            most = len(self.rows["commands"])  # a module that ignores deletes lists it again
        if not message.is_accepted:
            # The module received it but could not acknowledge it: the agent may or may not have it.
            return 0, most
        return (0 if self._loss_is_allowed(message) else 1), most

    def _loss_is_allowed(self, message):
        """Return True if one of its segments may be lost."""
        if len(message.segments) > 1 and self._may_be_forgotten(message):
            return True  # a part that was waiting for the other parts
        shown = any(
            str(message.content) in str(row["raw"]) + str(row["text"]) for row in self.rows["ignored"]
        )
        if shown and self.world.message_format == "text" and message.kind == "class 0":
            return True  # a direct delivery after the module lost +CSDH=1 is stored as ignored
        other_sim = {stored.tpdu[1:] for _, stored in self.world.second_sim.messages}
        return any(
            segment.tpdu_tail in other_sim or self.delivery_losses.may_be_lost(segment)
            for segment in message.segments
        )

    def _check_runs(self, content, message, rows):
        """Check that each run has a committed attempt, and that each ended attempt had a run."""
        runs = self.runs_by_content.pop(content, [])
        attempts = sum(row["attempts"] for row in rows)
        if len(runs) > attempts:
            self.add_finding(f"{content!r} ran {len(runs)} times, but the journal has {attempts} attempts")
        most = 3 if message.is_repeatable else 1
        ended = 0
        for row in rows:
            if row["attempts"] > most:
                self.add_finding(f"{content!r} has {row['attempts']} attempts, but the limit is {most}")
            if self._is_lost("commands", row):
                continue
            found = row["reason"] == "it was in the module before the first start"
            if found and not self._may_predate_first_sweep(message):
                self.add_finding(f"{content!r} was stored as found at the first start, but came later")
            if row["state"] == "expired" and not found and not self._is_rightly_expired(message, row):
                self.add_finding(f"{content!r} was stored as expired, but is not: {row['reason']}")
            if row["state"] == "failed" and row["reason"] == "interrupted":
                self._check_interrupted(content, row, runs, attempts)
            elif row["attempts"]:
                ended += 1
            elif row["state"] == "done" and content and row["handler"] != "ping":
                self.add_finding(f"{content!r} is done but was never started")
            elif row["state"] == "failed" and row["reason"] != "no handler":
                self.add_finding(f"{content!r} failed before it was started: {row['reason']}")
        if message.kind != "ping" and len(runs) < ended:
            self.add_finding(f"{content!r} ran {len(runs)} times, but {ended} runs have ended")

    def _check_no_rerun(self, content, messages, rows):
        """Check that a repaired journal did not let a Command run more often than it reports."""
        if not self.world.corruptions or messages[0].is_repeatable:
            return
        horizon = self._dedup_horizon()
        most = 0
        for message in messages:
            again = message.sent_at is None or message.sent_at.timestamp() >= horizon
            most += max(self._expected_rows(message)[1], len(self.world.corruptions) + 1 if again else 0)
        ran = sum(run.content == content for run in self.world.handler_runs)
        if ran > most:
            self.add_finding(f"{content!r} ran {ran} times, but the repaired journal promised at most {most}")

    def _check_interrupted(self, content, row, runs, attempts):
        """Check that the agent ended during a run, or between the commit of an attempt and its start."""
        for run in runs:
            agent_run = self.world.agent_runs[run.agent_run]
            if agent_run.ended_at is not None and (
                run.outcome == "stuck" or self._was_cut_short(run, agent_run)
            ):
                return
        if len(runs) >= attempts or not any(
            agent_run.end_reason not in ("", "stopped") for agent_run in self.world.agent_runs
        ):
            self.add_finding(f"{content!r} is marked as interrupted, but nothing interrupted it: {runs}")

    def _was_cut_short(self, run, agent_run):
        """Return True if its agent run ended before its result can have been on the disk."""
        end = run.started_at + run.duration_s
        if agent_run.ended_at <= end + 1:
            return True
        # The result of a handler is only in memory while the disk is full or slow.
        disk_faults = self.scenario.disk_failures + self.scenario.disk_delays
        return any(
            begin <= end + 1 and end <= over and agent_run.ended_at <= over + SLOW_COMMIT_WINDOW_S
            for begin, over in disk_faults
        )

    def _may_predate_first_sweep(self, message):
        """Return True if it may have arrived before the first sweep was done."""
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
            return True  # it is unknown whether it ran
        if message.sent_at is None or limit is None:
            return False
        return row["ended_wall"] - message.sent_at.timestamp() > limit

    def _check_ignored(self):
        """Check that what is not a Command never ran, and that it is stored as ignored."""
        for content, runs in self.runs_by_content.items():
            self.add_finding(f"{content!r} ran {len(runs)} times, but is not a Command")
        stored = {row["text"] for row in self.rows["ignored"]}
        if self.world.message_format == "pdu" and len(self.rows["ignored"]) < MAX_IGNORED_MESSAGES:
            for message in self.messages:
                must_be_stored = (
                    message.is_accepted
                    and not self._loss_is_allowed(message)
                    and not self._may_be_forgotten(message)
                )
                if (
                    message.kind in {"other sender", "reused SID", "to a port"}
                    and must_be_stored
                    and not self._may_be_reused_sid(message)
                ):
                    texts = {message.content}
                    if not texts & stored:
                        self.add_finding(f"the ignored message {message.content!r} is not in the journal")
        rows = collections.Counter(row["text"] for row in self.rows["ignored"])
        for message in self.messages:
            if message.kind == "other sender" and not self._may_be_forgotten(message):
                deliveries = len(message.segments[0].offered_at)
                if rows[message.content] > deliveries:
                    self.add_finding(
                        f"the ignored message {message.content!r} came {deliveries} times and has"
                        f" {rows[message.content]} rows"
                    )

    # Every Command gets its reply

    def _check_replies(self):
        received = [
            event.body if isinstance(event.body, str) else event.body.hex().upper()
            for _time, event in self.world.network_events
            if event.kind == "originated"
        ]
        replies = [(row["text"], row["state"]) for row in self.rows["replies"]]
        for sentence in find_wrong_reply_counts(received, replies):
            self.add_finding(sentence)
        errors = sum(bool(row["error_answer"]) for row in self.rows["replies"])
        for row in self.rows["commands"]:
            if self._is_lost("commands", row):
                continue
            self._check_reply(row, self.replies_by_command.get(row["id"], []), errors)

    def _check_refusals(self):
        """Check that no permanent error was believed for a number that had accepted a message shortly before.

        The wait before the attempt was shorter than the rest of the day.
        """
        accepted_at = [
            row["sent_uptime"] for row in self.rows["replies"] if row["state"] in {"sent", "delivered"}
        ]
        codes = "|".join(map(str, BODY_REFUSALS))
        for row in self.rows["replies"]:
            believed = re.search(rf"CMS ERROR: ({codes})\b", row["reason"] or "") and row["state"] == "failed"
            if believed and "given up" not in row["reason"]:
                queued_at = row["queued_uptime"]
                if any(at is not None and queued_at - HOUR_S < at < queued_at for at in accepted_at):
                    self.add_finding(f"the reply {row['text']!r} was given up: {row['reason']}")

    def _check_reply(self, row, replies, errors):
        plan = self.world.plans.get(row["body"])
        body = row["body"]
        lost = any(each["command_id"] == row["id"] for each in self.lost_rows["replies"])
        if row["state"] == "expired" or not row["answerable"]:
            if replies:
                self.add_finding(f"{body!r} has a reply, but must not have one")
            return
        if len(replies) > self.scenario.max_parts:
            self.add_finding(f"{body!r} has {len(replies)} reply messages")
        if row["state"] == "done":
            silent = body == "" or (plan is not None and plan.attempts[-1][1] == "nothing")
            if not replies and not silent and not lost:
                self.add_finding(f"{body!r} is done without a reply")
        elif row["state"] == "failed" and not replies and not lost and errors < 10:
            # At most ten error replies are sent in an hour, which ends a loop of two automatons.
            self.add_finding(f"{body!r} failed without a reply")
        for reply in replies:
            if reply["destination"] != self.world.service.number:
                self.add_finding(f"the reply to {body!r} went to {reply['destination']}")
            if reply["state"] == "failed" and not reply["reason"]:
                self.add_finding(f"the reply to {body!r} failed without a reason")

    # Actions after replies

    def _check_actions(self):
        acts = collections.Counter(run.content for run in self.world.action_runs)
        for content, count in acts.items():
            rows = [row for row in self.rows["actions"] if content in self._bodies_of(row["command_id"])]
            if count > len(rows):
                self.add_finding(
                    f"the action of {content!r} ran {count} times, but was requested {len(rows)} times"
                )
        for row in self.rows["actions"]:
            if self._is_lost("actions", row):
                continue
            content = next(iter(self._bodies_of(row["command_id"])), None)
            if row["state"] == "done" and not acts[content] and not row["reason"]:
                self.add_finding(f"the action of {content!r} is done but never ran")

    def _bodies_of(self, command):
        """Return the bodies of Commands with this id, lost rows last (an id of a lost row is used again)."""
        rows = [row for row in self.rows["commands"] if row["id"] == command]
        rows.sort(key=lambda row: self._is_lost("commands", row))
        return [row["body"] for row in rows]

    # Nothing stays open

    def _check_nothing_pending(self):
        for table, states in OPEN_STATES.items():
            for row in self.rows[table]:
                if row["state"] in states and not self._is_capped(table) and not self._is_lost(table, row):
                    self.add_finding(f"{table} {row['id']} is {row['state']} at the end: {row}")
        # A session that could not learn the names of the stores reads only the store that the module selects.
        unnamed = any(
            "a store that the module chooses" in str(event)
            for event in self.world.events_of_kind("session")[-1:]
        )
        for name, store in self.world.module.stores.items():
            if name in {"ME", "SM"} | ({"SR"} if not unnamed else set()):
                for slot, stored in store:
                    if stored.status.is_received:
                        self.add_finding(f"{name} {slot} still holds {stored.tpdu.hex()}")
        waiting = self.world.network.count_waiting(self.world.first_sim.imsi)
        if waiting:
            self.add_finding(f"{waiting} messages are still in the network at the end")
        for message in self.messages:
            if message.kind == "liveness":
                self._check_liveness(message)

    def _is_capped(self, table):
        """Return True if the daily cap holds messages back; messages with an unknown outcome count."""
        sent = sum(row["state"] in {"sent", "delivered", "unknown"} for row in self.rows["replies"])
        return table == "replies" and sent >= self.scenario.max_per_day

    def _check_liveness(self, message):
        """Check that a Command in the quiet period was handled promptly."""
        rows = [row for row in self.rows["commands"] if row["body"] == message.content]
        states = [row["state"] for row in rows]
        if states != ["done"] and not (states == ["expired"] and self._is_rightly_expired(message, rows[0])):
            self.add_finding(f"{message.content!r} in the quiet period is {states}")
        for run in (run for run in self.world.handler_runs if run.content == message.content):
            late_s = run.started_at - message.segments[0].accepted[0][0]
            if late_s > LIVENESS_LIMIT_S:
                self.add_finding(f"{message.content!r} in the quiet period ran only after {late_s:.0f} s")
        for row in rows:
            for reply in self.replies_by_command.get(row["id"], []):
                if reply["state"] not in {"sent", "delivered"} and not self._is_capped("replies"):
                    self.add_finding(
                        f"the reply to {message.content!r} in the quiet period is {reply['state']}"
                    )

    # No error is lost, and none is invented

    def _check_port_conflicts(self):
        """Check that no other program is suspected on a line that nothing disturbs."""
        for event in self.world.events_of_kind("port conflict"):
            if self.scenario.is_undisturbed:
                self.add_finding(f"no other program uses the port: {event}")

    def _check_agent_runs(self):
        for time, text in self.probe.uncaught_errors:
            self.add_finding(f"{time:.3f} uncaught error: {text}")
        for time, _, error in self.world.unforced_ends:
            if error is not None:
                self.add_finding(f"{time:.3f} the agent ended by {type(error).__name__}: {error}")
        for time, _, event in self.world.events:
            if event.kind == "session failed":
                self.add_finding(f"{time:.3f} {event}")
        for number, agent_run in enumerate(self.world.agent_runs):
            stuck = any(run.agent_run == number and run.outcome == "stuck" for run in self.world.handler_runs)
            if agent_run.end_reason == "watchdog" and not stuck:
                self.add_finding(
                    f"agent run {number} was ended by the watchdog, but no handler runner was stuck"
                )
        for seconds in self.scenario.host.stop_durations:
            if seconds > 6:
                self.add_finding(f"a stop took {seconds:.1f} s")
        if not self.world.current_run.is_alive:
            self.add_finding("the agent is not alive at the end")
        elif not self.scenario.host.has_control_socket:
            self.add_finding("the control socket is gone at the end")


def _describe(messages):
    return "; ".join(
        f"{message.kind} {message.sid or ''} offered {[segment.offered_at for segment in message.segments]} "
        f"accepted {[segment.accepted for segment in message.segments]}"
        for message in messages
    )


def _row_key(table, row):
    """Return the key by which a row is found again after a corruption."""
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
