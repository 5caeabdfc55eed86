"""What makes the board quick, as far as a busy machine cannot make it fail. Figures: tests.bench.board."""

from __future__ import annotations

import re
import time
from pathlib import Path

from hiveloop.board.routes_query import routes
from tests.bench.board import questions

from .boards import Board, running_board


def _seconds(board: Board) -> float:
    with board.client() as client:

        def once() -> float:
            begin = time.perf_counter()
            assert client.get("/v1/environments").status_code == 200
            return time.perf_counter() - begin

        return min(once() for _ in range(12))


def test_an_answer_does_not_wait_for_acknowledgements(tmp_path: Path) -> None:
    """Of requests on one connection the quickest takes 40 ms when the system holds the body back."""
    with running_board(tmp_path) as board:
        assert _seconds(board) < 0.03


def test_a_board_to_which_nobody_is_connected_ends_at_once(tmp_path: Path) -> None:
    """Left to itself uvicorn looks ten times a second whether it should end, and then pauses for as long."""

    def ending(number: int) -> float:
        with running_board(tmp_path / str(number)) as board:
            assert board.get("/v1/environments")
            begin = time.perf_counter()
        return time.perf_counter() - begin

    assert min(ending(number) for number in range(8)) < 0.08


def test_the_benchmark_asks_every_address_that_reads_the_store() -> None:
    asked = [question.path for question in questions("task", "event", 0)]
    for route in routes:
        pattern = re.compile(re.sub(r"\\\{[a-z_]+(:path)?\\\}", "[^/]+", re.escape(route.path)))
        assert any(pattern.fullmatch(path) for path in asked), route.path
