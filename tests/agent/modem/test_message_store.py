"""The stores: everything that was received is found, nothing else is touched."""

import asyncio

import pytest

from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.message_store import MAX_READS
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


# Sweeping


def test_a_sweep_finds_everything_in_time_order(run_modem_bench):
    """Slots are filled where there is room; what was sent first is handed on first, wherever it lies."""

    async def story(stand):
        stand.deliver("second", minute=2)
        stand.deliver("first", minute=1)
        stand.module.settings.cpms = ("ME", "ME", "SM")
        stand.deliver("third", minute=3)
        stand.deliver("zeroth", minute=0)
        found = await stand.modem.sweep()
        assert texts(found) == ["zeroth", "first", "second", "third"]
        assert slots(found) == [Slot("SM", 2), Slot("ME", 2), Slot("ME", 1), Slot("SM", 1)]

    run_modem_bench(story)


def test_what_was_read_before_is_found_again(run_modem_bench):
    """Listing marks as read; what counts is whether it was deleted."""

    async def story(stand):
        stand.deliver("hi")
        assert texts(await stand.modem.sweep()) == ["hi"]
        assert texts(await stand.modem.sweep()) == ["hi"]

    run_modem_bench(story)


def test_one_poison_message_hides_no_other(run_scripted_modem):
    """What cannot be read is read once more, then handed on as it came; the others are there."""
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

    async def story(modem, script):
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

    run_scripted_modem(story, table=table)


def test_octets_lost_on_the_line_are_no_poison(run_scripted_modem):
    """A message whose line was damaged is whole when it is read again."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI[:-3]), ("+CMGL: 2,1,,17", "")),
        "AT+CMGR=1": listing(("+CMGR: 1,,17", HI)),
        "AT+CMGR=2": listing(("+CMGR: 1,,17", HI)),
    }

    async def story(modem, script):
        assert texts(await modem.sweep()) == ["hi", "hi"]

    run_scripted_modem(story, table=table)


def test_what_is_shorter_than_announced_is_read_again(run_scripted_modem):
    """Digits lost in the middle may still read as some message: the length tells."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,19", HI)),
        "AT+CMGR=1": listing(("+CMGR: 1,,19", PLAN)),
    }

    async def story(modem, script):
        assert texts(await modem.sweep()) == ["plan"]

    run_scripted_modem(story, table=table)


def test_a_module_that_counts_otherwise(run_scripted_modem):
    """What reads the same twice is so: the module counts its length in another way."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,25", HI)),
        "AT+CMGR=1": listing(("+CMGR: 1,,25", HI)),
    }

    async def story(modem, script):
        assert texts(await modem.sweep()) == ["hi"]
        assert "AT+CMGR=1" in script.received_lines
        script.received_lines.clear()
        assert texts(await modem.sweep()) == ["hi"]
        assert "AT+CMGR=1" not in script.received_lines

    run_scripted_modem(story, table=table)


def test_what_is_not_whole_and_cannot_be_read(run_scripted_modem):
    """Refused each time: it is handed on as it was listed, and holds up nobody."""
    table = {"AT+CMGL=4": listing(("+CMGL: 1,1,,19", HI)), "AT+CMGR=1": b"\r\n+CMS ERROR: 500\r\n"}

    async def story(modem, script):
        (message,) = await modem.sweep()
        assert (message.message.text, message.is_intact) == ("hi", False)
        assert script.received_lines.count("AT+CMGR=1") == MAX_READS

    run_scripted_modem(story, table=table)


def test_what_is_gone_when_it_is_read_again(run_scripted_modem):
    """At the last reading: there is nothing to hand on, and no store to look into for it."""
    readings = [listing(("+CMGR: 1,,30", f"{HI}{number:02}")) for number in range(MAX_READS - 1)]
    table = {
        "AT+CMGL=4": lambda _: listing(("+CMGL: 1,1,,19", HI)) if readings else OK,
        "AT+CMGR=1": lambda _: readings.pop(0) if readings else b"\r\n+CMS ERROR: 321\r\n",
    }

    async def story(modem, script):
        assert await modem.sweep() == []
        assert script.received_lines.count("AT+CMGR=1") == MAX_READS

    run_scripted_modem(story, table=table)


def test_a_damaged_entry_is_looked_for_again(run_scripted_modem):
    """An entry whose index was lost is left alone; its store is visited again with the next sweep."""
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

    async def story(modem, script):
        assert await modem.sweep() == []
        script.received_lines.clear()
        await modem.sweep()
        assert 'AT+CPMS="SM"' in script.received_lines
        script.received_lines.clear()
        await modem.sweep()
        assert 'AT+CPMS="SM"' not in script.received_lines

    run_scripted_modem(story, table=table)


def test_a_damaged_index(run_scripted_modem):
    """Two entries with one index: reading tells what lies there, and the other waits for the next sweep."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI), ("+CMGL: 1,1,,19", PLAN)),
        "AT+CMGR=1": listing(("+CMGR: 1,,17", HI)),
    }

    async def story(modem, script):
        (message,) = await modem.sweep()
        assert (message.slot, message.message.text) == (Slot("ME", 1), "hi")

    run_scripted_modem(story, table=table)


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
def test_headers_as_modules_write_them(run_scripted_modem, header):
    """Vendors are free with blanks, names and further values."""

    async def story(modem, script):
        (message,) = await modem.sweep()
        assert message == StoredMessage(Slot("ME", 7), HI, message.message)
        assert message.message.text == "hi"

    run_scripted_modem(story, table={"AT+CMGL=4": listing((header, HI))})


def test_our_own_messages_are_left_alone(run_scripted_modem):
    """What was written or sent here is not received; a status report between two messages is one."""
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

    async def story(modem, script):
        found = await modem.sweep()
        assert [type(message.message).__name__ for message in found] == ["Deliver", "StatusReport", "Deliver"]
        assert [message.slot.index for message in found] == [1, 7, 9]

    run_scripted_modem(story, table=table)


def test_news_between_the_entries(run_scripted_modem):
    """A notification inside the list is no entry, and is not lost."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI))[: -len(OK)]
        + b'\r\n+CMTI: "ME",3\r\n'
        + listing(("+CMGL: 2,1,,19", PLAN))
    }

    async def story(modem, script):
        assert texts(await modem.sweep()) == ["hi", "plan"]
        assert (await modem.next_event()).slot == Slot("ME", 3)

    run_scripted_modem(story, table=table)


@pytest.mark.parametrize("answer", [OK, b"\r\n+CMS ERROR: 321\r\n", b"\r\n+CME ERROR: 22\r\n"])
def test_an_empty_store(run_scripted_modem, answer):
    """Nothing there is no error."""

    async def story(modem, script):
        assert await modem.sweep() == []

    run_scripted_modem(story, table={"AT+CMGL=4": answer})


def test_a_list_whose_end_is_lost(run_scripted_modem):
    """What came is true, even if the result never did."""

    async def story(modem, script):
        assert texts(await modem.sweep()) == ["hi"]

    run_scripted_modem(story, table={"AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI))[: -len(OK)]})


def test_a_slow_list(run_scripted_modem):
    """Fifty messages that stream for some seconds, with pauses, are one answer."""
    parts = []
    for index in range(50):
        parts += [0.2, f"\r\n+CMGL: {index},1,,17\r\n{HI}".encode()]

    async def story(modem, script):
        assert len(await modem.sweep()) == 50

    run_scripted_modem(story, table={"AT+CMGL=4": [*parts, b"\r\n" + OK]})


def test_other_stores_are_visited_seldom(run_modem_bench):
    """Choosing a store may wear the module's flash: at the start, then each hour, or when it has news."""

    async def story(stand):
        await stand.modem.sweep()
        assert stand.executed_lines == ["+CMGL=4", '+CPMS="SM"', "+CMGL=4", '+CPMS="ME"']
        stand.executed_lines.clear()
        await stand.modem.sweep()
        assert stand.executed_lines == ["+CMGL=4"]
        stand.module.settings.cpms = ("ME", "ME", "SM")
        stand.deliver("elsewhere")
        stand.module.settings.cpms = ("ME", "ME", "ME")
        await stand.modem.next_event()
        assert texts(await stand.modem.sweep()) == ["elsewhere"]
        stand.executed_lines.clear()
        await stand.modem.delete(Slot("SM", 1))
        assert await stand.modem.sweep() == []
        assert '+CPMS="SM"' in stand.executed_lines
        stand.executed_lines.clear()
        await stand.modem.sweep()
        assert '+CPMS="SM"' not in stand.executed_lines
        await asyncio.sleep(3700)
        stand.executed_lines.clear()
        await stand.modem.sweep()
        assert '+CPMS="SM"' in stand.executed_lines

    run_modem_bench(story)


def test_one_store_alone(run_modem_bench):
    """A sweep may be for one store."""

    async def story(stand):
        await stand.modem.sweep("ME")
        assert stand.executed_lines == ["+CMGL=4"]

    run_modem_bench(story)


def test_a_store_that_cannot_be_looked_at_hides_no_other(run_scripted_modem):
    """A SIM that refuses its store does not hide what the module holds."""
    table = {
        "AT+CMGL=4": listing(("+CMGL: 1,1,,17", HI)),
        'AT+CPMS="SM"': b"\r\n+CMS ERROR: 313\r\n",
    }

    async def story(modem, script):
        assert texts(await modem.sweep()) == ["hi"]

    run_scripted_modem(story, table=table)


# Reading


def test_the_store_that_is_named_is_read(run_modem_bench):
    """The same index in another store is another message."""

    async def story(stand):
        stand.deliver("in ME")
        stand.module.settings.cpms = ("ME", "ME", "SM")
        stand.deliver("in SM")
        assert (await stand.modem.read(Slot("ME", 1))).message.text == "in ME"
        assert (await stand.modem.read(Slot("SM", 1))).message.text == "in SM"
        await stand.modem.delete(Slot("SM", 1))
        assert (await stand.modem.read(Slot("ME", 1))).message.text == "in ME"
        assert await stand.modem.read(Slot("SM", 1)) is None

    run_modem_bench(story)


def test_index_0_is_a_slot(run_modem_bench):
    """Some modules count from 0."""

    async def story(stand):
        stand.deliver("hi")
        news = await stand.modem.next_event()
        assert news.slot == Slot("ME", 0)
        assert (await stand.modem.read(news.slot)).message.text == "hi"
        await stand.modem.delete(news.slot)
        assert await stand.modem.read(news.slot) is None

    run_modem_bench(story, first_index=0)


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
def test_nothing_there(run_scripted_modem, answer):
    """An empty slot is a normal result in each of its forms; the next command gets its own answer."""

    async def story(modem, script):
        assert await modem.read(Slot("ME", 7)) is None
        script.table["AT+CMGR=8"] = listing(("+CMGR: 0,,17", HI))
        assert (await modem.read(Slot("ME", 8))).message.text == "hi"

    run_scripted_modem(story, table={"AT+CMGR=7": answer})


def test_a_plain_error_is_looked_into(run_scripted_modem):
    """ERROR says nothing: the list tells whether the message is there."""

    async def story(modem, script):
        assert (await modem.read(Slot("ME", 7))).message.text == "hi"
        assert script.received_lines == ["AT+CMGR=7", "AT+CMGL=4"]

    run_scripted_modem(story, table={"AT+CMGR=7": ERROR, "AT+CMGL=4": listing(("+CMGL: 7,1,,17", HI))})


def test_trouble_is_no_empty_slot(run_scripted_modem):
    """A busy SIM does not mean that a message is gone."""

    async def story(modem, script):
        with pytest.raises(CommandRefused) as caught:
            await modem.read(Slot("ME", 7))
        assert caught.value.code == 314

    run_scripted_modem(story, table={"AT+CMGR=7": b"\r\n+CMS ERROR: 314\r\n"})


def test_a_slot_that_nobody_named(run_scripted_modem):
    """Something came, but not where: only a sweep can tell, and nothing is asked."""

    async def story(modem, script):
        assert await modem.read(UNKNOWN_SLOT) is None
        assert script.received_lines == []

    run_scripted_modem(story)


# Deleting


def test_one_index_is_deleted(run_modem_bench):
    """Never more than one, whatever else is there."""

    async def story(stand):
        for number in range(4):
            stand.deliver(f"message {number}")
        await stand.modem.delete(Slot("ME", 2))
        assert texts(await stand.modem.sweep()) == ["message 0", "message 2", "message 3"]
        assert [line for line in stand.executed_lines if "CMGD" in line] == ["+CMGD=2"]

    run_modem_bench(story)


@pytest.mark.parametrize("answer", [b"\r\n+CMS ERROR: 321\r\n", b"\r\n+CME ERROR: 22\r\n", OK])
def test_an_empty_slot_is_as_good_as_deleted(run_scripted_modem, answer):
    """There is nothing to be told to anybody."""

    async def story(modem, script):
        await modem.delete(Slot("ME", 7))

    run_scripted_modem(story, table={"AT+CMGD=7": answer})


def test_a_delete_that_is_refused(run_scripted_modem):
    """It is told, with the reason."""

    async def story(modem, script):
        with pytest.raises(CommandRefused, match="memory failure"):
            await modem.delete(Slot("ME", 7))

    run_scripted_modem(story, table={"AT+CMGD=7": b"\r\n+CMS ERROR: 320\r\n"})


def test_a_delete_without_a_result(run_modem_bench):
    """Nobody knows: it is told as that, and reading the slot tells."""

    async def story(stand):
        stand.deliver("hi")
        stand.module.faults.add("answer-lost:command=+CMGD")
        with pytest.raises(CommandTimedOut):
            await stand.modem.delete(Slot("ME", 1))
        assert await stand.modem.read(Slot("ME", 1)) is None

    run_modem_bench(story)


def test_after_a_time_out_the_store_is_chosen_anew(run_scripted_modem):
    """The module may have restarted with another store: a delete must not meet another message."""
    table = {"AT+CMGD=7": None, 'AT+CPMS="ME"': OK, "AT+CMGD=8": OK}

    async def story(modem, script):
        with pytest.raises(CommandTimedOut):
            await modem.delete(Slot("ME", 7))
        script.received_lines.clear()
        await modem.delete(Slot("ME", 8))
        assert script.received_lines == ['AT+CPMS="ME"', "AT+CMGD=8"]

    run_scripted_modem(story, table=table)


def test_choosing_and_deleting_are_one_turn(run_modem_bench):
    """Nobody's command gets between the choice of a store and what is done in it."""

    async def story(stand):
        stand.module.settings.cpms = ("ME", "ME", "SM")
        stand.deliver("in SM")
        stand.module.faults.add("late:times=0,seconds=0.5")
        await asyncio.gather(
            stand.modem.delete(Slot("SM", 1)),
            stand.modem.read(Slot("ME", 1)),
            stand.modem.read(Slot("SM", 1)),
            stand.modem.query_signal(),
        )
        at = stand.executed_lines.index("+CMGD=1")
        assert stand.executed_lines[at - 1] == '+CPMS="SM"'
        assert stand.executed_lines[at + 1] == '+CPMS="ME"'

    run_modem_bench(story)
