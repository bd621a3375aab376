import socket
from pathlib import Path

import pytest

from agent.common.sd_notify import make_notifier, read_runtime_directories, read_watchdog_interval_s


@pytest.mark.parametrize("abstract", [False, True])
def test_notification_is_sent_to_the_socket(tmp_path, abstract):
    """NOTIFY_SOCKET is a path or, after "@", a name in the abstract namespace."""
    name = str(tmp_path / "notify") if not abstract else f"modem-agent-test-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(("\0" + name) if abstract else name)
        make_notifier({"NOTIFY_SOCKET": ("@" + name) if abstract else name})("READY=1")
        assert server.recv(100) == b"READY=1"


def test_missing_socket_is_ignored(tmp_path):
    """Without systemd, or when its socket is gone, nothing is sent and nothing is raised."""
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
def test_watchdog_interval_is_half_of_the_timeout(environ, seconds):
    """It is None unless systemd expects notifications from this very process."""
    assert read_watchdog_interval_s(environ, 7) == seconds


def test_runtime_directories_are_read():
    """They are separated by colons; without systemd there are none."""
    assert read_runtime_directories({"RUNTIME_DIRECTORY": "/run/a:/run/b"}) == (
        Path("/run/a"),
        Path("/run/b"),
    )
    assert read_runtime_directories({}) == ()
