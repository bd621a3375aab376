"""The Fleet resources of Super SIM: the settings that the SIMs of a Fleet share.

Of these settings the sandbox uses those for Commands. The others are kept and shown. There is no resource for
Network Access Profiles: any SID or name is accepted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardware.sim.service.callback_url import NO_WEBHOOK, Webhook
from hardware.sim.service.dates import format_date
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError, invalid_parameter
from hardware.sim.service.paging import select_page
from hardware.sim.service.parameter_parsing import (
    parse_filters,
    parse_flag,
    parse_unique_name,
    parse_webhook,
    require_parameter,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from hardware.sim.service.paging import Page

FLEETS_PATH = "/v1/Fleets"
"""On the host of Super SIM."""
LIST_KEY = "fleets"
WEBHOOKS = ("SmsCommands", "IpCommands", "Commands")
"""Prefixes of the parameters `...Url` and `...Method`. `Commands` is that of the first beta, which
never called its URL."""
DEFAULT_DATA_LIMIT_MB = 1000

FLEET_SID = re.compile(r"HF[0-9a-fA-F]{32}")
_SID = re.compile(r"HA[0-9a-fA-F]{32}")


@dataclass(slots=True, eq=False, kw_only=True)
class Fleet:
    """One Fleet."""

    serial: int
    sid: str
    unique_name: str | None
    network_access_profile_sid: str
    created_at: datetime
    updated_at: datetime
    data_enabled: bool = True
    data_limit_mb: int = DEFAULT_DATA_LIMIT_MB
    commands_enabled: bool = True
    """False: Commands are neither sent to its SIMs nor accepted from them."""
    webhooks: dict[str, Webhook] = field(default_factory=lambda: dict.fromkeys(WEBHOOKS, NO_WEBHOOK))
    """By prefix."""

    def to_json(self, account_sid: str, base_url: str) -> dict[str, object]:
        """Return the fields in the order of the vendor's samples, then those of the beta.

        `base_url` precedes `/v1/`.
        """
        sms, ip, beta = (self.webhooks[prefix] for prefix in WEBHOOKS)
        return {
            "account_sid": account_sid,
            "unique_name": self.unique_name,
            "data_enabled": self.data_enabled,
            "data_limit": self.data_limit_mb,
            "data_metering": "payg",
            "date_created": format_date(self.created_at),
            "date_updated": format_date(self.updated_at),
            "sms_commands_enabled": self.commands_enabled,
            "sms_commands_method": sms.method,
            "sms_commands_url": sms.url_text,
            "ip_commands_method": ip.method,
            "ip_commands_url": ip.url_text,
            "network_access_profile_sid": self.network_access_profile_sid,
            "sid": self.sid,
            "url": f"{base_url}{FLEETS_PATH}/{self.sid}",
            "commands_enabled": self.commands_enabled,
            "commands_method": beta.method,
            "commands_url": beta.url_text,
        }


class FleetCollection:
    """The Fleets of the account."""

    def __init__(self, wall_clock: Callable[[], datetime], rng: random.Random) -> None:
        self._wall_clock = wall_clock
        self._rng = rng
        self._fleets: dict[str, Fleet] = {}

    def find(self, name: str) -> Fleet | None:
        """Find a Fleet by SID or unique name."""
        return next(
            (fleet for fleet in self._fleets.values() if name in (fleet.sid, fleet.unique_name)), None
        )

    def fetch(self, name: str) -> Fleet:
        """Return a Fleet by SID or unique name; raises ServiceError (404)."""
        fleet = self.find(name)
        if fleet is None:
            raise ServiceError(404, NO_SUCH_RESOURCE, f"The requested resource /Fleets/{name} was not found.")
        return fleet

    def add(self, sid: str, unique_name: str | None, network_access_profile: str) -> Fleet:
        """Add a Fleet with the default settings."""
        now = self._wall_clock()
        fleet = Fleet(
            serial=len(self._fleets) + 1,
            sid=sid,
            unique_name=unique_name,
            network_access_profile_sid=_profile_sid(network_access_profile),
            created_at=now,
            updated_at=now,
        )
        self._fleets[sid] = fleet
        return fleet

    def add_named(self, name: str, network_access_profile: str) -> Fleet:
        """Add a Fleet with this SID, or with this unique name and a drawn SID."""
        if FLEET_SID.fullmatch(name):
            return self.add(name, None, network_access_profile)
        return self.add(f"HF{self._rng.getrandbits(128):032x}", name, network_access_profile)

    def create(self, parameters: Mapping[str, str]) -> Fleet:
        """Create a Fleet; raises ServiceError."""
        profile = require_parameter(parameters, "NetworkAccessProfile")
        changes = self._parse_changes(parameters, None)
        if parameters.get("CommandsEnabled"):
            changes["commands_enabled"] = parse_flag(parameters, "CommandsEnabled")
        if parameters.get("SmsCommandsEnabled"):
            changes["commands_enabled"] = parse_flag(parameters, "SmsCommandsEnabled")
        changes["data_enabled"] = parse_flag(parameters, "DataEnabled")
        fleet = self.add(f"HF{self._rng.getrandbits(128):032x}", None, profile)
        _apply(fleet, changes)
        return fleet

    def update(self, name: str, parameters: Mapping[str, str]) -> Fleet:
        """Change what is given; raises ServiceError and changes nothing then."""
        fleet = self.fetch(name)
        changes = self._parse_changes(parameters, fleet)
        if parameters.get("NetworkAccessProfile"):
            changes["network_access_profile_sid"] = _profile_sid(parameters["NetworkAccessProfile"])
        _apply(fleet, changes)
        fleet.updated_at = self._wall_clock()
        return fleet

    def list_page(self, parameters: Mapping[str, str]) -> Page[Fleet]:
        """Return one page of the list, newest first; raises ServiceError."""
        filters = parse_filters(parameters, {"NetworkAccessProfile": None})
        profile = filters.get("NetworkAccessProfile")

        def matches(fleet: Fleet) -> bool:
            return profile is None or fleet.network_access_profile_sid == _profile_sid(profile)

        return select_page(list(self._fleets.values()), matches, filters, parameters)

    def _parse_changes(self, parameters: Mapping[str, str], fleet: Fleet | None) -> dict[str, object]:
        changes: dict[str, object] = {}
        if "UniqueName" in parameters:
            names = {other.unique_name for other in self._fleets.values()}
            current = None if fleet is None else fleet.unique_name
            changes["unique_name"] = parse_unique_name(parameters, names, current)
        if parameters.get("DataLimit"):
            text = parameters["DataLimit"]
            if not re.fullmatch(r"[0-9]{1,7}", text) or not 1 <= int(text) <= 2_000_000:
                raise invalid_parameter("DataLimit", "it must be an integer from 1 to 2000000")
            changes["data_limit_mb"] = int(text)
        changes["webhooks"] = {
            prefix: parse_webhook(parameters, prefix, fleet.webhooks[prefix] if fleet else None)
            for prefix in WEBHOOKS
        }
        return changes


def _apply(fleet: Fleet, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        setattr(fleet, name, value)


def _profile_sid(profile: str) -> str:
    """Return the SID of a Network Access Profile; that of a name is computed from it."""
    if _SID.fullmatch(profile):
        return profile
    return f"HA{hashlib.sha256(profile.encode()).hexdigest()[:32]}"
