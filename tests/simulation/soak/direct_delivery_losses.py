"""Decides whether a message that was delivered directly, without acknowledgement, may be lost.

There is no second copy of such a message: this is the documented exception of the first promise. It may be
lost if it did not reach a running agent complete and unchanged, or if the agent was killed before it can have
committed the message.
"""

import bisect
import itertools

MAX_URC_DELAY_S = 900.0
"""A module delays unsolicited result codes while a command runs or text is entered."""
COMMIT_WINDOW_S = 1.0
"""Time from the last octet of a message to its commit, if the disk is fast."""
SLOW_COMMIT_WINDOW_S = 60.0
"""The same time if each call of the journal takes seconds and other calls are queued."""


class DirectDeliveryLosses:
    """Searches the trace of the serial line for direct deliveries."""

    def __init__(self, world, scenario):
        self._world = world
        self._scenario = scenario
        received = [(time, octets) for time, way, octets in world.port.trace if way == "<"]
        self._times = [time for time, _ in received]
        self._ends = list(itertools.accumulate(len(octets) for _, octets in received))
        self._octets = b"".join(octets for _, octets in received)

    def may_be_lost(self, segment):
        """Return True if each direct delivery of the segment may have been lost."""
        return bool(segment.accepted) and all(
            how == "handed" and self._delivery_may_be_lost(segment, at) for at, how in segment.accepted
        )

    def _delivery_may_be_lost(self, segment, at):
        agent_run = next(
            (
                each
                for each in self._world.agent_runs
                if each.started_at <= at and (each.ended_at or at) >= at
            ),
            None,
        )
        if agent_run is None:
            return True
        whole = self._received_at(segment, at)
        if whole is None:
            return True
        if any(at - 0.2 <= time <= whole + 0.2 for time, _ in self._scenario.line_noise.injected):
            return True
        if agent_run.ended_at is None:
            return False
        disk = [(begin, end) for begin, end in self._scenario.disk_failures if begin <= agent_run.ended_at]
        if any(whole <= end and agent_run.ended_at <= end + SLOW_COMMIT_WINDOW_S for begin, end in disk):
            return True
        slow = any(begin - 1 <= whole <= end for begin, end in self._scenario.disk_delays)
        return agent_run.ended_at - whole < (SLOW_COMMIT_WINDOW_S if slow else COMMIT_WINDOW_S)

    def _received_at(self, segment, at):
        """Return when the last octet reached the agent; None if some octets did not."""
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
        """Return the forms that the segment can have on the serial line."""
        if self._world.message_format == "pdu":
            return [segment.tpdu_tail.hex().upper().encode()]
        text = segment.deliver.text or ""
        return [text.encode(), text.encode("utf-16-be").hex().upper().encode()]
