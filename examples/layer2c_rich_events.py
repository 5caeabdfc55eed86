"""Layer 2c: the story of a task - its plan, retries, doubts, approvals - and of the agent around it.

A publisher collects the purposes of all examples into one page. The model's first answer is no JSON,
the page needs a human's consent, and a warning that the program logs anyway becomes an issue.

    python examples/layer2c_rich_events.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import hiveloop
from hiveloop.contrib.log_handler import HiveBoardLogHandler

STEPS = ["Collect the examples", "Write the page", "Publish it"]
log = logging.getLogger("publisher")


def model(prompt: str, folder: Path) -> str:
    """Stand in for a model that talks too much until it is told not to."""
    names = json.dumps(sorted(path.name for path in folder.glob("*.py")))
    return names if "JSON" in prompt else f"Sure! Here they are: {names}"


def collect(task: hiveloop.Task, folder: Path, prompt: str = "List the examples.") -> list[str]:
    """Ask for the names until the answer can be parsed, feeding the error back."""
    for attempt in range(1, 4):
        try:
            names: list[str] = json.loads(model(prompt, folder))
            return names
        except json.JSONDecodeError as error:
            task.retry(f"Parse failure: {error}", attempt=attempt)
            prompt += f" Your answer was invalid ({error}): nothing but JSON, please."
    raise ValueError("no list after three attempts")


def publish(agent: hiveloop.Agent, folder: Path) -> None:
    with agent.task("publish-page", project="examples", type="human") as task:
        task.plan("One page about all examples", STEPS)
        task.plan_step(0, "started", STEPS[0])
        names = collect(task, folder)
        task.plan_step(0, "completed", f"{len(names)} examples", turns=2)

        task.plan_step(1, "started", STEPS[1])
        page = "\n".join((folder / name).read_text(encoding="utf-8").partition("\n")[0] for name in names)
        task.plan_step(1, "completed", f"{len(page)} characters")

        task.request_approval(f"Publish {len(page)} characters?", approver="editor")
        task.approval_received("Not without a picture", approved_by="editor", decision="rejected")
        task.plan_step(2, "failed", "Blocked: rejected by the editor")
        agent.todo(
            "td_picture", "created", "Draw a picture for the page", priority="high", source="escalation"
        )
        task.escalate("Nobody here can draw", assigned_to="design", reason="out_of_scope")
        task.complete("partial", {"characters": len(page)})


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    agent = hb.agent("publisher", type="documentation")
    log.addHandler(HiveBoardLogHandler(agent))  # warnings become issues, without another line of code

    agent.scheduled([{"id": "nightly", "name": "Nightly page", "interval": "1d", "enabled": True}])
    agent.queue_snapshot(depth=1, oldest_age_seconds=0, items=[{"id": "page", "summary": "Publish the page"}])
    log.warning("The page of yesterday is still online")
    publish(agent, Path(__file__).parent)
    agent.report_issue("Nobody can draw", "medium", category="other", issue_id="no-artist")
    agent.todo("td_picture", "completed", "A picture was drawn")
    agent.resolve_issue("Design has drawn it", issue_id="no-artist")
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
