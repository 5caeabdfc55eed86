"""``GET /v1/search``: one box for free text and ``agent: status: kind: model: cost> dur>``.

Texts are looked for in the newest tasks and events, as many as can be read in a moment; the ids of tasks and
events, and beginnings of a task's, are found however old they are.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, NamedTuple

from hiveloop.board.store.inputs import SHOWN
from hiveloop.board.store.protocol import Reader

from ._happenings import shown_event
from ._sql import NANO, Where, containing, like
from ._status import statuses
from .params import BadParameterError, Params
from .tasks import SEARCHED, STATES, TOOK_MS, in_states, shown_run

__all__ = ["Wanted", "parse", "search"]

_TERM = re.compile(r"(?P<name>[a-z_]+)(?P<sign>:|>=|<=|>|<)(?P<value>.+)", re.IGNORECASE | re.DOTALL)
_NAMES = frozenset(
    ("agent", "status", "kind", "model", "type", "project", "task", "severity", "env", "cost", "dur")
)
_MEASURED = frozenset(("cost", "dur"))
_UNITS = {"": 1_000.0, "ms": 1.0, "s": 1_000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|min|m|h)?")
_SIGNS = frozenset((">", "<", ">=", "<="))
_ALIASES = {"success": "completed", "failure": "failed", "error": "failed", "running": "processing"}
_MOST_WORDS = 10
_MOST_TASKS = 5_000
"""Newest tasks that are looked through."""
_MOST_EVENTS = 4_000
"""Newest events, or newest of a kind, whose text is looked through."""
_MOST_CALLS = 20_000
"""Newest calls whose model is looked at."""
_LAST = "\U0010ffff"
"""Sorts after everything that may follow the beginning of an id."""
_LARGEST = 1e15


class Wanted(NamedTuple):
    """What somebody looks for.

    Attributes:
        words: texts that must all occur somewhere, in lower case.
        terms: exact conditions by name.
        bounds: name, sign and number of comparisons; dollars for ``cost``, milliseconds for ``dur``.
        id: the only word as it was written, which may be an id.
    """

    words: tuple[str, ...]
    terms: dict[str, str]
    bounds: tuple[tuple[str, str, float], ...]
    id: str | None = None


def parse(query: str) -> Wanted:
    """Return what a query asks for; what only looks like a condition is text, as a URL is."""
    words: list[str] = []
    terms: dict[str, str] = {}
    bounds: list[tuple[str, str, float]] = []
    for part in _split(query):
        found = _TERM.fullmatch(part)
        name = found["name"].lower() if found else ""
        if found is None or name not in _NAMES or (found["sign"] == ":") is (name in _MEASURED):
            words.append(part)
        elif found["sign"] == ":":
            terms[name] = found["value"]
        else:
            bounds.append((name, found["sign"], _measure(name, found["value"])))
    lower = tuple(word.lower() for word in words[:_MOST_WORDS])
    return Wanted(lower, terms, tuple(bounds[:_MOST_WORDS]), words[0] if len(words) == 1 else None)


def _split(query: str) -> list[str]:
    """The words of a query; quotes keep some together, and an open one is part of a word."""
    try:
        return shlex.split(query)
    except ValueError:
        return query.split()


def _measure(name: str, value: str) -> float:
    told = value.strip().lstrip("$")
    found = _DURATION.fullmatch(told)
    if found is None or (name == "cost" and found["unit"]):
        example = "cost>0.05" if name == "cost" else "dur>2s"
        raise BadParameterError("q", f"{name} must be compared with a number, as in {example}")
    number = float(found["number"]) * (1 if name == "cost" else _UNITS[found["unit"] or ""])
    return min(number, _LARGEST)


def search(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return the tasks, agents, issues and events that match ``q``."""
    query = params.text("q")
    limit = params.limit(20)
    if query is None:
        found: dict[str, Any] = {name: [] for name in ("tasks", "agents", "issues", "events")}
        return {"query": "", **found, "tasks_searched": 0, "events_searched": 0}
    wanted = parse(query)
    return {
        "query": query,
        "tasks": _tasks(db, world, params, wanted, limit),
        "agents": _agents(db, world, wanted, limit),
        "issues": _issues(db, world, wanted, limit),
        "events": _events(db, world, wanted, limit),
        "tasks_searched": _MOST_TASKS,
        "events_searched": _MOST_EVENTS,
    }


def _newest(db: Reader, table: str, column: str, where: Where, most: int) -> int:
    """Return from when on there are so many rows."""
    sql = f"SELECT {column} AS at_us FROM {table} WHERE {where} ORDER BY {column} DESC LIMIT 1 OFFSET ?"
    found = db.rows(sql, [*where.args, most])
    return int(found[0]["at_us"] or 0) if found else 0


def _named(where: Where, wanted: Wanted, **columns: str) -> Where:
    """Add the terms that a table has columns for: part of a name is enough."""
    for name, column in columns.items():
        if name in wanted.terms:
            where.also(f"{column} LIKE ? ESCAPE '!'", like(wanted.terms[name]))
    return where


def _only(wanted: Wanted, *names: str) -> bool:
    """Tell whether every condition is one that a table can judge."""
    return set(wanted.terms) <= set(names) and not wanted.bounds


def _tasks(db: Reader, world: str, params: Params, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    if {"kind", "severity"} & set(wanted.terms):
        return []
    states = statuses(db, world, params.now_us)
    where = Where(world)
    _named(
        where,
        wanted,
        agent="agent_id",
        type="task_type",
        project="project",
        task="task_id",
        env="environment",
    )
    if "status" in wanted.terms:
        in_states(where, [_state_of(wanted.terms["status"])], sorted(states.stalled))
    if "model" in wanted.terms:
        _calling(where, world, wanted.terms["model"])
    for name, sign, number in wanted.bounds:
        column, scale = ("total_nano", NANO) if name == "cost" else (TOOK_MS, 1)
        where.also(f"{column} {sign if sign in _SIGNS else '>'} ?", round(number * scale))
        if name == "dur":
            where.also(f"{TOOK_MS} >= 0")
    since = _newest(db, "tasks", "first_us", Where(world), _MOST_TASKS)
    recent = containing(where.copy().also("first_us >= ?", since), wanted.words, SEARCHED)
    rows = _runs(db, recent, "first_us DESC, task_id DESC", limit)
    if wanted.id is not None:
        named = where.also("task_id >= ? AND task_id < ?", wanted.id, wanted.id + _LAST)
        rows = [*_runs(db, named, "task_id, run_id", limit), *rows]
    found = {(row["task_id"], row["run_id"]): row for row in rows}
    return [shown_run(row, states, params.now_us) for row in list(found.values())[:limit]]


def _runs(db: Reader, where: Where, order: str, limit: int) -> list[dict[str, Any]]:
    sql = f"SELECT *, {TOOK_MS} AS took_ms FROM tasks WHERE {where} ORDER BY {order} LIMIT ?"
    return db.rows(sql, [*where.args, limit])


def _calling(where: Where, world: str, model: str) -> None:
    """Keep to tasks that called a model lately."""
    inner = Where(world).also("kind = 'llm_call' AND task_id <> ''")
    inner.also("model LIKE ? ESCAPE '!'", like(model))
    recent = f"SELECT task_id FROM events WHERE {inner} ORDER BY ts_us DESC, seq DESC LIMIT {_MOST_CALLS}"
    where.also(f"task_id IN ({recent})", *inner.args)


def _state_of(status: str) -> str:
    word = status.lower()
    state = _ALIASES.get(word, "waiting" if word.startswith("waiting") else word)
    if state not in STATES:
        raise BadParameterError("q", f"status must be one of {', '.join(STATES)}, not {status!r}")
    return state


def _agents(db: Reader, world: str, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    if not _only(wanted, "agent", "type", "env"):
        return []
    names = ("agent_id", "agent_type", "framework", "agent_version")
    where = containing(Where(world).also(SHOWN), wanted.words, names)
    _named(where, wanted, agent="agent_id", type="agent_type", env="environment")
    sql = f"SELECT agent_id, agent_type, environment FROM agents WHERE {where} ORDER BY last_us DESC LIMIT ?"
    return [dict(row) for row in db.rows(sql, [*where.args, limit])]


def _issues(db: Reader, world: str, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    if not _only(wanted, "agent", "severity", "env", "project"):
        return []
    where = containing(Where(world), wanted.words, ("summary", "issue_key", "category"))
    _named(where, wanted, agent="agent_id", severity="severity", env="environment", project="project")
    sql = (
        "SELECT agent_id, issue_key, issue_id, summary, severity, is_open FROM issues"
        f" WHERE {where} ORDER BY last_us DESC, issue_key LIMIT ?"
    )
    rows = db.rows(sql, [*where.args, limit])
    return [{**row, "is_open": bool(row["is_open"])} for row in rows]


def _events(db: Reader, world: str, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """Events that match, among the newest."""
    if "status" in wanted.terms:
        return []
    where = Where(world).also("event_type <> 'heartbeat'")
    _named(where, wanted, agent="agent_id", type="task_type", project="project", task="task_id")
    _named(where, wanted, env="environment", model="model", severity="severity")
    for name, sign, number in wanted.bounds:
        column = "COALESCE(cost_nano, est_nano)" if name == "cost" else "duration_ms"
        where.also(
            f"{column} {sign if sign in _SIGNS else '>'} ?", round(number * (NANO if name == "cost" else 1))
        )
    columns = ("event_id", "task_id", "correlation_id", "payload")
    rows = _rows(db, containing(_lately(db, world, wanted, where), wanted.words, columns), limit)
    if wanted.id is not None:
        named = [where.copy().also(f"{column} = ?", wanted.id) for column in ("event_id", "correlation_id")]
        rows = [row for one in named for row in _rows(db, one, limit)] + rows
    return [shown_event(row) for row in list({row["seq"]: row for row in rows}.values())[:limit]]


def _rows(db: Reader, where: Where, limit: int) -> list[dict[str, Any]]:
    sql = f"SELECT * FROM events WHERE {where} ORDER BY ts_us DESC, seq DESC LIMIT ?"
    return db.rows(sql, [*where.args, limit])


def _lately(db: Reader, world: str, wanted: Wanted, where: Where) -> Where:
    """Keep to the newest events, or to the newest of the kind that was asked for."""
    kind = wanted.terms.get("kind")
    if kind is None and ("model" in wanted.terms or any(name == "cost" for name, _, _ in wanted.bounds)):
        kind = "llm_call"
    of_kind = Where(world) if kind is None else Where(world).also("kind = ?", kind)
    found = where.copy() if kind is None else where.copy().also("kind = ?", kind)
    return found.also("ts_us >= ?", _newest(db, "events", "ts_us", of_kind, _MOST_EVENTS))
