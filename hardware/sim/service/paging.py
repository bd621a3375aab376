"""Pages of a list, newest first, with the queries that lead from page to page.

The links carry a PageToken that names the row at which the page begins, so that a resource that is created or
deleted between two requests neither repeats nor hides a row. Without a token `Page` counts from the newest.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar, cast

from hardware.sim.service.errors import invalid_paging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
"""From the API descriptions of both vendors."""

Query = list[tuple[str, str]]


class ListedResource(Protocol):
    """A resource that lists show."""

    @property
    def serial(self) -> int:
        """Order of creation within the list."""


Row = TypeVar("Row", bound=ListedResource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """One page, and the queries for it and its neighbours."""

    rows: list[Row]
    number: int
    size: int
    first: Query
    previous: Query | None
    current: Query
    next: Query | None


@dataclass(frozen=True, slots=True)
class _PageToken:
    """The rows older than the one with `serial`, or newer."""

    side: Literal["older", "newer"]
    serial: int

    def __str__(self) -> str:
        return f"{'PA' if self.side == 'older' else 'PB'}{self.serial:032x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """The limits of `PageSize`: the largest that is accepted, and the largest that is shown."""

    accepted: int = MAX_PAGE_SIZE
    shown: int = MAX_PAGE_SIZE


GENERAL_LIMITS = PageLimits()


def select_page(
    rows: Sequence[Row],
    matches: Callable[[Row], bool] | None,
    filters: Mapping[str, str],
    parameters: Mapping[str, str],
    limits: PageLimits = GENERAL_LIMITS,
) -> Page[Row]:
    """Return the requested page, newest first, of those `rows` (oldest first) that match.

    No more rows are looked at than are needed. `filters` is repeated in the links. Raises ServiceError
    (33103) for invalid paging.
    """
    size = min(_parse_number(parameters, "PageSize", DEFAULT_PAGE_SIZE, 1, limits.accepted), limits.shown)
    number = _parse_number(parameters, "Page", 0, 0, None)
    token = _parse_token(parameters)
    wanted = _MatchingRows(rows, matches)
    shown = wanted.find_page(token, number, size)
    filter_query = list(filters.items())

    def query(page: int, at: _PageToken | None = None) -> Query:
        pairs = [*filter_query, ("PageSize", str(size)), ("Page", str(page))]
        return pairs if at is None else [*pairs, ("PageToken", str(at))]

    previous = following = None
    if number > 0:
        # The first page has no token, so that it contains what was created meanwhile.
        is_behind_second = shown and len(wanted.list_newer(shown[0].serial, size + 1)) > size
        back = _PageToken("newer", shown[0].serial) if is_behind_second else None
        previous = query(number - 1, back)
    if shown and wanted.list_older(shown[-1].serial, 1):
        following = query(number + 1, _PageToken("older", shown[-1].serial))
    return Page(
        rows=shown,
        number=number,
        size=size,
        first=query(0),
        previous=previous,
        current=query(number, token),
        next=following,
    )


class _MatchingRows(Generic[Row]):
    """The rows (oldest first) that match a filter, looked at from one of them."""

    def __init__(self, rows: Sequence[Row], matches: Callable[[Row], bool] | None) -> None:
        self._rows = rows
        self._matches = matches

    def find_page(self, token: _PageToken | None, number: int, size: int) -> list[Row]:
        """Return the rows of a page, newest first."""
        if token is not None and token.side == "older":
            return self.list_older(token.serial, size)
        if token is not None:
            newer = self.list_newer(token.serial, size)
            if len(newer) == size:
                return newer[::-1]
            number = 0  # fewer rows than a page are newer: the first page
        skipped = min(number * size, len(self._rows))
        if self._matches is None:
            return list(islice(self._newest_first(len(self._rows) - skipped), size))
        return list(islice(self._newest_first(len(self._rows)), skipped, skipped + size))

    def list_older(self, serial: int, count: int) -> list[Row]:
        """Return the first `count` rows before a serial number, newest first."""
        end = bisect_left(self._rows, serial, key=attrgetter("serial"))
        return list(islice(self._newest_first(end), count))

    def list_newer(self, serial: int, count: int) -> list[Row]:
        """Return the first `count` rows after a serial number, oldest first."""
        begin = bisect_right(self._rows, serial, key=attrgetter("serial"))
        return list(islice(self._filter(range(begin, len(self._rows))), count))

    def _newest_first(self, end: int) -> Iterator[Row]:
        return self._filter(range(end - 1, -1, -1))

    def _filter(self, indices: range) -> Iterator[Row]:
        rows = map(self._rows.__getitem__, indices)
        return rows if self._matches is None else filter(self._matches, rows)


def _parse_number(
    parameters: Mapping[str, str], name: str, default: int, minimum: int, maximum: int | None
) -> int:
    """Return a number; one of more than 18 digits becomes the largest of 18 digits."""
    text = parameters.get(name)
    if text is None:
        return default
    # int() raises another error for very long strings.
    digits = re.fullmatch(r"0*([0-9]+)", text)
    number = -1 if digits is None else int(digits[1]) if len(digits[1]) <= 18 else 10**18 - 1
    if number < minimum or (maximum is not None and number > maximum):
        limits = f"an integer from {minimum}" + ("" if maximum is None else f" to {maximum}")
        raise invalid_paging(name, f"it must be {limits}")
    return number


def _parse_token(parameters: Mapping[str, str]) -> _PageToken | None:
    text = parameters.get("PageToken")
    if text is None:
        return None
    match = re.fullmatch(r"P([AB])([0-9a-f]{32})", text)
    if match is None:
        raise invalid_paging("PageToken", "it is not a token of this list")
    side = "older" if match[1] == "A" else "newer"
    return _PageToken(cast("Literal['older', 'newer']", side), int(match[2], 16))
