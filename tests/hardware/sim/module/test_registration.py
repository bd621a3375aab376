"""Registration, operator, signal, clock, identity, and commands of the line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

OK, ERROR = "\r\nOK\r\n", "\r\nERROR\r\n"


def info(*texts):
    return "".join(f"\r\n{text}\r\n" for text in texts) + OK


def test_creg_levels(module_bench):
    """0 off, 1 state, 2 location, 3 reject cause; the read form has the level first, the URC has not."""
    assert module_bench.at("+CREG?") == info("+CREG: 0,1")
    module_bench.module.set_registration(2)
    assert module_bench.take_output() == b""
    module_bench.at("+CREG=1;+CGREG=2;+CEREG=3")
    module_bench.module.set_registration(3, reject_cause=11)
    assert module_bench.take_output().decode() == "\r\n+CREG: 3\r\n\r\n+CGREG: 3\r\n\r\n+CEREG: 3,,,,0,11\r\n"
    assert module_bench.at("+CREG?;+CEREG?") == info("+CREG: 1,3", "+CEREG: 3,3,,,,0,11")
    module_bench.module.set_registration(5)
    assert module_bench.take_output().decode() == (
        '\r\n+CREG: 5\r\n\r\n+CGREG: 5,"1A2B","0012C0DE",7,"00"\r\n\r\n+CEREG: 5,"1A2B","0012C0DE",7\r\n'
    )
    module_bench.module.set_registration(5)
    assert module_bench.take_output() == b""
    assert module_bench.network.log == ["attach", "detach", "attach"]
    module_bench.at("+CGREG=3")
    module_bench.module.set_registration(3, reject_cause=15)
    assert "+CGREG: 3,,,,,0,15\r\n" in module_bench.take_output().decode()
    assert module_bench.at("+CREG=?;+CEREG=?") == info("+CREG: (0-2)", "+CEREG: (0-5)")
    assert module_bench.at("+CREG=3") == ERROR


@pytest.mark.parametrize(("stat", "packet"), [(6, 1), (7, 5), (9, 1), (10, 5)])
def test_sms_only_is_a_state_of_creg(module_bench, stat, packet):
    """The packet domains show plain registration; messages can be sent."""
    module_bench.module.set_registration(stat)
    assert module_bench.at("+CREG?;+CGREG?;+CEREG?") == info(
        f"+CREG: 0,{stat}", f"+CGREG: 0,{packet}", f"+CEREG: 0,{packet}"
    )
    assert "+CMGS: 0" in module_bench.type("AT+CMGS=15\r001100048192630000A705CF25287603\x1a")


@pytest.mark.parametrize("stat", [0, 2, 3, 4, 8, 11])
def test_lost_registration(module_bench, stat):
    """The module is detached and the signal unknown until the network registers it again."""
    module_bench.module.set_registration(stat)
    assert not module_bench.module.attached
    assert module_bench.at("+CSQ;+CESQ;+COPS?;+CGATT?") == info(
        "+CSQ: 99,99", "+CESQ: 99,99,255,255,255,255", "+COPS: 0", "+CGATT: 0"
    )
    assert module_bench.network.log == ["attach", "detach"]
    module_bench.module.set_registration(1)
    assert module_bench.module.attached
    assert module_bench.network.log == ["attach", "detach", "attach"]


def test_denied_attach(make_module_bench):
    """The network's answer to the attach is the state."""
    bench = make_module_bench()
    bench.network.stat = 3
    bench.module.power_on()
    bench.at("E0")
    assert bench.at("+CREG?") == info("+CREG: 0,3")
    assert not bench.module.attached


def test_search_is_repeated(make_module_bench):
    """Until there is a network, or the radio is switched off."""
    bench = make_module_bench()
    bench.network.stat = 2
    bench.module.power_on()
    bench.at("E0")
    bench.time.advance(60)
    assert bench.at("+CREG?") == info("+CREG: 0,2")
    assert bench.network.log.count("attach") > 3
    bench.at("+CFUN=4")
    bench.network.log.clear()
    bench.time.advance(60)
    assert bench.network.log == []
    bench.at("+CFUN=1")
    bench.network.stat = 5
    bench.time.advance(20)
    assert bench.at("+CREG?") == info("+CREG: 0,5")
    assert bench.module.attached


def test_registration_needs_the_networks_answer(module_bench):
    """The network's answer to the attach decides, and the module goes on searching."""
    module_bench.module.set_registration(2)
    module_bench.network.stat = 2
    module_bench.module.set_registration(1)
    assert module_bench.at("+CREG?") == info("+CREG: 0,2")
    assert not module_bench.module.attached
    module_bench.network.stat = 1
    module_bench.time.advance(20)
    assert module_bench.at("+CREG?") == info("+CREG: 0,1")


def test_operator_selection(module_bench):
    """Formats, deregistration, an unknown operator, and a scan."""
    assert module_bench.at("+COPS?") == info('+COPS: 0,0,"Simulated",7')
    assert module_bench.at("+COPS=3,2") == OK
    assert module_bench.at("+COPS?") == info('+COPS: 0,2,"00101",7')
    module_bench.at("+CREG=1")
    assert module_bench.at("+COPS=2") == OK + "\r\n+CREG: 0\r\n"
    assert module_bench.at("+COPS?") == info("+COPS: 2")
    assert module_bench.at("+CFUN=1") == OK
    assert module_bench.at("+COPS=0") == OK + "\r\n+CREG: 2\r\n\r\n+CREG: 1\r\n"
    assert module_bench.at('+COPS=1,2,"99999"') == "\r\n+CME ERROR: 30\r\n"
    assert module_bench.at('+COPS=1,2,"00101"') == OK
    assert module_bench.at("+COPS=?") == info('+COPS: (2,"Simulated","Sim","00101",7),,(0-4),(0-2)')


def test_operator_scan_takes_time(make_running_bench):
    """Input meanwhile waits."""
    bench = make_running_bench(network_scan_s=30.0)
    assert bench.at("+COPS=?") == ""
    assert bench.at("+CSQ") == ""
    bench.time.advance(31)
    assert bench.take_output().decode().endswith("(0-2)\r\n" + OK + info("+CSQ: 21,99"))


def test_signal_quality(module_bench):
    """It is that of the cell."""
    module_bench.module.registration.cell.rssi = 9
    assert module_bench.at("+CSQ;+CESQ") == info("+CSQ: 9,99", "+CESQ: 99,99,255,255,20,46")
    assert module_bench.at("+CSQ=?") == info("+CSQ: (0-31,99),(0-7,99)")


# clock


def test_clock_follows_the_network(make_module_bench):
    """It shows 1980 until the network sends the time, then that time with its zone."""
    bench = make_module_bench(registration_s=10.0)
    bench.module.power_on()
    bench.at("E0")
    bench.time.advance(5)
    assert bench.at("+CCLK?") == info('+CCLK: "80/01/06,00:00:05+00"')
    bench.time.advance(6)
    assert bench.at("+CCLK?") == info('+CCLK: "26/11/22,01:02:14+00"')


def test_ctzu_0_keeps_the_clock(module_bench):
    """The user's time remains."""
    module_bench.at("+CTZU=0")
    assert module_bench.at('+CCLK="30/01/02,03:04:05-28"') == OK
    module_bench.module.set_registration(2)
    module_bench.module.set_registration(1)
    module_bench.time.advance(60)
    assert module_bench.at("+CCLK?") == info('+CCLK: "30/01/02,03:05:05-28"')
    for wrong in ('"30/13/02,03:04:05+00"', '"now"', '"2030/01/02,03:04:05+00"'):
        assert module_bench.at(f"+CCLK={wrong}") == "\r\n+CME ERROR: 50\r\n"


@pytest.mark.parametrize(
    ("level", "code"),
    [
        (0, ""),
        (1, '\r\n+CTZV: "+22"\r\n'),
        (2, '\r\n+CTZE: "+22",0,"2026/11/22,06:30:00"\r\n'),
        (3, '\r\n+CTZEU: "+22",0,"2026/11/22,01:00:00"\r\n'),
    ],
)
def test_time_zone_urcs(module_bench, level, code):
    """+CTZR 1 to 3, when the network sends the time."""
    module_bench.module.context.wall_clock = lambda: datetime(
        2026, 11, 22, 6, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))
    )
    module_bench.at(f"+CTZR={level}")
    module_bench.module.set_registration(2)
    module_bench.module.set_registration(1)
    assert module_bench.take_output().decode() == code
    assert module_bench.at("+CCLK?") == info('+CCLK: "26/11/22,06:30:00+22"')


def test_wall_clock_without_zone_is_utc(module_bench):
    """A simple function is enough as a clock."""
    module_bench.module.context.wall_clock = lambda: datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    module_bench.module.set_registration(2)
    module_bench.module.set_registration(1)
    assert module_bench.at("+CCLK?") == info('+CCLK: "26/01/01,00:00:00+00"')


# identity


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("+CGMI", "Simulated"),
        ("+GMI", "Simulated"),
        ("+CGMM", "Generic"),
        ("+CGMR", "1.0"),
        ("I", "Simulated\r\nGeneric\r\nRevision: 1.0"),
        ("+CGSN", "359990000000008"),
        ("+CGSN=0", "359990000000008"),
        ("+CGSN=1", '+CGSN: "359990000000008"'),
        ("+GSN", "359990000000008"),
        ("+CIMI", "234500000000001"),
        ("+CCID", "+CCID: 89440000000000000017"),
        ("+QCCID", "+QCCID: 89440000000000000017"),
        ("+CICCID", "+ICCID: 89440000000000000017"),
        ("+GCAP", "+GCAP: +CGSM"),
        ("+CBC", "+CBC: 2,100"),
        ("+CPAS", "+CPAS: 0"),
    ],
)
def test_identity_commands(module_bench, command, answer):
    """Without or with a prefix, as each command has it."""
    assert module_bench.at(command) == info(answer)


def test_vendor_iccid_command(make_running_bench):
    """It has the vendor's name, on some modules without a prefix; other names do not exist."""
    bench = make_running_bench(iccid={"+CCID": "", "^ICCID": "^ICCID:"})
    assert bench.at("+CCID") == info("89440000000000000017")
    assert bench.at("^ICCID") == info("^ICCID: 89440000000000000017")
    assert bench.at("^ICCID?") == info("^ICCID: 89440000000000000017")
    assert bench.at("+QCCID") == ERROR


def test_clac_lists_commands(module_bench):
    """One command per line."""
    lines = module_bench.at("+CLAC").strip("\r\n").split("\r\n")
    assert {"AT+CMGS", "AT+CNMI", "AT+CPIN", "AT&F", "ATE"} <= set(lines)


def test_unsupported_commands_and_fixed_answers(make_running_bench):
    """An unsupported command gives ERROR in every form; a profile may add answers."""
    bench = make_running_bench(
        unsupported_commands=("+CESQ", "+CMEE"),
        answers={'+QURCCFG="urcport"': '+QURCCFG: "urcport","usbat"', "+X": ""},
    )
    for form in ("", "?", "=?", "=1"):
        assert bench.at(f"+CMEE{form}") == ERROR
    assert bench.at('+qurccfg="urcport"') == info('+QURCCFG: "urcport","usbat"')
    assert bench.at("+X") == OK
    assert bench.at("+X?") == ERROR


# V.250


@pytest.mark.parametrize(
    "command", ["H", "X4", "&C1&D2", "&K3", "S0=0", "M0L0", "Q0V1E0S0=0&C1&D2", "+IPR=115200", "+IFC=2,2"]
)
def test_dial_up_commands_are_accepted(module_bench, command):
    """Commands of dial-up scripts give OK."""
    assert module_bench.at(command) == OK


@pytest.mark.parametrize(
    "command",
    [
        "E2",
        "V9",
        "Q2",
        "Z9",
        "&F1",
        "S3=128",
        "S99=1",
        "S99?",
        "S",
        "S3",
        "S300?",
        "+IPR=1",
        "+CGATT=2",
        "+IFC=3",
    ],
)
def test_out_of_range_is_refused(module_bench, command):
    """A value out of range gives ERROR."""
    assert module_bench.at(command) == ERROR


def test_pdp_contexts_are_stored(module_bench):
    """+CGDCONT returns what was set; a number alone removes the context."""
    assert module_bench.at("+CGDCONT?") == OK
    assert module_bench.at('+CGDCONT=1,"IP","super"') == OK
    assert module_bench.at('+CGDCONT=2,"IPV6"') == OK
    assert module_bench.at("+CGDCONT?") == (
        '\r\n+CGDCONT: 1,"IP","super","0.0.0.0",0,0\r\n+CGDCONT: 2,"IPV6","","0.0.0.0",0,0\r\n' + OK
    )
    assert module_bench.at("+CGDCONT=2;+CGDCONT=16") == ERROR
    assert module_bench.at("+CGDCONT?").count("+CGDCONT") == 1
    assert module_bench.at("&FE0+CGDCONT?") == OK


def test_s_register_read_form(module_bench):
    """S-parameters have three digits and no name."""
    module_bench.at("S0=2;+IPR=9600;+IFC=2,1")
    assert module_bench.at("S0?") == info("002")
    assert module_bench.at("+IPR?;+IFC?") == info("+IPR: 9600", "+IFC: 2,1")
