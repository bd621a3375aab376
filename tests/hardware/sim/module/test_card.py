"""The card: PIN and PUK with their tries, locks, absence, and what works without it."""

from __future__ import annotations

import pytest

from hardware.sim.module.card import Sim

OK = "\r\nOK\r\n"


def cme(code):
    return f"\r\n+CME ERROR: {code}\r\n"


@pytest.fixture
def locked(fresh):
    """A module whose card asks for the PIN 1234."""
    bench = fresh(sim=Sim(pin="1234", puk="87654321"))
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    return bench


def test_a_locked_card_says_so(fresh):
    """The boot line shows the state; messages and network wait."""
    bench = fresh(sim=Sim(pin="1234"))
    bench.module.power_on()
    assert bench.take() == b"\r\nRDY\r\n\r\n+CPIN: SIM PIN\r\n"
    assert bench.air.log == []


@pytest.mark.parametrize(
    "command", ["+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CPAS", "+CFUN?", "+CPIN?", "+CREG?", "+CSQ", "+CMGF?"]
)
def test_what_works_before_the_pin(locked, command):
    """27.007 8.3 demands these."""
    assert locked.at(command).endswith(OK)


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
def test_what_does_not(locked, command, answer):
    """Each kind of command fails with the error of its own standard."""
    assert locked.at(command) == f"\r\n{answer}\r\n"


def test_tries_are_counted_down_to_the_puk(locked):
    """Wrong, wrong, blocked; the tries can be asked for; PUK and a new PIN bring it back."""
    assert locked.at("+CPINR") == "\r\n+CPINR: SIM PIN,3,3\r\n+CPINR: SIM PUK,10,10\r\n" + OK
    assert locked.at('+CPIN="0000"') == cme(16)
    assert locked.at('+CPINR="SIM PIN"') == "\r\n+CPINR: SIM PIN,2,3\r\n" + OK
    assert locked.at("+CPIN=1111") == cme(16)
    assert locked.at('+CPIN="2222"') == cme(12)
    assert locked.at("+CPIN?") == "\r\n+CPIN: SIM PUK\r\n" + OK
    assert locked.at("+CPMS?") == "\r\n+CMS ERROR: 316\r\n"
    assert locked.at('+CPIN="1234"') == cme(12)
    assert locked.at('+CPIN="00000000","4321"') == cme(16)
    assert locked.at('+CPINR="SIM PUK"') == "\r\n+CPINR: SIM PUK,9,10\r\n" + OK
    assert locked.at('+CPIN="87654321","4321"') == OK
    assert locked.at("+CPIN?") == "\r\n+CPIN: READY\r\n" + OK
    assert (locked.sim.pin, locked.sim.pin_tries) == ("4321", 3)


def test_a_right_pin_gives_the_tries_back(locked):
    """And the module registers."""
    locked.at('+CPIN="0000"')
    assert locked.at('+CPIN="1234"') == OK
    assert locked.sim.pin_tries == 3
    assert locked.air.log == ["attach"]
    assert locked.at("+CPMS?").startswith("\r\n+CPMS:")


def test_ten_wrong_puks_kill_the_card(locked):
    """What remains is a SIM failure."""
    locked.sim.pin_tries = 0
    answers = [locked.at('+CPIN="00000000","1234"') for _ in range(10)]
    assert answers == [cme(16)] * 9 + [cme(13)]
    assert locked.at("+CPIN?") == cme(13)
    assert locked.at("+CPMS?") == "\r\n+CMS ERROR: 313\r\n"


def test_the_pin_is_asked_for_again_after_a_restart(locked):
    """Also after +CFUN=0; not after +CFUN=4."""
    locked.at('+CPIN="1234"')
    locked.at("+CFUN=4")
    locked.at("+CFUN=1")
    assert locked.at("+CPIN?") == "\r\n+CPIN: READY\r\n" + OK
    locked.at("+CFUN=0")
    assert locked.at("+CPIN?") == cme(14)
    assert locked.at("+CFUN=1") == OK + "\r\n+CPIN: SIM PIN\r\n"
    assert locked.at("+CPIN?") == "\r\n+CPIN: SIM PIN\r\n" + OK
    locked.at('+CPIN="1234"')
    locked.module.reboot()
    assert locked.take() == b"\r\nRDY\r\n\r\n+CPIN: SIM PIN\r\n"


def test_locking_and_unlocking(bench, locked):
    """+CLCK and +CPWD with their PIN; a wrong one costs a try."""
    assert locked.at('+CLCK="SC",2') == "\r\n+CLCK: 1\r\n" + OK
    assert locked.at('+CLCK="SC",0,"0000"') == cme(16)
    assert locked.at('+CLCK="SC",0,"1234"') == OK
    locked.module.reboot(loud=False)
    locked.at("E0+CMEE=1")
    assert locked.at("+CPIN?") == "\r\n+CPIN: READY\r\n" + OK
    assert locked.at('+CLCK="SC",2') == "\r\n+CLCK: 0\r\n" + OK
    assert locked.at('+CPWD="SC","1234","99"') == cme(16)
    assert locked.at('+CPWD="SC","1234","9999"') == OK
    assert locked.at('+CLCK="SC",1,"9999"') == OK
    assert locked.at("+CLCK=?") == '\r\n+CLCK: ("SC")\r\n' + OK
    assert locked.at('+CLCK="AO",2') == cme(4)


def test_without_a_card(fresh):
    """Everything that needs it says so, and nobody registers."""
    bench = fresh(sim=Sim(present=False))
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    assert bench.at("+CPIN?") == cme(10)
    assert bench.at("+CIMI") == cme(10)
    assert bench.at("+CPMS?") == "\r\n+CMS ERROR: 310\r\n"
    assert bench.at("+CREG?") == "\r\n+CREG: 0,0\r\n" + OK
    assert bench.module.imsi == ""


def test_the_maker_may_tell_of_unlocking(fresh):
    """`+CPIN: READY` and the message lines follow the OK."""
    bench = fresh(sim=Sim(pin="1"), tells_unlocking=True, messages_s=2.0)
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    assert bench.at('+CPIN="1"') == OK + "\r\n+CPIN: READY\r\n"
    assert bench.at("+CPMS?") == "\r\n+CMS ERROR: 314\r\n"
    bench.time.pass_(2)
    assert bench.take() == b"\r\nSMS DONE\r\n"
    assert bench.at("+CMGL") == OK
