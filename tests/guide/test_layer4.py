"""Integration guide, Layer 4: Client-Side Detection Patterns.

Covers the samples under: Loop and cycle detection · Prompt composition breakdown · State mutation tracking.
"""

from __future__ import annotations

import copy
import hashlib
import json

import pytest

from .hive import Hive
from .world import ToolRegistry, count_tokens
from .your_app.observability import get_current_task

tool_registry = ToolRegistry()
turn_count = 5

# -- Loop and cycle detection ------------------------------------------------------------------------

# Cycle detection state — maintain per task
_recent_actions = []  # list of (tool_name, args_hash) tuples
MAX_HISTORY = 20
CYCLE_THRESHOLD = 3  # same action 3+ times = probable loop


def detect_cycle(tool_name: str, arguments: dict) -> bool:
    """Returns True if a cycle is detected."""
    args_hash = hashlib.md5(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:8]

    _recent_actions.append((tool_name, args_hash))
    if len(_recent_actions) > MAX_HISTORY:
        _recent_actions.pop(0)

    # Check for exact repetition
    recent = _recent_actions[-CYCLE_THRESHOLD:]
    if len(recent) == CYCLE_THRESHOLD and len(set(recent)) == 1:
        return True

    # Check for A-B-A-B alternation
    if len(_recent_actions) >= 4:
        last4 = _recent_actions[-4:]
        if last4[0] == last4[2] and last4[1] == last4[3] and last4[0] != last4[1]:
            return True

    return False


# In your tool dispatch function
def execute_tool(tool_name, arguments):
    if detect_cycle(tool_name, arguments):
        _task = get_current_task()
        if _task:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "anomaly",
                        "data": {
                            "detector": "cycle",
                            "tool_name": tool_name,
                            "args_hash": hashlib.md5(
                                json.dumps(arguments, sort_keys=True).encode()
                            ).hexdigest()[:8],
                            "cycle_length": CYCLE_THRESHOLD,
                            "turn_number": turn_count,
                            "message": f"Agent called {tool_name} {CYCLE_THRESHOLD}x with same args",
                        },
                    },
                )
            except Exception:
                pass
        # Optional: break the cycle by failing the task or injecting guidance
        # raise CycleDetectedError(f"Loop detected: {tool_name}")

    result = tool_registry.execute(tool_name, arguments)
    return result  # noqa: RET504 - as the guide prints it


@pytest.fixture
def no_history() -> None:
    """Begin a task's cycle detection anew."""
    _recent_actions.clear()


@pytest.mark.usefixtures("no_history")
def test_cycle_detection_exact_repetition(hive: Hive) -> None:
    with hive.running_task():
        for _ in range(3):
            execute_tool("search_contacts", {"query": "ada"})

    anomaly = hive.one("anomaly")
    assert anomaly.data == {
        "detector": "cycle",
        "tool_name": "search_contacts",
        "args_hash": hashlib.md5(b'{"query": "ada"}').hexdigest()[:8],
        "cycle_length": 3,
        "turn_number": 5,
        "message": "Agent called search_contacts 3x with same args",
    }
    assert anomaly.task == hive.one("task_started").task


@pytest.mark.usefixtures("no_history")
def test_cycle_detection_alternation(hive: Hive) -> None:
    with hive.running_task():
        for query in ("ada", "alan", "ada"):
            execute_tool("search_contacts", {"query": query})
        assert hive.events("anomaly") == []
        execute_tool("search_contacts", {"query": "alan"})

    assert hive.one("anomaly").data["detector"] == "cycle"


@pytest.mark.usefixtures("no_history")
def test_cycle_detection_leaves_progress_alone(hive: Hive) -> None:
    with hive.running_task():
        for query in ("ada", "alan", "grace", "ada", "grace"):
            execute_tool("search_contacts", {"query": query})

    assert hive.events("anomaly") == []


# -- Prompt composition breakdown --------------------------------------------------------------------


def analyze_prompt_composition(
    system_prompt: str,
    messages: list,
    tool_results: list | None = None,
    model_context_limit: int = 200_000,
) -> dict:
    """Analyze token distribution across prompt components."""
    sys_tokens = count_tokens(system_prompt)
    history_tokens = count_tokens(messages)
    tool_tokens = count_tokens(tool_results) if tool_results else 0
    total = sys_tokens + history_tokens + tool_tokens

    breakdown = {
        "system_prompt_tokens": sys_tokens,
        "history_tokens": history_tokens,
        "tool_results_tokens": tool_tokens,
        "total_input_tokens": total,
        "context_utilization_pct": round(total / model_context_limit * 100, 1),
        "largest_component": max(
            [("system", sys_tokens), ("history", history_tokens), ("tools", tool_tokens)],
            key=lambda x: x[1],
        )[0],
    }

    # Detect bloat: any single component > 60% of total
    for name, tokens in [("system", sys_tokens), ("history", history_tokens), ("tools", tool_tokens)]:
        pct = (tokens / total * 100) if total > 0 else 0
        breakdown[f"{name}_pct"] = round(pct, 1)
        if pct > 60:
            breakdown["bloat_warning"] = f"{name} is {pct:.0f}% of prompt"

    return breakdown


@pytest.mark.parametrize("tool_words", [120_000, 100])
def test_prompt_composition_breakdown(hive: Hive, tool_words: int) -> None:
    system_prompt, messages, tool_results = "You sell.", ["word " * 20_000], ["word " * tool_words]
    with hive.running_task():
        # Before each LLM call
        composition = analyze_prompt_composition(system_prompt, messages, tool_results)
        _task = get_current_task()
        if _task and composition.get("context_utilization_pct", 0) > 50:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "prompt_composition",
                        "data": {
                            **composition,
                            "turn_number": turn_count,
                        },
                    },
                )
            except Exception:
                pass

    if tool_words == 100:
        assert hive.events("prompt_composition") == [], "small prompts are not worth an event"
        return
    assert hive.one("prompt_composition").data == {
        "system_prompt_tokens": 2,
        "history_tokens": 20_000,
        "tool_results_tokens": 120_000,
        "total_input_tokens": 140_002,
        "context_utilization_pct": 70.0,
        "largest_component": "tools",
        "system_pct": 0.0,
        "history_pct": 14.3,
        "tools_pct": 85.7,
        "bloat_warning": "tools is 86% of prompt",
        "turn_number": 5,
    }


# -- State mutation tracking -------------------------------------------------------------------------


class StateMutationTracker:
    """Track changes to agent working state and report significant mutations."""

    def __init__(self):
        self._previous_state = {}
        self._mutation_count = 0

    def check_mutation(self, current_state: dict, turn_number: int) -> dict | None:
        """Compare current state to previous. Returns diff if changed."""
        if not self._previous_state:
            self._previous_state = copy.deepcopy(current_state)
            return None

        changes = {}
        all_keys = set(list(self._previous_state.keys()) + list(current_state.keys()))

        for key in all_keys:
            old_val = self._previous_state.get(key)
            new_val = current_state.get(key)
            if old_val != new_val:
                changes[key] = {
                    "action": "added" if old_val is None else "removed" if new_val is None else "modified",
                    "old_type": type(old_val).__name__ if old_val is not None else None,
                    "new_type": type(new_val).__name__ if new_val is not None else None,
                }

        if changes:
            self._mutation_count += 1
            self._previous_state = copy.deepcopy(current_state)
            return {
                "mutation_number": self._mutation_count,
                "turn_number": turn_number,
                "keys_changed": list(changes.keys()),
                "changes": changes,
                "state_size": len(current_state),
            }
        return None


# Usage — at the end of each turn
_tracker = StateMutationTracker()  # one per task


def after_turn(agent_state: dict, turn_number: int):
    mutation = _tracker.check_mutation(agent_state, turn_number)
    if mutation:
        _task = get_current_task()
        if _task:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "state_mutation",
                        "data": mutation,
                    },
                )
            except Exception:
                pass


def test_state_mutation_tracking(hive: Hive) -> None:
    with hive.running_task():
        after_turn({"contacts": ["Ada"], "budget": 10}, 1)
        after_turn({"contacts": ["Ada"], "budget": 10}, 2)
        after_turn({"contacts": ["Ada", "Alan"], "budget": 10}, 3)
        after_turn({"contacts": ["Ada", "Alan"], "mood": "good"}, 4)

    first, second = hive.events("state_mutation")
    assert first.data == {
        "mutation_number": 1,
        "turn_number": 3,
        "keys_changed": ["contacts"],
        "changes": {"contacts": {"action": "modified", "old_type": "list", "new_type": "list"}},
        "state_size": 2,
    }
    assert sorted(second.data["keys_changed"]) == ["budget", "mood"]
    assert second.data["changes"] == {
        "budget": {"action": "removed", "old_type": "int", "new_type": None},
        "mood": {"action": "added", "old_type": None, "new_type": "str"},
    }
    assert "Alan" not in str(second.payload), "keys and types only, never values"
