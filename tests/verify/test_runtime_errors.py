"""What the runtime's own ops err by is no fault of a model, and excuses no other."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from verification_mutations import one_off
from verification_nets import NETS

from benchmarks.runtime_errors import MEANS, UNARY, holds, measured_lanes
from bnfuse.verifying import Verdict, verify
from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.calibration import SINGLE, TABLE, error_of, lanes_of
from bnfuse.verifying.runtime.floats import unit_roundoff
from bnfuse.verifying.runtime.onnx_models import OnnxSource
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.truth.double import DoubleEvaluator
from bnfuse.verifying.truth.jitter import Jitter
from bnfuse.verifying.truth.torch_model import TorchModel

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("op", UNARY)
def test_the_table_holds_on_this_runtime(op: str) -> None:
    assert holds(op, error_of(op)), "measure it anew: python -m benchmarks.runtime_errors"


@pytest.mark.parametrize("op", [*MEANS, "InstanceNormalization"])
def test_so_do_the_lanes_of_its_sums(op: str) -> None:
    assert lanes_of(op) == measured_lanes(op)


def test_the_table_has_every_measured_op_and_no_other() -> None:
    assert set(json.loads(TABLE.read_text())["errors"]) == set(UNARY)


def conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.SiLU())


def detector_scores() -> tuple[nn.Module, tuple[int, ...]]:
    """Scores that are nearly all zero: the bias of a class that is hardly ever there."""
    last = nn.Conv2d(16, 8, 1)
    with torch.no_grad():
        last.weight.mul_(8)
        assert last.bias is not None
        last.bias.fill_(-12.0)
    return nn.Sequential(conv(3, 16), conv(16, 16, 2), last, nn.Sigmoid()), (3, 24, 24)


class Waves(nn.Module):
    """A norm over time, which has a constant signal for what is left of its own rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(1, 16, 10, 5, bias=False), nn.GroupNorm(16, 16)
        self.second = nn.Conv1d(16, 16, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = nn.functional.gelu(self.norm(self.first(x)))
        return nn.functional.gelu(self.second(normed))


def waves() -> tuple[nn.Module, tuple[int, ...]]:
    return Waves(), (1, 8000)


def built(
    build: Callable[[], tuple[nn.Module, tuple[int, ...]]], seed: int
) -> tuple[nn.Module, onnx.ModelProto]:
    """Return a module whose norms have seen data, and its unfolded export."""
    torch.manual_seed(seed)
    module, shape = build()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        module(torch.randn(8, *shape))
    module.eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.randn(2, *shape),), buffer, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "N"}}, dynamo=False, opset_version=17,
        )  # fmt: skip
    return module, onnx.load_from_string(buffer.getvalue())


BUILDS = [detector_scores, waves]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("build", BUILDS)
def test_an_export_passes_where_the_runtime_errs(build: Any, seed: int) -> None:
    result = verify(*built(build, seed), providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason


def shifted(model: onnx.ModelProto, by: float) -> None:
    final = next(node for node in model.graph.node if node.output[0] == "y")
    final.output[0] = "inner"
    model.graph.initializer.append(numpy_helper.from_array(np.array(by, np.float32), "by"))
    model.graph.node.append(onnx.helper.make_node("Add", ["inner", "by"], ["y"]))


def weight_off(model: onnx.ModelProto, by: float) -> None:
    name = next(n.input[1] for n in reversed(model.graph.node) if n.op_type == "Conv")
    tensor = next(item for item in model.graph.initializer if item.name == name)
    changed = one_off(by)(numpy_helper.to_array(tensor).copy(), np.random.default_rng(0))
    tensor.CopyFrom(numpy_helper.from_array(changed, name))


def bypassed(model: onnx.ModelProto, by: float) -> None:
    del by
    node = next(n for n in model.graph.node if n.op_type in {"Sigmoid", "Erf"})
    node.op_type = "Tanh"


@pytest.mark.parametrize("wrong", [(shifted, 2e-6), (weight_off, 1e-3), (bypassed, 0.0)])
@pytest.mark.parametrize("build", BUILDS)
def test_and_hides_no_mistake_there(build: Any, wrong: tuple[Any, float]) -> None:
    module, model = built(build, 0)
    wrong[0](model, wrong[1])
    assert verify(module, model, providers=["cpu"]).verdict is Verdict.FAIL


POOLS = {
    "AveragePool<kernel_shape=[60, 50]>": nn.AvgPool2d((60, 50)),
    "AveragePool<kernel_shape=[40, 40], strides=[10, 10]>": nn.AvgPool2d(40, 10),
    "GlobalAveragePool": nn.AdaptiveAvgPool2d(1),
}


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_of_constant_images_errs_in_proportion_to_their_size(pool: str) -> None:
    """The pool of the runtime, of its float64 run that errs, and of torch's."""
    head = '<ir_version: 9, opset_import: ["": 20]> g (float[1, 64, H, W] x) => '
    model = onnx.parser.parse_model(f"{head}(float[1, 64, P, Q] y) {{ y = {pool}(x) }}")
    level = np.random.default_rng(0).uniform(-3, 3, (1, 64, 1, 1)).astype(np.float32)
    x = np.broadcast_to(level, (1, 64, 60, 50)).copy()
    source = OnnxSource("pool", given=model).session_input()
    real = max(rms(Session(source, row).run({"x": x})[0] - level) for row in CPU_ROWS)
    evaluator = DoubleEvaluator(model)
    evaluator.jitter = Jitter(np.random.default_rng(0), SINGLE)
    drawn = rms(evaluator.run(None, {"x": x})[0] - level)
    feeds = {"x": x}
    jitter = Jitter(np.random.default_rng(0), SINGLE)
    told = TorchModel(POOLS[pool], ["x"]).run_double(feeds, jitter=jitter)[0][0]
    assert real > 20 * SINGLE * rms(level)
    assert 0.8 * real <= drawn <= 1.3 * real
    assert 0.8 * real <= rms(told - level) <= 1.3 * real


@pytest.mark.parametrize("width", [32, 768, 3072])
@pytest.mark.parametrize("level", [0.0, 1.0, 10.0])
def test_a_layer_norm_of_a_sum_errs_as_a_running_mean_does(width: int, level: float) -> None:
    """The layer norm that the runtime makes one op of with the addition before it, and torch's."""
    head = f'<ir_version: 9, opset_import: ["": 17]> g (float[N, 8, {width}] x'
    model = onnx.parser.parse_model(
        f"{head}, float[N, 8, {width}] z) => (float[N, 8, {width}] y) "
        "{ a = Add(x, z) y = LayerNormalization(a, one, none) }"
    )
    for name, value in (("one", np.ones(width)), ("none", np.zeros(width))):
        stored = numpy_helper.from_array(value.astype(np.float32), name)
        model.graph.initializer.append(stored)
    x = np.random.default_rng(0).standard_normal((32, 8, width)).astype(np.float32) + level
    feeds = {"x": x.astype(np.float32), "z": np.zeros_like(x, np.float32)}
    source = OnnxSource("norm", given=model).session_input()
    evaluator = DoubleEvaluator(model)
    (truth,) = evaluator.run(None, feeds)
    real = max(rms(Session(source, row).run(feeds)[0] - truth) for row in CPU_ROWS)
    jitter = Jitter(np.random.default_rng(0), SINGLE)
    evaluator.jitter = jitter
    drawn = rms(evaluator.run(None, feeds)[0] - truth)
    told = TorchModel(nn.LayerNorm(width), ["x"]).run_double({"x": feeds["x"]}, jitter=jitter)[0][0]
    assert 0.6 * real <= drawn <= 1.5 * real
    assert 0.6 * real <= rms(told - truth) <= 1.5 * real


@pytest.mark.parametrize("first", [1.0, 0.3])
@pytest.mark.parametrize("terms", [16, 62, 256, 384, 1024])
def test_a_dot_product_of_equal_terms_errs_in_proportion_to_their_number(
    terms: int, first: float
) -> None:
    """As where all tokens but the first are alike: the runtime, and its float64 run that errs."""
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 18]> g (float[64, {terms}] x, float[{terms}, 128] z) '
        "=> (float[64, 128] y) { y = MatMul(x, z) }"
    )
    rng = np.random.default_rng(0)
    feeds = {
        "x": np.repeat(rng.uniform(0.2, 1, (64, 1)), terms, 1).astype(np.float32),
        "z": np.repeat(rng.standard_normal((1, 128)), terms, 0).astype(np.float32),
    }
    feeds["z"][0] *= np.float32(first)
    source = OnnxSource("product", given=model).session_input()
    evaluator = DoubleEvaluator(model)
    (truth,) = evaluator.run(None, feeds)
    real = max(rms(Session(source, row).run(feeds)[0] - truth) for row in CPU_ROWS)
    evaluator.jitter = Jitter(np.random.default_rng(0), SINGLE)
    assert 0.8 * real <= rms(evaluator.run(None, feeds)[0] - truth) <= 4 * real


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize(("before", "after"), [(14, 4), (14, 16), (14, 37), (32, 20), (200, 333)])
def test_an_interpolation_errs_by_its_coordinates(mode: str, before: int, after: int) -> None:
    """That of the runtime, of its float64 run that errs, and of torch's."""
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 18]> g (float[1, 8, {before}, {before}] x) => '
        f"(float[1, 8, {after}, {after}] y) <int64[4] s = {{1, 8, {after}, {after}}}> "
        f'{{ y = Resize<mode = "{mode}", cubic_coeff_a = -0.75>(x, , , s) }}'
    )
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 8, before, before))}
    feeds["x"] = feeds["x"].astype(np.float32)
    source = OnnxSource("resize", given=model).session_input()
    evaluator = DoubleEvaluator(model)
    (truth,) = evaluator.run(None, feeds)
    real = max(rms(Session(source, row).run(feeds)[0] - truth) for row in CPU_ROWS)
    jitter = evaluator.jitter = Jitter(np.random.default_rng(0), SINGLE)
    drawn = rms(evaluator.run(None, feeds)[0] - truth)
    torch_mode = {"linear": "bilinear", "cubic": "bicubic"}[mode]
    net = nn.Upsample((after, after), mode=torch_mode, align_corners=False)
    told = rms(TorchModel(net, ["x"]).run_double(feeds, jitter=jitter)[0][0] - truth)
    assert 0.7 * real <= drawn <= 5 * real
    assert 0.7 * real <= told <= 5 * real


class Viewed(nn.Module):
    """Looks at a norm of a transposed value in another shape, as that lies in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.transpose(1, 2)).view(len(x), 20)


@pytest.mark.parametrize("batch", [2, 0])
def test_numbers_that_err_lie_as_those_that_do_not(batch: int) -> None:
    x = np.random.default_rng(0).standard_normal((batch, 4, 5)).astype(np.float32)
    jitter = Jitter(np.random.default_rng(0), SINGLE)
    found = TorchModel(Viewed().eval(), ["x"]).run_double({"x": x}, jitter=jitter)[0][0]
    assert found.shape == (batch, 20)


class Framed(nn.Module):
    """Pads to whole frames, whose number it computes in floats, as EnCodec does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 4, 4)
        self.register_buffer("kernel", torch.tensor(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = torch.ceil((x.shape[-1] - self.kernel) / self.kernel + 1)
        wanted = int((frames - 1) * self.kernel + self.kernel)
        return self.conv(nn.functional.pad(x, (0, wanted - x.shape[-1])))


def test_a_size_that_is_computed_in_floats_stays_whole() -> None:
    model = TorchModel(Framed().eval(), ["x"])
    x = np.random.default_rng(0).standard_normal((2, 1, 64)).astype(np.float32)
    for seed in range(20):
        jitter = Jitter(np.random.default_rng(seed), SINGLE)
        assert model.run_double({"x": x}, jitter=jitter)[0][0].shape == (2, 4, 16)


@pytest.mark.parametrize("body", ["AveragePool<kernel_shape=[200, 200]>", "GlobalAveragePool"])
def test_a_mean_may_become_a_pool(body: str) -> None:
    head = '<ir_version: 9, opset_import: ["": 20]> g (float[N, 8, 200, 200] x) => '
    weight = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    weight[2] *= 3
    wrong = weight.copy()
    wrong[2, 1] *= 1.0001

    def model(mean: str, value: np.ndarray[Any, Any]) -> onnx.ModelProto:
        text = (
            f"{head}(float[N, 4] y) <int64[2] axes = {{2, 3}}> "
            f"{{ m = {mean} f = Flatten(m) y = MatMul(f, w) }}"
        )
        found = onnx.parser.parse_model(text)
        found.graph.initializer.append(numpy_helper.from_array(value, "w"))
        return found

    mean = model("ReduceMean(x, axes)", weight)
    result = verify(mean, model(f"{body}(x)", weight), providers=["cpu"], proof="none")
    assert result.verdict is Verdict.PASS, result.reason
    result = verify(mean, model(f"{body}(x)", wrong), providers=["cpu"], proof="none")
    assert result.verdict is Verdict.FAIL


def rms(value: Any) -> float:
    return float(np.sqrt(np.mean(np.asarray(value, np.float64) ** 2)))


@pytest.mark.parametrize(("net", "dtype"), [("half", np.float16), ("cnn", np.float32)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_simulated_rounding_is_of_the_size_of_the_real_one(net: str, dtype: Any, seed: int) -> None:
    original = NETS[net](seed)
    x = np.random.default_rng(seed).standard_normal((8, 3, 16, 16)).astype(dtype)
    feeds = {"image": x}
    evaluator = DoubleEvaluator(original)
    (truth,) = evaluator.run(None, feeds)
    honest = [original, NETS[net](seed, "float64"), NETS[net](seed, "float32")]
    real = max(
        rms(Session(OnnxSource("m", given=m).session_input(), row).run(feeds)[0] - truth)
        for m in honest
        for row in CPU_ROWS
    )
    drawn = []
    for draw in range(8):
        evaluator.jitter = Jitter(np.random.default_rng(draw), unit_roundoff(np.dtype(dtype)))
        drawn.append(rms(evaluator.run(None, feeds)[0] - truth))
    assert 0.5 * real <= float(np.mean(drawn)) <= 2.0 * real
