"""Log events: what each task of the agent reports, for the log, the demo and the tests.

A task makes an `Event` and passes it to an `EventSink`. The log prints `str(event)`, one line each, which
never contains the text of a message. An event about the module, the line, the journal or the network may
report a *condition* that lasts: `condition` names it, and the event that ends it names it in `resolves`.
`agent.common.log_throttle` depends on these two fields.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum, StrEnum, auto
from typing import TYPE_CHECKING

from agent.common.printable import escape_unprintable
from pdu.record import Record

if TYPE_CHECKING:
    from dataclasses import KW_ONLY  # the mark alone: importing the module takes longer than this one

PHONE_NUMBER_MIN_LENGTH = 7
"""Shortest number, in characters, that is treated as a person's telephone number."""


class Severity(IntEnum):
    """Severity of an event; the values are the levels of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class EventKind(StrEnum):
    """The words with which log lines begin.

    The docstring below each says what it means and, after "To do:", what an operator does about it. The
    reference (`make reference`) and the man page modem-agent-log(7) are made from these docstrings.
    """

    # The agent
    READY = "ready"
    """The agent has started: configuration, journal and control socket are usable."""
    WARNING = "warning"
    """Something in the configuration or the handlers' directory is not used; the message gives the
    reason.

    To do: correct what the line names; it works without it until then.
    """
    RELOADED = "reloaded"
    """Handlers and the table `[handlers]` were read again (`systemctl reload modem-agent`).

    To do: correct the files that the line names, and restart the agent if it names keys that need it.
    """
    NOT_RELOADED = "not reloaded"
    """agent.toml or the folder of handlers cannot be read again; everything stays as it was.

    To do: correct what the line names and reload again.
    """
    IDLE = "idle"
    """The agent was started with --until-idle and has nothing left to do; it ends."""
    ALARM = "alarm"
    """The program of [alarm] was called, or why that failed.

    To do: nothing if it was called; else correct the program. It is called once for each change.
    """
    METRICS = "metrics"
    """The metrics of the table `[metrics]` cannot be served or written; everything else works.

    To do: what the line says. guides/prometheus.md has the rights that the service needs.
    """
    WATCHDOG = "watchdog"
    """A task is past its deadline; systemd is no longer notified and will restart the agent.

    To do: report it with the log.
    """
    CONTROL_SOCKET = "control socket"
    """The control socket cannot accept clients, or it or its folder was deleted and created again. If
    systemd must create the folder, the agent restarts when it is idle.

    To do: nothing. If it happens again, find what deletes the socket or its folder. "clients" in the
    line means that the device has no file descriptors left: find the program that uses them;
    `LimitNOFILE=`.
    """

    # Connection and module
    PORT = "port"
    """The port is absent, busy (the line names the holder) or forbidden (the line names owner and
    group); it is tried again with backoff.

    To do: plug the module in, stop the program that the line names, or add the user to the group that
    it names.
    """
    PORT_CONFLICT = "port conflict"
    """Another program seems to write to the port or to read from it. Logged once in a session.

    To do: install the udev rule, or stop the program that the line names.
    """
    SESSION = "session"
    """The module is initialised and a session has begun."""
    SESSION_ENDED = "session ended"
    """The connection to the module was lost; the next session follows.

    To do: nothing. If it happens daily, check cable and power supply.
    """
    SESSION_FAILED = "session failed"
    """An internal error ended the session; the next session follows.

    To do: report it with the log.
    """
    MODULE = "module"
    """The module does not answer or cannot be initialised.

    To do: nothing. If it lasts, run `sudo modem-agent doctor`; if it happens daily, check cable and
    power supply.
    """
    MODULE_RESTARTED = "module restarted"
    """The module has restarted and lost its settings; they are set again.

    To do: nothing. If it happens often, check the power supply.
    """
    NO_ANSWER = "no answer"
    """An AT command timed out.

    To do: nothing. If it happens daily, check cable and power supply.
    """
    REGISTRATION = "registration"
    """The network registration has changed.

    To do: if the network stays away, `sudo modem-agent doctor` names the reason.
    """
    RECOVERY = "recovery"
    """A recovery step and the restarts used in this hour, or the reason why the step was not taken.

    To do: nothing; the keys of `[recovery]` in agent.toml decide what is allowed.
    """
    RECOVERY_FAILED = "recovery failed"
    """An internal error ended a recovery action.

    To do: report it with the log.
    """
    BROWNOUT = "brownout"
    """The module is repeatedly lost while it transmits; sending pauses.

    To do: use a power supply for 2 A and a shorter cable.
    """

    # SIM
    SIM = "sim"
    """Another SIM was found, or the result of a PIN attempt could not be stored.

    To do: nothing, if you changed the SIM. If a result cannot be stored, free disk space.
    """
    SIM_STATE_CHANGED = "SIM state changed"
    """The module reported that its SIM was removed, inserted or locked.

    To do: if nobody touched the SIM, push it in firmly and check the power supply.
    """

    # The module's message store
    FIRST_START = "first start"
    """The journal is new and the module already holds messages.

    To do: nothing; `first_start = "skip"` in `[journal]` shows these messages without running any.
    """
    READ_REFUSED = "read refused"
    """The module refused to list or read its messages; after 15 minutes recovery begins. Or it does not
    answer when one slot is read, which is then skipped.

    To do: nothing. If it lasts, try another SIM or module. A line about one slot has the command that
    deletes its message.
    """
    STORE_NEARLY_FULL = "store nearly full"
    """Few free slots are left in the module's message store.

    To do: nothing. If it lasts, use another SIM: one with more room.
    """
    STORE_FULL = "store full"
    """The module's message store is full; it is read and emptied now.

    To do: nothing. If it lasts, use another SIM: one with more room.
    """
    NOT_DELETED = "not deleted"
    """The module refused to delete a message that is stored in the journal.

    To do: nothing. If it lasts, delete the messages by hand: `sudo modem-agent at --force
    AT+CMGD=SLOT`.
    """

    # Received messages
    RECEIVED = "received"
    """A new Command is stored in the journal."""
    PART = "part"
    """One part of a multipart Command is stored."""
    DUPLICATE = "duplicate"
    """A Command was delivered again; it does not run again."""
    ALREADY_STORED = "already stored"
    """The message was stored earlier but not yet deleted from the module."""
    IGNORED = "ignored"
    """A message that is not a Command of the service, or that cannot be decoded, is stored and never run."""
    STATUS_REPORT = "status report"
    """A status report for a sent message has arrived."""
    INCOMPLETE = "incomplete"
    """Parts of a multipart Command did not arrive within a day after the last one.

    To do: `sudo modem-agent inbox --ignored` shows the parts that arrived.
    """

    # Running Commands
    RUNNING = "running"
    """The handler of a Command has started."""
    DONE = "done"
    """The handler of a Command has finished."""
    FAILED = "failed"
    """A Command has no handler or its handler failed; or a message cannot be sent.

    To do: the line has the reason. Of a handler: correct it; its standard error is in the lines
    `handler` above.
    """
    EXPIRED = "expired"
    """A Command was too old and was not run.

    To do: nothing; `max_age_s` in `[handlers]` is the limit. If the Command was not old, check the
    clock of the device.
    """
    RETRY_LATER = "retry later"
    """The handler of a Command asked for a later attempt."""
    INTERRUPTED = "interrupted"
    """A Command was running when the agent last ended.

    To do: nothing. The Command is not run again unless its handler is repeatable.
    """
    NOT_STARTED = "not started"
    """A handler could not be started; the Command waits."""
    ACTION_STARTED = "action started"
    """The action that follows a reply has started."""
    ACTION_FINISHED = "action finished"
    """The action that follows a reply has ended."""
    HANDLER_UNUSABLE = "handler unusable"
    """A handler or its file has a mistake and is not used; the message names the file and the remedy.

    To do: correct the file, then `sudo systemctl reload modem-agent`.
    """
    HANDLER = "handler"
    """A line that a handler wrote to its standard error.

    To do: nothing, unless the line names a right that the handler lacks: it also names the remedy.
    """
    CANNOT_START_HANDLERS = "cannot start handlers"
    """The device has no file descriptors, memory or processes left for handlers. Commands wait for an
    hour and then fail.

    To do: find the program that uses up file descriptors, memory or processes; `LimitNOFILE=`,
    `MemoryMax=`.
    """
    HANDLERS_START_AGAIN = "handlers start again"
    """Handler processes can be started again."""

    FORWARDING = "forwarding"
    """The broker of `[mqtt]` or the server of `[webhook]` takes Commands, or it does not, and they wait for
    it; or an answer of it cannot be sent.

    To do: what the line says. `modem-agent doctor` tries the connection.
    """

    # Sending
    QUEUED = "queued"
    """A reply is stored and waits to be sent."""
    SENDING = "sending"
    """The module is about to receive the body of a message."""
    SENT = "sent"
    """The module has confirmed that it sent a message."""
    NOT_SENT = "not sent"
    """A message was not sent this time; it is tried again.

    To do: nothing. The line has the reason; if all replies fail, `sudo modem-agent doctor`.
    """
    UNKNOWN = "unknown"
    """It is not known whether a message was sent.

    To do: nothing. If the answer did not arrive, ask the device for its state rather than repeat an action.
    """
    HELD = "held"
    """Sending waits, for a network or for a rate limit.

    To do: `sudo modem-agent status` shows the reason; the limits are keys of `[service]`.
    """

    # Journal
    JOURNAL_CANNOT_COMMIT = "journal cannot commit"
    """The disk is full, read-only or gone. Messages stay in the module, results of handlers wait in
    memory, and nothing is deleted, run or sent.

    To do: free disk space, or mount the disk again; no restart is needed.
    """
    JOURNAL_COMMITS_AGAIN = "journal commits again"
    """The journal can be written again."""
    JOURNAL_DAMAGED = "journal damaged"
    """The damaged file was set aside as `journal.db.damaged-DATE` (the newest three are kept), and a
    new journal has every row that could be read; the line says what is lost. Also logged when the
    journal was deleted or replaced while the agent was running: it was restored and nothing is lost.

    To do: check the SD card or disk; delete the set-aside files when they are no longer needed.
    """
    JOURNAL_VOLATILE = "journal in memory"
    """The journal is on a file system that loses its content with the power (tmpfs, ramfs, or an
    overlay with its upper directory on one, as raspi-config sets it up): Commands and replies may be
    lost, and a Command may run twice.

    To do: set `path` in `[journal]` to a folder on a disk; `allow_volatile = true` silences the
    warning.
    """
    PRUNED = "pruned"
    """Old rows were deleted from the journal."""


class Condition(Enum):
    """A state that lasts over several events, from the event that names it to the event that resolves it."""

    CONNECTION = auto()
    """There is no working session with the module."""
    JOURNAL = auto()
    """The journal cannot be written."""
    NETWORK = auto()
    """The module is not registered on a network."""
    HANDLERS = auto()
    """No handler can be started."""
    MQTT = auto()
    """The MQTT broker does not take Commands."""
    WEBHOOK = auto()
    """The web server does not take Commands."""
    PORT_CONFLICT = auto()
    """Another program uses the port. No event reports that it has left."""


class Event(Record):
    """One log event."""

    kind: str
    """An `EventKind`."""
    message: str = ""
    """The rest of the log line; never the text of an SMS message."""
    _: KW_ONLY
    severity: Severity = Severity.INFO
    command_id: int | None = None
    """Row of the Command in the journal."""
    sid: str | None = None
    """SID of the Command."""
    reply_id: int | None = None
    """Row of the outgoing message in the journal."""
    slot: str = ""
    """The slot of the module that the event is about, such as `ME 3`."""
    content: str | bytes | None = None
    """The text or octets of the SMS message. They may be private: `str(event)` leaves them out."""
    condition: Condition | None = None
    """The condition that begins or continues with this event."""
    resolves: Condition | None = None
    """The condition that ends with this event."""

    def __str__(self) -> str:
        """Return the log line. It is a single printable line whatever the message contains."""
        subject = "" if self.command_id is None else f" command {self.command_id}"
        subject += "" if self.sid is None else f" {self.sid}"
        subject += "" if self.reply_id is None else f" reply {self.reply_id}"
        return escape_unprintable(f"{self.kind}{subject}{': ' if self.message else ''}{self.message}")


def mask_number(number: str) -> str:
    """Return what a log shows of an address: only the last three digits of a telephone number.

    Short codes and alphanumeric senders do not identify a person and are shown in full.
    """
    if len(number) < PHONE_NUMBER_MIN_LENGTH or not number.lstrip("+").isdigit():
        return number
    return f"…{number[-3:]}"


EventSink = Callable[[Event], None]
"""Receives events, in the order in which they happen. Must not block."""
