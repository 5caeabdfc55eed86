"""What ``hiveloop board`` does once its arguments are understood."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from hiveloop.board.folder import BusyError, DataFolder, Running, default_folder
from hiveloop.board.handover import Offer
from hiveloop.board.keyring import Keyring, OwnKey
from hiveloop.board.keys import KeyKind
from hiveloop.board.routes import STATIC, Settings
from hiveloop.board.routes_pages import LINK_PATH
from hiveloop.board.security import Hosts, Sessions
from hiveloop.board.server import BoardServer, PortTakenError, Started, endpoint_of, listen
from hiveloop.board.store.apart import ApartStore
from hiveloop.board.store.protocol import Store, StoreError
from hiveloop.board.store.retention import Retention

__all__ = ["CannotRunError", "Choices", "perform"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_END_SECONDS = 1.0
_DAY_US = 86_400_000_000
_OPEN_IT = "Open it in a browser, once: {link}\nFor a second one, give it another folder with --data"
_ADDRESS = "give postgresql://USER:PASSWORD@HOST/DATABASE, with all but letters and digits as %XX"
_NO_PAGES = "Its pages were not built into this installation: the link below says how. All else works.\n"
_STOP_IT = "Stop it first, then do this again"


class CannotRunError(Exception):
    """The board cannot run; the message says why and what helps."""


class Choices(NamedTuple):
    """What the user chose."""

    host: str
    port: int | None
    remote: bool
    names: tuple[str, ...]
    public_url: str | None
    data: Path | None
    database: str | None
    days: float
    gigabytes: float
    previews: bool
    browser: bool
    command: tuple[str, ...]
    once: bool
    certain: bool


def perform(action: str | None, choices: Choices) -> int:
    """Run the board, or do one thing to its data; return the exit code.

    Raises:
        CannotRunError: it cannot be done.
    """
    path = choices.data or default_folder()
    try:
        return _performed(action, DataFolder(path), choices)
    except BrokenPipeError:
        raise  # nobody reads what is printed
    except OSError as error:
        if not str(error.filename).startswith(str(path.absolute())):
            raise CannotRunError(str(error)) from error
        advice = "choose another folder with --data or HIVELOOP_BOARD_DATA"
        raise CannotRunError(f"{error.filename} cannot be used ({error.strerror}): {advice}") from error


def _performed(action: str | None, folder: DataFolder, choices: Choices) -> int:
    match action:
        case "link":
            return _link(folder, choices)
        case "rebuild":
            return _rebuild(folder, choices)
        case "wipe":
            return _wipe(folder, choices)
        case _:
            return _serve(folder, choices)


# -- one thing --------------------------------------------------------------------------------


def _link(folder: DataFolder, choices: Choices) -> int:
    try:
        folder.take()
    except BusyError as busy:
        if busy.running is None:
            raise CannotRunError("the board is just starting: try again") from None
        print(_link_to(choices.public_url or _address(busy.running), folder.secret()))
        return 0
    folder.release()
    raise CannotRunError(f"no board runs with the data in {folder.path}: start one with hiveloop board")


def _rebuild(folder: DataFolder, choices: Choices) -> int:
    with _alone(folder, _STOP_IT), _store(folder, choices) as store:
        print(f"{store.rebuild().result():,} events folded again")
    return 0


def _wipe(folder: DataFolder, choices: Choices) -> int:
    if choices.database:
        raise CannotRunError("wipe removes the file in the data folder; drop a PostgreSQL database yourself")
    with _alone(folder, _STOP_IT):
        if not choices.certain and not _agreed(folder):
            print("Nothing was removed.")
            return 1
        removed = folder.wipe()
    print("Wiped." if removed else "There was nothing to wipe.")
    return 0


def _agreed(folder: DataFolder) -> bool:
    if not sys.stdin.isatty():
        raise CannotRunError("wipe removes all events: add --yes to say that this is meant")
    answer = input(f"Remove all events in {folder.database}? Type yes: ")
    return answer.strip().lower() == "yes"


def _address(running: Running) -> str:
    """The address of a board in browsers."""
    return running.public_url or running.endpoint


@contextlib.contextmanager
def _alone(folder: DataFolder, advice: str) -> Generator[None]:
    """Keep other boards away from the folder.

    Args:
        folder: what is used.
        advice: what to do about a board that uses it; ``{link}`` stands for a new link to it.

    Raises:
        CannotRunError: one uses it.
    """
    try:
        folder.take()
    except BusyError as busy:
        if busy.running is None:
            raise CannotRunError(f"another board uses {folder.path}") from None
        link = _link_to(_address(busy.running), folder.secret())
        raise CannotRunError(
            f"a board runs already, at {busy.running.endpoint} (process {busy.running.pid})\n"
            f"{advice.format(link=link)}"
        ) from None
    try:
        yield
    finally:
        folder.release()


@contextlib.contextmanager
def _store(folder: DataFolder, choices: Choices) -> Generator[Store]:
    retention = Retention(
        max_age_us=int(choices.days * _DAY_US), max_bytes=int(choices.gigabytes * 1_000_000_000)
    )
    try:
        store = _opened(folder, choices.database, retention)
    except StoreError as error:
        advice = (
            "check that it runs, and its address in --database or HIVELOOP_BOARD_DATABASE"
            if choices.database
            else "move it away, or choose another folder with --data"
        )
        raise CannotRunError(f"{str(error).rstrip()}\n{advice}") from error
    try:
        yield store
    finally:
        store.close()


def _opened(folder: DataFolder, database: str | None, retention: Retention) -> Store:
    """Open the database.

    Raises:
        CannotRunError: what PostgreSQL needs is not installed.
        StoreError: it cannot be used.
    """
    if database is None:
        return ApartStore(folder.database, retention=retention)
    try:
        from hiveloop.board.store.postgres import PostgresStore, is_address
    except ImportError as error:
        message = f'--database needs its extra: pip install "hiveloop[board-postgres]" ({error})'
        raise CannotRunError(message) from error
    if not is_address(database):  # the driver's words might hold the password
        raise CannotRunError(f"the address of the database cannot be read: {_ADDRESS}")
    return PostgresStore(database, retention=retention)


# -- the board --------------------------------------------------------------------------------


def _serve(folder: DataFolder, choices: Choices) -> int:
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(folder, _OPEN_IT))
        try:
            listening = listen(choices.host, choices.port)
        except PortTakenError as error:
            raise CannotRunError(str(error)) from None
        stack.callback(listening.close)
        store = stack.enter_context(_store(folder, choices))
        return _answer(folder, choices, listening, store, stack)


def _answer(
    folder: DataFolder,
    choices: Choices,
    listening: socket.socket,
    store: Store,
    stack: contextlib.ExitStack,
) -> int:
    endpoint, key = endpoint_of(listening), _valid_key(folder, store)
    shown = choices.public_url or endpoint
    offer = stack.enter_context(Offer(endpoint, key, choices.public_url))

    def keep_key(fresh: str) -> None:
        offer.change(fresh)
        folder.keep_key(fresh)
        print(
            f"The key of this board was revoked. From now on:\n\n{_lines(fresh, shown)}", end="", flush=True
        )

    settings = Settings(
        secret=folder.secret(),
        endpoint=shown,
        api_key=key,
        keep_key=keep_key,
        hosts=Hosts((*choices.names, choices.host), remote=choices.remote, origin=choices.public_url),
        previews=choices.previews,
    )
    server = BoardServer(store, settings, listening)
    folder.announce(endpoint, choices.public_url)
    program = _Program(choices.command, endpoint, key, server if choices.once else None)

    async def greet() -> None:
        link = _link_to(shown, folder.secret())
        print(_greeting(folder, choices, endpoint, key, link, offer), flush=True)
        if choices.browser:
            _open_browser(link)

    works: list[Started] = [greet, program.run] if choices.command else [greet]
    server.run(works)
    print("The board has stopped.", flush=True)
    return program.code if choices.once else 0


def _valid_key(folder: DataFolder, store: Store) -> str:
    """Return the key of the folder, known to the store; another one when it was revoked."""
    keyring, key = Keyring(store), folder.key()
    keyring.add(KeyKind.LIVE, "first key", key)[2].result()
    OwnKey(keyring, key, folder.keep_key).renew()
    return folder.key()


def _link_to(endpoint: str, secret: bytes) -> str:
    return f"{endpoint}{LINK_PATH}?token={Sessions(secret).new_link_token()}"


def _greeting(folder: DataFolder, choices: Choices, endpoint: str, key: str, link: str, offer: Offer) -> str:
    pages = "" if (STATIC / "index.html").is_file() else _NO_PAGES
    remote = (
        "Other machines can reach this board. Put a reverse proxy with TLS before it: keys and events travel"
        " in the clear.\n"
        if choices.remote and choices.host not in _LOOPBACK
        else ""
    )
    place = "PostgreSQL" if choices.database else folder.path
    shown = choices.public_url or endpoint
    here = f", on this machine {endpoint}" if choices.public_url else ""
    return (
        f"HiveBoard at {shown}{here}, data in {place}\n\n"
        f"{_lines(key, shown)}"
        f"{_found(offer)}{remote}{pages}"
        f"Open it in a browser, once: {link}\n"
        "Ctrl-C stops.\n"
    )


def _lines(key: str, shown: str) -> str:
    """The two lines that report to the board."""
    return f'    import hiveloop\n    hb = hiveloop.init("{key}", endpoint="{shown}")\n\n'


def _found(offer: Offer) -> str:
    """Tell whether programs find the board by themselves."""
    if offer.standing:
        return "Programs of yours on this machine need no key: hiveloop.init() finds this board.\n"
    if offer.problem:
        return f"hiveloop.init() without a key does not find this board ({offer.problem}).\n"
    return "hiveloop.init() without a key reports to the board that was started first.\n"


def _open_browser(link: str) -> None:
    """Open a browser if there is a screen; never wait for it."""
    screen = sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if screen and sys.stdout.isatty():
        threading.Thread(target=webbrowser.open, args=(link,), name="hiveloop-browser", daemon=True).start()


class _Program:
    """A program that reports to the board.

    Args:
        command: the program and its arguments.
        endpoint: what it finds in ``HIVELOOP_ENDPOINT``.
        key: what it finds in ``HIVELOOP_API_KEY``.
        ends: the server to stop when the program has ended; None to let it go on.

    Attributes:
        code: exit code of the program, as shells tell it.
    """

    def __init__(self, command: tuple[str, ...], endpoint: str, key: str, ends: BoardServer | None) -> None:
        self.code = 0
        self._command = command
        self._environment = {**os.environ, "HIVELOOP_ENDPOINT": endpoint, "HIVELOOP_API_KEY": key}
        self._ends = ends

    async def run(self) -> None:
        """Run it to its end; stop it when this is cancelled."""
        try:
            process = await asyncio.create_subprocess_exec(*self._command, env=self._environment)
        except OSError as error:
            self._ended(127, f"{self._command[0]} cannot be started: {error.strerror}")
            return
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        shown = 128 - code if code < 0 else code
        self._ended(shown, f"{self._command[0]} has ended with exit code {shown}.")

    def _ended(self, code: int, message: str) -> None:
        self.code = code
        if self._ends is not None:
            self._ends.stop()
            if code == 127:
                print(f"hiveloop board: {message}", file=sys.stderr)
            return
        print(f"{message} The board goes on; Ctrl-C stops it.", flush=True)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
