"""Take user data as it is now, in bounded time, so that nothing done to it later can show.

A frozen value is an atom (None, bool, int, float), a str, or `bytes`: the marshalled form of a
JSON-like tree. Marshal is the cheapest deep copy in the standard library (0.3 us for a small dict),
and its bytes are compact and immune to later mutation. Format 2 is half the price of the later ones,
which look for objects that come twice. Marshal knows no limits, so a bounded look at the data comes
first; whatever is large, deep or unusual is rebuilt piece by piece within a budget of nodes and
characters. No `__repr__`, `__str__` or iterator of the user's runs here: one that takes seconds would
take them from the agent.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable
from itertools import islice
from types import NoneType
from typing import Any

from ._guard import attempt
from ._shape import is_a, is_dict, kind_of

__all__ = [
    "MAX_TEXT",
    "TRUNCATED",
    "describe",
    "freeze",
    "freeze_args",
    "freeze_mapping",
    "freeze_text",
    "thaw",
    "type_name",
]

MAX_DEPTH = 8
MAX_NODES = 2_000
MAX_TEXT = 16_384
"""Longest single string kept, in characters."""
MAX_TEXT_TOTAL = 49_152
"""Characters kept of one value: above the 32 KB payload limit, which is applied once encoded."""
MAX_KEY = 256
MAX_BITS = 512
"""Longest integer kept as a number."""

_FORMAT = 2
"""Of marshal: the last without references."""
CUT = "…"
TRUNCATED = "_truncated"
"""Key that says what was cut."""

# Their own methods are called on instances of subclasses, whose overrides are user code.
_DICT: Any = dict
_SEQUENCES: tuple[Any, ...] = (list, tuple, set, frozenset)

_CONTAINERS = frozenset((dict, list, tuple))
_ATOMS = frozenset((NoneType, bool, int, float))
_SHORT_TEXT = 2_048
_QUICK_NODES = 100
_QUICK_DEPTH = 5
_TOO_MUCH = -1

# Standard types with one obvious text, by the name of the class that defines it, so that none of
# their modules need be imported. The method of that very class is called: an override in a subclass
# is user code.
_TEXT_METHODS = {
    ("datetime", "datetime"): "isoformat",
    ("datetime", "date"): "isoformat",
    ("datetime", "time"): "isoformat",
    ("datetime", "timedelta"): "total_seconds",
    ("decimal", "Decimal"): "__str__",
    ("uuid", "UUID"): "__str__",
    ("pathlib", "PurePath"): "__str__",
    ("pathlib._local", "PurePath"): "__str__",
}


def freeze_args(*args: object) -> tuple[Any, ...]:
    """Freeze the arguments of a sensor; ordinary ones (numbers, short strings) stay as they are."""
    for value in args:
        if value is None:
            continue
        if type(value) is str:
            if len(value) <= _SHORT_TEXT:
                continue
        elif type(value) in _ATOMS:
            continue
        return tuple(map(freeze, args))
    return args


def freeze(value: object) -> Any:
    """Freeze any object, in bounded time: an atom, a str, or bytes for `thaw`."""
    if type(value) in _ATOMS or (type(value) is str and len(value) <= MAX_TEXT):
        return value
    if type(value) in _CONTAINERS:
        return _freeze_tree(value)
    copy = _Copier().copy(value, MAX_DEPTH)
    return copy if type(copy) in _ATOMS or type(copy) is str else marshal.dumps(copy, _FORMAT)


def freeze_mapping(payload: object) -> bytes | None:
    """Freeze a payload, which must be a mapping.

    Anything else is kept under the key "value", so that a mistake is seen on the dashboard instead
    of being lost. None and an empty mapping freeze to None.
    """
    value: Any = payload
    if type(value) is dict:
        return _freeze_tree(value) if value else None
    if value is None:
        return None
    if is_a(kind_of(value), dict):
        return _copied_tree(value)
    return _freeze_tree({"value": value})


def freeze_text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return text for a value that should be a str; other types are described or converted."""
    if type(value) is str and len(value) <= limit:
        return value
    copy = _Copier().copy(value, MAX_DEPTH)
    return (copy if type(copy) is str else str(copy))[:limit]


def thaw(frozen: Any) -> Any:
    """Return a fresh tree of the frozen value; runs on a delivery thread."""
    return marshal.loads(frozen) if type(frozen) is bytes else frozen  # noqa: S302 - our own bytes


def type_name(value: object) -> str:
    """Return the short name of an object's type, without running any of its code."""
    name: str = _raw(kind_of(value), "__name__")
    return name


def describe(value: object) -> str:
    """Name an object's type, without running any of its code."""
    return f"<{_raw(kind_of(value), '__qualname__')}>"


def _freeze_tree(value: Any) -> bytes:
    try:
        if _quick_look(value, _QUICK_NODES, _QUICK_DEPTH) != _TOO_MUCH:
            frozen = marshal.dumps(value, _FORMAT)
            if len(frozen) <= MAX_TEXT_TOTAL:
                return frozen
    except (RuntimeError, ValueError):  # changed by another thread under the look; a key of a strange type
        pass
    return _copied_tree(value)


def _copied_tree(value: object) -> bytes:
    copier = _Copier()
    copy = copier.copy(value, MAX_DEPTH)
    if copier.cut and is_dict(copy):
        copy[TRUNCATED] = ["payload"]
    return marshal.dumps(copy, _FORMAT)


def _quick_look(value: Any, room: int, depth: int) -> int:
    """Return the room left for nodes when the tree is small and plain, else `_TOO_MUCH`."""
    room -= len(value)
    if room < 0 or depth == 0:
        return _TOO_MUCH
    # Keys are not looked at: marshal refuses strange ones, and the size is checked afterwards.
    items: Iterable[object] = _DICT.values(value) if type(value) is dict else value
    for item in items:
        if type(item) is str:
            if len(item) > _SHORT_TEXT:
                return _TOO_MUCH
        elif type(item) in _ATOMS:
            continue
        elif type(item) not in _CONTAINERS:
            return _TOO_MUCH
        else:
            room = _quick_look(item, room, depth - 1)
            if room < 0:
                return _TOO_MUCH
    return room


class _Copier:
    """Copies one value within a budget of nodes, characters and depth."""

    __slots__ = ("_path", "_room", "_text_room", "cut")

    def __init__(self) -> None:
        self.cut = False  # whether anything was left out
        self._room = MAX_NODES
        self._text_room = MAX_TEXT_TOTAL
        self._path: set[int] = set()

    def copy(self, value: Any, depth: int) -> Any:
        self._room -= 1
        kind = kind_of(value)
        if kind in _ATOMS and kind is not int:
            return value
        if is_a(kind, str):
            return self._text(str.__str__(value))
        if is_a(kind, int):
            return _bounded(int.__int__(value))
        if is_a(kind, float):
            return float.__float__(value)
        if is_a(kind, dict, *_SEQUENCES):
            return self._container(value, kind, depth)
        return attempt("freezing user data", self._object, value, kind, depth, default="<unreadable>")

    def _text(self, value: str) -> str:
        keep = min(MAX_TEXT, max(0, self._text_room))
        self._text_room -= min(len(value), keep)
        if len(value) <= keep:
            return value
        self.cut = True
        return value[:keep] + CUT

    def _key(self, value: Any) -> str:
        if is_a(kind_of(value), str):
            return self._text(str.__str__(value)[:MAX_KEY])
        if kind_of(value) in _ATOMS or is_a(kind_of(value), int, float):
            return str(self.copy(value, 1))
        return describe(value)

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if depth <= 0 or id(value) in self._path:
            return f"{describe(value)[:-1]} {'nested too deep' if depth <= 0 else 'inside itself'}>"
        self._path.add(id(value))
        try:
            return self._mapping(value, depth) if is_a(kind, dict) else self._sequence(value, kind, depth)
        finally:
            self._path.discard(id(value))

    def _mapping(self, value: Any, depth: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, item in _snapshot(_DICT.items, value, self._room):
            if self._room <= 0:
                break
            copy[self._key(key)] = self.copy(item, depth - 1)
        missing = _DICT.__len__(value) - len(copy)
        if missing > 0:
            self.cut = True
            copy[CUT] = f"{missing} more"
        return copy

    def _sequence(self, value: Any, kind: type, depth: int) -> list[Any]:
        base = next(b for b in _SEQUENCES if is_a(kind, b))
        copy: list[Any] = []
        for item in _snapshot(base.__iter__, value, self._room):
            if self._room <= 0:
                break
            copy.append(self.copy(item, depth - 1))
        missing = base.__len__(value) - len(copy)
        if missing > 0:
            self.cut = True
            copy.append(f"{CUT} {missing} more")
        return copy

    def _object(self, value: Any, kind: type, depth: int) -> Any:
        if is_a(kind, bytes, bytearray, memoryview):
            return f"{describe(value)[:-1]}, {memoryview(value).nbytes} bytes>"
        for base in _mro(kind):
            name = _raw(base, "__module__"), _raw(base, "__qualname__")
            if name in _TEXT_METHODS:
                return self.copy(getattr(base, _TEXT_METHODS[name])(value), depth)
            if name == ("enum", "Enum") and depth > 0:
                return self.copy(object.__getattribute__(value, "_value_"), depth - 1)
        if is_a(kind, BaseException):
            return self._exception(value)
        fields = _dataclass_fields(kind)
        if fields is not None:
            return self._container({n: _field(value, n) for n in islice(fields, 200)}, dict, depth)
        return self.copy(_number(value, kind), depth)

    def _exception(self, value: BaseException) -> str:
        args, name = _ARGS.__get__(value), type_name(value)
        text = args[0] if len(args) == 1 and type(args[0]) is str else ""
        return self._text(f"{name}: {text}" if text else name)


def _snapshot(iterate: Callable[[Any], Iterable[Any]], value: Any, room: int) -> list[Any]:
    """Take items in one C call, in which another thread gets a turn only if garbage is collected."""
    for _ in range(3):
        try:
            return list(islice(iterate(value), max(0, room)))
        except RuntimeError:
            continue
    return []


_ARGS: Any = vars(BaseException)["args"]


def _raw(kind: type, name: str) -> Any:
    """An attribute of a class, past any metaclass that would like to have a say."""
    return type.__getattribute__(kind, name)


def _mro(kind: type) -> tuple[type, ...]:
    mro: tuple[type, ...] = _raw(kind, "__mro__")
    return mro


def _bounded(value: int) -> int | str:
    """A giant integer takes megabytes, and its text quadratic time."""
    return value if value.bit_length() <= MAX_BITS else f"<int, {value.bit_length()} bits>"


def _dataclass_fields(kind: type) -> Any:
    for base in _mro(kind):
        fields = _raw(base, "__dict__").get("__dataclass_fields__")
        if is_dict(fields):
            return fields
    return None


def _field(value: object, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return None


def _number(value: Any, kind: type) -> Any:
    """Convert the scalars of array libraries, which are no subclasses of int and float."""
    module = str(_raw(kind, "__module__")).split(".", 1)[0]
    if module in ("numpy", "torch", "jax", "jaxlib", "cupy"):
        for name, convert in (("__index__", int), ("__float__", float)):
            if hasattr(kind, name):
                try:
                    return convert(value)
                except (TypeError, ValueError):  # an array, not a scalar
                    continue
    return describe(value)
