"""How a source is loaded, as one object or as keywords."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest

import bnfuse
from bnfuse import LoadOptions
from bnfuse.errors import UsageError

MODEL = onnx.parser.parse_model(
    """<ir_version: 8, opset_import: ["": 17]>
    g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"""
)


def test_a_keyword_takes_the_place_of_a_field() -> None:
    options = LoadOptions(model="nets:Net", dtype="int64")
    assert LoadOptions.of(options, {"dtype": None}) == LoadOptions(model="nets:Net")
    assert LoadOptions.of(None, {}) == LoadOptions()


def test_one_string_is_one_class_and_one_shape() -> None:
    options = LoadOptions(allow="nets.Net", input_shapes="N,3,8,8")
    assert options == LoadOptions(allow=("nets.Net",), input_shapes=["N,3,8,8"])


def test_what_is_no_string_is_refused() -> None:
    with pytest.raises(UsageError, match="3 is not a string"):
        LoadOptions(allow=[3])  # type: ignore[list-item]


def test_the_flags_ask_for_the_same_again() -> None:
    options = LoadOptions("nets:Net", ("a.B", "c.D"), True, ("N,3",), "int64", "ema")
    assert " ".join(options.flags) == (
        "--input-shape N,3 --dtype int64 --model nets:Net --allow a.B --allow c.D --weights ema "
        "--trust"
    )
    assert LoadOptions().flags == ()


def test_options_of_another_type_are_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"are a bnfuse\.LoadOptions, not a dict"):
        bnfuse.fold(MODEL, options={"allow": "nets.Net"})  # type: ignore[arg-type]


def test_a_mistyped_keyword_is_answered_by_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"no option 'alow'\. Did you mean allow\?"):
        bnfuse.fold(MODEL, alow="nets.Net")  # type: ignore[call-arg]


def test_every_field_has_its_flag() -> None:
    assert all(
        LoadOptions.of(None, {name: value}).flags
        for name, value in {
            "model": "m:F", "allow": ("a.B",), "trust": True, "input_shapes": ("N,3",),
            "dtype": "int64", "weights": "ema",
        }.items()
    )  # fmt: skip
