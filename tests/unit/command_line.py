"""The command line in a subprocess, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["clean_environment", "cli", "without_opentelemetry"]


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user without any setting of ours, whose home is `home`."""
    unwanted = (
        "HIVELOOP_",
        "OTEL_",
        "PYTEST_",
        "XDG_",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "FORCE_COLOR",
    )
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(unwanted)}
    return {**kept, "HOME": str(home), "PYTHONIOENCODING": "utf-8", **more}


def cli(
    home: Path, *arguments: object, timeout: float = 60.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m hiveloop`` in `home` and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "hiveloop", *map(str, arguments)],
        cwd=home,
        env=clean_environment(home, **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def without_opentelemetry(folder: Path) -> dict[str, str]:
    """An environment in which OpenTelemetry is not installed."""
    package = folder / "opentelemetry"
    package.mkdir(exist_ok=True)
    missing = "raise ModuleNotFoundError(\"No module named 'opentelemetry'\", name='opentelemetry')"
    (package / "__init__.py").write_text(missing, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
