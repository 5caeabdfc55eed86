"""API keys: made and shown once, listed by their beginning, revoked after a question."""

from __future__ import annotations

import re

import pytest
import requests
from playwright.sync_api import BrowserContext, Locator, Page, expect

import hiveloop

from .conftest import Board, eventually
from .reports import run
from .test_interaction import SignIn, send
from .test_pipeline_page import issue
from .test_promises import at, card, copied, panel

KEY = re.compile(r"hb_(live|test|read)_[0-9a-f]{32}")


def make(page: Page, kind: str, label: str) -> str:
    """Make a key on the page and return it."""
    page.get_by_role("radio", name=re.compile(f"^{kind}")).check()
    page.get_by_label("Label").fill(label)
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_label("The key", exact=True)).to_have_text(re.compile(f"hb_{kind}_"))
    return page.get_by_label("The key", exact=True).inner_text().strip()


def reload_until(page: Page, shown: Locator) -> None:
    """Load the page again until it shows something: that a key was used is kept after the use is answered."""

    def is_shown() -> bool:
        page.reload()
        expect(panel(page, "Keys in use")).to_be_visible()
        return shown.is_visible()

    eventually(is_shown, what=f"{shown} is shown")


def ask(board: Board, key: str) -> int:
    """The status that a look with a key is answered by."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{board.endpoint}/v1/agents", headers=headers, timeout=10).status_code


def report(board: Board, key: str) -> int:
    """The status that a report with a key is answered by."""
    headers = {"Authorization": f"Bearer {key}"}
    body = {"envelope": {"agent_id": "someone"}, "events": []}
    return requests.post(f"{board.endpoint}/v1/ingest", headers=headers, json=body, timeout=10).status_code


@pytest.mark.parametrize(("kind", "may_report"), [("live", True), ("test", True), ("read", False)])
def test_a_key_is_shown_once_and_does_what_its_type_says(
    board: Board, sign_in: SignIn, kind: str, may_report: bool
) -> None:
    page = at(sign_in(board), board, "/keys")
    key = make(page, kind, f"for {kind}")
    assert KEY.fullmatch(key)
    assert ask(board, key) == 200
    assert report(board, key) == (200 if may_report else 403)
    row = panel(page, "Keys in use").get_by_role("row").filter(has_text=f"for {kind}")
    expect(row).to_contain_text(f"{key[:12]}…")
    expect(row).to_contain_text(kind)
    reload_until(page, row.filter(has_not_text="never"))
    assert key not in page.content()


def test_the_two_lines_to_paste_work_as_they_were_copied(
    board: Board, sign_in: SignIn, context: BrowserContext
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = at(sign_in(board), board, "/keys")
    key = make(page, "live", "pasted")
    assert copied(page.get_by_role("button", name="Copy key")) == key
    lines = copied(page.get_by_role("button", name="Copy lines"))
    assert lines.splitlines() == [
        "import hiveloop",
        f'hb = hiveloop.init("{key}", endpoint="{board.endpoint}")',
    ]
    exec(lines + '\nhb.agent("pasted")', {})
    hiveloop.shutdown()
    page.goto(board.endpoint)
    expect(card(page, "pasted")).to_be_visible()


def test_the_key_is_hidden_on_demand(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/keys")
    key = make(page, "read", "")
    expect(page.get_by_label("Lines to paste")).to_contain_text(f"hiveloop tail --endpoint {board.endpoint}")
    page.get_by_role("button", name="Hide the key").click()
    expect(page.get_by_label("The key", exact=True)).to_have_count(0)
    assert key not in page.content()


def test_a_key_is_revoked_after_a_question_and_at_once(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/keys")
    key = make(page, "live", "to go")
    assert ask(board, key) == 200
    revoke = page.get_by_role("button", name=f"Revoke {key[:12]}…")
    revoke.click()
    question = page.get_by_role("dialog", name=f"Revoke {key[:12]}…?")
    expect(question.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    assert ask(board, key) == 200
    revoke.click()
    question.get_by_role("button", name="Revoke it").click()
    expect(question).to_have_count(0)
    expect(panel(page, "Revoked keys")).to_contain_text("to go")
    expect(panel(page, "Keys in use")).not_to_contain_text("to go")
    assert ask(board, key) == 401


def test_revoking_the_boards_own_key_says_what_it_means(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/keys")
    own = panel(page, "Keys in use").get_by_role("row").filter(has_text="this board's own")
    expect(own).to_have_count(1)
    own.get_by_role("button", name=re.compile("^Revoke")).click()
    expect(page.get_by_role("dialog")).to_contain_text("programs on this machine report with")
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()


def test_another_takes_the_place_of_the_boards_own_key_in_the_list_and_in_the_lines_to_paste(
    board: Board, sign_in: SignIn
) -> None:
    page = at(sign_in(board), board, "/keys")
    own = panel(page, "Keys in use").get_by_role("row").filter(has_text="this board's own")
    own.get_by_role("button", name=re.compile("^Revoke")).click()
    page.get_by_role("button", name="Revoke it").click()
    expect(panel(page, "Revoked keys")).to_contain_text(board.key[:12])
    expect(own).to_have_count(1)
    expect(own).not_to_contain_text(board.key[:12])
    page.get_by_role("link", name="Fleet").first.click()
    lines = page.locator("pre").filter(has_text="hiveloop.init(").first
    expect(lines).not_to_contain_text(board.key)  # the page asks for the other one meanwhile
    expect(lines).to_contain_text(KEY)
    found = KEY.search(lines.inner_text())
    assert found is not None
    assert report(board, found[0]) == 200


def test_the_page_is_reached_from_every_other_by_bar_and_keys(page: Page, told: Board) -> None:
    for path in ("/", "/pipeline", "/costs", "/insights"):
        at(page, told, path)
        page.get_by_role("link", name="API keys").click()
        expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    at(page, told, "/")
    expect(page.get_by_role("heading", name="The Hive")).to_be_visible()
    page.keyboard.type("gk")
    expect(page).to_have_title("Keys · HiveBoard")


def test_a_key_is_made_without_a_mouse(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/keys")
    page.get_by_role("radio", name=re.compile("^live")).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    expect(page.get_by_label("The key", exact=True)).to_have_text(re.compile("hb_test_"))
    expect(panel(page, "Keys in use").get_by_role("row").filter(has_text="typed")).to_contain_text("test")


def test_what_could_not_be_made_says_why(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/keys")
    expect(panel(page, "Keys in use")).to_be_visible()
    page.route(re.compile("/v1/api-keys"), lambda route: route.abort("connectionrefused"))
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("form", name="New key").get_by_role("alert")).to_have_text(
        "The board does not answer."
    )


def test_what_a_test_key_sends_is_looked_at_apart(board: Board, sign_in: SignIn) -> None:
    page = at(sign_in(board), board, "/keys")
    test_board = board._replace(key=make(page, "test", "trial"))
    send(board, *run("real-task"))
    send(test_board, *run("trial-task"), issue("Only a trial"))
    row = panel(page, "Keys in use").get_by_role("row").filter(has_text="trial")
    see = row.get_by_role("button", name="See its data")
    reload_until(page, see)
    see.click()
    expect(page.get_by_role("row", name=re.compile("trial-task"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("real-task"))).to_have_count(0)
    send(test_board, *run("second-trial"))
    expect(page.get_by_role("row", name=re.compile("second-trial"))).to_be_visible()
    page.get_by_role("link", name="Pipeline").click()
    panel(page, "Issues").get_by_role("button", name="Resolve", exact=True).click()
    expect(panel(page, "Issues")).to_contain_text("No open issue")
    expect(panel(page, "Issues")).to_contain_text('hiveloop.init("hb_test_…"')
    page.get_by_role("button", name="Test data").click()
    expect(page.get_by_role("row", name=re.compile("real-task"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("trial"))).to_have_count(0)
