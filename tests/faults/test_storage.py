"""Stores: full, mixed up, and what is deleted from them."""

import re

import msgspec
import pytest

from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from hardware import profile
from hardware.sim.module.sim_card import SimCard
from soak.world import HandlerPlan

SID_2 = "DC" + "2" * 32


def only_a_card(slots, **changes):
    """A module whose only store is the card's, and the card."""
    device = profile.load_simulator_profile("generic")
    stores = (("SM",),) * 3
    device = msgspec.structs.replace(device, stores={}, memories=stores, store="SM", **changes)
    return {"device": device, "sim": SimCard(imsi="001010000000001", message_capacity=slots)}


def at(minute):
    """A time stamp."""
    return f"26/11/21,{20 + minute // 60}:{minute % 60:02}:00+00"


FULL = {
    "SMMEMFULL": '^SMMEMFULL: "{store}"',
    "SMS FULL": "+SMS FULL",
    "index -1": '+CMTI: "{store}",-1',
    "nothing": "",
}
MORE_FULL = {
    "Quectel": '+QIND: "smsfull","ME"',
    "Quectel, older": "+QIND: SMSFULL",
    "Gemalto": "^SMGO: 2",
    "indicator": '+CIEV: "smsfull",1',
    "bare": "SMS FULL",
    "memory": "+MEMFULL",
}
"""The same in other makers' words."""
"""What modules say when a message finds no room."""


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
async def test_f01_a_full_store_is_drained_in_order(tmp_path, message_format, full):
    """50 of 50, read and unread, 15 more in the network: all handled in order, freed one by one, alarm."""
    async with FaultWorld(tmp_path, message_format, **only_a_card(50, store_full_urc=full)) as scene:
        texts = [f"led {number}" for number in range(1, 66)]
        scene.plans = {text: HandlerPlan([(0.2, "nothing")]) for text in texts}
        for index in range(1, 51):
            scene.store_pdu(index, make_pdu(texts[index - 1], timestamp=at(index)), index % 2, store="SM")
        for second, text in enumerate(texts[50:]):
            scene.call_later(second, scene.send, text)
        await scene.advance(40)
        await scene.start_and_settle(120)
        assert scene.executed == texts
        assert scene.stored_indices("SM") == []
        deletes = scene.interceptor.commands_matching(r"AT\+CMGD.*")
        assert len(deletes) == 65
        assert all(re.fullmatch(r"AT\+CMGD=\d+", line) for line in deletes)
        assert len([line for line in scene.log_lines(30) if "SM holds 50 of 50" in line]) == 1


@pytest.mark.parametrize("name", ["SMMEMFULL", "SMS FULL", "index -1", *MORE_FULL])
async def test_f01_the_code_is_followed_at_once(tmp_path, message_format, name):
    """20 messages that no other code told of: drained within seconds, not by the next sweep."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        texts = [f"led {number}" for number in range(20)]
        for number, text in enumerate(texts):
            scene.store_pdu(number + 1, make_pdu(text, timestamp=at(number)), 1)
        code = (FULL | MORE_FULL)[name].replace("{store}", "ME")
        scene.interceptor.send_to_agent(b"\r\n%s\r\n" % code.encode())
        await scene.advance(15)
        assert scene.executed == texts
        assert scene.stored_indices() == []


async def test_f01_what_comes_without_a_code_while_it_is_drained(tmp_path, message_format):
    """Each slot that gets free is filled again by the network, silently: swept until nothing is left."""
    async with FaultWorld(tmp_path, message_format, **only_a_card(10)) as scene:
        scene.module.faults.add("code-lost:command=+CMTI,times=0")
        texts = [f"led {number}" for number in range(40)]
        for second, text in enumerate(texts):
            scene.call_later(second, scene.send, text)
        await scene.advance(60)
        await scene.start_and_settle(60)
        assert scene.executed == texts
        assert scene.stored_indices("SM") == []


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
async def test_f01_it_fills_while_nothing_can_be_deleted(tmp_path, message_format, full):
    """The module refuses to delete for a while: one alarm; afterwards all is taken, nothing twice."""
    async with FaultWorld(tmp_path, message_format, **only_a_card(10, store_full_urc=full)) as scene:
        await scene.start_and_settle()
        refused = scene.interceptor.answer(r"AT\+CMGD=.*", b"\r\n+CMS ERROR: 320\r\n", times=0)
        texts = [f"led {number}" for number in range(1, 31)]
        for text in texts:
            scene.send(text)
        await scene.advance(1800)
        assert len([line for line in scene.log_lines(30) if re.search(r"SM holds (8|9|10) of 10", line)]) == 1
        refused.remaining = 0
        await scene.advance(7200)
        assert sorted(scene.executed) == sorted(texts)
        assert scene.stored_indices("SM") == []


@pytest.mark.parametrize("named", ["ME", "SM"])
async def test_f25_the_notification_says_which_store(tmp_path, message_format, named):
    """+CMTI names one store, the other holds an older message at the same index: only the new one runs."""
    async with FaultWorld(tmp_path, message_format) as scene:
        other = "SM" if named == "ME" else "ME"
        scene.store_pdu(3, PLAIN_SID_START, 1, store=other)
        await scene.start_and_settle()
        assert scene.executed == ["led on"]
        scene.store_pdu(3, PLAIN_SID_START, 1, store=other)
        scene.store_pdu(3, make_pdu(f"{SID_2} led new"), store=named)
        scene.interceptor.send_to_agent(b'\r\n+CMTI: "%s",3\r\n' % named.encode())
        await scene.advance(5)
        assert scene.executed == ["led on", "led new"]
        await scene.advance(3700)
        assert scene.executed == ["led on", "led new"]
        assert scene.stored_indices("ME") == scene.stored_indices("SM") == []


async def test_f25_all_three_memories_are_set_and_read_back(tmp_path, message_format):
    """The module begins with mem1 alone on the card, and takes a command with one name for mem1 only."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.module.settings.cpms = scene.module.saved_settings.cpms = ("SM", "ME", "ME")
        scene.module.saved_settings.cpms = ("SM", "ME", "ME")
        scene.store_pdu(3, PLAIN_SID_START, store="SM")
        await scene.start_and_settle()
        assert scene.module.settings.cpms == ("ME", "ME", "ME")
        assert scene.interceptor.commands_matching(r'AT\+CPMS="ME","ME","ME"')
        scene.deliver_pdu(make_pdu("led new"))
        await scene.advance(5)
        assert scene.executed == ["led on", "led new"]


async def test_f25_the_module_keeps_a_store_of_its_own(tmp_path, message_format):
    """+CPMS is taken, and mem3 stays another: what arrives there is found, the old one is not run again."""
    async with FaultWorld(tmp_path, message_format) as scene:

        def stuck(data):
            scene.module.settings.cpms = (*scene.module.settings.cpms[:2], "ME")
            return data

        scene.interceptor.filter_to_module = stuck
        scene.module.saved_settings.cpms = ("SM", "SM", "ME")
        scene.module.context.profile = msgspec.structs.replace(
            scene.module.profile, memories=(("SM", "ME"), ("SM",), ("ME",))
        )
        scene.store_pdu(1, PLAIN_SID_START, 1, store="SM")
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu("led new"))
        await scene.advance(400)
        assert scene.executed == ["led on", "led new"]
        assert scene.stored_indices("ME") == scene.stored_indices("SM") == []


async def test_f38_no_delete_reaches_more_than_its_index(tmp_path, message_format):
    """A message is stored right after a list, at the index that was just freed: it is not deleted unread."""
    async with FaultWorld(tmp_path, message_format) as scene:
        late = iter(range(100))
        counted = count_deleted_unread(scene)

        def store_after_list(data):
            if (
                b"OK" in data
                and scene.interceptor.last_command.startswith("AT+CMGL")
                and not scene.stored_indices()
            ):
                index = next(late)
                if index < 5:
                    scene.store_pdu(1, make_pdu(f"led {index}", timestamp=at(index)))
            return data

        scene.interceptor.filter_to_agent = store_after_list
        await scene.start_and_settle()
        await scene.advance(3600)
        assert scene.executed == [f"led {index}" for index in range(5)]
        assert counted == []
        assert all(
            re.fullmatch(r"AT\+CMGD=\d+", line) for line in scene.interceptor.commands_matching(r"AT\+CMGD.*")
        )


async def test_f38_under_load(tmp_path, message_format):
    """80 messages through 20 slots, half of them stored while others are deleted: none is deleted unread."""
    async with FaultWorld(tmp_path, message_format) as scene:
        counted = count_deleted_unread(scene)
        texts = [f"led {number}" for number in range(80)]
        scene.plans = {text: HandlerPlan([(0.01, "nothing")]) for text in texts}
        await scene.start_and_settle()
        for number, text in enumerate(texts):
            scene.call_later(number * 0.03, scene.send, text)
        await scene.advance(300)
        assert sorted(scene.executed) == sorted(texts)
        assert counted == []
        assert all(
            re.fullmatch(r"AT\+CMGD=\d+", line) for line in scene.interceptor.commands_matching(r"AT\+CMGD.*")
        )


def count_deleted_unread(scene):
    """Messages that were deleted before they had been read, as the module sees it."""
    gone = []
    for store in {id(store): store for store in scene.module.stores.values()}.values():
        if hasattr(store, "_slots"):
            delete = store.delete

            def counted(slot, store=store, delete=delete):
                if (held := store.get(slot)) is not None and held.status == 0:
                    gone.append(held)
                delete(slot)

            store.delete = counted
    return gone
