"""Make the interpreters to compare with: ``python tests/bench/make_peers.py [FOLDER]``.

One virtual environment per peer, filled by plain pip from the package index it is configured for.
The default folder is ``.bench`` in the checkout, where ``python -m tests.bench`` looks; git ignores it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / ".bench"

PEERS = {
    "hiveloop_020": ["hiveloop==0.2.0"],
    "otel_http": ["opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2"],
}


def python_of(folder: Path, peer: str) -> Path:
    """Return where the interpreter of `peer` is, or would be."""
    return folder / peer / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_peer(folder: Path, peer: str) -> Path:
    """Make the environment of `peer`, or complete the one that is there, and return its interpreter.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    python = python_of(folder, peer)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    if not python.exists():
        venv.create(folder / peer, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True)
    return python


def main() -> int:
    """Make every peer and print the command that uses them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    folder: Path = parser.parse_args().folder.resolve()
    try:
        peer, otel = (make_peer(folder, name) for name in ("hiveloop_020", "otel_http"))
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"python -m tests.bench --peer-python {peer} --otel-python {otel}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
