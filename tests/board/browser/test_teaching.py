"""Empty panels hold programs: each is copied from the page and run, and its panel fills while one looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

import hiveloop

from .conftest import Board
from .reports import event
from .test_interaction import SignIn, send
from .test_promises import at, copied, panel


def offered(page: Page, title: str) -> str:
    """The program that a panel offers, by way of the clipboard."""
    return copied(panel(page, title).get_by_role("button", name="Copy"))


def run_as_it_is(program: str, times: int = 1) -> None:
    """Run a program as somebody would who pasted it."""
    for _ in range(times):
        exec(program, {})
        hiveloop.shutdown()


@pytest.fixture(autouse=True)
def clipboard(context: BrowserContext) -> None:
    """Let the page use the clipboard."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])


def test_panels_of_the_pipeline_fill_from_their_own_lines(board: Board, sign_in: SignIn) -> None:
    panels = {
        "Approvals": "Send the refund of $120?",
        "Issues": "crm-429",
        "To-dos": "Retry the failed CRM update",
        "Queues": "Lead nine",
        "Schedule": "Daily report",
    }
    page = at(sign_in(board), board, "/pipeline")
    for title, filled in panels.items():
        expect(panel(page, title).get_by_role("status")).to_contain_text("Waiting for")
        program = offered(page, title)
        assert f'hiveloop.init("{board.key}", endpoint="{board.endpoint}")' in program
        run_as_it_is(program)
        expect(panel(page, title)).to_contain_text(filled)
        expect(panel(page, title).get_by_role("button", name="Copy")).to_have_count(0)


def test_costs_fill_from_their_own_lines(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/costs")
    run_as_it_is(offered(page, "LLM calls"))
    expect(panel(page, "By model").get_by_role("row", name="Model gpt-4o, $0.0085")).to_be_visible()


def test_insights_fill_from_their_own_lines(board: Board, sign_in: SignIn) -> None:
    cards = {
        "Cache hit ratio": (10, "of the input came from the cache"),
        "Context pressure": (10, "42 % of the context window"),
        "Truncated answers": (10, "0 % of the answers were cut off"),
        "Cost per turn": (10, "Turn 3"),
        "Prompt composition": (5, "System prompt"),
        "Retries": (5, "5 retries"),
        "Self-correction": (5, "% corrections"),
        "Anomalies": (1, "cycle (my-agent)"),
        "Errors with context": (1, "rate_limit · crm · 429"),
        "Prompts": (1, "Tokens in"),
        "Tools": (1, "Slowest"),
    }
    page = at(sign_in(board), board, "/insights")
    programs = {title: offered(page, title) for title in cards}
    for title, (_, filled) in cards.items():
        expect(panel(page, title)).not_to_contain_text(filled)
    for title, (times, _) in cards.items():
        run_as_it_is(programs[title], times)
    for title, (_, filled) in cards.items():
        expect(panel(page, title)).to_contain_text(filled)


@pytest.mark.parametrize(
    ("view", "title", "filled"),
    [
        ("", "Recent tasks", "task-1"),
        ("llm", "LLM calls", "$0.0085"),
        ("config", "Config snapshots", "Config at start"),
        ("pipeline", "Queue", "Lead nine"),
    ],
)
def test_panels_of_an_agent_fill_from_lines_that_name_it(
    board: Board, sign_in: SignIn, view: str, title: str, filled: str
) -> None:
    send(board, event("agent_registered"), agent="newcomer")
    page = at(sign_in(board), board, "/agent", id="newcomer", view=view)
    program = offered(page, title)
    assert 'agent = hb.agent("newcomer")' in program
    run_as_it_is(program)
    expect(panel(page, title)).to_contain_text(filled)
