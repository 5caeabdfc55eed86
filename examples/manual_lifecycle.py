"""A task without a ``with`` block: started in one callback, ended in another.

A parser calls back for what it finds, as message brokers, websocket clients and callback-driven
agent frameworks do. The handler starts the task in one method and completes or fails it in others.

    python examples/manual_lifecycle.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import os
import uuid
from html.parser import HTMLParser

import hiveloop

PAGE = """<html lang="en"><body><h1>Deals</h1><p>TechNova</p><p>Acme</p></body></html>"""
BROKEN = """<html lang="en"><body><h1>Deals</h1><p>TechNova</p>"""


class PageReader(HTMLParser):
    """Reads one page; the task lives from the first tag to the last."""

    def __init__(self, agent: hiveloop.Agent) -> None:
        super().__init__()
        self._agent = agent
        self._task: hiveloop.Task | None = None
        self._action: hiveloop.Action | None = None
        self._texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            language = dict(attrs).get("lang")
            self._task = self._agent.start_task(f"page-{uuid.uuid4().hex[:8]}", type="parsing")
            self._task.set_payload({"language": language})
        elif tag == "body":
            self._action = self._agent.track_context("read_body")
            self._action.__enter__()

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
        if self._task:
            with self._task.activate():  # makes it current here, wherever this callback runs
                hiveloop.event(
                    "custom", {"kind": "memory_op", "data": {"operation": "write", "result_count": 1}}
                )

    def handle_endtag(self, tag: str) -> None:
        if tag == "body" and self._action:
            self._action.set_payload({"result_preview": ", ".join(self._texts)})
            self._action.__exit__(None, None, None)
        elif tag == "html" and self._task:
            self._task.complete(payload={"texts": len(self._texts)})

    def close(self) -> None:
        """The page is over. What has ended already ignores this; what is still open has failed."""
        super().close()
        error = EOFError("the page ends in the middle")
        if self._action:
            self._action.__exit__(EOFError, error, None)
        if self._task:
            self._task.fail(error)


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    agent = hb.agent("page-reader", type="parsing")

    for page in (PAGE, BROKEN):
        reader = PageReader(agent)
        reader.feed(page)
        reader.close()

    hiveloop.shutdown()


if __name__ == "__main__":
    main()
