"""How the board's pages feel in a browser: weight, first data, event to pixel, and frames while much happens.

    python -m tests.bench.board_pages [--seconds 10] [--rate 200] [--nodes 300] [--slower 1]

The board runs in a process of its own; Chromium is the machine's, without a window. Exits with 1 when a
budget is missed. Frames are those of the page's own clock: on a screen of 60 Hz an unhurried one takes
16.7 ms. With ``--slower 4`` the browser has a quarter of the processor, as on a weak laptop.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import requests
from playwright.sync_api import Page, sync_playwright

from tests.support.program import Program

__all__ = ["main"]

BUDGETS = {
    "weight, kB": 300.0,
    "first data, ms": 1_000.0,
    "event to pixel, ms p95": 1_000.0,
    "stream, frame ms p95": 34.0,
    "stream scrolled, frame ms p95": 34.0,
    "waterfall scrolled, frame ms p95": 34.0,
}
_AGENTS = 8
_BEATS = 20
"""Requests per second that the events come in."""
_LINK = re.compile(r"http://127\.0\.0\.1:\d+/open\?token=\S+")
_KEY = re.compile(r"hb_live_[0-9a-f]{32}")
_RECORD = """() => {
  window.frames_ms = []; window.tasks_ms = [];
  let last = performance.now();
  const tick = (at) => { frames_ms.push(at - last); last = at; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  new PerformanceObserver((list) => list.getEntries().forEach((one) => tasks_ms.push(one.duration)))
    .observe({ entryTypes: ["longtask"] });
}"""
_WATCH = """() => {
  window.waits_ms = [];
  const seen = new Set();
  const look = () => document.querySelectorAll(".stream .line").forEach((line) => {
    const sent = /sent (\\d+)/.exec(line.textContent);
    if (!sent || seen.has(line.textContent)) return;
    seen.add(line.textContent);
    requestAnimationFrame(() => waits_ms.push(Date.now() - Number(sent[1])));
  });
  new MutationObserver(look).observe(document.querySelector(".stream"), { childList: true, subtree: true });
}"""
_WEIGHT = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter((one) => !one.name.includes("/v1/")).reduce((sum, one) => sum + one.encodedBodySize, 0) / 1000"""


class Running(NamedTuple):
    """A board that runs."""

    link: str
    key: str

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self.link.partition("/open")[0]


@contextmanager
def _board() -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        places = {"HIVELOOP_BOARD_DATA": f"{folder}/data", "HIVELOOP_RUNTIME_DIR": f"{folder}/run"}
        script = Path(folder, "serve.py")
        script.write_text(
            "import sys\nfrom hiveloop.cli import main\nsys.exit(main(sys.argv[1:]))\n", "utf-8"
        )
        with Program(script, "board", "--no-browser", environment=places) as program:
            key = _first_match(program, _KEY)
            yield Running(_first_match(program, _LINK), key)


def _first_match(program: Program, wanted: re.Pattern[str]) -> str:
    while not (found := wanted.search(program.line(30))):
        pass
    return found[0]


def _send(board: Running, agent: str, events: list[dict[str, Any]]) -> None:
    answer = requests.post(
        f"{board.endpoint}/v1/ingest",
        headers={"Authorization": f"Bearer {board.key}"},
        json={"envelope": {"agent_id": agent}, "events": events},
        timeout=10,
    )
    answer.raise_for_status()


def _event(kind: str, at: datetime, task: str, **more: Any) -> dict[str, Any]:
    common = {"event_id": str(uuid.uuid4()), "timestamp": at.isoformat(), "event_type": kind}
    return {**common, "task_id": task, "task_run_id": task, **more}


def _task(board: Running, nodes: int) -> None:
    """A task that ended, with so many actions in it, some of them inside others."""
    start = datetime.now(UTC) - timedelta(seconds=nodes)
    events = [_event("task_started", start, "long")]
    for number in range(nodes):
        began, parent = start + timedelta(seconds=number), number - number % 10
        more = {"action_id": f"a{number}", "parent_action_id": f"a{parent}" if number != parent else None}
        payload = {"action_name": f"step {number}", "args": {"number": number}, "result": "x" * 400}
        events.append(_event("action_started", began, "long", payload=payload, **more))
        ended = began + timedelta(milliseconds=900)
        events.append(_event("action_completed", ended, "long", duration_ms=900, payload=payload, **more))
    events.append(
        _event("task_completed", start + timedelta(seconds=nodes), "long", duration_ms=nodes * 1000)
    )
    for first in range(0, len(events), 400):
        _send(board, "worker-0", events[first : first + 400])


class Feed(threading.Thread):
    """Agents that report so many events a second, each with the time at which it was sent."""

    def __init__(self, board: Running, rate: int) -> None:
        super().__init__(daemon=True)
        self._board, self._size = board, max(1, rate // _BEATS)
        self._end = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Send until it is to end."""
        due = time.monotonic()
        while not self._end.wait(max(0.0, due - time.monotonic())):
            due += 1 / _BEATS
            agent, now = f"worker-{self.sent // self._size % _AGENTS}", datetime.now(UTC)
            stamp = f"sent {time.time_ns() // 1_000_000}"
            events = [
                _event(
                    "action_completed", now, f"task of {agent}", payload={"action_name": f"{stamp} {number}"}
                )
                for number in range(self._size)
            ]
            _send(self._board, agent, events)
            self.sent += len(events)

    def stop(self) -> None:
        """End it."""
        self._end.set()
        self.join()


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--slower", type=float, default=1.0)
    asked = parser.parse_args()
    path = os.environ.get("HIVELOOP_TEST_CHROMIUM") or shutil.which("chromium")
    with _board() as board, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": asked.slower})
        found = _measured(board, page, asked.seconds, asked.rate, asked.nodes)
        browser.close()
    for name, value in found.items():
        budget = BUDGETS.get(name)
        verdict = "" if budget is None else f"   budget {budget:g}{'' if value <= budget else ': MISSED'}"
        print(f"{name:38} {value:9.1f}{verdict}", flush=True)
    return 1 if any(found[name] > budget for name, budget in BUDGETS.items()) else 0


def _measured(board: Running, page: Page, seconds: float, rate: int, nodes: int) -> dict[str, float]:
    _task(board, nodes)
    page.goto(board.link)
    page.wait_for_url(f"{board.endpoint}/")
    found = {**_first(page, board), "weight, kB": page.evaluate(_WEIGHT)}
    feed = Feed(board, rate)
    feed.start()
    began = time.monotonic()
    try:
        found |= _stream(page, seconds)
    finally:
        feed.stop()
    found["events/s that came"] = feed.sent / (time.monotonic() - began)
    page.goto(f"{board.endpoint}/task?id=long")
    page.locator(".node").first.wait_for()
    return found | _frames(page, "waterfall scrolled", lambda: _scroll(page, ".waterfall .scroller", seconds))


def _first(page: Page, board: Running) -> dict[str, float]:
    """From the address being opened to the first agent on screen; the middle of five."""
    samples: list[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        page.goto(f"{board.endpoint}/", wait_until="commit")
        page.locator("article.card").first.wait_for()
        samples.append((time.perf_counter() - begin) * 1_000)
    return {"first data, ms": statistics.median(samples)}


def _stream(page: Page, seconds: float) -> dict[str, float]:
    page.locator(".stream .line").first.wait_for()
    page.evaluate(_WATCH)
    found = _frames(page, "stream", lambda: page.wait_for_timeout(seconds * 1_000))
    waits = sorted(page.evaluate("waits_ms"))
    found |= {"event to pixel, ms p50": statistics.median(waits), "event to pixel, ms p95": _high(waits)}
    found["events seen"] = len(waits)
    return found | _frames(page, "stream scrolled", lambda: _scroll(page, ".stream .scroller", seconds))


def _scroll(page: Page, selector: str, seconds: float) -> None:
    """Turn the wheel over an element, down and up again."""
    page.locator(selector).hover()
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        page.mouse.wheel(0, 120 if step % 60 < 30 else -120)
        page.wait_for_timeout(16)
        step += 1


def _frames(page: Page, name: str, act: Any) -> dict[str, float]:
    page.evaluate(_RECORD)
    act()
    frames, tasks = sorted(page.evaluate("frames_ms")), page.evaluate("tasks_ms")
    return {
        f"{name}, frame ms p50": statistics.median(frames),
        f"{name}, frame ms p95": _high(frames),
        f"{name}, frame ms max": frames[-1],
        f"{name}, long tasks": len(tasks),
        f"{name}, longest task ms": max(tasks, default=0.0),
    }


def _high(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))]


if __name__ == "__main__":
    sys.exit(main())
