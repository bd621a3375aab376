"""Everything about one Command or one message, as labelled rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from agent.cli.message_advice import explain_command, explain_ignored, explain_reply
from agent.cli.styled_text import Row as Line
from agent.cli.styled_text import Style
from agent.cli.time_text import format_duration, format_time
from agent.journal.command_record import CommandRecord
from pdu.status import describe_status

Row = Mapping[str, Any]

_STATE_STYLES = {
    "done": Style.GOOD,
    "sent": Style.GOOD,
    "delivered": Style.GOOD,
    "failed": Style.WRONG,
    "expired": Style.WARNING,
    "unknown": Style.WARNING,
}


def make_command_lines(record: CommandRecord, now: float) -> Iterator[Line]:
    """Yield the lines about a Command, its answer and its action. `now` is in seconds since 1970."""
    command = record.command
    reason = f": {command['reason']}" if command["reason"] else ""
    yield Line("", f"Command {command['id']} {command['state']}{reason}", _style_of(command))
    for sentence in explain_command(command, record.replies):
        yield Line("", sentence)
    yield Line("", "")
    yield Line("SID", command["sid"] or "none in its text")
    yield Line("content", _show_content(command["body"]))
    port = "" if command.get("port") is None else f", application port {command['port']}"
    yield Line("from", f"{command['sender']}, {command['mode']}{port}")
    if command["handler"]:
        repeatable = "may run again" if command["repeatable"] else "is never run again"
        yield Line("handler", f"{command['handler']}, {_count(command['attempts'], 'attempt')}, {repeatable}")
    yield from _make_time_lines(_command_times(command), now)
    for line in (command.get("stderr") or "").splitlines():
        yield Line("stderr", line)
    if command["duplicates"]:
        last = format_time(command.get("duplicate_wall"), now)
        again = f"{_count(command['duplicates'], 'time')}{f', last {last}' if last else ''}"
        yield Line("delivered again", again)
    for reply in record.replies:
        yield Line("", "")
        yield from make_reply_lines(reply, now, name="Answer")
    for action in record.actions:
        yield Line("", "")
        reason = f": {action['reason']}" if action["reason"] else ""
        text = f"Action {action['action']} of {action['handler']} {action['state']}{reason}"
        yield Line("", text, _style_of(action))


def make_reply_lines(reply: Row, now: float, name: str = "Message") -> Iterator[Line]:
    """Yield the lines about a message that is or was to be sent."""
    reason = f": {reply['reason']}" if reply["reason"] else ""
    yield Line("", f"{name} {reply['id']} {reply['state']}{reason}", _style_of(reply))
    for sentence in explain_reply(reply):
        yield Line("", sentence)
    yield Line("content", _show_content(reply["text"]))
    details = [f"{reply['user_data_length']} {_UNITS.get(reply['alphabet'], 'octets')}"]
    if reply["parts"] > 1:
        details.append(f"part {reply['part']} of {reply['parts']}")
    if reply["omitted"]:
        details.append(f"{reply['omitted']} characters cut off")
    yield Line("length", ", ".join(details))
    details = [reply["destination"], _count(reply["attempts"], "attempt")]
    if reply["message_reference"] is not None:
        details.append(f"message reference {reply['message_reference']}")
    yield Line("to", ", ".join(details))
    yield from _make_time_lines(_reply_times(reply), now)
    for report in reply["reports"]:
        text = f"{format_time(report['at_wall'], now)}, {describe_status(report['status'])}"
        yield Line("status report", text)


_UNITS = {"gsm7": "septets of 160 for one SMS", "8bit": "octets of 140", "ucs2": "octets of 140, UCS-2"}


def make_ignored_lines(ignored: Row, now: float) -> Iterator[Line]:
    """Yield the lines about a message that is not a Command."""
    yield Line("", f"Message {ignored['id']} ignored: {ignored['reason']}", Style.WARNING)
    for sentence in explain_ignored(ignored):
        yield Line("", sentence)
    yield Line("", "")
    yield Line("from", ignored["sender"] or "not known")
    yield Line("content", _show_content(ignored["text"] or ""))
    yield Line("received", format_time(ignored["at_wall"], now))
    yield Line("handler", ignored.get("handler_state") or "")
    yield Line("PDU", ignored["raw"])


def _command_times(command: Row) -> Iterator[tuple[str, float | None]]:
    stamp = command["timestamp"]
    yield "service centre", None if stamp is None else datetime.fromisoformat(stamp).timestamp()
    yield "received", command["received_wall"]
    yield "started", command.get("started_wall")
    yield "ended", command["ended_wall"]


def _reply_times(reply: Row) -> Iterator[tuple[str, float | None]]:
    yield "queued", reply["queued_wall"]
    yield "body left", reply.get("sending_wall")
    if reply["state"] in {"sent", "delivered"}:
        yield "accepted", reply["sent_wall"]


def _make_time_lines(times: Iterable[tuple[str, float | None]], now: float) -> Iterator[Line]:
    """Yield a line for each known time, with the time since the one before."""
    before: float | None = None
    for name, moment in times:
        if moment is None:
            continue
        later = "" if before is None or moment < before else f", {format_duration(moment - before)} later"
        yield Line(name, f"{format_time(moment, now)}{later}")
        before = moment


def _show_content(content: str | bytes) -> str:
    return f"{content.hex().upper()} (hex)" if isinstance(content, bytes) else content or "(empty)"


def _style_of(row: Row) -> Style:
    return _STATE_STYLES.get(row["state"], Style.BOLD)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
