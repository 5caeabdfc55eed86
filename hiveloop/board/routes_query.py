"""Everything that is only read: thin routes to the queries, which run on threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .keys import Access
from .queries import (
    BadParameterError,
    NotFoundError,
    Params,
    cost,
    events,
    metrics,
    pipeline,
    tasks,
    timeline,
)
from .routes import Board, Endpoint, Failure, api, json_response, now_us

__all__ = ["routes"]

Query = Callable[..., dict[str, Any]]


def _answering(query: Query, *path: str, takes_params: bool = True) -> Endpoint:
    """Make an endpoint of a query.

    Args:
        query: takes a reader, the world, what is named in the path, and the parameters.
        path: names of the path's parts.
        takes_params: whether it wants the parameters.
    """

    async def handler(board: Board, request: Request, access: Access) -> Response:
        named = [request.path_params[name] for name in path]
        params = [Params(dict(request.query_params), now_us())] if takes_params else []
        try:
            return json_response(await board.read(query, access.world, *named, *params))
        except BadParameterError as error:
            raise Failure(400, "invalid_parameter", error.message, parameter=error.name) from error
        except NotFoundError as error:
            raise Failure(404, "not_found", str(error)) from error

    return api(handler)


routes = [
    Route("/v1/agents/{agent_id:path}/pipeline", _answering(pipeline.agent_pipeline, "agent_id")),
    Route("/v1/pipeline", _answering(pipeline.pipeline)),
    Route("/v1/tasks", _answering(tasks.tasks)),
    Route("/v1/tasks/{task_id:path}/timeline", _answering(timeline.timeline, "task_id")),
    Route("/v1/events", _answering(events.events)),
    Route("/v1/events/{event_id:path}", _answering(events.event, "event_id", takes_params=False)),
    Route("/v1/metrics", _answering(metrics.metrics)),
    Route("/v1/ribbon", _answering(metrics.ribbon)),
    Route("/v1/cost", _answering(cost.cost)),
    Route("/v1/cost/calls", _answering(cost.calls)),
    Route("/v1/cost/timeseries", _answering(cost.timeseries)),
    Route("/v1/llm-calls", _answering(cost.llm_calls)),
]
