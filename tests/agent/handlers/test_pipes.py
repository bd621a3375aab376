"""The keeper's ends of pipes."""

from __future__ import annotations

import os
import time

import pytest

from agent.handlers.frames import pack
from agent.handlers.pipes import Channel, Lines, Output, Poller


@pytest.fixture
def poller():
    poller = Poller()
    yield poller
    for file in list(poller._callbacks):
        poller.drop(file)


@pytest.fixture
def pipe():
    files = list(os.pipe())
    yield files
    for file in files:
        if file is not None:
            os.close(file)


def end(pipe, which):
    """Hand an end over to somebody who will close it."""
    file, pipe[which] = pipe[which], None
    return file


def close(pipe, which):
    os.close(end(pipe, which))


class Pair:
    """A channel to a worker, and the worker's ends."""

    def __init__(self, poller):
        incoming, self.outgoing = os.pipe()
        self.incoming, outgoing = os.pipe()
        self.heard = []
        self.ends = 0
        self.channel = Channel(poller, incoming, outgoing, self.heard.append, self.ended)

    def ended(self):
        self.ends += 1


@pytest.fixture
def pair(poller):
    pair = Pair(poller)
    yield pair
    for file in (pair.outgoing, pair.incoming):
        if file is not None:
            os.close(file)


def test_a_channel_carries_frames_both_ways(poller, pair):
    """In their order."""
    os.write(pair.outgoing, pack({"a": b"1"}) + pack({"b": b"2"}))
    poller.wait(0)
    assert pair.heard == [{"a": b"1"}, {"b": b"2"}]
    pair.channel.send({"c": b"3"})
    assert os.read(pair.incoming, 100) == pack({"c": b"3"})


def test_a_long_frame_does_not_block(poller, pair):
    """What the pipe has no room for goes out when there is room."""
    frame = {"a": b"x" * 500_000}
    pair.channel.send(frame)
    octets = b""
    while len(octets) < len(pack(frame)):
        octets += os.read(pair.incoming, 65536)
        poller.wait(0)
    assert octets == pack(frame)


@pytest.mark.parametrize("rubbish", [b"\xff" * 8, b"\0\0\0\3\0\0\0"])
def test_rubbish_ends_a_channel(poller, pair, rubbish):
    """Once, and what follows is not read."""
    os.write(pair.outgoing, pack({"a": b"1"}) + rubbish + pack({"b": b"2"}))
    poller.wait(0)
    poller.wait(0)
    assert (pair.heard, pair.ends) == ([{"a": b"1"}], 1)
    pair.channel.send({"late": b""})


@pytest.mark.parametrize("which", ["incoming", "outgoing"])
def test_either_end_closed_ends_a_channel(poller, pair, which):
    """After what was said before; nobody polls a dead pipe for ever."""
    os.write(pair.outgoing, pack({"a": b"1"}))
    os.close(getattr(pair, which))
    setattr(pair, which, None)
    poller.wait(0)
    poller.wait(0)
    assert (pair.heard, pair.ends) == ([{"a": b"1"}], 1)


def test_a_closed_channel_leaves_the_files_of_others_alone(poller, pair, pipe):
    """Closing twice does not close what has got its numbers since."""
    pair.channel.close()
    numbers = os.pipe()
    pair.channel.close()
    for number in numbers:
        os.close(number)  # raises if it was closed


def test_an_event_of_a_closed_file_reaches_nobody(poller, pipe):
    """Its number may belong to another file before the events of one poll are through."""
    other = list(os.pipe())
    called = []

    def first(_):
        poller.drop(pipe_end)
        number = os.dup(other[0])
        assert number == pipe_end
        poller.add(number, lambda _: called.append("wrong"))

    pipe_end = end(pipe, 0)
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
    output = Output(poller, end(pipe, 0), 5)
    for _ in range(3):
        os.write(pipe[1], b"abc")
        poller.wait(0)
    assert output.content == b"abcab"
    assert output.open
    close(pipe, 1)
    poller.wait(0)
    assert not output.open
    output.drain()


@pytest.mark.parametrize(
    "pieces", [[b"a" * 4, b"\nbb", b"\nc\n"], [b"aaaa\nbb\nc\n"], [b"aaaa\n", b"bb\nc\n"]]
)
def test_lines_are_handed_on_up_to_their_bound(poller, pipe, pieces):
    """However the octets come; that something is left out is said once, until the next run."""
    heard = []
    lines = Lines(poller, end(pipe, 0), 10, heard.append)
    for piece in [*pieces, b"dddd\n", b"e"]:
        os.write(pipe[1], piece)
        poller.wait(0)
    assert heard == [b"aaaa", b"bb", b"c", b"(what it wrote after this is left out)"]
    lines.renew()
    os.write(pipe[1], b"f\ng")
    close(pipe, 1)
    poller.wait(0)
    poller.wait(0)
    assert heard[4:] == [b"f", b"g"]


def test_a_line_without_end_is_bounded_too(poller, pipe):
    """Its beginning is handed on."""
    heard = []
    Lines(poller, end(pipe, 0), 4, heard.append)
    for _ in range(3):
        os.write(pipe[1], b"aaa")
        poller.wait(0)
    assert heard == [b"aaaa", b"(what it wrote after this is left out)"]
