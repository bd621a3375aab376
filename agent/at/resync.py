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

from agent.at.command import AtCommand, ResponsePattern
from agent.at.connection import AtConnection, PendingCommand
from agent.at.events import StaleResult
from agent.at.protocol import ESC

RESYNC_TIMEOUT_S = 20.0
"""A module that boots answers again after 5 to 20 s (modules.md); later a new session finds it as well."""
ESCAPE_TIMEOUT_S = 1.0
"""ESC at a prompt is answered at once; V.250 5.7 has 0.1 s between two lines."""
INPUT_FLUSH_S = 0.3
"""After ESC and CR at the start: what was left over in the module's input has been answered by then."""
SLOW_ANSWER_S = 2.5
"""What a slow module may need for each question; the second time twice as long, and so on."""
BAUD_SETTLE_S = 0.1
UNMARKED_SYNC_SILENCE_S = 0.5
GUARD_TIME_S = 1.1
"""Silence before and after `+++`, which must be a second at least [SIM7600 manual]."""
PPP_LISTEN_S = 4.0
"""PPP asks every 3 s while nobody answers it."""
_PPP_FRAME = re.compile(r"~(?:(?:\xff|\\xff)(?:\}#|\x03|\\x03)|(?:\x00|\\x00)?!E)")
"""How PPP frames begin, as octets or made visible: address and control field, escaped or not (RFC 1662 3.1
and 7.1), or, where both sides leave these out, the protocol number of IP and its version."""


def _sync_query(name: str) -> AtCommand:
    return AtCommand(
        f"AT{name}?",
        2.0,
        (ResponsePattern(name),),
        requires_information=True,
        final_result_grace_s=1.0,
        is_sync_marker=True,
    )


SYNC_QUERIES = tuple(_sync_query(name) for name in ("+CMEE", "+CMGF", "+CSCS", "+CSMS"))
PROBE = AtCommand("AT", 0.5)
RESTORE_RESULT_CODES = AtCommand("ATE0Q0V1", 0.5)
"""For a module that was told to be quiet (ATQ1): its answer comes in words again."""


async def resynchronise(
    connection: AtConnection, abandoned: PendingCommand | None, timeout_s: float = RESYNC_TIMEOUT_S
) -> bool:
    """Ask until the present answers; False when it did not in time. `past` gets what came for it.

    `within_s`: seconds for that, to which is added what a slow module needs for what it was asked before.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    if (
        abandoned is not None
        and abandoned.command.body
        and abandoned.final is None
        and not abandoned.has_information
    ):
        await _escape_text_entry(connection, abandoned)
    if connection.rejects_sync_queries:
        await connection.pause(UNMARKED_SYNC_SILENCE_S)
        _assume_synced(connection, abandoned)
        return connection.lost_error is None
    queries = [query for query in SYNC_QUERIES if abandoned is None or query.line != abandoned.command.line]
    refusals, heard = 0, connection.stale_final_count
    for attempt in itertools.count():
        if attempt and attempt % len(SYNC_QUERIES) == 0 and connection.stale_final_count > heard:
            deadline += await _drain_backlog(
                connection, SLOW_ANSWER_S * (attempt // len(SYNC_QUERIES)), timeout_s
            )
            heard = connection.stale_final_count
        remaining = deadline - asyncio.get_running_loop().time()
        if connection.lost_error is not None or remaining <= 0:
            return False
        if attempt == 1:
            connection.write(ESC + b"\r")
            await connection.pause(INPUT_FLUSH_S)
        if attempt == 2 and abandoned is not None and _is_text_entry_stuck(connection, abandoned):
            connection.write(abandoned.command.abort_sequence)
        finals = connection.stale_final_count
        asked = await _run_query(
            connection, queries[attempt % len(queries)], min(1.0 + attempt, 4.0, remaining)
        )
        if asked.information:
            connection.protocol.mark_synced()
            if abandoned is not None:
                abandoned.stale_results.extend(_select_stale_results(connection, queries, attempt))
            return True
        refusals += connection.stale_final_count > finals
        if refusals == attempt + 1 == len(queries):
            connection.rejects_sync_queries = True
            await connection.pause(UNMARKED_SYNC_SILENCE_S)
            _assume_synced(connection, abandoned)
            return True
    return False


async def _drain_backlog(connection: AtConnection, silence_s: float, timeout_s: float) -> float:
    """Let a slow module work off what it was asked: it answers, but always to a question given up before.

    Returns the seconds that it took, which are no silence of the module.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + timeout_s and await connection.wait_final_result(silence_s) is not None:
        pass
    return loop.time() - began


def _assume_synced(connection: AtConnection, abandoned: PendingCommand | None) -> None:
    """Nothing marks the present, but it has been quiet: what has a name still tells whose it was."""
    connection.protocol.mark_synced()
    if abandoned is not None:
        abandoned.stale_results.extend(late for late in connection.stale_results if late.final is None)


async def wake_module(connection: AtConnection, timeout_s: float) -> bool:
    """Make a module answer of which nothing is known: asleep, autobauding, muted, or at somebody's prompt.

    Where the rate of the line is not known, each is tried in turn. Never writes Ctrl-Z: it would send what a
    dead program had begun. Where a data call was met last time, nothing at all is written while it lives.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    connection.protocol.mark_unsynced()
    connection.rejects_sync_queries = False
    if connection.port_state.is_in_data_mode:
        await connection.pause(PPP_LISTEN_S)
        if is_in_data_mode(connection):
            return False
    rates = tuple(connection.port_state.baud_rates) or (0,)
    connection.write(ESC + b"\r")
    await connection.pause(INPUT_FLUSH_S)
    guarded = False
    for attempt in itertools.count():
        remaining = deadline - asyncio.get_running_loop().time()
        if connection.lost_error is not None or remaining <= 0:
            return False
        if is_in_data_mode(connection):
            connection.port_state.is_in_data_mode = True
            if guarded:
                return False
            guarded = True
            await _leave_data_mode(connection)
            continue
        tour, place = divmod(attempt, len(rates))
        if len(rates) > 1:
            connection.set_baud(rates[place])
            connection.write(b"\r")  # ends what the module has made of the rates before
            await connection.pause(BAUD_SETTLE_S)
        if await _probe_module(connection, tour, remaining):
            connection.port_state.prefer_baud(rates[place])
            connection.port_state.is_in_data_mode = False
            return True
    return False


async def _probe_module(connection: AtConnection, round_index: int, remaining_s: float) -> bool:
    """Knock once, and see that what answers is there; `tour`: how often it was knocked so before."""
    knock = RESTORE_RESULT_CODES if round_index % 4 == 3 else PROBE
    knocked = await _run_query(connection, knock, min(0.5 + 0.25 * round_index, 2.0, remaining_s))
    if knocked.final is None and round_index % 3 != 1:
        return False
    # Some modules say nothing to a bare AT and answer all else.
    connection.answers_bare_at = knocked.final is not None and knocked.final.ok
    patience = RESYNC_TIMEOUT_S if knocked.final is not None else 1.0
    connection.stale_results.clear()
    return await resynchronise(connection, None, min(patience, remaining_s))


def is_in_data_mode(connection: AtConnection) -> bool:
    """Whether PPP frames were heard."""
    return any(
        _PPP_FRAME.search(heard) for heard in (connection.protocol.partial_line, *connection.recent_lines)
    )


async def _leave_data_mode(connection: AtConnection) -> None:
    """`+++` with its guard times, once: a link that is alive must not be filled with AT commands."""
    await connection.pause(GUARD_TIME_S)
    connection.write(b"+++")
    answer = await connection.wait_final_result(2 * GUARD_TIME_S)
    if answer is not None:
        connection.recent_lines.clear()
        connection.protocol.discard_partial_line()


async def _escape_text_entry(connection: AtConnection, abandoned: PendingCommand) -> None:
    """Close a text entry. OK, and nothing else before it, shows that the entry was still open."""
    connection.write(ESC)
    answer = await connection.wait_final_result(ESCAPE_TIMEOUT_S)
    if answer is None or answer.final is None:
        return
    if answer.final.ok and not any(
        late.final is None and not late.is_prompt for late in connection.stale_results
    ):
        abandoned.escape_confirmed = True
        connection.stale_results.clear()


def _is_text_entry_stuck(connection: AtConnection, abandoned: PendingCommand) -> bool:
    """Whether a prompt was seen, ESC did not help, and an end of the entry can send nothing."""
    seen = abandoned.prompt_seen or any(late.is_prompt for late in connection.stale_results)
    return (
        seen
        and not abandoned.body_started
        and not abandoned.escape_confirmed
        and bool(abandoned.command.abort_sequence)
    )


async def _run_query(connection: AtConnection, command: AtCommand, timeout_s: float) -> PendingCommand:
    asked = connection.start_command(command, timeout_s)
    while not asked.is_finished:
        await asked.wait_progress()
    return asked


def _select_stale_results(
    connection: AtConnection, queries: list[AtCommand], attempt: int
) -> list[StaleResult]:
    """What belongs to the command given up. A result code does so only if no query was refused before."""
    names = {answer.prefix for query in queries[:attempt] for answer in query.response_patterns}
    return [
        late
        for late in connection.stale_results
        if (late.final is None or attempt == 0) and late.text.partition(":")[0] not in names
    ]
