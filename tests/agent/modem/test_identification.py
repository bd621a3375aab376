"""Which profile drives a module, and that finding it out costs nothing where it cannot be found."""

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


def asked(lines):
    return [line for line in lines if line in QUESTIONS]


@pytest.mark.parametrize("name", [name for name in profile.list_profiles() if name != "generic"])
def test_each_module_is_known_by_what_it_says(run_modem_bench, name):
    """The simulated module of a profile is driven by that profile, after one question or two."""

    async def story(stand):
        condition = await stand.modem.initialise()
        known = SISTERS.get(name, name)
        assert condition.profile.startswith(f"{known} (by its answer to AT")
        assert stand.modem.driver == profile.load_driver_profile(known)
        assert str(condition).startswith(f"profile {known} (")

    device = profile.load_simulator_profile(name)
    run_modem_bench(story, device=device, initialise=False, options=AUTO)


def test_its_place_on_usb_asks_nothing(run_scripted_modem):
    """Where one profile has the USB id the module is not asked."""

    async def story(modem, script):
        condition = await modem.initialise()
        assert condition.profile == "ec25 (by its USB id 2c7c:0125)"
        assert asked(script.received_lines) == []

    place = PortInfo(("ec25",), "2c7c:0125", "at")
    run_scripted_modem(story, initialise=False, options=AUTO | {"port_info": place})


def test_what_usb_leaves_open_the_answer_settles(run_scripted_modem):
    """SIM7000 and SIM7600 share an id."""

    async def story(modem, script):
        condition = await modem.initialise()
        assert condition.profile == "sim7000 (by its answer to AT+CGMM)"
        assert asked(script.received_lines) == ["AT+CGMM"]

    place = PortInfo(("sim7000", "sim7600"), "1e0e:9001", "at")
    answers = {"AT+CGMM": b"\r\nSIMCOM_SIM7000G\r\n" + OK}
    run_scripted_modem(story, initialise=False, options=AUTO | {"port_info": place}, table=answers)


def test_what_is_configured_is_taken(run_scripted_modem):
    """Whatever the module says of itself; the plain module needs no word."""

    async def story(modem, script):
        condition = await modem.initialise()
        assert condition.profile == "bg96 (as configured)"
        assert asked(script.received_lines) == []

    run_scripted_modem(story, initialise=False, options={"profile": "bg96"})
    assert str(IdentifiedProfile()) == "generic"


@pytest.mark.parametrize(
    ("answers", "questions"),
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
def test_a_strange_module_is_driven_by_the_standards(run_scripted_modem, answers, questions):
    """No answer makes it unusable; one question without any answer is the last, and costs a few seconds."""

    async def story(modem, script):
        began = asyncio.get_running_loop().time()
        condition = await modem.initialise()
        assert condition.profile.startswith("generic (")
        assert asked(script.received_lines) == questions
        assert asyncio.get_running_loop().time() - began < (6 if answers["AT+CGMM"] is None else 1.5)
        assert modem.is_notifying

    run_scripted_modem(story, initialise=False, options=AUTO, table=answers)


def test_it_is_asked_once(run_scripted_modem):
    """A restart of the module makes it no other one."""

    async def story(modem, script):
        await modem.initialise()
        await modem.initialise()
        assert asked(script.received_lines) == ["AT+CGMM", "ATI"]

    run_scripted_modem(story, initialise=False, options=AUTO)


def test_a_module_that_refuses_a_bare_at_and_echoes(run_scripted_modem):
    """Nor does it need to be a tidy one."""

    def echoed(line):
        return f"{line}\r".encode() + b"\r\nEC25\r\n" + OK

    async def story(modem, script):
        assert (await modem.initialise()).profile == "ec25 (by its answer to AT+CGMM)"

    run_scripted_modem(story, initialise=False, options=AUTO, table={"AT": ERROR, "AT+CGMM": echoed})
