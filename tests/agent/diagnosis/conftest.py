"""A gateway whose parts a test breaks before the doctor examines it: configuration, port, module, journal."""

import asyncio
import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from fake_host import FakeHost

import pdu
from agent.at.transport.base import PortState
from agent.cli.config import SETTING_CHECKS
from agent.daemon.control_client import AgentNotRunning
from agent.diagnosis.configuration import HandlerReport, check_settings
from agent.diagnosis.doctor import Doctor, DoctorDependencies
from agent.fleet.module_line import LineTransport, ModuleLine
from agent.journal.journal import Journal
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import OutboxStore
from hardware.profile import SimulatorProfile
from hardware.sim import virtual_time
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.sim_card import SimCard
from hardware.sim.module.uart import UartLink

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DISK = SimpleNamespace(f_flag=0, f_bavail=1 << 20, f_frsize=4096)


class StubNetwork:
    """A network that registers every module with the state and the reject cause that a test sets."""

    def __init__(self, stat):
        self.stat = stat

    def attach(self, station):
        return self.stat

    def detach(self, station):
        pass

    def submit(self, station, token, tpdu):
        station.submitted(token, None)

    def acknowledge(self, station, reference, cause):
        pass

    def memory_available(self, station):
        pass


class BaudLine(LineTransport):
    """The agent's end of a line with a baud rate; a `SerialTransport`."""

    def __init__(self, line, reader, port_state, baud):
        super().__init__(line, reader)
        self.port_state = port_state
        self.baud = baud

    def set_baud(self, baud):
        self.baud = baud


class Gateway:
    """The device. Its attributes are what a test breaks; `examine` returns the findings."""

    def __init__(self, folder, cleanup):
        self.folder = folder
        self.cleanup = cleanup
        (folder / "root").mkdir()
        self.host = FakeHost(folder / "root")
        self.config = folder / "agent.toml"
        self.tables = {
            "modem": {"port": "socket://module:1"},
            "handlers": {"directory": "handlers"},
            "journal": {"path": "journal.db"},
            "control": {"socket": "control.sock"},
        }
        self.journal = folder / "journal.db"
        self.mountinfo = folder / "mountinfo"
        self.mountinfo.write_text("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")
        self.handlers = HandlerReport(("ping",))
        self.disk = SimpleNamespace(**vars(DISK))
        self.unit_problem = ""
        self.agent_user = None
        self.now = NOW
        self.device = {"cmee": 1}
        """Fields of the simulated module's profile."""
        self.sim = SimCard()
        self.stat = 1
        self.module_clock = None
        self.baud = None
        """The rate of the module's UART; None: any."""
        self.open_error = None
        self.transport = None
        self.prepare_module = lambda module: None
        """Called when the module has started."""
        self.trace = None
        self.sends = False
        self.request = self._no_agent

    async def _no_agent(self, values):
        raise AgentNotRunning("no modem-agent answers")

    def write_config(self):
        lines = []
        for name, values in self.tables.items():
            lines.append(f"[{name}]")
            lines += [
                f"{key} = {value!r}".replace("'", '"').replace("True", "true")
                for key, value in values.items()
            ]
        self.config.write_text("\n".join(lines) + "\n")

    def make_opener(self, port, baud):
        if self.open_error is not None:
            raise self.open_error
        if self.baud is None:
            return self.line.open

        async def open_with_baud(reader):
            rates = [115200, 9600, 57600] if baud == "auto" else []
            transport = self.transport = BaudLine(self.line, reader, PortState(rates), baud)
            self.line._transport = transport
            return transport

        return open_with_baud

    def dependencies(self):
        return DoctorDependencies(
            check_settings=lambda: check_settings(self.config, SETTING_CHECKS),
            check_handlers=self._check_handlers,
            make_opener=self.make_opener,
            make_request=lambda socket: self.request,
            has_pin=lambda config: config.modem.pin_file is not None,
            wall_clock=lambda: self.now,
            describe_unit=lambda: self.unit_problem,
            agent_user=self.agent_user,
            root=self.host.root,
            mountinfo=self.mountinfo,
            read_disk=lambda folder: self.disk,
            trace=self.trace,
        )

    async def _check_handlers(self, directory):
        return self.handlers

    def start_module(self):
        loop = asyncio.get_running_loop()
        self.line = ModuleLine(loop)
        write = self.line.write_to_agent
        if self.baud is not None:
            uart = UartLink(loop, self.baud, lambda: self.transport and self.transport.baud, write)
            write = uart.write_to_client
        self.module = SimulatedModule(
            scheduler=loop,
            wall_clock=lambda: self.module_clock or datetime.fromtimestamp(self.now, UTC),
            network=StubNetwork(self.stat),
            profile=SimulatorProfile(**self.device),
            sim=self.sim,
            write=write,
        )
        if self.baud is None:
            self.line.connect_module(self.module.receive)
        else:
            uart.start(self.module.receive)
            self.line.connect_module(uart.receive_from_client)
        self.module.power_on()

    def run(self, work):
        """Run `work(doctor)` in virtual time with a module that has been switched on."""

        async def main():
            self.start_module()
            await asyncio.sleep(10)
            self.prepare_module(self.module)
            return await asyncio.wait_for(work(Doctor(self.dependencies(), sends=self.sends)), 10_000)

        return virtual_time.run_virtual(main())

    def examine(self):
        """Return the findings."""
        if not self.config.exists():
            self.write_config()

        async def work(doctor):
            self.doctor = doctor
            return [finding async for finding in doctor.examine()]

        return self.run(work)

    def create_journal(self, *texts):
        """Create a journal in which these messages are queued, and close it."""
        journal = Journal(self.journal, lambda: NOW, lambda: 0.0)
        for text in texts:
            OutboxStore(journal).enqueue([OutgoingMessage("000", pdu.segment(text)[0], 1, 1)])
        journal.close()


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "handlers").mkdir()
    with contextlib.ExitStack() as cleanup:
        yield Gateway(tmp_path, cleanup)
