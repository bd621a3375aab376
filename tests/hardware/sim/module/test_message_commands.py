"""Stores, lists, deletion, sending, and the settings of message commands: 27.005."""

from __future__ import annotations

import pytest

from pdu import decode

OK, ERROR = "\r\nOK\r\n", "\r\nERROR\r\n"
CENTRE = "0791447700090000"
HI = "04038100F000006290124131020002E834"
PLAN = "0404819263000062901241310200047076D80D"
SUBMIT = "001100048192630000A705CF25287603"


def cms(code):
    return f"\r\n+CMS ERROR: {code}\r\n"


def info(*texts):
    return "".join(f"\r\n{text}\r\n" for text in texts) + OK


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("+CSMS=?", "+CSMS: (0,1)"),
        ("+CSMS?", "+CSMS: 0,1,1,1"),
        ("+CPMS=?", '+CPMS: ("SM","ME","MT","SR"),("SM","ME","MT"),("SM","ME","MT")'),
        ("+CPMS?", '+CPMS: "ME",0,20,"ME",0,20,"ME",0,20'),
        ('+CPMS="SM","MT"', "+CPMS: 0,10,0,30,0,20"),
        ("+CMGF=?", "+CMGF: (0,1)"),
        ("+CMGF?", "+CMGF: 0"),
        ("+CSCA?", '+CSCA: "+447700900000",145'),
        ("+CSMP?", "+CSMP: 17,167,0,0"),
        ("+CSDH=?", "+CSDH: (0,1)"),
        ("+CSDH?", "+CSDH: 0"),
        ("+CSCB=?", "+CSCB: (0,1)"),
        ("+CSCB?", '+CSCB: 0,"",""'),
        ("+CSAS=?", "+CSAS: (0-3)"),
        ("+CMMS=?", "+CMMS: (0-2)"),
        ("+CMMS?", "+CMMS: 0"),
        ("+CNMI=?", "+CNMI: (0-3),(0-3),(0,2),(0-2),(0,1)"),
        ("+CNMI?", "+CNMI: 0,0,0,0,0"),
        ("+CMGL=?", "+CMGL: (0-4)"),
        ("+CMGD=?", "+CMGD: (),(0-4)"),
        ("+CSCS=?", '+CSCS: ("IRA","GSM","UCS2","HEX","8859-1")'),
        ("+CSCS?", '+CSCS: "IRA"'),
        ("+CGSMS=?", "+CGSMS: (0-3)"),
        ("+CGSMS?", "+CGSMS: 1"),
    ],
)
def test_answers_of_message_commands(module_bench, command, answer):
    """Read, test and set forms follow the tables of 27.005 and 27.007."""
    assert module_bench.at(command) == info(answer)


@pytest.mark.parametrize(
    "command", ["+CMGS=?", "+CMGR=?", "+CSCA=?", "+CMSS=?", "+CMGW=?", "+CMGC=?", "+CSMP=?"]
)
def test_test_forms_without_parameters(module_bench, command):
    """They give only OK."""
    assert module_bench.at(command) == OK


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("+CSMS=2", cms(303)),
        ("+CSMS=x", ERROR),
        ("+CSMS=", ERROR),
        ('+CPMS="XX"', cms(302)),
        ('+CPMS="ME","SR"', cms(302)),
        ("+CPMS=ME", ERROR),
        ("+CPMS", ERROR),
        ('+CPMS="ME","ME","ME","ME"', ERROR),
        ("+CMGF=2", ERROR),
        ("+CNMI=4", cms(303)),
        ("+CNMI=2,1,1", cms(303)),
        ("+CNMI=x", ERROR),
        ("+CNMI", ERROR),
        ("+CNMI=2,1,0,0,0,0", ERROR),
        ("+CMGR", ERROR),
        ("+CMGR=", ERROR),
        ("+CMGR=1", cms(321)),
        ("+CMGR=0", cms(321)),
        ("+CMGR=21", cms(321)),
        ("+CMGR=1,2", ERROR),
        ("+CMGL=5", ERROR),
        ('+CMGL="ALL"', ERROR),
        ("+CMGD", ERROR),
        ("+CMGD=0", cms(321)),
        ("+CMGD=21", cms(321)),
        ("+CMGD=1,5", ERROR),
        ("+CMGD=7", OK),
        ("+CMGD=,1", OK),
        ("+CMSS=1", cms(321)),
        ("+CSCA=1", ERROR),
        ('+CSCA="abx"', cms(304)),
        ("+CMGS", ERROR),
        ("+CMGS?", ERROR),
        ('+CMGS="1"', ERROR),
        ("+CESP", ERROR),
        ("+CMUX=0", ERROR),
        ("+CSDH=2", ERROR),
        ("+CMMS=3", ERROR),
        ('+CSCS="ABC"', ERROR),
        ("+CSCS=GSM", ERROR),
    ],
)
def test_invalid_commands_are_refused(module_bench, command, answer):
    """Syntax and range errors give ERROR, message errors +CMS ERROR; nothing changes."""
    before = module_bench.module.settings.copy()
    assert module_bench.at(command) == answer
    assert module_bench.module.settings == before


@pytest.mark.parametrize(
    "command",
    [
        "+CSMS=0,0",
        "+CMGF=0,0",
        '+CSCA="1",129,1',
        "+CSMP=17,167,0,0,0",
        "+CSDH=0,0",
        '+CSCB=0,"","",0',
        "+CSAS=0,0",
        "+CRES=0,0",
        "+CMMS=0,0",
        "+CMGL=4,0,0",
        "+CMGD=1,0,0",
        "+CMGS=15,0",
        "+CMGW=15,0,0",
        '+CMSS=1,"1",129,0',
        "+CMGC=10,0",
        "+CNMA=0,0,0",
        '+CSCS="GSM",0',
        "+CGSMS=0,0",
        "+CREG=0,0",
        '+COPS=0,0,"",0,0',
        "+CGATT=1,0",
        "+CFUN=1,0,0",
        '+CCLK="26/01/01,00:00:00+00",0',
        "+CTZU=0,0",
        "+CTZR=0,0",
        "+CMEE=0,0",
        '+CPIN="1","2","3"',
        '+CPINR="SIM PIN",0',
        '+CLCK="SC",2,"1",1,1',
        '+CPWD="SC","1","2","3"',
        "+CGSN=0,0",
        "+IPR=9600,0",
        "+IFC=0,0,0",
    ],
)
def test_too_many_parameters(module_bench, command):
    """V.250 5.4.4.1: ERROR, and nothing changes."""
    module_bench.at("+CSMS=1")
    before = module_bench.module.settings.copy()
    assert module_bench.at(command) == ERROR
    assert module_bench.module.settings == before


@pytest.mark.parametrize(
    ("command", "highest"),
    [
        ("+CGSMS", 3),
        ("+CTZU", 1),
        ("+CTZR", 3),
        ("+CMEE", 2),
        ("+CREG", 2),
        ("+CEREG", 5),
        ("+CSDH", 1),
        ("+CMMS", 2),
    ],
)
def test_highest_value_in_range(module_bench, command, highest):
    """It is accepted and read back; the next value gives ERROR."""
    module_bench.at(f"{command}={highest}")
    assert module_bench.at(f"{command}?").startswith(f"\r\n{command}: {highest}")
    assert module_bench.at(f"{command}={highest + 1}") == ERROR


def test_omitted_number_is_the_default(module_bench):
    """An omitted number means the default."""
    module_bench.at("+CMGF=1;+CSDH=1;+CMMS=2")
    assert module_bench.at("+CMGF=;+CSDH=;+CMMS=") == OK
    assert module_bench.at("+CMGF?;+CSDH?;+CMMS?") == info("+CMGF: 0", "+CSDH: 0", "+CMMS: 0")
    module_bench.at("+CMGF=1")
    assert module_bench.at("+CMGF") == OK
    assert module_bench.at("+CMGF?") == info("+CMGF: 0")


def test_omitted_stores_keep_their_value(module_bench):
    """+CPMS with one or two names, or a gap."""
    module_bench.at('+CPMS="SM","SM","SM"')
    module_bench.at('+CPMS="ME"')
    assert module_bench.at("+CPMS?") == info('+CPMS: "ME",0,20,"SM",0,10,"SM",0,10')
    module_bench.at('+CPMS="SR",,"MT"')
    assert module_bench.at("+CPMS?") == info('+CPMS: "SR",0,10,"SM",0,10,"MT",0,30')


def test_delete_flags(module_bench):
    """1 read, 2 also sent, 3 also unsent, 4 all; the index is ignored then."""

    def fill():
        module_bench.at("+CMGD=1,4")
        module_bench.deliver()
        module_bench.at("+CMGL=0")  # read
        module_bench.deliver(PLAN)  # unread
        for status in (2, 3):
            module_bench.type(f"AT+CMGW=15,{status}\r{SUBMIT}\x1a")

    def left():
        return [message.status.value for _, message in module_bench.module.stores["ME"]]

    for flag, expected in ((1, [0, 2, 3]), (2, [0, 2]), (3, [0]), (4, [])):
        fill()
        assert module_bench.at(f"+CMGD=1,{flag}") == OK
        assert left() == expected
    fill()
    assert module_bench.at("+CMGD=?") == info("+CMGD: (1,2,3,4),(0-4)")
    assert module_bench.at("+CMGD=2,0") == OK
    assert left() == [1, 2, 3]


def test_lowest_free_index_is_used(module_bench):
    """Indices count from the base of the profile."""
    module_bench.at("+CNMI=2,1")
    for _ in range(3):
        module_bench.deliver()
    module_bench.at("+CMGD=2")
    assert module_bench.deliver() == '\r\n+CMTI: "ME",2\r\n'
    assert module_bench.deliver() == '\r\n+CMTI: "ME",4\r\n'


def test_index_base_may_be_0(make_running_bench):
    """As on the SIM7600."""
    bench = make_running_bench(first_index=0)
    bench.at("+CNMI=2,1")
    assert bench.deliver() == '\r\n+CMTI: "ME",0\r\n'
    assert bench.at("+CMGR=0").startswith("\r\n+CMGR: 0,,17")
    assert bench.at("+CMGR=20") == cms(321)
    assert bench.at("+CMGD=0") == OK


def test_mt_combines_stores(module_bench):
    """MT has the module's own store first, then that of the SIM."""
    module_bench.at("+CNMI=2,1")
    module_bench.deliver()
    module_bench.at('+CPMS="MT","MT","SM"')
    assert module_bench.deliver(PLAN) == '\r\n+CMTI: "SM",1\r\n'
    assert module_bench.at("+CPMS?") == info('+CPMS: "MT",2,30,"MT",2,30,"SM",1,10')
    assert module_bench.at("+CMGR=21") == info(f"+CMGR: 0,,19\r\n{CENTRE}{PLAN}")
    assert module_bench.at("+CMGD=21") == OK
    assert len(module_bench.sim.messages) == 0


def test_mt_may_be_another_name_of_me(make_running_bench):
    """As on modules of Quectel."""
    bench = make_running_bench(mt_is_combined=False)
    bench.deliver()
    assert bench.at('+CPMS="MT"') == info("+CPMS: 1,20,1,20,1,20")


def test_messages_move_with_the_sim(module_bench, make_module_bench):
    """Another module finds them."""
    module_bench.at('+CPMS="SM","SM","SM"')
    module_bench.deliver()
    other = make_module_bench(sim=module_bench.sim)
    other.module.power_on()
    assert '"SM",1,10' in other.at('+CPMS="SM","SM","SM";+CPMS?')


def test_list_by_status(module_bench):
    """Each list shows its status; listing marks messages as read."""
    module_bench.deliver()
    module_bench.type(f"AT+CMGW=15\r{SUBMIT}\x1a")
    module_bench.type(f"AT+CMGW=15,3\r{SUBMIT}\x1a")
    assert module_bench.at("+CMGL") == info(f"+CMGL: 1,0,,17\r\n{CENTRE}{HI}")
    assert module_bench.at("+CMGL") == OK
    assert module_bench.at("+CMGL=1") == info(f"+CMGL: 1,1,,17\r\n{CENTRE}{HI}")
    assert module_bench.at("+CMGL=2") == info(f"+CMGL: 2,2,,15\r\n{SUBMIT}")
    assert module_bench.at("+CMGL=3") == info(f"+CMGL: 3,3,,15\r\n{SUBMIT}")
    module_bench.at("+CMGF=1")
    assert module_bench.at('+CMGL="STO UNSENT"') == info('+CMGL: 2,"STO UNSENT","2936",,\r\nOK 17')
    assert module_bench.at('+CMGL="sto sent"').startswith('\r\n+CMGL: 3,"STO SENT"')
    assert module_bench.at('+CMGL="REC READ"').startswith('\r\n+CMGL: 1,"REC READ"')
    assert module_bench.at('+CMGL="NONE"') == ERROR
    assert module_bench.at("+CMGL=4") == ERROR
    assert module_bench.at("+CMGL=?") == info(
        '+CMGL: ("REC UNREAD","REC READ","STO UNSENT","STO SENT","ALL")'
    )


# sending


@pytest.mark.parametrize(
    ("length", "text", "answer"),
    [
        (15, SUBMIT, info("+CMGS: 0")),
        (15, SUBMIT.lower(), info("+CMGS: 0")),
        (15, "0791447700900000"[:14] + "F0" + SUBMIT[2:], info("+CMGS: 0")),
        (14, SUBMIT, cms(304)),
        (16, SUBMIT, cms(304)),
        (15, SUBMIT[:-1], cms(304)),
        (15, SUBMIT[:-2] + "ZZ", cms(304)),
        (15, "", cms(304)),
        (17, "00" + HI, cms(304)),
        (0, "00", cms(304)),
        (15, SUBMIT + " ", cms(304)),
        (15, "FF" + SUBMIT[2:], cms(304)),
    ],
)
def test_cmgs_in_pdu_mode(module_bench, length, text, answer):
    """A SUBMIT of the announced length, in hexadecimal; anything else gives 304 and nothing is sent."""
    assert module_bench.at(f"+CMGS={length}") == "\r\n> "
    assert module_bench.type(text + "\x1a") == answer
    assert len(module_bench.module.log.submitted_tpdus) == ("+CMGS" in answer)


def test_message_reference_counts_up(module_bench):
    """TP-MR counts on across restarts and wraps; the SUBMIT carries it."""
    module_bench.sim.last_message_reference = 254
    for reference in (255, 0):
        assert module_bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a") == "\r\n> " + info(f"+CMGS: {reference}")
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.at("E0")
    assert module_bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a") == "\r\n> " + info("+CMGS: 1")
    assert [octets[1] for octets in module_bench.module.log.submitted_tpdus] == [255, 0, 1]


@pytest.mark.parametrize("cause", [1, 21, 38, 41, 69, 127, 128, 192, 211, 255])
def test_network_cause_becomes_the_error(module_bench, cause):
    """RP cause or TP-FCS, in decimal."""
    module_bench.network.cause = cause
    assert module_bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a") == "\r\n> " + cms(cause)


def test_network_timeout_gives_332(make_running_bench):
    """The late answer changes nothing."""
    bench = make_running_bench(submit_s=30.0)
    bench.network.answers = False
    bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a")
    bench.time.advance(29)
    assert bench.take_output() == b""
    bench.time.advance(2)
    assert bench.take_output().decode() == cms(332)
    bench.module.submitted(bench.network.token, None)
    assert bench.take_output() == b""
    assert bench.at("") == OK


def test_send_without_network_or_service_centre(module_bench):
    """331 and 330; a service centre in the PDU is enough."""
    module_bench.at('+CSCA=""')
    assert module_bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a") == "\r\n> " + cms(330)
    assert module_bench.at('+CMGF=1;+CMGS="1"') == "\r\n> "
    assert module_bench.type("x\x1a") == cms(330)
    module_bench.at("+CMGF=0")
    assert module_bench.type(f"AT+CMGS=15\r{CENTRE}{SUBMIT[2:]}\x1a") == "\r\n> " + info("+CMGS: 0")
    module_bench.at('+CSCA="+15550001234",145')
    assert module_bench.at("+CSCA?") == info('+CSCA: "+15550001234",145')
    module_bench.module.set_registration(2)
    assert module_bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a") == "\r\n> " + cms(331)


def test_stored_message_is_sent(module_bench):
    """+CMGW then +CMSS, to its own or another number; it is then marked as sent."""
    assert module_bench.type(f"AT+CMGW=15\r{SUBMIT}\x1a") == "\r\n> " + info("+CMGW: 1")
    assert module_bench.at("+CMSS=1") == info("+CMSS: 0")
    assert module_bench.at("+CMGL=3").startswith("\r\n+CMGL: 1,3,")
    assert module_bench.at('+CMSS=1,"+4477"') == info("+CMSS: 1")
    sent = [decode(octets, direction="mo", sca=False) for octets in module_bench.module.log.submitted_tpdus]
    assert [str(submit.destination_address) for submit in sent] == ["2936", "+4477"]
    assert {submit.text for submit in sent} == {"OK 17"}
    module_bench.network.cause = 38
    module_bench.type(f"AT+CMGW=15\r{SUBMIT}\x1a")
    assert module_bench.at("+CMSS=2") == cms(38)
    assert module_bench.at("+CMGL=2").startswith("\r\n+CMGL: 2,2,")
    module_bench.deliver()
    assert module_bench.at("+CMSS=3") == cms(302)


def test_cmgw_in_text_mode(module_bench):
    """With number and status; a received message gets the time of the module."""
    module_bench.at("+CMGF=1")
    assert module_bench.type('AT+CMGW="+4477",145\rhello\x1a') == "\r\n> " + info("+CMGW: 1")
    assert module_bench.at("+CMGR=1") == info('+CMGR: "STO UNSENT","+4477",\r\nhello')
    module_bench.at("+CSDH=1")
    assert module_bench.at("+CMGR=1") == info(
        '+CMGR: "STO UNSENT","+4477",,145,17,0,0,167,"+447700900000",145,5\r\nhello'
    )
    module_bench.at("+CSDH=0")
    assert module_bench.type('AT+CMGW="000",129,"REC UNREAD"\rin\x1a') == "\r\n> " + info("+CMGW: 2")
    assert module_bench.at("+CMGR=2") == info('+CMGR: "REC UNREAD","000",,"26/11/22,01:02:03+00"\r\nin')
    assert module_bench.type("AT+CMGW\rdraft\x1a") == "\r\n> " + info("+CMGW: 3")
    assert module_bench.at("+CMGR=3") == info('+CMGR: "STO UNSENT","",\r\ndraft')
    assert module_bench.at('+CMGW="1",129,"SENT"') == ERROR


def test_cmgw_to_a_full_store(make_running_bench):
    """322."""
    bench = make_running_bench(stores={"ME": 1, "SR": 1})
    bench.deliver()
    assert bench.type(f"AT+CMGW=15\r{SUBMIT}\x1a") == "\r\n> " + cms(322)


def test_cmgc(module_bench):
    """SMS-COMMAND in both formats."""
    assert module_bench.type("AT+CMGC=10\r00" + "02000002070481926300" + "\x1a") == "\r\n> " + info(
        "+CMGC: 0"
    )
    assert module_bench.type(f"AT+CMGC=15\r{SUBMIT}\x1a") == "\r\n> " + cms(304)
    assert module_bench.type("AT+CMGS=10\r0002000002070481926300\x1a") == "\r\n> " + cms(304)
    module_bench.at("+CMGF=1")
    assert module_bench.at('+CMGC=2,2,0,7,"2936"') == "\r\n> "
    assert module_bench.type("\x1a").startswith("\r\n+CMGC: ")
    command = decode(module_bench.module.log.submitted_tpdus[-1], direction="mo", sca=False)
    assert (command.command_type, command.message_number) == (2, 7)
    assert module_bench.at("+CMGC=1,0") == cms(305)


def test_cmms_falls_back(module_bench):
    """+CMMS=1 is 0 again after five seconds without a message, 2 remains."""
    module_bench.at("+CMMS=1")
    module_bench.type(f"AT+CMGS=15\r{SUBMIT}\x1a")
    assert module_bench.at("+CMMS?") == info("+CMMS: 1")
    module_bench.time.advance(6)
    assert module_bench.at("+CMMS?") == info("+CMMS: 0")
    module_bench.at("+CMMS=2")
    module_bench.time.advance(6)
    assert module_bench.at("+CMMS?") == info("+CMMS: 2")


def test_csas_and_cres(module_bench):
    """+CSAS saves service centre, parameters and broadcast setting, +CRES restores them."""
    module_bench.at('+CSCA="+1";+CSMP=1,0,1,4;+CSAS=1')
    module_bench.at('+CSCA="+2";+CSMP=17,167,0,0;+CRES=0')
    assert module_bench.at("+CSCA?") == info('+CSCA: "+2",145')
    module_bench.at("+CRES=1")
    assert module_bench.at("+CSCA?;+CSMP?") == info('+CSCA: "+1",145', "+CSMP: 1,0,1,4")


def test_cnmi_rule_of_simcom(make_running_bench):
    """<mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs 1 or 2."""
    bench = make_running_bench(cnmi_needs_mode=True, cnmi_refusal="ERROR")
    for values, answer in (
        ("2,2,0,1,0", ERROR),
        ("2,2,0,0,0", OK),
        ("1,2,0,1,0", OK),
        ("2,3,0,0,0", ERROR),
        ("1,3,0,0,0", OK),
        ("3,2,0,0,0", ERROR),
        ("2,1,0,2,0", OK),
    ):
        assert bench.at(f"+CNMI={values}") == answer


def test_cnmi_ranges_of_a_profile(make_running_bench):
    """The test form shows what is accepted: SIM800 has only <ds> 0 and 1."""
    bench = make_running_bench(cnmi_allowed=((0, 1, 2, 3), (0, 1, 2, 3), (0, 2), (0, 1), (1,)))
    assert bench.at("+CNMI=?") == info("+CNMI: (0-3),(0-3),(0,2),(0,1),(1)")
    assert bench.at("+CNMI=2,1,0,2,1") == cms(303)
    assert bench.at("+CNMI=2,1") == cms(303)
    assert bench.at("+CNMI=2,1,0,0,1") == OK


def test_profile_may_start_in_text_mode(make_module_bench):
    """The format is a factory setting."""
    for cmgf in (0, 1):
        bench = make_module_bench(cmgf=cmgf)
        bench.module.power_on()
        assert f"+CMGF: {cmgf}\r\n" in bench.at("+CMGF?")


def test_profile_without_text_mode(make_running_bench):
    """The test form shows it and +CMGF=1 is refused."""
    bench = make_running_bench(text_mode=False)
    assert bench.at("+CMGF=?") == info("+CMGF: (0)")
    assert bench.at("+CMGF=1") == cms(303)


@pytest.mark.parametrize("sm_is_me", [False, True])
def test_one_memory_with_two_names(make_running_bench, sm_is_me):
    """Both names show the same slots if the profile says so."""
    bench = make_running_bench(sm_is_me=sm_is_me)
    bench.at("+CNMI=1,1")
    bench.deliver(HI)
    bench.at('+CPMS="SM"')
    entry = f"+CMGL: 1,0,,{len(HI) // 2}\r\n{CENTRE}{HI}"
    assert bench.at("+CMGL=4") == (info(entry) if sm_is_me else OK)


def test_delete_that_frees_every_read_slot(make_running_bench):
    """An unread message stays."""
    bench = make_running_bench(delete_frees_read=True)
    for _ in range(2):
        bench.deliver(HI)
    bench.at("+CMGL=4")
    bench.deliver(PLAN)
    assert bench.at("+CMGD=1") == OK
    assert bench.at("+CMGL=4") == info(f"+CMGL: 3,0,,{len(PLAN) // 2}\r\n{CENTRE}{PLAN}")


def test_list_without_line_ends_between_its_entries(make_running_bench):
    """The entries follow each other on one line."""
    bench = make_running_bench(joins_list_entries=True)
    bench.deliver(HI)
    bench.deliver(PLAN)
    entries = [
        f"+CMGL: {index},0,,{len(tpdu) // 2}\r\n{CENTRE}{tpdu}" for index, tpdu in enumerate((HI, PLAN), 1)
    ]
    assert bench.at("+CMGL=4") == info("".join(entries))
