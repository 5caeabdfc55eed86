"""A transport of your own in twenty lines: events go into an SQLite file, next to the usual place.

`send` is all it takes. Queue, batches, back-off, drop counts, flush and shutdown are the engine's,
and each transport has a queue of its own: a slow one does not hold up another.

    python examples/custom_transport.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard as well as to the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import cast

import hiveloop
from hiveloop import Batch, Delivered, Outcome, Retry, Transport


class SqliteTransport(Transport):
    """Stores every event once; its id is the key, so a batch that is sent again changes nothing."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, prepared: object, timeout: float) -> Outcome:
        events = cast("Batch", prepared).events
        rows = [
            (e.event_id, e.time_ns, e.agent.agent_id, e.kind or e.type, json.dumps(e.payload)) for e in events
        ]
        database = sqlite3.connect(self._path, timeout=timeout)
        try:
            with database:
                database.execute(
                    "create table if not exists events (id primary key, time, agent, name, payload)"
                )
                database.executemany("insert or ignore into events values (?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:  # locked, or the disk is full: later may be better
            return Retry(str(error))
        finally:
            database.close()
        return Delivered()


def usual() -> Transport:
    key = os.environ.get("HIVELOOP_API_KEY")
    endpoint = os.environ.get("HIVELOOP_ENDPOINT", "https://api.hiveboard.io")
    return hiveloop.HttpTransport(key, endpoint) if key else hiveloop.ConsoleTransport()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.db"
        hb = hiveloop.init(transport=[usual(), SqliteTransport(path)])

        agent = hb.agent("accountant", type="finance")
        for number, cost in enumerate((0.008, 0.012, 0.001), 1):
            with agent.task(f"question-{number}") as task:
                task.llm_call("answer", "local-small", tokens_in=900, tokens_out=120, cost=cost)
        hiveloop.shutdown()

        database = sqlite3.connect(path)
        query = (
            "select count(*), sum(json_extract(payload, '$.data.cost')) from events where name = 'llm_call'"
        )
        calls, dollars = database.execute(query).fetchone()
        database.close()
    print(f"{calls} calls for ${dollars:.3f}, says the file")


if __name__ == "__main__":
    main()
