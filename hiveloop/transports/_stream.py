"""Write to a stream that belongs to somebody else, such as standard output.

The application prints there too, may replace it, and its reader may go away at any moment
(``agent | head``). So: whole batches in one write, nothing of ours left in the stream's own buffer,
nothing written twice when a write is tried again, and quiet when nobody listens any more.
"""

from __future__ import annotations

import errno
import io
import logging
import sys
from dataclasses import dataclass
from typing import TextIO

from hiveloop.transport import Batch, Delivered, Outcome

__all__ = ["Pending", "StreamWriter"]

_log = logging.getLogger("hiveloop")

# What a pipe without a reader, a terminal that was hung up and a closed descriptor say. EINVAL is
# how Windows reports a broken pipe.
_GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.EINVAL}


@dataclass(slots=True)
class Pending:
    """A batch as text, and how many bytes of it are out already."""

    text: str
    event_ids: tuple[str, ...]
    sent: int = 0

    @classmethod
    def of(cls, batch: Batch, text: str) -> Pending:
        """Return `text` as what is to be written for `batch`."""
        return cls(text, tuple(event.event_id for event in batch.events))


class StreamWriter:
    """Writes pending batches to a text stream, by default to whatever ``sys.stdout`` is at that time.

    When the stream is closed or has lost its reader, nobody can ever read these events there: they
    are reported as rejected, so that the statistics stay honest, no try is repeated, and
    ``hiveloop.flush`` does not wait for them. One warning is logged per stream.
    """

    def __init__(self, stream: TextIO | None, name: str, encoding: str | None = None) -> None:
        """Remember where to write.

        Args:
            stream: the stream, or None for ``sys.stdout``.
            name: name of the transport, for the log.
            encoding: encoding of what is written, or None for the stream's own.
        """
        self._stream = stream
        self._name = name
        self._encoding = encoding
        self._dead: object = None

    def current(self) -> TextIO | None:
        """Return the stream in use now; None when the process has no standard output."""
        return self._stream if self._stream is not None else sys.stdout

    def write(self, pending: Pending) -> Outcome:
        """Write what is not out yet, and flush it.

        Raises:
            OSError: the stream cannot take it now, but may later.
        """
        stream = self.current()
        if stream is None or stream is self._dead:
            return Delivered(rejected=pending.event_ids)
        try:
            self._put(stream, pending)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _GONE:
                raise
            self._give_up(stream, error)
            return Delivered(rejected=pending.event_ids)
        return Delivered()

    def _put(self, stream: TextIO, pending: Pending) -> None:
        stream.flush()
        own = stream.encoding or "utf-8"
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)  # there is no buffer under ``python -u``
        if isinstance(raw, io.RawIOBase):
            _write_raw(raw, pending.text.encode(self._encoding or own, "replace"), pending)
        else:
            stream.write(pending.text.encode(own, "replace").decode(own))
            stream.flush()

    def _give_up(self, stream: TextIO, error: Exception) -> None:
        self._dead = stream
        _log.warning(
            "hiveloop: %s: the output stream is gone, nothing more is written: %s", self._name, error
        )


def _write_raw(raw: io.RawIOBase, data: bytes, pending: Pending) -> None:
    """Write past the buffer: bytes left there by a broken pipe would fail again when Python exits."""
    while pending.sent < len(data):
        written = raw.write(data[pending.sent :])
        if not written:
            raise BlockingIOError(errno.EAGAIN, "the stream takes nothing now")
        pending.sent += written
