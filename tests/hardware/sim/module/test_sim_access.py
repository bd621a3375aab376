"""Files of the SIM by +CRSM, and commands of the card by +CSIM."""

from __future__ import annotations

import pytest

from hardware.sim.module.sim_card import SimCard

OK, ERROR = "\r\nOK\r\n", "\r\nERROR\r\n"


def crsm(status, data=""):
    values = f"{status >> 8},{status & 0xFF}" + (f',"{data}"' if data else "")
    return f"\r\n+CRSM: {values}\r\n{OK}"


def csim(response):
    return f'\r\n+CSIM: {len(response)},"{response}"\r\n{OK}'


ICCID = "98440000000000000071"
IMSI = "082943050000000010"
SPN = "00" + "53696D756C61746564" + "FF" * 7
MSISDN = "FF" * 14 + "07" + "9144770009001" + "0" + "FF" * 4 + "FFFF"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("176,12258,0,0,10", crsm(0x9000, ICCID)),
        ("176,28423,0,0,9", crsm(0x9000, IMSI)),
        ("176,28423,0,1,2", crsm(0x9000, IMSI[2:6])),
        ("176,28486,0,0,17", crsm(0x9000, SPN)),
        ("176,28589,0,0,4", crsm(0x9000, "00000002")),
        ("176,28599,0,0,15", crsm(0x9000, "11F2FF19F1FF" + "FF" * 9)),
        ("178,28480,1,4,28", crsm(0x9000, MSISDN)),
        ("192,28423,0,0,99", crsm(0x6C16)),
        ("192,28480", crsm(0x9000, "621782054221001C01" + "8302" + "6F40" + "8A01058B036F0602" + "8002001C")),
        ("192,12258,0,0,22", crsm(0x9000, "6214820241218302" + "2FE2" + "8A01058B036F0601" + "8002000A")),
        ("176,12258,0,0,0", crsm(0x6C0A)),
        ("176,12258,0,0,11", crsm(0x6C0A)),
        ("176,12258,0,10,1", crsm(0x6B00)),
        ("176,28480,0,0,28", crsm(0x6981)),
        ("178,28423,1,4,9", crsm(0x6981)),
        ("178,28480,2,4,28", crsm(0x6A83)),
        ("176,28475,0,0,1", crsm(0x6A82)),
        ("192,28539,0,0,15", crsm(0x6A82)),
        ('214,28423,0,0,1,"00"', crsm(0x6982)),
        ("203,12258", crsm(0x6D00)),
        ("242", crsm(0x9000)),
        ("177,12258,0,0,10", ERROR),
        ("176,65536,0,0,10", ERROR),
        ("176,12258,0,256,10", ERROR),
    ],
)
def test_file_of_the_sim_is_read(module_bench, command, answer):
    """Contents of the SIM with 9000, and the status word of the card for everything else."""
    assert module_bench.at(f"+CRSM={command}") == answer


def test_service_centre_is_on_the_sim(module_bench):
    """EF_SMSP changes with +CSCA."""
    module_bench.at('+CSCA="+491710760000"')
    assert "0791947101670000FFFFFFFF" in module_bench.at("+CRSM=178,28482,1,4,40")


def test_own_number_with_signs_is_on_the_sim(module_bench):
    """EF_MSISDN has digits for `*`, `#` and a pause, and the other files can be read as before."""
    module_bench.at('+CPBS="ON"')
    assert module_bench.at('+CPBW=1,"*12#p3",129,"x"') == OK
    number = "04" + "81" + "1AB2" + "3C" + "FF" * 7
    assert module_bench.at("+CRSM=178,28480,1,4,28") == crsm(0x9000, "78" + "FF" * 13 + number + "FFFF")
    assert module_bench.at("+CRSM=176,28423,0,0,9") == crsm(0x9000, IMSI)


@pytest.mark.parametrize(
    ("imsi", "content"), [("001010000000001", "080910100000000010"), ("00101000000001", "0801101000000000F1")]
)
def test_imsi_with_its_parity(make_running_bench, imsi, content):
    """15 digits are odd, 14 even."""
    bench = make_running_bench(sim=SimCard(imsi=imsi))
    assert bench.at("+CRSM=176,28423,0,0,9") == crsm(0x9000, content)


def test_only_the_iccid_is_read_without_pin(make_module_bench):
    """It is public on every card; the rest needs the PIN."""
    bench = make_module_bench()
    bench.sim.pin, bench.sim.pin_enabled = "1234", True
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    assert bench.at("+CRSM=176,12258,0,0,10") == crsm(0x9000, ICCID)
    assert bench.at("+CRSM=176,28423,0,0,9") == crsm(0x6982)


def test_sim_that_is_absent_gives_the_error_of_the_module(module_bench):
    module_bench.module.remove_sim()
    module_bench.take_output()
    for command in ("+CRSM=176,12258,0,0,10", '+CSIM=10,"0020000100"'):
        assert module_bench.at(command) == "\r\n+CME ERROR: 10\r\n"


def test_remaining_tries_are_told_by_the_card(make_module_bench):
    """VERIFY and UNBLOCK without data; a wrong PIN uses up a try; the right one unlocks the module."""
    bench = make_module_bench()
    bench.sim.pin, bench.sim.pin_enabled = "1234", True
    bench.module.power_on()
    bench.at("E0+CMEE=1")
    assert bench.at('+CSIM=10,"0020000100"') == csim("63C3")
    assert bench.at('+CSIM=10,"002C000100"') == csim("63CA")
    assert bench.at('+CSIM=10,"0020008100"') == csim("63C3")
    assert bench.at('+CSIM=26,"002000010830303030FFFFFFFF"') == csim("63C2")
    assert bench.at('+CPINR="SIM PIN"') == f"\r\n+CPINR: SIM PIN,2,3\r\n{OK}"
    assert csim("9000") in bench.at('+CSIM=26,"002000010831323334FFFFFFFF"')
    assert bench.at("+CPIN?") == f"\r\n+CPIN: READY\r\n{OK}"


@pytest.mark.parametrize(
    ("exchanges"),
    [
        [("00A40004022FE2", "6116"), ("00B000000A", ICCID + "9000"), ("00C0000016", None)],
        [("00A4000C022FE2", "9000"), ("00B000000B", "6C0A")],
        [("00A40004023F00", "9000"), ("00A40004026F3B", "6A82")],
        [("00B0000001", "6986"), ("80F2000000", "9000"), ("00A40004022FE2", "6116"), ("0088000000", "6D00")],
    ],
)
def test_card_is_read_by_its_own_commands(module_bench, exchanges):
    """SELECT and READ with the status words of the card."""
    for apdu, response in exchanges:
        answer = module_bench.at(f'+CSIM={len(apdu)},"{apdu}"')
        assert response is None or answer == csim(response)


@pytest.mark.parametrize("command", ['+CSIM=8,"0020000100"', '+CSIM=10,"00200001XX"', "+CSIM=10", "+CSIM"])
def test_malformed_card_command_is_refused(module_bench, command):
    """The length counts the digits, which are hexadecimal."""
    assert module_bench.at(command) == ERROR
