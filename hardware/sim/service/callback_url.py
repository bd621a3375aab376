"""The URLs of callbacks: which ones are possible, what a request needs of them, and the overrides behind `#`.

A URL is taken apart once, here, and the request is made from the parts. So the host that is checked is the
host that is called. Spellings that programs read differently are refused: characters outside RFC 3986, and
hosts such as `127.1` or `0x7f000001`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

CallbackMethod = Literal["GET", "POST"]
RetryCause = Literal["ct", "rt", "4xx", "5xx"]
"""Why a try failed: no connection, no answer in time, or the class of the answer's status."""

RETRY_CAUSES: tuple[RetryCause, ...] = ("ct", "rt", "4xx", "5xx")

MAX_URL_CHARACTERS = 4096
"""Receivers usually accept request lines up to 8 KiB, and the parameters of a GET follow the URL."""

_ALLOWED = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
_NUMBER_AT_END = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOverrides:
    """The vendor's connection overrides, from the fragment: `#rc=2&rp=5xx,rt`. None: not given."""

    retries: int | None = None
    """`rc`, 0 to 5: tries after the first one."""
    causes: tuple[RetryCause, ...] | None = None
    """`rp`: the failures that are tried again; `all` means each of them."""
    connect_timeout_s: float | None = None
    """`ct`, 100 to 10000 ms."""
    read_timeout_s: float | None = None
    """`rt`, 100 to 15000 ms."""
    total_time_s: float | None = None
    """`tt`, 100 to 15000 ms, for all tries and the waits between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrl:
    """A checked URL."""

    text: str
    """As it was given, for resources and logs."""
    scheme: str
    host: str
    """In lower case, without brackets."""
    port: int
    request_url: str
    """The URL of the request: without user, password and fragment, with a path."""
    user: str | None
    password: str
    overrides: ConnectionOverrides

    @property
    def is_loopback(self) -> bool:
        """True if the request stays on this machine: no name server is asked about these hosts."""
        name = self.host.removesuffix(".")
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The URL and the method of a resource's callbacks. Without a URL there are none."""

    url: CallbackUrl | None = None
    method: CallbackMethod = "POST"

    @property
    def url_text(self) -> str | None:
        """The URL as it was given."""
        return None if self.url is None else self.url.text


NO_WEBHOOK = Webhook()


def parse_callback_url(text: str) -> CallbackUrl:
    """Take a URL apart; raises ValueError with a reason that follows "is invalid:"."""
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters, at most {MAX_URL_CHARACTERS} are possible")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # brackets that do not match, a port that is not a number or too large
        raise ValueError("its host or port is impossible") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("it must be an absolute http or https URL")
    # What is not ASCII is sent as UTF-8 in percent encoding; any other character must be possible as it is.
    ascii_text = quote(text, safe="".join(map(chr, range(128))))
    if not _ALLOWED.fullmatch(ascii_text):
        raise ValueError("it contains a character that must be percent-encoded")
    _check_host(host)
    if port == 0:
        raise ValueError("its host or port is impossible")
    return CallbackUrl(
        text=text,
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        request_url=_request_url(urlsplit(ascii_text), host, port),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        overrides=_parse_overrides(parts.fragment),
    )


def _request_url(parts: SplitResult, host: str, port: int | None) -> str:
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority = f"{authority}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{authority}{parts.path or '/'}{query}"


def _check_host(host: str) -> None:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("its host is not an IPv6 address") from None
        if "%" in host:
            raise ValueError("its host is an IPv6 address with a zone, which only this machine knows")
    elif _NUMBER_AT_END.search(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("its host is not an IPv4 address of four decimal numbers") from None
    elif len(host) > 253 or not _HOST_NAME.fullmatch(host):
        raise ValueError("its host is not a host name in ASCII")


def _parse_overrides(fragment: str) -> ConnectionOverrides:
    """Parse the fragment; unknown names and values out of range are ignored."""
    values = dict(parse_qsl(fragment))

    def number(name: str, minimum: int, maximum: int) -> int | None:
        text = values.get(name, "")
        if not re.fullmatch(r"[0-9]{1,5}", text) or not minimum <= int(text) <= maximum:
            return None
        return int(text)

    def seconds(name: str, maximum: int) -> float | None:
        milliseconds = number(name, 100, maximum)
        return None if milliseconds is None else milliseconds / 1000

    words = values.get("rp", "").split(",")
    causes = RETRY_CAUSES if "all" in words else tuple(cause for cause in RETRY_CAUSES if cause in words)
    return ConnectionOverrides(
        retries=number("rc", 0, 5),
        causes=causes or None,
        connect_timeout_s=seconds("ct", 10_000),
        read_timeout_s=seconds("rt", 15_000),
        total_time_s=seconds("tt", 15_000),
    )
