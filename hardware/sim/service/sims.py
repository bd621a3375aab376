"""The Sim resources of the account with one vendor product: list, fetch, update, and claim a card.

A SIM of the sandbox is in the account from the start. Claiming another card (Super SIM only) adds a SIM that
is in no module. A new status applies at once; the real service needs some time for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hardware.sim.service.callback_url import NO_WEBHOOK, Webhook
from hardware.sim.service.dates import format_date
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError, invalid_parameter
from hardware.sim.service.paging import select_page
from hardware.sim.service.parameter_parsing import (
    parse_choice,
    parse_filters,
    parse_unique_name,
    parse_webhook,
    require_parameter,
)
from hardware.sim.service.product import SIMS_PATH

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from hardware.sim.service.fleets import Fleet, FleetCollection
    from hardware.sim.service.paging import Page
    from hardware.sim.service.product import Product

Transport = Literal["sms", "ip"]

LIST_KEY = "sims"
SUPER_SIM_STATUSES = ("new", "ready", "active", "inactive", "scheduled")
SUPER_SIM_NEW_STATUSES = ("ready", "active", "inactive")
"""Those that an update may set."""
WIRELESS_STATUSES = (
    *("new", "ready", "active", "suspended", "deactivated", "canceled", "scheduled", "updating"),
)
WIRELESS_NEW_STATUSES = ("ready", "active", "suspended", "deactivated")
RATE_PLAN_SID = f"WP{0:032x}"
"""The one rate plan; there is no resource for it."""


@dataclass(slots=True, eq=False, kw_only=True)
class ServiceSim:
    """A SIM of the account."""

    serial: int = 0
    """Order in the account; set by `SimCollection.add`."""
    sid: str
    unique_name: str | None
    imsi: str
    iccid: str = ""
    status: str = "active"
    """Only `ready` and `active` SIMs send and receive."""
    transport: Transport = "sms"
    """`ip`: a Narrowband SIM with the vendor's SDK. No simulated module has that, so its Commands are moved
    by hand."""
    friendly_name: str = ""
    fleet: Fleet | None = None
    """Super SIM: without a Fleet it neither sends nor receives Commands."""
    commands_callback: Webhook = NO_WEBHOOK
    """Programmable Wireless: whom to call about a message from the SIM."""
    created_at: datetime
    updated_at: datetime

    def explain_unusable(self, product: Product) -> str:
        """Return why Commands are not possible, empty if they are."""
        if self.status not in ("ready", "active"):
            return f"it is {self.status}, not ready or active"
        if product.has_fleets and self.fleet is None:
            return "it is assigned to no Fleet"
        if product.has_fleets and self.fleet is not None and not self.fleet.commands_enabled:
            return f"Commands are not enabled for its Fleet {self.fleet.unique_name or self.fleet.sid}"
        return ""

    def webhook(self, product: Product) -> Webhook:
        """Return URL and method of the callbacks about a message from the SIM."""
        if not product.has_fleets:
            return self.commands_callback
        return NO_WEBHOOK if self.fleet is None else self.fleet.webhooks["SmsCommands"]

    def to_json(self, product: Product, account_sid: str, base_url: str) -> dict[str, object]:
        """Return the fields in the order of the vendor's samples; `base_url` precedes `/v1/`."""
        url = f"{base_url}{SIMS_PATH}/{self.sid}"
        dates = {"date_created": format_date(self.created_at), "date_updated": format_date(self.updated_at)}
        if product.has_fleets:
            return {
                "sid": self.sid,
                "account_sid": account_sid,
                "unique_name": self.unique_name,
                "status": self.status,
                "fleet_sid": None if self.fleet is None else self.fleet.sid,
                "iccid": self.iccid,
                **dates,
                "url": url,
                "links": {
                    "billing_periods": f"{url}/BillingPeriods",
                    "sim_ip_addresses": f"{url}/IpAddresses",
                },
            }
        return {
            "sid": self.sid,
            "unique_name": self.unique_name,
            "account_sid": account_sid,
            "rate_plan_sid": RATE_PLAN_SID,
            "friendly_name": self.friendly_name,
            "iccid": self.iccid,
            "e_id": None,
            "status": self.status,
            "reset_status": None,
            "commands_callback_url": self.commands_callback.url_text,
            "commands_callback_method": self.commands_callback.method,
            **{
                f"{kind}_{what}": None
                for kind in ("sms", "sms_fallback", "voice", "voice_fallback")
                for what in ("method", "url")
            },
            **dates,
            "url": url,
            "links": {
                "rate_plan": f"{base_url}/v1/RatePlans/{RATE_PLAN_SID}",
                "usage_records": f"{url}/UsageRecords",
                "data_sessions": f"{url}/DataSessions",
            },
            "ip_address": None,
        }


class SimCollection:
    """The SIMs of one product; `fleets` are those that they may be assigned to, None if it has none."""

    def __init__(
        self,
        product: Product,
        *,
        fleets: FleetCollection | None,
        wall_clock: Callable[[], datetime],
        rng: random.Random,
        connect: Callable[[ServiceSim], None],
    ) -> None:
        self.product = product
        self._fleets = fleets
        self._wall_clock = wall_clock
        self._rng = rng
        self._connect = connect
        """Makes a claimed SIM known to the network and to the service."""
        self._sims: dict[str, ServiceSim] = {}
        self._by_name: dict[str, ServiceSim] = {}
        self._iccids: set[str] = set()

    def add(self, sim: ServiceSim) -> None:
        """Add a SIM."""
        sim.serial = len(self._sims) + 1
        self._sims[sim.sid] = sim
        self._iccids.add(sim.iccid)
        if sim.unique_name is not None:
            self._by_name[sim.unique_name] = sim

    def find(self, name: str) -> ServiceSim | None:
        """Find a SIM by SID or unique name."""
        return self._sims.get(name) or self._by_name.get(name)

    def fetch(self, name: str) -> ServiceSim:
        """Return a SIM by SID or unique name; raises ServiceError (404)."""
        sim = self.find(name)
        if sim is None:
            raise ServiceError(404, NO_SUCH_RESOURCE, f"The requested resource /Sims/{name} was not found.")
        return sim

    def create(self, parameters: Mapping[str, str]) -> ServiceSim:
        """Claim a card that is in no module; any registration code of ten characters is accepted.

        Raises ServiceError.
        """
        iccid = require_parameter(parameters, "Iccid")
        code = require_parameter(parameters, "RegistrationCode")
        if not re.fullmatch(r"[0-9]{18,22}", iccid):
            raise invalid_parameter("Iccid", "it must be 18 to 22 digits")
        if iccid in self._iccids:
            raise invalid_parameter("Iccid", "this SIM is in the account already")
        if not re.fullmatch(r"[A-Za-z0-9]{10}", code):
            raise invalid_parameter("RegistrationCode", "it must be 10 letters and digits")
        now = self._wall_clock()
        sim = ServiceSim(
            sid=f"{self.product.sim_sid_prefix}{self._rng.getrandbits(128):032x}",
            unique_name=None,
            # The test network 001 01; the IMSIs of cards in modules are far below.
            imsi=f"00101{9 * 10**9 + len(self._sims):010d}",
            iccid=iccid,
            status="new",
            created_at=now,
            updated_at=now,
        )
        self.add(sim)
        self._connect(sim)
        return sim

    def list_page(self, parameters: Mapping[str, str]) -> Page[ServiceSim]:
        """Return one page of the list, newest first; raises ServiceError."""
        known: dict[str, tuple[str, ...] | None] = {
            "Status": WIRELESS_STATUSES,
            "Iccid": None,
            "RatePlan": None,
        }
        if self.product.has_fleets:
            known = {"Status": SUPER_SIM_STATUSES, "Fleet": None, "Iccid": None}
        filters = parse_filters(parameters, known)
        fleet = self._fleets.find(filters["Fleet"]) if self._fleets and "Fleet" in filters else None

        def matches(sim: ServiceSim) -> bool:
            return (
                filters.get("Status", sim.status) == sim.status
                and filters.get("Iccid", sim.iccid) == sim.iccid
                and filters.get("RatePlan", RATE_PLAN_SID) == RATE_PLAN_SID
                and ("Fleet" not in filters or (fleet is not None and sim.fleet is fleet))
            )

        return select_page(list(self._sims.values()), matches if filters else None, filters, parameters)

    def update(self, name: str, parameters: Mapping[str, str]) -> ServiceSim:
        """Change what is given; raises ServiceError and changes nothing then."""
        sim = self.fetch(name)
        parse_webhook(parameters, "Callback")  # an update is done at once and causes no callback
        statuses = SUPER_SIM_NEW_STATUSES if self.product.has_fleets else WIRELESS_NEW_STATUSES
        status = parse_choice(parameters, "Status", statuses, "") or sim.status
        unique_name = sim.unique_name
        if "UniqueName" in parameters:
            unique_name = parse_unique_name(parameters, self._by_name, sim.unique_name)
        fleet = sim.fleet
        if self._fleets is not None and parameters.get("Fleet"):
            fleet = self._fleets.find(parameters["Fleet"])
            if fleet is None:
                raise invalid_parameter("Fleet", f"there is no Fleet {parameters['Fleet']}")
        if not self.product.has_fleets:
            sim.commands_callback = parse_webhook(parameters, "CommandsCallback", sim.commands_callback)
            sim.friendly_name = parameters.get("FriendlyName", sim.friendly_name)
        if sim.unique_name is not None:
            del self._by_name[sim.unique_name]
        if unique_name is not None:
            self._by_name[unique_name] = sim
        sim.status, sim.unique_name, sim.fleet = status, unique_name, fleet
        sim.updated_at = self._wall_clock()
        return sim
