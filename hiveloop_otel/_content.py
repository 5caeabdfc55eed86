"""What the spans of tasks and actions say: names, attributes, errors; and whose they are.

Attributes that tell whose a span is come from `identity` and are to be added last: when a span has too many
attributes, the SDK drops the oldest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from hiveloop._shape import is_dict
from hiveloop.events import AgentInfo, Event, EventType, TaskInfo

from . import semconv as names
from ._values import Attributes, Rules, clean_name, clean_text, mapped, to_content, to_text, to_whole

__all__ = [
    "MappingOptions",
    "ScopeContent",
    "action_content",
    "data_of",
    "event_identity",
    "identity",
    "payload_of",
    "shared_identity",
    "task_content",
]

_TOOL_KEYS = frozenset(("args", "result", "result_preview", "tool_category", "http_status"))
"""An action whose payload has one of these called a tool."""

_FAILED = frozenset((EventType.TASK_FAILED, EventType.ACTION_FAILED))


class MappingOptions(NamedTuple):
    """What users can choose about attributes.

    Attributes:
        dialect: "1.41.1" or "latest".
        capture_content: export previews, arguments, results and queries.
        compat: backends to please with further names: "mlflow", "agentops", "openinference", "logfire".
        conversation_id: export the correlation id as the id of the conversation, too.
    """

    dialect: str = "1.41.1"
    capture_content: bool = False
    compat: frozenset[str] = frozenset()
    conversation_id: bool = True


class ScopeContent(NamedTuple):
    """What the span of a task or an action says.

    Attributes:
        name: name of the span.
        attributes: without those of `identity`; ``error.type`` is among them.
        is_tool: the action called a tool.
        error_type: None when it did not fail.
        error_message: description of the failure, if there is one.
    """

    name: str
    attributes: Attributes
    is_tool: bool
    error_type: str | None
    error_message: str | None


# -- payloads ---------------------------------------------------------------------------------


def payload_of(event: Event) -> dict[str, Any]:
    """Return the payload of an event; empty when it is no JSON object. Shared: do not change it."""
    try:
        payload: object = event.payload
    except (ValueError, RecursionError):  # an event of somebody else's making
        return {}
    return payload if is_dict(payload) else {}


def data_of(event: Event) -> dict[str, Any]:
    """Return the ``data`` of an event's payload; the payload itself when it has none."""
    payload = payload_of(event)
    data = payload.get("data")
    return data if is_dict(data) else payload


# -- identity ---------------------------------------------------------------------------------


def identity(event: Event, options: MappingOptions) -> Attributes:
    """Return the attributes of every span and log record that tell whose it is; to be added last."""
    return shared_identity(event, options).copy()


def shared_identity(event: Event, options: MappingOptions) -> Attributes:
    """Return the attributes of `identity`, the same object for all events of a task: do not change it."""
    return _identity(event.agent, event.task, options.conversation_id)


@lru_cache(maxsize=1024)
def _identity(agent: AgentInfo, task: TaskInfo | None, conversation_id: bool) -> Attributes:
    told: dict[str, str | None] = {}
    if task is not None:
        told = {
            names.HIVELOOP_CORRELATION_ID: task.correlation_id,
            names.HIVELOOP_TASK_TYPE: task.type,
            names.HIVELOOP_PROJECT: task.project,
            names.HIVELOOP_TASK_RUN_ID: task.run_id,
            names.HIVELOOP_TASK_ID: task.task_id,
            names.CONVERSATION_ID: task.correlation_id if conversation_id else None,
        }
    told |= {
        names.HIVELOOP_AGENT_FRAMEWORK: agent.framework,
        names.HIVELOOP_AGENT_TYPE: agent.type,
        names.HIVELOOP_AGENT_ID: agent.agent_id,
        names.AGENT_NAME: agent.agent_id,
    }
    return {key: clean_text(value) for key, value in told.items() if value}


def event_identity(event: Event) -> Attributes:
    """Return the attributes of every span event and log record that tell which event it is."""
    told: Attributes = {names.HIVELOOP_SEVERITY: event.severity.value}
    if event.parent_event_id:
        told[names.HIVELOOP_PARENT_EVENT_ID] = clean_text(event.parent_event_id)
    told[names.HIVELOOP_EVENT_ID] = clean_text(event.event_id)
    return told


# -- tasks ------------------------------------------------------------------------------------

_OF_TASKS: Rules = {"summary": None, "exception_type": None, "exception_message": None}


def task_content(event: Event, options: MappingOptions) -> ScopeContent:
    """Read what a task's span says from the event that ended it.

    From the event that started it comes what the span of a task says that never ended.
    """
    payload = payload_of(event)
    attributes = mapped(
        _OF_TASKS, names.HIVELOOP_TASK_PAYLOAD, payload, capture_content=options.capture_content
    )
    summary = to_text(payload.get("summary"))
    if summary is not None and summary not in _own_summaries(event):
        attributes[f"{names.HIVELOOP_TASK_PAYLOAD}.summary"] = summary
    error_type, error_message = _failure(event, payload)
    if error_type is not None:
        attributes[names.ERROR_TYPE] = error_type
    _add_kind(attributes, "AGENT", "agent", options)
    attributes[names.HIVELOOP_TASK_STATUS] = _task_status(event)
    _add_agent(attributes, event.agent, options)
    attributes[names.OPERATION_NAME] = names.INVOKE_AGENT
    name = clean_name(f"{names.INVOKE_AGENT} {event.agent.agent_id}")
    return ScopeContent(name, attributes, False, error_type, error_message)


def _own_summaries(event: Event) -> tuple[str, ...]:
    """The summaries that sensors write, which say nothing that the span does not."""
    task_id = "" if event.task is None else event.task.task_id
    return f"Task {task_id} started", f"Task {task_id} completed", f"Task {task_id} failed"


def _task_status(event: Event) -> str:
    if event.type is EventType.TASK_STARTED:
        return "interrupted"
    if event.status:
        return clean_text(event.status)
    return "failure" if event.type is EventType.TASK_FAILED else "success"


def _add_agent(attributes: Attributes, agent: AgentInfo, options: MappingOptions) -> None:
    """Add which agent was invoked; the latest conventions keep these two for hosted agents."""
    if options.dialect == names.LATEST.name:
        return
    if agent.version:
        attributes[names.AGENT_VERSION] = clean_text(agent.version)
    attributes[names.AGENT_ID] = clean_text(agent.agent_id)


# -- actions ----------------------------------------------------------------------------------

_OF_ACTIONS: Rules = {
    "action_kind": None,
    "action_name": None,
    "exception_type": None,
    "exception_message": None,
    "function": (names.CODE_FUNCTION_NAME, to_text),
}
_OF_TOOLS: Rules = {
    **_OF_ACTIONS,
    "args": (names.TOOL_CALL_ARGUMENTS, to_content),
    "result_preview": (names.TOOL_CALL_RESULT, to_content),
    "result": (names.TOOL_CALL_RESULT, to_content),
    "tool_category": (names.HIVELOOP_TOOL_CATEGORY, to_text),
    "http_status": (names.HTTP_STATUS_CODE, to_whole),
    "result_size_bytes": (names.HIVELOOP_TOOL_RESULT_SIZE, to_whole),
    "tool_call_id": (names.TOOL_CALL_ID, to_text),
}


def action_content(event: Event, options: MappingOptions) -> ScopeContent:
    """Read what an action's span says from the event that ended, or else started, it.

    An action is the call of a tool when its payload looks like that of one, or when its ``action_kind`` is
    "tool". A tool that reports ``success`` as false has failed, even though no exception left the action.
    """
    payload = payload_of(event)
    is_tool = _is_tool(payload)
    rules = _OF_TOOLS if is_tool else _OF_ACTIONS
    attributes = mapped(
        rules, names.HIVELOOP_ACTION_PAYLOAD, payload, capture_content=options.capture_content
    )
    error_type, error_message = _failure(event, payload)
    if error_type is not None:
        attributes[names.ERROR_TYPE] = error_type
    if event.action is not None:
        attributes[names.HIVELOOP_ACTION_ID] = clean_text(event.action.action_id)
    action_name = to_text(payload.get("action_name")) or "action"
    _add_action(attributes, action_name, is_tool, options)
    name = clean_name(f"{names.EXECUTE_TOOL} {action_name}" if is_tool else action_name)
    return ScopeContent(name, attributes, is_tool, error_type, error_message)


def _add_action(attributes: Attributes, name: str, is_tool: bool, options: MappingOptions) -> None:
    if is_tool:
        _add_kind(attributes, "TOOL", "tool", options)
        attributes[names.TOOL_TYPE] = "function"
        attributes[names.TOOL_NAME] = name
        attributes[names.OPERATION_NAME] = names.EXECUTE_TOOL
    else:
        _add_kind(attributes, "CHAIN", "operation", options)
        attributes[names.HIVELOOP_ACTION_NAME] = name


def _is_tool(payload: dict[str, Any]) -> bool:
    kind = payload.get("action_kind")
    if type(kind) is str:
        return kind == "tool"
    # A flag named "success" is all that is left of a tool's payload when its content may not leave.
    return not _TOOL_KEYS.isdisjoint(payload) or type(payload.get("success")) is bool


# -- both -------------------------------------------------------------------------------------


def _failure(event: Event, payload: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the type and the message of the error with which a scope ended; None when it did not fail."""
    if event.type in _FAILED:
        error_type = to_text(payload.get("exception_type")) or to_text(payload.get("error_type"))
        message = to_text(payload.get("exception_message")) or to_text(payload.get("error"))
    elif event.type is EventType.ACTION_COMPLETED and payload.get("success") is False:
        error_type, message = to_text(payload.get("error_type")), to_text(payload.get("error"))
    else:
        return None, None
    return error_type or names.OTHER_ERROR, message


def _add_kind(attributes: Attributes, openinference: str, agentops: str, options: MappingOptions) -> None:
    if not options.compat:
        return
    if names.OPENINFERENCE in options.compat:
        attributes[names.OPENINFERENCE_KIND] = openinference
    if names.AGENTOPS in options.compat:
        attributes[names.AGENTOPS_KIND] = agentops
