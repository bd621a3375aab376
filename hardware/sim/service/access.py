"""The credentials of the REST API: the account's token, an API key, and bearer tokens that expire.

    Basic   ACCOUNT_SID:TOKEN, or KEY_SID:KEY_SECRET
    Bearer  an access token from the token endpoint, or the account's token itself, which does not expire

An open sandbox accepts anything, also nothing. If a caller names an account by Basic, its Commands belong
to that account.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.sim.service.errors import AUTHENTICATION_FAILED, ServiceError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from datetime import datetime

ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
TOKEN_PATH = "/api-services/v1/auth/token"  # noqa: S105 - a path
TOKEN_HOST = "api.korewireless.com"  # noqa: S105 - a host
CHALLENGE = {"WWW-Authenticate": 'Basic realm="modem-agent sandbox"'}
TOKEN_LIFETIME_S = 3600
"""The shortest of the four that the vendor offers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCredentials:
    """The credentials of an account; key and client are computed from its SID and token."""

    account_sid: str
    token: str
    """The auth token; it also signs callbacks."""

    @classmethod
    def draw(
        cls, rng: random.Random, account_sid: str | None = None, token: str | None = None
    ) -> AccountCredentials:
        """Return credentials; what is not given is drawn."""
        return cls(
            account_sid=account_sid or f"AC{rng.getrandbits(128):032x}",
            token=token or f"{rng.getrandbits(128):032x}",
        )

    @property
    def key_sid(self) -> str:
        """SID of the API key."""
        return f"SK{self._derive('key sid')[:32]}"

    @property
    def key_secret(self) -> str:
        """Secret of the API key."""
        return self._derive("key secret")[:32]

    @property
    def client_id(self) -> str:
        """Id of the client of the token endpoint."""
        return f"apiclient_{self._derive('client id')[:26]}"

    @property
    def client_secret(self) -> str:
        """Secret of the client of the token endpoint."""
        return self._derive("client secret")[:40]

    def sign_expiry(self, expiry: int) -> str:
        """Return the access token that ends at `expiry`, in seconds since 1970."""
        return f"{expiry:x}.{self._derive(f'expiry {expiry}')}"

    def _derive(self, purpose: str) -> str:
        return hmac.digest(
            self.token.encode(), f"{self.account_sid} {purpose}".encode(), hashlib.sha256
        ).hex()


class TokenRefused(Exception):  # noqa: N818 - the name of a condition
    """A refused request for an access token, with the vendor's body."""

    def __init__(self, status: int, body: dict[str, object]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class AccessControl:
    """Checks the `Authorization` header of requests, and issues access tokens."""

    def __init__(
        self, credentials: AccountCredentials, wall_clock: Callable[[], datetime], *, is_open: bool
    ) -> None:
        self.credentials = credentials
        self.is_open = is_open
        self._wall_clock = wall_clock
        self._accepted = (
            (credentials.account_sid, credentials.token),
            (credentials.key_sid, credentials.key_secret),
        )
        """Users and passwords of HTTP Basic."""

    def authenticate(self, header: str | None) -> str | None:
        """Return the account SID of the caller, None if an open sandbox does not know it.

        Raises ServiceError (401) for missing or wrong credentials.
        """
        scheme, _, value = (header or "").partition(" ")
        user, password = _decode_basic(value) if scheme.lower() == "basic" else ("", "")
        if self.is_open:
            return user if ACCOUNT_SID.fullmatch(user) else None
        if scheme.lower() == "bearer":
            accepted = self._is_valid_bearer(value.strip())
        else:
            accepted = any(_equal(user, name) & _equal(password, secret) for name, secret in self._accepted)
        if not accepted:
            raise ServiceError(401, AUTHENTICATION_FAILED, "Authenticate", CHALLENGE)
        return self.credentials.account_sid

    def issue_token(self, parameters: Mapping[str, str]) -> dict[str, object]:
        """Return the answer of the token endpoint; raises TokenRefused."""
        if parameters.get("grant_type") != "client_credentials":
            message = "The parameter grant_type must be client_credentials."
            raise TokenRefused(400, {"code": 400, "message": message})
        own = self.credentials
        is_own = _equal(parameters.get("client_id", ""), own.client_id) & _equal(
            parameters.get("client_secret", ""), own.client_secret
        )
        if not is_own and not self.is_open:
            description = "Invalid client or Invalid client credentials"
            raise TokenRefused(401, {"error": "invalid_client", "error_description": description})
        return {
            "access_token": own.sign_expiry(int(self._wall_clock().timestamp()) + TOKEN_LIFETIME_S),
            "expires_in": TOKEN_LIFETIME_S,
            "token_type": "Bearer",
            "scope": "SuperSIM ProgrammableWireless",
        }

    def _is_valid_bearer(self, token: str) -> bool:
        if _equal(token, self.credentials.token):
            return True
        digits = token.partition(".")[0]
        if not re.fullmatch(r"[0-9a-f]{1,12}", digits):
            return False
        expiry = int(digits, 16)
        is_own = _equal(token, self.credentials.sign_expiry(expiry))
        return is_own and self._wall_clock().timestamp() < expiry


def _decode_basic(value: str) -> tuple[str, str]:
    """Return user and password, both empty if the value is not base64 of a UTF-8 text."""
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
