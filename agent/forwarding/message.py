"""A forwarded Command as JSON values, the id of its delivery, and the answer to it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

ID_DIGEST_CHARS = 8
MAX_ANSWER_BYTES = 64 * 1024
"""Limit of an answer in octets; a reply is cut to a few SMS anyway."""


class AnswerFormatError(ValueError):
    """An answer cannot be used; the text is a clause."""


def make_delivery_id(
    gateway: str, number: int, sid: str | None, body: str | bytes, timestamp: datetime | None
) -> str:
    """Return the id by which a receiver recognises a Command that is delivered again.

    It is the SID. A Command without one gets the gateway, its `number` in the journal, and a digest, because
    the numbers of a new journal begin at 1 again.
    """
    if sid is not None:
        return sid
    octets = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    stamp = "" if timestamp is None else timestamp.isoformat()
    digest = hashlib.sha256(f"{stamp} ".encode() + octets).hexdigest()[:ID_DIGEST_CHARS]
    return f"{gateway}-{number}-{digest}"


def parse_command_number(delivery_id: str) -> int | None:
    """Return the number in the journal of an id that is no SID; None if it has none."""
    number = delivery_id.rpartition("-")[0].rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None


def make_message(
    delivery_id: str,
    gateway: str,
    *,
    sid: str | None,
    sender: str,
    body: str | bytes,
    timestamp: datetime | None,
    port: int | None,
) -> dict[str, Any]:
    """Return the fields of a forwarded Command. A text is in `text`, octets are in `hex`."""
    message: dict[str, Any] = {
        "id": delivery_id,
        "gateway": gateway,
        "sid": sid,
        "sender": sender,
        "timestamp": None if timestamp is None else timestamp.isoformat(),
    }
    if isinstance(body, str):
        message["text"] = body
    else:
        message["hex"] = body.hex().upper()
    if port is not None:
        message["port"] = port
    return message


def decode_answer(content_type: str, payload: bytes) -> str | bytes | None:
    """Return the reply in an answer, None for no reply.

    It is a JSON object with `reply` (text or null) or `hex` (the octets of a binary reply), or else a plain
    text. A content type that is neither of them, for example HTML, is no reply. Raises AnswerFormatError.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if len(payload) > MAX_ANSWER_BYTES:
        raise AnswerFormatError(f"the answer has more than {MAX_ANSWER_BYTES} octets")
    try:
        text = payload.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise AnswerFormatError("the answer is not UTF-8") from None
    is_json = kind == "application/json" or kind.endswith("+json")
    if text and (is_json or (not kind and text.startswith("{"))):
        return _decode_json_answer(text, strict=is_json)
    return text or None if kind in ("", "text/plain") else None


def _decode_json_answer(text: str, *, strict: bool) -> str | bytes | None:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        if strict:
            raise AnswerFormatError("the answer is not valid JSON") from None
        return text  # a text that begins with a brace
    if not isinstance(decoded, Mapping) or not {"reply", "hex"} & set(decoded):
        return None if strict else text
    reply, octets = decoded.get("reply"), decoded.get("hex")
    if isinstance(octets, str):
        try:
            return bytes.fromhex(octets) or None
        except ValueError:
            raise AnswerFormatError("`hex` of the answer is not hexadecimal") from None
    if reply is not None and not isinstance(reply, str):
        raise AnswerFormatError("`reply` of the answer is not text")
    return reply or None
