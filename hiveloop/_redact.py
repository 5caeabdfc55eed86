"""The one choke point for privacy: every payload passes here before any transport sees it.

In order: previews and tool content are removed or cut as configured, secrets are replaced, text is
made safe for JSON, the user's `mask` has its say, and the result is cut to the wire's limits. When
a mask raises or returns nonsense the payload is withheld, never sent as it was.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from ._freeze import MAX_TEXT, TRUNCATED, freeze_mapping, thaw
from ._guard import attempt, notice
from ._shape import is_dict, is_list, kind_of
from .events import EventType
from .payloads import CONTENT_KEYS, PREVIEW_KEYS, SUMMARY_LIMIT

__all__ = ["Mask", "Privacy", "redact_text"]

Mask = Callable[[dict[str, Any]], dict[str, Any]]

REDACTED = "[redacted]"
PAYLOAD_LIMIT = 32_768
"""Most bytes of one encoded payload. Source: ingest API."""

_SECRET_KEY = re.compile(
    r"""(?:^|[_\-. ])
    (?:pass(?:word|wd|phrase)|pwd|secret|token|api[_\-]?key|access[_\-]?key(?:[_\-]?id)?|secret[_\-]?(?:access[_\-]?)?key
    |private[_\-]?key|auth|authorization|credentials?|cookie|bearer|connection[_\-]?string)
    $|^(?:apikey|authtoken|accesstoken|clientsecret|privatekey|refreshtoken|idtoken)$""",
    re.IGNORECASE | re.VERBOSE,
)

# Shapes with a vendor's fixed prefix, or a structure that nothing else has. Sources: the vendors'
# documentation of their key formats.
_SECRET_TEXT = re.compile(
    r"""
      \bsk-[A-Za-z0-9_\-]{16,}                       # OpenAI, Anthropic and many that followed
    | \b[srp]k_(?:live|test)_[A-Za-z0-9]{10,}        # Stripe
    | \bhb_(?:live|test|read)_[A-Za-z0-9_\-]{6,}     # HiveBoard
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,}
    | \bglpat-[A-Za-z0-9_\-]{16,}
    | \bxox[abeoprs]-[A-Za-z0-9\-]{10,}              # Slack
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b                  # AWS key ids
    | \bAIza[0-9A-Za-z_\-]{30,}                      # Google
    | \bhf_[A-Za-z0-9]{20,} | \bnpm_[A-Za-z0-9]{20,} | \bpypi-[A-Za-z0-9_\-]{20,} | \bSG\.[A-Za-z0-9_\-.]{20,}
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*     # JSON web token
    | -----BEGIN[A-Z ]*PRIVATE\ KEY-----.*?(?:-----END[A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=://)[^\s/:@]+:[^\s/@]+(?=@)                # user:password@ in an address
    | (?i:(?<=bearer\ )|(?<=basic\ ))[A-Za-z0-9._~+/=\-]{12,}
    | (?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=api_key=)|(?<=apikey=)|(?<=access_key=))
      [^\s&;,"']+
    """,
    re.VERBOSE | re.DOTALL,
)
_SHORTEST_SECRET = 12
_MEMO_TEXT = 64
_MEMO_SIZE = 4_096
_LARGEST_PLAIN_INT = 2**63
_NUMBERS = frozenset((int, float, bool, type(None)))


class _Memo(dict[str, Any]):
    """Remembers the answer for texts that come again and again, such as names, keys and models."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        super().__init__()
        self._answer = answer

    def __missing__(self, key: str) -> Any:
        if len(self) >= _MEMO_SIZE:
            self.clear()
        value = self[key] = self._answer(key)
        return value


def _search(value: str) -> str:
    return _SECRET_TEXT.sub(REDACTED, value)


_short_texts = _Memo(_search)
_keys = _Memo(lambda key: _SECRET_KEY.search(key) is not None)


def redact_text(value: str) -> str:
    """Replace every well-known token shape in a text."""
    if len(value) < _SHORTEST_SECRET:
        return value
    if len(value) <= _MEMO_TEXT:
        found: str = _short_texts[value]
        return found
    # A secret is a long word or follows "="; prose has neither, and a look at the words is ten
    # times cheaper than the search.
    if "=" in value or max(map(len, value.split()), default=0) >= _SHORTEST_SECRET:
        return _search(value)
    return value


def _unchanged(value: str) -> str:
    return value


class Privacy:
    """Applies one configuration of content capture, redaction, masking and limits to payloads.

    Runs on delivery threads. Several may use one object: it keeps no state of a payload.
    """

    def __init__(
        self,
        *,
        redact: bool = True,
        capture_content: bool = True,
        preview_max_chars: int = 300,
        mask: Mask | None = None,
    ) -> None:
        self._text = redact_text if redact else _unchanged
        self._redact = redact
        self._capture_content = capture_content
        self._preview_max_chars = preview_max_chars
        self._mask = mask

    def text(self, value: str | None) -> str | None:
        """Redact an identifier, such as a task id."""
        return None if value is None else self._text(value)

    def payload(self, type_: EventType, payload: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the payload as it may leave the process, with its estimated size in bytes."""
        cut = self._content(type_, payload)
        summary = payload.get("summary")
        if isinstance(summary, str) and len(summary) > SUMMARY_LIMIT:
            payload["summary"] = summary[: SUMMARY_LIMIT - 1] + "…"
            cut.append("summary")
        clean, size = self._tree(payload)
        if self._mask is not None:
            clean, size = self._masked(self._mask, clean)
        if cut:
            clean[TRUNCATED] = [*clean.get(TRUNCATED, ()), *cut]
        return _fitted(clean, size)

    def _content(self, type_: EventType, payload: dict[str, Any]) -> list[str]:
        """Remove or cut what the agent's users said and saw; return the names of what was cut."""
        cut: list[str] = []
        if payload.get("kind") == "llm_call" and is_dict(data := payload.get("data")):
            for key in PREVIEW_KEYS:
                if key in data:
                    self._preview(data, key, cut)
        elif not self._capture_content and type_.startswith("action_"):
            for key in CONTENT_KEYS:
                payload.pop(key, None)
        return cut

    def _preview(self, data: dict[str, Any], key: str, cut: list[str]) -> None:
        value = data[key]
        if not self._capture_content:
            del data[key]
        elif isinstance(value, str) and len(value) > self._preview_max_chars:
            data[key] = value[: self._preview_max_chars]
            cut.append(key)

    def _tree(self, value: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Clean a mapping in place; return it and its estimated size."""
        size = 2
        redact = self._redact
        for key in list(value) if redact else value:
            item = value[key]
            kind = kind_of(item)
            if kind is str:
                if redact and _keys[key]:
                    value[key] = item = REDACTED
                else:
                    value[key] = item = self._text(item)
                size += len(item) + len(key) + 6
            elif kind in _NUMBERS:
                value[key] = _finite(item)
                size += len(key) + 14
            elif redact and _keys[key]:
                value[key] = REDACTED
            else:
                value[key], more = self._tree(item) if kind is dict else self._list(item)
                size += more + len(key) + 4
        return self._keys_redacted(value) if redact else value, size

    def _keys_redacted(self, value: dict[str, Any]) -> dict[str, Any]:
        """A token may be a key too, say in a table of accounts; keys are memoised, so this is cheap."""
        for key in value:
            if len(key) >= _SHORTEST_SECRET and redact_text(key) is not key and redact_text(key) != key:
                return {redact_text(k): v for k, v in value.items()}
        return value

    def _list(self, values: Any) -> tuple[list[Any], int]:
        if all(type(item) is str for item in values):
            texts = [self._text(item) for item in values]
            return texts, sum(map(len, texts)) + 3 * len(texts) + 2
        # Items are cleaned as the values of a mapping are; the position stands in for the key.
        clean, size = self._tree({str(i): item for i, item in enumerate(values)})
        return list(clean.values()), size

    def _masked(self, mask: Mask, payload: dict[str, Any]) -> tuple[dict[str, Any], int]:
        kind = payload.get("kind")
        masked: Any = attempt("mask", mask, payload, default=None)
        if not is_dict(masked):
            notice("mask result", "hiveloop: the mask callable failed or returned no dict: payload withheld")
            withheld = {"_masked": "withheld: the mask callable failed"}
            return ({"kind": kind, **withheld} if kind else withheld), 64
        return self._plain(masked)

    def _plain(self, masked: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """What a mask returned is user data again: bound it and make it JSON."""
        tree: dict[str, Any] = thaw(freeze_mapping(masked)) or {}
        return Privacy._tree(_NO_REDACTION, tree)


_NO_REDACTION = Privacy(redact=False)


def _finite(value: Any) -> Any:
    """Return a number, bool or None as it is, unless JSON or decimal text has no room for it."""
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if type(value) is int and not -_LARGEST_PLAIN_INT <= value < _LARGEST_PLAIN_INT:
        return _huge(value)
    return value


def _huge(value: int) -> str:
    # Turning a giant integer into decimal text takes quadratic time, and Python refuses past 4300 digits.
    return str(value) if value.bit_length() <= 512 else f"<int, {value.bit_length()} bits>"


def encode(value: Any) -> str:
    """Return compact JSON text; every payload that passed `Privacy` can be encoded."""
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False)


def _fitted(payload: dict[str, Any], size: int) -> tuple[dict[str, Any], int]:
    # A character is at most six bytes once encoded, so most payloads need no exact look.
    if size * 6 <= PAYLOAD_LIMIT:
        return payload, size
    exact = _bytes(payload)
    return (payload, exact) if exact <= PAYLOAD_LIMIT else trimmed(payload, PAYLOAD_LIMIT)


def _bytes(payload: dict[str, Any]) -> int:
    return len(encode(payload).encode("utf-8", "replace"))


def trimmed(payload: dict[str, Any], limit: int) -> tuple[dict[str, Any], int]:
    """Cut a payload's longest texts, then its deepest parts, until it encodes to at most `limit` bytes."""
    longest = MAX_TEXT
    while longest >= 64:
        longest //= 4
        cut: dict[str, Any] = _cut_texts(payload, longest)
        cut[TRUNCATED] = ["payload"]
        size = _bytes(cut)
        if size <= limit:
            return cut, size
    short = {k: v for k in ("kind", "summary", "action_name") if isinstance(v := payload.get(k), str)}
    bare: dict[str, Any] = {key: value[:SUMMARY_LIMIT] for key, value in short.items()}
    bare[TRUNCATED] = ["payload"]
    return bare, _bytes(bare)


def _cut_texts(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else value[: longest - 1] + "…"
    if is_dict(value):
        return {key[:256]: _cut_texts(item, longest) for key, item in value.items()}
    if is_list(value):
        return [_cut_texts(item, longest) for item in value]
    return value
