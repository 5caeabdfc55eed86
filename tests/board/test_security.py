"""Names, origins, sessions and limits: who may ask a board, and how often."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hiveloop.board.folder import DataFolder
from hiveloop.board.keys import Access, KeyKind, hash_of, kind_of_key, new_key, prefix_of
from hiveloop.board.security import Hosts, Limits, RateLimits, Sessions, is_foreign, public_origin


class Clock:
    """Time that a test moves."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8787", True),
        ("127.3.2.1", True),
        ("localhost:8787", True),
        ("LOCALHOST", True),
        ("[::1]:8787", True),
        ("[::1]", True),
        ("board.example.com", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("192.168.1.4:8787", False),
        ("[::1", False),
        ("[::1]x", False),
        ("127.0.0.1:port", False),
        ("", False),
        (":8787", False),
    ],
)
def test_a_local_board_answers_under_local_names_only(host: str, known: bool) -> None:
    assert Hosts().knows(host) is known


def test_more_names_and_addresses_when_others_may_ask() -> None:
    assert Hosts(["Board.example.com"]).knows("board.example.com:443")
    assert not Hosts(["board.example.com"]).knows("192.168.1.4")
    remote = Hosts(remote=True)
    assert remote.knows("192.168.1.4:8787")
    assert not remote.knows("evil.example.com")


@pytest.mark.parametrize(
    ("origin", "host", "foreign"),
    [
        (None, "127.0.0.1:8787", False),
        ("http://127.0.0.1:8787", "127.0.0.1:8787", False),
        ("https://board.example.com", "board.example.com", False),
        ("http://localhost:80", "localhost", False),
        ("http://localhost:8787", "127.0.0.1:8787", True),
        ("http://127.0.0.1:9000", "127.0.0.1:8787", True),
        ("https://evil.example.com", "127.0.0.1:8787", True),
        ("null", "127.0.0.1:8787", True),
        ("file://", "127.0.0.1:8787", True),
        ("", "127.0.0.1:8787", True),
    ],
)
def test_pages_of_other_sites_are_told_apart(origin: str | None, host: str, foreign: bool) -> None:
    assert is_foreign(origin, host) is foreign


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Board.example.com", "https://board.example.com"),
        ("https://board.example.com:443/", "https://board.example.com"),
        ("http://board.example.com:80", "http://board.example.com"),
        ("http://board.example.com:443", "http://board.example.com:443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://board.example.com/x", None),
        ("https://board.example.com?x", None),
        ("https://user@board.example.com", None),
        ("https://board.example.com:port", None),
        ("file://board.example.com", None),
        ("https://", None),
        ("null", None),
        ("", None),
    ],
)
def test_a_public_address_is_an_origin(url: str, origin: str | None) -> None:
    assert public_origin(url) == origin


def test_pages_at_the_public_address_are_its_own_whatever_host_the_proxy_puts() -> None:
    hosts = Hosts(origin="https://board.example.com")
    assert hosts.knows("board.example.com:443")
    assert not hosts.is_foreign("https://board.example.com:443", "127.0.0.1:8787")
    assert hosts.is_foreign("http://board.example.com", "127.0.0.1:8787")
    assert hosts.is_foreign("https://board.example.com:8443", "127.0.0.1:8787")
    assert not hosts.is_foreign("http://127.0.0.1:8787", "127.0.0.1:8787")
    assert not hosts.is_foreign(None, "127.0.0.1:8787")


# -- sessions -------------------------------------------------------------------------------------


def test_a_link_opens_one_session() -> None:
    sessions = Sessions(b"secret", Clock())
    token = sessions.new_link_token()
    cookie = sessions.open(token)
    assert cookie is not None
    assert sessions.knows(cookie)
    assert sessions.open(token) is None


def test_a_link_of_another_process_with_the_same_secret_works() -> None:
    clock = Clock()
    sessions = Sessions(b"secret", clock)
    clock.now += 100
    assert sessions.open(Sessions(b"secret", clock).new_link_token()) is not None
    assert sessions.open(Sessions(b"other", clock).new_link_token()) is None


def test_a_link_ends_after_a_quarter_of_an_hour_and_with_the_board() -> None:
    clock = Clock()
    sessions = Sessions(b"secret", clock)
    token = sessions.new_link_token()
    clock.now += 16 * 60
    assert sessions.open(token) is None
    fresh = sessions.new_link_token()
    clock.now += 60
    assert Sessions(b"secret", clock).open(fresh) is None


def test_a_cookie_outlives_a_restart_and_ends_after_a_month() -> None:
    clock = Clock()
    sessions = Sessions(b"secret", clock)
    cookie = sessions.open(sessions.new_link_token())
    assert cookie is not None
    clock.now += 29 * 86_400
    assert Sessions(b"secret", clock).knows(cookie)
    clock.now += 2 * 86_400
    assert not Sessions(b"secret", clock).knows(cookie)


@pytest.mark.parametrize("forged", ["", ".", "1790000000.x.y", "9e99.a.b", "é", "a" * 10_000])
def test_forged_texts_are_neither_links_nor_cookies(forged: str) -> None:
    sessions = Sessions(b"secret", Clock())
    assert sessions.open(forged) is None
    assert not sessions.knows(forged)


def test_a_link_is_no_cookie_and_a_cookie_no_link() -> None:
    sessions = Sessions(b"secret", Clock())
    token = sessions.new_link_token()
    assert not sessions.knows(token)
    cookie = sessions.open(token)
    assert cookie is not None
    assert sessions.open(cookie) is None


# -- limits ---------------------------------------------------------------------------------------


def test_requests_beyond_the_limit_wait_for_their_turn() -> None:
    clock = Clock()
    rates = RateLimits(Limits(ingest=2, query=2), clock)
    assert [rates.take("ingest", "a").passes for _ in range(3)] == [True, True, False]
    refused = rates.take("ingest", "a")
    assert refused.headers()["Retry-After"] == "1"
    assert 0 < refused.wait <= 0.5
    clock.now += refused.wait
    assert rates.take("ingest", "a").passes


def test_keys_and_purposes_have_buckets_of_their_own() -> None:
    rates = RateLimits(Limits(ingest=1, query=1), Clock())
    assert rates.take("ingest", "a").passes
    assert not rates.take("ingest", "a").passes
    assert rates.take("query", "a").passes
    assert rates.take("ingest", "b").passes


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KeyKind))
def test_keys_have_the_shape_of_the_ingest_api(kind: KeyKind) -> None:
    key = new_key(kind)
    assert key.startswith(f"hb_{kind}_")
    assert len(key) == 40
    assert kind_of_key(key) is kind
    assert key not in hash_of(key)
    assert key.startswith(prefix_of(key))
    assert len(prefix_of(key)) < 16


@pytest.mark.parametrize(
    "text", ["", "hb_live_", "hb_admin_" + "0" * 32, "hb_live_" + "0" * 33, "hb_live_" + "G" * 32]
)
def test_other_texts_are_no_keys(text: str) -> None:
    assert kind_of_key(text) is None


def test_what_keys_may_do() -> None:
    live, test, read = (Access.of_key(kind, "x") for kind in (KeyKind.LIVE, KeyKind.TEST, KeyKind.READ))
    assert [a.world for a in (live, test, read)] == ["live", "test", "live"]
    assert [a.may_ingest for a in (live, test, read)] == [True, True, False]
    assert not any(a.may_manage for a in (live, test, read))
    assert Access.of_browser("s", "live").may_manage


def test_boards_behind_one_address_share_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = DataFolder(tmp_path / "one"), DataFolder(tmp_path / "other")
    assert one.secret() != other.secret()
    monkeypatch.setenv("HIVELOOP_BOARD_SECRET", "s" * 32)
    assert one.secret() == other.secret()
    monkeypatch.setenv("HIVELOOP_BOARD_SECRET", "short")
    with pytest.raises(OSError, match="less than 32"):
        one.secret()


def test_what_a_board_keeps_is_its_users_alone(tmp_path: Path) -> None:
    """Whatever the umask of the program is."""
    before = os.umask(0)
    try:
        folder = DataFolder(tmp_path / "data")
        folder.secret()
        folder.key()
        folder.take()
    finally:
        os.umask(before)
    folder.release()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.path.iterdir()}
    assert modes == dict.fromkeys(("key", "lock", "secret"), 0o600)
