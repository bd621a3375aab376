"""What programs ask at their start, beside messages: calls, services, indicators, packet data."""

from __future__ import annotations

import pytest

OK, ERROR, NO_CARRIER = "\r\nOK\r\n", "\r\nERROR\r\n", "\r\nNO CARRIER\r\n"


def cme(code):
    return f"\r\n+CME ERROR: {code}\r\n"


def info(*texts):
    return "".join(f"\r\n{text}\r\n" for text in texts) + OK


@pytest.mark.parametrize(
    ("name", "default", "allowed", "wrong", "other"),
    [
        ("+CLIP", "0,0", "(0,1)", "2", "1"),
        ("+CLIR", "0,0", "(0-2)", "3", "2"),
        ("+COLP", "0,0", "(0,1)", "2", "1"),
        ("+CDIP", "0,0", "(0,1)", "2", "1"),
        ("+CNAP", "0,0", "(0,1)", "2", "1"),
        ("+CRC", "0", "(0,1)", "2", "1"),
        ("+CSSN", "0,0", "(0,1),(0,1)", "0,2", "1,1"),
        ("+CCWA", "0", "(0,1)", "2", "1"),
        ("+CUSD", "0", "(0-2)", "3", "1"),
        ("+CMOD", "0", "(0-3)", "4", "1"),
        ("+CVHU", "0", "(0-2)", "3", "1"),
        ("+CBST", "7,0,1", "(0-134),(0,1),(0-3)", "0,2", "0,0,1"),
        ("+CRLP", "61,61,48,6", "(0-61),(0-61),(39-255),(1-255)", "62", "61,61,50,6"),
        ("+CSTA", "129", "(129,145)", "130", "145"),
        ("+FCLASS", "0", "(0)", "1", "0"),
        ("+VTD", "1", "(1-255)", "0", "2"),
        ("+CLVL", "3", "(0-5)", "6", "5"),
        ("+CMUT", "0", "(0,1)", "2", "1"),
        ("+CGEREP", "0,0", "(0-2),(0,1)", "3", "2,1"),
        ("+CMER", "0,0,0,0,0", "(0-3),(0),(0),(0,1),(0,1)", "3,1", "3,0,0,1,0"),
        ("+WS46", "25", "(25,28)", "12", "28"),
        ("+CPLS", "0", "(0-2)", "3", "1"),
        ("+CEMODE", "2", "(0-3)", "4", "1"),
        ("+ICF", "3,3", "(1-6),(0-3)", "7", "2,1"),
    ],
)
def test_setting_is_remembered(module_bench, name, default, allowed, wrong, other):
    """Test, read and set forms agree; a wrong value changes nothing; AT&F restores the default."""
    suffix = ",0" if name in {"+CLIP", "+CLIR", "+COLP", "+CDIP", "+CNAP"} else ""
    assert module_bench.at(f"{name}=?") == info(f"{name}: {allowed}")
    assert module_bench.at(f"{name}?") == info(f"{name}: {default}")
    assert module_bench.at(f"{name}={other}") == OK
    assert module_bench.at(f"{name}={wrong}") == ERROR
    assert module_bench.at(f"{name}?") == info(f"{name}: {other}{suffix}")
    module_bench.at("&F")
    module_bench.at("E0")
    assert module_bench.at(f"{name}?") == info(f"{name}: {default}")


@pytest.mark.parametrize(
    "command", ["D123;", "DT*99#", "D*99***1#", "D>SM1;", "DL", "A", "O", '+CGDATA="PPP",1']
)
def test_call_ends_with_no_carrier(module_bench, command):
    """The SIM has neither voice nor data."""
    assert module_bench.at(command) == NO_CARRIER
    module_bench.at("V0")
    assert module_bench.at(command) == "3\r"


@pytest.mark.parametrize(
    "command", ["H", "+CHUP", "+CLCC", "+CGACT=0", "+CGACT=0,1", "+CGPADDR", "+CCFC=0,0"]
)
def test_nothing_is_active(module_bench, command):
    """Ending and listing calls and connections gives only OK."""
    assert module_bench.at(command) == OK


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("+CCWA=0,2", info("+CCWA: 0,7")),
        ("+CCWA=0,1", cme(133)),
        ("+CCFC=0,2", info("+CCFC: 0,7")),
        ('+CCFC=0,3,"+447700900999"', cme(133)),
        ("+CCFC=9,2", ERROR),
        ("+CHLD=1", cme(3)),
        ("+VTS=1", cme(3)),
        ('+CLCK="AO",2', info("+CLCK: 0")),
        ('+CLCK="AO",1,"0000"', cme(4)),
        ('+CLCK="XX",2', cme(4)),
        ("+CGACT=1,1", cme(133)),
        ("+CGACT=1,99", ERROR),
        ("+CGACT=2", ERROR),
        ('+CGDCONT=1,"X25"', cme(50)),
        ("+CIND=0,2", ERROR),
        ("+CACM?", ERROR),
        ("+COPN", info('+COPN: "00101","Simulated"')),
        ("+CPOL?", OK),
        ("+CPOL=,2", OK),
        ("+CPOL=11", ERROR),
        ('+CPOL=1,2,"00101"', cme(3)),
        ("+CPOL=?", info("+CPOL: (1-10),(0-2)")),
        ("+CEER", info("+CEER: No cause information available")),
    ],
)
def test_answers_of_services_that_the_sim_lacks(module_bench, command, answer):
    """Queries show that nothing is active; what would activate something is refused."""
    assert module_bench.at(command) == answer


def test_contexts_are_shown_as_inactive(module_bench):
    """+CGACT and +CGPADDR list the defined contexts."""
    assert module_bench.at("+CGACT?") == OK
    module_bench.at('+CGDCONT=1,"IP","super";+CGDCONT=3,"IPV4V6","iot"')
    assert module_bench.at("+CGACT?") == info("+CGACT: 1,0\r\n+CGACT: 3,0")
    assert module_bench.at("+CGPADDR=3") == info("+CGPADDR: 3")
    assert module_bench.at("+CGPADDR=?") == info("+CGPADDR: (1,3)")
    assert '+CGDCONT: (1-15),"IPV6",,,(0),(0)' in module_bench.at("+CGDCONT=?")


@pytest.mark.parametrize(
    ("charset", "code", "answer"),
    [
        ("IRA", "*100#", 'The sandbox has no USSD service.",15'),
        ("UCS2", "002A0031003000300023", "00540068006500200073"),
        ("HEX", "2A31303023", "54686520"),
    ],
)
def test_service_code_is_answered_after_the_ok(module_bench, charset, code, answer):
    """In the character set in force, if <n> is 1; the final result code comes first."""
    module_bench.at(f'+CSCS="{charset}"')
    assert module_bench.at(f'+CUSD=0,"{code}",15') == OK
    output = module_bench.at(f'+CUSD=1,"{code}",15')
    assert output.startswith(f'{OK}\r\n+CUSD: 0,"{answer}')
    assert module_bench.at("+CUSD=2") == OK
    assert module_bench.at("+CUSD?") == info("+CUSD: 1")


def test_service_code_needs_sim_and_network(module_bench):
    """The right error for each."""
    module_bench.module.set_registration(2)
    assert module_bench.at('+CUSD=1,"*100#"') == cme(30)
    module_bench.module.remove_sim()
    module_bench.take_output()
    assert module_bench.at('+CUSD=1,"*100#"') == cme(10)


def test_dialled_service_code_is_one_too(module_bench):
    """ATD*100#; as some programs send it."""
    module_bench.at("+CUSD=1")
    assert "+CUSD: 0," in module_bench.at("D*100#;")
    assert module_bench.at("D*100#;+CSQ").startswith("\r\n+CSQ: ")


def test_indicators_have_the_states_of_the_module(module_bench):
    """Signal, service, unread message, roaming."""
    assert module_bench.at("+CIND=?").startswith(
        '\r\n+CIND: ("battchg",(0-5)),("signal",(0-5)),("service",(0,1)),'
    )
    assert module_bench.at("+CIND?") == info("+CIND: 5,4,1,0,0,0,0")
    module_bench.module.set_registration(5)
    module_bench.at("+CNMI=2,1")
    module_bench.deliver()
    assert module_bench.at("+CIND?") == info("+CIND: 5,4,1,1,0,1,0")


def test_changed_indicator_is_reported(module_bench):
    """+CIEV with the place of the indicator, if +CMER and +CIND want it."""
    module_bench.module.set_registration(2)
    assert module_bench.take_output() == b""
    module_bench.at("+CMER=3,0,0,1")
    module_bench.module.set_registration(5)
    assert module_bench.take_output().decode() == "\r\n+CIEV: 2,4\r\n\r\n+CIEV: 3,1\r\n\r\n+CIEV: 6,1\r\n"
    assert module_bench.at("+CIND=0,0,1,1,0,0") == OK
    module_bench.module.set_registration(1)
    assert module_bench.take_output() == b""
    assert module_bench.deliver() == "\r\n+CIEV: 4,1\r\n"
    assert "+CIEV: 4,0" in module_bench.at("+CMGR=1")


def test_second_value_of_lists(make_running_bench):
    """SIMCom's <mode> 1 leaves unread messages unread; a profile may refuse it."""
    bench = make_running_bench()
    bench.deliver()
    assert "+CMGR: 0," in bench.at("+CMGR=1,1")
    assert "+CMGL: 1,0," in bench.at("+CMGL=4,1")
    assert "+CMGL: 1,0," in bench.at("+CMGL=4,0")
    assert "+CMGL: 1,1," in bench.at("+CMGL=4")
    bench.at("+CMGF=1")
    assert '+CMGL: 1,"REC READ"' in bench.at('+CMGL="ALL",0')
    other = make_running_bench(takes_list_mode=False)
    other.deliver()
    assert other.at("+CMGR=1,1") == ERROR
    assert other.at("+CMGL=4,0") == ERROR


def test_settings_are_shown(module_bench):
    """AT&V is free text."""
    assert "E0 Q0 V1 X4" in module_bench.at("&V")


# Phonebook


def test_phonebook_is_empty_and_own_number_known(module_bench):
    """SM has no entries, ON and +CNUM have the number of the SIM."""
    assert module_bench.at("+CPBS=?") == info('+CPBS: ("SM","ON")')
    assert module_bench.at("+CPBS?") == info('+CPBS: "SM",0,250')
    assert module_bench.at("+CPBR=?") == info("+CPBR: (1-250),40,16")
    assert module_bench.at("+CPBR=1,250") == OK
    assert module_bench.at('+CPBS="ON"') == OK
    assert module_bench.at("+CPBR=1") == info('+CPBR: 1,"+447700900001",145,""')
    assert module_bench.at("+CNUM") == info('+CNUM: "","+447700900001",145')


def test_phonebook_entry_is_stored_on_the_sim(module_bench):
    """It is found, survives a restart, and can be deleted."""
    assert module_bench.at('+CPBW=,"+447700900123",,"Anna"') == OK
    assert module_bench.at('+CPBW=7,"2936",129,"Bert"') == OK
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.at("E0+CMEE=1")
    assert module_bench.at("+CPBR=1,9") == info(
        '+CPBR: 1,"+447700900123",145,"Anna"\r\n+CPBR: 7,"2936",129,"Bert"'
    )
    assert module_bench.at('+CPBF="an"') == info('+CPBF: 1,"+447700900123",145,"Anna"')
    module_bench.at('+CSCS="UCS2"')
    assert module_bench.at("+CPBR=7") == info('+CPBR: 7,"2936",129,"0042006500720074"')
    assert module_bench.at("+CPBW=7") == OK
    assert module_bench.at("+CPBS?") == info('+CPBS: "SM",1,250')


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ('+CPBS="XX"', cme(50)),
        ("+CPBS=SM", ERROR),
        ("+CPBR=0", cme(21)),
        ("+CPBR=1,251", cme(21)),
        ("+CPBR=x", ERROR),
        ('+CPBF="nobody"', cme(22)),
        ('+CPBW=251,"1"', cme(21)),
        ('+CPBW=1,"abc"', cme(27)),
        ('+CPBW=1,"12w3"', cme(27)),
        (f'+CPBW=1,"{"1" * 41}"', cme(26)),
        (f'+CPBW=1,"1",129,"{"x" * 17}"', cme(24)),
        ("+CPBW=", ERROR),
    ],
)
def test_wrong_phonebook_command_is_refused(module_bench, command, answer):
    """With the error of 27.007 9.2 that names the value, and ERROR for what is no value at all."""
    assert module_bench.at(command) == answer
    assert module_bench.at("+CPBS?") == info('+CPBS: "SM",0,250')


def test_phonebook_needs_the_pin(make_module_bench):
    """As other commands that read the SIM."""
    bench = make_module_bench()
    bench.sim.pin, bench.sim.pin_enabled = "1234", True
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    for command in ("+CPBS?", "+CPBR=1", "+CNUM"):
        assert bench.at(command) == cme(11)
