"""Layer 0: register an agent, and it shows that it is alive, what it does and what waits for it.

An indexer reads the examples beside this file. Its heartbeats carry its own counters and the state
of its queue; both callbacks run on a thread of the SDK, never on the agent's.

    python examples/layer0_agent.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter, deque
from pathlib import Path

import hiveloop


class Indexer:
    """Counts the words of every file in its inbox."""

    def __init__(self, folder: Path) -> None:
        self.inbox = deque(sorted(folder.glob("*.py")))
        self.words: Counter[str] = Counter()
        self.files = 0

    def run(self) -> None:
        pace = threading.Event()
        while self.inbox:
            self.words.update(re.findall(r"[a-z]{4,}", self.inbox[0].read_text(encoding="utf-8").lower()))
            self.inbox.popleft()
            self.files += 1
            pace.wait(0.02)

    def health(self) -> dict[str, object]:
        """Called before every heartbeat: read counters, never call out."""
        return {"files_indexed": self.files, "distinct_words": len(self.words)}

    def queue(self) -> dict[str, object]:
        """Called before every heartbeat too; None would skip the snapshot."""
        waiting = [{"id": path.name, "summary": f"Index {path.name}"} for path in list(self.inbox)[:10]]
        return {"depth": len(self.inbox), "items": waiting}


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)

    indexer = Indexer(Path(__file__).parent)
    hb.agent(
        "indexer",
        type="search",
        version="1.0",
        heartbeat_interval=0.05,  # 30 seconds is the default, and plenty
        heartbeat_payload=indexer.health,
        queue_provider=indexer.queue,
    )

    indexer.run()
    hiveloop.shutdown()
    print("most used words:", ", ".join(word for word, _ in indexer.words.most_common(5)))


if __name__ == "__main__":
    main()
