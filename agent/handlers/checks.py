"""Checks a handler: its options in `@handler(...)` or NAME.toml, its words, and who can write its file.

No I/O. Every handler process imports this module, so it imports only what these have anyway.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping

OPTION_NAMES = ("repeatable", "timeout_s", "max_age_s", "reply_to")
MAX_PORT = 65535  # 23.040 9.2.3.24.4: 16 bits

MAX_TIMEOUT_S = 86400  # a handler that still runs after a day hangs


def check_word(word: object) -> str | None:
    """Return a clause that says why this word can never be the first word of a text; None if it can."""
    if not isinstance(word, str):
        return f"{_short_repr(word)} is not text"
    if word.split() != [word]:
        return f"{_short_repr(word)} is not one word without blanks"
    if "=" in word[1:]:
        return f"{_short_repr(word)} can never be a first word: the part before = counts as the word"
    if "\0" in word:
        return f"{_short_repr(word)} contains a NUL"
    return None


def check_port(port: object) -> str | None:
    """Return a clause that says why this cannot be an application port; None if it can."""
    if isinstance(port, int) and not isinstance(port, bool) and 0 <= port <= MAX_PORT:
        return None
    return f"must be a port number from 0 to {MAX_PORT}, not {_short_repr(port)}"


def check_options(
    options: Mapping[str, object], further_names: tuple[str, ...] = ("port", "default")
) -> list[str]:
    """Return one clause for each unknown option and each invalid value. The value None means "not set".

    `further_names` are the options that the caller checks.
    """
    errors = [
        f"{name} is not an option (the options are {', '.join((*OPTION_NAMES, *further_names))})"
        for name in options
        if name not in OPTION_NAMES
    ]
    if {"user", "group", "sudo"} & options.keys():
        errors.append(
            "handlers cannot have rights of their own: a unit of its own runs a program as another user, see "
            '"Give handlers more rights" in config/README.md'
        )
    repeatable = options.get("repeatable")
    if repeatable is not None and not isinstance(repeatable, bool):
        errors.append(f"repeatable must be true or false, not {_short_repr(repeatable)}")
    timeout = options.get("timeout_s")
    if timeout is not None and not _is_duration(timeout, MAX_TIMEOUT_S):
        errors.append(
            f"timeout_s must be seconds above 0, at most {MAX_TIMEOUT_S}, not {_short_repr(timeout)}"
        )
    age = options.get("max_age_s")
    if age is not None and not _is_duration(age, 1e12):
        errors.append(f"max_age_s must be seconds above 0, not {_short_repr(age)}")
    number = options.get("reply_to")
    if number is not None and not _is_phone_number(number):
        errors.append(f"reply_to must be a telephone number of 1 to 20 digits, not {_short_repr(number)}")
    return errors


def check_permissions(path: str, status: os.stat_result) -> list[str]:
    """Return a sentence for each permission that lets users other than root and the agent's write the file.

    A user that can write a handler controls the device.
    """
    errors = []
    if status.st_mode & 0o022:
        mode = status.st_mode & 0o7777
        errors.append(f"{path} can be written by others (mode {mode:04o}): chmod go-w it")
    if status.st_uid not in (0, os.geteuid()):
        errors.append(
            f"{path} belongs to user {status.st_uid}: chown it to root or to the user that runs modem-agent"
        )
    return errors


def _is_duration(value: object, maximum: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= maximum


def _is_phone_number(value: object) -> bool:
    if not isinstance(value, str):
        return False
    digits = value.removeprefix("+")
    return digits.isascii() and digits.isdigit() and len(digits) <= 20  # 23.040 9.1.2.5: at most 20 digits


def _short_repr(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
