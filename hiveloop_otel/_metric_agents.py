"""The gauges that tell how agents are: status, heartbeat, queue, and the numbers of their own."""

from __future__ import annotations

import math
from typing import Any

from opentelemetry.metrics import Meter, MeterProvider, Observation

from hiveloop._guard import notice
from hiveloop._shape import LARGEST, SMALLEST, is_dict, is_list
from hiveloop.events import AgentInfo, Event

from . import semconv as names
from ._content import payload_of
from ._gauges import gauges_of
from ._metric_state import AgentState, Words
from ._values import clean_key

__all__ = ["IDLE_TIME", "OPEN_ACTION_AGE", "AgentGauges"]

IDLE_TIME = "hiveloop.agent.idle_time"
"""Seconds since the agent did anything but beat: a hung agent has a heartbeat, too."""
OPEN_ACTION_AGE = "hiveloop.agent.open_action.age"
"""Seconds since the start of the action the agent is in."""

MOST_NUMBERS = 32
"""Numbers of one agent's heartbeat payload."""
MOST_GAUGES = 256
"""Different keys of such numbers, of all agents: each is a metric."""

_INFO = (names.HIVELOOP_AGENT_VERSION, names.HIVELOOP_AGENT_FRAMEWORK)
_STATE = (names.HIVELOOP_AGENT_STATE,)

_IDLE, _PROCESSING, _WAITING, _ERROR = "idle", "processing", "waiting_approval", "error"
_STATUSES = (_IDLE, _PROCESSING, _WAITING, _ERROR)

_LASTING = (
    (names.METRIC_AGENT_INFO, "1", "Version and framework of the agent; always 1"),
    (names.METRIC_AGENT_STUCK_THRESHOLD, "s", "Silence after which the agent counts as stuck"),
)
_PRESENT = (
    (names.METRIC_AGENT_HEARTBEAT_TIME, "s", "Time of the last heartbeat, since the Unix epoch"),
    (names.METRIC_AGENT_STATUS, "1", "1 for the status the agent has, 0 for the others"),
    (IDLE_TIME, "s", "Time since the agent reported anything but a heartbeat"),
    (OPEN_ACTION_AGE, "s", "Time since the start of the action the agent is in"),
    (names.METRIC_QUEUE_DEPTH, "{item}", "Items waiting in the agent's queue"),
    (names.METRIC_QUEUE_OLDEST_AGE, "s", "Age of the oldest item waiting"),
    (names.METRIC_QUEUE_PROCESSING, "{item}", "Items being worked on"),
    (names.METRIC_SCHEDULED_ITEMS, "{item}", "Recurring work of the agent"),
)
"""These end with the agent: a finished script must not look stuck."""


class AgentGauges:
    """Shows how agents are; written on the thread that delivers."""

    def __init__(self, meter_provider: MeterProvider, meter: Meter) -> None:
        self._gauges = gauges_of(meter_provider, meter)
        for gauge in (*_LASTING, *_PRESENT):
            self._gauges.define(*gauge)
        self._of_payloads: set[str] = set()

    def renew(self) -> None:
        """Show nothing of the parent's agents, in the child of a fork."""
        self._gauges.renew()

    def show_agent(self, agent: AgentState) -> None:
        """Show who an agent is and what it is doing."""
        info = agent.info
        self._show(agent, names.METRIC_AGENT_INFO, 1, agent.ours(_INFO, info.version, info.framework))
        self._show(agent, names.METRIC_AGENT_STUCK_THRESHOLD, agent.threshold)
        self.update_status(agent)

    def hide_agent(self, agent: AgentState) -> None:
        """Show what an agent does no more; who it was stays."""
        for name, *_ in _PRESENT:
            self._gauges.hide(name, agent.agent_id)
        for name in agent.numbers:
            self._gauges.hide(name, agent.agent_id)
        agent.numbers = set()
        agent.status = None

    def update_status(self, agent: AgentState) -> None:
        """Show what the open tasks of an agent say about it; without one, how the last one ended."""
        status = _status_of(agent)
        if status == agent.status or not agent.has_gauges:
            return
        agent.status = status
        shown = (Observation(int(word == status), agent.ours(_STATE, word)) for word in _STATUSES)
        self._gauges.show(names.METRIC_AGENT_STATUS, agent.agent_id, *shown)

    def registered(self, agent: AgentState, info: AgentInfo, stuck_threshold: object) -> None:
        """Show what an agent said of itself."""
        agent.threshold = _number(stuck_threshold)
        agent.failed = False
        self._describe(agent, info)
        self.show_agent(agent)

    def beat(self, agent: AgentState, event: Event) -> None:
        """Show what a heartbeat tells."""
        self._describe(agent, event.agent)
        self._show(agent, names.METRIC_AGENT_HEARTBEAT_TIME, event.time_ns / 1e9)
        payload = payload_of(event)
        told = payload.get("hiveloop")
        progress: dict[str, Any] = told if is_dict(told) else {}
        self._show(agent, IDLE_TIME, progress.get("idle_seconds"))
        self._show(agent, OPEN_ACTION_AGE, progress.get("open_action_seconds"))
        if "queue_depth" in progress:
            self._show(agent, names.METRIC_QUEUE_DEPTH, progress["queue_depth"])
        if progress.get("callbacks") != "late":  # else the numbers of the last beat are the best known
            self._show_numbers(agent, payload)
        self.update_status(agent)

    def queue(self, agent: AgentState, data: dict[str, Any]) -> None:
        """Show the state of an agent's queue; what the snapshot leaves out is not shown any more."""
        self._show(agent, names.METRIC_QUEUE_DEPTH, data.get("depth"))
        self._show(agent, names.METRIC_QUEUE_OLDEST_AGE, data.get("oldest_age_seconds"))
        self._show(agent, names.METRIC_QUEUE_PROCESSING, _how_many(data.get("processing")))

    def scheduled(self, agent: AgentState, items: object) -> None:
        """Show how much recurring work an agent has."""
        self._show(agent, names.METRIC_SCHEDULED_ITEMS, len(items) if is_list(items) else None)

    def _describe(self, agent: AgentState, info: AgentInfo) -> None:
        """Take in metadata, only as agents themselves report them: their tasks know them as they were."""
        if agent.has_gauges and agent.describe(info):
            self.hide_agent(agent)  # all of it would still have the attributes of before
            self.show_agent(agent)

    def _show(self, agent: AgentState, gauge: str, value: object, attributes: Words | None = None) -> None:
        """Show a value on a gauge; nothing for what is no number."""
        number = _number(value)
        if number is None or not agent.has_gauges:
            self._gauges.hide(gauge, agent.agent_id)
        else:
            self._gauges.show(gauge, agent.agent_id, Observation(number, attributes or agent.ours()))

    def _show_numbers(self, agent: AgentState, payload: dict[str, Any]) -> None:
        """Show the numbers in a heartbeat's payload, and no more those that it has no more."""
        shown: set[str] = set()
        for key, value in payload.items():
            if _number(value) is None or (gauge := self._gauge_of(key)) is None:
                continue
            if len(shown) >= MOST_NUMBERS:
                notice("heartbeat numbers", "hiveloop: metrics take %s numbers of a heartbeat", MOST_NUMBERS)
                break
            self._show(agent, gauge, value)
            shown.add(gauge)
        for gauge in agent.numbers - shown:
            self._gauges.hide(gauge, agent.agent_id)
        agent.numbers = shown

    def _gauge_of(self, key: str) -> str | None:
        """Return the gauge for a key of heartbeat payloads; None when there are too many."""
        word = clean_key(key)
        gauge = f"{names.METRIC_AGENT_STATE}.{word}"
        if gauge in self._of_payloads:
            return gauge
        if len(self._of_payloads) >= MOST_GAUGES:
            notice("heartbeat keys", "hiveloop: only %s keys of heartbeats become metrics", MOST_GAUGES)
            return None
        self._of_payloads.add(gauge)
        self._gauges.define(gauge, _unit_of(word), "Number in the payload of the agent's heartbeats")
        return gauge


def _status_of(agent: AgentState) -> str:
    if agent.waiting > 0:
        return _WAITING
    if agent.open > 0:
        return _PROCESSING
    return _ERROR if agent.failed else _IDLE


def _number(value: object) -> float | None:
    """Return a value of a payload that should be a number, if it is one that can be exported."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if SMALLEST <= value <= LARGEST else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _how_many(processing: object) -> object:
    """Return how many items are worked on, of which a snapshot tells one, several, or the number."""
    if is_dict(processing):
        return int(bool(processing))
    return len(processing) if is_list(processing) else processing


def _unit_of(key: str) -> str:
    """Return the unit that the name of a number implies."""
    if key.endswith("_seconds"):
        return "s"
    if key.endswith("_usd"):
        return "{USD}"
    return "{token}" if "tokens" in key else "1"
