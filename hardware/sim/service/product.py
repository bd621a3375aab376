"""The three services as data: what differs between them, and what the vendors leave open.

Sources: the published descriptions of both vendors and their documents. Where these are silent a field of
`Rules` says what this simulation does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pdu

LongTextRule = Literal["refuse", "cut", "split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One service with its collection of Commands."""

    name: str
    base_path: str
    """Prefix of the base URL, where the real services have hosts of their own."""
    collection: str
    sid_prefix: str
    sim_sid_prefix: str
    short_code: str
    """Where its messages come from, and go to."""
    body_field: str
    """Name of the body in answers; with a capital the name of the parameter."""
    list_key: str
    """Name of the rows in a list."""
    registration_stat: int
    """27.007 7.2: a Super SIM is a guest everywhere."""
    has_modes: bool = False
    """Takes CommandMode, IncludeSid and DeliveryReceiptRequested, and shows what they were."""
    can_delete: bool = False
    store_and_forward: bool = True
    """Store and forward: tries again until the module has it, for 24 hours."""
    lists_mo_messages: bool = True
    """What a SIM sends becomes a resource."""
    accepts_any_number: bool = False
    """To whatever number a SIM sends, it is for the service."""

    @property
    def collection_path(self) -> str:
        """Path of the collection, from the root of the sandbox."""
        return f"{self.base_path}/v1/{self.collection}"

    @property
    def body_parameter(self) -> str:
        """Name of the body in requests."""
        return self.body_field.capitalize()

    def accepts_destination(self, destination: pdu.Address) -> bool:
        """Whether a message from a SIM to that number is for the service; `+2936` is another number."""
        if self.accepts_any_number:
            return True
        international = destination.type_of_number == pdu.TypeOfNumber.INTERNATIONAL
        return destination.number == self.short_code and not international


SUPER_SIM = Product(
    name="super-sim",
    base_path="/supersim",
    collection="SmsCommands",
    sid_prefix="HC",
    sim_sid_prefix="HS",
    short_code="000",
    body_field="payload",
    list_key="sms_commands",
    registration_stat=5,
    accepts_any_number=True,
)

PROGRAMMABLE_WIRELESS = Product(
    name="programmable-wireless",
    base_path="/wireless",
    collection="Commands",
    sid_prefix="DC",
    sim_sid_prefix="DE",
    short_code="2936",
    body_field="command",
    list_key="commands",
    registration_stat=1,
    has_modes=True,
    can_delete=True,
)

SUPER_SIM_BETA = Product(
    name="super-sim-beta",
    base_path="/supersim",
    collection="Commands",
    sid_prefix="HC",
    sim_sid_prefix="HS",
    short_code="000",
    body_field="command",
    list_key="commands",
    registration_stat=5,
    store_and_forward=False,
    lists_mo_messages=False,
)

PRODUCTS = {product.name: product for product in (SUPER_SIM, PROGRAMMABLE_WIRELESS, SUPER_SIM_BETA)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRules:
    """What no document settles. The defaults are those that no device can misread."""

    long_text: LongTextRule = "refuse"
    """A body without SID that does not fit one SMS: refuse it, cut it, or send it in parts."""
    long_text_with_sid: LongTextRule = "refuse"
    """A body of 126 to 128 characters with IncludeSid: the document allows 128, but 125 fit."""
    allow_ucs2: bool = True
    """Bodies with characters outside GSM 03.38 go as UCS-2, 70 characters; False: they are refused."""
    fail_unattempted: bool = True
    """A Super SIM Command that in 24 hours could not once be tried ends `failed`; False: stays `queued`."""
    retention_days: int = 30
    """From creation; after that a resource is not found. This one is documented."""
