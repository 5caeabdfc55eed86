"""Smart detectors: each looks at the same window, and says so when it has too little to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ._values import rounded

__all__ = ["Facts", "detect", "health"]


class Facts(NamedTuple):
    """What detectors look at; everything from one window.

    Attributes:
        costs: dollars of each interval, the latest last.
        ended: tasks that ended in each interval.
        failed: of these the failed ones.
        agents: how many agents there are.
        stuck: how many are stuck.
        errors: how many are in error.
        idle_with_queue: how many are idle although their queue is not empty.
        tokens_in: input tokens.
        tokens_out: output tokens.
        model_costs: dollars of each model.
        calls: LLM calls.
        stop_calls: calls that tell why they stopped.
        truncated: of these stopped by the length limit.
        prompt_parts: tokens of system prompt, history and tool results.
        prompt_calls: calls that tell them.
        actions: ended and failed actions by name.
        approval_ages: seconds that open approvals have waited.
        issues: open issues.
        anomalies: anomalies that agents reported.
    """

    costs: Sequence[float]
    ended: Sequence[int]
    failed: Sequence[int]
    agents: int
    stuck: int
    errors: int
    idle_with_queue: int
    tokens_in: int
    tokens_out: int
    model_costs: Sequence[float]
    calls: int
    stop_calls: int
    truncated: int
    prompt_parts: Sequence[int]
    prompt_calls: int
    actions: Sequence[tuple[str, int, int]]
    approval_ages: Sequence[float]
    issues: int
    anomalies: int


class _Finding(NamedTuple):
    """What a detector measured, and the values from which it warns and alarms."""

    value: float | None
    warn: float
    alert: float
    sample: int
    minimum: int
    message: str
    unit: str = ""
    subject: str | None = None

    def to_json(self, name: str) -> dict[str, Any]:
        enough = self.sample >= self.minimum and self.value is not None
        state = _state(self.value or 0, self.warn, self.alert) if enough else "not_enough_data"
        return {
            "detector": name,
            "state": state,
            "message": self.message if enough else "not enough data",
            "value": rounded(self.value, 2) if enough else None,
            "unit": self.unit,
            "subject": self.subject if enough else None,
            "warn_at": self.warn,
            "alert_at": self.alert,
            "sample": self.sample,
            "minimum": self.minimum,
        }


def _state(value: float, warn: float, alert: float) -> str:
    return "alert" if value >= alert else "warn" if value >= warn else "ok"


def detect(facts: Facts) -> list[dict[str, Any]]:
    """Return what every detector says, the worst first."""
    found = [detector(facts).to_json(name) for name, detector in _DETECTORS.items()]
    order = ("alert", "warn", "ok", "not_enough_data")
    return sorted(found, key=lambda one: order.index(one["state"]))


def _cost_spike(facts: Facts) -> _Finding:
    *before, last = facts.costs or [0.0]
    spent = [cost for cost in before if cost > 0]
    mean = sum(spent) / len(spent) if spent else None
    times = None if mean is None else last / mean
    return _Finding(times, 2, 3, len(spent), 5, "cost of the latest interval against the mean before", "x")


def _error_burst(facts: Facts) -> _Finding:
    failures, ended = sum(facts.failed[-3:]), sum(facts.ended[-3:])
    return _Finding(failures, 3, 5, ended, 5, "tasks that failed in the last three intervals", "tasks")


def _stuck_fleet(facts: Facts) -> _Finding:
    share = facts.stuck / facts.agents * 100 if facts.agents else None
    return _Finding(share, 0.01, 34, facts.agents, 1, "agents that are stuck", "%")


def _token_waste(facts: Facts) -> _Finding:
    times = facts.tokens_in / facts.tokens_out if facts.tokens_out else None
    return _Finding(times, 10, 20, facts.calls, 20, "input tokens for each output token", "x")


def _throughput_drop(facts: Facts) -> _Finding:
    before = facts.ended[:-1]  # the latest interval is not over, so the one before it is compared
    earlier, last = list(before[:-1]), before[-1] if before else 0
    mean = sum(earlier) / len(earlier) if earlier else 0
    drop = max(0.0, (1 - last / mean) * 100) if mean else None
    return _Finding(drop, 25, 50, sum(earlier), 20, "fewer tasks ended than on average before", "%")


def _model_imbalance(facts: Facts) -> _Finding:
    total = sum(facts.model_costs)
    share = max(facts.model_costs) / total * 100 if total and len(facts.model_costs) > 1 else None
    return _Finding(share, 90, 101, facts.calls, 20, "of all cost is spent on one model", "%")


def _truncation(facts: Facts) -> _Finding:
    share = facts.truncated / facts.stop_calls * 100 if facts.stop_calls else None
    return _Finding(share, 2, 10, facts.stop_calls, 20, "calls were cut off by the length limit", "%")


def _prompt_bloat(facts: Facts) -> _Finding:
    total = sum(facts.prompt_parts)
    names = ("system prompt", "history", "tool results")
    largest = max(zip(facts.prompt_parts, names, strict=True))
    share = largest[0] / total * 100 if total else None
    message = "of the prompt is one component"
    return _Finding(share, 60, 80, facts.prompt_calls, 10, message, "%", largest[1])


def _failing_action(facts: Facts) -> _Finding:
    often = [(failed / ended * 100, name, ended) for name, ended, failed in facts.actions if ended >= 5]
    share, name, ended = max(often, default=(None, None, 0))
    return _Finding(share, 20, 50, ended, 5, "of one action's runs fail", "%", name)


def _silent_queue(facts: Facts) -> _Finding:
    message = "agents are idle although work waits in their queue"
    return _Finding(facts.idle_with_queue, 1, 3, facts.agents, 1, message, "agents")


def _approval_backlog(facts: Facts) -> _Finding:
    oldest = max(facts.approval_ages, default=0) / 60
    return _Finding(oldest, 15, 60, facts.agents, 1, "the oldest approval waits", "min")


def _reported_anomalies(facts: Facts) -> _Finding:
    message = "anomalies that agents reported"
    return _Finding(facts.anomalies, 1, 10, facts.agents, 1, message, "events")


_DETECTORS = {
    "cost_spike": _cost_spike,
    "error_burst": _error_burst,
    "stuck_fleet": _stuck_fleet,
    "token_waste": _token_waste,
    "throughput_drop": _throughput_drop,
    "model_imbalance": _model_imbalance,
    "truncation": _truncation,
    "prompt_bloat": _prompt_bloat,
    "failing_action": _failing_action,
    "silent_queue": _silent_queue,
    "approval_backlog": _approval_backlog,
    "reported_anomalies": _reported_anomalies,
}


def health(facts: Facts) -> dict[str, Any]:
    """Return the fleet's health from 0 to 100, with what it lost points for."""
    ended, failed = sum(facts.ended), sum(facts.failed)
    rate = (ended - failed) / ended * 100 if ended else None
    losses = {
        "no_agents": 0 if facts.agents else 50,
        "stuck": 15 * facts.stuck,
        "errors": 10 * facts.errors,
        "success_rate": 0 if rate is None else max(0.0, 0.5 * (90 - rate)),
        "issues": min(20, 5 * facts.issues),
    }
    score = max(0.0, 100 - sum(losses.values()))
    return {"score": rounded(score, 1), "losses": {name: rounded(loss, 1) for name, loss in losses.items()}}
