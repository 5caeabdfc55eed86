"""Addresses of HiveBoard servers: what is valid, and what stays on this machine."""

from __future__ import annotations

from hiveloop.errors import HiveLoopConfigError

__all__ = ["DEFAULT_ENDPOINT", "check_endpoint", "is_loopback", "shown_address"]

DEFAULT_ENDPOINT = "https://api.hiveboard.io"


def check_endpoint(value: object, shown: str = "endpoint") -> str:
    """Return an endpoint without trailing slashes and ingest path.

    Args:
        value: what was given.
        shown: name of the setting, for the message.

    Raises:
        HiveLoopConfigError: it is no http or https address, or it carries a password.
    """
    from urllib.parse import urlsplit

    address = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _invalid(shown, value) from None
    if parts.username or parts.password:
        raise HiveLoopConfigError(f"{shown} must not contain a user or password: pass the key as api_key")
    if not valid or parts.query or parts.fragment or any(c.isspace() for c in address):
        raise _invalid(shown, value)
    return address.rstrip("/").removesuffix("/v1/ingest").rstrip("/")


def _invalid(shown: str, value: object) -> HiveLoopConfigError:
    return HiveLoopConfigError(
        f"{shown}={shown_address(value)} is not valid: give an address such as 'https://board.example.com'"
    )


def shown_address(value: object) -> str:
    """Return an address for a message, without the parts in which people put keys and passwords."""
    address = value if isinstance(value, str) else repr(value)
    address = address.rpartition("@")[2].partition("?")[0].partition("#")[0]
    return "<a key>" if "hb_" in address else repr(address)


def is_loopback(endpoint: str) -> bool:
    """Tell whether an address stands for this machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, even if it looks like an address: 127.0.0.1.example.com
        return False
