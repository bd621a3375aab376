"""F125 F126: a notification that is missing in a burst, and messages to application ports."""

import pytest

import pdu
from agent.handlers.results import HandlerDeclaration
from fault.fault_world import FaultWorld, make_pdu, make_timestamp
from soak import simulated_runner
from soak.world import HandlerPlan

# F125


@pytest.mark.parametrize(
    ("count", "missing"), [(2, [0]), (2, [1]), (3, [1]), (8, [7]), (8, [0, 3, 4, 7])], ids=str
)
async def test_f125_missing_notification_of_a_burst(tmp_path, message_format, count, missing):
    """All messages are run within 5 s of the last notification, wherever in the burst one is missing."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in range(count):
            if number in missing:
                world.module.faults.add("code-lost:command=+CMTI")
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(0.05)
        await world.advance(7)
        assert sorted(world.executed) == [f"led {number}" for number in range(count)]
        assert world.stored_indices() == []


async def test_f125_notification_that_is_lost_while_a_slot_is_read(tmp_path, message_format):
    """The message that comes while the module answers +CMGR has no notification of its own."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.filter_to_agent = lambda data: (
            data if b"+CMTI" not in data or not world.interceptor.commands_matching(r"AT\+CMGR=.*") else b""
        )
        world.deliver_pdu(make_pdu("led 0"))
        world.call_later(0.02, world.deliver_pdu, make_pdu("led 1"))
        await world.advance(7)
        assert world.executed == ["led 0", "led 1"]


async def test_f125_burst_costs_one_sweep(tmp_path):
    """A burst is followed by one look at the store, and an idle hour has only the regular ones."""
    async with FaultWorld(tmp_path) as world:
        await world.start_and_settle()
        written = len(world.interceptor.commands_matching(r"AT\+CMGL=.*"))
        for number in range(10):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(0.5)
        await world.advance(60)
        assert len(world.executed) == 10
        assert len(world.interceptor.commands_matching(r"AT\+CMGL=.*")) == written + 1
        await world.advance(3600)
        assert len(world.interceptor.commands_matching(r"AT\+CMGL=.*")) <= written + 1 + 13


@pytest.mark.parametrize(("gap_s", "sweeps"), [(6, 4), (40, 20)])
async def test_f125_sweeps_after_single_notifications_are_not_frequent(tmp_path, gap_s, sweeps):
    """One follows each that comes alone, but not within 30 s of another one that has found nothing."""
    async with FaultWorld(tmp_path) as world:
        await world.start_and_settle()
        lists = len(world.interceptor.commands_matching(r"AT\+CMGL=.*"))
        for number in range(20):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(gap_s)
        regular = 20 * gap_s // 300
        assert len(world.interceptor.commands_matching(r"AT\+CMGL=.*")) - lists <= sweeps + regular


async def test_f125_lost_notification_is_found_soon_after_a_sweep_that_found_nothing(
    tmp_path, message_format
):
    """A burst of which one notification is left waits for the next sweep, but for no regular one."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in range(0, 6, 2):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(10)
            world.deliver_pdu(make_pdu(f"led {number + 1}"))
            world.module.faults.add("code-lost:command=+CMTI")
            world.deliver_pdu(make_pdu(f"pump {number}"))
            await world.advance(31 if number == 0 else 6)  # later the module is known to lose some
            assert len(world.executed) == 3 * (number // 2 + 1)


@pytest.mark.parametrize("begin", ["message found at the start", "silent in the last session"])
async def test_f125_silent_module_is_looked_at_each_minute_at_once(tmp_path, message_format, begin):
    """If sweeps find messages and no notification ever comes, none waits for the long interval."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.faults.add("code-lost:command=+CMTI,times=0")
        if begin == "message found at the start":
            world.store_pdu(1, make_pdu("led 0"))
            await world.start_and_settle()
        else:
            await world.start_and_settle()
            world.deliver_pdu(make_pdu("led 0"))
            await world.advance(301)
            world.module.reboot()
            await world.advance(60)
        assert world.executed == ["led 0"]
        for number in (1, 2):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(61)
            assert len(world.executed) == number + 1
        world.module.faults.clear()
        world.deliver_pdu(make_pdu("led 3"))
        await world.advance(10)
        assert len(world.executed) == 4
        assert not world.modem.has_unannounced


# F126

WAP_PUSH = bytes.fromhex("DC0601AE02056A0045C60C03746573742E6578616D706C6500")
"""A service indication, which networks send to port 2948."""
PORTS = {
    "WAP push": pdu.Ports(2948, 9200),
    "vCard": pdu.Ports(9204, 0),
    "8-bit port": pdu.Ports(245, 0, wide=False),
    "port 0": pdu.Ports(0, 0),
}


def port_pdus(content, ports, **more):
    """Return the `<pdu>` of each part of a message from the service to an application port."""
    return [
        "07915155001032F4"
        + pdu.encode(
            pdu.Deliver(
                originating_address=pdu.Address.parse("000"),
                service_centre_timestamp=make_timestamp("26/11/21,22:30:00+00"),
                user_data=user_data,
                data_coding_scheme=user_data.data_coding_scheme,
            ),
            sca=False,
        ).hex
        for user_data in pdu.segment(content, ports=ports, **more)
    ]


class PortRunner(simulated_runner.SimulatedRunner):
    """A runner with a default handler, and a function `push` that has asked for some ports."""

    def __init__(self, world, agent_run, *ports):
        super().__init__(world, agent_run)
        self._ports = ports

    async def load(self, file):
        push = [HandlerDeclaration("push", ports=self._ports)] if self._ports else []
        return [*await super().load(file), HandlerDeclaration("anything", default=True), *push]


@pytest.mark.parametrize("ports", PORTS.values(), ids=PORTS)
@pytest.mark.parametrize("content", [WAP_PUSH, "led on"], ids=["octets", "text"])
async def test_f126_message_to_a_port_is_ignored(tmp_path, message_format, ports, content):
    """It is kept as ignored with its port, counted, deleted from the module, and neither run nor answered."""
    async with FaultWorld(tmp_path, message_format, executables=("binary",)) as world:
        await world.start_and_settle()
        world.deliver_pdu(*port_pdus(content, ports))
        await world.advance(20)
        assert (world.executed, world.replies, world.stored_indices()) == ([], [], [])
        ((reason, raw),) = world.query_journal("SELECT reason, raw FROM ignored")
        assert f"application port {ports.destination}," in reason
        assert raw
        assert (await world.control_api.get_status({}))["commands"]["ignored"] == 1


async def test_f126_parts_of_a_message_to_a_port_are_ignored(tmp_path, message_format):
    """Each part has the port, and none waits for the others."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for part in port_pdus(WAP_PUSH * 8, PORTS["WAP push"], reference=7):
            world.deliver_pdu(part)
        await world.advance(30)
        assert world.executed == []
        assert world.query_journal("SELECT count(*) FROM ignored") == [(2,)]
        assert world.query_journal("SELECT count(*) FROM parts") == [(0,)]


@pytest.mark.parametrize("content", [WAP_PUSH, "led on", WAP_PUSH * 8], ids=["octets", "text", "two parts"])
async def test_f126_handler_that_asked_for_the_port_gets_it(tmp_path, message_format, content):
    """It alone gets the messages to this port; a message to another port is ignored, others are Commands."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.make_runner = lambda agent_run: PortRunner(world, agent_run, 2948)
        await world.start_and_settle()
        for number, part in enumerate(port_pdus(content, PORTS["WAP push"], reference=7)):
            world.deliver_pdu(part)
            await world.advance(10 + number)
        world.deliver_pdu(*port_pdus(b"\x01other", PORTS["vCard"]))
        await world.advance(20)
        assert world.executed == [content]
        assert world.query_journal("SELECT handler, port FROM commands") == [("functions.py:push", 2948)]
        assert world.query_journal("SELECT count(*) FROM ignored") == [(1,)]


async def test_f126_message_to_a_port_waits_for_its_handler_over_a_restart(tmp_path):
    """The port is in the journal: after a restart without the handler, no other handler gets the message."""
    async with FaultWorld(tmp_path) as world:
        world.plans = {"led 1": HandlerPlan([(60, "ok")])}
        world.make_runner = lambda agent_run: PortRunner(world, agent_run, 2948)
        await world.start_and_settle()
        for number in (1, 2):
            world.deliver_pdu(*port_pdus(f"led {number}", PORTS["WAP push"]))
            await world.advance(5)
        world.current_run.kill("SIGKILL")
        world.make_runner = lambda agent_run: PortRunner(world, agent_run)
        await world.start_and_settle(60)
        assert world.executed == ["led 1"]
        assert world.query_journal("SELECT state, reason FROM commands") == [
            ("failed", "interrupted"),
            ("failed", "no handler"),
        ]
