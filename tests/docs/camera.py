"""Takes pictures of a board that was told something."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from tests.board.browser.conftest import Board, running_board

__all__ = ["report", "take"]

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
SIZE: Any = {"width": 1320, "height": 800}
"""So that a picture stays below 250 kB."""


def report(board: Board, envelope: dict[str, str], events: list[dict[str, Any]]) -> None:
    """Report an agent's events in batches."""
    for first in range(0, len(events), 400):
        answer = requests.post(
            f"{board.endpoint}/v1/ingest",
            headers={"Authorization": f"Bearer {board.key}"},
            json={"envelope": envelope, "events": events[first : first + 400]},
            timeout=60,
        )
        answer.raise_for_status()


def take(
    fill: Callable[[Board, datetime], None], pages: Mapping[str, str], endings: Mapping[str, str]
) -> int:
    """Take pictures into docs/assets, or the folder that the command line names.

    Args:
        fill: reports to a new board, as of a time.
        pages: address of each page, by its word in the names of files.
        endings: of those names, by theme.

    Returns:
        The exit code.
    """
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS
    path = os.environ.get("HIVELOOP_TEST_CHROMIUM") or shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory() as data,
        running_board(Path(data)) as board,
        sync_playwright() as playwright,
    ):
        fill(board, datetime.now(UTC))
        browser = playwright.chromium.launch(executable_path=path)
        for theme, ending in endings.items():
            page = _open_page(browser, theme, board)
            for name, address in pages.items():
                _photograph(page, board.endpoint + address, folder / f"board-{name}{ending}.png")
        browser.close()
    return 0


def _open_page(browser: Browser, theme: Any, board: Board) -> Page:
    page = browser.new_context(
        viewport=SIZE, color_scheme=theme, reduced_motion="reduce", locale="en-GB"
    ).new_page()
    page.goto(board.link)
    page.wait_for_url(f"{board.endpoint}/")
    return page


def _photograph(page: Page, address: str, picture: Path) -> None:
    page.goto(address)
    page.get_by_role("status", name="Connection: Live").wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=picture)
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")
