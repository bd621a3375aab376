"""The keeper's ends of pipes."""

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
    files = list(os.pipe())
    yield files
    for file in files:
        if file is not None:
            os.close(file)


def detach(pipe, which):
    """Hand an end over to somebody who will close it."""
    file, pipe[which] = pipe[which], None
    return file


def close_end(pipe, which):
    os.close(detach(pipe, which))


class ChannelPair:
    """A channel to a worker, and the worker's ends."""

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


def test_a_channel_carries_frames_both_ways(poller, channel_pair):
    """In their order."""
    os.write(channel_pair.outgoing, encode_frame({"a": b"1"}) + encode_frame({"b": b"2"}))
    poller.wait(0)
    assert channel_pair.received == [{"a": b"1"}, {"b": b"2"}]
    channel_pair.channel.send({"c": b"3"})
    assert os.read(channel_pair.incoming, 100) == encode_frame({"c": b"3"})


def test_a_long_frame_does_not_block(poller, channel_pair):
    """What the pipe has no room for goes out when there is room."""
    frame = {"a": b"x" * 500_000}
    channel_pair.channel.send(frame)
    octets = b""
    while len(octets) < len(encode_frame(frame)):
        octets += os.read(channel_pair.incoming, 65536)
        poller.wait(0)
    assert octets == encode_frame(frame)


@pytest.mark.parametrize("rubbish", [b"\xff" * 8, b"\0\0\0\3\0\0\0"])
def test_rubbish_ends_a_channel(poller, channel_pair, rubbish):
    """Once, and what follows is not read."""
    os.write(channel_pair.outgoing, encode_frame({"a": b"1"}) + rubbish + encode_frame({"b": b"2"}))
    poller.wait(0)
    poller.wait(0)
    assert (channel_pair.received, channel_pair.closed_count) == ([{"a": b"1"}], 1)
    channel_pair.channel.send({"late": b""})


@pytest.mark.parametrize("which", ["incoming", "outgoing"])
def test_either_end_closed_ends_a_channel(poller, channel_pair, which):
    """After what was said before; nobody polls a dead pipe for ever."""
    os.write(channel_pair.outgoing, encode_frame({"a": b"1"}))
    os.close(getattr(channel_pair, which))
    setattr(channel_pair, which, None)
    poller.wait(0)
    poller.wait(0)
    assert (channel_pair.received, channel_pair.closed_count) == ([{"a": b"1"}], 1)


def test_a_closed_channel_leaves_the_files_of_others_alone(poller, channel_pair, pipe):
    """Closing twice does not close what has got its numbers since."""
    channel_pair.channel.close()
    numbers = os.pipe()
    channel_pair.channel.close()
    for number in numbers:
        os.close(number)  # raises if it was closed


def test_an_event_of_a_closed_file_reaches_nobody(poller, pipe):
    """Its number may belong to another file before the events of one poll are through."""
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


def test_waiting_for_nothing_lasts_until_the_deadline(poller):
    """Not a moment less: the keeper would go round and round before each of its deadlines."""
    began = time.monotonic()
    poller.wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_output_is_kept_up_to_its_bound(poller, pipe):
    """The rest is read and dropped, so the writer is never blocked."""
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
def test_lines_are_handed_on_up_to_their_bound(poller, pipe, pieces):
    """However the octets come; that something is left out is said once, until the next run."""
    heard = []
    lines = LineForwarder(poller, detach(pipe, 0), 10, heard.append)
    for piece in [*pieces, b"dddd\n", b"e"]:
        os.write(pipe[1], piece)
        poller.wait(0)
    assert heard == [b"aaaa", b"bb", b"c", b"(what it wrote after this is left out)"]
    lines.reset_limit()
    os.write(pipe[1], b"f\ng")
    close_end(pipe, 1)
    poller.wait(0)
    poller.wait(0)
    assert heard[4:] == [b"f", b"g"]


def test_a_line_without_end_is_bounded_too(poller, pipe):
    """Its beginning is handed on."""
    heard = []
    LineForwarder(poller, detach(pipe, 0), 4, heard.append)
    for _ in range(3):
        os.write(pipe[1], b"aaa")
        poller.wait(0)
    assert heard == [b"aaaa", b"(what it wrote after this is left out)"]
