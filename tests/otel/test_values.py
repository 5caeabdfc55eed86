"""Values and names: whatever comes in, what goes out can be exported by every SDK."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiveloop._guard import failures
from hiveloop_otel._values import (
    CONTENT_KEYS,
    Limits,
    as_json,
    clean_attributes,
    clean_key,
    clean_name,
    clean_text,
    clean_value,
    flattened,
    mapped,
    to_real,
    to_text,
    to_texts,
    to_whole,
    without_content,
)
from tests.otel.wild import DOTTED, any_json, any_text, as_sent


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def _cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    return cycle


# -- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (True, True),
        (False, False),
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        (1.5, 1.5),
        ("", ""),
        ("12", "12"),
        ("a\ud800b", "a?b"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "�"),
        ([], ()),
        (["a", "b"], ("a", "b")),
        ([1, 2], (1, 2)),
        ([1.0, 2.5], (1.0, 2.5)),
        ([True, False], (True, False)),
        ([True, 1], "[true,1]"),
        ([1, 2.5], "[1,2.5]"),
        ([1, None], "[1,null]"),
        ([1.0, math.nan], "[1.0,null]"),
        ([2**63], "[9223372036854775808]"),
        ([{"a": 1}], '[{"a":1}]'),
        ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        ({"ä": "é"}, '{"ä":"é"}'),
        ({1: 2, None: 3}, '{"1":2,"null":3}'),
        ({"a": math.inf}, '{"a":null}'),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (dt.date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_what_a_value_becomes(given_value: object, expected: object) -> None:
    clean = clean_value(given_value)
    assert clean == expected
    assert type(clean) is type(expected)


_GIANT = 10**5000  # its text would take longer than Python allows


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=name)
        for name, value in {
            "hostile": Hostile(),
            "cycle": _cycle(),
            "object": object(),
            "giant": _GIANT,
            "giant key": {_GIANT: 1},
            "giant item": [_GIANT],
            "pair as key": {(1, 2): 3},
        }.items()
    ],
)
def test_a_strange_value_becomes_something(value: object) -> None:
    assert as_sent({"key": clean_value(value)})


@given(st.recursive(any_json | st.binary(max_size=9), lambda inner: st.lists(inner) | st.tuples(inner)))
def test_every_value_can_be_sent(value: object) -> None:
    clean = clean_value(value)
    if clean is not None:
        told = as_sent({"key": clean})["key"]
        assert told == (list(clean) if isinstance(clean, tuple) else clean)


@given(any_text, st.integers(0, 50))
def test_texts_keep_to_their_limit(text: str, limit: int) -> None:
    clean = clean_value(text, limit)
    assert isinstance(clean, str)
    assert len(clean) <= limit
    clean.encode()


def test_a_text_of_a_megabyte_is_cut() -> None:
    assert clean_value("x" * 1_000_000) == "x" * 8192
    assert clean_value(["x" * 1_000_000]) == ("x" * 8192,)
    assert len(as_json({"a": "x" * 1_000_000})) == 8192


# -- JSON -------------------------------------------------------------------------------------


@given(any_json, st.integers(4, 300))
def test_json_is_valid_and_keeps_to_its_limit(value: object, limit: int) -> None:
    text = as_json(value, limit)
    assert len(text) <= limit
    text.encode()
    json.loads(text, parse_constant=pytest.fail)


def test_json_keeps_as_much_as_fits() -> None:
    text = as_json({"first": "a" * 30, "second": "b" * 30}, 50)
    assert len(text) <= 50
    told = json.loads(text)
    assert told["first"] == "a" * 30
    assert "…" in text or "second" not in told


def test_json_of_escapes_keeps_to_its_limit() -> None:
    text = as_json({"data": '"\x00' * 5_000}, 1_000)
    assert 900 < len(text) <= 1_000
    assert json.loads(text)["data"].startswith('"\x00"\x00')


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("search docs", "search docs"),
        ("", "unnamed"),
        (" \n ", "unnamed"),
        ("two\nlines\t", "two lines"),
        ("a\ud800b", "a?b"),
        ("x" * 300, "x" * 255),
        ("x" * 1_000_000, "x" * 255),
    ],
)
def test_names_of_spans(text: str, name: str) -> None:
    assert clean_name(text) == name


@given(any_text)
def test_every_name_can_be_sent(text: str) -> None:
    name = clean_name(text)
    as_sent({}, name)
    assert 0 < len(name) <= 255


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("turn_number", "turn_number"),
        ("Turn-Number", "turn_number"),
        ("größe", "gr__e"),
        ("a..b.", "a._.b._"),
        ("", "_"),
        ("a.b", "a.b"),
    ],
)
def test_keys(text: str, key: str) -> None:
    assert clean_key(text) == key


@given(any_text)
def test_every_key_is_a_dotted_name(text: str) -> None:
    assert DOTTED.fullmatch(clean_key(text))
    assert len(clean_key(text)) <= 2 * 160


# -- members ----------------------------------------------------------------------------------


def test_members_become_attributes() -> None:
    data = {"A b": 1, "none": None, "nested": {"x": [1]}, "list": ["a"], "bad": math.nan}
    assert flattened("p", data) == {"p.a_b": 1, "p.nested": '{"x":[1]}', "p.list": ("a",)}


def test_only_so_many_members_become_attributes() -> None:
    data = {f"k{i}": i for i in range(100)}
    assert len(flattened("p", data)) == 64
    assert list(flattened("p", data, 2)) == ["p.k0", "p.k1"]
    assert len(mapped({}, "p", data, capture_content=True)) == 64


def test_known_members_come_last_and_wrong_ones_are_kept() -> None:
    rules = {"n": ("known.n", to_whole), "t": ("known.t", to_real), "gone": None}
    told = mapped(rules, "p", {"n": 1, "t": "warm", "other": 2, "gone": 3}, capture_content=False)
    assert told == {"p.t": "warm", "p.other": 2, "known.n": 1}
    assert list(told)[-1] == "known.n"


@given(any_json)
def test_content_is_found_at_any_depth(value: object) -> None:
    def keys(tree: object) -> set[str]:
        if isinstance(tree, dict):
            return set(tree).union(*map(keys, tree.values()))
        return set().union(*map(keys, tree)) if isinstance(tree, list) else set()

    assert keys(without_content(value)).isdisjoint(CONTENT_KEYS)


@pytest.mark.parametrize(
    ("read", "given_value", "expected"),
    [
        (to_whole, 3.0, 3),
        (to_whole, 2.6, 3),
        (to_whole, "3", None),
        (to_whole, True, None),
        (to_whole, math.nan, None),
        (to_whole, 2**63, None),
        (to_whole, 1e300, None),
        (to_real, 3, 3.0),
        (to_real, True, None),
        (to_real, "3", None),
        (to_real, math.inf, None),
        (to_real, 10**400, None),
        (to_text, "", None),
        (to_text, None, None),
        (to_text, 5, "5"),
        (to_text, {"a": 1}, '{"a":1}'),
        (to_texts, "abc", None),
        (to_texts, ["a", None, 1, ""], ("a", "1")),
    ],
)
def test_readers(read: Any, given_value: object, expected: object) -> None:
    told = read(given_value)
    assert told == expected
    assert type(told) is type(expected)


def test_attributes_of_others_keep_their_names() -> None:
    given_attributes: dict[Any, object] = {
        "My.Key": 1,
        "": 2,
        "none": None,
        "bad\ud800": "x\ud800",
        5: {"a": 1},
    }
    clean = clean_attributes(given_attributes)
    assert clean == {"My.Key": 1, "bad?": "x?", "5": '{"a":1}'}
    as_sent(clean)


# -- limits -----------------------------------------------------------------------------------


def test_limits_without_a_word_in_the_environment() -> None:
    assert Limits.from_env({}) == Limits(128, 1024, 128, 128, None) == Limits()


def test_limits_from_the_environment() -> None:
    environ = {
        "OTEL_ATTRIBUTE_COUNT_LIMIT": "50",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": " 60 ",
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "70",
        "OTEL_SPAN_LINK_COUNT_LIMIT": "0",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "80",
    }
    assert Limits.from_env(environ) == Limits(60, 70, 50, 0, 80)


def test_a_limit_of_none_is_no_limit() -> None:
    assert Limits.from_env({"OTEL_SPAN_EVENT_COUNT_LIMIT": "None"}).events == sys.maxsize


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "²", "9" * 30])
def test_a_limit_that_is_no_number_is_ignored_with_a_word(text: str) -> None:
    name = "OTEL_SPAN_EVENT_COUNT_LIMIT"
    before = failures().get(name, 0)
    assert Limits.from_env({name: text}).events == 1024
    assert failures()[name] == before + 1


def test_a_short_text_is_kept_as_it_is() -> None:
    text = "plain"
    assert clean_text(text) is text
