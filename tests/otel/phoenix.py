"""Arize Phoenix, a real backend for traces of agents, in an environment and a process of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.otel.rotel import free_port
from tests.support.environments import python_with
from tests.support.program import end
from tests.support.wait import eventually

__all__ = ["ENVIRONMENT", "Phoenix"]

ENVIRONMENT = ("phoenix", "arize-phoenix==20.26.1")
START_SECONDS = 90.0


class Phoenix:
    """A running server with an empty database; use it as a context manager.

    Attributes:
        url: of the user interface, the REST API and OTLP/HTTP.
    """

    def __init__(self) -> None:
        python = python_with(*ENVIRONMENT)
        self._folder = tempfile.TemporaryDirectory(prefix="phoenix-")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = Path(self._folder.name) / "log.txt"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PHOENIX_", "OTEL_"))
        }
        ours = {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": self._folder.name,
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-m", "phoenix.server.main", "serve"],
                env={**kept, **ours},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        try:
            eventually(self._is_up, START_SECONDS, 0.1, what="Phoenix answers")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def spans(self) -> dict[str, dict[str, Any]]:
        """The spans of the default project, by name."""
        return {span["name"]: span for span in self._get("/v1/projects/default/spans?limit=100")}

    def sessions(self) -> dict[str, dict[str, Any]]:
        """The sessions of the default project, by their own id."""
        return {session["session_id"]: session for session in self._get("/v1/projects/default/sessions")}

    def _get(self, path: str) -> list[dict[str, Any]]:
        with requests.get(f"{self.url}{path}", timeout=10) as answer:
            answer.raise_for_status()
            found: list[dict[str, Any]] = answer.json()["data"]
            return found

    def _is_up(self) -> bool:
        said = self._log.read_text(errors="replace")
        assert self._process.poll() is None, f"Phoenix ended: {said[-3000:]}"
        try:
            with requests.get(f"{self.url}/healthz", timeout=5) as answer:
                return answer.ok
        except requests.RequestException:
            return False

    def _end(self) -> None:
        end(self._process, 10)
        self._folder.cleanup()
