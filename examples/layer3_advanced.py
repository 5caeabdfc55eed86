"""Layer 3: what an agent knows of itself - its configuration, memory, corrections and shrinking context.

A librarian reads the examples into a conversation that may hold only so many words, and compacts it
when it grows too long. It expects plain ASCII, and learns better: somebody is called Grace Höpper.

    python examples/layer3_advanced.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import hiveloop

SYSTEM_PROMPT = "You keep the first line of everything you read."
CONTEXT_LIMIT = 1_000


def tell(reporter: hiveloop.Agent | hiveloop.Task, kind: str, **data: Any) -> None:
    """Report one Layer 3 event, on a task or on an agent outside any task."""
    reporter.event("custom", {"kind": kind, "data": data})


def size(conversation: list[str]) -> int:
    return sum(len(message.split()) for message in conversation)


def compact(task: hiveloop.Task, conversation: list[str], turn: int) -> None:
    """Keep only the first line of each message, and tell how much that saved."""
    before = size(conversation)
    conversation[:] = [message.partition("\n")[0] for message in conversation]
    after = size(conversation)
    sizes = {"tokens_before": before, "tokens_after": after, "tokens_removed": before - after}
    tell(task, "context_compaction", method="summary", turn_number=turn, **sizes)


def read_all(task: hiveloop.Task, folder: Path) -> int:
    conversation: list[str] = []
    encoding = "ascii"
    for turn, path in enumerate(sorted(folder.glob("*.*")), 1):
        try:
            text = path.read_text(encoding)
        except UnicodeDecodeError as error:
            encoding = "utf-8"
            text = path.read_text(encoding)
            tell(
                task,
                "error_context",
                error_type=type(error).__name__,
                error_message=str(error),
                turn_number=turn,
            )
            tell(
                task,
                "learning",
                trigger="parse_error",
                description="files are UTF-8",
                correction_applied=True,
            )
        conversation.append(text)
        tell(task, "memory_op", operation="write", store="session_history", key_or_query=path.name)
        if size(conversation) > CONTEXT_LIMIT:
            compact(task, conversation, turn)
    return len(conversation)


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    agent = hb.agent("librarian", type="research")

    tell(agent, "runtime", event="agent_started", environment={"python_version": platform.python_version()})
    prompt_hash = hashlib.sha256(SYSTEM_PROMPT.encode()).hexdigest()[:8]
    tell(agent, "config_snapshot", model="none", context_limit=CONTEXT_LIMIT, system_prompt_hash=prompt_hash)
    with agent.task("read-the-folder", project="examples") as task:
        task.set_payload({"remembered": read_all(task, Path(__file__).parent)})
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
