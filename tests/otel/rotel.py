"""Rotel, a real OpenTelemetry collector, in front of a sink.

Its binary comes in a wheel, and wants the shared library of Python 3.11 from the system or from this
interpreter.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.program import end
from tests.support.wait import eventually

__all__ = ["Rotel", "free_port"]

START_SECONDS = 20.0


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Rotel:
    """A running collector; use it as a context manager.

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
        self._log = folder / "rotel.txt"
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
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    Path(spec.origin).with_name("rotel-agent"),
                    "start",
                    *(word for name, value in options.items() for word in (f"--{name}", value)),
                ],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        try:
            eventually(self._is_up, START_SECONDS, what="rotel listens")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _is_up(self) -> bool:
        code = self._process.poll()
        assert code is None, f"rotel ended with {code}: {self.said()}{_advice(code)}"
        return all(map(_listens, self._ports))

    def said(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    def _end(self) -> None:
        end(self._process, 5)


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
