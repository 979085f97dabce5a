import datetime
import enum
import json
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.codec import MAX_DEPTH, dump, dump_plain, load, pack, unpack
from rlvr.codec.text import dump_leaves
from rlvr.errors import UndecodableText

ANY_TEXT = st.text(st.characters(), max_size=20) | st.text(
    st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=4
)
TAG_LIKE = st.sampled_from(["$rlvr:str", "$rlvr:items", "$rlvr:float", "$rlvr:", "$rlvr:deep"])
KEYS = ANY_TEXT | TAG_LIKE
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(2**63, 2**90) | st.floats() | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def small(digits):
    assert -(2**63) <= int(digits) < 2**63, f"{digits} does not fit into 64 bits"
    return int(digits)


@given(JSON)
def test_every_value_comes_back_exactly_through_valid_json(value):
    text = dump(value)
    json.loads(text.encode(), parse_constant=refuse, parse_int=small)
    assert repr(load(text)) == repr(value)


@given(JSON)
def test_the_fast_path_means_the_same(value):
    assert repr(load(dump_plain(value))) == repr(value)
    dump_plain(value).encode()


class Colour(enum.Enum):
    RED = "red"


STRANGE = st.sampled_from(
    [
        Colour.RED,
        datetime.date(2026, 1, 1),
        uuid.UUID(int=7),
        b"bytes",
        np.float32(0.1),
        np.float64("nan"),
        ["a", float("inf")],
        {1: 2},
    ]
)
FLAT = st.lists(st.dictionaries(st.sampled_from("abc"), JSON | STRANGE, max_size=3), max_size=3)


@given(FLAT)
def test_a_value_with_known_leaves_decodes_as_by_the_long_way(shapes):
    leaves = [leaf for shape in shapes for leaf in shape.values()]
    assert repr(load(dump_leaves(shapes, leaves).decode())) == repr(load(dump_plain(shapes)))


@given(st.floats())
def test_numbers_beside_text_come_back_exactly(value):
    shape = [{"a": value, "b": "null", "c": None}]
    text = dump_leaves(shape, list(shape[0].values())).decode()
    json.loads(text, parse_constant=refuse)
    assert repr(load(text)) == repr(shape)


@given(ANY_TEXT | TAG_LIKE | st.just("$rlvr:str:\\ud800"))
def test_any_text_fits_a_column_and_comes_back(text):
    pack(text).encode()
    assert unpack(pack(text)) == text


def nested(depth):
    value = ["bottom \ud800"]
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_as_deep_as_allowed_is_exact():
    assert load(dump(nested(MAX_DEPTH - 2))) == nested(MAX_DEPTH - 2)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_what_is_too_deep_is_kept_as_text_that_says_so(depth):
    value = load(dump({"deep": nested(depth)}))["deep"]
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    (status,) = value
    assert status == "$rlvr:deep"
    assert value[status].count("[") == depth + 2 - MAX_DEPTH
    assert "bottom" in value[status]


def test_a_cycle_ends():
    cycle = {}
    cycle["again"] = cycle
    assert len(dump(cycle)) < 1 << 22
    assert "(cut)" in dump(cycle)


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", Hostile(), 1j])
def test_what_is_no_json_is_kept_as_what_repr_says(value):
    (status,) = load(dump({"value": value}))["value"]
    assert status == "$rlvr:repr"


def test_what_only_looks_like_a_status_comes_back_as_written():
    value = {"$rlvr:repr": "x"}
    assert load(dump(load(dump(value)))) == value


@pytest.mark.parametrize(
    "text", ["", "{", '{"$rlvr:int": 3}', '{"$rlvr:items": [1]}', '{"$rlvr:str": "é"}']
)
def test_text_that_rlvr_did_not_write_is_refused_with_a_remedy(text):
    with pytest.raises(UndecodableText, match="leave it out"):
        load(text)
