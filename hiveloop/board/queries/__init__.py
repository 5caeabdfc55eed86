"""What the board answers: one module for each family of endpoints.

Every query takes a reader of the store, the world (``live`` or ``test``) and the request's `Params`, and
returns a dict ready for JSON. It raises `BadParameterError` for a parameter it cannot answer and
`NotFoundError` for something that is not there; nothing that was ingested makes it fail.
"""

from __future__ import annotations

from .params import BadParameterError, NotFoundError, Params

__all__ = ["BadParameterError", "NotFoundError", "Params"]
