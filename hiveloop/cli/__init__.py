"""The command line: ``hiveloop board``, ``demo``, ``doctor``, ``tail`` and ``version``.

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

from . import board, demo, doctor, tail

__all__ = ["main"]

_DESCRIPTION = "See what your AI agents do. Start with: hiveloop demo"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        The exit code: 0 fine, 1 a problem, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    _make_output_safe()
    try:
        arguments = _parse(sys.argv[1:] if argv is None else list(argv))
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as with `| head`. Without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parse(given: list[str]) -> argparse.Namespace:
    """Parse the arguments; what follows ``--`` is the command line of another program."""
    end = given.index("--") if "--" in given else len(given)
    parser = _parser()
    arguments = parser.parse_args(given[:end])
    if end < len(given):
        if "command" not in arguments:
            parser.error("only board takes a program after --")
        arguments.command = given[end + 1 :]
        if not arguments.command:
            parser.error("after -- goes a program, as in: hiveloop board -- python my_agent.py")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_program(), description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    board.add_to(commands.add_parser)
    demo.add_to(commands.add_parser)
    doctor.add_to(commands.add_parser)
    tail.add_to(commands.add_parser)
    commands.add_parser("version", help="print the version").set_defaults(run=_print_version)

    def print_help(_: argparse.Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=print_help)
    return parser


def _program() -> str:
    """How this was called: by the console script, or as a module."""
    return "python -m hiveloop" if os.path.basename(sys.argv[0]) == "__main__.py" else "hiveloop"


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
