"""A web service: every request is a task, and the handlers know nothing of it.

The middleware opens the task and closes it with the answer's status, or as failed when the handler
raises. It is written without a framework; in FastAPI it is the body of an ``@app.middleware("http")``.

    python examples/web_handler.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import hiveloop


class Request(NamedTuple):
    path: str
    body: str


class Response(NamedTuple):
    status: int
    body: str


Handler = Callable[[Request], Awaitable[Response]]


def observed(agent: hiveloop.Agent, handler: Handler) -> Handler:
    """The middleware: one task for each request."""

    async def handle(request: Request) -> Response:
        try:
            with agent.task(f"http-{uuid.uuid4().hex[:8]}", project="examples", type="api") as task:
                task.set_payload({"path": request.path})
                response = await handler(request)
                task.set_payload({"status_code": response.status})
                return response
        except OSError:
            return Response(500, "sorry")

    return handle


@hiveloop.track("look_up")
async def look_up(name: str) -> str:
    return await asyncio.to_thread((Path(__file__).parent / name).read_text, encoding="utf-8")


async def summarise(request: Request) -> Response:
    """The application's own code: it asks a model, and the call finds its task by itself."""
    text = await look_up(request.body)
    summary = text.strip('"').partition("\n")[0]
    hiveloop.llm_call(
        "summarise", "local-small", tokens_in=len(text.split()), tokens_out=len(summary.split())
    )
    return Response(200, summary)


async def serve(handler: Handler) -> None:
    names = ["layer0_agent.py", "README.md", "no_such_file.py", "custom_transport.py"]
    responses = await asyncio.gather(*(handler(Request("/summarise", name)) for name in names))
    for name, response in zip(names, responses, strict=True):
        print(response.status, name, response.body)


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    asyncio.run(serve(observed(hb.agent("summariser", type="api"), summarise)))
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
