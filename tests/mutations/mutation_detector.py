"""A small fixed set of graphs and probes that is right only if every rule is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import graphs_of_lifting
import graphs_of_linear_maps  # noqa: F401
import graphs_of_merges
import graphs_of_neighbours  # noqa: F401
import graphs_of_normalizers  # noqa: F401
import graphs_of_passes  # noqa: F401
import graphs_of_pieces  # noqa: F401
import numpy as np
import onnx
import onnx_ir as ir
from graphs import Net, feeds_for, fold_model, run
from mutation_registry import GRAPHS, model_of
from onnx import helper
from random_graphs import seeded_model

from bnfuse.errors import FoldError
from bnfuse.folding.fitting import check_repeats
from bnfuse.folding.plan import Rebound, Refusal
from bnfuse.lifting.linear import LinearMap

RTOL = 1e-10
SEEDS = range(24)


@dataclass(frozen=True)
class Case:
    """A model and what every value of it is, for one feed of each dynamic size."""

    name: str
    model: onnx.ModelProto
    feeds: tuple[dict[str, np.ndarray], ...]
    values: tuple[dict[str, np.ndarray], ...]

    @classmethod
    def of(cls, name: str, model: onnx.ModelProto) -> Case:
        feeds = tuple(feeds_for(model, seed=1, dynamic=size) for size in (3, 2))
        return cls(name, model, feeds, tuple(run(_open(model), feed) for feed in feeds))

    def check(self) -> None:
        """Fold it, and hold every value that both graphs name to the original."""
        after = _open(fold_model(self.model).after)
        for feed, before in zip(self.feeds, self.values, strict=True):
            for name, value in run(after, feed).items():
                if name in before and value.dtype.kind == "f":
                    expected = before[name]
                    assert value.shape == expected.shape, (self.name, name)
                    scale = np.max(np.abs(expected), initial=1e-300)
                    assert np.max(np.abs(value - expected), initial=0.0) <= RTOL * scale, self.name


def _open(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    outputs = {output.name for output in copy.graph.output}
    names = [n for node in copy.graph.node for n in node.output if n and n not in outputs]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return copy


@cache
def cases() -> tuple[Case, ...]:
    """Every fixed graph, and some random ones."""
    fixed = [Case.of(build.__name__, model_of(shape, build)) for shape, build in GRAPHS]
    return (*fixed, *(Case.of(f"seed {seed}", seeded_model(seed)) for seed in SEEDS))


def tampering_is_noticed() -> None:
    """A weight that comes out wrong is an error, not a model."""
    right = LinearMap.exact_weight
    LinearMap.exact_weight = lambda self: right(self) * (1 + 1e-9)
    try:
        net = Net()
        fold_model(net.model(net.norm(net.conv(net.input([2, 4, 4, 4]), 4, 4), 4, 2)))
    except FoldError:
        return
    finally:
        LinearMap.exact_weight = right
    raise AssertionError("a wrong weight went unnoticed")


def half_precision_holds() -> None:
    """What does not fit the weight's type is left."""
    for factor in (6e4, 1e-6):
        net = Net(dtype=np.float16)
        scale = net.const(np.array([1, 1, factor, 1], np.float16))
        product = net.op("MatMul", net.input([2, 4]), net.const(np.full((4, 4), 4, np.float16)))
        if factor < 1:
            product = net.op("Mul", product, net.const(np.float16(1e-3)))
        left = fold_model(net.model(net.op("Sigmoid", net.op("Mul", product, scale))))
        assert "Mul" in left.ops


def half_precision_keeps_maps_apart() -> None:
    """Maps whose product does not fit the weight's type stay two."""
    for what in graphs_of_merges.HALF:
        net = graphs_of_merges.half(what)
        assert fold_model(net.model(net.nodes[-1].output[0])).ops == ["Conv", "Conv"]


def merges_cost_no_more() -> None:
    """What is cheaper as it stands stays as it is."""
    for build, ops in graphs_of_merges.DEARER:
        net = Net()
        assert sorted(fold_model(net.model(*build(net))).ops) == sorted(ops)


def half_precision_keeps_shared_values() -> None:
    """What others read in float16 is not scaled far."""
    net = Net(dtype=np.float16)
    shared = net.conv(net.input([2, 3, 6, 6]), 3, 4)
    scaled = net.op("Mul", shared, net.const(np.full((4, 1, 1), 99, np.float16)))
    outputs = (net.op("Sigmoid", y) for y in (scaled, net.conv(shared, 4, 4)))
    assert "Mul" in fold_model(net.model(*outputs)).ops


def a_constant_on_both_sides_is_folded() -> None:
    """Each of its places takes its own part."""
    net = Net()
    x, constant = net.input([2, 4, 4, 4]), net.param(2, 4, 4, 4)
    joined = net.op("Concat", constant, net.conv(x, 4, 4, (1, 1)), constant, axis=1)
    assert fold_model(net.model(net.norm(joined, 12, 2))).all_folded


def one_node_is_not_padded_anew_twice() -> None:
    """Each of the two numbers would be right, and only one can be stored."""
    pad = ir.node("Pad", [ir.val("x")])
    check_repeats([Rebound(pad, 2, 1.0)])
    try:
        check_repeats([Rebound(pad, 2, 1.0), Rebound(pad, 2, 2.0)])
    except Refusal:
        return
    raise AssertionError("a Pad was given two numbers")


PROBES = (
    *graphs_of_lifting.PROBES,
    one_node_is_not_padded_anew_twice,
    a_constant_on_both_sides_is_folded,
    tampering_is_noticed,
    half_precision_holds,
    half_precision_keeps_shared_values,
    half_precision_keeps_maps_apart,
    merges_cost_no_more,
)
