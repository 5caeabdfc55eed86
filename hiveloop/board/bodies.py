"""What requests carry: bounded, uncompressed, and as JSON where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from hiveloop._shape import is_dict

from .intake import Refused, inflate
from .routes import Failure

__all__ = ["body_of", "label_of", "object_of"]

_PATIENCE = 16
"""How many times too large a body may be and still be read to its end: a client that is cut off while it
sends sees a broken connection instead of the answer, and would try again.
"""
_MOST_BYTES = 65_536
_LONGEST = 256


async def body_of(request: Request, most: int) -> bytes:
    """Read a body, never more than `most` bytes of it into memory, and uncompress it.

    Raises:
        Failure: it is too large, or not what it says it is.
    """
    told = request.headers.get("content-length", "")
    too_large = Failure(413, "payload_too_large", f"a request may have at most {most} bytes")
    if told.isdecimal() and int(told) > most * _PATIENCE:
        raise too_large
    parts, size = list[bytes](), 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= most:
                parts.append(part)
            elif size > most * _PATIENCE:
                raise Failure(413, too_large.error, too_large.message, {"Connection": "close"})
    except ClientDisconnect:
        raise Failure(400, "invalid_batch", "the connection ended before the body did") from None
    if size > most:
        raise too_large
    body = inflate(b"".join(parts), request.headers.get("content-encoding"), most)
    if isinstance(body, Refused):
        raise Failure(body.status, body.error, body.message)
    return body


async def object_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries; empty when it carries nothing."""
    body = await body_of(request, _MOST_BYTES)
    given: object
    try:
        given = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        given = None
    if not is_dict(given):
        raise Failure(400, "validation_error", "the body must be a JSON object")
    return given


def label_of(given: Mapping[str, Any], name: str) -> str:
    """Return a short text of a JSON object, "" when there is none.

    Raises:
        Failure: it is no text, or too long.
    """
    found = given.get(name)
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > _LONGEST or "\x00" in found:
        raise Failure(400, "validation_error", f"{name} must be a text of at most {_LONGEST} characters")
    return found
