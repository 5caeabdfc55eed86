"""What the board does by itself.

Say when a state changes, forget old events, let no span wait for ever, have a valid key to hand over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from hiveloop._guard import attempt, notice

from .model import WORLDS
from .queries._clock import iso
from .routes import Board, Failure, now_us, stored
from .routes_traces import adopt_traces, flush_traces
from .status import AgentInputs, Status, agent_status
from .store.inputs import agent_inputs
from .store.protocol import StoreError
from .traces import HOLD_SECONDS

__all__ = ["watching"]

_WATCH_SECONDS = 1.0
_PRUNE_SECONDS = 300.0
_ORPHANED_SECONDS = 1.5 * HOLD_SECONDS
"""After this time a living board has placed a span that waits."""
_PLACE = "board watch"
Known = dict[str, tuple[AgentInputs, Status]]


@asynccontextmanager
async def watching(board: Board) -> AsyncGenerator[None]:
    """Do all of it while the block runs."""
    tasks = [asyncio.create_task(_watch(board)), asyncio.create_task(_tidy_up(board))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _flush(board, everything=True)


async def _tidy_up(board: Board) -> None:
    while True:
        try:
            await stored(board.store.prune(now_us()))
        except Failure as failure:
            notice(_PLACE, "hiveloop board: old events could not be removed: %s", failure.message)
        await asyncio.sleep(_PRUNE_SECONDS)


async def _flush(board: Board, *, everything: bool = False) -> None:
    try:
        if not everything:
            await adopt_traces(board, _ORPHANED_SECONDS)
        await flush_traces(board, everything)
    except (Failure, StoreError) as failure:
        notice(_PLACE, "hiveloop board: spans that waited could not be stored, and wait on: %s", failure)


async def _watch(board: Board) -> None:
    before: dict[str, Known] = {}
    while True:
        await _flush(board)
        await board.renew_own_key()  # another board of the database may have revoked it
        for world in WORLDS:
            now = await board.run(_states_or_none, board, world)
            if now is not None:
                for message in _changes(before.get(world), now):
                    board.hub.notify(world, message)
                before[world] = now
        await asyncio.sleep(_WATCH_SECONDS)


def _states_or_none(board: Board, world: str) -> Known | None:
    return attempt(_PLACE, _states, board, world, default=None)


def _states(board: Board, world: str) -> Known:
    with board.store.reader() as reader:
        told = agent_inputs(reader, world)
    now = now_us()
    shown = {agent_id: inputs for agent_id, inputs in told.items() if not inputs.is_removed}
    return {agent_id: (inputs, agent_status(inputs, now)) for agent_id, inputs in shown.items()}


def _changes(before: Known | None, after: Known) -> list[Mapping[str, Any]]:
    """Return the messages about agents whose state is not what it was."""
    if before is None:
        return []
    gone = before.keys() - after.keys()
    messages: list[Mapping[str, Any]] = [{"type": "agent.removed", "agent_id": name} for name in sorted(gone)]
    for agent_id, (inputs, status) in after.items():
        known = before.get(agent_id)
        old = None if known is None else known[1]
        if old is not None and (old.state, old.stuck_by) == (status.state, status.stuck_by):
            continue
        messages.append(_changed(agent_id, old, inputs, status))
        if status.state == "stuck" and (old is None or old.state != "stuck"):
            messages.append(_stuck(agent_id, inputs, status))
    return messages


def _changed(agent_id: str, old: Status | None, inputs: AgentInputs, status: Status) -> Mapping[str, Any]:
    now = now_us()
    heard = inputs.last_heartbeat_us
    return {
        "type": "agent.status_changed",
        "agent_id": agent_id,
        "previous_status": None if old is None else old.wire,
        "new_status": status.wire,
        "state": status.state,
        "reason": status.reason,
        "since": iso(status.since_us),
        "is_offline": status.is_offline,
        "timestamp": iso(now),
        "current_task_id": status.task_id or None,
        "current_project_id": status.project or None,
        "heartbeat_age_seconds": None if heard is None else round((now - heard) / 1_000_000, 1),
    }


def _stuck(agent_id: str, inputs: AgentInputs, status: Status) -> Mapping[str, Any]:
    return {
        "type": "agent.stuck",
        "agent_id": agent_id,
        "last_heartbeat": iso(inputs.last_heartbeat_us),
        "stuck_threshold_seconds": (inputs.stuck_threshold_ms or 300_000) / 1_000,
        "stuck_by": status.stuck_by,
        "reason": status.reason,
        "since": iso(status.since_us),
        "current_task_id": status.task_id or None,
        "current_project_id": status.project or None,
    }
