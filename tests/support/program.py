"""Python programs in subprocesses, for what only a process can show: exit, fork, memory."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Finished", "Program", "end", "run_program"]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit code; negative for a signal.
        out: lines of standard output.
        err: standard error.
    """

    code: int
    out: list[str]
    err: str

    @property
    def clean(self) -> bool:
        """Whether it ended with code 0, and neither Python nor hiveloop complained of an exception."""
        return self.code == 0 and not self.complaints

    @property
    def complaints(self) -> list[str]:
        """Lines on standard error that tell of an exception, a fatal error or a lost thread."""
        signs = ("Traceback", "Exception ignored", "Fatal Python error", "Error in atexit", "can't start new")
        return [line for line in self.err.splitlines() if any(sign in line for sign in signs)]


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a process to end, and end it when it has not done so in time."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


class Program:
    """A running program; use it as a context manager, which kills what is left of it.

    Args:
        path: the script.
        arguments: its arguments.
        environment: variables added to ours; any HIVELOOP_* of ours is left out.
    """

    def __init__(self, path: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HIVELOOP_")}
        self._process = subprocess.Popen(
            [sys.executable, str(path), *map(str, arguments)],
            env={**ours, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that its own children can be ended with it
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._err: list[str] = []
        self._out: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(5.0)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def line(self, timeout: float = 20.0) -> str:
        """Wait for the next line of standard output.

        Raises:
            AssertionError: none came in time, or the program ended without one.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no line within {timeout} s; stderr: {''.join(self._err)}") from None
        assert line is not None, f"the program ended; stderr: {''.join(self._err)}"
        self._out.append(line)
        return line

    def wait_for_line(self, expected: str, timeout: float = 20.0) -> float:
        """Read lines until `expected` comes; return the `time.monotonic` of that moment."""
        while self.line(timeout) != expected:
            pass
        return time.monotonic()

    def finish(self, timeout: float = 30.0) -> Finished:
        """Wait for the end of the process.

        Raises:
            AssertionError: it did not end in time; it is killed, and the message has its output.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill()
            raise AssertionError(f"still running after {timeout} s: {self._text()}") from None
        for reader in self._readers:
            reader.join(5.0)
        while (line := self._lines.get(timeout=5.0)) is not None:
            self._out.append(line)
        return Finished(code, self._out, "".join(self._err))

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # nothing is left of it
            os.killpg(self._process.pid, signal.SIGKILL)

    def _text(self) -> str:
        return f"stdout {self._out}, stderr {''.join(self._err)}"

    def _read_out(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_err(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._err.append(line)


def run_program(
    path: Path, *arguments: object, environment: Mapping[str, str] | None = None, timeout: float = 30.0
) -> Finished:
    """Run a program to its end; see `Program`."""
    with Program(path, *arguments, environment=environment) as program:
        return program.finish(timeout)
