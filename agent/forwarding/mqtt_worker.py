"""The process that keeps the connection to an MQTT broker."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agent.forwarding.secret_file import SecretError
from agent.forwarding.worker_channel import AgentGone, WorkerChannel, encode_content, run_worker

if TYPE_CHECKING:
    from agent.forwarding.mqtt_connection import Answer, MqttConnection

NOT_INSTALLED = (
    "the library paho-mqtt is not installed: `pipx inject modem-agent paho-mqtt`, then `modem-agent setup`"
)
MIN_RETRY_S, MAX_RETRY_S = 1.0, 120.0
"""Delay before the next attempt to connect: it doubles with each failure."""
STABLE_AFTER_S = 60.0
"""A connection that lasted this long did not fail."""
LOGIN_TIMEOUT_S = 15.0
"""Time for the broker's answer to the login."""


class MqttWorker:
    """Connects again and again, and passes messages between the agent and the broker."""

    def __init__(self, channel: WorkerChannel, settings: Mapping[str, Any]) -> None:
        self._channel = channel
        self._settings = settings
        self._spread = 0.75 + 0.5 * float(settings["jitter"])
        """Factor of each delay: gateways do not all come back at the same moment after an outage."""
        self._connection: MqttConnection | None = None
        self._state: dict[str, Any] | None = None
        self._reason = "it is being connected"
        self._answers: dict[int, tuple[MqttConnection, Answer]] = {}
        self._answer_ids = itertools.count(1)

    def run(self) -> None:
        """Work until the agent ends."""
        failures = 0
        self._handle_messages(self._channel.take_buffered())
        with contextlib.suppress(AgentGone):
            while True:
                began_at = time.monotonic()
                was_connected, reason = self._try_connection()
                failures = 1 if time.monotonic() - began_at > STABLE_AFTER_S else failures + 1
                if was_connected and failures > 1:  # brokers end an older connection without a word
                    name = self._settings["gateway"]
                    reason += f"; perhaps another client is called {name}: set gateway in [mqtt]"
                self._reason = reason
                self._channel.send("disconnected", reason=reason)
                self._wait_for(min(MIN_RETRY_S * 2 ** min(failures - 1, 10), MAX_RETRY_S) * self._spread)

    def _try_connection(self) -> tuple[bool, str]:
        """Connect, and work until the connection ends. Return whether there was one, and the reason."""
        from agent.forwarding.mqtt_connection import ConnectionFailed, MqttConnection  # noqa: PLC0415  (an extra)

        was_connected = False
        try:
            connection = MqttConnection(self._settings, os.environ)
            connection.set_will()
            connection.open()
            deadline = time.monotonic() + LOGIN_TIMEOUT_S
            while not connection.is_connected:
                self._wait(connection, deadline - time.monotonic())
                if time.monotonic() >= deadline:
                    return False, f"{connection.broker}: no answer to the login; does it know MQTT 5?"
            self._connection, was_connected = connection, True
            connection.start()
            if self._state is not None:
                connection.publish_state(self._state)
            self._channel.send("connected", detail=f"connected to {connection.broker}")
            while True:
                # A quarter of the interval, so that the broker hears of the gateway in time.
                self._wait(connection, self._settings["keepalive_s"] / 4)
                self._report(connection)
        except (ConnectionFailed, SecretError) as error:
            return was_connected, str(error)
        except AgentGone:
            connection.close()
            raise
        finally:
            if self._connection is not None:
                for request in self._connection.unanswered:
                    self._send_outcome(request, "the connection was lost before the broker acknowledged it")
                self._connection = None
                self._answers.clear()

    def _wait(self, connection: MqttConnection, timeout_s: float) -> None:
        """Wait for the agent or the broker, and handle what they sent. Raises ConnectionFailed, AgentGone."""
        fd = connection.fileno()
        if fd >= 0:
            sockets: list[WorkerChannel | int] = [self._channel, fd]
            writable = [fd] if connection.wants_write else []
            readable, *_ = select.select(sockets, writable, [], max(0.0, timeout_s))
        else:  # the library has closed it while it wrote
            readable = []
        if self._channel in readable:
            self._handle_messages(self._channel.receive_available())
        connection.work()

    def _wait_for(self, seconds: float) -> None:
        """Handle messages of the agent for some time, without a connection. Raises AgentGone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._channel], [], [], left)[0]:
                self._handle_messages(self._channel.receive_available())

    def _handle_messages(self, messages: Iterable[Mapping[str, Any]]) -> None:
        for message in messages:
            connection = self._connection
            match message["do"]:
                case "deliver" if connection is not None:
                    connection.deliver(message["request"], message["message"])
                case "deliver":
                    self._send_outcome(message["request"], self._reason)
                case "state":
                    self._state = message["state"]
                    if connection is not None:
                        connection.publish_state(message["state"])
                case "acknowledge":
                    if found := self._answers.pop(message["answer"], None):
                        found[0].acknowledge(found[1])

    def _report(self, connection: MqttConnection) -> None:
        """Pass on what the broker has sent."""
        outcomes, connection.outcomes = connection.outcomes, []
        for request, reason in outcomes:
            self._send_outcome(request, reason)
        notes, connection.notes = connection.notes, []
        for note in notes:
            self._channel.send("note", text=f"[mqtt] {note}")
        for answer in connection.take_answers():
            number = next(self._answer_ids)
            self._answers[number] = (connection, answer)
            self._channel.send(
                "answer", answer=number, id=answer.delivery_id, **encode_content(answer.content)
            )

    def _send_outcome(self, request: int, reason: str | None) -> None:
        outcome = "accepted" if reason is None else "postponed"
        self._channel.send("delivery", request=request, outcome=outcome, reason=reason)


def main() -> None:
    """Run the process."""
    run_worker(_work)


def _work(channel: WorkerChannel, settings: dict[str, Any]) -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec("paho") is None:
        channel.send("failed", reason=NOT_INSTALLED)
        return
    MqttWorker(channel, settings).run()
