"""The package under test as one object: an in-memory transport, and questions about its events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiveloop
from hiveloop import Agent, Event, HiveBoard, Task
from hiveloop.transports import MemoryTransport
from tests.support.wait import eventually

from .your_app.observability import (
    clear_current_task,
    clear_hiveloop_agent,
    set_current_task,
    set_hiveloop_agent,
)


class Hive:
    """A client whose events stay in this process.

    Args:
        options: passed on to `hiveloop.init`.
    """

    def __init__(self, **options: Any) -> None:
        self.transport = MemoryTransport()
        self.hb: HiveBoard = hiveloop.init(transport=self.transport, **options)

    def agent(self, agent_id: str = "sales", **options: Any) -> Agent:
        """Register an agent that does not beat unless told to."""
        return self.hb.agent(agent_id, **{"heartbeat_interval": 0, **options})

    @contextmanager
    def running_task(self, task_id: str = "task-1") -> Iterator[Task]:
        """Run a task the way the guide's Step 3 does, with its plumbing set and cleared."""
        agent = self.agent()
        with agent.task(task_id, project="my-project", type="api") as task:
            set_current_task(task)
            set_hiveloop_agent(agent)
            try:
                yield task
            finally:
                clear_current_task()
                clear_hiveloop_agent()

    @contextmanager
    def running_agent(self) -> Iterator[Agent]:
        """Set the plumbing's agent, and no task: between two tasks, that is."""
        agent = self.agent()
        set_hiveloop_agent(agent)
        try:
            yield agent
        finally:
            clear_hiveloop_agent()

    def events(self, name: str | None = None) -> list[Event]:
        """Return every event so far, or those whose type or kind is `name`, in order."""
        assert hiveloop.flush(timeout=10.0), "not delivered in time"
        return [e for e in self.transport.events if name is None or name in (e.type, e.kind)]

    def one(self, name: str) -> Event:
        """Return the only event whose type or kind is `name`."""
        found = self.events(name)
        assert len(found) == 1, (
            f"{len(found)} events {name!r}, all: {[e.kind or str(e.type) for e in self.events()]}"
        )
        return found[0]

    def full_beat(self) -> Event:
        """Wait for a heartbeat that carries what its callback returned, and return it.

        On a busy machine a callback may be late; the beat then goes out without it.
        """
        return eventually(lambda: [e for e in self.events("heartbeat") if set(e.payload) != {"hiveloop"}])[0]

    def names(self) -> list[str]:
        """Return the kind, or else the type, of every event in order, without the registrations."""
        return [e.kind or str(e.type) for e in self.events() if e.type != "agent_registered"]


def action_name(event: Event) -> str:
    """Return the name of the action that an action event is about."""
    name = event.payload["action_name"]
    assert isinstance(name, str)
    return name
