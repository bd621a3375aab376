"""Faults of the network: what each does to messages of one SIM, and how they are written."""

from __future__ import annotations

import pytest

import pdu
from hardware.sim.fault_text import FaultError
from hardware.sim.network.faults import NETWORK_FAULT_DESCRIPTIONS, parse_network_fault
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.service import manual_states

LONG_TEXT = "0123456789" * 30
"""Two parts."""


class FaultBench:
    """Three SIMs; the module of one is attached, and Commands are sent to it."""

    def __init__(self, network_bench, service="programmable-wireless"):
        self.bench = network_bench
        self.service = network_bench.services[service]
        self.sim = network_bench.sims[service]
        self.station = network_bench.add_station(service)
        self.faults = network_bench.network.faults_of(self.sim.imsi)
        network_bench.advance(1)
        network_bench.take_event_kinds()

    def create(self, text, **parameters):
        parameters = {"Sim": self.sim.sid, "Command": text, "DeliveryReceiptRequested": "true", **parameters}
        return self.service.create(parameters)

    def send_long(self, text):
        for part in pdu.segment(text, reference=9):
            self.bench.network.send(self.sim.imsi, pdu.Address.parse("+15557654321"), part, body=part.text)

    def submit(self, text, **fields):
        self.station.send_text(text, to=self.service.product.short_code, **fields)

    def listed(self):
        rows = self.service.list_page({"Direction": "from_sim"}).rows
        return [row.body for row in rows][::-1]

    def fault_notes(self):
        return [event.note for event in self.bench.events if event.kind == "fault"]

    def offer_times(self):
        return [
            round((event.at - self.bench.events[0].at).total_seconds(), 3)
            for event in self.bench.events
            if event.kind == "offered"
        ]


@pytest.fixture
def bench(network_bench):
    return FaultBench(network_bench)


def test_message_lost_to_the_sim(bench):
    """It never arrives; the Command is `sent`, and `failed` when its validity period is over."""
    bench.faults.add("message-lost")
    command = bench.create("lost")
    bench.create("arrives")
    bench.bench.advance(60)
    assert bench.station.texts == ["arrives"]
    assert command.status == "sent"
    assert bench.fault_notes() == ["message-lost: it will never arrive"]
    bench.bench.advance(86400)
    assert command.status == "failed"


def test_message_lost_from_the_sim(bench):
    """The module gets its acknowledgement; the service lists nothing."""
    bench.faults.add("message-lost:direction=from_sim")
    for text in ("a", "b"):
        bench.submit(text)
        bench.bench.advance(1)
    assert bench.station.submit_results == [(1, None), (1, None)]
    assert bench.listed() == ["b"]


@pytest.mark.parametrize(("seconds", "shortest", "longest"), [("7", 7, 7), ("2-9", 2, 9)])
def test_delay(bench, seconds, shortest, longest):
    """Fixed, or drawn from a range; in both directions, for all messages."""
    bench.faults.add(f"message-delayed:seconds={seconds}")
    bench.faults.add(f"message-delayed:direction=from_sim,seconds={seconds}")
    bench.create("x")
    bench.submit("y")
    bench.bench.advance(shortest)
    assert bench.station.texts == bench.listed() == []
    bench.bench.advance(longest - shortest + 0.2)
    assert bench.station.texts == ["x"]
    assert bench.listed() == ["y"]


def test_duplicate(bench):
    """The module gets the same TPDU twice; the service lists a message twice."""
    bench.faults.add("message-duplicated")
    bench.faults.add("message-duplicated:direction=from_sim")
    bench.create("x")
    bench.submit("y")
    bench.bench.advance(5)
    assert bench.station.received[0] == bench.station.received[1]
    assert bench.listed() == ["y", "y"]
    assert "redelivered" in bench.bench.take_event_kinds()


@pytest.mark.parametrize("follows", [True, False])
def test_swapped_messages(bench, follows):
    """The next message arrives first; without one the message arrives after a minute."""
    bench.faults.add("messages-swapped")
    bench.faults.add("messages-swapped:direction=from_sim")
    texts = ["1", "2", "3"] if follows else ["1"]
    for text in texts:
        bench.create(text)
        bench.submit(text)
        bench.bench.advance(5)
    bench.bench.advance(60)
    assert bench.station.texts == bench.listed() == (["2", "1", "3"] if follows else ["1"])


def test_transmission_lost_to_the_sim(bench):
    """The network notices it by its timeout and tries again."""
    bench.faults.add("transmission-lost")
    command = bench.create("x")
    bench.bench.advance(100)
    assert bench.offer_times() == [0.05, 70.05]
    assert (command.status, bench.station.texts) == ("delivered", ["x"])


def test_lost_submissions_and_acknowledgements(bench):
    """In neither case does the module get an answer; the network has the second message."""
    bench.faults.add("transmission-lost:direction=from_sim")
    bench.submit("a")
    bench.bench.advance(1)
    bench.faults.add("acknowledgement-lost:direction=from_sim")
    bench.submit("b")
    bench.bench.advance(1)
    assert bench.station.submit_results == []
    assert bench.listed() == ["b"]


def test_limited_rate_to_the_sim(bench):
    """Messages wait for their minute, each reported once, in order."""
    bench.faults.add("rate-limited:rate=2,for=3600")
    for text in "abcde":
        bench.create(text)
    bench.bench.advance(200)
    assert bench.offer_times() == [0.05, 0.05, 60.05, 60.05, 120.05]
    assert bench.station.texts == list("abcde")
    assert bench.fault_notes() == ["rate-limited: waits for 60 s"] * 2


def test_limited_rate_from_the_sim(bench):
    """More messages are refused for congestion (24.011 E.2, cause 42), until a minute is over."""
    bench.faults.add("rate-limited:direction=from_sim,rate=2")
    for text in "abc":
        bench.submit(text)
    bench.bench.advance(59)
    assert bench.station.submit_results == [(1, None), (1, None), (1, 42)]
    bench.bench.advance(2)
    bench.submit("d")
    bench.bench.advance(1)
    assert bench.listed() == ["a", "b", "d"]


def test_gap_between_parts(make_network_bench):
    """Only the next part of the same message waits, also after a time out of coverage."""
    bench = FaultBench(make_network_bench(timing=NetworkTiming(part_gap_s=0.2)))
    bench.bench.network.set_coverage(bench.sim.imsi, in_coverage=False)
    bench.send_long(LONG_TEXT)
    bench.create("short")
    bench.bench.advance(10)
    bench.bench.network.set_coverage(bench.sim.imsi, in_coverage=True)
    bench.bench.advance(10)
    offers = bench.offer_times()
    assert [round(at - offers[0], 3) for at in offers] == [0, 0.2, 0.2]


def test_parts_delayed(bench):
    """A fault makes the gap longer for one message."""
    bench.faults.add("parts-delayed:seconds=30")
    bench.send_long(LONG_TEXT)
    bench.bench.advance(60)
    assert bench.offer_times() == [0, 30]


def test_lost_receipt_of_a_command(bench):
    """The module has the Command, and it stays `sent`."""
    bench.faults.add("receipt-lost")
    command = bench.create("x")
    bench.bench.advance(90000)
    assert (command.status, bench.station.texts) == ("sent", ["x"])


def test_delayed_receipts(bench):
    """The Command is `sent` until then, and so does the status report for the module come later."""
    for direction in ("to_sim", "from_sim"):
        bench.faults.add(f"receipt-delayed:direction={direction},seconds=60")
    command = bench.create("x")
    bench.submit("y", status_report_request=True)
    bench.bench.advance(59)
    assert (command.status, bench.station.texts) == ("sent", ["x"])
    bench.bench.advance(2)
    assert command.status == "delivered"
    assert bench.station.received[1].status == 0


@pytest.mark.parametrize(("fault", "status"), [(None, 0), ("receipt-failed", 70), ("receipt-lost", None)])
def test_status_report_that_the_module_requested(bench, fault, status):
    """It says that the message was delivered, or not; or it is lost."""
    if fault:
        bench.faults.add(f"{fault}:direction=from_sim")
    bench.submit("x", status_report_request=True)
    bench.bench.advance(5)
    reports = [message.status for message in bench.station.received]
    assert reports == ([] if status is None else [status])
    assert bench.listed() == ["x"]


def test_repeated_post(bench):
    """A client repeats its request after a timeout: two Commands with SIDs of their own."""
    bench.faults.add("post-repeated:seconds=3")
    first = bench.create("x")
    bench.bench.advance(2)
    assert bench.station.texts == ["x"]
    bench.bench.advance(2)
    rows = bench.service.list_page({}).rows
    assert [row.body for row in rows] == ["x", "x"]
    assert rows[1].sid == first.sid != rows[0].sid
    assert bench.station.texts == ["x", "x"]


@pytest.mark.parametrize("fault", ["receipt-delayed:seconds=60", "transmission-lost", "message-lost"])
def test_nothing_contradicts_a_status_that_is_set_by_hand(bench, fault):
    """Neither a receipt that is on its way nor the end of the validity period, and no duplicate arrives."""
    bench.faults.add(fault)
    bench.faults.add("message-duplicated")
    command = bench.create("x")
    bench.bench.advance(0.5)
    received = len(bench.station.received)
    manual_states.deliver(bench.service, command)
    updated_at = command.updated_at
    bench.bench.advance(2 * 86400)
    assert (command.status, command.updated_at) == ("delivered", updated_at)
    assert len(bench.station.received) == received


def test_chance_times_and_duration(bench):
    """Half of the messages are lost while the fault lasts; a seed gives the same messages again."""
    bench.faults.add("message-lost:chance=0.5,after=10,for=100")
    for number in range(60):
        bench.create(str(number))
        bench.bench.advance(2)
    lost = {str(number) for number in range(60)} - set(bench.station.texts)
    assert 15 < len(lost) < 40
    assert {int(number) for number in lost} <= set(range(5, 55))
    assert len(bench.faults.describe()["struck"]) == len(lost)


def test_cancelled_faults_do_nothing(bench):
    """Those of another SIM neither."""
    bench.faults.add("message-lost:times=0")
    bench.faults.cancel_all()
    other = bench.bench.network.faults_of(bench.bench.sims["super-sim"].imsi)
    other.add("message-lost")
    bench.create("x")
    bench.bench.advance(1)
    assert bench.station.texts == ["x"]
    assert other.describe() == {"faults": [{"fault": "message-lost", "waits": False}], "struck": []}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sunspots", 'there is no fault "sunspots"'),
        ("message-lost:chance=2", "fault message-lost"),
        ("message-lost:color=red", "there is no key color"),
        ("message-delayed:seconds=long", "seconds must be a number or a range such as 1-20, not long"),
        ("message-delayed:seconds=9-3", "seconds must be"),
        ("message-delayed:seconds=nan", "seconds must be"),
        ("rate-limited:rate=0", "rate"),
        ("parts-delayed:direction=from_sim", "direction can only be to_sim"),
        ("message-lost:direction=up", "direction"),
        ("message-lost:after=-1", "after must be a number"),
        ("message-lost:for=nan", "for must be a number"),
    ],
)
def test_invalid_faults(bench, text, says):
    """One sentence that names the fault and its key."""
    with pytest.raises(FaultError, match=says):
        bench.faults.add(text)


@pytest.mark.parametrize("name", NETWORK_FAULT_DESCRIPTIONS)
def test_each_name_alone_is_a_fault(name):
    assert parse_network_fault(name).name == name
