"""Text mode: the same messages as in PDU mode, in every character set."""

import asyncio
from datetime import UTC, datetime

import pytest

import pdu
from agent.at.command import PayloadKind
from agent.at.events import Information, Unsolicited
from agent.modem.error import ModemUnusable
from agent.modem.events import DirectDelivery, MessageArrived
from agent.modem.message_format import PduFormat
from agent.modem.sending import NotSent, Refused, Sent
from agent.modem.stored_message import Slot, Undecodable
from agent.modem.text_mode import TextFormat
from pdu import gsm7

TEXT = {"message_format": "text"}
HI = "079144770009000004038100F000006290124131020002E834"
REPORT = "07914477000900000607038100F0629012413102006290124131320000"
SLOT = Slot("ME", 1)
ALL = "".join(character for character in gsm7.DEFAULT_ALPHABET if character != "\x1b")
EXTENDED = '{"led":[1,2],"k":"a_b@c$"} ^\\~|€'
BODIES = [
    "hi",
    "",
    " ",
    ALL,
    EXTENDED,
    "OK",
    "ERROR",
    'set 1\r\nOK\r\n+CMTI: "SM",9\r\nend',
    "set 1\r\nsecond line\r\n\r\nthird\r\n",
    "> ",
    "+CMGR: 0,,20",
    "RING",
    "006C0065",
    "你好 {}",
    b"\x1a\x0d\x0a\x1b\x00OK\x0d\x0a\xff\x7e",
    bytes(range(140)),
]
CHARACTER_SETS = [("IRA", "GSM", "UCS2", "HEX"), ("IRA", "GSM", "HEX"), ("IRA", "GSM")]


def text_format(charset):
    """Return the format after a character set was negotiated."""
    text = TextFormat()
    text.negotiated |= {"+CSDH": "1", "+CSCS": charset}
    return text


@pytest.mark.parametrize("charsets", CHARACTER_SETS)
@pytest.mark.parametrize("body", BODIES)
def test_stored_message_equals_that_of_pdu_mode(run_modem_bench, charsets, body):
    """Text and raw are those of PDU mode after a notification, in a sweep, and when read again."""

    async def scenario(bench):
        bench.deliver(body)
        event = await bench.modem.next_event()
        assert isinstance(event, MessageArrived)
        first = await bench.modem.read(event.slot)
        (swept,) = await bench.modem.sweep()
        assert first == swept
        assert swept.message.text == (body if isinstance(body, str) else None)
        assert swept.message.data == (body if isinstance(body, bytes) else None)
        assert swept.raw == pdu.encode(swept.message).hex
        address = pdu.encode(
            pdu.Deliver(
                pdu.Address.parse("0"),
                pdu.Timestamp(bytes(7)),
                pdu.UserData.of(""),
                service_centre_address=pdu.Address.parse("+447700900000"),
            )
        ).hex[:16]
        assert swept.raw == address + bench.messages[1].hex().upper()
        await bench.modem.delete(swept.slot)
        assert await bench.modem.sweep() == []

    run_modem_bench(scenario, charsets=charsets, options=TEXT)


def test_best_character_set_is_chosen(run_modem_bench):
    """UCS2, else HEX, else GSM; any but the best is noted."""
    for charsets, chosen in zip(CHARACTER_SETS, ("UCS2", "HEX", "GSM"), strict=True):

        async def scenario(bench, chosen=chosen):
            assert bench.module.settings.cscs == chosen
            assert bench.module.settings.csdh == 1
            assert any(f"+CSCS is {chosen}" in note for note in bench.status.notes) == (chosen != "UCS2")
            assert bench.status.service_centre == "+447785016005" or bench.status.service_centre[:1] == "+"

        run_modem_bench(scenario, charsets=charsets, options=TEXT)


@pytest.mark.parametrize("charsets", CHARACTER_SETS)
def test_direct_delivery(run_modem_bench, charsets):
    """+CMT in text form is acknowledged by +CNMA without a value."""

    async def scenario(bench):
        await bench.modem.execute_at("AT+CNMI=2,2,0,1,0")
        bench.deliver('a\r\n+CMTI: "ME",3\r\n{')
        event = await bench.modem.next_event()
        assert isinstance(event, DirectDelivery)
        assert event.message.message.text == 'a\r\n+CMTI: "ME",3\r\n{'
        assert event.message.is_intact
        await event.acknowledge()
        assert bench.network.acknowledged == [(1, None)]
        assert bench.executed_lines[-1] == "+CNMA"

    run_modem_bench(scenario, charsets=charsets, options=TEXT)


@pytest.mark.parametrize("charsets", CHARACTER_SETS)
@pytest.mark.parametrize(
    "body", ["OK 17", "", EXTENDED, "l1\r\nl2\x0c", ALL[:50], "你好", b"\x00\x1a\x1b\r\xff"]
)
def test_sent_message_arrives_unchanged(run_modem_bench, charsets, body):
    """Text, UCS-2 and octets; text that the character set cannot carry is sent as UCS-2."""

    async def scenario(bench):
        submit = pdu.Submit(pdu.Address.parse("2936"), pdu.UserData.of(body), status_report_request=True)

        async def no_wait():
            pass

        assert isinstance(await bench.modem.send(submit, no_wait), Sent)
        sent = pdu.decode(bench.module.log.submitted_tpdus[-1], direction="mo", sca=False)
        assert (sent.text if isinstance(body, str) else sent.data) == body
        assert sent.destination_address == pdu.Address.parse("2936")
        assert sent.status_report_request

    run_modem_bench(scenario, charsets=charsets, options=TEXT)


def test_message_of_several_parts_is_refused():
    """Nothing is written for it."""
    part = pdu.segment("a" * 200, reference=1)[0]
    with pytest.raises(pdu.PduError):
        text_format("UCS2").csmp_command(pdu.Submit(pdu.Address.parse("2936"), part))


def test_changed_character_set_is_detected(run_modem_bench):
    """A character set that another program changed is detected with the next sweep."""

    async def scenario(bench):
        bench.module.settings.cscs = "IRA"
        bench.module.settings.csdh = 0
        bench.deliver("{hi}")
        await bench.modem.next_event()
        assert await bench.modem.sweep() == []
        await bench.modem.initialise()
        (found,) = await bench.modem.sweep()
        assert found.message.text == "{hi}"

    run_modem_bench(scenario, options=TEXT)


def test_text_mode_without_lengths_is_refused(run_scripted_modem):
    """A module without +CSDH=1 cannot be used in text mode, and the error has the reason."""
    table = {"AT+CMGF?": b"\r\n+CMGF: 1\r\n\r\nOK\r\n"}

    async def scenario(modem, _script):
        with pytest.raises(ModemUnusable, match="shows no lengths"):
            await modem.initialise()

    run_scripted_modem(scenario, initialise=False, options=TEXT, table=table)


def test_text_mode_without_a_character_set_is_refused(run_modem_bench):
    """The meaning of the digits must be known."""

    async def scenario(bench):
        with pytest.raises(ModemUnusable, match="character set"):
            await bench.modem.initialise()

    run_modem_bench(scenario, charsets=("PCCP437",), initialise=False, options=TEXT)


# Header variants

CSDH = '129,4,0,0,"+447700900000",145,2'


@pytest.mark.parametrize("status", ["REC UNREAD", "REC READ"])
@pytest.mark.parametrize("alpha", ["", ",", '"",', '"Ops",'])
def test_header_variants_of_makers(status, alpha):
    """With any <alpha> and <stat> the message is the same, and so is its deduplication key."""
    header = f'+CMGR: "{status}","000",{alpha}"26/09/21,14:13:20+00",{CSDH}'
    found = text_format("GSM").parse_read_response(Information(header, "hi"), SLOT)
    assert found.raw == HI
    assert found.is_intact
    assert found.message.text == "hi"


def test_ucs2_transcript():
    """A transcript of a list and a read in UCS2 is decoded."""
    header = (
        '+CMGR: "REC UNREAD","003000300030",,"26/09/21,14:13:20+00",129,4,0,0,'
        '"002B003400340037003700300030003900300030003000300030",145,2'
    )
    assert text_format("UCS2").parse_read_response(Information(header, "00680069"), SLOT).raw == HI


@pytest.mark.parametrize(
    ("line", "recipient"),
    [
        ('6,7,"000",129,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0', "000"),
        ('6,7,,,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0', ""),
        ('6,7,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0', ""),
    ],
)
def test_status_reports(line, recipient):
    """Stored and delivered directly, with and without the recipient."""
    text = text_format("GSM")
    stored = text.parse_read_response(Information(f'+CMGR: "REC READ",{line}'), SLOT)
    direct = text.parse_direct(Unsolicited(f"+CDS: {line}"))
    for message in (stored.message, direct.message):
        assert isinstance(message, pdu.StatusReport)
        assert message.message_reference == 7
        assert message.status == 0
        assert message.recipient_address.number == recipient
        assert message.discharge_time.time == datetime(2026, 9, 21, 14, 13, 23, tzinfo=UTC)
    if recipient:
        assert stored.raw == "00" + REPORT[16:]


@pytest.mark.parametrize(
    "line",
    [
        '+CMGL: 5,"STO SENT","2936",,,129,4',
        '+CMGL: 6,"STO UNSENT","2936",,,129,4',
        '+CMGL: x,"REC READ"',
        "+CMGL:",
    ],
)
def test_outgoing_messages_in_a_list(line):
    """They are not returned."""
    assert text_format("GSM").parse_list_entry(Information(line, "hi"), "ME") is None


def test_list_entries_are_read_one_by_one():
    """A list does not show whether an entry is text or octets."""
    entry = Information('+CMGL: 3,"REC READ","000",,"26/09/21,14:13:20+00",129,2', "hi")
    assert text_format("GSM").parse_list_entry(entry, "SM") == Slot("SM", 3)


@pytest.mark.parametrize("header", ["+CMGR: 0,,0", '+CMGR: "",,0', "+CMGR: "])
def test_empty_slot_variants(header):
    """Some modules show an empty slot as an empty header."""
    found = text_format("GSM").parse_read_response(Information(header), SLOT)
    assert found is None


def test_pdus_shown_in_text_mode():
    """Some modules show a message without a text form as a PDU."""
    text = text_format("GSM")
    assert text.parse_direct(Unsolicited("+CMT: ,17", HI)).raw == HI
    assert text.parse_read_response(Information("+CMGR: 0,,17", HI), SLOT) == PduFormat().parse_read_response(
        Information("+CMGR: 0,,17", HI), SLOT
    )


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ('"000",,"26/09/21,14:13:20+00"', "hi"),
        (f'"000",,"26/09/21,14:13:20+00",{CSDH}', "hello"),
        (f'"000",,"26/09/21,14:13:20+00",{CSDH}', None),
        (f'"{"x" * 30}",,"26/09/21,14:13:20+00",{CSDH}', "hi"),
        ('6,7,"000",129', None),
    ],
)
def test_malformed_message_is_kept_undecoded(header, payload):
    """It is kept as it came, the same before and after its first read."""
    text = text_format("IRA")
    found = [
        text.parse_read_response(Information(f'+CMGR: "{status}",{header}', payload), SLOT)
        for status in ("REC UNREAD", "REC READ")
    ]
    assert isinstance(found[0].message, Undecodable)
    assert not found[0].is_intact
    assert found[0] == found[1]
    assert found[0].raw == f"{header}\r\n{payload or ''}"


def test_impossible_timestamp_is_kept():
    """The message is decoded, and its timestamp keeps the octets of the network."""
    header = '+CMGR: "REC UNREAD","000",,"26/13/41,25:61:61+79",129,4,0,0,"+447700900000",145,2'
    message = text_format("GSM").parse_read_response(Information(header, "hi"), SLOT).message
    assert message.service_centre_timestamp.time is None
    assert message.service_centre_timestamp.octets.hex() == "62311452161697"


def test_parts_keep_their_user_data_header(run_modem_bench):
    """The header is decoded from the digits, and the raw PDU can be joined later."""

    async def scenario(bench):
        for part in pdu.segment("w{} " * 90, reference=9):
            bench.deliver_message(
                pdu.Deliver(
                    pdu.Address.parse("000"), pdu.Timestamp.of(datetime(2026, 11, 22, tzinfo=UTC)), part
                )
            )
        found = await bench.modem.sweep()
        parts = [pdu.decode(message.raw).user_data for message in found]
        assert pdu.join(parts).text == "w{} " * 90

    run_modem_bench(scenario, options=TEXT)


def test_urc_payloads_are_counted():
    """The AT client knows which URCs have a counted payload."""
    assert set(TextFormat.urc_payloads.values()) == {PayloadKind.COUNTED}


OKAY = b"\r\nOK\r\n"
SPOKEN = {
    "AT+CMGF?": b"\r\n+CMGF: 1\r\n" + OKAY,
    "AT+CSDH?": b"\r\n+CSDH: 1\r\n" + OKAY,
    "AT+CSCS?": b'\r\n+CSCS: "0055004300530032"\r\n' + OKAY,
}
SENDING = {
    "AT+CSMP=17,167,0,0": OKAY,
    'AT+CMGS="0032003900330036"': b"\r\n> ",
    "body": b"\r\n+CMGS: 0\r\n" + OKAY,
}
REPLY = pdu.Submit(pdu.Address.parse("2936"), pdu.UserData.of("OK 17"))


async def no_wait():
    """Do nothing before the body."""


@pytest.mark.parametrize("csmp", [OKAY, b"\r\nERROR\r\n"])
def test_commands_of_a_reply(run_scripted_modem, csmp):
    """No setting that is right is written, the body is hexadecimal digits, and defaults need no +CSMP."""

    async def scenario(modem, script):
        await modem.initialise()
        assert not [
            line for line in script.received_lines if "CSCS=" in line or "CSDH=" in line or "CMGF=" in line
        ]
        script.received_lines.clear()
        assert await modem.send(REPLY, no_wait) == Sent(0)
        assert script.received_lines == [
            "AT+CSMP=17,167,0,0",
            'AT+CMGS="0032003900330036"',
            "body 004F004B002000310037",
        ]

    table = SPOKEN | SENDING | {"AT+CSMP=17,167,0,0": csmp}
    run_scripted_modem(scenario, initialise=False, options=TEXT, table=table)


def test_refused_csmp_is_not_sent(run_scripted_modem):
    """Octets are not sent as something else."""

    async def scenario(modem, script):
        await modem.initialise()
        binary = pdu.Submit(pdu.Address.parse("2936"), pdu.UserData.of(b"1"))
        assert isinstance(await modem.send(binary, no_wait), Refused)
        assert not any("CMGS" in line for line in script.received_lines)

    run_scripted_modem(scenario, initialise=False, options=TEXT, table=SPOKEN | SENDING)


def test_nothing_is_sent_after_a_silent_restart(run_modem_bench):
    """In another character set the number would be another one."""

    async def scenario(bench):
        await bench.modem.execute_at(
            "AT+CMGF=1"
        )  # some modules keep +CMGF over a restart: then only the character set is lost
        await bench.modem.initialise()
        bench.module.reboot(print_boot_lines=False)
        await asyncio.sleep(60)
        bench.module.settings.text_mode = True
        assert isinstance(await bench.modem.send(REPLY, no_wait), NotSent)
        assert bench.module.log.submitted_tpdus == []

    run_modem_bench(scenario, initialise=False, options=TEXT)


def test_character_set_that_is_accepted_and_ignored(run_scripted_modem):
    """The value that is read back counts, and its limits are noted."""
    table = SPOKEN | {"AT+CSCS?": b'\r\n+CSCS: "IRA"\r\n' + OKAY}
    table |= {f'AT+CSCS="{name}"': OKAY for name in ("UCS2", "HEX", "GSM", "8859-1")}

    async def scenario(modem, _script):
        status = await modem.initialise()
        assert "+CSCS is IRA: the module does not accept UCS2" in status.notes

    run_scripted_modem(scenario, initialise=False, options=TEXT, table=table)


def test_message_without_a_text_form_does_not_hide_others(run_modem_bench):
    """The store is listed in PDU mode then."""

    async def scenario(bench):
        bench.reference += 1
        bench.messages[1] = bytes.fromhex("04038100F00000629012413102002802")
        bench.deliver_again(1)
        bench.deliver("hi")
        found = await bench.modem.sweep()
        assert [isinstance(each.message, Undecodable) for each in found] == [False, True]
        assert found[0].message.text == "hi"
        assert bench.module.settings.text_mode
        for each in found:
            await bench.modem.delete(each.slot)
        assert await bench.modem.sweep() == []

    run_modem_bench(scenario, options=TEXT)


def test_settings_of_an_echoing_module_are_checked_before_each_send(run_scripted_modem):
    """No echo would show a restart: the character set is read before anything is sent."""
    current = ["UCS2"]
    table = SPOKEN | SENDING
    table["AT+CSCS?"] = lambda _: b'\r\n+CSCS: "%s"\r\n' % current[0].encode() + OKAY
    table["AT+CSCA?"] = b'AT+CSCA?\r\r\n+CSCA: "002B0034"\r\n' + OKAY

    async def scenario(modem, script):
        await modem.initialise()
        assert await modem.send(REPLY, no_wait) == Sent(0)
        current[0] = "IRA"
        script.received_lines.clear()
        assert isinstance(await modem.send(REPLY, no_wait), NotSent)
        assert not any("CMGS" in line for line in script.received_lines)

    run_scripted_modem(scenario, initialise=False, options=TEXT, table=table)
