"""Stores for tests: each kind under the same ones."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hiveloop.board.store.apart import ApartStore
from hiveloop.board.store.postgres import PostgresStore
from hiveloop.board.store.protocol import Store
from hiveloop.board.store.schema import TABLES
from hiveloop.board.store.sqlite import SqliteStore

from .made_events import rows_of

__all__ = [
    "KINDS",
    "OpenStore",
    "contents",
    "new_database",
    "open_any_store",
    "open_store",
    "postgres_server",
]

OpenStore = Callable[..., Store]
"""Opens the database called `name` (again); keywords go to the store."""

_NOBODY = "postgres"


def _programs() -> Path | None:
    """Where PostgreSQL's server programs are: in PATH, or where Debian puts the newest."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return known[-1].parent if known else None


KINDS = ["sqlite", "postgres"] if _programs() else ["sqlite"]
"""Kinds of store that this machine can test."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run a PostgreSQL server of our own on a free port; yield its URL without a database."""
    programs = _programs()
    assert programs is not None
    user = _NOBODY if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="hiveloop-postgres-"))
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    make = [programs / "initdb", "-D", folder / "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run(make, user=user, check=True, cwd="/", stdout=subprocess.DEVNULL)
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c max_connections=60"
    )
    control = [programs / "pg_ctl", "-D", folder / "data", "-w"]
    start = [*control, "-l", folder / "log", "-o", options, "start"]
    subprocess.run(start, user=user, check=True, cwd="/", stdout=subprocess.DEVNULL)
    yield f"postgresql://tester@127.0.0.1:{port}"
    stop = [*control, "-m", "immediate", "stop"]
    subprocess.run(stop, user=user, check=True, cwd="/", stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Lend a function that opens stores; they are closed afterwards."""
    yield from _lent(request, tmp_path)


@pytest.fixture(params=[*KINDS, "apart"], name="open_store")
def open_any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """The same, with the store of `hiveloop board` too, which is SQLite's in another process."""
    yield from _lent(request, tmp_path)


def _lent(request: pytest.FixtureRequest, folder: Path) -> Iterator[OpenStore]:
    opened: list[Store] = []
    url = new_database(request.getfixturevalue("postgres_server")) if request.param == "postgres" else ""
    file = ApartStore if request.param == "apart" else SqliteStore

    def open_it(**options: Any) -> Store:
        store: Store = PostgresStore(url, **options) if url else file(folder / "board.db", **options)
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        store.close()


def new_database(server: str) -> str:
    """Make an empty database and return its URL."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        name = f"board_{os.urandom(6).hex()}"
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return all folded tables, rows in the order of their keys."""
    return {
        table.name: [
            tuple(row.values())
            for row in rows_of(store, f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}")
        ]
        for table in TABLES
        if table.folded
    }
