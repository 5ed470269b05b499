"""Attention with a mask: no row is hidden whole, where PyTorch and exports of it part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from verification_texts import caught, judge, outside, parse

import bnfuse
from bnfuse.verifying import Verdict
from bnfuse.verifying.runtime.onnx_models import Port, onnx_source
from bnfuse.verifying.samples.drawing import Draft, Draw, Sizes
from bnfuse.verifying.samples.masks import mask_inputs
from bnfuse.verifying.truth.torch_model import TorchModel

if TYPE_CHECKING:
    from pathlib import Path

SHOWS, HIDES = "Where(e, zero, low)", "Where(e, low, zero)"


class Attention(nn.Module):
    """Attention of ``x`` to itself; what is hidden, PyTorch gives a weight of 0."""

    def __init__(self, hide: str, causal: bool = False) -> None:
        super().__init__()
        self.hide, self.causal = hide, causal

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen = mask.bool() if self.hide == SHOWS else ~mask.bool()
        seen = seen[:, None].expand(-1, x.shape[1], -1)
        if self.causal:
            seen = seen & torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        return scaled_dot_product_attention(x, x, x, attn_mask=seen)


def exported(
    hide: str, kind: str = "int64", low: str = "-3.4028234e38", see: str = "Identity(c)"
) -> onnx.ModelProto:
    """What PyTorch's exporter makes of it: the mean of all, where all is hidden."""
    text = (
        f"g (float[N, 6, 4] x, {kind}[N, 6] mask) => (float[N, 6, 4] y) "
        f"<float zero = {{0}}, float low = {{{low}}}, float half = {{0.5}}, int64[1] a = {{1}}> "
        f"{{ b = Cast<to=9>(mask) c = Unsqueeze(b, a) e = {see} h = {hide} "
        "t = Transpose<perm=[0, 2, 1]>(x) s = MatMul(x, t) r = Mul(s, half) q = Add(r, h) "
        "p = Softmax<axis=-1>(q) y = MatMul(p, x) }"
    )
    return parse(text, lower=np.tri(6, dtype=np.bool_))


def test_pytorch_and_its_export_part_where_all_is_hidden() -> None:
    feeds = {"x": np.ones((1, 6, 4), np.float32), "mask": np.zeros((1, 6), np.int64)}
    model = TorchModel(Attention(SHOWS), ["x", "mask"])
    assert not model.run(feeds)[0].any()
    assert not model.run_double(feeds)[0][0].any()
    result = judge(Attention(SHOWS), exported(SHOWS), feeds)
    assert caught(result)


@pytest.mark.parametrize("kind", ["int64", "bool"])
@pytest.mark.parametrize(("hide", "other"), [(SHOWS, HIDES), (HIDES, SHOWS)])
def test_they_agree_where_something_is_shown(kind: str, hide: str, other: str) -> None:
    result = judge(Attention(hide), exported(hide, kind))
    assert result.verdict is Verdict.PASS, result.reason
    for wrong in (exported(other, kind), exported("Sub(zero, zero)", kind)):
        assert caught(judge(Attention(hide), wrong))
    assert caught(judge(Attention(hide), exported(hide, kind, low="-1.5")))


def test_a_causal_net_sees_its_first_position() -> None:
    result = judge(Attention(SHOWS, causal=True), exported(SHOWS, see="And(lower, c)"))
    assert result.verdict is Verdict.PASS, result.reason
    assert caught(judge(Attention(SHOWS, causal=True), exported(SHOWS)))


MASKS = {
    "y = Where(m, x, low)": {"mask": True},
    "y = Where(m, low, x)": {"mask": False},
    "y = Where(m, low, low)": {},
    "y = Where(m, x, one)": {},
    "n = Not(m) y = Where(n, low, x)": {"mask": True},
    "b = And(rest, m) y = Where(b, x, low)": {"mask": True, "rest": True},
    "u = Sub(unit, mask) i = Cast<to=9>(u) y = Where(i, low, x)": {"mask": True},
    # Scores that are cast are no mask.
    "f = Cast<to=9>(x) y = Where(f, x, low)": {},
    "e = Equal(more, none) y = Where(e, low, x)": {"more": True},
    "e = Equal(none, more) n = Not(e) y = Where(n, low, x)": {"more": False},
    "e = Equal(more, one) y = Where(e, x, low)": {"more": True},
    "e = Equal(more, low) y = Where(e, low, x)": {},
    "u = Unsqueeze(more, axes) q = Squeeze(u) e = Equal(q, none) y = Where(e, low, x)": {
        "more": True
    },
    # Numbers that are 0 where they are padded are no mask.
    "e = Equal(x, none) y = Where(e, low, x)": {},
    "s = Add(more, one) e = Equal(more, none) y = Where(e, low, s)": {},
    "d = Shape(more) e = Equal(more, none) y = Where(e, low, x)": {"more": True},
}


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("body", "found"), MASKS.items())
def test_which_inputs_are_masks_and_what_they_hide(
    body: str, found: dict[str, bool], beside: bool, tmp_path: Path
) -> None:
    text = (
        "g (float[N, 4] x, int64[N, 4] mask, bool[4] rest, float[N, 4] more) => (float[N, 4] y) "
        "<float low = {-1e9}, float one = {1}, int64 unit = {1}, float none = {0}, "
        f"int64[1] axes = {{1}}> {{ m = Cast<to=9>(mask) {body} }}"
    )
    model: onnx.ModelProto | Path = parse(text)
    if beside:
        model = outside(parse(text), tmp_path / "m.onnx")
    assert mask_inputs(onnx_source(model, "m")) == found


def test_constants_that_are_not_where_they_should_be_are_none(tmp_path: Path) -> None:
    path = outside(exported(SHOWS), tmp_path / "m.onnx")
    (tmp_path / "m.data").unlink()
    assert mask_inputs(onnx_source(path, "m")) == {}


def test_a_float_that_is_compared_with_0_is_drawn_as_a_mask() -> None:
    text = (
        "g (float[N, 6, 4] x, float[N, 1, 6] mask) => (float[N, 6, 4] y) "
        "<float none = {{0}}, float low = {{{low}}}> {{ t = Transpose<perm=[0, 2, 1]>(x) "
        "s = MatMul(x, t) e = Equal(mask, none) h = Where(e, low, s) p = Softmax<axis=-1>(h) "
        "y = MatMul(p, x) }}"
    )
    right, wrong = (text.format(low=low) for low in ("-1e9", "-2e3"))
    assert judge(right, wrong).verdict is Verdict.PASS
    assert caught(judge(right, text.format(low="-3.5")))


@pytest.mark.parametrize("regime", ["signed", "wide", "edge", "zero"])
@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("shape", [(9, 5), (9, 1, 1, 5), (9, 5, 1), (5,)])
def test_something_is_shown_in_each_row(regime: str, shown: bool, shape: tuple[int, ...]) -> None:
    draft = Draft((Port("mask", onnx.TensorProto.INT64, shape),), masks={"mask": shown})
    values = draft.draw(Draw(regime, Sizes({}))).feeds["mask"]
    assert set(values.ravel().tolist()) <= {0, 1}
    assert (values.reshape(-1, 5)[:, 0] == shown).all()
    if regime == "signed":
        assert (values == 0).any()
        assert (values == 1).any()


def test_a_switch_for_each_row_is_drawn_both_ways() -> None:
    draft = Draft((Port("on", onnx.TensorProto.BOOL, (40, 1)),), masks={"on": True})
    assert len({*draft.draw(Draw("signed", Sizes({}))).feeds["on"].ravel().tolist()}) == 2


def test_what_reads_a_table_is_no_mask() -> None:
    ports = (Port("ids", onnx.TensorProto.INT64, (9, 5)),)
    draft = Draft(ports, limits={"ids": 30}, masks={"ids": True})
    assert draft.draw(Draw("signed", Sizes({}))).feeds["ids"].max() > 1


def test_a_small_bert_is_its_export() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    net = transformers.BertModel._from_config(config, add_pooling_layer=False).eval()
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    inputs = {"input_ids": torch.randint(0, 20, (2, 5)), "attention_mask": mask}
    model = onnx_ir.to_proto(bnfuse.export(net, inputs).model)
    result = judge(net, model)
    assert result.verdict is Verdict.PASS, result.reason
    assert any(sample.startswith("zero") for sample in result.samples)
    assert caught(judge(net, ignoring(model)))


def ignoring(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a mask that hides nothing."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    (low,) = (
        item for item in wrong.graph.initializer if (numpy_helper.to_array(item) < -1e38).any()
    )
    low.CopyFrom(numpy_helper.from_array(np.float32(0), low.name))
    return wrong
