"""The local HiveBoard: a server with a web page for what agents report, in one command.

    pip install "hiveloop[board]"
    hiveloop board

It speaks the wire format of every HiveLoop SDK and takes OTLP traces too. Nothing else of the package
imports it, and importing it needs nothing but the standard library; its modules need the ``board`` extra.
"""

from __future__ import annotations

__all__: list[str] = []
