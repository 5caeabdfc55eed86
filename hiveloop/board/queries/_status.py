"""The states of all agents at one moment, and which open tasks are stuck because of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hiveloop.board.status import Status, TaskState, agent_status, task_state
from hiveloop.board.store.inputs import agent_inputs
from hiveloop.board.store.protocol import Reader

__all__ = ["Statuses", "statuses"]


class Statuses:
    """States of agents.

    Attributes:
        by_agent: state of each agent.
        stalled: agents whose open tasks are stuck: those that are stuck themselves or have stopped.
    """

    def __init__(self, by_agent: Mapping[str, Status]) -> None:
        self.by_agent = by_agent
        self.stalled = frozenset(
            agent for agent, found in by_agent.items() if found.state == "stuck" or found.is_offline
        )

    def of_task(self, row: Mapping[str, Any]) -> TaskState:
        """Return the state of a row of ``tasks``."""
        return task_state(str(row["state"]), self.by_agent.get(str(row["agent_id"])))


def statuses(db: Reader, world: str, now_us: int, agent_id: str | None = None) -> Statuses:
    """Return the states of all agents, or of one."""
    inputs = agent_inputs(db, world, agent_id)
    return Statuses({agent: agent_status(told, now_us) for agent, told in inputs.items()})
