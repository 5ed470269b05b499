"""Transformers fold the scales and shifts of their layer norms, and the report says just that."""

from __future__ import annotations

import io

import hf_factories
import torch
from rich.console import Console

import bnfuse
from bnfuse.pipeline import Folded, export
from bnfuse.reporting.text import render

PIXELS = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.arange(8).reshape(1, 8)


def text(folded: Folded, verbosity: int = 0) -> str:
    written = io.StringIO()
    render(folded.report, Console(file=written, width=200), verbosity)
    return written.getvalue()


def test_a_vision_transformer_gives_them_to_its_linear_maps() -> None:
    model = export(hf_factories.vit(), PIXELS, opset=20).model
    folded = bnfuse.fold(model, providers=["cpu"])
    report = folded.report.to_json()
    assert report["verdict"] == "PASS"
    assert report["affines"] == {"found": 5, "folded": 5, "left": 0}
    assert report["norms"]["found"] == 0
    norms = [node for node in folded.model.graph if node.op_type == "LayerNormalization"]
    assert len(norms) == 5, "a layer norm itself never vanishes"
    assert len({node.inputs[1] for node in norms}) == 1
    told = text(folded)
    assert "scale and shift (LayerNormalization)" in told
    assert "the scale and shift of 5 of 5 normalisers folded" in told


def test_a_language_model_gives_the_scales_of_its_root_mean_square_norms() -> None:
    model = export(hf_factories.llama(), TOKENS, opset=20).model
    folded = bnfuse.fold(model, providers=["cpu"])
    report = folded.report.to_json()
    assert report["verdict"] == "PASS"
    assert report["affines"] == {"found": 5, "folded": 5, "left": 0}
    (gated,) = (s for s in folded.report.affines if "layers.0.post_attention" in s.module)
    assert [name.split(".")[-1] for name in gated.into] == ["gate_proj", "up_proj"]


def test_what_the_runtime_fuses_stays_and_is_no_missed_norm() -> None:
    """Before opset 17 a layer norm is exported as elementary ops."""
    model = export(hf_factories.vit(), PIXELS, opset=14).model
    folded = bnfuse.fold(model, verified=False)
    report = folded.report.to_json()
    assert report["affines"] == {"found": 5, "folded": 0, "left": 5}
    assert report["norms"] == {"found": 0, "folded": 0, "left": 0}
    assert "ONNX Runtime makes one op" in text(folded, 1)
    assert "ONNX Runtime makes one op" not in text(folded)
    assert "0 of 5 normalisers folded, the others stay in place" in text(folded)
