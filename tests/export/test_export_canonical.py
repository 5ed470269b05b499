"""Detours of the exporter, put plainly: exact, and only where it is."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

from bnfuse.exporting.canonical import canonicalize

HEAD = '<ir_version: 10, opset_import: ["" : 20]>'


def parse(body, inputs="float[N,4] x", outputs="float[N,K] y", constants=""):
    text = f"{HEAD} g ({inputs}) => ({outputs}) {constants} {{ {body} }}"
    return ir.from_proto(onnx.parser.parse_model(text))


def run(model, *feeds):
    data = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, feeds, strict=True)))


def ops(model):
    return [node.op_type for node in model.graph if node.op_type != "Constant"]


def same(model, *feeds):
    before = run(model, *feeds)
    canonicalize(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    for one, two in zip(before, run(model, *feeds), strict=True):
        np.testing.assert_array_equal(one, two)


X = np.arange(20, dtype=np.float32).reshape(5, 4)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_chunk_along_a_dynamic_axis_is_a_slice(index):
    model = parse(
        "n = Shape<start: int = 0, end: int = 1>(x) r = Squeeze(n) h = Div(r, two)"
        "s = SplitToSequence<axis: int = 0>(x, h) y = SequenceAt(s, i)",
        constants=f"<int64 two = {{2}}, int64 i = {{{index}}}>",
        outputs="float[M,4] y",
    )
    same(model, X)
    assert "SequenceAt" not in ops(model)
    assert ops(model)[-1] in ("Slice", "Identity")


def test_a_chunk_counted_from_the_end_of_an_unknown_number_stays():
    model = parse(
        "n = Shape<start: int = 0, end: int = 1>(x) r = Squeeze(n) h = Div(r, two)"
        "s = SplitToSequence<axis: int = 0>(x, h) y = SequenceAt(s, i)",
        constants="<int64 two = {2}, int64 i = {-1}>",
        outputs="float[M,4] y",
    )
    same(model, X)
    assert "SequenceAt" in ops(model)


@pytest.mark.parametrize("index", [0, 1, -1])
def test_computed_lengths_of_a_known_number_make_a_split(index):
    model = parse(
        "n = Shape<start: int = 0, end: int = 1>(x) r = Sub(n, two)"
        "l = Concat<axis: int = 0>(two, r)"
        "s = SplitToSequence<axis: int = 0>(x, l) y = SequenceAt(s, i)",
        constants=f"<int64[1] two = {{2}}, int64 i = {{{index}}}>",
        outputs="float[M,4] y",
    )
    same(model, X)
    assert "Split" in ops(model)
    assert "SequenceAt" not in ops(model)


def test_parts_of_several_splits_have_names_of_their_own():
    """torch calls its splits split, split_1, split_2."""
    model = parse(
        "split = SplitToSequence<axis: int = 1>(x, two) a = SequenceAt(split, zero)"
        "split_1 = SplitToSequence<axis: int = 1>(x, one) b = SequenceAt(split_1, zero)"
        "y = Concat<axis: int = 1>(a, b)",
        constants="<int64 two = {2}, int64 one = {1}, int64 zero = {0}>",
    )
    same(model, X)
    names = [value.name for node in model.graph for value in node.outputs]
    assert len(set(names)) == len(names)


def test_a_sequence_that_is_used_otherwise_stays():
    model = parse(
        "s = SplitToSequence<axis: int = 1>(x, one) a = SequenceAt(s, zero)"
        "n = SequenceLength(s) f = Cast<to: int = 1>(n) y = Add(a, f)",
        constants="<int64 one = {1}, int64 zero = {0}>",
    )
    same(model, X)
    assert "SplitToSequence" in ops(model)


CONV = "float[N,3,4,4] x, float[2,3,1,1] w"


@pytest.mark.parametrize("shape", ["{2}", "{1}"])
def test_a_bias_of_expanded_zeros_is_none(shape):
    model = parse(
        "c = CastLike(zero, x) b = Expand(c, s) y = Conv(x, w, b)",
        inputs=CONV,
        outputs="float[N,2,4,4] y",
        constants=f"<float zero = {{0}}, int64[1] s = {shape}>",
    )
    canonicalize(model)
    assert ops(model) == ["Conv"]
    assert len(model.graph[-1].inputs) == 2


def test_a_bias_of_expanded_ones_stays():
    model = parse(
        "b = Expand(one, s) y = Conv(x, w, b)",
        inputs=CONV,
        outputs="float[N,2,4,4] y",
        constants="<float one = {1}, int64[1] s = {2}>",
    )
    canonicalize(model)
    assert ops(model) == ["Expand", "Conv"]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_convolution_without_bias_before_a_norm(tools, rank, dtype):
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1](3, 4, 3, bias=False)
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[rank - 1](4)
    net = nn.Sequential(conv, norm).to(dtype)
    model = tools.export(net, torch.randn(2, 3, *[6] * rank, dtype=dtype)).model
    first, second = model.graph
    assert (first.op_type, second.op_type) == ("Conv", "BatchNormalization")
    assert len(first.inputs) == 2


class Flow(nn.Module):
    """Two images through one encoder, the batch parted again (RAFT)."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)

    def forward(self, a, b):
        one, two = torch.chunk(self.norm(self.conv(torch.cat([a, b]))), 2, dim=0)
        hidden, context = torch.split(self.norm(self.conv(a)), [3, 5], dim=1)
        pairs = one.flatten(2).transpose(1, 2) @ two.flatten(2)
        return pairs, torch.tanh(hidden), torch.relu(context)


def test_a_batch_that_is_joined_and_parted_stays_dynamic(tools):
    net = Flow()
    a, b = torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 6)
    exported = tools.export(net, a, b, names=["a", "b"])
    assert exported.notes == ()
    assert not any("Sequence" in op for op in tools.operators(exported.model))
    for batch in (1, 3):
        feeds = torch.randn(batch, 3, 6, 6), torch.randn(batch, 3, 6, 6)
        for found, wanted in zip(tools.run(exported.model, *feeds), net(*feeds), strict=True):
            assert tools.close(found, wanted)


class AllPairs(nn.Module):
    """Optical flow in short: one batch of two images, all pairs of features, a look-up."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.motion = nn.Sequential(nn.Conv2d(12, 2, 3, padding=1), nn.BatchNorm2d(2))

    def forward(self, first, second):
        both = self.features(torch.cat([first, second]))
        one, two = torch.chunk(both, 2, dim=0)
        n, c, h, w = one.shape
        pairs = one.flatten(2).transpose(1, 2) @ two.flatten(2)
        levels = [pairs.reshape(n * h * w, 1, h, w) / c**0.5]
        levels.append(nn.functional.avg_pool2d(levels[0], 2, 2))
        context, _ = torch.split(one, [4, 4], dim=1)
        found = [context, context]
        for level in levels:
            place = torch.zeros(n * h * w, 1, 2, 2)
            looked = nn.functional.grid_sample(level, place, align_corners=True)
            found.append(looked.view(n, h, w, 2).permute(0, 3, 1, 2))
        return self.motion(torch.cat(found, dim=1))


def test_chunks_of_a_batch_and_look_ups_in_all_pairs_are_exported(tools):
    net = AllPairs()
    images = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)
    exported = tools.export(net, *images, names=["first", "second"])
    assert exported.notes == ()
    assert not {"SplitToSequence", "SequenceAt"} & set(tools.operators(exported.model))
    assert tools.close(tools.run(exported.model, *images)[0], net(*images), 1e-4)
