"""The pages on the board are true: their code talks to a running board, tables are those of the code."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from starlette.routing import Route

from hiveloop.board import routes_keys, routes_manage, routes_query
from hiveloop.board.keys import KeyKind
from hiveloop.board.security import HEADERS, LINK_SECONDS, SESSION_SECONDS, Limits
from hiveloop.board.status import DEFAULT_THRESHOLD_MS, AgentState, TaskState
from hiveloop.cli import board as command

from .pages import DOCS, table_rows
from .test_docs import ALL, BOARD_PAGES, compare_output, environment, is_run, name_of, run

API = DOCS / "board" / "api.md"
_START_SECONDS = 20


@contextmanager
def board(folder: Path) -> Iterator[dict[str, str]]:
    """Run a board as the pages say; the variables with which programs find it."""
    variables = {
        "HIVELOOP_BOARD_DATA": str(folder / "data"),
        "HIVELOOP_RUNTIME_DIR": str(folder / "run"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "hiveloop", "board", "--port", "0", "--no-browser"],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        yield {**variables, **_said(process.stdout)}
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=_START_SECONDS)[0]
    assert process.returncode == 0, rest
    assert "Traceback" not in rest, rest


def _said(output: Any) -> dict[str, str]:
    """Address, key and link in the greeting."""
    greeting = ""
    for line in output:
        greeting += line
        if "Ctrl-C" in line:
            break
    found = re.search(r'init\("(hb_live_\w+)", endpoint="(http:[^"]+)"\)', greeting)
    link = re.search(r"http:\S+token=\S+", greeting)
    assert found, greeting
    assert link, greeting
    return {"HIVELOOP_API_KEY": found[1], "HIVELOOP_ENDPOINT": found[2], "LINK": link[0]}


# -- code --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", BOARD_PAGES, ids=name_of)
def test_python_blocks_run_against_a_board(page: Path, tmp_path: Path) -> None:
    runnable = [block for block in ALL if block.page == page and block.language == "python" and is_run(block)]
    if not runnable:
        assert page.stem in ("security", "team")  # they have configuration only
        return
    sources = [{"line": block.line, "source": block.text} for block in runnable]
    program = Path(__file__).with_name("run_page.py")
    with board(tmp_path) as variables:
        done = run(program, page, folder=tmp_path, given=json.dumps(sources), **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    compare_output(page, dict(zip((b.line for b in runnable), json.loads(done.stdout), strict=True)))


def test_a_backup_can_be_restored(tmp_path: Path) -> None:
    """The steps of the page, one after the other."""
    saves = next(b for b in ALL if b.page.name == "data.md" and "VACUUM INTO" in b.text)
    event = {
        "event_id": "1",
        "timestamp": "2026-01-01T00:00:00Z",
        "event_type": "task_started",
        "task_id": "t",
    }
    with board(tmp_path) as variables, client(variables) as asking:
        answer = asking.post("/v1/ingest", json={"envelope": {"agent_id": "a"}, "events": [event]})
        assert answer.json()["accepted"] == 1
        done = run("-c", saves.text, folder=tmp_path, **variables)
        assert done.returncode == 0, done.stderr

    shutil.copy(tmp_path / "backup.db", tmp_path / "data" / "board.db")
    for left in (tmp_path / "data").glob("board.db-*"):
        left.unlink()
    with board(tmp_path) as variables, client(variables) as asking:  # the same key
        assert asking.get("/v1/events/1").json()["task_id"] == "t"


def client(variables: dict[str, str]) -> httpx.Client:
    headers = {"Authorization": f"Bearer {variables['HIVELOOP_API_KEY']}"}
    return httpx.Client(base_url=variables["HIVELOOP_ENDPOINT"], headers=headers, timeout=20)


def test_a_link_makes_keys_as_the_page_shows(tmp_path: Path) -> None:
    body = next(re.findall(r"--data '(.+)' ", b.text) for b in ALL if b.page == API and "--data" in b.text)[0]
    with board(tmp_path) as variables:
        done = run("-m", "hiveloop", "board", "link", folder=tmp_path, **variables)
        assert done.returncode == 0, done.stderr
        with httpx.Client(base_url=variables["HIVELOOP_ENDPOINT"]) as browser:
            assert browser.get(done.stdout.strip()).status_code == 200
            made = browser.post("/v1/api-keys", content=body)
        assert made.status_code == 201
        assert made.json()["raw_key"].startswith("hb_read_")


def test_what_is_said_of_a_proxy_is_true(tmp_path: Path) -> None:
    """Without the proxy itself: the headers it would send."""
    with board(tmp_path) as variables, httpx.Client(base_url=variables["HIVELOOP_ENDPOINT"]) as proxy:
        link = variables["LINK"]
        assert proxy.get(link, headers={"Host": "board.example.com"}).status_code == 403
        opened = proxy.get(link, headers={"X-Forwarded-Proto": "https"})
        assert "Secure" in opened.headers["set-cookie"]


# -- tables ------------------------------------------------------------------------------------------


def test_states_are_those_of_the_code_in_their_order() -> None:
    page = DOCS / "board" / "states.md"
    agents = [row[0].strip("`") for row in table_rows(page, "States of an agent")]
    tasks = [row[0].strip("`") for row in table_rows(page, "States of a task")]
    assert tuple(agents) == ("stuck", "error", "offline", "waiting", "processing", "idle")
    assert set(agents) == set(get_args(AgentState))
    assert set(tasks) == set(get_args(TaskState))
    assert f"{DEFAULT_THRESHOLD_MS // 1000} seconds" in page.read_text(encoding="utf-8")


def paths(rows: list[list[str]]) -> set[str]:
    return {part for row in rows for part in re.findall(r"/v1/[^\s`]+", row[0])}


def plain(path: str) -> str:
    return path.replace(":path", "")


def test_every_query_is_in_the_table() -> None:
    rows = table_rows(API, "Endpoints")
    looking = {plain(route.path) for route in routes_query.routes if isinstance(route, Route)}
    assert paths(rows) == looking | {"/v1/board"}


def test_every_change_is_in_the_table() -> None:
    told: set[tuple[str, str]] = set()
    for row in table_rows(API, "Change"):
        methods, path = re.findall(r"[A-Z]{3,}", row[0]), re.findall(r"/v1/[^\s`]+", row[0])[0]
        told |= {(method, path) for method in methods}
    real = {
        (method, plain(route.path))
        for route in (*routes_keys.routes, *routes_manage.routes)
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert told == real - {("GET", "/v1/board")}


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A board with one event of each sort that the paths of the table need."""
    event = {
        "event_id": "e",
        "timestamp": "2026-01-01T00:00:00Z",
        "event_type": "task_started",
        "task_id": "t",
    }
    with board(tmp_path_factory.mktemp("board")) as variables, client(variables) as asking:
        asking.post("/v1/ingest", json={"envelope": {"agent_id": "a"}, "events": [event]})
        yield asking


GOOD = {
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-01-02T00:00:00Z",
    "limit": "5",
    "exclude_heartbeats": "1",
}
REFUSED = (
    "limit",
    "since",
    "until",
    "range",
    "interval",
    "sort",
    "cursor",
    "after_seq",
    "group_by",
    "severity",
)
"""Parameters whose values can be wrong."""


@pytest.mark.parametrize("row", table_rows(API, "Endpoints"), ids=lambda row: row[0].strip("`"))
def test_path_and_its_parameters_are_known(answering: httpx.Client, row: list[str]) -> None:
    ids = {"agent_id": "a", "task_id": "t", "event_id": "e", "name": "errors"}
    path = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], row[0].strip("`"))
    assert answering.get(path).status_code == 200
    for name in re.findall(r"`(\w+)`", row[2]):
        good = answering.get(path, params={name: GOOD[name]} if name in GOOD else {})
        assert good.status_code == 200, (name, good.text)
        if name in REFUSED:
            assert answering.get(path, params={name: "-banana-"}).status_code == 400, name


def options() -> set[str]:
    parser = argparse.ArgumentParser()
    command.add_to(lambda name, **more: parser)
    return {
        option for action in parser._actions for option in action.option_strings if option.startswith("--")
    }


def test_every_option_of_the_command_is_explained() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in BOARD_PAGES)
    assert [option for option in sorted(options() - {"--help"}) if f"{option}" not in text] == []


def test_security_page_has_the_figures_of_the_code() -> None:
    text = " ".join((DOCS / "board" / "security.md").read_text(encoding="utf-8").split())
    assert HEADERS["Content-Security-Policy"] in text
    assert f"within {LINK_SECONDS // 60} minutes" in text
    assert f"{SESSION_SECONDS // 86_400} days" in text
    assert f"{Limits().ingest} requests a second and ask {Limits().query}" in text
    assert {kind.value for kind in KeyKind} == set(re.findall(r"hb_(\w+)_…", text))
