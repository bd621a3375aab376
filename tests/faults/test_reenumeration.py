"""F13: the module returns under another device name, and another device takes the old name."""

import importlib.util
from pathlib import Path

import pytest

from agent.at.transport.base import PortUnavailable
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware.port_finder import PortFinder, PortSelectionError

CONFTEST = Path(__file__).parents[1] / "hardware/conftest.py"


def fake_host(folder):
    """Return a tree of /sys and /dev, as the tests of the port finder use it."""
    spec = importlib.util.spec_from_file_location("fake_host", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder.mkdir()
    return module.FakeHost(folder)


class RenamedPorts:
    """Opens the port that `port = "auto"` finds, which must be the simulated module."""

    def __init__(self, world, tree):
        self.world = world
        self.tree = tree
        self.finder = PortFinder(tree.root)
        self.module_at = None
        self.opened = []
        self.open = world.port.open
        world.port.open = self

    def plug(self, first):
        """Plug the module in. Its four ports are numbered from `first`."""
        self.tree.plug("1-1.2", "1e0e:9001", {port: f"ttyUSB{first + port}" for port in range(4)})
        self.module_at = self.tree.dev / f"ttyUSB{first + 2}"
        self.world.port.plug()

    def unplug(self):
        """Unplug the module."""
        self.tree.unplug("1-1.2")
        self.world.port.unplug()

    async def __call__(self, reader):
        try:
            found = self.finder.find(self.world.loop.time())
        except PortSelectionError as reason:
            raise PortUnavailable(reason.kind, str(reason)) from None
        self.opened.append(found.name)
        assert found == self.module_at, "another device was opened"
        return await self.open(reader)


@pytest.mark.parametrize("foreign", [False, True], ids=["nothing at the old name", "adapter at the old name"])
@pytest.mark.parametrize("first", [3, 0, 7])
async def test_f13_module_is_found_under_another_name(tmp_path, message_format, first, foreign):
    """After 2.5 s the agent finds the module, reads its store and ignores the adapter with the old name."""
    async with FaultWorld(tmp_path / "agent", message_format) as world:
        ports = RenamedPorts(world, fake_host(tmp_path / "host"))
        ports.plug(0)
        await world.start_and_settle(100)
        assert ports.opened == ["ttyUSB2"]
        ports.unplug()
        if foreign:
            ports.tree.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, serial="A50285BI", words="FTDI FT232R")
        world.store_pdu(4, PLAIN_SID_START)
        if first == 0 and foreign:
            first = 10
        world.call_later(2.5, ports.plug, first)
        await world.advance(60)
        assert ports.opened[-1] == f"ttyUSB{first + 2}"
        assert world.executed == ["led on"]
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(10)
        assert world.executed == ["led on", "led 2"]
        assert len(world.agent_runs) == 1
        assert world.port.open_count == 2


@pytest.mark.long
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f13_absent_module_is_retried_with_backoff(tmp_path, message_format):
    """The absence is logged once, and the first session afterwards reads the store."""
    async with FaultWorld(tmp_path / "agent", message_format) as world:
        ports = RenamedPorts(world, fake_host(tmp_path / "host"))
        ports.plug(0)
        await world.start_and_settle(100)
        ports.unplug()
        ports.tree.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, serial="A50285BI", words="FTDI FT232R")
        world.store_pdu(4, PLAIN_SID_START)
        await world.advance(4 * 3600)
        assert len([line for line in world.log_lines(30) if line.startswith("port")]) <= 2
        ports.plug(5)
        await world.advance(60)
        assert world.executed == ["led on"]
        assert len(world.agent_runs) == 1
