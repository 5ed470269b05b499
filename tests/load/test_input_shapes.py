"""What ``--input-shape`` may say."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfuse.errors import UsageError
from bnfuse.examples import parse_input_shape
from bnfuse.examples.input_shape import Dimension


@pytest.mark.parametrize(
    ("text", "name", "sizes", "dynamic"),
    [
        ("N,3,224,224", None, (2, 3, 224, 224), {0: "N"}),
        ("N:4,3,224,224", None, (4, 3, 224, 224), {0: "N"}),
        ("x=N,3,H:64,W:48", "x", (2, 3, 64, 48), {0: "N", 2: "H", 3: "W"}),
        ("1,3,8,8", None, (1, 3, 8, 8), {}),
        ("1x3x8x8", None, (1, 3, 8, 8), {}),
        ("[2, 3]", None, (2, 3), {}),
        (" batch , 5 ", None, (2, 5), {0: "batch"}),
        ("ids=N,T:7", "ids", (2, 7), {0: "N", 1: "T"}),
        ("step=", "step", (), {}),
        ("5", None, (5,), {}),
        ("N,", None, (2,), {0: "N"}),
    ],
)
def test_forms(text, name, sizes, dynamic):
    shape = parse_input_shape(text)
    assert (shape.name, shape.sizes, shape.dynamic) == (name, sizes, dynamic)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=1,2",
        "N:1,3",
        "N:0,3",
        "0,3",
        "-1,3",
        "N:,3",
        "N:x,3",
        "1.5,3",
        "N,,3",
        "N:2,N:3",
        "N,99999999,99999999",
        "٣,3",
        "N:99999999999,3",
        "a b,3",
    ],
)
def test_what_is_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_input_shape(text)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


dimensions = st.one_of(
    st.integers(1, 64).map(Dimension),
    st.builds(Dimension, st.integers(2, 9), st.sampled_from("NHWT").map(lambda s: s + "_axis")),
)


@given(st.lists(dimensions, min_size=1, max_size=4, unique_by=lambda d: d.symbol or id(d)))
def test_what_is_printed_is_read_back(dims):
    shape = parse_input_shape("x=" + ",".join(map(str, dims)))
    assert list(shape.dimensions) == dims


@given(st.text(max_size=30))
def test_any_text_is_a_shape_or_a_usage_error(text):
    with contextlib.suppress(UsageError):
        parse_input_shape(text)
