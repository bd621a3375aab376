"""Back into step with a module whose answers may belong to the past.

The mark of the present is the information line of a query: its name differs from all that is outstanding, and
a module works off its commands in order, so when that line comes everything before it is over. Result codes
alone prove nothing, OK looks like OK. Queries that modules are likely to know take turns; none of their names
is an unsolicited code. A module that refuses them all with an error each is believed after a silence.

Text entry that may be open is closed by ESC first. Where ESC does nothing, an end that can do no harm is
written as the last resort, if the command that opened the entry has one and nothing of its body was written.
"""

from __future__ import annotations

import asyncio
import itertools
import re

from agent.at.command import Answer, AtCommand
from agent.at.engine import ESC
from agent.at.event import LateResult
from agent.at.line import Conversation, Line

RESYNCHRONISE_S = 20.0
"""A module that boots answers again after 5 to 20 s (modules.md); later a new session finds it as well."""
ESCAPE_S = 1.0
"""ESC at a prompt is answered at once; V.250 5.7 has 0.1 s between two lines."""
ENTRY_S = 0.3
"""After ESC and CR at the start: what was left over in the module's input has been answered by then."""
LAG_S = 2.5
"""What a slow module may need for each question; the second time twice as long, and so on."""
TUNED_S = 0.1
QUIET_S = 0.5
GUARD_S = 1.1
"""Silence before and after `+++`, which must be a second at least [SIM7600 manual]."""
FRAMES_S = 4.0
"""PPP asks every 3 s while nobody answers it."""
_FRAME = re.compile(r"~(?:(?:\xff|\\xff)(?:\}#|\x03|\\x03)|(?:\x00|\\x00)?!E)")
"""How PPP frames begin, as octets or made visible: address and control field, escaped or not (RFC 1662 3.1
and 7.1), or, where both sides leave these out, the protocol number of IP and its version."""


def _query(name: str) -> AtCommand:
    return AtCommand(f"AT{name}?", 2.0, (Answer(name),), informs=True, settle_s=1.0, marks=True)


QUERIES = tuple(_query(name) for name in ("+CMEE", "+CMGF", "+CSCS", "+CSMS"))
KNOCK = AtCommand("AT", 0.5)
UNMUTE = AtCommand("ATE0Q0V1", 0.5)
"""For a module that was told to be quiet (ATQ1): its answer comes in words again."""


async def resynchronise(line: Line, past: Conversation | None, within_s: float = RESYNCHRONISE_S) -> bool:
    """Ask until the present answers; False when it did not in time. `past` gets what came for it.

    `within_s`: seconds for that, to which is added what a slow module needs for what it was asked before.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    if past is not None and past.command.body and past.final is None and not past.settled:
        await _escape(line, past)
    if line.markless:
        await line.rest(QUIET_S)
        _believe(line, past)
        return line.loss is None
    queries = [query for query in QUERIES if past is None or query.line != past.command.line]
    refusals, heard = 0, line.late_finals
    for attempt in itertools.count():
        if attempt and attempt % len(QUERIES) == 0 and line.late_finals > heard:
            deadline += await _drain(line, LAG_S * (attempt // len(QUERIES)), within_s)
            heard = line.late_finals
        remaining = deadline - asyncio.get_running_loop().time()
        if line.loss is not None or remaining <= 0:
            return False
        if attempt == 1:
            line.write(ESC + b"\r")
            await line.rest(ENTRY_S)
        if attempt == 2 and past is not None and _entry_is_stuck(line, past):
            line.write(past.command.give_up)
        finals = line.late_finals
        asked = await _ask(line, queries[attempt % len(queries)], min(1.0 + attempt, 4.0, remaining))
        if asked.information:
            line.engine.trust()
            if past is not None:
                past.late.extend(_of_the_past(line, queries, attempt))
            return True
        refusals += line.late_finals > finals
        if refusals == attempt + 1 == len(queries):
            line.markless = True
            await line.rest(QUIET_S)
            _believe(line, past)
            return True
    return False


async def _drain(line: Line, silence_s: float, within_s: float) -> float:
    """Let a slow module work off what it was asked: it answers, but always to a question given up before.

    Returns the seconds that it took, which are no silence of the module.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + within_s and await line.listen(silence_s) is not None:
        pass
    return loop.time() - began


def _believe(line: Line, past: Conversation | None) -> None:
    """Nothing marks the present, but it has been quiet: what has a name still tells whose it was."""
    line.engine.trust()
    if past is not None:
        past.late.extend(late for late in line.late if late.final is None)


async def wake(line: Line, within_s: float) -> bool:
    """Make a module answer of which nothing is known: asleep, autobauding, muted, or at somebody's prompt.

    Where the rate of the line is not known, each is tried in turn. Never writes Ctrl-Z: it would send what a
    dead program had begun. Where a data call was met last time, nothing at all is written while it lives.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    line.engine.distrust()
    line.markless = False
    if line.memory.in_data_mode:
        await line.rest(FRAMES_S)
        if in_data_mode(line):
            return False
    rates = tuple(line.memory.rates) or (0,)
    line.write(ESC + b"\r")
    await line.rest(ENTRY_S)
    guarded = False
    for attempt in itertools.count():
        remaining = deadline - asyncio.get_running_loop().time()
        if line.loss is not None or remaining <= 0:
            return False
        if in_data_mode(line):
            line.memory.in_data_mode = True
            if guarded:
                return False
            guarded = True
            await _leave_data_mode(line)
            continue
        tour, place = divmod(attempt, len(rates))
        if len(rates) > 1:
            line.tune(rates[place])
            line.write(b"\r")  # ends what the module has made of the rates before
            await line.rest(TUNED_S)
        if await _answers(line, tour, remaining):
            line.memory.answered_at(rates[place])
            line.memory.in_data_mode = False
            return True
    return False


async def _answers(line: Line, tour: int, remaining: float) -> bool:
    """Knock once, and see that what answers is there; `tour`: how often it was knocked so before."""
    knock = UNMUTE if tour % 4 == 3 else KNOCK
    knocked = await _ask(line, knock, min(0.5 + 0.25 * tour, 2.0, remaining))
    if knocked.final is None and tour % 3 != 1:
        return False
    # Some modules say nothing to a bare AT and answer all else.
    line.knocks = knocked.final is not None and knocked.final.ok
    patience = RESYNCHRONISE_S if knocked.final is not None else 1.0
    line.late.clear()
    return await resynchronise(line, None, min(patience, remaining))


def in_data_mode(line: Line) -> bool:
    """Whether PPP frames were heard."""
    return any(_FRAME.search(heard) for heard in (line.engine.unfinished, *line.heard))


async def _leave_data_mode(line: Line) -> None:
    """`+++` with its guard times, once: a link that is alive must not be filled with AT commands."""
    await line.rest(GUARD_S)
    line.write(b"+++")
    answer = await line.listen(2 * GUARD_S)
    if answer is not None:
        line.heard.clear()
        line.engine.forget()


async def _escape(line: Line, past: Conversation) -> None:
    """Close a text entry. OK, and nothing else before it, shows that the entry was still open."""
    line.write(ESC)
    answer = await line.listen(ESCAPE_S)
    if answer is None or answer.final is None:
        return
    if answer.final.ok and not any(late.final is None and not late.prompt for late in line.late):
        past.escaped = True
        line.late.clear()


def _entry_is_stuck(line: Line, past: Conversation) -> bool:
    """Whether a prompt was seen, ESC did not help, and an end of the entry can send nothing."""
    seen = past.prompted or any(late.prompt for late in line.late)
    return seen and not past.body_begun and not past.escaped and bool(past.command.give_up)


async def _ask(line: Line, command: AtCommand, seconds: float) -> Conversation:
    asked = line.start(command, seconds)
    while not asked.ended:
        await asked.progress()
    return asked


def _of_the_past(line: Line, queries: list[AtCommand], attempt: int) -> list[LateResult]:
    """What belongs to the command given up. A result code does so only if no query was refused before."""
    names = {answer.name for query in queries[:attempt] for answer in query.answers}
    return [
        late
        for late in line.late
        if (late.final is None or attempt == 0) and late.text.partition(":")[0] not in names
    ]
