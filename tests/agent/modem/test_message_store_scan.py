"""The scan of a store that cannot be listed: bounded, rare, and only if the store holds messages."""

import asyncio

import pytest

from agent.at.errors import CommandRefused
from agent.modem.store_reader import FAILED_SCAN_RETRY_S, RESCAN_INTERVAL_S
from agent.modem.stored_message import Slot

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
HI = "079144770009000004038100F000006290124131020002E834"
PLAN = "07914477000900000404819263000062901241310200047076D80D"
SUBMIT = "001100048192630000A705CF25287603"
EMPTY = b"\r\n+CMS ERROR: 321\r\n"
REFUSALS = [ERROR, b"\r\n+CMS ERROR: 302\r\n", b"\r\n+CMS ERROR: 303\r\n", b"\r\n+CME ERROR: 4\r\n"]
EMPTIES = [EMPTY, OK, b"\r\n+CMGR: 0,,0\r\n" + OK, ERROR, b"\r\n+CME ERROR: 22\r\n"]


def info(line):
    return f"\r\n{line}\r\n".encode() + OK


class SlotTable(dict):
    """The answers of a module whose slots can be read but not listed."""

    def __init__(self, slots, *, list_refusal=b"\r\n+CMS ERROR: 303\r\n", empty=EMPTY, total=20, used=None):
        super().__init__()
        self.slots, self.empty, self.total, self.used = slots, empty, total, used
        self["AT+CMGL=4"] = self["AT+CMGL=1"] = list_refusal
        self["AT+CPMS?"] = self.memories
        self["AT+CPMS=?"] = info('+CPMS: ("ME"),("ME"),("ME")')
        for index in range(total + 1):
            self[f"AT+CMGR={index}"] = self.read

    def memories(self, line):
        used = len(self.slots) if self.used is None else self.used
        return info("+CPMS: " + ",".join([f'"ME",{used},{self.total}'] * 3))

    def read(self, line):
        stored = self.slots.get(int(line.partition("=")[2]))
        if stored is None:
            return self.empty
        return stored if isinstance(stored, bytes) else info(f"+CMGR: 1,,{len(stored) // 2 - 8}\r\n{stored}")


def reads(script):
    return [int(line.partition("=")[2]) for line in script.received_lines if line.startswith("AT+CMGR=")]


def sweep_texts(messages):
    return {message.slot.index: message.message.text for message in messages}


@pytest.mark.parametrize("empty", EMPTIES)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_slots_are_read_until_all_messages_are_found(run_scripted_modem, refusal, empty):
    """The scan starts at slot 0, for each refusal of the list and each response to an empty slot."""

    async def scenario(modem, script):
        assert sweep_texts(await modem.sweep()) == {0: "hi", 3: "plan"}
        assert reads(script) == [0, 1, 2, 3]

    run_scripted_modem(scenario, table=SlotTable({0: HI, 3: PLAN}, list_refusal=refusal, empty=empty))


@pytest.mark.parametrize("empty", EMPTIES)
def test_store_of_255_slots_is_read_to_its_end(run_scripted_modem, empty):
    """The last slot is read, and none beyond it."""

    async def scenario(modem, script):
        assert sweep_texts(await modem.sweep()) == {255: "hi"}
        assert reads(script) == list(range(256))

    run_scripted_modem(scenario, table=SlotTable({255: HI}, total=255, empty=empty))


def test_empty_store_is_not_scanned(run_scripted_modem):
    """+CPMS? reports it: a sweep costs three commands then."""

    async def scenario(modem, script):
        assert await modem.sweep() == []
        assert script.received_lines == ["AT+CMGL=4", "AT+CPMS?", "AT+CPIN?"]

    run_scripted_modem(scenario, table=SlotTable({}))


def test_outgoing_messages_count_but_are_not_returned(run_scripted_modem):
    """The module counts messages that were written or sent, too."""
    sent = info(f"+CMGR: 3,,15\r\n{SUBMIT}")

    async def scenario(modem, script):
        assert sweep_texts(await modem.sweep()) == {2: "hi"}
        assert reads(script) == [0, 1, 2]

    run_scripted_modem(scenario, table=SlotTable({1: sent, 2: HI}))


def test_list_is_tried_before_each_scan(run_scripted_modem):
    """A refusal may be temporary: each sweep tries the list first."""

    async def scenario(modem, script):
        assert sweep_texts(await modem.sweep()) == {1: "hi"}
        script.table["AT+CMGL=4"] = info(f"+CMGL: 1,1,,17\r\n{HI}")
        script.received_lines.clear()
        assert sweep_texts(await modem.sweep()) == {1: "hi"}
        assert script.received_lines == ["AT+CMGL=4"]

    run_scripted_modem(scenario, table=SlotTable({1: HI}))


@pytest.mark.parametrize("busy", [b"\r\n+CMS ERROR: 314\r\n", b"\r\n+CME ERROR: 14\r\n"])
def test_busy_sim_is_not_scanned(run_scripted_modem, busy):
    """It would prevent reading, too: the error of the list is raised."""

    async def scenario(modem, script):
        with pytest.raises(CommandRefused):
            await modem.sweep()
        assert reads(script) == []
        assert modem.is_sim_blocking_reads
        assert modem.read_error == ""

    run_scripted_modem(scenario, table=SlotTable({1: HI}, list_refusal=busy))


def test_sim_that_becomes_busy_during_a_scan(run_scripted_modem):
    """The remaining slots do not count as empty."""
    busy = b"\r\n+CMS ERROR: 314\r\n"

    async def scenario(modem, script):
        with pytest.raises(CommandRefused) as caught:
            await modem.sweep()
        assert caught.value.code == 314
        assert reads(script) == [0, 1, 2]
        assert modem.is_sim_blocking_reads

    run_scripted_modem(scenario, table=SlotTable({1: HI, 2: busy, 3: PLAN}))


@pytest.mark.parametrize(
    "refusal", [*(f"\r\n+CMS ERROR: {code}\r\n".encode() for code in (302, 320, 500)), ERROR]
)
def test_failed_scan_raises_the_error_of_the_list(run_scripted_modem, refusal):
    """The scan is not repeated with every sweep."""

    async def scenario(modem, script):
        for _ in range(3):
            with pytest.raises(CommandRefused) as caught:
                await modem.sweep()
            assert "AT+CMGL" in str(caught.value)
        assert reads(script) == list(range(21))
        assert "AT+CMGL=4 was refused" in modem.read_error
        assert modem.status_changed.is_set()
        await asyncio.sleep(FAILED_SCAN_RETRY_S)
        script.table["AT+CMGR=4"] = info(f"+CMGR: 1,,17\r\n{HI}")
        assert sweep_texts(await modem.sweep()) == {4: "hi"}
        assert modem.read_error == ""

    run_scripted_modem(scenario, table=SlotTable({4: refusal}, list_refusal=refusal, empty=refusal))


def test_scan_without_a_result_is_repeated_at_intervals(run_scripted_modem):
    """Once an hour, and at once if the count changes or the store is full."""

    async def scenario(modem, script):
        store = script.store = stores[0]
        store.used = 1
        assert await modem.sweep() == []
        assert reads(script) == list(range(21))
        for again in (lambda: None, lambda: setattr(store, "used", 2)):
            script.received_lines.clear()
            assert await modem.sweep() == []
            assert len(reads(script)) == (21 if store.used == 2 else 0)
            again()
        script.received_lines.clear()
        await asyncio.sleep(RESCAN_INTERVAL_S)
        store.slots[9] = HI
        assert sweep_texts(await modem.sweep()) == {9: "hi"}
        store.used = 1
        script.received_lines.clear()
        assert sweep_texts(await modem.sweep()) == {9: "hi"}
        assert reads(script) == list(range(10))

    stores = [SlotTable({})]
    run_scripted_modem(scenario, table=stores[0])


def test_full_store_is_scanned_at_once(run_scripted_modem):
    """Whatever the last scan found."""

    async def scenario(modem, script):
        assert await modem.sweep() == []
        script.received_lines.clear()
        script.transport.write(b'\r\n+QIND: "smsfull","ME"\r\n')
        await modem.next_event()
        await modem.sweep()
        assert len(reads(script)) == 21

    run_scripted_modem(scenario, table=SlotTable({}, used=1))


@pytest.mark.parametrize("answer", [ERROR, info('+CPMS: "ME","ME","ME"')])
def test_scan_without_a_reported_count(run_scripted_modem, answer):
    """The number of slots of most SIMs is read, once an hour if nothing is found."""

    async def scenario(modem, script):
        script.table["AT+CPMS?"] = answer
        assert sweep_texts(await modem.sweep()) == {2: "hi"}
        assert reads(script) == list(range(51))
        del store.slots[2]
        await modem.sweep()
        script.received_lines.clear()
        assert await modem.sweep() == []
        assert reads(script) == []

    store = SlotTable({2: HI}, total=60)
    run_scripted_modem(scenario, table=store)


def test_each_store_is_scanned(run_scripted_modem):
    """The secondary stores are scanned as well; each has its own count."""
    state = {"store": "ME"}
    stored = {"ME": {1: HI}, "SM": {2: PLAN}}

    def choose(line):
        state["store"] = line.split('"')[1]
        return info("+CPMS: 1,20,1,20,1,20")

    def memories(line):
        return info(f'+CPMS: "{state["store"]}",1,20,"ME",1,20,"ME",1,20')

    def read(line):
        digits = stored[state["store"]].get(int(line.partition("=")[2]))
        return EMPTY if digits is None else info(f"+CMGR: 1,,{len(digits) // 2 - 8}\r\n{digits}")

    table = {"AT+CPMS?": memories, 'AT+CPMS="SM"': choose, 'AT+CPMS="ME"': choose, "AT+CMGL=4": ERROR}
    table |= {f"AT+CMGR={index}": read for index in range(21)}

    async def scenario(modem, script):
        swept = await modem.sweep()
        assert {message.slot for message in swept} == {Slot("ME", 1), Slot("SM", 2)}
        assert reads(script) == [0, 1, 0, 1, 2]
        assert state["store"] == "ME"

    run_scripted_modem(scenario, table=table)


TEXT = {
    "AT+CMGF?": info("+CMGF: 1"),
    "AT+CMGF=1": OK,
    "AT+CSDH?": info("+CSDH: 1"),
    "AT+CSCS?": info('+CSCS: "UCS2"'),
    "AT+CSCS=?": info('+CSCS: ("UCS2")'),
    'AT+CSCS="UCS2"': OK,
    'AT+CMGL="ALL"': ERROR,
    "AT+CPMS?": info('+CPMS: "ME",2,20,"ME",2,20,"ME",2,20'),
}
HEADER = '"REC UNREAD","003000300030",,"26/09/21,14:13:20+00",129,4,0,0,"",129,2'


def test_scan_in_text_mode(run_scripted_modem):
    """A message that text mode cannot show is read in PDU mode."""
    state = {"format": 1}
    report = "07914477000900000607038100F0629012413102006290124131320000"

    def turn(line):
        state["format"] = int(line[-1])
        return OK

    def hidden(line):
        return b"\r\n+CMS ERROR: 320\r\n" if state["format"] else info(f"+CMGR: 1,,21\r\n{report}")

    table = TEXT | {f"AT+CMGR={index}": EMPTY for index in range(21)}
    table |= {"AT+CMGR=2": info(f"+CMGR: {HEADER}\r\n00680069"), "AT+CMGR=4": hidden}
    table |= {"AT+CMGF=0": turn, "AT+CMGF=1": turn}

    async def scenario(modem, script):
        swept = await modem.sweep()
        assert {message.slot.index: type(message.message).__name__ for message in swept} == {
            2: "Deliver",
            4: "StatusReport",
        }
        assert reads(script) == [0, 1, 2, 3, 4, 4]
        assert state["format"] == 1
        assert (await modem.read(Slot("ME", 4))).raw == report

    run_scripted_modem(scenario, table=table, options={"message_format": "text"})


@pytest.mark.parametrize("there", [EMPTY, info(f"+CMGR: 1,,17\r\n{HI}")])
def test_module_with_readable_slots_only(run_scripted_modem, there):
    """Without +CPMS and +CMGL, one readable slot shows that the module stores messages."""
    table = {"AT+CPMS?": ERROR, "AT+CPMS=?": ERROR, "AT+CMGL=4": ERROR, "AT+CMGR=1": there}

    async def scenario(modem, script):
        assert "no store" not in str(script.status)

    run_scripted_modem(scenario, table=table)


def test_missing_sim_of_a_module_that_cannot_list(run_scripted_modem):
    """A refused list proves nothing, and an empty store hides it: the SIM is queried."""

    async def scenario(modem, script):
        script.table["AT+CPIN?"] = b"\r\n+CME ERROR: 10\r\n"
        assert await modem.sweep() == []
        assert modem.poll_event() is not None

    run_scripted_modem(scenario, table=SlotTable({}))
