"""Users of the module, the check of the SIM, and the actions that the executor takes or completes."""

import asyncio

import pytest

from agent.at.transport.port_opener import PortOpener
from agent.modem.send_refusals import SendRefusals
from agent.modem.status_queries import Registration
from agent.recovery.executor import ModuleUsers, RecoveryExecutor, RecoveryOptions
from agent.recovery.policy import STORE_UNREADABLE_TIMEOUT_S, Failure, RecoveryPolicy
from hardware.power import UsbPowerSwitch


def test_socket_has_no_known_users():
    """There is no local device to examine."""

    async def connect(_reader):
        raise AssertionError

    assert ModuleUsers(connect).device_path() is None
    assert ModuleUsers(connect).describe_users() == ""


def test_users_of_the_port_that_was_opened_last(tmp_path):
    """There are none before the port is first opened. A data call on the port itself counts as a user."""
    examined = []
    opener = PortOpener("auto", 115_200)
    module_users = ModuleUsers(opener, lambda path, _own_pid: examined.append(path) or "wwan0 is up")
    assert module_users.describe_users() == ""
    opener._device_path = tmp_path / "ttyUSB2"
    assert module_users.device_path() == tmp_path / "ttyUSB2"
    assert module_users.describe_users() == "wwan0 is up"
    assert examined == [tmp_path / "ttyUSB2"]
    opener.port_state.is_in_data_mode = True
    assert "data mode" in module_users.describe_users()


@pytest.mark.parametrize(
    ("state_file", "is_writable", "messages"),
    [
        (None, True, []),
        ("1-1.2", True, ["USB device 1-1.2 is switched on again"]),
        ("1-1.2", False, ["the module may be switched off: "]),
    ],
)
async def test_device_that_a_killed_agent_left_off_is_switched_on(
    pipeline, tmp_path, state_file, is_writable, messages
):
    """It happens before the first session and is logged; a missing permission is logged as well."""
    switch = tmp_path / "sys/bus/usb/devices/1-1.2/authorized"
    (switch if not is_writable else switch.parent).mkdir(parents=True)
    if is_writable:
        switch.write_text("0")
    if state_file is not None:
        (tmp_path / "usb-off").write_text(state_file)
    power = UsbPowerSwitch(lambda: None, tmp_path / "usb-off", tmp_path)
    executor = RecoveryExecutor(
        runtime=pipeline.runtime,
        policy=RecoveryPolicy(pipeline.random),
        options=RecoveryOptions(power),
        reset_budget=None,
        opener=None,
        send_refusals=SendRefusals(),
    )
    await executor.restore_power()
    assert [
        event.message[: len(start)]
        for event, start in zip(pipeline.events_of_kind("recovery"), messages, strict=True)
    ] == messages
    if is_writable:
        assert switch.read_text() == ("0" if state_file is None else "1")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (["+CPIN: READY"], None),
        (["+CPIN: NOT INSERTED"], Failure.NO_SIM),
        (["+cpin: not ready"], Failure.NO_SIM),
        (["+CPIN: SIM PIN"], Failure.PIN_REQUIRED),
        (["+CPIN: SIM PUK"], Failure.PIN_REQUIRED),
        (["+CPIN: PH-NET PIN"], Failure.PIN_REQUIRED),
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
async def test_sim_failure_is_diagnosed(pipeline, factories, answer, failure):
    """+CPIN? is answered by a code or an error. An unknown state is not a failure. No PIN is entered."""
    modem = factories.modem(pipeline)
    modem.sim_answer = answer
    if answer is None:
        modem.sim_answer = factories.timed_out("AT+CPIN?")
    elif isinstance(answer, tuple):
        modem.sim_answer = factories.refused(answer[1], kind=answer[0])
    executor = RecoveryExecutor(
        runtime=pipeline.runtime,
        policy=RecoveryPolicy(pipeline.random),
        options=RecoveryOptions(),
        reset_budget=None,
        opener=None,
        send_refusals=SendRefusals(),
    )
    assert await executor.diagnose_sim(modem) is failure
    assert pipeline.calls_of("at") == [("at", "AT+CPIN?")]


async def test_unreadable_store_begins_a_new_session(pipeline, factories):
    """It is logged once, does not count as a failed session and costs no reset."""
    modem = factories.modem(pipeline)
    executor = RecoveryExecutor(
        runtime=pipeline.runtime,
        policy=RecoveryPolicy(pipeline.random),
        options=RecoveryOptions(),
        reset_budget=None,
        opener=None,
        send_refusals=SendRefusals(),
    )
    executor.policy.check_store(
        asyncio.get_running_loop().time() - STORE_UNREADABLE_TIMEOUT_S, unreadable=True
    )
    await executor.check_session(modem, Registration(1))
    assert not executor.action_ended_session
    executor.policy.check_store(
        asyncio.get_running_loop().time() - STORE_UNREADABLE_TIMEOUT_S, unreadable=True
    )
    modem.read_error = "AT+CMGL=4 was refused: +CMS ERROR: 500"
    await executor.check_session(modem, Registration(1))
    assert [str(event) for event in pipeline.events_of_kind("recovery")] == [
        "recovery: its messages cannot be read (AT+CMGL=4 was refused: +CMS ERROR: 500): begin a new session"
    ]
    assert executor.action_ended_session
    assert modem.loss_reason
