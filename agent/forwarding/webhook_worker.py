"""The process that posts Commands to a web server, with a signature after Standard Webhooks."""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any

from agent.forwarding.message import MAX_ANSWER_BYTES, AnswerFormatError, decode_answer
from agent.forwarding.network_errors import describe_network_error
from agent.forwarding.secret_file import SecretError, read_secret
from agent.forwarding.tls import make_tls_context
from agent.forwarding.webhook_signature import SigningSecretError, decode_secrets, sign
from agent.forwarding.worker_channel import WorkerChannel, encode_content, run_worker

REJECTING_STATUSES = (413, 422)
"""The server says that this Command, as it is, can never be processed. The Command fails."""
MAX_RETRY_AFTER_S = 3600.0
"""Longest time that `Retry-After` is followed."""
GONE_DELAY_S = 3600.0
"""Delay after 410: the server asks for no further requests, and only a new configuration helps."""
SETTING_DELAY_S = 300.0
"""Delay after a status that only a change at the server or in agent.toml ends."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Reports a redirection as an error: following it would turn POST into GET, or change the host."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class WebhookClient:
    """Posts Commands to one URL."""

    def __init__(self, settings: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._url = str(settings["url"])

    def deliver(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Post a Command once; return the outcome as fields of a message to the agent."""
        try:
            request = self._make_request(message)
            opener = urllib.request.build_opener(
                _NoRedirect, urllib.request.HTTPSHandler(context=make_tls_context(self._settings))
            )
            with opener.open(request, timeout=float(self._settings["timeout_s"])) as response:
                return _accept(response, float(self._settings["timeout_s"]))
        except urllib.error.HTTPError as error:
            with error:
                return _judge_status(error.code, error.headers)
        except SecretError as error:
            return _postpone(str(error), SETTING_DELAY_S)
        except http.client.HTTPException as error:
            return _postpone(f"{self._url} does not answer in HTTP: {type(error).__name__}")
        except OSError as error:  # also URLError
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            return _postpone(f"{self._url}: {describe_network_error(cause)}")

    def _make_request(self, message: Mapping[str, Any]) -> urllib.request.Request:
        """Return the signed request. Raises SecretError."""
        settings, environ = self._settings, self._environ
        now = int(time.time())
        sent_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        body = json.dumps({"type": "command.received", "timestamp": sent_at, "data": message}).encode()
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/plain",
            "User-Agent": f"modem-agent/{settings['version']}",
            "webhook-id": str(message["id"]),
            "webhook-timestamp": str(now),
        }
        keys = read_signing_keys(settings, environ)
        if keys:
            headers["webhook-signature"] = sign(keys, headers["webhook-id"], now, body)
        if authorization := read_authorization(settings, environ):
            headers["Authorization"] = authorization
        return urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  (http or https)


def read_signing_keys(settings: Mapping[str, Any], environ: Mapping[str, str]) -> list[bytes]:
    """Return the keys that sign requests; empty if none are configured. Raises SecretError."""
    text = read_secret("webhook.secret_file", settings["secret_file"], "webhook-secret", environ)
    try:
        return decode_secrets(text) if text else []
    except SigningSecretError as error:
        raise SecretError(f"webhook.secret_file: {error}") from None


def read_authorization(settings: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """Return the value of the header Authorization; None if none is configured. Raises SecretError."""
    file = settings["authorization_file"]
    text = read_secret("webhook.authorization_file", file, "webhook-authorization", environ)
    if text and not (text.isascii() and text.isprintable()):
        raise SecretError("webhook.authorization_file must be one line of ASCII, such as `Bearer TOKEN`")
    return text


def _accept(response: http.client.HTTPResponse, timeout_s: float) -> dict[str, Any]:
    """Return the outcome of a 2xx status. What its body contains, or lacks, changes nothing about that."""
    note = ""
    answer = None
    body = b""
    until = time.monotonic() + timeout_s
    try:
        while len(body) <= MAX_ANSWER_BYTES and (data := response.read1(MAX_ANSWER_BYTES)):
            body += data
            if time.monotonic() > until:
                raise TimeoutError
        if response.length and len(body) <= MAX_ANSWER_BYTES:  # octets that were announced and did not come
            raise http.client.IncompleteRead(body, response.length)
        answer = decode_answer(response.headers.get("Content-Type") or "text/plain", body)
    except AnswerFormatError as error:
        note = str(error)
    except (OSError, http.client.HTTPException):
        note = "the answer broke off"
    return {"outcome": "accepted", "note": note, **encode_content(answer)}


def _judge_status(status: int, headers: Message) -> dict[str, Any]:
    """Return the outcome of a status other than 2xx."""
    name = f"{status} {http.client.responses.get(status, '')}".rstrip()
    retry_after_s = parse_retry_after(headers.get("Retry-After"), time.time())
    if status in REJECTING_STATUSES:
        return {"outcome": "rejected", "reason": f"the server answers {name}"}
    if status == http.HTTPStatus.GONE:
        return _postpone(
            f"the server answers {name}: it wants no more requests; change [webhook] url", GONE_DELAY_S
        )
    if status in (408, 425, 429) or status >= 500:
        return _postpone(f"the server answers {name}", retry_after_s)
    if 300 <= status < 400:
        location = headers.get("Location") or "another address"
        return _postpone(
            f"the server answers {name} to {location}; write that into [webhook] url", SETTING_DELAY_S
        )
    advice = "check secret_file and authorization_file" if status in (400, 401, 403, 407) else "check url"
    return _postpone(f"the server answers {name}; {advice} in [webhook]", max(SETTING_DELAY_S, retry_after_s))


def _postpone(reason: str, min_delay_s: float = 0.0) -> dict[str, Any]:
    return {"outcome": "postponed", "reason": reason, "min_delay_s": min_delay_s}


def parse_retry_after(value: str | None, now: float) -> float:
    """Return the seconds that a header Retry-After asks to wait, at most an hour; 0 if it is unusable."""
    if value is None:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        seconds = float(value)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def main() -> None:
    """Run the process."""
    run_worker(_work)


def _work(channel: WorkerChannel, settings: dict[str, Any]) -> None:
    webhook = WebhookClient(settings, os.environ)
    while True:
        message = channel.receive_line()
        if message["do"] == "deliver":
            outcome = webhook.deliver(message["message"])
            if note := outcome.pop("note", ""):
                channel.send(
                    "note", text=f"[webhook] command {message['message']['id']}: {note}; no reply is sent"
                )
            channel.send("delivery", request=message["request"], **outcome)
