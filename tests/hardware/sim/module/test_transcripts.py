"""The reference conversations, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "transcripts"


def parse_steps(text):
    """Pairs of what happens and what the module says to it, in the notation of the files."""
    happening, output, pairs = None, "", []
    for line in text.splitlines():
        sign, _, rest = line.partition(" ")
        if sign == "<":
            output += rest
        elif sign in {">", "!"}:
            pairs.append((happening, output))
            happening, output = (sign, rest), ""
        elif line and sign != "#":
            raise ValueError(f"not understood: {line}")
    return [*pairs, (happening, output)][1:]


def unescape(notation):
    """`\\r`, `\\n`, `\\x1a`, `\\x20` stand for single bytes."""
    return notation.encode("latin-1").decode("unicode_escape")


def perform_step(bench, what):
    sign, rest = what
    if sign == ">":
        return bench.type(unescape(rest))
    word, _, argument = rest.partition(" ")
    match word:
        case "deliver":
            return bench.deliver(argument)
        case "network-refuses":
            bench.network.cause = int(argument) if argument else None
        case "registration":
            bench.network.stat = int(argument)
            bench.module.set_registration(bench.network.stat)
        case "reference":
            bench.sim.last_message_reference = (int(argument) - 1) % 256
        case "pin":
            bench.sim.pin, bench.sim.pin_enabled = argument, True
            bench.module.sim_access.power_down()
            bench.module.sim_access.power_up()
        case "network-searches":
            bench.network.stat = 2
        case _:
            raise ValueError(rest)
    return bench.take_output().decode("latin-1")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path, make_running_bench):
    """The output at each step is exactly that of the transcript."""
    bench = make_running_bench()
    for what, output in parse_steps(path.read_text()):
        assert (what, perform_step(bench, what)) == (what, unescape(output))


def test_all_transcripts_are_there():
    """Each of the nine conversations has its file."""
    assert {path.name[:2] for path in FOLDER.glob("*.txt")} == {f"{number:02}" for number in range(1, 10)}
