"""Small ONNX graphs in double precision, and what folding must not change about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from bnfuse.folding import FoldLog, fold
from bnfuse.lifting import Lifted, lift
from bnfuse.lifting.preparing.prepare import prepare
from bnfuse.lowering import Lowered, lower
from bnfuse.reporting import SiteReport, site_reports
from bnfuse.verifying.truth.double_ops import DOUBLE_OPS

_ELEMENT = {
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL,
}
EPSILON = 1e-3
# The casts of these models are meant as they stand.
OPS = [op for op in DOUBLE_OPS if not op.__name__.startswith("Cast")]
_ELEMENTWISE = frozenset({"BatchNormalization", "Mul", "Add", "Sub", "Div", "Neg"})


class Net:
    """Builds an ONNX graph op by op; values are known by their names."""

    def __init__(self, seed: int = 0, dtype: Any = np.float64, opset: int = 20) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def input(self, shape: list[int | str], name: str = "x", dtype: Any = None) -> str:
        element = _ELEMENT[np.dtype(dtype or self.dtype)]
        self.inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def const(self, array: Any, name: str = "c") -> str:
        name = self.name(name)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *shape: int, low: float | None = None, high: float = 2.0) -> np.ndarray:
        if low is None:
            return self.rng.standard_normal(shape).astype(self.dtype)
        return self.rng.uniform(low, high, shape).astype(self.dtype)

    def param(self, *shape: int, low: float | None = None) -> str:
        return self.const(self.floats(*shape, low=low), "w")

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, dtype=np.int64), "i")

    def op(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        return self.ops(op_type, *inputs, count=1, name=name, **attributes)[0]

    def ops(
        self, op_type: str, *inputs: str, count: int, name: str | None = None, **attributes: Any
    ) -> list[str]:
        node = name or self.name(op_type.lower())
        outputs = [node] if count == 1 else [f"{node}.{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op_type, inputs, outputs, name=node, **attributes))
        return outputs

    def conv(
        self,
        x: str,
        inputs: int,
        outputs: int,
        kernel: tuple[int, ...] = (3, 3),
        *,
        group: int = 1,
        bias: bool = False,
        transposed: bool = False,
        name: str | None = None,
        **attributes: Any,
    ) -> str:
        front = (inputs, outputs // group) if transposed else (outputs, inputs // group)
        parameters = [self.param(*front, *kernel)]
        if bias:
            parameters.append(self.param(outputs))
        op_type = "ConvTranspose" if transposed else "Conv"
        return self.op(op_type, x, *parameters, name=name, group=group, **attributes)

    def batch_norm(self, x: str, channels: int, **attributes: Any) -> str:
        parameters = [self.param(channels) for _ in range(3)]
        parameters.append(self.param(channels, low=0.3))
        return self.op("BatchNormalization", x, *parameters, epsilon=EPSILON, **attributes)

    def norm(self, x: str, channels: int, trailing: int, positive: bool = False) -> str:
        """A hand-written norm whose constants have ``trailing`` dimensions of 1 after C."""
        shape = (channels, *(1,) * trailing)
        centred = self.op("Sub", x, self.param(*shape))
        deviation = self.op("Sqrt", self.op("Add", self.param(*shape, low=0.3), self.scalar(1e-3)))
        gamma = self.param(*shape, low=0.2) if positive else self.param(*shape)
        scaled = self.op("Mul", self.op("Div", centred, deviation), gamma)
        return self.op("Add", scaled, self.param(*shape))

    def scalar(self, value: float) -> str:
        return self.const(np.asarray(value, dtype=self.dtype))

    def model(self, *outputs: str) -> onnx.ModelProto:
        element = _ELEMENT[self.dtype]
        graph = helper.make_graph(
            self.nodes,
            "net",
            self.inputs,
            [helper.make_tensor_value_info(name, element, None) for name in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 10
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        del model.graph.output[:]
        model.graph.output.extend(inferred.graph.output)
        return model


@dataclass
class Result:
    """A folded graph beside what it was."""

    before: onnx.ModelProto
    after: onnx.ModelProto
    lifted: Lifted
    log: FoldLog
    lowered: Lowered
    sites: tuple[SiteReport, ...]

    @property
    def ops(self) -> list[str]:
        return [node.op_type for node in self.after.graph.node if node.op_type != "Constant"]

    @property
    def norms(self) -> list[SiteReport]:
        return [site for site in self.sites if site.kind == "norm"]

    @property
    def all_folded(self) -> bool:
        return all(site.folded for site in self.sites)

    def reason(self, index: int = 0) -> str:
        return [site for site in self.sites if not site.folded][index].reason

    @property
    def leftovers(self) -> list[str]:
        """The ops by a stored constant that a norm could be left in; a MatMul's bias is none."""
        stored = {tensor.name for tensor in self.after.graph.initializer}
        products = {
            name for n in self.after.graph.node if n.op_type == "MatMul" for name in n.output
        }
        return [
            node.op_type
            for node in self.after.graph.node
            if node.op_type in _ELEMENTWISE
            and stored & set(node.input)
            and not (node.op_type == "Add" and products & set(node.input))
        ]


def fold_model(model: onnx.ModelProto, limit: int | None = None) -> Result:
    """Fold a copy and check everything that must hold whatever was folded."""
    graph = ir.serde.deserialize_model(model)
    interface, _ = prepare(graph)
    lifted = lift(graph)
    log = fold(lifted, limit)
    lowered = lower(graph)
    interface.restore(graph)
    after = ir.serde.serialize_model(graph)
    result = Result(model, after, lifted, log, lowered, site_reports(lifted, log))
    check_invariants(result)
    return result


def check_invariants(result: Result) -> None:
    before, after = result.before, result.after
    # The checker accepts no model whose outputs declare no shape, folded or not.
    if all(output.type.tensor_type.HasField("shape") for output in before.graph.output):
        onnx.checker.check_model(after, full_check=True)
    for side in ("input", "output"):
        was = [v.SerializeToString() for v in getattr(before.graph, side)]
        now = [v.SerializeToString() for v in getattr(after.graph, side)]
        assert was == now, f"the graph's {side}s changed"
    assert {n.domain for n in after.graph.node} <= {n.domain for n in before.graph.node} | {""}
    names = [name for node in after.graph.node for name in node.output if name]
    assert len(names) == len(set(names))


def feeds_for(model: onnx.ModelProto, seed: int = 1, dynamic: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [d.dim_value or dynamic for d in tensor.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = rng.standard_normal(shape).astype(dtype)
    return feeds


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return _run(_evaluator(model), feeds)


def _evaluator(model: onnx.ModelProto) -> ReferenceEvaluator:
    # onnx.reference gets several ops wrong, a grouped ConvTranspose among them, and is slow.
    return ReferenceEvaluator(model, new_ops=OPS)


def _run(evaluator: ReferenceEvaluator, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(zip(evaluator.output_names, evaluator.run(None, feeds), strict=True))


@lru_cache(maxsize=512)
def _values(data: bytes, seed: int, dynamic: int) -> dict[str, np.ndarray]:
    """Every value of a model: the same one is compared with many that were made of it."""
    model = onnx.ModelProto.FromString(data)
    return run(_everything(model), feeds_for(model, seed, dynamic))


def assert_folded(result: Result, ops: list[str] | None = None, rtol: float = 1e-10) -> None:
    """Every site is gone, in the report and in the graph, and the function is the same."""
    assert result.all_folded, [site.reason for site in result.sites]
    if ops is None:
        assert not result.leftovers
    else:
        assert result.ops == ops
    assert_same_function(result, rtol=rtol)


def assert_left(
    result: Result, *reasons: str, index: int = 0, sizes: tuple[int, ...] = (3, 2)
) -> None:
    """A site is left for a reason that holds these words, and the function is the same."""
    assert not result.all_folded
    for reason in reasons:
        assert reason in result.reason(index)
    assert_same_function(result, sizes=sizes)


def assert_same_function(
    result: Result, seed: int = 1, rtol: float = 1e-10, sizes: tuple[int, ...] = (3, 2)
) -> None:
    """The folded graph computes the original's outputs, and every value both graphs name.

    Every dynamic dimension takes each of the ``sizes`` in turn.
    """
    data, evaluator = result.before.SerializeToString(), _evaluator(_everything(result.after))
    for dynamic in sizes:
        before = _values(data, seed, dynamic)
        after = _run(evaluator, feeds_for(result.before, seed, dynamic))
        floats = [a for a in before.values() if a.dtype.kind == "f"]
        largest = max(
            (float(np.max(np.abs(a[np.isfinite(a)]), initial=1e-290)) for a in floats),
            default=1e-290,
        )
        for name in after:
            if name in before and before[name].dtype.kind == "f":
                _assert_close(name, before[name], after[name], rtol, largest)


def _assert_close(
    name: str, before: np.ndarray, after: np.ndarray, rtol: float, largest: float
) -> None:
    assert before.shape == after.shape, name
    assert before.dtype == after.dtype, name
    finite = np.isfinite(before)
    assert np.array_equal(before[~finite], after[~finite], equal_nan=True), name
    # A value that cancels to nothing is measured against a millionth of what the graph holds.
    scale = np.max(np.abs(before[finite]), initial=1e-6 * largest)
    worst = np.max(np.abs(before[finite] - after[finite]), initial=0.0) / scale
    assert worst <= rtol, f"{name} differs by {worst:.1e} of its largest value"


def _everything(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every named value an output: a name may not mean something new."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    outputs = {output.name for output in copy.graph.output}
    for node in copy.graph.node:
        for name in node.output:
            if name and name not in outputs:
                copy.graph.output.append(helper.make_empty_tensor_value_info(name))
    return copy
