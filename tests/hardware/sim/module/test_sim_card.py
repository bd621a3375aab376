"""The card: PIN and PUK with their tries, locks, absence, and what works without it."""

from __future__ import annotations

import pytest

from hardware.sim.module.sim_card import SimCard

OK = "\r\nOK\r\n"


def cme(code):
    return f"\r\n+CME ERROR: {code}\r\n"


@pytest.fixture
def pin_locked_bench(make_module_bench):
    """A module whose card asks for the PIN 1234."""
    bench = make_module_bench(sim=SimCard(pin="1234", puk="87654321"))
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    return bench


def test_locked_sim_is_reported(make_module_bench):
    """The boot URC shows the PIN state; messages and network wait."""
    bench = make_module_bench(sim=SimCard(pin="1234"))
    bench.module.power_on()
    assert bench.take_output() == b"\r\nRDY\r\n\r\n+CPIN: SIM PIN\r\n"
    assert bench.network.log == []


@pytest.mark.parametrize(
    "command", ["+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CPAS", "+CFUN?", "+CPIN?", "+CREG?", "+CSQ", "+CMGF?"]
)
def test_commands_allowed_before_the_pin(pin_locked_bench, command):
    """27.007 8.3 requires these commands to work without a PIN."""
    assert pin_locked_bench.at(command).endswith(OK)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("+CIMI", "+CME ERROR: 11"),
        ("+CCID", "+CME ERROR: 11"),
        ("+COPS?", "+CME ERROR: 11"),
        ("+CPMS?", "+CMS ERROR: 311"),
        ("+CMGL", "+CMS ERROR: 311"),
        ("+CMGS=15", "+CMS ERROR: 311"),
        ("+CNMI=2,1", "+CMS ERROR: 311"),
        ("+CSCA?", "+CMS ERROR: 311"),
    ],
)
def test_commands_refused_before_the_pin(pin_locked_bench, command, answer):
    """Each kind of command fails with the error of its own standard."""
    assert pin_locked_bench.at(command) == f"\r\n{answer}\r\n"


def test_wrong_pins_require_the_puk(pin_locked_bench):
    """Wrong PINs use up the retries, which can be read; PUK and a new PIN unlock the SIM."""
    assert pin_locked_bench.at("+CPINR") == "\r\n+CPINR: SIM PIN,3,3\r\n+CPINR: SIM PUK,10,10\r\n" + OK
    assert pin_locked_bench.at('+CPIN="0000"') == cme(16)
    assert pin_locked_bench.at('+CPINR="SIM PIN"') == "\r\n+CPINR: SIM PIN,2,3\r\n" + OK
    assert pin_locked_bench.at("+CPIN=1111") == cme(16)
    assert pin_locked_bench.at('+CPIN="2222"') == cme(12)
    assert pin_locked_bench.at("+CPIN?") == "\r\n+CPIN: SIM PUK\r\n" + OK
    assert pin_locked_bench.at("+CPMS?") == "\r\n+CMS ERROR: 316\r\n"
    assert pin_locked_bench.at('+CPIN="1234"') == cme(12)
    assert pin_locked_bench.at('+CPIN="00000000","4321"') == cme(16)
    assert pin_locked_bench.at('+CPINR="SIM PUK"') == "\r\n+CPINR: SIM PUK,9,10\r\n" + OK
    assert pin_locked_bench.at('+CPIN="87654321","4321"') == OK
    assert pin_locked_bench.at("+CPIN?") == "\r\n+CPIN: READY\r\n" + OK
    assert (pin_locked_bench.sim.pin, pin_locked_bench.sim.pin_retries) == ("4321", 3)


def test_right_pin_restores_retries(pin_locked_bench):
    """The retries are restored, and the module registers."""
    pin_locked_bench.at('+CPIN="0000"')
    assert pin_locked_bench.at('+CPIN="1234"') == OK
    assert pin_locked_bench.sim.pin_retries == 3
    assert pin_locked_bench.network.log == ["attach"]
    assert pin_locked_bench.at("+CPMS?").startswith("\r\n+CPMS:")


def test_ten_wrong_puks_block_the_sim(pin_locked_bench):
    """After that every access is a SIM failure."""
    pin_locked_bench.sim.pin_retries = 0
    answers = [pin_locked_bench.at('+CPIN="00000000","1234"') for _ in range(10)]
    assert answers == [cme(16)] * 9 + [cme(13)]
    assert pin_locked_bench.at("+CPIN?") == cme(13)
    assert pin_locked_bench.at("+CPMS?") == "\r\n+CMS ERROR: 313\r\n"


def test_pin_is_required_after_restart(pin_locked_bench):
    """The PIN is required after a restart and after +CFUN=0, but not after +CFUN=4."""
    pin_locked_bench.at('+CPIN="1234"')
    pin_locked_bench.at("+CFUN=4")
    pin_locked_bench.at("+CFUN=1")
    assert pin_locked_bench.at("+CPIN?") == "\r\n+CPIN: READY\r\n" + OK
    pin_locked_bench.at("+CFUN=0")
    assert pin_locked_bench.at("+CPIN?") == cme(14)
    assert pin_locked_bench.at("+CFUN=1") == OK + "\r\n+CPIN: SIM PIN\r\n"
    assert pin_locked_bench.at("+CPIN?") == "\r\n+CPIN: SIM PIN\r\n" + OK
    pin_locked_bench.at('+CPIN="1234"')
    pin_locked_bench.module.reboot()
    assert pin_locked_bench.take_output() == b"\r\nRDY\r\n\r\n+CPIN: SIM PIN\r\n"


def test_clck_and_cpwd(module_bench, pin_locked_bench):
    """+CLCK and +CPWD need the PIN; a wrong one uses up a retry."""
    assert pin_locked_bench.at('+CLCK="SC",2') == "\r\n+CLCK: 1\r\n" + OK
    assert pin_locked_bench.at('+CLCK="SC",0,"0000"') == cme(16)
    assert pin_locked_bench.at('+CLCK="SC",0,"1234"') == OK
    pin_locked_bench.module.reboot(print_boot_lines=False)
    pin_locked_bench.at("E0+CMEE=1")
    assert pin_locked_bench.at("+CPIN?") == "\r\n+CPIN: READY\r\n" + OK
    assert pin_locked_bench.at('+CLCK="SC",2') == "\r\n+CLCK: 0\r\n" + OK
    assert pin_locked_bench.at('+CPWD="SC","1234","99"') == cme(16)
    assert pin_locked_bench.at('+CPWD="SC","1234","9999"') == OK
    assert pin_locked_bench.at('+CLCK="SC",1,"9999"') == OK
    assert pin_locked_bench.at("+CLCK=?").startswith('\r\n+CLCK: ("SC","FD","PS",')
    assert pin_locked_bench.at('+CLCK="XX",2') == cme(4)


def test_module_without_sim(make_module_bench):
    """Every command that needs the SIM fails, and the module does not register."""
    bench = make_module_bench(sim=SimCard(present=False))
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    assert bench.at("+CPIN?") == cme(10)
    assert bench.at("+CIMI") == cme(10)
    assert bench.at("+CPMS?") == "\r\n+CMS ERROR: 310\r\n"
    assert bench.at("+CREG?") == "\r\n+CREG: 0,0\r\n" + OK
    assert bench.module.imsi == ""


def test_unlock_may_print_boot_lines(make_module_bench):
    """On some modules `+CPIN: READY` and the message URCs follow the OK."""
    bench = make_module_bench(sim=SimCard(pin="1"), announces_pin_unlock=True, sms_ready_s=2.0)
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    assert bench.at('+CPIN="1"') == OK + "\r\n+CPIN: READY\r\n"
    assert bench.at("+CPMS?") == "\r\n+CMS ERROR: 314\r\n"
    bench.time.advance(2)
    assert bench.take_output() == b"\r\nSMS DONE\r\n"
    assert bench.at("+CMGL") == OK
