"""Says in sentences why a Command or a message is in its state, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.handlers.missing_rights import find_remedy

Row = Mapping[str, Any]

_FAILURES = {
    "no handler": (
        "No handler has this first word: put one into the folder of the handlers and type: sudo systemctl "
        "reload modem-agent. See: modem-agent handlers list"
    ),
    "interrupted": (
        "The agent or the device ended while its handler ran. It is not run again, because its handler does "
        "not say that it may be (repeatable): see what the handler has done, and send a new Command."
    ),
    "ended after": (
        "The handler was killed at its time limit: raise timeout_s of the handler or of [handlers], or let "
        "it answer first and act afterwards."
    ),
    "killed by SIGKILL": "Something has killed it, often for want of memory: journalctl -k shows it.",
    "cannot be started": "Its file cannot be executed: modem-agent config check names the reason.",
    "not tried again": (
        "The handler has asked for a later attempt too often, or without being repeatable: send a new "
        "Command."
    ),
    "exit status": "Its handler reported a failure; what it wrote to its standard error may say why.",
}
"""What to do, by a part of `commands.reason`."""
_EXPIRIES = {
    "max_age_s": (
        "It came later than max_age_s of [handlers], or of its handler, allows: raise it, or send a new "
        "Command. If the clock of this device is wrong, correct it."
    ),
    "first start": (
        'It was in the module before the agent first ran, and journal.first_start is "skip": send a new '
        "Command."
    ),
    "deduplication": (
        "It is older than the entries by which a Command is known that has run before, so it may have run: "
        "send a new Command."
    ),
}
_REPLY_STATES = {
    "sending": "The module is sending it now; its result may take minutes.",
    "sent": "The network has accepted it. Set service.status_reports to learn whether it arrived.",
    "delivered": "The network has confirmed that it arrived.",
    "unknown": (
        "It may have arrived. It is not sent again, because a second copy costs money and may do harm; "
        "service.resend_unknown allows it."
    ),
}
_IGNORED = {
    "not from": (
        "Only the number of the service may send Commands. If the SIM belongs to another service, set "
        "service.name."
    ),
    "application port": "A Python handler with port=… would handle it: see agent/handlers/README.md.",
    "cannot be read": "The PDU cannot be decoded: modem-agent pdu decode shows how far. Please report it.",
    "the others": "Not all parts arrived, or arrived in time: send it again.",
    "with another body": (
        "A Command with this SID was received before, with another text. One SID is run once: the back end "
        "must create a new Command."
    ),
    "compressed": "The services do not compress messages, and no handler would understand it.",
    "type 0": "A message of this type is only to be acknowledged, and it was.",
}


def explain_command(command: Row, replies: Sequence[Row]) -> Iterator[str]:
    """Yield the sentences about a Command. Its replies explain themselves, see `explain_reply`."""
    state, reason = command["state"], command["reason"] or ""
    match state:
        case "received" if reason.startswith("waits for ["):
            yield (
                "It is delivered when the broker or server takes it, or expires by max_age_s. To try the "
                "connection: sudo modem-agent doctor"
            )
        case "received" if command["attempts"] or reason:
            yield "It waits to be run again: a handler may ask for three attempts."
        case "received":
            yield (
                "It waits for its handler: Commands of one handler run one after another, and at most "
                "max_concurrent at a time. See: modem-agent status"
            )
        case "running":
            yield (
                "Its handler runs now, or ran when the agent ended. In that case the next start runs it "
                "again if the handler is repeatable, and fails it if not."
            )
        case "expired":
            yield from _find_advice(_EXPIRIES, reason)
        case "failed":
            remedy = find_remedy(f"{reason}\n{command.get('stderr') or ''}", lambda: True)
            yield from [remedy] if remedy else _find_advice(_FAILURES, reason)
            if command["mode"] == "text" and command["handler"]:
                yield f"To try it: sudo modem-agent handlers test {shlex.quote(command['body'])}"
    if command["duplicates"]:
        yield "The network delivered it again; further deliveries are counted and never run."
    if state in {"done", "failed"} and not replies:
        yield _explain_silence(command)


def _explain_silence(command: Row) -> str:
    """Return why a Command that has ended has no answer."""
    if not command["answerable"]:
        return "It has no answer, because an answer to this sender or text could start a loop."
    if command["state"] == "done":
        if (command["handler"] or "").startswith("["):
            return f"It has no answer: it was forwarded ({command['handler']}), and no answer has come."
        return "It has no answer, because its handler returned none."
    return "It has no answer: at most 10 answers that begin with ERR are sent in an hour."


def explain_reply(reply: Row) -> Iterator[str]:
    """Yield the sentences about a message to send."""
    state, reason = reply["state"], reply["reason"] or ""
    if state == "queued":
        waits = reason.removeprefix("waiting: ")
        yield f"It waits to be sent{f': {waits}' if waits else ''}. See: modem-agent status"
    elif state == "failed":
        yield "It was not sent and is not tried again. See: sudo modem-agent doctor --send"
    elif sentence := _REPLY_STATES.get(state):
        yield sentence
    if reply["omitted"]:
        yield (
            f"It was cut: its last {reply['omitted']} characters were not sent. service.max_parts allows "
            "longer answers."
        )


def explain_ignored(ignored: Row) -> Iterator[str]:
    """Yield the sentences about a message that is not a Command."""
    yield from _find_advice(_IGNORED, ignored["reason"])


def _find_advice(table: Mapping[str, str], reason: str) -> list[str]:
    return [text for part, text in table.items() if part in reason][:1]
