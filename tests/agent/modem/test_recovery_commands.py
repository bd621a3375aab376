"""The recovery commands: restart, radio off and on, network selection."""

import asyncio

import pytest

from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.events import SettingsLost

OK = b"\r\nOK\r\n"


def test_restart_is_reported_and_the_module_works_again(run_modem_bench):
    """After the next initialisation the module works as before."""

    async def scenario(bench):
        boots = bench.module.log.boot_count
        await bench.modem.restart()
        assert bench.executed_lines == ["+CFUN=1,1"]
        assert bench.module.log.boot_count == boots + 1
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        bench.deliver("one")
        assert len(await bench.modem.sweep()) == 1

    run_modem_bench(scenario, boot_s=8.0, sim_ready_s=1.0, sms_ready_s=2.0)


def test_commands_wait_during_a_restart(run_modem_bench):
    """A command waits, so that a module that is about to restart does not answer it."""

    async def scenario(bench):
        restarting = asyncio.create_task(bench.modem.restart())
        await asyncio.sleep(0.5)
        began_at = bench.loop.time()
        await bench.modem.query_signal()
        assert bench.loop.time() - began_at > 3
        await restarting

    run_modem_bench(scenario)


def test_restart_command_of_the_profile_and_its_fallback(run_scripted_modem):
    """The command of the profile comes first, then +CFUN=1,1; if both are refused, the error is raised."""

    async def scenario(modem, script):
        await modem.restart()
        assert script.received_lines == ["AT+CRESET", "AT+CFUN=1,1"]
        script.table["AT+CFUN=1,1"] = b"\r\nERROR\r\n"
        with pytest.raises(CommandRefused):
            await modem.restart()

    run_scripted_modem(scenario, table={"AT+CFUN=1,1": OK}, options={"profile": "sim7600"})


def test_restart_without_an_answer_succeeds(run_scripted_modem):
    """A module may restart without answering."""

    async def scenario(modem, script):
        await modem.restart()
        assert script.received_lines[0] == "AT+CFUN=1,1"

    run_scripted_modem(scenario, table={"AT+CFUN=1,1": None})


@pytest.mark.parametrize(
    ("power_cycle_sim", "commands"), [(False, ["+CFUN=4", "+CFUN=1"]), (True, ["+CFUN=0", "+CFUN=1"])]
)
def test_radio_is_cycled(run_modem_bench, power_cycle_sim, commands):
    """Off and on; with the power of the SIM if required, which loses the settings."""

    async def scenario(bench):
        await bench.modem.cycle_radio(power_cycle_sim=power_cycle_sim)
        assert bench.executed_lines == commands
        if not power_cycle_sim:
            assert (await bench.modem.query_registration()).can_send
            return
        while not isinstance(await bench.modem.next_event(), SettingsLost):
            pass

    run_modem_bench(scenario, sim_ready_s=1.0, sms_ready_s=1.0)


def test_radio_of_a_module_without_flight_mode(run_scripted_modem):
    """If +CFUN=4 is refused, +CFUN=0 is used."""

    async def scenario(modem, script):
        await modem.cycle_radio()
        assert script.received_lines == ["AT+CFUN=4", "AT+CFUN=0", "AT+CFUN=1"]

    run_scripted_modem(scenario, table={"AT+CFUN=0": OK, "AT+CFUN=1": [12.0, OK]})


def test_radio_that_stays_off_raises(run_scripted_modem):
    """The caller receives the error of +CFUN=1."""

    async def scenario(modem, script):
        del script
        with pytest.raises(CommandRefused, match="SIM failure"):
            await modem.cycle_radio()

    run_scripted_modem(scenario, table={"AT+CFUN=4": OK, "AT+CFUN=1": b"\r\n+CME ERROR: 13\r\n"})


def test_network_selection_may_take_minutes(run_scripted_modem):
    """It may take three minutes, but not longer."""

    async def scenario(modem, script):
        await modem.reselect_network()
        script.table["AT+COPS=0"] = None
        with pytest.raises(CommandTimedOut):
            await modem.reselect_network()

    run_scripted_modem(scenario, table={"AT+COPS=0": [170.0, OK]})
