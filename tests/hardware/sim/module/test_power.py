"""Life of a module: boot, restart, what is lost, +CFUN, makers' switches."""

from __future__ import annotations

import pytest

from hardware import profile
from hardware.sim.module.sim_card import SimCard

OK = "\r\nOK\r\n"


def test_module_that_is_off_loses_input(make_module_bench):
    """Bytes are lost and counted."""
    bench = make_module_bench()
    assert bench.at("") == ""


def test_boot_sequence(make_module_bench):
    """First no input is accepted, then commands, then come SIM, messages and network, each with its line."""
    bench = make_module_bench(boot_s=2.0, sim_ready_s=1.0, sms_ready_s=3.0, registration_s=4.0)
    bench.module.power_on()
    bench.time.advance(1.9)
    assert bench.at("E0") == ""
    bench.time.advance(0.2)
    assert bench.take_output() == b"\r\nRDY\r\n"
    bench.at("E0+CMEE=1;+CREG=1")
    assert bench.at("+CPIN?") == "\r\n+CME ERROR: 14\r\n"
    assert bench.at("+CMGL") == "\r\n+CMS ERROR: 314\r\n"
    bench.time.advance(1)
    assert bench.take_output() == b"\r\n+CPIN: READY\r\n\r\n+CREG: 2\r\n"
    assert bench.at("+CMGL") == "\r\n+CMS ERROR: 314\r\n"
    bench.time.advance(3)
    assert bench.take_output() == b"\r\nSMS DONE\r\n"
    assert bench.at("+CMGL") == OK
    bench.time.advance(1)
    assert bench.take_output() == b"\r\n+CREG: 1\r\n"
    assert bench.module.context.timers.is_idle
    assert bench.module.log.command_lines[0] == "E0+CMEE=1;+CREG=1"


@pytest.mark.parametrize("loud", [True, False])
def test_restart_loses_settings_and_keeps_messages(module_bench, loud):
    """Echo, formats and routing are reset to factory values; stores and SIM are unchanged."""
    module_bench.at("+CMGF=1;+CSDH=1;+CNMI=2,1;+CREG=2;V0")
    module_bench.deliver()
    module_bench.module.reboot(print_boot_lines=loud)
    assert module_bench.take_output() == (b"\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n" if loud else b"")
    assert module_bench.at("+CMGF?;+CSDH?;+CNMI?;+CREG?;+CMEE?") == (
        "AT+CMGF?;+CSDH?;+CNMI?;+CREG?;+CMEE?\r"
        "\r\n+CMGF: 0\r\n\r\n+CSDH: 0\r\n\r\n+CNMI: 0,0,0,0,0\r\n\r\n+CREG: 0,1\r\n\r\n+CMEE: 0\r\n" + OK
    )
    assert module_bench.at("+CPMS?").endswith('+CPMS: "ME",1,20,"ME",1,20,"ME",1,20\r\n' + OK)
    assert module_bench.module.log.boot_count == 2


def test_restart_drops_everything_pending(module_bench):
    """A half-typed line, an open prompt, a message being sent and an awaited +CNMA are gone."""
    module_bench.type("AT+CMG")
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.at("E0+CSMS=1;+CNMI=2,2,0,1,0")
    module_bench.deliver()
    module_bench.network.answers = False
    module_bench.type("AT+CMGS=15\r001100048192630000A705CF25287603\x1aAT+CSQ\r")
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.module.submitted(module_bench.network.token, None)
    module_bench.time.advance(1000)
    assert module_bench.take_output() == b""
    module_bench.at("E0+CMEE=1;+CSMS=1")
    assert module_bench.at("+CNMA") == "\r\n+CMS ERROR: 340\r\n"
    module_bench.at("+CMGS=15")
    module_bench.module.reboot(print_boot_lines=False)
    assert module_bench.at("E0") == "ATE0\r" + OK


def test_saved_settings_survive_a_restart(make_running_bench):
    """AT&W saves all settings, some modules save some at once; AT&F holds only until the restart."""
    bench = make_running_bench(persistent_settings=("cnmi", "cpms"))
    bench.at('+CNMI=2,1;+CPMS="SM";+CSDH=1')
    bench.module.reboot(print_boot_lines=False)
    bench.at("E0")
    assert bench.at("+CNMI?;+CPMS?;+CSDH?") == (
        '\r\n+CNMI: 2,1,0,0,0\r\n\r\n+CPMS: "SM",0,10,"ME",0,20,"ME",0,20\r\n\r\n+CSDH: 0\r\n' + OK
    )
    bench.at("+CSDH=1;&W")
    bench.at("&FE0")
    assert bench.at("+CSDH?;+CNMI?") == "\r\n+CSDH: 0\r\n\r\n+CNMI: 0,0,0,0,0\r\n" + OK
    assert bench.at("Z+CSDH=0") == OK
    assert bench.at("+CSDH?") == "\r\n+CSDH: 1\r\n" + OK


def test_cfun(module_bench):
    """+CFUN=0 powers the SIM down too, 4 only the radio; +CFUN=1 prints the boot URCs of the SIM again."""
    module_bench.at("+CREG=1")
    assert module_bench.at("+CFUN=4") == OK + "\r\n+CREG: 0\r\n"
    assert module_bench.at("+CFUN?;+CPAS") == "\r\n+CFUN: 4\r\n\r\n+CPAS: 5\r\n" + OK
    assert module_bench.at("+CMGS=15;E0") == "\r\n> "
    assert module_bench.type("001100048192630000A705CF25287603\x1a") == "\r\n+CMS ERROR: 331\r\n"
    assert module_bench.at("+CFUN=1") == OK + "\r\n+CREG: 2\r\n\r\n+CREG: 1\r\n"
    assert module_bench.at("+CFUN=0") == OK + "\r\n+CREG: 0\r\n"
    assert module_bench.at("+CPIN?") == "\r\n+CME ERROR: 14\r\n"
    assert module_bench.at("+CFUN=1").startswith(OK + "\r\n+CPIN: READY\r\n")
    assert module_bench.at("+CFUN=?") == "\r\n+CFUN: (0,1,4),(0,1)\r\n" + OK
    assert module_bench.at("+CFUN=2") == "\r\nERROR\r\n"
    assert [entry for entry in module_bench.network.log if entry in {"attach", "detach"}] == [
        "attach",
        "detach",
        "attach",
        "detach",
        "attach",
    ]


def test_cfun_1_prints_boot_lines_after_a_silent_unlock(make_module_bench):
    """The output of +CFUN=1 does not depend on how silent the boot was."""
    bench = make_module_bench(sim=SimCard(pin="1234"))
    bench.module.power_on()
    bench.at('E0+CPIN="1234"')
    bench.at("+CFUN=0")
    assert bench.at("+CFUN=1").endswith(OK + "\r\n+CPIN: SIM PIN\r\n")
    bench.module.reboot(print_boot_lines=False)
    bench.at('E0+CPIN="1234"')
    bench.at('+CLCK="SC",0,1234')
    bench.at("+CFUN=0")
    assert bench.at("+CFUN=1") == OK + "\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n"


def test_radio_may_be_off_after_power_on(make_running_bench):
    """Then registration waits for +CFUN=1."""
    bench = make_running_bench(cfun=0)
    assert bench.at("+CFUN?") == "\r\n+CFUN: 0\r\n" + OK
    assert bench.network.log == []
    bench.at("+CFUN=1")
    assert bench.network.log == ["attach"]


def test_vendor_restart_and_power_off_commands(make_running_bench):
    """Restart and power-off have vendor-specific names."""
    bench = make_running_bench(
        restart_commands=("+CRESET",),
        power_off_commands=("+QPOWD",),
        power_off_urc="POWERED DOWN",
        reset_functions=(6,),
    )
    assert bench.at("+CRESET") == OK + "\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n"
    bench.at("E0")
    assert bench.at("+CFUN=6") == OK + "\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n"
    bench.at("E0")
    assert bench.at("+QPOWD=1") == OK + "\r\nPOWERED DOWN\r\n"
    assert bench.at("") == ""
    bench.module.power_on()
    assert bench.module.log.boot_count == 4


def test_readiness_command(make_running_bench):
    """+QINISTAT counts up."""
    bench = make_running_bench(readiness_command="+QINISTAT", sms_ready_s=1.0, sim_ready_s=1.0)
    assert bench.at("+QINISTAT") == "\r\n+QINISTAT: 0\r\n" + OK
    bench.time.advance(1)
    bench.take_output()
    assert bench.at("+QINISTAT") == "\r\n+QINISTAT: 1\r\n" + OK
    bench.time.advance(1)
    bench.take_output()
    assert bench.at("+QINISTAT") == "\r\n+QINISTAT: 7\r\n" + OK


@pytest.mark.parametrize("name", profile.list_profiles())
def test_every_profile_boots(name, make_module_bench):
    """The last boot URC is printed, messages work, the module registers and reports its SIM."""
    device = profile.load_simulator_profile(name)
    bench = make_module_bench(device=device)
    bench.module.power_on()
    bench.time.advance(60)
    expected = [
        line.replace("{sim}", "READY") for line in device.boot_urcs + device.boot_sim + device.boot_sms
    ]
    assert bench.take_output().decode().split("\r\n")[1::2] == expected
    assert bench.at("E0").endswith(OK)
    assert bench.at("+CPMS?").startswith("\r\n+CPMS: ")
    assert bench.module.attached
    iccid = profile.load_driver_profile(name).iccid_command or "AT+CCID"
    assert bench.sim.iccid in bench.at(iccid.removeprefix("AT"))
