"""The pytest plugin: the fixture `hiveloop_spans`.

It is loaded in every pytest run of everyone who has hiveloop installed, with or without OpenTelemetry, so it
imports neither until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import SpanCapture

__all__ = ["hiveloop_otel_options", "hiveloop_spans"]


@pytest.fixture
def hiveloop_otel_options() -> dict[str, Any]:
    """Options of the `OTelTransport` behind `hiveloop_spans`; override it in a module or a class."""
    return {}


@pytest.fixture
def hiveloop_spans(
    request: pytest.FixtureRequest, hiveloop_otel_options: dict[str, Any]
) -> Generator[SpanCapture]:
    """Capture the spans that agents make during the test; see `hiveloop_otel.testing.capture_spans`."""
    if "hiveloop_capture" in request.fixturenames:
        pytest.fail("use hiveloop_spans.capture in place of the fixture hiveloop_capture", pytrace=False)
    import hiveloop_otel

    _ = hiveloop_otel.OTelTransport  # without OpenTelemetry, it says what to install
    from .testing import capture_spans

    with capture_spans(**hiveloop_otel_options) as traced:
        yield traced
