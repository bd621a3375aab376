"""One of the three services: creates Commands, sends them through the network, lists messages from SIMs.

A Command to a SIM is `queued` until the first attempt, then `sent`, and `delivered` when the module has
acknowledged it (if a receipt was requested). Without an acknowledgement the services differ: a Super SIM
Command stays `sent` after 24 hours, a Programmable Wireless Command with a receipt becomes `failed`, and a
Command of the beta, which does not store messages, fails at once if the module is not reachable. The service
does no I/O; clock and randomness are arguments.
"""

from __future__ import annotations

import base64
import contextlib
from collections import ChainMap
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pdu
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.network.network import Subscription
from hardware.sim.service import body as service_body
from hardware.sim.service import request as service_request
from hardware.sim.service.command_collection import CommandCollection
from hardware.sim.service.errors import (
    NO_SUCH_RESOURCE,
    NO_SUCH_SIM,
    SIM_NOT_ACTIVE,
    TOO_MANY_QUEUED,
    UNSPECIFIED,
    ServiceError,
)
from hardware.sim.service.paging import MAX_PAGE_SIZE, PageLimits
from hardware.sim.service.resource import CommandResource, select_commands
from hardware.sim.service.rules import BinaryFromSim, LargePage, LongTextFromSim, MissingSim

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from datetime import datetime

    from hardware.sim.network.events import EventReporter
    from hardware.sim.network.network import MoMessage, SimulatedNetwork
    from hardware.sim.service.paging import Page
    from hardware.sim.service.product import Product
    from hardware.sim.service.resource import CommandMode, ResourceStatus
    from hardware.sim.service.rules import ServiceRules
    from hardware.sim.service.sims import ServiceSim, SimCollection

StatusObserver = Callable[[CommandResource], None]

MAX_MO_CHARACTERS = 160
"""Length to which a text from a SIM is cut; it is still listed (33111)."""


NOT_DELIVERED = "The Command could not be delivered to the SIM."
MAX_QUEUED_IP = 100
"""Commands that may wait for a Narrowband SIM (33118)."""


class CommandService:
    """The Commands of one account with one product. `sims` may have SIMs of another service, too."""

    def __init__(
        self,
        product: Product,
        network: SimulatedNetwork,
        wall_clock: Callable[[], datetime],
        rng: random.Random,
        events: EventReporter,
        *,
        sims: SimCollection,
        rules: ServiceRules,
    ) -> None:
        self.product = product
        self._rules = rules
        self._sims = sims
        self._network = network
        self._wall_clock = wall_clock
        self._rng = rng
        self._events = events
        self._status_observers: list[StatusObserver] = []
        self._by_imsi: dict[str, ServiceSim] = {}
        """The SIMs of this service."""
        self._commands = CommandCollection(wall_clock, rules, self._withdraw)
        self._serial = 0
        self._reference = rng.randrange(256)

    def add_sim(self, sim: ServiceSim) -> None:
        """Add a SIM to the service and to the network."""
        self._by_imsi[sim.imsi] = sim
        self._network.subscribe(
            Subscription(
                imsi=sim.imsi,
                registration_stat=self.product.registration_stat,
                on_mo_message=self._handle_mo_message,
            )
        )

    def find_sim(self, name: str) -> ServiceSim | None:
        """Find a SIM by SID or unique name."""
        sim = self._sims.find(name)
        return sim if sim is not None and sim.imsi in self._by_imsi else None

    # Commands to a SIM

    def create(self, parameters: Mapping[str, str], account_sid: str | None = None) -> CommandResource:
        """Create a Command of an account and send it; raises ServiceError.

        A client that repeats its request creates a second Command; the fault `post-repeated` does so.
        """
        resource = self._create(parameters, account_sid)
        imsi = resource.sim.imsi
        if fault := self._network.faults_of(imsi).strike("post-repeated", "to_sim"):
            delay_s = fault.draw_seconds()
            note = f"post-repeated: the same request arrives again after {delay_s:.3g} s"
            self._emit_event(NetworkEventKind.FAULT, resource.sim, resource.body, sid=resource.sid, note=note)
            self._network.call_later(delay_s, self._repeat_request, dict(parameters), account_sid)
        return resource

    def _repeat_request(self, parameters: Mapping[str, str], account_sid: str | None) -> None:
        with contextlib.suppress(ServiceError):  # the SIM may have been deactivated: nobody gets the error
            self._create(parameters, account_sid)

    def _create(self, parameters: Mapping[str, str], account_sid: str | None) -> CommandResource:
        if self._rules.missing_sim is MissingSim.FIRST and self._by_imsi and not parameters.get("Sim"):
            parameters = ChainMap({"Sim": next(iter(self._by_imsi.values())).sid}, dict(parameters))
        request = service_request.parse_create_request(self.product, parameters)
        sim = self.find_sim(request.sim)
        if sim is None:
            raise ServiceError(404, NO_SUCH_SIM, f"There is no SIM {request.sim}.")
        if reason := sim.explain_unusable(self.product):
            raise ServiceError(400, SIM_NOT_ACTIVE, f"The SIM {request.sim} cannot be used: {reason}.")
        if sim.transport == "ip" and self._count_queued(sim) >= MAX_QUEUED_IP:
            raise ServiceError(400, TOO_MANY_QUEUED, f"{MAX_QUEUED_IP} Commands to this SIM wait already.")
        sid = self._new_sid()
        # A modulo 256 counter (TS 23.040 9.2.3.24.1): random references would make two messages of the same
        # second indistinguishable once in 256 times.
        self._reference = (self._reference + 1) % 256
        parts = service_body.build_user_data(self.product, request, sid, self._reference, self._rules)
        resource = self._add_resource(
            sid, sim, request.body, "queued", request.mode, delivery_receipt=request.delivery_receipt
        )
        resource.callback, resource.account_sid = request.callback, account_sid
        self._emit_event(NetworkEventKind.CREATED, sim, request.content, sid=sid)
        if sim.transport == "sms":
            self._send(resource, parts)
        return resource

    def _send(self, resource: CommandResource, parts: tuple[pdu.UserData, ...]) -> None:
        delivery = _DeliveryTracker(self, resource, len(parts))
        resource.mt_messages = [
            self._network.send(
                resource.sim.imsi,
                pdu.Address.parse(self.product.short_code),
                part,
                body=part.text if part.text is not None else part.data,
                sid=resource.sid,
                listener=delivery,
                store_and_forward=self.product.store_and_forward,
            )
            for part in parts
        ]

    def withdraw(self, resource: CommandResource, reason: str) -> None:
        """Make no further attempt to deliver a Command; what the module answers changes no status."""
        for message in resource.mt_messages:
            message.listener = None
            self._network.withdraw(resource.sim.imsi, message, reason)

    def fail_after_transit(self, resource: CommandResource, code: int) -> None:
        """Let a new Command fail as soon as it has reached the network, which does not deliver it."""
        self.withdraw(resource, f"it fails with the code {code}")
        self._network.call_after_transit(partial(self.fail, resource, code, NOT_DELIVERED))

    def redeliver(self, sid: str) -> CommandResource:
        """Deliver the same messages again, as after a lost acknowledgement; raises ServiceError."""
        resource = self.fetch(sid)
        for message in resource.mt_messages:
            self._network.redeliver(resource.sim.imsi, message)
        return resource

    def set_status(self, resource: CommandResource, status: ResourceStatus) -> None:
        """Set the status of a Command and its update time, and notify the observers."""
        resource.status = status
        resource.updated_at = self._wall_clock()
        self._notify_observers(resource)

    def fail(self, resource: CommandResource, code: int, message: str) -> None:
        """Set the status `failed` with the code and the sentence that the callback carries."""
        resource.error_code, resource.error_message = code, message
        self.set_status(resource, "failed")

    def add_status_observer(self, observer: StatusObserver) -> None:
        """Call `observer` with each resource whose status changes, and with each message from a SIM."""
        self._status_observers.append(observer)

    def _notify_observers(self, resource: CommandResource) -> None:
        for observer in self._status_observers:
            observer(resource)

    # Commands from a SIM

    def _handle_mo_message(self, message: MoMessage) -> None:
        sim = self._by_imsi[message.imsi]
        number = str(message.destination)
        reason = ""
        if not self.product.accepts_destination(message.destination):
            reason = "not the service's number"
        elif not self.product.lists_mo_messages:
            reason = "this service lists no messages from a SIM"
        elif unusable := sim.explain_unusable(self.product):
            reason = f"33203: the SIM cannot be used: {unusable}"
        elif self._drops_binary and isinstance(message.body, bytes):
            reason = "binary is not supported"
        if reason:
            self._emit_event(NetworkEventKind.NOT_LISTED, sim, message.body, number, note=reason)
        else:
            self._add_received(sim, message, number)

    def _add_received(self, sim: ServiceSim, message: MoMessage, number: str) -> None:
        sid = self._new_sid()
        note = ""
        mode: CommandMode = "text"
        if isinstance(message.body, bytes):
            # Super SIM has no binary mode. What the real service does is not known.
            mode = "binary"
            body = base64.b64encode(message.body).decode("ascii")
        else:
            body = message.body
            is_cut = self._rules.long_text_from_sim is LongTextFromSim.TRUNCATE
            if is_cut and len(body) > MAX_MO_CHARACTERS:
                body = body[:MAX_MO_CHARACTERS]
                note = f"33111: {len(message.body)} characters, cut to {MAX_MO_CHARACTERS}"
        resource = self._add_resource(sid, sim, body, "received", mode)
        self._emit_event(NetworkEventKind.LISTED, sim, message.body, number, sid=sid, note=note)
        self._notify_observers(resource)

    @property
    def _drops_binary(self) -> bool:
        return not self.product.has_modes and self._rules.binary_from_super_sim is BinaryFromSim.DROP

    # Read operations of the API

    def fetch(self, sid: str, account_sid: str | None = None) -> CommandResource:
        """Return a resource. Raises ServiceError (404) if it does not exist or is over 30 days old.

        With an account SID, a resource of another account does not exist.
        """
        resource = self._commands.find(sid)
        if resource is None or not resource.belongs_to(account_sid):
            what = f"/{self.product.collection}/{sid}"
            raise ServiceError(404, NO_SUCH_RESOURCE, f"The requested resource {what} was not found.")
        return resource

    def find_newest(self, sim_sid: str) -> CommandResource | None:
        """Return the newest Command to a SIM, None if there is none."""
        rows = reversed(self._commands.list_oldest_first())
        return next((row for row in rows if row.sim.sid == sim_sid and row.direction == "to_sim"), None)

    def has_command(self, sid: str) -> bool:
        """Return True if `fetch` would find the Command."""
        return self._commands.find(sid) is not None

    def list_page(
        self, parameters: Mapping[str, str], account_sid: str | None = None
    ) -> Page[CommandResource]:
        """Return one page of an account's list, newest first; raises ServiceError."""
        sim = self.find_sim(parameters.get("Sim", ""))
        commands = self._commands.list_oldest_first()
        limit = self.product.max_page_size
        limits = PageLimits(
            accepted=limit if self._rules.large_page is LargePage.REFUSE else MAX_PAGE_SIZE, shown=limit
        )
        sim_sid = sim.sid if sim else None
        return select_commands(self.product, commands, parameters, sim_sid, account_sid, limits)

    def delete(self, sid: str, account_sid: str | None = None) -> None:
        """Delete a resource; a message that is on its way is not recalled. Raises ServiceError."""
        self._commands.remove(self.fetch(sid, account_sid))

    def _add_resource(
        self,
        sid: str,
        sim: ServiceSim,
        body: str,
        status: ResourceStatus,
        mode: CommandMode,
        *,
        delivery_receipt: bool = False,
    ) -> CommandResource:
        now = self._wall_clock()
        self._serial += 1
        resource = CommandResource(
            serial=self._serial,
            sid=sid,
            sim=sim,
            body=body,
            status=status,
            direction="from_sim" if status == "received" else "to_sim",
            created_at=now,
            updated_at=now,
            mode=mode,
            transport=sim.transport,
            delivery_receipt=delivery_receipt,
        )
        self._commands.add(resource)
        return resource

    def _count_queued(self, sim: ServiceSim) -> int:
        commands = self._commands.list_oldest_first()
        return sum(each.sim is sim and each.status == "queued" for each in commands)

    def _withdraw(self, resource: CommandResource) -> None:
        """Give up what waits for the SIM of a Command that is no longer kept."""
        for message in resource.mt_messages:
            reason = f"the sandbox keeps {self._rules.max_commands} Commands"
            self._network.withdraw(resource.sim.imsi, message, reason)

    def _new_sid(self) -> str:
        return f"{self.product.sid_prefix}{self._rng.getrandbits(128):032x}"

    def _emit_event(
        self,
        kind: NetworkEventKind,
        sim: ServiceSim,
        body: str | bytes,
        number: str | None = None,
        *,
        sid: str | None = None,
        note: str = "",
    ) -> None:
        self._events.report(kind, sim.imsi, number or self.product.short_code, body, sid=sid, note=note)


class _DeliveryTracker:
    """Updates the status of one Command; a Command in parts is delivered with its last part."""

    def __init__(self, service: CommandService, resource: CommandResource, part_count: int) -> None:
        self._service = service
        self._resource = resource
        self._parts_left = part_count

    @property
    def wants_receipt(self) -> bool:
        return self._resource.delivery_receipt

    def attempted(self) -> None:
        if self._resource.status == "queued":
            self._service.set_status(self._resource, "sent")

    def acknowledged(self) -> None:
        self._parts_left -= 1
        if self._parts_left == 0 and self._resource.delivery_receipt:
            self._service.set_status(self._resource, "delivered")

    def gave_up(self) -> None:
        product, resource = self._service.product, self._resource
        # Whether a Super SIM Command without any attempt fails is not documented.
        unattempted = resource.status == "queued"
        fails = (
            unattempted or not product.store_and_forward or (product.has_modes and resource.delivery_receipt)
        )
        if fails and resource.status != "failed":
            self._service.fail(resource, UNSPECIFIED, NOT_DELIVERED)
