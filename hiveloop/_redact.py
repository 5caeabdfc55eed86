"""The one choke point for privacy: text becomes JSON here, and nowhere else.

Every string of a user that leaves the process passes `Privacy.quote`, which replaces secrets and
returns a JSON string; every tree passes `Privacy.tree`. So redaction cannot be forgotten, and costs
little: quoting must be done anyway, and strings that come again (names, models, keys) are looked up.
The user's `mask` has the last word. When it raises or returns nonsense the payload is withheld.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from json.encoder import encode_basestring
from types import NoneType
from typing import Any

from ._freeze import MAX_TEXT, TRUNCATED, freeze, thaw
from ._guard import contain, notice
from ._shape import LARGEST, SMALLEST, is_dict, is_list

__all__ = ["Mask", "Privacy", "redact_text"]

Mask = Callable[[dict[str, Any]], dict[str, Any]]

REDACTED = "[redacted]"
PAYLOAD_LIMIT = 32_768
"""Most bytes of one encoded payload. Source: ingest API."""
SURELY_SMALL = PAYLOAD_LIMIT // 4
"""A JSON text of so many characters is within the limit, since UTF-8 takes four bytes at most."""
SUMMARY_LIMIT = 512

_SECRET_KEY = re.compile(
    r"""(?:^|[_\-. ]|(?-i:(?<=[a-z0-9])(?=[A-Z])))
    (?:pass(?:word|wd|phrase)|pwd|secret|token|api[_\-]?key|access[_\-]?key(?:[_\-]?id)?
    |secret[_\-]?(?:access[_\-]?)?key|private[_\-]?key|auth|authorization|credentials?|cookie|bearer
    |connection[_\-]?string)
    $|^(?:apikey|authtoken|accesstoken|clientsecret|privatekey|refreshtoken|idtoken)$""",
    re.IGNORECASE | re.VERBOSE,
)

# Shapes with a vendor's fixed prefix, or a structure that nothing else has, each below texts of which all
# that it matches contains one. Looking for those marks first is a tenth of the cost of a search, and most
# texts with a mark ("task-1", "a=b", an address) need a search for one shape only. A mark that ends in a
# space may be in any case. Sources: the vendors' documentation of their key formats.
_SECRETS: dict[tuple[str, ...], str] = {
    ("sk-",): r"\bsk-[A-Za-z0-9_\-]{16,}",  # OpenAI, Anthropic and many that followed
    ("k_live_", "k_test_"): r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
    ("hb_",): r"\bhb_(?:live|test|read)_[A-Za-z0-9_\-]{6,}",  # HiveBoard
    ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"): r"\bgh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    ("github_pat_",): r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    ("glpat-",): r"\bglpat-[A-Za-z0-9_\-]{16,}",  # GitLab
    ("xox",): r"\bxox[abeoprs]-[A-Za-z0-9\-]{10,}",  # Slack
    ("AKIA", "ASIA"): r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS key ids
    ("AIza",): r"\bAIza[0-9A-Za-z_\-]{30,}",  # Google
    ("hf_",): r"\bhf_[A-Za-z0-9]{20,}",  # Hugging Face
    ("npm_",): r"\bnpm_[A-Za-z0-9]{20,}",
    ("pypi-",): r"\bpypi-[A-Za-z0-9_\-]{20,}",
    ("SG.",): r"\bSG\.[A-Za-z0-9_\-.]{20,}",  # SendGrid
    ("eyJ",): r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",  # JSON web token
    ("PRIVATE KEY",): r"-----BEGIN[A-Z ]*PRIVATE KEY-----.*?(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)",
    ("://",): r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)",  # user:password@ in an address
    ("bearer ",): r"(?ai:(?<=bearer ))[A-Za-z0-9._~+/=\-]{12,}",
    # "basic" alone is a word: "basic understanding" is none, since it has neither digit nor capital.
    ("basic ",): r"(?ai:(?<=basic ))(?=[A-Za-z.+/\-]*[0-9_=~]|[A-Za-z.+/\-]+[A-Z])[A-Za-z0-9._~+/=\-]{12,}",
    ("=",): r"(?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=api_key=)|(?<=apikey=)"
    r"""|(?<=access_key=))[^\s&;,"']+""",
}
_SECRET_TEXT = re.compile("|".join(_SECRETS.values()), re.DOTALL)
_SHORTEST_SECRET = len("token=x")
_MEMO_TEXT = 96
_MEMO_SIZE = 4_096
_DEEPEST = 12
_QUOTED_REDACTED = encode_basestring(REDACTED)


_MARKS = [(mark, shape) for marks, shape in _SECRETS.items() for mark in marks if not mark.endswith(" ")]
_MARKS_IN_ANY_CASE = [mark for marks in _SECRETS for mark in marks if mark.endswith(" ")]
_SHORTEST_TOKEN = len("hb_live_123456")
"""All shapes are at least so long, but for those of addresses and of ``token=x``."""


def redact_text(value: str) -> str:
    """Replace every well-known token shape in a text."""
    if len(value) < _SHORTEST_SECRET or not _may_hold_secret(value):
        return value
    return _SECRET_TEXT.sub(REDACTED, value)


def _may_hold_secret(value: str) -> bool:
    if len(value) < _SHORTEST_TOKEN:
        return "=" in value or "://" in value
    for mark, shape in _MARKS:
        if mark in value and re.search(shape, value, re.DOTALL):
            return True
    lower = value.lower()
    return any(mark in lower for mark in _MARKS_IN_ANY_CASE)


_type_of: Callable[[object], object] = type


def _unchanged(value: str) -> str:
    return value


class _Memo(dict[str, str]):
    """What a function makes of texts; of short ones it is remembered, for they come again."""

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> str:
        made = self._make(text)
        if len(text) <= _MEMO_TEXT:
            if len(self) >= _MEMO_SIZE:
                self.clear()
            self[text] = made
        return made


class _Keys(dict[str, tuple[str, bool]]):
    """For each key its JSON text with the colon, and whether its value is a secret."""

    def __init__(self, redact: bool) -> None:
        super().__init__()
        self._redact = redact

    def __missing__(self, key: object) -> tuple[str, bool]:
        if not isinstance(key, str):  # a number, say, as a key of the caller's
            return self[_key_text(key)]
        if len(self) >= _MEMO_SIZE:
            self.clear()
        secret = self._redact and _SECRET_KEY.search(key) is not None
        shown = redact_text(key) if self._redact else key
        found = self[key] = (f"{encode_basestring(shown)}:", secret)
        return found


def _key_text(key: object) -> str:
    return str(key) if not isinstance(key, int) or key.bit_length() <= 512 else "<huge int>"


class Privacy:
    """Applies one configuration of content capture, redaction, masking and limits.

    Runs on delivery threads, any number of which may share an object.

    Attributes:
        quote: returns the JSON string of a text, redacted.
        masks: whether payloads must pass `finished`, however small.
        captures: whether previews and tool content may leave.
        preview_max_chars: characters kept of a preview.
    """

    def __init__(
        self,
        *,
        redact: bool = True,
        capture_content: bool = True,
        preview_max_chars: int = 300,
        mask: Mask | None = None,
    ) -> None:
        self.captures = capture_content
        self.masks = mask is not None
        self.preview_max_chars = preview_max_chars
        self._mask = mask
        self._redacted = _Memo(redact_text if redact else _unchanged)
        self._quoted = _Memo(lambda text: encode_basestring(self._redacted[text]))
        self._keys = _Keys(redact)
        self.quote: Callable[[str], str] = self._quoted.__getitem__

    def text(self, value: str | None) -> str | None:
        """Redact an identifier, such as a task id."""
        return None if value is None else self._redacted[value]

    # These two are written for speed: they see each value of each payload.

    def tree(self, value: Any, depth: int = _DEEPEST) -> str:
        """Return the JSON text of any value, redacted."""
        kind = _type_of(value)
        if kind is str:
            return self._quoted[value]
        if kind is int:
            return _int_text(value)
        if value is None or kind is bool:
            return "null" if value is None else "true" if value else "false"
        if kind is float:
            return repr(value) if math.isfinite(value) else f'"{value}"'
        if depth > 0 and is_dict(value):
            return f"{{{self.members(value, depth)}}}"
        if depth > 0 and is_list(value):
            quoted, tree = self._quoted, self.tree
            items = [quoted[item] if type(item) is str else tree(item, depth - 1) for item in value]
            return f"[{','.join(items)}]"
        return self._strange(value, depth)

    def members(self, value: dict[str, Any], depth: int = _DEEPEST) -> str:
        """Return the JSON text of a mapping's members, without the braces."""
        keys, quoted, text = self._keys, self._quoted, ""
        for key, item in value.items():
            shown, secret = keys[key]
            kind = _type_of(item)
            if secret and kind is not bool and kind is not NoneType:
                text += f",{shown}{_QUOTED_REDACTED}"
            elif kind is str:
                text += f",{shown}{quoted[item]}"
            elif kind is int and SMALLEST <= item <= LARGEST:
                text += f",{shown}{item}"
            elif kind is bool:
                text += f",{shown}true" if item else f",{shown}false"
            elif kind is dict and depth > 1:
                text += f",{shown}{{{self.members(item, depth - 1)}}}"
            else:
                text += f",{shown}{self.tree(item, depth - 1)}"
        return text[1:]

    def _strange(self, value: Any, depth: int) -> str:
        """What only a mask can have put here, or what is nested absurdly deep."""
        if depth <= 0:
            return self._quoted["[nested too deep]"]
        plain = thaw(freeze(value))
        return self.tree(plain, depth - 1)

    def finished(self, payload_json: str) -> str:
        """Return a payload as it may leave the process: masked, and within the wire's limit."""
        if self._mask is not None:
            payload_json = self._masked(self._mask, payload_json)
        if len(payload_json) <= SURELY_SMALL or len(payload_json.encode("utf-8", "replace")) <= PAYLOAD_LIMIT:
            return payload_json
        return trimmed(payload_json, PAYLOAD_LIMIT)

    def _masked(self, mask: Mask, payload_json: str) -> str:
        payload: dict[str, Any] = json.loads(payload_json)
        kind = payload.get("kind")
        masked: Any = contain("mask", mask, payload, default=None)
        if is_dict(masked):
            plain = contain("mask result", _encode_plain, masked, default=None)
            return plain or f"{{{_TRUSTED.members(thaw(freeze(masked)))}}}"
        notice("mask result", "hiveloop: the mask callable failed or returned no dict: payload withheld")
        withheld = {"_masked": "withheld: the mask callable failed"}
        return _TRUSTED.tree({"kind": kind, **withheld} if kind else withheld)


_TRUSTED = Privacy(redact=False)
"""Quotes what has been redacted, and masked, already."""


def _fast_encoder() -> Callable[[Any], str]:
    """Return a compact JSON encoder that refuses cycles, NaN and strange types.

    `JSONEncoder.encode` builds its C encoder anew for every call, which costs more than a small payload.
    """
    options = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return options.encode
    chunks = make(None, options.default, encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _fast_encoder()


def _encode_plain(value: dict[str, Any]) -> str | None:
    """Encode what a mask mostly returns, plain JSON data; None for anything else."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        return None


def _int_text(value: int) -> str:
    # Turning a giant integer into decimal text takes quadratic time, Python refuses past 4300 digits, and
    # few receivers take more than 64 bits.
    if SMALLEST <= value <= LARGEST:
        return repr(value)
    return f'"{value}"' if value.bit_length() <= 512 else f'"<int, {value.bit_length()} bits>"'


def trimmed(payload_json: str, limit: int) -> str:
    """Cut a payload's longest texts, then its deepest parts, until it takes at most `limit` bytes."""
    payload: dict[str, Any] = json.loads(payload_json)
    longest = MAX_TEXT
    while longest >= 64:
        longest //= 4
        cut: dict[str, Any] = _cut_texts(payload, longest)
        cut[TRUNCATED] = ["payload"]
        text = _TRUSTED.tree(cut)
        if len(text.encode("utf-8", "replace")) <= limit:
            return text
    short = {
        k: v[:SUMMARY_LIMIT]
        for k in ("kind", "summary", "action_name")
        if isinstance(v := payload.get(k), str)
    }
    return _TRUSTED.tree({**short, TRUNCATED: ["payload"]})


def _cut_texts(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else value[: longest - 1] + "…"
    if is_dict(value):
        return {key[:256]: _cut_texts(item, longest) for key, item in value.items()}
    if is_list(value):
        return [_cut_texts(item, longest) for item in value]
    return value
