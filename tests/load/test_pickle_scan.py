"""The symbolic pickle machine sees what the real one would import and call, and does neither."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_samples import Payload

from bnfuse.loading.pickles.scan import scan
from bnfuse.loading.pickles.symbols import (
    Call,
    Global,
    MalformedPickleError,
    Pairs,
    Sequence,
    Tuple,
    values_below,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.tuples(inner, inner, inner)
        | st.tuples(inner)
    ),
    max_leaves=20,
)


def plain(value):
    match value:
        case Tuple():
            return tuple(map(plain, value.items))
        case Sequence():
            return list(map(plain, value.items))
        case Pairs():
            return {plain(key): plain(item) for key, item in value.pairs}
        case Call(maker=Global("_codecs", "encode")):
            return value.args[0].encode(value.args[1])
        case Call(maker=Global("builtins", "bytes")):
            return b""
    return value


@settings(deadline=None, max_examples=150)
@given(values, st.integers(0, 5))
def test_data_comes_out_as_the_unpickler_makes_it(value, protocol):
    assert plain(scan(io.BytesIO(pickle.dumps(value, protocol=protocol))).root) == value


@pytest.mark.parametrize("protocol", range(6))
def test_imports_and_calls_are_recorded(protocol, tmp_path):
    target = tmp_path / "touched"
    value = {"a": [Payload(os.system, f"touch {target}")], "b": collections.OrderedDict(x=1)}
    found = scan(io.BytesIO(pickle.dumps(value, protocol=protocol)))
    names = {name.dotted for name in found.globals}
    assert {f"{os.system.__module__}.system", "collections.OrderedDict"} <= names
    (call,) = [c for c in found.calls if c.maker and c.maker.name == "system"]
    assert call.args == [f"touch {target}"]
    assert not target.exists()


class Custom:
    def __init__(self):
        self.x = 1


@pytest.mark.parametrize("protocol", range(6))
def test_objects_carry_their_state(protocol):
    found = scan(io.BytesIO(pickle.dumps(Custom(), protocol=protocol)))
    assert isinstance(found.root, Call)
    assert plain(found.root.state) == {"x": 1}


def test_a_second_state_does_not_hide_the_first():
    found = scan(io.BytesIO(b"\x80\x02cm\nC\n)\x81}X\x01\0\0\0acos\nsystem\nsb}b."))
    assert Global("os", "system") in set(_globals(found.root))


def _globals(root):
    return [value for value in values_below(root) if isinstance(value, Global)]


def test_the_stream_stands_after_the_pickle():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps([2]))
    assert scan(stream).root == 1
    assert plain(scan(stream).root) == [2]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_pickle_or_malformed(content):
    with contextlib.suppress(MalformedPickleError):
        scan(io.BytesIO(content))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x02]",
        b"\x80\x02h\x01.",
        b"\x80\x02t.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02}X\x01\0\0\0as.",
        b"\x80\x04K\x01K\x02\x93.",
        b"\x80\x02cm\nC\nK\x01R.",
        b"\x80\x05\x97.",
        b"I" + b"9" * 10_000 + b"\n.",
    ],
)
def test_malformed(content):
    with pytest.raises(MalformedPickleError):
        scan(io.BytesIO(content))


def test_a_list_that_holds_itself_is_walked_once():
    looped: list = []
    looped.append(looped)
    root = scan(io.BytesIO(pickle.dumps(looped, protocol=2))).root
    assert len(list(values_below(root))) == 1
