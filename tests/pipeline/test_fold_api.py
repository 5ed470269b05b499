"""What ``bnfuse.fold`` takes and gives back, and what it never touches."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from graphs import Net
from torch import nn

import bnfuse
from bnfuse.errors import NonFiniteNormError, OutputError, UsageError, VerificationError
from bnfuse.verifying import Verdict

if TYPE_CHECKING:
    from pathlib import Path


def onnx_model() -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    conv = net.conv(net.input(["N", 3, 8, 8]), 3, 4)
    return net.model(net.op("Relu", net.norm(conv, 4, 2)))


def saved(folder: Path, name: str = "model.onnx") -> Path:
    onnx.save(onnx_model(), folder / name)
    return folder / name


@pytest.mark.parametrize("form", ["path", "text", "proto", "ir"])
def test_an_onnx_model_in_any_form(form: str, tmp_path: Path) -> None:
    proto = onnx_model()
    path = saved(tmp_path)
    sources = {
        "path": path,
        "text": str(path),
        "proto": proto,
        "ir": ir.serde.deserialize_model(proto),
    }
    folded = bnfuse.fold(sources[form])
    assert isinstance(folded.model, ir.Model)
    assert folded.path is None
    assert [node.op_type for node in folded.model.graph] == ["Conv", "Relu"]
    assert folded.report.verdict == "PASS"
    assert folded.report.exporter is None


def test_what_is_given_in_memory_is_not_changed() -> None:
    proto = onnx_model()
    before = proto.SerializeToString()
    bnfuse.fold(proto)
    assert proto.SerializeToString() == before
    model = ir.serde.deserialize_model(proto)
    bnfuse.fold(model)
    assert ir.serde.serialize_model(model).SerializeToString() == (
        ir.serde.serialize_model(ir.serde.deserialize_model(proto)).SerializeToString()
    )


def test_a_module_comes_back_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    bnfuse.fold(module, torch.randn(2, 1, 8, 8))
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path)
    digests = set()
    for name in ("a.onnx", "b.onnx"):
        bnfuse.fold(path, output=tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_folding_a_folded_file_changes_nothing(tmp_path: Path) -> None:
    first = bnfuse.fold(saved(tmp_path), output=tmp_path / "once.onnx")
    second = bnfuse.fold(tmp_path / "once.onnx", output=tmp_path / "twice.onnx")
    assert first.report.norms
    assert not second.report.norms
    once, twice = onnx.load(tmp_path / "once.onnx"), onnx.load(tmp_path / "twice.onnx")
    # What they were made from differs, and is said in each.
    for model in (once, twice):
        del model.metadata_props[:]
    assert once == twice


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is the source itself"):
        bnfuse.fold(path, output=path)
    assert path.read_bytes() == before


def test_the_sources_external_data_is_not_overwritten(tmp_path: Path) -> None:
    source, data = tmp_path / "in.onnx", tmp_path / "out.onnx.data"
    onnx.save(
        onnx_model(), source, save_as_external_data=True, location=data.name, size_threshold=0
    )
    before = data.read_bytes()
    with pytest.raises(UsageError, match="is where the source has its weights"):
        bnfuse.fold(source, output=tmp_path / "out.onnx")
    assert data.read_bytes() == before


def test_an_output_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        bnfuse.fold(saved(tmp_path), output=tmp_path / "nowhere" / "out.onnx")


def test_a_candidate_that_fails_does_not_land(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lowering.derive import Derivation

    path, output = saved(tmp_path), tmp_path / "out.onnx"
    output.write_bytes(b"what was there before")
    honest = LinearMap.exact_weight
    monkeypatch.setattr(LinearMap, "exact_weight", lambda self: honest(self) * 1.001)
    monkeypatch.setattr(Derivation, "check", lambda *_: None)
    # What is to be explained is not mended.
    folded = bnfuse.fold(path, output=output, localize=True)
    assert folded.report.verdict == "FAIL"
    assert output.read_bytes() == b"what was there before"
    assert folded.path == tmp_path / "out.unverified.onnx"
    onnx.checker.check_model(str(folded.path))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model.onnx",
        "out.onnx",
        "out.unverified.onnx",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_norm_that_is_not_finite_is_named(value: float) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).eval()
    norm = module[1]
    assert norm.running_mean is not None
    norm.running_mean[2] = value
    with pytest.raises(NonFiniteNormError, match=r"'1' .* channel 2"):
        bnfuse.fold(module, torch.randn(2, 1, 8, 8))


def test_a_negative_variance_is_named() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).eval()
    norm = module[1]
    assert norm.running_var is not None
    norm.running_var[1] = -1.0
    with pytest.raises(NonFiniteNormError, match="channel 1"):
        bnfuse.fold(module, torch.randn(2, 1, 8, 8))


def test_report_json_has_what_is_documented(tmp_path: Path) -> None:
    report = bnfuse.fold(saved(tmp_path), output=tmp_path / "out.onnx").report
    data = report.to_json()
    assert data["bnfuse"] == bnfuse.__version__
    assert data["source"] == str(tmp_path / "model.onnx")
    assert data["output"] == str(tmp_path / "out.onnx")
    assert data["norms"] == {"found": 1, "folded": 1, "left": 0}
    (fold,) = data["folds"]
    assert set(fold) >= {"name", "module", "spelling", "status", "into", "through", "reason"}
    assert fold["status"] == "folded"
    assert data["ops"] == {"before": 8, "after": 2}
    assert data["bytes"]["before"] == (tmp_path / "model.onnx").stat().st_size
    assert data["bytes"]["after"] == (tmp_path / "out.onnx").stat().st_size
    for row in data["parity"]:
        assert set(row) >= {"provider", "optimization", "verdict", "outputs"}
        for output in row["outputs"]:
            assert set(output) >= {"name", "error_original", "error_candidate", "ratio"}
    assert {row["optimization"] for row in data["parity"]} == {"disabled", "all"}
    assert data["verdict"] == "PASS"


def test_export_keeps_every_norm() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    exported = bnfuse.export(module, torch.randn(2, 1, 8, 8))
    assert [n.op_type for n in exported.model.graph] == ["Conv", "BatchNormalization"]


def test_external_data_is_read_and_folded(tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    onnx.save(onnx_model(), path, save_as_external_data=True, location="big.bin", size_threshold=0)
    folded = bnfuse.fold(path, output=tmp_path / "small.onnx")
    assert folded.report.verdict == "PASS"
    assert folded.report.norms[0].folded


def test_a_model_whose_weights_wait_to_be_written_can_be_shown(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    folded = bnfuse.fold(net, torch.randn(1, 3, 8, 8), output=tmp_path / "net.onnx", verified=False)
    assert "FoldedWeight" in repr(folded.model)


def test_a_fold_says_in_a_line_what_became_of_it(tmp_path: Path) -> None:
    folded = bnfuse.fold(onnx_model())
    assert repr(folded) == "Folded(1 of 1 norms, PASS)"
    assert repr(folded.report.verification).startswith('Verification(PASS, 2 rows: "no further')
    path = tmp_path / "out.onnx"
    written = bnfuse.fold(onnx_model(), output=path)
    assert repr(written) == f"Folded(1 of 1 norms, PASS, {str(path)!r})"


def test_a_fold_in_memory_is_saved_as_it_would_have_been_written(tmp_path: Path) -> None:
    written = bnfuse.fold(onnx_model(), output=tmp_path / "written.onnx").path
    saved_to = bnfuse.fold(onnx_model()).raise_for_verdict().save(tmp_path / "saved.onnx")
    assert written is not None
    assert saved_to.read_bytes() == written.read_bytes()


def test_what_did_not_pass_is_not_saved(tmp_path: Path) -> None:
    passed = bnfuse.fold(onnx_model())
    verification = replace(passed.report.verification, verdict=Verdict.FAIL, reason="one is off")
    failed = replace(passed, report=replace(passed.report, verification=verification))
    with pytest.raises(VerificationError, match=r"FAIL: one is off\."):
        failed.raise_for_verdict()
    with pytest.raises(VerificationError):
        failed.save(tmp_path / "out.onnx")
    assert not any(tmp_path.iterdir())


def test_what_was_not_verified_is_saved_and_says_so(tmp_path: Path) -> None:
    folded = bnfuse.fold(onnx_model(), verified=False)
    with pytest.raises(VerificationError, match="was not verified"):
        folded.raise_for_verdict()
    assert folded.save(tmp_path / "out.onnx").exists()


def test_a_model_is_not_saved_over_the_file_that_its_weights_are_in(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    net = Net(dtype=np.float32)
    first = net.norm(net.conv(net.input(["N", 64, 8, 8]), 64, 64), 64, 2)
    onnx.save(net.model(net.conv(net.op("Relu", first), 64, 64)), path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is the source itself"):
        bnfuse.fold(path).save(path)
    assert path.read_bytes() == before
