"""A browser at a board behind a reverse proxy with TLS that puts its own name in the place of the board's."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, WebSocket, expect

from hiveloop.board.routes import STATIC
from hiveloop.board.security import Hosts
from tests.board.boards import event, running_board
from tests.support.proxy import TlsProxy
from tests.support.server import TlsAuthority


def test_it_signs_in_sees_what_happens_live_and_may_manage(chromium: Browser, tmp_path: Path) -> None:
    with TlsProxy(TlsAuthority().server_context(), passes_host=False) as proxy:
        settings = {"static": STATIC, "endpoint": proxy.url, "hosts": Hosts(origin=proxy.url)}
        context = chromium.new_context(ignore_https_errors=True)
        with running_board(tmp_path, **settings) as board:
            proxy.target = int(board.endpoint.rpartition(":")[2])
            page = context.new_page()
            sockets = list[WebSocket]()
            page.on("websocket", lambda socket: sockets.append(socket))
            page.goto(board.link().replace(board.endpoint, proxy.url))
            page.wait_for_url(f"{proxy.url}/")
            (cookie,) = context.cookies()
            assert (cookie.get("secure"), cookie.get("httpOnly")) == (True, True)
            assert cookie.get("sameSite") == "Strict"
            expect(page.get_by_text(proxy.url).first).to_be_visible()  # the lines for agents name it
            expect(page.get_by_role("status", name="Connection: Live")).to_be_visible()
            board.send(event("task_started", 0, task_id="job-7"), agent="far")
            expect(page.get_by_text("job-7").first).to_be_visible()
            made = page.evaluate("fetch('/v1/api-keys', {method: 'POST'}).then(answer => answer.status)")
            assert made == 201
            assert [socket.url for socket in sockets] == [f"{proxy.url.replace('http', 'ws', 1)}/v1/stream"]
            assert not sockets[0].is_closed()
        context.close()
