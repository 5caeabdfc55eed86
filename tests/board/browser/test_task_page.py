"""A task on one clock: what is alike is one row, what mattered can be picked out, and it all adds up."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from .conftest import Board, eventually
from .test_interaction import SignIn, send


def at(milliseconds: int) -> str:
    """A time on the day of these tasks."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat()


def event(kind: str, milliseconds: int, **more: Any) -> dict[str, Any]:
    """One event of the task."""
    name = "-".join([kind, str(milliseconds), str(more.get("action_id", ""))])
    common = {"event_id": name, "event_type": kind, "timestamp": at(milliseconds)}
    return {**common, "task_id": "order", "task_run_id": "run", **more}


def did(name: str, start: int, end: int, error: str = "", **more: Any) -> list[dict[str, Any]]:
    """An action from its start to its end, which failed when there is an error."""
    identity = {"action_id": f"{name}@{start}", **more}
    payload = {
        "action_name": name,
        **({"exception_type": "OSError", "exception_message": error} if error else {}),
    }
    kind, status = ("action_failed", "failure") if error else ("action_completed", "success")
    ended = event(kind, end, status=status, duration_ms=end - start, payload=payload, **identity)
    return [event("action_started", start, payload=payload, **identity), ended]


def whole(*events: list[dict[str, Any]], until: int, fails: bool = False) -> list[dict[str, Any]]:
    """A task around some events."""
    end = event("task_failed" if fails else "task_completed", until, duration_ms=until, payload={})
    return [event("task_started", 0, payload={}), *(one for some in events for one in some), end]


def opened(board: Board, sign_in: SignIn, *events: dict[str, Any], query: str = "") -> Page:
    """The page of the task, after the board was told of it."""
    for start in range(0, len(events), 400):
        send(board, *events[start : start + 400])
    page = sign_in(board)
    page.goto(f"{board.endpoint}/task?id=order{query}")
    expect(page.get_by_role("heading", name="order", exact=True)).to_be_visible()
    return page


def rows(page: Page) -> Locator:
    """The rows of the waterfall."""
    return page.get_by_role("list", name="Waterfall").get_by_role("listitem")


def names(page: Page) -> Locator:
    """What the rows are called."""
    return rows(page).locator(".node-name")


def pick(page: Page, pill: str) -> None:
    """Press a pill over the waterfall."""
    page.get_by_role("group", name="Nodes").get_by_role("button", name=re.compile(f"^{pill} ")).click()


SEARCHES = [one for start in (100, 200, 300) for one in did("search", start, start + 90)]


def test_what_was_done_again_and_again_is_one_row_that_opens(board: Board, sign_in: SignIn) -> None:
    page = opened(board, sign_in, *whole(SEARCHES, did("read", 400, 450), until=500))
    several = page.get_by_role("button", name="3 times search, together 270 ms")
    expect(several).to_contain_text("×3")
    expect(rows(page)).to_have_count(4)
    several.click()
    expect(page.get_by_role("link", name=re.compile("^Action, search"))).to_have_count(3)
    expect(page).to_have_url(re.compile("open="))
    page.reload()
    expect(page.get_by_role("link", name=re.compile("^Action, search"))).to_have_count(3)
    several.press("Enter")
    expect(page.get_by_role("link", name=re.compile("^Action, search"))).to_have_count(0)


def test_what_failed_is_never_folded_away(board: Board, sign_in: SignIn) -> None:
    twice = did("search", 400, 490, error="no index") + did("search", 500, 590)
    page = opened(board, sign_in, *whole(SEARCHES, twice, until=600))
    expect(page.get_by_role("button", name=re.compile("^3 times search"))).to_be_visible()
    expect(
        page.get_by_role("link", name=re.compile("^Action, search.*failed: OSError: no index"))
    ).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^Action, search"))).to_have_count(2)


def test_a_link_to_a_folded_node_opens_its_row(board: Board, sign_in: SignIn) -> None:
    page = opened(board, sign_in, *whole(SEARCHES, until=500), query="&node=action:search@200")
    expect(page.get_by_role("complementary", name="Details of search")).to_be_visible()
    expect(
        page.get_by_role(
            "link",
            name=re.compile("^Action, search"),
        )
    ).to_have_count(3)
    expect(rows(page).locator("[aria-current]")).to_have_count(1)


def test_the_critical_path_is_what_the_end_waited_for(board: Board, sign_in: SignIn) -> None:
    side_by_side = did("quick", 100, 200) + did("slow", 100, 600)
    inner = did("outer", 600, 900) + did("inner_early", 610, 700, parent_action_id="outer@600")
    inner += did("inner_late", 700, 900, parent_action_id="outer@600")
    inner += did("inner_beside", 710, 800, parent_action_id="outer@600")
    page = opened(board, sign_in, *whole(side_by_side, inner, until=1000))
    pick(page, "critical path")
    expect(names(page)).to_have_text(["slow", "outer", "inner_early", "inner_late"])
    expect(
        page.get_by_role("group", name="Nodes").get_by_role("button", name="critical path 4")
    ).to_be_visible()


def test_matches_are_counted_and_walked_with_n(board: Board, sign_in: SignIn) -> None:
    failures = [
        one for start in (100, 300, 500) for one in did(f"call_{start}", start, start + 50, error="down")
    ]
    page = opened(board, sign_in, *whole(failures, did("report", 600, 700), until=800))
    expect(page.get_by_text("3 failed")).to_be_visible()
    for wanted in ("1 of 3 failed", "2 of 3 failed", "3 of 3 failed", "1 of 3 failed"):
        page.keyboard.press("n")
        expect(page.get_by_text(wanted)).to_be_visible()
    expect(page.get_by_role("complementary", name="Details of call_100")).to_be_visible()
    page.keyboard.press("Shift+N")
    expect(page.get_by_role("complementary", name="Details of call_500")).to_be_visible()
    pick(page, "slowest")
    expect(page.get_by_text("4 matches").or_(page.get_by_text(re.compile("of 4")))).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_text(re.compile("^[1-4] of 4$"))).to_be_visible()
    expect(names(page).first).to_have_text("report")


def test_a_link_to_a_node_far_down_brings_it_into_sight(board: Board, sign_in: SignIn) -> None:
    steps = [one for number in range(300) for one in did(f"step {number}", number * 10, number * 10 + 9)]
    page = opened(board, sign_in, *whole(steps, until=4000), query="&node=action:step 250@2500")
    expect(page.get_by_role("link", name=re.compile("^Action, step 250"))).to_be_in_viewport()
    expect(page.get_by_role("complementary", name="Details of step 250")).to_be_visible()


def _shown_ms(text: str) -> int:
    number, unit = re.findall(r"([\d.]+) (ms|s)\b", text)[0]
    return round(float(number) * (1 if unit == "ms" else 1000))


def test_where_the_time_went_adds_up_however_calls_overlap(board: Board, sign_in: SignIn) -> None:
    call = {"kind": "llm_call", "data": {"name": "think", "model": "gpt-4o", "duration_ms": 300}}
    overlapping = did("outer", 0, 600) + did("first", 100, 400, parent_action_id="outer@0")
    overlapping += did("second", 200, 500, parent_action_id="outer@0")
    overlapping += [event("custom", 700, duration_ms=300, payload=call)]
    approval = [event("approval_requested", 720, payload={"summary": "OK?"})]
    approval += [
        event("approval_received", 820, payload={"summary": "OK?", "data": {"decision": "approved"}})
    ]
    page = opened(board, sign_in, *whole(overlapping, approval, until=900))
    shown = page.get_by_role("region", name="Where the time went").get_by_role("listitem")
    expect(shown).to_have_count(5)
    parts = {text.split()[0]: _shown_ms(text) for text in shown.all_inner_texts()}
    assert parts == {"LLM": 300, "Tools": 300, "Waiting": 100, "Other": 200, "Total": 900}


def gap(page: Page, name: str) -> Locator:
    """A gap of the waterfall, by its name."""
    return page.get_by_role("group", name="Gaps").get_by_role("img", name=name)


_IS_WITHIN = """inner => {
  const [small, large] = [inner.getBoundingClientRect(), inner.parentElement.getBoundingClientRect()];
  const isBeside = small.left < large.left || small.right > large.right;
  return !isBeside && small.top >= large.top && small.bottom <= large.bottom;
}"""


def test_a_gap_tells_its_length_where_there_is_room_and_its_name_always(
    board: Board, sign_in: SignIn
) -> None:
    events = whole(
        did("read", 0, 1_000),
        did("think", 5_200, 8_000),
        did("look up meanwhile", 6_000, 9_000),
        did("write", 9_050, 10_000),
        until=10_000,
    )
    page = opened(board, sign_in, *events)
    expect(gap(page, "gap of")).to_have_count(2)
    long = gap(page, "gap of 4.2 s, 1.0 s after the start: nothing of the task ran")
    eventually(lambda: long.get_by_text("gap 4.2 s").evaluate(_IS_WITHIN), what="the length is in its gap")
    short = gap(page, "gap of 50 ms, 9.0 s after the start: nothing of the task ran")
    expect(short).to_be_visible()
    eventually(lambda: not short.get_by_text("gap 50 ms").evaluate(_IS_WITHIN), what="the length has no room")
    expect(page.get_by_text("2 gaps, 4.3 s")).to_be_visible()
    first = rows(page).nth(1).locator(".bar").element_handle()
    apart = "(gap, bar) => Math.abs(gap.getBoundingClientRect().left - bar.getBoundingClientRect().right)"
    eventually(lambda: long.evaluate(apart, first) < 2, what="it begins where the first action ends")
    page.goto(f"{board.endpoint}/task?id=order&show=errors")
    expect(page.get_by_text("No node of this kind.")).to_be_visible()
    expect(gap(page, "gap of")).to_have_count(2)


def test_what_runs_without_a_pause_has_no_gap_and_what_tells_no_time_neither(
    board: Board, sign_in: SignIn
) -> None:
    page = opened(board, sign_in, *whole(did("one", 0, 1_000), did("two", 1_000, 2_000), until=2_000))
    expect(rows(page).first).to_be_visible()
    expect(page.get_by_role("group", name="Gaps")).to_have_count(0)
    marks = [event("escalated", 500, payload={"summary": "Ask"}), event("escalated", 900, payload={})]
    told = [{**one, "task_id": "marks", "task_run_id": "m"} for one in whole(marks, until=1_000)]
    send(board, *({**one, "event_id": f"marks-{one['event_id']}"} for one in told))
    page.goto(f"{board.endpoint}/task?id=marks")
    expect(rows(page).first).to_be_visible()
    expect(page.get_by_role("group", name="Gaps")).to_have_count(0)


@pytest.mark.parametrize("word", ["pending", "completed", "skipped", "failed", "in progress"])
def test_each_step_of_a_plan_is_told_in_a_word(board: Board, sign_in: SignIn, word: str) -> None:
    action = {"pending": None, "in progress": "started"}.get(word, word)
    made = {"kind": "plan_created", "data": {"goal": "Ship", "steps": [{"index": 0, "description": "Pack"}]}}
    step = {"kind": "plan_step", "data": {"step_index": 0, "total_steps": 1, "action": action}}
    told = [event("custom", 10, action_id="plan", payload=made)]
    told += [event("custom", 20, action_id="step", payload=step)] if action else []
    page = opened(board, sign_in, event("task_started", 0, payload={}), *told)
    plan = page.get_by_role("region", name="Plan", exact=True)
    expect(plan.get_by_role("img", name=word)).to_be_visible()
    if word == "skipped":
        assert "gradient" in plan.locator(".step i").evaluate(
            "(bar) => getComputedStyle(bar).backgroundImage"
        )


def test_an_open_task_counts_on_by_itself(board: Board, sign_in: SignIn) -> None:
    started = {**event("task_started", 0, payload={}), "timestamp": datetime.now(UTC).isoformat()}
    page = opened(board, sign_in, started)
    total = page.get_by_role("listitem").filter(has_text="Duration").locator("b")
    expect(total).to_have_text(re.compile("m?s$"))
    before = total.inner_text()
    expect(total).not_to_have_text(before)


def test_steps_are_counted_from_one_and_a_refusal_is_no_success(board: Board, sign_in: SignIn) -> None:
    step = {
        "kind": "plan_step",
        "summary": "Step 0 completed: Pack",
        "data": {"step_index": 0, "action": "completed"},
    }
    asked = event("approval_requested", 200, payload={"summary": "Ship?"})
    answer = {"summary": "Ship?", "data": {"decision": "rejected", "approved_by": "mia"}}
    refused = event("approval_received", 300, payload=answer)
    page = opened(board, sign_in, *whole([event("custom", 100, payload=step), asked, refused], until=400))
    expect(page.get_by_role("link", name=re.compile("Step 1 completed: Pack"))).to_be_visible()
    row = page.get_by_role("link", name=re.compile("^Approval, Ship\\? · rejected"))
    tone, fail = row.evaluate(
        "(one) => ['--tone', '--fail'].map((of) => getComputedStyle(one).getPropertyValue(of))"
    )
    assert tone == fail
    page.get_by_role("button", name=re.compile("^Log")).click()
    expect(page.get_by_role("list", name="Log")).to_contain_text("Step 1 completed: Pack")


def test_a_task_that_is_not_there_says_so_and_shows_when_it_arrives(
    board: Board, context: BrowserContext
) -> None:
    page = context.new_page()  # without the look for complaints: the browser notes that the answer is 404
    page.goto(board.link)
    page.wait_for_url(f"{board.endpoint}/")
    page.goto(f"{board.endpoint}/task?id=order")
    expect(page.get_by_role("heading", name="There is no task order")).to_be_visible()
    expect(page.get_by_role("link", name="To the fleet", exact=True)).to_be_visible()
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
    send(board, *whole(SEARCHES, until=500))
    expect(page.get_by_role("heading", name="order", exact=True)).to_be_visible()


def test_an_open_task_tells_why_its_agent_is_stuck(board: Board, sign_in: SignIn) -> None:
    page = opened(board, sign_in, event("task_started", 0, payload={}))
    now = page.get_by_text(re.compile("^sender: Nothing heard of it since 1 Jan"))
    expect(now).to_be_visible()
