"""Layer 2b: tools that a model picks at run time, with what they were given and what came back.

The dispatcher is the one place that knows of HiveLoop. A tool that calls another becomes its
parent in the timeline; one that raises turns red, and the exception still reaches the agent.

    python examples/layer2b_tools.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hiveloop
from hiveloop import tool_payload

FOLDER = Path(__file__).parent
TOOLS: dict[str, Callable[..., Any]] = {}


def tool(function: Callable[..., Any]) -> Callable[..., Any]:
    TOOLS[function.__name__] = function
    return function


def execute(name: str, /, **arguments: Any) -> Any:
    """Run a tool by name and attach its arguments and result to the action."""
    with hiveloop.track_context(name) as ctx:
        ctx.set_payload(tool_payload(args=arguments, tool_category="files"))  # kept if the tool raises
        result = TOOLS[name](**arguments)
        ctx.set_payload(tool_payload(args=arguments, result=result, tool_category="files"))
        return result


@tool
def list_files(pattern: str) -> list[str]:
    return sorted(path.name for path in FOLDER.glob(pattern))


@tool
def read_file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@tool
def purpose_of(name: str) -> str:
    docstring = ast.get_docstring(ast.parse(execute("read_file", name=name))) or ""
    return docstring.partition("\n")[0]


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    guide = hb.agent("guide", type="documentation")

    with guide.task("describe-the-layers", project="examples") as task:
        names = execute("list_files", pattern="layer*.py")
        purposes = {name: execute("purpose_of", name=name) for name in names}
        try:
            execute("read_file", name="layer9_missing.py")
        except FileNotFoundError:
            pass  # the action failed and says so; the task goes on
        task.set_payload({"described": len(purposes)})

    hiveloop.shutdown()
    print(*purposes.values(), sep="\n")


if __name__ == "__main__":
    main()
