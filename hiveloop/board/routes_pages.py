"""What a browser loads: the built pages, the one-time link, and plain pages where those are missing."""

from __future__ import annotations

import gzip
import hashlib
import html
import mimetypes
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from hiveloop._version import __version__

from .routes import Board, Failure, json_response, now_us, stored
from .security import COOKIE, SESSION_SECONDS

__all__ = ["LINK_PATH", "routes"]

LINK_PATH = "/open"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_WITH_HASH = re.compile(r"-[0-9a-fA-F]{8,}\.")
_SMALL = 1_024
_USE = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".woff2": "font/woff2",
}


async def _health(_: Request) -> Response:
    return json_response({"status": "ok", "version": __version__})


# -- the one-time link ------------------------------------------------------------------------


async def _open(request: Request) -> Response:
    """Turn a one-time link into a cookie."""
    board: Board = request.app.state.board
    token = request.query_params.get("token", "")
    cookie = board.sessions.open(token)
    if cookie is None or not await _is_first_use(board, token):
        if board.sessions.knows(request.cookies.get(COOKIE, "")):
            return RedirectResponse("/", 303)
        return _page("This link was used before, or is too old", _HOW_TO_SIGN_IN, 403)
    # A page that goes on by itself instead of a redirect: after a redirect from another site's link, browsers
    # would not send a strict cookie.
    response = _page("Opening the board", "<p><a href='/'>Go on</a></p>", refresh=True)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure="https" in (request.url.scheme, urlsplit(board.settings.endpoint).scheme),
        path="/",
    )
    return response


async def _is_first_use(board: Board, token: str) -> bool:
    """Tell whether no other board of the database has taken a link, which one of them alone cannot know."""
    name = f"link:{hashlib.sha256(token.encode()).hexdigest()}"
    try:
        added = await stored(board.store.manage(_USE, (name, str(now_us()))))
    except Failure:
        return True  # a full disk must not lock out who could make room
    return added > 0


_HOW_TO_SIGN_IN = """
<p>A browser opens the board by a one-time link. Print a new one on the machine where the board runs:</p>
<pre>hiveloop board link</pre>
"""
_HOW_TO_BUILD = """
<p>The server runs and takes what agents report; only its web pages were not built into this installation.</p>
<p>They are built when the package is, which needs Node.js or a connection to a package registry. Install it
again with one of the two:</p>
<pre>pip install --force-reinstall --no-deps "hiveloop[board]"</pre>
<p>or build them in a checkout of the sources:</p>
<pre>cd hiveloop/board/web
npm ci
npm run build</pre>
<p>The same data is at <a href="/v1/agents">/v1/agents</a> and the other addresses of the API, and
<code>hiveloop tail</code> shows it in the terminal.</p>
"""


def _page(title: str, body: str, status: int = 200, *, refresh: bool = False) -> HTMLResponse:
    go_on = '<meta http-equiv="refresh" content="0;url=/">' if refresh else ""
    content = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">{go_on}'
        f"<title>{html.escape(title)} · HiveBoard</title>"
        f"</head><body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(content, status, {"Cache-Control": "no-store"})


# -- the pages --------------------------------------------------------------------------------


async def _index(request: Request) -> Response:
    """Every page is the same document, which reads its own address."""
    board: Board = request.app.state.board
    if request.url.path.startswith("/v1/"):
        return json_response({"error": "not_found", "message": "no such address", "status": 404}, 404)
    if not board.sessions.knows(request.cookies.get(COOKIE, "")):
        return _page("This browser has not opened the board yet", _HOW_TO_SIGN_IN, 401)
    index = board.settings.static / "index.html"
    if not index.is_file():
        return _page("The pages are missing", _HOW_TO_BUILD, 503)
    return _file(request, index, "no-cache")


async def _asset(request: Request) -> Response:
    board: Board = request.app.state.board
    name = request.path_params["name"]
    path = board.settings.static / "assets" / name
    if not _NAME.fullmatch(name) or not path.is_file():
        return PlainTextResponse("no such file", 404)
    return _file(
        request, path, "public, max-age=31536000, immutable" if _WITH_HASH.search(name) else "no-cache"
    )


def _file(request: Request, path: Path, cache: str) -> Response:
    plain, packed = _content(str(path), path.stat().st_mtime_ns)
    headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, 200, {**headers, "Content-Encoding": "gzip"}, kind)
    return Response(plain, 200, headers, kind)


@lru_cache(maxsize=64)
def _content(path: str, _changed: int) -> tuple[bytes, bytes | None]:
    """A file as it is, and compressed where that is smaller."""
    plain = Path(path).read_bytes()
    packed = gzip.compress(plain, 9, mtime=0) if len(plain) > _SMALL else plain
    return plain, packed if len(packed) < len(plain) else None


routes = [
    Route("/health", _health),
    Route(LINK_PATH, _open, methods=["GET"]),
    Route("/assets/{name}", _asset),
    Route("/{path:path}", _index),
]
