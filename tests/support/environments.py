"""Virtual environments that tests make once, for releases that cannot live beside those of the suite.

They are kept in ``.bench`` in the checkout, which git ignores, or in the folder that the variable
``HIVELOOP_TEST_ENVIRONMENTS`` names, so that a gate in a fresh clone need not make them again.

A test that asks `python_with` for one says so by ``@pytest.mark.environment`` with the same arguments. When
such a test was selected, `Ahead` begins at once to make what is missing, beside the tests that come before.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "Ahead", "python_with"]

ROOT = Path(__file__).resolve().parents[2]

_FOLDER = Path(os.environ.get("HIVELOOP_TEST_ENVIRONMENTS") or ROOT / ".bench")
_INSTALL_SECONDS = 900
_NICENESS = 19
"""What is made ahead takes the time that tests leave, and not theirs."""


def python_with(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment that holds just these requirements, making it if need be.

    Args:
        name: for the folder.
        requirements: for pip, which takes them from the index it is configured for.

    Raises:
        AssertionError: pip failed; the message is what it said.
    """
    folder = _folder(name, requirements)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
    with (_FOLDER / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it may be made just now: ahead, or by another run of the suite
        if not _is_complete(folder):
            _make(name, folder, requirements)
    return _python(folder)


def _folder(name: str, requirements: Sequence[str]) -> Path:
    wanted = "\n".join([sys.version, *requirements])
    return _FOLDER / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").exists()


def _make(name: str, folder: Path, requirements: Sequence[str]) -> None:
    for earlier in _FOLDER.glob(f"{name}-*/"):
        shutil.rmtree(earlier, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, *requirements],
        env={**os.environ, "HIVELOOP_BOARD_WEB": "skip"},  # tests may be looking at the pages of the checkout
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stderr}"
    (folder / "complete").touch()


class Ahead:
    """A process that makes environments one after the other, nicely.

    It tells nobody how that went: `python_with` waits for the environment that is being made, and makes, with
    all that pip says, the one that could not be.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, wanted: Sequence[Sequence[str]]) -> None:
        """Begin to make those that are not there yet; each is given by the arguments of `python_with`."""
        missing = [
            arguments for arguments in wanted if not _is_complete(_folder(arguments[0], arguments[1:]))
        ]
        if missing:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, json.dumps(missing)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # so that pip can be ended with it
            )

    def end(self) -> None:
        """End what nobody waits for any more."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


if __name__ == "__main__":
    os.nice(_NICENESS)
    for name, *requirements in json.loads(sys.argv[1]):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            python_with(name, *requirements)
