"""What the agent may do at the most: send, reset, say, wake up."""

import bisect
import collections
import re

from agent.common.config import RecoveryConfig, ServiceConfig
from agent.pipeline.sender import MAX_ATTEMPTS

RESETS_PER_HOUR, RESETS_PER_DAY = RecoveryConfig().resets_per_hour, RecoveryConfig().resets_per_day
SENDS_PER_MINUTE = ServiceConfig().max_per_minute
WARNINGS_PER_DAY = 20
"""Lines of WARNING and above on a day on which nothing is the matter but what is counted apart."""
WARNINGS_PER_FAULT = 3
"""More of them for each misfortune, and for each life that is cut short."""
WAKES_PER_HOUR = 330
"""Sweep, looks and watchdog make some 110, 60 more where a module does not notify; 144 are not the agent's,
but of the computer that watches it."""
IDLE_S = 3600.0
_RESENT_PATTERN = re.compile(r"; sent once more as (\d+)$")
_ERROR_CODE_PATTERN = re.compile(r"\+CM[SE] ?ERROR\D*(\d+)")


class LimitChecker:
    """Checks over one ledger; what is found it tells there."""

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
        """Lines of WARNING and above on the loudest day."""
        return max(self._count_per_day(step.severity >= 30 for _, _, step in self._world.events), default=0)

    @property
    def idle_wakes(self):
        """Wake-ups in the last whole idle hour."""
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
        asked = sum(line.startswith("+CMGS=") for line in self._world.module.log.command_lines)
        # An attempt that was cut off before it was counted left nothing; each life and session may have one.
        sessions = sum(step.kind == "session" for _, _, step in self._world.events)
        if asked > attempts + len(self._world.agent_runs) + sessions:
            self._add_finding(f"+CMGS was asked {asked} times, {attempts} attempts are in the journal")

    def _check_send_rate(self):
        """What left for the network and was taken, at any time of a minute and of a day."""
        times = sorted(self._world.radio.sent_at)
        lost = len(self._checker.lost_rows["replies"])  # nobody counts what nobody remembers
        for seconds, most in ((60.0, SENDS_PER_MINUTE + lost), (86400.0, self._scenario.max_per_day + lost)):
            for number, time in enumerate(times):
                count = number + 1 - bisect.bisect_right(times, time - seconds)
                if count > most:
                    self._add_finding(
                        f"{count} messages left within {seconds:g} s, at most {most} are allowed"
                    )
                    break

    def _check_failures(self):
        """An answer fails by a refusal that somebody gave, by its age, or by the number of its attempts."""
        for row in self._checker.rows["replies"]:
            if row["state"] != "failed":
                continue
            reason = row["reason"] or ""
            if code := _ERROR_CODE_PATTERN.search(reason):
                if not self._was_refused(int(code[1])):
                    self._add_finding(f"the answer {row['text']!r} failed by {reason}, which nobody said")
            elif reason.startswith("not sent within"):
                if row["queued_uptime"] > self._scenario.duration_s - 86400:
                    self._add_finding(f"the answer {row['text']!r} was given up young: {reason}")
            elif "given up after" not in reason and "service centre gave up" not in reason:
                self._add_finding(f"the answer {row['text']!r} failed by {reason}")
            if "given up after" in reason and row["attempts"] < MAX_ATTEMPTS - 1:
                self._add_finding(f"the answer {row['text']!r} was given up after {row['attempts']} attempts")

    def _was_refused(self, code):
        """Whether a module or its network answered so."""
        heard = b"".join(octets for _, way, octets in self._world.port.trace if way == "<")
        return re.search(rb"ERROR\D{0,4}%d\b" % code, heard) is not None

    def _check_unknown(self):
        """Only what may have left is unknown: its body was written, or a life ended just before it."""
        ends = {life.ended_at for life in self._world.agent_runs}
        watch = self._checker.probe
        for row in self._checker.rows["replies"]:
            # The body follows the commit at the same moment of virtual time.
            copied = _RESENT_PATTERN.search(
                row["reason"] or ""
            )  # the row of a first copy is made when it is unknown
            number = int(copied[1]) if copied else row["id"]
            died_between = watch.sending_since.get(number, set()) & ends
            if row["state"] == "unknown" and number not in watch.ids_with_body and not died_between:
                self._add_finding(f"the answer {row['text']!r} is unknown although nothing of it left")

    # Resets

    def _check_resets(self):
        """By running time, as they are counted; what a dead life had not committed of it counts as none."""
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

    # The log, and rest

    def _check_log_volume(self):
        cut = sum(life.end_reason not in ("", "stopped") for life in self._world.agent_runs)
        most = WARNINGS_PER_DAY + WARNINGS_PER_FAULT * (len(self._scenario.injected_faults) + cut)
        most += sum(row["state"] == "expired" for row in self._checker.rows["commands"])  # each is said
        if self.max_warnings_per_day > most:
            self._add_finding(
                f"{self.max_warnings_per_day} lines of WARNING and above on one day, at most {most} are expected"
            )

    def _check_wakes(self):
        """In an hour in which nothing came and nothing was queued."""
        end = self._scenario.liveness_from
        news = any(end - IDLE_S <= time < end for time, _, step in self._world.events)
        if not news and self.idle_wakes > WAKES_PER_HOUR:
            self._add_finding(
                f"{self.idle_wakes} wake-ups in an idle hour, at most {WAKES_PER_HOUR} are allowed"
            )
