"""Checks [mqtt] and [webhook]: files and secrets, then name, connection, TLS and login. Sends no Command."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.common.config import Config, ConfigError, MqttConfig, WebhookConfig
from agent.diagnosis.finding import Check, Finding, Level
from agent.forwarding.mqtt_worker import NOT_INSTALLED
from agent.forwarding.network_errors import describe_network_error
from agent.forwarding.secret_file import SecretError, read_secret
from agent.forwarding.targets import MQTT, WEBHOOK, default_gateway, worker_settings
from agent.forwarding.tls import make_tls_context
from agent.forwarding.webhook_worker import read_authorization, read_signing_keys
from pdu.record import Record

CONNECT_TIMEOUT_S = 4.0
"""Time for the connection, and for the login after it: the doctor takes ten seconds in all."""
ALLOW_NETWORK = "sudo modem-agent setup --network"


class ForwardingFacts(Record):
    """What the doctor knows about the installation of the agent."""

    may_use_network: Callable[[], bool] = lambda: True
    """Returns False if the unit of the service does not allow the Internet."""
    find_credential: Callable[[str], Path | None] = lambda _name: None
    """Returns the file of a systemd credential, None if there is none."""


def forwards(config: Config) -> bool:
    """Return True if a broker or a server is configured."""
    return bool(config.mqtt.broker or config.webhook.url)


def check_forwarding_files(path: Path, config: Config) -> None:
    """Raise ConfigError with a sentence for each file and secret of [mqtt] and [webhook] that is unusable."""
    errors: list[str] = []
    for name, table in _tables(config):
        settings = worker_settings(table, table.gateway)
        if name == MQTT and importlib.util.find_spec("paho") is None:
            errors.append(f"mqtt.broker: {NOT_INSTALLED}")
        for read in (_read_mqtt_password, make_tls_context) if name == MQTT else _WEBHOOK_READERS:
            try:
                read(settings)
            except SecretError as error:
                errors.append(str(error))
    if errors:
        raise ConfigError(*(f"{path}: {error}" for error in errors))


def _read_mqtt_password(settings: Mapping[str, Any]) -> object:
    return read_secret("mqtt.password_file", settings["password_file"], "mqtt-password", os.environ)


_WEBHOOK_READERS: tuple[Callable[[Mapping[str, Any]], object], ...] = (
    lambda settings: read_signing_keys(settings, os.environ),
    lambda settings: read_authorization(settings, os.environ),
    make_tls_context,
)


def _tables(config: Config) -> Iterator[tuple[str, MqttConfig | WebhookConfig]]:
    if config.mqtt.broker:
        yield MQTT, config.mqtt
    if config.webhook.url:
        yield WEBHOOK, config.webhook


def check_forwarding(config: Config, facts: ForwardingFacts, problems: list[str]) -> Finding:
    """Try the connections that are configured. `problems` are those that the running agent reports."""
    if not forwards(config):
        return Finding(Check.FORWARDING, Level.SKIPPED, "no [mqtt] broker and no [webhook] url is configured")
    if not facts.may_use_network():
        reason = "Commands are to be forwarded, and the service may not use the network"
        return Finding(Check.FORWARDING, Level.WRONG, reason, ALLOW_NETWORK)
    reached, failed = [], []
    for name, table in _tables(config):
        try:
            reached.append(_try(name, table, config, facts))
        except (SecretError, _Unreachable) as error:
            failed.append(f"{name} {error}")
    if failed:
        step = "correct it, then modem-agent doctor again"
        return Finding(Check.FORWARDING, Level.WRONG, failed[0], step, (*failed[1:], *reached))
    if forwarded := [problem for problem in problems if "forwarded" in problem]:
        return Finding(Check.FORWARDING, Level.WARNING, forwarded[0], "", tuple(reached))
    return Finding(Check.FORWARDING, Level.OK, "; ".join(reached))


class _Unreachable(Exception):  # noqa: N818  (a state of the network)
    """A broker or server cannot be used; the text is a clause."""


def _try(name: str, table: MqttConfig | WebhookConfig, config: Config, facts: ForwardingFacts) -> str:
    """Return what was reached. Raises _Unreachable, SecretError."""
    if isinstance(table, MqttConfig):
        password = table.password_file or facts.find_credential("mqtt-password")
        gateway = table.gateway or default_gateway(config.journal.path)
        _log_in(worker_settings(table.replace(password_file=password), gateway))
        return f"{name} {table.broker} takes the login, as {gateway}"
    secret = table.secret_file or facts.find_credential("webhook-secret")
    _connect(table)
    signed = "" if secret else "; requests are not signed, there is no secret"
    return f"{name} {table.url} can be reached{signed}"


def _log_in(settings: Mapping[str, Any]) -> None:
    """Log in at the broker under another client id, and leave. Raises _Unreachable, SecretError."""
    if importlib.util.find_spec("paho") is None:
        raise _Unreachable(NOT_INSTALLED)
    from agent.forwarding.mqtt_connection import ConnectionFailed, MqttConnection  # noqa: PLC0415  (an extra)

    connection = MqttConnection(settings, os.environ, client_suffix="-doctor")
    deadline = time.monotonic() + 2 * CONNECT_TIMEOUT_S
    try:
        connection.open(CONNECT_TIMEOUT_S)
        while not connection.is_connected:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _Unreachable(f"{connection.broker}: no answer to the login; does it know MQTT 5?")
            if connection.fileno() >= 0:
                select.select([connection.fileno()], [], [], left)
            connection.work()
    except ConnectionFailed as error:
        raise _Unreachable(str(error)) from None
    connection.leave()


def _connect(table: WebhookConfig) -> None:
    """Connect to the server, with TLS for https. Raises _Unreachable, SecretError."""
    url = urlsplit(table.url)
    address = (url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(address, CONNECT_TIMEOUT_S))
            if url.scheme == "https":
                context = make_tls_context(worker_settings(table, ""))
                stack.enter_context(context.wrap_socket(connection, server_hostname=url.hostname))
    except OSError as error:
        raise _Unreachable(f"{table.url}: {describe_network_error(error)}") from None
