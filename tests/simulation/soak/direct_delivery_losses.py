"""Messages that the module handed over without waiting for an answer: there is no second copy of them.

What keeps such a message from the journal at that very moment loses it, the documented exception of the first
promise. Here stands what counts as that moment: it did not reach a living agent whole and unharmed, or the
agent was killed before it can have committed it.
"""

import bisect
import itertools

MAX_URC_DELAY_S = 900.0
"""A module holds back what it has to say while a command runs, and a message is entered."""
COMMIT_WINDOW_S = 1.0
"""From its last octet to its commit, where the disk is quick."""
SLOW_COMMIT_WINDOW_S = 60.0
"""The same while each call of the journal takes seconds and others stand before it."""


class DirectDeliveryLosses:
    """Looks up what came over the line."""

    def __init__(self, world, scenario):
        self._world = world
        self._scenario = scenario
        heard = [(time, octets) for time, way, octets in world.port.trace if way == "<"]
        self._times = [time for time, _ in heard]
        self._ends = list(itertools.accumulate(len(octets) for _, octets in heard))
        self._octets = b"".join(octets for _, octets in heard)

    def may_be_lost(self, segment):
        """Whether each time it was handed over something of that kind came between."""
        return bool(segment.accepted) and all(
            how == "handed" and self._delivery_may_be_lost(segment, at) for at, how in segment.accepted
        )

    def _delivery_may_be_lost(self, segment, at):
        life = next(
            (
                each
                for each in self._world.agent_runs
                if each.started_at <= at and (each.ended_at or at) >= at
            ),
            None,
        )
        if life is None:
            return True
        whole = self._received_at(segment, at)
        if whole is None:
            return True
        if any(at - 0.2 <= time <= whole + 0.2 for time, _ in self._scenario.line_noise.injected):
            return True
        if life.ended_at is None:
            return False
        disk = [(begin, end) for begin, end in self._scenario.disk_failures if begin <= life.ended_at]
        if any(whole <= end and life.ended_at <= end + SLOW_COMMIT_WINDOW_S for begin, end in disk):
            return True
        slow = any(begin - 1 <= whole <= end for begin, end in self._scenario.disk_delays)
        return life.ended_at - whole < (SLOW_COMMIT_WINDOW_S if slow else COMMIT_WINDOW_S)

    def _received_at(self, segment, at):
        """When its last octet had reached the agent; None where not all of it did."""
        begin = self._offset_at(at)
        end = self._offset_at(at + MAX_URC_DELAY_S)
        places = [self._octets.find(form, begin, end) for form in self._wire_forms(segment)]
        place = min((each for each in places if each >= 0), default=-1)
        place = self._octets.find(b"\r\n", place, end) if place >= 0 else -1
        return None if place < 0 else self._times[bisect.bisect_left(self._ends, place + 2)]

    def _offset_at(self, at):
        index = bisect.bisect_left(self._times, at)
        return self._ends[index - 1] if index else 0

    def _wire_forms(self, segment):
        """How it looks on the line."""
        if self._world.message_format == "pdu":
            return [segment.tpdu_tail.hex().upper().encode()]
        text = segment.deliver.text or ""
        return [text.encode(), text.encode("utf-16-be").hex().upper().encode()]
