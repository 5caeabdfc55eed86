"""The stream in the pages when it breaks, stands still, or nobody looks."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from playwright.sync_api import BrowserContext, Page, Route, WebSocketRoute, expect

from .conftest import Board, eventually
from .test_interaction import SignIn, action, scroll_down, seen_numbers, send, shows_numbers

LIVE = "Connection: Live"


def events(page: Page) -> list[str]:
    """The rows of the stream that are in the document, newest first."""
    return page.get_by_role("list", name="Events").get_by_role("listitem").all_inner_texts()


def is_live(page: Page) -> None:
    """Wait until the socket is open."""
    expect(page.get_by_role("status", name=LIVE)).to_be_visible()


# -- interruptions ----------------------------------------------------------------------------


def test_what_a_slow_page_missed_is_read_without_gap_while_more_arrives(
    board: Board, sign_in: SignIn
) -> None:
    """The board dropped a batch and says so; before the page has read it, the socket brings later events."""
    sockets: list[WebSocketRoute] = []
    asked: list[Route] = []
    dropped: list[str] = []
    is_slow = False

    def pass_on(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(socket)

        def on(text: str | bytes) -> None:
            if is_slow and '"event.batch"' in str(text):
                dropped.append(str(text))
            else:
                socket.send(text)

        server.on_message(on)

    def hold(route: Route) -> None:
        asked.append(route)

    send(board, action(1))
    page = sign_in(board)
    page.route_web_socket(re.compile("/v1/stream"), pass_on)
    page.reload()
    is_live(page)
    page.route(re.compile("after_seq"), hold, times=1)
    is_slow = True
    send(board, *(action(number) for number in range(2, 402)))
    eventually(lambda: page.evaluate("1") and any("step 401" in text for text in dropped))
    is_slow = False
    with page.expect_request(re.compile("after_seq")):
        sockets[-1].send(json.dumps({"type": "resync", "seq": 401}))
    send(board, action(402))
    expect(page.get_by_text("step 402", exact=True)).to_be_visible()
    eventually(lambda: page.evaluate("1") and asked)
    asked[0].continue_()
    expect(page.get_by_text("step 401", exact=True)).to_be_visible()
    eventually(lambda: seen_numbers(page)[:20] == list(range(402, 382, -1)))
    whole = page.get_by_role("list", name="Events")
    scroll_down(whole, page.get_by_text("step 1", exact=True))
    rows = "list => list.scrollHeight / list.querySelector('[role=listitem]').offsetHeight"
    eventually(lambda: whole.evaluate(rows) == 402, what="one row for each event, none twice")


def test_a_socket_that_is_cut_again_and_again_loses_and_repeats_nothing(
    board: Board, sign_in: SignIn
) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page = sign_in(board)
    page.route_web_socket(re.compile("/v1/stream"), pass_on)
    send(board, action(0))
    page.reload()
    for cut in range(1, 5):
        is_live(page)
        send(board, action(cut * 10), action(cut * 10 + 1))
        sockets[-1].close()
        send(board, action(cut * 10 + 2))
        expect(page.get_by_text(f"step {cut * 10 + 2}", exact=True)).to_be_visible()
    expected = [number for cut in range(4, 0, -1) for number in (cut * 10 + 2, cut * 10 + 1, cut * 10)]
    shows_numbers(page, [*expected, 0])


def test_polling_goes_back_to_the_socket_when_it_gets_through(board: Board, sign_in: SignIn) -> None:
    is_blocked = True

    def gate(socket: WebSocketRoute) -> None:
        if is_blocked:
            socket.close()
        else:
            socket.connect_to_server()

    page = sign_in(board)
    page.route_web_socket(re.compile("/v1/stream"), gate)
    send(board, action(1))
    page.reload()
    expect(page.get_by_role("status", name="Connection: Polling")).to_be_visible()
    send(board, *(action(number) for number in range(2, 300)))
    expect(page.get_by_text("step 299", exact=True)).to_be_visible()
    is_blocked = False
    is_live(page)
    send(board, action(300))
    expect(page.get_by_text("step 300", exact=True)).to_be_visible()
    eventually(lambda: seen_numbers(page)[:3] == [300, 299, 298])


# -- out of sight -----------------------------------------------------------------------------

_SHOW = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_tab_out_of_sight_asks_nothing_and_has_everything_when_seen(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)
    is_live(page)
    expect(page.get_by_text("step 1", exact=True)).to_be_visible()
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: heard.append(str(text))))
    page.reload()
    is_live(page)
    page.wait_for_load_state("networkidle")
    page.evaluate(_SHOW, True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    send(board, *(action(number) for number in range(2, 29)))
    send(board, action(29), agent="other")
    eventually(lambda: page.evaluate("1") and any("step 29" in text for text in heard))
    told = re.compile(r'"agent.status_changed",\s*"agent_id":\s*"other"')
    eventually(lambda: page.evaluate("1") and any(told.search(text) for text in heard))
    assert events(page)[0].endswith("step 1")
    assert asked == []
    page.evaluate(_SHOW, False)
    expect(page.get_by_text("step 29", exact=True)).to_be_visible()
    shows_numbers(page, range(29, 0, -1))
    eventually(lambda: page.evaluate("1") and any("/v1/tasks" in url for url in asked))


# -- standing still ---------------------------------------------------------------------------


def test_the_paused_moment_is_in_the_address_and_a_link_brings_it_back(
    board: Board, sign_in: SignIn, context: BrowserContext
) -> None:
    send(board, *(action(number) for number in range(1, 4)))
    page = sign_in(board)
    is_live(page)
    expect(page.get_by_text("step 3", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page).to_have_url(re.compile("paused="))
    send(board, *(action(number) for number in range(4, 9)))
    expect(page.get_by_role("button", name="5 new")).to_be_visible()
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("button", name="5 new")).to_be_visible()
    shows_numbers(other, [3, 2, 1])
    expect(other.get_by_role("button", name=re.compile("^Paused at"))).to_be_visible()
    other.get_by_role("link", name="Pipeline").click()
    expect(other).to_have_url(re.compile("paused="))
    other.get_by_role("link", name="Fleet", exact=True).click()
    expect(other.get_by_text("step 3", exact=True)).to_be_visible()
    shows_numbers(other, [3, 2, 1])
    other.get_by_role("button", name="5 new").click()
    expect(other).not_to_have_url(re.compile("paused="))
    expect(other.get_by_text("step 8", exact=True)).to_be_visible()


def test_a_paused_stream_stays_however_much_arrives(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)
    is_live(page)
    expect(page.get_by_text("step 1", exact=True)).to_be_visible()
    page.keyboard.press("p")
    for start in range(2, 3_602, 400):
        send(board, *(action(number) for number in range(start, start + 400)))
    expect(page.get_by_role("button", name="3000+ new")).to_be_visible()
    assert seen_numbers(page) == [1]


def test_new_items_are_counted_as_the_filter_has_them(board: Board, sign_in: SignIn) -> None:
    send(board, action(1))
    page = sign_in(board)
    is_live(page)
    page.get_by_role("group", name="Show").get_by_role("button", name="error").click()
    page.keyboard.press("p")
    send(board, action(2), action(3, event_type="action_failed"), action(4))
    page.get_by_role("button", name="1 new").click()
    shows_numbers(page, [3])


# -- notifications ----------------------------------------------------------------------------

_RECORD = """
window.notes = [];
window.prompts = 0;
const asked = Notification.requestPermission.bind(Notification);
window.Notification = class extends Notification {
  constructor(title, options) { super(title, options); notes.push(`${title} | ${options.body}`); }
  static requestPermission() { prompts += 1; return asked(); }
};
"""


def begin(board: Board, agent: str, ending: str, payload: dict[str, str]) -> None:
    """Have an agent begin a task now, and then come to a halt in it."""
    for number, (kind, told) in enumerate({"task_started": {}, ending: payload}.items()):
        more = {"event_id": f"{agent}-{number}", "task_id": agent, "action_id": None, "payload": told}
        send(board, action(0, event_type=kind, timestamp=datetime.now(UTC).isoformat(), **more), agent=agent)


def notes_of(page: Page, agent: str) -> list[str]:
    """What the browser was told about an agent."""
    notes: list[str] = page.evaluate("notes")
    return [note for note in notes if note.startswith(f"{agent}: ")]


def test_notifications_are_off_until_turned_on_and_tell_who_needs_somebody(
    board: Board, sign_in: SignIn, context: BrowserContext
) -> None:
    context.grant_permissions(["notifications"], origin=board.endpoint)
    context.add_init_script(_RECORD)
    page = sign_in(board)
    begin(board, "first", "approval_requested", {"summary": "Refund of $120?"})
    expect(page.get_by_role("listitem", name="first: Waiting")).to_be_visible()
    is_live(page)
    assert page.evaluate("[notes, prompts]") == [[], 0]
    page.get_by_role("button", name="Notifications").click()
    expect(page.get_by_role("button", name="Notifications")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("prompts") == 1
    begin(board, "second", "task_failed", {"exception_type": "OSError"})
    # The board looks at states once a second: it may say only now that the first one waits.
    eventually(lambda: notes_of(page, "second"))
    assert notes_of(page, "second") == ["second: Error | Task failed: OSError"]
    page.reload()
    is_live(page)
    begin(board, "third", "approval_requested", {"summary": "May I?"})
    eventually(lambda: notes_of(page, "third"))
    assert page.evaluate("notes")[0].startswith("third: Waiting | ")
    assert page.evaluate("[notes.length, prompts]") == [1, 0]
    page.get_by_role("button", name="Notifications").click()
    expect(page.get_by_role("button", name="Notifications")).to_have_attribute("aria-pressed", "false")


def test_a_browser_that_forbids_notifications_is_believed(board: Board, sign_in: SignIn) -> None:
    page = sign_in(board)
    page.get_by_role("button", name="Notifications").click()
    bell = page.get_by_role("button", name="Notifications")
    expect(bell).to_have_attribute("aria-pressed", "false")
    expect(bell).to_be_disabled()
    expect(bell).to_have_attribute("title", re.compile("does not allow"))
