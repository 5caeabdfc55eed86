"""All changes that a set of newly stored events makes to the folded tables."""

from __future__ import annotations

from collections.abc import Iterable

from .agents import fold_agent
from .approvals import Approval, approval_of
from .facts import Facts
from .pipeline import PIPELINE_FOLDS, PipelineTables, fold_heartbeat
from .rollups import Admit, Rollups
from .rows import Contributions, difference, least, most, numbers
from .tasks import fold_action, fold_task

__all__ = ["Changes", "Scope", "corrections"]

Scope = tuple[str, str, str]
"""World, task id and run id."""

_PROJECT = numbers("projects")
_TASK_EDGES = ("task_started", "task_completed", "task_failed")


class Changes:
    """Collects contributions of events; the order of `fold` calls does not matter.

    Args:
        admit: caps the number of names that rollups tell apart.
    """

    def __init__(self, admit: Admit) -> None:
        self.agents = Contributions("agents")
        self.tasks = Contributions("tasks")
        self.actions = Contributions("actions")
        self.projects = Contributions("projects")
        self.rollups = Rollups(admit)
        self.approvals: list[Approval] = []
        self.edges: set[Scope] = set()
        """Runs that started, ended, asked or were answered: their open approvals must be found again."""
        names = ("issues", "todos", "snapshots", "plans", "plan_steps")
        self.pipeline: PipelineTables = {name: Contributions(name) for name in names}

    def fold(self, world: str, facts: Facts, *, rolled: bool = True) -> None:
        """Fold one event that was not stored before.

        Args:
            world: live or test.
            facts: the event.
            rolled: whether it goes into rollups; no when they still hold it from before a rebuild.
        """
        event = facts.event
        fold_agent(self.agents, world, facts)
        fold_task(self.tasks, world, facts)
        fold_action(self.actions, world, facts)
        if rolled:
            self.rollups.fold(world, facts)
        if event.event_type == "heartbeat":
            fold_heartbeat(self.pipeline, world, facts)
            return
        if event.project:
            row = self.projects.at((world, event.project))
            least(row, _PROJECT["first_us"], event.ts_us)
            most(row, _PROJECT["last_us"], event.ts_us)
        if event.kind is not None and event.event_type == "custom" and event.kind in PIPELINE_FOLDS:
            PIPELINE_FOLDS[event.kind](self.pipeline, world, facts)
        self._fold_approval(world, facts)

    def _fold_approval(self, world: str, facts: Facts) -> None:
        event = facts.event
        approval = approval_of(world, facts)
        if approval is not None:
            self.approvals.append(approval)
            self.edges.add((world, event.task_id, event.run_id))
        elif event.task_id and event.event_type in _TASK_EDGES:
            self.edges.add((world, event.task_id, event.run_id))

    def tables(self) -> list[Contributions]:
        """Return the contributions to every table that is merged by upserts."""
        own = [self.agents, self.tasks, self.actions, self.projects]
        return [*own, *self.pipeline.values(), *self.rollups.tables()]


def corrections(
    calls: Iterable[tuple[str, Facts, Facts]], admit: Admit, *, tasks: bool = True
) -> list[Contributions]:
    """Return what to add to tables in which LLM calls were folded with other estimates.

    Args:
        calls: world of each, what was folded of it, and what should have been.
        admit: caps the number of names that rollups tell apart.
        tasks: whether its task has it, too; else only the rollups.
    """
    both = Changes(admit), Changes(admit)
    for world, *versions in calls:
        for changes, facts in zip(both, versions, strict=True):
            changes.rollups.fold(world, facts)
            if tasks:
                fold_task(changes.tasks, world, facts)
    before, after = ([changes.tasks, *changes.rollups.tables()] for changes in both)
    return [difference(*pair) for pair in zip(before, after, strict=True)]
