"""Resynchronise with a module whose results may belong to earlier commands; wake a module.

The information line of a synchronisation query shows that every earlier command has ended, because its name
differs from all outstanding answers, and a module executes its commands in order. Result codes alone prove
nothing, since every OK looks the same. The queries are commands that most modules know, sent in turn; none of
their names is the name of a URC. A module that refuses all of them is assumed to be synchronised after a
silence.

Text entry that may be open is closed by ESC first. If ESC has no effect, and no octet of the body was
written, the abort sequence of the command is the last resort, if it has one.
"""

from __future__ import annotations

import asyncio
import itertools

from agent.at.command import AtCommand, ResponsePattern
from agent.at.connection import AtConnection
from agent.at.events import StaleResult
from agent.at.no_answer import has_ppp_frame
from agent.at.pending_command import PendingCommand
from agent.at.protocol import ESC

RESYNC_TIMEOUT_S = 20.0
"""A module that boots answers again after 5 to 20 s. A slower one is found by the next session."""
ESCAPE_TIMEOUT_S = 1.0
"""ESC in text entry is answered at once; V.250 5.7 allows 0.1 s between two lines."""
INPUT_FLUSH_S = 0.3
"""Pause after ESC and CR, in which the module answers what was left in its input."""
FIRST_ANSWER_S = 0.02
"""If nothing has come by then, the input was empty: an answer takes 10 ms at 9600 baud. That of a slower
module comes between the queries that follow, and cannot be taken for theirs."""
SLOW_ANSWER_S = 2.5
"""Time for a slow module to answer each query of the first round; twice as long in the second, and so on."""
BAUD_SETTLE_S = 0.1
"""Pause after a change of the baud rate."""
UNMARKED_SYNC_SILENCE_S = 0.5
"""Silence after which a module that refuses every query is assumed to be synchronised."""
GUARD_TIME_S = 1.1
"""Silence before and after `+++`, which must last at least one second [SIM7600 manual]."""
PPP_LISTEN_S = 4.0
"""PPP sends a request every 3 s while its peer does not answer."""


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
"""Makes a module with result codes switched off (ATQ1) answer in words again."""


async def resynchronise(
    connection: AtConnection, abandoned: PendingCommand | None, timeout_s: float = RESYNC_TIMEOUT_S
) -> bool:
    """Send synchronisation queries until one is answered. Return False if none was answered in time.

    Results that belong to `abandoned` are added to its `stale_results`. The time that a slow module needs for
    earlier queries is added to `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    if (
        abandoned is not None
        and abandoned.command.body
        and abandoned.final is None
        and not abandoned.information
    ):
        await _escape_text_entry(connection, abandoned)
    if connection.rejects_sync_queries:
        await connection.pause(UNMARKED_SYNC_SILENCE_S)
        _assume_synced(connection, abandoned)
        return not connection.is_lost
    queries = [query for query in SYNC_QUERIES if abandoned is None or query.line != abandoned.command.line]
    refusals, drained_finals = 0, connection.stale_final_count
    for attempt in itertools.count():
        rounds, place = divmod(attempt, len(SYNC_QUERIES))
        if rounds and not place and connection.stale_final_count > drained_finals:
            deadline += await _drain_backlog(connection, SLOW_ANSWER_S * rounds, timeout_s)
            drained_finals = connection.stale_final_count
        remaining = deadline - loop.time()
        if connection.is_lost or remaining <= 0:
            return False
        if attempt == 1:
            connection.write(ESC + b"\r")
            await connection.pause(INPUT_FLUSH_S)
        if attempt == 2 and abandoned is not None and _is_text_entry_stuck(connection, abandoned):
            connection.write(abandoned.command.abort_sequence)
        finals_before = connection.stale_final_count
        query_timeout_s = min(1.0 + attempt, 4.0, remaining)
        query = await _run_query(connection, queries[attempt % len(queries)], query_timeout_s)
        if query.information:
            connection.protocol.mark_synced()
            if abandoned is not None:
                abandoned.stale_results.extend(_select_stale_results(connection, queries, attempt))
            return True
        refusals += connection.stale_final_count > finals_before
        if refusals == attempt + 1 == len(queries):
            connection.rejects_sync_queries = True
            await connection.pause(UNMARKED_SYNC_SILENCE_S)
            _assume_synced(connection, abandoned)
            return True
    return False


async def _drain_backlog(connection: AtConnection, silence_s: float, timeout_s: float) -> float:
    """Let a slow module answer earlier queries: it answers each one, but only after the query was abandoned.

    Returns the seconds that this took.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + timeout_s and await connection.wait_final_result(silence_s) is not None:
        pass
    return loop.time() - began


def _assume_synced(connection: AtConnection, abandoned: PendingCommand | None) -> None:
    """End the resynchronisation after a silence. The name of a late answer still identifies its command."""
    connection.protocol.mark_synced()
    if abandoned is not None:
        abandoned.stale_results.extend(late for late in connection.stale_results if late.final is None)


async def wake_module(connection: AtConnection, timeout_s: float, *, may_change: bool = True) -> bool:
    """Make a module in an unknown state answer: asleep, autobauding, muted, or in text entry.

    Where the baud rate is not known, each rate is tried in turn. Ctrl-Z is never written: it would send what
    another program had begun. If a data call was found the last time, nothing is written while it is active.
    Without `may_change` a data call is not left, and a module with result codes switched off stays so.
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
    if await connection.wait_final_result(FIRST_ANSWER_S) is not None or connection.protocol.partial_line:
        await connection.pause(INPUT_FLUSH_S)
    has_tried_to_leave = False
    for attempt in itertools.count():
        remaining = deadline - asyncio.get_running_loop().time()
        if connection.is_lost or remaining <= 0:
            return False
        if is_in_data_mode(connection):
            connection.port_state.is_in_data_mode = True
            if has_tried_to_leave or not may_change:
                return False
            has_tried_to_leave = True
            await _leave_data_mode(connection)
            continue
        round_index, rate_index = divmod(attempt, len(rates))
        if len(rates) > 1:
            connection.set_baud(rates[rate_index])
            connection.write(b"\r")  # ends the line that the module has made of octets at other rates
            await connection.pause(BAUD_SETTLE_S)
        command = RESTORE_RESULT_CODES if may_change and round_index % 4 == 3 else PROBE
        if await _probe_module(connection, command, round_index, remaining):
            connection.port_state.prefer_baud(rates[rate_index])
            connection.port_state.is_in_data_mode = False
            return True
    return False


async def _probe_module(
    connection: AtConnection, command: AtCommand, round_index: int, remaining_s: float
) -> bool:
    """Write one command, and resynchronise if it is answered. `round_index` counts the earlier rounds."""
    probe = await _run_query(connection, command, min(0.5 + 0.25 * round_index, 2.0, remaining_s))
    if probe.final is None and round_index % 3 != 1:
        return False
    # Some modules do not answer a bare AT, but everything else.
    connection.answers_bare_at = probe.final is not None and probe.final.ok
    timeout_s = RESYNC_TIMEOUT_S if probe.final is not None else 1.0
    connection.stale_results.clear()
    return await resynchronise(connection, None, min(timeout_s, remaining_s))


def is_in_data_mode(connection: AtConnection) -> bool:
    """Return True if PPP frames were received last."""
    return any(has_ppp_frame(line) for line in (connection.protocol.partial_line, *connection.recent_lines))


async def _leave_data_mode(connection: AtConnection) -> None:
    """Write `+++` with its guard times, once: AT commands must not be written into an active data call."""
    await connection.pause(GUARD_TIME_S)
    connection.write(b"+++")
    result = await connection.wait_final_result(2 * GUARD_TIME_S)
    if result is not None:
        connection.recent_lines.clear()
        connection.protocol.discard_partial_line()


async def _escape_text_entry(connection: AtConnection, abandoned: PendingCommand) -> None:
    """Close text entry. OK, with nothing else before it, proves that text entry was still open."""
    connection.write(ESC)
    result = await connection.wait_final_result(ESCAPE_TIMEOUT_S)
    if result is None or result.final is None:
        return
    if result.final.ok and not any(
        late.final is None and not late.is_prompt for late in connection.stale_results
    ):
        abandoned.escape_confirmed = True
        connection.stale_results.clear()


def _is_text_entry_stuck(connection: AtConnection, abandoned: PendingCommand) -> bool:
    """Return True if ESC had no effect in text entry, and the abort sequence cannot send anything."""
    prompt_seen = abandoned.prompt_seen or any(late.is_prompt for late in connection.stale_results)
    return (
        prompt_seen
        and not abandoned.body_sent
        and not abandoned.escape_confirmed
        and bool(abandoned.command.abort_sequence)
    )


async def _run_query(connection: AtConnection, command: AtCommand, timeout_s: float) -> PendingCommand:
    pending = connection.start_command(command, timeout_s)
    await pending.wait_finished()
    return pending


def _select_stale_results(
    connection: AtConnection, queries: list[AtCommand], attempt: int
) -> list[StaleResult]:
    """Return what belongs to the abandoned command. A result code does so only if no query came before it."""
    names = {pattern.prefix for query in queries[:attempt] for pattern in query.response_patterns}
    return [
        late
        for late in connection.stale_results
        if (late.final is None or attempt == 0) and late.text.partition(":")[0] not in names
    ]
