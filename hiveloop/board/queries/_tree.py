"""The actions of a task as a tree, and everything it did as nodes on one clock."""

from __future__ import annotations

from typing import Any

from ._calls import cost_source
from ._clock import iso
from ._happenings import Happening
from ._intervals import Interval
from ._sql import dollars
from ._values import number, rounded

__all__ = ["Action", "Waterfall", "positive", "shown_llm_call"]

_STARTED = "action_started"
_ENDED = frozenset(("action_completed", "action_failed"))
_MARKS = {
    "retry_started": "retry",
    "escalated": "escalation",
    "approval_requested": "approval",
    "approval_received": "approval",
    "task_started": "task",
    "task_completed": "task",
    "task_failed": "task",
}
_QUIET = frozenset(("heartbeat", "agent_registered", _STARTED, *_ENDED))


class Action:
    """One action, put together from its events in whatever order they came."""

    def __init__(self, action_id: str) -> None:
        self.action_id = action_id
        self.parent_id: str | None = None
        self.name: str | None = None
        self.started_us: int | None = None
        self.ended_us: int | None = None
        self.end: Happening | None = None
        self.seen: list[Happening] = []
        self.children: list[Action] = []

    def add(self, seen: Happening) -> None:
        """Take what an event of this action tells about it."""
        self.seen.append(seen)
        if seen.type != _STARTED and seen.type not in _ENDED:
            return
        self.name = seen.payload.text("action_name", "name") or self.name
        self.parent_id = seen.row["parent_action_id"] or self.parent_id
        if seen.type == _STARTED:
            self.started_us = seen.at_us
        else:
            self.end, self.ended_us = seen, seen.at_us

    @property
    def start_us(self) -> int:
        """When it began; of an action whose start was never told, what its end tells of it."""
        if self.started_us is not None:
            return self.started_us
        return self.end.start_us if self.end is not None else min(seen.start_us for seen in self.seen)

    @property
    def status(self) -> str:
        """``running``, ``success``, ``failure``, or the sender's own word for how it ended."""
        if self.end is None:
            return "running" if self.started_us is not None else "unknown"
        if self.end.failed or self.end.payload.get("success") is False:
            return "failure"
        return str(self.end.row["status"] or "success")

    @property
    def duration_ms(self) -> float | None:
        """How long it took; None while it runs."""
        if self.end is None:
            return None
        told = self.end.duration_ms
        return told if told is not None else max(0, self.end.at_us - self.start_us) / 1_000

    def end_us(self, now_us: int) -> int:
        """When it ended, or `now_us` while it runs."""
        if self.end is None:
            return max(now_us, self.start_us) if self.started_us is not None else self.start_us
        return max(self.start_us, self.end.at_us)

    def interval(self, now_us: int) -> Interval:
        """When it was under way."""
        return self.start_us, self.end_us(now_us)

    def to_json(self, origin_us: int) -> dict[str, Any]:
        """Return the action as a node of the tree, without its children."""
        return {
            "action_id": self.action_id,
            "parent_action_id": self.parent_id,
            "name": self.name,
            "status": self.status,
            "started_at": iso(self.start_us),
            "ended_at": iso(self.ended_us),
            "offset_ms": rounded((self.start_us - origin_us) / 1_000, 3),
            "duration_ms": rounded(self.duration_ms, 3),
            "error": None if self.end is None or self.status != "failure" else self.end.error,
            "payload": self.end.payload.raw if self.end is not None else None,
            "events": [seen.event_id for seen in self.seen],
        }


class Waterfall:
    """Everything that happened in one run of a task.

    Args:
        seen: its events in time order.
        origin_us: what offsets count from.
    """

    def __init__(self, seen: list[Happening], origin_us: int) -> None:
        self.seen = seen
        self.origin_us = origin_us
        self.actions: dict[str, Action] = {}
        for happening in seen:
            if happening.action_id:
                self._action(happening.action_id).add(happening)
        self.actions = {key: a for key, a in self.actions.items() if a.name or a.started_us or a.end}
        self.roots = self._linked()

    def _action(self, action_id: str) -> Action:
        return self.actions.setdefault(action_id, Action(action_id))

    def _linked(self) -> list[Action]:
        """Hang actions under their parents; what has none, or is its own ancestor, is a root."""
        roots: list[Action] = []
        rooted: set[str] = set()
        for action in sorted(self.actions.values(), key=lambda action: action.start_us):
            parent = self.actions.get(action.parent_id or "")
            if parent is None or self._circles(action, rooted):
                roots.append(action)
            else:
                parent.children.append(action)
        return roots

    def _circles(self, start: Action, rooted: set[str]) -> bool:
        """Tell whether going up from an action never ends; what was passed is remembered as rooted."""
        passed: set[str] = set()
        action: Action | None = start
        while action is not None and action.action_id not in rooted:
            if action.action_id in passed:
                rooted.add(start.action_id)
                return True
            passed.add(action.action_id)
            action = self.actions.get(action.parent_id or "")
        rooted |= passed
        return False

    def tree(self) -> list[dict[str, Any]]:
        """Return the actions nested; without recursion, as a sender may nest without end."""
        children: dict[str, list[Any]] = {key: [] for key in self.actions}
        nodes = {
            key: {**a.to_json(self.origin_us), "children": children[key]} for key, a in self.actions.items()
        }
        places = {root.action_id: (root.action_id, 1) for root in self.roots}
        waiting = list(self.roots)
        while waiting:
            action = waiting.pop()
            holder, depth = places[action.action_id]
            for child in action.children:
                children[holder].append(nodes[child.action_id])
                deeper = depth < _DEEPEST
                places[child.action_id] = (child.action_id, depth + 1) if deeper else (holder, depth)
                waiting.append(child)
        return [nodes[root.action_id] for root in self.roots]

    def nodes(self) -> list[dict[str, Any]]:
        """Return actions, LLM calls and everything else of note as one list in order of start."""
        shown = [self._action_node(action) for action in self.actions.values()]
        shown += [self._event_node(seen) for seen in self.seen if seen.type not in _QUIET]
        return sorted(shown, key=lambda node: (node["offset_ms"], node["node_id"]))

    def _action_node(self, action: Action) -> dict[str, Any]:
        node = action.to_json(self.origin_us)
        return {"node_id": f"action:{action.action_id}", "node": "tool", "kind": "action", **node}

    def _event_node(self, seen: Happening) -> dict[str, Any]:
        is_call = seen.kind == "llm_call"
        start = seen.start_us if is_call else seen.at_us
        node = {
            "node_id": f"event:{seen.event_id}",
            "node": "llm" if is_call else _MARKS.get(seen.type, "event"),
            "kind": seen.kind or seen.type,
            "action_id": None,
            "parent_action_id": seen.action_id,
            "name": seen.name,
            "status": _mark_status(seen),
            "started_at": iso(start),
            "ended_at": iso(seen.at_us),
            "offset_ms": rounded((start - self.origin_us) / 1_000, 3),
            "duration_ms": rounded(seen.duration_ms, 3) if is_call else None,
            "error": seen.error,
            "payload": seen.payload.raw,
            "events": [seen.event_id],
        }
        return {**node, "llm": shown_llm_call(seen)} if is_call else node


_DEEPEST = 60
"""Nesting shown as such; JSON parsers of clients give up somewhere beyond a hundred."""


def _mark_status(seen: Happening) -> str | None:
    if seen.failed or seen.row["severity"] == "error":
        return "failure"
    return seen.payload.text("decision", "action") or seen.row["status"]


def shown_llm_call(seen: Happening) -> dict[str, Any]:
    """Return what an LLM call's event tells about the call."""
    payload = seen.payload
    tokens_in, tokens_out = payload.number("tokens_in"), payload.number("tokens_out")
    reported, estimated = seen.row["cost_nano"], seen.row["est_nano"]
    return {
        "name": payload.text("name"),
        "model": payload.text("model"),
        "tokens_in": _count(tokens_in),
        "tokens_out": _count(tokens_out),
        "cost": dollars(estimated) if estimated else positive(payload.get("cost")),
        "cost_source": cost_source(reported, estimated),
        "duration_ms": rounded(seen.duration_ms, 3),
        "prompt_preview": payload.text("prompt_preview"),
        "response_preview": payload.text("response_preview"),
        "metadata": payload.metadata or None,
    }


def positive(value: object) -> float | None:
    """Return a number that is not negative, else None: no call costs less than nothing."""
    found = number(value)
    return None if found is None or found < 0 else found


def _count(value: float | None) -> int | None:
    return None if value is None or value < 0 else round(value)
