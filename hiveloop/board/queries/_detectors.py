"""Smart detectors: each looks at the same window, and says so when it has too little to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ._values import rounded

__all__ = ["Facts", "detect", "health"]


class Facts(NamedTuple):
    """What detectors look at; everything from one window.

    Attributes:
        interval: how long one interval is, such as "1h".
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

    interval: str
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
    """What a detector measured, and the values from which it warns and alarms.

    Attributes:
        counted: what the sample counts, in the plural.
        message: one sentence that says what, how much, and since when.
    """

    value: float | None
    warn: float
    alert: float
    sample: int
    minimum: int
    counted: str
    message: str
    unit: str = ""
    subject: str | None = None

    def to_json(self, name: str) -> dict[str, Any]:
        enough = self.sample >= self.minimum and self.value is not None
        state = _state(self.value or 0, self.warn, self.alert) if enough else "not_enough_data"
        return {
            "detector": name,
            "state": state,
            "message": self.message if enough else self._too_few(),
            "value": rounded(self.value, 2) if enough else None,
            "unit": self.unit,
            "subject": self.subject if enough else None,
            "warn_at": self.warn,
            "alert_at": self.alert,
            "sample": self.sample,
            "minimum": self.minimum,
        }

    def _too_few(self) -> str:
        if self.sample >= self.minimum:
            return "Not enough data: there is nothing to compare with."
        return f"Not enough data: {self.sample:,} of {_several(self.minimum, self.counted)}."


# -- words ------------------------------------------------------------------------------------

_LASTS = {"5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "6h": "6 hours", "1d": "day"}


def _several(count: int, plural: str) -> str:
    """A number with its noun: "1 task", "2 tasks"."""
    return f"{count:,} {plural.removesuffix('s') if count == 1 else plural}"


def _figure(value: float) -> str:
    """A number as people read it: two digits after the point below ten, one below a hundred."""
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 1 else f"${value:.2g}" if value else "$0"


def _waited(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 1:
        return "less than a minute"
    return _several(minutes, "minutes") if minutes < 120 else _several(minutes // 60, "hours")


def _stretch(interval: str, times: int) -> str:
    """Several intervals as one time: "3 hours"."""
    count, unit = int(interval[:-1]), {"m": "minutes", "h": "hours", "d": "days"}[interval[-1]]
    return _several(count * times, unit)


# -- detectors --------------------------------------------------------------------------------


_BURST = 3
"""Failures that make a burst."""
_A_DAY = {"6h": 4}
"""How many intervals make a day, where a window holds several days of them."""


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
    lasts = _LASTS[facts.interval]
    message = (
        f"The latest {lasts} cost {_dollars(last)},"
        f" {_figure(times or 0)} times the average before ({_dollars(mean or 0)})."
    )
    return _Finding(times, 2, 3, len(spent), 5, "earlier intervals", message, "x")


def _error_burst(facts: Facts) -> _Finding:
    failures, ended = sum(facts.failed[-3:]), sum(facts.ended[-3:])
    share = failures / ended * 100 if ended else None
    since = _stretch(facts.interval, 3)
    message = (
        f"{failures:,} of {_several(ended, 'tasks')} failed in the last {since}, {_figure(share or 0)} %."
    )
    if failures < _BURST:  # one or two may be chance, however few tasks there were
        share = 0.0
    return _Finding(share, 10, 25, ended, 5, "tasks", message, "%")


def _stuck_fleet(facts: Facts) -> _Finding:
    share = facts.stuck / facts.agents * 100 if facts.agents else None
    verb = "is" if facts.stuck == 1 else "are"
    told = _several(facts.agents, "agents")
    message = (
        f"{facts.stuck:,} of {told} {verb} stuck now." if facts.stuck else f"None of {told} is stuck now."
    )
    return _Finding(share, 0.01, 34, facts.agents, 1, "agents", message, "%")


def _token_waste(facts: Facts) -> _Finding:
    times = facts.tokens_in / facts.tokens_out if facts.tokens_out else None
    message = f"Models read {_figure(times or 0)} tokens for each one that they wrote."
    return _Finding(times, 10, 20, facts.calls, 20, "LLM calls", message, "x")


def _throughput_drop(facts: Facts) -> _Finding:
    before = facts.ended[:-1]  # the latest interval is not over, so the one before it is compared
    step = _A_DAY.get(facts.interval, 1)  # nights are quieter than days
    earlier, last = list(before[-1 - step :: -step]), before[-1] if before else 0
    mean = sum(earlier) / len(earlier) if earlier else 0
    drop = max(0.0, (1 - last / mean) * 100) if mean else None
    how = f"{_figure(drop)} % fewer than" if drop else "no fewer than"
    when = "at this time of earlier days" if step > 1 else "before"
    message = (
        f"{_several(last, 'tasks')} ended in the last full {_LASTS[facts.interval]},"
        f" {how} on average {when} ({_figure(mean)})."
    )
    return _Finding(drop, 25, 50, sum(earlier), 20, "tasks", message, "%")


def _model_imbalance(facts: Facts) -> _Finding:
    total = sum(facts.model_costs)
    share = max(facts.model_costs) / total * 100 if total and len(facts.model_costs) > 1 else None
    models = _several(len(facts.model_costs), "models")
    message = f"{_figure(share or 0)} % of all cost goes to one of {models}."
    return _Finding(share, 90, 101, facts.calls, 20, "LLM calls", message, "%")


def _truncation(facts: Facts) -> _Finding:
    share = facts.truncated / facts.stop_calls * 100 if facts.stop_calls else None
    answers = _several(facts.stop_calls, "answers")
    verb = "was" if facts.truncated == 1 else "were"
    message = f"{facts.truncated:,} of {answers} {verb} cut off by the length limit, {_figure(share or 0)} %."
    return _Finding(share, 2, 10, facts.stop_calls, 20, "LLM calls", message, "%")


def _prompt_bloat(facts: Facts) -> _Finding:
    total = sum(facts.prompt_parts)
    names = ("system prompt", "history", "tool results")
    largest = max(zip(facts.prompt_parts, names, strict=True))
    share = largest[0] / total * 100 if total else None
    message = f"{_figure(share or 0)} % of all prompt tokens are {largest[1]}."
    return _Finding(share, 60, 80, facts.prompt_calls, 10, "LLM calls", message, "%", largest[1])


def _failing_action(facts: Facts) -> _Finding:
    often = [
        (failed / ended * 100, name, ended, failed) for name, ended, failed in facts.actions if ended >= 5
    ]
    share, name, ended, failed = max(often, default=(None, None, 0, 0))
    message = f"{name} failed {failed:,} of {_several(ended, 'times')}, {_figure(share or 0)} %."
    if not failed:
        message = "No action that ran five times or more failed."
    return _Finding(share, 20, 50, ended, 5, "runs", message, "%", name)


def _silent_queue(facts: Facts) -> _Finding:
    idle = facts.idle_with_queue
    message = f"{_several(idle, 'agents')} {'is' if idle == 1 else 'are'} idle now although work waits."
    if not idle:
        message = "No agent is idle now while work waits."
    return _Finding(idle, 1, 3, facts.agents, 1, "agents", message, "agents")


def _approval_backlog(facts: Facts) -> _Finding:
    oldest = max(facts.approval_ages, default=0)
    waiting = _several(len(facts.approval_ages), "approvals")
    message = (
        f"{waiting} open now, the oldest for {_waited(oldest)}." if oldest else "No approval is open now."
    )
    return _Finding(oldest / 60, 15, 60, facts.agents, 1, "agents", message, "min")


def _reported_anomalies(facts: Facts) -> _Finding:
    count = facts.anomalies
    message = f"Agents reported {_several(count, 'anomalies') if count != 1 else '1 anomaly'}."
    if not count:
        message = "Agents reported no anomaly."
    return _Finding(count, 1, 10, facts.agents, 1, "agents", message, "events")


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
