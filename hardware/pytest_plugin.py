"""Fixtures for pytest: the sandbox for tests of device programs and of cloud back ends.

    def test_ping(sim, modem_port):
        start_my_program(modem_port)
        sim.send_command("ping").wait_for_status("delivered")
        assert sim.wait_for_message().body == "pong"

pytest finds this module by its entry point. It imports the sandbox when a test first uses a fixture, so it
costs other test runs nothing. One sandbox is started in each test process for each set of options; it is
reset after each test.
"""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from hardware.testing import LocalSandbox, LocalSim, SandboxOptions, WebhookReceiver

INI_OPTIONS = {
    "sandbox_service": "super-sim, programmable-wireless or super-sim-beta (default: super-sim)",
    "sandbox_device": "profile of the module (default: generic)",
    "sandbox_timeout": "seconds that tests wait for something in the sandbox (default: 5)",
}
USED_SANDBOX = pytest.StashKey["LocalSandbox"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("modem-agent", "modem-agent sandbox").addoption(
        "--modem-port",
        metavar="PATH",
        help="Run tests that need only the fixture modem_port with a real module at this serial port; "
        "tests that need the sandbox are skipped.",
    )
    for name, text in INI_OPTIONS.items():
        parser.addini(name, text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "sandbox(service, device, sims, baud, pin, open, faults): options of the sandbox for this test",
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    port = config.getoption("modem_port")
    return [f"modem-agent: real module at {port}"] if port else []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what happened in the sandbox to the report of a failed test."""
    report = yield
    local = item.stash.get(USED_SANDBOX, None)
    if local is not None and report.failed and report.when != "teardown":
        report.sections.extend(local.describe_recent().items())
    return report


@pytest.fixture(scope="session")
def _running_sandboxes() -> Iterator[dict[SandboxOptions, LocalSandbox]]:
    """The sandboxes that run in this process, by their options."""
    running: dict[SandboxOptions, LocalSandbox] = {}
    yield running
    for local in running.values():
        local.close()


@pytest.fixture
def sandbox(
    request: pytest.FixtureRequest, _running_sandboxes: dict[SandboxOptions, LocalSandbox]
) -> Iterator[LocalSandbox]:
    """A simulated module, network and service, as the marker `sandbox` and the ini file describe them."""
    _skip_with_real_module(request.config)
    options, faults = _read_options(request)
    local = _running_sandboxes.get(options)
    if local is None:
        local = _running_sandboxes[options] = _start(request.config, options)
    request.node.stash[USED_SANDBOX] = local
    for fault, name in faults:
        for sim in [local.sim(name)] if name else local.sims:
            sim.add_fault(fault)
    yield local
    local.reset()


@pytest.fixture
def sim(sandbox: LocalSandbox) -> LocalSim:
    """The SIM of the sandbox, the first one if there are several."""
    return sandbox.sim()


@pytest.fixture
def modem_port(request: pytest.FixtureRequest) -> Iterator[str]:
    """Path of the serial port of a module: that of the sandbox, or of the real module of `--modem-port`."""
    port = request.config.getoption("modem_port")
    if not port:
        yield request.getfixturevalue("sim").port
        return
    if not Path(port).exists():
        pytest.fail(f"--modem-port {port}: there is no such device", pytrace=False)
    # Tests in other processes wait for their turn.
    lock = Path(tempfile.gettempdir()) / f"modem-agent-test-{port.strip('/').replace('/', '-')}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield port


@pytest.fixture
def webhook_receiver(sandbox: LocalSandbox) -> Iterator[WebhookReceiver]:
    """A back end that records the callbacks of the sandbox."""
    receiver = sandbox.start_webhook_receiver()
    yield receiver
    receiver.close()


def _skip_with_real_module(config: pytest.Config) -> None:
    port = config.getoption("modem_port")
    if port:
        pytest.skip(f"it needs the sandbox, and --modem-port {port} names a real module")


def _read_options(request: pytest.FixtureRequest) -> tuple[SandboxOptions, list[tuple[str, str]]]:
    """Return options and faults from the marker and the ini file; fails the test if they are wrong."""
    marker = request.node.get_closest_marker("sandbox")
    if marker is not None and marker.args:
        pytest.fail(
            f"options of the sandbox: {marker.args[0]!r} has no name, such as in sandbox(service=...)",
            pytrace=False,
        )
    values = {} if marker is None else dict(marker.kwargs)
    faults = values.pop("faults", [])
    for key in ("service", "device"):
        if from_file := request.config.getini(f"sandbox_{key}"):
            values.setdefault(key, from_file)
    try:
        from hardware.testing import options  # noqa: PLC0415 - it costs time that most test runs need not spend

        wanted = options.parse_options(values)
        return wanted, options.parse_faults(faults, [sim.name for sim in wanted.sims])
    except ModuleNotFoundError as error:
        problem = (
            f"the sandbox needs {error.name}, which is not installed: pip install 'modem-agent[sandbox]'"
        )
    except ValueError as error:
        problem = f"options of the sandbox: {error}"
    pytest.fail(problem, pytrace=False)


def _start(config: pytest.Config, options: SandboxOptions) -> LocalSandbox:
    from hardware.testing import LocalSandbox  # noqa: PLC0415 - as above

    try:
        timeout_s = float(config.getini("sandbox_timeout") or 5)
    except ValueError:
        pytest.fail("sandbox_timeout in the ini file must be a number of seconds", pytrace=False)
    return LocalSandbox(options, timeout_s=timeout_s)
