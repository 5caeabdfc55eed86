"""Pictures of the agent, pipeline, costs and insights pages: a made-up week of a small company's agents.

    python -m tests.docs.board_week [FOLDER]

Writes ``board-agent-light.png`` and so on, both themes of each page, into docs/assets, or the folder given.
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

__all__ = ["main", "week"]

PAGES = {
    "agent": "/agent?id=lead-qualifier&range=7d",
    "pipeline": "/pipeline",
    "costs": "/costs?range=7d",
    "insights": "/insights?range=7d",
}
HOURS = 7 * 24
LATE = timedelta(hours=2)
"""What is younger is reported in the order in which it happened, so that the stream shows it so."""
Event = dict[str, Any]


class Agent(NamedTuple):
    """Who works, and how."""

    name: str
    type: str
    project: str
    model: str
    steps: tuple[str, ...]
    per_hour: float
    fails: float


AGENTS = (
    Agent("lead-qualifier", "sales", "sales", "gpt-4o", ("read_lead", "crm_search", "draft_reply"), 3, 0.05),
    Agent("refund-desk", "support", "support", "claude-sonnet-4-5", ("read_ticket", "check_policy"), 4, 0.04),
    Agent("ticket-triage", "support", "support", "gpt-4o-mini", ("read_ticket", "classify"), 6, 0.02),
    Agent(
        "report-writer", "analytics", "reporting", "claude-opus-4-1", ("run_query", "summarise"), 0.6, 0.08
    ),
    Agent("invoice-reader", "finance", "finance", "gemini-2.5-flash", ("read_page", "post_ledger"), 2, 0.14),
)
_PRICES = {
    "gpt-4o": (2.5, 10.0),
    "claude-sonnet-4-5": (3.0, 15.0),
    "gpt-4o-mini": (0.15, 0.6),
    "claude-opus-4-1": (15.0, 75.0),
}
"""Of the models whose cost is reported; that of the others is estimated by the board."""
_NIGHT, _DAY = 0.3, 1.4
_CUT = {"report-writer": 0.06}
"""How often an answer is cut off, where that is more than seldom."""


class Teller:
    """One agent that tells of its week."""

    def __init__(self, agent: Agent, now: datetime, seed: int) -> None:
        self.agent, self.now = agent, now
        self.chance = random.Random(seed)
        self.number = 4000 + self.chance.randrange(500)
        self.events: list[Event] = []

    def ago(self, **ago: float) -> datetime:
        """A time before now."""
        return self.now - timedelta(**ago)

    def tell(self, at: datetime, kind: str, **more: Any) -> None:
        """Tell of something, unless it is yet to come."""
        if at <= self.now:
            made = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
            common = {"event_id": made, "timestamp": at.isoformat(), "event_type": kind}
            self.events.append({**common, "project_id": self.agent.project, **more})

    def say(self, at: datetime, kind: str, summary: str, data: Event, **more: Any) -> None:
        """Tell of something that has a kind."""
        self.tell(at, "custom", payload={"kind": kind, "summary": summary, "data": data}, **more)

    def live(self) -> None:
        """Starts, stops and configurations of the week, and the heartbeats of the last hour."""
        config: Event = {"model": self.agent.model, "temperature": 0.2, "prompt_version": 12, "max_turns": 12}
        changes: tuple[tuple[float, Event], ...] = (
            (HOURS, {}),
            (4.6 * 24, {"prompt_version": 13}),
            (1.9 * 24, {"prompt_version": 14, "temperature": 0.0, "max_turns": 8}),
        )
        for hours, change in changes:
            at, config = self.ago(hours=hours), {**config, **change}
            if change:
                stopped = {"event": "agent_stopped"}
                self.say(at - timedelta(seconds=40), "runtime", "Stopped for a release", stopped)
            started = {"summary": f"{self.agent.name} registered", "data": {"stuck_threshold": 1800}}
            self.tell(at, "agent_registered", payload=started)
            self.say(at, "config_snapshot", f"Prompt {config['prompt_version']}", config)
        for beat in range(118, -1, -1):
            told = {"model": self.agent.model, "cost_since_boot": 4.2, "consecutive_failures": 0}
            self.tell(self.ago(seconds=30 * beat + 2), "heartbeat", payload=told)

    def work(self) -> None:
        """A week of tasks: more by day than by night, and more from day to day."""
        for hour in range(HOURS):
            at = self.ago(hours=HOURS - hour)
            share = self.agent.per_hour * (_DAY if 7 <= at.hour < 19 else _NIGHT) * (1 + hour / HOURS)
            for _ in range(int(share) + (self.chance.random() < share % 1)):
                self.run(at + timedelta(seconds=self.chance.randrange(3000)))

    def run(self, at: datetime) -> None:
        """One task, which fails now and then in its last action."""
        self.number += 1
        name = f"{self.agent.type}-{self.number}"
        task = {"task_id": name, "task_run_id": name, "task_type": self.agent.type}
        fails, began = self.chance.random() < self.agent.fails, at
        self.tell(at, "task_started", **task, payload={"summary": f"Task {name} started"})
        turns = len(self.agent.steps) + self.chance.randrange(4)
        for turn in range(1, turns + 1):
            at = self.act(at, turn, fails and turn == turns, task)
        self.learn(at, task)
        took = round((at - began).total_seconds() * 1000)
        ending = {"exception_type": "TimeoutError", "exception_message": "no answer within 30 s"}
        kind, payload = ("task_failed", ending) if fails else ("task_completed", {})
        self.tell(at, kind, **task, duration_ms=took, payload=payload)

    def act(self, at: datetime, turn: int, fails: bool, task: Event) -> datetime:
        """An action with a call of the model in it; return when it ended."""
        name = self.agent.steps[(turn - 1) % len(self.agent.steps)]
        took = self.chance.lognormvariate(7.4, 0.6)
        ended = at + timedelta(milliseconds=took)
        ids = {**task, "action_id": f"{self.number}-{turn}"}
        self.tell(at, "action_started", **ids, payload={"action_name": name})
        self.call(at + timedelta(milliseconds=took * 0.9), name, turn, took * 0.8, ids)
        if not fails:
            done = {"status": "success", "duration_ms": round(took), "payload": {"action_name": name}}
            self.tell(ended, "action_completed", **ids, **done)
            return ended
        error = {"exception_type": "TimeoutError", "exception_message": "no answer within 30 s"}
        failed = {"status": "failure", "duration_ms": round(took), "payload": {"action_name": name, **error}}
        self.tell(ended, "action_failed", **ids, **failed)
        retry = {"attempt": 1, "reason": "timed out", "backoff_seconds": 2}
        self.tell(ended, "retry_started", **task, payload={"summary": f"{name} timed out", "data": retry})
        context = {"error_type": "timeout", "api_name": name.partition("_")[2], "status_code": 504}
        self.say(ended, "error_context", f"{name} timed out", context, **task)
        return ended

    def call(self, at: datetime, name: str, turn: int, took: float, ids: Event) -> None:
        """A call of the model, with what providers tell of it."""
        chance, model = self.chance, self.agent.model
        prompt = {
            "system_prompt_tokens": 900,
            "history_tokens": turn * chance.randrange(300, 700),
            "tool_results_tokens": chance.randrange(200, 900) if turn > 1 else 0,
        }
        given, written = sum(prompt.values()), chance.randrange(80, 700)
        is_cut = chance.random() < _CUT.get(self.agent.name, 0.01)
        metadata = {
            **prompt,
            "turn_number": turn,
            "stop_reason": "max_tokens" if is_cut else chance.choice(("end_turn", "tool_use")),
            "cache_read_input_tokens": round(given * chance.uniform(0.3, 0.8)),
            "cache_creation_input_tokens": round(given * 0.1),
            "context_utilization_pct": round(min(97.0, max(5.0, chance.gauss(35, 16) + turn * 3))),
        }
        told: Event = {"name": name, "model": model, "tokens_in": given, "tokens_out": written}
        told |= {"duration_ms": round(took), "metadata": metadata}
        if model in _PRICES:
            paid = _PRICES[model]
            told["cost"] = round((given * paid[0] + written * paid[1]) / 1e6, 6)
        self.say(at, "llm_call", f"{name} → {model}", told, **ids)
        if turn <= 5 and self.number % 20 == 0:
            self.say(at, "prompt_composition", f"Turn {turn}", {"turn_number": turn, **prompt}, **ids)

    def learn(self, at: datetime, task: Event) -> None:
        """What goes on now and then besides the work."""
        if self.chance.random() < 0.02:
            anomaly = {"detector": self.chance.choice(("cycle", "contradiction"))}
            self.say(at, "anomaly", "The same search for the third time", anomaly, severity="warn", **task)
        if self.chance.random() < 0.12:
            category = self.chance.choice(("field mapping", "tone", "tool choice"))
            lesson = {"category": category, "correction_applied": self.chance.random() < 0.8}
            self.say(at, "learning", "Used the wrong field and put it right", lesson, **task)
        if self.chance.random() < 0.03:
            sizes = {"tokens_before": 92_000, "tokens_after": 31_000}
            self.say(at, "context_compaction", "History was summed up", sizes, **task)

    # -- what waits now -----------------------------------------------------------------------

    def begin(self, task_id: str, action: str, **ago: float) -> Event:
        """A task that is under way."""
        task = {"task_id": task_id, "task_run_id": task_id, "task_type": self.agent.type}
        self.tell(self.ago(**ago), "task_started", **task, payload={"summary": f"Task {task_id} started"})
        named = {"action_name": action}
        self.tell(self.ago(**ago), "action_started", **task, action_id=f"{task_id}-1", payload=named)
        return task

    def ask(self, task_id: str, summary: str, approver: str, reason: str, minutes: float) -> None:
        """A task that waits for somebody."""
        task = self.begin(task_id, "ask", minutes=minutes + 1)
        payload = {"summary": summary, "data": {"approver": approver, "reason": reason}}
        self.tell(self.ago(minutes=minutes), "approval_requested", **task, payload=payload)

    def report(self, summary: str, severity: str, category: str, times: int, minutes: float) -> None:
        """An issue that was seen so often, last so many minutes ago."""
        name = "-".join(summary.lower().split()[:2])
        data = {"severity": severity, "issue_id": name, "category": category, "action": "reported"}
        for number in range(times):
            self.say(self.ago(minutes=minutes + 37 * (times - number - 1)), "issue", summary, data)

    def put_off(self, summary: str, priority: str, due_hours: float, hours: float) -> None:
        """Something to do, due in so many hours."""
        due = (self.now + timedelta(hours=due_hours)).isoformat()
        data = {"todo_id": summary, "action": "created", "priority": priority, "due_by": due}
        self.say(self.ago(hours=hours), "todo", summary, data)

    def queue(self, depth: int, oldest: float, *summaries: str) -> None:
        """What waits in the queue."""
        items = [
            {"id": f"item-{place}", "summary": summary, "priority": "normal" if place else "high"}
            for place, summary in enumerate(summaries)
        ]
        data = {"depth": depth, "oldest_age_seconds": oldest, "items": items}
        self.say(self.ago(seconds=3), "queue_snapshot", f"{depth} waiting", data)

    def schedule(self, *jobs: tuple[str, str, float, float, str]) -> None:
        """Jobs: name, interval, hours until the next run, hours since the last one and how that ended."""
        items = [
            {
                "id": name,
                "name": name,
                "interval": interval,
                "next_run": (self.now + timedelta(hours=due)).isoformat(),
                "last_run": self.ago(hours=last).isoformat(),
                "last_status": status,
            }
            for name, interval, due, last, status in jobs
        ]
        self.say(self.ago(seconds=5), "scheduled", f"{len(items)} jobs", {"items": items})

    def wait(self) -> None:
        """What waits at this agent now."""
        match self.agent.name:
            case "lead-qualifier":
                self.begin("sales-5121", "crm_search", seconds=14)
                self.report("CRM answers 429", "high", "rate limit", 9, 6)
                self.report("Lead without an e-mail address", "low", "data", 3, 52)
                self.put_off("Retry the CRM update of lead 4822", "high", -1.2, 3)
                self.queue(8, 260, "Enterprise trial, 400 seats", "Pricing question", "Webinar sign-up")
            case "refund-desk":
                self.ask(
                    "support-7718", "Refund of $420 for a late delivery?", "support-lead", "over $100", 34
                )
                self.ask("support-7731", "Refund of $129 for a broken cup?", "support-lead", "over $100", 6)
                self.report("Two refunds for one order", "critical", "correctness", 1, 18)
                self.put_off("Tell the customer of order 99182 about the delay", "normal", 4.2, 1)
                self.queue(3, 75, "Order 99210 arrived broken", "Double charge")
            case "ticket-triage":
                self.begin("support-9044", "classify", seconds=5)
                self.report("Unknown language in ticket", "medium", "data", 4, 125)
            case "report-writer":
                daily = ("Daily revenue report", "every day", 9.1, 15.0, "success")
                self.schedule(daily, ("Weekly churn report", "every week", -0.8, 168.0, "failed"))
            case _:
                self.ask("finance-2290", "Post an invoice of $18,400?", "finance-team", "new supplier", 20)
                self.queue(14, 1900, "Invoice ACME 2209", "Invoice Initech 771")
                self.schedule(("Mailbox poll", "every 10 min", 0.07, 0.1, "success"))


def week(now: datetime, seed: int = 7) -> Iterator[tuple[Agent, list[Event]]]:
    """Yield each agent with what it told in the week before `now`."""
    for place, agent in enumerate(AGENTS):
        teller = Teller(agent, now, seed * 100 + place)
        teller.live()
        teller.work()
        teller.wait()
        yield agent, teller.events


def _send(board: Board, agent: Agent, events: list[Event]) -> None:
    envelope = {"agent_id": agent.name, "agent_type": agent.type, "agent_version": "2.3.1"}
    envelope |= {"framework": "langgraph", "runtime": "python 3.12", "sdk_version": "hiveloop 0.3.0"}
    report(board, envelope, events)


def _fill(board: Board, now: datetime) -> None:
    late = (now - LATE).isoformat()
    fresh: list[tuple[Agent, Event]] = []
    for agent, events in week(now):
        _send(board, agent, [event for event in events if event["timestamp"] < late])
        fresh += [(agent, event) for event in events if event["timestamp"] >= late]
    fresh.sort(key=lambda one: str(one[1]["timestamp"]))
    for agent, group in groupby(fresh, key=lambda one: one[0]):
        _send(board, agent, [event for _, event in group])


def main() -> int:
    """Take the pictures."""
    return take(_fill, PAGES, {"light": "-light", "dark": "-dark"})


if __name__ == "__main__":
    sys.exit(main())
