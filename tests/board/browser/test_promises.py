"""What the integration guide and the sensor reference promise an operator, found by role and text.

One fleet of scripted agents did everything once; each test is named after a promise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

from .conftest import Board, eventually


def at(page: Page, told: Board, path: str, **params: str) -> Page:
    """Go to a page of the board."""
    page.goto(f"{told.endpoint}{path}?{urlencode(params)}" if params else f"{told.endpoint}{path}")
    return page


def card(page: Page, agent: str) -> Locator:
    """The card of an agent."""
    return page.get_by_role("list", name="Agents").get_by_role("listitem", name=re.compile(f"^{agent}:"))


def stream(page: Page) -> Locator:
    """The activity stream."""
    return page.get_by_role("list", name="Events")


def show(page: Page, group: str) -> None:
    """Press a chip over the activity stream."""
    page.get_by_role("group", name="Show").get_by_role("button", name=group, exact=True).click()


def node(page: Page, name: str) -> Locator:
    """A row of the waterfall."""
    return page.get_by_role("list", name="Waterfall").get_by_role("link", name=re.compile(name))


def details(page: Page) -> Locator:
    """The panel beside the waterfall."""
    return page.get_by_role("complementary", name=re.compile("^Details of"))


def panel(page: Page, title: str) -> Locator:
    """A panel by its title."""
    return page.get_by_role("region", name=title, exact=True)


_TELLS = """(button) => {
  window.saidCopied = false;
  const look = () => (window.saidCopied ||= button.textContent.includes("Copied"));
  new MutationObserver(look).observe(button, { childList: true, characterData: true, subtree: true });
  return navigator.clipboard.writeText("");
}"""


def copied(button: Locator) -> str:
    """Press a button that copies, see that it says so, however briefly, and return what it copied."""
    page = button.page
    button.evaluate(_TELLS)
    button.click()
    eventually(lambda: page.evaluate("window.saidCopied"), what="it says that it copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert isinstance(text, str)
    return text


# -- presence ---------------------------------------------------------------------------------


def test_agent_cards_appear_in_the_hive(page: Page) -> None:
    expect(page.get_by_role("heading", name="The Hive")).to_be_visible()
    expect(card(page, "lead-qualifier")).to_be_visible()
    expect(card(page, "report-writer")).to_be_visible()


def test_heartbeat_sparklines_show_the_last_hour(page: Page) -> None:
    bars = card(page, "lead-qualifier").get_by_role("img", name=re.compile("Activity of the last hour"))
    expect(bars).to_be_visible()
    expect(bars.locator("rect.on")).not_to_have_count(0)


def test_a_silent_agent_is_stuck_after_its_own_threshold_and_says_why(page: Page) -> None:
    stuck = card(page, "mail-sorter")
    expect(stuck.get_by_text("Stuck", exact=True)).to_be_visible()
    expect(stuck).to_contain_text(re.compile("heartbeat|event|silent|progress|heard", re.IGNORECASE))


def test_the_connection_is_live(page: Page) -> None:
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()


def test_an_agent_that_ended_cleanly_is_offline_and_not_stuck(page: Page) -> None:
    expect(card(page, "archiver").get_by_text("Offline", exact=True)).to_be_visible()


def test_environments_are_those_of_the_data(page: Page) -> None:
    page.get_by_label("Environment", exact=True).select_option("development")
    expect(card(page, "archiver")).to_be_visible()
    expect(card(page, "lead-qualifier")).to_have_count(0)
    expect(page).to_have_url(re.compile("env=development"))


def test_the_heartbeat_payload_flows_into_the_card(page: Page) -> None:
    expect(card(page, "lead-qualifier")).to_contain_text("gpt-4o")
    expect(card(page, "lead-qualifier")).to_contain_text("3 in a row")


# -- tasks ------------------------------------------------------------------------------------


def test_the_task_table_shows_id_agent_type_status_and_duration(page: Page) -> None:
    row = page.get_by_role("row", name=re.compile("lead-4821"))
    for told in ("Completed", "lead-qualifier", "lead", "sales"):
        expect(row).to_contain_text(told)
    expect(row).to_contain_text(re.compile(r"\d (ms|s)"))
    expect(page.get_by_role("row", name=re.compile("lead-4822"))).to_contain_text("Failed")


def test_the_ribbon_shows_the_figures_and_each_is_a_filter(page: Page) -> None:
    ribbon = page.get_by_role("group", name="Stats")
    for label in ("Processing", "Success rate", "Avg duration", "Errors", "Cost (1h)"):
        expect(ribbon.get_by_role("button", name=re.compile(re.escape(label)))).to_be_visible()
    ribbon.get_by_role("button", name=re.compile("^Processing")).click()
    expect(card(page, "report-writer")).to_be_visible()
    expect(card(page, "refund-desk")).to_have_count(0)
    expect(page).to_have_url(re.compile("status=processing"))


def test_the_ribbon_counts_what_costs(page: Page) -> None:
    expect(page.get_by_role("button", name=re.compile(r"^Cost \(1h\) .*\$0\.0"))).to_be_visible()


def test_the_stream_shows_tasks_and_actions(page: Page) -> None:
    show(page, "task")
    expect(stream(page).get_by_role("listitem").filter(has_text="task_completed").first).to_be_visible()
    show(page, "action")
    expect(stream(page).get_by_role("listitem").filter(has_text="action_failed").first).to_contain_text(
        "TimeoutError"
    )


def test_a_card_shows_processing_and_its_task_while_it_runs(page: Page) -> None:
    busy = card(page, "report-writer")
    expect(busy.get_by_text("Processing", exact=True)).to_be_visible()
    expect(busy.get_by_role("link", name="report-1")).to_be_visible()
    expect(busy).to_contain_text("summarise_pages")


def test_a_task_that_nobody_ended_is_stuck_with_its_agent(page: Page) -> None:
    expect(page.get_by_role("row", name=re.compile("inbox-1"))).to_contain_text("Stuck")


def test_projects_group_tasks(page: Page) -> None:
    page.get_by_label("Project", exact=True).select_option("support")
    expect(page.get_by_role("row", name=re.compile("refund-17"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_have_count(0)


def test_the_timeline_shows_start_and_end_with_the_actions_between(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    names = page.get_by_role("list", name="Waterfall").get_by_role("link").all_inner_texts
    expect(node(page, "read_lead")).to_be_visible()
    shown = names()
    assert "started" in shown[0]
    assert "completed" in shown[-1]
    assert any("read_lead" in name for name in shown[1:-1])


# -- LLM calls --------------------------------------------------------------------------------


def test_llm_nodes_are_nested_in_their_action_with_a_model_badge(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    call = node(page, "^LLM call, understand")
    expect(call).to_contain_text("gpt-4o")
    nested = page.get_by_role("list", name="Waterfall").get_by_role("link").all_inner_texts()
    names = [text.split("\n")[0] for text in nested]
    assert names.index("read_lead") < names.index("understand") < names.index("crm_search")


def test_an_llm_node_opens_with_what_was_said(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    node(page, "^LLM call, understand").click()
    expect(details(page)).to_contain_text("What does this lead want?")
    expect(details(page)).to_contain_text('"intent": "pricing"')
    expect(details(page)).to_contain_text("cache_read_input_tokens")
    expect(details(page)).to_contain_text("$0.0085")


def test_the_stream_has_an_llm_filter(page: Page) -> None:
    show(page, "llm")
    expect(stream(page).get_by_role("listitem").first).to_contain_text("llm_call")
    expect(stream(page).get_by_role("listitem").filter(has_text="task_started")).to_have_count(0)


def test_costs_by_model_and_by_agent_and_in_total(page: Page, told: Board) -> None:
    at(page, told, "/costs")
    expect(panel(page, "By model").get_by_role("row", name=re.compile("gpt-4o"))).to_contain_text("$0.0115")
    expect(panel(page, "By agent").get_by_role("row", name=re.compile("lead-qualifier"))).to_be_visible()
    expect(panel(page, "By task type").get_by_role("row", name=re.compile("lead"))).to_be_visible()
    expect(panel(page, "By project").get_by_role("row", name=re.compile("sales"))).to_be_visible()


def test_a_cost_leads_down_to_its_call(page: Page, told: Board) -> None:
    at(page, told, "/costs")
    panel(page, "By model").get_by_role("row", name=re.compile("gpt-4o")).click()
    expect(page).to_have_url(re.compile("model=gpt-4o"))
    calls = panel(page, "LLM calls")
    expect(calls.get_by_role("row", name=re.compile("claude"))).to_have_count(0)
    calls.get_by_role("row", name=re.compile("lead-4821")).click()
    expect(page.get_by_role("heading", name="lead-4821", exact=True)).to_be_visible()
    expect(details(page)).to_contain_text("What does this lead want?")


def test_a_call_without_cost_is_estimated_and_marked(page: Page, told: Board) -> None:
    at(page, told, "/costs")
    expect(panel(page, "By model").get_by_role("row", name=re.compile("claude"))).to_contain_text("~$")


# -- tools ------------------------------------------------------------------------------------


def test_a_tool_node_opens_with_arguments_and_result(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    node(page, "^Action, crm_search").click()
    for told_of_it in ("Arguments", '"query": "Ana"', "Result", "plan: pro", "crm", "200", "Succeeded"):
        expect(details(page)).to_contain_text(told_of_it)


def test_a_failed_tool_is_marked_in_words_with_its_error(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4822")
    failed = node(page, "crm_update.*failed: ConnectionError: CRM refused")
    expect(failed).to_contain_text("failed")
    failed.click()
    expect(details(page)).to_contain_text("ConnectionError: CRM refused the connection")


def test_a_failed_task_opens_at_its_failure_with_what_came_before(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4822")
    expect(details(page)).to_contain_text("TimeoutError: crm.example.com did not answer within 30 s")
    before = details(page).get_by_role("listitem")
    expect(before.filter(has_text="retry_started")).to_contain_text("CRM refused")
    expect(page).to_have_url(re.compile("node="))


# -- narrative --------------------------------------------------------------------------------


def test_the_plan_bar_tells_each_step_and_keeps_revisions_apart(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    plan = page.get_by_role("region", name="Plan", exact=True)
    expect(plan).to_contain_text("Answer without the CRM")
    expect(plan).to_contain_text("1 of 3 steps completed")
    expect(plan.get_by_role("img", name="skipped")).to_be_visible()
    plan.get_by_role("button", name="rev 0").click()
    expect(plan).to_contain_text("1 of 4 steps completed")
    expect(plan.get_by_role("img", name="failed")).to_be_visible()
    expect(plan.get_by_role("img", name="pending")).to_have_count(2)


def test_an_escalation_is_a_node_and_says_who(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4821")
    node(page, "^Escalation, Discount above the limit").click()
    expect(details(page)).to_contain_text("sales-lead")


def test_a_retry_is_a_node(page: Page, told: Board) -> None:
    at(page, told, "/task", id="lead-4822")
    node(page, "^Retry").click()
    expect(details(page)).to_contain_text("CRM refused")


def test_an_agent_waits_as_long_as_its_approval_is_open(page: Page) -> None:
    waiting = card(page, "refund-desk")
    expect(waiting.get_by_text("Waiting", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("refund-17"))).to_contain_text("Waiting")


def test_the_pipeline_shows_the_pending_approval(page: Page, told: Board) -> None:
    at(page, told, "/pipeline")
    item = panel(page, "Approvals").get_by_role("listitem")
    expect(item).to_contain_text("Refund of $120?")
    expect(item).to_contain_text("support-lead")
    expect(item).to_contain_text(re.compile("waiting (now|[0-9]+ s|[0-9]+ min)"))
    item.get_by_role("link", name="Refund of $120?").click()
    expect(page.get_by_role("heading", name="refund-17")).to_be_visible()


def test_the_decision_shows_in_the_stream(page: Page) -> None:
    show(page, "human")
    received = stream(page).get_by_role("listitem").filter(has_text="approval_received")
    expect(received).to_contain_text("rejected")


# -- pipeline ---------------------------------------------------------------------------------


def test_issues_have_a_badge_and_are_sorted_by_severity(page: Page, told: Board) -> None:
    expect(card(page, "lead-qualifier")).to_contain_text("2 issues")
    at(page, told, "/pipeline")
    issues = panel(page, "Issues").get_by_role("listitem")
    expect(issues).to_have_count(2)
    expect(issues.nth(0)).to_contain_text("Critical")
    expect(issues.nth(1)).to_contain_text("CRM rate limit reached")
    expect(issues.nth(1)).to_contain_text("3 times")


def test_todos_show_their_text_and_leave_when_done(page: Page, told: Board) -> None:
    at(page, told, "/agent", id="lead-qualifier", view="pipeline")
    todos = panel(page, "To-dos").get_by_role("listitem")
    expect(todos).to_have_count(1)
    expect(todos).to_contain_text("Retry the failed CRM update")
    expect(todos).to_contain_text("high")


def test_the_queue_has_a_badge_and_its_contents(page: Page, told: Board) -> None:
    expect(card(page, "lead-qualifier")).to_contain_text("Q:8")
    at(page, told, "/agent", id="lead-qualifier", view="pipeline")
    expect(panel(page, "Queue")).to_contain_text("Lead nine")
    expect(panel(page, "Queue")).to_contain_text("oldest 2 min")


def test_the_schedule_tells_when_a_job_ran_last_and_how(page: Page, told: Board) -> None:
    at(page, told, "/pipeline")
    job = panel(page, "Schedule").get_by_role("row", name=re.compile("Daily report"))
    expect(job).to_contain_text("failed")
    expect(job).to_contain_text("1 Jan")


# -- agent page -------------------------------------------------------------------------------


def test_the_agent_page_shows_who_it_is_and_what_it_does(page: Page, told: Board) -> None:
    at(page, told, "/agent", id="report-writer")
    now = panel(page, "Right now")
    expect(now).to_contain_text("Processing")
    expect(now.get_by_role("link", name="report-1")).to_be_visible()
    at(page, told, "/agent", id="lead-qualifier")
    for fact in ("langgraph", "1.4.0", "sales", "production"):
        expect(page.get_by_role("main")).to_contain_text(fact)
    expect(panel(page, "Recent tasks").get_by_role("row", name=re.compile("lead-4822"))).to_be_visible()
    expect(panel(page, "Lifecycle")).to_contain_text("started")


def test_config_snapshots_are_compared(page: Page, told: Board) -> None:
    at(page, told, "/agent", id="lead-qualifier", view="config")
    expect(page.get_by_text("prompt_version: 6")).to_be_visible()
    expect(page.get_by_text("prompt_version: 7")).to_be_visible()


def test_the_agents_llm_calls_are_listed(page: Page, told: Board) -> None:
    at(page, told, "/agent", id="lead-qualifier", view="llm")
    expect(panel(page, "LLM calls").get_by_role("row", name=re.compile("draft"))).to_contain_text("2,300")


# -- empty panels -----------------------------------------------------------------------------


def test_an_empty_board_teaches_with_its_own_address_and_key_and_fills_itself(
    board: Board, sign_in: Callable[[Board], Page]
) -> None:
    import hiveloop

    page = sign_in(board)
    expect(page.get_by_role("heading", name="Waiting for the first agent")).to_be_visible()
    expect(page.get_by_text(f'endpoint="{board.endpoint}"')).to_be_visible()
    expect(page.get_by_text(f'init("{board.key}"')).to_be_visible()
    expect(page.get_by_text(f"Authorization=Bearer%20{board.key}")).to_be_visible()
    hb = hiveloop.init(board.key, endpoint=board.endpoint, flush_interval=0.1)
    with hb.agent("newcomer").task("first"):
        pass
    assert hb.flush(10)
    hiveloop.shutdown()
    expect(card(page, "newcomer")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("first"))).to_contain_text("Completed")


# -- insights ---------------------------------------------------------------------------------


def test_insights_say_when_there_is_not_enough_data(page: Page, told: Board) -> None:
    at(page, told, "/insights")
    expect(panel(page, "Cache hit ratio")).to_contain_text("Not enough data")
    expect(panel(page, "Cache hit ratio")).to_contain_text("cache_read_input_tokens")
    expect(panel(page, "Anomalies")).to_contain_text("cycle")
    detectors = page.get_by_role("list", name="Detectors", exact=True).get_by_role("listitem")
    expect(detectors.filter(has_text="Stuck agents")).to_contain_text("1 of 5 agents is stuck now.")
    expect(panel(page, "Tools").get_by_role("row", name=re.compile("crm_update"))).to_contain_text("2")


def test_metadata_of_llm_calls_becomes_insights(board: Board, sign_in: Callable[[Board], Page]) -> None:
    import hiveloop

    hb = hiveloop.init(board.key, endpoint=board.endpoint)
    agent = hb.agent("worker")
    for turn in range(1, 21):
        with agent.task(f"task-{turn}") as task:
            task.retry("Busy", attempt=1)
            metadata = {
                "cache_read_input_tokens": 600,
                "stop_reason": "max_tokens" if turn == 20 else "end_turn",
                "turn_number": turn % 3,
                "context_utilization_pct": 90 if turn > 15 else 40,
                "system_prompt_tokens": 200,
                "history_tokens": 700,
                "tool_results_tokens": 100,
            }
            task.llm_call("reason", "gpt-4o", tokens_in=1000, tokens_out=100, cost=0.01, metadata=metadata)
            task.event("learning", {"summary": "Fixed it", "data": {"correction_applied": True}})
    assert hb.flush(10)
    hiveloop.shutdown()
    page = sign_in(board)
    page.goto(f"{board.endpoint}/insights")
    expect(panel(page, "Cache hit ratio")).to_contain_text("60 % of the input")
    expect(panel(page, "Context pressure")).to_contain_text("25 % of the calls are above 80 %")
    expect(panel(page, "Truncated answers")).to_contain_text("5 % of the answers were cut off")
    expect(panel(page, "Cost per turn")).to_contain_text("Turn 2")
    expect(panel(page, "Prompt composition")).to_contain_text("70 %")
    expect(panel(page, "Retries")).to_contain_text("20 retries, 1 for each task")
    expect(panel(page, "Self-correction")).to_contain_text("100 % corrections")
    expect(panel(page, "Prompts").get_by_role("row", name=re.compile("reason"))).to_contain_text("$0.200")


def test_runs_of_one_task_are_told_apart(board: Board, sign_in: Callable[[Board], Page]) -> None:
    import hiveloop

    hb = hiveloop.init(board.key, endpoint=board.endpoint)
    agent = hb.agent("worker")
    for name in ("first try", "second try"):
        with agent.task("nightly"), agent.track_context(name):
            pass
    assert hb.flush(10)
    hiveloop.shutdown()
    page = sign_in(board)
    expect(page.get_by_role("row", name=re.compile("nightly"))).to_have_count(2)
    page.goto(f"{board.endpoint}/task?id=nightly")
    expect(node(page, "second try")).to_be_visible()
    page.get_by_role("navigation", name="Runs of this task").get_by_role("link").last.click()
    expect(node(page, "first try")).to_be_visible()
    expect(node(page, "second try")).to_have_count(0)
