"""Show the values of parameters' defaults in the reference, not the names of the constants that hold them."""

from __future__ import annotations

import importlib
from typing import Any

import griffe


class DefaultValues(griffe.Extension):
    """Replaces a default such as ``FLUSH_SECONDS`` by ``10.0``."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Look at each parameter once the function is known."""
        for parameter in func.parameters:
            if isinstance(parameter.default, griffe.ExprName):
                parameter.default = _value(func, parameter.default.name)


def _value(function: griffe.Function, name: str) -> str:
    """Return what a constant of the function's module is worth, as Python writes it."""
    value = getattr(importlib.import_module(function.module.path), name)
    plain = next((kind for kind in (bool, str, float) if isinstance(value, kind)), None)
    return name if plain is None else repr(plain(value))
