"""All handlers, and the choice of the handler for a Command.

The registry is built at the start and at each reload, from the directory and the declarations of its Python
files. The choice is a lookup in tables: no part of a Command ever becomes part of a path. A handler that
cannot be used keeps its words, so that its Commands fail and go to no other handler.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent.handlers.api import Command
from agent.handlers.builtin import BUILTINS
from agent.handlers.directory import DirectoryContents, HandlerConfigError, read_directory
from agent.handlers.runner import HandlerDeclaration, HandlerLoadError, Runner
from agent.handlers.spec import HandlerOptions, HandlerSpec
from pdu.record import field_names

__all__ = ["HandlerConfigError", "HandlerRegistry", "HandlerSpec", "load_registry"]

_BINARY_NAME = "binary"
"""Name of the executable that gets binary Commands."""


Key = TypeVar("Key", str, bytes, int)


class HandlerRegistry:
    """Finds the handler for a Command."""

    def __init__(
        self,
        specs: Iterable[HandlerSpec],
        warnings: Iterable[str] = (),
        unusable: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Index the user's handlers, then the built-ins whose word is free.

        `unusable` has the sentences about each handler or file that cannot be used, by its name. If two
        handlers match the same Commands, neither gets them.
        """
        self.warnings = tuple(warnings)
        """Sentences about harmless mistakes in the directory."""
        self.unusable: dict[str, list[str]] = {
            name: list(errors) for name, errors in (unusable or {}).items()
        }
        """The names of the handlers and files that cannot be used, each with sentences that say why."""
        self._by_word: dict[str, HandlerSpec] = {}
        self._by_json_key: dict[str, HandlerSpec] = {}
        self._by_prefix: dict[bytes, HandlerSpec] = {}
        self._by_port: dict[int, HandlerSpec] = {}
        # Tables with at most one entry, under the key "", so that _add reports conflicts in the same way.
        self._binary: dict[str, HandlerSpec] = {}
        self._default: dict[str, HandlerSpec] = {}
        self._ignored: dict[str, HandlerSpec] = {}
        all_specs = [
            spec.replace(error="; ".join(self.unusable[spec.name])) if spec.name in self.unusable else spec
            for spec in specs
        ]
        for spec in all_specs:
            if spec.kind == "executable" and spec.name.casefold() == _BINARY_NAME and not spec.ignored:
                self._add(self._binary, ("",), spec, "binary Commands")
            self._add(self._by_word, spec.words, spec, "the word {}")
            self._add(self._by_json_key, spec.json_keys, spec, "the JSON key {}")
            self._add(self._by_prefix, spec.prefixes, spec, "the binary prefix {}")
            self._add(self._by_port, spec.ports, spec, "application port {}")
            if spec.default:
                self._add(self._default, ("",), spec, "all other Commands (default)")
            if spec.ignored:
                self._add(self._ignored, ("",), spec, "ignored messages")
        for spec in BUILTINS:
            if spec.name not in self._by_word or self._by_word[spec.name].error:
                self._by_word[spec.name] = spec
                all_specs.append(spec)
        self.specs = tuple(all_specs)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def _add(self, table: dict[Key, HandlerSpec], keys: Iterable[Key], spec: HandlerSpec, label: str) -> None:
        """Enter a handler under its keys. A key that another one has gets an entry that cannot be used."""
        for key in keys:
            other = table.setdefault(key, spec)
            if other is not spec:
                shown = label.format(_show_key(key))
                error = (
                    f"two handlers for {shown}: {other.location} and {spec.location}; rename or remove one"
                )
                table[key] = other.replace(error=error)
                self.unusable.setdefault(spec.name, []).append(error)

    @property
    def trigger_names(self) -> list[str]:
        """The words that users can send: first words, then JSON keys in quotes, each sorted."""
        words = sorted(word for word, spec in self._by_word.items() if not spec.error)
        return words + [f'"{key}"' for key, spec in sorted(self._by_json_key.items()) if not spec.error]

    @property
    def unread_files(self) -> list[str]:
        """The unusable Python files, and the directory: they may have handlers that are not known."""
        return [name for name in self.unusable if name.endswith((".py", "/"))]

    @property
    def handled_ports(self) -> frozenset[int]:
        """The application ports that handlers have asked for."""
        return frozenset(self._by_port)

    @property
    def ignored_handler(self) -> HandlerSpec | None:
        """The handler of ignored messages, None if there is none that can be used."""
        spec = self._ignored.get("")
        return None if spec is None or spec.error else spec

    def get(self, name: str) -> HandlerSpec | None:
        """Return the handler with that name, as the journal stores it; None if it is gone."""
        return next((spec for spec in self.specs if spec.name == name), None)

    def functions_of(self, file: Path) -> list[HandlerSpec]:
        """Return the handlers of a Python file."""
        return [spec for spec in self.specs if spec.kind == "python" and spec.file == file]

    def match(self, command: Command) -> HandlerSpec | None:
        """Return the handler for a Command; None if there is none. It cannot be used if it has an `error`."""
        if command.port is not None:
            return self._by_port.get(command.port)
        return self._match_specific(command) or self._default.get("")

    def _match_specific(self, command: Command) -> HandlerSpec | None:
        if command.data is not None:
            for length in self._prefix_lengths:  # the longest matching prefix wins
                if spec := self._by_prefix.get(command.data[:length]):
                    return spec
            return self._binary.get("")
        if self._by_json_key:
            for key in _json_object_keys(command.text or ""):
                if spec := self._by_json_key.get(key):
                    return spec
        return self._by_word.get(command.words[0].casefold()) if command.words else None


def _show_key(key: str | bytes | int) -> str:
    if isinstance(key, bytes):
        return key.hex().upper()
    return f'"{key}"' if isinstance(key, str) else str(key)


def _json_object_keys(text: str) -> Iterable[str]:
    """Return the keys of a JSON object in the order of the text; empty if the text is not an object."""
    if not text.lstrip().startswith("{"):
        return ()
    try:
        decoded = json.loads(text.encode())  # a lone surrogate is an error
    except (ValueError, RecursionError):
        return ()
    return decoded if isinstance(decoded, dict) else ()


async def load_registry(
    directory: Path,
    runner: Runner,
    previous: HandlerRegistry | None = None,
    *,
    forwarding: Iterable[HandlerSpec] = (),
) -> HandlerRegistry:
    """Read the directory and load its Python files. `forwarding` has the targets that get Commands as well.

    A Python file that cannot be loaded keeps the handlers that it has in `previous`, the registry in use.
    Raises HandlerConfigError if there is no directory, and ResourceExhausted if the host cannot load a file
    now.
    """
    contents = read_directory(directory)
    errors, warnings = contents.errors, contents.warnings
    specs = [_executable_spec(name, path, contents) for name, path in contents.executables.items()]
    for file, loaded in zip(
        contents.python_files,
        await asyncio.gather(*(_load_file(file, runner) for file in contents.python_files)),
        strict=True,
    ):
        if isinstance(loaded, HandlerLoadError):
            kept = [] if previous is None else previous.functions_of(file)
            specs += kept
            advice = (
                "the version that was loaded before stays in use; correct the file and reload"
                if kept
                else "correct the file, or begin its name with _ to leave it out"
            )
            errors[file.name].append(f"{loaded}; {advice}")
        elif not loaded:
            warnings.append(f"{file} has no @handler; if other files import it, begin its name with _")
        else:
            for declaration in loaded:
                spec = _function_spec(file, declaration)
                specs.append(spec)
                for error in declaration.errors:
                    errors[spec.name].append(f"{spec.location}, {declaration.function}: {error}")
    return HandlerRegistry([*specs, *forwarding], warnings, errors)


async def _load_file(file: Path, runner: Runner) -> list[HandlerDeclaration] | HandlerLoadError:
    try:
        return await runner.load(file)
    except HandlerLoadError as error:
        return error


def _executable_spec(name: str, path: Path, contents: DirectoryContents) -> HandlerSpec:
    word = name.casefold()
    has_word = word != _BINARY_NAME and name not in contents.default | contents.ignored
    spec = HandlerSpec(
        name,
        "executable",
        file=path,
        then=contents.actions.get(name),
        words=(word,) if has_word else (),
        ports=contents.ports.get(name, ()),
        default=name in contents.default,
        ignored=name in contents.ignored,
    )
    return spec.replace(**contents.options.get(name, {}))


def _function_spec(file: Path, declaration: HandlerDeclaration) -> HandlerSpec:
    options: dict[str, Any] = {name: getattr(declaration, name) for name in field_names(HandlerOptions)}
    options["words"] = tuple(dict.fromkeys(word.casefold() for word in declaration.words))
    name = f"{file.name}:{declaration.function}"
    return HandlerSpec(name, "python", file=file, function=declaration.function, **options)
