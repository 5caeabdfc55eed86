"""HiveLoop through OpenTelemetry: the same events as spans, GenAI events, metrics and logs.

    import hiveloop
    from hiveloop_otel import OTelTransport

    hiveloop.init(transport=OTelTransport())

Needs the extra: ``pip install "hiveloop[otel]"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .inbound import HiveLoopSpanProcessor
    from .propagation import extract, inject, remote_context, traceparent, use_task
    from .transport import OTelTransport

__all__ = [
    "HiveLoopSpanProcessor",
    "OTelTransport",
    "extract",
    "inject",
    "remote_context",
    "traceparent",
    "use_task",
]

_HOMES = {
    "HiveLoopSpanProcessor": "inbound",
    "OTelTransport": "transport",
    "extract": "propagation",
    "inject": "propagation",
    "remote_context": "propagation",
    "traceparent": "propagation",
    "use_task": "propagation",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found: object = getattr(import_module(f".{home}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise ImportError(f'hiveloop_otel needs {error.name}: pip install "hiveloop[otel]"') from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
