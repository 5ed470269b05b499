"""Is a net faster when the scale and shift of its normalisers lie in the linear maps behind them?

Each family spells the normaliser in one way. Its nets compute the same function (checked here, in
float32): *whole* has the scale and shift behind the normaliser, *given* has them in the weights
and biases of the three linear maps that follow. ONNX Runtime makes one op of some spellings, and
only of whole ones: which of them bnfuse leaves alone is decided by this table.

    python -m benchmarks.normalizer_forms [--rounds N] [--quick]
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from benchmarks.environment import save
from bnfuse.bench.sessions import open_runner
from bnfuse.bench.statistics import paired_ratio
from bnfuse.bench.timing import Schedule, interleave

Array = NDArray[np.float64]

_LAYERS = 4
_HEADS = 3
_EPSILON = 1e-5
_TOLERANCE = 2e-4
_CASES = ((64, 64), (256, 196), (768, 197))
"""Width and number of positions."""


@dataclass
class _Net:
    """An ONNX graph in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        stored = np.asarray(array)
        stored = stored if stored.dtype == np.int64 else stored.astype(np.float32)
        self.constants.append(numpy_helper.from_array(stored, name))
        return name

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def model(self, y: str, shape: tuple[int, ...], opset: int) -> bytes:
        x, y_info = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", y)
        )
        graph = helper.make_graph(self.nodes, "net", [x], [y_info], self.constants)
        imports = [helper.make_opsetid("", opset)]
        made = helper.make_model(graph, opset_imports=imports, ir_version=8 if opset < 23 else 11)
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString())


@dataclass(frozen=True)
class _Family:
    """How the normaliser is spelt: by one op, or in elementary ops."""

    op_type: str = ""
    centred: bool = True
    squared: str = "Pow"
    inverse: str = ""
    has_bias: bool = True

    @property
    def opset(self) -> int:
        return 23 if self.op_type == "RMSNormalization" else 18

    def normalised(self, net: _Net, x: str, scale: Array | None, shift: Array | None) -> str:
        if self.op_type:
            constants = [net.constant(np.ones(_width(scale, shift)) if scale is None else scale)]
            if shift is not None:
                constants.append(net.constant(shift))
            return net.op(self.op_type, x, *constants, epsilon=_EPSILON)
        return _shifted(net, _scaled(net, self._standardised(net, x), scale), shift)

    def _standardised(self, net: _Net, x: str) -> str:
        axis = net.constant(np.array([-1], np.int64))
        if self.centred:
            x = net.op("Sub", x, net.op("ReduceMean", x, axis))
        is_power = self.squared == "Pow"
        square = net.op("Pow", x, net.constant(2.0)) if is_power else net.op("Mul", x, x)
        mean = net.op("ReduceMean", square, axis)
        root = net.op("Sqrt", net.op("Add", mean, net.constant(_EPSILON)))
        if self.inverse == "Reciprocal":
            return net.op("Mul", x, net.op("Reciprocal", root))
        if self.inverse == "Div":
            return net.op("Mul", x, net.op("Div", net.constant(1.0), root))
        return net.op("Div", x, root)


_FAMILIES = {
    "LayerNormalization": _Family("LayerNormalization"),
    "LayerNormalization, MatMul without bias": _Family("LayerNormalization", has_bias=False),
    "RMSNormalization": _Family("RMSNormalization", centred=False),
    "LayerNorm by Pow, Div": _Family(),
    "LayerNorm by Pow, Reciprocal": _Family(inverse="Reciprocal"),
    "LayerNorm by Mul, Div": _Family(squared="Mul"),
    "RMSNorm by Pow, Div": _Family(centred=False),
    "RMSNorm by Pow, 1 / Sqrt": _Family(centred=False, inverse="Div"),
    "RMSNorm by Pow, Reciprocal": _Family(centred=False, inverse="Reciprocal"),
    "RMSNorm by Mul, Div": _Family(centred=False, squared="Mul"),
}


def main() -> None:
    """Measure all families, print a table, save the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.normalizer_forms")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--quick", action="store_true", help="one case, not saved")
    arguments = parser.parse_args()
    schedule = Schedule(rounds=arguments.rounds)
    cases = _CASES[:1] if arguments.quick else _CASES
    rows = [_measure(name, *case, schedule) for name in _FAMILIES for case in cases]
    console = Console(width=120)
    console.print(_table(rows))
    if not arguments.quick:
        path = save("normalizer_forms", {"rounds": schedule.rounds, "rows": rows})
        console.print(f"saved to {path}")


def _measure(name: str, width: int, length: int, schedule: Schedule) -> dict[str, Any]:
    family, shape = _FAMILIES[name], (1, length, width)
    models = {form: _build(family, shape, given=form == "given") for form in ("whole", "given")}
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    runners = {form: open_runner(model, "cpu", 1, form) for form, model in models.items()}
    whole, given = (runner.run({"x": x})[0] for runner in runners.values())
    if not np.abs(whole - given).max() < _TOLERANCE * np.abs(whole).max():
        raise AssertionError(f"{name}, {shape}: the two forms differ")
    calls: list[Callable[[], object]] = [
        partial(runner.session.run, None, {"x": x}) for runner in runners.values()
    ]
    # The process's own time: with one thread it is the wall's, less what other programs took.
    seconds = interleave(calls, schedule, clock=time.process_time)
    ratio = paired_ratio(seconds[1], seconds[0])
    return {
        "family": name,
        "width": width,
        "length": length,
        "whole_s": float(np.median(seconds[0])),
        "given_s": float(np.median(seconds[1])),
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
    }


def _build(family: _Family, shape: tuple[int, ...], *, given: bool) -> bytes:
    """Layers of a normaliser, three linear maps that read it, and a residual sum."""
    rng, width = np.random.default_rng(0), shape[-1]
    net, x = _Net(), "x"
    for _ in range(_LAYERS):
        scale = rng.uniform(0.5, 1.5, width)
        shift = rng.normal(0, 0.3, width) if family.centred else None
        kept = (np.ones(width) if family.op_type else None, None) if given else (scale, shift)
        y = family.normalised(net, x, *kept)
        parts = []
        for _ in range(_HEADS):
            weight = rng.normal(0, width**-0.5, (width, width))
            bias = rng.normal(0, 0.1, width) if family.has_bias else None
            if given and shift is not None:
                bias = shift @ weight + (0.0 if bias is None else bias)
            weight = scale[:, None] * weight if given else weight
            parts.append(_shifted(net, net.op("MatMul", y, net.constant(weight)), bias))
        gated = net.op("Mul", net.op("Sigmoid", parts[0]), parts[1])
        x = net.op("Add", x, net.op("Add", gated, parts[2]))
    return net.model(x, shape, family.opset)


def _scaled(net: _Net, x: str, scale: Array | None) -> str:
    return x if scale is None else net.op("Mul", x, net.constant(scale))


def _shifted(net: _Net, x: str, shift: Array | None) -> str:
    return x if shift is None else net.op("Add", x, net.constant(shift))


def _width(*constants: Array | None) -> int:
    return next(constant.size for constant in constants if constant is not None)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="time of given over whole", title_justify="left")
    for column in ("normaliser", *(f"{w} × {n}" for w, n in _CASES)):
        table.add_column(column, justify="left" if column == "normaliser" else "right")
    for name in dict.fromkeys(row["family"] for row in rows):
        cells = [
            f"{row['ratio']:.2f} ±{(row['high'] - row['low']) / 2:.2f}"
            for row in rows
            if row["family"] == name
        ]
        table.add_row(name, *cells)
    return table


if __name__ == "__main__":
    main()
