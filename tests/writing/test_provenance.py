"""A file says where it comes from, and the bytes that were judged are the bytes that land."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from graphs import Net
from torch import nn

import bnfuse
from bnfuse.onnxfiles.provenance import is_made_from
from bnfuse.pipeline import verifier as judging


def saved(path: Path, **props: str) -> Path:
    net = Net(dtype=np.float32)
    conv = net.conv(net.input(["N", 3, 8, 8]), 3, 4)
    model = net.model(net.op("Relu", net.norm(conv, 4, 2)))
    onnx.helper.set_model_props(model, props)
    model.producer_name, model.producer_version = "mytool", "7"
    model.domain, model.model_version, model.doc_string = "org.me", 3, "mine"
    onnx.save(model, path)
    return path


def said(path: Path) -> dict[str, str]:
    props = onnx.load(path, load_external_data=False).metadata_props
    found = {item.key: item.value for item in props}
    assert len(found) == len(props)
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_says_what_made_it_and_of_what(tmp_path: Path) -> None:
    source, output = saved(tmp_path / "net.onnx"), tmp_path / "out.onnx"
    bnfuse.fold(source, output=output)
    model = onnx.load(output)
    assert (model.producer_name, model.producer_version) == ("bnfuse", bnfuse.__version__)
    found = said(output)
    assert found.pop("bnfuse.body_sha256")
    assert found.pop("bnfuse.proof").endswith("equal to the original for all inputs")
    assert found == {
        "bnfuse.version": bnfuse.__version__,
        "bnfuse.source": "net.onnx",
        "bnfuse.source_sha256": sha256(source),
        "bnfuse.source_producer": "mytool 7",
        "bnfuse.folded": "1 of 1 norms",
        "bnfuse.verdict": "PASS",
    }


def test_what_the_user_said_stays_and_an_earlier_fold_is_forgotten(tmp_path: Path) -> None:
    mine = {"classes": "cat, dog", "bnfusely": "mine too", "bnfuse.old": "of an earlier fold"}
    source, first, second = saved(tmp_path / "net.onnx", **mine), tmp_path / "1", tmp_path / "2"
    bnfuse.fold(source, output=first)
    bnfuse.fold(first, output=second)
    model, found = onnx.load(second), said(second)
    assert (model.domain, model.model_version, model.doc_string) == ("org.me", 3, "mine")
    assert found["classes"] == "cat, dog"
    assert found["bnfusely"] == "mine too"
    assert "bnfuse.old" not in found
    assert found["bnfuse.source"] == "1"
    assert found["bnfuse.source_producer"] == f"bnfuse {bnfuse.__version__}"
    assert found["bnfuse.folded"] == "0 of 0 norms"


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_the_bytes_that_were_judged_are_the_bytes_that_land(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: dict[str, bytes] = {}
    verify = judging.verify

    def watched(original, candidate, *args, **options):
        judged.update({item.name: item.read_bytes() for item in candidate.model.parent.iterdir()})
        return verify(original, candidate, *args, **options)

    monkeypatch.setattr(judging, "verify", watched)
    monkeypatch.setattr("bnfuse.onnxfiles.write._INLINE_LIMIT", limit)
    output = tmp_path / "out.onnx"
    bnfuse.fold(saved(tmp_path / "net.onnx"), output=output)
    landed = {item.name: item.read_bytes() for item in tmp_path.glob("out.*")}
    assert landed.keys() == judged.keys()
    body = judged.pop("out.onnx")
    assert landed["out.onnx"].startswith(body)
    assert all(landed[name] == data for name, data in judged.items())
    assert said(output)["bnfuse.body_sha256"] == hashlib.sha256(body).hexdigest()
    # What follows is metadata, and nothing else.
    behind = onnx.ModelProto.FromString(landed["out.onnx"][len(body) :])
    assert [field.name for field, _ in behind.ListFields()] == ["metadata_props"]
    assert all(item.key.startswith("bnfuse.") for item in behind.metadata_props)
    assert onnxruntime.InferenceSession(output).get_outputs()


def test_the_same_source_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    found = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        torch.save(net, tmp_path / name / "model.pt")
        folded = bnfuse.fold(tmp_path / name / "model.pt", output=tmp_path / name / "m.onnx")
        found.add((tmp_path / name / "m.onnx").read_bytes())
        assert folded.report.bytes.after == (tmp_path / name / "m.onnx").stat().st_size
    (data,) = found
    assert str(tmp_path).encode() not in data
    assert b"here" not in data


def test_a_module_in_memory_has_a_name_and_no_hash(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    bnfuse.fold(net, torch.randn(1, 3, 8, 8), output=tmp_path / "m.onnx")
    found = said(tmp_path / "m.onnx")
    assert found["bnfuse.source"] == "Sequential"
    assert "bnfuse.source_sha256" not in found
    assert found["bnfuse.source_producer"].startswith("pytorch")


def test_a_source_with_external_data_is_told_file_by_file(tmp_path: Path) -> None:
    model = onnx.load(saved(tmp_path / "plain.onnx"))
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "net.onnx"
    onnx.save(model, source, save_as_external_data=True, location="w.bin", size_threshold=0)
    report = bnfuse.fold(source, output=tmp_path / "out.onnx").report
    data = source.with_name("w.bin")
    assert said(tmp_path / "out.onnx")["bnfuse.source_sha256"].splitlines() == [
        f"{sha256(source)}  net.onnx",
        f"{sha256(data)}  w.bin",
    ]
    assert [item.sha256 for item in report.source_files] == [sha256(source), sha256(data)]
    assert [item.bytes for item in report.source_files] == [
        source.stat().st_size,
        data.stat().st_size,
    ]


@pytest.mark.parametrize("limit", [0, 1 << 30])
@pytest.mark.parametrize("passes", [True, False])
def test_the_report_has_the_hashes_of_what_was_written(
    limit: int, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bnfuse.onnxfiles.write._INLINE_LIMIT", limit)
    source = saved(tmp_path / "net.onnx")
    providers = ["cpu"] if passes else ["openvino"]
    folded = bnfuse.fold(source, output=tmp_path / "out.onnx", providers=providers)
    path = tmp_path / ("out.onnx" if passes else "out.unverified.onnx")
    assert folded.path == path
    files = [path] if limit else [path, path.with_name(f"{path.name}.data")]
    assert [item.path for item in folded.report.output_files] == list(map(str, files))
    assert [item.sha256 for item in folded.report.output_files] == list(map(sha256, files))
    assert folded.report.bytes.after == sum(item.stat().st_size for item in files)
    assert said(path)["bnfuse.verdict"] == ("PASS" if passes else "INCONCLUSIVE")
    assert is_made_from(path, "net.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["net.onnx", *(f.name for f in files)]
    )


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    try:
        source = saved(tmp_path / "plain.onnx").rename(tmp_path / "n\udcff.onnx")
    except OSError:
        pytest.skip("this file system takes no such name")
    # ONNX Runtime opens no such file.
    bnfuse.fold(source, output=tmp_path / "out.onnx", verified=False)
    assert said(tmp_path / "out.onnx")["bnfuse.source"] == "n\\udcff.onnx"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    bnfuse.fold(saved(tmp_path / "net.onnx"), output=tmp_path / "out.onnx")
    return tmp_path / "out.onnx"


def test_what_bnfuse_wrote_is_known_again_by_its_source(made: Path) -> None:
    assert is_made_from(made, "elsewhere/net.onnx")
    assert not is_made_from(made, "other.onnx")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:],
        lambda data: data + b"\x72\x00",
        lambda data: data[:-1],
        lambda _: b"",
        lambda _: b"not a model",
        lambda data: onnx.ModelProto.FromString(data).SerializeToString(),
    ],
)
def test_what_was_changed_since_is_the_users_own(made: Path, change) -> None:
    made.write_bytes(change(made.read_bytes()))
    assert not is_made_from(made, "net.onnx")


def test_data_that_was_changed_since_is_the_users_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("bnfuse.onnxfiles.write._INLINE_LIMIT", 0)
    bnfuse.fold(saved(tmp_path / "net.onnx"), output=tmp_path / "out.onnx")
    assert is_made_from(tmp_path / "out.onnx", "net.onnx")
    (tmp_path / "out.onnx.data").write_bytes(b"other")
    assert not is_made_from(tmp_path / "out.onnx", "net.onnx")
