"""All pages for everybody: enough contrast in both themes, and every control reached and seen by keyboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import Board, eventually
from .test_interaction import SignIn
from .test_promises import at

_CONTRASTS = (Path(__file__).parent / "contrast.js").read_text("utf-8")
_PAGES = [
    "/",
    "/task?id=lead-4822",
    "/agent?id=lead-qualifier",
    "/agent?id=lead-qualifier&view=pipeline",
    "/agent?id=lead-qualifier&view=llm",
    "/agent?id=lead-qualifier&view=config",
    "/pipeline",
    "/costs?prices=open",
    "/insights",
    "/keys",
]
_EMPTY = ["/", "/pipeline", "/costs", "/insights", "/keys"]


def opened(page: Page, board: Board, path: str) -> None:
    """Go to a page and wait until it shows what it knows."""
    page.goto(board.endpoint + path)
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
    expect(page.locator("[aria-busy]")).to_have_count(0)


def in_theme(page: Page, theme: str) -> None:
    """Look with one theme, without movement."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]


def contrasts(page: Page, board: Board, paths: list[str]) -> dict[str, list[str]]:
    """Texts without enough contrast, by page."""
    found: dict[str, list[str]] = {}
    for path in paths:
        opened(page, board, path)
        if weak := page.evaluate(_CONTRASTS):
            found[path] = weak
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_enough_contrast(page: Page, told: Board, theme: str) -> None:
    in_theme(page, theme)
    assert contrasts(page, told, _PAGES) == {}
    expect(page.locator("html")).to_have_attribute("data-theme", theme)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_an_empty_board_says_has_enough_contrast(board: Board, sign_in: SignIn, theme: str) -> None:
    page = sign_in(board)
    in_theme(page, theme)
    assert contrasts(page, board, _EMPTY) == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_new_keys_questions_and_messages_have_enough_contrast(
    board: Board, sign_in: SignIn, theme: str
) -> None:
    page = sign_in(board)
    in_theme(page, theme)
    opened(page, board, "/keys")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_label("The key", exact=True)).to_be_visible()
    page.get_by_role("button", name=re.compile("^Revoke")).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate(_CONTRASTS) == []
    opened(page, board, "/costs?prices=open")
    page.get_by_role("button", name="Set price").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate(_CONTRASTS) == []


_KEYBOARD = (Path(__file__).parent / "keyboard.js").read_text("utf-8")


def test_every_control_is_reached_by_tab_and_its_focus_is_seen(page: Page, told: Board) -> None:
    wrong: dict[str, list[str]] = {}
    for path in _PAGES:
        opened(page, told, path)
        page.keyboard.press("p")  # so that the stream does not change what there is to reach
        controls = page.evaluate(_KEYBOARD)
        assert controls > 8
        for _ in range(controls + 12):
            page.keyboard.press("Tab")
        if found := page.evaluate("[...window.missed(), ...window.unseen]"):
            wrong[path] = found
    assert wrong == {}


_BEYOND = """[document.documentElement, document.getElementById("page")]
  .map((one) => one.scrollWidth - one.clientWidth)"""


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_is_wider_than_its_window(page: Page, told: Board, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for path in ("/pipeline", "/costs?prices=open", "/insights", "/keys", "/agent?id=lead-qualifier"):
        opened(page, told, path)
        # A chart is as wide as its panel a frame later than that.
        eventually(lambda: page.evaluate(_BEYOND) == [0, 0], what=f"nothing of {path} is beyond its window")


def test_rows_of_every_list_are_walked_with_j_and_k(page: Page, told: Board) -> None:
    for path in ("/pipeline", "/costs", "/insights", "/keys"):
        at(page, told, path)
        expect(page.locator("[data-row]").first).to_be_visible()
        page.keyboard.press("j")
        expect(page.locator("[data-row]:focus")).to_have_count(1)
