"""Where `modem-agent signal` reads from: the running agent, or the port of the module if no agent runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from agent.cli.common import exit_with_error
from agent.cli.module_settings import make_port_opener
from agent.common.config import Config, ModemConfig
from agent.daemon.control_client import AgentNotRunning, ControlError, send_request

SIGNAL_TIMEOUT_S = 45.0
"""Four AT commands of 10 s each."""


class SignalUnavailable(Exception):  # noqa: N818  (a state of the module, like PortUnavailable)
    """The module cannot be asked now; the text is a sentence."""


class SignalSource(Protocol):
    """Reads the signal."""

    note: str
    """What the user should know about the source; empty if nothing."""

    def read(self) -> dict[str, Any]:
        """Return the values now. Raises SignalUnavailable."""


class _RunningAgent:
    note = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Any]:
        try:
            return send_request(self._path, {"do": "signal"}, timeout_s=SIGNAL_TIMEOUT_S)
        except ControlError as error:
            raise SignalUnavailable(str(error)) from None


class _Port:
    note = "no agent runs; the module is asked directly, and nothing is changed in it"

    def __init__(self, runner: asyncio.Runner, reader: Any) -> None:
        self._runner = runner
        self._reader = reader

    def read(self) -> dict[str, Any]:
        from agent.at.errors import AtError

        try:
            values: dict[str, Any] = self._runner.run(self._reader.read())
        except AtError as error:
            raise SignalUnavailable(str(error)) from None
        return values


@contextmanager
def open_signal_source(config_path: Path, config: Config) -> Iterator[SignalSource]:
    """Yield the agent if it answers, else the port. Raises SignalUnavailable if the port cannot be used.

    An agent that cannot be asked ends the program.
    """
    path = config.control.socket
    try:
        send_request(path, {"do": "status"}, timeout_s=SIGNAL_TIMEOUT_S)
    except AgentNotRunning:
        pass
    except ControlError as error:
        exit_with_error(error)
    else:
        yield _RunningAgent(path)
        return
    with _open_port(config_path, config.modem) as source:
        yield source


@contextmanager
def _open_port(config_path: Path, modem: ModemConfig) -> Iterator[SignalSource]:
    from agent.at.errors import AtError
    from agent.at.transport.base import PortUnavailable
    from agent.common.config import ConfigError
    from agent.diagnosis.module_connection import connect
    from agent.diagnosis.signal_reader import SignalReader

    def make_opener(port: str, baud: Any) -> Any:
        return make_port_opener(config_path, Config(modem=ModemConfig(port=port, baud=baud)))

    with asyncio.Runner() as runner:
        connection = connect(make_opener, modem, None)
        try:
            client = runner.run(connection.__aenter__())
        except (AtError, PortUnavailable, ConfigError) as error:
            raise SignalUnavailable(str(error)) from None
        try:
            yield _Port(runner, SignalReader(client, modem.profile))
        finally:
            runner.run(connection.__aexit__(None, None, None))
