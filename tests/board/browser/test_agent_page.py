"""The page of one agent: its present, its past as far back as it goes, its calls, its configurations."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from .conftest import Board, eventually
from .reports import Event, custom, event, llm_call, run
from .test_interaction import SignIn, send
from .test_promises import at, panel


def body_rows(inside: Locator) -> Locator:
    """The rows of a table without its heading."""
    return inside.locator("tbody").get_by_role("row")


def test_recent_tasks_go_on_to_the_first_and_stay_whole_while_more_arrive(
    board: Board, sign_in: SignIn
) -> None:
    send(board, *(one for number in range(45) for one in run(f"job-{number}", 500 - 10 * number)))
    page = at(sign_in(board), board, "/agent", id="sender")
    tasks = panel(page, "Recent tasks")
    expect(body_rows(tasks)).to_have_count(20)
    tasks.get_by_role("button", name="Older tasks").click()
    expect(body_rows(tasks)).to_have_count(40)
    send(board, *(one for number in range(45, 70) for one in run(f"job-{number}", 500 - 7 * number)))
    expect(tasks.get_by_role("link", name="job-69")).to_be_visible()
    tasks.get_by_role("button", name="Older tasks").click()
    expect(body_rows(tasks)).to_have_count(60)
    tasks.get_by_role("button", name="Older tasks").click()
    expect(body_rows(tasks)).to_have_count(70)
    expect(tasks.get_by_role("button", name="Older tasks")).to_have_count(0)
    links, whole = tasks.locator("tbody a[data-open]"), sorted(f"job-{number}" for number in range(70))
    eventually(lambda: sorted(links.all_inner_texts()) == whole, what="each task once")


def test_recent_tasks_are_sorted_by_their_headings(board: Board, sign_in: SignIn) -> None:
    send(board, *run("short", 5, 0.1), *run("long", 50, 9), *run("middle", 100, 3))
    page = at(sign_in(board), board, "/agent", id="sender")
    tasks = panel(page, "Recent tasks")
    expect(body_rows(tasks).first).to_contain_text("short")
    tasks.get_by_role("button", name="Duration").click()
    expect(body_rows(tasks).first).to_contain_text("long")
    expect(body_rows(tasks).last).to_contain_text("short")


def test_the_heartbeats_own_figures_are_shown(page: Page, told: Board) -> None:
    at(page, told, "/agent", id="lead-qualifier")
    now = panel(page, "Right now")
    for figure in ("gpt-4o", "$0.420", "3", "last heartbeat"):
        expect(now).to_contain_text(figure)
    expect(now.get_by_role("img", name=re.compile("Activity of the last hour"))).to_be_visible()


def test_starts_stops_and_changes_are_marks_on_a_time_axis(board: Board, sign_in: SignIn) -> None:
    marks = [
        event("agent_registered", 9_000, payload={"summary": "sender registered"}),
        custom("runtime", "Went down for a release", {"event": "agent_stopped"}, 5_000),
        custom("runtime", "Cheaper model", {"event": "model_switch", "to": "gpt-4o-mini"}, 4_000),
        custom("config_snapshot", "Prompt 7", {"prompt": 7}, 3_000),
    ]
    send(board, *marks)
    page = at(sign_in(board), board, "/agent", id="sender")
    rows = panel(page, "Lifecycle").get_by_role("listitem")
    expect(rows).to_have_count(4)
    told = ["config", "switched model", "stopped", "started"]
    for number, word in enumerate(told):
        expect(rows.nth(number)).to_contain_text(word)
    expect(rows.nth(2)).to_contain_text("Went down for a release")
    rows.nth(0).get_by_role("link", name="Prompt 7").click()
    expect(page.get_by_text("prompt: 7")).to_be_visible()


def test_older_marks_are_read_on_demand_and_in_order(board: Board, sign_in: SignIn) -> None:
    starts = [
        event("agent_registered", 10_000 - 100 * n, payload={"summary": f"start {n}"}) for n in range(25)
    ]
    changes = [custom("config_snapshot", f"change {n}", {"n": n}, 10_050 - 500 * n) for n in range(5)]
    send(board, *starts, *changes)
    page = at(sign_in(board), board, "/agent", id="sender")
    rows = panel(page, "Lifecycle").get_by_role("listitem")
    expect(rows.first).to_contain_text("start 24")
    expect(rows).to_have_count(11)  # a change from before the oldest start that is known must wait for it
    for _ in range(2):
        panel(page, "Lifecycle").get_by_role("button", name="Older marks").click()
    expect(rows).to_have_count(30)
    expect(panel(page, "Lifecycle").get_by_role("button", name="Older marks")).to_have_count(0)
    numbers = [int(found) for found in re.findall(r"start (\d+)", "\n".join(rows.all_inner_texts()))]
    assert numbers == list(range(24, -1, -1))


def test_any_two_configurations_are_compared(board: Board, sign_in: SignIn) -> None:
    configs: list[Event] = [{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": {"deep": True}}]
    for number, config in enumerate(configs):
        send(board, custom("config_snapshot", f"Version {number}", config, 300 - 100 * number))
    page = at(sign_in(board), board, "/agent", id="sender", view="config")
    lines = page.locator(".diff")
    expect(lines).to_contain_text("b.deep: true")
    expect(lines.locator(".gone")).to_have_text(["-b: 1"])
    page.get_by_label("Compared with").select_option(index=1)
    expect(lines.locator(".gone")).to_have_text(["-a: 1", "-b: 1"])
    expect(page).to_have_url(re.compile("against="))
    page.get_by_role("listitem").filter(has_text="Version 0").click()
    expect(page.get_by_role("region", name="The first snapshot")).to_contain_text("a: 1")


def test_the_last_snapshot_of_a_page_is_compared_with_the_next_page(board: Board, sign_in: SignIn) -> None:
    send(board, *(custom("config_snapshot", f"Version {n}", {"n": n}, 9_000 - 100 * n) for n in range(55)))
    page = at(sign_in(board), board, "/agent", id="sender", view="config")
    snapshots = page.get_by_role("list", name="Config snapshots").get_by_role("listitem")
    expect(snapshots).to_have_count(50)
    snapshots.last.click()
    expect(page.locator(".diff .gone")).to_have_text(["-n: 4"])
    expect(snapshots).to_have_count(55)


def test_the_calls_are_summed_over_the_range_and_go_on_beyond_a_page(board: Board, sign_in: SignIn) -> None:
    send(board, *(llm_call(f"step {n}", "gpt-4o", 60 + n, cost=0.5, task="job") for n in range(60)))
    send(board, llm_call("long ago", "gpt-4o", 20 * 3600, cost=10, task="job"))
    page = at(sign_in(board), board, "/agent", id="sender", view="llm", range="1h")
    calls = panel(page, "LLM calls")
    expect(calls.get_by_role("list", name="Sums of the range")).to_contain_text("Cost $30.00")
    expect(body_rows(calls)).to_have_count(50)
    calls.get_by_role("button", name="Older calls").click()
    expect(body_rows(calls)).to_have_count(60)
    calls.get_by_role("button", name="24h").click()
    expect(calls.get_by_role("list", name="Sums of the range")).to_contain_text("Cost $40.00")


def test_a_call_outside_of_any_task_tells_what_was_said(board: Board, sign_in: SignIn) -> None:
    said: Event = {
        "prompt_preview": "Who goes there?",
        "response_preview": '{"who":"me"}',
        "metadata": {"turn": 3},
    }
    send(board, llm_call("guard", "gpt-4o", cost=0.5, **said))
    page = at(sign_in(board), board, "/agent", id="sender", view="llm")
    page.get_by_role("button", name="Details of guard").click()
    for text in ("Who goes there?", '"who": "me"', '"turn": 3', "reported by the agent"):
        expect(panel(page, "LLM calls")).to_contain_text(text)
    expect(page).to_have_url(re.compile("call="))
    page.get_by_role("button", name="Details of guard").click()
    expect(panel(page, "LLM calls")).not_to_contain_text("Who goes there?")
