"""Arize Phoenix, a real backend for traces of agents, in an environment and a process of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import requests

from tests.otel.started import Started, free_port
from tests.support.environments import python_with

__all__ = ["ENVIRONMENT", "Phoenix"]

ENVIRONMENT = ("phoenix", "arize-phoenix==20.26.1")


class Phoenix(Started):
    """A running server with an empty database.

    Attributes:
        url: of the user interface, the REST API and OTLP/HTTP.
    """

    patience = 90.0

    def __init__(self) -> None:
        python = python_with(*ENVIRONMENT)
        self._folder = tempfile.TemporaryDirectory(prefix="phoenix-")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
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
        command: list[str | Path] = [python, "-m", "phoenix.server.main", "serve"]
        super().__init__(command, {**kept, **ours}, Path(self._folder.name) / "log.txt")

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

    def is_up(self) -> bool:
        """Tell whether it answers."""
        assert self.process.poll() is None, f"Phoenix ended: {self.said()[-3000:]}"
        try:
            with requests.get(f"{self.url}/healthz", timeout=5) as answer:
                return answer.ok
        except requests.RequestException:
            return False

    def end(self) -> None:
        """End it, and forget what it stored."""
        super().end()
        self._folder.cleanup()
