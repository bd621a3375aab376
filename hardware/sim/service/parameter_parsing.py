"""Values of parameters: required ones, words, flags, names, callback URLs, and the filters of lists.

Parameter names are case-sensitive. All functions raise ServiceError: 33102 for a missing parameter, 33101 for
an invalid value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, get_args

from hardware.sim.service.callback_url import CallbackMethod, Webhook, parse_callback_url
from hardware.sim.service.errors import invalid_parameter, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

Word = TypeVar("Word", bound=str)


def require_parameter(parameters: Mapping[str, str], name: str) -> str:
    """Return a value that is not empty."""
    value = parameters.get(name, "")
    if not value:
        raise missing_parameter(name)
    return value


def parse_choice(parameters: Mapping[str, str], name: str, choices: tuple[Word, ...], default: Word) -> Word:
    """Return one of `choices`; `default` if the parameter is missing or empty."""
    value = parameters.get(name)
    if not value:
        return default
    for word in choices:
        if value == word:
            return word
    raise invalid_parameter(name, f"it must be one of {', '.join(choices)}")


def parse_flag(parameters: Mapping[str, str], name: str) -> bool:
    """Return a flag in any letter case, since older vendor clients send `True` and `False`; default true."""
    value = {name: parameters.get(name, "").lower()}
    return parse_choice(value, name, ("true", "false"), "true") == "true"


def parse_unique_name(
    parameters: Mapping[str, str], names: Container[str | None], current: str | None
) -> str | None:
    """Return `UniqueName`, None if it is empty; it must be the current one or not among `names`."""
    name = parameters.get("UniqueName", "")
    if name and name != current and name in names:
        raise invalid_parameter("UniqueName", "another resource has this name")
    return name or None


def parse_webhook(parameters: Mapping[str, str], prefix: str, current: Webhook | None = None) -> Webhook:
    """Return the setting of the parameters `<prefix>Url` and `<prefix>Method`.

    One that is not given keeps its value of `current`; an empty URL means none.
    """
    url = current.url if current else None
    default = current.method if current else "POST"
    text = parameters.get(f"{prefix}Url")
    if text is not None:
        try:
            url = parse_callback_url(text) if text else None
        except ValueError as error:
            raise invalid_parameter(f"{prefix}Url", str(error)) from None
    method: CallbackMethod = parse_choice(parameters, f"{prefix}Method", get_args(CallbackMethod), default)
    return Webhook(url=url, method=method)


def parse_filters(
    parameters: Mapping[str, str], known: Mapping[str, tuple[str, ...] | None]
) -> dict[str, str]:
    """Return the filters among the parameters, without empty ones.

    `known` has the possible words of each, None for any text.
    """
    filters = {name: parameters[name] for name in parameters if name in known and parameters[name]}
    for name, value in filters.items():
        words = known[name]
        if words is not None and value not in words:
            raise invalid_parameter(name, f"it must be one of {', '.join(words)}")
    return filters
