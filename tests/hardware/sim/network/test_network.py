"""The network: who may attach, what it takes from modules and what it says to them."""

from __future__ import annotations

import pytest

import pdu

FROM = pdu.Address.parse("+15557654321")


@pytest.mark.parametrize(("name", "stat"), [("super-sim", 5), ("programmable-wireless", 1)])
def test_a_known_sim_registers(world, name, stat):
    """A Super SIM is a guest everywhere, the other is at home."""
    station = world.station(name)
    assert station.stat == stat
    assert world.network.reachable(station.imsi)
    station.detach()
    assert not world.network.reachable(station.imsi)
    assert world.kinds() == ["attached", "detached"]


def test_an_unknown_sim_is_denied(world):
    """<stat> 3, and nothing it submits is taken: unidentified subscriber."""
    station = type(world.station("super-sim"))(world.network, "999999999999999")
    assert station.stat == 3
    station.say("hello")
    world.pass_time(1)
    assert station.outcomes == [(1, 28)]


def test_a_second_module_with_the_same_sim_takes_the_place_of_the_first(world):
    """Messages go to the newest; what the old one answers counts for nothing."""
    old, new = world.station("super-sim"), world.station("super-sim")
    world.network.send(old.imsi, FROM, *pdu.segment("hello"))
    world.pass_time(1)
    assert (old.texts, new.texts) == ([], ["hello"])
    old.detach()
    assert world.network.reachable(new.imsi)
    new.answers = ["silence", 22]
    for text in ("one", "two"):
        world.network.send(new.imsi, FROM, *pdu.segment(text))
    world.pass_time(1)
    world.network.acknowledge(old, new.references[-1], None)
    world.pass_time(1)
    assert new.texts[1:] == ["one"]
    world.network.acknowledge(new, new.references[-1], None)
    world.pass_time(1)
    world.network.memory_available(old)
    world.pass_time(1)
    assert new.texts[1:] == ["one", "two"]


def test_a_module_with_another_card_gets_nothing_of_the_first(world):
    """What is sent to the old SIM waits, what is sent to the new one comes."""
    station = world.station("super-sim")
    old, station.imsi = station.imsi, world.sims["programmable-wireless"].imsi
    station.attach()
    world.network.send(old, FROM, *pdu.segment("old"))
    world.network.send(station.imsi, FROM, *pdu.segment("new"))
    world.pass_time(1)
    assert station.texts == ["new"]
    assert not world.network.reachable(old)


def test_out_of_coverage_nothing_comes_and_nothing_goes(world):
    """A submit is refused as a network out of order, a message waits, a new registration finds no network."""
    station = world.station("super-sim")
    world.network.cover(station.imsi, covered=False)
    world.network.send(station.imsi, FROM, *pdu.segment("hello"))
    station.say("hello")
    world.pass_time(10)
    assert (station.texts, station.outcomes) == ([], [(1, 38)])
    assert station.attach() == 2
    world.network.cover(station.imsi, covered=True)
    assert station.attach() == 5
    world.pass_time(10)
    assert station.texts == ["hello"]


def test_back_in_coverage_what_waited_comes_at_once(world):
    """Also to a module that never noticed; a second call changes nothing."""
    station = world.station("super-sim")
    for covered in (False, False, True, True):
        world.network.cover(station.imsi, covered=covered)
        world.network.send(station.imsi, FROM, *pdu.segment(str(covered)))
        world.pass_time(1)
    assert station.texts == ["False", "False", "True", "True"]
    assert [kind for kind in world.kinds() if kind in ("attached", "detached")] == [
        "attached",
        "detached",
        "attached",
    ]


def test_a_submit_is_acknowledged_and_written_to_the_ledger(world):
    """RP-ACK with the token; the ledger has text, destination and time."""
    station = world.station("super-sim")
    station.say("21.5 {C}", to="000")
    assert station.outcomes == []
    world.pass_time(1)
    assert station.outcomes == [(1, None)]
    (message,) = world.network.ledger
    assert (message.body, str(message.destination), message.parts) == ("21.5 {C}", "000", 1)
    assert message.at.isoformat() == "2026-11-22T12:00:00.050000+00:00"


@pytest.mark.parametrize("content", ["x" * 400, "\N{SNOWMAN} " * 100, bytes(range(256)) * 2])
def test_a_long_message_is_joined(world, content):
    """Each part is acknowledged, one message is handed on."""
    station = world.station("super-sim")
    station.say(content)
    world.pass_time(1)
    (message,) = world.network.ledger
    assert message.body == content
    assert message.parts > 1
    assert [cause for _, cause in station.outcomes] == [None] * message.parts


def test_parts_may_come_in_any_order_and_twice_and_from_two_sims(world):
    """The number of the part decides; SIMs do not mix."""
    stations = [world.station("super-sim"), world.station("programmable-wireless")]
    texts = ["a" * 200 + "b" * 200, "c" * 200 + "d" * 200]
    for order in ((2, 0), (2, 1), (1, 0)):
        for station, text in zip(stations, texts, strict=True):
            for place in order:
                part = pdu.segment(text, reference=9)[place]
                station.submit(pdu.Submit(destination_address=pdu.Address.parse("2936"), user_data=part))
    world.pass_time(1)
    # The first four submits complete the message, the two that follow are a beginning without an end.
    assert [message.body for message in world.network.ledger] == texts


def test_a_long_message_without_its_last_part_is_forgotten(world):
    """An hour later its parts no longer join with anything."""
    station = world.station("super-sim")
    first, second = pdu.segment("x" * 200, reference=1)
    for part, wait in ((first, 3601), (second, 3601)):
        station.submit(pdu.Submit(destination_address=pdu.Address.parse("000"), user_data=part))
        world.pass_time(wait)
    assert list(world.network.ledger) == []
    assert world.time.pending == 0


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
def test_what_is_no_good_submit_is_refused_with_a_cause(world, octets, cause):
    """Truncated, a COMMAND, without destination: no exception, an error for the module."""
    station = world.station("super-sim")
    station.submit(octets)
    world.pass_time(1)
    assert station.outcomes == [(1, cause)]
    assert list(world.network.ledger) == []


def test_a_status_report_comes_when_one_was_asked_for(world):
    """TP-SRR: a report with the same reference and recipient, delivered; without it none."""
    station = world.station("super-sim")
    station.say("quiet")
    station.say("loud", status_report_request=True, message_reference=42)
    world.pass_time(1)
    (report,) = station.received
    assert isinstance(report, pdu.StatusReport)
    assert (report.message_reference, str(report.recipient_address), report.status) == (42, "000", 0)


def test_a_redelivered_message_is_the_same_octet_by_octet(world):
    """Also hours later: the service centre timestamp is that of the first time."""
    station = world.station("super-sim")
    message = world.network.send(station.imsi, FROM, *pdu.segment("hello"))
    world.pass_time(3600)
    world.network.redeliver(station.imsi, message)
    world.pass_time(1)
    first, second = station.received
    assert first == second
    assert world.kinds()[-4:] == ["redelivered", "handed", "offered", "acknowledged"]


def test_a_sender_that_cannot_be_written_is_refused_at_once(world):
    """Twenty digits fit an address, more do not."""
    with pytest.raises(pdu.PduError):
        world.network.send(world.sims["super-sim"].imsi, pdu.Address.parse("1" * 30), *pdu.segment("x"))
