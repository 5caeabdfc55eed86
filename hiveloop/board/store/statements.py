"""SQL made from the schema, for both databases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from hiveloop.board.folding.rows import columns_of

from .schema import BY_NAME, TABLES, Column, Index, Table

__all__ = [
    "Dialect",
    "add_columns",
    "create_indexes",
    "create_statements",
    "drop_indexes",
    "event_columns",
    "insert",
    "move_name",
    "summing",
    "upsert",
]

Dialect = Literal["sqlite", "postgres"]

_TYPES: dict[Dialect, dict[str, str]] = {
    "sqlite": {"text": "TEXT", "int": "INTEGER", "real": "REAL"},
    # Stamps and keys must sort by code point, as Python and SQLite do.
    "postgres": {"text": 'TEXT COLLATE "C"', "int": "BIGINT", "real": "DOUBLE PRECISION"},
}
_UNIQUE = {"events": "world, event_id", "keys": "hash"}


def create_statements(dialect: Dialect, tables: Sequence[Table] = TABLES) -> list[str]:
    """Return the statements that make tables, all unless some are named, with their indexes."""
    return [statement for table in tables for statement in (_create(table, dialect), *create_indexes(table))]


def add_columns(table: Table, known: Sequence[str], dialect: Dialect) -> list[str]:
    """Return the statements that add the columns that a table does not have."""
    new = [column for column in table.columns if column.name not in known and column.rule != "derived"]
    return [f"ALTER TABLE {table.name} ADD COLUMN {_declaration(column, dialect)}" for column in new]


def _create(table: Table, dialect: Dialect) -> str:
    lines = [_declaration(column, dialect) for column in table.columns]
    lines.append(f"PRIMARY KEY ({', '.join(table.key)})")
    if table.name in _UNIQUE:
        lines.append(f"UNIQUE ({_UNIQUE[table.name]})")
    # A table whose primary key is the rowid must keep it; the others are one tree instead of two.
    compact = dialect == "sqlite" and table.name != "events" and table.name != "profiles"
    return f"CREATE TABLE {table.name} ({', '.join(lines)}){' WITHOUT ROWID' if compact else ''}"


def _declaration(column: Column, dialect: Dialect) -> str:
    kind = _TYPES[dialect][column.type]
    if dialect == "sqlite" and column.name in ("seq", "profile_id") and column.rule == "key":
        kind = "INTEGER"
    match column.rule:
        case "derived":
            return f"{column.name} {kind} GENERATED ALWAYS AS ({column.sql}) STORED"
        case "key":
            return f"{column.name} {kind} NOT NULL"
        case "add":
            return f"{column.name} {kind} NOT NULL DEFAULT 0"
        case _:
            return f"{column.name} {kind}"


def create_indexes(table: Table) -> list[str]:
    """Return the statements that make the indexes of a table."""
    return [_index(table, number, index) for number, index in enumerate(table.indexes, 1)]


def drop_indexes(table: Table) -> list[str]:
    """Return the statements that remove the indexes of a table, also where they are other ones."""
    return [f"DROP INDEX IF EXISTS {table.name}_{number}" for number, _ in enumerate(table.indexes, 1)]


def _index(table: Table, number: int, index: Index) -> str:
    where = f" WHERE {index.where}" if index.where else ""
    return f"CREATE INDEX {table.name}_{number} ON {table.name} ({index.columns}){where}"


def event_columns() -> tuple[str, ...]:
    """Return the columns of `events`, in order."""
    return tuple(column.name for column in BY_NAME["events"].columns)


@cache
def insert(name: str, conflict: str = "") -> str:
    """Return an INSERT of all stored columns; `conflict` names the key that may exist already."""
    table = BY_NAME[name]
    columns = [column.name for column in table.columns if column.rule != "derived"]
    ignore = f" ON CONFLICT ({conflict}) DO NOTHING" if conflict else ""
    return f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({_marks(len(columns))}){ignore}"


def _marks(number: int) -> str:
    return ", ".join("?" * number)


@cache
def upsert(name: str) -> str:
    """Return the statement that merges one contribution into a folded table."""
    table = BY_NAME[name]
    columns = [*table.key, *(column.name for column in columns_of(table))]
    return f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({_marks(len(columns))}) {_merge(table)}"


def _merge(table: Table) -> str:
    rules = ", ".join(f"{c.name} = {_merged(table.name, c)}" for c in columns_of(table))
    return f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {rules}"


def _merged(table: str, column: Column) -> str:
    old, new = f"{table}.{column.name}", f"excluded.{column.name}"
    old_stamp, new_stamp = f"{table}.{column.stamp}", f"excluded.{column.stamp}"
    match column.rule:
        case "add":
            return f"{old} + {new}"
        case "min":
            return f"CASE WHEN {old} IS NULL OR {new} < {old} THEN {new} ELSE {old} END"
        case "max":
            return f"CASE WHEN {old} IS NULL OR {new} > {old} THEN {new} ELSE {old} END"
        case "first":
            return f"CASE WHEN {old_stamp} IS NULL OR {new_stamp} < {old_stamp} THEN {new} ELSE {old} END"
        case _:
            return f"CASE WHEN {old_stamp} IS NULL OR {new_stamp} > {old_stamp} THEN {new} ELSE {old} END"


@cache
def summing(name: str) -> str:
    """Return the statement that fills a table with the sums of its source before a time, its argument."""
    table, source = BY_NAME[name], BY_NAME[BY_NAME[name].source]
    floored = f"{source.time} / {table.step_us} * {table.step_us}"
    keys = [floored if key == table.time else key for key in table.key]
    sums = [f"{'SUM' if c.rule == 'add' else 'MAX'}({c.name})" for c in columns_of(table)]
    columns = [*table.key, *(column.name for column in columns_of(table))]
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) SELECT {', '.join([*keys, *sums])} FROM {source.name}"
        f" WHERE {source.time} < ? GROUP BY {', '.join(map(str, range(1, len(keys) + 1)))}"
    )


@cache
def move_name(name: str, column: str, match: str = "") -> tuple[str, str]:
    """Return the statements that count a day's rows of one name under another.

    Arguments of the first: the other name, world, start and end of the day, the name. Of the second: all
    but the first.
    """
    table = BY_NAME[name]
    columns = [*table.key, *(c.name for c in columns_of(table))]
    values = ", ".join("CAST(? AS TEXT)" if c == column else c for c in columns)
    where = f"world = ? AND {table.time} >= ? AND {table.time} < ? AND {column} = ?{match}"
    move = (
        f"INSERT INTO {name} ({', '.join(columns)}) SELECT {values} FROM {name} WHERE {where} {_merge(table)}"
    )
    return move, f"DELETE FROM {name} WHERE {where}"
