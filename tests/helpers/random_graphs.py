"""Random graphs over every op that the rules know, in double precision, as hypothesis draws them.

Sizes are small and square on purpose: channels, heights and widths are often the same number, so a
scale matched to an axis by its length goes wrong at once. Half of the steps are sandwiches, a
linear map, ops that a norm may pass and a norm, or the other way round, so that most norms meet
something that takes them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from graphs import Net
from hypothesis import strategies as st
from onnx import helper
from random_linear import JOINED, LINEAR, NORMS
from random_passed import PASSED
from random_shapes import SIZES, Made, Makers, Shape
from random_streams import STREAMS

if TYPE_CHECKING:
    import onnx

Draw = Callable[[st.SearchStrategy[int]], int]
OPSET = 21
"""The first with GroupNormalization as it is now."""
OPS: Makers = (*NORMS, *LINEAR, *PASSED, *JOINED, *STREAMS, *STREAMS)


_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class Seeded:
    """Draws plain random numbers: thousands of graphs in the time that hypothesis takes for one."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, count: int) -> int:
        return self._random.randrange(count)


def seeded_model(seed: int) -> onnx.ModelProto:
    """The graph of a seed."""
    draw = Seeded(seed)
    return RandomNet(draw).build(steps=2 + draw.below(7))


def with_shared_weights(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The same graph, where linear maps of one shape often have one weight."""
    chance = random.Random(seed)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    weights: dict[tuple[int, ...], list[str]] = {}
    for node in model.graph.node:
        for position, name in enumerate(node.input[:2]):
            if node.op_type not in _LINEAR or not shapes.get(name):
                continue
            others = weights.setdefault(shapes[name], [])
            if others and chance.random() < 0.7:
                node.input[position] = chance.choice(others)
            else:
                others.append(name)
    return model


class RandomNet:
    """Grows a graph by one op at a time on values whose shapes it keeps track of."""

    def __init__(self, draw: Draw | Seeded) -> None:
        self._draw = draw
        self.net = Net(seed=self.number(1000), opset=OPSET)
        self.values: list[tuple[str, Shape]] = []
        self.outputs: list[str] = []

    def number(self, below: int) -> int:
        if isinstance(self._draw, Seeded):
            return self._draw.below(below)
        return self._draw(st.integers(0, below - 1))

    def pick(self, options: tuple[int, ...] | list[int]) -> int:
        return options[self.number(len(options))]

    def build(self, steps: int) -> onnx.ModelProto:
        rank = 2 + self.number(4)
        batch: int | str = "N" if self.number(2) else 4
        shape: Shape = [batch, *(self.pick(SIZES) for _ in range(rank - 1))]
        self.values.append((self.net.input(shape), shape))
        for _ in range(steps):
            self._step()
        consumed = {name for node in self.net.nodes for name in node.input}
        made = [name for node in self.net.nodes for name in node.output]
        inner = [name for name, _ in self.values[1:] if name in consumed]
        tapped = [name for name in dict.fromkeys(inner) if self.number(12) == 11]
        sinks = [name for name in made if name not in consumed]
        return self._declared(self.net.model(*tapped, *sinks))

    def _declared(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Declare the outputs whose shapes onnx cannot infer."""
        shapes = dict(self.values)
        for output in model.graph.output:
            if not output.type.tensor_type.HasField("shape"):
                element = output.type.tensor_type.elem_type
                info = helper.make_tensor_value_info(output.name, element, shapes.get(output.name))
                output.CopyFrom(info)
        return model

    def _step(self) -> None:
        back = self.number(4)
        current = self.values[-1 - (back if back < len(self.values) and back == 3 else 0)]
        for makers in self._recipe():
            made = self._make(makers, *current)
            if made is not None:
                self.values.append(made)
                current = made

    def _recipe(self) -> Iterator[Makers]:
        """A single op, or a sandwich of a linear map, ops that are passed, and a norm."""
        kind = self.number(4)
        if kind < 2:
            yield OPS
            return
        yield LINEAR if kind == 2 else NORMS
        for _ in range(self.number(4)):
            yield PASSED
        yield NORMS if kind == 2 else LINEAR

    def _make(self, makers: Makers, x: str, shape: Shape) -> Made:
        choices = [make for make, ranks in makers if len(shape) in ranks]
        for _ in range(3):
            made = choices[self.number(len(choices))](self, x, shape)
            if made is not None:
                return made
        return None

    def other(self, shape: Shape) -> str | None:
        same = [name for name, other in self.values if other == shape]
        return same[self.number(len(same))] if same else None
