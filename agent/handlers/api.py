"""The API that handler files import: Command, Reply, TryLater and the decorator `handler`.

Every handler process imports this module, on boards with 512 MB of memory. The classes are therefore plain:
importing `dataclasses` would add 2.4 MB and its import time to each process.
"""

from __future__ import annotations

from agent.handlers.checks import check_options, check_port, check_word

TYPE_CHECKING = False  # importing typing would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from typing import Literal, TypeAlias, TypeVar

    Mode = Literal["text", "binary"]
    HandlerReturn: TypeAlias = "Reply | str | bytes | None"
    Handler = Callable[["Command"], "HandlerReturn | Awaitable[HandlerReturn]"]
    Action = Callable[..., object]
    SomeHandler = TypeVar("SomeHandler", bound=Handler)


class Command:
    """One Command, as a handler receives it."""

    __slots__ = ("attempt", "data", "mode", "port", "sender", "sid", "text", "timestamp", "words")

    def __init__(
        self,
        sid: str | None,
        sender: str,
        timestamp: datetime | None,
        mode: Mode,
        attempt: int,
        text: str | None,
        data: bytes | None,
        words: tuple[str, ...] | None = None,
        port: int | None = None,
    ) -> None:
        """Set the fields as given. Without `words`, split the text."""
        self.sid = sid
        """Command SID; None if the message carried none."""
        self.sender = sender
        """Originating address, as digits with a `+` for an international number."""
        self.timestamp = timestamp
        """Service centre timestamp, an aware datetime; None if the network sent no valid date."""
        self.mode = mode
        """`text` or `binary`."""
        self.attempt = attempt
        """Number of this attempt, from 1. Only repeatable handlers receive more than 1."""
        self.text = text
        """The text without the SID; None for a binary Command."""
        self.data = data
        """The octets of a binary Command; None for a text."""
        self.words = split_words(text or "") if words is None else words
        """The words of the text. `KEY=VALUE` at its start counts as the two words KEY and VALUE."""
        self.port = port
        """The application port that the message was addressed to (23.040 9.2.3.24.4); None for an ordinary
        message. Only a handler with `@handler(port=...)` receives messages to a port."""

    @classmethod
    def of(
        cls,
        body: str | bytes,
        *,
        sid: str | None = None,
        sender: str = "",
        timestamp: datetime | None = None,
        attempt: int = 1,
        port: int | None = None,
    ) -> Command:
        """Return a Command with this body, for example to test a handler: `led(Command.of("led on"))`."""
        if isinstance(body, str):
            return cls(sid, sender, timestamp, "text", attempt, body, None, port=port)
        return cls(sid, sender, timestamp, "binary", attempt, None, body, port=port)

    def __repr__(self) -> str:
        """Describe the Command without its text or data: a Command may be logged, its content may not."""
        return (
            f"<Command {self.sid or 'without SID'} from {self.sender}, {self.mode}, attempt {self.attempt}>"
        )


def split_words(text: str) -> tuple[str, ...]:
    """Split a text at white space. `KEY=VALUE` at its start counts as the words KEY and VALUE."""
    words = text.split()
    if words:
        key, _, value = words[0].partition("=")
        if key and value:
            words[:1] = [key, value]
        elif key:
            words[0] = key
    return tuple(words)


class Reply:
    """A reply, and optionally the action to run after it was sent."""

    __slots__ = ("content", "then")

    def __init__(self, content: str | bytes | None, then: str | Action | None = None) -> None:
        """`content` is the reply: bytes make a binary message, None and an empty value make no message.

        `then` is a function of the same file, or its name. The agent calls it with the Command after the
        reply was sent. Only the name is stored, because the action must survive a restart of the agent.
        """
        self.content = content
        self.then = then if then is None or isinstance(then, str) else then.__name__


class TryLater(Exception):  # noqa: N818  (the name is the request of the handler)
    """A repeatable handler raises this to get the Command again after a delay."""


class HandlerFunction:
    """One decorated function, with the Commands that it handles and its options."""

    __slots__ = (
        "default",
        "errors",
        "function",
        "json_keys",
        "line",
        "name",
        "options",
        "ports",
        "prefixes",
        "words",
    )

    def __init__(self, function: Handler, options: dict[str, object]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", repr(function))
        self.line = getattr(getattr(function, "__code__", None), "co_firstlineno", 0)
        self.options = options
        self.words: list[str] = []
        self.json_keys: list[str] = []
        self.prefixes: list[bytes] = []
        self.ports: list[int] = []
        self.default = False
        self.errors = check_options(options)


declared_functions: list[HandlerFunction] = []
"""The handlers that the file of this process has declared so far."""


def handler(
    *words: str,
    json_key: str | None = None,
    binary_prefix: bytes | None = None,
    port: int | None = None,
    default: bool = False,
    repeatable: bool = False,
    timeout_s: float | None = None,
    max_age_s: float | None = None,
    reply_to: str | None = None,
) -> Callable[[SomeHandler], SomeHandler]:
    """Register the decorated function, plain or async, as a handler.

    It handles texts whose first word is one of `words` (case-insensitive), JSON objects with the key
    `json_key`, binary Commands that begin with `binary_prefix`, or, with `default`, all Commands that no
    other handler takes. Several decorators on one function add up; only one of them may have options.

    `port`: an application port, 0 to 65535. The handler gets the messages of the service to this port (user
    data header, 23.040 9.2.3.24.3 and .4), texts and octets, whatever they contain. Messages to a port that
    no handler asks for are ignored, and no other handler gets them, not even the default one.

    `repeatable`: the handler may run again after an interrupted run, and may raise TryLater.
    `timeout_s`, `max_age_s`: seconds, in place of the values of agent.toml.
    `reply_to`: number that the reply goes to instead of the sender.

    Invalid arguments are collected and reported when the agent starts. Raises TypeError if the decorator is
    used without brackets.
    """
    if words and callable(words[0]):
        raise TypeError('@handler needs brackets: @handler("word")')
    given: dict[str, object] = {
        "repeatable": repeatable or None if isinstance(repeatable, bool) else repeatable,
        "timeout_s": timeout_s,
        "max_age_s": max_age_s,
        "reply_to": reply_to,
    }
    options = {name: value for name, value in given.items() if value is not None}

    def declare(function: SomeHandler) -> SomeHandler:
        declaration = _find_or_declare(function, options)
        errors = declaration.errors
        if not words and json_key is None and binary_prefix is None and port is None and not default:
            errors.append("it handles nothing: give a word, json_key, binary_prefix, port or default=True")
        for word in words:
            error = check_word(word)
            if error:
                errors.append(f"the word {error}")
            else:
                declaration.words.append(word)
        if json_key is not None:
            if isinstance(json_key, str) and "\0" not in json_key:
                declaration.json_keys.append(json_key)
            else:
                errors.append(f"json_key must be text without a NUL, not {json_key!r}")
        if binary_prefix is not None:
            if isinstance(binary_prefix, bytes) and binary_prefix:
                declaration.prefixes.append(binary_prefix)
            else:
                errors.append(f"binary_prefix must be bytes of at least one octet, not {binary_prefix!r}")
        if port is not None:
            error = check_port(port)
            if error:
                errors.append(f"port {error}")
            else:
                declaration.ports.append(port)
        declaration.default = declaration.default or bool(default)
        return function

    return declare


def _find_or_declare(function: Handler, options: dict[str, object]) -> HandlerFunction:
    """Return the declaration of this function; create it if this is its first decorator."""
    for declaration in declared_functions:
        if declaration.function is function:
            if options and declaration.options:
                declaration.errors.append("two decorators have options: put all options into one")
            elif options:
                declaration.options = options
                declaration.errors += check_options(options)
            return declaration
        if declaration.name == getattr(function, "__name__", None):
            declaration.errors.append("another handler in this file has the same name: rename one")
    declared_functions.append(HandlerFunction(function, options))
    return declared_functions[-1]
