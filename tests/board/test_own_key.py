"""The key that a board shows and hands over: when it is revoked, another takes its place at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hiveloop import _handover
from hiveloop.board.handover import Offer
from hiveloop.board.keyring import Keyring, OwnKey
from hiveloop.board.keys import KeyKind
from hiveloop.board.store.protocol import StoreError
from hiveloop.board.store.sqlite import SqliteStore
from tests.support.wait import eventually

from .stores import new_database, postgres_server
from .test_cli_board import REPORT, Running, board
from .test_handover import HERE, KEY, folder

__all__ = ["folder", "postgres_server"]

NO_MORE_KEYS = "CREATE TRIGGER no_more BEFORE INSERT ON keys BEGIN SELECT RAISE(ABORT, 'no more'); END"


@contextmanager
def browser(running: Running) -> Iterator[httpx.Client]:
    """A browser that has opened the link which the board said."""
    link = re.search(r"once: (\S+)", running.said)
    assert link is not None, running.said
    with httpx.Client(base_url=running.endpoint, follow_redirects=True, timeout=20) as client:
        assert client.get(link[1]).status_code == 200
        yield client


def keys(client: httpx.Client) -> Any:
    return client.get("/v1/api-keys").json()["data"]


def revoke_own(client: httpx.Client) -> None:
    (own,) = [key for key in keys(client) if key["is_own"]]
    assert client.delete(f"/v1/api-keys/{own['key_id']}").status_code == 204


def handed_over(running: Running) -> Any:
    return json.loads((running.home / "run" / _handover.FILE_NAME).read_text())["api_key"]


def test_another_is_handed_over_shown_and_kept_as_soon_as_it_is_revoked(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text(REPORT)
    with board(tmp_path, "--port", 0) as running, browser(running) as client:
        before = running.key
        revoke_own(client)
        fresh = handed_over(running)
        assert fresh != before
        assert fresh == running.key == client.get("/v1/board").json()["api_key"]
        assert [(key["is_own"], key["is_active"]) for key in keys(client)] == [(False, False), (True, True)]
        done = subprocess.run(
            [sys.executable, script], env=running.environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == running.endpoint
        assert [agent["agent_id"] for agent in running.get("/v1/agents").json()["data"]] == ["worker"]
        assert fresh in running.until(f'hiveloop.init("{fresh}"')
        assert running.end() == 0
    with board(tmp_path, "--port", 0) as running:
        assert running.key == handed_over(running) == fresh
        assert running.get("/v1/agents").status_code == 200


def test_a_key_of_somebody_else_is_revoked_without_another(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running, browser(running) as client:
        before = running.key
        made = client.post("/v1/api-keys", json={"key_type": "live", "label": "laptop"}).json()
        assert client.delete(f"/v1/api-keys/{made['key_id']}").status_code == 204
        assert handed_over(running) == running.key == before
        assert len(keys(client)) == 2


def test_it_is_renewed_when_another_board_of_the_database_revokes_it(
    postgres_server: str, tmp_path: Path
) -> None:
    url = new_database(postgres_server)
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with (
        board(tmp_path / "one", "--port", 0, "--database", url) as one,
        board(tmp_path / "other", "--port", 0, "--database", url) as other,
        browser(other) as client,
    ):
        before, untouched = one.key, other.key
        (known,) = [key for key in keys(client) if not key["is_own"]]
        assert client.delete(f"/v1/api-keys/{known['key_id']}").status_code == 204
        eventually(lambda: handed_over(one) != before, 20)
        eventually(lambda: one.get("/v1/agents").status_code == 200)
        assert handed_over(other) == other.key == untouched


def test_an_offer_that_does_not_stand_changes_nothing(folder: Path) -> None:
    other = "hb_live_" + "1" * 32
    with Offer(HERE, KEY) as first, Offer("http://127.0.0.1:8788", KEY) as second:
        second.change(other)
        found = _handover.find()
        assert found is not None
        assert (found.endpoint, found.api_key) == (HERE, KEY)
        first.change(other)
        found = _handover.find()
        assert found is not None
        assert (found.endpoint, found.api_key) == (HERE, other)


def test_when_no_other_can_be_stored_none_is_handed_over_and_the_next_try_makes_one(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "board.db")
    try:
        keyring = Keyring(store)
        key_id, key, done = keyring.add(KeyKind.LIVE, "first key")
        done.result(10)
        kept = list[str]()
        own = OwnKey(keyring, key, kept.append)
        own.renew()
        assert (own.shown, kept) == (key, [])
        keyring.revoke(key_id).result(10)
        keyring.forget()
        store.manage(NO_MORE_KEYS).result(10)
        with pytest.raises(StoreError, match="no more"):
            own.renew()
        assert (own.shown, kept) == (None, [])
        store.manage("DROP TRIGGER no_more").result(10)
        own.renew()
        assert kept == [own.shown]
        assert len(keyring.shown()) == 2
    finally:
        store.close()
