"""Text mode: character sets, lengths, message types, and text entry (27.005 3.1, 3.3, 3.4)."""

from __future__ import annotations

import pytest

from hardware.sim.module import charset
from hardware.sim.module.message_formatter import format_timestamp
from pdu import (
    Address,
    Alphabet,
    Concatenation,
    Deliver,
    InformationElement,
    StatusReport,
    Timestamp,
    UserData,
    decode,
    encode,
)

OK = "\r\nOK\r\n"
TIME = Timestamp(bytes.fromhex("62901241310200"))


def deliver(content, *, sender="000", **fields):
    """A DELIVER as hexadecimal digits."""
    user_data = content if isinstance(content, UserData) else UserData.of(content)
    return encode(Deliver(Address.parse(sender), TIME, user_data, **fields), sca=False).hex


def read(bench, tpdu, charset_name="IRA"):
    """The answer to +CMGR with +CSDH=1: header fields and data."""
    bench.at("+CMGF=1;+CSDH=1")
    bench.at(f'+CSCS="{charset_name}"')
    bench.at("+CMGD=1,4")
    bench.deliver(tpdu)
    answer = bench.at("+CMGR=1")
    assert answer.startswith("\r\n+CMGR: ")
    assert answer.endswith("\r\n" + OK)
    head, _, data = answer[2 : -len("\r\n" + OK)].partition("\r\n")
    return head, data


@pytest.mark.parametrize(
    ("text", "name", "data", "length"),
    [
        ("hi", "IRA", "hi", 2),
        ("hi", "GSM", "hi", 2),
        ("hi", "HEX", "6869", 2),
        ("hi", "UCS2", "00680069", 2),
        ("@_$", "IRA", "@_$", 3),
        ("@_$", "GSM", "\x00\x11\x02", 3),
        ("@_$", "HEX", "001102", 3),
        ("é£", "IRA", "??", 2),
        ("é£", "8859-1", "é£", 2),
        ("é£", "GSM", "\x05\x01", 2),
        ("é£", "UCS2", "00E900A3", 2),
        ("{€}", "IRA", "{?}", 3),
        ("{€}", "GSM", "\x1b(\x1be\x1b)", 6),
        ("{€}", "HEX", "1B281B651B29", 6),
        ("{€}", "UCS2", "007B20AC007D", 3),
        ("a\r\nOK\r\nb", "IRA", "a\r\nOK\r\nb", 8),
        ("", "IRA", "", 0),
        ("", "UCS2", "", 0),
        ("Ω→", "IRA", "03A92192", 4),
        (b"\x01\x02\xff", "IRA", "0102FF", 3),
        (b"\x01\x02\xff", "UCS2", "0102FF", 3),
        (b"", "GSM", "", 0),
    ],
)
def test_data_in_every_character_set(module_bench, text, name, data, length):
    """7-bit text in the character set, all else as hexadecimal octets; <length> counts what is shown."""
    head, shown = read(module_bench, deliver(text), name)
    assert shown == data
    assert head.endswith(f",{length}")


def test_data_with_a_header_are_shown_whole(module_bench):
    """As octets with the header, whatever the alphabet."""
    element = InformationElement(0, bytes((7, 2, 1)))
    user_data = UserData.of("hi", header=(element,))
    assert user_data.concatenation == Concatenation(7, 2, 1, wide=False)
    head, data = read(module_bench, deliver(user_data))
    assert data == user_data.octets.hex().upper()
    assert ",68,0,0," in head
    assert head.endswith(f",{len(user_data.octets)}")


@pytest.mark.parametrize(
    ("sender", "name", "shown"),
    [
        ("000", "IRA", '"000",'),
        ("+14155550100", "IRA", '"+14155550100",'),
        ("*#1", "IRA", '"*#1",'),
        ("2936", "UCS2", '"0032003900330036",'),
        ("+1", "HEX", '"2B31",'),
    ],
)
def test_sender_in_every_character_set(module_bench, sender, name, shown):
    """Numbers are shown in the character set, with + for international ones."""
    head, _ = read(module_bench, deliver("x", sender=sender), name)
    assert head.startswith(f'+CMGR: "REC UNREAD",{shown},"26/09/21,14:13:20+00",')
    assert f",{145 if sender.startswith('+') else 129},4,0,0," in head


def test_alphanumeric_sender(module_bench):
    """Its text and its type are shown."""
    head, _ = read(module_bench, "040BD04F79D87D2E0300006290124131020002E834")
    assert '"Orange"' in head
    assert ",208,4,0,0," in head


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        ("62901241310200", "26/09/21,14:13:20+00"),
        ("6211122203008A", "26/11/21,22:30:00-28"),
        ("62111222030004", "26/11/21,22:30:00+40"),
        ("00000000000000", "00/00/00,00:00:00+00"),
        ("62311222030000", "26/13/21,22:30:00+00"),
        ("AF111222030000", "FA/11/21,22:30:00+00"),
    ],
)
def test_timestamp_is_shown_unchecked(octets, shown):
    """The octets are shown as they are, impossible dates too."""
    assert format_timestamp(bytes.fromhex(octets)) == shown


def test_empty_alpha(make_running_bench):
    """Some modules show it as an empty string, in both formats."""
    bench = make_running_bench(empty_alpha=True)
    bench.at("+CNMI=2,2")
    assert bench.deliver().startswith('\r\n+CMT: "",17\r\n')
    bench.at("+CMGF=1")
    assert bench.deliver().startswith('\r\n+CMT: "000","","26/09/21')


def test_undecodable_message_is_delivered_as_pdu(module_bench):
    """It is not lost."""
    module_bench.at("+CMGF=1;+CNMI=2,2")
    assert module_bench.deliver("04FF") == "\r\n+CMT: ,2\r\n079144770009000004FF\r\n"


def test_status_report_of_an_international_number(module_bench):
    """Both addresses and times are shown; +CMGL and +CMGR show a report in the same form."""
    report = StatusReport(7, Address.parse("+4477"), TIME, TIME, 0x46)
    module_bench.at("+CMGF=1;+CNMI=2,1,0,2,0")
    module_bench.at('+CPMS="SR"')
    module_bench.deliver(encode(report, sca=False).hex)
    shown = '6,7,"+4477",145,"26/09/21,14:13:20+00","26/09/21,14:13:20+00",70'
    assert module_bench.at('+CMGL="ALL"') == f'\r\n+CMGL: 1,"REC UNREAD",{shown}\r\n' + OK
    assert module_bench.at("+CMGR=1") == f'\r\n+CMGR: "REC READ",{shown}\r\n' + OK


def test_stored_command(module_bench):
    """Its type is shown, and with +CSDH=1 the other fields."""
    module_bench.type("AT+CMGW=10\r0002000002070481926300\x1a")
    module_bench.at("+CMGF=1")
    assert module_bench.at("+CMGR=1") == '\r\n+CMGR: "STO UNSENT",2,2\r\n' + OK
    module_bench.at("+CSDH=1")
    assert module_bench.at("+CMGR=1") == '\r\n+CMGR: "STO UNSENT",2,2,0,7,"2936",129,0\r\n\r\n' + OK


# entering


def sent(bench):
    return decode(bench.module.log.submitted_tpdus[-1], direction="mo", sca=False)


@pytest.mark.parametrize(
    ("name", "number", "entered", "text"),
    [
        ("IRA", "2936", "OK {17}", "OK {17}"),
        ("GSM", "2936", "\x00\x11\x02", "@_$"),
        ("HEX", "32393336", "4f4B", "OK"),
        ("UCS2", "0032003900330036", "20AC00e9", "€é"),
        ("UCS2", "0032003900330036", "2192", "?"),
        ("8859-1", "2936", "é£", "é£"),
        ("8859-1", "2936", "ç", "?"),
        ("IRA", "2936", "", ""),
    ],
)
def test_entered_text_is_sent(module_bench, name, number, entered, text):
    """Number and text are in the character set; characters outside GSM 7-bit become question marks."""
    module_bench.at(f'+CMGF=1;+CSCS="{name}"')
    assert module_bench.at(f'+CMGS="{number}"') == "\r\n> "
    assert module_bench.type(entered + "\x1a").startswith("\r\n+CMGS: 0")
    assert sent(module_bench).text == text
    assert str(sent(module_bench).destination_address) == "2936"


def test_csmp_parameters_of_a_submit(module_bench):
    """Report request, validity and protocol come from +CSMP, the type of address from the command."""
    module_bench.at("+CMGF=1;+CSMP=49,10,5,0")
    module_bench.type('AT+CMGS="+4477"\rx\x1a')
    submit = sent(module_bench)
    assert submit.status_report_request
    assert submit.validity_period.octet == 10
    assert submit.protocol_identifier == 5
    assert submit.destination_address.type_of_address == 145
    module_bench.at('+CSMP=25,"26/11/22,01:02:03-04"')
    module_bench.type('AT+CMGS="4477",161\rx\x1a')
    assert sent(module_bench).validity_period.time.isoformat() == "2026-11-22T01:02:03-01:00"
    assert sent(module_bench).destination_address.type_of_address == 161
    assert module_bench.at("+CSMP?") == '\r\n+CSMP: 25,"26/11/22,01:02:03-04",5,0\r\n' + OK
    module_bench.at('+CSMP=9,"01A70000000000"')
    module_bench.type('AT+CMGS="4477"\rx\x1a')
    assert (
        module_bench.module.log.submitted_tpdus[-1].hex().upper().startswith("0902" + "048144770500" + "01A7")
    )
    module_bench.at("+CSMP=1")
    module_bench.type('AT+CMGS="4477"\rx\x1a')
    assert sent(module_bench).validity_period is None


def test_octets_and_ucs2_are_entered_as_hexadecimal(module_bench):
    """The data coding scheme decides."""
    module_bench.at("+CMGF=1;+CSMP=17,167,0,4")
    module_bench.type('AT+CMGS="1"\r0102ff\x1a')
    assert sent(module_bench).data == b"\x01\x02\xff"
    module_bench.at("+CSMP=17,167,0,8")
    module_bench.type('AT+CMGS="1"\r20AC\x1a')
    assert sent(module_bench).text == "€"


@pytest.mark.parametrize("coding", [0, 4, 8])
def test_header_is_entered_as_hexadecimal(module_bench, coding):
    """With TP-UDHI all data are entered as octets."""
    content, alphabet = {0: ("hi", Alphabet.GSM7), 4: (b"hi", None), 8: ("€", Alphabet.UCS2)}[coding]
    user_data = UserData.of(content, alphabet=alphabet, header=(InformationElement(0, b"\7\2\1"),))
    module_bench.at(f"+CMGF=1;+CSMP=81,167,0,{coding}")
    module_bench.type(f'AT+CMGS="1"\r{user_data.octets.hex()}\x1a')
    assert sent(module_bench).concatenation == Concatenation(7, 2, 1, wide=False)
    assert sent(module_bench).user_data.octets == user_data.octets
    assert sent(module_bench).text == user_data.text


@pytest.mark.parametrize(
    ("settings", "entered"),
    [
        ("+CSMP=17,167,0,0", "x" * 161),
        ("+CSMP=17,167,0,0", "{" * 81),
        ("+CSMP=17,167,0,4", "00" * 141),
        ("+CSMP=17,167,0,4", "0"),
        ("+CSMP=17,167,0,4", "xy"),
        ("+CSMP=0,167,0,0", "x"),
        ('+CSMP=17,"x",0,0', "x"),
        ("+CSMP=25,7,0,0", "x"),
        ('+CSCS="UCS2"', "004"),
        ('+CSCS="HEX"', "x"),
    ],
)
def test_invalid_text_is_refused(module_bench, settings, entered):
    """Text that is too long or not hexadecimal, and impossible parameters, give 305."""
    number = {'+CSCS="UCS2"': "0031", '+CSCS="HEX"': "31"}.get(settings, "1")
    module_bench.at(f"+CMGF=1;{settings}")
    assert module_bench.at(f'+CMGS="{number}"') == "\r\n> "
    assert module_bench.type(entered + "\x1a") == "\r\n+CMS ERROR: 305\r\n"
    assert module_bench.module.log.submitted_tpdus == []


def test_160_characters_fit(module_bench):
    """So do 80 characters of the extension table."""
    module_bench.at("+CMGF=1")
    for text in ("x" * 160, "{" * 80):
        module_bench.type(f'AT+CMGS="1"\r{text}\x1a')
        assert sent(module_bench).text == text


@pytest.mark.parametrize("number", ['"12x"', '"+"1', '"123456789012345678901"', '"1",208'])
def test_invalid_number_is_refused(module_bench, number):
    """The error comes before the prompt."""
    module_bench.at("+CMGF=1")
    assert module_bench.at(f"+CMGS={number}") in {"\r\n+CMS ERROR: 305\r\n", "\r\nERROR\r\n"}


def test_character_sets_are_chosen_by_name(module_bench):
    """Plain, or in the current character set, as some modules require."""
    assert module_bench.at('+CSCS="ucs2"') == OK
    assert module_bench.at("+CSCS?") == '\r\n+CSCS: "UCS2"\r\n' + OK
    assert module_bench.at('+CSCS="004900520041"') == OK
    assert module_bench.at("+CSCS?") == '\r\n+CSCS: "IRA"\r\n' + OK


@pytest.mark.parametrize("name", ["IRA", "GSM", "HEX", "UCS2", "8859-1"])
def test_text_survives_both_directions(name):
    """Text of the character set is the same after encoding and decoding."""
    text = "Hello @_{}1"
    assert charset.decode_text(charset.encode_text(text, name), name) == text
