"""Radio off and on, another network, a new start."""

import asyncio

import pytest

from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.events import SettingsLost

OK = b"\r\nOK\r\n"


def test_a_restart_is_told_and_the_module_works_after_it(run_modem_bench):
    """The module starts anew; after initialising it again it is as it was."""

    async def story(bench):
        boots = bench.module.log.boot_count
        await bench.modem.restart()
        assert bench.executed_lines == ["+CFUN=1,1"]
        assert bench.module.log.boot_count == boots + 1
        assert isinstance(await bench.modem.next_event(), SettingsLost)
        await bench.modem.initialise()
        bench.deliver("one")
        assert len(await bench.modem.sweep()) == 1

    run_modem_bench(story, boot_s=8.0, sim_ready_s=1.0, sms_ready_s=2.0)


def test_nobody_asks_while_it_goes_down(run_modem_bench):
    """A command given meanwhile waits, so that it is not answered by a module that is about to forget it."""

    async def story(bench):
        restarting = asyncio.create_task(bench.modem.restart())
        await asyncio.sleep(0.5)
        begun = bench.loop.time()
        await bench.modem.query_signal()
        assert bench.loop.time() - begun > 3
        await restarting

    run_modem_bench(story)


def test_the_command_of_the_profile_and_what_stands_in_for_it(run_scripted_modem):
    """The family's own command first, +CFUN=1,1 where it is refused; both refused is told."""

    async def story(modem, script):
        await modem.restart()
        assert script.received_lines == ["AT+CRESET", "AT+CFUN=1,1"]
        script.table["AT+CFUN=1,1"] = b"\r\nERROR\r\n"
        with pytest.raises(CommandRefused):
            await modem.restart()

    run_scripted_modem(story, table={"AT+CFUN=1,1": OK}, options={"profile": "sim7600"})


def test_a_restart_without_an_answer_is_one(run_scripted_modem):
    """A module that goes without a word has been restarted all the same."""

    async def story(modem, script):
        await modem.restart()
        assert script.received_lines[0] == "AT+CFUN=1,1"

    run_scripted_modem(story, table={"AT+CFUN=1,1": None})


@pytest.mark.parametrize(("card", "told"), [(False, ["+CFUN=4", "+CFUN=1"]), (True, ["+CFUN=0", "+CFUN=1"])])
def test_the_radio(run_modem_bench, card, told):
    """Off and on; with the power of the card where that is wanted, which costs the settings."""

    async def story(bench):
        await bench.modem.cycle_radio(power_cycle_sim=card)
        assert bench.executed_lines == told
        if not card:
            assert (await bench.modem.query_registration()).can_send
            return
        while not isinstance(await bench.modem.next_event(), SettingsLost):
            pass

    run_modem_bench(story, sim_ready_s=1.0, sms_ready_s=1.0)


def test_a_module_without_flight_mode(run_scripted_modem):
    """Where 4 is refused 0 is taken."""

    async def story(modem, script):
        await modem.cycle_radio()
        assert script.received_lines == ["AT+CFUN=4", "AT+CFUN=0", "AT+CFUN=1"]

    run_scripted_modem(story, table={"AT+CFUN=0": OK, "AT+CFUN=1": [12.0, OK]})


def test_a_radio_that_stays_off_is_told(run_scripted_modem):
    """Whoever asked for it must know."""

    async def story(modem, script):
        del script
        with pytest.raises(CommandRefused, match="SIM failure"):
            await modem.cycle_radio()

    run_scripted_modem(story, table={"AT+CFUN=4": OK, "AT+CFUN=1": b"\r\n+CME ERROR: 13\r\n"})


def test_another_network_may_take_minutes(run_scripted_modem):
    """Three minutes are granted, not more."""

    async def story(modem, script):
        await modem.reselect_network()
        script.table["AT+COPS=0"] = None
        with pytest.raises(CommandTimedOut):
            await modem.reselect_network()

    run_scripted_modem(story, table={"AT+COPS=0": [170.0, OK]})
