"""The sources of the pages keep their promises, and the bundle is made from them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "hiveloop" / "board" / "web"
SOURCES = sorted([*WEB.glob("src/**/*.ts"), *WEB.glob("src/**/*.tsx")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(WEB).as_posix())
def test_text_gets_into_the_page_as_text_only(path: Path) -> None:
    forbidden = r"[iI]nnerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.search(forbidden, path.read_text("utf-8")) is None


def test_nothing_is_loaded_from_elsewhere() -> None:
    files = [*SOURCES, *WEB.glob("src/**/*.css"), WEB / "index.html"]
    addresses = [
        (path.name, found) for path in files for found in re.findall(r"https?://\S+", path.read_text("utf-8"))
    ]
    allowed = re.compile(r"https?://127\.0\.0\.1|http://www\.w3\.org/")
    assert [address for address in addresses if not allowed.match(address[1])] == []


def test_the_document_has_no_inline_script_or_style() -> None:
    page = (WEB / "index.html").read_text("utf-8")
    assert re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page) is None


def test_the_lock_file_pins_hashes_and_names_no_place() -> None:
    text = (WEB / "package-lock.json").read_text("utf-8")
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)


def _wheel(folder: Path, **environment: str) -> set[str]:
    """The names in a wheel that is built from the sources alone, by the hook."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("node_modules", "static", "__pycache__")
    for name in ("hiveloop", "hiveloop_otel"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "out")],
        cwd=folder,
        env={**environment},
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = (folder / "out").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_without_node_and_network_the_wheel_is_built_without_pages(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    # A Node that is too old, and a registry that nobody answers for.
    names = _wheel(
        tmp_path,
        PATH=str(tmp_path / "bin"),
        HOME=str(tmp_path),
        npm_config_registry="http://127.0.0.1:9",
        npm_config_cache=str(tmp_path / "cache"),
        npm_config_fetch_retries="0",
    )
    assert "hiveloop/__init__.py" in names
    assert not [name for name in names if name.startswith(("hiveloop/board/static/", "hiveloop/board/web/"))]
