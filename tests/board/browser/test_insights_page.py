"""What could be better: one window, a sample that is told, and detectors in plain sentences that lead on."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from .conftest import Board
from .reports import Event, custom, event, llm_call, run
from .test_interaction import SignIn, send
from .test_promises import at, panel


def detector(page: Page, name: str) -> Locator:
    """One of the smart detectors."""
    detectors = page.get_by_role("list", name="Detectors", exact=True).get_by_role("listitem")
    return detectors.filter(has=page.get_by_text(name, exact=True))


def in_tasks(kind: str, summary: str, data: Event, count: int = 1) -> list[Event]:
    """Events of a kind in tasks that ended."""
    found: list[Event] = []
    for number in range(count):
        found += run(f"{kind}-{number}", 5)
        found.append(
            custom(kind, summary, data, 5, task_id=f"{kind}-{number}", task_run_id=f"{kind}-{number}-run")
        )
    return found


def test_all_cards_tell_the_same_window_and_their_sample(board: Board, sign_in: SignIn) -> None:
    told = {"context_utilization_pct": 50, "stop_reason": "end_turn", "cache_read_input_tokens": 500_000}
    send(board, *(llm_call("ask", "m", 30, cost=1, metadata=told) for _ in range(12)))
    send(board, *(llm_call("ask", "m", 3 * 86_400, cost=1, metadata=told) for _ in range(8)))
    page = at(sign_in(board), board, "/insights")
    for title in ("Cache hit ratio", "Context pressure", "Truncated answers"):
        expect(panel(page, title)).to_contain_text("of 12 calls")
    expect(page.get_by_text("All of the last 24 hours")).to_be_visible()
    page.get_by_role("group", name="Range").get_by_role("button", name="7d").click()
    for title in ("Cache hit ratio", "Context pressure", "Truncated answers"):
        expect(panel(page, title)).to_contain_text("of 20 calls")
    expect(page.get_by_text("All of the last 7 days")).to_be_visible()


def test_a_card_counts_up_to_its_sample_and_then_shows_its_figures(board: Board, sign_in: SignIn) -> None:
    told = {"context_utilization_pct": 90}
    send(board, *(llm_call("ask", "m", cost=1, metadata=told) for _ in range(9)))
    page = at(sign_in(board), board, "/insights")
    expect(panel(page, "Context pressure")).to_contain_text("9 of the 10 calls needed")
    expect(panel(page, "Context pressure")).to_contain_text("Not enough data")
    send(board, llm_call("ask", "m", cost=1, metadata=told))
    expect(panel(page, "Context pressure")).to_contain_text("100 % of the calls are above 80 %")


def test_truncation_is_told_by_model(board: Board, sign_in: SignIn) -> None:
    for model, reason in (("wordy", "max_tokens"), ("terse", "end_turn")):
        send(board, *(llm_call("ask", model, metadata={"stop_reason": reason}) for _ in range(6)))
    page = at(sign_in(board), board, "/insights")
    by_model = panel(page, "Truncated answers").get_by_role("list", name="Cut off by model")
    expect(by_model.get_by_role("listitem").filter(has_text="wordy")).to_contain_text("100 %")
    expect(by_model.get_by_role("listitem").filter(has_text="terse")).to_contain_text("0 %")


def test_compactions_show_how_much_was_kept(board: Board, sign_in: SignIn) -> None:
    data = {"tokens_before": 1000, "tokens_after": 250}
    send(board, *in_tasks("context_compaction", "Summed up", data, 3))
    send(board, *(llm_call("ask", "m", metadata={"context_utilization_pct": 40}) for _ in range(10)))
    page = at(sign_in(board), board, "/insights")
    expect(panel(page, "Context pressure")).to_contain_text("3 compactions, 25 % of the tokens kept")


def test_the_composition_of_prompts_grows_turn_by_turn(board: Board, sign_in: SignIn) -> None:
    for turn in range(1, 7):
        data = {
            "turn_number": turn,
            "system_prompt_tokens": 100,
            "history_tokens": 100 * turn,
            "tool_results_tokens": 0,
        }
        send(board, custom("prompt_composition", f"Turn {turn}", data))
    page = at(sign_in(board), board, "/insights")
    card = panel(page, "Prompt composition")
    expect(card.get_by_role("img", name="Prompt size over 6 turns, at most 700 tokens")).to_be_visible()
    heights = card.locator(".growth span").evaluate_all("all => all.map((one) => one.scrollHeight)")
    assert heights == sorted(heights)
    assert heights[0] < heights[-1]


def test_errors_with_context_are_grouped(board: Board, sign_in: SignIn) -> None:
    slow = {"error_type": "rate_limit", "api_name": "crm", "status_code": 429}
    send(board, *in_tasks("error_context", "CRM said no", slow, 3))
    send(board, custom("error_context", "Lost", {"error_type": "timeout", "api_name": "mail"}))
    page = at(sign_in(board), board, "/insights")
    rows = panel(page, "Errors with context").get_by_role("listitem")
    expect(rows).to_have_count(2)
    expect(rows.first).to_have_text(re.compile(r"rate_limit · crm · 429\s*3"))
    expect(panel(page, "Errors with context")).to_contain_text("4 errors")


def test_anomalies_are_counted_by_detector_and_agent_and_lead_to_their_task(
    board: Board, sign_in: SignIn
) -> None:
    send(board, *in_tasks("anomaly", "The same search again", {"detector": "cycle"}, 2), agent="searcher")
    send(board, custom("anomaly", "Said yes and no", {"detector": "contradiction"}), agent="writer")
    page = at(sign_in(board), board, "/insights")
    rows = panel(page, "Anomalies").get_by_role("list", name="Detectors of agents").get_by_role("listitem")
    expect(rows.filter(has_text="cycle (searcher)")).to_contain_text("2")
    expect(rows.filter(has_text="contradiction (writer)")).to_contain_text("1")
    expect(detector(page, "Reported anomalies")).to_contain_text("Agents reported 3 anomalies.")
    panel(page, "Anomalies").get_by_role("link", name="The same search again").first.click()
    expect(page.get_by_role("heading", name=re.compile("anomaly-"))).to_be_visible()


def test_lessons_tell_how_often_agents_corrected_themselves(board: Board, sign_in: SignIn) -> None:
    send(board, *in_tasks("learning", "Learned", {"category": "tone", "correction_applied": True}, 4))
    send(board, *(one for number in range(4) for one in run(f"plain-{number}")))
    page = at(sign_in(board), board, "/insights")
    expect(panel(page, "Self-correction")).to_contain_text("50 % corrections")
    expect(panel(page, "Self-correction")).to_contain_text("100 % of 4 lessons were applied")
    expect(panel(page, "Self-correction")).to_contain_text("tone")


def test_retries_are_told_by_agent_and_reason(board: Board, sign_in: SignIn) -> None:
    tasks = [one for number in range(5) for one in run(f"job-{number}")]
    retries = [
        event("retry_started", payload={"summary": "CRM busy", "data": {"attempt": 1}}) for _ in range(2)
    ]
    send(board, *tasks, *retries)
    page = at(sign_in(board), board, "/insights")
    expect(panel(page, "Retries")).to_contain_text("2 retries, 0.4 for each task")
    by_agent = panel(page, "Retries").get_by_role("list", name="By agent").get_by_role("listitem")
    expect(by_agent).to_have_text(re.compile(r"sender\s*2 · 0.4"))
    expect(panel(page, "Retries").get_by_role("list", name="Reasons")).to_contain_text("CRM busy (sender)")


def test_detectors_say_a_sentence_and_lead_to_what_to_look_at(board: Board, sign_in: SignIn) -> None:
    failing = [
        event(
            "action_failed", action_id=f"a{n}", task_id="t", task_run_id="r", payload={"action_name": "post"}
        )
        for n in range(6)
    ]
    failed = [one for number in range(6) for one in run(f"job-{number}", status="failed")]
    send(board, *failing, *failed)
    page = at(sign_in(board), board, "/insights")
    expect(detector(page, "Failing action")).to_contain_text("post failed 6 of 6 times, 100 %.")
    expect(detector(page, "Failing action")).to_contain_text("Alert")
    detector(page, "Failing action").get_by_role("button", name="Tools").click()
    expect(panel(page, "Tools").get_by_role("row", name=re.compile("post"))).to_be_in_viewport()
    expect(detector(page, "Error burst")).to_contain_text("6 of 6 tasks failed in the last 3 hours, 100 %.")
    detector(page, "Error burst").get_by_role("link", name="Failed tasks").click()
    expect(page).to_have_url(re.compile("tasks=failed"))
    expect(page.get_by_role("row", name=re.compile("job-0"))).to_be_visible()


def test_a_detector_without_a_sample_says_what_is_missing(board: Board, sign_in: SignIn) -> None:
    send(board, *run("one"))
    page = at(sign_in(board), board, "/insights")
    expect(detector(page, "Truncated answers")).to_contain_text("Not enough data")
    expect(detector(page, "Truncated answers")).to_contain_text("0 of 20 LLM calls.")
    expect(detector(page, "Truncated answers").get_by_role("button")).to_have_count(0)
    expect(detector(page, "Stuck agents")).to_contain_text("Fine")


def test_health_says_what_it_lost_points_for(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/insights")
    expect(panel(page, "Health")).to_contain_text("No agent has reported yet")
    data = {"severity": "high", "action": "reported"}
    send(board, custom("issue", "Disk full", data), custom("issue", "Mail down", data))
    expect(panel(page, "Health")).to_contain_text(re.compile(r"90\s*of 100"))
    expect(panel(page, "Health")).to_contain_text("−10 open issues")


def test_the_page_is_narrowed_to_one_agent_and_widened_again(board: Board, sign_in: SignIn) -> None:
    send(board, custom("anomaly", "Odd", {"detector": "cycle"}), agent="one")
    send(board, custom("anomaly", "Odd", {"detector": "cycle"}), agent="two")
    page = at(sign_in(board), board, "/agent", id="two")
    page.get_by_role("link", name="Insights of this agent").click()
    rows = panel(page, "Anomalies").get_by_role("list", name="Detectors of agents").get_by_role("listitem")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Remove filter agent two").click()
    expect(rows).to_have_count(2)
