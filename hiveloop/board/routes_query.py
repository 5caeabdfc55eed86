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
    agents,
    cost,
    events,
    fleet,
    insights,
    metrics,
    pipeline,
    search,
    tasks,
    timeline,
)
from .routes import Board, Endpoint, Failure, api, json_response, now_us
from .store.protocol import Reader

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


def _prices(reader: Reader, _: str) -> dict[str, Any]:
    return fleet.prices(reader)


def _part(reader: Reader, world: str, name: str, params: Params) -> dict[str, Any]:
    if name not in insights.PARTS:
        raise NotFoundError("table of insights", name)
    return insights.part(reader, world, name, params)


_AGENT = "/v1/agents/{agent_id:path}"
routes = [
    Route("/v1/agents", _answering(agents.agents)),
    Route(f"{_AGENT}/pipeline", _answering(pipeline.agent_pipeline, "agent_id")),
    Route(f"{_AGENT}/configs", _answering(fleet.configs, "agent_id")),
    Route(f"{_AGENT}/lifecycle", _answering(fleet.lifecycle, "agent_id")),
    Route(_AGENT, _answering(agents.agent, "agent_id"), methods=["GET"]),
    Route("/v1/projects", _answering(fleet.projects)),
    Route("/v1/environments", _answering(fleet.environments)),
    Route("/v1/insights", _answering(insights.insights)),
    Route("/v1/insights/{name}", _answering(_part, "name")),
    Route("/v1/admin/pricing", _answering(_prices, takes_params=False), methods=["GET"]),
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
    Route("/v1/search", _answering(search.search)),
]
