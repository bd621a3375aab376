"""The conversations of the reference text, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "transcripts"


def steps(text):
    """Pairs of what happens and what the module says to it, in the notation of the files."""
    happening, said, pairs = None, "", []
    for line in text.splitlines():
        sign, _, rest = line.partition(" ")
        if sign == "<":
            said += rest
        elif sign in {">", "!"}:
            pairs.append((happening, said))
            happening, said = (sign, rest), ""
        elif line and sign != "#":
            raise ValueError(f"not understood: {line}")
    return [*pairs, (happening, said)][1:]


def octets(notation):
    """`\\r`, `\\n`, `\\x1a`, `\\x20` stand for single bytes."""
    return notation.encode("latin-1").decode("unicode_escape")


def happen(bench, what):
    sign, rest = what
    if sign == ">":
        return bench.type(octets(rest))
    word, _, argument = rest.partition(" ")
    match word:
        case "deliver":
            return bench.deliver(argument)
        case "network-refuses":
            bench.air.cause = int(argument) if argument else None
        case "registration":
            bench.air.stat = int(argument)
            bench.module.registration(bench.air.stat)
        case "reference":
            bench.sim.last_message_reference = (int(argument) - 1) % 256
        case "pin":
            bench.sim.pin, bench.sim.asks_pin = argument, True
            bench.module.card.power_down()
            bench.module.card.power_up()
        case "network-searches":
            bench.air.stat = 2
        case _:
            raise ValueError(rest)
    return bench.take().decode("latin-1")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path, running):
    """What the module says to each step is exactly what the transcript shows."""
    bench = running()
    for what, said in steps(path.read_text()):
        assert (what, happen(bench, what)) == (what, octets(said))


def test_all_transcripts_are_there():
    """Each of the nine conversations has its file."""
    assert {path.name[:2] for path in FOLDER.glob("*.txt")} == {f"{number:02}" for number in range(1, 10)}
