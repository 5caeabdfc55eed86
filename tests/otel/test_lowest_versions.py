"""The oldest releases of OpenTelemetry that we support, in an environment of their own."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.environments import ROOT, python_with

OLDEST = {
    "opentelemetry-api": "1.39.0",
    "opentelemetry-sdk": "1.39.0",
    "opentelemetry-exporter-otlp-proto-http": "1.39.0",
    "opentelemetry-exporter-otlp-proto-grpc": "1.39.0",
    "opentelemetry-instrumentation-fastapi": "0.60b0",
    "opentelemetry-instrumentation-httpx": "0.60b0",
    "opentelemetry-instrumentation-requests": "0.60b0",
    "opentelemetry-instrumentation-urllib3": "0.60b0",
}
NEWER_ONLY = "opentelemetry.instrumentation.genai"
"""Wants opentelemetry-api 1.43: a module of tests that imports it cannot run here."""
NOT_FOR_TESTS = ("hiveloop", "mypy", "opentelemetry-", "pyright", "pytest-xdist", "ruff", "types-")


def _requirements() -> list[str]:
    """The checkout itself and what its tests need, with the oldest releases for what this is about."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    tools = [each for each in extras["dev"] if not each.startswith(NOT_FOR_TESTS)]
    pins = [f"{name}=={release}" for name, release in OLDEST.items()]
    return ["--editable", f"{ROOT}[console,otel-grpc]", *tools, *pins]


ENVIRONMENT = ("otel-oldest", *_requirements())
pytestmark = [pytest.mark.slow, pytest.mark.environment(*ENVIRONMENT)]


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with(*ENVIRONMENT)


def _left_out() -> list[str]:
    """Arguments for pytest that leave out the modules of tests which need a newer release."""
    modules = sorted((ROOT / "tests" / "otel").glob("test_*.py"))
    return [f"--ignore={module}" for module in modules if f"\nfrom {NEWER_ONLY}." in module.read_text()]


def _run(*command: object, seconds: float) -> str:
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_tests_of_this_folder_pass(python: Path) -> None:
    said = _run(
        *(python, "-m", "pytest", "tests/otel", "-q", "-m", "not slow and not fault and not bench"),
        *("-p", "no:cacheprovider", *_left_out()),
        seconds=300,
    )
    assert " passed" in said


def test_the_releases_are_the_oldest(python: Path) -> None:
    code = "import importlib.metadata as m, sys; print([m.version(name) for name in sys.argv[1:]])"
    assert _run(python, "-c", code, *OLDEST, seconds=30).strip() == str(list(OLDEST.values()))


def test_our_requests_are_not_traced_by_an_instrumentation_of_urllib3(python: Path) -> None:
    """Its releases fit no newer ones of the SDK, so it lives only here."""
    assert _run(python, "-m", "tests.otel.programs.traced_uploads", seconds=60).split() == ["mine"]
