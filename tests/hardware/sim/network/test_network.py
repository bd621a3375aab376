"""The network: attach, messages from modules, coverage."""

from __future__ import annotations

import pytest

import pdu

FROM = pdu.Address.parse("+15557654321")


@pytest.mark.parametrize(("name", "stat"), [("super-sim", 5), ("programmable-wireless", 1)])
def test_known_sim_registers(network_bench, name, stat):
    """A Super SIM is roaming, the other is at home."""
    station = network_bench.add_station(name)
    assert station.stat == stat
    assert network_bench.network.is_reachable(station.imsi)
    station.detach()
    assert not network_bench.network.is_reachable(station.imsi)
    assert network_bench.take_event_kinds() == ["attached", "detached"]


def test_unknown_sim_is_denied(network_bench):
    """<stat> 3, and its messages are refused: unidentified subscriber."""
    station = type(network_bench.add_station("super-sim"))(network_bench.network, "999999999999999")
    assert station.stat == 3
    station.send_text("hello")
    network_bench.advance(1)
    assert station.submit_results == [(1, 28)]


def test_second_module_with_the_same_sim_replaces_the_first(network_bench):
    """Messages go to the newer module; answers of the older one are ignored."""
    old, new = network_bench.add_station("super-sim"), network_bench.add_station("super-sim")
    network_bench.network.send(old.imsi, FROM, *pdu.segment("hello"))
    network_bench.advance(1)
    assert (old.texts, new.texts) == ([], ["hello"])
    old.detach()
    assert network_bench.network.is_reachable(new.imsi)
    new.answers = ["silence", 22]
    for text in ("one", "two"):
        network_bench.network.send(new.imsi, FROM, *pdu.segment(text))
    network_bench.advance(1)
    network_bench.network.acknowledge(old, new.delivery_references[-1], None)
    network_bench.advance(1)
    assert new.texts[1:] == ["one"]
    network_bench.network.acknowledge(new, new.delivery_references[-1], None)
    network_bench.advance(1)
    network_bench.network.memory_available(old)
    network_bench.advance(1)
    assert new.texts[1:] == ["one", "two"]


def test_module_with_another_sim_gets_no_messages_of_the_first(network_bench):
    """Messages to the old SIM wait, those to the new one are delivered."""
    station = network_bench.add_station("super-sim")
    old, station.imsi = station.imsi, network_bench.sims["programmable-wireless"].imsi
    station.attach()
    network_bench.network.send(old, FROM, *pdu.segment("old"))
    network_bench.network.send(station.imsi, FROM, *pdu.segment("new"))
    network_bench.advance(1)
    assert station.texts == ["new"]
    assert not network_bench.network.is_reachable(old)


def test_no_messages_out_of_coverage(network_bench):
    """A submit fails with network out of order, a message waits, a new registration finds no network."""
    station = network_bench.add_station("super-sim")
    network_bench.network.set_coverage(station.imsi, in_coverage=False)
    network_bench.network.send(station.imsi, FROM, *pdu.segment("hello"))
    station.send_text("hello")
    network_bench.advance(10)
    assert (station.texts, station.submit_results) == ([], [(1, 38)])
    assert station.attach() == 2
    network_bench.network.set_coverage(station.imsi, in_coverage=True)
    assert station.attach() == 5
    network_bench.advance(10)
    assert station.texts == ["hello"]


def test_waiting_messages_come_at_once_after_coverage_returns(network_bench):
    """Also to a module that noticed nothing; a second call changes nothing."""
    station = network_bench.add_station("super-sim")
    for in_coverage in (False, False, True, True):
        network_bench.network.set_coverage(station.imsi, in_coverage=in_coverage)
        network_bench.network.send(station.imsi, FROM, *pdu.segment(str(in_coverage)))
        network_bench.advance(1)
    assert station.texts == ["False", "False", "True", "True"]
    assert [kind for kind in network_bench.take_event_kinds() if kind in ("attached", "detached")] == [
        "attached",
        "detached",
        "attached",
    ]


def test_submit_is_acknowledged_and_recorded(network_bench):
    """RP-ACK with the token; the record has text, destination and time."""
    station = network_bench.add_station("super-sim")
    station.send_text("21.5 {C}", to="000")
    assert station.submit_results == []
    network_bench.advance(1)
    assert station.submit_results == [(1, None)]
    (message,) = network_bench.network.mo_messages
    assert (message.body, str(message.destination), message.part_count) == ("21.5 {C}", "000", 1)
    assert message.received_at.isoformat() == "2026-11-22T12:00:00.050000+00:00"


@pytest.mark.parametrize("content", ["x" * 400, "\N{SNOWMAN} " * 100, bytes(range(256)) * 2])
def test_concatenated_message_is_joined(network_bench, content):
    """Each part is acknowledged, one message is passed on."""
    station = network_bench.add_station("super-sim")
    station.send_text(content)
    network_bench.advance(1)
    (message,) = network_bench.network.mo_messages
    assert message.body == content
    assert message.part_count > 1
    assert [cause for _, cause in station.submit_results] == [None] * message.part_count


def test_parts_in_any_order_twice_and_from_two_sims(network_bench):
    """The part number decides; parts of different SIMs are not mixed."""
    stations = [network_bench.add_station("super-sim"), network_bench.add_station("programmable-wireless")]
    texts = ["a" * 200 + "b" * 200, "c" * 200 + "d" * 200]
    for order in ((2, 0), (2, 1), (1, 0)):
        for station, text in zip(stations, texts, strict=True):
            for place in order:
                part = pdu.segment(text, reference=9)[place]
                station.submit(pdu.Submit(destination_address=pdu.Address.parse("2936"), user_data=part))
    network_bench.advance(1)
    # The first four submits complete the message, the two that follow are a beginning without an end.
    assert [message.body for message in network_bench.network.mo_messages] == texts


def test_incomplete_message_is_dropped(network_bench):
    """An hour later its parts no longer join with others."""
    station = network_bench.add_station("super-sim")
    first, second = pdu.segment("x" * 200, reference=1)
    for part, wait in ((first, 3601), (second, 3601)):
        station.submit(pdu.Submit(destination_address=pdu.Address.parse("000"), user_data=part))
        network_bench.advance(wait)
    assert list(network_bench.network.mo_messages) == []
    assert network_bench.time.pending == 0


@pytest.mark.parametrize(
    ("octets", "cause"),
    [
        (b"\x01", 96),
        (b"", 96),
        (bytes.fromhex("0100038100F000000B1B"), 96),
        (bytes.fromhex("0200000000038100F000"), 0xB0),
        (bytes.fromhex("0100008100000141"), 0xC3),
    ],
)
def test_invalid_submit_is_refused_with_a_cause(network_bench, octets, cause):
    """Truncated, a COMMAND, without destination: the module gets an error."""
    station = network_bench.add_station("super-sim")
    station.submit(octets)
    network_bench.advance(1)
    assert station.submit_results == [(1, cause)]
    assert list(network_bench.network.mo_messages) == []


def test_status_report_is_sent_on_request(network_bench):
    """TP-SRR gives a report with the same reference and recipient; without it there is none."""
    station = network_bench.add_station("super-sim")
    station.send_text("quiet")
    station.send_text("loud", status_report_request=True, message_reference=42)
    network_bench.advance(1)
    (report,) = station.received
    assert isinstance(report, pdu.StatusReport)
    assert (report.message_reference, str(report.recipient_address), report.status) == (42, "000", 0)


def test_redelivered_message_has_the_same_octets(network_bench):
    """Also hours later: the service centre timestamp is unchanged."""
    station = network_bench.add_station("super-sim")
    message = network_bench.network.send(station.imsi, FROM, *pdu.segment("hello"))
    network_bench.advance(3600)
    network_bench.network.redeliver(station.imsi, message)
    network_bench.advance(1)
    first, second = station.received
    assert first == second
    assert network_bench.take_event_kinds()[-4:] == ["redelivered", "handed", "offered", "acknowledged"]


def test_invalid_sender_is_refused_at_once(network_bench):
    """Twenty digits fit in an address, more do not."""
    with pytest.raises(pdu.PduError):
        network_bench.network.send(
            network_bench.sims["super-sim"].imsi, pdu.Address.parse("1" * 30), *pdu.segment("x")
        )
