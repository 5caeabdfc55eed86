"""Changed configurations are marks on their agent's charts: seen, told in words, leading to what changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Board
from .reports import Event, custom, llm_call, run
from .test_interaction import SignIn, send
from .test_promises import at, panel

MINUTE = 60.0
CHARTS = ("Throughput", "Success rate", "Errors", "Cost per task")
_TIME = r"(\d+ \w+ )?\d\d:\d\d"
_CONTRASTS = (Path(__file__).parent / "contrast.js").read_text("utf-8")
_LINE_CONTRAST = """mark => {
  const light = (text) => {
    const linear = (one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = text.match(/[\\d.]+/g).map((one) => linear(one / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const line = getComputedStyle(mark, "::before").backgroundColor;
  const behind = getComputedStyle(mark.closest(".panel")).backgroundColor;
  const [low, high] = [light(line), light(behind)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""


def snapshot(minutes: float, **config: object) -> Event:
    """A configuration of so many minutes ago."""
    return custom("config_snapshot", f"{config}", config, minutes * MINUTE)


def changes(within: Page | Locator) -> Locator:
    """The links below a chart."""
    return within.get_by_role("list", name="Configuration changes").get_by_role("link")


def chart(within: Page | Locator, label: str) -> Locator:
    """A chart that tells of changes."""
    return within.get_by_role("img", name=re.compile(f"^{label}.*; configuration changed at {_TIME}"))


def marks(within: Page | Locator, label: str) -> Locator:
    """The lines over a chart."""
    return chart(within, label).locator(".u-over a")


def bar_of(told: str) -> str:
    """From when to when the bar of five minutes counts that a time belongs to."""
    hour, minute = map(int, told[-5:].split(":"))
    start = hour * 60 + minute - minute % 5
    return " to ".join(f"{at // 60 % 24:02}:{at % 60:02}" for at in (start, start + 5))


def test_only_what_differs_is_marked_and_only_for_one_agent(board: Board, sign_in: SignIn) -> None:
    send(
        board, snapshot(50, model="a"), snapshot(40, model="a"), snapshot(30, model="b", turns=3), *run("job")
    )
    send(board, snapshot(45, model="a"), snapshot(25, model="b"), agent="other")
    page = sign_in(board)
    expect(page.get_by_role("img", name="Errors over the last hour", exact=True)).to_be_visible()
    page = at(page, board, "/", agent="sender")
    for label in CHARTS:
        expect(marks(page, label)).to_have_count(1)
    title = re.compile(f"^Configuration changed at {_TIME}: model, turns$")
    expect(marks(page, "Errors")).to_have_attribute("title", title)
    expect(changes(page)).to_have_attribute("title", title)
    send(board, snapshot(20, model="c", turns=3))
    expect(marks(page, "Errors")).to_have_count(2)
    expect(changes(page)).to_have_text([re.compile(f"^{_TIME}$")] * 2)
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_role("img", name="Errors over the last hour", exact=True)).to_be_visible()
    expect(changes(page)).to_have_count(0)


def test_an_agent_that_kept_its_configuration_has_no_marks(board: Board, sign_in: SignIn) -> None:
    send(board, snapshot(50, model="a"), snapshot(40, model="a"), llm_call("ask", "m", cost=1))
    for path, name in (("/agent", "id"), ("/insights", "agent"), ("/costs", "agent"), ("/", "agent")):
        page = at(sign_in(board), board, path, **{name: "sender"})
        expect(page.locator(".u-over").first).to_be_attached()
        expect(page.locator(".u-over a, .changed")).to_have_count(0)


def test_marks_and_links_lead_to_what_changed(board: Board, sign_in: SignIn) -> None:
    send(board, snapshot(50, model="a"), snapshot(40, model="b"), snapshot(10, model="c"))
    page = at(sign_in(board), board, "/agent", id="sender", range="1h")
    over_time = panel(page, "Over time")
    marks(over_time, "Success rate").first.click()
    expect(page.locator(".diff .gone")).to_have_text(['-model: "a"'])
    expect(page.locator(".diff .come")).to_have_text(['+model: "b"'])
    page = at(page, board, "/agent", id="sender")
    changes(over_time).last.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".diff .come")).to_have_text(['+model: "c"'])
    page.go_back()
    over_time.get_by_role("button", name="30d").click()
    expect(chart(over_time, "Throughput over the last 30 days")).to_be_visible()
    expect(marks(over_time, "Throughput")).to_have_count(2)


def test_a_link_leads_to_a_snapshot_that_is_far_down_the_list(board: Board, sign_in: SignIn) -> None:
    send(board, snapshot(50, n=0), snapshot(49, n=1), *(snapshot(40 - n / 10, n=1) for n in range(60)))
    page = at(sign_in(board), board, "/agent", id="sender")
    changes(page).click()
    expect(page.locator(".diff .gone")).to_have_text(["-n: 0"])
    current = page.get_by_role("list", name="Config snapshots").locator("[aria-current]")
    expect(current).to_contain_text("{'n': 1}")


def test_a_mark_stands_over_the_bar_of_its_time(board: Board, sign_in: SignIn) -> None:
    send(board, *(snapshot(51 - 7 * n, n=n) for n in range(7)), llm_call("ask", "m", cost=1))
    page = at(sign_in(board), board, "/costs", agent="sender", range="1h")
    over_time = panel(page, "Cost over time")
    lines = marks(over_time, "Cost of each 5 minutes")
    expect(lines).to_have_count(6)
    for number in range(6):
        lines.nth(number).hover()
        bar = bar_of(changes(over_time).nth(number).inner_text())
        expect(over_time.locator(".reading")).to_contain_text(bar)


def test_the_newest_twenty_are_marked(board: Board, sign_in: SignIn) -> None:
    send(board, *(snapshot(50 - n, n=n) for n in range(31)))
    page = at(sign_in(board), board, "/insights", agent="sender")
    over_time = panel(page, "Over time")
    expect(over_time).to_contain_text("The 20 newest configuration changes:")
    expect(changes(over_time)).to_have_count(20)
    for label in CHARTS:
        expect(marks(over_time, label)).to_have_count(20)
    changes(over_time).last.click()
    expect(page.locator(".diff .come")).to_have_text(["+n: 30"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_and_their_list_have_enough_contrast(board: Board, sign_in: SignIn, theme: str) -> None:
    send(board, snapshot(50, model="a"), snapshot(10, model="b"))
    page = sign_in(board)
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    at(page, board, "/agent", id="sender")
    line = marks(page, "Errors")
    assert line.evaluate(_LINE_CONTRAST) >= 3
    assert line.evaluate("mark => mark.tabIndex") == -1  # the list is the way by keyboard
    assert page.evaluate(_CONTRASTS) == []
