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
from agent.handlers.directory import DirectoryContents, HandlerConfigError, read_directory
from agent.handlers.runner import HandlerDeclaration, HandlerLoadError, Runner
from agent.handlers.spec import HandlerSpec

__all__ = ["HandlerConfigError", "HandlerRegistry", "HandlerSpec", "load_registry"]

_BINARY_NAME = "binary"
"""Name of the executable that gets binary Commands."""


class HandlerRegistry:
    """The handlers by what they answer to."""

    def __init__(self, specs: Iterable[HandlerSpec], warnings: Iterable[str] = ()) -> None:
        """Take the user's handlers; built-ins fill the words that are left. Raises CatalogueError."""
        self.warnings = tuple(warnings)
        """Sentences on what looks like a mistake in the directory."""
        self._by_word: dict[str, HandlerSpec] = {}
        self._by_json_key: dict[str, HandlerSpec] = {}
        self._by_prefix: dict[bytes, HandlerSpec] = {}
        self._binary: dict[str, HandlerSpec] = {}
        self._default: dict[str, HandlerSpec] = {}
        mine = list(specs)
        faults: list[str] = []
        for entry in mine:
            if entry.kind == "executable" and entry.name.casefold() == _BINARY_NAME:
                _add(self._binary, ("",), entry, "binary Commands", faults)
            _add(self._by_word, entry.words, entry, "the word {}", faults)
            _add(self._by_json_key, entry.json_keys, entry, "the JSON key {}", faults)
            _add(self._by_prefix, entry.prefixes, entry, "the binary prefix {}", faults)
            if entry.default:
                _add(self._default, ("",), entry, "what nobody else wants (default)", faults)
        if faults:
            raise HandlerConfigError(*faults)
        for entry in BUILTINS:
            if entry.name not in self._by_word:
                self._by_word[entry.name] = entry
                mine.append(entry)
        self.specs = tuple(mine)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    @property
    def trigger_names(self) -> list[str]:
        """What people can write: first words, then JSON keys in quotes; each sorted."""
        return sorted(self._by_word) + [f'"{key}"' for key in sorted(self._by_json_key)]

    def get(self, name: str) -> HandlerSpec | None:
        """The handler of that name, which the journal may have kept over a restart."""
        return next((entry for entry in self.specs if entry.name == name), None)

    def match(self, command: Command) -> HandlerSpec | None:
        """The handler for a Command, None if there is none. Pure."""
        return self._match_specific(command) or self._default.get("")

    def _match_specific(self, command: Command) -> HandlerSpec | None:
        if command.data is not None:
            for length in self._prefix_lengths:  # the longest that fits
                if entry := self._by_prefix.get(command.data[:length]):
                    return entry
            return self._binary.get("")
        if self._by_json_key:
            for key in _json_object_keys(command.text or ""):
                if entry := self._by_json_key.get(key):
                    return entry
        return self._by_word.get(command.words[0].casefold()) if command.words else None


Key = TypeVar("Key", str, bytes)


def _add(
    table: dict[Key, HandlerSpec], keys: Iterable[Key], spec: HandlerSpec, label: str, errors: list[str]
) -> None:
    for key in keys:
        other = table.setdefault(key, spec)
        if other is not spec:
            shown = label.format(f'"{key}"' if isinstance(key, str) else key.hex().upper())
            errors.append(
                f"two handlers for {shown}: {other.location} and {spec.location}; rename or remove one"
            )


def _json_object_keys(text: str) -> Iterable[str]:
    """The keys of a JSON object in the order of the text; none if it is not one."""
    if not text.lstrip().startswith("{"):
        return ()
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()


async def load_registry(directory: Path, runner: Runner) -> HandlerRegistry:
    """Read the directory, load its Python files.

    Raises CatalogueError with every mistake at once, HostExhausted.
    """
    found = read_directory(directory)
    faults, remarks = found.errors, found.warnings
    entries = [_executable_spec(name, path, found) for name, path in found.executables.items()]
    for file, answer in zip(
        found.python_files,
        await asyncio.gather(*(_load_file(file, runner) for file in found.python_files)),
        strict=True,
    ):
        if isinstance(answer, HandlerLoadError):
            faults.append(f"{answer}; mend the file, or begin its name with _ to leave it out")
        elif not answer:
            remarks.append(f"{file} has no @handler; if others import it, begin its name with _")
        else:
            for each in answer:
                faults += [f"{file} line {each.line}, {each.function}: {fault}" for fault in each.errors]
                entries.append(_function_spec(file, each))
    try:
        catalogue = HandlerRegistry(entries, remarks)
    except HandlerConfigError as error:
        faults += error.errors
    if faults:
        raise HandlerConfigError(*faults)
    return catalogue


async def _load_file(file: Path, runner: Runner) -> list[HandlerDeclaration] | HandlerLoadError:
    try:
        return await runner.load(file)
    except HandlerLoadError as error:
        return error


def _executable_spec(name: str, path: Path, contents: DirectoryContents) -> HandlerSpec:
    word = name.casefold()
    entry = HandlerSpec(
        name,
        "executable",
        file=path,
        then=contents.actions.get(name),
        words=() if word == _BINARY_NAME else (word,),
    )
    return replace(entry, **contents.options.get(name, {}))  # type: ignore[arg-type]  # checked by option_faults


def _function_spec(file: Path, declaration: HandlerDeclaration) -> HandlerSpec:
    return HandlerSpec(
        f"{file.name}:{declaration.function}",
        "python",
        file=file,
        function=declaration.function,
        words=tuple(dict.fromkeys(word.casefold() for word in declaration.words)),
        json_keys=declaration.json_keys,
        prefixes=declaration.prefixes,
        default=declaration.default,
        line=declaration.line,
        repeatable=declaration.repeatable,
        timeout_s=declaration.timeout_s,
        max_age_s=declaration.max_age_s,
        reply_to=declaration.reply_to,
    )
