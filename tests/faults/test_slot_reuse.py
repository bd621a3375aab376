"""F116 F122 F123: slots with two names, slots used again, and slots that cannot be read or deleted."""

import re

import pytest

from fault.fault_world import FaultWorld, make_pdu

TEXTS = [f"valve {number} open" for number in range(1, 5)]
COMMANDS = [make_pdu(text, timestamp=f"26/11/21,20:0{at}:00+00") for at, text in enumerate(TEXTS, 1)]
NOTIFICATIONS = {"named SM": '+CMTI: "SM",%d', "named ME": '+CMTI: "ME",%d', "no notification": ""}


def notifications(count):
    """Return the notifications of the messages in the first slots."""
    return b"".join(b'\r\n+CMTI: "ME",%d\r\n' % index for index in range(1, count + 1))


def merge_stores(world):
    """Make both store names show one memory."""
    stores = world.module.stores
    stores["SM"] = stores["ME"]


def store_after_delete(world, index, message, urc, *, deleted=1, delay_s=0.02):
    """Store a message, with its notification, this long after the first delete of slot `deleted`."""
    landed = []

    def land():
        world.store_pdu(index, message)
        if urc:
            world.interceptor.send_to_agent(f"\r\n{urc % index}\r\n".encode())

    def filter_output(data):
        if not landed and world.interceptor.last_command == f"AT+CMGD={deleted}" and b"OK" in data:
            landed.append(message)
            world.call_later(delay_s, land)
        return data

    world.interceptor.filter_to_agent = filter_output
    return landed


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("urc", NOTIFICATIONS.values(), ids=NOTIFICATIONS)
@pytest.mark.parametrize("stored", [1, 2])
async def test_f116_one_memory_with_two_names(tmp_path, message_format, urc, stored, delay_s):
    """A message that takes the slot after its delete is handled, and each message is handled once."""
    async with FaultWorld(tmp_path, message_format) as world:
        merge_stores(world)
        for index in range(1, stored + 1):
            world.store_pdu(index, COMMANDS[index - 1])
        landed = store_after_delete(world, 1, COMMANDS[3], urc, delay_s=delay_s)
        await world.start_and_settle(400)
        assert landed
        assert world.executed == [*TEXTS[:stored], TEXTS[3]]
        assert world.stored_indices() == []
        assert world.events_of_kind("duplicate") == []
        assert world.query_journal("SELECT sum(duplicates) FROM commands") == [(0,)]


@pytest.mark.parametrize("delay_s", [0.0, 0.02])
async def test_f116_both_names_are_notified(tmp_path, message_format, delay_s):
    """Each message is announced under both names: the slot is reused before its second name is handled."""
    async with FaultWorld(tmp_path, message_format) as world:
        merge_stores(world)
        await world.start_and_settle()
        store_after_delete(world, 1, COMMANDS[1], '+CMTI: "SM",%d', delay_s=delay_s)
        world.store_pdu(1, COMMANDS[0])
        world.interceptor.send_to_agent(b'\r\n+CMTI: "SM",1\r\n\r\n+CMTI: "ME",1\r\n')
        await world.advance(400)
        assert world.executed == TEXTS[:2]
        assert world.stored_indices() == []
        assert world.events_of_kind("duplicate") == []


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("urc", NOTIFICATIONS.values(), ids=NOTIFICATIONS)
@pytest.mark.parametrize("way", ["listed", "notified"])
async def test_f116_one_delete_frees_several_slots(tmp_path, message_format, way, urc, delay_s):
    """A message that takes one of the slots is handled, although its slot was read with another message."""
    async with FaultWorld(tmp_path, message_format) as world:
        store = world.module.stores["ME"]
        delete = store.delete

        def delete_all(slot):
            for each, _ in list(store):
                delete(each)

        store.delete = delete_all
        landed = store_after_delete(world, 2, COMMANDS[3], urc, delay_s=delay_s)
        if way == "listed":
            for index in range(1, 4):
                world.store_pdu(index, COMMANDS[index - 1])
            await world.start_and_settle(400)
        else:
            await world.start_and_settle()
            for index in range(1, 4):
                world.store_pdu(index, COMMANDS[index - 1])
            world.interceptor.send_to_agent(notifications(3))
            await world.advance(400)
        assert landed
        assert world.executed == [*TEXTS[:3], TEXTS[3]]
        assert world.stored_indices() == []


async def test_f116_slot_announced_again_is_read_again(tmp_path, message_format):
    """Another program freed a slot that was read, and a new message took it: it is not deleted unread."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index in range(1, 3):
            world.store_pdu(index, COMMANDS[index - 1])
        store_after_delete(world, 2, COMMANDS[3], '+CMTI: "ME",%d', delay_s=0.0)
        await world.start_and_settle(400)
        assert world.executed == [*TEXTS[:2], TEXTS[3]]
        assert world.stored_indices() == []


@pytest.mark.parametrize("way", ["listed", "notified"])
@pytest.mark.parametrize("message_format", ["pdu", "text"])
async def test_f116_slot_freed_with_another_one_and_taken_at_once(tmp_path, message_format, way):
    """No count of messages shows it: two slots get free, and a message takes the second one unannounced."""
    async with FaultWorld(tmp_path, message_format) as world:
        store, first = world.module.stores["ME"], world.module.profile.first_index
        delete, landed = store.delete, []

        def delete_two(slot):
            delete(slot)
            if slot + first == 1 and not landed:
                landed.append(COMMANDS[3])
                world.store_pdu(2, COMMANDS[3])

        store.delete = delete_two
        if way == "notified":
            await world.start_and_settle()
        for index in range(1, 4):
            world.store_pdu(index, COMMANDS[index - 1])
        if way == "notified":
            world.interceptor.send_to_agent(notifications(3))
            await world.advance(400)
        else:
            await world.start_and_settle(400)
        assert landed
        assert world.executed == [*TEXTS[:3], TEXTS[3]]
        assert world.stored_indices() == []


@pytest.mark.parametrize("count", [1, 3])
async def test_f116_slot_is_read_again_after_another_delete_only(tmp_path, message_format, count):
    """The first delete needs no further read, so a single message is read once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for index in range(1, count + 1):
            world.store_pdu(index, COMMANDS[index - 1])
        world.interceptor.send_to_agent(notifications(count))
        await world.advance(3)
        commands = world.interceptor.commands_matching(r"AT\+CMG[RD]=\d+")
        first = [f"AT+CMGR={index}" for index in range(1, count + 1)]
        again = [f"AT+CMG{way}={index}" for index in range(2, count + 1) for way in "RD"]
        assert commands == [*first, "AT+CMGD=1", *again]
        assert world.executed == TEXTS[:count]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f116_module_that_frees_one_slot_at_a_time_is_trusted_after_three_reads(
    tmp_path, message_format
):
    """In a burst the slots are read again before their own deletes only until three were unchanged."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for index in range(1, 8):
            world.store_pdu(index, make_pdu(f"valve {index}", timestamp=f"26/11/21,20:0{index}:00+00"))
        world.interceptor.send_to_agent(notifications(7))
        await world.advance(3)
        commands = world.interceptor.commands_matching(r"AT\+CMG[RD]=\d+")
        again = [f"AT+CMG{way}={index}" for index in (2, 3, 4) for way in "RD"]
        assert commands[7:] == ["AT+CMGD=1", *again, "AT+CMGD=5", "AT+CMGD=6", "AT+CMGD=7"]


def silence_slots(world, indices, silence_s):
    """Make the module deaf for a while after each command that reads one of these slots while it is used."""
    state = {"deaf_until": 0.0}
    reads = {at: re.compile(rf"AT\+CMG(L=.*|R={at})") for at in indices}

    def filter_to_module(data):
        if world.loop.time() < state["deaf_until"]:
            return b""
        line = data.strip().decode("latin-1")
        if any(reads[at].fullmatch(line) for at in world.stored_indices() if at in reads):
            state["deaf_until"] = world.loop.time() + silence_s
            return b""
        return data

    world.interceptor.filter_to_module = filter_to_module


@pytest.mark.parametrize("silence_s", [0.0, 20.0, 45.0])
@pytest.mark.parametrize("index", [1, 2, 3])
async def test_f122_silent_slot_is_skipped_and_named(tmp_path, message_format, index, silence_s):
    """Its list and its reading are never answered: the other messages are handled, the slot is named once."""
    async with FaultWorld(tmp_path, message_format) as world:
        for each in range(1, 4):
            world.store_pdu(each, COMMANDS[each - 1])
        silence_slots(world, [index], silence_s)
        await world.start_and_settle(900)
        others = [text for each, text in enumerate(TEXTS[:3], 1) if each != index]
        assert sorted(world.executed) == others  # those before the silent one are handled at once
        world.store_pdu(4, COMMANDS[3])
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",4\r\n')
        await world.advance(4000)
        assert sorted(world.executed) == [*others, TEXTS[3]]
        assert world.stored_indices() == [index]
        assert len([line for line in world.log_lines(30) if f"ME {index}: the module does not" in line]) == 1
        assert any(f"ME {index} is skipped" in note for note in world.modem.status.notes)


async def test_f122_named_command_deletes_the_message_of_a_silent_slot(tmp_path, message_format):
    """The log line has a command that selects the store and is executed as it is written there."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, COMMANDS[0])
        silence_slots(world, [1], 20.0)
        await world.start_and_settle(900)
        (line,) = [line for line in world.log_lines(30) if "ME 1: the module does not" in line]
        command = re.search(r"modem-agent at --force '(.*)'", line)[1]
        assert command == 'AT+CPMS="ME";+CMGD=1'
        await world.control_api.run_at_command({"line": command, "force": True})
        assert world.stored_indices() == []


@pytest.mark.parametrize(("silence_s", "named_after_s"), [(20.0, 900), (130.0, 4000)])
async def test_f122_two_silent_slots_are_both_named(tmp_path, message_format, silence_s, named_after_s):
    """The others are handled before one of the silent slots is tried again, and the log has both."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index, message in enumerate(COMMANDS, 1):
            world.store_pdu(index, message)
        silence_slots(world, [1, 2], silence_s)
        await world.start_and_settle(900)
        assert world.executed == TEXTS[2:]
        await world.advance(named_after_s)
        for index in (1, 2):
            assert any(f"ME {index}: the module does not" in line for line in world.log_lines(30))


@pytest.mark.parametrize("silence_s", [20, 130])
async def test_f122_two_silent_slots_do_not_stop_commands(tmp_path, message_format, silence_s):
    """The third slot is handled after the silence of the list; no later Command waits for two silences."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index, message in enumerate(COMMANDS[:3], 1):
            world.store_pdu(index, message)
        for index in (1, 2):
            world.module.faults.add(f"slot-silent:index={index},seconds={silence_s}")
        await world.start_and_settle(silence_s + 75)
        assert world.executed == TEXTS[2:3]
        delivered_at = {}
        for number in range(60):
            delivered_at[f"led {number}"] = world.loop.time()
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(60)
        await world.advance(silence_s + 40)
        waits = [run.started_at - delivered_at[run.content] for run in world.handler_runs[1:]]
        assert len(waits) == 60
        assert max(waits) < silence_s + 40


@pytest.mark.parametrize("silence_s", [5.0, 60.0])
async def test_f123_delete_that_silences_the_module(tmp_path, message_format, silence_s):
    """Its message is kept and named, and the other slots are freed, also after many sessions."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index, message in enumerate(COMMANDS[:3], 1):
            world.store_pdu(index, message)
        deaf_until = 0.0

        def filter_to_module(data):
            nonlocal deaf_until
            if data == b"AT+CMGD=1\r":
                deaf_until = world.loop.time() + silence_s
            return b"" if world.loop.time() < deaf_until else data

        world.interceptor.filter_to_module = filter_to_module
        await world.start_and_settle(600)
        world.deliver_pdu(COMMANDS[3])
        await world.advance(60)
        assert world.executed == TEXTS
        assert world.stored_indices() == [1]
        assert (
            len([line for line in world.log_lines(30) if "ME 1: the module does not answer its" in line]) == 1
        )
        world.interceptor.filter_to_module = lambda data: data
        await world.advance(2 * 3600)
        assert world.stored_indices() == []
        assert world.query_journal("SELECT sum(duplicates) FROM commands") == [(0,)]


@pytest.mark.parametrize("count", [1, 3])
async def test_f123_each_message_that_stays_is_named(tmp_path, message_format, count):
    """Several messages that cannot be deleted have one line each."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index in range(1, count + 1):
            world.store_pdu(index, COMMANDS[index - 1])
        world.interceptor.answer(r"AT\+CMGD=\d", b"\r\n+CMS ERROR: 500\r\n", times=0)
        await world.start_and_settle(3600)
        for index in range(1, count + 1):
            assert len([line for line in world.log_lines(30) if f"ME {index}: " in line]) == 1


async def test_f122_slot_that_is_answered_again(tmp_path, message_format):
    """A slot that was silent for a while is handled, and the store is listed again."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, COMMANDS[0])
        world.store_pdu(2, COMMANDS[1])
        silence_slots(world, [1], 20.0)
        await world.start_and_settle(300)
        assert world.executed == [TEXTS[1]]
        world.interceptor.filter_to_module = lambda data: data
        await world.advance(4000)
        assert world.executed == [TEXTS[1], TEXTS[0]]
        before = len(world.interceptor.commands)
        await world.advance(4000)
        later = [line for _, line in world.interceptor.commands[before:]]
        assert any(line.startswith("AT+CMGL") for line in later)


FILLER = "00" + "FF" * 175


def keep_messages(world, *indices):
    """Make the module answer OK to a delete of these slots and keep their messages."""
    store = world.module.stores["ME"]
    delete, first = store.delete, world.module.profile.first_index
    store.delete = lambda slot: None if slot + first in indices else delete(slot)


@pytest.mark.long
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f123_filler_that_stays_is_journalled_once(tmp_path, message_format):
    """A slot of filler octets is listed and never deleted: one row and one line, over hours and restarts."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, COMMANDS[0])
        world.store_pdu(3, COMMANDS[2])
        world.interceptor.rewrite("AT.*", COMMANDS[2].encode(), FILLER.encode(), times=0)
        keep_messages(world, 3)
        await world.start_and_settle(4 * 3600)
        assert world.query_journal("SELECT raw FROM ignored") == [(FILLER,)]
        assert len(world.events_of_kind("ignored")) == 1
        assert len([line for line in world.log_lines(30) if "ME 3" in line]) == 1
        world.current_run.kill("SIGKILL")
        await world.start_and_settle(4 * 3600)
        assert world.query_journal("SELECT count(*) FROM ignored") == [(1,)]
        world.deliver_pdu(COMMANDS[3])
        await world.advance(20)
        assert world.executed == [TEXTS[0], TEXTS[3]]


@pytest.mark.parametrize(
    "answer", [None, b"\r\n+CMS ERROR: 500\r\n", b"\r\nERROR\r\n"], ids=["OK", "500", "ERROR"]
)
@pytest.mark.parametrize("way", ["listed", "notified"])
@pytest.mark.parametrize("sender", ["000", "+15557654321"], ids=["Command", "ignored message"])
async def test_f123_message_that_stays_is_counted_once(tmp_path, message_format, answer, way, sender):
    """However it arrived and whatever the module answers: one row, no duplicate, and one warning."""
    async with FaultWorld(tmp_path, message_format) as world:
        message = make_pdu("valve 1 open", sender=sender)
        keep_messages(world, 1)
        if answer is not None:
            world.interceptor.answer(r"AT\+CMGD=1", answer, times=0)
        if way == "listed":
            world.store_pdu(1, message)
        await world.start_and_settle()
        if way == "notified":
            world.deliver_pdu(message)
        await world.advance(4 * 3600)
        rows = world.query_journal("SELECT duplicates FROM commands") if sender == "000" else []
        rows += world.query_journal("SELECT 0 FROM ignored")
        assert rows == [(0,)]
        assert len([line for line in world.log_lines(30) if "ME 1" in line]) == 1
        assert len(world.interceptor.commands_matching(r"AT\+CMGD=1")) > 10


async def test_f123_same_message_again_is_a_duplicate(tmp_path, message_format):
    """A delivery into the same slot is no message that stayed: it is counted."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for _ in range(3):
            world.deliver_pdu(COMMANDS[0])
            await world.advance(20)
        assert world.executed == TEXTS[:1]
        assert world.query_journal("SELECT duplicates FROM commands") == [(2,)]
