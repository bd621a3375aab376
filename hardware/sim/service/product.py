"""The three services as data: what differs between them, and what the vendors leave open.

Sources: the published descriptions of both vendors and their documents. Where these are silent a field of
`Rules` says what this simulation does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pdu

Overlong = Literal["refuse", "cut", "split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One service with its collection of Commands."""

    name: str
    base: str
    """Prefix of the base URL, where the real services have hosts of their own."""
    collection: str
    sid_prefix: str
    sim_prefix: str
    number: str
    """Where its messages come from, and go to."""
    field: str
    """Name of the body in answers; with a capital the name of the parameter."""
    key: str
    """Name of the rows in a list."""
    registration: int
    """27.007 7.2: a Super SIM is a guest everywhere."""
    modes: bool = False
    """Takes CommandMode, IncludeSid and DeliveryReceiptRequested, and shows what they were."""
    deletable: bool = False
    keeps: bool = True
    """Store and forward: tries again until the module has it, for 24 hours."""
    lists_originated: bool = True
    """What a SIM sends becomes a resource."""
    any_number: bool = False
    """To whatever number a SIM sends, it is for the service."""

    @property
    def path(self) -> str:
        """Path of the collection, from the root of the sandbox."""
        return f"{self.base}/v1/{self.collection}"

    @property
    def parameter(self) -> str:
        """Name of the body in requests."""
        return self.field.capitalize()

    def owns(self, destination: pdu.Address) -> bool:
        """Whether a message from a SIM to that number is for the service; `+2936` is another number."""
        if self.any_number:
            return True
        international = destination.type_of_number == pdu.TypeOfNumber.INTERNATIONAL
        return destination.number == self.number and not international


SUPER_SIM = Product(
    name="super-sim",
    base="/supersim",
    collection="SmsCommands",
    sid_prefix="HC",
    sim_prefix="HS",
    number="000",
    field="payload",
    key="sms_commands",
    registration=5,
    any_number=True,
)

PROGRAMMABLE_WIRELESS = Product(
    name="programmable-wireless",
    base="/wireless",
    collection="Commands",
    sid_prefix="DC",
    sim_prefix="DE",
    number="2936",
    field="command",
    key="commands",
    registration=1,
    modes=True,
    deletable=True,
)

SUPER_SIM_BETA = Product(
    name="super-sim-beta",
    base="/supersim",
    collection="Commands",
    sid_prefix="HC",
    sim_prefix="HS",
    number="000",
    field="command",
    key="commands",
    registration=5,
    keeps=False,
    lists_originated=False,
)

PRODUCTS = {product.name: product for product in (SUPER_SIM, PROGRAMMABLE_WIRELESS, SUPER_SIM_BETA)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What no document settles. The defaults are those that no device can misread."""

    long_text: Overlong = "refuse"
    """A body without SID that does not fit one SMS: refuse it, cut it, or send it in parts."""
    include_sid_overrun: Overlong = "refuse"
    """A body of 126 to 128 characters with IncludeSid: the document allows 128, but 125 fit."""
    ucs2: bool = True
    """Bodies with characters outside GSM 03.38 go as UCS-2, 70 characters; False: they are refused."""
    never_attempted_fails: bool = True
    """A Super SIM Command that in 24 hours could not once be tried ends `failed`; False: stays `queued`."""
    keep_days: int = 30
    """From creation; after that a resource is not found. This one is documented."""
