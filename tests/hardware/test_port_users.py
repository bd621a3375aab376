"""Who else uses a port or its module, and why a port cannot be opened."""

import os
from pathlib import Path

import pytest

from hardware.port_users import (
    SystemUser,
    describe_other_holders,
    describe_other_user,
    explain_busy_port,
    explain_modem_manager,
    explain_permissions,
    find_holders,
    process_exists,
)

AGENT_PID = 40


@pytest.fixture
def port(fake_host):
    """A port with a second, stable name; /proc has a process that does not use it."""
    (fake_host.dev / "ttyUSB2").touch()
    (fake_host.dev / "modem").symlink_to(fake_host.dev / "ttyUSB2")
    fake_host.add_process(1, "systemd", "/dev/null")
    (fake_host.root / "proc/self").mkdir()
    return fake_host.dev / "modem"


@pytest.fixture
def module(fake_host):
    """A SIM7600 with its ttys; 2 takes AT commands, and the agent has it open."""
    fake_host.plug("1-1.2", "1e0e:9001", {number: f"ttyUSB{number}" for number in range(5)})
    fake_host.add_process(AGENT_PID, "modem-agent", fake_host.dev / "ttyUSB2")
    return fake_host


def add_network_interface(fake_host, name, flags, state, *, path="1-1.2", interface=4):
    folder = fake_host.root / f"sys/bus/usb/devices/{path}/{path}:1.{interface}/net/{name}"
    folder.mkdir(parents=True)
    (folder / "flags").write_text(flags + "\n")
    (folder / "operstate").write_text(state + "\n")


# Who holds a port


def test_holder_is_found_by_any_name_of_the_port(fake_host, port):
    """Process id and program, also where the port was opened by its other name."""
    fake_host.add_process(512, "gammu-smsd", "/dev/null", fake_host.dev / "ttyUSB2")
    assert find_holders(str(port), fake_host.root) == [(512, "gammu-smsd")]
    assert (
        explain_busy_port(str(port), fake_host.root)
        == f"port {port} is held by gammu-smsd (pid 512); stop it first"
    )


def test_second_holder_is_named_or_guessed(fake_host, port):
    """A visible second reader is named, else ModemManager if it runs, else how to find it."""

    def describe():
        return describe_other_holders(str(port), AGENT_PID, fake_host.root)

    fake_host.add_process(AGENT_PID, "modem-agent", fake_host.dev / "ttyUSB2")
    assert "sudo fuser -v" in describe()
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in describe()
    fake_host.add_process(77, "ModemManager")
    assert describe().startswith("most likely ModemManager (pid 77), which probes")
    fake_host.add_process(90, "minicom", fake_host.dev / "ttyUSB2")
    assert describe() == f"minicom (pid 90) has {port} open too; stop it first"


def test_modem_manager_is_named_with_its_remedy(fake_host, port):
    """It releases the port after probing; the sentence gives the udev rule that keeps it away for good."""
    fake_host.add_process(77, "ModemManager", fake_host.dev / "ttyUSB2")
    sentence = explain_busy_port(str(port), fake_host.root)
    assert "ModemManager (pid 77)" in sentence
    assert "30 s" in sentence
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in sentence


def test_modem_manager_of_another_user_is_suspected(fake_host, port):
    """Its open files are not visible, but that it runs is."""
    fake_host.add_process(77, "ModemManager")
    assert "probably by ModemManager (pid 77)" in explain_busy_port(str(port), fake_host.root)


def test_invisible_holder_can_be_found_with_fuser(fake_host, port):
    """The sentence gives the command."""
    fake_host.add_process(9, "cat")
    assert "sudo fuser -v" in explain_busy_port(str(port), fake_host.root)


def test_missing_permission_names_both_sides(tmp_path):
    """Device, owner, group and mode; the user of this process; and what to do."""
    device = tmp_path / "tty"
    device.touch(mode=0o600)
    os.chown(device, 4242, 4343) if os.geteuid() == 0 else None
    sentence = explain_permissions(str(device))
    assert str(device) in sentence
    assert "belongs to user" in sentence
    assert "rw-------" in sentence
    assert str(os.geteuid()) in sentence
    assert "dialout" in sentence
    if os.geteuid() == 0:
        assert "4242" in sentence
        assert "4343" in sentence


# Who else uses the module


def test_agent_itself_is_not_another_user(module):
    """Only the agent has a port of the module open."""
    assert describe_other_user(module.dev / "ttyUSB2", AGENT_PID, module.root) == ""


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
def test_network_interface_that_is_up_uses_the_module(module, flags, state, used):
    """It carries the gateway's data; a raw IP interface never has another state than unknown."""
    add_network_interface(module, "wwan0", flags, state)
    user = describe_other_user(module.dev / "ttyUSB2", AGENT_PID, module.root)
    assert user == ("the network interface wwan0 of the same USB device is up" if used else "")


def test_network_interface_of_another_device_does_not_count(module):
    """A restart of the module does not touch it."""
    module.plug("1-1.3", "0bda:8153", {})
    add_network_interface(module, "eth1", "0x1003", "up", path="1-1.3")
    assert describe_other_user(module.dev / "ttyUSB2", AGENT_PID, module.root) == ""


def test_program_on_another_port_of_the_module_uses_it(module):
    """For example pppd on the data port."""
    module.add_process(42, "pppd", module.dev / "ttyUSB3")
    user = describe_other_user(module.dev / "ttyUSB2", AGENT_PID, module.root)
    assert user == f"{module.dev}/ttyUSB3 is held by pppd (pid 42)"


@pytest.mark.parametrize(("alive", "text"), [(True, "      42\n"), (False, "42\n"), (True, "rubbish")])
def test_lock_file_names_a_process_of_another_user(module, alive, text):
    """Its open files are not visible; its lock file counts while the process lives."""
    (module.root / "run/lock").mkdir(parents=True)
    (module.root / "run/lock/LCK..ttyUSB3").write_text(text)
    if alive:
        module.add_process(42, "pppd")
    user = describe_other_user(module.dev / "ttyUSB2", AGENT_PID, module.root)
    assert user == (f"{module.dev}/ttyUSB3 is held by process 42" if alive and "42" in text else "")


@pytest.mark.parametrize("pid", ["0", "-1"])
def test_lock_file_without_a_process_holds_no_port(module, pid):
    """Also below the real root, where a process is found by a signal."""
    (module.root / "run/lock").mkdir(parents=True)
    (module.root / "run/lock/LCK..ttyUSB3").write_text(pid)
    assert describe_other_user(module.dev / "ttyUSB2", AGENT_PID, module.root) == ""
    assert not process_exists(int(pid), Path("/"))


def test_on_a_uart_only_the_port_itself_counts(fake_host):
    """Another program on the same port counts."""
    fake_host.uart("ttyAMA0")
    assert describe_other_user(fake_host.dev / "ttyAMA0", AGENT_PID, fake_host.root) == ""
    fake_host.add_process(9, "minicom", fake_host.dev / "ttyAMA0")
    assert "held by minicom" in describe_other_user(fake_host.dev / "ttyAMA0", AGENT_PID, fake_host.root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another group")
@pytest.mark.parametrize(
    ("mode", "uid", "gid", "allowed"),
    [
        (0o660, 0, 0, True),
        (0o660, 1000, 20, True),
        (0o660, 1000, 21, False),
        (0o640, 1000, 20, False),
        (0o666, 1000, 21, True),
        (0o606, 1000, 20, False),
    ],
)
def test_user_may_use_a_port_by_its_mode(tmp_path, mode, uid, gid, allowed):
    """The class of the user decides alone, as in the kernel: owner, group or others."""
    port = tmp_path / "ttyUSB2"
    port.touch()
    os.chown(port, 0, 20)
    port.chmod(mode)
    assert SystemUser(uid, frozenset({gid})).may_use(str(port)) is allowed


def test_modem_manager_is_explained_unless_udev_keeps_it_away(fake_host):
    """The property in the database of udev counts, not a file of rules, which may not have been applied."""
    fake_host.plug("1-1", "1e0e:9001", {2: "ttyUSB2"})
    port = fake_host.dev / "ttyUSB2"
    assert explain_modem_manager(port, fake_host.root) == ""
    fake_host.add_process(78, "ModemManager")
    assert "ModemManager (pid 78) runs, and no udev rule" in explain_modem_manager(port, fake_host.root)
    (fake_host.root / "sys/class/tty/ttyUSB2/dev").write_text("188:2\n")
    database = fake_host.root / "run/udev/data"
    database.mkdir(parents=True)
    (database / "c188:2").write_text("S:serial/by-id/x\nE:ID_MM_PORT_IGNORE=1\n")
    assert explain_modem_manager(port, fake_host.root) == ""


def test_modem_manager_does_not_probe_uarts(fake_host):
    """A HAT needs no rule."""
    fake_host.uart("ttyAMA0")
    fake_host.add_process(78, "ModemManager")
    assert explain_modem_manager(fake_host.dev / "ttyAMA0", fake_host.root) == ""
