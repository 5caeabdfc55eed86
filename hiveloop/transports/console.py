"""A readable live tree of what agents do, for a terminal or a log file.

14:03:07 sales  ┌ task lead-42  crm · enrichment
14:03:07 sales  │ ◆ reason  claude-sonnet-4  1200 in / 350 out  $0.008  1.2s
14:03:08 sales  │ ✓ search_crm  340ms  (query=acme) → 3 contacts
14:03:08 sales  └ ✓ task lead-42  1.6s  1 LLM call  1200 in / 350 out  $0.008
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO, cast

from hiveloop.errors import HiveLoopConfigError
from hiveloop.transport import Batch, BatchLimits, Outcome, Transport

from ._spans import fitted
from ._story import Line, Story
from ._stream import Pending, StreamWriter
from ._symbols import ASCII, UNICODE, Symbols, symbols_for
from ._text import cells, clean, shorten

__all__ = ["ConsoleTransport"]

_MIN_WIDTH = 40
_WIDTH_OF_FILES = 120
_AGENT_CELLS = (6, 20)
_MAX_AGENTS = 10_000

_STYLES = {"dim": "bright_black", "tag": "bright_black", "name": "bold", "ok": "green", "fail": "bold red"}
_FEW_COLORS = _STYLES | {"warn": "yellow", "llm": "magenta", "plan": "cyan", "cost": "yellow"}
# Of the 256, those that keep their contrast on dark and on light backgrounds.
_MANY_COLORS = _STYLES | {
    "warn": "color(172)",
    "llm": "color(133)",
    "plan": "color(37)",
    "cost": "color(136)",
}
_HUES = ("cyan", "magenta", "blue", "green", "yellow")
_AGENTS_FEW = (*_HUES, *(f"bright_{hue}" for hue in _HUES))
_AGENTS_MANY = tuple(f"color({number})" for number in (33, 37, 133, 136, 71, 168, 99, 67, 173, 30))

_Paint = Callable[[str, str], str]


class ConsoleTransport(Transport):
    """Prints tasks, actions, model calls, plans, retries, approvals and issues as they happen.

    It writes to standard output, because what the agent does is what somebody who asks for this
    transport wants to see, page, and save (``agent.py | less``); standard error stays with
    warnings and tracebacks. A program whose own output is data passes ``stream=sys.stderr``.

    Lines are only ever appended, so the same output works in a terminal, a log file and a CI job.
    Nothing that an agent says can act on the terminal: control characters are shown, not sent.
    Colour needs the package ``rich`` (``pip install "hiveloop[console]"``); text and layout are the
    same without it. Times are local.

    When the stream is closed or its reader goes away, the transport warns once and reports the
    events as rejected: they are counted as dropped and nothing is tried again.
    """

    name = "console"
    limits = BatchLimits(max_events=200, max_delay=0.1)

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        color: bool | None = None,
        width: int | None = None,
        ascii_only: bool | None = None,
        show_heartbeats: bool = False,
    ) -> None:
        """Choose where and how to print.

        Args:
            stream: text stream to write to, never closed here; None for ``sys.stdout`` as it is at
                the time of each write.
            color: True or False to decide; None for colour on a terminal, unless ``NO_COLOR`` is
                set, and wherever ``FORCE_COLOR`` is.
            width: cells per line, at least 40; None for the terminal's width, or 120 elsewhere
                (``COLUMNS`` changes both).
            ascii_only: draw with ASCII marks only; None to do so when the stream's encoding asks for it.
            show_heartbeats: print every heartbeat. Without it, only a heartbeat that shows an agent
                without progress for longer than its ``stuck_threshold`` is worth a line.

        Raises:
            HiveLoopConfigError: `width` is too small, `stream` cannot be written to, or ``color=True``
                without ``rich``.
        """
        _check(stream, color, width)
        self._out = StreamWriter(stream, self.name)
        self._color = color
        self._width = width
        self._ascii_only = ascii_only
        self._show_heartbeats = show_heartbeats
        self._pid = os.getpid()
        self._story: Story | None = None
        self._paint: tuple[object, _Paint] | None = None
        self._agents: dict[str, int] = {}
        self._agent_cells = _AGENT_CELLS[0]

    def prepare(self, batch: Batch) -> Pending:
        """Turn a batch into lines of text. Runs on the delivery thread."""
        stream = self._out.current()
        story = self._current_story(stream)
        paint = self._painter(stream)
        width = self._width or _width_of(stream)
        lines = story.tell(batch.events)
        for line in lines:
            self._meet(line.agent_id, width)
        text = "".join(self._render(line, width, paint, story.symbols) + "\n" for line in lines)
        return Pending.of(batch, text)

    def send(self, prepared: object, timeout: float) -> Outcome:
        """Write the lines in one go. See the class for a stream that is closed.

        Raises:
            OSError: the stream cannot take more now; what is out is not written again.
        """
        return self._out.write(cast("Pending", prepared))

    # -- what is remembered ----------------------------------------------------------------

    def _current_story(self, stream: TextIO | None) -> Story:
        if self._pid != os.getpid():  # what was open in the parent never ends in a forked child
            self._pid, self._story = os.getpid(), None
        if self._story is None:
            self._story = Story(self._symbols(stream), show_heartbeats=self._show_heartbeats)
        return self._story

    def _symbols(self, stream: TextIO | None) -> Symbols:
        if self._ascii_only is not None:
            return ASCII if self._ascii_only else UNICODE
        return symbols_for(getattr(stream, "encoding", None))

    def _painter(self, stream: TextIO | None) -> _Paint:
        if self._paint is None or self._paint[0] is not stream:
            self._paint = (stream, _painter(stream) if _wants_color(self._color, stream) else _plain)
        return self._paint[1]

    def _meet(self, agent_id: str, width: int) -> None:
        """Give an agent a colour of its own while there are any, and its column the room it needs."""
        if agent_id in self._agents:
            return
        if len(self._agents) >= _MAX_AGENTS:
            self._agents.pop(next(iter(self._agents)))
        # Starting from a checksum keeps an agent's colour from one run to the next, mostly.
        wanted, taken = zlib.crc32(agent_id.encode("utf-8", "replace")), set(self._agents.values())
        slots = [(wanted + i) % len(_AGENTS_MANY) for i in range(len(_AGENTS_MANY))]
        self._agents[agent_id] = next((slot for slot in slots if slot not in taken), slots[0])
        most = min(_AGENT_CELLS[1], width // 4)
        self._agent_cells = min(most, max(self._agent_cells, cells(clean(agent_id))))

    # -- one line --------------------------------------------------------------------------

    def _render(self, line: Line, width: int, paint: _Paint, marks: Symbols) -> str:
        color = f"agent {self._agents.get(line.agent_id, 0)}"
        agent = shorten(clean(line.agent_id), self._agent_cells, marks.ellipsis)
        agent += " " * (self._agent_cells - cells(agent) + 1)
        clock = time.strftime("%H:%M:%S ", time.localtime(line.time_ns // 1_000_000_000))
        room = width - len(clock) - cells(agent)
        spans = fitted(line.spans, room, marks.ellipsis)
        body = "".join(paint(span.text, color if span.style == "guide" else span.style) for span in spans)
        return paint(clock, "dim") + paint(agent, color) + body


def _width_of(stream: TextIO | None) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal():
        return max(_MIN_WIDTH, int(columns))
    if stream is not None and _is_terminal(stream):
        with suppress(OSError, ValueError):
            return max(_MIN_WIDTH, os.get_terminal_size(stream.fileno()).columns)
    return _WIDTH_OF_FILES


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


# -- colour -------------------------------------------------------------------------------------


def _wants_color(color: bool | None, stream: TextIO | None) -> bool:
    if color is not None:
        return color
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _plain(text: str, style: str) -> str:  # noqa: ARG001 - a painter like any other
    return text


def _painter(stream: TextIO | None) -> _Paint:
    """Return a function that colours text with ``rich``; plain text without it."""
    try:
        from rich.color import ColorSystem
        from rich.console import Console
        from rich.style import Style
    except ImportError:
        return _plain
    found = Console(file=stream, force_terminal=True).color_system
    if found == "windows":  # a console without escape sequences
        return _plain
    many = found in ("256", "truecolor")
    system = ColorSystem.EIGHT_BIT if many else ColorSystem.STANDARD
    agents = enumerate(_AGENTS_MANY if many else _AGENTS_FEW)
    wanted = (_MANY_COLORS if many else _FEW_COLORS) | {f"agent {slot}": color for slot, color in agents}
    parsed = {name: Style.parse(definition) for name, definition in wanted.items()}
    # Copies, since rich remembers the codes of a style in the object that all its users share.
    styles = {name: Style(color=style.color, bold=style.bold) for name, style in parsed.items()}

    def paint(text: str, style: str) -> str:
        return styles[style].render(text, color_system=system) if style in styles else text

    return paint


def _check(stream: TextIO | None, color: bool | None, width: int | None) -> None:
    if width is not None and width < _MIN_WIDTH:
        raise HiveLoopConfigError(f"width={width!r} is too small: give at least {_MIN_WIDTH}, or None")
    if stream is not None and not hasattr(stream, "write"):
        raise HiveLoopConfigError(f"stream={stream!r} cannot be written to: give a stream such as sys.stderr")
    if color and find_spec("rich") is None:
        raise HiveLoopConfigError('color=True needs the package rich: pip install "hiveloop[console]"')


if TYPE_CHECKING:
    _: type[Transport] = ConsoleTransport
