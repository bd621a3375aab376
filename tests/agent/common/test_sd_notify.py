import socket

import pytest

from agent.common.sd_notify import make_notifier, read_watchdog_interval_s


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_reach_the_socket(tmp_path, abstract):
    """A datagram goes to the path, or to the name in the abstract namespace."""
    name = str(tmp_path / "notify") if not abstract else f"modem-agent-test-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(("\0" + name) if abstract else name)
        make_notifier({"NOTIFY_SOCKET": ("@" + name) if abstract else name})("READY=1")
        assert line.recv(100) == b"READY=1"


def test_nobody_to_tell_is_no_trouble(tmp_path):
    """Without systemd, or with a socket that has gone, nothing happens."""
    make_notifier({})("READY=1")
    make_notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})("READY=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_needed(environ, seconds):
    """Half of what systemd allows, and only where it means this process."""
    assert read_watchdog_interval_s(environ, 7) == seconds
