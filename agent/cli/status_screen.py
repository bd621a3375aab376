"""What `modem-agent status` shows, as labelled rows: from the response of the agent, without I/O."""

from __future__ import annotations

from agent.cli.signal_bars import count_bars, draw_bars, draw_chart, name_level
from agent.cli.styled_text import Display, Row, Style
from agent.cli.time_text import format_ago, format_duration, format_time, parse_time

TYPE_CHECKING = False  # importing typing and pathlib takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    Status = Mapping[str, Any]

MAX_CHART_COLUMNS = 48
"""A quarter of an hour for each column of 12 hours."""
_SIGNAL_STYLES = (Style.PLAIN, Style.WRONG, Style.WARNING, Style.PLAIN, Style.GOOD, Style.GOOD)
"""By the number of bars."""


def make_rows(status: Status, now: float, display: Display) -> Iterator[Row]:
    """Yield the rows, the most important first. `now` is in seconds since 1970."""
    uptime = format_duration(status.get("uptime_s", 0))
    yield Row(
        "",
        f"modem-agent {status['version']}, {status['service']} ({status['number']}), pid {status['pid']}, "
        f"up {uptime}",
        Style.BOLD,
    )
    if status["problems"]:
        for problem in status["problems"]:
            yield Row("", problem, Style.WRONG)
        yield Row("", "next: sudo modem-agent doctor", Style.BOLD)
    else:
        yield Row("", "Commands can be received and answered", Style.GOOD)
    yield Row("", "")
    yield from _make_module_rows(status["modem"], now, display)
    yield from _make_message_rows(status, now)
    yield from _make_trouble_rows(status)


def _make_module_rows(modem: Status, now: float, display: Display) -> Iterator[Row]:
    facts = (
        modem.get("module"),
        modem.get("revision"),
        _label("IMEI", modem.get("imei")),
        _label("profile", modem.get("profile")),
    )
    has_reason = modem.get("problem_since") is not None  # then it is above
    yield Row("module", _join(*facts) or ("" if has_reason else modem["state"]))
    if (absent := modem["sim_absent_since"]) is not None:
        yield Row("SIM", _describe_since("none", absent, now), Style.WRONG)
    else:
        yield Row("SIM", _label("ICCID", modem.get("iccid")))
    yield Row("operator", _join(modem.get("operator"), modem.get("access_technology")))
    yield from _make_signal_rows(modem, display)
    if (registration := modem.get("registration")) is not None:
        duration = modem.get("registration_for_s")
        since = "" if duration is None else f" for {format_duration(duration)}"
        domains = modem.get("domains") or {}
        others = [f"{name} {state}" for name, state in domains.items() if state != registration]
        is_registered = registration.startswith("registered")
        yield Row(
            "registration",
            _join(f"{registration}{since}", *others),
            Style.PLAIN if is_registered else Style.WRONG,
        )
    elif has_reason:
        yield Row("session", _describe_since("none", modem["problem_since"], now), Style.WRONG)
    if (duration := modem.get("session_for_s")) is not None:
        yield Row(
            "session",
            _join(
                f"number {modem['sessions']}, for {format_duration(duration)}",
                _join(*modem.get("stores", [])),
                "" if modem.get("notifications", True) else "no notifications",
            ),
        )


def _make_signal_rows(modem: Status, display: Display) -> Iterator[Row]:
    dbm, history = modem.get("signal_dbm"), modem.get("signal_history") or {"dbm": []}
    if dbm is not None:
        count = count_bars(dbm)
        text = f"{draw_bars(count, unicode=display.has_unicode)} {dbm} dBm, {name_level(dbm)}"
        yield Row("signal", text, _SIGNAL_STYLES[count])
    elif "signal_dbm" in modem:
        yield Row("signal", "unknown")
    known = [value for value in history["dbm"] if value is not None]
    if len(known) > 1:
        span = format_duration(len(history["dbm"]) * history["interval_s"])
        chart = f"{draw_chart(history['dbm'], MAX_CHART_COLUMNS)} " if display.has_unicode else ""
        yield Row("last hours", f"{chart}{span}: {min(known)} to {max(known)} dBm")


def _make_message_rows(status: Status, now: float) -> Iterator[Row]:
    yield Row("last Command", _describe_command(status["last_command"], now))
    yield Row("last answer", _describe_answer(status["last_answer"], now))
    commands, replies = dict(status["commands"]), dict(status["replies"])
    waiting = [
        _count(commands.pop("received", 0), "Command"),
        _count(commands.pop("parts", 0), "part", " of incomplete messages"),
        _count(replies.pop("queued", 0) + replies.pop("sending", 0), "reply", plural="replies"),
    ]
    running = _join(*status["running"])
    yield Row("waiting", _join(*filter(None, waiting), _label("running:", running)) or "nothing")
    ignored = commands.pop("ignored", 0)
    commands.pop("running", None)
    yield Row("Commands", _join(*(f"{count} {name}" for name, count in commands.items())) or "none yet")
    yield Row("answers", _join(*(f"{count} {name}" for name, count in replies.items())) or "none yet")
    if ignored:
        last = status.get("last_ignored")
        detail = f", the last {format_ago(parse_time(last['at']), now)}: {last['reason']}" if last else ""
        yield Row("ignored", f"{ignored}{detail}")
    yield Row("sent", _describe_sent(status), Style.WARNING if _is_limit_reached(status) else Style.PLAIN)
    recovery = status["recovery"]
    resets = (
        f"{recovery['resets_hour']} of {recovery['resets_per_hour']} this hour, "
        f"{recovery['resets_day']} of {recovery['resets_per_day']} today"
    )
    if last := recovery.get("last_reset"):
        resets += f"; the last {format_ago(parse_time(last['at']), now)} ({last['action']}): {last['reason']}"
    yield Row("resets", resets)


def _shorten_shown(text: str | None, problems: Sequence[str]) -> str:
    """Return a text such as `since TIME: REASON` without the reason if a problem above has it."""
    since, _, reason = (text or "").partition(": ")
    return since if reason and any(reason in problem for problem in problems) else text or ""


def _make_trouble_rows(status: Status) -> Iterator[Row]:
    """Yield the rows that are absent while all is well."""
    modem, recovery = status["modem"], status["recovery"]
    rows = {
        "recovery": recovery["state"],
        "not done": recovery["not_done"],
        "sending": modem.get("sending"),
        "held": status["held"],
        "alarm": status.get("alarm"),
        "read error": modem.get("read_error"),
        "port conflict": status["port_conflict"],
        "journal error": _shorten_shown(status["journal_error"], status["problems"]),
        "volatile": status["volatile_journal"],
        "damaged": _join(*status["damaged_journals"]),
        "overdue": _join(*status["overdue"]),
    }
    yield from (Row(name, text, Style.WARNING) for name, text in rows.items() if text)
    for error in status["handler_errors"]:
        yield Row("handler error", error, Style.WRONG)
    for note in modem.get("notes", []):
        yield Row("note", note)


def _describe_command(row: Status | None, now: float) -> str:
    if row is None:
        return "none yet"
    number = f"{row['id']} {row['state']}"
    return _join(
        f"{number} {format_ago(parse_time(row['ended'] or row['received']), now)}",
        _label("handler", row["handler"]),
        row["sid"],
        row.get("reason"),
    )


def _describe_answer(row: Status | None, now: float) -> str:
    if row is None:
        return "none yet"
    state = f"{row['id']} {row['state']} {format_ago(parse_time(row['sent'] or row['queued']), now)}"
    return _join(state, f"to Command {row['command']}", row.get("reason"))


def _describe_sent(status: Status) -> str:
    sent, limits, price = status.get("sent"), status.get("limits"), status.get("price_per_message")
    if not sent or not limits:
        return ""
    return _join(
        f"{sent['last_minute']} of {limits['minute']} in a minute",
        f"{sent['last_day']} of {limits['day']} in a day" + _format_cost(sent["last_day"], price),
        f"{sent['last_30_days']} in 30 days" + _format_cost(sent["last_30_days"], price),
    )


def _is_limit_reached(status: Status) -> bool:
    sent, limits = status.get("sent"), status.get("limits")
    if not sent or not limits:
        return False
    return bool(sent["last_minute"] >= limits["minute"] or sent["last_day"] >= limits["day"])


def _describe_since(state: str, since: str, now: float) -> str:
    """Return a state with how long it has lasted, and since when."""
    moment = parse_time(since)
    return f"{state} for {format_duration(now - (moment or now))}, since {format_time(moment, now)}"


def _format_cost(count: int, price: str | None) -> str:
    """Return the price of so many messages in parentheses, with at least two decimals."""
    if not price:
        return ""
    amount, _, currency = price.partition(" ")
    decimals = max(2, len(amount.partition(".")[2]))
    return f" ({count * float(amount):.{decimals}f} {currency})"


def _count(number: int, noun: str, suffix: str = "", plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}{suffix}" if number else ""


def _label(name: str, value: object) -> str:
    return f"{name} {value}" if value else ""


def _join(*parts: str | None) -> str:
    return ", ".join(filter(None, parts))
