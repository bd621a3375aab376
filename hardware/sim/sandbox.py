"""The sandbox: SIMs in simulated modules on pseudo-terminals, the network between, the REST API in front.

    service (REST) <-> SimulatedNetwork <-> SimulatedModule <-> pseudo-terminal <-> any AT client

Wall clock and randomness are handed in. Everything runs on the event loop that `start` is called on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

import pdu
from hardware import profile
from hardware.sim.fault_schedule import FaultSchedule
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.pty import Pty
from hardware.sim.module.uart import UartLink
from hardware.sim.network.events import NetworkEvent
from hardware.sim.network.network import SEARCHING, SimulatedNetwork
from hardware.sim.sandbox_sim import (
    DEFAULT_SIMS,
    SandboxSim,
    SimSpec,
    check_sims,
    make_phone_number,
    make_sim_card,
)
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError
from hardware.sim.service.product import PRODUCTS, ServiceRules
from hardware.sim.service.resource import ServiceSim
from hardware.sim.service.service import CommandService

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from hardware.sim.network.subscriber_queue import NetworkTiming

__all__ = [
    "DEFAULT_LISTEN",
    "DEFAULT_SIMS",
    "Sandbox",
    "SandboxObserver",
    "SandboxSim",
    "SandboxUnavailable",
    "SimSpec",
]

DEFAULT_LISTEN = ("127.0.0.1", 8480)

MAX_EVENTS = 1000
"""Events that are kept for whoever asks later."""

SandboxObserver = Callable[[SandboxSim, NetworkEvent], None]


class SandboxUnavailable(Exception):  # noqa: N818 - a state of affairs; the text is a sentence for the user
    """There can be no sandbox here; the text is one sentence that says why and what to do."""


class Sandbox:
    """SIMs, modules, network and services under one address.

    `listen` is host and port (0: any free one), `link_dir` the folder for the links to the modules' ports.
    Raises ValueError for SIMs that cannot stand side by side, SandboxUnavailable when the extra is missing.
    """

    network: SimulatedNetwork
    """From `start` on."""

    def __init__(
        self,
        sims: Sequence[SimSpec] = DEFAULT_SIMS,
        listen: tuple[str, int] = DEFAULT_LISTEN,
        *,
        link_dir: Path,
        wall_clock: Callable[[], datetime],
        rng: random.Random,
        account_sid: str | None = None,
        token: str | None = None,
        rules: ServiceRules | None = None,
        timing: NetworkTiming | None = None,
        observer: SandboxObserver | None = None,
        baud: int | None = None,
    ) -> None:
        """`baud`: the rate of the lines to the modules, 0 where they learn it; a client at another one reads
        rubbish. None: as the profile of the module has it, and where it has none, as quick as can be.
        """
        check_sims(sims)
        try:
            from hardware.sim.rest.server import RestServer  # noqa: PLC0415 - aiohttp is an extra
        except ModuleNotFoundError as error:
            raise SandboxUnavailable(
                f"The sandbox needs {error.name}, which is not installed: "
                f"pip install 'modem-agent[sandbox]', or {error.name} alone"
            ) from error
        self.account_sid = account_sid or f"AC{rng.getrandbits(128):032x}"
        self.token = token or f"{rng.getrandbits(128):032x}"
        self.services: dict[str, CommandService] = {}
        self.sims: dict[str, SandboxSim] = {}
        """By unique name."""
        self.events: deque[tuple[int, SandboxSim, NetworkEvent]] = deque(maxlen=MAX_EVENTS)
        """What happened last, each with its number, counted from 1."""
        self._specs = tuple(sims)
        self._link_dir = link_dir
        self._wall_clock = wall_clock
        self._rng = rng
        self._rules = rules
        self._timing = timing
        self._observers = [] if observer is None else [observer]
        self._baud = baud
        self._fault_schedules: dict[str, FaultSchedule] = {}
        self._by_imsi: dict[str, SandboxSim] = {}
        self._event_count = 0
        self._started = False
        self._server = RestServer(self, *listen)

    # Life.

    async def start(self) -> None:
        """Power the modules on and listen; raises SandboxUnavailable and then leaves nothing behind."""
        loop = asyncio.get_running_loop()
        self._started = True
        self.network = SimulatedNetwork(loop, self._wall_clock, self._record_event, timing=self._timing)
        for product in PRODUCTS.values():
            self.services[product.name] = CommandService(
                product, self.network, self._wall_clock, self._rng, self._record_event, rules=self._rules
            )
        try:
            for index, spec in enumerate(self._specs):
                self._add_sim(loop, index, spec)
            await self._server.start()
        except OSError as error:
            await self.stop()
            raise SandboxUnavailable(self._explain_failure(error)) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Power the modules off, remove the links, stop listening; without a start before it does nothing."""
        if not self._started:
            return
        self._started = False
        await self._server.stop()
        for misfortunes in self._fault_schedules.values():
            misfortunes.stop()
        self._fault_schedules.clear()
        for sim in self.sims.values():
            sim.module.power_off()
            sim.pty.close()
        self.sims.clear()
        self._by_imsi.clear()
        self.network.close()

    def _add_sim(self, loop: asyncio.AbstractEventLoop, index: int, spec: SimSpec) -> None:
        service = self.services[spec.service]
        identity = make_sim_card(index, spec)
        sid = spec.sid or f"{service.product.sim_sid_prefix}{self._rng.getrandbits(128):032x}"
        link = self._link_dir / spec.name
        pty = Pty(link)
        device = profile.load_simulator_profile(spec.device)
        if self._baud is not None:
            device = msgspec.structs.replace(device, baud=self._baud)
        line = None if device.baud is None else UartLink(loop, device.baud, pty.client_baud, pty.write)
        write = pty.write if line is None else line.write_to_client
        module = SimulatedModule(loop, self.network, device, identity, write, self._wall_clock)
        sim = SandboxSim(
            spec=spec,
            sid=sid,
            service=service,
            sim_card=identity,
            module=module,
            pty=pty,
            link=link,
            phone_number=make_phone_number(index),
        )
        self.sims[spec.name] = sim
        self._by_imsi[identity.imsi] = sim
        service.add_sim(
            ServiceSim(sid=sid, unique_name=spec.name, imsi=identity.imsi, status=spec.status),
            sim.phone_number,
        )
        self._fault_schedules[spec.name] = FaultSchedule(loop, sim)
        if line is None:
            pty.start(module.receive)
        else:
            line.start(module.receive)
            module.on_baud_change = line.set_baud
            pty.start(line.receive_from_client)
        module.power_on()

    def _explain_failure(self, error: OSError) -> str:
        if error.filename is not None:
            return f"The link {error.filename} cannot be made: {error.strerror}; choose another --link-dir."
        wanted = self._server.listen_address
        return f"{wanted} cannot be listened on: {error.strerror}; choose another --listen HOST:PORT."

    # What happens.

    def add_observer(self, observer: SandboxObserver) -> None:
        """Have `observer` called with each step from now on."""
        self._observers.append(observer)

    def _record_event(self, event: NetworkEvent) -> None:
        sim = self._by_imsi.get(event.imsi)
        if sim is None:  # a module that is just being taken away
            return
        self._event_count += 1
        self.events.append((self._event_count, sim, event))
        for observer in self._observers:
            observer(sim, event)

    # What a developer can do.

    @property
    def url(self) -> str:
        """Root of everything, `http://HOST:PORT`."""
        return self._server.url

    def describe(self) -> dict[str, object]:
        """Where everything is, for the first line of `--json`."""
        return {
            "url": self.url,
            "base_urls": {
                "supersim": f"{self.url}/supersim",
                "wireless": f"{self.url}/wireless",
            },
            "account": self.account_sid,
            "token": self.token,
            "sims": [sim.describe(self.url) for sim in self.sims.values()],
        }

    def find_sim(self, name: str) -> SandboxSim:
        """By unique name or SID; raises ServiceError."""
        for sim in self.sims.values():
            if name in (sim.unique_name, sim.sid):
                return sim
        raise ServiceError(
            404, NO_SUCH_RESOURCE, f"There is no SIM {name}; there are {', '.join(self.sims)}."
        )

    def send_sms(self, name: str, sender: str, content: str | bytes) -> int:
        """An SMS from any number to a SIM, in as many parts as it needs; answers how many.

        Raises ServiceError for an unknown name, pdu.PduError when sender or content cannot be carried.
        """
        imsi = self.find_sim(name).sim_card.imsi
        parts = pdu.segment(content, reference=self._rng.randrange(256))
        for part in parts:
            body = part.text if part.text is not None else part.data
            self.network.send(imsi, _parse_sender(sender), part, body=body)
        return len(parts)

    def redeliver(self, sid: str) -> None:
        """Bring a Command once more, as after a lost acknowledgement; raises ServiceError."""
        for service in self.services.values():
            if service.has_command(sid):
                service.redeliver(sid)
                return
        raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no Command {sid}.")

    def lose_acknowledgements(self, name: str, count: int = 1) -> None:
        """Lose the module's next acknowledgements on the way to the network; raises ServiceError."""
        self.network.lose_acknowledgements(self.find_sim(name).sim_card.imsi, count)

    def attach(self, name: str) -> None:
        """Bring a SIM back into radio coverage, where its module looks for the network."""
        sim = self.find_sim(name)
        self.network.set_coverage(sim.sim_card.imsi, in_coverage=True)
        with sim.module.batch_writes():
            sim.module.registration.search()

    def detach(self, name: str) -> None:
        """Take a SIM out of radio coverage: its module searches, and what is sent to it waits."""
        sim = self.find_sim(name)
        self.network.set_coverage(sim.sim_card.imsi, in_coverage=False)
        sim.module.set_registration(SEARCHING)

    def fault_schedule(self, name: str) -> FaultSchedule:
        """What was ordered to go wrong with the module of a SIM; raises ServiceError."""
        return self._fault_schedules[self.find_sim(name).unique_name]


def _parse_sender(sender: str) -> pdu.Address:
    """Digits are a number; anything else is an alphanumeric sender, as companies have."""
    if sender.removeprefix("+").strip("0123456789*#"):
        return pdu.Address(sender, pdu.TypeOfNumber.ALPHANUMERIC, pdu.NumberingPlan.UNKNOWN)
    return pdu.Address.parse(sender)
