"""A real board on a free port, and Chromium to look at it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from hiveloop.board.keyring import Keyring
from hiveloop.board.keys import KeyKind
from hiveloop.board.routes import Settings
from hiveloop.board.routes_pages import LINK_PATH
from hiveloop.board.security import Sessions
from hiveloop.board.server import BoardServer, listen
from hiveloop.board.store.sqlite import SqliteStore
from tests.support import wait
from tests.support.program import Program, run_program

HERE = Path(__file__).parent
SECRET = b"of the tests"
TIMEOUT_MS = 20_000
"""Nothing takes so long but on a machine that has much else to do; only what fails waits for it."""
expect.set_options(timeout=TIMEOUT_MS)
eventually = partial(wait.eventually, timeout=TIMEOUT_MS / 1000)
"""Waits as patiently for what no locator tells."""

_AWAY = re.compile(r"net::ERR_(CONNECTION_(REFUSED|RESET|CLOSED|ABORTED)|EMPTY_RESPONSE)")
"""What the browser says of a board that a test has ended, according to the moment it asked."""
_SETTLED = {
    "archiver": "offline",
    "lead-qualifier": "error",
    "mail-sorter": "stuck",
    "refund-desk": "waiting_approval",
    "report-writer": "processing",
}
"""The states that the scripted agents come to, and stay in."""


class Board(NamedTuple):
    """A board that runs.

    Attributes:
        endpoint: its address.
        key: a key that agents report with.
    """

    endpoint: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a program report to it."""
        return {"HIVELOOP_API_KEY": self.key, "HIVELOOP_ENDPOINT": self.endpoint}

    @property
    def link(self) -> str:
        """A link that signs a browser in, once."""
        return f"{self.endpoint}{LINK_PATH}?token={quote(Sessions(SECRET).new_link_token())}"


@contextmanager
def running_board(folder: Path, port: int = 0) -> Iterator[Board]:
    """Run a board in this process; its data is in `folder`."""
    store = SqliteStore(folder / "board.db")
    try:
        keyring = Keyring(store)
        _, key, stored = keyring.add(KeyKind.LIVE, "tests")
        stored.result(10)
        listening = listen("127.0.0.1", port)
        settings = Settings(secret=SECRET, api_key=key, keep_key=lambda _: None)
        server = BoardServer(store, settings, listening)
        server.start()
        try:
            yield Board(server.endpoint, key)
        finally:
            server.join()
    finally:
        store.close()


def states(board: Board) -> dict[str, str]:
    """The state of each agent, as pages show it."""
    headers = {"Authorization": f"Bearer {board.key}"}
    agents = requests.get(f"{board.endpoint}/v1/agents", headers=headers, timeout=10).json()["data"]
    told = {agent["agent_id"]: agent["derived_status"] for agent in agents}
    return told | {agent["agent_id"]: "offline" for agent in agents if agent["is_offline"]}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board to which the scripted agents reported, and still do."""
    with (
        running_board(tmp_path_factory.mktemp("told")) as board,
        Program(HERE / "scripted.py", environment=board.environment) as agents,
    ):
        agents.wait_for_line("ready", 30)
        done = run_program(HERE / "finished.py", environment=board.environment)
        assert done.clean, done.err
        eventually(lambda: states(board) == _SETTLED, what="the agents came to their states")
        yield board


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A board that knows nothing yet."""
    with running_board(tmp_path) as board:
        yield board


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium; of the package's scope, as Playwright keeps an event loop on this thread."""
    path = os.environ.get("HIVELOOP_TEST_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser window of its own, with an English clock that shows the same time everywhere."""
    size = {"width": 1440, "height": 900}
    context = chromium.new_context(viewport=size, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


class Looking:
    """A page that is looked at, and what it did that it should not."""

    def __init__(self, page: Page, endpoint: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self._host = urlsplit(endpoint).netloc
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def _asked(self, request: Request) -> None:
        place = urlsplit(request.url)
        if place.scheme not in ("data", "blob") and place.netloc != self._host:
            self.foreign.append(request.url)


@pytest.fixture
def sign_in(context: BrowserContext) -> Iterator[Callable[[Board], Page]]:
    """Open a board in the browser; at the end no request has left it, and nothing was complained of."""
    looks: list[Looking] = []

    def look(board: Board) -> Page:
        page = context.new_page()
        look = Looking(page, board.endpoint)
        looks.append(look)
        context.request.get(board.link)  # its cookie is the page's; test_behind_proxy.py follows the link
        page.goto(f"{board.endpoint}/")
        return page

    yield look
    for one in looks:
        assert one.foreign == []
        assert [said for said in one.complaints if not _AWAY.search(said)] == []


@pytest.fixture
def page(told: Board, sign_in: Callable[[Board], Page]) -> Page:
    """The board of the scripted agents, open in the browser."""
    return sign_in(told)
