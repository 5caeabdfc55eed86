"""Run the Python blocks of one page in one namespace; a program of `test_docs`, not a test.

Standard input is a list of ``{"line": int, "source": str}``, standard output one of what each block printed.
A connection to anything but this machine ends the run: documentation must not need the network.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import hiveloop

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(page: str) -> None:
    blocks = json.load(sys.stdin)
    out = sys.stdout
    strangers = _watch_the_network()
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": page}
    printed = [_run(page, block, namespace) for block in blocks]
    sys.stdout = out
    hiveloop.reset()
    if strangers:
        sys.exit(f"{page} looks up or connects to {strangers}")
    json.dump(printed, out)


def _run(page: str, block: dict[str, Any], namespace: dict[str, Any]) -> str:
    """Run one block, with a fresh SDK if it starts one, and return what it printed."""
    if "hiveloop.init(" in block["source"]:
        hiveloop.reset()
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    source = "\n" * (block["line"] - 1) + block["source"]  # so that tracebacks name the page's own lines
    exec(compile(source, page, "exec"), namespace)
    assert hiveloop.flush(5.0), "not delivered in time"
    sys.stdout.seek(0)
    return sys.stdout.read()


def _watch_the_network() -> list[str]:
    strangers: list[str] = []

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("socket.connect", "socket.getaddrinfo"):
            return
        address = arguments[1] if event == "socket.connect" else arguments
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket has none
        if isinstance(host, str) and host not in _LOOPBACK:
            strangers.append(host)
            raise ConnectionRefusedError(f"documentation may not reach for {host}")

    sys.addaudithook(look)
    return strangers


if __name__ == "__main__":
    main(sys.argv[1])
