"""Turns a mistake on the command line into one sentence with the line to type instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from agent.common.printable import escape_unprintable

_OTHER_WORDS = {
    **dict.fromkeys(("version", "-v", "-V", "--Version"), "--version"),
    **dict.fromkeys(("install", "configure", "init"), "setup"),
    **dict.fromkeys(("uninstall", "remove", "purge"), "setup --remove"),
    **dict.fromkeys(("check", "validate"), "config check"),
    **dict.fromkeys(("sms", "message", "reply"), "send"),
    **dict.fromkeys(("list", "ls", "commands", "received", "history"), "inbox"),
    **dict.fromkeys(("replies", "answers", "sent"), "outbox"),
    **dict.fromkeys(("info", "state", "show", "ping"), "status"),
    **dict.fromkeys(("watch", "top", "monitor"), "status --watch"),
    **dict.fromkeys(("csq", "rssi", "antenna"), "signal --watch"),
    **dict.fromkeys(("explain", "trace"), "why"),
    **dict.fromkeys(("diagnose", "debug", "diagnostics"), "doctor"),
    **dict.fromkeys(("simulate", "simulator", "sim"), "sandbox"),
    **dict.fromkeys(("decode", "encode"), "pdu"),
    **dict.fromkeys(("handler", "test"), "handlers"),
}
"""Words that people try, and the beginning of the line that does what they want."""
_SYSTEMD_WORDS = ("start", "stop", "restart", "reload", "enable", "disable")
_LOG_WORDS = ("log", "logs", "journal", "journalctl", "tail")
_ARGUMENTS = f"{__name__}.arguments"
"""Key of the arguments of the command line in the context."""
_SID_RE = re.compile(r"(DC|HC)[0-9a-fA-F]{4,32}")


class WrongUsage(click.UsageError):
    """A usage error that is shown as one sentence."""

    def show(self, file: object = None) -> None:
        """Print the sentence on standard error."""
        click.echo(f"modem-agent: {escape_unprintable(self.message)}", err=True)


class ExplainingGroup(click.Group):
    """A group of commands whose usage errors are `WrongUsage`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments. Raises WrongUsage."""
        arguments = list(args)
        with self._explain(arguments):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[_ARGUMENTS] = arguments
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises WrongUsage."""
        with self._explain(ctx.meta[_ARGUMENTS]):
            return super().invoke(ctx)

    @contextmanager
    def _explain(self, arguments: list[str]) -> Iterator[None]:
        try:
            yield
        except click.UsageError as error:
            raise WrongUsage(explain_usage(self, arguments, error), error.ctx) from None


def explain_usage(group: click.Group, arguments: list[str], error: click.UsageError) -> str:
    """Return one sentence about a usage error; it ends with what to type."""
    path, context = _find_command(group, arguments)
    command, words = context.command, arguments[len(path) :]
    if not path or (error.ctx is not None and error.ctx.command is group):
        return _explain_command(group, arguments)
    name = " ".join(path)
    if isinstance(error, click.NoSuchOption):
        return _explain_option(path, words, command, error.option_name)
    if "extra argument" in error.message:
        return _explain_extra(path, words, command)
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        if words and (similar := _find_similar(words[0], names)):
            return f"{name} has no command {words[0]}: {_line(*path, similar, *words[1:])}"
        return f"{name} needs one of these commands: {', '.join(names)}; see: {_line(*path, '--help')}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{name} needs {error.param.make_metavar(context)}: {_find_example(command, path)}"
    message = error.format_message().rstrip(".")
    message = f"{message[:1].lower()}{message[1:]}"
    if "modem-agent " in message:
        return message
    is_value = isinstance(error, click.BadParameter | click.BadOptionUsage)
    return f"{message}: {_line(*path, '--help') if is_value else _find_example(command, path)}"


def _find_command(group: click.Group, arguments: Sequence[str]) -> tuple[list[str], click.Context]:
    """Return the words at the beginning that name a command, and a context of that command."""
    path: list[str] = []
    context = click.Context(group, info_name="modem-agent")
    for word in arguments:
        command = context.command
        if not isinstance(command, click.Group) or (found := command.get_command(context, word)) is None:
            break
        path.append(word)
        context = click.Context(found, info_name=word, parent=context)
    return path, context


def _explain_command(group: click.Group, arguments: list[str]) -> str:
    """Return the sentence about a mistake before or in the name of the command."""
    names = group.list_commands(click.Context(group))
    found = next((word for word in arguments if word in names), None)
    first, *rest = arguments or [""]
    if first.startswith("-") and found is not None and first not in _OTHER_WORDS:
        at = arguments.index(found)
        return f"options follow the command: {_line(found, *arguments[at + 1 :], *arguments[:at])}"
    if first == "help":
        line = _line(rest[0], "--help") if rest and rest[0] in names else _line("--help")
        return f"help is an option: {line}"
    if first in _SYSTEMD_WORDS:
        return f"systemd does that: sudo systemctl {first} modem-agent"
    if first in _LOG_WORDS:
        return "the log is in the journal of systemd: journalctl -u modem-agent -e"
    if first[:2].upper() == "AT" and len(first) > 2 and not first[2:3].isalpha():
        return f"AT commands have a command of their own: {_line('at', first, *rest)}"
    if _SID_RE.fullmatch(first):
        return f"a SID is explained by: {_line('why', first)}"
    if rest and rest[0] in names and _is_subcommand(group, rest[0], first):
        return f"the words are the other way round: {_line(rest[0], first, *rest[1:])}"
    if first in ("decode", "encode"):
        return f"there is no command {first}: {_line('pdu', first, *rest)}"
    if first in _OTHER_WORDS:
        return f"there is no command {first}: {_line(*_OTHER_WORDS[first].split(), *rest)}"
    if similar := _find_similar(first, names):
        return f"there is no command {first}: {_line(similar, *rest)}"
    if first.startswith("-"):
        return f"there is no option {first}: {_line('--help')}"
    return f"there is no command {first}: {_line('--help')} lists them"


def _is_subcommand(group: click.Group, name: str, word: str) -> bool:
    command = group.get_command(click.Context(group), name)
    return isinstance(command, click.Group) and word in command.list_commands(click.Context(command))


def _explain_option(path: list[str], words: list[str], command: click.Command, option: str) -> str:
    """Return the sentence about an option that the command does not have."""
    known = [name for param in command.params for name in param.opts if name.startswith("--")]
    similar = _find_similar(option, [*known, "--help"])
    if similar:
        corrected = [word.replace(option, similar, 1) if word.startswith(option) else word for word in words]
        return f"{' '.join(path)} has no option {option}: {_line(*path, *corrected)}"
    if option[1:].replace(".", "").isdigit():
        return f"a text that begins with a dash follows two dashes: {_line(*path, '--', *words)}"
    return f"{' '.join(path)} has no option {option}: {_line(*path, '--help')} lists them"


def _explain_extra(path: list[str], words: list[str], command: click.Command) -> str:
    """Return the sentence about more arguments than the command takes."""
    options, positional = _split(command, words)
    flags = {
        name.lstrip("-"): name for param in command.params for name in param.opts if name.startswith("--")
    }
    extra = positional[sum(isinstance(param, click.Argument) for param in command.params) :]
    if extra and all(word in flags for word in extra):
        kept = positional[: len(positional) - len(extra)]
        line = _line(*path, *kept, *options, *(flags[word] for word in extra))
        return f"{extra[0]} is an option: {line}"
    takes_text = any(isinstance(param, click.Argument) for param in command.params)
    if takes_text and positional:
        return f"put a text of several words in quotes: {_line(*path, *options, ' '.join(positional))}"
    return f"{' '.join(path)} takes no {extra[0] if extra else 'argument'}: {_line(*path, *options)}"


def _split(command: click.Command, words: list[str]) -> tuple[list[str], list[str]]:
    """Return the options with their values, and the other words."""
    takes_value = {
        name: not (isinstance(param, click.Option) and param.is_flag)
        for param in command.params
        for name in param.opts
    }
    options: list[str] = []
    positional: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-") and len(word) > 1:
            options.append(word)
            if takes_value.get(word, False) and rest:
                options.append(rest.pop(0))
        else:
            positional.append(word)
    return options, positional


def _find_example(command: click.Command, path: list[str]) -> str:
    """Return the first example in the help of a command, else the line that shows the help."""
    beginning = f"modem-agent {' '.join(path)} "
    lines = (line.strip() for line in (command.help or "").splitlines())
    examples = (re.split(r" {3,}", line)[0] for line in lines if line.startswith(beginning))
    return next(examples, _line(*path, "--help"))


def _find_similar(word: str, names: Sequence[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(word.lower(), names, 1, 0.6)), "")


def _line(*words: str) -> str:
    """Return a command line; a word with blanks is in double quotes, as people write it."""
    return " ".join(("modem-agent", *map(_quote, words)))


def _quote(word: str) -> str:
    quoted = shlex.quote(word)
    if quoted == word or re.search(r'["$`\\!]', word):
        return quoted
    return f'"{word}"'
