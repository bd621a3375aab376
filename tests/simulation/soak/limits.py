"""What the agent may do at the most: send, reset, say, wake up."""

import bisect
import collections
import re

from agent.config import Recovery, Service
from agent.outbox import ATTEMPTS

RESETS_AN_HOUR, RESETS_A_DAY = Recovery().resets_per_hour, Recovery().resets_per_day
A_MINUTE = Service().max_per_minute
LOUD_A_DAY = 20
"""Lines of WARNING and above on a day on which nothing is the matter but what is counted apart."""
LOUD_EACH = 3
"""More of them for each misfortune, and for each life that is cut short."""
WAKES_AN_HOUR = 330
"""Sweep, looks and watchdog make some 110, 60 more where a module does not notify; 144 are not the agent's,
but of the computer that watches it."""
IDLE_S = 3600.0
_COPIED = re.compile(r"; sent once more as (\d+)$")
_CODE = re.compile(r"\+CM[SE] ?ERROR\D*(\d+)")


class Limits:
    """Checks over one ledger; what is found it tells there."""

    def __init__(self, ledger):
        self._ledger = ledger
        self._world = ledger.world
        self._weather = ledger.weather
        self._find = ledger.find

    def check(self):
        self._attempts()
        self._sends()
        self._failures()
        self._resets()
        self._unknowns()
        self._lines()
        self._wakes()

    @property
    def loudest(self):
        """Lines of WARNING and above on the loudest day."""
        return max(self._a_day(step.weight >= 30 for _, _, step in self._world.steps), default=0)

    @property
    def wakes(self):
        """Wake-ups in the last whole idle hour."""
        end = self._weather.alive_from
        return sum(end - IDLE_S <= time < end for time in self._world.loop.wakes)

    def _a_day(self, counted):
        days = collections.Counter()
        for (time, _, _), counts in zip(self._world.steps, counted, strict=True):
            days[int((time - self._world.lives[0].began_at) // 86400)] += counts
        return days.values()

    # Sending

    def _attempts(self):
        attempts = sum(row["attempts"] for row in self._ledger.rows["replies"])
        asked = sum(line.startswith("+CMGS=") for line in self._world.module.ledger.lines)
        # An attempt that was cut off before it was counted left nothing; each life and session may have one.
        sessions = sum(step.what == "session" for _, _, step in self._world.steps)
        if asked > attempts + len(self._world.lives) + sessions:
            self._find(f"+CMGS was asked {asked} times, {attempts} attempts are in the journal")

    def _sends(self):
        """What left for the network and was taken, at any time of a minute and of a day."""
        times = sorted(self._world.air.left)
        lost = len(self._ledger.lost["replies"])  # nobody counts what nobody remembers
        for seconds, most in ((60.0, A_MINUTE + lost), (86400.0, self._weather.max_per_day + lost)):
            for number, time in enumerate(times):
                count = number + 1 - bisect.bisect_right(times, time - seconds)
                if count > most:
                    self._find(f"{count} messages left within {seconds:g} s, at most {most} are allowed")
                    break

    def _failures(self):
        """An answer fails by a refusal that somebody gave, by its age, or by the number of its attempts."""
        for row in self._ledger.rows["replies"]:
            if row["state"] != "failed":
                continue
            reason = row["reason"] or ""
            if code := _CODE.search(reason):
                if not self._refused(int(code[1])):
                    self._find(f"the answer {row['text']!r} failed by {reason}, which nobody said")
            elif reason.startswith("not sent within"):
                if row["queued_running"] > self._weather.total_s - 86400:
                    self._find(f"the answer {row['text']!r} was given up young: {reason}")
            elif "given up after" not in reason and "service centre gave up" not in reason:
                self._find(f"the answer {row['text']!r} failed by {reason}")
            if "given up after" in reason and row["attempts"] < ATTEMPTS - 1:
                self._find(f"the answer {row['text']!r} was given up after {row['attempts']} attempts")

    def _refused(self, code):
        """Whether a module or its network answered so."""
        heard = b"".join(octets for _, way, octets in self._world.port.trace if way == "<")
        return re.search(rb"ERROR\D{0,4}%d\b" % code, heard) is not None

    def _unknowns(self):
        """Only what may have left is unknown: its body was written, or a life ended just before it."""
        ends = {life.ended_at for life in self._world.lives}
        watch = self._ledger.watch
        for row in self._ledger.rows["replies"]:
            # The body follows the commit at the same moment of virtual time.
            copied = _COPIED.search(row["reason"] or "")  # the row of a first copy is made when it is unknown
            number = int(copied[1]) if copied else row["id"]
            died_between = watch.sending.get(number, set()) & ends
            if row["state"] == "unknown" and number not in watch.bodies and not died_between:
                self._find(f"the answer {row['text']!r} is unknown although nothing of it left")

    # Resets

    def _resets(self):
        """By running time, as they are counted; what a dead life had not committed of it counts as none."""
        budget = {"hour": (3600.0, RESETS_AN_HOUR), "day": (86400.0, RESETS_A_DAY)}
        times = [row["at_running"] for row in self._ledger.rows["resets"]]
        lost = len(self._ledger.lost["resets"])
        for name, (seconds, allowed) in budget.items():
            most = allowed + lost
            for time in times:
                count = sum(time - seconds < other <= time for other in times)
                if count > most:
                    self._find(f"{count} resets of the module within one {name}, at most {most} are allowed")
                    return

    # The log, and rest

    def _lines(self):
        cut = sum(life.end not in ("", "stopped") for life in self._world.lives)
        most = LOUD_A_DAY + LOUD_EACH * (len(self._weather.struck) + cut)
        most += sum(row["state"] == "expired" for row in self._ledger.rows["commands"])  # each is said
        if self.loudest > most:
            self._find(f"{self.loudest} lines of WARNING and above on one day, at most {most} are expected")

    def _wakes(self):
        """In an hour in which nothing came and nothing was queued."""
        end = self._weather.alive_from
        news = any(end - IDLE_S <= time < end for time, _, step in self._world.steps)
        if not news and self.wakes > WAKES_AN_HOUR:
            self._find(f"{self.wakes} wake-ups in an idle hour, at most {WAKES_AN_HOUR} are allowed")
