"""The sandbox: SIMs in simulated modules on pseudo-terminals, the network and the services behind them.

    CommandService <-> SimulatedNetwork <-> SimulatedModule <-> pseudo-terminal <-> any AT client

`hardware.sim.rest.server` adds the REST API. Everything runs on the event loop that calls `start`, in the
time of the clock, which is an argument, as the randomness is.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pdu
from hardware import profile
from hardware.sim.callbacks.sender import CallbackSender
from hardware.sim.callbacks.status import StatusNotifier
from hardware.sim.client_activity import ClientActivity, SettleTimes
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.ports import LineDirection, ModulePorts
from hardware.sim.module.pty import Pty
from hardware.sim.module.uart import UartLink
from hardware.sim.network.events import EventReporter, NetworkEventKind
from hardware.sim.network.network import SEARCHING, SimulatedNetwork
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.sandbox_faults import SimFaults
from hardware.sim.sandbox_records import SandboxRecords
from hardware.sim.sandbox_sim import (
    DEFAULT_SIMS,
    SandboxSim,
    SimSpec,
    check_sims,
    make_sim_card,
)
from hardware.sim.service.access import TOKEN_PATH, AccessControl, AccountCredentials
from hardware.sim.service.account import ServiceAccount
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError
from hardware.sim.service.rules import ServiceRules
from hardware.sim.service.sims import ServiceSim
from hardware.sim.stranger_sms import parse_sender

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hardware.sim.callbacks.sender import CallbackClient, CallbackRules
    from hardware.sim.sandbox_clock import SandboxClock
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.service import CommandService

DEFAULT_TIMING = NetworkTiming(part_gap_s=0.2)
"""A gap between the parts of a long message, as there is in every real network."""


class Sandbox:
    """SIMs, their modules, the network and the services.

    `link_dir` is the folder for the links to the modules' ports; `credentials` are drawn unless given.
    `rules` are those of the services at each start.
    Raises ValueError for SIMs with unknown services or conflicting names.
    """

    def __init__(
        self,
        *,
        sims: Sequence[SimSpec] = DEFAULT_SIMS,
        link_dir: Path,
        clock: SandboxClock,
        rng: random.Random,
        rules: ServiceRules | None = None,
        timing: NetworkTiming = DEFAULT_TIMING,
        credentials: AccountCredentials | None = None,
    ) -> None:
        check_sims(sims)
        self.credentials = credentials or AccountCredentials.draw(rng)
        self.sims: dict[str, SandboxSim] = {}
        """By unique name."""
        self.clock = clock
        self.activity = ClientActivity(self._is_client_awaited)
        """Input and output of the ports; a server adds that of its clients."""
        self.records = SandboxRecords(clock.now, self.sims)
        """The latest events, and the observers."""
        self.specs = tuple(sims)
        """The SIMs of each start."""
        self._link_dir = link_dir
        self._rng = rng
        self._reference = rng.randrange(256)
        self._initial_rules = rules or ServiceRules()
        self.rules = replace(self._initial_rules)
        """The rules of the services; they may be changed at any time."""
        self._timing = timing
        self._network: SimulatedNetwork | None = None
        self._account: ServiceAccount | None = None
        self._callbacks: CallbackSender | None = None
        self._by_sid: dict[str, SandboxSim] = {}

    @property
    def account_sid(self) -> str:
        """SID of the account."""
        return self.credentials.account_sid

    @property
    def token(self) -> str:
        """Auth token of the account."""
        return self.credentials.token

    @property
    def network(self) -> SimulatedNetwork:
        """The network of the last start."""
        if self._network is None:
            raise RuntimeError("the sandbox is not started")
        return self._network

    @property
    def account(self) -> ServiceAccount:
        """The services, Sims and Fleets of the last start."""
        if self._account is None:
            raise RuntimeError("the sandbox is not started")
        return self._account

    @property
    def services(self) -> Mapping[str, CommandService]:
        """The services by the name of their product."""
        return self.account.services

    @property
    def callbacks(self) -> CallbackSender:
        """The callbacks since the last call of `start_callbacks`."""
        if self._callbacks is None:
            raise RuntimeError("the sandbox makes no callbacks")
        return self._callbacks

    # Start and stop

    async def start(self) -> None:
        """Power the modules on; raises OSError if a link cannot be made, and leaves nothing behind then."""
        self.clock.start(asyncio.get_running_loop())
        self._make_network()
        try:
            for index, spec in enumerate(self.specs):
                await self._add_sim(index, spec)
        except BaseException:
            await self.stop()
            raise

    async def reset(self) -> None:
        """Begin anew, as after `stop` and `start`, but with the same SIDs and ports, which clients keep open.

        Commands, messages, events, callbacks, faults, changes of Sims and Fleets, what modules have stored,
        and moves of the clock are forgotten; what waits on a port is dropped. The numbers of events and
        callbacks go on. No other task runs meanwhile, so a request finds all of the old or all of the new.
        """
        previous = dict(self.sims)
        self._power_off()
        if self._callbacks is not None:
            self._callbacks.reset()
        self.clock.reset()
        self.records.events.clear()
        self._make_network()
        for index, spec in enumerate(self.specs):
            await self._add_sim(index, spec, previous[spec.name])
        self._notify_of_statuses()
        self.records.report(NetworkEventKind.RESET, "")

    async def stop(self) -> None:
        """Power the modules off and remove the links; does nothing if the sandbox is not started."""
        ports = [sim.ports for sim in self.sims.values()]
        self._power_off()
        for each in ports:
            each.close()
        if self._callbacks is not None:
            await self._callbacks.close()

    def _make_network(self) -> None:
        now = self.clock.now
        events = EventReporter(now, self.records.record_event)
        self._network = SimulatedNetwork(
            self.clock, now, events, timing=self._timing, rng=self.make_generator()
        )
        self.rules = replace(self._initial_rules)
        self._account = ServiceAccount(self._network, now, self._rng, events, self.rules)
        for service in self.services.values():
            service.add_status_observer(self.records.record_status)

    def make_generator(self) -> random.Random:
        """Return a generator of its own for one part, so that the parts do not change each other's draws."""
        return random.Random(self._rng.getrandbits(64))  # noqa: S311 - a simulation

    def _power_off(self) -> None:
        for sim in self.sims.values():
            sim.module.faults.clear()
            sim.module.power_off()
        self.sims.clear()
        self.records.sims_by_imsi.clear()
        self._by_sid.clear()
        if self._network is not None:
            self._network.close()

    def make_access_control(self, *, is_open: bool) -> AccessControl:
        """Return the check of requests against the credentials of the account."""
        return AccessControl(self.credentials, self.clock.now, is_open=is_open)

    def start_callbacks(self, client: CallbackClient, rules: CallbackRules | None = None) -> None:
        """Report changes of status and messages from SIMs through `client`, until `stop`, which closes it."""
        self._callbacks = CallbackSender(
            client=client,
            scheduler=self.clock,
            wall_clock=self.clock.now,
            rng=self._rng,
            secret=self.token,
            observe=self.records.record_callback,
            rules=rules,
        )
        self._notify_of_statuses()

    def _notify_of_statuses(self) -> None:
        if self._callbacks is not None:
            for service in self.services.values():
                StatusNotifier(service, self._callbacks, self.account_sid)

    async def _add_sim(self, index: int, spec: SimSpec, previous: SandboxSim | None = None) -> None:
        """Add a SIM in a module that boots; with SID and ports of `previous`, if there is one."""
        service = self.services[spec.service]
        sim_card = make_sim_card(index, spec)
        if previous is not None:
            sid, ports = previous.sid, previous.ports
        else:
            sid = spec.sid or f"{service.product.sim_sid_prefix}{self._rng.getrandbits(128):032x}"
            ports = ModulePorts(
                Pty(self._link_dir / spec.name, access=spec.ports.access),
                spec.ports.make_sockets(),
                partial(self._record_bytes, spec.name),
            )
        now = self.clock.now()
        self.account.add_sim(
            spec.service,
            ServiceSim(
                sid=sid,
                unique_name=spec.name,
                imsi=sim_card.imsi,
                iccid=sim_card.iccid,
                status=spec.status,
                transport=spec.transport,
                created_at=now,
                updated_at=now,
            ),
            fleet=spec.fleet,
        )
        device = profile.load_simulator_profile(spec.device)
        if spec.baud is not None:
            device = device.replace(baud=spec.baud)
        uart = (
            None if device.baud is None else UartLink(self.clock, device.baud, ports.client_baud, ports.write)
        )
        write = ports.write if uart is None else uart.write_to_client
        module = SimulatedModule(
            scheduler=self.clock,
            wall_clock=self.clock.now,
            network=self.network,
            profile=device,
            sim=sim_card,
            write=write,
        )
        module.faults.port = ports
        for answer in spec.answers:
            module.context.answers.add(answer)
        module.faults.on_triggered = partial(self.records.record_module_fault, spec.name)
        sim = SandboxSim(
            spec=spec,
            sid=sid,
            service=service,
            sim_card=sim_card,
            module=module,
            ports=ports,
            faults=SimFaults(module.faults, self.network.faults_of(sim_card.imsi)),
        )
        self.sims[spec.name] = sim
        self.records.sims_by_imsi[sim_card.imsi] = sim
        self._by_sid[sid] = sim
        receive = module.receive
        if uart is not None:
            uart.start(module.receive)
            module.context.on_baud_change = uart.set_baud
            receive = uart.receive_from_client
        if previous is None:
            await ports.start(receive)
        else:
            ports.restart(receive)
        module.power_on()

    def _record_bytes(self, name: str, direction: LineDirection, data: bytes) -> None:
        if direction is not LineDirection.UNHEARD:
            self.activity.note()
        self.records.record_bytes(name, direction, data)

    # Time

    def freeze_clock(self) -> None:
        """Stop the time of the sandbox."""
        self.clock.freeze()
        self.records.report(NetworkEventKind.CLOCK, "frozen")

    def resume_clock(self) -> None:
        """Let the time go on; raises ClockIsMoving."""
        self.clock.resume()
        self.records.report(NetworkEventKind.CLOCK, "running")

    async def pass_time(
        self, limit_s: float, *, until_idle: bool = False, settle_times: SettleTimes | None = None
    ) -> int:
        """Let time pass as `SandboxClock.run` does, with pauses for clients; raises ClockIsMoving."""
        begin, times = self.clock.now(), settle_times or SettleTimes()
        moments = await self.clock.run(limit_s, lambda: self.activity.settle(times), until_idle=until_idle)
        self.records.report(NetworkEventKind.CLOCK, f"moved by {self.clock.now() - begin}")
        return moments

    def _is_client_awaited(self) -> bool:
        """Return True while the receiver of a callback has not answered, or a module waits for its host."""
        return (self._callbacks is not None and self._callbacks.tries_under_way > 0) or any(
            sim.module.awaits_terminal and sim.ports.is_open for sim in self.sims.values()
        )

    # Control

    def describe(self, root_url: str) -> dict[str, object]:
        """Return the URLs below `root_url`, the account and the SIMs, as `sandbox --json` prints them."""
        return {
            "url": root_url,
            "base_urls": {
                "supersim": f"{root_url}/supersim",
                "wireless": f"{root_url}/wireless",
            },
            "account": self.account_sid,
            "token": self.token,
            "api_key": {"sid": self.credentials.key_sid, "secret": self.credentials.key_secret},
            "token_url": f"{root_url}{TOKEN_PATH}",
            "client": {"id": self.credentials.client_id, "secret": self.credentials.client_secret},
            "sims": [sim.describe(root_url) for sim in self.sims.values()],
        }

    def find_sim(self, name: str) -> SandboxSim:
        """Find a SIM by unique name or SID; raises ServiceError."""
        sim = self.sims.get(name) or self._by_sid.get(name)
        if sim is None:
            shown = ", ".join(islice(self.sims, 20)) + (" ..." if len(self.sims) > 20 else "")
            raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no SIM {name}; the SIMs are {shown}.")
        return sim

    def send_sms(self, name: str, sender: str, content: str | bytes) -> int:
        """Send an SMS from any number to a SIM, in as many parts as it needs; returns their number.

        Raises ServiceError for an unknown name, pdu.PduError if sender or content do not fit an SMS.
        """
        imsi = self.find_sim(name).sim_card.imsi
        self._reference = (self._reference + 1) % 256  # a modulo 256 counter, TS 23.040 9.2.3.24.1
        parts = pdu.segment(content, reference=self._reference)
        for part in parts:
            body = part.text if part.text is not None else part.data
            self.network.send(imsi, parse_sender(sender), part, body=body)
        return len(parts)

    def create_command(self, name: str, text: str, parameters: Mapping[str, str]) -> CommandResource:
        """Create a Command to a SIM, as a POST with these further parameters does; raises ServiceError."""
        sim = self.find_sim(name)
        own = {"Sim": sim.sid, sim.service.product.body_parameter: text}
        return sim.service.create({**own, **parameters}, self.account_sid)

    def redeliver_newest(self, name: str) -> None:
        """Deliver the newest Command to a SIM again; raises ServiceError if there is none."""
        sim = self.find_sim(name)
        newest = sim.service.find_newest(sim.sid)
        if newest is None:
            raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no Command to {name}.")
        sim.service.redeliver(newest.sid)

    def redeliver(self, sid: str) -> None:
        """Deliver a Command again, as after a lost acknowledgement; raises ServiceError."""
        service, _ = self.find_command(sid)
        service.redeliver(sid)

    def find_command(self, sid: str) -> tuple[CommandService, CommandResource]:
        """Find a Command of any service and account; raises ServiceError."""
        for service in self.services.values():
            if service.has_command(sid):
                return service, service.fetch(sid)
        raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no Command {sid}.")

    def lose_acknowledgements(self, name: str, count: int = 1) -> None:
        """Drop the next acknowledgements of a module on the way to the network; raises ServiceError."""
        self.network.lose_acknowledgements(self.find_sim(name).sim_card.imsi, count)

    def attach(self, name: str) -> None:
        """Bring a SIM back into radio coverage; its module searches for the network. Raises ServiceError."""
        sim = self.find_sim(name)
        self.network.set_coverage(sim.sim_card.imsi, in_coverage=True)
        sim.module.search_network()

    def detach(self, name: str) -> None:
        """Take a SIM out of radio coverage: its messages wait at the network. Raises ServiceError."""
        sim = self.find_sim(name)
        self.network.set_coverage(sim.sim_card.imsi, in_coverage=False)
        sim.module.set_registration(SEARCHING)
