"""One connection to an MQTT broker, version 5. It is not repaired: after its end a new one is made.

The library paho-mqtt is used without its threads, because its socket is watched together with that of the
agent. (aiomqtt, which wraps it for asyncio, hides the reason code of PUBACK, which says that a broker refused
a message or that nobody gets it, and acknowledges messages before they can be committed.)
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.forwarding.home_assistant import make_discovery
from agent.forwarding.message import AnswerFormatError, decode_answer
from agent.forwarding.network_errors import describe_network_error
from agent.forwarding.secret_file import read_secret
from agent.forwarding.tls import make_tls_context
from pdu.record import Record

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
CONNECT_TIMEOUT_S = 10.0
"""Time for the TCP connection and for the TLS handshake, each; a slow cellular network needs some seconds."""
MIN_SESSION_EXPIRY_S = 3600
"""The broker keeps answers for at least this long while the gateway is away."""
NO_MATCHING_SUBSCRIBERS = 0x10  # MQTT 5.0, 3.4.2.1
SESSION_TAKEN_OVER = 0x8E  # MQTT 5.0, 3.14.2.1
UNSPECIFIED_ERROR = 0x80  # also what the library says when the connection just ends
BAD_LOGIN = (0x86, 0x87)  # MQTT 5.0, 3.2.2.2: bad user name or password, not authorized

CONNECTION_LOST = "the connection was lost"
ENDED_BEFORE_LOGIN = (
    "the connection ended before the login: check the port, whether it is one for TLS (mqtts://), "
    "and whether the broker asks for a client certificate"
)


class ConnectionFailed(Exception):  # noqa: N818  (a state of the network, mostly)
    """There is no connection to the broker; the text is a clause."""


class Answer(Record):
    """The answer to a Command, with what its acknowledgement needs."""

    delivery_id: str
    content: str | bytes | None
    packet_id: int
    qos: int


class MqttConnection:
    """A connection to the broker: Commands out, answers in, the state of the gateway retained."""

    def __init__(
        self, settings: Mapping[str, Any], environ: Mapping[str, str], client_suffix: str = ""
    ) -> None:
        """Prepare a connection. Raises SecretError.

        `client_suffix` makes a client id of its own; else the broker ends the other connection with that id.
        """
        self._settings = settings
        self._topic = f"{settings['base_topic']}/{settings['gateway']}"
        self._url = urlsplit(str(settings["broker"]))
        self.outcomes: list[tuple[int, str | None]] = []
        """Request and reason of each acknowledged delivery; the reason is None if it was accepted."""
        self.answers: list[Answer] = []
        self.notes: list[str] = []
        self.is_connected = False
        self.end_reason = ""
        """Why the broker refused or ended the connection."""
        self._requests: dict[int, int] = {}
        """The agent's request by packet id."""
        self._client = client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"modem-agent-{settings['gateway']}{client_suffix}",
            protocol=paho.MQTTv5,
            transport="websockets" if self._url.scheme.startswith("ws") else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._url.scheme.startswith("ws"):
            client.ws_set_options(path=unquote(self._url.path) or "/")
        if self._url.scheme in ("mqtts", "wss"):
            client.tls_set_context(make_tls_context(settings))
        password = read_secret("mqtt.password_file", settings["password_file"], "mqtt-password", environ)
        if settings["user"] or password:
            client.username_pw_set(settings["user"] or None, password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe

    @property
    def broker(self) -> str:
        """The URL of the broker."""
        return str(self._settings["broker"])

    def open(self, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Connect, and send the request to log in. Raises ConnectionFailed."""
        self._client.connect_timeout = timeout_s
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = max(MIN_SESSION_EXPIRY_S, int(self._settings["reply_timeout_s"]))
        host, port = self._url.hostname, self._url.port or DEFAULT_PORTS[self._url.scheme]
        try:
            self._client.connect(
                host or "", port, int(self._settings["keepalive_s"]), clean_start=False, properties=properties
            )
        except (OSError, ssl.CertificateError) as error:
            raise ConnectionFailed(f"{self.broker}: {describe_network_error(error)}") from None

    def set_will(self) -> None:
        """Let the broker say `offline` when this connection breaks; call it before `open`."""
        self._client.will_set(f"{self._topic}/availability", "offline", qos=1, retain=True)

    def start(self) -> None:
        """Subscribe to answers, and publish that the gateway is here. Call it once it is connected."""
        self._client.subscribe(f"{self._topic}/reply/+", qos=1)
        self._publish_retained("availability", "online")
        if self._settings["home_assistant"]:
            for topic, payload in make_discovery(
                self._settings["gateway"], self._topic, self._settings["version"]
            ):
                self._client.publish(topic, payload, qos=1, retain=True)

    def publish_state(self, state: Mapping[str, Any]) -> None:
        """Publish the state of the gateway, retained."""
        self._publish_retained("state", json.dumps(state))

    def deliver(self, request: int, message: Mapping[str, Any]) -> None:
        """Publish a Command. Its outcome follows in `outcomes`, or never if the connection breaks."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.PayloadFormatIndicator = 1
        properties.ResponseTopic = f"{self._topic}/reply/{message['id']}"
        properties.CorrelationData = str(message["id"]).encode()
        body = {**message, "reply_topic": properties.ResponseTopic}
        info = self._client.publish(f"{self._topic}/command", json.dumps(body), qos=1, properties=properties)
        self._requests[info.mid] = request

    @property
    def unanswered(self) -> list[int]:
        """The requests whose Commands the broker has not acknowledged."""
        return list(self._requests.values())

    def acknowledge(self, answer: Answer) -> None:
        """Tell the broker that an answer is committed."""
        self._client.ack(answer.packet_id, answer.qos)

    def close(self) -> None:
        """Say that the gateway is away, and disconnect."""
        if self.is_connected:
            self._publish_retained("availability", "offline")
            self.leave()

    def leave(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_write()

    # For the loop of the process

    def fileno(self) -> int:
        """Return the file descriptor; -1 if there is no connection."""
        connection = self._client.socket()
        return -1 if connection is None else int(connection.fileno())

    @property
    def wants_write(self) -> bool:
        return bool(self._client.want_write())

    def work(self) -> None:
        """Read and write what is possible now, and keep the connection alive. Raises ConnectionFailed."""
        try:
            while self._client.loop_read() == paho.MQTT_ERR_SUCCESS and self._has_decrypted_data():
                pass  # `select` does not see what TLS has read already
            if self._client.want_write():
                self._client.loop_write()
            self._client.loop_misc()
        except OSError as error:
            raise ConnectionFailed(f"{self.broker}: {describe_network_error(error)}") from None
        if self.fileno() < 0:
            raise ConnectionFailed(f"{self.broker}: {self.end_reason or CONNECTION_LOST}")

    def _has_decrypted_data(self) -> bool:
        pending = getattr(self._client.socket(), "pending", None)
        return pending is not None and pending() > 0

    def _publish_retained(self, name: str, payload: str) -> None:
        self._client.publish(f"{self._topic}/{name}", payload, qos=1, retain=True)

    # Called by the library

    def _on_connect(
        self, client: paho.Client, data: object, flags: object, code: ReasonCode, properties: object
    ) -> None:
        if code.is_failure:
            advice = "; check user and password_file in [mqtt]" if code.value in BAD_LOGIN else ""
            self.end_reason = f"the broker refuses the login: {code.getName()}{advice}"
        else:
            self.is_connected = True

    def _on_disconnect(
        self, client: paho.Client, data: object, flags: object, code: ReasonCode, properties: object
    ) -> None:
        was_connected, self.is_connected = self.is_connected, False
        if code.value == SESSION_TAKEN_OVER:
            self.end_reason = (
                f"another client is connected as modem-agent-{self._settings['gateway']}: "
                "give each gateway its own name, `gateway` in [mqtt]"
            )
        elif not self.end_reason:
            is_named = code.value not in (0, UNSPECIFIED_ERROR)
            advice = CONNECTION_LOST if was_connected else ENDED_BEFORE_LOGIN
            self.end_reason = str(code.getName()) if is_named else advice

    def _on_publish(
        self, client: paho.Client, data: object, mid: int, code: ReasonCode, properties: object
    ) -> None:
        request = self._requests.pop(mid, None)
        if request is None:
            if code.is_failure:
                self.notes.append(f"the broker refuses a message about the gateway: {code.getName()}")
        elif code.is_failure:
            self.outcomes.append((request, f"the broker refuses {self._topic}/command: {code.getName()}"))
        elif code.value == NO_MATCHING_SUBSCRIBERS and self._settings["require_subscriber"]:
            self.outcomes.append((request, f"nobody subscribes to {self._topic}/command"))
        else:
            self.outcomes.append((request, None))

    def _on_subscribe(
        self, client: paho.Client, data: object, mid: int, codes: list[ReasonCode], properties: object
    ) -> None:
        for code in codes:
            if code.is_failure:
                self.notes.append(
                    f"the broker refuses the subscription to {self._topic}/reply/+: {code.getName()}; "
                    "answers do not arrive"
                )

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        properties = message.properties
        kind = getattr(properties, "ContentType", "") or ""
        correlation = getattr(properties, "CorrelationData", None)
        delivery_id = message.topic.rpartition("/")[2]
        if correlation is not None:
            delivery_id = bytes(correlation).decode(errors="replace")
        content = None
        try:
            content = decode_answer(kind, bytes(message.payload))
        except AnswerFormatError as error:
            self.notes.append(f"command {delivery_id}: {error}; no reply is sent")
        self.answers.append(Answer(delivery_id, content, message.mid, message.qos))

    def take_answers(self) -> Iterator[Answer]:
        """Return the answers that have arrived since the last call."""
        answers, self.answers = self.answers, []
        yield from answers
