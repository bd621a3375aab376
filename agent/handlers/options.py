"""What can be set per handler, in `@handler(...)` or in NAME.toml, and what is wrong with a setting.

Pure. Imported by every handler process, so it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping

OPTION_NAMES = ("repeatable", "timeout_s", "max_age_s", "reply_to")

MAX_TIMEOUT_S = 86400  # a Command that is still being carried out a day later is a hung one


def check_word(word: object) -> str | None:
    """Why a handler of this name could never be chosen by the first word of a text; None if it can."""
    if not isinstance(word, str):
        return f"{_short_repr(word)} is no text"
    if word.split() != [word]:
        return f"{_short_repr(word)} is not one word without blanks"
    if "=" in word[1:]:
        return f"{_short_repr(word)} can never be a first word: what stands before = counts as the word"
    if "\0" in word:
        return f"{_short_repr(word)} holds a NUL"
    return None


def check_options(options: Mapping[str, object]) -> list[str]:
    """One clause for each option that is unknown or impossible. None stands for "not set"."""
    found = [
        f"{name} is no option ({', '.join(OPTION_NAMES)} are)" for name in options if name not in OPTION_NAMES
    ]
    repeatable = options.get("repeatable")
    if repeatable is not None and not isinstance(repeatable, bool):
        found.append(f"repeatable must be true or false, not {_short_repr(repeatable)}")
    timeout = options.get("timeout_s")
    if timeout is not None and not _is_duration(timeout, MAX_TIMEOUT_S):
        found.append(
            f"timeout_s must be seconds above 0, at most {MAX_TIMEOUT_S}, not {_short_repr(timeout)}"
        )
    age = options.get("max_age_s")
    if age is not None and not _is_duration(age, 1e12):
        found.append(f"max_age_s must be seconds above 0, not {_short_repr(age)}")
    number = options.get("reply_to")
    if number is not None and not _is_phone_number(number):
        found.append(f"reply_to must be a telephone number of 1 to 20 digits, not {_short_repr(number)}")
    return found


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
