"""`demo`: errors at the start."""

import resource
import subprocess
import sys

import pytest

from agent.cli.demo import describe_start_error
from agent.daemon.control_socket import ControlUnusable

COMMAND = [sys.executable, "-c", "from agent.cli import main; main()", "demo", "--once"]


@pytest.mark.parametrize(
    ("error", "sentences"),
    [
        (
            OSError(28, "No space left on device", "/tmp/x"),
            ["the demo cannot start: [Errno 28] No space left on device: '/tmp/x'"],
        ),
        (ExceptionGroup("three", [ControlUnusable("too long")] * 3), ["the demo cannot start: too long"]),
        (
            ExceptionGroup("two", [ControlUnusable("a"), ExceptionGroup("in", [OSError("b")])]),
            ["the demo cannot start: a", "the demo cannot start: b"],
        ),
        (
            TimeoutError(),
            ["the agents of the demo did not become ready in time; this machine may be very busy"],
        ),
    ],
)
def test_start_error_is_described_once(error, sentences):
    """Each reason once, however many agents have it."""
    assert describe_start_error(error) == sentences


def test_failed_start_is_reported():
    """One sentence and exit status 1, here because no file can be written."""
    result = subprocess.run(
        COMMAND,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)),
    )
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("modem-agent: the demo cannot start: [Errno ")
