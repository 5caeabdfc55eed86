"""Each file in examples/ runs as a user would run it: without an account, and against a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import run_program
from tests.support.server import ScriptedServer

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*.py"))
EXAMPLES = [path.name for path in FILES if "hiveloop_otel" not in path.read_text(encoding="utf-8")]
"""Those without OpenTelemetry, which `test_otel_examples` has."""
KEY = "hb_test_examples"
# Without a terminal the encoding would follow the locale of whoever runs the tests.
ENVIRONMENT = {"PYTHONWARNINGS": "default", "PYTHONIOENCODING": "utf-8"}

JsonObject = dict[str, Any]


class Told:
    """What an example told the server."""

    def __init__(self, server: ScriptedServer) -> None:
        self.events = server.events()
        self.agents = {r.envelope["agent_id"] for r in server.requests}

    def __call__(self, name: str, /, **payload: Any) -> list[JsonObject]:
        """Return the events whose type, kind or action is `name` and whose payload or data says so."""
        return [e for e in self.events if name in _names(e) and payload.items() <= _facts(e).items()]


def _names(event: JsonObject) -> tuple[object, ...]:
    payload = event["payload"]
    return event["event_type"], payload.get("kind"), f"{payload.get('action_name')}:{event['event_type']}"


def _facts(event: JsonObject) -> JsonObject:
    payload = event["payload"]
    data = payload.get("data")
    facts = {**payload, **(data if isinstance(data, dict) else {})}
    return {k: v for k, v in facts.items() if isinstance(v, str | int | float | bool)}


# -- what each example promises ----------------------------------------------------------------------


def layer0_agent(told: Told) -> None:
    assert told("agent_registered", type="search", version="1.0")
    beats = told("heartbeat")
    # A busy machine may be late with a callback; that beat goes out without it.
    assert any({"files_indexed", "distinct_words", "hiveloop"} <= set(e["payload"]) for e in beats)
    assert told("queue_snapshot")[0]["payload"]["data"]["items"]
    assert told("runtime", event="agent_stopped")


def layer1_tasks(told: Told) -> None:
    tasks = told("task_completed")
    assert len(tasks) == len(list(FOLDER.glob("layer*.py")))
    assert all(e["payload"]["remarks"] == [] for e in tasks), "the examples pass their own review"
    assert {e["project_id"] for e in tasks} == {"examples"}
    assert len(told("read:action_completed")) == len(tasks)
    (failed,) = told("task_failed", exception_type="FileNotFoundError")
    assert failed["task_id"].startswith("review-layer9_missing-")
    (action,) = told("read:action_failed")
    assert action["task_id"] == failed["task_id"]


def layer2a_llm_calls(told: Told) -> None:
    calls = [e["payload"]["data"] for e in told("llm_call")]
    assert [c["name"] for c in calls] == ["reasoning", "reasoning", "choose"]
    assert calls[0]["response_preview"].startswith("The examples need nothing")
    assert all(
        c["tokens_in"] > 0 and c["cost"] > 0 and c["metadata"]["stop_reason"] == "end_turn" for c in calls
    )
    assert told("task_completed")[0]["payload"]["answer"] == calls[2]["response_preview"]


def layer2b_tools(told: Told) -> None:
    (listed,) = told("list_files:action_completed")
    assert listed["payload"]["args"] == {"pattern": "layer*.py"}
    outer = {e["action_id"] for e in told("purpose_of:action_completed", success=True)}
    inner = told("read_file:action_completed")
    assert {e["parent_action_id"] for e in inner} == outer
    (failed,) = told("read_file:action_failed", exception_type="FileNotFoundError")
    assert failed["payload"]["args"] == {"name": "layer9_missing.py"}
    assert told("task_completed")


def layer2c_rich_events(told: Told) -> None:
    assert [
        e["payload"]["summary"] for e in told("plan_step") if e["payload"]["tags"][1] != "step_started"
    ] == [
        f"Step 0 completed: {len(FILES)} examples",
        told("plan_step", step_index=1, action="completed")[0]["payload"]["summary"],
        "Step 2 failed: Blocked: rejected by the editor",
    ]
    assert told("plan_created")
    assert told("retry_started", attempt=1)
    assert told("approval_requested", approver="editor")
    assert told("approval_received", decision="rejected")
    assert told("escalated", reason="out_of_scope", assigned_to="design")
    assert [e["payload"]["data"]["action"] for e in told("todo")] == ["created", "completed"]
    assert told("issue", issue_id="log-publisher-WARNING", severity="medium")
    assert told("issue", issue_id="no-artist", action="reported")
    assert told("issue", issue_id="no-artist", action="resolved")
    assert told("scheduled")
    assert told("queue_snapshot", depth=1)
    assert told("task_completed")[0]["status"] == "partial"


def layer3_advanced(told: Told) -> None:
    assert told("runtime", event="agent_started")
    assert told("config_snapshot", context_limit=1_000)
    assert told("memory_op", key_or_query="README.md")
    assert told("learning", correction_applied=True)
    assert told("error_context", error_type="UnicodeDecodeError")
    assert all(
        e["payload"]["data"]["tokens_before"] > 1_000 > e["payload"]["data"]["tokens_after"]
        for e in told("context_compaction")
    )
    assert told("context_compaction")


def layer4_detectors(told: Told) -> None:
    assert told("anomaly", detector="cycle", cycle_length=1, turn_number=3)
    assert told("prompt_composition", largest_component="tool_results")
    assert "bloat_warning" in told("prompt_composition")[0]["payload"]["data"]
    changes = [e["payload"]["data"]["changes"] for e in told("state_mutation")]
    assert changes == [{"found": "added", "last_word": "added"}, {"found": "modified"}]


def asyncio_agents(told: Told) -> None:
    assert told.agents == {"coordinator", "counter-1", "counter-2", "counter-3"}
    assert len(told("count_lines:action_completed")) == len(FILES)
    assert {e["correlation_id"] for e in told("task_completed")} == {"request-1"}
    (cancelled,) = told("task_failed", exception_type="CancelledError")
    assert cancelled["task_id"] == "count-nothing"
    for action in told("count_lines:action_started"):
        assert action["task_id"].startswith("count-")
        assert "parent_action_id" not in action
    assert told("task_completed", cancelled=True)


def threads_and_executors(told: Told) -> None:
    hashes = told("hash_file:action_completed")
    assert len(hashes) == len(FILES)
    assert {e["task_id"] for e in hashes} == {"hash-all"}
    assert len({e["task_id"] for e in told("learning")}) == 3


def web_handler(told: Told) -> None:
    assert len(told("task_completed", path="/summarise", status_code=200)) == 3
    assert len(told("task_failed", path="/summarise", exception_type="FileNotFoundError")) == 1
    calls = told("llm_call", name="summarise")
    assert {e["task_id"] for e in calls} == {e["task_id"] for e in told("task_completed")}


def manual_lifecycle(told: Told) -> None:
    assert len(told("task_started")) == 2
    assert told("task_completed", texts=3, language="en")
    assert told("task_failed", exception_type="EOFError")
    assert told("read_body:action_completed", result_preview="Deals, TechNova, Acme")
    assert told("read_body:action_failed")
    assert len(told("memory_op")) == 5
    assert all("task_id" in e for e in told("memory_op"))


def custom_transport(told: Told) -> None:
    assert sum(e["payload"]["data"]["cost"] for e in told("llm_call")) == pytest.approx(0.021)


PROMISES: dict[str, Callable[[Told], None]] = {
    f"{check.__name__}.py": check
    for check in (
        layer0_agent,
        layer1_tasks,
        layer2a_llm_calls,
        layer2b_tools,
        layer2c_rich_events,
        layer3_advanced,
        layer4_detectors,
        asyncio_agents,
        threads_and_executors,
        web_handler,
        manual_lifecycle,
        custom_transport,
    )
}

SHOWN = {
    "layer0_agent.py": ["agent registered", "queue", "most used words: "],
    "layer1_tasks.py": ["task review-layer0_agent", "✗ read", "FileNotFoundError"],
    "layer2a_llm_calls.py": ["reasoning", "local-large", "$"],
    "layer2b_tools.py": ["list_files", "purpose_of", "Layer 0: "],
    "layer2c_rich_events.py": ["plan", "retry", "approval", "escalated", "issue"],
    "layer3_advanced.py": ["config_snapshot", "context_compaction", "learning"],
    "layer4_detectors.py": ["anomaly", "prompt_composition", "state_mutation"],
    "asyncio_agents.py": ["counter-1", "coordinator", "CancelledError"],
    "threads_and_executors.py": ["hash_file", "task hash-all", "watcher"],
    "web_handler.py": ["200 README.md # Examples", "500 no_such_file.py sorry", "look_up"],
    "manual_lifecycle.py": ["read_body", "EOFError"],
    "custom_transport.py": ["3 calls for $0.021, says the file", "question-1"],
}
"""What a reader sees without an account."""


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_without_an_account(example: str) -> None:
    done = run_program(FOLDER / example, environment=ENVIRONMENT)

    assert (done.code, done.err) == (0, "")
    text = "\n".join(done.out)
    assert [words for words in SHOWN[example] if words not in text] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_against_a_server(example: str) -> None:
    with ScriptedServer(key=KEY) as server:
        account = {"HIVELOOP_API_KEY": KEY, "HIVELOOP_ENDPOINT": server.url}
        done = run_program(FOLDER / example, environment={**ENVIRONMENT, **account})

    assert (done.code, done.err) == (0, "")
    assert server.violations == []
    assert server.repeats() == {}
    PROMISES[example](Told(server))


def test_readme_lists_every_example() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in FILES if f"| `{path.name}` |" not in readme] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_says_how_it_is_run(example: str) -> None:
    text = (FOLDER / example).read_text(encoding="utf-8")
    docstring = text.split('"""')[1]
    assert f"    python examples/{example}\n" in docstring
    assert "HIVELOOP_API_KEY" in docstring
