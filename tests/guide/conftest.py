"""A fresh SDK for each sample, and no configuration from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import hiveloop

from .hive import Hive


@pytest.fixture(autouse=True)
def fresh_sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start and end without a client, as the guide's paragraph on testing advises.

    Strict: a sensor that fails inside raises, so that the safety net cannot hide it.
    """
    for name in [n for n in os.environ if n.startswith("HIVELOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HIVELOOP_STRICT", "1")
    hiveloop.reset()
    yield
    hiveloop.reset()


@pytest.fixture
def hive() -> Hive:
    """A client with an in-memory transport."""
    return Hive()
