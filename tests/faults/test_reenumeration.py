"""The module goes away and comes back under another name, while something else takes the old one."""

import importlib.util
from pathlib import Path

import pytest

from agent.at.transport.base import PortUnavailable
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware.port_finder import PortFinder, PortSelectionError

CONFTEST = Path(__file__).parents[1] / "hardware/conftest.py"


def fake_host(folder):
    """A tree that stands for /sys and /dev, as the tests of the port search have it."""
    spec = importlib.util.spec_from_file_location("machine", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder.mkdir()
    return module.FakeHost(folder)


class RenamedPorts:
    """Opens what `port = "auto"` finds: the simulated module, or an adapter that nobody may write to."""

    def __init__(self, scene, tree):
        self.scene = scene
        self.tree = tree
        self.finder = PortFinder(tree.root)
        self.module_at = None
        self.opened = []
        self.open = scene.port.open
        scene.port.open = self

    def plug(self, first):
        """The module, its four ports numbered from there."""
        self.tree.plug("1-1.2", "1e0e:9001", {port: f"ttyUSB{first + port}" for port in range(4)})
        self.module_at = self.tree.dev / f"ttyUSB{first + 2}"
        self.scene.port.plug()

    def unplug(self):
        self.tree.unplug("1-1.2")
        self.scene.port.unplug()

    async def __call__(self, reader):
        try:
            found = self.finder.find(self.scene.loop.time())
        except PortSelectionError as reason:
            raise PortUnavailable(reason.kind, str(reason)) from None
        self.opened.append(found.name)
        assert found == self.module_at, "a foreign device was adopted"
        return await self.open(reader)


@pytest.mark.parametrize("foreign", [False, True], ids=["nothing there", "an adapter at the old name"])
@pytest.mark.parametrize("first", [3, 0, 7])
async def test_f13_back_under_another_number(tmp_path, message_format, first, foreign):
    """2.5 s away: found by what it is, set up, drained; the adapter that took its name is left alone."""
    async with FaultWorld(tmp_path / "scene", message_format) as scene:
        rack = RenamedPorts(scene, fake_host(tmp_path / "machine"))
        rack.plug(0)
        await scene.start_and_settle(100)
        assert rack.opened == ["ttyUSB2"]
        rack.unplug()
        if foreign:
            rack.tree.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, serial="A50285BI", words="FTDI FT232R")
        scene.store_pdu(4, PLAIN_SID_START)
        if first == 0 and foreign:
            first = 10
        scene.call_later(2.5, rack.plug, first)
        await scene.advance(60)
        assert rack.opened[-1] == f"ttyUSB{first + 2}"
        assert scene.executed == ["led on"]
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(10)
        assert scene.executed == ["led on", "led 2"]
        assert len(scene.agent_runs) == 1
        assert scene.port.open_count == 2


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f13_away_for_hours(tmp_path, message_format):
    """Looked for with growing waits; said once; the first session after it drains the store."""
    async with FaultWorld(tmp_path / "scene", message_format) as scene:
        rack = RenamedPorts(scene, fake_host(tmp_path / "machine"))
        rack.plug(0)
        await scene.start_and_settle(100)
        rack.unplug()
        rack.tree.plug("1-1.3", "0403:6001", {0: "ttyUSB2"}, serial="A50285BI", words="FTDI FT232R")
        scene.store_pdu(4, PLAIN_SID_START)
        await scene.advance(4 * 3600)
        assert len([line for line in scene.log_lines(30) if line.startswith("port")]) <= 2
        rack.plug(5)
        await scene.advance(60)
        assert scene.executed == ["led on"]
        assert len(scene.agent_runs) == 1
