"""Keyboard, links, themes, the live stream and its interruptions."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from playwright.sync_api import BrowserContext, Locator, Page, Route, WebSocketRoute, expect

from .conftest import Board, eventually, running_board

SignIn = Callable[[Board], Page]
_BEGAN = datetime.now(UTC) - timedelta(hours=3)
"""When the task of these tests began; long enough ago that none of its actions is still to come."""


def send(board: Board, *events: dict[str, Any], agent: str = "sender") -> None:
    """Report events as an SDK does."""
    answer = requests.post(
        f"{board.endpoint}/v1/ingest",
        headers={"Authorization": f"Bearer {board.key}"},
        json={"envelope": {"agent_id": agent}, "events": list(events)},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def action(number: int, **more: Any) -> dict[str, Any]:
    """One action of a task, by its number."""
    return {
        "event_id": f"event-{number}",
        "timestamp": (_BEGAN + timedelta(seconds=number)).isoformat(),
        "event_type": "action_completed",
        "task_id": "task-1",
        "task_run_id": "run-1",
        "action_id": f"action-{number}",
        "payload": {"action_name": f"step {number}"},
        **more,
    }


def seen_numbers(page: Page) -> list[int]:
    """The numbers of the actions in the stream, newest first."""
    texts = page.get_by_role("list", name="Events").get_by_role("listitem").all_inner_texts()
    return [int(found[1]) for text in texts if (found := re.search(r"step (\d+)", text))]


def shows_numbers(page: Page, numbers: Iterable[int]) -> None:
    """Wait until the stream shows these actions and no other."""
    expected = list(numbers)
    eventually(lambda: seen_numbers(page) == expected, what=f"the stream shows {expected}")


def scroll_down(rows: Locator, last: Locator) -> None:
    """Turn the wheel over a list until its end is in sight: what was just drawn may not take it yet."""

    def is_there() -> bool:
        rows.hover()
        rows.page.mouse.wheel(0, 100_000)
        return last.is_visible()

    eventually(is_there, interval=0.1, what=f"{last} is in sight")


# -- keyboard ---------------------------------------------------------------------------------


def test_rows_are_walked_with_j_and_k_and_opened_with_enter(page: Page) -> None:
    expect(page.get_by_role("row", name=re.compile("lead-4822"))).to_be_visible()
    first, second = (page.get_by_role("list", name="Agents").get_by_role("listitem").nth(at) for at in (0, 1))
    page.keyboard.press("j")
    expect(first).to_be_focused()
    page.keyboard.press("j")
    expect(second).to_be_focused()
    page.keyboard.press("k")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/agent\?id=mail-sorter"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="The Hive")).to_be_visible()


def test_slash_searches_and_escape_leaves_the_box(page: Page) -> None:
    expect(page.get_by_role("row", name=re.compile("lead-4822"))).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("agent:lead status:failed")
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_have_count(0)
    expect(page.get_by_role("row", name=re.compile("lead-4822"))).to_be_visible()
    expect(page).to_have_url(re.compile("q=agent"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).not_to_be_focused()


@pytest.mark.parametrize(
    ("keys", "heading"), [("gp", "Pipeline"), ("gc", "Costs"), ("gi", "Insights"), ("gf", "The Hive")]
)
def test_g_and_a_letter_go_to_a_page(page: Page, told: Board, keys: str, heading: str) -> None:
    page.goto(f"{told.endpoint}/keys")
    expect(page.get_by_role("row").first).to_be_visible()  # so that the letter comes soon after the g
    page.keyboard.type(keys)
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def test_question_mark_shows_the_keys(page: Page) -> None:
    expect(page.get_by_role("heading", name="The Hive")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_have_count(0)


# -- addresses --------------------------------------------------------------------------------


def test_a_node_is_linked_to_and_back_returns(page: Page, told: Board) -> None:
    page.goto(f"{told.endpoint}/task?id=lead-4821")
    page.get_by_role("link", name=re.compile("^LLM call, understand")).click()
    expect(page).to_have_url(re.compile("node="))
    linked = page.url
    page.goto(f"{told.endpoint}/")
    page.goto(linked)
    expect(page.get_by_role("complementary", name="Details of understand")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Action, read_lead")).click()
    expect(page.get_by_role("complementary", name="Details of read_lead")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("complementary", name="Details of understand")).to_be_visible()


def test_filters_are_in_the_address_and_can_be_taken_away(page: Page, told: Board) -> None:
    page.goto(
        f"{told.endpoint}/?{urlencode({'tasks': 'failed', 'agent': 'lead-qualifier', 'show': 'error'})}"
    )
    expect(page.get_by_role("row", name=re.compile("lead-4822"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_have_count(0)
    page.get_by_role("button", name="Remove filter tasks Failed").click()
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("row", name=re.compile("lead-4821"))).to_have_count(0)


def test_the_range_is_carried_from_page_to_page(page: Page, told: Board) -> None:
    page.goto(f"{told.endpoint}/costs?range=7d")
    expect(page.get_by_role("button", name="7d")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="Insights").click()
    expect(page).to_have_url(re.compile("range=7d"))


# -- changing things --------------------------------------------------------------------------


def test_an_issue_is_resolved_and_reopened_on_the_page(board: Board, sign_in: SignIn) -> None:
    data = {"severity": "high", "action": "reported", "issue_id": "one"}
    payload = {"kind": "issue", "summary": "Disk is full", "data": data}
    send(board, action(1, event_type="custom", payload=payload))
    page = sign_in(board)
    page.goto(f"{board.endpoint}/pipeline")
    issues = page.get_by_role("region", name="Issues")
    issues.get_by_role("button", name="Resolve").click()
    expect(issues.get_by_role("heading", name="No open issue")).to_be_visible()
    issues.get_by_role("button", name="Show 1 closed").click()
    issues.get_by_role("button", name="Reopen").click()
    expect(issues.get_by_role("button", name="Resolve")).to_be_visible()


def test_a_price_is_set_on_the_page(board: Board, sign_in: SignIn) -> None:
    page = sign_in(board)
    page.goto(f"{board.endpoint}/costs?prices=open")
    page.get_by_label("Model", exact=True).fill("home-made-1")
    page.get_by_label("Input price per million tokens").fill("1.5")
    page.get_by_label("Output price per million tokens").fill("6")
    page.get_by_role("button", name="Set price").click()
    expect(page.get_by_role("row", name=re.compile("home-made-1"))).to_contain_text("1.5")


# -- the live stream --------------------------------------------------------------------------


def test_an_event_shows_within_a_second(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
    took = list[float]()
    for number in range(2, 7):
        began = time.monotonic()
        send(board, action(number))
        page.get_by_role("list", name="Events").get_by_text(f"step {number}", exact=True).wait_for()
        took.append(time.monotonic() - began)
    assert sorted(took)[2] < 1, took  # one of them may meet with whatever else the machine does


def test_while_paused_new_events_are_counted_and_then_shown(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
    expect(page.get_by_text("step 1")).to_be_visible()
    page.keyboard.press("p")
    send(board, *(action(number) for number in range(2, 44)))
    page.get_by_role("button", name="42 new").click()
    expect(page.get_by_text("step 43", exact=True)).to_be_visible()
    shows_numbers(page, range(43, 0, -1))


def test_a_cut_socket_is_resumed_without_gap_or_duplicate(board: Board, sign_in: SignIn) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    send(board, action(1))
    page = sign_in(board)
    page.route_web_socket(re.compile("/v1/stream"), pass_on)
    page.reload()
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
    send(board, action(2), action(3))
    expect(page.get_by_text("step 3", exact=True)).to_be_visible()
    sockets[-1].close()
    send(board, *(action(number) for number in range(4, 60)))
    expect(page.get_by_text("step 59", exact=True)).to_be_visible()
    expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
    shows_numbers(page, range(59, 0, -1))


def test_without_sockets_the_board_is_polled(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)
    page.route_web_socket(re.compile("/v1/stream"), lambda socket: socket.close())
    page.reload()
    expect(page.get_by_role("status", name="Connection: Polling")).to_be_visible()
    send(board, action(2))
    expect(page.get_by_text("step 2", exact=True)).to_be_visible()
    shows_numbers(page, [2, 1])


def test_a_board_that_comes_back_is_found_again(sign_in: SignIn, tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        send(board, action(1))
        page = sign_in(board)
        expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
        port = int(board.endpoint.rpartition(":")[2])
    expect(page.get_by_role("status", name=re.compile("Reconnecting|Offline"))).to_be_visible()
    with running_board(tmp_path, port) as again:
        send(again, action(2))
        expect(page.get_by_text("step 2", exact=True)).to_be_visible()
        expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
        shows_numbers(page, [2, 1])


def test_an_open_task_grows_while_it_is_watched(board: Board, sign_in: SignIn) -> None:
    send(board, action(0, event_type="task_started", action_id=None, payload={"summary": "Task began"}))
    page = sign_in(board)
    page.goto(f"{board.endpoint}/task?id=task-1")
    expect(page.get_by_role("link", name=re.compile("Task began"))).to_be_visible()
    send(board, action(5, event_type="action_started"))
    expect(page.get_by_role("link", name=re.compile("step 5.*still running"))).to_be_visible()
    send(board, action(9, action_id="action-5", status="success", payload={"action_name": "step 5"}))
    expect(page.get_by_role("link", name=re.compile("step 5.*success"))).to_be_visible()


def test_of_long_lists_only_what_is_in_sight_is_in_the_document(board: Board, sign_in: SignIn) -> None:
    for start in range(0, 1_200, 400):
        send(board, *(action(number) for number in range(start, start + 400)))
    page = sign_in(board)
    page.goto(f"{board.endpoint}/task?id=task-1")
    nodes = page.get_by_role("list", name="Waterfall").get_by_role("listitem")
    expect(nodes.first).to_be_visible()
    assert nodes.count() < 120
    scroll_down(
        page.get_by_role("list", name="Waterfall"), page.get_by_role("link", name=re.compile("step 1199"))
    )
    assert nodes.count() < 120


def test_a_filter_finds_what_was_long_before(board: Board, sign_in: SignIn) -> None:
    send(board, action(0, event_type="approval_requested", payload={"summary": "Long ago"}), agent="early")
    for start in range(1, 801, 400):
        send(board, *(action(number) for number in range(start, start + 400)))
    page = sign_in(board)
    expect(page.get_by_text("step 800", exact=True)).to_be_visible()
    page.get_by_role("group", name="Show").get_by_role("button", name="human").click()
    expect(page.get_by_role("list", name="Events").get_by_text("Long ago")).to_be_visible()
    page.goto(f"{board.endpoint}/agent?id=early")
    expect(page.get_by_role("list", name="Events").get_by_text("Long ago")).to_be_visible()


# -- looks ------------------------------------------------------------------------------------


def test_the_theme_is_the_readers_choice_and_is_kept(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.get_by_role("button", name="Light theme")).to_be_visible()


def test_the_whole_page_is_small(board: Board, sign_in: SignIn) -> None:
    page = sign_in(board)
    expect(page.get_by_role("heading", name="Waiting for the first agent")).to_be_visible()
    page.wait_for_load_state("networkidle")
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter((one) => !one.name.includes('/v1/')).map((one) => one.encodedBodySize)"
    )
    assert len(sizes) >= 3
    assert sum(sizes) < 300_000


# -- hostile content --------------------------------------------------------------------------

_HOSTILE = [
    '<img src=x onerror="window.hurt=1">',
    "<script>window.hurt=1</script>",
    '"><svg/onload=window.hurt=1>',
    "javascript:window.hurt=1",
    "'-(window.hurt=1)-'",
    "{{constructor.constructor('window.hurt=1')()}}",
    "<iframe srcdoc='<script>parent.hurt=1</script>'>",
    "</pre></textarea></title><script>window.hurt=1</script>",
    "\u202e<b onmouseover=window.hurt=1>",
]


_MARKUP = _HOSTILE[:3]
_FIELDS = (
    *("name", "model", "goal", "description", "severity", "issue_id", "todo_id", "action", "approver"),
    *("approved_by", "decision", "reason", "assigned_to", "priority", "source", "category", "detector"),
    *("prompt_preview", "response_preview", "error_type", "api_name", "status_code", "event", "due_by"),
    *("context", "to", "logger", "filename", "lineno", "funcName"),
)


def _hostile_events(text: str, at: int) -> list[dict[str, Any]]:
    common = {
        "timestamp": (datetime.now(UTC) - timedelta(seconds=60 - at)).isoformat(),
        "task_id": text,
        "task_run_id": text,
        "task_type": text,
        "project_id": text,
        "correlation_id": text,
    }
    data: dict[str, Any] = dict.fromkeys(_FIELDS, text)
    data |= {"steps": [{"index": 0, "description": text}], "cost": 0.1, text: {text: text}}
    data |= {"metadata": {text: text, "stop_reason": text}, "processing": {"id": text, "summary": text}}
    of_items = ("id", "name", "summary", "priority", "source", "queued_at", "next_run", "last_run")
    data |= {"items": [dict.fromkeys((*of_items, "last_status", "interval"), text)], "depth": 1}
    kinds = ["llm_call", "plan_created", "plan_step", "issue", "todo", "scheduled", "queue_snapshot"]
    kinds += ["config_snapshot", "anomaly", "runtime", "learning", "error_context", "memory_op"]
    kinds += ["context_compaction", "prompt_composition", "state_mutation", text]
    payloads = [{"kind": kind, "summary": text, "data": data, "tags": [text]} for kind in kinds]
    events = [{**common, "event_type": "custom", "payload": payload} for payload in payloads]
    flat = {"action_name": text, "function": text, "args": {text: text}, "result": text, "error": text}
    flat |= {"exception_type": text, "exception_message": text, "summary": text, "data": data}
    lifecycle = ("task_started", "action_failed", "escalated", "approval_requested", "retry_started")
    for kind in (*lifecycle, "approval_received", "task_failed"):
        events.append({**common, "event_type": kind, "action_id": text, "status": text, "payload": flat})
    for number in range(3):  # which become one row
        more = {"action_id": f"{text}{number}", "duration_ms": 5, "payload": flat}
        events.append({**common, "event_type": "action_completed", **more})
    events.append({**common, "event_type": "heartbeat", "payload": {"model": text, text: text}})
    return [{"event_id": f"hostile-{at}-{n}", **event} for n, event in enumerate(events)]


_GO = """async (to) => {
  history.pushState(null, "", to);
  dispatchEvent(new PopStateEvent("popstate"));
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
}"""


def _make_hostile_key_and_price(page: Page, text: str) -> None:
    """What the person in front of the board types is shown as text as well."""
    given = {"key_type": "read", "label": text, "model": text, "input_usd": 1, "output_usd": 1}
    send_it = """async (given) => {
      const request = { body: JSON.stringify(given), headers: { "Content-Type": "application/json" } };
      const key = await fetch("/v1/api-keys", { method: "POST", ...request });
      const price = await fetch("/v1/admin/pricing", { method: "PUT", ...request });
      return [key.status, price.status];
    }"""
    assert page.evaluate(send_it, given) == [201, 200]


def test_no_field_of_an_event_runs_as_script(board: Board, sign_in: SignIn) -> None:
    for at, text in enumerate(_HOSTILE):
        answer = requests.post(
            f"{board.endpoint}/v1/ingest",
            headers={"Authorization": f"Bearer {board.key}"},
            json={
                "envelope": {
                    "agent_id": text,
                    "agent_type": text,
                    "framework": text,
                    "environment": text[:60],
                },
                "events": _hostile_events(text, at),
            },
            timeout=10,
        )
        assert answer.status_code in (200, 207), answer.text
    page = sign_in(board)
    page.add_init_script("window.hurt = 0")
    for text in _HOSTILE:
        _make_hostile_key_and_price(page, text)
    told = ["/pipeline", "/costs?prices=open", "/insights", "/keys"]
    queries = ["/", "/?words=plain", *told]
    queries += [f"/costs?by={by}" for by in ("agent", "task_type", "project")]
    for text in _HOSTILE:
        queries += [f"/task?{urlencode({'id': text})}", f"/task?{urlencode({'id': text, 'view': 'log'})}"]
        for view in ("", "pipeline", "llm", "config"):
            queries.append(f"/agent?{urlencode({'id': text, 'view': view, 'call': 'hostile-0-0'})}")
    page.reload()
    for query in queries:
        page.evaluate(_GO, query)
        expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
        expect(page.locator("[aria-busy]")).to_have_count(0)
        assert page.get_by_role("heading", name="This page could not be shown").count() == 0, query
        assert page.evaluate("window.hurt") == 0, query
        assert page.locator("main script, main iframe, main img").count() == 0, query
        if query in told:
            expect(page.locator("main")).to_contain_text(_HOSTILE[0], use_inner_text=True)
    page.evaluate(_GO, "/?q=hurt")
    for name in ("Agents", "Issues", "Events"):
        expect(page.get_by_role("region", name=f"{name} found")).to_be_visible()
    assert page.locator("main script, main iframe, main img").count() == 0
    assert page.evaluate("window.hurt") == 0


def test_no_node_of_a_task_runs_as_script(board: Board, sign_in: SignIn) -> None:
    page = sign_in(board)
    page.add_init_script("window.hurt = 0")
    page.reload()
    for at, text in enumerate(_MARKUP):
        send(board, *_hostile_events(text, at))
        page.evaluate(_GO, f"/task?{urlencode({'id': text, 'open': f'action:{text}0'})}")
        links = page.get_by_role("list", name="Waterfall").get_by_role("link")
        expect(links.first).to_be_visible()
        addresses = links.evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")
        assert len(addresses) > 15
        for address in addresses:
            page.evaluate(_GO, address)
            expect(page.get_by_role("complementary", name=re.compile("^Details of"))).to_have_count(1)
            assert page.locator("main script, main iframe, main img").count() == 0, address
        assert page.evaluate("window.hurt") == 0, text


def test_no_part_of_an_address_runs_as_script(board: Board, context: BrowserContext) -> None:
    send(board, action(1))
    page = context.new_page()
    page.add_init_script("window.hurt = 0")
    page.goto(board.link)
    page.wait_for_url(f"{board.endpoint}/")
    for text in _HOSTILE:
        filters = dict.fromkeys(("q", "agent", "show", "status", "tasks", "env", "paused"), text)
        parts = dict.fromkeys(("model", "agent", "type", "project", "range", "by", "price", "call"), text)
        chosen = dict.fromkeys(("view", "snapshot", "against", "issues", "range", "sort"), text)
        places = dict.fromkeys(("run", "node", "zoom", "open", "show", "plan"), text)
        queries = [f"/?{urlencode(filters)}", f"/task?{urlencode({'id': 'task-1', **places})}"]
        queries.append(f"/agent?{urlencode({'id': 'sender', **chosen})}")
        queries += [f"/{name}?{urlencode({**parts, 'prices': 'open'})}" for name in ("costs", "insights")]
        for query in queries:
            page.evaluate(_GO, query)
            expect(page.locator("[aria-busy]")).to_have_count(0)
            assert page.get_by_role("heading", name="This page could not be shown").count() == 0, query
            assert page.locator("main script, main iframe, main img").count() == 0, query
    assert page.evaluate("window.hurt") == 0


def test_garbage_from_the_api_does_not_empty_the_page(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)

    def garble(route: Route) -> None:
        body = json.dumps({"data": [None, 7, {"agent_id": None}], "totals": 3, "events": {}})
        route.fulfill(status=200, content_type="application/json", body=body)

    page.route(re.compile("/v1/(pipeline|cost|insights|api-keys|admin|agents/|llm-calls|events)"), garble)
    for path in ("/pipeline", "/costs?prices=open", "/insights", "/keys", "/agent?id=sender"):
        page.goto(board.endpoint + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
