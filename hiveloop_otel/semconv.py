"""Names of attributes, events and metrics, and the buckets of histograms.

The GenAI names are those of semantic conventions 1.41.1, the last tagged version; `LATEST` holds what the
development version after it renames. The strings are kept here since every constant of the package that
generates them is deprecated as moved, and instrumentations pin that package to one exact version.

Units are in the names of the conventions: token counts are ints, durations are seconds, costs are US dollars.
"""

from __future__ import annotations

from typing import NamedTuple

SCOPE_NAME = "hiveloop"
"""Name of the instrumentation scope of everything we export."""

# -- GenAI attributes -------------------------------------------------------------------------

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
SYSTEM = "gen_ai.system"
"""Deprecated name of the provider, still read first by some backends."""
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION = "gen_ai.usage.cache_creation.input_tokens"
USAGE_CACHE_WRITE = "gen_ai.usage.cache_write.input_tokens"
"""What the latest version calls `USAGE_CACHE_CREATION`; never both."""
USAGE_REASONING = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - of a model, not of a login
TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105
AGENT_ID = "gen_ai.agent.id"
AGENT_NAME = "gen_ai.agent.name"
AGENT_VERSION = "gen_ai.agent.version"
CONVERSATION_ID = "gen_ai.conversation.id"
CONVERSATION_COMPACTED = "gen_ai.conversation.compacted"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT = "gen_ai.tool.call.result"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"

CHAT = "chat"
EXECUTE_TOOL = "execute_tool"
INVOKE_AGENT = "invoke_agent"
MODEL_OPERATIONS = frozenset((CHAT, "generate_content", "text_completion", "embeddings", "retrieval"))
"""Values of `OPERATION_NAME` that a call of a model can have."""

INFERENCE_DETAILS = "gen_ai.client.inference.operation.details"
"""Name of the event that tells a call of a model."""

# -- attributes of other conventions ----------------------------------------------------------

ERROR_TYPE = "error.type"
OTHER_ERROR = "_OTHER"
"""Value of `ERROR_TYPE` when all that is known is that it failed."""
EXCEPTION = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"
HTTP_STATUS_CODE = "http.response.status_code"
CODE_FUNCTION_NAME = "code.function.name"

# -- names that backends read, in no convention -----------------------------------------------

USAGE_COST = "gen_ai.usage.cost"
OPERATION_COST = "operation.cost"
LLM_COST_TOTAL = "llm.cost.total"
MLFLOW_COST = "mlflow.llm.cost"
AGENTOPS_TOTAL_COST = "gen_ai.usage.total_cost"
AGENTOPS_KIND = "agentops.span.kind"
USAGE_PROMPT_TOKENS = "gen_ai.usage.prompt_tokens"
"""Deprecated name of `USAGE_INPUT_TOKENS`."""
USAGE_COMPLETION_TOKENS = "gen_ai.usage.completion_tokens"
"""Deprecated name of `USAGE_OUTPUT_TOKENS`."""
OPENINFERENCE_KIND = "openinference.span.kind"

MLFLOW, AGENTOPS, OPENINFERENCE, LOGFIRE = "mlflow", "agentops", "openinference", "logfire"
COMPAT = frozenset((MLFLOW, AGENTOPS, OPENINFERENCE, LOGFIRE))
"""Backends that can be given further names, which other backends would misread."""

# -- attributes of ours -----------------------------------------------------------------------

HIVELOOP_AGENT_ID = "hiveloop.agent.id"
HIVELOOP_AGENT_TYPE = "hiveloop.agent.type"
HIVELOOP_AGENT_FRAMEWORK = "hiveloop.agent.framework"
HIVELOOP_AGENT_VERSION = "hiveloop.agent.version"
HIVELOOP_AGENT_STATE = "hiveloop.agent.state"
HIVELOOP_PROJECT = "hiveloop.project"
HIVELOOP_CORRELATION_ID = "hiveloop.correlation_id"
HIVELOOP_EVENT_ID = "hiveloop.event.id"
HIVELOOP_PARENT_EVENT_ID = "hiveloop.parent_event_id"
HIVELOOP_SEVERITY = "hiveloop.severity"
HIVELOOP_LINK_TYPE = "hiveloop.link.type"
"""Attribute of a link: "ambient" or "task"."""

HIVELOOP_SPAN_INCOMPLETE = "hiveloop.span.incomplete"
HIVELOOP_SPAN_START_MISSING = "hiveloop.span.start_missing"

HIVELOOP_TASK_ID = "hiveloop.task.id"
HIVELOOP_TASK_RUN_ID = "hiveloop.task.run_id"
HIVELOOP_TASK_TYPE = "hiveloop.task.type"
HIVELOOP_TASK_STATUS = "hiveloop.task.status"
HIVELOOP_TASK_PAYLOAD = "hiveloop.task.payload"
HIVELOOP_TASK_LLM_CALLS = "hiveloop.task.llm.calls"
HIVELOOP_TASK_LLM_INPUT_TOKENS = "hiveloop.task.llm.input_tokens"
HIVELOOP_TASK_LLM_OUTPUT_TOKENS = "hiveloop.task.llm.output_tokens"
HIVELOOP_TASK_TOOL_CALLS = "hiveloop.task.tool.calls"
HIVELOOP_TASK_RETRIES = "hiveloop.task.retries"
HIVELOOP_TASK_COST = "hiveloop.task.cost_usd"
HIVELOOP_TASK_ESCALATED = "hiveloop.task.escalated"
HIVELOOP_TASK_ANOMALIES = "hiveloop.task.anomalies"
HIVELOOP_PLAN_STEP_COUNT = "hiveloop.plan.step_count"
HIVELOOP_PLAN_REVISION = "hiveloop.plan.revision"

HIVELOOP_ACTION_ID = "hiveloop.action.id"
HIVELOOP_ACTION_NAME = "hiveloop.action.name"
HIVELOOP_ACTION_PAYLOAD = "hiveloop.action.payload"
HIVELOOP_TOOL_CATEGORY = "hiveloop.tool.category"
HIVELOOP_TOOL_RESULT_SIZE = "hiveloop.tool.result.size"

HIVELOOP_LLM_CALL_NAME = "hiveloop.llm.call.name"
HIVELOOP_LLM_COST = "hiveloop.llm.cost_usd"
HIVELOOP_LLM_STOP_REASON = "hiveloop.llm.stop_reason"
HIVELOOP_LLM_ERROR = "hiveloop.llm.error"
HIVELOOP_LLM_TURN_NUMBER = "hiveloop.llm.turn_number"
HIVELOOP_LLM_CONTEXT_WINDOW = "hiveloop.llm.context.window_size"
HIVELOOP_LLM_CONTEXT_USED = "hiveloop.llm.context.used_tokens"
HIVELOOP_LLM_CONTEXT_UTILIZATION = "hiveloop.llm.context.utilization"
HIVELOOP_LLM_PROMPT_SYSTEM = "hiveloop.llm.prompt.system_tokens"
HIVELOOP_LLM_PROMPT_HISTORY = "hiveloop.llm.prompt.history_tokens"
HIVELOOP_LLM_PROMPT_TOOL_RESULTS = "hiveloop.llm.prompt.tool_results_tokens"
HIVELOOP_LLM_CONTENT_PREVIEW = "hiveloop.llm.content.preview"
HIVELOOP_LLM_METADATA = "hiveloop.llm.metadata"

# -- events of ours; their attributes start with the name of the event ------------------------

RETRY = "hiveloop.retry"
ESCALATION = "hiveloop.escalation"
APPROVAL_REQUESTED = "hiveloop.approval.requested"
APPROVAL_RECEIVED = "hiveloop.approval.received"
APPROVAL_WAIT_DURATION = "hiveloop.approval.received.wait_duration"
"""Seconds, double; known only to who saw the request as well."""
AGENT_REGISTERED = "hiveloop.agent.registered"
AGENT_HEARTBEAT = "hiveloop.agent.heartbeat"
TASK_STARTED = "hiveloop.task.started"
PLAN_CREATED = "hiveloop.plan.created"
PLAN_STEP = "hiveloop.plan.step"
ISSUE_REPORTED = "hiveloop.issue.reported"
ISSUE_RESOLVED = "hiveloop.issue.resolved"
TODO = "hiveloop.todo"
QUEUE_SNAPSHOT = "hiveloop.queue.snapshot"
SCHEDULED = "hiveloop.scheduled"
LEARNING = "hiveloop.learning"
CONTEXT_COMPACTION = "hiveloop.context_compaction"
ERROR_CONTEXT = "hiveloop.error_context"
RUNTIME = "hiveloop.runtime"
MEMORY_OP = "hiveloop.memory_op"
CONFIG_SNAPSHOT = "hiveloop.config_snapshot"
ANOMALY = "hiveloop.anomaly"
PROMPT_COMPOSITION = "hiveloop.prompt_composition"
STATE_MUTATION = "hiveloop.state_mutation"
CUSTOM = "hiveloop.custom"

# -- severities of logs -----------------------------------------------------------------------

DEBUG, INFO, WARN, ERROR, FATAL = 5, 9, 13, 17, 21
SEVERITY_TEXTS = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR", FATAL: "FATAL"}

# -- metrics ----------------------------------------------------------------------------------

METRIC_OPERATION_DURATION = "gen_ai.client.operation.duration"
METRIC_TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105
METRIC_TIME_TO_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
METRIC_AGENT_HEARTBEATS = "hiveloop.agent.heartbeat.count"
METRIC_AGENT_HEARTBEAT_TIME = "hiveloop.agent.heartbeat.timestamp"
METRIC_AGENT_STUCK_THRESHOLD = "hiveloop.agent.stuck_threshold"
METRIC_AGENT_INFO = "hiveloop.agent.info"
METRIC_AGENT_STATUS = "hiveloop.agent.status"
METRIC_AGENT_STATE = "hiveloop.agent.state"
"""Prefix: the key of the heartbeat's payload follows."""
METRIC_QUEUE_DEPTH = "hiveloop.queue.depth"
METRIC_QUEUE_OLDEST_AGE = "hiveloop.queue.oldest_age"
METRIC_QUEUE_PROCESSING = "hiveloop.queue.processing"
METRIC_TASK_ACTIVE = "hiveloop.task.active"
METRIC_TASK_DURATION = "hiveloop.task.duration"
METRIC_ACTION_DURATION = "hiveloop.action.duration"
METRIC_LLM_COST = "hiveloop.llm.cost"
METRIC_RETRIES = "hiveloop.retry.count"
METRIC_ESCALATIONS = "hiveloop.escalation.count"
METRIC_TODOS = "hiveloop.todo.count"
METRIC_LEARNINGS = "hiveloop.learning.count"
METRIC_ANOMALIES = "hiveloop.anomaly.count"
METRIC_APPROVALS_PENDING = "hiveloop.approval.pending"
METRIC_APPROVAL_WAIT = "hiveloop.approval.wait.duration"
METRIC_ISSUES = "hiveloop.issue.count"
METRIC_ISSUES_OPEN = "hiveloop.issue.open"
METRIC_SCHEDULED_ITEMS = "hiveloop.scheduled.items"
METRIC_SPANS_EXPORTED = "hiveloop.otel.spans.exported"
METRIC_SPANS_DROPPED = "hiveloop.otel.spans.dropped"

LATEST_INFERENCE_DURATION = "gen_ai.client.inference.duration"
LATEST_TIME_TO_FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
LATEST_USAGE_INPUT = "gen_ai.client.inference.usage.input_tokens"
LATEST_USAGE_OUTPUT = "gen_ai.client.inference.usage.output_tokens"
LATEST_USAGE_CACHE_READ = "gen_ai.client.inference.usage.cache_read.input_tokens"
LATEST_USAGE_CACHE_WRITE = "gen_ai.client.inference.usage.cache_write.input_tokens"
LATEST_USAGE_REASONING = "gen_ai.client.inference.usage.reasoning.output_tokens"
LATEST_OPERATION_INPUT = "gen_ai.client.inference.operation.input_tokens"
LATEST_OPERATION_OUTPUT = "gen_ai.client.inference.operation.output_tokens"
LATEST_AGENT_DURATION = "gen_ai.invoke_agent.duration"
LATEST_AGENT_INFERENCE_CALLS = "gen_ai.invoke_agent.inference_calls"
LATEST_AGENT_TOOL_CALLS = "gen_ai.invoke_agent.tool_calls"
LATEST_TOOL_DURATION = "gen_ai.execute_tool.duration"
LATEST_WORKFLOW_DURATION = "gen_ai.invoke_workflow.duration"

DURATION_BUCKETS = tuple(0.01 * 2**n for n in range(14))
"""Seconds of one operation: 0.01 to 81.92."""
TOKEN_BUCKETS = tuple(4**n for n in range(14))
"""Tokens: 1 to 67 108 864."""
AGENT_BUCKETS = tuple(0.1 * 2**n for n in range(13))
"""Seconds of one invocation of an agent: 0.1 to 409.6."""
WORKFLOW_BUCKETS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
"""Seconds of a task, or of waiting for a human."""
COUNT_BUCKETS = tuple(2**n for n in range(8))
"""Calls of a model or of tools in one invocation of an agent: 1 to 128."""

# -- dialects ---------------------------------------------------------------------------------


class Dialect(NamedTuple):
    """What differs between two versions of the GenAI conventions.

    Attributes:
        name: the value of the ``dialect`` option.
        schema_url: of the instrumentation scope.
        cache_creation: attribute for the tokens written to the provider's cache.
        agent_identity: whether task spans carry the agent's id and version.
    """

    name: str
    schema_url: str
    cache_creation: str
    agent_identity: bool


TAGGED = Dialect("1.41.1", "https://opentelemetry.io/schemas/1.41.1", USAGE_CACHE_CREATION, True)
LATEST = Dialect("latest", "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev", USAGE_CACHE_WRITE, False)
DIALECTS = {dialect.name: dialect for dialect in (TAGGED, LATEST)}
