"""F117 F118 F119 F121: stores, numbers and strings in the forms that modules use."""

import re

import pytest

from fault.catalogue import PLAIN_SID_START, STATUS_REPORT
from fault.fault_world import FaultWorld, changed_module, make_pdu
from pdu import Address

# F117


COUNTS = {"only three": (3,), "only one": (1,), "only two": (2,), "one or three": (1, 3)}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("store", ["ME", "SM"])
async def test_f117_cpms_form_is_used_everywhere(tmp_path, message_format, counts, store):
    """Messages and reports of every store are read and deleted, and new ones go on arriving in the first."""
    device = changed_module(cpms_counts=counts, store=store)
    tables = {"service": {"status_reports": True}}
    async with FaultWorld(tmp_path, message_format, device=device, tables=tables) as world:
        other = "SM" if store == "ME" else "ME"
        world.store_pdu(1, make_pdu("led 1"), store=store)
        world.store_pdu(1, make_pdu("led 2"), store=other)
        await world.start_and_settle()
        assert sorted(world.executed) == ["led 1", "led 2"]
        world.store_pdu(3, make_pdu("led 3"), store=other)
        world.interceptor.send_to_agent(f'\r\n+CMTI: "{other}",3\r\n'.encode())
        await world.advance(5)
        world.deliver_pdu(make_pdu("led 4"))
        await world.advance(5)
        assert world.executed[2:] == ["led 3", "led 4"]
        await world.advance(3700)
        assert {state for state, _ in world.replies} == {"delivered"}
        assert world.stored_count == len(world.module.stores["SR"]) == 0
        assert len(world.events_of_kind("session")) == 1
        assert world.module.settings.cpms[2] == store
        selections = world.interceptor.commands_matching(r"AT\+CPMS=[^?].*")[10:]
        assert all(line.count(",") + 1 in counts for line in selections)


async def test_f117_cpms_form_is_learnt_by_the_first_selection(tmp_path, message_format):
    """All memories are right at the start, so the first +CPMS is that of another store."""
    async with FaultWorld(tmp_path, message_format, device=changed_module(cpms_counts=(3,))) as world:
        world.store_pdu(1, make_pdu("led 1"), store="SM")
        await world.start_and_settle()
        assert world.executed == ["led 1"]
        selections = world.interceptor.commands_matching(r"AT\+CPMS=[^?].*")
        assert selections[0] == 'AT+CPMS="SM"'
        assert selections[1] == 'AT+CPMS="SM","ME","ME"'
        assert set(selections[2:]) <= {'AT+CPMS="SM","ME","ME"', 'AT+CPMS="ME","ME","ME"'}


@pytest.mark.parametrize("refused", ['"..","..",".."', '"..",".."'], ids=["two", "three"])
@pytest.mark.parametrize("store", ["ME", "SM"])
async def test_f117_cpms_takes_only_equal_names(tmp_path, message_format, store, refused):
    """Every store is read, and after each sweep messages arrive in the first store again."""
    async with FaultWorld(tmp_path, message_format, device=changed_module(store=store)) as world:
        other = "SM" if store == "ME" else "ME"
        unequal = rf'AT\+CPMS=("..?"|"{store}","{other}".*|"{other}","{store}".*|{refused})'
        world.interceptor.answer(unequal, b"\r\n+CMS ERROR: 302\r\n", times=0)
        world.store_pdu(1, make_pdu("led 1"), store=store)
        world.store_pdu(2, make_pdu("led 2"), store=other)
        await world.start_and_settle(400)
        assert sorted(world.executed) == ["led 1", "led 2"]
        world.deliver_pdu(make_pdu("led 3"))
        await world.advance(5)
        world.store_pdu(4, make_pdu("led 4"), store=other)
        world.interceptor.send_to_agent(f'\r\n+CMTI: "{other}",4\r\n'.encode())
        await world.advance(2)
        assert world.executed[2:] == ["led 3", "led 4"]
        await world.advance(3700)
        assert world.stored_count == 0
        assert len(world.events_of_kind("session")) == 1
        assert world.module.settings.cpms[2] == store


async def test_f117_second_memory_is_of_no_account(tmp_path, message_format):
    """A module that changes only <mem1> receives in <mem3> as it is; that store is used."""
    async with FaultWorld(tmp_path, message_format, device=changed_module(cpms_counts=(1,))) as world:
        world.module.settings.cpms = ("ME", "ME", "SM")
        await world.start_and_settle()
        assert world.modem.status.store == "SM"
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(310)
        assert world.executed == ["led on"]
        assert len(world.events_of_kind("session")) == 1


async def test_f117_cnmi_form_is_used_again(tmp_path, message_format):
    """+CNMI is written with two values only, also when it is set again for missing notifications."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CNMI=\d,\d,.*", b"\r\n+CMS ERROR: 303\r\n", times=0)
        await world.start_and_settle()
        world.module.faults.add("code-lost:command=+CMTI,times=0")
        for number in range(3):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(305)
        assert len(world.executed) == 3
        assert len(world.interceptor.commands_matching(r"AT\+CNMI=2,1")) == 2
        assert world.log_lines(30) == [line for line in world.log_lines(30) if "CNMI" not in line]


# F118


PLACES = {
    "nothing": ",-1",
    "store without index": '"{store}"',
    "unnamed store": '"",{index}',
    "unknown store": '"XX",{index}',
    "other store": '"SM",{index}',
    "report store": '"SR",{index}',
    "wrong index": '"{store}",17',
    "index too high": '"{store}",999',
    "index -1": '"{store}",-1',
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("arrives_in", ["ME", "SM"])
async def test_f118_message_of_a_wrong_notification_is_handled_at_once(
    tmp_path, message_format, place, arrives_in
):
    """Every readable store is looked into, and no store is called full."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in range(3):
            world.store_pdu(number + 1, make_pdu(f"led {number}"), store=arrives_in)
            urc = place.format(store=arrives_in, index=number + 1)
            world.interceptor.send_to_agent(f"\r\n+CMTI: {urc}\r\n".encode())
            await world.advance(5)
            assert len(world.executed) == number + 1
        assert world.stored_count == 0
        assert world.events_of_kind("store full") == []
        assert len(world.events_of_kind("session")) == 1


@pytest.mark.parametrize("urc", ['+CMTI : "ME",1', '+CMTI:"ME" , 01', "+CMTI: ME,1", '+CMTI: "ME","1"'])
async def test_f118_notification_in_an_odd_form(tmp_path, message_format, urc):
    """Blanks and quotes are of no account: the message is handled at once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.store_pdu(1, make_pdu("led 1"))
        world.interceptor.send_to_agent(f"\r\n{urc}\r\n".encode())
        await world.advance(2)
        assert world.executed == ["led 1"]


async def test_f118_slot_holds_an_older_message(tmp_path, message_format):
    """The announced slot holds a message that cannot be deleted; the new one is elsewhere."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CMGD=1", b"\r\n+CMS ERROR: 500\r\n", times=0)
        world.deliver_pdu(make_pdu("led 1"))
        await world.advance(5)
        world.store_pdu(4, make_pdu("led 2"), store="SM")
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",1\r\n')
        await world.advance(5)
        assert world.executed == ["led 1", "led 2"]


async def test_f118_message_becomes_readable_later_elsewhere(tmp_path, message_format):
    """The slot is wrong, and the message can be read only some seconds after its notification."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",9\r\n')
        await world.advance(3)
        world.store_pdu(1, PLAIN_SID_START, store="SM")
        await world.advance(5)
        assert world.executed == ["led on"]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("status_reports", [True, False])
async def test_f118_report_of_a_wrong_notification_is_found(tmp_path, message_format, place, status_reports):
    """The store of status reports is read first, also if the named slot holds a Command."""
    tables = {"service": {"status_reports": status_reports}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        await world.start_and_settle()
        world.store_pdu(1, make_pdu("led 1"), store="ME")
        world.store_pdu(2, STATUS_REPORT, store="SR")
        written = len(world.interceptor.commands)
        world.interceptor.send_to_agent(f"\r\n+CDSI: {place.format(store='ME', index=1)}\r\n".encode())
        await world.advance(5)
        assert world.stored_indices("SR") == world.stored_indices("ME") == []
        assert world.executed == ["led 1"]
        lines = [line for _, line in world.interceptor.commands[written:]]
        if "AT+CMGR=2" not in lines:
            listed = next(at for at, line in enumerate(lines) if line.startswith("AT+CMGL"))
            assert [line for line in lines[:listed] if "CPMS=" in line][-1].startswith('AT+CPMS="SR"')


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_f118_module_that_always_names_the_wrong_place(tmp_path, message_format, place):
    """Each message is handled within seconds, and each reply is delivered."""
    tables = {"service": {"status_reports": True}}
    device = changed_module(notified_slot=place)
    async with FaultWorld(tmp_path, message_format, device=device, tables=tables) as world:
        await world.start_and_settle()
        for number in range(4):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(20)
            assert len(world.executed) == number + 1
        assert {state for state, _ in world.replies} == {"delivered"}
        assert world.stored_count == len(world.module.stores["SR"]) == 0


# F119


REGISTRATIONS = {
    "padded": "000,001",
    "one padded": "0,001",
    "padded to four": "0000,0001",
    "quoted": '"0","1"',
    "state quoted": '0,"1"',
    "blanks": " 0 , 1 ",
    "blanks in quotes": '" 0 "," 1 "',
    "without <n>": "1",
    "empty <n>": ",1",
    "area, padded": '002,001,"1A2B","0012C0DE",007',
    "area, padded to four": '0002,0001,"1A2B","0012C0DE",7',
    "area without quotes, padded": "0002,0001,1A2B,0012C0DE,7",
    "area, quoted": '"2","1","1A2B","0012C0DE","7"',
    "area without <n>": '1,"1A2B","0012C0DE",7',
}


@pytest.mark.parametrize("values", REGISTRATIONS.values(), ids=REGISTRATIONS)
async def test_f119_registration_in_odd_numbers(tmp_path, message_format, values):
    """The module is registered at home, and the reply leaves."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CREG\?", f"\r\n+CREG: {values}\r\n\r\nOK\r\n".encode(), times=0)
        world.interceptor.answer(r"AT\+C(G|E)REG\?", b"\r\nERROR\r\n", times=0)
        await world.start_and_settle()
        assert world.modem.status.registration.circuit == 1
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert world.sent_bodies == ["did led on"]
        assert (await world.modem.query_registration()).circuit == 1
        queries = world.interceptor.commands_matching(r"AT\+(CMEE|CMGF|CSCS|CSMS|CREG)\?")
        assert queries[-1] == "AT+CREG?"  # it was not followed by a resynchronisation


@pytest.mark.parametrize(
    ("urc", "state"),
    [
        ("+CREG: 005", 5),
        ('+CREG: "5"', 5),
        ('+CREG: 005,"0012","0012C0DE",7', 5),
        ("+CREG: 5,0012,0012C0DE", 5),
        ('+CREG: "5","1A2B","0012C0DE"', 5),
    ],
)
@pytest.mark.parametrize("position", ["before header", "after header"])
async def test_f119_registration_urc_beside_the_answer(tmp_path, urc, state, position):
    """A URC with the name of the answer stays a URC, in whatever order they come."""
    async with FaultWorld(tmp_path) as world:
        await world.start_and_settle()
        urcs = []
        handle = world.modem._urc_handler._interpret_urc
        world.modem._urc_handler._interpret_urc = lambda each: urcs.append(each.text) or handle(each)
        lines = [urc, "+CREG: 001,001"] if position == "before header" else ["+CREG: 001,001", urc]
        world.interceptor.answer(r"AT\+CREG\?", ("\r\n" + "\r\n".join(lines) + "\r\n\r\nOK\r\n").encode())
        assert (await world.modem.query_registration()).circuit == 1
        assert urcs == [urc]


STYLES = ["padded", "spaced", "quoted"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("cnmi", ["stored", "direct"])
async def test_f119_module_that_writes_all_numbers_so(tmp_path, message_format, style, cnmi):
    """Set-up, sweeps, notifications, direct deliveries, replies and reports work; nothing is set up twice."""
    changes = {} if cnmi == "stored" else {"cnmi_allowed": ((0, 1, 2, 3), (0, 2), (0,), (0, 1, 2), (0, 1))}
    device = changed_module(number_style=style, **changes)
    tables = {"service": {"status_reports": True}}
    async with FaultWorld(tmp_path, message_format, device=device, tables=tables) as world:
        world.store_pdu(2, make_pdu("led 1"))
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(600)
        world.deliver_pdu(make_pdu("led 3"))
        await world.advance(60)
        assert world.executed == ["led 1", "led 2", "led 3"]
        assert world.sent_bodies == ["did led 1", "did led 2", "did led 3"]
        assert {state for state, _ in world.replies} == {"delivered"}
        assert world.stored_indices() == world.stored_indices("SR") == []
        assert len(world.events_of_kind("session")) == 1
        signal = await world.modem.query_signal()
        assert signal.dbm is not None
        if cnmi == "stored":
            assert world.modem.is_notifying
            assert world.modem.status.store_usage[0][1:] == (1, 20)


@pytest.mark.parametrize("error", ["+CMS ERROR: 0038", '+CMS ERROR: "38"', "+CMS ERROR:  38 "])
async def test_f119_error_numbers(tmp_path, message_format, error):
    """A refusal that may pass is retried, however its number is written."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        result = re.compile(rb"\r\n\+CMGS: .*OK\r\n", re.DOTALL)
        world.interceptor.rewrite(r"AT\+CMGS=.*", result, f"\r\n{error}\r\n".encode())
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        [(state, reason)] = world.query_journal("SELECT state, reason FROM replies")
        assert state == "queued"
        assert "network out of order" in reason


# F121


UCS2_NUMBER = "002B00310035003500350030003000300031003200330034"
SHOWN_NUMBERS = {
    "UCS2": f'"{UCS2_NUMBER}",145',
    "UCS2 in lower case": f'"{UCS2_NUMBER.lower()}",145',
    "UCS2 without +": f'"{UCS2_NUMBER[4:]}",145',
    "HEX": '"2B3135353530303031323334",145',
    "HEX without +": '"3135353530303031323334",145',
    "plain": '"+15550001234",145',
    "plain without +": '"15550001234",145',
    "blanks, padded": '" +15550001234 ", 0145',
    "no quotes": "+15550001234,145",
}
SIM_MEMORY = "SELECT service_centre FROM sims"


async def _lose_service_centre(world, charset):
    """Start a second time with a SIM that has lost its number; the agent must write it back."""
    await world.current_run.stop()
    world.interceptor.clear_rules()
    world.sim.service_centre = Address("", 0, 1)
    world.module.settings.cscs = charset
    await world.start_and_settle()


@pytest.mark.parametrize("shown", SHOWN_NUMBERS.values(), ids=SHOWN_NUMBERS)
@pytest.mark.parametrize("later_charset", ["IRA", "UCS2", "HEX"])
async def test_f121_number_is_remembered_in_any_character_set(tmp_path, message_format, shown, later_charset):
    """+15550001234 is remembered, however it is shown, and written back in the character set in force."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CSCA\?", f"\r\n+CSCA: {shown}\r\n\r\nOK\r\n".encode(), times=0)
        await world.start_and_settle()
        assert world.query_journal(SIM_MEMORY) == [("+15550001234",)]
        await _lose_service_centre(world, later_charset)
        assert str(world.sim.service_centre) == "+15550001234"
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.sent_bodies == ["did led on"]


@pytest.mark.parametrize("charset", ["UCS2", "HEX", "GSM", "IRA", "8859-1"])
async def test_f121_character_set_left_behind(tmp_path, message_format, charset):
    """Another program has left the module in this character set, in which it shows all its strings."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.module.settings.cscs = charset
        await world.start_and_settle()
        assert world.query_journal(SIM_MEMORY) == [("+447700900000",)]
        await _lose_service_centre(world, charset)
        assert str(world.sim.service_centre) == "+447700900000"


NOT_NUMBERS = [
    '"FFFFFFFF",129',
    '"no service",129',
    '"+",145',
    '"000",129',
    f'"{UCS2_NUMBER[:-2]}",145',
    '"12",129',
]


@pytest.mark.parametrize("shown", NOT_NUMBERS)
async def test_f121_what_is_no_number_replaces_nothing(tmp_path, message_format, shown):
    """The remembered number stays, nothing is written to the SIM, and the status says what was shown."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        await world.current_run.stop()
        world.interceptor.answer(r"AT\+CSCA\?", f"\r\n+CSCA: {shown}\r\n\r\nOK\r\n".encode(), times=0)
        await world.start_and_settle()
        assert world.query_journal(SIM_MEMORY) == [("+447700900000",)]
        assert world.interceptor.commands_matching(r"AT\+CSCA=.*") == []
        assert any("not a number" in note for note in world.modem.status.notes)
        await _lose_service_centre(world, "IRA")
        assert str(world.sim.service_centre) == "+447700900000"


async def test_f121_refused_message_replaces_what_is_no_number(tmp_path, message_format):
    """If the module misses the number when it sends, the remembered one is written."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.sim.service_centre = Address("", 0, 1)
        world.interceptor.answer(r"AT\+CSCA\?", b'\r\n+CSCA: "FFFF",129\r\n\r\nOK\r\n')
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(30)
        assert str(world.sim.service_centre) == "+447700900000"
        assert world.sent_bodies == ["did led on"]


async def test_f121_number_is_remembered_for_the_right_sim(tmp_path, message_format):
    """The ICCID in UCS2 is the same ICCID, and so are the other numbers of the identity."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        identity = await world.modem.query_identity()
        for command, value in ((r"AT\+.*CCID", identity.iccid), (r"AT\+CGSN", identity.imei)):
            shown = value.encode("utf-16-be").hex().upper()
            world.interceptor.rewrite(command, value.encode(), f'"{shown}"'.encode(), times=0)
        assert await world.modem.query_identity() == identity
        await world.current_run.stop()
        world.sim.service_centre = Address("", 0, 1)
        await world.start_and_settle()
        assert str(world.sim.service_centre) == "+447700900000"
        assert len(world.query_journal(SIM_MEMORY)) == 1
