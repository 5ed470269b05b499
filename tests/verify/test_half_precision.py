"""Half precision: simulated rounding is of the size of what honest models do, and hides no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from test_runtime_errors import built, conv
from torch import nn
from verification_nets import Writer, attention, cnn, heads, mlp

from bnfuse.verifying import Verdict, verify
from bnfuse.verifying.comparing.contest import _stored
from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.onnx_models import OnnxSource
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.truth.double import DoubleEvaluator
from bnfuse.verifying.truth.jitter import Jitter

UNIT = 2.0**-11


def residual(write: Writer) -> None:
    """Blocks with a SiLU whose sums run through the net."""

    def silu(x: str) -> str:
        gate = write.op("Sigmoid", [x], 1 / (1 + np.exp(-write.values[x])))
        return write.op("Mul", [x, gate], write.values[x] * write.values[gate])

    x = write.input("image", ["N", 3, 16, 16], write.rng.standard_normal((16, 3, 16, 16)))
    h = silu(write.conv_norm(x, 16, 3, pad=1))
    for _ in range(6):
        branch = write.conv_norm(silu(write.conv_norm(h, 16, 3, pad=1)), 16, 3, pad=1)
        h = write.op("Add", [h, branch], write.values[h] + write.values[branch])
    write.output(write.linear(write.pooled(h), 10), "logits", ["N", 10])


KINDS = {"cnn": cnn, "mlp": mlp, "heads": heads, "attention": attention, "residual": residual}


def half(kind: str, seed: int, fold: str = "none") -> onnx.ModelProto:
    write = Writer(seed, fold, dtype=np.float16)
    KINDS[kind](write)
    return write.model()


def feeds(model: onnx.ModelProto, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    (port,) = model.graph.input
    shape = [32 if dim.dim_param else dim.dim_value for dim in port.type.tensor_type.shape.dim]
    return {port.name: rng.standard_normal(shape).astype(np.float16)}


def truth(model: onnx.ModelProto, x: dict[str, Any]) -> Any:
    return DoubleEvaluator(model).run(None, x)[0]


def off(model: onnx.ModelProto, x: dict[str, Any], exact: Any) -> float:
    """Return the largest rms error of a model's runs in its first output."""
    source = OnnxSource("m", given=model).session_input()
    return max(rms(Session(source, row).run(x)[0] - exact) for row in CPU_ROWS)


def rms(value: Any) -> float:
    return float(np.sqrt(np.mean(np.asarray(value, np.float64) ** 2)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_simulated_rounding_is_of_the_size_of_the_real_one(kind: str, seed: int) -> None:
    models = [half(kind, seed, fold) for fold in ("none", "float64", "float32")]
    x = feeds(models[0], seed)
    evaluator = DoubleEvaluator(models[0])
    exact = evaluator.run(None, x)[0]
    drawn = []
    for draw in range(8):
        evaluator.jitter = Jitter(np.random.default_rng(draw), UNIT)
        drawn.append(rms(_stored(evaluator.run(None, x)[0], np.zeros(0, np.float16)) - exact))
    real = max(off(model, x, exact) for model in models)
    assert 0.5 * real <= float(np.mean(drawn)) <= 2.0 * real


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20, 22))
@pytest.mark.parametrize("fold", ["float64", "float32"])
def test_right_candidates_pass(kind: str, seed: int, fold: str) -> None:
    result = verify(half(kind, seed), half(kind, seed, fold), providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason


def with_less_shift(right: onnx.ModelProto, place: int, by: float) -> onnx.ModelProto:
    """Return a fold of which one channel's shift, the largest of one layer, is less by a part."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(right)
    linear = [
        node
        for node in wrong.graph.node
        if node.op_type in {"Conv", "ConvTranspose", "Gemm"} and len(node.input) > 2
    ]
    name = linear[place % len(linear)].input[2]
    stored = next(item for item in wrong.graph.initializer if item.name == name)
    shift = numpy_helper.to_array(stored).astype(np.float64)
    shift[np.abs(shift).argmax()] *= 1 - by
    stored.CopyFrom(numpy_helper.from_array(shift.astype(np.float16), name))
    return wrong


# How many times the noise: what the original errs by in the first three, what a right fold does
# in the others, whose weights, rounded anew, err up to thirty times as far as the original.
@pytest.mark.parametrize(
    ("kind", "times", "fold"),
    [("cnn", 13, "none"), ("heads", 13, "none"), ("attention", 6, "float64"),
     ("residual", 6, "float64"), ("mlp", 6, "float64")],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 4])
def test_a_shift_that_is_less_by_thirteen_times_the_noise_is_caught(
    kind: str, times: float, fold: str, place: int
) -> None:
    original, right = half(kind, 5), half(kind, 5, "float64")
    x = feeds(original, 5)
    noise = off(half(kind, 5, fold), x, truth(original, x))
    folded = truth(right, x)
    by, effect = 1.0, 0.0
    for _ in range(8):
        wrong = with_less_shift(right, place, by)
        effect = rms(truth(wrong, x) - folded) / noise
        if effect <= 1.05 * times:
            break
        by *= times / effect
    if effect < 0.5 * times:
        pytest.skip("no shift of this layer has so large an effect")
    result = verify(original, wrong, providers=["cpu"], seed=5)
    assert result.verdict is Verdict.FAIL, (effect, by)


def single_edges(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a half-precision model that takes and gives float32, as converters write it."""
    for info, place in ((model.graph.input[0], 0), (model.graph.output[0], len(model.graph.node))):
        name = info.name
        for node in model.graph.node:
            for names in (node.input, node.output):
                for position, other in enumerate(names):
                    if other == name:
                        names[position] = f"{name}_half"
        edge = [name, f"{name}_half"] if not place else [f"{name}_half", name]
        kind = TensorProto.FLOAT16 if not place else TensorProto.FLOAT
        model.graph.node.insert(
            place + bool(place), helper.make_node("Cast", edge[:1], edge[1:], to=kind)
        )
        info.type.tensor_type.elem_type = TensorProto.FLOAT
    return model


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_half_precision_inside_is_known_by_its_constants(kind: str, seed: int) -> None:
    original, right = (single_edges(half(kind, seed, fold)) for fold in ("none", "float64"))
    result = verify(original, right, providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason


def test_half_precision_at_the_edge_excuses_no_weight_inside() -> None:
    write = Writer(4, "none", dtype=np.float32)
    mlp(write)
    original = write.model()
    final = next(node for node in original.graph.node if node.output[0] == "logits")
    final.output[0] = "wide"
    original.graph.node.append(
        helper.make_node("Cast", ["wide"], ["logits"], to=TensorProto.FLOAT16)
    )
    original.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    wrong = onnx.ModelProto()
    wrong.CopyFrom(original)
    for item in wrong.graph.initializer:
        # As a converter does that rounds the weights to half precision.
        value = numpy_helper.to_array(item)
        if value.dtype == np.float32 and value.ndim == 2:
            rounded = value.astype(np.float16).astype(np.float32)
            item.CopyFrom(numpy_helper.from_array(rounded, item.name))
    assert verify(original, wrong, providers=["cpu"]).verdict is Verdict.FAIL


def module(depth: int = 4) -> tuple[nn.Module, tuple[int, ...]]:
    body = [conv(3, 16), *(conv(16, 16) for _ in range(depth))]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8)), (
        3,
        16,
        16,
    )


@pytest.mark.parametrize("seed", range(2))
def test_a_module_in_half_precision_is_its_export(seed: int) -> None:
    original, _ = built(module, seed)
    from bnfuse import fold

    x = torch.randn(2, 3, 16, 16).half()
    folded = fold(original.half(), x).model
    result = verify(original, folded, x, providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason
