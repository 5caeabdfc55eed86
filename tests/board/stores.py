"""Stores for tests: each kind under the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hiveloop.board.store.protocol import Store
from hiveloop.board.store.schema import TABLES
from hiveloop.board.store.sqlite import SqliteStore

from .made_events import rows_of

__all__ = ["OpenStore", "contents", "open_store"]

OpenStore = Callable[..., Store]
"""Opens the database called `name` (again); keywords go to the store."""


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Lend a function that opens stores; they are closed afterwards."""
    opened: list[Store] = []

    def open_it(name: str = "board", **options: Any) -> Store:
        store = SqliteStore(tmp_path / f"{name}.db", **options)
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        store.close()


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
