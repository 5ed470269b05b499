"""A norm in single precision between half-precision layers folds with the casts around it."""

from __future__ import annotations

import numpy as np
from graphs import Net, Result, fold_model
from onnx import TensorProto


def mixed(*, narrow_again: bool = True, linear: bool = True) -> Result:
    net = Net(dtype=np.float16)
    x = net.input(["N", 4, 8, 8])
    y = net.conv(x, 4, 4, (1, 1)) if linear else net.op("Sigmoid", x)
    wide = net.op("Cast", y, to=TensorProto.FLOAT)
    net.dtype = np.dtype(np.float32)
    out = net.norm(wide, 4, 2)
    if narrow_again:
        net.dtype = np.dtype(np.float16)
        out = net.op("Cast", out, to=TensorProto.FLOAT16)
    return fold_model(net.model(net.op("Relu", out)))


def test_the_norm_and_its_casts_go_into_the_half_conv() -> None:
    result = mixed()
    assert result.ops == ["Conv", "Relu"]
    assert {t.data_type for t in result.after.graph.initializer} == {TensorProto.FLOAT16}


def test_a_norm_whose_result_stays_wide_keeps_its_cast() -> None:
    result = mixed(narrow_again=False)
    assert result.ops[:2] == ["Conv", "Cast"]
    assert "Cast" in result.reason()


def test_what_is_left_still_computes_in_the_wide_type() -> None:
    result = mixed(linear=False)
    assert result.ops.count("Cast") == 2
    assert "BatchNormalization" not in result.ops
    assert not result.all_folded
