"""``hiveloop demo``: a fleet of agents at work, live, in the terminal and on a board."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import hiveloop
from hiveloop import HiveLoopConfigError, Transport
from hiveloop._client import native_transport
from hiveloop._config import resolve
from hiveloop.demo.fleet import Fleet, Plan
from hiveloop.demo.tally import TallyTransport
from hiveloop.demo.work import Pace
from hiveloop.demo.worker import Office
from hiveloop.demo.workspace import Workspace
from hiveloop.transports import ConsoleTransport, JsonlTransport

from ._closing import closing, opening, undelivered
from ._demo_board import has_board, on_a_board
from ._options import number, whole_number

__all__ = ["add_to", "run"]

LIBRARY = Path(__file__).parent.parent / "demo" / "library"

_DESCRIPTION = """\
Starts five agents that work on the documents of a folder: a librarian indexes them, a
researcher answers questions by quoting them, a summariser summarises, a checker looks for broken links,
code that does not parse and doubled words, and an editor repairs what it can, asking for approval first.
The files, searches, checks and repairs are real. The language model is a local stand-in that picks
sentences, and the person who approves is simulated. The documents themselves are never changed.

In a terminal, with the extra hiveloop[board], a board starts first and opens in the browser. It has a folder
of its own, and stays until Ctrl-C.
"""
_EPILOG = """\
Give the key in HIVELOOP_API_KEY rather than on the command line, where other users of the machine can see
it. Exit codes: 0 fine, 1 something went wrong, 2 wrong usage, 130 stopped by Ctrl-C.
"""


_ELSEWHERE = ("endpoint", "api_key", "otlp", "jsonl", "to_board")
"""Options that say where the demo is shown, so that no board is needed."""


class _UsageError(Exception):
    """Wrong arguments; the message says what to do instead."""


def add_to(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = add_command(
        "demo",
        help="watch a small fleet of agents do real work",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--path", type=Path, metavar="FOLDER", help="work on the documents of FOLDER instead of our own"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where corrections and the report go (a temporary folder)",
    )
    parser.add_argument(
        "--limit",
        type=whole_number(1, 1_000_000),
        default=25,
        metavar="N",
        help="take in at most N documents (25)",
    )
    _add_length(parser)
    _add_destinations(parser)
    _add_display(parser)
    parser.set_defaults(run=run)


def _add_length(parser: argparse.ArgumentParser) -> None:
    length = parser.add_argument_group("how long")
    length.add_argument(
        "--rounds", type=whole_number(1, 1_000_000), metavar="N", help="walk through the folder N times (2)"
    )
    length.add_argument(
        "--seconds",
        type=number(0.1, 1e7),
        metavar="N",
        help="look for changes again and again for N seconds",
    )
    length.add_argument("--fast", action="store_true", help="do not wait as a real model and a person would")


def _add_destinations(parser: argparse.ArgumentParser) -> None:
    server = parser.add_argument_group("send it somewhere, too")
    server.add_argument("--endpoint", metavar="URL", help="address of the server")
    server.add_argument("--api-key", metavar="KEY", help="key that may ingest, hb_live_... or hb_test_...")
    server.add_argument(
        "--otlp",
        metavar="URL",
        nargs="?",
        const="",
        help="export it to an OpenTelemetry receiver, too, such as http://localhost:4318; without URL to the"
        " one that the OTEL_* variables name",
    )


def _add_display(parser: argparse.ArgumentParser) -> None:
    show = parser.add_argument_group("what you see")
    show.add_argument(
        "--board",
        action=argparse.BooleanOptionalAction,
        help="start a board for it; by default in a terminal, unless it is sent somewhere",
    )
    show.add_argument("--no-browser", action="store_true", help="do not open the page of the board")
    show.add_argument("--to-board", action="store_true", help=argparse.SUPPRESS)
    show.add_argument(
        "--jsonl", metavar="FILE", help="write every event to FILE as well, one JSON object per line"
    )
    show.add_argument("--no-color", action="store_true", help="no colours")
    show.add_argument("--heartbeats", action="store_true", help="show heartbeats")
    show.add_argument(
        "--fail-rate",
        type=number(0, 1),
        default=0.0,
        metavar="P",
        help="let the model refuse this share of calls, 0 to 1 (0)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    if _wants_board(arguments):
        return on_a_board(arguments)
    # Standard output belongs to the events when they were asked for there.
    out = sys.stderr if arguments.jsonl == "-" else sys.stdout
    try:
        workspace = _workspace(arguments)
        transports = _transports(arguments, out)
    except (_UsageError, HiveLoopConfigError) as error:
        print(f"python -m hiveloop demo: {error}", file=sys.stderr)
        return 2
    return _play(arguments, workspace, transports, out)


def _wants_board(arguments: argparse.Namespace) -> bool:
    if arguments.board is not None:
        return bool(arguments.board)
    elsewhere = any(getattr(arguments, name) not in (None, False) for name in _ELSEWHERE)
    return sys.stdout.isatty() and not elsewhere and has_board()


def _play(
    arguments: argparse.Namespace, workspace: Workspace, transports: list[Transport], out: TextIO
) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    tally = TallyTransport()
    hb = hiveloop.init(
        transport=[*transports, tally],
        environment="demo",
        group="demo",
        flush_interval=0.3,  # the default of 5 seconds saves requests, but is no fun to watch
        enabled=True,
    )
    print(opening(workspace, arguments.limit), file=out, flush=True)
    pace = Pace(0.0 if arguments.fast else 1.0)
    fleet = Fleet(Office(hb, workspace, pace, arguments.fail_rate), _plan(arguments))
    stopped = _watch(fleet, out)
    if not {"http", "otel"}.isdisjoint(hb.stats().transports):
        print("Sending what is left.", file=out, flush=True)
    hiveloop.shutdown(timeout=1.5 if stopped else 5.0)
    print(closing(tally.figures, hb.stats(), fleet, workspace), file=out, flush=True)
    if stopped:
        return 130
    return 1 if fleet.crashed or undelivered(hb.stats()) else 0


def _watch(fleet: Fleet, out: TextIO) -> bool:
    """Let the fleet work; True when it was stopped by Ctrl-C or SIGTERM."""
    try:
        fleet.run()
    except KeyboardInterrupt:
        print("\nStopping.", file=out, flush=True)
        fleet.stop(timeout=1.0)
        return True
    return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _plan(arguments: argparse.Namespace) -> Plan:
    rounds = arguments.rounds or (None if arguments.seconds else 2)
    return Plan(rounds=rounds, seconds=arguments.seconds, limit=arguments.limit)


# -- what it works on -----------------------------------------------------------------------------


def _workspace(arguments: argparse.Namespace) -> Workspace:
    source: Path = arguments.path or LIBRARY
    if not source.exists():
        raise _UsageError(
            f"there is no folder {source}: check --path, or leave it out to use our own documents"
        )
    if not source.is_dir():
        raise _UsageError(f"{source} is a file: give the folder it is in, --path {source.parent}")
    output: Path | None = arguments.output
    workspace = Workspace(
        source.resolve(), (output or Path(tempfile.mkdtemp(prefix="hiveloop-demo-"))).resolve()
    )
    _check_source(workspace)
    _check_output(workspace)
    return workspace


def _check_source(workspace: Workspace) -> None:
    try:
        listing = workspace.listing(1)
    except OSError as error:
        raise _UsageError(
            f"cannot read {workspace.source}: {error.strerror}; choose another --path"
        ) from error
    if not listing.names:
        raise _UsageError(
            f"there are no files in {workspace.source}: give a --path with text files, or leave it out"
        )


def _check_output(workspace: Workspace) -> None:
    output = workspace.output
    try:
        output.mkdir(parents=True, exist_ok=True)
        is_empty = not any(output.iterdir())
    except OSError as error:
        raise _UsageError(f"cannot write to {output}: {error.strerror}; choose another --output") from error
    if not is_empty:
        raise _UsageError(f"--output {output} is not empty: choose another folder, or empty it")


# -- where it is shown ----------------------------------------------------------------------------


def _transports(arguments: argparse.Namespace, out: TextIO) -> list[Transport]:
    color = False if arguments.no_color else None
    transports: list[Transport] = [ConsoleTransport(out, color=color, show_heartbeats=arguments.heartbeats)]
    if arguments.jsonl:
        transports.append(JsonlTransport(arguments.jsonl))
    if arguments.endpoint or arguments.api_key or arguments.to_board:
        transports.append(_server(arguments))
    if arguments.otlp is not None:
        transports.append(_receiver(arguments.otlp))
    return transports


def _server(arguments: argparse.Namespace) -> Transport:
    settings = resolve({"endpoint": arguments.endpoint, "api_key": arguments.api_key})
    if settings.api_key is None:
        raise _UsageError("--endpoint needs a key as well: set HIVELOOP_API_KEY, or give --api-key")
    return native_transport(settings)


def _receiver(url: str) -> Transport:
    try:
        from hiveloop_otel import OTelTransport
    except ImportError as error:
        raise _UsageError(f"--otlp: {error}") from error
    return OTelTransport(endpoint=url or None, service_name="hiveloop-demo", metrics=True)
