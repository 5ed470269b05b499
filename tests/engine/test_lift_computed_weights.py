"""A weight that other nodes make folds like a stored one, and makes no file much larger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import numpy_helper

import bnfuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDE = 128
"""A square weight of this width takes more than what the evaluator remembers."""


def _transposed(net: Net) -> str:
    return net.op("Transpose", net.param(WIDE, WIDE))


def _identity(net: Net) -> str:
    return net.op("Identity", net.param(WIDE, WIDE))


def _cast(net: Net) -> str:
    return net.op("Cast", net.const(net.floats(WIDE, WIDE).astype(np.float32)), to=11)


def _scaled(net: Net) -> str:
    return net.op("Mul", net.param(WIDE, WIDE), net.param(WIDE, low=0.5))


def _reshaped(net: Net) -> str:
    return net.op("Reshape", net.param(WIDE, 2, WIDE // 2), net.ints(WIDE, WIDE))


def _constant(net: Net) -> str:
    return net.op("Constant", value=numpy_helper.from_array(net.floats(WIDE, WIDE)))


def _joined(net: Net) -> str:
    return net.op("Concat", net.param(WIDE, WIDE // 2), net.param(WIDE, WIDE // 2), axis=1)


def _in_three_steps(net: Net) -> str:
    return net.op("Mul", net.op("Identity", _transposed(net)), net.scalar(0.5))


MAKERS = [_transposed, _identity, _cast, _scaled, _reshaped, _constant, _joined, _in_three_steps]


@pytest.mark.parametrize("make", MAKERS)
def test_a_norm_after_a_large_weight_that_other_nodes_make(make: Callable[[Net], str]) -> None:
    net = Net()
    product = net.op("MatMul", net.input(["N", WIDE]), make(net))
    result = fold_model(net.model(net.norm(product, WIDE, 0)))
    assert_folded(result, ["Gemm"])
    assert len(result.after.graph.initializer) == 2


@pytest.mark.parametrize("make", MAKERS)
def test_a_norm_before_a_large_weight_that_other_nodes_make(make: Callable[[Net], str]) -> None:
    net = Net()
    normed = net.norm(net.input(["N", WIDE]), WIDE, 0)
    assert_folded(
        fold_model(net.model(net.op("Gemm", normed, make(net), net.param(WIDE)))), ["Gemm"]
    )


def test_a_product_with_a_transposed_table_times_a_number() -> None:
    net = Net()
    y = net.op("Mul", net.op("MatMul", net.input(["N", WIDE]), _transposed(net)), net.scalar(0.5))
    assert_folded(fold_model(net.model(y)), ["MatMul"])


def test_a_convolution_whose_large_kernel_is_reshaped() -> None:
    net = Net()
    kernel = net.op("Reshape", net.param(40, 30 * 9), net.ints(40, 30, 3, 3))
    y = net.op("Conv", net.input(["N", 30, 5, 5]), kernel)
    assert_folded(fold_model(net.model(net.batch_norm(y, 40))), ["Conv"])


def test_two_maps_in_a_row_whose_weights_other_nodes_make() -> None:
    net = Net()
    h = net.op("MatMul", net.input(["N", WIDE]), _transposed(net))
    assert_same_function(
        fold_model(net.model(net.norm(net.op("MatMul", h, _scaled(net)), WIDE, 0)))
    )


def test_it_is_written_too(tmp_path: Path) -> None:
    net = Net(dtype=np.float32)
    y = net.op("MatMul", net.input(["N", WIDE]), _transposed(net))
    folded = bnfuse.fold(net.model(net.norm(y, WIDE, 0)), output=tmp_path / "folded.onnx")
    assert folded.report.verdict == "PASS"
    assert [n.op_type for n in onnx.load(tmp_path / "folded.onnx").graph.node] == ["Gemm"]


def test_names_of_one_weight_share_its_folded_numbers() -> None:
    net = Net()
    weight, numbers = net.param(WIDE, WIDE), net.floats(WIDE, low=0.5)
    outputs = [
        net.op(
            "Mul",
            net.op("MatMul", net.input(["N", WIDE], name), net.op(op_type, weight)),
            net.const(numbers),
        )
        for name, op_type in (
            ("x", "Identity"),
            ("y", "Identity"),
            ("z", "Transpose"),
            ("u", "Transpose"),
        )
    ]
    result = fold_model(net.model(*outputs))
    assert_folded(result, ["MatMul"] * 4)
    assert len(result.after.graph.initializer) == 2


def _bytes(model: onnx.ModelProto) -> int:
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)


def test_an_expanded_weight_is_not_written_out() -> None:
    net = Net()
    expanded = net.op("Expand", net.param(WIDE, 1), net.ints(WIDE, WIDE))
    product = net.op("MatMul", net.input(["N", WIDE]), expanded)
    result = fold_model(net.model(net.norm(product, WIDE, 0)))
    assert_left(result, "is made from", "would be stored as 131,072")
    assert _bytes(result.after) <= _bytes(result.before)


def test_an_expanded_operand_of_a_maximum_is_not_written_out() -> None:
    net = Net()
    expanded = net.op("Expand", net.param(WIDE, 1), net.ints(WIDE, WIDE))
    h = net.op("MatMul", net.input([WIDE, WIDE]), net.param(WIDE, WIDE))
    scaled = net.op("Mul", net.op("Max", h, expanded), net.param(WIDE, low=0.5))
    result = fold_model(net.model(scaled))
    assert _bytes(result.after) <= _bytes(result.before)
    assert_same_function(result)


def test_a_weight_stored_in_half_precision_may_be_written_in_the_type_it_is_used_in() -> None:
    net = Net(dtype=np.float32)
    weight = net.op("Cast", net.const(net.floats(WIDE, WIDE).astype(np.float16)), to=1)
    result = fold_model(
        net.model(net.norm(net.op("MatMul", net.input(["N", WIDE]), weight), WIDE, 0))
    )
    assert_folded(result, ["Gemm"], rtol=1e-5)


@pytest.mark.parametrize("factor_on", ["lookup", "product"])
def test_a_tied_embedding_is_not_stored_twice(factor_on: str) -> None:
    net = Net()
    table, ids = net.param(WIDE, WIDE), net.input(["N"], "ids", np.int64)
    found = net.op("Gather", table, ids)
    if factor_on == "lookup":
        found = net.op("Mul", found, net.scalar(11.3))
    y = net.op("MatMul", net.op("Tanh", found), net.op("Transpose", table))
    if factor_on == "product":
        y = net.op("Mul", y, net.scalar(0.5))
    result = fold_model(net.model(y))
    assert "read elsewhere" in result.reason()
    assert _bytes(result.after) <= _bytes(result.before)


def test_a_tied_table_takes_no_scale_that_a_layer_norm_could_give_away() -> None:
    net = Net()
    table, ids = net.param(WIDE, WIDE), net.input(["N"], "ids", np.int64)
    h = net.op("LayerNormalization", net.op("Gather", table, ids), net.param(WIDE), net.param(WIDE))
    result = fold_model(net.model(net.op("MatMul", h, net.op("Transpose", table))))
    assert _bytes(result.after) <= _bytes(result.before)
