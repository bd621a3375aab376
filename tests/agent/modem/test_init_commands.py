"""`[modem] init`: sent after each initialisation; a failure is a note; what breaks the agent is refused."""

import asyncio

import pytest

from agent.at.errors import ModemLost
from agent.modem.init_commands import InitCommands, check_init_commands

APN = 'AT+CGDCONT=1,"IP","internet"'
ERROR = b"\r\nERROR\r\n"
RESTART = b"\r\nRDY\r\n+CPIN: READY\r\n"


@pytest.mark.parametrize(
    "line", [APN, "at+cgdcont?", "AT+CNMI?", 'AT+QCFG="band",0,80000;+CSCLK=1', "ATS7=60"]
)
def test_usable_command_is_accepted(line):
    """So is the query of a setting that belongs to the agent."""
    assert check_init_commands([line]) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("AT+CMGD=1,4", "AT+CMGD cannot be used: it sends, writes or deletes messages"),
        ("AT+CMGF=1", "AT+CMGF cannot be used: the agent chooses how messages"),
        ("AT+CNMI=0,0", "AT+CNMI cannot be used"),
        ("ATE1", "ATE cannot be used: it changes how the agent and the module exchange lines"),
        ("at e1", "ATE cannot be used"),
        ("ATZ", "ATZ cannot be used: it restarts the module"),
        ("AT&F", "AT&F cannot be used"),
        ("AT+CSQ;+CFUN=1,1", "AT+CFUN cannot be used"),
        ('AT+CPIN="1234"', "AT+CPIN cannot be used"),
        ("ATD+447700900123;", "opens a text entry or a call"),
        ("+CSQ", "is not a valid AT command line"),
        ("AT+CSQ\rAT+CMGD=1", "is not a valid AT command line"),
        ("AT" + "+CSQ;" * 50, "is not a valid AT command line"),
        ("AT§", "is not a valid AT command line"),
        ("AT=1", "is not an AT command that the agent understands"),
    ],
)
def test_command_that_would_break_the_agent_is_refused(line, reason):
    """The sentence names the place in the list, the command and the reason."""
    (error,) = check_init_commands([APN, line])
    assert error.startswith("modem.init[1]: ")
    assert reason in error


def test_too_many_commands_are_refused():
    """Each may take 10 s, and the watchdog waits for the end of the initialisation."""
    assert check_init_commands([APN] * 17) == ["modem.init has 17 commands; 16 are possible"]


def test_commands_follow_each_initialisation(run_modem_bench):
    """The last thing of the first one, and again after the module has restarted by itself."""

    async def scenario(bench):
        await bench.modem.initialise()
        assert bench.executed_lines[-1] == "+CSCLK=1"
        bench.module.reboot()
        await asyncio.sleep(60)
        assert bench.modem.has_lost_settings
        await bench.modem.initialise()
        assert bench.executed_lines.count("+CSCLK=1") == 2

    run_modem_bench(scenario, initialise=False, options={"init_commands": InitCommands(["AT+CSCLK=1"])})


@pytest.mark.parametrize(("answer", "failure"), [(ERROR, "refused (ERROR)"), (None, "ignored")])
def test_failure_is_a_note_without_values(run_scripted_modem, answer, failure):
    """The next commands are sent, and the module works. A value may be a password."""

    async def scenario(modem, script):
        script.table['AT+CGAUTH=1,1,"secret"'] = answer
        script.table[APN] = b"\r\nOK\r\n"
        status = await modem.initialise()
        assert script.received_lines[-1] == APN
        assert status.notes == (f"modem.init[0] AT+CGAUTH {failure}",)

    commands = InitCommands(['AT+CGAUTH=1,1,"secret"', APN])
    run_scripted_modem(scenario, initialise=False, options={"init_commands": commands})


def test_command_that_restarts_the_module_is_not_repeated_for_ever(run_scripted_modem):
    """The second restart is the last one; then the module is used without this command."""

    async def scenario(modem, script):
        script.table["AT+XRST"] = b"\r\nOK\r\n" + RESTART
        script.table[APN] = b"\r\nOK\r\n"
        status = await modem.initialise()
        assert script.received_lines.count("AT+XRST") == 2
        assert script.received_lines[-1] == APN
        assert status.notes == ("modem.init[0] AT+XRST is not sent any more: the module restarted each time",)

    commands = InitCommands(["AT+XRST", APN])
    run_scripted_modem(scenario, initialise=False, options={"init_commands": commands})


def test_values_are_not_in_the_reason_of_a_loss(run_scripted_modem):
    """A module that hangs at a command ends the session, and the log and `status` show the reason."""

    async def scenario(modem, script):
        def hang(_line):
            script.handle = lambda *_: None

        script.table['AT+CGAUTH=1,1,"secret"'] = hang
        with pytest.raises(ModemLost) as caught:
            await modem.initialise()
        assert "no answer to AT+CGAUTH and none since" in str(caught.value)
        assert "secret" not in f"{caught.value} {modem.loss_reason}"

    commands = InitCommands(['AT+CGAUTH=1,1,"secret"'])
    run_scripted_modem(scenario, initialise=False, options={"init_commands": commands})
