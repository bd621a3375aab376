"""Home Assistant's MQTT discovery: the retained messages that make this gateway appear as a device. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

DISCOVERY_PREFIX = "homeassistant"
_SENSORS: dict[str, dict[str, Any]] = {
    "signal_dbm": {
        "name": "Signal",
        "device_class": "signal_strength",
        "unit_of_measurement": "dBm",
        "state_class": "measurement",
    },
    "registration": {"name": "Registration", "icon": "mdi:radio-tower"},
    "operator": {"name": "Operator", "icon": "mdi:sim"},
    "module": {"name": "Module", "icon": "mdi:chip"},
    "problem": {"name": "Problem", "icon": "mdi:alert-circle-outline"},
}
"""Sensors by their key in the state of the gateway."""


def make_discovery(gateway: str, topic: str, version: str) -> Iterator[tuple[str, str]]:
    """Yield topic and payload of each discovery message. `topic` is that of the gateway, without a slash."""
    device = {
        "identifiers": [f"modem-agent_{gateway}"],
        "name": gateway,
        "model": "modem-agent",
        "sw_version": version,
    }
    for key, sensor in _SENSORS.items():
        config = {
            **sensor,
            "unique_id": f"modem-agent_{gateway}_{key}",
            "state_topic": f"{topic}/state",
            # Home Assistant shows an absent value as unknown, and an empty text as nothing.
            "value_template": f"{{{{ value_json.{key} }}}}",
            "availability_topic": f"{topic}/availability",
            "entity_category": "diagnostic",
            "device": device,
            "origin": {"name": "modem-agent", "sw_version": version},
        }
        yield f"{DISCOVERY_PREFIX}/sensor/modem-agent_{gateway}/{key}/config", json.dumps(config)
