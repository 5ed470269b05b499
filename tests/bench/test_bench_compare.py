from __future__ import annotations

import json
import os

import numpy as np
import onnx
import pytest
from bench_models import write_conv

from bnfuse.bench import compare
from bnfuse.bench.memory import measure_memory, peak_bytes
from bnfuse.errors import LoadError, ProviderError, UsageError

QUICK = {"rounds": 6, "memory": False}


@pytest.fixture
def model(tmp_path):
    return write_conv(tmp_path / "one.onnx")


@pytest.fixture
def longer(tmp_path):
    return write_conv(tmp_path / "longer.onnx", layers=40)


def test_contestants_come_in_the_order_given(model, longer):
    for paths in ([model, longer], [longer, model]):
        found = compare(paths, **QUICK)
        assert [contestant.path for contestant in found.contestants] == paths
        first, second = found.contestants
        assert (first.ratio.value, first.ratio.low, first.ratio.high) == (1.0, 1.0, 1.0)
        assert second.ratio.low <= second.ratio.value <= second.ratio.high
        assert found.control is not None


def test_one_model_alone_has_no_control(model):
    found = compare([model], **QUICK)
    assert found.control is None
    assert len(found.contestants) == 1


def test_the_same_file_may_be_given_twice(model):
    first, second = compare([model, model], **QUICK).contestants
    assert second.path == first.path


def test_batch_is_one_unless_given(model):
    assert compare([model], **QUICK).inputs == {"x": (1, 3, 8, 8)}
    assert compare([model], batch=5, **QUICK).inputs == {"x": (5, 3, 8, 8)}


def test_dynamic_image_sizes_may_be_given(tmp_path):
    model = write_conv(tmp_path / "m.onnx", dims=("N", 3, "H", "W"))
    for shape in ("2,3,5,7", "x=2,3,5,7", "N:2,3,H:5,W:7"):
        assert compare([model], input_shapes=[shape], **QUICK).inputs == {"x": (2, 3, 5, 7)}
    found = compare([model], input_shapes=["2,3,5,7"], batch=4, **QUICK)
    assert found.inputs == {"x": (4, 3, 5, 7)}


def test_size_counts_external_data(tmp_path):
    inside = write_conv(tmp_path / "inside.onnx", layers=3)
    outside = write_conv(tmp_path / "outside.onnx", layers=3, external=True)
    first, second = compare([inside, outside], **QUICK).contestants
    assert first.bytes == os.path.getsize(inside)
    data = tmp_path / "outside.onnx.data"
    assert second.bytes == os.path.getsize(outside) + os.path.getsize(data)
    assert os.path.getsize(data) >= 3 * 81 * 4


def test_every_round_is_heard(model):
    heard = []
    compare([model], after_round=heard.append, **QUICK)
    assert heard == [1, 2, 3, 4, 5, 6]


def test_result_is_json(model, longer):
    data = json.loads(json.dumps(compare([model, longer], **QUICK).to_json()))
    assert [entry["path"] for entry in data["models"]] == [str(model), str(longer)]
    assert data["rounds"] == 6
    assert data["onnxruntime"]


def test_memory_is_of_a_process_of_its_own(model):
    # What this process holds must not be counted.
    ballast = np.ones(64 << 20, np.uint8)
    found = compare([model], rounds=6).contestants[0].memory
    if peak_bytes() is None:
        assert found is None
    else:
        assert found.base <= found.peak
        assert found.peak < peak_bytes()
        assert found.model == found.peak - found.base
    del ballast


def test_memory_of_what_does_not_run_is_an_error(tmp_path):
    options = {"threads": 1, "batch": None, "input_shapes": (), "seed": 0}
    with pytest.raises(LoadError, match="memory"):
        measure_memory(tmp_path / "none.onnx", provider="cpu", **options)


def test_missing_file_is_named(model, tmp_path):
    with pytest.raises(LoadError, match=r"none\.onnx") as caught:
        compare([model, tmp_path / "none.onnx"], **QUICK)
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"\x00\x01 no protobuf \xff", b"hello"])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=r"bad\.onnx"):
        compare([path], **QUICK)


def test_a_broken_model_is_named(tmp_path, model):
    proto = onnx.load(model)
    proto.graph.node[0].op_type = "NoSuchOp"
    path = tmp_path / "broken.onnx"
    onnx.save_model(proto, path)
    with pytest.raises(LoadError, match=r"broken\.onnx"):
        compare([model, path], **QUICK)


@pytest.mark.parametrize(
    "different",
    [
        {"name": "image"},
        {"dims": ("N", 3, 8)},
        {"dims": ("N", 3, 16, 16)},
        {"elem_type": onnx.TensorProto.FLOAT16},
    ],
)
def test_models_with_other_inputs_are_refused(tmp_path, model, different):
    other = write_conv(tmp_path / "other.onnx", **different)
    with pytest.raises(UsageError, match=r"other\.onnx takes .*one\.onnx takes") as caught:
        compare([model, other], **QUICK)
    assert "same inputs" in caught.value.remedy


def test_a_fixed_and_a_dynamic_batch_may_compete(tmp_path, model):
    fixed = write_conv(tmp_path / "fixed.onnx", dims=(1, 3, 8, 8))
    assert compare([model, fixed], **QUICK).inputs == {"x": (1, 3, 8, 8)}


def test_another_batch_than_the_fixed_one_is_refused(tmp_path):
    fixed = write_conv(tmp_path / "fixed.onnx", dims=(2, 3, 8, 8))
    assert compare([fixed], batch=2, **QUICK).inputs == {"x": (2, 3, 8, 8)}
    with pytest.raises(UsageError, match="fixed batch size 2, not 3"):
        compare([fixed], batch=3, **QUICK)


def test_sizes_that_only_the_second_refuses_are_its_own_error(tmp_path, model):
    fixed = write_conv(tmp_path / "fixed.onnx", dims=(2, 3, 8, 8))
    with pytest.raises(UsageError, match=r"fixed\.onnx does not run"):
        compare([model, fixed], **QUICK)


@pytest.mark.parametrize("shapes", [["1,3,8,9"], ["1,3,8"], ["y=1,3,8,8"], ["1,3,8,8"] * 2])
def test_shapes_that_are_not_the_models_are_refused(model, shapes):
    with pytest.raises(UsageError):
        compare([model], input_shapes=shapes, **QUICK)


@pytest.mark.parametrize("provider", ["CPU", "CPUExecutionProvider"])
def test_providers_have_long_and_short_names(model, provider):
    assert compare([model], provider=provider, **QUICK).provider == provider


def test_auto_is_not_one_provider(model):
    with pytest.raises(UsageError, match="several"):
        compare([model], provider="auto", **QUICK)


@pytest.mark.parametrize("provider", ["coreml", "rknpuexecutionprovider"])
def test_a_provider_that_is_not_there_leaves_with_three(model, provider):
    with pytest.raises(ProviderError, match=provider) as caught:
        compare([model], provider=provider, **QUICK)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("options", [{"rounds": 5}, {"threads": 0}, {"batch": 0}, {"rounds": -1}])
def test_numbers_without_sense_are_refused(model, options):
    with pytest.raises(UsageError):
        compare([model], **{**QUICK, **options})


def test_nothing_to_time_is_refused():
    with pytest.raises(UsageError, match="No model"):
        compare([], **QUICK)
