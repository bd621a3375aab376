"""Who else uses the module, as recovery asks before it does anything; and what was left half done."""

import asyncio

import pytest

from agent.at.transport.port_opener import PortOpener
from agent.modem.status_queries import Registration
from agent.recovery.executor import ModuleUsers, RecoveryExecutor, RecoveryOptions
from agent.recovery.policy import STORE_UNREADABLE_TIMEOUT_S, Failure, RecoveryPolicy
from hardware import port_users
from hardware.power import UsbPowerSwitch


def test_of_a_socket_nothing_is_known():
    """There is no device to look at."""

    async def connect(_reader):
        raise AssertionError

    assert ModuleUsers(connect).device_path() is None
    assert ModuleUsers(connect).describe_users() == ""


def test_the_port_that_was_opened_last_is_looked_at(monkeypatch, tmp_path):
    """None before the first opening; a data call on the port itself counts as well."""
    asked = []
    monkeypatch.setattr(
        port_users, "describe_other_user", lambda node, *_: asked.append(node) or "wwan0 is up"
    )
    opener = PortOpener("auto", 115_200)
    looking = ModuleUsers(opener)
    assert looking.describe_users() == ""
    opener._device_path = tmp_path / "ttyUSB2"
    assert looking.device_path() == tmp_path / "ttyUSB2"
    assert looking.describe_users() == "wwan0 is up"
    assert asked == [tmp_path / "ttyUSB2"]
    opener.port_state.is_in_data_mode = True
    assert "data mode" in looking.describe_users()


@pytest.mark.parametrize(
    ("note", "may", "said"),
    [
        (None, True, []),
        ("1-1.2", True, ["USB device 1-1.2 is switched on again"]),
        ("1-1.2", False, ["the module may be switched off: "]),
    ],
)
async def test_what_a_killed_agent_left_off_is_switched_on(pipeline, tmp_path, note, may, said):
    """Before the first session, with one line; a right that is missing is said and stops nothing."""
    switch = tmp_path / "sys/bus/usb/devices/1-1.2/authorized"
    (switch if not may else switch.parent).mkdir(parents=True)
    if may:
        switch.write_text("0")
    if note is not None:
        (tmp_path / "note").write_text(note)
    power = UsbPowerSwitch(lambda: None, tmp_path / "note", tmp_path)
    mender = RecoveryExecutor(
        RecoveryPolicy(pipeline.random),
        RecoveryOptions(power),
        None,
        pipeline.db,
        None,
        pipeline.emit,
        pipeline.deadlines(),
    )
    await mender.restore_usb_power()
    assert [
        line.message[: len(start)]
        for line, start in zip(pipeline.events_of_kind("recovery"), said, strict=True)
    ] == said
    if may:
        assert switch.read_text() == ("0" if note is None else "1")


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (["+CPIN: READY"], None),
        (["+CPIN: NOT INSERTED"], Failure.NO_SIM),
        (["+cpin: not ready"], Failure.NO_SIM),
        (["+CPIN: SIM PIN"], Failure.PIN_REQUIRED),
        (["+CPIN: SIM PUK"], Failure.PIN_REQUIRED),
        (("cme", 10), Failure.NO_SIM),
        (("cme", 13), Failure.NO_SIM),
        (("cms", 310), Failure.NO_SIM),
        (("cms", 313), Failure.NO_SIM),
        (("cme", 14), Failure.SIM_BUSY),
        (("cms", 314), Failure.SIM_BUSY),
        (("cme", 100), None),
        (None, None),
    ],
)
async def test_what_the_module_says_of_its_sim(pipeline, factories, said, trouble):
    """In words or as an error; where nobody can tell nothing is done about it. Only a look, no PIN."""
    modem = factories.modem(pipeline)
    modem.sim_answer = said
    if said is None:
        modem.sim_answer = factories.timed_out("AT+CPIN?")
    elif isinstance(said, tuple):
        modem.sim_answer = factories.refused(said[1], kind=said[0])
    mender = RecoveryExecutor(
        RecoveryPolicy(pipeline.random),
        RecoveryOptions(),
        None,
        pipeline.db,
        None,
        pipeline.emit,
        pipeline.deadlines(),
    )
    assert await mender.diagnose_sim(modem) is trouble
    assert pipeline.calls_of("at") == [("at", "AT+CPIN?")]


async def test_messages_that_cannot_be_read_for_long(pipeline, factories):
    """One line that says why, and another session: no failure of the line, and no reset is counted."""
    modem = factories.modem(pipeline)
    mender = RecoveryExecutor(
        RecoveryPolicy(pipeline.random),
        RecoveryOptions(),
        None,
        pipeline.db,
        None,
        pipeline.emit,
        pipeline.deadlines(),
    )
    mender.policy.check_store(asyncio.get_running_loop().time() - STORE_UNREADABLE_TIMEOUT_S, unreadable=True)
    await mender.check_session(modem, Registration(1))
    assert not mender.action_ended_session
    mender.policy.check_store(asyncio.get_running_loop().time() - STORE_UNREADABLE_TIMEOUT_S, unreadable=True)
    modem.read_error = "AT+CMGL=4 was refused: +CMS ERROR: 500"
    await mender.check_session(modem, Registration(1))
    assert [str(line) for line in pipeline.events_of_kind("recovery")] == [
        "recovery: its messages cannot be read (AT+CMGL=4 was refused: +CMS ERROR: 500): begin a new session"
    ]
    assert mender.action_ended_session
    assert modem.loss_reason
