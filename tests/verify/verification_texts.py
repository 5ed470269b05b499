"""Models as ONNX text, judged on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from bnfuse.verifying import Verdict, Verification, verify

HEADER = '<ir_version: 9, opset_import: ["": 19]>'


def parse(body: str, **tensors: Any) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEADER + body)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in tensors.items()
    )
    return model


def judge(original: Any, candidate: Any, inputs: Any = None, **options: Any) -> Verification:
    one, two = (parse(item) if isinstance(item, str) else item for item in (original, candidate))
    return verify(one, two, inputs, providers=["cpu"], **options)


def caught(result: Verification) -> bool:
    return result.verdict is Verdict.FAIL


def table(rows: int, wrong: int | None = None, body: str = "y = Gather(t, ids)") -> onnx.ModelProto:
    """Looks up rows of a table, one of which may be wrong."""
    values = np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)
    if wrong is not None:
        values[wrong] *= 1.01
    return parse(f"g (int64[N, L] ids) => (float[N, L, 2] y) {{ {body} }}", t=values)
