"""How many Commands a service keeps, and what becomes of the oldest."""

from __future__ import annotations

import gc
import weakref

import pytest

from hardware.sim.service.errors import ServiceError


@pytest.fixture
def bench(make_network_bench):
    """A bench whose services keep five Commands."""
    return make_network_bench(max_commands=5)


@pytest.fixture
def create(bench):
    """Return a function that creates a Command to the Super SIM and returns it."""

    def create(text):
        return bench.services["super-sim"].create({"Sim": "sim-super-sim", "Payload": text})

    return create


def listed(bench):
    return [row.body for row in bench.services["super-sim"].list_page({}).rows]


def test_oldest_command_goes_when_there_are_too_many(bench, create):
    """The list has the newest five, a sixth is not found; the serial numbers of pages stay in order."""
    oldest = create("0")
    for number in range(1, 6):
        create(str(number))
    assert listed(bench) == ["5", "4", "3", "2", "1"]
    with pytest.raises(ServiceError, match="not found"):
        bench.services["super-sim"].fetch(oldest.sid)


def test_lower_limit_applies_to_the_next_command(bench, create):
    """The rule may be changed at any time."""
    for number in range(5):
        create(str(number))
    bench.rules.change("max-commands", "2")
    create("5")
    assert listed(bench) == ["5", "4"]


def test_deleted_command_leaves_the_others(make_network_bench):
    """A Command in the middle is deleted; limits count what is left."""
    bench = make_network_bench(max_commands=3)
    service = bench.services["programmable-wireless"]
    commands = [service.create({"Sim": "sim-programmable-wireless", "Command": str(n)}) for n in range(3)]
    service.delete(commands[1].sid)
    service.create({"Sim": "sim-programmable-wireless", "Command": "3"})
    assert [row.body for row in service.list_page({}).rows] == ["3", "2", "0"]


def test_message_of_a_dropped_command_no_longer_waits(bench, create):
    """The Command fails, so nothing grows without bound while no module is attached."""
    imsi = bench.sims["super-sim"].imsi
    oldest = create("0")
    bench.advance(1)
    bench.take_event_kinds()
    for number in range(1, 8):
        create(str(number))
        bench.advance(1)
    assert bench.network.count_waiting(imsi) == 5
    assert oldest.status == "failed"
    assert bench.take_event_kinds().count("given_up") == 3


def test_dropped_command_is_freed_at_once(bench, create):
    """Its messages and listeners do not hold each other, so no search for cycles is needed."""
    oldest = weakref.ref(create("0").mt_messages[0].listener)
    gc.disable()
    try:
        for number in range(1, 8):
            create(str(number))
        bench.advance(2 * 86400)  # the scheduler of the tests keeps cancelled timers until they are due
        assert oldest() is None
    finally:
        gc.enable()


def test_message_in_flight_of_a_dropped_command_is_delivered(bench, create):
    """The module has it already, so its answer counts."""
    station = bench.add_station("super-sim", answers=["silence"])
    oldest = create("0")
    bench.advance(1)
    for number in range(1, 6):
        create(str(number))
    bench.network.acknowledge(station, station.delivery_references[0], None)
    assert oldest.status == "delivered"
