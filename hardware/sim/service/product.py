"""The three services as data: their differences, from the published API descriptions of both vendors."""

from __future__ import annotations

from dataclasses import dataclass

import pdu


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One service with its collection of Commands."""

    name: str
    base_path: str
    """Prefix of the path; the real services have hosts of their own."""
    hosts: tuple[str, ...]
    """The hosts of the vendors, and a name of this machine that stands for them."""
    collection: str
    sid_prefix: str
    sim_sid_prefix: str
    short_code: str
    """Originating address of its messages, and destination of answers."""
    body_field: str
    """Name of the body in responses; capitalised it is the name of the parameter."""
    list_key: str
    """Name of the array of rows in a list."""
    registration_stat: int
    """`<stat>` of 27.007 7.2; a Super SIM is roaming everywhere."""
    has_modes: bool = False
    """True if it has CommandMode, IncludeSid and DeliveryReceiptRequested, and returns their values."""
    can_delete: bool = False
    store_and_forward: bool = True
    """True if it retries for 24 hours until the module has the message."""
    lists_mo_messages: bool = True
    """True if messages from a SIM become resources."""
    accepts_any_number: bool = False
    """True if messages from a SIM to any number are for the service."""
    has_fleets: bool = False
    """True if its SIMs belong to Fleets, which have the settings for Commands; otherwise the SIM has them."""
    max_page_size: int = 1000
    """Rows of a page. The descriptions say 1000; the document of Programmable Wireless says 100."""
    has_error_fields: bool = False
    """True if a failed Command shows its error code."""
    calls_at_every_status: bool = False
    """True if a status callback follows each change of status; False: the last one only."""

    @property
    def service_path(self) -> str:
        """Path of the collection on the host of the product."""
        return f"/v1/{self.collection}"

    @property
    def collection_path(self) -> str:
        """Path of the collection below the root of the sandbox."""
        return f"{self.base_path}{self.service_path}"

    @property
    def body_parameter(self) -> str:
        """Name of the body parameter in requests."""
        return self.body_field.capitalize()

    def accepts_destination(self, destination: pdu.Address) -> bool:
        """Return True if a message to that number is for the service; `+2936` is not the number 2936."""
        if self.accepts_any_number:
            return True
        international = destination.type_of_number == pdu.TypeOfNumber.INTERNATIONAL
        return destination.number == self.short_code and not international


SIMS_PATH = "/v1/Sims"
"""Path of the Sim resources on the host of a product."""

_SUPER_SIM_HOSTS = ("supersim.localhost", "supersim.twilio.com", "supersim.api.korewireless.com")

SUPER_SIM = Product(
    name="super-sim",
    base_path="/supersim",
    hosts=_SUPER_SIM_HOSTS,
    collection="SmsCommands",
    sid_prefix="HC",
    sim_sid_prefix="HS",
    short_code="000",
    body_field="payload",
    list_key="sms_commands",
    registration_stat=5,
    accepts_any_number=True,
    has_fleets=True,
    has_error_fields=True,
    calls_at_every_status=True,
)

PROGRAMMABLE_WIRELESS = Product(
    name="programmable-wireless",
    base_path="/wireless",
    hosts=("wireless.localhost", "wireless.twilio.com", "programmable-wireless.api.korewireless.com"),
    collection="Commands",
    sid_prefix="DC",
    sim_sid_prefix="DE",
    short_code="2936",
    body_field="command",
    list_key="commands",
    registration_stat=1,
    has_modes=True,
    can_delete=True,
    max_page_size=100,
)

SUPER_SIM_BETA = Product(
    name="super-sim-beta",
    base_path="/supersim",
    hosts=_SUPER_SIM_HOSTS,
    collection="Commands",
    sid_prefix="HC",
    sim_sid_prefix="HS",
    short_code="000",
    body_field="command",
    list_key="commands",
    registration_stat=5,
    store_and_forward=False,
    lists_mo_messages=False,
    has_fleets=True,
)

PRODUCTS = {product.name: product for product in (SUPER_SIM, PROGRAMMABLE_WIRELESS, SUPER_SIM_BETA)}
