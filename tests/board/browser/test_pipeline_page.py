"""What waits: approvals, issues to resolve, to-dos, queues and schedules, with what is overdue marked."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

import hiveloop
from hiveloop.contrib.log_handler import HiveBoardLogHandler

from .conftest import Board
from .reports import Event, custom, event
from .test_interaction import SignIn, send
from .test_promises import at, panel


def issue(summary: str, severity: str = "high", action: str = "reported", seconds: float = 5.0) -> Event:
    """A report of an issue, or of its end."""
    data = {"severity": severity, "action": action, "issue_id": summary.replace(" ", "-")}
    return custom("issue", summary, data, seconds)


def soon(**ahead: float) -> str:
    """A time ahead of now, or behind it."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def test_what_is_overdue_is_marked_and_counted(board: Board, sign_in: SignIn) -> None:
    late = {"todo_id": "late", "action": "created", "due_by": soon(hours=-3)}
    coming = {"todo_id": "coming", "action": "created", "due_by": soon(hours=3, minutes=1)}
    jobs = [
        {"id": "a", "name": "Late job", "next_run": soon(minutes=-9), "interval": "1h", "enabled": True},
        {"id": "b", "name": "Off job", "next_run": soon(minutes=-9), "enabled": False},
        {"id": "c", "name": "Good job", "next_run": soon(hours=1), "last_status": "success"},
    ]
    send(board, custom("todo", "Call back", late), custom("todo", "Write down", coming))
    send(board, custom("scheduled", "3 jobs", {"items": jobs}))
    page = at(sign_in(board), board, "/pipeline")
    todos = panel(page, "To-dos").get_by_role("listitem")
    expect(todos.filter(has_text="Call back")).to_contain_text("overdue by 3 h")
    expect(todos.filter(has_text="Write down")).to_contain_text("due in 3 h")
    rows = panel(page, "Schedule").get_by_role("row")
    expect(rows.filter(has_text="Late job")).to_contain_text("overdue 9 min")
    expect(rows.filter(has_text="Off job")).to_contain_text("off")
    expect(rows.filter(has_text="Off job")).not_to_contain_text("overdue")
    expect(rows.filter(has_text="Good job")).to_contain_text("success")
    expect(page.get_by_text("1 overdue", exact=True)).to_have_count(2)  # exact: 12:01 overdue


def test_a_list_that_is_too_long_says_how_many_it_leaves_out(board: Board, sign_in: SignIn) -> None:
    def todos(first: int, last: int) -> list[Event]:
        told = [{"todo_id": str(n), "action": "created", "priority": "low"} for n in range(first, last)]
        return [custom("todo", f"Call {n}", data, 5) for n, data in enumerate(told, first)]

    for first in range(0, 1_000, 500):
        send(board, *todos(first, first + 500))
    send(board, *todos(1_000, 1_012), agent="other")
    send(board, custom("todo", "Put out the fire", {"todo_id": "x", "action": "created", "priority": "high"}))
    page = at(sign_in(board), board, "/pipeline")
    listed = panel(page, "To-dos")
    expect(listed.get_by_role("listitem").first).to_contain_text("Put out the fire")
    expect(listed.locator(".panel-head")).to_contain_text("1013")
    expect(listed).to_contain_text("13 more are not listed here: the page of an agent lists its own.")
    expect(page.locator(".metric").filter(has_text="Active to-dos")).to_contain_text("1,013")
    page.goto(f"{board.endpoint}/agent?id=other&view=pipeline")
    expect(panel(page, "To-dos").locator(".panel-head")).to_contain_text("12")
    expect(panel(page, "To-dos")).not_to_contain_text("not listed")
    page.goto(f"{board.endpoint}/agent?id=sender&view=pipeline")
    expect(panel(page, "To-dos")).to_contain_text("1 more is not listed here: the next come up as these")


def test_an_approval_leaves_the_inbox_when_it_was_decided(board: Board, sign_in: SignIn) -> None:
    ids = {"task_id": "refund", "task_run_id": "refund-run"}
    asked = {"summary": "Refund $120?", "data": {"approver": "lead", "reason": "above the limit"}}
    send(board, event("task_started", 7_300, **ids), event("approval_requested", 7_200, **ids, payload=asked))
    page = at(sign_in(board), board, "/pipeline")
    item = panel(page, "Approvals").get_by_role("listitem")
    expect(item).to_contain_text("asks lead")
    expect(item).to_contain_text("waiting 2 h")
    expect(page.get_by_text("the oldest for 2 h")).to_be_visible()
    decided = {"summary": "Refund $120?", "data": {"decision": "denied", "approved_by": "mia"}}
    send(board, event("approval_received", 1, **ids, payload=decided))
    expect(panel(page, "Approvals")).to_contain_text("Nobody waits for an approval")


def test_an_issue_is_dismissed_and_one_that_returns_is_marked(board: Board, sign_in: SignIn) -> None:
    send(board, issue("Disk is full"), issue("Odd colour", "low"))
    page = at(sign_in(board), board, "/pipeline")
    issues = panel(page, "Issues")
    issues.get_by_role("button", name="Dismiss Odd colour").click()
    expect(issues.get_by_role("listitem")).to_have_count(1)
    issues.get_by_role("button", name="Resolve").click()
    issues.get_by_role("button", name="Show 2 closed").click()
    closed = issues.get_by_role("list", name="Closed issues").get_by_role("listitem")
    expect(closed.filter(has_text="Odd colour")).to_contain_text("dismissed")
    expect(closed.filter(has_text="Disk is full")).to_contain_text("resolved")
    send(board, issue("Disk is full", seconds=-2))
    expect(issues.get_by_role("list", name="Open issues")).to_contain_text("reopened")


def test_all_issues_are_resolved_at_once_when_that_is_meant(board: Board, sign_in: SignIn) -> None:
    send(board, issue("One"), issue("Two", "critical"), agent="first")
    send(board, issue("Three"), agent="second")
    page = at(sign_in(board), board, "/pipeline")
    issues = panel(page, "Issues")
    issues.get_by_role("button", name="Resolve all").click()
    asked = page.get_by_role("dialog", name="Resolve 3 issues?")
    expect(asked).to_contain_text("2 agents")
    asked.get_by_role("button", name="Keep them open").click()
    expect(asked).to_have_count(0)
    expect(issues.get_by_role("listitem")).to_have_count(3)
    issues.get_by_role("button", name="Resolve all").click()
    page.get_by_role("dialog").get_by_role("button", name="Resolve all").click()
    expect(issues).to_contain_text("No open issue")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_cannot_be_resolved_says_why(board: Board, sign_in: SignIn) -> None:
    send(board, issue("Disk is full"))
    page = at(sign_in(board), board, "/pipeline")
    page.route(re.compile("/resolve$"), lambda route: route.abort("connectionrefused"))
    panel(page, "Issues").get_by_role("button", name="Resolve").click()
    expect(panel(page, "Issues").get_by_role("alert")).to_have_text("The board does not answer.")
    page.unroute_all()
    panel(page, "Issues").get_by_role("button", name="Resolve").click()
    expect(panel(page, "Issues")).to_contain_text("No open issue")


def test_repeated_warnings_are_one_issue_with_their_source(board: Board, sign_in: SignIn) -> None:
    hb = hiveloop.init(board.key, endpoint=board.endpoint)
    logger = logging.getLogger("shop.stock")
    handler = HiveBoardLogHandler(hb.agent("shop"))
    logger.addHandler(handler)
    try:
        for _ in range(3):
            logger.warning("Stock is low")
    finally:
        logger.removeHandler(handler)
    assert hb.flush(10)
    hiveloop.shutdown()
    page = at(sign_in(board), board, "/pipeline")
    found = panel(page, "Issues").get_by_role("listitem")
    expect(found).to_have_count(1)
    for told in ("3 times", "test_pipeline_page.py:", "logger shop.stock", "in test_repeated_warnings"):
        expect(found).to_contain_text(told)


def test_a_deep_queue_is_amber_and_tells_what_is_at_work(board: Board, sign_in: SignIn) -> None:
    items = [{"id": f"item-{n}", "summary": f"Lead {n}", "priority": "high"} for n in range(5)]
    data = {"depth": 9, "items": items, "processing": {"id": "lead-0", "summary": "Lead zero"}}
    send(board, custom("queue_snapshot", "9 waiting", data), agent="busy")
    send(board, custom("queue_snapshot", "0 waiting", {"depth": 0}), agent="calm")
    page = at(sign_in(board), board, "/pipeline")
    queues = panel(page, "Queues").get_by_role("listitem")
    busy = queues.filter(has_text="at work on Lead zero")
    expect(busy.locator(".tag")).to_have_class(re.compile("tone-wait"))
    expect(queues.filter(has_text="empty").locator(".tag")).to_have_class(re.compile("tone-idle"))
    expect(panel(page, "Queues")).to_contain_text("and 6 more")
    row = panel(page, "By agent").get_by_role("row", name=re.compile("busy"))
    expect(row).to_contain_text("9")
    row.get_by_role("link", name="busy").click()
    expect(panel(page, "Queue")).to_contain_text("Lead 4")
    expect(panel(page, "Queue")).to_contain_text("and 4 more, which the agent did not list")


def test_of_a_long_list_the_first_are_shown_and_then_all(board: Board, sign_in: SignIn) -> None:
    send(board, *(issue(f"Issue {number}") for number in range(40)))
    page = at(sign_in(board), board, "/pipeline")
    issues = panel(page, "Issues")
    expect(issues.get_by_role("listitem")).to_have_count(25)
    issues.get_by_role("button", name="Show 15 more").click()
    expect(issues.get_by_role("listitem")).to_have_count(40)


def test_a_todo_that_failed_or_was_put_off_says_so(board: Board, sign_in: SignIn) -> None:
    for name, action in (("one", "failed"), ("two", "deferred"), ("three", "dismissed")):
        send(board, custom("todo", f"To-do {name}", {"todo_id": name, "action": "created"}, 9))
        send(board, custom("todo", f"To-do {name}", {"todo_id": name, "action": action}, 5))
    page = at(sign_in(board), board, "/pipeline")
    todos = panel(page, "To-dos").get_by_role("listitem")
    expect(todos).to_have_count(2)
    expect(todos.filter(has_text="To-do one")).to_contain_text("tried and failed")
    expect(todos.filter(has_text="To-do two")).to_contain_text("put off")
