"""The command line: ``python -m hiveloop demo``, ``doctor`` and ``version``.

Nothing of this is imported by ``import hiveloop``.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
from collections.abc import Sequence

import hiveloop

from . import demo, doctor

__all__ = ["main"]

_DESCRIPTION = "See what your AI agents do. Start with: python -m hiveloop demo"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        The exit code: 0 fine, 1 a problem, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    _make_output_safe()
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as with `| head`. Without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hiveloop", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    demo.add_to(commands.add_parser)
    doctor.add_to(commands.add_parser)
    commands.add_parser("version", help="print the version").set_defaults(run=_print_version)

    def print_help(_: argparse.Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=print_help)
    return parser


def _print_version(_: argparse.Namespace) -> int:
    print(_version())
    return 0


def _version() -> str:
    return f"hiveloop {hiveloop.__version__} (Python {platform.python_version()})"


def _make_output_safe() -> None:
    """Let no character stop the program that the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
