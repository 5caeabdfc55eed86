"""The fleet at a glance: what cards, figures, tasks and the stream say, and how they are narrowed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .conftest import Board, eventually
from .test_interaction import SignIn, send
from .test_promises import at, card, copied, details, node, show, stream


def told_now(kind: str, ago: float = 0.0, **more: Any) -> dict[str, Any]:
    """One event that happened just now."""
    stamp = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    return {"event_id": f"{kind}-{stamp}-{more}", "timestamp": stamp, "event_type": kind, **more}


def cards(page: Page) -> list[str]:
    """Who is where in the hive, from the top."""
    return (
        page.get_by_role("list", name="Agents")
        .get_by_role("listitem")
        .evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    )


# -- cards ------------------------------------------------------------------------------------


def test_an_agent_without_work_is_idle_and_beats(board: Board, sign_in: SignIn) -> None:
    send(board, told_now("agent_registered"), told_now("heartbeat"), agent="newcomer")
    page = sign_in(board)
    expect(card(page, "newcomer").get_by_text("Idle", exact=True)).to_be_visible()
    expect(card(page, "newcomer")).to_contain_text("No task yet")
    sparkline = card(page, "newcomer").get_by_role("img", name=re.compile("a heartbeat in 1 of 12 intervals"))
    expect(sparkline.locator("rect.beat")).to_have_count(1)


def test_a_card_tells_the_age_of_its_task_and_of_its_action(board: Board, sign_in: SignIn) -> None:
    run = {"task_id": "report", "task_run_id": "run"}
    payload = {"action_name": "read_pages"}
    send(
        board,
        told_now("task_started", ago=240, **run),
        told_now("action_started", ago=125, action_id="a", payload=payload, **run),
        agent="reader",
    )
    page = sign_in(board)
    expect(card(page, "reader").get_by_text("Processing", exact=True)).to_be_visible()
    work = card(page, "reader").locator(".card-work")
    expect(work).to_have_text(re.compile(r"^report\s*4 min\s*read_pages\s*2 min$"))


def test_the_agents_own_figures_are_on_its_card(page: Page) -> None:
    expect(card(page, "lead-qualifier")).to_contain_text("gpt-4o")
    expect(card(page, "lead-qualifier")).to_contain_text("cost since boot $0.420")
    expect(card(page, "lead-qualifier")).to_contain_text("3 in a row")


def test_a_card_counts_cost_approvals_and_outcomes_in_words(page: Page) -> None:
    expect(card(page, "lead-qualifier")).to_contain_text("~$0.0274 / h")
    expect(card(page, "refund-desk")).to_contain_text(re.compile("1 approval(?!s)"))
    outcomes = card(page, "lead-qualifier").get_by_role("img", name=re.compile("^Last 2 tasks"))
    expect(outcomes).to_have_attribute("aria-label", "Last 2 tasks: 1 succeeded, 1 did not")


def test_an_escalated_task_marks_its_card(board: Board, sign_in: SignIn) -> None:
    send(board, told_now("task_started", task_id="t"), told_now("escalated", task_id="t"), agent="clerk")
    expect(card(sign_in(board), "clerk")).to_contain_text("escalated")


def test_a_silent_agent_turns_stuck_while_one_watches(board: Board, sign_in: SignIn) -> None:
    page = sign_in(board)
    send(board, told_now("agent_registered"), told_now("task_started", task_id="t"))
    expect(card(page, "sender").get_by_text("Processing", exact=True)).to_be_visible()
    threshold = {"kind": "agent_registered", "data": {"stuck_threshold": 1}}  # only now: it works until seen
    send(board, told_now("agent_registered", payload=threshold))
    expect(card(page, "sender").get_by_text("Stuck", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Stuck 1"))).to_be_visible()


def test_cards_are_sorted_by_attention_and_stay_where_they_are(page: Page) -> None:
    expected = [
        "mail-sorter: Stuck",
        "lead-qualifier: Error",
        "refund-desk: Waiting",
        "report-writer: Processing",
        "archiver: Offline",
    ]
    eventually(lambda: cards(page) == expected)
    for _ in range(3):
        with page.expect_response(re.compile("/v1/agents")):
            pass
        assert cards(page) == expected


def test_a_card_narrows_everything_to_its_agent_and_again_to_all(page: Page) -> None:
    card(page, "report-writer").locator(".card-why").click()
    expect(page).to_have_url(re.compile("agent=report-writer"))
    expect(page.get_by_role("row", name=re.compile("report-1"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_have_count(0)
    expect(stream(page).get_by_role("listitem").filter(has_text="lead-qualifier")).to_have_count(0)
    card(page, "report-writer").locator(".card-why").click()
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_be_visible()
    expect(page).not_to_have_url(re.compile("agent="))


def test_an_environment_narrows_cards_tasks_and_stream(page: Page) -> None:
    page.get_by_label("Environment", exact=True).select_option("development")
    expect(page.get_by_role("row", name=re.compile("archive-1"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("lead-"))).to_have_count(0)
    expect(stream(page).get_by_role("listitem").filter(has_text="archive-1").first).to_be_visible()
    expect(stream(page).get_by_role("listitem").filter(has_text="lead-qualifier")).to_have_count(0)


# -- figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "address"),
    [
        ("Processing", "status=processing"),
        ("Waiting", "status=waiting_approval"),
        ("Stuck", "status=stuck"),
        ("Success rate", "tasks=completed"),
        ("Avg duration", "sort=duration"),
        ("Failed", "tasks=failed"),
        ("Errors", "show=error"),
        ("Cost (1h)", "sort=cost"),
    ],
)
def test_each_figure_is_a_filter_and_pressed_again_is_none(page: Page, label: str, address: str) -> None:
    figure = page.get_by_role("group", name="Stats").get_by_role(
        "button", name=re.compile(f"^{re.escape(label)}")
    )
    figure.click()
    expect(page).to_have_url(re.compile(address))
    expect(figure).to_have_attribute("aria-pressed", "true")
    figure.click()
    expect(page).not_to_have_url(re.compile(address))
    expect(figure).to_have_attribute("aria-pressed", "false")


def test_failed_counts_tasks_and_errors_counts_events(board: Board, sign_in: SignIn) -> None:
    run = {"task_id": "t", "task_run_id": "r"}
    failed = [told_now("action_failed", action_id=f"a{number}", **run) for number in range(3)]
    send(board, told_now("task_started", **run), *failed, told_now("task_failed", **run))
    page = sign_in(board)
    expect(page.get_by_role("button", name="Failed 1", exact=True)).to_be_visible()
    page.get_by_role("button", name="Errors 4", exact=True).click()
    expect(stream(page).get_by_role("listitem")).to_have_count(4)
    page.goto(f"{board.endpoint}/task?id=t")
    expect(page.get_by_role("listitem").filter(has_text=re.compile("^Errors"))).to_have_text("Errors4")
    expect(page.get_by_role("group", name="Nodes").get_by_role("button", name="errors 4")).to_be_visible()


def test_the_last_hour_is_drawn_in_four_charts(page: Page) -> None:
    for label in ("Throughput", "Success rate", "Errors", "Cost per task"):
        expect(page.get_by_role("img", name=f"{label} over the last hour")).to_be_visible()


# -- tasks ------------------------------------------------------------------------------------


def test_the_task_table_counts_llm_calls_and_cost(page: Page) -> None:
    row = page.get_by_role("row", name=re.compile("lead-4821"))
    expect(row).to_be_visible()
    headings = [heading.strip() for heading in page.get_by_role("columnheader").all_inner_texts()]
    expect(row.get_by_role("cell")).to_have_count(len(headings))
    expect(row.get_by_role("cell").nth(headings.index("LLM"))).to_have_text("2")
    expect(row.get_by_role("cell").nth(headings.index("Cost"))).to_have_text(re.compile(r"^~\$0\.02"))


def test_tasks_are_sorted_by_the_board_and_go_on_beyond_a_page(board: Board, sign_in: SignIn) -> None:
    for number in range(60):
        run = {"task_id": f"job-{number:02}", "task_run_id": "r"}
        started = told_now("task_started", ago=100 - number, **run)
        send(board, started, told_now("task_completed", duration_ms=(number * 37) % 61 * 100, **run))
    page = sign_in(board)
    rows = page.get_by_role("row", name=re.compile("job-"))
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("job-59")
    page.get_by_role("button", name="Older tasks").click()
    expect(rows).to_have_count(60)
    page.get_by_role("button", name="Duration", exact=True).click()
    expect(page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "descending")
    expect(rows.first).to_contain_text("6.0 s")
    for order in ("descending", "ascending"):
        page.get_by_role("button", name="Started").click()
        expect(page.get_by_role("columnheader", name="Started")).to_have_attribute("aria-sort", order)
    expect(rows.first).to_contain_text("job-00")


def test_the_search_is_the_boards_and_finds_tasks_agents_issues_and_events(page: Page) -> None:
    page.get_by_role("searchbox", name="Search").fill("crm")
    expect(page).to_have_url(re.compile("q=crm"))
    expect(page.get_by_role("row", name=re.compile("lead-4822"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("refund-17"))).to_have_count(0)
    issues = page.get_by_role("region", name="Issues found").get_by_role("listitem")
    expect(issues.filter(has_text="CRM rate limit reached")).to_be_visible()
    events = page.get_by_role("region", name="Events found").get_by_role("listitem")
    expect(events.filter(has_text="crm_update").first).to_be_visible()
    page.get_by_role("searchbox", name="Search").fill("refund-d")
    agents = page.get_by_role("region", name="Agents found").get_by_role("listitem")
    expect(agents).to_have_count(1)
    expect(agents).to_contain_text("refund-desk")
    agents.get_by_role("link").click()
    expect(page).to_have_url(re.compile("/agent\\?id=refund-desk"))


def test_a_search_takes_terms_and_the_other_filters_with_it(page: Page, told: Board) -> None:
    rows = page.get_by_role("row", name=re.compile("lead-|refund-|report-|inbox-"))

    def only(name: str) -> None:
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(name)

    search = page.get_by_role("searchbox", name="Search")
    search.fill("agent:lead cost>0.01")
    only("lead-4821")
    search.fill("status:fai")  # as one types
    only("lead-4822")
    search.fill("status:x lead")
    expect(page.get_by_text("No state is called “x”: it is one of stuck, failed")).to_be_visible()
    expect(rows).to_have_count(2)
    page.get_by_label("Task status").select_option("completed")
    only("lead-4821")
    page.goto(f"{told.endpoint}/?q=model:claude")
    only("lead-4821")
    page.get_by_role("searchbox", name="Search").fill("no such thing")
    expect(page.get_by_text(re.compile("Nothing of this among the newest"))).to_be_visible()
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("")
    expect(page.get_by_role("row", name=re.compile("refund-17"))).to_be_visible()


# -- the stream -------------------------------------------------------------------------------

_CHIPS = {
    "task": r"task_(started|completed|failed)",
    "action": r"action_(started|completed|failed)",
    "error": r"task_failed|action_failed|plan_step|issue",
    "llm": "llm_call",
    "pipeline": r"todo|scheduled|issue|plan_created|plan_step|queue_snapshot",
    "human": r"escalated|approval_(requested|received)",
}


@pytest.mark.parametrize("chip", _CHIPS)
def test_a_chip_shows_its_own_kind_and_nothing_else(page: Page, chip: str) -> None:
    show(page, chip)
    lines = stream(page).get_by_role("listitem")
    expect(lines.first).to_be_visible()
    expect(lines.filter(has_not_text=re.compile(_CHIPS[chip]))).to_have_count(0)


def test_the_stream_and_the_log_speak_in_plain_words(page: Page, told: Board) -> None:
    page.get_by_role("button", name="Plain words").click()
    expect(page).to_have_url(re.compile("words=plain"))
    show(page, "human")
    expect(stream(page)).to_contain_text("was told “rejected” by mia: Offer 20 % discount?")
    expect(stream(page)).to_contain_text("asks support-lead to approve: Refund of $120?")
    at(page, told, "/task", id="lead-4822", view="log")
    page.get_by_role("button", name="Plain words").click()
    log = page.get_by_role("list", name="Log")
    expect(log).to_contain_text(
        "could not do crm_update, because of ConnectionError: CRM refused the connection"
    )
    expect(log).to_contain_text("tries again (attempt 1): CRM refused")


def test_a_line_of_the_stream_leads_to_its_node(page: Page) -> None:
    show(page, "action")
    stream(page).get_by_role("listitem").filter(has_text="crm_search").first.click()
    expect(details(page)).to_contain_text("plan: pro")


# -- what a call said -------------------------------------------------------------------------


def test_what_was_said_can_be_copied(page: Page, told: Board, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=told.endpoint)
    at(page, told, "/task", id="lead-4821")
    node(page, "^LLM call, understand").click()
    prompt = details(page).locator("section").filter(has=page.get_by_role("heading", name="Prompt"))
    assert copied(prompt.get_by_role("button", name="Copy")) == "What does this lead want?"


def test_an_estimated_cost_says_so_on_the_task(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    node(page, "^LLM call, draft").click()
    expect(details(page)).to_contain_text(re.compile(r"~\$0\.\d+ \(estimated\)"))
    expect(node(page, "^LLM call, draft")).to_contain_text("~$0.0")


def test_kinds_of_nodes_have_colours_of_their_own(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    colour = "(row, name) => ['--tone', name].map((of) => getComputedStyle(row).getPropertyValue(of))"
    for name, variable in {
        "^LLM call, understand": "--llm",
        "^Action, crm_search": "--work",
        "^Escalation": "--wait",
    }.items():
        shown, wanted = node(page, name).evaluate(colour, variable)
        assert shown == wanted
    at(page, told, "/task", id="lead-4822")
    shown, wanted = node(page, "crm_update.*failed: TimeoutError").evaluate(colour, "--fail")
    assert shown == wanted
