"""Which Commands the targets of agent.toml get, and what the commands of the shell say about them."""

from pathlib import Path

import pytest

from agent.cli.message_advice import explain_command
from agent.common.config import Config, HandlersConfig, MqttConfig, WebhookConfig
from agent.diagnosis.handler_trial import run_trial
from agent.forwarding.targets import default_gateway, list_specs
from agent.handlers.api import Command
from agent.handlers.registry import HandlerRegistry


@pytest.fixture
def config():
    return Config(
        mqtt=MqttConfig(broker="mqtt://b"), webhook=WebhookConfig(url="https://b", commands=("Alarm",))
    )


def test_targets_get_their_words_and_all_else(config, factories):
    """A handler keeps its Commands, and the agent `ping`; octets are forwarded with all else."""
    registry = HandlerRegistry([factories.executable("led"), *list_specs(config)])
    names = {
        body: registry.match(Command.of(body)).name for body in ("led on", "ping", "alarm 1", "x", b"\x01")
    }
    assert names == {
        "led on": "led",
        "ping": "ping",
        "alarm 1": "[webhook]",
        "x": "[mqtt]",
        b"\x01": "[mqtt]",
    }
    assert list_specs(Config()) == []


def test_word_with_a_handler_and_a_target_is_a_mistake(config, factories):
    """It would be decided by chance which of them gets the Command."""
    registry = HandlerRegistry([factories.executable("alarm"), *list_specs(config)])
    [errors] = registry.unusable.values()
    assert errors[0].startswith('two handlers for the word "alarm": ')
    assert "[webhook] commands in agent.toml" in errors[0]


def test_default_name_of_a_gateway_has_that_of_its_instance():
    """Two agents of one host must not have the same name at a broker."""
    one = default_gateway(Path("/var/lib/modem-agent/journal.db"))
    second = default_gateway(Path("/var/lib/modem-agent-second/journal.db"))
    assert second == f"{one}-second"


async def test_trial_of_a_handler_forwards_nothing(config, tmp_path):
    """`handlers test` has no effects outside of the device."""
    config = config.replace(handlers=HandlersConfig(directory=tmp_path))
    result = await run_trial(config, Command.of("alarm 1"))
    assert "which is not done here: send the Command" in str(result)


def test_reason_of_a_wait_and_of_a_missing_answer_is_explained():
    """`why` must not speak of attempts of a handler."""
    command = {
        "state": "received", "reason": "waits for [mqtt]: away", "attempts": 0, "duplicates": 0,
        "handler": "[mqtt]", "answerable": True,
    }  # fmt: skip
    assert "sudo modem-agent doctor" in next(explain_command(command, []))
    command |= {"state": "done", "reason": None}
    assert list(explain_command(command, [])) == [
        "It has no answer: it was forwarded ([mqtt]), and no answer has come."
    ]
