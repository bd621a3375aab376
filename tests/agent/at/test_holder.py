"""Why a port cannot be opened."""

import errno
import os

import pytest

from agent.at.holder import (
    describe_busy_port,
    describe_other_holders,
    describe_permissions,
    find_holders,
    translate_open_error,
)


@pytest.fixture
def proc(tmp_path):
    """A /proc with the processes that a test puts there."""
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "self").mkdir()

    def add(pid, program, *files):
        (folder / str(pid) / "fd").mkdir(parents=True)
        (folder / str(pid) / "comm").write_text(program + "\n")
        for number, file in enumerate(files):
            (folder / str(pid) / "fd" / str(number)).symlink_to(file)
        return folder

    add(1, "systemd", "/dev/null")
    return add


@pytest.fixture
def port(tmp_path):
    """A port behind a name that stays."""
    (tmp_path / "ttyUSB2").touch()
    (tmp_path / "modem").symlink_to(tmp_path / "ttyUSB2")
    return tmp_path / "modem", tmp_path / "ttyUSB2"


def test_the_holder_is_named(proc, port):
    """Process id and program, also where the port was opened by another of its names."""
    name, device = port
    folder = proc(512, "gammu-smsd", "/dev/null", device)
    assert find_holders(str(name), folder) == [(512, "gammu-smsd")]
    assert (
        describe_busy_port(str(name), folder) == f"port {name} is held by gammu-smsd (pid 512); stop it first"
    )


def test_who_has_the_port_beside_us(proc, port):
    """A second reader that may be seen is named; else the likely one, with the rule that keeps it away."""
    name, device = port
    folder = proc(40, "modem-agent", device)
    assert "sudo fuser -v" in describe_other_holders(str(name), 40, folder)
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in describe_other_holders(str(name), 40, folder)
    proc(77, "ModemManager")
    assert describe_other_holders(str(name), 40, folder).startswith(
        "most likely ModemManager (pid 77), which probes"
    )
    proc(90, "minicom", device)
    assert describe_other_holders(str(name), 40, folder) == f"minicom (pid 90) has {name} open too; stop it"


def test_modem_manager_is_named_with_its_cure(proc, port):
    """It lets go by itself after its probing, or is told to leave the port alone."""
    name, device = port
    sentence = describe_busy_port(str(name), proc(77, "ModemManager", device))
    assert "ModemManager (pid 77)" in sentence
    assert "30 s" in sentence
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in sentence


def test_modem_manager_of_another_user(proc, port):
    """What it has open cannot be seen, that it runs can."""
    folder = proc(77, "ModemManager")
    assert "probably by ModemManager (pid 77)" in describe_busy_port(str(port[0]), folder)


def test_an_unknown_holder(proc, port):
    """The sentence says how to find out."""
    assert "sudo fuser -v" in describe_busy_port(str(port[0]), proc(9, "cat"))


def test_forbidden_names_both_sides(tmp_path):
    """Device, owner, group, who we are, and what to do."""
    device = tmp_path / "tty"
    device.touch(mode=0o600)
    os.chown(device, 4242, 4343) if os.geteuid() == 0 else None
    sentence = describe_permissions(str(device))
    assert str(device) in sentence
    assert "belongs to user" in sentence
    assert "rw-------" in sentence
    assert str(os.geteuid()) in sentence
    assert "dialout" in sentence
    if os.geteuid() == 0:
        assert "4242" in sentence
        assert "4343" in sentence


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EBUSY, "busy"),
        (errno.EAGAIN, "busy"),
        (errno.EACCES, "forbidden"),
        (errno.ENOENT, "absent"),
        (errno.EIO, "absent"),
        (errno.ENOTTY, "absent"),
        (errno.EISDIR, "absent"),
        (0, "absent"),
    ],
)
def test_kinds(number, kind, proc):
    """Each reason is of one kind, and the sentence names the port."""
    error = translate_open_error("/dev/ttyX9", OSError(number, "why"), proc(2, "x"))
    assert error.kind == kind
    assert "/dev/ttyX9" in str(error)
