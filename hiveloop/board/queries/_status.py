"""The states of all agents at one moment, and which open tasks are stuck because of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hiveloop.board.status import AgentInputs, TaskState, agent_status, task_state
from hiveloop.board.store.inputs import agent_inputs
from hiveloop.board.store.protocol import Reader

__all__ = ["Statuses", "statuses"]


class Statuses:
    """States of agents.

    Attributes:
        by_agent: state of each agent that is shown.
        stalled: agents whose open tasks are stuck: those that are stuck themselves or have stopped.
    """

    def __init__(self, inputs: Mapping[str, AgentInputs], now_us: int) -> None:
        self._all = {agent: agent_status(told, now_us) for agent, told in inputs.items()}
        self.by_agent = {agent: found for agent, found in self._all.items() if not inputs[agent].is_removed}
        self.stalled = frozenset(
            agent for agent, found in self._all.items() if found.state == "stuck" or found.is_offline
        )

    def of_task(self, row: Mapping[str, Any]) -> TaskState:
        """Return the state of a row of ``tasks``."""
        return task_state(str(row["state"]), self._all.get(str(row["agent_id"])))


def statuses(db: Reader, world: str, now_us: int, agent_id: str | None = None) -> Statuses:
    """Return the states of all agents, or of one."""
    return Statuses(agent_inputs(db, world, agent_id), now_us)
