"""Reads the reception of a module that no agent uses; nothing is changed in it."""

from __future__ import annotations

from typing import Any

from agent.at.client import CommandExchange
from agent.modem.identification import identify_module
from agent.modem.network_operator import NetworkOperator, query_operator
from agent.modem.signal_quality import SignalMeter
from agent.modem.status_queries import REGISTRATION_DOMAINS, Registration, query_registration
from hardware.identify import PortInfo


class SignalReader:
    """Reads repeatedly. A reading has the values of the request `signal` of the control socket."""

    def __init__(self, client: CommandExchange, profile: str) -> None:
        """`profile`: the name of the configured profile, or "auto"."""
        self._client = client
        self._profile = profile
        self._meter: SignalMeter | None = None
        self._domains: tuple[str, ...] = REGISTRATION_DOMAINS
        self._registration: Registration | None = None
        self._operator = NetworkOperator()

    async def read(self) -> dict[str, Any]:
        """Query registration, operator and signal. Raises CommandTimedOut, ModemLost, ProfileError."""
        if self._meter is None:
            driver = (await identify_module(self._client, self._profile, PortInfo())).driver
            self._meter = SignalMeter(self._client, driver)
            self._domains = driver.registration or REGISTRATION_DOMAINS
        registration = await query_registration(self._client, self._domains, Registration())
        if registration != self._registration:
            self._registration = registration
            self._operator = await query_operator(self._client)
        return {
            **(await self._meter.query()).as_dict(),
            "operator": self._operator.name or None,
            "access_technology": self._operator.access_technology or None,
            "registration": str(registration),
        }
