"""Messages that the module handed over without waiting for an answer: there is no second copy of them.

What keeps such a message from the journal at that very moment loses it, the documented exception of the first
promise. Here stands what counts as that moment: it did not reach a living agent whole and unharmed, or the
agent was killed before it can have committed it.
"""

import bisect
import itertools

LATEST_S = 900.0
"""A module holds back what it has to say while a command runs, and a message is entered."""
COMMIT_S = 1.0
"""From its last octet to its commit, where the disk is quick."""
SLOW_COMMIT_S = 60.0
"""The same while each call of the journal takes seconds and others stand before it."""


class Handed:
    """Looks up what came over the line."""

    def __init__(self, world, weather):
        self._world = world
        self._weather = weather
        heard = [(time, octets) for time, way, octets in world.port.trace if way == "<"]
        self._times = [time for time, _ in heard]
        self._ends = list(itertools.accumulate(len(octets) for _, octets in heard))
        self._octets = b"".join(octets for _, octets in heard)

    def excuses(self, sheet):
        """Whether each time it was handed over something of that kind came between."""
        return bool(sheet.taken) and all(
            how == "handed" and self._excuses(sheet, at) for at, how in sheet.taken
        )

    def _excuses(self, sheet, at):
        life = next(
            (each for each in self._world.lives if each.began_at <= at and (each.ended_at or at) >= at), None
        )
        if life is None:
            return True
        whole = self._heard(sheet, at)
        if whole is None:
            return True
        if any(at - 0.2 <= time <= whole + 0.2 for time, _ in self._weather.harm.log):
            return True
        if life.ended_at is None:
            return False
        disk = [(begin, end) for begin, end in self._weather.disk_troubles if begin <= life.ended_at]
        if any(whole <= end and life.ended_at <= end + SLOW_COMMIT_S for begin, end in disk):
            return True
        slow = any(begin - 1 <= whole <= end for begin, end in self._weather.slow_disks)
        return life.ended_at - whole < (SLOW_COMMIT_S if slow else COMMIT_S)

    def _heard(self, sheet, at):
        """When its last octet had reached the agent; None where not all of it did."""
        begin = self._offset(at)
        end = self._offset(at + LATEST_S)
        places = [self._octets.find(form, begin, end) for form in self._forms(sheet)]
        place = min((each for each in places if each >= 0), default=-1)
        place = self._octets.find(b"\r\n", place, end) if place >= 0 else -1
        return None if place < 0 else self._times[bisect.bisect_left(self._ends, place + 2)]

    def _offset(self, at):
        index = bisect.bisect_left(self._times, at)
        return self._ends[index - 1] if index else 0

    def _forms(self, sheet):
        """How it looks on the line."""
        if self._world.message_format == "pdu":
            return [sheet.octets.hex().upper().encode()]
        text = sheet.deliver.text or ""
        return [text.encode(), text.encode("utf-16-be").hex().upper().encode()]
