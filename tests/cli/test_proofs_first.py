"""``fold`` and ``verify`` prove first; where that succeeds, few samples judge the runtime."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import Net

LEVELS = {"disabled", "all"}
PROVED = r"PROVED \([01]\.\d units\) equal to the original for all inputs"


@pytest.fixture
def spelt_otherwise(net_onnx: Path) -> Path:
    """The function of ``net_onnx``, with its Relu as what no law knows to be one."""
    model = onnx.load(net_onnx)
    node = model.graph.node[-1]
    assert node.op_type == "Relu"
    size = onnx.helper.make_node("Abs", [node.input[0]], ["size"])
    total = onnx.helper.make_node("Add", [node.input[0], "size"], ["twice"])
    half = onnx.helper.make_node("Mul", ["twice", "half"], list(node.output))
    del model.graph.node[-1]
    model.graph.node.extend([size, total, half])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))
    onnx.save(model, net_onnx.with_name("otherwise.onnx"))
    return net_onnx.with_name("otherwise.onnx")


def report(ran: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(ran.out)
    return data


def test_a_fold_proves_its_own_work_and_runs_every_level(net_onnx: Path, process) -> None:
    data = report(process("fold", net_onnx, "--json", "-"))
    proof = data["proof"]
    assert (data["exit_code"], proof["status"], proof["of"]) == (0, "PROVED", "the original")
    assert 0.0 < proof["units"] <= 1.01
    assert proof["cuts"] > 0
    assert len(data["samples"]) == 1
    assert {row["optimization"] for row in data["parity"] if row["verdict"] == "PASS"} == LEVELS


def test_the_file_carries_what_was_proved(net_onnx: Path, process) -> None:
    data = report(process("fold", net_onnx, "--json", "-"))
    said = {p.key: p.value for p in onnx.load(data["output"]).metadata_props}
    assert re.fullmatch(PROVED, said["bnfuse.proof"])
    assert process("fold", net_onnx).code == 0, "its own file is replaced"
    process("fold", net_onnx, "--no-proof")
    assert "bnfuse.proof" not in {p.key for p in onnx.load(data["output"]).metadata_props}


def test_a_person_is_told(net_onnx: Path, process) -> None:
    shown = process("fold", net_onnx).out.decode()
    assert re.search(f"^proof: {PROVED}$", shown, re.MULTILINE)


def test_without_a_proof_everything_is_sampled(net_onnx: Path, process) -> None:
    data = report(process("fold", net_onnx, "--no-proof", "--json", "-"))
    assert (data["verdict"], data["proof"]) == ("PASS", None)
    assert len(data["samples"]) > 5


def test_what_is_not_proved_is_sampled_and_the_first_value_without_a_match_is_named(
    net_onnx: Path, spelt_otherwise: Path, process
) -> None:
    data = report(process("verify", net_onnx, spelt_otherwise, "--json", "-"))
    assert (data["verdict"], data["proof"]["status"]) == ("PASS", "NOT PROVED")
    assert data["proof"]["value"] == "size"
    assert "size" in data["proof"]["reason"]
    assert len(data["samples"]) > 5


def test_a_proof_that_is_required_and_not_found_passes_nothing(
    net_onnx: Path, spelt_otherwise: Path, process
) -> None:
    data = report(process("verify", net_onnx, spelt_otherwise, "--require-proof", "--json", "-"))
    assert (data["exit_code"], data["verdict"]) == (3, "INCONCLUSIVE")
    assert data["reason"].startswith("no proof was found: ")
    assert process("fold", net_onnx, "--require-proof").code == 0


def test_a_result_without_its_required_proof_is_judged_again_as_such(
    net_onnx: Path, spelt_otherwise: Path, process
) -> None:
    file = net_onnx.with_name("r.json")
    process("verify", net_onnx, spelt_otherwise, "--require-proof", "--json", file)
    again = process("verify", "--rejudge", file, "--json", "-")
    assert (again.code, report(again)["verdict"]) == (3, "INCONCLUSIVE")


def test_models_that_differ_in_one_constant_fail_by_samples_and_it_is_named(
    net_onnx: Path, process
) -> None:
    model = onnx.load(net_onnx)
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array[1, 0, 0, 0] += 0.1
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, net_onnx.with_name("one.onnx"))
    data = report(process("verify", net_onnx, "one.onnx", "--json", "-"))
    difference = data["proof"]["difference"]
    assert (data["verdict"], data["proof"]["status"]) == ("FAIL", "DIFFERENT")
    assert (difference["tensor"], difference["index"]) == (tensor.name, [1, 0, 0, 0])


def test_a_module_is_sampled_in_full_and_the_fold_of_its_export_is_proved(
    tmp_path: Path, monkeypatch, bnfuse
) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    monkeypatch.chdir(tmp_path)
    torch.save(net, tmp_path / "model.pt")
    data = report(bnfuse("fold", "model.pt", "--input-shape", "N,3,8,8", "--json", "-"))
    assert (data["proof"]["status"], data["proof"]["of"]) == ("PROVED", "its export")
    assert len(data["samples"]) > 5
    ran = bnfuse("verify", "model.pt", "model.onnx", "--input-shape", "N,3,8,8", "--json", "-")
    assert report(ran)["proof"] is None


def test_to_require_a_proof_and_to_look_for_none_is_refused(net_onnx: Path, process) -> None:
    for command in (["fold", net_onnx], ["verify", net_onnx, net_onnx]):
        ran = process(*command, "--require-proof", "--no-proof")
        assert (ran.code, "opposite" in ran.err) == (2, True)
    ran = process("fold", net_onnx, "--no-verify", "--require-proof")
    assert (ran.code, "--require-proof" in ran.err) == (2, True)


def test_more_data_than_one_sample_is_still_compared_where_it_is_given(
    net_onnx: Path, process
) -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 8, 8)).astype(np.float32)
    np.savez(net_onnx.with_name("data.npz"), x=x)
    data = report(process("fold", net_onnx, "--inputs", "data.npz", "--json", "-"))
    assert len(data["samples"]) > 1


def test_a_net_of_no_float_type_that_the_laws_speak_of_is_sampled(tmp_path: Path, process) -> None:
    net = Net(dtype=np.float32)
    x = net.input(["N", 4])
    onnx.save(net.model(net.op("Cast", net.op("Cast", x, to=7), to=1)), tmp_path / "net.onnx")
    data = report(process("fold", "net.onnx", "--json", "-"))
    assert data["verdict"] == "PASS"
