"""``hiveloop board``: the local HiveBoard, in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ._options import number, whole_number

if TYPE_CHECKING:
    from ._running import Choices

__all__ = ["add_to", "run"]

_DESCRIPTION = """\
Starts a board on this machine that shows what your agents do: nothing to configure, no account. It prints the
two lines that an agent needs, and opens the page in a browser. Programs of yours on this machine need neither
line: hiveloop.init() without a key finds a running board.

  hiveloop board                          start it
  hiveloop board -- python my_agent.py    start it, and a program that reports to it
  hiveloop board link                     print a new one-time link for a browser
  hiveloop board rebuild                  compute the tables behind the pages again, from the stored events
  hiveloop board wipe                     forget all events, changed prices and made keys; the first key stays
"""
_EPILOG = "Exit codes: 0 stopped, 1 a problem, 2 wrong usage; with --once that of the program."
_ACTIONS = ("link", "rebuild", "wipe")
MISSING = 'the board needs its extra: pip install "hiveloop[board]"'


def add_to(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = add_command(
        "board",
        help="see your agents in a browser",
        usage="%(prog)s [link|rebuild|wipe] [options] [-- PROGRAM ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", nargs="?", choices=_ACTIONS, help=argparse.SUPPRESS)
    parser.add_argument(
        "--port", type=whole_number(0, 65_535), metavar="N", help="port (8787, or the next one that is free)"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    parser.add_argument(
        "--once", action="store_true", help="stop when the program after -- has ended, with its exit code"
    )
    _add_keeping(parser)
    _add_sharing(parser)
    parser.set_defaults(run=run, command=[])


def _add_keeping(parser: argparse.ArgumentParser) -> None:
    keep = parser.add_argument_group("what is kept")
    keep.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="where everything is kept (HIVELOOP_BOARD_DATA, or the user's data folder)",
    )
    keep.add_argument(
        "--database",
        default=os.environ.get("HIVELOOP_BOARD_DATABASE"),
        metavar="URL",
        help="postgresql://... instead of a file in that folder; better in HIVELOOP_BOARD_DATABASE",
    )
    keep.add_argument(
        "--days", type=number(0.01, 100_000), default=30.0, metavar="N", help="forget older events (30)"
    )
    keep.add_argument(
        "--gigabytes",
        type=number(0.01, 100_000),
        default=2.0,
        metavar="N",
        help="forget beyond this size (2)",
    )
    keep.add_argument(
        "--no-previews", action="store_true", help="keep nothing of what was said to and by models and tools"
    )
    keep.add_argument("--yes", action="store_true", help="wipe without asking")


def _add_sharing(parser: argparse.ArgumentParser) -> None:
    others = parser.add_argument_group("other machines")
    others.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen there (127.0.0.1)")
    others.add_argument(
        "--allow-remote", action="store_true", help="needed for a --host that other machines can reach"
    )
    others.add_argument(
        "--public-url",
        default=os.environ.get("HIVELOOP_BOARD_PUBLIC_URL"),
        metavar="URL",
        help="address in browsers when a reverse proxy stands before the board, such as"
        " https://board.example.com (HIVELOOP_BOARD_PUBLIC_URL)",
    )
    others.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which the board is reached; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the board, or one of its actions, and return the exit code."""
    try:
        from . import _running
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("hiveloop"):
            raise
        return _complain(f"{MISSING} (there is no {error.name})", 1)
    wrong = _wrong(arguments)
    if wrong:
        return _complain(wrong, 2)
    os.umask(0o077)  # whatever is written here is for this user
    try:
        return _running.perform(arguments.action, _choices(arguments))
    except _running.CannotRunError as error:
        return _complain(str(error), 1)


def _wrong(arguments: argparse.Namespace) -> str | None:
    """Say what is wrong with the arguments together."""
    from hiveloop.board.security import is_loopback_name, public_origin

    if not is_loopback_name(arguments.host) and not arguments.allow_remote:
        return f"--host {arguments.host} lets other machines in: add --allow-remote if that is meant"
    if arguments.action and arguments.command:
        return f"{arguments.action} takes no program"
    if arguments.database and not arguments.database.startswith(("postgresql://", "postgres://")):
        return (
            "--database (HIVELOOP_BOARD_DATABASE) is not the address of a PostgreSQL database: give"
            " postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if arguments.public_url and public_origin(arguments.public_url) is None:
        return (
            f"--public-url (HIVELOOP_BOARD_PUBLIC_URL) {arguments.public_url} is not the address of a"
            " website's root: give https://NAME, without a path"
        )
    if arguments.once and not arguments.command:
        return "--once needs a program: hiveloop board --once -- python my_agent.py"
    return None


def _choices(arguments: argparse.Namespace) -> Choices:
    from hiveloop.board.security import public_origin

    from ._running import Choices

    return Choices(
        host=arguments.host,
        port=arguments.port,
        remote=arguments.allow_remote,
        names=tuple(arguments.allow_host),
        public_url=public_origin(arguments.public_url or ""),
        data=arguments.data,
        database=arguments.database or None,
        days=arguments.days,
        gigabytes=arguments.gigabytes,
        previews=not arguments.no_previews,
        browser=not arguments.no_browser,
        command=tuple(arguments.command),
        once=arguments.once,
        certain=arguments.yes,
    )


def _complain(message: str, code: int) -> int:
    print(f"hiveloop board: {message}", file=sys.stderr)
    return code
