"""The pytest plugin: the fixture `hiveloop_capture`, and no client left behind by a test.

It is loaded in every pytest run of everyone who has hiveloop installed, so it imports nothing
beyond what the package itself does until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Capture

__all__ = ["hiveloop_capture", "hiveloop_leaves_nothing_behind"]


@pytest.fixture
def hiveloop_capture() -> Generator[Capture]:
    """Capture what agents report during the test; see `hiveloop.testing.capture`."""
    from .testing import capture

    with capture() as seen:
        yield seen


@pytest.fixture(autouse=True)
def hiveloop_leaves_nothing_behind() -> Generator[None]:
    """Stop a client that the test, or a fixture of its own, made and left running.

    A client from a fixture of a wider scope was there before this fixture, and stays.
    """
    from ._client import get_client, install, reset

    before = get_client()
    yield
    if get_client() not in (None, before):
        reset()
        install(before)
