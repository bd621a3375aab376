"""The HTTP request of a callback: parameters in query or body, headers and signatures of both vendors."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hardware.sim.service.dates import format_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hardware.sim.callbacks.record import Callback

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
USER_AGENT = "modem-agent-sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRequest:
    """The request that the HTTP client sends, and its timeouts."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    connect_timeout_s: float
    read_timeout_s: float
    """Seconds without any octet of the answer, and for the whole answer."""


def build_request(
    callback: Callback, secret: str, now: datetime, *, connect_timeout_s: float, read_timeout_s: float
) -> CallbackRequest:
    """Return the request of the next try. `secret` is the account's token; it signs for both vendors."""
    encoded = urlencode(callback.parameters)
    url, body, form = callback.url.request_url, b"", callback.parameters
    if callback.method == "GET":
        url = f"{url}{'&' if '?' in url else '?'}{encoded}"
        form = ()
    else:
        body = encoded.encode("ascii")
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Date": format_date(now),
        "X-Twilio-Signature": twilio_signature(secret, url, form),
        "I-Twilio-Idempotency-Token": callback.token,
        "kore-signature": kore_signature(secret, callback.method, url, body),
        "kore-idempotency-token": callback.token,
    }
    if callback.method == "POST":
        headers["Content-Type"] = FORM_CONTENT_TYPE
    if callback.url.user is not None:
        credentials = f"{callback.url.user}:{callback.url.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode('ascii')}"
    overrides = callback.url.overrides
    return CallbackRequest(
        method=callback.method,
        url=url,
        headers=headers,
        body=body,
        connect_timeout_s=overrides.connect_timeout_s or connect_timeout_s,
        read_timeout_s=overrides.read_timeout_s or read_timeout_s,
    )


def twilio_signature(token: str, url: str, form: Sequence[tuple[str, str]]) -> str:
    """Return `X-Twilio-Signature`: HMAC-SHA1 over the URL and the sorted parameters of a form, in base64.

    `url` has its query; `form` is empty for a GET.
    """
    signed = url + "".join(f"{name}{value}" for name, value in sorted(form))
    # SHA-1 is what the vendor's own validator computes.
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode("ascii")


def kore_signature(secret: str, method: str, url: str, body: bytes) -> str:
    """Return `kore-signature`: SHA-256 of secret, method, URL without query, and body, as hexadecimal."""
    path_url = url.partition("?")[0]
    return hashlib.sha256(f"{secret}{method}{path_url}".encode() + body).hexdigest()
