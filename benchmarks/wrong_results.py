"""The smallest models of which a released tool makes another function, and what a proof says of it.

    python -m benchmarks.wrong_results [--save]

Each is a few nodes of ONNX text with random weights. The tool's own result is proved or refuted
against the model, and both are run by ONNX Runtime with no optimisation: the largest difference
relative to the largest output. A tool's next release may be right: versions are told.
"""

from __future__ import annotations

__all__ = ["REPRODUCERS", "main"]

import argparse
import contextlib
import io
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from benchmarks.environment import save
from benchmarks.proof import TOOLS_TO_PROVE
from benchmarks.tools import MissingToolError
from bnfuse.proving import prove

_HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
_NORM = {"gamma": (4,), "beta": (4,), "mean": (4,), "var": (4,)}

REPRODUCERS: dict[str, tuple[str, str, str, dict[str, tuple[int, ...]]]] = {
    "MatMul, Reshape that moves the channel axis, BatchNormalization": (
        "onnxruntime basic",
        "onnxruntime",
        """g (float[6,5] x) => (float[A,B,C] y)
        { m = MatMul(x, w)  s = Constant<value_ints = [2, 4, 3]>()  r = Reshape(m, s)
          y = BatchNormalization(r, gamma, beta, mean, var) }""",
        {"w": (5, 4), **_NORM},
    ),
    "Pad by 0, MaxPool": (
        "onnxruntime basic",
        "onnxruntime",
        """g (float[1,2,6,6] x) => (float[A,B,C,D] y)
        { n = Abs(x)  m = Neg(n)  s = Constant<value_ints = [0, 0, 1, 1, 0, 0, 1, 1]>()
          p = Pad(m, s)  y = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(p) }""",
        {},
    ),
    "Conv, Mul by a constant along the width, as long as the channels": (
        "onnxslim",
        "onnxslim",
        """g (float[1,3,6,6] x) => (float[A,B,C,D] y) { c = Conv(x, w)  y = Mul(c, s) }""",
        {"w": (4, 3, 3, 3), "s": (4,)},
    ),
    "BatchNormalization that trains, behind Conv": (
        "onnxscript",
        "onnxscript",
        """g (float[2,3,6,6] x) => (float[A,B,C,D] y)
        { c = Conv(x, w)
          y, m, v = BatchNormalization<training_mode = 1>(c, gamma, beta, mean, var) }""",
        {"w": (4, 3, 3, 3), **_NORM},
    ),
}
"""What it is; the tool, the package, the graph, and the shapes of its constants."""


def main() -> None:
    """Run each tool on its model, print what came out, and save it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wrong_results", description=__doc__)
    parser.add_argument("--save", action="store_true", help="save what was found")
    arguments = parser.parse_args()
    rows = [_row(name) for name in REPRODUCERS]
    for row in rows:
        print(f"{row['tool']} {row['version']}: {row['model']}: {row['proof']}, {row['error']}")
    if arguments.save:
        print(f"saved to {save('wrong_results', {'rows': rows})}")


def _row(name: str) -> dict[str, Any]:
    tool, package, text, shapes = REPRODUCERS[name]
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(f"{_HEAD} {text}")
    for constant, shape in shapes.items():
        array = rng.uniform(0.5, 2.0, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, constant))
    row: dict[str, Any] = {"model": name, "tool": tool, "text": " ".join(text.split())}
    optimise = next(item.optimise for item in TOOLS_TO_PROVE if item.name == tool)
    assert optimise is not None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "made.onnx")
        onnx.save(model, source)
        try:
            row["version"] = version(package)
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                optimise(source, target)
        except (MissingToolError, ImportError) as missing:
            return {**row, "version": "?", "proof": "MISSING", "error": str(missing)}
        except Exception as error:
            return {**row, "proof": "CRASHED", "error": f"{type(error).__name__}: {error}"[:200]}
        found = prove(source, target)
        status = "PROVED" if found.proved else "DIFFERENT" if found.difference else "NOT PROVED"
        row["proof"] = f"{status} {found.difference or found.reason}".strip()
        row["error"] = _error(source, target)
    return row


def _error(source: Path, target: Path) -> str:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    outputs = []
    for path in (source, target):
        try:
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        except Exception as error:
            return f"{path.name} is not run: {str(error)[:120]}"
        feed = session.get_inputs()[0]
        x = np.random.default_rng(1).standard_normal(feed.shape).astype(np.float32)
        outputs.append(session.run(None, {feed.name: x})[0])
    worst = np.max(np.abs(outputs[0] - outputs[1])) / np.max(np.abs(outputs[0]))
    return f"relative error {worst:.2g}"


if __name__ == "__main__":
    main()
