"""Layer 1: tasks with their outcome and duration, and the few functions worth seeing inside them.

A reviewer checks each example beside this file for a docstring and for sane line lengths. One of
its inputs does not exist: that task fails, by the exception that passes through it.

    python examples/layer1_tasks.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import ast
import os
import uuid
from pathlib import Path

import hiveloop

FOLDER = Path(__file__).parent


# Module-level tracking acts for whichever agent is current, so the functions need no handle.
@hiveloop.track("read")
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@hiveloop.track("check_docstring")
def check_docstring(source: str) -> list[str]:
    return [] if ast.get_docstring(ast.parse(source)) else ["has no docstring"]


@hiveloop.track("check_lines")
def check_lines(source: str) -> list[str]:
    return [f"line {n} is long" for n, line in enumerate(source.splitlines(), 1) if len(line) > 110]


def review(agent: hiveloop.Agent, path: Path) -> list[str]:
    """Review one file: one task, with an id that no other run has."""
    with agent.task(f"review-{path.stem}-{uuid.uuid4().hex[:8]}", project="examples", type="review") as task:
        source = read(path)
        remarks = check_docstring(source) + check_lines(source)
        task.set_payload({"remarks": remarks, "lines": source.count("\n")})
        return remarks


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    reviewer = hb.agent("reviewer", type="quality")

    for path in [*sorted(FOLDER.glob("layer*.py")), FOLDER / "layer9_missing.py"]:
        try:
            review(reviewer, path)
        except FileNotFoundError:
            continue  # the task has failed and said why; the agent goes on

    hiveloop.shutdown()


if __name__ == "__main__":
    main()
