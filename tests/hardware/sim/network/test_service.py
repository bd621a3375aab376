"""The three services: states of a Command, messages from SIMs, retention."""

from __future__ import annotations

import re

import pytest

import pdu
from hardware.sim.service.errors import ServiceError
from hardware.sim.service.product import SUPER_SIM
from hardware.sim.service.rules import BinaryFromSim, LongText, LongTextFromSim, MissingSim

DAY = 86400
ALL = ("super-sim", "programmable-wireless", "super-sim-beta")
ROOT = "http://127.0.0.1:8480"
ACCOUNT = "AC" + "a" * 32


@pytest.fixture
def create(network_bench):
    """Creates a Command for the only SIM of a service."""

    def create(name, body, **parameters):
        service = network_bench.services[name]
        sim = network_bench.sims[name].unique_name
        return service.create({"Sim": sim, service.product.body_parameter: body, **parameters})

    return create


def refusal(call, *arguments):
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("name", ALL)
def test_command_is_queued_then_sent_then_delivered(network_bench, create, name):
    """Queued at first, sent with the first attempt, delivered with the acknowledgement."""
    station = network_bench.add_station(name, answers=["silence"])
    resource = create(name, "led on")
    assert resource.status == "queued"
    network_bench.advance(1)
    assert resource.status == "sent"
    assert resource.updated_at > resource.created_at
    network_bench.network.acknowledge(station, station.delivery_references[0], None)
    assert resource.status == "delivered"
    assert network_bench.take_event_kinds() == ["attached", "created", "handed", "offered", "acknowledged"]
    (message,) = station.received
    number = network_bench.services[name].product.short_code
    assert (message.text, str(message.originating_address)) == ("led on", number)


def test_events_of_a_command_carry_its_sid(network_bench, create):
    """An observer can follow one Command among many."""
    network_bench.add_station("super-sim")
    first, second = create("super-sim", "one"), create("super-sim", "two")
    network_bench.advance(1)
    for resource in (first, second):
        events = [event for event in network_bench.events if event.sid == resource.sid]
        assert [str(event.kind) for event in events] == ["created", "handed", "offered", "acknowledged"]
        assert {event.body for event in events} == {resource.body}


def test_sids_are_unique_and_well_formed(network_bench, create):
    """Prefix and 32 lower-case hexadecimal digits, from the given random generator."""
    sids = {name: [create(name, "x").sid for _ in range(20)] for name in ALL}
    for name, prefix in zip(ALL, ("HC", "DC", "HC"), strict=True):
        assert all(re.fullmatch(prefix + "[0-9a-f]{32}", sid) for sid in sids[name])
        assert len(set(sids[name])) == 20


def test_sim_is_found_by_sid_and_by_name(network_bench):
    """Only in the service that it belongs to."""
    service, sim = network_bench.services["super-sim"], network_bench.sims["super-sim"]
    for name in (sim.sid, sim.unique_name):
        assert service.create({"Sim": name, "Payload": "x"}).sim is sim
    other = network_bench.sims["programmable-wireless"].sid
    assert refusal(service.create, {"Sim": other, "Payload": "x"}) == (404, 33107)


@pytest.mark.parametrize("status", ["new", "inactive", "suspended"])
def test_sim_must_be_ready_or_active(network_bench, status):
    """33104 when sending; its own messages are not listed."""
    service = network_bench.services["programmable-wireless"]
    network_bench.add_sim(
        "programmable-wireless", sid="DE" + "9" * 32, unique_name="off", imsi="001010000000009", status=status
    )
    assert refusal(service.create, {"Sim": "off", "Command": "x"}) == (400, 33104)
    station = type(network_bench.add_station("super-sim"))(network_bench.network, "001010000000009")
    station.send_text("hello", to="2936")
    network_bench.advance(1)
    assert service.list_page({}).rows == []
    assert network_bench.events[-1].note.startswith("33203")


def test_super_sim_command_waits_24_hours_for_its_module(network_bench, create):
    """Queued without an attempt, delivered if the module attaches in time."""
    resource = create("super-sim", "wait")
    network_bench.advance(DAY - 60)
    assert resource.status == "queued"
    network_bench.add_station("super-sim")
    network_bench.advance(1)
    assert resource.status == "delivered"


def test_unacknowledged_super_sim_command_stays_sent(network_bench, create):
    """Not failed, as documented."""
    network_bench.add_station("super-sim", answers=["silence"] * 100)
    resource = create("super-sim", "hello")
    network_bench.advance(1)
    first_attempt = resource.updated_at
    network_bench.advance(2 * DAY)
    assert (resource.status, resource.updated_at) == ("sent", first_attempt)


def test_super_sim_command_without_any_attempt(network_bench, create):
    """The document leaves it open; here it has failed after a day."""
    resource = create("super-sim", "x")
    network_bench.advance(DAY + 60)
    assert resource.status == "failed"


@pytest.mark.parametrize(
    ("receipt", "acknowledged", "silent"), [("true", "delivered", "failed"), ("false", "sent", "sent")]
)
def test_wireless_command_without_receipt_stays_sent(network_bench, create, receipt, acknowledged, silent):
    """Only with a receipt its outcome is known."""
    station = network_bench.add_station("programmable-wireless")
    good = create("programmable-wireless", "x", DeliveryReceiptRequested=receipt)
    network_bench.advance(1)
    assert good.status == acknowledged
    station.answers = ["silence"] * 100
    bad = create("programmable-wireless", "x", DeliveryReceiptRequested=receipt)
    network_bench.advance(DAY + 60)
    assert bad.status == silent


def test_beta_does_not_store_messages(network_bench, create):
    """Not attached: failed; attached a moment later: too late."""
    absent = create("super-sim-beta", "absent")
    network_bench.advance(1)
    assert absent.status == "failed"
    station = network_bench.add_station("super-sim-beta", answers=[22])
    refused = create("super-sim-beta", "refused")
    network_bench.advance(DAY)
    assert refused.status == "failed"
    assert station.texts == ["refused"]


def test_sid_is_sent_with_the_body(network_bench, create):
    """At the start or the end, in one SMS; the resource shows the body as given."""
    station = network_bench.add_station("programmable-wireless")
    start = create("programmable-wireless", "led on", IncludeSid="start")
    end = create("programmable-wireless", "led on", IncludeSid="end")
    network_bench.advance(1)
    assert station.texts == [f"{start.sid} led on", f"led on {end.sid}"]
    assert start.body == end.body == "led on"


def test_binary_command_arrives_as_octets(network_bench, create):
    """Eight-bit data coding, no header."""
    station = network_bench.add_station("programmable-wireless")
    create("programmable-wireless", "AAEC/w==", CommandMode="binary")
    network_bench.advance(1)
    assert (station.received[0].data, station.received[0].data_coding_scheme) == (b"\x00\x01\x02\xff", 4)


def test_command_in_parts_is_delivered_with_its_last_part(make_network_bench):
    """If long texts may be split."""
    bench = make_network_bench(long_text=LongText.SPLIT)
    station = bench.add_station("super-sim", answers=[None, "silence"])
    resource = bench.services["super-sim"].create({"Sim": "sim-super-sim", "Payload": "x" * 200})
    bench.advance(1)
    assert [message.concatenation.number for message in station.received] == [1, 2]
    assert resource.status == "sent"
    bench.network.acknowledge(station, station.delivery_references[1], None)
    assert resource.status == "delivered"


def test_redelivered_command_stays_delivered(network_bench, create):
    """The network delivers it again, the resource does not change."""
    station = network_bench.add_station("super-sim")
    resource = create("super-sim", "once")
    network_bench.advance(1)
    network_bench.services["super-sim"].redeliver(resource.sid)
    network_bench.advance(1)
    assert station.received[0] == station.received[1]
    assert resource.status == "delivered"


# From the SIM.


def test_message_from_a_super_sim_becomes_a_resource(network_bench):
    """Its status is received at once, whatever number it was sent to."""
    station = network_bench.add_station("super-sim")
    service = network_bench.services["super-sim"]
    station.send_text("pong", to="000")
    station.send_text("pong +", to="+000")
    station.send_text("hello", to="+15557654321")
    network_bench.advance(1)
    rows = service.list_page({}).rows
    assert [row.body for row in rows] == ["hello", "pong +", "pong"]
    assert {(row.status, row.direction) for row in rows} == {("received", "from_sim")}
    assert all(row.sim is network_bench.sims["super-sim"] for row in rows)
    assert network_bench.take_event_kinds()[-2:] == ["originated", "listed"]


def test_only_2936_is_the_number_of_wireless(network_bench):
    """Messages to other numbers, `+2936` among them, are recorded and not listed."""
    station = network_bench.add_station("programmable-wireless")
    for number in ("2936", "+2936", "29360", "000", "+15557654321"):
        station.send_text(number, to=number)
    network_bench.advance(1)
    assert [row.body for row in network_bench.services["programmable-wireless"].list_page({}).rows] == [
        "2936"
    ]
    assert len(network_bench.network.mo_messages) == 5
    assert network_bench.take_event_kinds().count("not_listed") == 4


def test_message_from_a_beta_sim_is_not_listed(network_bench):
    """Neither stored nor listed, as documented for the first beta."""
    station = network_bench.add_station("super-sim-beta")
    station.send_text("pong")
    network_bench.advance(1)
    assert station.submit_results == [(1, None)]
    assert [message.body for message in network_bench.network.mo_messages] == ["pong"]
    assert network_bench.take_event_kinds()[-1] == "not_listed"
    assert all(service.list_page({}).rows == [] for service in network_bench.services.values())


@pytest.mark.parametrize(
    ("rule", "length", "note"), [(LongTextFromSim.TRUNCATE, 160, "33111"), (LongTextFromSim.KEEP, 200, "")]
)
def test_long_text_from_a_sim(make_network_bench, rule, length, note):
    """Joined, and cut to 160 characters with note 33111 unless the rule says otherwise."""
    bench = make_network_bench(long_text_from_sim=rule)
    for name, number in (("super-sim", "000"), ("programmable-wireless", "2936")):
        bench.add_station(name).send_text("x" * 200, to=number)
    bench.advance(1)
    for name in ("super-sim", "programmable-wireless"):
        assert bench.services[name].list_page({}).rows[0].body == "x" * length
    assert [event.note[:5] for event in bench.events if event.kind == "listed"] == [note] * 2


@pytest.mark.parametrize("text", ["temp {21.5} €", "pong\r\n", "Grüße ☃ \U0001f600", " "])
def test_text_from_a_sim_is_shown_unchanged(network_bench, text):
    """GSM 7-bit with its extension table, UCS-2, a trailing line end."""
    network_bench.add_station("programmable-wireless").send_text(text, to="2936")
    network_bench.advance(1)
    (row,) = network_bench.services["programmable-wireless"].list_page({}).rows
    assert (row.body, row.mode) == (text, "text")


def test_binary_from_a_sim_is_base64(network_bench):
    """Its data coding shows that it is binary."""
    network_bench.add_station("programmable-wireless").send_text(b"\x00\xff", to="2936")
    network_bench.advance(1)
    (row,) = network_bench.services["programmable-wireless"].list_page({}).rows
    assert (row.body, row.mode) == ("AP8=", "binary")


@pytest.mark.parametrize(("rule", "count"), [(BinaryFromSim.LIST, 1), (BinaryFromSim.DROP, 0)])
def test_binary_from_a_super_sim(make_network_bench, rule, count):
    """Not supported: told apart from text by a field that text has not, or not listed."""
    bench = make_network_bench(binary_from_super_sim=rule)
    station = bench.add_station("super-sim")
    station.send_text(b"\x00\xff")
    bench.advance(1)
    rows = bench.services["super-sim"].list_page({}).rows
    assert [(row.body, row.to_json(SUPER_SIM, ACCOUNT, ROOT)["payload_type"]) for row in rows] == [
        ("AP8=", "binary")
    ] * count
    station.send_text("text")
    bench.advance(1)
    row = bench.services["super-sim"].list_page({}).rows[0]
    assert "payload_type" not in row.to_json(SUPER_SIM, ACCOUNT, ROOT)
    assert bench.events[-1].kind == "listed"


def test_command_without_sim_is_a_rule(make_network_bench):
    """The first line of the Super SIM document has no Sim."""
    bench = make_network_bench(missing_sim=MissingSim.FIRST)
    for name, service in bench.services.items():
        resource = service.create({service.product.body_parameter: "x"})
        assert resource.sim is bench.sims[name]


def test_commands_to_a_narrowband_sim_wait(network_bench):
    """Their transport is ip, no module gets them, and no more than a hundred wait (33118)."""
    service = network_bench.services["programmable-wireless"]
    sim = network_bench.sims["programmable-wireless"]
    sim.transport = "ip"
    station = network_bench.add_station("programmable-wireless")
    for _ in range(100):
        resource = service.create({"Sim": sim.sid, "Command": "x"})
    assert resource.to_json(service.product, ACCOUNT, ROOT)["transport"] == "ip"
    assert refusal(service.create, {"Sim": sim.sid, "Command": "x"}) == (400, 33118)
    network_bench.advance(1)
    assert (resource.status, station.received) == ("queued", [])
    assert len(service.list_page({"Transport": "ip", "PageSize": "100"}).rows) == 100
    assert service.list_page({"Transport": "sms"}).rows == []


# What the API reads.


def test_fields_of_the_three_resources(network_bench, create):
    """Names, order and forms are those of the published samples."""
    shown = {
        name: create(name, "hi").to_json(network_bench.services[name].product, ACCOUNT, ROOT) for name in ALL
    }
    assert list(shown["super-sim"]) == [
        *("sid", "account_sid", "sim_sid", "payload", "status", "direction"),
        *("date_created", "date_updated", "url"),
    ]
    assert list(shown["programmable-wireless"]) == [
        *("sid", "account_sid", "sim_sid", "command", "command_mode", "transport"),
        *("delivery_receipt_requested", "status", "direction", "date_created", "date_updated", "url"),
    ]
    assert list(shown["super-sim-beta"]) == [
        *("sid", "account_sid", "sim_sid", "command", "status", "direction"),
        *("date_created", "date_updated", "url"),
    ]
    wireless = shown["programmable-wireless"]
    assert wireless["date_created"] == "2026-11-22T12:00:00Z"
    assert wireless["url"] == f"{ROOT}/v1/Commands/{wireless['sid']}"
    assert (wireless["command_mode"], wireless["transport"]) == ("text", "sms")
    assert wireless["delivery_receipt_requested"] is True
    assert shown["super-sim"]["url"].startswith(f"{ROOT}/v1/SmsCommands/HC")
    assert shown["super-sim-beta"]["url"].startswith(f"{ROOT}/v1/Commands/HC")


def test_resource_is_kept_for_30_days(network_bench, create):
    """Then it is neither fetched nor listed."""
    service = network_bench.services["super-sim"]
    old = create("super-sim", "old")
    network_bench.advance(30 * DAY)
    new = create("super-sim", "new")
    assert service.fetch(old.sid) is old
    network_bench.advance(1)
    assert refusal(service.fetch, old.sid) == (404, 20404)
    assert service.list_page({}).rows == [new]


def test_deleted_command_is_gone(network_bench, create):
    """It still reaches the module, and a second deletion does not find it."""
    service = network_bench.services["programmable-wireless"]
    station = network_bench.add_station("programmable-wireless")
    resource = create("programmable-wireless", "x")
    service.delete(resource.sid)
    assert refusal(service.fetch, resource.sid) == (404, 20404)
    assert refusal(service.delete, resource.sid) == (404, 20404)
    network_bench.advance(1)
    assert station.texts == ["x"]


def test_refused_command_leaves_nothing(network_bench, create):
    """No resource, no message."""
    station = network_bench.add_station("super-sim")
    with pytest.raises(ServiceError):
        create("super-sim", "x" * 161)
    network_bench.advance(1)
    assert network_bench.services["super-sim"].list_page({}).rows == []
    assert station.received == []


def test_foreign_sms_is_delivered_and_not_listed(network_bench):
    """Any number can send to a SIM; that is not a Command."""
    station = network_bench.add_station("super-sim")
    network_bench.network.send(station.imsi, pdu.Address.parse("+15557654321"), *pdu.segment("reboot"))
    network_bench.advance(1)
    assert [(message.text, str(message.originating_address)) for message in station.received] == [
        ("reboot", "+15557654321")
    ]
    assert network_bench.services["super-sim"].list_page({}).rows == []
