"""The queue of one SIM: when messages are offered, retried and given up."""

from __future__ import annotations

import pytest

import pdu
from hardware.sim.interfaces import FCS_MEMORY_EXCEEDED, RP_MEMORY_EXCEEDED
from hardware.sim.network.subscriber_queue import NetworkTiming

DAY_S = 86400


class RecordingListener:
    wants_receipt = False

    def __init__(self):
        self.calls = []

    def attempted(self):
        self.calls.append("attempted")

    def acknowledged(self):
        self.calls.append("acknowledged")

    def gave_up(self):
        self.calls.append("gave up")


@pytest.fixture
def send(network_bench):
    """Return a function that sends a text to the Super SIM and returns its listener."""

    def send(text, **how):
        listener = RecordingListener()
        sim = network_bench.sims["super-sim"]
        (part,) = pdu.segment(text)
        network_bench.network.send(
            sim.imsi, pdu.Address.parse("000"), part, body=text, listener=listener, **how
        )
        return listener

    return send


def test_acknowledged_message_is_delivered_once(network_bench, send):
    """One attempt, with the sender's digits, the time of the wall clock and the service centre's address."""
    station = network_bench.add_station("super-sim")
    listener = send("led on")
    network_bench.advance(1)
    (message,) = station.received
    assert (message.text, str(message.originating_address)) == ("led on", "000")
    assert message.originating_address.type_of_address == 0x81
    assert message.service_centre_timestamp.time.isoformat() == "2026-11-22T12:00:00+00:00"
    assert str(station.service_centre) == "+447700900000"
    assert listener.calls == ["attempted", "acknowledged"]
    assert network_bench.take_event_kinds() == ["attached", "handed", "offered", "acknowledged"]
    assert network_bench.network.count_waiting(station.imsi) == 0


def test_message_waits_for_the_attach(network_bench, send):
    """Store and forward: it is delivered when the module attaches, with the time at which it was sent."""
    listener = send("wait")
    network_bench.advance(3600)
    assert listener.calls == []
    station = network_bench.add_station("super-sim")
    network_bench.advance(1)
    assert station.texts == ["wait"]
    assert station.received[0].service_centre_timestamp.time.hour == 12
    assert listener.calls == ["attempted", "acknowledged"]


def test_one_message_is_in_flight_at_a_time(network_bench, send):
    """The second is offered when the first is answered; TP-MMS shows that more wait."""
    station = network_bench.add_station("super-sim", answers=["silence"])
    for text in ("one", "two", "three"):
        send(text)
    network_bench.advance(1)
    assert station.texts == ["one"]
    network_bench.network.acknowledge(station, station.delivery_references[0], None)
    network_bench.advance(1)
    assert station.texts == ["one", "two", "three"]
    assert [message.more_messages for message in station.received] == [True, True, False]
    assert len(set(station.delivery_references)) == 3


@pytest.mark.parametrize("cause", [RP_MEMORY_EXCEEDED, FCS_MEMORY_EXCEEDED])
def test_full_module_gets_nothing_until_it_has_memory(network_bench, send, cause):
    """Nothing else is offered meanwhile; after RP-SMMA everything is delivered in order."""
    station = network_bench.add_station("super-sim", answers=[cause])
    first, second = send("one"), send("two")
    network_bench.advance(20)
    assert station.texts == ["one"]
    assert first.calls == ["attempted"]
    network_bench.network.memory_available(station)
    network_bench.advance(1)
    assert station.texts == ["one", "one", "two"]
    assert first.calls == ["attempted", "attempted", "acknowledged"]
    assert second.calls == ["attempted", "acknowledged"]


def test_full_module_is_tried_again_without_smma(network_bench, send):
    """RP-SMMA can get lost; the retry of the message ends the pause."""
    station = network_bench.add_station("super-sim", answers=[RP_MEMORY_EXCEEDED])
    send("one")
    network_bench.advance(29)
    assert station.texts == ["one"]
    network_bench.advance(2)
    assert station.texts == ["one", "one"]


def test_refused_message_is_retried_with_backoff(network_bench, send):
    """An error other than full memory delays this message and not the others."""
    station = network_bench.add_station("super-sim", answers=[111, None, 0xFF, 111])
    send("bad")
    send("good")
    network_bench.advance(1)
    assert station.texts == ["bad", "good"]
    network_bench.advance(30)
    assert station.texts == ["bad", "good", "bad"]
    network_bench.advance(119)
    assert len(station.texts) == 3
    network_bench.advance(2)
    assert len(station.texts) == 4
    network_bench.advance(600)
    assert station.texts == ["bad", "good", "bad", "bad", "bad"]
    assert network_bench.network.count_waiting(station.imsi) == 0


def test_answer_timeout_is_a_failed_attempt(network_bench, send):
    """After the timeout the message is retried later; the late answer is ignored."""
    station = network_bench.add_station("super-sim", answers=["silence", "silence"])
    listener = send("one")
    network_bench.advance(41)
    network_bench.network.acknowledge(station, station.delivery_references[0], None)
    assert listener.calls == ["attempted"]
    network_bench.advance(30)
    assert station.texts == ["one", "one"]
    assert "unanswered" in network_bench.take_event_kinds()


def test_late_answer_does_not_match_the_next_message(network_bench, send):
    """The reference distinguishes them."""
    station = network_bench.add_station("super-sim", answers=["silence", "silence"])
    first, second = send("one"), send("two")
    network_bench.advance(41)
    assert station.texts == ["one", "two"]
    network_bench.network.acknowledge(station, station.delivery_references[0], None)
    assert (first.calls, second.calls) == (["attempted"], ["attempted"])


def test_lost_acknowledgement_causes_a_duplicate(network_bench, send):
    """The duplicate has the same octets, the service centre timestamp included, and is the last."""
    station = network_bench.add_station("super-sim")
    network_bench.network.lose_acknowledgements(station.imsi)
    listener = send("once")
    network_bench.advance(30)
    assert listener.calls == ["attempted"]
    network_bench.advance(DAY_S)
    first, second = station.received
    assert first == second
    assert listener.calls == ["attempted", "attempted", "acknowledged"]
    assert "acknowledgement_lost" in network_bench.take_event_kinds()


def test_message_in_flight_at_a_detach_is_sent_again(network_bench, send):
    """It is unknown whether it had arrived."""
    station = network_bench.add_station("super-sim", answers=["silence"])
    send("one")
    network_bench.advance(1)
    station.detach()
    station.attach()
    network_bench.advance(1)
    assert station.texts == ["one", "one"]


def test_message_is_given_up_after_its_validity(network_bench, send):
    """After 24 hours without an attempt, and without a success."""
    never = send("never tried")
    network_bench.advance(DAY_S + 1)
    assert never.calls == ["gave up"]
    station = network_bench.add_station("super-sim", answers=["silence"] * 100)
    silent = send("never answered")
    network_bench.advance(DAY_S + 100)
    assert silent.calls[-1] == "gave up"
    assert set(silent.calls[:-1]) == {"attempted"}
    assert network_bench.network.count_waiting(station.imsi) == 0
    assert network_bench.time.pending == 0


def test_message_that_expires_in_flight_may_be_acknowledged(make_network_bench):
    """The attempt is finished, and no other begins."""
    bench = make_network_bench(timing=NetworkTiming(validity_s=10))
    station = bench.add_station("super-sim", answers=["silence", "silence"])
    listeners = [RecordingListener(), RecordingListener()]
    for text, listener in zip(("one", "two"), listeners, strict=True):
        (part,) = pdu.segment(text)
        bench.network.send(station.imsi, pdu.Address.parse("000"), part, listener=listener)
        bench.advance(9.5)
    bench.advance(5)
    assert listeners[0].calls == ["attempted"]
    bench.network.acknowledge(station, station.delivery_references[0], None)
    bench.advance(100)
    assert listeners[0].calls == ["attempted", "acknowledged"]
    assert listeners[1].calls == ["gave up"]


@pytest.mark.parametrize("detaches", [False, True])
def test_message_that_expired_in_flight_is_not_retried(make_network_bench, detaches):
    """Neither after a timeout nor after a detach and attach."""
    bench = make_network_bench(timing=NetworkTiming(validity_s=10))
    station = bench.add_station("super-sim", answers=["silence"] * 9)
    listener = RecordingListener()
    bench.network.send(station.imsi, pdu.Address.parse("000"), *pdu.segment("one"), listener=listener)
    bench.advance(11)
    if detaches:
        station.detach()
        station.attach()
    bench.advance(DAY_S)
    assert listener.calls == ["attempted", "gave up"]
    assert bench.network.count_waiting(station.imsi) == 0


def test_without_store_and_forward_a_detach_drops_messages(network_bench, send):
    """A waiting message is given up, and one in flight too."""
    station = network_bench.add_station("super-sim", answers=["silence"])
    listeners = [send(text, store_and_forward=False) for text in ("one", "two")]
    third = send("three")
    network_bench.advance(1)
    station.detach()
    assert [listener.calls for listener in listeners] == [["attempted", "gave up"], ["gave up"]]
    station.attach()
    network_bench.advance(1)
    assert station.texts == ["one", "three"]
    assert third.calls == ["attempted", "acknowledged"]


def test_without_store_and_forward_a_full_module_is_tried(network_bench, send):
    """Other messages wait for memory; this one gets its single attempt now."""
    station = network_bench.add_station("super-sim", answers=[RP_MEMORY_EXCEEDED, RP_MEMORY_EXCEEDED])
    send("kept")
    network_bench.advance(1)
    listener = send("now", store_and_forward=False)
    network_bench.advance(1)
    assert station.texts == ["kept", "now"]
    assert listener.calls == ["attempted", "gave up"]


def test_without_store_and_forward_there_is_one_attempt(network_bench, send):
    """Not attached, refused, not answered: each is the end."""
    absent = send("absent", store_and_forward=False)
    network_bench.advance(1)
    assert absent.calls == ["gave up"]
    station = network_bench.add_station("super-sim", answers=[RP_MEMORY_EXCEEDED, "silence"])
    refused = send("refused", store_and_forward=False)
    network_bench.advance(1)
    silent = send("silent", store_and_forward=False)
    network_bench.advance(100)
    for listener in (refused, silent):
        assert listener.calls == ["attempted", "gave up"]
    network_bench.advance(DAY_S)
    assert station.texts == ["refused", "silent"]


def test_closed_network_has_no_pending_calls(network_bench, send):
    """Everything scheduled is cancelled."""
    send("one")
    network_bench.advance(1)
    network_bench.network.close()
    assert network_bench.time.pending == 0
    send("two")
    assert network_bench.time.pending == 0


def test_waiting_messages_cost_nothing_while_the_module_is_full(network_bench, send):
    """A module without memory is offered nothing, so a new message for it schedules its expiry only."""
    network_bench.add_station("super-sim", answers=[RP_MEMORY_EXCEEDED])
    send("refused")
    network_bench.advance(1)
    before = network_bench.time.pending
    for number in range(20):
        send(str(number))
    network_bench.advance(1)
    assert network_bench.time.pending == before + 20
