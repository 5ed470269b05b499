"""A stored weight is read in its own dtype: its peaks are those of its exact magnitudes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.lifting.weight import Layout, StoredWeight

LAYOUTS = {
    "conv": Layout((6, 4, 3, 3), 0, 1),
    "grouped": Layout((6, 2, 3), 0, 1, group=2),
    "depthwise": Layout((8, 1, 3, 3), 0, 1, group=8),
    "transposed": Layout((6, 4, 2, 2), 1, 0, transposed=True),
    "transposed and grouped": Layout((6, 2, 3), 1, 0, group=3, transposed=True),
    "matrix on the right": Layout((1, 5, 7), 2, 1),
    "matrix on the left": Layout((5, 7), 0, 1),
}
DTYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


def stored(array: np.ndarray, layout: Layout, gain: float) -> StoredWeight:
    tensor = ir.Tensor(array, name="w")
    value = ir.Value(name="w", type=ir.TensorType(tensor.dtype), const_value=tensor)
    constant = ConstantEvaluator(20).constant(value)
    assert constant is not None
    return StoredWeight(constant, layout, gain)


@pytest.mark.parametrize("gain", [1.0, -0.5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("what", LAYOUTS)
def test_peaks_are_the_largest_magnitudes_of_the_exact_weight(what: str, dtype, gain) -> None:
    layout = LAYOUTS[what]
    array = np.random.default_rng(0).standard_normal(layout.shape).astype(dtype)
    weight = stored(array, layout, gain)
    exact = np.abs(weight.canonical())
    rows, columns = weight.peaks
    assert np.array_equal(rows, exact.max(axis=(2, 3)).ravel())
    assert np.array_equal(columns, exact.max(axis=(1, 3)).ravel())


def test_the_canonical_weight_is_the_callers_own() -> None:
    layout = LAYOUTS["conv"]
    array = np.ones(layout.shape)
    weight = stored(array, layout, 1.0)
    changed = weight.canonical()
    changed *= 2.0
    assert np.all(array == 1.0)
    assert np.all(weight.canonical() == 1.0)
