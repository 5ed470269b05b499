"""Where a signal dies away, all rows and places of a channel share one error: it is no mistake.

Depthwise-separable nets with weights as small as they are drawn at first are such: what their last
layers give is nearly all shift. Each channel's rounding is then one number, however many elements
there are, and the sums of many products which a shift takes back round more than their result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from verification_separable import folded, separable

from bnfuse.verifying import Verdict, verify
from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.onnx_models import OnnxSource
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.truth.jitter import Jitter
from bnfuse.verifying.truth.partial_sums import chain_of, walk

SINGLE = 2.0**-24


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_fold_of_a_separable_net_passes(seed: int) -> None:
    net = separable(seed)
    result = verify(net, folded(net), providers=["cpu"], seed=seed, proof="none")
    assert result.verdict is Verdict.PASS, result.reason


@pytest.mark.parametrize("by", [1e-4, -3e-5])
def test_a_wrong_one_fails(by: float) -> None:
    net = separable(0)
    wrong = folded(net)
    shift = next(item for item in wrong.graph.initializer if item.name == "b9")
    value = numpy_helper.to_array(shift).copy()
    live = int(np.argmax(np.where(value < 5, value, 0)))
    value[live] += by
    shift.CopyFrom(numpy_helper.from_array(value, "b9"))
    assert verify(net, wrong, providers=["cpu"], proof="none").verdict is Verdict.FAIL


def test_equal_numbers_round_alike_and_others_do_not() -> None:
    rows = np.repeat(np.random.default_rng(0).standard_normal((1, 64)), 5, axis=0)
    jitter = Jitter(np.random.default_rng(1), SINGLE)
    for rough in (jitter.rounded(rows), jitter.accumulated(rows, np.ones_like(rows), -1)):
        assert (rough == rough[0]).all()
        assert len(np.unique(rough - rows)) == 64
    same = np.ones((5, 64))
    # Two channels with the same result come to it by other products.
    assert len(np.unique(jitter.accumulated(same, same, -1))) == 64


def test_no_error_leans_to_one_side() -> None:
    value = np.random.default_rng(0).standard_normal(1 << 18)
    jitter = Jitter(np.random.default_rng(1), SINGLE)
    error = (jitter.rounded(value) - value) / (SINGLE * np.abs(value))
    assert abs(error.mean()) < 5e-3
    # A rounding to nearest: 0.42 units in rms over all sizes of numbers.
    assert 0.40 < np.sqrt(np.mean(error**2)) < 0.45


PRODUCTS = [
    ("y = Conv(x, w)", (4, 256, 2, 2), (128, 256, 1, 1), (1, 1)),
    ("y = Conv(x, w)", (4, 1024, 2, 2), (128, 1024, 1, 1), (1, 1)),
    ("y = Conv(x, w)", (2, 64, 9, 9), (64, 64, 3, 3), (1, 1)),
    ("y = Conv<group=64>(x, w)", (2, 64, 24, 24), (64, 1, 5, 5), None),
    ("y = MatMul(x, w)", (32, 1024), (1024, 128), (-1, -2)),
    ("y = MatMul(x, w)", (32, 256), (256, 128), (-1, -2)),
]


@pytest.mark.parametrize(("body", "x", "w", "axes"), PRODUCTS)
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_products_err_as_the_runtime_does(
    body: str, x: tuple[int, ...], w: tuple[int, ...], axes: Any, offset: float
) -> None:
    from bnfuse.verifying.truth.double import DoubleEvaluator

    rng = np.random.default_rng(0)
    value = (rng.standard_normal(x) + offset).astype(np.float32)
    weight = (rng.standard_normal(w)).astype(np.float32)
    shape, out = ",".join(map(str, x)), ",".join("abcd"[: len(x)])
    head = f'<ir_version: 9, opset_import: ["": 20]> g (float[{shape}] x) => (float[{out}] y) '
    model = onnx.parser.parse_model(head + "{ " + body + " }")
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    evaluator = DoubleEvaluator(model)
    true = evaluator.run(None, {"x": value})[0]
    kernel = evaluator.rt_nodes_[0]
    terms = int(np.prod(w[1:])) if len(w) > 2 else w[0]
    chain = chain_of(int(np.prod(true.shape[2:])) if len(w) > 2 else true.shape[-1])
    told = walk(lambda a, b: kernel.run(a, b)[0], value, weight, terms, chain, axes)
    source = OnnxSource("m", given=model).session_input()
    real = [Session(source, row).run({"x": value})[0] - true for row in CPU_ROWS]
    ratios = [float(np.sqrt(np.mean((error / (SINGLE * told)) ** 2))) for error in real]
    # The levels differ; the worse of them is what an honest model may do.
    assert 0.6 < max(ratios) < 1.3, ratios
