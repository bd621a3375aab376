"""The fixtures for tests of other people's programs, in inner runs of pytest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hardware.testing import LocalSandbox  # each inner run would import it again

pytest_plugins = ["pytester"]

UNNEEDED = ("-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")
"""Plugins of this run that the inner runs would import again."""


@pytest.fixture
def run(pytester):
    """Return a function that runs the tests in a source text with these options of pytest."""

    def run(source, *options, plugins=("-p", "no:asyncio")):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*UNNEEDED, *plugins, "-W", "error", *options)

    return run


def test_failed_test_shows_what_has_happened(run):
    """Events, bytes on the port, callbacks; and the message says what came instead of what was waited for."""
    result = run(
        """
        import os

        def test_reply(sim, modem_port, webhook_receiver):
            port = os.open(modem_port, os.O_RDWR | os.O_NOCTTY)
            os.write(port, b"AT\\r")
            sim.send_command("ping", CallbackUrl=webhook_receiver.url)
            webhook_receiver.wait_for(Status="delivered")
            os.close(port)
            sim.wait_for_message("pong", timeout_s=0.01)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*WaitTimedOut: the device has sent no message that contains 'pong', but nothing after 0.01 s",
            "*events of the sandbox*",
            "* super-sim offered 'ping', 000, HC*, attempt 1",
            "*serial ports of the sandbox*",
            "* super-sim > AT?r",
            "*callbacks of the sandbox*",
            "*Status=delivered*",
        ]
    )


def test_tests_do_not_see_each_other(run):
    """Commands, messages, faults and the clock of one test are gone in the next; the sandbox is the same."""
    run(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_nothing_is_left(sandbox, sim, number, seen=[]):
            assert sandbox.callbacks == [] and sim.faults_struck == []
            seen.append(sandbox.clock.now())
            assert (seen[-1] - seen[0]).total_seconds() < 3600
            sim.add_fault("store-full")
            assert sim.send_command("ping", CallbackUrl="http://127.0.0.1:1/").status == "queued"
            sandbox.clock.advance(86400)

        def test_one_sandbox(sandbox, seen=[]):
            seen.append(sandbox)
            assert sandbox is seen[0]
        """
    ).assert_outcomes(passed=3)


def test_marker_and_ini_file_choose_the_options(run, pytester):
    """The marker of the test comes first; faults are added for it alone."""
    pytester.makeini("[pytest]\nsandbox_service = super-sim-beta\nsandbox_timeout = 7.5\n")
    run(
        """
        import pytest

        def test_ini(sandbox, sim):
            assert (sim.service, sandbox.timeout_s) == ("super-sim-beta", 7.5)

        @pytest.mark.sandbox(sims=["super-sim", "programmable-wireless=meter"], faults=["store-full@meter"])
        def test_marker(sandbox, sim):
            assert [each.name for each in sandbox.sims] == ["super-sim", "meter"]
            assert [each.faults_struck for each in sandbox.sims] == [[], ["store-full"]]
        """
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("devise='ec25'", "there is no option devise; there are service, device,*"),
        ("device='ec52'", "there is no module ec52; there are a7670,*"),
        ("service='sms'", "there is no service sms; the services are super-sim,*"),
        ("sims='super-sim'", "sims must be a list of strings"),
        ("pin='12'", "pin must be a string of 4 to 8 digits, not '12'"),
        ("baud=1", "baud must be an integer from 300 to 4000000, not 1"),
        ("'ec25'", "'ec25' has no name, such as in sandbox(service=...)"),
        ("faults=['nonsense']", 'there is no fault "nonsense"; the faults are mute,*'),
        ("faults=['mute@nobody']", "mute@nobody: there is no SIM nobody; there are super-sim"),
    ],
)
def test_wrong_option_is_one_sentence(run, options, sentence):
    """No traceback: the sentence names what is possible."""
    result = run(
        f"""
        import pytest

        @pytest.mark.sandbox({options})
        def test_nothing(sim):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"options of the sandbox: {sentence}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_wrong_timeout_in_the_ini_file_is_one_sentence(run, pytester):
    """It names the key of the ini file."""
    pytester.makeini("[pytest]\nsandbox_timeout = soon\n")
    result = run("def test_nothing(sim): pass")
    result.stdout.fnmatch_lines(["sandbox_timeout in the ini file must be a number of seconds"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_clock_takes_durations_as_the_rest_api_does(run):
    """A text such as `24h`; what is none is refused with an example."""
    run(
        """
        import pytest

        def test_clock(sandbox):
            before = sandbox.clock.now()
            sandbox.clock.advance("24h")
            assert (sandbox.clock.now() - before).total_seconds() >= 86400
            with pytest.raises(ValueError, match='such as "24h"'):
                sandbox.clock.advance("long")
        """
    ).assert_outcomes(passed=1)


def test_real_module(run, tmp_path):
    """Tests that need only the port run with it; the others are skipped with the reason."""
    port = tmp_path / "ttyUSB2"
    port.touch()
    result = run(
        f"""
        def test_port(modem_port):
            assert modem_port == {str(port)!r}

        def test_sim(sim, modem_port):
            pass

        def test_receiver(webhook_receiver):
            pass
        """,
        f"--modem-port={port}",
        "-rs",
    )
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(
        [f"SKIPPED*it needs the sandbox, and --modem-port {port} names a real module"]
    )


def test_asyncio_test(run):
    """The sandbox runs beside the event loop of the test; a wait that would block it says what to write."""
    run(
        """
        import asyncio
        import pytest
        import serial_asyncio

        @pytest.mark.asyncio
        async def test_at(sim, modem_port):
            reader, writer = await serial_asyncio.open_serial_connection(url=modem_port)
            writer.write(b"AT+CNMI=2,1\\r")
            await reader.readuntil(b"OK")
            command = sim.send_command("ping")
            await reader.readuntil(b"+CMTI")
            await asyncio.to_thread(command.wait_for_status, "delivered")
            with pytest.raises(RuntimeError, match="await asyncio.to_thread"):
                command.wait_for_status("delivered")
            writer.close()
        """,
        plugins=("-o", "asyncio_default_fixture_loop_scope=function"),
    ).assert_outcomes(passed=1)


def test_ended_command_is_not_waited_for(run):
    """A Command that has failed does not become delivered: the wait ends at once, with the reason."""
    result = run(
        """
        import pytest

        @pytest.mark.sandbox(service="super-sim-beta")
        def test_failed(sim):
            sim.detach()
            command = sim.send_command("ping")
            command.wait_for_status("failed")
            command.wait_for_status("delivered", timeout_s=3600)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*Command HC* has ended as failed, not delivered. 33000 The Command could not*"]
    )


def test_unused_plugin_imports_nothing():
    """Test runs of programs that have nothing to do with the sandbox pay for one small file."""
    code = (
        "import pytest, sys; known = set(sys.modules); import hardware.pytest_plugin; "
        "print(*(name for name in set(sys.modules) - known "
        "if name in sys.stdlib_module_names or '.' not in name))"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert set(output.split()) <= {"hardware"}


def test_entry_point_is_registered(pytestconfig):
    """pytest finds the plugin by the name of the distribution, in this run, too; it disturbs nothing."""
    assert pytestconfig.pluginmanager.get_plugin("modem-agent").__name__ == "hardware.pytest_plugin"


def test_services_refuse_and_fail_on_demand(run):
    """Rules, faults of the services, and states of Commands by hand; all end with the test."""
    run(
        """
        import urllib.error
        import urllib.request
        import pytest

        @pytest.mark.sandbox(open=True)
        def test_rules_faults_and_states(sandbox, sim):
            sandbox.set_rule("long-text", "split")
            sim.detach()
            command = sim.send_command("x" * 200)
            command.fail(30008, "No such network.")
            assert (command.status, command.error) == ("failed", "30008 No such network.")
            with pytest.raises(Exception, match="is failed, not queued or sent"):
                command.deliver()
            another = sim.send_command("x")
            another.deliver()
            another.wait_for_status("delivered")
            sandbox.add_service_fault("unavailable:times=0")
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(sandbox.base_urls["supersim"] + "/v1/SmsCommands")

        @pytest.mark.sandbox(open=True)
        def test_nothing_is_left(sandbox, sim):
            with pytest.raises(Exception, match="200 septets"):
                sim.send_command("x" * 200)
            urllib.request.urlopen(sandbox.base_urls["supersim"] + "/v1/SmsCommands").close()
        """
    ).assert_outcomes(passed=2)


def test_status_that_no_event_accompanies_is_waited_for():
    """The receipt comes later than everything that the network tells."""
    with LocalSandbox() as sandbox:
        sim = sandbox.sim()
        sim.add_fault("receipt-delayed:seconds=0.2")
        command = sim.send_command("x")
        command.wait_for_status("delivered")
        assert sim.faults_struck == ["receipt-delayed"]
