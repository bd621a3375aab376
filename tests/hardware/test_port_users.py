"""Who else uses a module: as the kernel's files tell."""

import pytest

from hardware.port_users import describe_other_user


def no_holders(_port):
    return []


def add_network_interface(machine, name, flags, state, *, path="1-1.2", interface=4):
    folder = machine.root / f"sys/bus/usb/devices/{path}/{path}:1.{interface}/net/{name}"
    folder.mkdir(parents=True)
    (folder / "flags").write_text(flags + "\n")
    (folder / "operstate").write_text(state + "\n")


@pytest.fixture
def module(fake_host):
    """A SIM7600 with its ttys; 2 takes AT commands."""
    fake_host.plug("1-1.2", "1e0e:9001", {number: f"ttyUSB{number}" for number in range(5)})
    return fake_host


def test_alone(module):
    """Nobody but us."""
    assert describe_other_user(module.dev / "ttyUSB2", 7, lambda _: [(7, "modem-agent")], module.root) == ""


@pytest.mark.parametrize(
    ("flags", "state", "used"),
    [
        ("0x1003", "up", True),
        ("0x1091", "unknown", True),
        ("0x1002", "down", False),
        ("0x1003", "down", False),
        ("rubbish", "up", False),
    ],
)
def test_a_network_interface(module, flags, state, used):
    """One that is up carries the gateway's data; raw IP never says more than unknown."""
    add_network_interface(module, "wwan0", flags, state)
    said = describe_other_user(module.dev / "ttyUSB2", 7, no_holders, module.root)
    assert said == ("the network interface wwan0 of the same USB device is up" if used else "")


def test_an_interface_of_another_device(module):
    """Is nobody's concern."""
    module.plug("1-1.3", "0bda:8153", {})
    add_network_interface(module, "eth1", "0x1003", "up", path="1-1.3")
    assert describe_other_user(module.dev / "ttyUSB2", 7, no_holders, module.root) == ""


def test_another_tty_that_a_program_holds(module):
    """pppd on the data port, say."""

    def holders(port):
        return [(42, "pppd")] if port.endswith("ttyUSB3") else []

    said = describe_other_user(module.dev / "ttyUSB2", 7, holders, module.root)
    assert said == f"{module.dev}/ttyUSB3 is held by pppd (pid 42)"


@pytest.mark.parametrize(("alive", "text"), [(True, "      42\n"), (False, "42\n"), (True, "rubbish")])
def test_a_lock_of_another_user(module, alive, text):
    """Whose open files nobody may see: its lock tells, while the process lives."""
    (module.root / "run/lock").mkdir(parents=True)
    (module.root / "run/lock/LCK..ttyUSB3").write_text(text)
    if alive:
        (module.root / "proc/42").mkdir(parents=True)
    said = describe_other_user(module.dev / "ttyUSB2", 7, no_holders, module.root)
    assert said == (f"{module.dev}/ttyUSB3 is held by process 42" if alive and "42" in text else "")


def test_a_uart_has_only_itself(fake_host):
    """Another program on the same port counts, an interface that is up elsewhere does not."""
    fake_host.uart("ttyAMA0")
    assert describe_other_user(fake_host.dev / "ttyAMA0", 7, no_holders, fake_host.root) == ""
    assert "held by minicom" in describe_other_user(
        fake_host.dev / "ttyAMA0", 7, lambda _: [(9, "minicom")], fake_host.root
    )
