"""The handler manager's event loop and pipes."""

from __future__ import annotations

import os
import time

import pytest

from agent.handlers.framing import encode_frame
from agent.handlers.pipes import FrameChannel, LineForwarder, OutputBuffer, Poller


@pytest.fixture
def poller():
    poller = Poller()
    yield poller
    for file in list(poller._callbacks):
        poller.close(file)


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for fd in ends:
        if fd is not None:
            os.close(fd)


def detach(pipe, which):
    """Return an end of the pipe; the fixture no longer closes it."""
    fd, pipe[which] = pipe[which], None
    return fd


def close_end(pipe, which):
    os.close(detach(pipe, which))


class ChannelPair:
    """A channel to a worker, and the worker's ends of the pipes."""

    def __init__(self, poller):
        incoming, self.outgoing = os.pipe()
        self.incoming, outgoing = os.pipe()
        self.received = []
        self.closed_count = 0
        self.channel = FrameChannel(poller, incoming, outgoing, self.received.append, self.on_closed)

    def on_closed(self):
        self.closed_count += 1


@pytest.fixture
def channel_pair(poller):
    pair = ChannelPair(poller)
    yield pair
    for file in (pair.outgoing, pair.incoming):
        if file is not None:
            os.close(file)


def test_channel_carries_frames_both_ways(poller, channel_pair):
    """Frames arrive in order."""
    os.write(channel_pair.outgoing, encode_frame({"a": b"1"}) + encode_frame({"b": b"2"}))
    poller.wait(0)
    assert channel_pair.received == [{"a": b"1"}, {"b": b"2"}]
    channel_pair.channel.send({"c": b"3"})
    assert os.read(channel_pair.incoming, 100) == encode_frame({"c": b"3"})


def test_long_frame_does_not_block(poller, channel_pair):
    """Data that does not fit into the pipe is written when it has space."""
    frame = {"a": b"x" * 500_000}
    channel_pair.channel.send(frame)
    octets = b""
    while len(octets) < len(encode_frame(frame)):
        octets += os.read(channel_pair.incoming, 65536)
        poller.wait(0)
    assert octets == encode_frame(frame)


@pytest.mark.parametrize("invalid", [b"\xff" * 8, b"\0\0\0\3\0\0\0"])
def test_invalid_frame_closes_channel(poller, channel_pair, invalid):
    """The channel is closed once, and the frames after the invalid one are not read."""
    os.write(channel_pair.outgoing, encode_frame({"a": b"1"}) + invalid + encode_frame({"b": b"2"}))
    poller.wait(0)
    poller.wait(0)
    assert (channel_pair.received, channel_pair.closed_count) == ([{"a": b"1"}], 1)
    channel_pair.channel.send({"late": b""})


@pytest.mark.parametrize("which", ["incoming", "outgoing"])
def test_channel_closes_when_either_pipe_closes(poller, channel_pair, which):
    """Frames that were sent before are received; a dead pipe is not polled for ever."""
    os.write(channel_pair.outgoing, encode_frame({"a": b"1"}))
    os.close(getattr(channel_pair, which))
    setattr(channel_pair, which, None)
    poller.wait(0)
    poller.wait(0)
    assert (channel_pair.received, channel_pair.closed_count) == ([{"a": b"1"}], 1)


def test_closing_twice_closes_no_other_file(poller, channel_pair, pipe):
    """Other files may have the same numbers by then."""
    channel_pair.channel.close()
    numbers = os.pipe()
    channel_pair.channel.close()
    for number in numbers:
        os.close(number)  # raises if it was closed


def test_event_of_closed_file_is_dropped(poller, pipe):
    """Its number may belong to another file before all events of one poll are handled."""
    other = list(os.pipe())
    called = []

    def first(_):
        poller.close(pipe_end)
        number = os.dup(other[0])
        assert number == pipe_end
        poller.add(number, lambda _: called.append("wrong"))

    pipe_end = detach(pipe, 0)
    poller.add(other[0], first)
    poller.add(pipe_end, lambda _: called.append("gone"))
    os.write(other[1], b"x")
    os.write(pipe[1], b"x")
    poller.wait(0)
    os.close(other[1])
    assert called == []


def test_wait_without_events_lasts_until_timeout(poller):
    """It never ends early: the loop would spin just before each of its deadlines."""
    began = time.monotonic()
    poller.wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_output_is_kept_up_to_limit(poller, pipe):
    """The rest is read and dropped, so that the writer never blocks."""
    output = OutputBuffer(poller, detach(pipe, 0), 5)
    for _ in range(3):
        os.write(pipe[1], b"abc")
        poller.wait(0)
    assert output.content == b"abcab"
    assert output.is_open
    close_end(pipe, 1)
    poller.wait(0)
    assert not output.is_open
    output.read_remaining()


@pytest.mark.parametrize(
    "pieces", [[b"a" * 4, b"\nbb", b"\nc\n"], [b"aaaa\nbb\nc\n"], [b"aaaa\n", b"bb\nc\n"]]
)
def test_lines_are_forwarded_up_to_limit(poller, pipe, pieces):
    """The limit holds however the octets arrive; a note that output was dropped comes once a run."""
    received = []
    lines = LineForwarder(poller, detach(pipe, 0), 10, received.append)
    for piece in [*pieces, b"dddd\n", b"e"]:
        os.write(pipe[1], piece)
        poller.wait(0)
    assert received == [b"aaaa", b"bb", b"c", b"(further output of this run is dropped)"]
    lines.reset_limit()
    os.write(pipe[1], b"f\ng")
    close_end(pipe, 1)
    poller.wait(0)
    poller.wait(0)
    assert received[4:] == [b"f", b"g"]


def test_line_without_end_is_limited(poller, pipe):
    """Its beginning is forwarded."""
    received = []
    LineForwarder(poller, detach(pipe, 0), 4, received.append)
    for _ in range(3):
        os.write(pipe[1], b"aaa")
        poller.wait(0)
    assert received == [b"aaaa", b"(further output of this run is dropped)"]
