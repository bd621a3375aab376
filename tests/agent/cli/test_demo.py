"""`demo`: errors at the start."""

import pytest

from agent.daemon.control_socket import ControlUnusable


@pytest.mark.parametrize(
    ("error", "sentences"),
    [
        (OSError(28, "No space left on device", "/tmp/x"), ["[Errno 28] No space left on device: '/tmp/x'"]),
        (ExceptionGroup("three", [ControlUnusable("too long")] * 3), ["too long"]),
        (
            ExceptionGroup("two", [ControlUnusable("a"), ExceptionGroup("in", [OSError("b")])]),
            ["a", "b"],
        ),
    ],
)
def test_failed_start_is_reported(cli_env, monkeypatch, error, sentences):
    """Each reason once, however many agents have it."""

    async def fail(*_args, **_options):
        raise error

    monkeypatch.setattr("agent.demo.run.run_demo", fail)
    result = cli_env.run_bare("demo", "--once")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"modem-agent: the demo cannot start: {sentence}" for sentence in sentences
    ]


def test_agents_that_never_become_ready_are_reported(cli_env, monkeypatch):
    """One sentence and exit status 1."""

    async def time_out(*_args, **_options):
        raise TimeoutError

    monkeypatch.setattr("agent.demo.run.run_demo", time_out)
    result = cli_env.run_bare("demo", "--once")
    assert result.exit_code == 1
    assert "did not become ready in time" in result.stderr
