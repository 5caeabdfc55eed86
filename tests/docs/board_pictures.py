"""The pictures of the board in the docs: a made-up fleet of an hour, looked at in both themes.

    python -m tests.docs.board_pictures [FOLDER]

Writes ``board-fleet.png``, ``board-task.png`` and both with ``-dark`` into docs/assets, or the folder given.
"""

from __future__ import annotations

import random
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from tests.board.browser.conftest import Board
from tests.docs.camera import report, take

__all__ = ["main"]

Event = dict[str, Any]


class Job(NamedTuple):
    """What an agent does all the time."""

    agent: str
    type: str
    project: str
    task: str
    actions: tuple[str, ...]
    model: str
    fails: float = 0.0


JOBS = (
    Job("lead-qualifier", "sales", "crm", "lead", ("read_lead", "crm_search", "draft_reply"), "gpt-4o", 0.12),
    Job("support-triage", "support", "helpdesk", "ticket", ("read_ticket", "find_similar"), "gpt-4o-mini"),
    Job("report-writer", "reporting", "finance", "report", ("collect", "summarise"), "claude-sonnet-4-5"),
    Job("invoice-checker", "finance", "finance", "invoice", ("read_pdf", "match_order"), "gpt-4o-mini", 0.05),
    Job("translator", "content", "website", "page", ("fetch_page", "check_terms"), "gemini-2.5-pro"),
)
_OUTSIDE = ("event_id", "timestamp", "event_type", "payload")
"""Fields of an event outside any task."""
PRICES = {"gpt-4o": 9e-6, "gpt-4o-mini": 5e-7, "claude-sonnet-4-5": 8e-6, "gemini-2.5-pro": 4e-6}


class Teller:
    """One agent that tells of a run, at times of its own."""

    def __init__(self, job: Job, number: int, start: datetime) -> None:
        self.job, self.now, self.start = job, start, start
        self.events: list[Event] = []
        task = f"{job.task}-{number}"
        self._run = {"task_id": task, "task_run_id": task, "task_type": job.task, "project_id": job.project}

    def tell(self, kind: str, seconds: float = 0.0, **more: Any) -> None:
        """Let some seconds pass, and tell of something."""
        self.now += timedelta(seconds=seconds)
        common = {"event_id": str(uuid.uuid4()), "timestamp": self.now.isoformat(), "event_type": kind}
        self.events.append({**common, **self._run, **more})

    def say(
        self, kind: str, summary: str, seconds: float = 0.0, action_id: str | None = None, **data: Any
    ) -> None:
        """Tell of something that has a kind."""
        payload = {"kind": kind, "summary": summary, "data": data}
        duration = data.get("duration_ms")
        self.tell("custom", seconds, payload=payload, action_id=action_id, duration_ms=duration)

    def call(
        self, name: str, seconds: float, tokens: tuple[int, int], inside: str | None = None, **more: Any
    ) -> None:
        """Ask the model."""
        model = self.job.model
        cost = round((tokens[0] + 4 * tokens[1]) * PRICES[model], 5)
        told = {"name": name, "model": model, "tokens_in": tokens[0], "tokens_out": tokens[1], "cost": cost}
        self.say(
            "llm_call",
            f"{name} → {model}",
            seconds,
            inside,
            duration_ms=round(seconds * 1000),
            **told,
            **more,
        )

    def act(
        self, name: str, seconds: float, inside: str | None = None, error: str = "", **payload: Any
    ) -> str:
        """Do something, which fails when there is an error; return its id."""
        identity = {"action_id": str(uuid.uuid4()), "parent_action_id": inside}
        self.tell("action_started", payload={"action_name": name}, **identity)
        told = {"action_name": name, **payload}
        if error:
            kind, _, message = error.partition(": ")
            told |= {"exception_type": kind, "exception_message": message}
        ending, status = ("action_failed", "failure") if error else ("action_completed", "success")
        self.tell(ending, seconds, status=status, duration_ms=round(seconds * 1000), payload=told, **identity)
        return identity["action_id"] or ""

    def end(self, error: str = "", seconds: float = 0.05) -> None:
        """End the run."""
        kind, _, message = error.partition(": ")
        payload = {"summary": f"Task {self._run['task_id']} {'failed' if error else 'completed'}"}
        payload |= {"exception_type": kind, "exception_message": message} if error else {}
        took = round((self.now - self.start).total_seconds() * 1000 + seconds * 1000)
        self.tell("task_failed" if error else "task_completed", seconds, duration_ms=took, payload=payload)


def _runs(now: datetime) -> Iterator[Teller]:
    """An hour of everyday work."""
    chance = random.Random(7)
    for job in JOBS:
        at, number = now - timedelta(minutes=58), chance.randrange(4000, 5000)
        while at < now - timedelta(seconds=20):
            teller = Teller(job, number, at)
            teller.tell("task_started", payload={})
            for name in job.actions:
                teller.act(name, chance.uniform(0.2, 2.5))
            teller.call(
                "decide", chance.uniform(0.8, 4), (chance.randrange(600, 4000), chance.randrange(60, 700))
            )
            teller.end("TimeoutError: no answer within 30 s" if chance.random() < job.fails else "")
            yield teller
            at, number = at + timedelta(seconds=chance.uniform(50, 260)), number + 1


def _failed(now: datetime) -> Teller:
    """The run that the picture of a task shows: it worked on, retried, and failed."""
    teller = Teller(JOBS[0], 4822, now - timedelta(seconds=75))
    teller.tell("task_started", payload={"summary": "Task lead-4822 started"})
    steps = [
        {"index": at, "description": told}
        for at, told in enumerate(("Read the lead", "Look it up", "Draft", "Send"))
    ]
    teller.say("plan_created", "Answer the lead", goal="Answer the lead", steps=steps, revision=0)
    teller.say("plan_step", "Step 0 started: Read the lead", step_index=0, total_steps=4, action="started")
    outer = str(uuid.uuid4())
    teller.tell("action_started", 0.1, action_id=outer, payload={"action_name": "read_lead"})
    teller.call(
        "understand",
        1.9,
        (1240, 210),
        outer,
        prompt_preview="What does this lead want?",
        response_preview='{"intent": "pricing", "urgency": "high"}',
    )
    for page in range(4):
        teller.act(
            "crm_search", 0.55, outer, args={"query": "Ana Lind", "page": page}, result=f"{3 - page} hits"
        )
    teller.tell(
        "action_completed",
        0.05,
        action_id=outer,
        status="success",
        duration_ms=4200,
        payload={"action_name": "read_lead"},
    )
    teller.say(
        "plan_step", "Step 0 completed: Read the lead", step_index=0, total_steps=4, action="completed"
    )
    teller.say("plan_step", "Step 1 completed: Look it up", step_index=1, total_steps=4, action="completed")
    teller.call(
        "draft_reply", 3.4, (2310, 640), prompt_preview="Write the reply.", response_preview="Dear Ana, …"
    )
    teller.tell(
        "approval_requested",
        0.1,
        payload={"summary": "Offer 20 % discount?", "data": {"approver": "sales-lead"}},
    )
    teller.tell(
        "approval_received",
        3.1,
        payload={"summary": "Offer 20 % discount?", "data": {"approved_by": "mia", "decision": "approved"}},
    )
    teller.say("plan_step", "Step 2 completed: Draft", step_index=2, total_steps=4, action="completed")
    teller.act(
        "crm_update",
        2.2,
        error="ConnectionError: crm.example.com refused the connection",
        args={"lead": 4822, "discount": 20},
    )
    teller.tell(
        "retry_started",
        0.1,
        payload={"summary": "CRM refused the connection", "data": {"attempt": 1, "backoff_seconds": 1}},
    )
    teller.act(
        "crm_update",
        4.0,
        error="TimeoutError: crm.example.com did not answer within 4 s",
        args={"lead": 4822, "discount": 20},
    )
    teller.say("plan_step", "Step 3 failed: Send", step_index=3, total_steps=4, action="failed")
    teller.end("TimeoutError: crm.example.com did not answer within 4 s")
    return teller


def _open(now: datetime) -> Iterator[Teller]:
    """Runs that are under way: one waits for somebody, one works, one is stuck."""
    waiting = Teller(JOBS[1], 991, now - timedelta(seconds=190))
    waiting.tell("task_started", payload={})
    waiting.tell(
        "approval_requested", 2, payload={"summary": "Refund of $120?", "data": {"approver": "support-lead"}}
    )
    yield waiting
    working = Teller(JOBS[2], 77, now - timedelta(seconds=48))
    working.tell("task_started", payload={})
    working.act("collect", 9)
    working.tell("action_started", 4, action_id="summarise", payload={"action_name": "summarise"})
    yield working
    stuck = Teller(
        Job("mail-sorter", "inbox", "helpdesk", "inbox", (), "gpt-4o-mini"), 12, now - timedelta(seconds=610)
    )
    stuck.tell("agent_registered", payload={"kind": "agent_registered", "data": {"stuck_threshold": 120}})
    stuck.tell("task_started", payload={})
    stuck.tell("action_started", 3, action_id="fetch", payload={"action_name": "fetch_mail"})
    yield stuck


def _beats(now: datetime) -> list[Event]:
    """Heartbeats of the last hour."""
    times = (now - timedelta(seconds=30 * ago) for ago in range(118))
    return [
        {"event_id": str(uuid.uuid4()), "timestamp": at.isoformat(), "event_type": "heartbeat"}
        for at in times
    ]


def _send(board: Board, job: Job, events: list[Event]) -> None:
    report(board, {"agent_id": job.agent, "agent_type": job.type, "framework": "langgraph"}, events)


def _fill(board: Board, now: datetime) -> None:
    """Report everything in the order in which it happened."""
    told = [(job, event) for job in JOBS for event in (*_beats(now), *_troubles(job, now))]
    told += [(one.job, event) for one in (*_runs(now), _failed(now), *_open(now)) for event in one.events]
    told.sort(key=lambda one: str(one[1]["timestamp"]))
    for job, group in groupby(told, key=lambda one: one[0]):
        _send(board, job, [event for _, event in group])


def _troubles(job: Job, now: datetime) -> list[Event]:
    """A queue and an issue of one of them."""
    if job.agent != "invoice-checker":
        return []
    teller = Teller(job, 0, now - timedelta(seconds=25))
    teller.say("issue", "Bank API rate limit reached", severity="high", issue_id="rate", action="reported")
    teller.say("queue_snapshot", "Queue: 8 items", depth=8, oldest_age_seconds=140, items=[])
    return [{name: event[name] for name in _OUTSIDE} for event in teller.events]


def main() -> int:
    """Take the pictures."""
    pages = {"fleet": "/", "task": "/task?id=lead-4822"}
    return take(_fill, pages, {"light": "", "dark": "-dark"})


if __name__ == "__main__":
    sys.exit(main())
