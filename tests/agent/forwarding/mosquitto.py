"""A real broker, mosquitto, that tests stop and start, and clients of it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time

import paho.mqtt.client as paho

from certificate import make_certificate

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
USER, PASSWORD = "gateway", "s3cret"


class Broker:
    """mosquitto with a plain port, one with a password and TLS, and one with a CA for clients."""

    def __init__(self, folder):
        self.folder = folder
        self.plain, self.tls, self.client_tls = (free_port() for _ in range(3))
        self.process = None
        make_certificate(folder)
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", folder / "passwords", USER, PASSWORD],
            check=True,
            capture_output=True,
        )
        (folder / "acl").write_text(
            f"topic readwrite #\nuser {USER}\ntopic readwrite allowed/#\ntopic read denied/#\n"
        )
        certificate = f"cafile {folder}/cert.pem\ncertfile {folder}/cert.pem\nkeyfile {folder}/key.pem\n"
        (folder / "mosquitto.conf").write_text(
            "user root\nper_listener_settings true\npersistence true\nautosave_interval 1\n"
            f"persistence_location {folder}/\nmessage_size_limit 2000\nmax_queued_messages 5\n"
            f"listener {self.plain} 127.0.0.1\nallow_anonymous true\n"
            f"listener {self.tls} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/passwords\n"
            f"acl_file {folder}/acl\n{certificate}"
            f"listener {self.client_tls} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\n"
            f"{certificate}"
        )

    def start(self):
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", self.folder / "mosquitto.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.client_tls), 1).close()
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Subscriber:
    """A client that receives what a gateway publishes, and answers."""

    def __init__(self, port, *topics):
        self.messages = []
        self._subscribed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.on_connect = lambda *_: client.subscribe([(topic, 1) for topic in topics])
        client.on_subscribe = lambda *_: self._loop.call_soon_threadsafe(self._subscribed.set)
        client.on_message = lambda _c, _d, message: self.messages.append(message)
        client.connect("127.0.0.1", port)
        client.loop_start()

    async def __aenter__(self):
        async with asyncio.timeout(10):
            await self._subscribed.wait()
        return self

    async def __aexit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()

    def payloads(self, topic):
        return [message.payload.decode() for message in self.messages if message.topic == topic]

    def answer(self, topic, payload, properties=None):
        return self.client.publish(topic, payload, qos=1, properties=properties)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
