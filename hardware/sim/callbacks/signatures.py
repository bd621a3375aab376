"""The signatures by which a receiver recognises a callback of either vendor."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


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
