"""The demo on a board: the board runs in this process, the fleet in one of its own."""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec

from . import board

__all__ = ["has_board", "on_a_board"]

_ROUNDS = 4
"""Walks through the folder, so that there is something to watch for a minute."""
_VALUES = ("path", "output", "limit", "rounds", "seconds", "fail_rate")
_FLAGS = ("fast", "no_color", "heartbeats")


def has_board() -> bool:
    """Tell whether what a board needs is installed."""
    return all(find_spec(name) is not None for name in ("msgspec", "starlette", "uvicorn", "websockets"))


def on_a_board(arguments: argparse.Namespace) -> int:
    """Start a board with a folder of its own, and the fleet; return the exit code.

    In a terminal the board goes on when the fleet has done its work, until Ctrl-C; elsewhere both end.
    """
    stays = sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="hiveloop-demo-board-", ignore_cleanup_errors=True) as folder:
        given = ["board", "--data", folder, *([] if stays else ["--once"])]
        parsed = _board_parser().parse_args([*given, *(["--no-browser"] if arguments.no_browser else [])])
        parsed.database = parsed.public_url = None  # those of the user's real board
        parsed.command = [
            sys.executable,
            "-m",
            "hiveloop",
            "demo",
            "--no-board",
            "--to-board",
            *_same(arguments),
        ]
        return board.run(parsed)


def _board_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    board.add_to(parser.add_subparsers().add_parser)
    return parser


def _same(arguments: argparse.Namespace) -> list[str]:
    """The options of the demo that the fleet's process needs, too."""
    words: list[str] = []
    for name in _VALUES:
        if (value := getattr(arguments, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if arguments.rounds is None and arguments.seconds is None:
        words += ["--rounds", str(_ROUNDS)]
    return words + [f"--{name.replace('_', '-')}" for name in _FLAGS if getattr(arguments, name)]
