"""How far each op of ONNX Runtime lies from the truth: ``python -m benchmarks.runtime_errors``.

Runs every op that approximates, alone, in float32, on numbers of all sizes, and bounds its error
by ``relative * |y| + argument * |x| + absolute`` rounding units. The verifier simulates rounding
by this table (``bnfuse/verifying/runtime/runtime_errors.json``), so that it knows what an honest
model may do on this runtime. Measure it anew when the runtime changes; ``--check`` says whether it
holds.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.calibration import SINGLE, TABLE, OpError
from bnfuse.verifying.runtime.onnx_models import OnnxSource
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.truth.double import DoubleEvaluator
from bnfuse.verifying.truth.jitter import lane_sum

__all__ = ["UNARY", "holds", "measured_lanes", "op_error"]

Array = np.ndarray[Any, Any]

HALVES = "<float h = {0.5}, float r = {0.70710678}, float o = {1}>"
UNARY = {
    name: f"{{ y = {name}(x) }}"
    for name in (
        "Acos", "Asin", "Atan", "Cos", "Elu", "Erf", "Exp", "HardSigmoid", "Log", "Sigmoid",
        "Sin", "Softplus", "Tan", "Tanh",
    )
} | {
    # As exporters spell them: torch has an op for each.
    "Gelu": f"{HALVES} {{ a = Mul(x, r) b = Erf(a) c = Add(b, o) d = Mul(x, c) y = Mul(d, h) }}",
    "expm1": "<float o = {1}> { a = Exp(x) y = Sub(a, o) }",
    "HardSwish": "{ a = HardSigmoid<alpha=0.16666667>(x) y = Mul(x, a) }",
    "log1p": "<float o = {1}> { a = Add(x, o) y = Log(a) }",
    "Mish": "{ a = Softplus(x) b = Tanh(a) y = Mul(x, b) }",
    "Swish": "{ a = Sigmoid(x) y = Mul(x, a) }",
    "LogSoftmax": "{ y = LogSoftmax<axis=-1>(x) }",
    "Softmax": "{ y = Softmax<axis=-1>(x) }",
}  # fmt: skip
"""What is measured, as the body of a graph from ``x`` to ``y``."""

# Beyond these the results or the arguments are none.
_DOMAINS = {
    "Acos": (-1.0, 1.0),
    "Asin": (-1.0, 1.0),
    "Log": (1e-30, 1e30),
    "Tan": (-1.5, 1.5),
    "log1p": (-0.9, 80.0),
}
_ROWS = frozenset({"LogSoftmax", "Softmax"})
# Up to so many units the error is taken to be relative.
_RELATIVE = 16.0


def graph(body: str) -> onnx.ModelProto:
    """Return the model of one op."""
    head = '<ir_version: 9, opset_import: ["": 20]> g (float[N, L] x) => (float[N, L] y) '
    return onnx.parser.parse_model(head + body)


def inputs(op: str, seed: int) -> Array:
    """Return float32 numbers of all sizes that the op takes."""
    rng = np.random.default_rng(seed)
    if op in _ROWS:
        return np.concatenate(
            [(rng.standard_normal((400, 64)) * size).astype(np.float32) for size in (0.3, 1, 3)]
        )
    low, high = _DOMAINS.get(op, (-80.0, 80.0))
    even = [rng.uniform(low, high, (500, 200))]
    even += [rng.uniform(max(low, -size), min(high, size), (500, 200)) for size in (1.0, 5.0, 20.0)]
    sizes = np.exp(rng.uniform(np.log(1e-6), np.log(high), (500, 200)))
    signs = rng.choice([-1.0, 1.0] if low < 0 else [1.0], sizes.shape)
    return np.concatenate([*even, np.clip(sizes * signs, low, high)]).astype(np.float32)


def distances(op: str, seed: int = 0) -> tuple[Array, Array, Array]:
    """Return the sizes of arguments and true results, and the runtime's errors in units."""
    model, x = graph(UNARY[op]), inputs(op, seed)
    found = Session(OnnxSource(op, given=model).session_input(), CPU_ROWS[0]).run({"x": x})[0]
    (true,) = DoubleEvaluator(model).run(None, {"x": x})
    good = np.isfinite(true) & (np.abs(true) < 1e30) & (np.abs(true) > 1e-37)
    error = np.abs(found.astype(np.float64) - true) / SINGLE
    return np.abs(x.astype(np.float64))[good], np.abs(true)[good], error[good]


def op_error(op: str) -> OpError:
    """Return the tightest bound on an op's error, over all sizes of results alike."""
    argument, size, error = distances(op)
    relative = float((error / size).max())
    if relative <= _RELATIVE:
        return OpError(_up(relative))
    least = np.maximum(error, 0.5 * size)
    best = (np.inf, OpError())
    for basis in ("argument", "absolute"):
        other = argument if basis == "argument" else np.ones_like(argument)
        for part in np.geomspace(0.05, 10.0, 60):
            beyond = max(1.0, float(((error - part * other) / size).max()))
            if beyond <= _RELATIVE:
                loose = float(np.mean(np.log((beyond * size + part * other) / least)))
                bound = OpError(_up(beyond), **{basis: _up(float(part))})
                best = min(best, (loose, bound), key=lambda found: found[0])
    return best[1]


def holds(op: str, bound: OpError, seed: int = 1) -> bool:
    """Return whether a bound holds on other numbers than it was measured on, within a fifth."""
    argument, size, error = distances(op, seed)
    allowed = bound.relative * size + bound.argument * argument + bound.absolute
    return bool((error <= 1.2 * allowed).all())


NORM = (
    '<ir_version: 9, opset_import: ["": 20]> g (float[1, 64, H, W] x) => (float[1, 64, H, W] y) '
    "{ y = InstanceNormalization<epsilon=1e-5>(x, o, z) }"
)
MEANS = {
    # Of the whole image.
    "AveragePool": "{ y = AveragePool<kernel_shape=[ROWS, 50]>(x) }",
    "GlobalAveragePool": "{ y = GlobalAveragePool(x) }",
    "ReduceMean": "<int64[2] axes = {2, 3}> { y = ReduceMean(x, axes) }",
}


def measured_lanes(op: str) -> int:
    """Return in how many partial sums an op adds up constant images, at the level with fewest."""
    level = np.random.default_rng(0).uniform(-3, 3, (1, 64, 1, 1)).astype(np.float32)
    mean = op in MEANS
    head = '<ir_version: 9, opset_import: ["": 20]> g (float[1, 64, H, W] x) => '
    fitting = []
    for length in (1000, 4000, 16000):
        text = f"{head}(float[1, 64, 1, 1] y) {MEANS[op]}" if mean else NORM
        model = onnx.parser.parse_model(text.replace("ROWS", str(length // 50)))
        if not mean:
            for name, value in (("o", np.ones(64, np.float32)), ("z", np.zeros(64, np.float32))):
                model.graph.initializer.append(numpy_helper.from_array(value, name))
        x = np.repeat(level, length, axis=2).reshape(1, 64, length // 50, 50)
        for row in CPU_ROWS:
            session = Session(OnnxSource("lanes", given=model).session_input(), row)
            y = session.run({"x": x})[0][0, :, 0, 0].astype(np.float64)
            # A norm gives y = d / sqrt(d * d + eps), where d is the mean's error.
            off = np.abs(y) * np.sqrt(1e-5 / np.maximum(1 - y * y, 1e-12))
            off = y - level[0, :, 0, 0] if mean else off
            real = np.sqrt(np.mean(off**2))
            for lanes in (32, 16, 8, 4, 2, 1):
                summed = lane_sum(x, [2, 3], False, lanes)[0] / length
                if np.sqrt(np.mean((summed - level[0, :, 0, 0]) ** 2)) >= 0.8 * real:
                    fitting.append(lanes)
                    break
            else:
                fitting.append(1)
    return min(fitting)


def main() -> int:
    """Measure and write the table, or check it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="say whether the table still holds")
    options = parser.parse_args()
    if options.check:
        table = json.loads(TABLE.read_text())
        wrong = [op for op, entry in table["errors"].items() if not holds(op, OpError(**entry))]
        wrong += [op for op, lanes in table["lanes"].items() if measured_lanes(op) != lanes]
        print(f"does not hold of {', '.join(wrong)}" if wrong else "the table holds")
        return 1 if wrong else 0
    errors = {op: op_error(op) for op in sorted(UNARY)}
    lanes = {op: measured_lanes(op) for op in (*MEANS, "InstanceNormalization")}
    lines = ",\n".join(f'    "{op}": {json.dumps(_told(error))}' for op, error in errors.items())
    TABLE.write_text(
        f'{{\n  "onnxruntime": "{onnxruntime.__version__}",\n  "errors": {{\n{lines}\n  }},\n'
        f'  "lanes": {json.dumps(lanes)}\n}}\n'
    )
    print(TABLE.read_text())
    return 0


def _told(error: OpError) -> dict[str, float]:
    return {name: value for name, value in asdict(error).items() if value}


def _up(value: float) -> float:
    """Return ``value`` rounded up to two digits."""
    digits = 10.0 ** (1 - int(np.floor(np.log10(value))))
    return float(np.ceil(value * digits) / digits)


if __name__ == "__main__":
    sys.exit(main())
