"""The JSON of one page of a list, with absolute links to its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.service.paging import Page, Query, Row


def list_response(
    page: Page[Row], key: str, url: str, to_json: Callable[[Row], dict[str, object]]
) -> web.Response:
    """Return the response with the rows under `key`; `url` is that of the list, without a query."""

    def link(query: Query | None) -> str | None:
        return None if query is None else f"{url}?{urlencode(query)}"

    meta = {
        "first_page_url": link(page.first),
        "key": key,
        "next_page_url": link(page.next),
        "page": page.number,
        "page_size": page.size,
        "previous_page_url": link(page.previous),
        "url": link(page.current),
    }
    return web.json_response({key: [to_json(row) for row in page.rows], "meta": meta})
