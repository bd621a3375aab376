"""What a handler file imports: Command, Reply, TryLater and the decorator `handler`.

Every handler process imports this module, on boards with 512 MB for everything. Hence plain classes:
`dataclasses` alone would add 2.4 MB and its import time to each of them.
"""

from __future__ import annotations

from agent.handlers.options import check_options, check_word

TYPE_CHECKING = False  # typing itself would cost each handler process a megabyte
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
    """One Command as a handler sees it."""

    __slots__ = ("attempt", "data", "mode", "sender", "sid", "text", "timestamp", "words")

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
    ) -> None:
        """Take the fields as they are; `words` are worked out from the text when not given."""
        self.sid = sid
        """Command SID, None where the message carried none."""
        self.sender = sender
        """Originating address."""
        self.timestamp = timestamp
        """When the service centre took the message (aware); None where it sent no date."""
        self.mode = mode
        self.attempt = attempt
        """From 1; above 1 only for handlers that are repeatable."""
        self.text = text
        """The text without the SID; None if binary."""
        self.data = data
        """The octets of a binary Command; None if text."""
        self.words = split_words(text or "") if words is None else words
        """The words of the text; of `KEY=VALUE` in front KEY is the first and VALUE the second."""

    @classmethod
    def of(
        cls,
        body: str | bytes,
        *,
        sid: str | None = None,
        sender: str = "",
        timestamp: datetime | None = None,
        attempt: int = 1,
    ) -> Command:
        """Make the Command with this body, e.g. to try a handler in a test: `led(Command.of("led on"))`."""
        if isinstance(body, str):
            return cls(sid, sender, timestamp, "text", attempt, body, None)
        return cls(sid, sender, timestamp, "binary", attempt, None, body)

    def __repr__(self) -> str:
        """Leave text and data out: a Command is often logged, and its content is nobody's business there."""
        return (
            f"<Command {self.sid or 'without SID'} from {self.sender}, {self.mode}, attempt {self.attempt}>"
        )


def split_words(text: str) -> tuple[str, ...]:
    """Split at blanks of any kind; `KEY=VALUE` in front counts as the words KEY and VALUE."""
    words = text.split()
    if words:
        key, _, value = words[0].partition("=")
        if key and value:
            words[:1] = [key, value]
        elif key:
            words[0] = key
    return tuple(words)


class Reply:
    """An answer; with `then` the name of a function of the same file that is called once it was sent."""

    __slots__ = ("content", "then")

    def __init__(self, content: str | bytes | None, then: str | Action | None = None) -> None:
        """`content` None or empty: nothing is sent. bytes go out as a binary message.

        `then` is the function that acts, or its name: only the name outlives a restart of the agent.
        """
        self.content = content
        self.then = then if then is None or isinstance(then, str) else then.__name__


class TryLater(Exception):  # noqa: N818  (reads as what the handler asks for)
    """Raised by a repeatable handler that wants the Command again after a while."""


class HandlerFunction:
    """One function that `handler` was put on, with what it answers to."""

    __slots__ = (
        "default",
        "errors",
        "function",
        "json_keys",
        "line",
        "name",
        "options",
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
        self.default = False
        self.errors = check_options(options)


declared_functions: list[HandlerFunction] = []
"""What the file of this process declared so far."""


def handler(
    *words: str,
    json_key: str | None = None,
    binary_prefix: bytes | None = None,
    default: bool = False,
    repeatable: bool = False,
    timeout_s: float | None = None,
    max_age_s: float | None = None,
    reply_to: str | None = None,
) -> Callable[[SomeHandler], SomeHandler]:
    """Have the function, plain or async, carry out Commands.

    Which: text whose first word is one of `words` (upper and lower case alike), a JSON object with the key
    `json_key`, octets that begin with `binary_prefix`, or whatever nobody else wants (`default`). Several
    decorators on one function add up; options stand in one of them.
    `repeatable`: may run again when a run was cut short, and may raise TryLater. `timeout_s`, `max_age_s`:
    seconds, instead of those of agent.toml. `reply_to`: number that the answer goes to, not to the sender.
    What is wrong with the arguments is collected and told when the agent starts.
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
        faults = declaration.errors
        if not words and json_key is None and binary_prefix is None and not default:
            faults.append("it answers to nothing: give a word, json_key, binary_prefix or default=True")
        for word in words:
            fault = check_word(word)
            if fault:
                faults.append(f"the word {fault}")
            else:
                declaration.words.append(word)
        if json_key is not None:
            if isinstance(json_key, str) and "\0" not in json_key:
                declaration.json_keys.append(json_key)
            else:
                faults.append(f"json_key must be text, not {json_key!r}")
        if binary_prefix is not None:
            if isinstance(binary_prefix, bytes) and binary_prefix:
                declaration.prefixes.append(binary_prefix)
            else:
                faults.append(f"binary_prefix must be at least one octet as bytes, not {binary_prefix!r}")
        declaration.default = declaration.default or bool(default)
        return function

    return declare


def _find_or_declare(function: Handler, options: dict[str, object]) -> HandlerFunction:
    """Find the one of this function, or make it."""
    for declaration in declared_functions:
        if declaration.function is function:
            if options and declaration.options:
                declaration.errors.append("options stand in two decorators: put them into one")
            elif options:
                declaration.options = options
                declaration.errors += check_options(options)
            return declaration
        if declaration.name == getattr(function, "__name__", None):
            declaration.errors.append("another handler of this file has the same name: rename one")
    declared_functions.append(HandlerFunction(function, options))
    return declared_functions[-1]
