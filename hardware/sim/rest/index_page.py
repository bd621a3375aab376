"""`/`: one plain page with the SIMs, the URLs and example commands."""

from __future__ import annotations

import shlex
from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.rest import control
from hardware.sim.rest.responses import root_url
from hardware.sim.service.access import TOKEN_PATH
from hardware.sim.service.product import PRODUCTS

if TYPE_CHECKING:
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.sandbox_sim import SandboxSim
    from hardware.sim.service.access import AccessControl


class IndexRoutes:
    """The front page of one sandbox."""

    def __init__(self, sandbox: Sandbox, access: AccessControl) -> None:
        self._sandbox = sandbox
        self._access = access

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get("/", self.show_page, allow_head=False)

    async def show_page(self, request: web.Request) -> web.Response:
        body = f"<pre>{escape(self._page_text(root_url(request)), quote=False)}</pre>"
        head = '<meta charset="utf-8"><title>modem-agent sandbox</title>'
        return web.Response(text=f"<!doctype html>{head}{body}", content_type="text/html")

    def _page_text(self, url: str) -> str:
        sandbox = self._sandbox
        sims = "\n".join(
            f"  {sim.unique_name}  {sim.service.product.name}  {sim.sid}  {sim.link}"
            for sim in sandbox.sims.values()
        )
        collections = "\n".join(
            f"  {url}{product.collection_path}  ({product.name})" for product in PRODUCTS.values()
        )
        lines = "\n\n".join(self._curl_lines(url, sim) for sim in sandbox.sims.values())
        return (
            f"modem-agent sandbox\n\nSIMs, their services, SIDs and serial ports:\n{sims}\n\n"
            f"Commands:\n{collections}\n\n{self._describe_credentials(url)}\n\n"
            f"Send a Command, and list the Commands:\n\n{lines}\n\n"
            f"Control of the simulation:\n\n{(control.__doc__ or '').partition(chr(10))[2].strip(chr(10))}"
        )

    def _describe_credentials(self, url: str) -> str:
        own = self._access.credentials
        rule = "any credentials are accepted, or none" if self._access.is_open else "needed by the services"
        return (
            f"Credentials ({rule}):\n  account {own.account_sid}, token {own.token}\n"
            f"  API key {own.key_sid}, secret {own.key_secret}\n"
            f"  bearer token: the account's token, or one of {url}{TOKEN_PATH} for\n"
            f"    client_id={own.client_id} client_secret={own.client_secret} grant_type=client_credentials"
        )

    def _curl_lines(self, url: str, sim: SandboxSim) -> str:
        product = sim.service.product
        user = f"{self._sandbox.account_sid}:{self._sandbox.token}"
        where = shlex.quote(f"{url}{product.collection_path}")
        form = f"-d {shlex.quote(f'Sim={sim.unique_name}')} -d {product.body_parameter}=ping"
        return f"  curl -u {user} {where} {form}\n  curl -u {user} {where}"
