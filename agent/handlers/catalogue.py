"""All handlers there are, and which of them a Command goes to.

Made once, at the start, from the directory and from what the Python files in it declare. Choosing is a look
into tables: nothing of a Command ever becomes part of a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.handlers.api import Command
from agent.handlers.builtin import BUILTINS
from agent.handlers.directory import CatalogueError, Found, read
from agent.handlers.entry import Entry
from agent.handlers.runner import CannotLoad, Declared, Runner

__all__ = ["Catalogue", "CatalogueError", "Entry", "load"]

_BINARY = "binary"
"""Name of the executable that gets binary Commands."""


class Catalogue:
    """The handlers by what they answer to."""

    def __init__(self, entries: Iterable[Entry], remarks: Iterable[str] = ()) -> None:
        """Take the user's handlers; built-ins fill the words that are left. Raises CatalogueError."""
        self.remarks = tuple(remarks)
        """Sentences on what looks like a mistake in the directory."""
        self._words: dict[str, Entry] = {}
        self._json_keys: dict[str, Entry] = {}
        self._prefixes: dict[bytes, Entry] = {}
        self._binary: dict[str, Entry] = {}
        self._default: dict[str, Entry] = {}
        mine = list(entries)
        faults: list[str] = []
        for entry in mine:
            if entry.kind == "executable" and entry.name.casefold() == _BINARY:
                _put(self._binary, ("",), entry, "binary Commands", faults)
            _put(self._words, entry.words, entry, "the word {}", faults)
            _put(self._json_keys, entry.json_keys, entry, "the JSON key {}", faults)
            _put(self._prefixes, entry.prefixes, entry, "the binary prefix {}", faults)
            if entry.default:
                _put(self._default, ("",), entry, "what nobody else wants (default)", faults)
        if faults:
            raise CatalogueError(*faults)
        for entry in BUILTINS:
            if entry.name not in self._words:
                self._words[entry.name] = entry
                mine.append(entry)
        self.entries = tuple(mine)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)

    @property
    def names(self) -> list[str]:
        """What people can write: first words, then JSON keys in quotes; each sorted."""
        return sorted(self._words) + [f'"{key}"' for key in sorted(self._json_keys)]

    def named(self, name: str) -> Entry | None:
        """The handler of that name, which the journal may have kept over a restart."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def choose(self, command: Command) -> Entry | None:
        """The handler for a Command, None if there is none. Pure."""
        return self._first_choice(command) or self._default.get("")

    def _first_choice(self, command: Command) -> Entry | None:
        if command.data is not None:
            for length in self._prefix_lengths:  # the longest that fits
                if entry := self._prefixes.get(command.data[:length]):
                    return entry
            return self._binary.get("")
        if self._json_keys:
            for key in _keys(command.text or ""):
                if entry := self._json_keys.get(key):
                    return entry
        return self._words.get(command.words[0].casefold()) if command.words else None


Key = TypeVar("Key", str, bytes)


def _put(table: dict[Key, Entry], keys: Iterable[Key], entry: Entry, what: str, faults: list[str]) -> None:
    for key in keys:
        other = table.setdefault(key, entry)
        if other is not entry:
            shown = what.format(f'"{key}"' if isinstance(key, str) else key.hex().upper())
            faults.append(f"two handlers for {shown}: {other.place} and {entry.place}; rename or remove one")


def _keys(text: str) -> Iterable[str]:
    """The keys of a JSON object in the order of the text; none if it is not one."""
    if not text.lstrip().startswith("{"):
        return ()
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()


async def load(directory: Path, runner: Runner) -> Catalogue:
    """Read the directory, load its Python files.

    Raises CatalogueError with every mistake at once, HostExhausted.
    """
    found = read(directory)
    faults, remarks = found.faults, found.remarks
    entries = [_executable(name, path, found) for name, path in found.executables.items()]
    for file, answer in zip(
        found.python, await asyncio.gather(*(_declare(file, runner) for file in found.python)), strict=True
    ):
        if isinstance(answer, CannotLoad):
            faults.append(f"{answer}; mend the file, or begin its name with _ to leave it out")
        elif not answer:
            remarks.append(f"{file} has no @handler; if others import it, begin its name with _")
        else:
            for each in answer:
                faults += [f"{file} line {each.line}, {each.function}: {fault}" for fault in each.faults]
                entries.append(_function(file, each))
    try:
        catalogue = Catalogue(entries, remarks)
    except CatalogueError as error:
        faults += error.sentences
    if faults:
        raise CatalogueError(*faults)
    return catalogue


async def _declare(file: Path, runner: Runner) -> list[Declared] | CannotLoad:
    try:
        return await runner.declare(file)
    except CannotLoad as error:
        return error


def _executable(name: str, path: Path, found: Found) -> Entry:
    word = name.casefold()
    entry = Entry(
        name,
        "executable",
        file=path,
        then=found.actions.get(name),
        words=() if word == _BINARY else (word,),
    )
    return replace(entry, **found.options.get(name, {}))  # type: ignore[arg-type]  # checked by option_faults


def _function(file: Path, declared: Declared) -> Entry:
    return Entry(
        f"{file.name}:{declared.function}",
        "python",
        file=file,
        function=declared.function,
        words=tuple(dict.fromkeys(word.casefold() for word in declared.words)),
        json_keys=declared.json_keys,
        prefixes=declared.prefixes,
        default=declared.default,
        line=declared.line,
        repeatable=declared.repeatable,
        timeout_s=declared.timeout_s,
        max_age_s=declared.max_age_s,
        reply_to=declared.reply_to,
    )
