"""F01 F25 F38: full stores, mismatched stores, and deletes."""

import re

import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware import profile
from hardware.sim.module.sim_card import SimCard
from soak.world import HandlerPlan

SID_2 = "DC" + "2" * 32


def sim_store_only(slots, **changes):
    """Return a module whose only store is on the SIM, and the SIM."""
    device = profile.load_simulator_profile("generic")
    stores = (("SM",),) * 3
    device = device.replace(stores={}, memories=stores, store="SM", **changes)
    return {"device": device, "sim": SimCard(imsi="001010000000001", message_capacity=slots)}


def timestamp_at(minute):
    """Return a timestamp."""
    return f"26/11/21,{20 + minute // 60}:{minute % 60:02}:00+00"


FULL_URCS = {
    "SMMEMFULL": '^SMMEMFULL: "{store}"',
    "SMS FULL": "+SMS FULL",
    "index -1": '+CMTI: "{store}",-1',
    "nothing": "",
}
VENDOR_FULL_URCS = {
    "Quectel": '+QIND: "smsfull","ME"',
    "Quectel, older": "+QIND: SMSFULL",
    "Gemalto": "^SMGO: 2",
    "indicator": '+CIEV: "smsfull",1',
    "bare": "SMS FULL",
    "memory": "+MEMFULL",
}
"""URCs of a module when a message does not fit into the store, by vendor."""


@pytest.mark.parametrize("full", FULL_URCS.values(), ids=FULL_URCS)
async def test_f01_full_store_is_emptied_in_order(tmp_path, message_format, full):
    """50 stored and 15 queued messages are executed in order, slots are freed, and one warning is logged."""
    async with FaultWorld(tmp_path, message_format, **sim_store_only(50, store_full_urc=full)) as world:
        texts = [f"led {number}" for number in range(1, 66)]
        world.plans = {text: HandlerPlan([(0.2, "nothing")]) for text in texts}
        for index in range(1, 51):
            world.store_pdu(
                index, make_pdu(texts[index - 1], timestamp=timestamp_at(index)), index % 2, store="SM"
            )
        for second, text in enumerate(texts[50:]):
            world.call_later(second, world.send, text)
        await world.advance(40)
        await world.start_and_settle(120)
        assert world.executed == texts
        assert world.stored_indices("SM") == []
        deletes = world.interceptor.commands_matching(r"AT\+CMGD.*")
        assert len(deletes) == 65
        assert all(re.fullmatch(r"AT\+CMGD=\d+", line) for line in deletes)
        assert len([line for line in world.log_lines(30) if "SM holds 50 of 50" in line]) == 1


@pytest.mark.parametrize("name", ["SMMEMFULL", "SMS FULL", "index -1", *VENDOR_FULL_URCS])
async def test_f01_store_full_urc_starts_a_sweep(tmp_path, message_format, name):
    """20 messages without notification are executed within seconds of the URC."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        texts = [f"led {number}" for number in range(20)]
        for number, text in enumerate(texts):
            world.store_pdu(number + 1, make_pdu(text, timestamp=timestamp_at(number)), 1)
        urc = (FULL_URCS | VENDOR_FULL_URCS)[name].replace("{store}", "ME")
        world.interceptor.send_to_agent(b"\r\n%s\r\n" % urc.encode())
        await world.advance(15)
        assert world.executed == texts
        assert world.stored_indices() == []


async def test_f01_sweep_repeats_until_the_store_is_empty(tmp_path, message_format):
    """The network refills each freed slot without a notification, and all messages are executed."""
    async with FaultWorld(tmp_path, message_format, **sim_store_only(10)) as world:
        world.module.faults.add("code-lost:command=+CMTI,times=0")
        texts = [f"led {number}" for number in range(40)]
        for second, text in enumerate(texts):
            world.call_later(second, world.send, text)
        await world.advance(60)
        await world.start_and_settle(60)
        assert world.executed == texts
        assert world.stored_indices("SM") == []


@pytest.mark.parametrize("full", FULL_URCS.values(), ids=FULL_URCS)
async def test_f01_store_that_fills_while_deletes_fail(tmp_path, message_format, full):
    """One warning is logged. When deletes work again each message is executed once."""
    async with FaultWorld(tmp_path, message_format, **sim_store_only(10, store_full_urc=full)) as world:
        await world.start_and_settle()
        rule = world.interceptor.answer(r"AT\+CMGD=.*", b"\r\n+CMS ERROR: 320\r\n", times=0)
        texts = [f"led {number}" for number in range(1, 31)]
        for text in texts:
            world.send(text)
        await world.advance(1800)
        assert len([line for line in world.log_lines(30) if re.search(r"SM holds (8|9|10) of 10", line)]) == 1
        rule.remaining = 0
        await world.advance(7200)
        assert sorted(world.executed) == sorted(texts)
        assert world.stored_indices("SM") == []


@pytest.mark.parametrize("named", ["ME", "SM"])
async def test_f25_notification_selects_the_store(tmp_path, message_format, named):
    """The other store has an older message at the same index. Only the new message is executed."""
    async with FaultWorld(tmp_path, message_format) as world:
        other = "SM" if named == "ME" else "ME"
        world.store_pdu(3, PLAIN_SID_START, 1, store=other)
        await world.start_and_settle()
        assert world.executed == ["led on"]
        world.store_pdu(3, PLAIN_SID_START, 1, store=other)
        world.store_pdu(3, make_pdu(f"{SID_2} led new"), store=named)
        world.interceptor.send_to_agent(b'\r\n+CMTI: "%s",3\r\n' % named.encode())
        await world.advance(5)
        assert world.executed == ["led on", "led new"]
        await world.advance(3700)
        assert world.executed == ["led on", "led new"]
        assert world.stored_indices("ME") == world.stored_indices("SM") == []


async def test_f25_all_three_memories_are_set(tmp_path, message_format):
    """At the start only mem1 is the SIM. All three are set to ME and read back."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.settings.cpms = world.module.saved_settings.cpms = ("SM", "ME", "ME")
        world.module.saved_settings.cpms = ("SM", "ME", "ME")
        world.store_pdu(3, PLAIN_SID_START, store="SM")
        await world.start_and_settle()
        assert world.module.settings.cpms == ("ME", "ME", "ME")
        assert world.interceptor.commands_matching(r'AT\+CPMS="ME","ME","ME"')
        world.deliver_pdu(make_pdu("led new"))
        await world.advance(5)
        assert world.executed == ["led on", "led new"]


async def test_f25_mem3_that_cannot_be_changed(tmp_path, message_format):
    """+CPMS is accepted, but mem3 stays another store: messages in it are executed, each once."""
    async with FaultWorld(tmp_path, message_format) as world:

        def restore_mem3(data):
            world.module.settings.cpms = (*world.module.settings.cpms[:2], "ME")
            return data

        world.interceptor.filter_to_module = restore_mem3
        world.module.saved_settings.cpms = ("SM", "SM", "ME")
        world.module.context.profile = world.module.profile.replace(memories=(("SM", "ME"), ("SM",), ("ME",)))
        world.store_pdu(1, PLAIN_SID_START, 1, store="SM")
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led new"))
        await world.advance(400)
        assert world.executed == ["led on", "led new"]
        assert world.stored_indices("ME") == world.stored_indices("SM") == []


async def test_f38_delete_affects_one_index_only(tmp_path, message_format):
    """A message stored after a list at an index that was just freed is not deleted unread."""
    async with FaultWorld(tmp_path, message_format) as world:
        numbers = iter(range(100))
        deleted_unread = record_unread_deletes(world)

        def store_after_list(data):
            if (
                b"OK" in data
                and world.interceptor.last_command.startswith("AT+CMGL")
                and not world.stored_indices()
            ):
                index = next(numbers)
                if index < 5:
                    world.store_pdu(1, make_pdu(f"led {index}", timestamp=timestamp_at(index)))
            return data

        world.interceptor.filter_to_agent = store_after_list
        await world.start_and_settle()
        await world.advance(3600)
        assert world.executed == [f"led {index}" for index in range(5)]
        assert deleted_unread == []
        assert all(
            re.fullmatch(r"AT\+CMGD=\d+", line) for line in world.interceptor.commands_matching(r"AT\+CMGD.*")
        )


async def test_f38_no_unread_delete_under_load(tmp_path, message_format):
    """80 messages pass through 20 slots, and none is deleted unread."""
    async with FaultWorld(tmp_path, message_format) as world:
        deleted_unread = record_unread_deletes(world)
        texts = [f"led {number}" for number in range(80)]
        world.plans = {text: HandlerPlan([(0.01, "nothing")]) for text in texts}
        await world.start_and_settle()
        for number, text in enumerate(texts):
            world.call_later(number * 0.03, world.send, text)
        await world.advance(300)
        assert sorted(world.executed) == sorted(texts)
        assert deleted_unread == []
        assert all(
            re.fullmatch(r"AT\+CMGD=\d+", line) for line in world.interceptor.commands_matching(r"AT\+CMGD.*")
        )


def record_unread_deletes(world):
    """Return a list that gets each message that the agent deletes unread."""
    unread = []
    for store in {id(store): store for store in world.module.stores.values()}.values():
        if hasattr(store, "_slots"):
            delete = store.delete

            def record_delete(slot, store=store, delete=delete):
                if (stored := store.get(slot)) is not None and stored.status == 0:
                    unread.append(stored)
                delete(slot)

            store.delete = record_delete
    return unread
