"""Freezing user data: never raises, never waits, never grows, never shows what happens later."""

from __future__ import annotations

import json
import marshal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiveloop._freeze import (
    CUT,
    MAX_KEY,
    MAX_NODES,
    MAX_TEXT,
    MAX_TEXT_TOTAL,
    TRUNCATED,
    freeze,
    freeze_args,
    freeze_mapping,
    freeze_text,
    thaw,
)
from hiveloop._redact import Privacy
from tests.unit.hostile import CORPUS, raising

pytestmark = pytest.mark.usefixtures("strict")

SLOWEST_SECONDS = 1.0
"""Most time one value may take: many times what it does take, a fraction of what a blocking one would."""
MOST_BYTES = 4 * (MAX_TEXT_TOTAL + MAX_TEXT) + 80 * MAX_NODES
"""Largest frozen value: its text in UTF-8, and numbers of a few bytes each."""

atoms = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
finite = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=60)
finite |= st.floats(allow_nan=False, allow_infinity=False)
keys = st.text(max_size=20)


def json_trees(depth: int = 6) -> st.SearchStrategy[Any]:
    """Ordinary JSON, nested less deep than is cut."""
    if depth == 0:
        return finite
    below = st.deferred(lambda: json_trees(depth - 1))
    return finite | st.lists(below, max_size=6) | st.dictionaries(keys, below, max_size=6)


class Holder:
    """An object of the user's, about which nothing is known."""

    def __init__(self, value: object) -> None:
        self.value = value


@dataclass(frozen=True)
class Graph:
    """How to make a value: Hypothesis prints what it draws, and a hostile value would not be printed."""

    make: str
    parts: Any = ()

    def build(self) -> Any:
        """Make the value afresh."""
        match self.make:
            case "plain" | "a set":
                return self.parts
            case "a list":
                return [part.build() for part in self.parts]
            case "a tuple":
                return tuple(part.build() for part in self.parts)
            case "a dict":
                return {key: part.build() for key, part in self.parts.items()}
            case "a holder":
                return Holder(self.parts.build())
            case name:
                return CORPUS[name]()


hashable = st.sampled_from(
    [None, True, 0, -1, 1.5, "key", "k" * 300, "\ud800", b"k", (1, (2,)), frozenset((1,))]
)
plain = st.builds(Graph, st.just("plain"), atoms | st.binary(max_size=20) | st.complex_numbers())
graphs = st.recursive(
    st.builds(Graph, st.sampled_from(sorted(CORPUS))) | plain,
    lambda inner: st.one_of(
        st.builds(Graph, st.just("a list"), st.lists(inner, max_size=5)),
        st.builds(Graph, st.just("a tuple"), st.lists(inner, max_size=5)),
        st.builds(Graph, st.just("a dict"), st.dictionaries(hashable, inner, max_size=5)),
        st.builds(Graph, st.just("a set"), st.sets(hashable, max_size=5)),
        st.builds(Graph, st.just("a holder"), inner),
    ),
    max_leaves=12,
)


def shown(value: object, privacy: Privacy | None = None) -> Any:
    """What a receiver reads of a value."""
    text = (privacy or Privacy()).tree(thaw(freeze(value)))
    return json.loads(text.encode("utf-8", "replace"))


def size_of(frozen: Any) -> int:
    """Bytes of a frozen value; 0 for a number on its own, which is kept by reference."""
    if isinstance(frozen, int):
        return 0
    return len(frozen) if isinstance(frozen, bytes) else len(marshal.dumps(frozen))


# -- the laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_value_is_frozen_at_once_and_small(name: str) -> None:
    value = CORPUS[name]()
    started = time.monotonic()
    for freezing in (freeze, freeze_mapping, freeze_text, lambda v: freeze_args(v, 1, v)[0]):
        frozen = freezing(value)
        assert size_of(frozen) <= MOST_BYTES
        assert len(json.dumps(shown(value))) <= 6 * MOST_BYTES
    assert time.monotonic() - started < SLOWEST_SECONDS


@given(graphs)
def test_any_graph_of_objects_becomes_json(graph: Graph) -> None:
    value = graph.build()
    started = time.monotonic()
    frozen = freeze(value)
    took = time.monotonic() - started

    assert took < SLOWEST_SECONDS
    assert size_of(frozen) <= MOST_BYTES
    shown(value)
    shown(value, Privacy(redact=False))


@given(graphs)
def test_a_payload_of_any_kind_becomes_a_mapping(graph: Graph) -> None:
    mapping = thaw(freeze_mapping(graph.build()))
    assert mapping is None or type(mapping) is dict
    if mapping:
        assert json.loads(f"{{{Privacy().members(mapping)}}}".encode("utf-8", "replace"))


@given(graphs, st.integers(1, 300))
def test_text_of_anything_is_text_of_bounded_length(graph: Graph, limit: int) -> None:
    text = freeze_text(graph.build(), limit)
    assert type(text) is str
    assert len(text) <= limit


@given(json_trees())
def test_ordinary_json_passes_unchanged(value: Any) -> None:
    frozen = thaw(freeze(value))
    assert frozen == value
    assert json.dumps(frozen) == json.dumps(value)  # tells True from 1, and 1 from 1.0
    assert json.dumps(shown(value, Privacy(redact=False))) == json.dumps(value)


def mutate(value: Any) -> None:
    """Change every container of a tree."""
    if isinstance(value, list):
        for item in value:
            mutate(item)
        value.append("later")
        value[0] = "later"
    elif isinstance(value, dict):
        for item in value.values():
            mutate(item)
        for key in value:
            value[key] = "later"
        value["later"] = 1


@given(json_trees())
def test_what_is_done_later_never_shows(value: Any) -> None:
    before = json.dumps(value)
    frozen = [freeze(value), freeze_args(1, value)[1], freeze_mapping({"v": value})]

    mutate(value)

    assert [json.dumps(thaw(f)) for f in frozen[:2]] == [before, before]
    assert json.dumps(thaw(frozen[2])["v"]) == before


def test_thawing_gives_a_fresh_tree_each_time() -> None:
    frozen = freeze({"a": [1]})
    thaw(frozen)["a"].append(2)
    assert thaw(frozen) == {"a": [1]}


# -- limits ------------------------------------------------------------------------------------------


def test_time_does_not_grow_with_the_data() -> None:
    def seconds(value: object) -> float:
        best = float("inf")
        for _ in range(5):
            started = time.thread_time()
            freeze(value)
            best = min(best, time.thread_time() - started)
        return best

    large, huge = list(range(10_000)), list(range(2_000_000))
    assert seconds(huge) < 5 * seconds(large) + 0.005
    assert seconds("x" * 10_000_000) < 0.005
    assert seconds({str(i): [i] * 100 for i in range(20_000)}) < 0.05


def test_long_text_is_cut_and_says_so() -> None:
    frozen = freeze("x" * 100_000)
    assert frozen == "x" * MAX_TEXT + CUT


def test_the_text_of_a_whole_value_is_bounded() -> None:
    tree = thaw(freeze_mapping({str(i): "x" * 10_000 for i in range(50)}))
    assert sum(map(len, tree.values())) <= MAX_TEXT_TOTAL + 51
    assert tree[TRUNCATED] == ["payload"]


def test_many_short_texts_are_bounded_too() -> None:
    frozen = freeze([chr(0x4E00 + i) * 2_000 for i in range(90)])
    assert size_of(frozen) <= MOST_BYTES


def test_long_lists_and_wide_dicts_say_how_much_is_missing() -> None:
    listed = thaw(freeze(list(range(10_000))))
    assert listed[:3] == [0, 1, 2]
    assert listed[-1] == f"{CUT} {10_000 - len(listed) + 1} more"
    wide = thaw(freeze({str(i): i for i in range(10_000)}))
    assert wide["0"] == 0
    assert wide[CUT] == f"{10_000 - (len(wide) - 2)} more"
    assert len(listed) <= MAX_NODES + 1


def test_what_is_nested_too_deep_is_named() -> None:
    value: Any = "bottom"
    for _ in range(20):
        value = [value]
    text = json.dumps(shown(value))
    assert "nested too deep" in text
    assert "bottom" not in text


def test_data_inside_itself_is_named() -> None:
    value: list[Any] = [1]
    value.append({"again": value})
    assert shown(value) == [1, {"again": "<list inside itself>"}]


def test_the_same_object_twice_is_no_cycle() -> None:
    part = {"a": list(range(60))}
    assert shown({"x": part, "y": part, "big": ["x" * 3_000]}) == {"x": part, "y": part, "big": ["x" * 3_000]}


def test_a_frozen_copy_of_a_large_number_is_small() -> None:
    assert shown([1 << 8_000_000]) == ["<int, 8000001 bits>"]
    assert shown(1 << 8_000_000) == "<int, 8000001 bits>"
    assert shown(10**30) == str(10**30)
    assert shown([10**30, -(10**30)]) == [str(10**30), str(-(10**30))]


# -- what becomes of what ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nan", "nan"),
        ("-inf", "-inf"),
        ("datetime", "2026-01-02T03:04:05"),
        ("date", "2026-01-02"),
        ("time", "01:02:00"),
        ("timedelta", 90.0),
        ("decimal", "1.10"),
        ("uuid", "00000000-0000-0000-0000-000000000007"),
        ("path", "/tmp/x"),
        ("enum", "red"),
        ("enum of a tree", {"leaf": [1, 2]}),
        ("int enum", 1),
        ("str enum", "hello"),
        ("flag", 3),
        ("dataclass", {"x": 1, "y": {"a": {"x": 2, "y": None}}}),
        ("slotted dataclass", {"x": 3}),
        ("array int", 7),
        ("array float", 0.5),
        ("array", "<float32>"),
        ("named tuple", [1, 2]),
        ("ordered dict", {"a": 1}),
        ("default dict", {"a": [1]}),
        ("exception", "ValueError: boom"),
        ("blocking exception", "HostileError: told"),
        ("bytes", "<bytes, 2 bytes>"),
        ("memoryview", "<memoryview, 1 bytes>"),
        ("function", "<function>"),
        ("range", "<range>"),
        ("raising", "<Hostile>"),
        ("blocking str", "text"),
        ("blocking int", 7),
        ("blocking float", 0.5),
        ("blocking list", [1]),
        ("blocking tuple", [1]),
        ("blocking dict", {"a": 1}),
        ("blocking metaclass", "<HostileInstance>"),
    ],
)
def test_well_known_types_have_one_obvious_form(name: str, expected: object) -> None:
    assert shown(CORPUS[name]()) == expected


@pytest.mark.parametrize("among", [{}, {"odd": object()}], ids=["plain", "copied"])
def test_keys_become_text(among: dict[str, object]) -> None:
    found = shown({None: 1, 2: 2, True: 3, (1, 2): 5, **among})
    assert found["None"] == 1
    assert found["2"] == 2
    assert found["True"] == 3
    assert len(found) == 4 + len(among)


def test_long_keys_are_cut() -> None:
    found = shown({"k" * 100_000: 1})
    assert found["k" * MAX_KEY] == 1


def test_what_is_no_mapping_is_kept_under_a_key() -> None:
    assert thaw(freeze_mapping("oops")) == {"value": "oops"}
    assert thaw(freeze_mapping([1])) == {"value": [1]}
    assert freeze_mapping({}) is None
    assert freeze_mapping(None) is None


def test_a_subclass_is_read_past_its_own_methods() -> None:
    assert shown({"value": raising(dict)({"a": raising(list)([raising(str)("x")])})}) == {
        "value": {"a": ["x"]}
    }


# -- other threads -----------------------------------------------------------------------------------


def test_data_that_another_thread_changes_meanwhile_is_frozen_as_it_was_at_some_moment() -> None:
    shared: dict[str, Any] = {"list": [], "dict": {}, "set": set(), "odd": 1}
    done = threading.Event()

    def change() -> None:
        strange = (1, "x", object(), {"deep": [object()]}, [[]], {1, 2})
        number = 0
        while not done.is_set():
            number += 1
            value = strange[number % len(strange)]
            shared["list"].append(value)
            shared["dict"][str(number % 50)] = value
            shared["odd"] = value
            shared[str(number % 7)] = shared.pop(str(number % 5), value)
            shared["set"].add(number % 100)
            if number % 60 == 0:
                shared["list"] = []
                shared["dict"] = {}
                shared["set"] = set()

    interval = sys.getswitchinterval()
    changer = threading.Thread(target=change)
    sys.setswitchinterval(1e-6)
    changer.start()
    try:
        deadline = time.monotonic() + 0.7
        rounds = 0
        while time.monotonic() < deadline:
            found = shown(shared, Privacy(redact=False))
            assert set(found) >= {"list", "dict", "odd"}
            rounds += 1
    finally:
        done.set()
        changer.join(10.0)
        sys.setswitchinterval(interval)
    assert rounds > 50
