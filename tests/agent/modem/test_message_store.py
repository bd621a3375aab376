"""The message store: every received message is found, and nothing else is touched."""

import asyncio

import pytest

from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.store_reader import MAX_READS
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage, Undecodable

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
HI = "079144770009000004038100F000006290124131020002E834"
PLAN = "07914477000900000404819263000062901241310200047076D80D"
REPORT = "07914477000900000607038100F0629012413102006290124131320000"
BAD_MONTH = "07915155001032F404038100F000006231122203000006EC3219F47603"
SUBMIT = "001100048192630000A705CF25287603"


def listing(*entries):
    return (
        b"".join(
            f"\r\n{header}\r\n{pdu}".encode() if pdu else f"\r\n{header}".encode() for header, pdu in entries
        )
        + b"\r\n"
        + OK
    )


def texts(messages):
    return [getattr(message.message, "text", message.message) for message in messages]


def slots(messages):
    return [message.slot for message in messages]


# Sweep


def test_sweep_returns_messages_in_time_order(run_modem_bench):
    """Slots are not filled in order; what was sent first is returned first."""

    async def scenario(bench):
        bench.deliver("second", minute=2)
        bench.deliver("first", minute=1)
        bench.module.settings.cpms = ("ME", "ME", "SM")
        bench.deliver("third", minute=3)
        bench.deliver("zeroth", minute=0)
        found = await bench.modem.sweep()
        assert texts(found) == ["zeroth", "first", "second", "third"]
        assert slots(found) == [Slot("SM", 2), Slot("ME", 2), Slot("ME", 1), Slot("SM", 1)]

    run_modem_bench(scenario)


def test_sweep_returns_read_messages_again(run_modem_bench):
    """Listing marks messages as read; only deleted ones are not returned."""

    async def scenario(bench):
        bench.deliver("hi")
        assert texts(await bench.modem.sweep()) == ["hi"]
        assert texts(await bench.modem.sweep()) == ["hi"]

    run_modem_bench(scenario)


def test_undecodable_message_does_not_hide_others(run_scripted_modem):
    """A message that cannot be decoded is read once more and returned as it is, with the others."""
    table = {
        "AT+CMGL=4": listing(
            ("+CMGL: 1,1,,17", HI),
            ("+CMGL: 2,1,,33", "ZZ0791"),
            ("+CMGL: 3,1,,21", BAD_MONTH),
            ("+CMGL: 4,1,,33", "0791"),
            ("+CMGL: 5,1,,19", PLAN),
        ),
        "AT+CMGR=2": listing(("+CMGR: 1,,33", "ZZ0791")),
        "AT+CMGR=3": listing(("+CMGR: 1,,21", BAD_MONTH)),
        "AT+CMGR=4": listing(("+CMGR: 1,,33", "0791")),
    }

    async def scenario(modem, script):
        found = {message.slot.index: message for message in await modem.sweep()}
        assert sorted(found) == [1, 2, 3, 4, 5]
        assert found[1].message.text == "hi"
        assert found[2] == StoredMessage(
            Slot("ME", 2),
            "ZZ0791",
            Undecodable("6 characters that are not pairs of hexadecimal digits"),
            is_intact=False,
        )
        assert found[3].message.text == "led on"
        assert isinstance(found[4].message, Undecodable)
        assert found[5].message.text == "plan"
        assert [line for line in script.received_lines if "CMGR" in line] == ["AT+CMGR=2", "AT+CMGR=4"]

    run_scripted_modem(scenario, table=table)


def test_message_damaged_on_the_line_is_read_again(run_scripted_modem):
    """A message that was damaged on the line is whole when it is read again."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI[:-3]), ("+CMGL: 2,1,,17", "")),
        "AT+CMGR=1": listing(("+CMGR: 1,,17", HI)),
        "AT+CMGR=2": listing(("+CMGR: 1,,17", HI)),
    }

    async def scenario(modem, script):
        assert texts(await modem.sweep()) == ["hi", "hi"]

    run_scripted_modem(scenario, table=table)


def test_message_shorter_than_announced_is_read_again(run_scripted_modem):
    """A PDU with lost digits may still decode to some message: the announced length shows it."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,19", HI)),
        "AT+CMGR=1": listing(("+CMGR: 1,,19", PLAN)),
    }

    async def scenario(modem, script):
        assert texts(await modem.sweep()) == ["plan"]

    run_scripted_modem(scenario, table=table)


def test_module_that_counts_length_differently(run_scripted_modem):
    """A message that reads the same twice is accepted: the module counts its length in another way."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,25", HI)),
        "AT+CMGR=1": listing(("+CMGR: 1,,25", HI)),
    }

    async def scenario(modem, script):
        assert texts(await modem.sweep()) == ["hi"]
        assert "AT+CMGR=1" in script.received_lines
        script.received_lines.clear()
        assert texts(await modem.sweep()) == ["hi"]
        assert "AT+CMGR=1" not in script.received_lines

    run_scripted_modem(scenario, table=table)


def test_damaged_message_that_cannot_be_read_again(run_scripted_modem):
    """If each read is refused, the message is returned as it was listed, with the others."""
    table = {"AT+CMGL=4": listing(("+CMGL: 1,1,,19", HI)), "AT+CMGR=1": b"\r\n+CMS ERROR: 500\r\n"}

    async def scenario(modem, script):
        (message,) = await modem.sweep()
        assert (message.message.text, message.is_intact) == ("hi", False)
        assert script.received_lines.count("AT+CMGR=1") == MAX_READS

    run_scripted_modem(scenario, table=table)


def test_damaged_message_that_is_gone_at_the_last_read(run_scripted_modem):
    """Nothing is returned for it, and its store is not scheduled."""
    readings = [listing(("+CMGR: 1,,30", f"{HI}{number:02}")) for number in range(MAX_READS - 1)]
    table = {
        "AT+CMGL=4": lambda _: listing(("+CMGL: 1,1,,19", HI)) if readings else OK,
        "AT+CMGR=1": lambda _: readings.pop(0) if readings else b"\r\n+CMS ERROR: 321\r\n",
    }

    async def scenario(modem, script):
        assert await modem.sweep() == []
        assert script.received_lines.count("AT+CMGR=1") == MAX_READS

    run_scripted_modem(scenario, table=table)


def test_store_with_a_damaged_list_entry_is_swept_again(run_scripted_modem):
    """An entry whose index was lost is skipped; its store is read again with the next sweep."""
    lists = [listing(("+CMGL: ", HI)), OK]
    state = ["ME"]

    def choose(line):
        state[0] = line.partition("=")[2].strip('"')
        return OK

    table = {
        'AT+CPMS="SM"': choose,
        'AT+CPMS="ME"': choose,
        "AT+CMGL=4": lambda _: lists.pop(0) if state[0] == "SM" and lists else OK,
    }

    async def scenario(modem, script):
        assert await modem.sweep() == []
        script.received_lines.clear()
        await modem.sweep()
        assert 'AT+CPMS="SM"' in script.received_lines
        script.received_lines.clear()
        await modem.sweep()
        assert 'AT+CPMS="SM"' not in script.received_lines

    run_scripted_modem(scenario, table=table)


def test_list_with_a_duplicate_index(run_scripted_modem):
    """If two entries have one index, the slot is read; the other message waits for the next sweep."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI), ("+CMGL: 1,1,,19", PLAN)),
        "AT+CMGR=1": listing(("+CMGR: 1,,17", HI)),
    }

    async def scenario(modem, script):
        (message,) = await modem.sweep()
        assert (message.slot, message.message.text) == (Slot("ME", 1), "hi")

    run_scripted_modem(scenario, table=table)


@pytest.mark.parametrize(
    "header",
    [
        "+CMGL: 7,0,,17",
        "+CMGL: 7,1,,17",
        '+CMGL: 7,0,"",17',
        '+CMGL: 7,1,"Ops, night",17',
        "+CMGL:7,0,,17",
        "+CMGL: 7, 0, , 17",
        "+CMGL: 7,0,17",
        "+CMGL: 7,0,,17,,99",
        '+CMGL: 7,"REC UNREAD",,17',
    ],
)
def test_list_header_variants(run_scripted_modem, header):
    """Vendors vary blanks, names and additional values."""

    async def scenario(modem, script):
        (message,) = await modem.sweep()
        assert message == StoredMessage(Slot("ME", 7), HI, message.message)
        assert message.message.text == "hi"

    run_scripted_modem(scenario, table={"AT+CMGL=4": listing((header, HI))})


def test_outgoing_messages_are_not_returned(run_scripted_modem):
    """Messages that were written or sent are not received ones; a status report between them is."""
    table = {
        "AT+CMGL=4": listing(
            ("+CMGL: 1,1,,17", HI),
            ("+CMGL: 5,3,,20", SUBMIT),
            ("+CMGL: 6,2,,20", SUBMIT),
            ("+CMGL: 7,1,,21", REPORT),
            ('+CMGL: 8,"STO SENT",,20', SUBMIT),
            ("+CMGL: 9,1,,19", PLAN),
        )
    }

    async def scenario(modem, script):
        found = await modem.sweep()
        assert [type(message.message).__name__ for message in found] == ["Deliver", "StatusReport", "Deliver"]
        assert [message.slot.index for message in found] == [1, 7, 9]

    run_scripted_modem(scenario, table=table)


def test_urc_inside_a_list(run_scripted_modem):
    """A notification inside the list is not an entry, and is not lost."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI))[: -len(OK)]
        + b'\r\n+CMTI: "ME",3\r\n'
        + listing(("+CMGL: 2,1,,19", PLAN))
    }

    async def scenario(modem, script):
        assert texts(await modem.sweep()) == ["hi", "plan"]
        assert (await modem.next_event()).slot == Slot("ME", 3)

    run_scripted_modem(scenario, table=table)


@pytest.mark.parametrize("answer", [OK, b"\r\n+CMS ERROR: 321\r\n", b"\r\n+CME ERROR: 22\r\n"])
def test_empty_store(run_scripted_modem, answer):
    """An empty store is not an error."""

    async def scenario(modem, script):
        assert await modem.sweep() == []

    run_scripted_modem(scenario, table={"AT+CMGL=4": answer})


def test_list_without_a_final_result(run_scripted_modem):
    """The entries that came are returned even if the final result never came."""

    async def scenario(modem, script):
        assert texts(await modem.sweep()) == ["hi"]

    run_scripted_modem(scenario, table={"AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI))[: -len(OK)]})


def test_slow_list(run_scripted_modem):
    """Fifty messages that take some seconds, with pauses, are one answer."""
    parts = []
    for index in range(50):
        parts += [0.2, f"\r\n+CMGL: {index},1,,17\r\n{HI}".encode()]

    async def scenario(modem, script):
        assert len(await modem.sweep()) == 50

    run_scripted_modem(scenario, table={"AT+CMGL=4": [*parts, b"\r\n" + OK]})


def test_secondary_stores_are_read_at_intervals(run_modem_bench):
    """Selecting a store may wear the flash.

    It happens at the start, once an hour, and after a notification.
    """

    async def scenario(bench):
        await bench.modem.sweep()
        assert bench.executed_lines == ["+CMGL=4", '+CPMS="SM"', "+CMGL=4", '+CPMS="ME"']
        bench.executed_lines.clear()
        await bench.modem.sweep()
        assert bench.executed_lines == ["+CMGL=4"]
        bench.module.settings.cpms = ("ME", "ME", "SM")
        bench.deliver("elsewhere")
        bench.module.settings.cpms = ("ME", "ME", "ME")
        await bench.modem.next_event()
        assert texts(await bench.modem.sweep()) == ["elsewhere"]
        bench.executed_lines.clear()
        await bench.modem.delete(Slot("SM", 1))
        assert await bench.modem.sweep() == []
        assert '+CPMS="SM"' in bench.executed_lines
        bench.executed_lines.clear()
        await bench.modem.sweep()
        assert '+CPMS="SM"' not in bench.executed_lines
        await asyncio.sleep(3700)
        bench.executed_lines.clear()
        await bench.modem.sweep()
        assert '+CPMS="SM"' in bench.executed_lines

    run_modem_bench(scenario)


def test_sweep_of_one_store(run_modem_bench):
    """A sweep can be limited to one store."""

    async def scenario(bench):
        await bench.modem.sweep("ME")
        assert bench.executed_lines == ["+CMGL=4"]

    run_modem_bench(scenario)


def test_refused_store_does_not_hide_others(run_scripted_modem):
    """A SIM that refuses its store does not hide what the module stores."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI)),
        'AT+CPMS="SM"': b"\r\n+CMS ERROR: 313\r\n",
    }

    async def scenario(modem, script):
        assert texts(await modem.sweep()) == ["hi"]

    run_scripted_modem(scenario, table=table)


# Read


def test_read_selects_the_store_of_the_slot(run_modem_bench):
    """The same index in another store is another message."""

    async def scenario(bench):
        bench.deliver("in ME")
        bench.module.settings.cpms = ("ME", "ME", "SM")
        bench.deliver("in SM")
        assert (await bench.modem.read(Slot("ME", 1))).message.text == "in ME"
        assert (await bench.modem.read(Slot("SM", 1))).message.text == "in SM"
        await bench.modem.delete(Slot("SM", 1))
        assert (await bench.modem.read(Slot("ME", 1))).message.text == "in ME"
        assert await bench.modem.read(Slot("SM", 1)) is None

    run_modem_bench(scenario)


def test_read_of_index_0(run_modem_bench):
    """Some modules count slots from 0."""

    async def scenario(bench):
        bench.deliver("hi")
        event = await bench.modem.next_event()
        assert event.slot == Slot("ME", 0)
        assert (await bench.modem.read(event.slot)).message.text == "hi"
        await bench.modem.delete(event.slot)
        assert await bench.modem.read(event.slot) is None

    run_modem_bench(scenario, first_index=0)


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n+CMS ERROR: 321\r\n",
        b"\r\n+CME ERROR: 21\r\n",
        OK,
        b"\r\n+CMGR: 0,,0\r\n" + OK,
        b"\r\n+CMGR: 0,,0\r\n\r\n" + OK,
        ERROR + OK,
        [ERROR, 0.02, OK],
        listing(("+CMGR: 3,,20", SUBMIT)),
    ],
)
def test_read_of_an_empty_slot(run_scripted_modem, answer):
    """An empty slot is a normal result in each of its forms; the next command receives its own answer."""

    async def scenario(modem, script):
        assert await modem.read(Slot("ME", 7)) is None
        script.table["AT+CMGR=8"] = listing(("+CMGR: 0,,17", HI))
        assert (await modem.read(Slot("ME", 8))).message.text == "hi"

    run_scripted_modem(scenario, table={"AT+CMGR=7": answer})


def test_read_refused_by_a_plain_error_uses_the_list(run_scripted_modem):
    """The list shows whether the slot holds a message."""

    async def scenario(modem, script):
        assert (await modem.read(Slot("ME", 7))).message.text == "hi"
        assert script.received_lines == ["AT+CMGR=7", "AT+CMGL=4"]

    run_scripted_modem(scenario, table={"AT+CMGR=7": ERROR, "AT+CMGL=4": listing(("+CMGL: 7,1,,17", HI))})


def test_doubtful_message_that_cannot_be_read_again_is_not_returned(run_scripted_modem):
    """It may be the message of another slot, so it must be neither stored nor deleted."""
    readings = [b"\r\n+CMGR: 0,,17\r\nlow battery\r\n" + HI.encode() + b"\r\n" + OK]

    async def scenario(modem, script):
        assert await modem.read(Slot("ME", 7)) is None
        assert script.received_lines.count("AT+CMGR=7") == 6

    table = {"AT+CMGR=7": lambda _: readings.pop(0) if readings else b"\r\n+CMS ERROR: 320\r\n"}
    run_scripted_modem(scenario, table=table)


def test_read_error_does_not_mean_an_empty_slot(run_scripted_modem):
    """An error of a busy SIM is raised."""

    async def scenario(modem, script):
        with pytest.raises(CommandRefused) as caught:
            await modem.read(Slot("ME", 7))
        assert caught.value.code == 314

    run_scripted_modem(scenario, table={"AT+CMGR=7": b"\r\n+CMS ERROR: 314\r\n"})


def test_read_of_the_unknown_slot_sends_nothing(run_scripted_modem):
    """Only a sweep can find the message."""

    async def scenario(modem, script):
        assert await modem.read(UNKNOWN_SLOT) is None
        assert script.received_lines == []

    run_scripted_modem(scenario)


# Delete


def test_delete_removes_one_index(run_modem_bench):
    """Exactly one message is deleted, whatever else is stored."""

    async def scenario(bench):
        for number in range(4):
            bench.deliver(f"message {number}")
        await bench.modem.delete(Slot("ME", 2))
        assert texts(await bench.modem.sweep()) == ["message 0", "message 2", "message 3"]
        assert [line for line in bench.executed_lines if "CMGD" in line] == ["+CMGD=2"]

    run_modem_bench(scenario)


@pytest.mark.parametrize("answer", [b"\r\n+CMS ERROR: 321\r\n", b"\r\n+CME ERROR: 22\r\n", OK])
def test_delete_of_an_empty_slot_succeeds(run_scripted_modem, answer):
    """No error is raised."""

    async def scenario(modem, script):
        await modem.delete(Slot("ME", 7))

    run_scripted_modem(scenario, table={"AT+CMGD=7": answer})


def test_delete_of_an_empty_slot_that_reads_as_a_plain_error_succeeds(run_scripted_modem):
    """The list shows that the slot is empty: another delete has freed it, so it is not deleted."""

    async def scenario(modem, script):
        assert await modem.delete(Slot("ME", 7), HI)
        assert script.received_lines == ["AT+CMGR=7", "AT+CMGL=4"]

    run_scripted_modem(scenario, table={"AT+CMGR=7": ERROR, "AT+CMGL=4": OK})


def test_refused_delete_is_raised(run_scripted_modem):
    """The error carries the reason."""

    async def scenario(modem, script):
        with pytest.raises(CommandRefused, match="memory failure"):
            await modem.delete(Slot("ME", 7))

    run_scripted_modem(scenario, table={"AT+CMGD=7": b"\r\n+CMS ERROR: 320\r\n"})


def test_delete_without_a_result_is_a_timeout(run_modem_bench):
    """The outcome is unknown, and reading the slot shows it."""

    async def scenario(bench):
        bench.deliver("hi")
        bench.module.faults.add("answer-lost:command=+CMGD")
        with pytest.raises(CommandTimedOut):
            await bench.modem.delete(Slot("ME", 1))
        assert await bench.modem.read(Slot("ME", 1)) is None

    run_modem_bench(scenario)


def test_store_is_selected_again_after_a_timeout(run_scripted_modem):
    """The module may have restarted with another store: a delete must not meet another message."""
    table = {"AT+CMGD=7": None, 'AT+CPMS="ME"': OK, "AT+CMGD=8": OK}

    async def scenario(modem, script):
        with pytest.raises(CommandTimedOut):
            await modem.delete(Slot("ME", 7))
        script.received_lines.clear()
        await modem.delete(Slot("ME", 8))
        assert script.received_lines == ['AT+CPMS="ME"', "AT+CMGD=8"]

    run_scripted_modem(scenario, table=table)


def test_select_and_delete_are_exclusive(run_modem_bench):
    """No other command gets between selecting a store and deleting in it."""

    async def scenario(bench):
        bench.module.settings.cpms = ("ME", "ME", "SM")
        bench.deliver("in SM")
        bench.module.faults.add("late:times=0,seconds=0.5")
        await asyncio.gather(
            bench.modem.delete(Slot("SM", 1)),
            bench.modem.read(Slot("ME", 1)),
            bench.modem.read(Slot("SM", 1)),
            bench.modem.query_signal(),
        )
        at = bench.executed_lines.index("+CMGD=1")
        assert bench.executed_lines[at - 1] == '+CPMS="SM"'
        assert bench.executed_lines[at + 1] == '+CPMS="ME"'

    run_modem_bench(scenario)
