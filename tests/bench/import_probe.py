"""Time the import of one target in a fresh process; a script that itself imports almost nothing."""

import sys
import time

_IMPORTS = {
    "ours": ("hiveloop",),
    "hiveloop_020": ("hiveloop",),
    "otel_http": (
        "opentelemetry.trace",
        "opentelemetry.sdk.trace.export",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    ),
}

_before = set(sys.modules)
_start = time.perf_counter_ns()
for _name in _IMPORTS[sys.argv[1]]:
    __import__(_name)
_elapsed_ms = (time.perf_counter_ns() - _start) / 1e6
_loaded = [name for name in ("requests", "asyncio", "ssl", "http") if name in sys.modules]
_quoted = ", ".join(f'"{name}"' for name in _loaded)
print(f'{{"ms": {_elapsed_ms}, "modules": {len(set(sys.modules) - _before)}, "heavy": [{_quoted}]}}')
