"""Where each setting comes from: argument, environment, config file, default; validated in one place."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import _handover
from ._guard import attempt
from ._redact import redact_text
from .errors import HiveLoopConfigError
from .transports._address import DEFAULT_ENDPOINT, check_endpoint, is_loopback, shown_address

__all__ = ["Config", "config_files", "resolve", "shown_value"]

CONFIG_FILE = "loophive.cfg"
_MOST_SECONDS = 1_000_000.0
"""Eleven days: far more is beyond what locks and sockets can wait."""
_MOST_SHOWN = 200
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off", ""))


class Config(NamedTuple):
    """Effective settings, frozen; the key is never in a repr.

    `sources` tells where each came from. `public_url` is no setting: the address in browsers of the board
    that was found on this machine, when that is another than `endpoint`.
    """

    api_key: str | None
    endpoint: str
    environment: str
    group: str
    flush_interval: float
    batch_size: int | None
    max_queue_size: int
    debug: bool
    enabled: bool
    capture_content: bool
    preview_max_chars: int
    redact: bool
    timeout: float
    shutdown_timeout: float
    ca_file: str | None
    compression: bool
    headers: Mapping[str, str]
    sources: Mapping[str, str]
    public_url: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return what users set, by name."""
        return {k: v for k, v in self._asdict().items() if k not in ("sources", "public_url")}

    def __repr__(self) -> str:
        shown = {k: v for k, v in self.settings().items() if k not in ("api_key", "headers")}
        key = "set" if self.api_key else "not set"
        return f"Config(api_key=<{key}>, {', '.join(f'{k}={v!r}' for k, v in shown.items())})"


class _Resolver:
    """Takes each setting from the first place that has it, and remembers which that was."""

    def __init__(
        self,
        arguments: Mapping[str, Any],
        environ: Mapping[str, str],
        board: _handover.HandOver | None = None,
    ) -> None:
        self._arguments = arguments
        self._environ = environ
        self._origins: dict[str, str] = {}
        self.public_url: str | None = None
        if board is not None:
            self._arguments = {**arguments, "api_key": board.api_key, "endpoint": board.endpoint}
            self._origins = dict.fromkeys(("api_key", "endpoint"), board.path)
            self.public_url = board.public_url
        self.sources: dict[str, str] = {}

    def find(self, name: str, default: Any, variable: str | None = None) -> tuple[Any, str]:
        """Return the raw value and a word for its origin, as used in error messages."""
        value = self._arguments.get(name)
        if value is not None:
            return value, self._from(name, self._origins.get(name, "argument"), name)
        variable = variable or f"HIVELOOP_{name.upper()}"
        found = self._environ.get(variable)
        if found:
            return found, self._from(name, variable, variable)
        return default, self._from(name, "default", name)

    def _from(self, name: str, source: str, shown: str) -> str:
        self.sources[name] = source
        return shown

    def text(self, name: str, default: str, limit: int) -> str:
        value, shown = self.find(name, default)
        if not isinstance(value, str) or not value:
            raise _error(shown, value, "a non-empty text")
        return value[:limit]

    def number(self, name: str, default: float, least: float, fix: str) -> float:
        value, shown = self.find(name, default)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not least <= number <= _MOST_SECONDS or isinstance(value, bool):
            raise _error(shown, value, fix)
        return number

    def whole(self, name: str, default: int | None, least: int, fix: str) -> int | None:
        value, shown = self.find(name, default)
        if value is None:
            return None
        try:
            number = int(value)
            exact = number == float(value)
        except (TypeError, ValueError, OverflowError):
            raise _error(shown, value, fix) from None
        if not exact or number < least or isinstance(value, bool):
            raise _error(shown, value, fix)
        return number

    def flag(self, name: str, default: bool, variable: str | None = None) -> bool:
        value, shown = self.find(name, default, variable)
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise _error(shown, value, "True or False (in the environment: 1 or 0)")
        return word in _TRUE


def _error(name: str, value: object, fix: str) -> HiveLoopConfigError:
    return HiveLoopConfigError(f"{name}={shown_value(value)} is not valid: give {fix}")


def shown_value(value: object) -> str:
    """Return a value for a message: short, and without a key that was put in the wrong place."""
    shown = attempt("repr of a setting", repr, value, default=f"<{type(value).__name__}>")
    return redact_text(shown)[:_MOST_SHOWN]


def resolve(
    arguments: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, look_for_board: bool = False
) -> Config:
    """Work out the effective settings.

    Args:
        arguments: what the caller of `hiveloop.init` passed; None stands for "not passed".
        environ: environment variables; the process's own by default.
        look_for_board: whether a board that runs on this machine is taken when neither a key nor an endpoint
            is given; the path of its file is then their source.

    Raises:
        HiveLoopConfigError: a value is not valid; the message names it and the fix.
    """
    environ = os.environ if environ is None else environ
    found = _Resolver(arguments, environ)
    if look_for_board:
        found = _with_board(found, arguments, environ)
    max_queue_size = found.whole("max_queue_size", 10_000, 1, "a whole number of events, 1 or more")
    preview = found.whole("preview_max_chars", 300, 0, "a number of characters, 0 or more")
    return Config(
        api_key=_api_key(found),
        endpoint=_endpoint(found),
        environment=found.text("environment", "production", 64),
        group=found.text("group", "default", 128),
        flush_interval=found.number("flush_interval", 5.0, 0.01, "seconds, 0.01 or more"),
        batch_size=found.whole("batch_size", None, 1, "a whole number of events, 1 or more"),
        max_queue_size=10_000 if max_queue_size is None else max_queue_size,
        debug=found.flag("debug", False),
        enabled=_enabled(found),
        capture_content=found.flag("capture_content", True),
        preview_max_chars=300 if preview is None else preview,
        redact=found.flag("redact", True),
        timeout=found.number("timeout", 30.0, 0.1, "seconds, 0.1 or more"),
        shutdown_timeout=found.number("shutdown_timeout", 5.0, 0.0, "seconds, 0 or more"),
        ca_file=_ca_file(found),
        compression=found.flag("compression", False),
        headers=_headers(found),
        sources=found.sources,
        public_url=found.public_url,
    )


def _with_board(found: _Resolver, arguments: Mapping[str, Any], environ: Mapping[str, str]) -> _Resolver:
    """Fill in what a running board left, unless the user said where events go, or that they go nowhere."""
    if any(found.find(name, None)[0] is not None for name in ("api_key", "endpoint")) or not _enabled(found):
        return found
    if "PYTEST_VERSION" in environ and environ.get("HIVELOOP_PYTEST_NETWORK") != "1":
        return found  # tests must not write into the board that happens to run
    if any(_read_endpoint(path) is not None for path in config_files()):
        return found
    return _Resolver(arguments, environ, _handover.find())


def _api_key(found: _Resolver) -> str | None:
    value, shown = found.find("api_key", None)
    if value is None:
        return None
    if not isinstance(value, str):
        raise HiveLoopConfigError(f"{shown} must be a text, not {type(value).__name__}")
    value = value.strip()
    if not value.startswith("hb_"):
        raise HiveLoopConfigError(
            f"{shown} must start with 'hb_' (yours has {len(value)} characters and does not): copy the key"
            " from the API keys page of your HiveBoard, hb_live_... or hb_test_..."
        )
    if not value.isascii() or any(c.isspace() for c in value):
        raise HiveLoopConfigError(f"{shown} has characters no key has (spaces, line breaks): copy it again")
    return value


def _enabled(found: _Resolver) -> bool:
    chosen = found.find("enabled", None)[0] is not None
    if chosen and found.sources["enabled"] == "argument":
        return found.flag("enabled", True)
    if found.flag("enabled", False, "HIVELOOP_DISABLED"):  # of two variables the one that switches off
        return False
    return found.flag("enabled", True) if chosen else True


def _endpoint(found: _Resolver) -> str:
    value, shown = found.find("endpoint", None)
    if value is None:
        value, shown = _endpoint_from_files(found)
    return check_endpoint(value, shown)


def config_files() -> list[str]:
    """Return the files an endpoint is looked up in: the working directory's, then the user's."""
    return [CONFIG_FILE, os.path.join(os.path.expanduser("~"), ".loophive", CONFIG_FILE)]


def _endpoint_from_files(found: _Resolver) -> tuple[str, str]:
    for path in config_files():
        endpoint = _read_endpoint(path)
        if endpoint is None:
            continue
        if path == CONFIG_FILE and not _is_safe(endpoint):
            raise HiveLoopConfigError(
                f"endpoint={shown_address(endpoint)} in {path} of the working directory is not valid there:"
                " a file that comes with a project may only name an https or loopback address"
            )
        found.sources["endpoint"] = os.path.abspath(path)
        return endpoint, f"endpoint in {path}"
    return DEFAULT_ENDPOINT, "endpoint"


def _read_endpoint(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
        return parser.get("loophive", "endpoint", fallback=None) or None
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        why = redact_text(" ".join(str(error).split()))
        raise HiveLoopConfigError(f"{path} cannot be read ({why}): mend or remove it") from None


def _is_safe(endpoint: str) -> bool:
    try:
        return endpoint.startswith("https://") or is_loopback(endpoint)
    except ValueError:
        return False


def _ca_file(found: _Resolver) -> str | None:
    value, shown = found.find("ca_file", None)
    if value is None:
        return None
    path = str(value)
    if not os.path.exists(path):
        raise _error(shown, value, "the path of a PEM file with the certificates to trust")
    return path


def _headers(found: _Resolver) -> dict[str, str]:
    value, shown = found.find("headers", {})
    if isinstance(value, str):  # from the environment: "Name=value,Name=value"
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {name.strip() if equals else "": text.strip() for name, equals, text in pairs}
    try:
        headers: dict[str, str] = dict(value)
    except (TypeError, ValueError):
        headers = {"": ""}
    if not all(_is_header(name, text) for name, text in headers.items()):
        raise HiveLoopConfigError(f"{shown} must map header names to texts, without line breaks")
    return headers


def _is_header(name: object, value: object) -> bool:
    texts = isinstance(name, str) and isinstance(value, str)
    return texts and bool(name) and not any(c in f"{name}{value}" for c in "\r\n")
