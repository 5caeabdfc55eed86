"""Metrics: what agents do and how they are, counted once per event, whatever becomes of the spans."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hiveloop._guard import attempt, notice
from hiveloop._version import __version__
from hiveloop.events import AgentInfo, Event, EventType

from . import semconv as names
from ._content import MappingOptions, ScopeContent, action_content, data_of, payload_of, task_content
from ._llm import LlmCall, read_llm_call
from ._metric_agents import AgentGauges
from ._metric_genai import LatestMeters, TaggedMeters, action_name_of, histogram, seconds_of, word_of
from ._metric_state import OTHER, AgentState, Begun, Key, Open, Vocabulary

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

__all__ = ["MOST_AGENTS", "Meters", "Told"]

MOST_AGENTS = 10_000
"""Agents told apart in metrics; more than that are not agents but requests."""
_LONGEST_KEY = 256

ISSUE_SEVERITY, ISSUE_CATEGORY = "hiveloop.issue.severity", "hiveloop.issue.category"
APPROVAL_DECISION = "hiveloop.approval.decision"
TODO_ACTION = "hiveloop.todo.action"
ANOMALY_DETECTOR = "hiveloop.anomaly.detector"
DROP_REASON = "hiveloop.drop.reason"

_TASK = (names.HIVELOOP_PROJECT, names.HIVELOOP_TASK_TYPE)
_ENDED_TASK = (*_TASK, names.HIVELOOP_TASK_STATUS, names.ERROR_TYPE)
_ACTION = (names.HIVELOOP_ACTION_NAME, names.ERROR_TYPE)
_COST = (names.PROVIDER_NAME, names.REQUEST_MODEL)
_ISSUE = (ISSUE_SEVERITY, ISSUE_CATEGORY)
_DECISION = (APPROVAL_DECISION,)
_TODO = (TODO_ACTION,)
_ANOMALY = (ANOMALY_DETECTOR,)

_PLACE = "OpenTelemetry metrics"
_DIALECTS = {names.TAGGED.name: TaggedMeters, names.LATEST.name: LatestMeters}

Told = LlmCall | ScopeContent | None
"""What the mapping has read from an event already, so that it need not be read twice."""


class Meters:
    """The metrics of all agents of one transport.

    `record` belongs on the thread that delivers, the others on any. Only the constructor raises.
    Memory is bounded, whatever agents do and however few of their tasks end.

    Args:
        meter_provider: where the metrics go; may be the application's own.
        dialect: version of the GenAI conventions, a key of `semconv.DIALECTS`.
    """

    def __init__(self, meter_provider: MeterProvider, dialect: str = names.TAGGED.name) -> None:
        schema_url = names.DIALECTS[dialect].schema_url
        meter = meter_provider.get_meter(names.SCOPE_NAME, __version__, schema_url)
        self._options = MappingOptions(dialect=dialect)
        self._genai = _DIALECTS[dialect](meter)
        self._gauges = AgentGauges(meter_provider, meter)
        self._create_counters(meter)
        self._create_histograms(meter)
        self._create_tables(meter)
        self._vocabulary = Vocabulary()
        self._agents: dict[str, AgentState] = {}
        self._inherited = False
        self._by_type: dict[EventType, Callable[[Event, AgentState, Told], None]] = {
            EventType.AGENT_REGISTERED: self._registered,
            EventType.HEARTBEAT: self._heartbeat,
            EventType.TASK_STARTED: self._task_started,
            EventType.TASK_COMPLETED: self._task_ended,
            EventType.TASK_FAILED: self._task_ended,
            EventType.ACTION_COMPLETED: self._action_ended,
            EventType.ACTION_FAILED: self._action_ended,
            EventType.RETRY_STARTED: self._retry,
            EventType.ESCALATED: self._escalated,
            EventType.APPROVAL_REQUESTED: self._approval_requested,
            EventType.APPROVAL_RECEIVED: self._approval_received,
            EventType.CUSTOM: self._custom,
        }
        self._by_kind: dict[str, Callable[[Event, AgentState, dict[str, Any]], None]] = {
            "queue_snapshot": self._queue,
            "scheduled": self._scheduled,
            "issue": self._issue,
            "todo": self._todo,
            "learning": self._learning,
            "anomaly": self._anomaly,
            "runtime": self._runtime,
        }

    def _create_counters(self, meter: Meter) -> None:
        self._heartbeats = meter.create_counter(names.METRIC_AGENT_HEARTBEATS, "{heartbeat}")
        self._cost = meter.create_counter(names.METRIC_LLM_COST, "{USD}")
        self._retries = meter.create_counter(names.METRIC_RETRIES, "{event}")
        self._escalations = meter.create_counter(names.METRIC_ESCALATIONS, "{event}")
        self._todos = meter.create_counter(names.METRIC_TODOS, "{event}")
        self._learnings = meter.create_counter(names.METRIC_LEARNINGS, "{event}")
        self._anomalies = meter.create_counter(names.METRIC_ANOMALIES, "{event}")
        self._reports = meter.create_counter(names.METRIC_ISSUES, "{issue}")
        self._exported = meter.create_counter(names.METRIC_SPANS_EXPORTED, "{span}")
        self._dropped = meter.create_counter(names.METRIC_SPANS_DROPPED, "{span}")

    def _create_histograms(self, meter: Meter) -> None:
        long, short = names.WORKFLOW_BUCKETS, names.DURATION_BUCKETS
        self._task_duration = histogram(meter, names.METRIC_TASK_DURATION, "s", long)
        self._action_duration = histogram(meter, names.METRIC_ACTION_DURATION, "s", short)
        self._wait_duration = histogram(meter, names.METRIC_APPROVAL_WAIT, "s", long)

    def _create_tables(self, meter: Meter) -> None:
        active = meter.create_up_down_counter(names.METRIC_TASK_ACTIVE, "{task}")
        pending = meter.create_up_down_counter(names.METRIC_APPROVALS_PENDING, "{approval}")
        issues = meter.create_up_down_counter(names.METRIC_ISSUES_OPEN, "{issue}")
        self._tasks = Open(active, self._task_over)
        self._approvals = Open(pending, self._approval_over)
        self._issues = Open(issues)

    # -- for the transport ---------------------------------------------------------------------

    def record(self, event: Event, told: Told = None) -> None:
        """Count one event. Called once per event, in order, whether or not its trace is sampled.

        Args:
            event: of any type.
            told: what `read_llm_call`, `task_content` or `action_content` made of it, if that is at hand.
        """
        attempt(_PLACE, self._record, event, told, default=None)

    def spans_exported(self, count: int) -> None:
        """Count spans that arrived."""
        if count > 0:
            attempt(_PLACE, self._exported.add, count, default=None)

    def spans_dropped(self, count: int, reason: str) -> None:
        """Count spans that were given up, with a word that says why."""
        if count > 0:
            attributes = {DROP_REASON: self._vocabulary.word(DROP_REASON, reason)}
            attempt(_PLACE, self._dropped.add, count, attributes, default=None)

    def close(self) -> None:
        """Count nothing as open or alive any more; before the last collection, after the last event."""
        attempt(_PLACE, self._close, default=None)

    def renew(self) -> None:
        """Forget the parent's agents and tasks, in the child of a fork.

        What the SDK has to know is told it with the next event: here, in a fork handler, a lock of it may be
        held by a thread that the child does not have.
        """
        self._inherited = True
        self._gauges.renew()

    def _close(self) -> None:
        self._forget_open()
        for agent in list(self._agents.values()):
            self._gauges.hide_agent(agent)

    def _forget_parent(self) -> None:
        self._inherited = False
        self._forget_open()
        self._agents.clear()
        self._gauges.renew()

    def _forget_open(self) -> None:
        for table in (self._tasks, self._approvals, self._issues):
            table.forget_all()

    def _record(self, event: Event, told: Told) -> None:
        if self._inherited:
            self._forget_parent()
        agent = self._agents.get(event.agent.agent_id) or self._new_agent(event.agent)
        if event.task is not None:
            self._tasks.seen((event.agent.agent_id, event.task.run_id), event.time_ns)
        count = self._by_type.get(event.type)
        if count is not None:
            count(event, agent, told)

    # -- agents --------------------------------------------------------------------------------

    def _new_agent(self, info: AgentInfo) -> AgentState:
        if len(self._agents) >= MOST_AGENTS and info.agent_id != OTHER:
            notice("metric agents", "hiveloop: metrics tell %s agents apart, not more", MOST_AGENTS)
            return self._agents.get(OTHER) or self._new_agent(AgentInfo(OTHER))
        agent = self._agents[info.agent_id] = AgentState(info.agent_id, info, self._vocabulary)
        self._gauges.show_agent(agent)
        return agent

    def _registered(self, event: Event, agent: AgentState, told: Told) -> None:
        self._gauges.registered(agent, event.agent, data_of(event).get("stuck_threshold"))

    def _heartbeat(self, event: Event, agent: AgentState, told: Told) -> None:
        self._gauges.beat(agent, event)
        self._heartbeats.add(1, agent.ours())
        for table in (self._tasks, self._approvals, self._issues):
            table.forget_older(event.time_ns)

    def _queue(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        self._gauges.queue(agent, data)

    def _scheduled(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        self._gauges.scheduled(agent, data.get("items"))

    def _runtime(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        if data.get("event") == "agent_stopped":
            self._gauges.hide_agent(agent)

    # -- tasks and actions ---------------------------------------------------------------------

    def _task_started(self, event: Event, agent: AgentState, told: Told) -> None:
        task, key = event.task, _run_of(event)
        if task is None or key is None or self._tasks.get(key) is not None:
            return
        attributes = agent.ours(_TASK, task.project, task.type)
        self._tasks.begin(key, Begun(agent, attributes, event.time_ns, event.time_ns))
        agent.open += 1
        agent.failed = False
        self._gauges.update_status(agent)

    def _task_ended(self, event: Event, agent: AgentState, told: Told) -> None:
        content = told if isinstance(told, ScopeContent) else task_content(event, self._options)
        agent.failed = event.type is EventType.TASK_FAILED
        run = self._tasks.end(_run_of(event))
        if run is not None:
            self._task_over(run)
        self._gauges.update_status(agent)
        seconds, task = seconds_of(event), event.task
        if seconds is not None:
            project, kind = (None, None) if task is None else (task.project, task.type)
            status = event.status or ("failure" if agent.failed else "success")
            attributes = agent.ours(_ENDED_TASK, project, kind, status, content.error_type)
            self._task_duration.record(seconds, attributes)
        self._genai.task_ended(agent, run, event, content)

    def _task_over(self, run: Begun) -> None:
        """Take a task that has ended, or was forgotten, off its agent."""
        agent = run.agent
        agent.open -= 1
        if run.pending > 0:
            agent.waiting -= 1
        self._gauges.update_status(agent)

    def _action_ended(self, event: Event, agent: AgentState, told: Told) -> None:
        content = told if isinstance(told, ScopeContent) else action_content(event, self._options)
        seconds = seconds_of(event)
        if seconds is not None:
            attributes = agent.ours(_ACTION, action_name_of(event), content.error_type)
            self._action_duration.record(seconds, attributes)
        self._genai.action_ended(agent, self._tasks.get(_run_of(event)), event, content)

    def _llm_call(self, event: Event, agent: AgentState, call: LlmCall) -> None:
        if call.cost is not None and 0 <= call.cost < math.inf:
            self._cost.add(float(call.cost), agent.ours(_COST, call.provider, call.model))
        run = self._tasks.get(_run_of(event))
        if run is not None:
            run.llm_calls += 1
        self._genai.call(agent, call)

    # -- what happens on the way ---------------------------------------------------------------

    def _custom(self, event: Event, agent: AgentState, told: Told) -> None:
        if isinstance(told, LlmCall):
            self._llm_call(event, agent, told)
            return
        kind: object = payload_of(event).get("kind")
        if kind == "llm_call":
            self._llm_call(event, agent, read_llm_call(event, self._options))
        elif isinstance(kind, str) and (count := self._by_kind.get(kind)) is not None:
            count(event, agent, data_of(event))

    def _retry(self, event: Event, agent: AgentState, told: Told) -> None:
        self._retries.add(1, agent.ours())

    def _escalated(self, event: Event, agent: AgentState, told: Told) -> None:
        self._escalations.add(1, agent.ours())

    def _todo(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        self._todos.add(1, agent.ours(_TODO, word_of(data.get("action"))))

    def _learning(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        self._learnings.add(1, agent.ours())

    def _anomaly(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        self._anomalies.add(1, agent.ours(_ANOMALY, word_of(data.get("detector"))))

    def _approval_requested(self, event: Event, agent: AgentState, told: Told) -> None:
        within = _run_of(event)
        request = Begun(agent, agent.ours(), event.time_ns, event.time_ns, within)
        self._approvals.begin((agent.agent_id, event.event_id), request)
        run = self._tasks.get(within)
        if run is not None:
            run.pending += 1
        if within is None or (run is not None and run.pending == 1):
            agent.waiting += 1
        self._gauges.update_status(agent)

    def _approval_received(self, event: Event, agent: AgentState, told: Told) -> None:
        request = self._approvals.end((agent.agent_id, event.parent_event_id or ""))
        if request is None:
            request = self._approvals.end(self._approvals.oldest(agent, _run_of(event)))
        if request is None:
            return
        self._approval_over(request)
        seconds = max(0, event.time_ns - request.since_ns) / 1e9
        decision = word_of(data_of(event).get("decision"))
        self._wait_duration.record(seconds, agent.ours(_DECISION, decision))

    def _approval_over(self, request: Begun) -> None:
        """Let a request that was answered, or forgotten, hold up its task no longer."""
        agent, within = request.agent, request.within
        run = self._tasks.get(within)
        if run is not None and run.pending > 0:
            run.pending -= 1
            agent.waiting -= run.pending == 0
        elif within is None:
            agent.waiting -= 1
        self._gauges.update_status(agent)

    def _issue(self, event: Event, agent: AgentState, data: dict[str, Any]) -> None:
        own: object = data.get("issue_id") or payload_of(event).get("summary")
        key = agent.agent_id, str(own)[:_LONGEST_KEY]
        if data.get("action") == "resolved":
            self._issues.end(key)
            return
        attributes = agent.ours(_ISSUE, word_of(data.get("severity")), word_of(data.get("category")))
        self._reports.add(1, attributes)
        known = self._issues.get(key)
        if known is not None and known.attributes == attributes:
            self._issues.seen(key, event.time_ns)
            return
        self._issues.end(key)
        self._issues.begin(key, Begun(agent, attributes, event.time_ns, event.time_ns))


def _run_of(event: Event) -> Key | None:
    return None if event.task is None else (event.agent.agent_id, event.task.run_id)
