"""A SIM of a sandbox in a test, and the Commands that are sent to it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Literal

from hardware.sim.service import manual_states
from hardware.sim.service.errors import UNSPECIFIED
from hardware.sim.service.product import PRODUCTS
from hardware.sim.service.service import NOT_DELIVERED
from hardware.testing.loop_thread import WaitTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.network.network import MoMessage
    from hardware.sim.sandbox_sim import SandboxSim
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.service import CommandService
    from hardware.testing.sandbox_thread import SandboxThread

AwaitedStatus = Literal["sent", "delivered", "failed"]


class LocalSim:
    """A SIM in its module. After a reset of the sandbox it is the same SIM, with nothing sent or stored."""

    def __init__(self, thread: SandboxThread, name: str) -> None:
        self.name = name
        self._thread = thread

    def __repr__(self) -> str:
        return f"<SIM {self.name} of {self._thread.server.url}>"

    @property
    def sid(self) -> str:
        """SID of the SIM in its service."""
        return self._find().sid

    @property
    def port(self) -> str:
        """Path of the serial port of the module; any AT client can open it."""
        return str(self._find().link)

    @property
    def service(self) -> str:
        """`super-sim`, `programmable-wireless` or `super-sim-beta`."""
        return self._find().spec.service

    @property
    def number(self) -> str:
        """Telephone number of the SIM, with `+`."""
        return f"+{self._find().sim_card.phone_number}"

    @property
    def commands_url(self) -> str:
        """URL of the collection of Commands in the REST API."""
        return f"{self._thread.server.url}{PRODUCTS[self.service].collection_path}"

    # From the cloud to the device

    def send_command(self, content: str | bytes, **parameters: str) -> SentCommand:
        """Send a Command, as a back end does by REST; bytes are sent in binary mode.

        `parameters` are those of the service: `send_command("led on", IncludeSid="start")`, or `CallbackUrl`.
        Raises ServiceError if the service refuses it, ValueError for bytes to a service without binary mode.
        """
        product = PRODUCTS[self.service]
        if isinstance(content, bytes):
            if not product.has_modes:
                raise ValueError(f"{product.name} has no binary Commands")
            parameters = {"CommandMode": "binary", **parameters}
            content = base64.b64encode(content).decode("ascii")
        form = {"Sim": self.name, product.body_parameter: content, **parameters}
        return SentCommand(
            self._thread, self._thread.call(lambda: self._find().service.create(form)).sid, self
        )

    def send_sms(self, sender: str, content: str | bytes) -> int:
        """Send an SMS from any number or name, which is no Command; return the number of its parts.

        Raises pdu.PduError if it cannot be encoded.
        """
        return self._thread.call(lambda: self._thread.sandbox.send_sms(self.name, sender, content))

    # From the device

    @property
    def messages(self) -> list[MoMessage]:
        """All messages that the device has sent, oldest first: `body`, `destination`, `part_count`."""
        return self._thread.call(self._list_messages)

    def wait_for_message(
        self, containing: str = "", *, after: int = 0, timeout_s: float | None = None
    ) -> MoMessage:
        """Return the first text from the device that contains these words, or any message if there are none.

        `after` is the number of messages to skip. Raises WaitTimedOut.
        """
        __tracebackhide__ = True

        def find() -> MoMessage | None:
            for message in self._list_messages()[after:]:
                if not containing or (isinstance(message.body, str) and containing in message.body):
                    return message
            return None

        def explain() -> str:
            bodies = ", ".join(repr(message.body) for message in self._list_messages()[after:])
            wanted = f" that contains {containing!r}" if containing else ""
            return f"the device has sent no message{wanted}, but {bodies or 'nothing'}"

        return self._thread.wait("wait_for_message", find, explain, timeout_s)

    # Faults

    def add_fault(self, fault: str) -> None:
        """Cause a fault of the module, such as `final-lost:command=+CMGS,times=2`, or of the network.

        Raises FaultError.

        `modem-agent sandbox --fault list` prints all names and keys.
        """
        self._thread.call(lambda: self._find().faults.add(fault))

    def cancel_faults(self) -> None:
        """Remove the faults that have not occurred, and end those that last until they are cancelled."""
        faults = self._find().faults
        self._thread.call(faults.cancel_all)

    @property
    def faults_struck(self) -> list[str]:
        """The names of the faults that have occurred, in order."""
        return self._thread.call(lambda: [str(name) for name in self._find().faults.describe()["struck"]])

    def detach(self) -> None:
        """Take the SIM out of radio coverage; messages to it wait at the network."""
        self._thread.call(lambda: self._thread.sandbox.detach(self.name))

    def attach(self) -> None:
        """Bring the SIM back into radio coverage."""
        self._thread.call(lambda: self._thread.sandbox.attach(self.name))

    def lose_acknowledgements(self, count: int = 1) -> None:
        """Lose the next acknowledgements of the module: the network sends these messages again."""
        self._thread.call(lambda: self._thread.sandbox.lose_acknowledgements(self.name, count))

    def _find(self) -> SandboxSim:
        return self._thread.sandbox.find_sim(self.name)

    def _list_messages(self) -> list[MoMessage]:
        imsi = self._find().sim_card.imsi
        return [message for message in self._thread.sandbox.network.mo_messages if message.imsi == imsi]


class SentCommand:
    """A Command to a SIM."""

    def __init__(self, thread: SandboxThread, sid: str, sim: LocalSim) -> None:
        self.sid = sid
        self.sim = sim
        self._thread = thread

    def __repr__(self) -> str:
        return f"<Command {self.sid}>"

    @property
    def status(self) -> str:
        """`queued`, `sent`, `delivered` or `failed`; raises ServiceError if the Command was deleted."""
        return self._read(lambda resource: resource.status)

    @property
    def error(self) -> str:
        """Why it failed, with the code; empty if it has not."""
        return self._read(
            lambda each: f"{each.error_code} {each.error_message}" if each.status == "failed" else ""
        )

    def wait_for_status(self, status: AwaitedStatus, *, timeout_s: float | None = None) -> None:
        """Wait until the Command has this status, or `delivered` when `sent` is waited for.

        Raises WaitTimedOut; at once if the Command has ended with another status.
        """
        __tracebackhide__ = True

        def find() -> str | None:
            resource = self._fetch()
            ended = resource.is_final(resource_product)
            reached = resource.status == status or (status, resource.status) == ("sent", "delivered")
            return resource.status if reached or ended else None

        def explain() -> str:
            return f"Command {self.sid} is {self._fetch().status}, not {status},"

        resource_product = PRODUCTS[self.sim.service]
        final = self._thread.wait("wait_for_status", find, explain, timeout_s)
        if final != status and (status, final) != ("sent", "delivered"):
            raise WaitTimedOut(f"Command {self.sid} has ended as {final}, not {status}. {self.error}".strip())

    def deliver(self) -> None:
        """Set it to `sent` and `delivered` by hand, whatever network and module do.

        Raises ServiceError if the Command has ended.
        """
        self._thread.call(lambda: manual_states.deliver(self._service, self._fetch()))

    def fail(self, code: int = UNSPECIFIED, message: str = NOT_DELIVERED) -> None:
        """Set it to `failed` by hand, with the code and the sentence that the callback carries.

        Raises ServiceError if the Command has ended.
        """
        self._thread.call(lambda: manual_states.fail(self._service, self._fetch(), code, message))

    def redeliver(self) -> None:
        """Deliver the same message again, as after a lost acknowledgement."""
        self._thread.call(lambda: self._thread.sandbox.redeliver(self.sid))

    @property
    def _service(self) -> CommandService:
        return self._thread.sandbox.services[self.sim.service]

    def _fetch(self) -> CommandResource:
        return self._service.fetch(self.sid)

    def _read(self, read: Callable[[CommandResource], str]) -> str:
        return self._thread.call(lambda: read(self._fetch()))
