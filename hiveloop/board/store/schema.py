"""Every table: columns, units, meaning, and how two partial rows of one key become one.

Conventions, for readers of the tables:

- ``world`` is ``live`` or ``test`` and the first column of every key and index.
- ``*_us`` are microseconds since the Unix epoch, UTC. ``*_ms`` are milliseconds. ``*_nano`` are
  billionths of a US dollar, integers: sums are exact in any order.
- "" means "none" in ``task_id``, ``run_id``, ``project``, ``task_type``, ``model`` and in keys.
- Flags are 0 or 1. ``grp`` is the group (``group`` is a reserved word).
- ``*_stamp`` columns are for the folds only: time, rank and event id of the event that set the
  columns after it, as text that sorts like the three.
- A folded row may lack its beginning: events come late, in any order, or never. Expect NULL.

Folded tables are merged by the rule of each column, and every rule is commutative, associative and
fed by newly stored events only. So any order of events gives the same tables, and a rebuild does too.

Sums of hours have twins by day, some also by six hours, some of all agents together, summed from them, so
that long ranges read few rows: see `Table.source`.

Change a table, and `SCHEMA_VERSION` goes up: older databases are folded again when they are opened (see
store/migration.py). Columns of tables that are not folded are only ever added, at their end.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["BY_NAME", "DAY_US", "HOUR_US", "SCHEMA_VERSION", "TABLES", "TOOK_MS", "Column", "Index", "Table"]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

SCHEMA_VERSION = 5

Type = Literal["text", "int", "real"]
Rule = Literal["key", "add", "min", "max", "first", "last", "set", "derived"]


class Column(NamedTuple):
    """One column.

    `rule` says how an upsert merges it: ``add``, ``min`` and ``max`` as named (NULL is neutral);
    ``first`` and ``last`` follow the column named by `stamp`; ``set`` is written by plain statements;
    ``derived`` is computed by the database from `sql`.
    """

    name: str
    type: Type
    rule: Rule
    comment: str
    stamp: str = ""
    sql: str = ""


class Index(NamedTuple):
    """An index; `where` makes it partial."""

    columns: str
    where: str = ""


class Table(NamedTuple):
    """One table.

    `step_us` is set for rollups: the stretch of time of each row, which starts at the column `time`. Those
    with a `source` hold sums of that table's rows, by fewer columns or longer stretches.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    folded: bool = True
    step_us: int = 0
    source: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the primary key's columns."""
        return tuple(column.name for column in self.columns if column.rule == "key")

    @property
    def time(self) -> str:
        """Name of the column with the start of a rollup's rows."""
        return next(name for name in self.key if name in ("bucket_us", "hour_us"))


def _key(name: str, comment: str, type: Type = "text") -> Column:
    return Column(name, type, "key", comment)


def _add(name: str, comment: str) -> Column:
    return Column(name, "int", "add", comment)


def _min(name: str, comment: str) -> Column:
    return Column(name, "int", "min", comment)


def _max(name: str, comment: str) -> Column:
    return Column(name, "int", "max", comment)


def _set(name: str, comment: str, type: Type = "text") -> Column:
    return Column(name, type, "set", comment)


def _last(stamp: str, **columns: str) -> tuple[Column, ...]:
    """A stamp and the columns that its latest event sets together; a comment ``int: …`` makes a number."""
    return (Column(stamp, "text", "max", "folds only"), *_stamped("last", stamp, columns))


def _first(stamp: str, **columns: str) -> tuple[Column, ...]:
    return (Column(stamp, "text", "min", "folds only"), *_stamped("first", stamp, columns))


def _stamped(rule: Rule, stamp: str, columns: dict[str, str]) -> tuple[Column, ...]:
    def column(name: str, comment: str) -> Column:
        kind: Type = "int" if comment.startswith("int: ") else "text"
        return Column(name, kind, rule, comment.removeprefix("int: "), stamp)

    return tuple(column(*item) for item in columns.items())


def _derived(name: str, type: Type, comment: str, sql: str) -> Column:
    return Column(name, type, "derived", comment, sql=sql)


_WORLD = _key("world", "live or test")
_AGENT = _key("agent_id", "agent")
_TASK = _key("task_id", "task, '' when the agent did it outside any task")
_RUN = _key("run_id", "run of the task, '' when the sender tells no runs apart")

# -- events ---------------------------------------------------------------------------------------

_EVENTS = Table(
    "events",
    "What came in, once per event id and world. Everything that is folded can be had from here again.",
    (
        Column("seq", "int", "key", "order of arrival; the cursor of live streams"),
        _set("world", "live or test"),
        _set("event_id", "the sender's id, unique in its world"),
        _set("ts_us", "when it happened, as the sender says", "int"),
        _set("received_us", "when the board got it", "int"),
        _set("agent_id", "agent"),
        _set("agent_type", "type of the agent"),
        _set("event_type", "one of the 13 types of the ingest API"),
        _set("severity", "debug, info, warn, error"),
        _set("environment", "environment"),
        _set("grp", "group"),
        _set("project", "slug, '' for none"),
        _set("task_id", "'' for none"),
        _set("run_id", "'' for none"),
        _set("task_type", "'' for none"),
        _set("correlation_id", "NULL for none"),
        _set("action_id", "NULL for none"),
        _set("parent_action_id", "NULL for none"),
        _set("parent_event_id", "NULL for none"),
        _set("status", "as sent: success, failure, any text; NULL for none"),
        _set("duration_ms", "as sent; for an llm_call without one data.duration_ms", "int"),
        _set("kind", "payload.kind, NULL for none"),
        _set("payload", "JSON text of an object"),
        _set("profile_id", "row of profiles", "int"),
        _set("label", "what lists show: action_name of actions, name of llm_calls, detector of anomalies, …"),
        _set("model", "llm_call: data.model, '' if it has none; NULL for other events"),
        _set("tokens_in", "llm_call: input tokens", "int"),
        _set("tokens_out", "llm_call: output tokens", "int"),
        _set("cost_nano", "llm_call: reported cost, NULL when none or 0 was reported", "int"),
        _set("est_nano", "llm_call without reported cost: estimate from prices, NULL when unknown", "int"),
        _set("price_match", "llm_call: model of the price row behind est_nano, NULL for none"),
    ),
    (
        Index("world, ts_us, seq"),
        Index("world, agent_id, ts_us, seq"),
        Index("world, task_id, run_id, ts_us", "task_id <> ''"),
        Index("world, kind, ts_us, seq", "kind IS NOT NULL"),
        Index("world, event_type, ts_us, seq", "event_type <> 'custom' AND event_type <> 'heartbeat'"),
        Index("world, severity, ts_us, seq", "severity <> 'info' AND severity <> 'debug'"),
        Index("world, correlation_id, ts_us, seq", "correlation_id IS NOT NULL"),
        Index("world, project, ts_us, seq", "project <> ''"),
    ),
    folded=False,
)
_PROFILES = Table(
    "profiles",
    "Distinct programs behind events, by small number.",
    (
        Column("profile_id", "int", "key", "number"),
        _set("agent_version", "'' for unknown"),
        _set("framework", "'' for unknown"),
        _set("runtime", "'' for unknown"),
        _set("sdk_version", "'' for unknown"),
    ),
    folded=False,
)

# -- agents, tasks, actions ---------------------------------------------------------------------------

_AGENTS = Table(
    "agents",
    "One row per agent: profile and what its status derives from. Open runs and approvals are counted "
    "from tasks and approvals (see store/inputs.py, which reads all inputs of a status at once).",
    (
        _WORLD,
        _AGENT,
        _min("first_us", "first event (by its own time)"),
        _max("last_us", "last event of any kind; future times count as the time of receipt"),
        _add("events", "stored events"),
        *_last(
            "seen_stamp",
            agent_type="type, from the latest event",
            environment="environment, from the latest event",
            grp="group, from the latest event",
        ),
        *_last("version_stamp", agent_version="version, from the latest event whose envelope tells it"),
        *_last("framework_stamp", framework="framework, likewise"),
        *_last("runtime_stamp", runtime="runtime, likewise"),
        *_last("sdk_stamp", sdk_version="SDK and version, likewise"),
        *_last("registered_stamp", stuck_threshold_ms="int: declared at registration; NULL: 300 000"),
        *_last(
            "lifecycle_stamp",
            lifecycle_type="last event that is no heartbeat, custom or registration",
            lifecycle_us="int: its time",
            lifecycle_task="its task, '' for none",
            lifecycle_label="its action name or error, if any",
        ),
        *_last("task_stamp", last_task_id="task of the latest event that has one", last_run_id="its run"),
        _max("last_heartbeat_us", "last heartbeat"),
        *_last(
            "progress_stamp",
            progress_beat_us="int: time of the last heartbeat that tells progress; the next columns are its",
            progress_us="int: last progress inside the program",
            open_task="task open in the program, '' for none",
            open_action="innermost open action, '' for none",
            open_action_us="int: since when that action is open",
            expecting_us="int: until when silence was announced",
            queue_depth="int: its queue",
            unsent="int: events that wait in the SDK",
            dropped="int: events that the SDK gave up",
        ),
        _max("last_activity_us", "last event that is work: no heartbeat, registration, snapshot or runtime"),
        Column("stopped_stamp", "text", "max", "folds only: latest runtime/agent_stopped"),
        Column("alive_stamp", "text", "max", "folds only: latest event of any other kind"),
        _max("stopped_us", "time of the latest runtime/agent_stopped"),
        _derived(
            "is_stopped",
            "int",
            "1 when the clean end is the latest event: offline",
            "CASE WHEN stopped_stamp > COALESCE(alive_stamp, '') THEN 1 ELSE 0 END",
        ),
    ),
)

TOOK_MS = "COALESCE(duration_ms, (end_us - COALESCE(started_us, first_us)) / 1000, -1)"
"""A task's milliseconds, of its row; -1 while it runs."""
_TASK_ENDED = "end_stamp IS NOT NULL AND (run_id <> '' OR end_us >= COALESCE(start_us, 0))"
_TASKS = Table(
    "tasks",
    "One row per run of a task.",
    (
        _WORLD,
        _TASK,
        _RUN,
        *_first(
            "first_stamp",
            agent_id="agent that started it (or sent its first event)",
            project="slug, '' for none",
            environment="environment",
            grp="group",
            task_type="'' for none",
            correlation_id="NULL for none",
            agent_version="version of the agent, '' for unknown",
        ),
        _min("first_us", "first event"),
        _max("last_us", "last event"),
        _min("started_us", "task_started; NULL while only later events are known: use first_us"),
        _max(
            "start_us", "latest task_started: differs from started_us when an id without runs is used again"
        ),
        *_last(
            "end_stamp",
            end_type="task_completed or task_failed; with a run id completed beats failed; else the latest",
            end_us="int: its time",
            end_status="its status as sent: success, failure, …",
            duration_ms="int: as sent; NULL: end_us - started_us",
            error_type="exception_type of a failure",
            error_message="exception_message of a failure",
            end_summary="its summary",
        ),
        _add("events", "events but heartbeats"),
        _add("actions", "actions begun (action_started)"),
        _add("actions_ended", "action_completed and action_failed"),
        _add("actions_failed", "action_failed"),
        _add("errors", "events of severity error"),
        _add("retries", "retry_started"),
        _add("escalations", "escalated"),
        _add("approvals", "approval_requested"),
        _add("decisions", "approval_received"),
        Column("open_approvals", "int", "set", "requests without decision (see approvals)"),
        _add("llm_calls", "llm_call events"),
        _add("llm_ms", "sum of their durations; they may overlap"),
        _add("tokens_in", "input tokens"),
        _add("tokens_out", "output tokens"),
        _add("cost_nano", "reported cost"),
        _add("est_nano", "estimated cost of calls without a reported one"),
        _add("unpriced", "llm calls with neither"),
        _derived("total_nano", "int", "cost_nano + est_nano", "cost_nano + est_nano"),
        _derived("is_open", "int", "1 until it ends", f"CASE WHEN {_TASK_ENDED} THEN 0 ELSE 1 END"),
        _derived(
            "state",
            "text",
            "completed, failed, escalated, waiting or processing; status.py turns open ones into stuck",
            f"CASE WHEN {_TASK_ENDED} "
            "THEN CASE WHEN end_type = 'task_failed' THEN 'failed' ELSE 'completed' END "
            "WHEN escalations > 0 THEN 'escalated' WHEN COALESCE(open_approvals, 0) > 0 THEN 'waiting' "
            "ELSE 'processing' END",
        ),
    ),
    (
        Index("world, first_us, task_id, run_id"),
        Index("world, agent_id, first_us"),
        Index("world, project, first_us", "project <> ''"),
        Index("world, state, first_us"),
        Index("world, agent_id, is_open", "is_open = 1"),
        # Of ended ones only: the order of an open one would change, on disk, with each of its events.
        Index("world, total_nano, first_us, task_id, run_id", "is_open = 0"),
        Index(f"world, ({TOOK_MS}), first_us, task_id, run_id", "is_open = 0"),
    ),
)
_ACTIONS = Table(
    "actions",
    "One row per action (tool call or tracked function).",
    (
        _WORLD,
        _AGENT,
        _TASK,
        _RUN,
        _key("action_id", "id"),
        *_first(
            "first_stamp",
            name="action_name, from the first event that has one",
            parent_action_id="NULL at the top",
            function="module.qualname, if sent",
        ),
        _min("started_us", "action_started, NULL when unknown"),
        *_last(
            "end_stamp",
            end_type="action_completed or action_failed; NULL while open",
            ended_us="int: when it ended",
            duration_ms="int: as sent",
            error_type="exception_type",
            error_message="exception_message, or error of a tool payload",
        ),
    ),
    (Index("world, agent_id, started_us", "end_type IS NULL"),),
)

# -- pipeline ---------------------------------------------------------------------------------------

_APPROVALS = Table(
    "approvals",
    "One row per request and one per decision. A decision closes the request it names as its parent, "
    "else the oldest open one of the same run (outside tasks: of the same agent). "
    "Show rows with role = 'request'.",
    (
        _WORLD,
        _key("event_id", "event of the request or decision"),
        _set("role", "request or decision"),
        _set("agent_id", "agent"),
        _set("task_id", "'' for none"),
        _set("run_id", "'' for none"),
        _set("project", "'' for none"),
        _set("environment", "environment"),
        _set("at_us", "time of this event", "int"),
        _set("summary", "summary"),
        _set("approver", "request: who is asked, NULL for nobody named"),
        _set("reason", "reason code, NULL for none"),
        _set("parent_event_id", "as sent"),
        _set("decision", "decision: as sent (approved, denied, rejected, …); request: that of its decision"),
        _set("decided_by", "decision: approved_by; request: that of its decision"),
        _set("decided_us", "request: when it was decided, NULL while open", "int"),
        _set("decided_event_id", "request: its decision; decision: its request", "text"),
        _set("is_open", "request: 1 while nobody decided and its run has not ended since", "int"),
    ),
    (
        Index("world, task_id, run_id"),
        Index("world, at_us", "is_open = 1"),
    ),
)
_ISSUES = Table(
    "issues",
    "One row per issue of an agent; key is issue_id, else a digest of the summary.",
    (
        _WORLD,
        _AGENT,
        _key("issue_key", "issue_id as sent; without one '#' and a digest of the normalised summary"),
        _min("first_us", "first report"),
        _max("last_us", "latest event about it"),
        _max("reported_us", "latest report"),
        _max("closed_us", "latest resolution or dismissal"),
        _add("reports", "reports counted here"),
        _max("told_count", "largest occurrence_count that was sent; show the larger of the two"),
        _add("closings", "resolutions and dismissals"),
        *_last(
            "report_stamp",
            summary="summary of the latest report",
            severity="critical, high, medium, low, or as sent",
            category="NULL for none",
            context="JSON text, NULL for none",
            issue_id="as sent, NULL for none",
            task_id="task of the latest report, '' for none",
            run_id="its run",
            event_id="its event",
            project="'' for none",
            environment="environment",
        ),
        *_last("action_stamp", action="latest action: reported, resolved, dismissed"),
        _derived(
            "is_open",
            "int",
            "1 unless the latest event resolved or dismissed it",
            "CASE WHEN action IN ('resolved', 'dismissed') THEN 0 ELSE 1 END",
        ),
        _derived(
            "is_reopened",
            "int",
            "1 when it was reported again after it was closed",
            "CASE WHEN closings > 0 AND action NOT IN ('resolved', 'dismissed') THEN 1 ELSE 0 END",
        ),
    ),
    (Index("world, agent_id", "is_open = 1"), Index("world, last_us")),
)
_TODOS = Table(
    "todos",
    "One row per todo of an agent; key is todo_id, else a digest of the summary.",
    (
        _WORLD,
        _AGENT,
        _key("todo_key", "todo_id as sent; without one '#' and a digest"),
        _min("first_us", "when it appeared"),
        _max("last_us", "latest event about it"),
        *_last(
            "stamp",
            action="created, completed, failed, dismissed, deferred, or as sent",
            summary="text of the todo",
            priority="NULL for none",
            source="NULL for none",
            context="text or JSON text, NULL for none",
            due_by="as sent, NULL for none",
            task_id="'' for none",
            run_id="'' for none",
            event_id="its event",
        ),
        _derived(
            "is_open",
            "int",
            "1 unless completed or dismissed",
            "CASE WHEN action IN ('completed', 'dismissed') THEN 0 ELSE 1 END",
        ),
    ),
    (Index("world, agent_id", "is_open = 1"),),
)
_SNAPSHOTS = Table(
    "snapshots",
    "The latest of what an agent tells as a whole. Earlier ones: events of that kind.",
    (
        _WORLD,
        _AGENT,
        _key(
            "kind",
            "queue (queue_snapshot, or queue_depth of a heartbeat), scheduled, config (config_snapshot), "
            "heartbeat (what the agent's own heartbeat_payload says)",
        ),
        *_last(
            "stamp",
            at_us="int: when",
            data="JSON text of an object: payload.data, for heartbeats the payload without 'hiveloop'",
            event_id="its event",
        ),
    ),
)
_PLANS = Table(
    "plans",
    "One row per revision of a plan.",
    (
        _WORLD,
        _AGENT,
        _TASK,
        _RUN,
        _key("revision", "number, from 0", "int"),
        *_last(
            "stamp",
            goal="goal",
            created_us="int: when this revision was made",
            total_steps="int: number of steps in it",
            event_id="its event",
        ),
    ),
    (Index("world, task_id, run_id"),),
)
_PLAN_STEPS = Table(
    "plan_steps",
    "One row per step and revision. Steps reported without plan_revision have revision -1: they belong to "
    "the revision in force at step_us (the latest with created_us <= step_us).",
    (
        _WORLD,
        _AGENT,
        _TASK,
        _RUN,
        _key("revision", "number, -1 when the report named none", "int"),
        _key("step_index", "from 0", "int"),
        *_last("plan_stamp", description="from plan_created; NULL when only reports are known"),
        *_last(
            "step_stamp",
            action="latest report: started, completed, failed, skipped, …; NULL before any",
            step_us="int: its time",
            summary="its summary",
            turns="int: as sent",
            tokens="int: as sent",
            total_steps="int: as sent",
        ),
        _min("started_us", "first 'started'"),
        _max("ended_us", "latest 'completed', 'failed' or 'skipped'"),
    ),
    (Index("world, task_id, run_id"),),
)

# -- rollups ------------------------------------------------------------------------------------------

_MEASURES = (
    _add("events", "events but heartbeats"),
    _add("heartbeats", "heartbeats"),
    _add("errors", "events of severity error"),
    _add("tasks_started", "task_started"),
    _add("tasks_completed", "task_completed"),
    _add("tasks_failed", "task_failed"),
    _add("task_ms", "sum of the durations of ended tasks that tell one"),
    _add("task_ms_n", "how many tell one"),
    _add("actions", "actions ended"),
    _add("actions_failed", "of these failed"),
    _add("retries", "retry_started"),
    _add("escalations", "escalated"),
    _add("approvals", "approval_requested"),
    _add("issues", "issue reports"),
    _add("anomalies", "anomaly events"),
    _add("llm_calls", "llm_call events"),
    _add("tokens_in", "input tokens"),
    _add("tokens_out", "output tokens"),
    _add("cost_nano", "reported cost"),
    _add("est_nano", "estimated cost of calls without a reported one"),
    _add("unpriced", "llm calls with neither"),
)
_PLACE = (
    _AGENT,
    _key("project", "slug, '' for none"),
    _key("environment", "environment"),
    _key("task_type", "'' for none"),
)
_HOUR = _key("hour_us", "start of the hour", "int")
_MODEL = _key("model", "model; '' none; '(other)' beyond the day's 2000 names")
_ROLL_5M = Table(
    "roll_5m",
    "What happened in each five minutes (kept 48 hours). By an event's own time.",
    (_WORLD, _key("bucket_us", "start of the five minutes", "int"), *_PLACE, *_MEASURES),
    step_us=HOUR_US // 12,
)
_ROLL_1H = Table(
    "roll_1h",
    "What happened in each hour: the same measures.",
    (_WORLD, _HOUR, *_PLACE, *_MEASURES),
    step_us=HOUR_US,
    source="roll_5m",
)
_CALLS_1H = Table(
    "calls_1h",
    "LLM calls of each hour.",
    (
        _WORLD,
        _HOUR,
        *_PLACE,
        _MODEL,
        _key("name", "call name; '(other)' beyond the day's 2000 names"),
        _add("calls", "calls"),
        _add("tokens_in", "input tokens"),
        _add("tokens_out", "output tokens"),
        _add("cost_nano", "reported cost"),
        _add("est_nano", "estimated cost of calls without a reported one"),
        _add("reported_calls", "calls with a reported cost"),
        _add("estimated_calls", "calls with an estimate"),
        _add("duration_ms", "sum of durations"),
        _add("timed", "calls that tell one"),
        _max("slowest_ms", "longest"),
    ),
    step_us=HOUR_US,
)
_ACTIONS_1H = Table(
    "actions_1h",
    "Ended actions of each hour.",
    (
        _WORLD,
        _HOUR,
        _AGENT,
        _key("project", "slug, '' for none"),
        _key("environment", "environment"),
        _key("name", "action_name; '(other)' beyond the day's 2000 names"),
        _add("actions", "ended"),
        _add("failed", "of these failed"),
        _add("duration_ms", "sum of durations"),
        _add("timed", "actions that tell one"),
        _max("slowest_ms", "longest"),
    ),
    step_us=HOUR_US,
)
_DURATIONS_1H = Table(
    "durations_1h",
    "Histogram of durations, for percentiles: bucket 0 is 0 ms; bucket b > 0 ends at 2 ** (b / 8) ms.",
    (
        _WORLD,
        _key("subject", "action, call or task"),
        _HOUR,
        _key("name", "action or call name, task type; '(other)' beyond the day's 2000 names"),
        _key("bucket", "number", "int"),
        _add("n", "how many"),
    ),
    step_us=HOUR_US,
)
_LLM_META_1H = Table(
    "llm_meta_1h",
    "What data.metadata of LLM calls tells, by hour. Each sum comes with the number of calls that told it.",
    (
        _WORLD,
        _HOUR,
        _AGENT,
        _key("project", "slug, '' for none"),
        _key("environment", "environment"),
        _MODEL,
        _add("calls", "calls with any metadata the board knows"),
        _add("cache_calls", "calls that tell cache_read_input_tokens or cache_creation_input_tokens"),
        _add("cache_read", "tokens read from the cache"),
        _add("cache_created", "tokens written to it"),
        _add("cache_input", "tokens_in of these calls"),
        _add("context_calls", "calls that tell context_utilization_pct, or used and window"),
        _add("context_permille", "sum of utilisation, in thousandths of the window"),
        _max("context_max", "largest utilisation, in thousandths"),
        _add("context_over_80", "calls above 80 %"),
        _add("prompt_calls", "calls that tell any of the next three"),
        _add("system_tokens", "system_prompt_tokens"),
        _add("history_tokens", "history_tokens"),
        _add("tool_tokens", "tool_results_tokens"),
        _add("stop_calls", "calls that tell stop_reason"),
        _add("truncated", "of these stopped by the length limit (max_tokens, length)"),
        _add("failed", "calls with metadata.error"),
    ),
    step_us=HOUR_US,
)
_LLM_BY_1H = Table(
    "llm_by_1h",
    "LLM calls by one more property that metadata tells.",
    (
        _WORLD,
        _key("property", "stop_reason or turn_number"),
        _HOUR,
        _AGENT,
        _key("value", "the reason (at most 64 characters), or the turn as text; '50' is 50 and more"),
        _add("calls", "calls"),
        _add("tokens_in", "input tokens"),
        _add("tokens_out", "output tokens"),
        _add("cost_nano", "reported cost"),
        _add("est_nano", "estimated cost"),
    ),
    step_us=HOUR_US,
)


def _longer(table: Table, suffix: str, step_us: int, source: Table | None = None) -> Table:
    """The twin of a table with sums of longer stretches."""
    stem, hours = table.name.rpartition("_")[0], step_us // HOUR_US
    comment = f"The same by {hours} hours; hour_us is the first of them."
    return table._replace(
        name=f"{stem}_{suffix}", comment=comment, step_us=step_us, source=(source or table).name
    )


_ROLL_6H = _longer(_ROLL_1H, "6h", 6 * HOUR_US)
_MODELS_6H = Table(
    "models_6h",
    "LLM calls by six hours, whatever their names: far fewer rows than there are of calls. Hours: calls_1h.",
    tuple(column for column in _CALLS_1H.columns if column.name != "name"),
    step_us=6 * HOUR_US,
    source="calls_1h",
)
_PLACES = frozenset(column.name for column in _PLACE)


def _together(table: Table) -> Table:
    """The twin of a table with sums of all agents together."""
    stem, _, length = table.name.rpartition("_")
    columns = tuple(column for column in table.columns if column.name not in _PLACES)
    comment = "The same of all agents together."
    return table._replace(name=f"{stem}_all_{length}", comment=comment, columns=columns, source=table.name)


_CALLS_ALL_1H = _together(_CALLS_1H)
_ACTIONS_ALL_1H = _together(_ACTIONS_1H)
_LLM_META_ALL_1H = _together(_LLM_META_1H)
_NAMES = Table(
    "names",
    "Folds only: the names each day's rollups tell apart.",
    (
        _WORLD,
        _key("day_us", "start of the day", "int"),
        _key("subject", "model, call or action"),
        _key("rank", "decides who stays when there are too many: same for everybody, any order"),
        _set("name", "the name"),
    ),
)
_PROJECTS = Table(
    "projects",
    "Projects, made on first sight.",
    (
        _WORLD,
        _key("slug", "slug"),
        _min("first_us", "first event"),
        _max("last_us", "last event"),
        _set("name", "display name, NULL: the slug"),
        _set("archived", "1: hidden from pickers", "int"),
    ),
)

# -- managed --------------------------------------------------------------------------------------------

_KEYS = Table(
    "keys",
    "API keys; only hashes.",
    (
        _key("key_id", "id"),
        _set("hash", "SHA-256 of the key, hex; unique"),
        _set("prefix", "what may be shown of it: the first characters"),
        _set("kind", "live, test or read"),
        _set("name", "what for"),
        _set("created_us", "when it was made", "int"),
        _set("last_used_us", "when it was last used, NULL for never", "int"),
        _set("revoked_us", "when it was revoked, NULL while valid", "int"),
    ),
    folded=False,
)
_PRICES = Table(
    "prices",
    "Prices for estimates. A call takes the row whose model is equal, else the longest that its model begins "
    "with; of several the latest valid_from_us not after the call, else the earliest.",
    (
        _key("model", "model or beginning of one, lower case"),
        _key("valid_from_us", "in force since; 0 for ever", "int"),
        _set("input_usd", "US dollars per million input tokens", "real"),
        _set("output_usd", "US dollars per million output tokens", "real"),
        _set("provider", "who charges it, for the list"),
        _set("source", "public list, or user for an edited row"),
        _set("updated_us", "when the row was written", "int"),
    ),
    folded=False,
)
_META = Table(
    "meta",
    "Facts about the database: schema_version, created_us, compacted_us, pruned_us, price_list, priced, "
    "last_writer.",
    (_key("name", "name"), _set("value", "text")),
    folded=False,
)

TABLES: tuple[Table, ...] = (
    _EVENTS,
    _PROFILES,
    _AGENTS,
    _TASKS,
    _ACTIONS,
    _APPROVALS,
    _ISSUES,
    _TODOS,
    _SNAPSHOTS,
    _PLANS,
    _PLAN_STEPS,
    _ROLL_5M,
    _ROLL_1H,
    _ROLL_6H,
    _longer(_ROLL_1H, "1d", DAY_US, _ROLL_6H),
    _CALLS_1H,
    _longer(_CALLS_1H, "1d", DAY_US),
    _MODELS_6H,
    _longer(_MODELS_6H, "1d", DAY_US),
    _ACTIONS_1H,
    _longer(_ACTIONS_1H, "1d", DAY_US),
    _DURATIONS_1H,
    _longer(_DURATIONS_1H, "1d", DAY_US),
    _LLM_META_1H,
    _longer(_LLM_META_1H, "1d", DAY_US),
    _LLM_BY_1H,
    _longer(_LLM_BY_1H, "1d", DAY_US),
    _together(_ROLL_1H),
    _CALLS_ALL_1H,
    _longer(_CALLS_ALL_1H, "1d", DAY_US),
    _ACTIONS_ALL_1H,
    _longer(_ACTIONS_ALL_1H, "1d", DAY_US),
    _LLM_META_ALL_1H,
    _longer(_LLM_META_ALL_1H, "1d", DAY_US),
    _NAMES,
    _PROJECTS,
    _KEYS,
    _PRICES,
    _META,
)
"""Every table, in the order of creation."""

BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
