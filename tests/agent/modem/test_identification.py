"""Identification of the profile, at little cost for modules that no profile knows."""

import asyncio

import pytest

from agent.modem.identification import IdentifiedProfile
from hardware import profile
from hardware.identify import PortInfo

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
AUTO = {"profile": "auto"}
QUESTIONS = {"AT+CGMM", "ATI", "AT+GMM", "AT+CGMI"}


SISTERS = {"lara_r6_01b": "lara_r6_00b"}
"""Their answers are alike; only USB tells them apart."""


def identify_commands(lines):
    return [line for line in lines if line in QUESTIONS]


@pytest.mark.parametrize("name", [name for name in profile.list_profiles() if name != "generic"])
def test_module_is_identified_by_its_answers(run_modem_bench, name):
    """The simulated module of a profile is driven by that profile after one or two commands."""

    async def scenario(bench):
        status = await bench.modem.initialise()
        profile_name = SISTERS.get(name, name)
        assert status.profile.startswith(f"{profile_name} (by its answer to AT")
        assert bench.modem.driver == profile.load_driver_profile(profile_name)
        assert str(status).startswith(f"profile {profile_name} (")

    device = profile.load_simulator_profile(name)
    run_modem_bench(scenario, device=device, initialise=False, options=AUTO)


def test_unique_usb_id_needs_no_command(run_scripted_modem):
    """If one profile has the USB id, no identification command is sent."""

    async def scenario(modem, script):
        status = await modem.initialise()
        assert status.profile == "ec25 (by its USB id 2c7c:0125)"
        assert identify_commands(script.received_lines) == []

    port_info = PortInfo(("ec25",), "2c7c:0125", "at")
    run_scripted_modem(scenario, initialise=False, options=AUTO | {"port_info": port_info})


def test_ambiguous_usb_id_is_resolved_by_the_answer(run_scripted_modem):
    """SIM7000 and SIM7600 share a USB id."""

    async def scenario(modem, script):
        status = await modem.initialise()
        assert status.profile == "sim7000 (by its answer to AT+CGMM)"
        assert identify_commands(script.received_lines) == ["AT+CGMM"]

    port_info = PortInfo(("sim7000", "sim7600"), "1e0e:9001", "at")
    answers = {"AT+CGMM": b"\r\nSIMCOM_SIM7000G\r\n" + OK}
    run_scripted_modem(scenario, initialise=False, options=AUTO | {"port_info": port_info}, table=answers)


def test_configured_profile_is_used(run_scripted_modem):
    """The configured profile is used whatever the module answers.

    The generic profile is not mentioned as configured.
    """

    async def scenario(modem, script):
        status = await modem.initialise()
        assert status.profile == "bg96 (as configured)"
        assert identify_commands(script.received_lines) == []

    run_scripted_modem(scenario, initialise=False, options={"profile": "bg96"})
    assert str(IdentifiedProfile()) == "generic"


@pytest.mark.parametrize(
    ("answers", "queries"),
    [
        ({"AT+CGMM": ERROR, "ATI": ERROR}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": b"\r\n+CME ERROR: 100\r\n", "ATI": b"\r\n+CME ERROR: 3\r\n"}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": OK, "ATI": OK}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": b"\r\n\xff\xfe\x00?\r\n" + OK, "ATI": b"\r\n----\r\n" + OK}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": b"\r\nMODEM 3000\r\n" + OK, "ATI": b"\r\nV1.0\r\n\r\n*\r\n" + OK}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": b"\r\n" + b"x" * 4000 + b"\r\n" + OK, "ATI": ERROR}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": b"\r\nRevision: ERROR\r\n" + OK, "ATI": b"\r\n+CMTI: \r\n" + OK}, ["AT+CGMM", "ATI"]),
        ({"AT+CGMM": None}, ["AT+CGMM"]),
    ],
)
def test_unknown_module_uses_the_generic_profile(run_scripted_modem, answers, queries):
    """No answer makes a module unusable; after one command without any answer no further one is sent."""

    async def scenario(modem, script):
        began = asyncio.get_running_loop().time()
        status = await modem.initialise()
        assert status.profile.startswith("generic (")
        assert identify_commands(script.received_lines) == queries
        assert asyncio.get_running_loop().time() - began < (6 if answers["AT+CGMM"] is None else 1.5)
        assert modem.is_notifying

    run_scripted_modem(scenario, initialise=False, options=AUTO, table=answers)


def test_identification_happens_once(run_scripted_modem):
    """The module is not identified again after a restart."""

    async def scenario(modem, script):
        await modem.initialise()
        await modem.initialise()
        assert identify_commands(script.received_lines) == ["AT+CGMM", "ATI"]

    run_scripted_modem(scenario, initialise=False, options=AUTO)


def test_identification_of_a_module_that_refuses_at_and_echoes(run_scripted_modem):
    """A module that echoes and refuses AT is identified, too."""

    def echoed(line):
        return f"{line}\r".encode() + b"\r\nEC25\r\n" + OK

    async def scenario(modem, script):
        assert (await modem.initialise()).profile == "ec25 (by its answer to AT+CGMM)"

    run_scripted_modem(scenario, initialise=False, options=AUTO, table={"AT": ERROR, "AT+CGMM": echoed})
