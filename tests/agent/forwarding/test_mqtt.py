"""Commands at a real broker that is stopped, restarted, protected and full."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("paho")
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.common.config import Config, MqttConfig
from agent.diagnosis.finding import Level
from agent.diagnosis.forwarding_checks import ForwardingFacts, check_forwarding
from agent.forwarding.delivery import Accepted, Postponed, TargetListener
from agent.forwarding.targets import make_targets
from mosquitto import MOSQUITTO, PASSWORD, USER, Broker, Subscriber

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
COMMAND = "modem-agent/gw/command"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.stop()


class Gateway:
    """One target with its process, and what it has reported."""

    def __init__(self, url, **settings):
        config = MqttConfig(**{"broker": url, "gateway": "gw"} | settings)
        [self.target] = make_targets(Config(mqtt=config), random.Random(1))
        self.reports = []
        self.answers = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.deliver = self.target.deliver

    @asynccontextmanager
    async def run(self):
        async def on_answer(delivery_id, answer):
            self.answers.append((delivery_id, answer))
            await self.may_commit.wait()

        listener = TargetListener(
            on_connected=lambda text: self.reports.append(f"+ {text}"),
            on_disconnected=lambda text: self.reports.append(f"- {text}"),
            on_note=lambda text: self.reports.append(f"! {text}"),
            on_answer=on_answer,
        )
        task = asyncio.create_task(self.target.run(listener))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def wait_for(self, part):
        """Return the first report that contains the text."""
        await wait_until(lambda: any(part in report for report in self.reports))
        return next(report for report in self.reports if part in report)


async def wait_until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (processes and threads report nothing to this loop)
            await asyncio.sleep(0.02)


def plain_url(broker):
    return f"mqtt://127.0.0.1:{broker.plain}"


async def test_command_answer_and_state_pass_through_the_broker(broker):
    """Request and response of MQTT 5, retained state and discovery; `offline` when the agent ends."""
    gateway = Gateway(plain_url(broker), home_assistant=True)
    gateway.target.publish_state({"signal_dbm": -71})
    async with Subscriber(broker.plain, "modem-agent/gw/#", "homeassistant/#") as other, gateway.run():
        assert await gateway.wait_for("+ connected to mqtt://127.0.0.1")
        assert await gateway.deliver({"id": "gw-1-ab", "text": "led on"}) == Accepted()
        await wait_until(lambda: other.payloads(COMMAND))
        [message] = [each for each in other.messages if each.topic == COMMAND]
        assert json.loads(message.payload)["text"] == "led on"
        assert message.properties.ContentType == "application/json"
        assert message.properties.CorrelationData == b"gw-1-ab"
        assert message.properties.ResponseTopic == "modem-agent/gw/reply/gw-1-ab"

        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = b"gw-1-ab"
        other.answer("modem-agent/gw/reply/any", '{"reply": "led is on"}', properties)
        other.answer("modem-agent/gw/reply/gw-2-cd", "plain")
        await wait_until(lambda: len(gateway.answers) == 2)
        assert gateway.answers == [("gw-1-ab", "led is on"), ("gw-2-cd", "plain")]

        gateway.target.publish_state({"signal_dbm": -80})
        await wait_until(lambda: len(other.payloads("modem-agent/gw/state")) == 2)
    assert other.payloads("modem-agent/gw/state") == ['{"signal_dbm": -71}', '{"signal_dbm": -80}']
    discovery = json.loads(other.payloads("homeassistant/sensor/modem-agent_gw/signal_dbm/config")[0])
    assert discovery["state_topic"] == "modem-agent/gw/state"
    async with Subscriber(broker.plain, "modem-agent/gw/availability") as late:
        await wait_until(lambda: late.messages)
        assert late.payloads("modem-agent/gw/availability") == ["offline"]


async def test_command_that_nobody_would_get_waits(broker):
    """A broker drops a message without a subscriber; require_subscriber = false leaves it to the broker."""
    gateway = Gateway(plain_url(broker), base_topic="quiet")
    async with gateway.run():
        await gateway.wait_for("+ connected")
        outcome = await gateway.deliver({"id": "i", "text": "x"})
        assert outcome == Postponed("nobody subscribes to quiet/gw/command")
    gateway = Gateway(plain_url(broker), base_topic="quiet", require_subscriber=False)
    async with gateway.run():
        await gateway.wait_for("+ connected")
        assert await gateway.deliver({"id": "i", "text": "x"}) == Accepted()


async def test_broker_that_is_stopped_and_started_again(broker):
    """Deliveries are postponed meanwhile. An answer that was not committed comes again."""
    gateway = Gateway(plain_url(broker))
    async with Subscriber(broker.plain, COMMAND) as other, gateway.run():
        await gateway.wait_for("+ connected")
        gateway.may_commit.clear()
        other.answer("modem-agent/gw/reply/i", "uncommitted")
        await wait_until(lambda: gateway.answers)
        broker.stop()
        await gateway.wait_for("- mqtt://")
        outcome = await gateway.deliver({"id": "i", "text": "x"})
        assert isinstance(outcome, Postponed)
        assert outcome.reason in gateway.reports[-1]
        gateway.reports.clear()
        gateway.may_commit.set()
        broker.start()
        await gateway.wait_for("+ connected")
        await wait_until(lambda: len(gateway.answers) == 2)
        assert gateway.answers == [("i", "uncommitted")] * 2
        await wait_until(other.client.is_connected)
    async with Subscriber(broker.plain, COMMAND) as other:
        other.answer("modem-agent/gw/reply/i", "while the gateway was away").wait_for_publish(5)
    async with gateway.run():
        await wait_until(lambda: len(gateway.answers) == 3)


async def test_password_certificate_and_rights(broker, tmp_path):
    """Each way in which the broker or TLS refuses is named with what to change; the password never is."""
    url, ca = f"mqtts://localhost:{broker.tls}", broker.folder / "cert.pem"
    password = tmp_path / "password"
    password.write_text("wrong-password")
    password.chmod(0o600)
    login = {"user": USER, "password_file": password}
    async with Gateway(url, **login).run() as gateway:
        assert "set ca_file if it has a CA of its own" in await gateway.wait_for("- ")
    async with Gateway(f"mqtt://localhost:{broker.tls}").run() as gateway:
        assert "whether it is one for TLS (mqtts://)" in await gateway.wait_for("- ")
    async with Gateway(f"mqtts://localhost:{broker.client_tls}", ca_file=ca).run() as gateway:
        assert "client certificate" in await gateway.wait_for("- ")
    async with Gateway(url, ca_file=ca, **login).run() as gateway:
        report = await gateway.wait_for("- ")
        assert "check user and password_file in [mqtt]" in report
        assert "wrong-password" not in report
        password.write_text(PASSWORD)  # read again at the next attempt
        await gateway.wait_for("+ connected")
    async with Gateway(url, ca_file=ca, base_topic="denied", **login).run() as gateway:
        await gateway.wait_for("+ connected")
        outcome = await gateway.deliver({"id": "i", "text": "x"})
        assert outcome == Postponed("the broker refuses denied/gw/command: Not authorized")
    key = {"certificate_file": ca, "key_file": broker.folder / "key.pem"}
    async with Gateway(f"mqtts://localhost:{broker.client_tls}", ca_file=ca, **key).run() as gateway:
        await gateway.wait_for("+ connected")


async def test_full_broker_postpones(broker):
    """A message above its size limit is refused; so the Command waits and is not lost."""
    async with Subscriber(broker.plain, COMMAND) as other, Gateway(plain_url(broker)).run() as gateway:
        await gateway.wait_for("+ connected")
        outcome = await gateway.deliver({"id": "i", "text": "x" * 3000})
        assert outcome == Postponed("the connection was lost before the broker acknowledged it")
        assert other.messages == []


async def test_two_gateways_with_one_name_are_told_apart(broker):
    """The broker ends the older connection, again and again; the log says which setting to change."""
    first, second = Gateway(plain_url(broker)), Gateway(plain_url(broker))
    async with first.run(), second.run():
        report = await first.wait_for("perhaps another client")
    assert "is called gw: set gateway in [mqtt]" in report


async def test_process_that_is_killed_is_started_again(broker):
    """The will of the connection says `offline`; what was being delivered is postponed."""
    gateway = Gateway(plain_url(broker), require_subscriber=False)
    async with Subscriber(broker.plain, "modem-agent/gw/availability") as other, gateway.run():
        await gateway.wait_for("+ connected")
        gateway.reports.clear()
        gateway.target._process.kill()
        assert await gateway.wait_for("- ") == "- its process has ended"
        await gateway.wait_for("+ connected")
        await wait_until(lambda: other.payloads("modem-agent/gw/availability")[-2:] == ["offline", "online"])
        assert await gateway.deliver({"id": "i", "text": "x"}) == Accepted()


def test_doctor_logs_in_beside_the_running_agent(broker, tmp_path):
    """It has a client id of its own. Without the password it says what to change."""
    mqtt = MqttConfig(
        broker=f"mqtts://localhost:{broker.tls}", ca_file=broker.folder / "cert.pem", user=USER, gateway="gw"
    )
    finding = check_forwarding(Config(mqtt=mqtt), ForwardingFacts(), [])
    assert finding.level is Level.WRONG
    assert "check user and password_file in [mqtt]" in finding.reason
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    facts = ForwardingFacts(find_credential=lambda name: tmp_path / "password")
    finding = check_forwarding(Config(mqtt=mqtt), facts, [])
    assert finding.reason == f"[mqtt] mqtts://localhost:{broker.tls} takes the login, as gw"
