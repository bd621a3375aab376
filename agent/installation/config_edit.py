"""Changes keys of agent.toml and keeps its comments and its order."""

from __future__ import annotations

from collections.abc import Mapping

import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import Table

from agent.installation.changes import SetupError


def set_keys(text: str, values: Mapping[tuple[str, str], object], source: str) -> str:
    """Return the text of agent.toml with these values by (table, key).

    Raises SetupError if the text is not TOML; `source` names it.
    """
    try:
        document = tomlkit.parse(text)
    except ParseError as error:
        raise SetupError(f"{source}: not valid TOML: {error}") from None
    for (name, key), value in values.items():
        table = document.setdefault(name, tomlkit.table())
        if not isinstance(table, Table):
            raise SetupError(f"{source}: {name} must be a table: write [{name}] on a line of its own")
        if key not in table or table[key] != value:
            table[key] = value
    return tomlkit.dumps(document)


def get_key(text: str, table: str, key: str) -> object:
    """Return a value that agent.toml sets; None if it does not set it, or is not TOML."""
    try:
        values = tomlkit.parse(text).unwrap().get(table)
    except ParseError:
        return None
    return values.get(key) if isinstance(values, dict) else None
