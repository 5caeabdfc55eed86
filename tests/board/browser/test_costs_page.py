"""What was spent: by what, when, down to the call; what is estimated, and the prices it is estimated from."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from .conftest import Board, eventually
from .reports import llm_call
from .test_agent_page import body_rows
from .test_interaction import SignIn, send
from .test_promises import at, panel

HOUR = 3600.0


def metric(page: Page, label: str) -> Locator:
    """One of the figures at the top."""
    return page.locator(".metric").filter(has=page.get_by_text(label, exact=True))


def type_price(page: Page, model: str, given: str, out: str) -> None:
    """Fill in the form of a price and send it."""
    page.get_by_label("Model", exact=True).fill(model)
    page.get_by_label("Input price per million tokens").fill(given)
    page.get_by_label("Output price per million tokens").fill(out)
    page.get_by_role("button", name="Set price").click()


def test_each_range_sums_up_what_was_in_it(board: Board, sign_in: SignIn) -> None:
    ages = (0.5, 3, 12, 3 * 24, 20 * 24)
    send(board, *(llm_call("ask", "m", age * HOUR, cost=2**n) for n, age in enumerate(ages)))
    page = at(sign_in(board), board, "/costs")
    totals = {"1h": "$1.00", "6h": "$3.00", "24h": "$7.00", "7d": "$15.00", "30d": "$31.00"}
    for chosen, total in totals.items():
        page.get_by_role("group", name="Range").get_by_role("button", name=chosen, exact=True).click()
        expect(metric(page, "Total")).to_contain_text(total)
        row = panel(page, "By model").get_by_role("row", name=re.compile("Model m"))
        expect(row).to_contain_text(total)


def test_costs_over_time_are_stacked_and_a_bar_tells_its_own(board: Board, sign_in: SignIn) -> None:
    send(board, llm_call("ask", "cheap", 20 * HOUR, cost=1), llm_call("ask", "dear", 20 * HOUR, cost=6))
    # One bar before the last is the same, also when another hour begins meanwhile.
    send(board, *(llm_call("ask", "dear", ago, cost=2) for ago in (0, HOUR)), agent="other")
    page = at(sign_in(board), board, "/costs")
    over_time = panel(page, "Cost over time")
    expect(over_time).to_contain_text("$11.00 in the last 24 hours, a bar for each hour")
    legend = over_time.get_by_role("listitem")
    expect(legend).to_have_text([re.compile(r"dear\$10\.00"), re.compile(r"cheap\$1\.00")])
    plot = over_time.get_by_role("img", name="Cost of each hour in US dollars, by model").locator(".u-over")
    told = over_time.get_by_text(re.compile(r"\d\d:00 to \d\d:00: \$2\.00"))

    def points() -> bool:
        box = plot.bounding_box()
        assert box is not None
        plot.hover(position={"x": box["width"] * (1 - 1.5 / 25), "y": box["height"] / 2})
        return told.is_visible()

    eventually(points, interval=0.1, what="a bar tells its own")  # what is drawn anew has no pointer over it
    expect(legend).to_have_text([re.compile(r"dear\$2\.00"), re.compile(r"cheap\$0")])
    page.mouse.move(0, 0)
    expect(legend.first).to_contain_text("$10.00")
    over_time.get_by_role("button", name="Agent").click()
    expect(legend).to_have_text([re.compile(r"sender\$7\.00"), re.compile(r"other\$4\.00")])


def test_pressing_a_row_narrows_everything_and_again_widens_it(board: Board, sign_in: SignIn) -> None:
    send(board, llm_call("one", "m", cost=1, task="a"))
    send(board, llm_call("two", "m", cost=2, task="b"), agent="other")
    page = at(sign_in(board), board, "/costs")
    row = panel(page, "By agent").get_by_role("row", name=re.compile("Agent other"))
    row.click()
    expect(metric(page, "Total")).to_contain_text("$2.00")
    expect(row).to_have_attribute("aria-selected", "true")
    expect(body_rows(panel(page, "LLM calls"))).to_have_count(1)
    page.get_by_role("button", name="Remove filter agent other").click()
    expect(metric(page, "Total")).to_contain_text("$3.00")
    for narrowed, total in (("true", "$2.00"), ("false", "$3.00")):
        row.click()
        expect(row).to_have_attribute("aria-selected", narrowed)
        expect(metric(page, "Total")).to_contain_text(total)


def test_the_calls_go_on_beyond_a_page_while_more_arrive(board: Board, sign_in: SignIn) -> None:
    send(board, *(llm_call(f"call {n}", "m", 900 - n, cost=0.1) for n in range(120)))
    page = at(sign_in(board), board, "/costs")
    calls = panel(page, "LLM calls")
    expect(body_rows(calls)).to_have_count(50)
    calls.get_by_role("button", name="Older calls").click()
    expect(body_rows(calls)).to_have_count(100)
    send(board, *(llm_call(f"call {n}", "m", 300 - n, cost=0.1) for n in range(120, 180)))
    expect(calls).to_contain_text("call 179")
    for _ in range(2):
        calls.get_by_role("button", name="Older calls").click()
    expect(body_rows(calls)).to_have_count(180)
    names = calls.locator("tbody tr td:nth-child(2)")
    expect(names).to_have_text([f"call {number}" for number in range(179, -1, -1)])


def test_what_agents_told_and_what_is_estimated_are_kept_apart(board: Board, sign_in: SignIn) -> None:
    send(board, llm_call("told", "gpt-4o", cost=1), llm_call("guessed", "gpt-4o"))
    page = at(sign_in(board), board, "/costs")
    expect(metric(page, "Total")).to_contain_text("~$3.50")
    expect(metric(page, "Reported")).to_contain_text("$1.00")
    expect(metric(page, "Estimated")).to_contain_text("~$2.50")
    calls = panel(page, "LLM calls")
    expect(calls.get_by_role("row", name=re.compile("guessed"))).to_contain_text("~$2.50")
    expect(calls.get_by_role("row", name=re.compile("told"))).not_to_contain_text("~")
    calls.get_by_role("button", name="Details of guessed").click()
    expect(calls).to_contain_text("estimated with the price of gpt-4o")


def test_a_model_without_a_price_gets_one_and_its_calls_their_costs(board: Board, sign_in: SignIn) -> None:
    send(board, llm_call("think", "home-made-7"))
    page = at(sign_in(board), board, "/costs")
    expect(metric(page, "LLM calls")).to_contain_text("1 call without a price")
    expect(panel(page, "LLM calls").get_by_role("row", name=re.compile("think"))).to_contain_text("?")
    panel(page, "By model").get_by_role("link", name="set a price").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value("home-made-7")
    expect(page.get_by_label("Input price per million tokens")).to_be_focused()
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    page.keyboard.type("8")
    page.keyboard.press("Enter")
    said = "The price of home-made-7 is set. Calls of before follow by themselves."
    expect(page.get_by_text(said)).to_be_visible()
    expect(metric(page, "Total")).to_contain_text("~$4.00")
    row = page.get_by_role("row", name="Price of home-made-7")
    expect(row).to_contain_text("edited here")


def test_a_bad_price_is_told_and_not_set(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/costs", prices="open")
    expect(page.get_by_role("row", name="Price of gpt-4o", exact=True)).to_be_visible()
    said = page.get_by_role("form", name="Set a price").get_by_role("alert")
    for model, given, out, message in (
        ("", "1", "2", "Name the model, or the beginning that several have in common."),
        ("m", "abc", "2", "The input price is no number"),
        ("m", "1", "", "The output price is no number"),
        ("m", "-1", "2", "The input price must be from 0 to 1,000,000"),
        ("m", "1", "1e9", "The output price must be from 0 to 1,000,000"),
    ):
        type_price(page, model, given, out)
        expect(said).to_contain_text(message)
    expect(page.get_by_role("row", name="Price of m", exact=True)).to_have_count(0)
    type_price(page, "m", "$1,5", "2")
    expect(said).to_have_count(0)
    expect(page.get_by_role("row", name="Price of m", exact=True)).to_contain_text("1.5")


def test_a_price_is_edited_in_its_row_and_dated(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/costs", prices="open")
    expect(panel(page, "Price table")).to_contain_text(re.compile(r"List prices as of \d{4}-\d\d-\d\d"))
    page.get_by_role("button", name="Edit the price of gpt-4o", exact=True).click()
    expect(page.get_by_label("Input price per million tokens")).to_have_value("2.5")
    page.get_by_label("Input price per million tokens").fill("2")
    page.get_by_label("In force since").fill("2030-01-01")
    page.get_by_role("button", name="Set price").click()
    rows = page.get_by_role("row", name="Price of gpt-4o", exact=True)
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="2030-01-01")).to_contain_text("edited here")
    expect(rows.filter(has_text="always")).to_contain_text("list price")
    page.get_by_role("button", name="Remove the price of gpt-4o", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("list price")
