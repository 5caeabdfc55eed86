"""Objects that nobody should hand to a sensor, and that somebody will.

`CORPUS` names makers of them, so that each test gets fresh ones. `Blocking` ones would hold whoever
runs their code for a long time, which a test notices by the time it takes.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import threading
import types
import uuid
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import Any

__all__ = ["BLOCK_SECONDS", "CORPUS", "blocking", "raising"]

BLOCK_SECONDS = 20.0
_NEVER = threading.Event()

_SPECIAL = (
    "__repr__",
    "__str__",
    "__bytes__",
    "__format__",
    "__len__",
    "__iter__",
    "__next__",
    "__contains__",
    "__getitem__",
    "__eq__",
    "__ne__",
    "__lt__",
    "__gt__",
    "__le__",
    "__ge__",
    "__bool__",
    "__int__",
    "__float__",
    "__complex__",
    "__index__",
    "__round__",
    "__getattr__",
    "__dir__",
    "__call__",
    "__enter__",
    "__exit__",
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__copy__",
    "__deepcopy__",
    "__instancecheck__",
    "__set_name__",
    "__get__",
    "__await__",
    "__aiter__",
    "__anext__",
    "__add__",
    "__radd__",
    "__mod__",
    "__rmod__",
    "__sub__",
    "__neg__",
    "__abs__",
    "__fspath__",
    "__length_hint__",
    "__reversed__",
    "__missing__",
    "__class_getitem__",
    "keys",
    "values",
    "items",
    "get",
    "pop",
    "copy",
    "isoformat",
    "total_seconds",
    "bit_length",
    "encode",
    "split",
    "strip",
    "lower",
    "upper",
)


def _raise(*_: object, **__: object) -> Any:
    raise RuntimeError("hostile")


def _block(*_: object, **__: object) -> Any:
    _NEVER.wait(BLOCK_SECONDS)
    raise RuntimeError("hostile, after a long time")


def _body(react: Callable[..., Any], *, hashable: bool) -> dict[str, Any]:
    body: dict[str, Any] = dict.fromkeys(_SPECIAL, react)
    body["__hash__"] = (lambda self: id(self)) if hashable else react
    return body


def _type(react: Callable[..., Any], *bases: type, hashable: bool = False) -> type:
    body = _body(react, hashable=hashable)
    if not bases:
        body["__getattribute__"] = react
        body["__class__"] = property(react)
    return type("Hostile", bases, body)


def raising(*bases: type) -> type:
    """Return a class, derived from `bases`, whose every method raises."""
    return _type(_raise, *bases)


def blocking(*bases: type) -> type:
    """Return a class, derived from `bases`, whose every method blocks for `BLOCK_SECONDS`."""
    return _type(_block, *bases)


def _meta(react: Callable[..., Any]) -> type:
    names = ("__getattribute__", "__instancecheck__", "__subclasscheck__", "__repr__", "__str__", "__call__")
    meta = type("HostileMeta", (type,), dict.fromkeys(names, react))
    return type.__call__(meta, "HostileInstance", (), {})


@dataclasses.dataclass
class Point:
    x: int
    y: Any


@dataclasses.dataclass
class Slotted:
    __slots__ = ("x",)
    x: int


class _Colour(enum.Enum):
    RED = "red"
    TREE = {"leaf": [1, 2]}


class _Number(enum.IntEnum):
    ONE = 1


class _Flag(enum.Flag):
    A = 1
    B = 2


class _Word(enum.StrEnum):
    HELLO = "hello"


def _enum_of_itself() -> Any:
    member = _Colour.RED
    clone = object.__new__(_Colour)
    object.__setattr__(clone, "_value_", clone)
    object.__setattr__(clone, "_name_", member.name)
    return clone


def _array_scalar(module: str, react: Callable[..., Any], *methods: str) -> Any:
    return type("float32", (), {"__module__": module, **dict.fromkeys(methods, react)})()


def _cyclic_list() -> Any:
    value: list[Any] = [1]
    value.append(value)
    return value


def _cyclic_dict() -> Any:
    value: dict[str, Any] = {"a": 1}
    value["self"] = [value, (value,)]
    return value


def _deep(depth: int) -> Any:
    value: Any = "bottom"
    for level in range(depth):
        value = {"down": value} if level % 2 else [value]
    return value


def _shared(width: int) -> Any:
    """A small graph that is huge when written out: each level holds the one below many times."""
    value: Any = "x" * 50
    for _ in range(7):
        value = [value] * width
    return value


def _released_view() -> Any:
    view = memoryview(b"gone")
    view.release()
    return view


def _exception(react: Callable[..., Any]) -> Any:
    methods = {"__str__": react, "__repr__": react, "args": property(react)}
    return type("HostileError", (Exception,), methods)("told")


def _dataclass(react: Callable[..., Any]) -> Any:
    kind = dataclasses.make_dataclass("HostileData", [("x", int)])
    kind.x = property(react)  # type: ignore[attr-defined]
    return object.__new__(kind)


def _tz(react: Callable[..., Any]) -> Any:
    zone = type("HostileZone", (dt.tzinfo,), dict.fromkeys(("utcoffset", "dst", "tzname"), react))
    return dt.datetime(2026, 1, 2, tzinfo=zone())


CORPUS: dict[str, Callable[[], Any]] = {
    # Fed to sensors that expect something else, ordinary values are hostile enough.
    "none": lambda: None,
    "true": lambda: True,
    "zero": lambda: 0,
    "negative": lambda: -1,
    "large int": lambda: 10**30,
    "64 bit": lambda: 2**63,
    "huge int": lambda: 10**5_000,
    "giant int": lambda: 1 << 8_000_000,
    "list of giants": lambda: [(1 << 8_000_000) + i for i in range(20)],
    "huge negative": lambda: -(10**5_000),
    "float": lambda: 1.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "tiny float": lambda: 5e-324,
    "large float": lambda: 1.7e308,
    "complex": lambda: 1j,
    "empty text": lambda: "",
    "text": lambda: "text",
    "long text": lambda: "word " * 400_000,
    "nul": lambda: "a\x00b",
    "surrogate": lambda: "lone \ud800 surrogate",
    "controls": lambda: "".join(map(chr, range(32))) + "\x7f\u2028\u2029\u200e",
    "quotes": lambda: "\"\\'}{][,:/",
    "percent": lambda: "%s %d %(x)s {} {0}",
    "emoji": lambda: "👩‍👩‍👧" * 200,
    "date text": lambda: "2026-01-02T15:00:00Z",
    "number text": lambda: "1e400",
    "digits": lambda: "9" * 6_000,
    "bytes": lambda: b"\xff\x00",
    "large bytes": lambda: bytes(2_000_000),
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x"),
    "released view": _released_view,
    "list": lambda: [1, "a", None],
    "empty list": list,
    "long list": lambda: list(range(20_000)),
    "list of lists": lambda: [[i] * 50 for i in range(1_000)],
    "tuple": lambda: (1, (2, 3)),
    "set": lambda: {1, "a"},
    "frozenset": lambda: frozenset((1, 2)),
    "dict": lambda: {"a": {"b": [1]}},
    "empty dict": dict,
    "odd keys": lambda: {None: 1, 1: 2, 1.5: 4, (1, 2): 5, b"k": 6, "\ud800": 7, 10**5_000: 8},
    "same keys": lambda: {1: "int", "1": "text", 2.0: "float", "2.0": "text"},
    "long key": lambda: {"k" * 100_000: 1},
    "wide dict": lambda: {f"key {i}": i for i in range(5_000)},
    "secrets": lambda: {"password": "hunter2", "nested": [{"api_key": {"x": 1}}]},
    "our own keys": lambda: {
        "summary": 5,
        "kind": [],
        "data": "x",
        "tags": None,
        "action_name": {},
        "hiveloop": 1,
        "_truncated": 7,
        "exception_type": 1,
    },
    "own words": lambda: {
        "summary": "s" * 2_000,
        "kind": "llm_call",
        "data": {"prompt_preview": ["x"] * 400},
    },
    "cyclic list": _cyclic_list,
    "cyclic dict": _cyclic_dict,
    "deep": lambda: _deep(9),
    "very deep": lambda: _deep(50_000),
    "shared": lambda: _shared(12),
    "chain map": lambda: ChainMap({"a": 1}),
    "counter": lambda: Counter("hello"),
    "ordered dict": lambda: OrderedDict(a=1),
    "default dict": lambda: defaultdict(list, a=[1]),
    "user dict": lambda: UserDict(a=1),
    "deque": lambda: deque([1, 2]),
    "named tuple": lambda: namedtuple("Pair", "a b")(1, 2),  # noqa: PYI024
    "proxy": lambda: types.MappingProxyType({"a": 1}),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "range": lambda: range(10**9),
    "generator": lambda: (i for i in range(10**9)),
    "iterator": lambda: iter([1, 2]),
    "function": lambda: lambda: None,
    "type": lambda: int,
    "module": lambda: types,
    "object": object,
    "not implemented": lambda: NotImplemented,
    "ellipsis": lambda: ...,
    "lock": threading.Lock,
    "datetime": lambda: dt.datetime(2026, 1, 2, 3, 4, 5),
    "date": lambda: dt.date(2026, 1, 2),
    "time": lambda: dt.time(1, 2),
    "timedelta": lambda: dt.timedelta(seconds=90),
    "decimal": lambda: decimal.Decimal("1.10"),
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "giant decimal": lambda: decimal.Decimal("9" * 2_000_000),
    "fraction": lambda: fractions.Fraction(1, 3),
    "uuid": lambda: uuid.UUID(int=7),
    "path": lambda: pathlib.PurePosixPath("/tmp/x"),
    "giant path": lambda: pathlib.PurePosixPath("/" + "x" * 2_000_000),
    "enum": lambda: _Colour.RED,
    "enum of a tree": lambda: _Colour.TREE,
    "enum of itself": _enum_of_itself,
    "int enum": lambda: _Number.ONE,
    "str enum": lambda: _Word.HELLO,
    "flag": lambda: _Flag.A | _Flag.B,
    "dataclass": lambda: Point(1, {"a": Point(2, None)}),
    "slotted dataclass": lambda: Slotted(3),
    "array int": lambda: _array_scalar("numpy", lambda self: 7, "__index__"),
    "array float": lambda: _array_scalar("torch", lambda self: 0.5, "__float__"),
    "array": lambda: _array_scalar("numpy", lambda self: int("not a scalar"), "__index__", "__float__"),
    "array of giants": lambda: _array_scalar("numpy", lambda self: 1 << 8_000_000, "__index__"),
    "raising array": lambda: _array_scalar("numpy", _raise, "__index__", "__float__"),
    "exception": lambda: ValueError("boom"),
    "raising exception": lambda: _exception(_raise),
    "blocking exception": lambda: _exception(_block),
    "base exception": lambda: KeyboardInterrupt("told"),
    "raising": lambda: raising()(),
    "blocking": lambda: blocking()(),
    "raising class": lambda: raising(),
    "raising str": lambda: raising(str)("text"),
    "blocking str": lambda: blocking(str)("text"),
    "raising int": lambda: raising(int)(7),
    "blocking int": lambda: blocking(int)(7),
    "raising float": lambda: raising(float)(0.5),
    "blocking float": lambda: blocking(float)(0.5),
    "raising list": lambda: raising(list)([1]),
    "blocking list": lambda: blocking(list)([1]),
    "raising tuple": lambda: raising(tuple)([1]),
    "blocking tuple": lambda: blocking(tuple)([1]),
    "raising dict": lambda: raising(dict)({"a": 1}),
    "blocking dict": lambda: blocking(dict)({"a": 1}),
    "raising set": lambda: raising(set)([1]),
    "raising bytes": lambda: raising(bytes)(b"x"),
    "blocking bytes": lambda: blocking(bytes)(b"x"),
    "raising keys": lambda: {_type(_raise, hashable=True)(): 1, _type(_raise, str, hashable=True)("k"): 2},
    "blocking keys": lambda: {_type(_block, hashable=True)(): 1, _type(_block, str, hashable=True)("k"): 2},
    "set of raising": lambda: {_type(_raise, hashable=True)()},
    "raising metaclass": lambda: object.__new__(_meta(_raise)),
    "blocking metaclass": lambda: object.__new__(_meta(_block)),
    "class of a raising metaclass": lambda: _meta(_raise),
    "raising dataclass": lambda: _dataclass(_raise),
    "raising time zone": lambda: _tz(_raise),
    "raising within": lambda: {"a": [{"b": raising()()}], "c": raising(str)("x")},
}
"""Makers of values by name."""
