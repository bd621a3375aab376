"""What `config check` and `doctor` find out about [mqtt] and [webhook]."""

import socket

import pytest

from agent.common.config import Config, ConfigError, MqttConfig, WebhookConfig, parse_config
from agent.diagnosis.finding import Level
from agent.diagnosis.forwarding_checks import ForwardingFacts, check_forwarding, check_forwarding_files


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("tables", "clause"),
    [
        (
            {"mqtt": {"broker": "broker"}},
            "mqtt.broker must begin with mqtt:// or mqtts:// or ws:// or wss://",
        ),
        ({"mqtt": {"broker": "mqtt://b:0x"}}, "mqtt.broker is not a valid URL"),
        ({"webhook": {"url": f"https://{'b' * 64}/"}}, "webhook.url is not a valid URL"),
        ({"webhook": {"url": "https://b..example/"}}, "webhook.url is not a valid URL"),
        ({"mqtt": {"broker": "mqtt://u:p@b"}}, "must not contain a password: use user and password_file"),
        ({"webhook": {"url": "ftp://x/y"}}, "webhook.url must begin with https:// or http://"),
        ({"mqtt": {"commands": ["led on"]}}, "mqtt.commands must hold first words"),
        ({"mqtt": {"base_topic": "a/#"}}, "mqtt.base_topic must be a topic without + and #"),
        ({"mqtt": {"gateway": "a/b"}}, "mqtt.gateway must be a name of at most 64 letters"),
        ({"mqtt": {"password": "x"}}, "a password belongs in a file of its own: password_file"),
        ({"webhook": {"secret": "x"}}, "a secret belongs in a file of its own: secret_file"),
        ({"webhook": {"key_file": "x"}}, "webhook.certificate_file and webhook.key_file are needed together"),
        (
            {
                "mqtt": {"broker": "mqtt://b", "commands": ["Led"]},
                "webhook": {"url": "https://b", "commands": ["led"]},
            },
            'mqtt.commands and webhook.commands both have "led"',
        ),
    ],
)
def test_error_in_the_tables_is_named(tables, clause):
    """The sentence has the key and what it accepts, and never a secret."""
    with pytest.raises(ConfigError) as caught:
        parse_config(tables, "agent.toml")
    assert clause in str(caught.value)


def test_every_unusable_file_is_named(tmp_path):
    """Passwords, signing secrets and certificates are read before the service is started."""
    (tmp_path / "secret").write_text("not base64!")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "open").write_text("x")
    (tmp_path / "open").chmod(0o644)
    config = Config(
        mqtt=MqttConfig(broker="mqtts://b", password_file=tmp_path / "open", ca_file=tmp_path / "secret"),
        webhook=WebhookConfig(
            url="https://b", secret_file=tmp_path / "secret", authorization_file=tmp_path / "none"
        ),
    )
    with pytest.raises(ConfigError) as caught:
        check_forwarding_files(tmp_path / "agent.toml", config)
    errors = [error.replace(f"{tmp_path}/", "") for error in caught.value.errors if "paho" not in error]
    assert errors == [
        "agent.toml: mqtt.password_file: open can be read by every user; run: chmod o= open",
        "agent.toml: ca_file secret cannot be used: not in PEM form, or the key of another certificate",
        "agent.toml: webhook.secret_file: a secret is whsec_ and base64, each on a line of its own",
        "agent.toml: webhook.authorization_file: none: No such file or directory",
    ]


def test_doctor_says_that_the_service_has_no_network():
    """That comes before all else: nothing can be reached without it."""
    config = Config(webhook=WebhookConfig(url="https://b.example"))
    finding = check_forwarding(config, ForwardingFacts(may_use_network=lambda: False), [])
    assert (finding.level, finding.next_step) == (Level.WRONG, "sudo modem-agent setup --network")
    assert check_forwarding(Config(), ForwardingFacts(), []).level is Level.SKIPPED


def test_doctor_tries_the_web_server(closed_port):
    """It connects and sends no Command. What the running agent reports is not hidden by that."""
    config = Config(webhook=WebhookConfig(url=f"http://127.0.0.1:{closed_port}/"))
    finding = check_forwarding(config, ForwardingFacts(), [])
    assert finding.level is Level.WRONG
    assert finding.reason == f"[webhook] http://127.0.0.1:{closed_port}/: Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        config = Config(webhook=WebhookConfig(url=url))
        problem = "Commands cannot be forwarded: [webhook] the server answers 410 Gone"
        assert check_forwarding(config, ForwardingFacts(), [problem]).reason == problem
        finding = check_forwarding(config, ForwardingFacts(), [])
    assert finding.level is Level.OK
    assert finding.reason == f"[webhook] {url} can be reached; requests are not signed, there is no secret"
