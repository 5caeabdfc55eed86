"""Agents as asyncio tasks: each keeps its own current task, and a cancelled one says so.

A coordinator gives every example to a counter of its own and cancels the one that would wait for ever. The
correlation id joins what several agents do for one request.

    python examples/asyncio_agents.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import hiveloop


@hiveloop.track("count_lines")
async def count_lines(path: Path) -> int:
    """Belongs to whichever task awaits it, also when hundreds of them run at once."""
    text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    return text.count("\n")


@hiveloop.track("wait_for_ever")
async def wait_for_ever() -> int:
    await asyncio.Event().wait()
    return 0


async def counter(agent: hiveloop.Agent, path: Path | None, request: str) -> int:
    name = path.stem if path else "nothing"
    with agent.task(f"count-{name}", type="counting", correlation_id=request) as task:
        lines = await (count_lines(path) if path else wait_for_ever())
        task.set_payload({"lines": lines})
        return lines


async def coordinate(hb: hiveloop.HiveBoard, request: str) -> None:
    files: list[Path | None] = [*sorted(Path(__file__).parent.glob("*.py")), None]
    agents = [hb.agent(f"counter-{number}", type="worker") for number in range(1, 4)]
    with hb.agent("coordinator", type="manager").task("count-all", correlation_id=request) as task:
        jobs = [
            asyncio.create_task(counter(agents[number % len(agents)], path, request))
            for number, path in enumerate(files)
        ]
        *counting, endless = jobs
        lines = sum(await asyncio.gather(*counting))
        endless.cancel()
        await asyncio.wait([endless])
        task.set_payload({"lines": lines, "cancelled": endless.cancelled()})


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    asyncio.run(coordinate(hb, "request-1"))
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
