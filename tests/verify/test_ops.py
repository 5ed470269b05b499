"""The verifier's table of ops, held to the cases that ONNX itself has for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_cases import Case, node_cases

from bnfuse.verifying.ops import TORCH, Fact, has, onnx_name, ops_with, rounds
from bnfuse.verifying.truth.double import DoubleEvaluator

# They are about types, sequences or bodies, or have no case of one node that the reference runs.
_UNTESTED = {
    "Cast", "CastLike", "CenterCropPad", "If", "Loop", "MaxRoiPool", "Scan", "Scatter",
    "SequenceEmpty", "Optional",
    "OptionalGetElement", "SequenceAt", "SequenceConstruct", "SequenceErase", "SequenceInsert",
    "ConcatFromSequence", "SplitToSequence", "Size",
}  # fmt: skip


_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL, *range(2, 8), 12, 13)


def cases(fact: Fact) -> Iterator[tuple[str, Case]]:
    """The cases of one node with ``fact``, of float32, integers and booleans alone."""
    for case in node_cases():
        graph, node = case.model.graph, case.model.graph.node[0]
        if len(graph.node) != 1 or node.domain or node.op_type in _UNTESTED:
            continue
        if not has(node.op_type, fact):
            continue
        types = {item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)}
        if types <= {*_TYPES} and not any(item.HasField("g") for item in node.attribute):
            yield node.op_type, case


def double(case: Case) -> list[Any]:
    with np.errstate(all="ignore"):
        return DoubleEvaluator(case.model).run(None, case.feeds[0])


def single(case: Case) -> list[Any]:
    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(case.model).run(None, case.feeds[0]))


def seen(fact: Fact) -> set[str]:
    return {op for op, _ in cases(fact)}


def test_what_is_said_to_round_nothing_rounds_nothing() -> None:
    for _, case in cases(Fact.EXACT):
        if rounds(case.model.graph.node[0]):
            continue
        for one, two in zip(single(case), double(case), strict=True):
            np.testing.assert_array_equal(one.astype(two.dtype), two, case.name)


@pytest.mark.parametrize("reduction", ["", "add", "mul", "max", "min"])
@pytest.mark.parametrize("op", ["ScatterElements", "ScatterND"])
def test_a_scatter_rounds_where_it_adds_or_multiplies(op: str, reduction: str) -> None:
    given = {"reduction": reduction} if reduction else {}
    node = onnx.helper.make_node(op, ["x", "i", "u"], ["y"], **given)
    assert rounds(node) == (reduction in {"add", "mul"})


def test_nearly_all_that_is_said_to_be_exact_has_a_case() -> None:
    assert ops_with(Fact.EXACT) - seen(Fact.EXACT) <= _UNTESTED


@pytest.mark.parametrize(
    ("fact", "holds"),
    [
        (
            Fact.REORDERS | Fact.CONVERTS,
            lambda x, y: np.array_equal(np.sort(x), np.sort(y), equal_nan=True),
        ),
        (Fact.REPEATS, lambda x, y: set(x) == set(y) or not x.size or not y.size),
        (Fact.PICKS, lambda x, y: set(y) <= set(x)),
    ],
    ids=["reorders", "repeats", "picks"],
)
def test_numbers_are_moved_as_it_is_said(fact: Fact, holds: Any) -> None:
    met = set()
    for op, case in cases(fact):
        node, feeds = case.model.graph.node[0], case.feeds[0]
        x = feeds.get(node.input[0])
        # A Dropout that trains drops some.
        if x is None or x.dtype != np.float32 or (op == "Dropout" and len(feeds) > 2):
            continue
        made = [np.ravel(y) for y in double(case) if y.dtype == np.float64]
        if made:
            met.add(op)
            assert holds(x.astype(np.float64).ravel(), np.concatenate(made)), case.name
    assert ops_with(fact) - met <= _UNTESTED


def test_what_is_said_to_make_no_floats_makes_none() -> None:
    for _, case in cases(Fact.INTEGRAL):
        assert all(value.dtype.kind in "biu" for value in single(case)), case.name
    assert ops_with(Fact.INTEGRAL) - seen(Fact.INTEGRAL) <= _UNTESTED


@pytest.mark.parametrize("op", sorted(ops_with(Fact.RISING)))
def test_what_is_said_to_rise_rises(op: str) -> None:
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        agraph (double[64] x) => (double[64] y) {{ y = {op}(x) }}""")
    x = np.sort(np.random.default_rng(0).uniform(0.1, 6.0, 64))
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.all(np.diff(y) > 0)


def test_each_op_of_the_table_is_one_of_onnx() -> None:
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    assert ops_with(~Fact.NONE) <= names
    assert set(TORCH.values()) <= names


@pytest.mark.parametrize("op", sorted(ops_with(Fact.RANDOM)))
def test_what_is_said_to_be_random_gives_other_numbers_each_time(op: str) -> None:
    by_hand = {
        "Bernoulli": "Bernoulli(x)", "Multinomial": "Multinomial<sample_size=64>(x)",
        "RandomNormal": "RandomNormal<shape=[8]>()", "RandomNormalLike": "RandomNormalLike(x)",
        "RandomUniform": "RandomUniform<shape=[8]>()", "RandomUniformLike": "RandomUniformLike(x)",
    }  # fmt: skip
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        agraph (float[8, 8] x) => (y) {{ y = {by_hand[op]} }}""")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {item.name: np.full((8, 8), 0.5, np.float32) for item in session.get_inputs()}
    first, *others = (session.run(None, feeds)[0] for _ in range(4))
    assert any(not np.array_equal(first, other) for other in others)


def test_an_op_that_nobody_knows_has_no_facts() -> None:
    assert not has("NoSuchOp", ~Fact.NONE)
    assert onnx_name("no_such_op") == "no_such_op"
    assert onnx_name("relu_") == "Relu"
