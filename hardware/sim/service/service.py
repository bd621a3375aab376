"""One of the three services: makes Commands, hands them to the network, and lists what SIMs send.

A Command to a SIM is `queued` until the first attempt, then `sent`, then `delivered` when the module has
acknowledged it (and a receipt was asked for). What follows when nothing is acknowledged differs: a Super SIM
Command stays `sent` after 24 hours, a Programmable Wireless Command with a receipt ends `failed`, and the
beta, which keeps nothing, fails at once when the module is not there. No I/O, no clock, no randomness of its
own.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pdu
from hardware.sim.network.events import Event, EventKind
from hardware.sim.network.network import Subscription
from hardware.sim.service import body as service_body
from hardware.sim.service import list as service_list
from hardware.sim.service import request as service_request
from hardware.sim.service.error import NO_SUCH_RESOURCE, NO_SUCH_SIM, NOT_READY, ServiceError
from hardware.sim.service.product import Rules
from hardware.sim.service.resource import Resource

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from hardware.sim.network.events import Observer
    from hardware.sim.network.network import SimulatedNetwork
    from hardware.sim.network.originated import Originated
    from hardware.sim.service.list import Page
    from hardware.sim.service.product import Product
    from hardware.sim.service.resource import Mode, ServiceSim, Status

ORIGINATED_CHARACTERS = 160
"""A longer text from a Programmable Wireless SIM is cut, and still listed (33111)."""


class CommandService:
    """The Commands of one account with one product."""

    def __init__(
        self,
        product: Product,
        network: SimulatedNetwork,
        wall: Callable[[], datetime],
        rng: random.Random,
        emit: Observer,
        *,
        rules: Rules | None = None,
    ) -> None:
        self.product = product
        self.rules = rules or Rules()
        self._network = network
        self._wall = wall
        self._rng = rng
        self._emit = emit
        self._sims: dict[str, ServiceSim] = {}
        self._resources: dict[str, Resource] = {}
        self._serial = 0

    def add_sim(self, sim: ServiceSim, number: str) -> None:
        """Put a SIM with that telephone number into the account and make the network know it."""
        self._sims[sim.imsi] = sim
        self._network.subscribe(
            Subscription(
                imsi=sim.imsi,
                number=number,
                registration=self.product.registration,
                originated=self._originated,
            )
        )

    def find_sim(self, name: str) -> ServiceSim | None:
        """By SID or unique name."""
        return next((sim for sim in self._sims.values() if name in (sim.sid, sim.unique_name)), None)

    # Commands to a SIM.

    def create(self, parameters: Mapping[str, str]) -> Resource:
        """Make a Command and begin to send it; raises ServiceError."""
        order = service_request.read(self.product, parameters)
        sim = self.find_sim(order.sim)
        if sim is None:
            raise ServiceError(404, NO_SUCH_SIM, f"There is no SIM {order.sim}.")
        if not sim.usable:
            raise ServiceError(400, NOT_READY, f"The SIM {order.sim} is {sim.status}, not ready or active.")
        sid = self._new_sid()
        parts = service_body.compose(self.product, self.rules, order, sid, self._rng.randrange(256))
        resource = self._keep(sid, sim, order.body, "queued", order.mode, receipt=order.receipt)
        self._tell(EventKind.CREATED, sim, order.content, sid=sid)
        delivery = _Delivery(self, resource, len(parts))
        resource.messages = [
            self._network.send(
                sim.imsi,
                pdu.Address.parse(self.product.number),
                part,
                body=part.text if part.text is not None else part.data,
                sid=sid,
                outcome=delivery,
                keep=self.product.keeps,
            )
            for part in parts
        ]
        return resource

    def redeliver(self, sid: str) -> Resource:
        """Have the network bring the same messages once more, as it does when an acknowledgement got lost."""
        resource = self.fetch(sid)
        for message in resource.messages:
            self._network.redeliver(resource.sim.imsi, message)
        return resource

    def change(self, resource: Resource, status: Status) -> None:
        """The Command got on."""
        resource.status = status
        resource.updated = self._wall()

    # Commands from a SIM.

    def _originated(self, message: Originated) -> None:
        sim = self._sims[message.imsi]
        number = str(message.destination)
        if not self.product.owns(message.destination):
            self._tell(EventKind.NOT_LISTED, sim, message.body, number, note="not the service's number")
        elif not self.product.lists_originated:
            self._tell(
                EventKind.NOT_LISTED, sim, message.body, number, note="this service stores nothing from a SIM"
            )
        elif not sim.usable:
            self._tell(
                EventKind.NOT_LISTED, sim, message.body, number, note=f"33203: the SIM is {sim.status}"
            )
        else:
            self._list(sim, message, number)

    def _list(self, sim: ServiceSim, message: Originated, number: str) -> None:
        sid = self._new_sid()
        note = ""
        mode: Mode = "text"
        if isinstance(message.body, bytes):
            # Super SIM has no binary; what the real service makes of it is not known, nothing gets lost here.
            mode = "binary"
            body = base64.b64encode(message.body).decode("ascii")
        else:
            body = message.body
            if self.product.modes and len(body) > ORIGINATED_CHARACTERS:
                body = body[:ORIGINATED_CHARACTERS]
                note = f"33111: {len(message.body)} characters, cut to {ORIGINATED_CHARACTERS}"
        self._keep(sid, sim, body, "received", mode)
        self._tell(EventKind.LISTED, sim, message.body, number, sid=sid, note=note)

    # What the API reads.

    def fetch(self, sid: str) -> Resource:
        """Raises ServiceError (404) for what never was, was deleted, or is older than 30 days."""
        if not self.has(sid):
            what = f"/{self.product.collection}/{sid}"
            raise ServiceError(404, NO_SUCH_RESOURCE, f"The requested resource {what} was not found.")
        return self._resources[sid]

    def has(self, sid: str) -> bool:
        """Whether `fetch` would find it."""
        self._forget_old()
        return sid in self._resources

    def page(self, parameters: Mapping[str, str]) -> Page:
        """One page, newest first; raises ServiceError."""
        self._forget_old()
        sim = self.find_sim(parameters.get("Sim", ""))
        newest_first = list(reversed(self._resources.values()))
        return service_list.select(self.product, newest_first, parameters, sim.sid if sim else None)

    def delete(self, sid: str) -> None:
        """Forget a Command; one that is on its way is not called back."""
        del self._resources[self.fetch(sid).sid]

    def _keep(
        self, sid: str, sim: ServiceSim, body: str, status: Status, mode: Mode, *, receipt: bool = False
    ) -> Resource:
        now = self._wall()
        self._serial += 1
        resource = Resource(
            serial=self._serial,
            sid=sid,
            sim=sim,
            body=body,
            status=status,
            direction="from_sim" if status == "received" else "to_sim",
            created=now,
            updated=now,
            mode=mode,
            receipt=receipt,
        )
        self._resources[sid] = resource
        return resource

    def _forget_old(self) -> None:
        oldest = self._wall() - timedelta(days=self.rules.keep_days)
        for sid in [sid for sid, resource in self._resources.items() if resource.created < oldest]:
            del self._resources[sid]

    def _new_sid(self) -> str:
        return f"{self.product.sid_prefix}{self._rng.getrandbits(128):032x}"

    def _tell(
        self,
        kind: EventKind,
        sim: ServiceSim,
        body: str | bytes,
        number: str | None = None,
        *,
        sid: str | None = None,
        note: str = "",
    ) -> None:
        self._emit(
            Event(
                kind=kind,
                at=self._wall(),
                imsi=sim.imsi,
                number=number or self.product.number,
                sid=sid,
                body=body,
                note=note,
            )
        )


class _Delivery:
    """What the network reports about one Command, an `Outcome`; one in parts is delivered with the last."""

    def __init__(self, service: CommandService, resource: Resource, parts: int) -> None:
        self._service = service
        self._resource = resource
        self._missing = parts

    def attempted(self) -> None:
        if self._resource.status == "queued":
            self._service.change(self._resource, "sent")

    def acknowledged(self) -> None:
        self._missing -= 1
        if self._missing == 0 and self._resource.receipt:
            self._service.change(self._resource, "delivered")

    def gave_up(self) -> None:
        product, resource = self._service.product, self._resource
        if resource.status == "queued":
            fails = not product.keeps or product.modes or self._service.rules.never_attempted_fails
        else:
            fails = not product.keeps or (product.modes and resource.receipt)
        if fails and resource.status != "failed":
            self._service.change(resource, "failed")
