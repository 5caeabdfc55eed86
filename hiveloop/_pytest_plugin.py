"""The pytest plugin: the fixture `hiveloop_capture`, and no client left behind by a test.

It is loaded in every pytest run of everyone who has hiveloop installed, so it imports nothing of
hiveloop until a test asks for it or has used it itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Capture

__all__ = ["hiveloop_capture"]


@pytest.fixture
def hiveloop_capture() -> Iterator[Capture]:
    """Capture what agents report during the test; see `hiveloop.testing.capture`."""
    from .testing import capture

    with capture() as seen:
        yield seen
