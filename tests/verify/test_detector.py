"""A detector: a backbone, boxes and scores, and a NonMaxSuppression that takes its rows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from verification_nets import Writer

from bnfuse.verifying import Verdict, verify

SIZE = 8


def detector(seed: int, fold: str = "none", by: float = 0.0) -> onnx.ModelProto:
    """Return a detector of ``image`` (N, 3, 16, 16); ``by`` moves one score's bias."""
    write = Writer(seed, fold)
    x = write.input("image", ["N", 3, 16, 16], write.rng.standard_normal((16, 3, 16, 16)))
    h = write.relu(write.conv_norm(x, 12, 3, pad=1))
    h = write.relu(write.conv_norm(h, 12, 3, stride=2, pad=1))
    scores = write.conv_norm(h, 3, 1, spelling="stock")
    boxes = write.conv_norm(h, 4, 1)
    offset = np.zeros((1, 3, 1, 1))
    offset[0, 1] = by
    scores = write.emit("Add", [scores, write.constant(offset, "offset")])

    def flat(value: str, channels: int) -> str:
        shape = np.array([0, channels, SIZE * SIZE])
        return write.emit("Reshape", [value, write.constant(shape, "shape")])

    corners = write.emit("Transpose", [flat(boxes, 4)], perm=[0, 2, 1])
    known = flat(scores, 3)
    limits = [np.array([6]), np.array([0.3], np.float32), np.array([0.2], np.float32)]
    names = [write.constant(limit, "limit") for limit in limits]
    rows = write.emit("NonMaxSuppression", [corners, known, *names])
    both = write.emit("Gather", [rows, write.constant(np.array([0, 2]), "both")], axis=1)
    write.output(write.emit("GatherND", [corners, both]), "boxes", ["R", 4])
    write.output(rows, "rows", ["R", 3], TensorProto.INT64)
    return write.model()


@pytest.mark.parametrize("seed", range(8))
def test_its_fold_passes(seed: int) -> None:
    result = verify(detector(seed), detector(seed, "float64"), providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason


@pytest.mark.parametrize("by", [1e-4, 1e-2])
def test_scores_that_are_off_are_caught(by: float) -> None:
    wrong = detector(3, "float64", by)
    assert verify(detector(3), wrong, providers=["cpu"]).verdict is Verdict.FAIL


def test_so_is_another_threshold() -> None:
    wrong = detector(3, "float64")
    node = next(item for item in wrong.graph.node if item.op_type == "NonMaxSuppression")
    least = next(item for item in wrong.graph.initializer if item.name == node.input[4])
    least.CopyFrom(helper.make_tensor(least.name, TensorProto.FLOAT, [1], [0.3]))
    assert verify(detector(3), wrong, providers=["cpu"]).verdict is Verdict.FAIL
