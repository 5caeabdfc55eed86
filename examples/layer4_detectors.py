"""Layer 4: detectors that live in the agent - going in circles, a bloated prompt, drifting state.

The agent looks for a word in the examples, forgets that it has looked, and asks the same again. The
detectors watch and report what they see; here the cycle detector also breaks the loop.

    python examples/layer4_detectors.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hiveloop


class CycleDetector:
    """Finds the shortest pattern of one to three calls that came three times in a row."""

    def __init__(self) -> None:
        self._calls: deque[str] = deque(maxlen=9)

    def repeats(self, tool: str, arguments: Mapping[str, Any]) -> int:
        """Note a call; return the length of the cycle it closes, or 0."""
        self._calls.append(f"{tool}{sorted(arguments.items())}")
        calls = list(self._calls)
        lengths = (n for n in (1, 2, 3) if len(calls) >= 3 * n and calls[-3 * n :] == calls[-n:] * 3)
        return next(lengths, 0)


def composition(parts: Mapping[str, str], limit: int = 2_000) -> dict[str, Any]:
    """Say how much of a prompt each part takes, and warn when one takes most of it."""
    sizes = {name: len(text.split()) for name, text in parts.items()}
    total = sum(sizes.values()) or 1
    largest = max(sizes, key=lambda name: sizes[name])
    data: dict[str, Any] = {f"{name}_tokens": size for name, size in sizes.items()}
    data |= {"context_utilization_pct": round(100 * total / limit, 1), "largest_component": largest}
    if sizes[largest] > 0.6 * total:
        data["bloat_warning"] = f"{largest} is {100 * sizes[largest] // total}% of prompt"
    return data


def mutation(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Name the keys that changed, and how; never their values, which may be anybody's."""
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return {k: "added" if k not in before else "modified" if k in after else "removed" for k in changed}


def search(word: str) -> str:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")]
    return "\n".join(line for text in texts for line in text.splitlines() if word in line)


def report(task: hiveloop.Task, kind: str, **data: Any) -> None:
    task.event("custom", {"kind": kind, "data": data})


def work(task: hiveloop.Task, state: dict[str, Any]) -> None:
    cycles, results, question = CycleDetector(), "", {"word": "transport"}
    for turn in range(1, 20):  # a model that forgets: the same question every turn
        if length := cycles.repeats("search", question):
            report(task, "anomaly", detector="cycle", cycle_length=length, turn_number=turn)
            return
        results += search(**question)
        parts = composition({"system": "Find the word.", "tool_results": results})
        report(task, "prompt_composition", turn_number=turn, **parts)
        before = dict(state)
        state.update(last_word=question["word"], found=results.count("\n"))
        if changes := mutation(before, state):
            report(task, "state_mutation", turn_number=turn, keys_changed=list(changes), changes=changes)


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    with hb.agent("forgetful", type="research").task("find-a-word", project="examples") as task:
        work(task, {"started": True})
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
