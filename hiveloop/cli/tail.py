"""``hiveloop tail``: the live stream of a board in the terminal."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hiveloop import HiveLoopConfigError
from hiveloop._config import Config, resolve
from hiveloop._shape import is_dict, is_list
from hiveloop.events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
from hiveloop.transport import Batch, Delivered
from hiveloop.transports import ConsoleTransport

from .board import MISSING

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["add_to", "run"]

_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_PATIENCE_SECONDS = 10.0
_LARGEST_MESSAGE = 64 * 1_048_576
_REFUSALS = {4001: "the board does not know this key", 4002: "too many streams are open with this key"}
_FAILED = ("task_failed", "action_failed")

_DESCRIPTION = """\
Follows what agents report to a board, as it happens. Without options it follows the board that runs on this
machine; HIVELOOP_ENDPOINT and HIVELOOP_API_KEY, or the options, name another one.
"""


class _GivingUpError(Exception):
    """There is nothing to follow; the message says why."""


def add_to(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = add_command("tail", help="follow your agents in the terminal", description=_DESCRIPTION)
    parser.add_argument("--agent", metavar="ID", help="this agent only")
    parser.add_argument("--errors", action="store_true", help="only what failed or is an error")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, as the API has it")
    parser.add_argument("--heartbeats", action="store_true", help="show heartbeats")
    parser.add_argument("--no-color", action="store_true", help="no colours")
    parser.add_argument("--endpoint", metavar="URL", help="address of the board")
    parser.add_argument("--api-key", metavar="KEY", help="key of the board; better in HIVELOOP_API_KEY")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Follow the stream until Ctrl-C, and return the exit code."""
    try:
        config = resolve({"endpoint": arguments.endpoint, "api_key": arguments.api_key}, look_for_board=True)
        if config.api_key is None and config.sources.get("endpoint") != "default":
            raise _GivingUpError(f"{config.endpoint} wants a key of that board: give it in HIVELOOP_API_KEY")
        if config.api_key is None:
            raise _GivingUpError(
                "no board runs on this machine: start one with hiveloop board, or name one with --endpoint"
                " and HIVELOOP_API_KEY"
            )
        _follow(config, arguments)
    except HiveLoopConfigError as error:
        return _complain(str(error), 2)
    except _GivingUpError as error:
        return _complain(str(error), 1)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"hiveloop tail: {message}", file=sys.stderr)
    return code


def _follow(config: Config, arguments: argparse.Namespace) -> None:
    """Show what comes, and connect again where it broke off.

    Raises:
        _GivingUpError: there is no such board, or it refuses.
    """
    show = _shown_as_json if arguments.json else _Console(arguments).show
    print(f"Following {config.endpoint}; Ctrl-C stops.", file=sys.stderr, flush=True)
    since: int | None = None
    failures = 0
    while True:
        reached = _listen(config, arguments, since, show)
        if reached is None:
            if since is None:
                raise _GivingUpError(f"no board answers at {config.endpoint}")
            failures += 1
        else:
            since, failures = reached, 0
            print("The connection broke off; connecting again.", file=sys.stderr, flush=True)
        threading.Event().wait(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])


Show = Callable[[Iterable[Mapping[str, Any]]], None]


def _listen(config: Config, arguments: argparse.Namespace, since: int | None, show: Show) -> int | None:
    """Show events until the connection ends; return the last number, or None when there was no connection."""
    socket = _connected(config)
    if socket is None:
        return None
    from websockets.exceptions import ConnectionClosed

    reached = 0 if since is None else since
    with socket:
        try:
            socket.send(json.dumps(_subscription(arguments, since)))
            while True:
                message = json.loads(socket.recv())
                if is_list(message.get("events")):
                    show(list(_wanted(message["events"], arguments)))
                if isinstance(message.get("seq"), int):
                    reached = message["seq"]
        except ConnectionClosed as closed:
            code = None if closed.rcvd is None else closed.rcvd.code
            if code in _REFUSALS:
                raise _GivingUpError(f"{_REFUSALS[code]} ({config.endpoint})") from None
    return reached


def _connected(config: Config) -> ClientConnection | None:
    try:
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect
    except ModuleNotFoundError as error:
        raise _GivingUpError(f"{MISSING} (there is no {error.name})") from error
    parts = urlsplit(config.endpoint)
    scheme = "wss" if parts.scheme == "https" else "ws"
    try:
        return connect(
            f"{scheme}://{parts.netloc}{parts.path}/v1/stream",
            additional_headers={"Authorization": f"Bearer {config.api_key}"},
            open_timeout=_PATIENCE_SECONDS,
            close_timeout=1.0,
            max_size=_LARGEST_MESSAGE,
        )
    except InvalidStatus as error:
        code = error.response.status_code
        if code >= 500:  # it is being restarted behind a proxy
            return None
        raise _GivingUpError(f"{config.endpoint} answers {code}: is it a HiveBoard?") from None
    except (OSError, TimeoutError, InvalidHandshake):
        return None


def _subscription(arguments: argparse.Namespace, since: int | None) -> dict[str, Any]:
    filters = {"agent_id": arguments.agent} if arguments.agent else {}
    told: dict[str, Any] = {"action": "subscribe", "v": 2, "channels": ["events"], "filters": filters}
    return told if since is None else {**told, "since_seq": since}


def _wanted(events: Iterable[Any], arguments: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    for event in events:
        if not is_dict(event):
            continue
        if arguments.errors and event.get("severity") != "error" and event.get("event_type") not in _FAILED:
            continue
        if event.get("event_type") == "heartbeat" and not arguments.heartbeats and not arguments.json:
            continue
        yield event


# -- how it looks -----------------------------------------------------------------------------


def _shown_as_json(events: Iterable[Mapping[str, Any]]) -> None:
    for event in events:
        print(json.dumps(event, ensure_ascii=False), flush=True)


class _Console:
    """Shows events as the console transport does, which cleans what could act on the terminal."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        color = False if arguments.no_color else None
        self._console = ConsoleTransport(sys.stdout, color=color, show_heartbeats=arguments.heartbeats)

    def show(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Print some events.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        batch = tuple(map(_event_of, events))
        if not batch:
            return
        outcome = self._console.send(self._console.prepare(Batch(batch)), _PATIENCE_SECONDS)
        if not isinstance(outcome, Delivered) or outcome.rejected:
            raise BrokenPipeError


def _event_of(told: Mapping[str, Any]) -> Event:
    """Return a stored event as the SDK knows events."""
    task_id, action_id = told.get("task_id"), told.get("action_id")
    payload = json.dumps(told.get("payload") or {})
    return Event(
        event_id=str(told.get("event_id")),
        time_ns=_nanoseconds(str(told.get("timestamp"))),
        type=EventType(str(told.get("event_type"))),
        severity=Severity(str(told.get("severity"))),
        agent=AgentInfo(str(told.get("agent_id")), str(told.get("agent_type") or "general")),
        task=None if task_id is None else _task_of(told, str(task_id)),
        action=None if action_id is None else ActionInfo(str(action_id), told.get("parent_action_id")),
        status=told.get("status"),
        duration_ms=None if told.get("duration_ms") is None else round(told["duration_ms"]),
        payload_json=payload,
        size=len(payload),
    )


def _task_of(told: Mapping[str, Any], task_id: str) -> TaskInfo:
    run_id = str(told.get("task_run_id") or task_id)
    return TaskInfo(
        task_id, run_id, told.get("project_id"), told.get("task_type"), told.get("correlation_id")
    )


def _nanoseconds(timestamp: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(timestamp).timestamp() * 1_000) * 1_000_000
