"""The arguments of `OTelTransport`: checked when it is made, with the fix in the message."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeGuard

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import sampling

from hiveloop._guard import notice
from hiveloop.errors import HiveLoopConfigError

from . import semconv as names
from ._values import clean_attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

    from hiveloop.events import AgentInfo

__all__ = [
    "DIALECTS",
    "captures_content",
    "check_choice",
    "check_flag",
    "check_names",
    "check_type",
    "resource_of",
    "sampler_of",
    "shape_of_calls",
]

DIALECTS = tuple(names.DIALECTS)
_LLM_CALLS = ("both", "event", "span")
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURING = frozenset(("true", "1", "span_only", "event_only", "span_and_event"))


def check_choice(argument: str, value: object, choices: Iterable[str], variable: str | None = None) -> str:
    """Return a value that is one of `choices`.

    Raises:
        HiveLoopConfigError: it is not.
    """
    if isinstance(value, str) and value in choices:
        return value
    from_where = f" (from {variable})" if variable else ""
    allowed = ", ".join(map(repr, choices))
    raise HiveLoopConfigError(f"{argument}={_shown(value)}{from_where} is not valid: give one of {allowed}")


def check_names(argument: str, value: object, allowed: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return texts as a tuple; each one of `allowed`, when that is given.

    Raises:
        HiveLoopConfigError: there is something else among them.
    """
    items = list(value) if is_collection(value) else [None]
    listed = tuple(item for item in items if isinstance(item, str))
    if len(listed) < len(items):
        raise HiveLoopConfigError(f"{argument}={_shown(value)} is not valid: give a list of names")
    for item in listed:
        if allowed is not None:
            check_choice(argument, item, allowed)
    return listed


def is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Tell whether a value is a list, a tuple or a set; a text is none."""
    return isinstance(value, list | tuple | set | frozenset)


def check_type(argument: str, value: object, kind: type | tuple[type, ...], what: str) -> None:
    """Refuse a value that is set and not of a type.

    Raises:
        HiveLoopConfigError: it is of another.
    """
    if value is not None and not isinstance(value, kind):
        raise HiveLoopConfigError(f"{argument}={_shown(value)} is not valid: give {what}")


def check_flag(argument: str, value: object) -> bool:
    """Return a switch; a text such as "false" would count as true, and export what must not leave.

    Raises:
        HiveLoopConfigError: it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise HiveLoopConfigError(f"{argument}={_shown(value)} is not valid: give True or False")
    return value


def _shown(value: object) -> str:
    return repr(value)[:80] if isinstance(value, str | int | float | bool | None) else type(value).__name__


def captures_content(argument: bool | None) -> bool:
    """Tell whether prompts, responses, arguments and results may be exported.

    Raises:
        HiveLoopConfigError: the argument is neither True nor False, nor None.
    """
    if argument is not None:
        return check_flag("capture_content", argument)
    return os.environ.get(_CAPTURE, "").strip().lower() in _CAPTURING


def shape_of_calls(argument: str | None) -> str:
    """Return what calls of models become: the argument, else by ``HIVELOOP_OTEL_LLM_CALLS``, else "both".

    Raises:
        HiveLoopConfigError: it is none of the three.
    """
    wanted = os.environ.get("HIVELOOP_OTEL_LLM_CALLS")
    if argument is None and wanted:
        return check_choice("llm_calls", wanted, _LLM_CALLS, "HIVELOOP_OTEL_LLM_CALLS")
    return check_choice("llm_calls", argument or "both", _LLM_CALLS)


def resource_of(
    service_name: str | None, service_version: str | None, resource: Resource | Mapping[str, object] | None
) -> Resource:
    """Return who sends: arguments first, then the environment, then "hiveloop".

    Raises:
        HiveLoopConfigError: an argument is of the wrong type.
    """
    check_type("service_name", service_name, str, "a text")
    check_type("service_version", service_version, str, "a text")
    check_type("resource", resource, (Mapping, Resource), "a dict of attributes, or a Resource")
    if isinstance(resource, Resource):
        base = resource
    else:
        given = clean_attributes(resource or {})
        base = Resource.create({**given})
    told = {SERVICE_NAME: service_name, SERVICE_VERSION: service_version}
    base = base.merge(Resource({key: value for key, value in told.items() if value is not None}))
    name = base.attributes.get(SERVICE_NAME)
    if name is None or str(name).startswith("unknown_service"):
        base = base.merge(Resource({SERVICE_NAME: "hiveloop"}))
    return base


def with_stage(resource: Resource, agent: AgentInfo) -> Resource:
    """Return a resource with the stage and the group that `hiveloop.init` was given."""
    told: dict[str, str] = {"deployment.environment.name": agent.environment}
    if agent.group != "default":
        told["service.namespace"] = agent.group
    return Resource(told).merge(resource)  # what the user says of the resource counts more


def sampler_of(sampler: Sampler | None) -> Sampler | None:
    """Return who decides about traces that begin with us: the argument, else ``OTEL_TRACES_SAMPLER``.

    None means that all are kept. The variable's parent-based kinds mean the same here, since traces that
    others begin follow their decision anyway.

    Raises:
        HiveLoopConfigError: the argument is no sampler.
    """
    if sampler is not None:
        if not callable(getattr(sampler, "should_sample", None)):
            raise HiveLoopConfigError(f"sampler={_shown(sampler)} is not valid: give a sampler of the SDK")
        return sampler
    wanted = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower().removeprefix("parentbased_")
    match wanted:
        case "" | "always_on":
            return None
        case "always_off":
            return sampling.ALWAYS_OFF
        case "traceidratio":
            return sampling.TraceIdRatioBased(_ratio(os.environ.get("OTEL_TRACES_SAMPLER_ARG", "")))
        case _:
            notice("OTEL_TRACES_SAMPLER", "hiveloop: OTEL_TRACES_SAMPLER=%s is not known; ignored", wanted)
            return None


def _ratio(text: str) -> float:
    try:
        ratio = float(text or 1.0)
    except ValueError:
        ratio = -1.0
    if 0.0 <= ratio <= 1.0:
        return ratio
    notice("OTEL_TRACES_SAMPLER_ARG", "hiveloop: OTEL_TRACES_SAMPLER_ARG=%s is no ratio; ignored", text)
    return 1.0
