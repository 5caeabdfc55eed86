"""Servers of others, each in a process of its own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.program import end
from tests.support.wait import eventually

__all__ = ["Started", "free_port"]


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Started:
    """A server; use it as a context manager, which waits until it is up.

    Args:
        command: starts it.
        environment: its variables.
        log: file for what it says.

    Attributes:
        patience: seconds until it must be up.
        process: of the server.
    """

    patience = 20.0

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def __enter__(self) -> Self:
        try:
            eventually(self.is_up, self.patience, 0.05, what=f"{type(self).__name__} answers")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def is_up(self) -> bool:
        """Tell whether it can be used.

        Raises:
            AssertionError: it has ended.
        """
        raise NotImplementedError

    def said(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """End it."""
        end(self.process, 10)
