"""Opens the databases of older boards: events stay, what is folded from them is made anew.

Of the days from which events were removed nothing can be folded again, so their rollups are taken over; so
are names of projects, which were given by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .ledger import Ledger
from .protocol import StoreError
from .rebuild import Progress, rebuild, rolled_from
from .repricing import note_prices
from .schema import SCHEMA_VERSION, TABLES, Table
from .statements import add_columns, create_indexes, create_statements, drop_indexes, summing

__all__ = ["Tell", "open_tables"]

Tell = Callable[[str], None]
"""Hears a line about work that takes long."""


def open_tables(ledger: Ledger, is_new: bool, tell: Tell) -> None:
    """Make the tables of a new database, bring those of an older one up to date; in one transaction.

    Raises:
        StoreError: the database is one of a newer board, or of no board.
    """
    if is_new:
        ledger.create(time.time_ns() // 1000)
        note_prices(ledger)
    told = ledger.meta("schema_version") or ""
    version = int(told) if told.isdecimal() else 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the database has version {version}, this board knows {SCHEMA_VERSION}: "
            "use a newer hiveloop, or another data folder"
        )
    if version < 1:
        raise StoreError("the database has no version: no board has made it")
    if version < SCHEMA_VERSION:
        _upgrade(ledger, version, tell)
    ledger.take_list_prices(time.time_ns() // 1000)


def _upgrade(ledger: Ledger, version: int, tell: Tell) -> None:
    tell(f"The database is of an older board (version {version}): its tables are made anew, events stay.")
    rolled_us = rolled_from(ledger)
    for table in TABLES:
        if not table.folded:
            _extend(ledger, table)
    known = [table for table in TABLES if table.folded and _renew(ledger, table, rolled_us)]
    for table in TABLES:
        if table.source and table not in known:
            ledger.db.run(summing(table.name), (rolled_us,))
    number = rebuild(ledger, _every_tenth(tell))
    ledger.set_meta("schema_version", str(SCHEMA_VERSION))
    tell(f"The database is up to date: {number:,} events.")


def _every_tenth(tell: Tell) -> Progress:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(1, total)
        if tenth > told:
            told = tenth
            tell(f"{done:,} of {total:,} events")

    return progress


def _extend(ledger: Ledger, table: Table) -> None:
    """Add to a table that stays the columns that it does not have yet, and make its indexes anew."""
    known = ledger.db.columns(table.name)
    if not known:
        _create(ledger, table)
        return
    added = add_columns(table, known, ledger.db.dialect)
    for statement in (*added, *drop_indexes(table), *create_indexes(table)):
        ledger.db.run(statement)


def _create(ledger: Ledger, table: Table) -> None:
    for statement in create_statements(ledger.db.dialect, (table,)):
        ledger.db.run(statement)


def _renew(ledger: Ledger, table: Table, rolled_us: int) -> bool:
    """Make a folded table anew with the rows that cannot be folded again; tell whether there was one."""
    known = ledger.db.columns(table.name)
    if not known:
        _create(ledger, table)
        return False
    names = ", ".join(name for name in _given(table) if name in known)
    old, where = f"old_{table.name}", _lasting(table, rolled_us)
    ledger.db.run(f"CREATE TABLE {old} AS SELECT {names} FROM {table.name} WHERE {where}")
    ledger.db.run(f"DROP TABLE {table.name}")
    _create(ledger, table)
    ledger.db.run(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {old}")
    ledger.db.run(f"DROP TABLE {old}")
    return True


def _given(table: Table) -> list[str]:
    if table.name == "projects":
        return ["world", "slug", "name", "archived"]  # what no event tells, and its key
    return [column.name for column in table.columns if column.rule != "derived"]


def _lasting(table: Table, rolled_us: int) -> str:
    if table.name == "projects":
        return "slug <> ''"
    if table.step_us:
        return f"{table.time} < {rolled_us}"
    return f"day_us < {rolled_us}" if table.name == "names" else "world = ''"
