"""The targets of a configuration: which Commands they get, and what their processes need to know."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from agent.common.config import Config, MqttConfig, WebhookConfig
from agent.common.events import Condition
from agent.forwarding.delivery import DeliveryTarget
from agent.handlers.spec import HandlerSpec
from agent.version import VERSION

ALL_COMMANDS = "*"
MQTT, WEBHOOK = "[mqtt]", "[webhook]"
"""Names of the targets as the journal stores them; no file can have them as a first word of Commands."""
MQTT_DELIVERY_TIMEOUT_S = 30.0
"""A broker acknowledges within a second, over a slow cellular network within ten."""
WEBHOOK_TIMEOUTS = 3
"""A second address of the server, the status and the body may each take `timeout_s`. A delivery that is ended
after the status would be made again, although the server has accepted it."""
WEBHOOK_GRACE_S = 5.0
"""Time beyond that: the process may have to look up the name first."""
_INSTANCE_FOLDER = re.compile(r"modem-agent-(.+)")


def list_specs(config: Config) -> list[HandlerSpec]:
    """Return which Commands each configured target gets."""
    return [
        HandlerSpec(
            name,
            "forwarding",
            words=tuple(word.casefold() for word in table.commands if word != ALL_COMMANDS),
            default=ALL_COMMANDS in table.commands,
            repeatable=True,
            max_age_s=table.max_age_s,
        )
        for name, table in _list_tables(config)
    ]


def make_targets(config: Config, random: Random) -> list[DeliveryTarget]:
    """Return the configured targets. Each has a process of its own, which is not started yet."""
    targets: list[DeliveryTarget] = []
    if not (specs := {spec.name: spec for spec in list_specs(config)}):
        return targets
    from agent.forwarding.worker_target import WorkerTarget  # noqa: PLC0415  (most agents forward nothing)

    for name, table in _list_tables(config):
        gateway = table.gateway or default_gateway(config.journal.path)
        settings = worker_settings(table, gateway)
        if isinstance(table, MqttConfig):
            targets.append(
                WorkerTarget(
                    spec=specs[name],
                    module="agent.forwarding.mqtt_worker",
                    settings=settings,
                    condition=Condition.MQTT,
                    answer_timeout_s=table.reply_timeout_s,
                    delivery_timeout_s=MQTT_DELIVERY_TIMEOUT_S,
                    random=random,
                )
            )
        else:
            targets.append(
                WorkerTarget(
                    spec=specs[name],
                    module="agent.forwarding.webhook_worker",
                    settings=settings,
                    condition=Condition.WEBHOOK,
                    answer_timeout_s=0.0,
                    delivery_timeout_s=WEBHOOK_TIMEOUTS * table.timeout_s + WEBHOOK_GRACE_S,
                    random=random,
                )
            )
    return targets


def default_gateway(journal_path: Path) -> str:
    """Return the name of a gateway that has none in agent.toml: that of the host and of the instance."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0])[:48] or "gateway"
    instance = _INSTANCE_FOLDER.fullmatch(journal_path.parent.name)
    return f"{name}-{instance[1]}" if instance else name


def worker_settings(table: MqttConfig | WebhookConfig, gateway: str) -> dict[str, Any]:
    """Return the settings of a process as JSON values."""
    values = table.as_dict() | {"gateway": gateway, "version": VERSION}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _list_tables(config: Config) -> Iterator[tuple[str, MqttConfig | WebhookConfig]]:
    if config.mqtt.broker:
        yield MQTT, config.mqtt
    if config.webhook.url:
        yield WEBHOOK, config.webhook
