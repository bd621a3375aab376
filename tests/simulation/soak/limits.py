"""Checks the limits of the agent: messages sent, resets of the module, log lines and wake-ups."""

import bisect
import collections
import re

from agent.common.config import RecoveryConfig, ServiceConfig
from agent.pipeline.outcome_recorder import MAX_ATTEMPTS

RESETS_PER_HOUR, RESETS_PER_DAY = RecoveryConfig().resets_per_hour, RecoveryConfig().resets_per_day
SENDS_PER_MINUTE = ServiceConfig().max_per_minute
WARNINGS_PER_DAY = 20
"""Lines of WARNING and above in a day, apart from those allowed for faults."""
WARNINGS_PER_FAULT = 3
"""Further lines for each injected fault and for each killed agent run."""
WAKES_PER_HOUR = 330
"""Sweeps, status queries and watchdog cause about 110, and 60 more if a module does not notify. 144 come from
the simulated host."""
IDLE_S = 3600.0
LOOP_TURNS_S = 1e-6
"""Virtual time that some turns of the event loop without a timer take: a nanosecond each."""
_RESENT_PATTERN = re.compile(r"; sent once more as (\d+)$")
_ERROR_CODE_PATTERN = re.compile(r"\+CM[SE] ?ERROR\D*(\d+)")


class LimitChecker:
    """Checks the limits of one run; the findings go to the `InvariantChecker`."""

    def __init__(self, checker):
        self._checker = checker
        self._world = checker.world
        self._scenario = checker.scenario
        self._add_finding = checker.add_finding

    def check(self):
        self._check_attempts()
        self._check_send_rate()
        self._check_failures()
        self._check_resets()
        self._check_unknown()
        self._check_log_volume()
        self._check_wakes()

    @property
    def max_warnings_per_day(self):
        """Return the greatest number of lines of WARNING and above in a day."""
        return max(self._count_per_day(event.severity >= 30 for _, _, event in self._world.events), default=0)

    @property
    def idle_wakes(self):
        """Return the number of wake-ups in the last complete hour before the liveness check."""
        end = self._scenario.liveness_from
        return sum(end - IDLE_S <= time < end for time in self._world.loop.wake_times)

    def _count_per_day(self, counted):
        days = collections.Counter()
        for (time, _, _), counts in zip(self._world.events, counted, strict=True):
            days[int((time - self._world.agent_runs[0].started_at) // 86400)] += counts
        return days.values()

    # Sending

    def _check_attempts(self):
        attempts = sum(row["attempts"] for row in self._checker.rows["replies"])
        commands = sum(line.startswith("+CMGS=") for line in self._world.module.log.command_lines)
        # An attempt may end before it is counted, once for each agent run and session; nothing was sent then.
        sessions = sum(event.kind == "session" for _, _, event in self._world.events)
        if commands > attempts + len(self._world.agent_runs) + sessions:
            self._add_finding(f"+CMGS was sent {commands} times, but the journal has {attempts} attempts")

    def _check_send_rate(self):
        """Check the messages sent in any minute and in any day."""
        times = sorted(self._world.radio.sent_at)
        lost = len(self._checker.lost_rows["replies"])  # lost rows are not counted by the agent
        for seconds, most in ((60.0, SENDS_PER_MINUTE + lost), (86400.0, self._scenario.max_per_day + lost)):
            for number, time in enumerate(times):
                count = number + 1 - bisect.bisect_right(times, time - seconds)
                if count > most:
                    self._add_finding(
                        f"{count} messages were sent within {seconds:g} s, at most {most} are allowed"
                    )
                    break

    def _check_failures(self):
        """Check that each failed reply was refused, too old, or attempted too often."""
        for row in self._checker.rows["replies"]:
            if row["state"] != "failed":
                continue
            reason = row["reason"] or ""
            if code := _ERROR_CODE_PATTERN.search(reason):
                if not self._was_refused(int(code[1])):
                    self._add_finding(
                        f"the reply {row['text']!r} failed by {reason}, which the module never sent"
                    )
            elif reason.startswith("not sent within"):
                if row["queued_uptime"] > self._scenario.duration_s - 86400:
                    self._add_finding(f"the reply {row['text']!r} was given up too early: {reason}")
            elif "given up after" not in reason and "service centre gave up" not in reason:
                self._add_finding(f"the reply {row['text']!r} failed by {reason}")
            if "given up after" in reason and row["attempts"] < MAX_ATTEMPTS - 1:
                self._add_finding(f"the reply {row['text']!r} was given up after {row['attempts']} attempts")

    def _was_refused(self, code):
        """Return True if the module has sent this error code."""
        received = b"".join(octets for _, way, octets in self._world.port.trace if way == "<")
        return re.search(rb"ERROR\D{0,4}%d\b" % code, received) is not None

    def _check_unknown(self):
        """Check that an outcome is unknown only if the body was written or the agent ended just before."""
        ends = [run.ended_at for run in self._world.agent_runs if run.ended_at is not None]
        probe = self._checker.probe
        for row in self._checker.rows["replies"]:
            # The body follows the commit at the same moment of virtual time, some turns of the loop later.
            resent = _RESENT_PATTERN.search(
                row["reason"] or ""
            )  # the row of the first attempt is created when its outcome is unknown
            number = int(resent[1]) if resent else row["id"]
            ended_between = any(
                0 <= end - since < LOOP_TURNS_S
                for since in probe.sending_since.get(number, ())
                for end in ends
            )
            if row["state"] == "unknown" and number not in probe.ids_with_body and not ended_between:
                self._add_finding(f"the reply {row['text']!r} is unknown although nothing of it was sent")

    # Resets

    def _check_resets(self):
        """Check the resets by uptime, as the agent counts them. A reset that was not committed does not
        count."""
        budget = {"hour": (3600.0, RESETS_PER_HOUR), "day": (86400.0, RESETS_PER_DAY)}
        times = [row["at_uptime"] for row in self._checker.rows["resets"]]
        lost = len(self._checker.lost_rows["resets"])
        for name, (seconds, allowed) in budget.items():
            most = allowed + lost
            for time in times:
                count = sum(time - seconds < other <= time for other in times)
                if count > most:
                    self._add_finding(
                        f"{count} resets of the module within one {name}, at most {most} are allowed"
                    )
                    return

    # Log lines and wake-ups

    def _check_log_volume(self):
        killed = sum(run.end_reason not in ("", "stopped") for run in self._world.agent_runs)
        most = WARNINGS_PER_DAY + WARNINGS_PER_FAULT * (len(self._scenario.injected_faults) + killed)
        most += sum(row["state"] == "expired" for row in self._checker.rows["commands"])  # each is logged
        if self.max_warnings_per_day > most:
            self._add_finding(
                f"{self.max_warnings_per_day} lines of WARNING and above in one day, expected at most {most}"
            )

    def _check_wakes(self):
        """Check the wake-ups in an hour without events."""
        end = self._scenario.liveness_from
        has_events = any(end - IDLE_S <= time < end for time, _, event in self._world.events)
        if not has_events and self.idle_wakes > WAKES_PER_HOUR:
            self._add_finding(
                f"{self.idle_wakes} wake-ups in an idle hour, at most {WAKES_PER_HOUR} are allowed"
            )
