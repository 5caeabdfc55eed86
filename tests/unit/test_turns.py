"""Tests beside each other: who may run with whom, and that nobody is overtaken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.environments import ROOT
from tests.support.turns import Kind, Turns
from tests.support.wait import eventually, pause

OTHER = """
import sys
from pathlib import Path
from tests.support.turns import Kind, Turns

print("asks", flush=True)
with Turns(Path(sys.argv[1])).taken(Kind[sys.argv[2]]):
    Path(sys.argv[3]).touch()
    sys.stdin.read()
"""


@contextmanager
def other(file: Path, kind: Kind, sign: Path) -> Iterator[None]:
    """Another process that takes a turn, makes a file once it has it, and has it until the block ends."""
    command = [sys.executable, "-c", OTHER, str(file), kind.name, str(sign)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asks\n"
        yield
        process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (Kind.ANY, Kind.ANY, True),
        (Kind.ANY, Kind.QUIET, False),
        (Kind.ANY, Kind.ALONE, False),
        (Kind.QUIET, Kind.ANY, False),
        (Kind.QUIET, Kind.QUIET, True),
        (Kind.QUIET, Kind.ALONE, False),
        (Kind.ALONE, Kind.ANY, False),
        (Kind.ALONE, Kind.QUIET, False),
        (Kind.ALONE, Kind.ALONE, False),
    ],
)
def test_who_runs_beside_whom(tmp_path: Path, first: Kind, second: Kind, together: bool) -> None:
    sign = tmp_path / "sign"
    with ExitStack() as stack:
        with Turns(tmp_path / "turns").taken(first):
            stack.enter_context(other(tmp_path / "turns", second, sign))
            if together:
                eventually(sign.exists)
            else:
                pause(0.1)
                assert not sign.exists()
        eventually(sign.exists)


def test_who_waits_to_be_alone_is_not_overtaken(tmp_path: Path) -> None:
    alone, late = tmp_path / "alone", tmp_path / "late"
    with ExitStack() as stack:
        with Turns(tmp_path / "turns").taken(Kind.ANY):
            waiting = stack.enter_context(ExitStack())
            waiting.enter_context(other(tmp_path / "turns", Kind.ALONE, alone))
            pause(0.1)
            stack.enter_context(other(tmp_path / "turns", Kind.ANY, late))
            pause(0.1)
            assert not late.exists()
        eventually(alone.exists)
        assert not late.exists()
        waiting.close()
        eventually(late.exists)
