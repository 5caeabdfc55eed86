"""What ``python -m hiveloop doctor`` looks at in this process; `_network` has the way to the server."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import hiveloop
from hiveloop._config import Config

__all__ = ["Check", "Status", "check_process", "describe_key"]

_SERVERLESS = ("AWS_LAMBDA_FUNCTION_NAME", "FUNCTIONS_WORKER_RUNTIME", "FUNCTION_TARGET")


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: short word for what was checked.
        status: how it went.
        message: what was found, without secrets.
        fix: what to do about it; empty when there is nothing to do.
    """

    name: str
    status: Status
    message: str
    fix: str = ""


def check_process(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """Look at the installation, the switches, the key, and the way programs are run here."""
    yield _installation()
    yield _enabled(config)
    yield _key(config)
    yield from _hints(environ)


def describe_key(key: str | None) -> str:
    """Say what kind of key it is and how long, and nothing else of it."""
    if key is None:
        return "not set"
    prefix = next((p for p in ("hb_live_", "hb_test_", "hb_read_") if key.startswith(p)), "hb_")
    return f"{prefix}... ({len(key)} characters)"


def _installation() -> Check:
    found = {str(d.locate_file("")): d.version for d in importlib.metadata.distributions(name="hiveloop")}
    if len(set(found.values())) > 1:
        places = ", ".join(f"{version} in {place}" for place, version in found.items())
        fix = "pip uninstall hiveloop until none is left, then install one"
        return Check("installation", Status.WARN, f"several versions are installed: {places}", fix)
    versions = (
        f"hiveloop {hiveloop.__version__}, Python {platform.python_version()},"
        f" requests {importlib.metadata.version('requests')}"
    )
    return Check("installation", Status.OK, versions)


def _enabled(config: Config) -> Check:
    if config.enabled:
        return Check("switch", Status.OK, "hiveloop is switched on")
    source = config.sources.get("enabled", "default")
    return Check("switch", Status.FAIL, f"hiveloop is switched off by {source}", f"unset {source}")


def _key(config: Config) -> Check:
    key = config.api_key
    if key is None:
        fix = "set HIVELOOP_API_KEY to a key from the API keys page of your HiveBoard"
        return Check("key", Status.FAIL, "no API key, so nothing is sent", fix)
    if key.startswith("hb_read_"):
        fix = "use a key that may send events: hb_live_... or hb_test_..."
        return Check("key", Status.FAIL, f"{describe_key(key)} may read a board, but not send events", fix)
    if not key.startswith(("hb_live_", "hb_test_")):
        fix = "usual keys begin with hb_live_ or hb_test_; if the server refuses this one, copy it again"
        return Check("key", Status.WARN, f"{describe_key(key)} is of no kind known here", fix)
    return Check("key", Status.OK, describe_key(key))


def _hints(environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield what is worth knowing about how programs are run here; usually nothing."""
    if "PYTEST_VERSION" in environ:
        fix = "use hiveloop.testing.capture() in tests; HIVELOOP_PYTEST_NETWORK=1 lets them connect"
        yield Check("pytest", Status.WARN, "under pytest, events go to servers on this machine only", fix)
    for name in _SERVERLESS:
        if name in environ:
            fix = "call hiveloop.flush() before the handler returns"
            yield Check("serverless", Status.WARN, f"{name} is set: processes are frozen between calls", fix)
    if "--preload" in environ.get("GUNICORN_CMD_ARGS", ""):
        yield Check("fork", Status.OK, "gunicorn forks after loading: delivery starts anew in each worker")
    if "UWSGI_ORIGINAL_PROC_NAME" in environ and "UWSGI_ENABLE_THREADS" not in environ:
        fix = "start uWSGI with --enable-threads"
        yield Check("uwsgi", Status.WARN, "uWSGI runs no threads of Python unless told to", fix)
