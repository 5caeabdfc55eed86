"""Rotel, a real OpenTelemetry collector, in front of a sink.

Its binary comes in a wheel, and wants the shared library of Python 3.11 from the system or from this
interpreter.
"""

from __future__ import annotations

import os
import socket
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from tests.otel.started import Started, free_port

__all__ = ["Rotel"]


class Rotel(Started):
    """A running collector.

    Args:
        sink: URL of the OTLP/HTTP receiver it exports to.
        folder: for its files.

    Attributes:
        http: its endpoint for OTLP/HTTP.
        grpc: its endpoint for OTLP/gRPC.
    """

    def __init__(self, sink: str, folder: Path) -> None:
        self._ports = free_port(), free_port()
        self.http, self.grpc = (f"http://127.0.0.1:{port}" for port in self._ports)
        spec = find_spec("rotel")
        assert spec is not None, "rotel is missing: pip install -e '.[dev]'"
        assert spec.origin is not None
        options = {
            "otlp-http-endpoint": f"127.0.0.1:{self._ports[0]}",
            "otlp-grpc-endpoint": f"127.0.0.1:{self._ports[1]}",
            "exporter": "otlp",
            "otlp-exporter-endpoint": sink,
            "otlp-exporter-protocol": "http",
            "otlp-exporter-retry-initial-backoff": "100ms",
            "batch-timeout": "20ms",
            "pid-file": str(folder / "rotel.pid"),
            "log-file": str(folder / "rotel.log"),
        }
        words = (word for name, value in options.items() for word in (f"--{name}", value))
        agent = Path(spec.origin).with_name("rotel-agent")
        super().__init__([agent, "start", *words], _environment(), folder / "rotel.txt")

    def is_up(self) -> bool:
        """Tell whether it listens."""
        code = self.process.poll()
        assert code is None, f"rotel ended with {code}: {self.said()}{_advice(code)}"
        return all(map(_listens, self._ports))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROTEL_", "OTEL_"))}
    folders = [sysconfig.get_config_var("LIBDIR") or "", kept.get("LD_LIBRARY_PATH", "")]
    return {**kept, "LD_LIBRARY_PATH": ":".join(filter(None, folders))}


def _advice(code: int | None) -> str:
    missing_library = 127
    if code != missing_library:
        return ""
    return "\nInstall the shared library of Python 3.11 (Debian: apt install libpython3.11)"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
