"""A constant is the number that the model computes, rounded only where rounding is the meaning."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from graphs import Net, assert_same_function, feeds_for, fold_model, run
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.lifting.preparing.shape_inference import infer_shapes

F32, F64, F16 = np.float32, np.float64, np.float16


class Numbers:
    """A graph of constants alone."""

    def __init__(self) -> None:
        self.net = Net(dtype=F32)
        self.op = self.net.op

    def stored(self, number: Any, dtype: Any = F32) -> str:
        return self.net.const(np.asarray(number, dtype=dtype))

    def value(self, name: str) -> tuple[Any, np.ndarray]:
        """What the evaluator makes of a value, and what the model does in its own dtypes."""
        graph = helper.make_graph(
            self.net.nodes,
            "numbers",
            [],
            [helper.make_empty_tensor_value_info(name)],
            self.net.constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        model = ir.serde.deserialize_model(proto)
        infer_shapes(model)
        array = ConstantEvaluator(20).array(model.graph.outputs[0])
        with np.errstate(all="ignore"):
            return array, np.asarray(ReferenceEvaluator(proto).run(None, {})[0])


def test_smooth_arithmetic_is_not_rounded() -> None:
    numbers = Numbers()
    third = numbers.op("Div", numbers.stored(1.0), numbers.stored(3.0))
    array, _ = numbers.value(numbers.op("Sqrt", third))
    assert array.dtype == F64
    assert abs(float(array) - np.sqrt(1 / 3)) < 1e-15


@pytest.mark.parametrize("op_type", ["Floor", "Ceil", "Round", "Sign"])
def test_a_step_is_taken_from_what_the_model_computes(op_type: str) -> None:
    numbers = Numbers()
    quotient = numbers.op("Div", numbers.stored(0.7), numbers.stored(0.1))
    edge = {"Round": 0.5, "Sign": -7.0}.get(op_type, 0.0)
    array, declared = numbers.value(
        numbers.op(op_type, numbers.op("Add", quotient, numbers.stored(edge)))
    )
    assert np.array_equal(array, declared)


def test_numbers_that_are_equal_only_as_the_model_rounds_them() -> None:
    numbers = Numbers()
    total = numbers.op("Add", numbers.stored(0.1), numbers.stored(0.2))
    assert F32(0.1) + F32(0.2) == F32(0.3)
    assert float(F32(0.1)) + float(F32(0.2)) != float(F32(0.3))
    array, declared = numbers.value(numbers.op("Equal", total, numbers.stored(0.3)))
    assert bool(array) == bool(declared)
    chosen = numbers.op("Where", "equal", numbers.stored(1.0), numbers.stored(-1.0))
    numbers.net.nodes[-2].output[0] = "equal"
    array, declared = numbers.value(chosen)
    assert float(array) == float(declared)


@pytest.mark.parametrize(
    ("to", "dtype"),
    [
        (TensorProto.FLOAT16, F16),
        (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
        (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
        (TensorProto.FLOAT8E5M2, ml_dtypes.float8_e5m2),
    ],
)
def test_a_way_through_a_narrow_type_loses_what_it_loses(to: int, dtype: Any) -> None:
    numbers = Numbers()
    array = np.random.default_rng(0).standard_normal(50).astype(F32)
    there = numbers.op("Cast", numbers.stored(array), to=to)
    back, _ = numbers.value(numbers.op("Cast", there, to=TensorProto.FLOAT))
    assert np.array_equal(back, array.astype(dtype).astype(F64))


@pytest.mark.parametrize("to", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_a_cast_to_a_narrow_type_rounds_what_the_model_computed(to: int) -> None:
    numbers = Numbers()
    rng = np.random.default_rng(1)
    one, two = (numbers.stored(rng.standard_normal(2000)) for _ in range(2))
    array, declared = numbers.value(numbers.op("Cast", numbers.op("Mul", one, two), to=to))
    assert np.array_equal(array, declared.astype(F64))


def test_half_and_bfloat16_hold_neither_each_others_numbers() -> None:
    numbers = Numbers()
    large = numbers.op("Cast", numbers.stored([1.0 + 2**-10, 3e38]), to=TensorProto.BFLOAT16)
    array, _ = numbers.value(numbers.op("Cast", large, to=TensorProto.FLOAT16))
    assert np.array_equal(array, [1.0, np.inf])
    numbers = Numbers()
    fine = numbers.op("Cast", numbers.stored([1.0 + 2**-10]), to=TensorProto.FLOAT16)
    array, _ = numbers.value(numbers.op("Cast", fine, to=TensorProto.BFLOAT16))
    assert np.array_equal(array, [1.0])


def test_a_cast_to_a_wider_type_keeps_what_was_not_rounded_yet() -> None:
    numbers = Numbers()
    third = numbers.op("Div", numbers.stored(1.0, F16), numbers.stored(3.0, F16))
    array, _ = numbers.value(numbers.op("Cast", third, to=TensorProto.FLOAT))
    assert abs(float(array) - 1 / 3) < 1e-15


def test_a_number_that_overflows_its_type_is_infinite() -> None:
    numbers = Numbers()
    square = numbers.op("Mul", numbers.stored([300.0, -2.0], F16), numbers.stored(300.0, F16))
    array, _ = numbers.value(numbers.op("Reciprocal", square))
    assert array[0] == 0.0
    assert abs(array[1] + 1 / 600) < 1e-15


def test_a_root_of_an_integer_is_an_integer() -> None:
    numbers = Numbers()
    array, _ = numbers.value(
        numbers.op("Pow", numbers.stored([16, 9, 2], np.int64), numbers.stored(0.5))
    )
    assert array.dtype == np.int64
    assert array.tolist() == [4, 3, 1]


def test_integers_are_divided_toward_zero_digit_for_digit() -> None:
    numbers = Numbers()
    left = numbers.stored([-7, 7, 2**62 + 1], np.int64)
    array, _ = numbers.value(numbers.op("Div", left, numbers.stored([2, -2, 1], np.int64)))
    assert array.tolist() == [-3, -3, 2**62 + 1]


def test_integers_wrap_as_they_do_in_the_model() -> None:
    numbers = Numbers()
    top = numbers.stored([127], np.int8)
    array, declared = numbers.value(numbers.op("Add", top, numbers.stored([1], np.int8)))
    assert array.tolist() == declared.tolist() == [-128]


def test_a_float_that_becomes_an_integer_is_the_models_float() -> None:
    numbers = Numbers()
    product = numbers.op("Mul", numbers.stored(0.1), numbers.stored(30.0))
    array, declared = numbers.value(numbers.op("Cast", product, to=TensorProto.INT64))
    assert int(array) == int(declared)


def test_a_float_of_a_constant_node_is_a_float_of_single_precision() -> None:
    numbers = Numbers()
    array, _ = numbers.value(numbers.op("Constant", value_float=0.1))
    assert float(array) == float(F32(0.1))


@pytest.mark.parametrize("to", [TensorProto.FLOAT8E4M3FN, TensorProto.BFLOAT16])
def test_a_weight_that_passed_a_narrow_type_folds_with_what_is_left_of_it(to: int) -> None:
    net = Net(dtype=F32)
    weight = net.op("Cast", net.op("Cast", net.param(4, 4), to=to), to=TensorProto.FLOAT)
    model = net.model(net.norm(net.op("MatMul", net.input(["N", 4]), weight), 4, 0))
    result = fold_model(model)
    assert result.all_folded
    assert_same_function(result, rtol=1e-6)


def test_a_thousand_constants_in_a_row() -> None:
    net = Net()
    scale = net.const(np.full((4, 1, 1), 1.0))
    for _ in range(1200):
        scale = net.op("Mul", scale, net.scalar(1.001))
    result = fold_model(net.model(net.op("Mul", net.conv(net.input(["N", 4, 4, 4]), 4, 4), scale)))
    assert result.ops == ["Conv"]
    assert_same_function(result)


def test_a_constant_that_doubles_again_and_again_is_computed_once() -> None:
    net = Net()
    weight = net.param(100, 100)
    for _ in range(40):
        weight = net.op("Add", weight, net.op("Mul", weight, net.scalar(-0.5)))
    model = net.model(net.norm(net.op("MatMul", net.input(["N", 100]), weight), 100, 0))
    result = fold_model(model)
    assert result.all_folded
    assert_same_function(result)


def test_what_cannot_be_computed_before_a_run_is_left_to_the_run() -> None:
    net = Net()
    broken = net.op("Reshape", net.param(4), net.ints(3))
    flag = net.op("Cast", net.op("ReduceSum", net.input(["N"], "z")), to=TensorProto.BOOL)
    branches = [
        helper.make_graph(
            [helper.make_node(op, [name], [out])],
            out,
            [],
            [helper.make_tensor_value_info(out, TensorProto.DOUBLE, None)],
        )
        for op, name, out in (("Identity", "x", "then"), ("Neg", broken, "else"))
    ]
    net.input(["N", 4])
    picked = net.op("If", flag, then_branch=branches[0], else_branch=branches[1])
    fold_model(net.model(net.op("Mul", net.op("MatMul", picked, net.param(4, 4)), broken)))


def test_sequences_and_strings_are_no_numbers() -> None:
    net = Net()
    sequence = net.op("SequenceConstruct", net.param(4), net.param(4))
    picked = net.op("SequenceAt", sequence, net.const(np.array(1)))
    net.op("Constant", value_strings=[b"a", b"b"])
    net.op("Identity", net.op("Constant", value=numpy_helper.from_array(np.array(["a"]))))
    y = net.op("Mul", net.op("MatMul", net.input(["N", 4]), net.param(4, 4)), picked)
    result = fold_model(net.model(y))
    feeds = feeds_for(result.before)
    for name, array in run(result.before, feeds).items():
        assert np.array_equal(array, run(result.after, feeds)[name])
