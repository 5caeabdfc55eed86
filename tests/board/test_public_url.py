"""A board behind a reverse proxy with TLS: links, names, cookies, sockets, and what its programs are told."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from hiveloop.cli import main
from tests.support.proxy import TlsProxy
from tests.support.server import TlsAuthority

from .test_cli_board import REPORT, Running, board, command

PUBLIC = "https://board.example.com"


@pytest.fixture(scope="module")
def authority() -> TlsAuthority:
    return TlsAuthority()


@contextmanager
def behind(authority: TlsAuthority, home: Path, *, passes_host: bool) -> Iterator[tuple[TlsProxy, Running]]:
    """Run a board, and a proxy before it whose address it knows."""
    proxy = TlsProxy(authority.server_context(), passes_host=passes_host)
    with proxy, board(home, "--port", 0, "--public-url", f"{proxy.url}/") as running:
        proxy.target = int(running.endpoint.rpartition(":")[2])
        yield proxy, running


def trusting(authority: TlsAuthority, folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.write_certificate(folder / "ca.pem")))


@pytest.mark.parametrize("passes_host", [True, False])
def test_browsers_use_the_public_address(authority: TlsAuthority, tmp_path: Path, passes_host: bool) -> None:
    trust = trusting(authority, tmp_path)
    with behind(authority, tmp_path, passes_host=passes_host) as (proxy, running):
        link = command(running, "board", "link").strip()
        assert link.startswith(f"{proxy.url}/open?token=")
        assert f"once: {proxy.url}/open?token=" in running.said
        with httpx.Client(base_url=proxy.url, verify=trust) as browser:
            opened = browser.get(link)
            assert opened.status_code == 200
            assert "Secure" in opened.headers["Set-Cookie"]
            assert browser.get("/v1/board").json()["endpoint"] == proxy.url
            own, foreign = {"Origin": proxy.url}, {"Origin": "https://evil.example.com"}
            assert browser.post("/v1/api-keys", json={}, headers=own).status_code == 201
            assert browser.post("/v1/api-keys", json={}, headers=foreign).status_code == 403
            cookie = browser.cookies["hiveboard_session"]
        address = proxy.url.replace("https", "wss", 1) + "/v1/stream"
        headers = {"Cookie": f"hiveboard_session={cookie}"}
        with connect(address, ssl=trust, origin=proxy.url, additional_headers=headers) as stream:  # type: ignore[arg-type]
            stream.send('{"action": "subscribe"}')
            assert json.loads(stream.recv(5))["type"] == "subscribed"


def test_programs_of_this_machine_report_to_it_directly(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text(REPORT)
    with board(tmp_path, "--port", 0, "--public-url", PUBLIC) as running:
        assert f'endpoint="{PUBLIC}")' in running.said
        left = json.loads((tmp_path / "run" / "board.json").read_text())
        assert (left["endpoint"], left["public_url"]) == (running.endpoint, PUBLIC)
        done = subprocess.run(
            [sys.executable, script], env=running.environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == running.endpoint
        assert f"{running.endpoint} (in browsers {PUBLIC})" in done.stderr
        assert running.get("/v1/tasks").json()["data"][0]["task_id"] == "job-1"


def test_it_answers_under_its_public_name_and_no_other(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0, "--public-url", PUBLIC) as running:
        for host, status in (
            ("board.example.com", 200),
            ("board.example.com:443", 200),
            ("evil.example.com", 403),
        ):
            assert httpx.get(f"{running.endpoint}/health", headers={"Host": host}).status_code == status
        said = command(running, "board", "--no-browser", code=1)
        assert f"{PUBLIC}/open?token=" in said
        assert command(running, "board", "link", "--public-url", "http://other:81").startswith(
            "http://other:81/"
        )


def test_the_environment_names_it_too(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        assert command(running, "board", "link").startswith(running.endpoint)
        running.environment["HIVELOOP_BOARD_PUBLIC_URL"] = PUBLIC
        assert command(running, "board", "link").startswith(f"{PUBLIC}/open?token=")


@pytest.mark.parametrize(
    "url",
    [
        "board.example.com",
        "ftp://board.example.com",
        "https://",
        "https://x:port",
        "https://example.com/board",
        "https://me:secret@example.com",
    ],
)
def test_what_is_no_address_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", "--no-browser", "--public-url", url]) == 2
    assert "give https://NAME, without a path" in capsys.readouterr().err
