"""A small fixed set of graphs and probes that is right only if every rule is."""

from __future__ import annotations

from dataclasses import dataclass

import graphs_of_linear_maps  # noqa: F401
import graphs_of_neighbours  # noqa: F401
import graphs_of_normalizers  # noqa: F401
import graphs_of_passes  # noqa: F401
import numpy as np
import onnx
from graphs import Net, feeds_for, fold_model, run
from mutation_registry import GRAPHS, Build
from onnx import helper
from random_graphs import seeded_model

from bnfuse.errors import FoldError
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


def cases() -> tuple[Case, ...]:
    """Every fixed graph, and some random ones."""
    fixed = [Case.of(build.__name__, _model(shape, build)) for shape, build in GRAPHS]
    return (*fixed, *(Case.of(f"seed {seed}", seeded_model(seed)) for seed in SEEDS))


def _model(shape: list[int | str], build: Build) -> onnx.ModelProto:
    net = Net(seed=len(build.__name__))
    made = build(net, net.input(shape))
    return net.model(*((made,) if isinstance(made, str) else made))


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


PROBES = (tampering_is_noticed, half_precision_holds)
