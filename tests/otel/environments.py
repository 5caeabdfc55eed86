"""Virtual environments that tests make once, for releases that cannot live beside those of the suite.

They are kept in ``.bench`` in the checkout, which git ignores, or in the folder that the variable
``HIVELOOP_TEST_ENVIRONMENTS`` names, so that a gate in a fresh clone need not make them again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["ROOT", "python_with"]

ROOT = Path(__file__).resolve().parents[2]

_FOLDER = Path(os.environ.get("HIVELOOP_TEST_ENVIRONMENTS") or ROOT / ".bench")
_INSTALL_SECONDS = 900


def python_with(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment that holds just these requirements, making it if need be.

    Args:
        name: for the folder.
        requirements: for pip, which takes them from the index it is configured for.

    Raises:
        AssertionError: pip failed; the message is what it said.
    """
    wanted = "\n".join([sys.version, *requirements])
    folder = _FOLDER / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
    with (_FOLDER / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the suite may be making it just now
        if not (folder / "complete").exists():
            for earlier in _FOLDER.glob(f"{name}-*/"):
                shutil.rmtree(earlier, ignore_errors=True)
            venv.create(folder, with_pip=True)
            command = [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *requirements,
            ]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
            assert done.returncode == 0, f"{name}: {done.stderr}"
            (folder / "complete").touch()
    return python
