"""Signatures of webhooks, after the specification Standard Webhooks 1.0. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

SECRET_PREFIX = "whsec_"  # noqa: S105  (the prefix of secrets, not one)


class SigningSecretError(ValueError):
    """A signing secret has the wrong form; the text is a clause that does not show it."""


def decode_secrets(text: str) -> list[bytes]:
    """Return the keys in a text, one secret on each line. With two, a receiver can change over.

    A secret is `whsec_` and base64. Raises SigningSecretError.
    """
    keys = []
    for line in text.split():
        try:
            key = base64.b64decode(line.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise SigningSecretError("a secret is whsec_ and base64, each on a line of its own") from None
        if not key:
            raise SigningSecretError("a secret is empty")
        keys.append(key)
    return keys


def sign(keys: list[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: `v1,` and base64 for each key, with blanks between them."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, content, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
