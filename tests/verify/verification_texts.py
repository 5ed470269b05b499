"""Models as ONNX text, judged on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from bnfuse.verifying import Verdict, Verification, verify

if TYPE_CHECKING:
    from pathlib import Path

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


def outside(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model whose constants, the scalars too, all lie in a file of their own."""
    for item in model.graph.initializer:
        item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item), item.name))
    onnx.save_model(
        model, path, save_as_external_data=True, location="m.data", size_threshold=0,
        convert_attribute=True,
    )  # fmt: skip
    return path


def caught(result: Verification) -> bool:
    return result.verdict is Verdict.FAIL


def table(rows: int, wrong: int | None = None, body: str = "y = Gather(t, ids)") -> onnx.ModelProto:
    """Looks up rows of a table, one of which may be wrong."""
    values = np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)
    if wrong is not None:
        values[wrong] *= 1.01
    return parse(f"g (int64[N, L] ids) => (float[N, L, 2] y) {{ {body} }}", t=values)
