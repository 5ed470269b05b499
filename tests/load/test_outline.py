"""Large weights stay in the file; everything else of it is read as the parser reads it."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from bnfuse.errors import LoadError
from bnfuse.loading import load
from bnfuse.onnxfiles.mapped import MappedTensor
from bnfuse.onnxfiles.outline import outline

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int64, np.bool_]
LARGE = 5000


def model_of(*tensors: TensorProto) -> onnx.ModelProto:
    """A graph that gives back each constant, by way of an Identity."""
    nodes = [helper.make_node("Identity", [t.name], [f"{t.name}.out"]) for t in tensors]
    outputs = [
        helper.make_tensor_value_info(f"{t.name}.out", t.data_type, list(t.dims)) for t in tensors
    ]
    graph = helper.make_graph(nodes, "net", [], outputs, tensors, doc_string="after the tensors")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def numbers(dtype: type, size: int = LARGE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_tensor_stays_in_the_file_and_a_small_one_does_not(dtype, tmp_path: Path) -> None:
    arrays = {"large": numbers(dtype, 20_000), "small": numbers(dtype, 7)}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    loaded = load(saved(tmp_path, model_of(*tensors))).model
    assert loaded is not None
    read = {name: value.const_value for name, value in loaded.graph.initializers.items()}
    assert isinstance(read["large"], MappedTensor)
    assert not isinstance(read["small"], MappedTensor)
    for name, array in arrays.items():
        assert np.array_equal(read[name].numpy(), array)
        assert read[name].tobytes() == array.tobytes()


def test_four_bit_numbers_are_unpacked(tmp_path: Path) -> None:
    array = (np.arange(2**16) % 8).astype(ml_dtypes.int4)
    loaded = load(saved(tmp_path, model_of(numpy_helper.from_array(array, "w")))).model
    assert loaded is not None
    tensor = loaded.graph.initializers["w"].const_value
    assert isinstance(tensor, MappedTensor)
    assert np.array_equal(tensor.numpy(), array)


def test_a_constant_in_a_node_stays_in_the_file_too(tmp_path: Path) -> None:
    array = numbers(np.float32)
    node = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(array))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [LARGE])
    graph = helper.make_graph([node], "net", [], [output])
    loaded = load(saved(tmp_path, helper.make_model(graph))).model
    assert loaded is not None
    tensor = loaded.graph[0].attributes["value"].as_tensor()
    assert isinstance(tensor, MappedTensor)
    assert np.array_equal(tensor.numpy(), array)


def test_the_model_is_the_one_that_the_parser_reads(tmp_path: Path) -> None:
    tensors = [
        numpy_helper.from_array(numbers(dtype), f"w{i}") for i, dtype in enumerate(DTYPES * 2)
    ]
    tensors[0].doc_string = "of a tensor"
    tensors[1].metadata_props.add(key="who", value="wrote it")
    model = model_of(*tensors)
    model.metadata_props.add(key="behind", value="the graph")
    loaded = load(saved(tmp_path, model)).model
    assert loaded is not None
    read = ir.serde.serialize_model(loaded)
    assert list(read.graph.initializer) == list(model.graph.initializer)
    del read.graph.initializer[:], model.graph.initializer[:], read.graph.value_info[:]
    assert read == model


@pytest.mark.parametrize("how", ["written to", "cut off", "replaced", "removed"])
def test_a_file_that_does_not_stay_as_it_was_is_named(how: str, tmp_path: Path) -> None:
    path = saved(tmp_path, model_of(numpy_helper.from_array(numbers(np.float32), "w")))
    loaded = load(path).model
    assert loaded is not None
    same = path.read_bytes()
    if how == "written to":
        path.write_bytes(same[::-1])
        os.utime(path, ns=(1, 1))
    elif how == "cut off":
        path.write_bytes(same[:100])
    elif how == "replaced":
        (tmp_path / "other").write_bytes(same)
        (tmp_path / "other").replace(path)
    else:
        path.unlink()
    with pytest.raises(LoadError, match=r"model\.onnx was changed while it was being read"):
        loaded.graph.initializers["w"].const_value.numpy()


def test_a_file_for_every_tensor_takes_no_more_files_at_once(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    arrays = {f"w{i}": numbers(np.float32, 300) for i in range(100)}
    model = model_of(*(numpy_helper.from_array(array, name) for name, array in arrays.items()))
    onnx.save(
        model,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 50, hard))
    try:
        loaded = load(tmp_path / "model.onnx").model
        assert loaded is not None
        read = {name: v.const_value.numpy() for name, v in loaded.graph.initializers.items()}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(np.array_equal(read[name], array) for name, array in arrays.items())


def test_a_link_to_a_model_is_read_where_the_model_lies(tmp_path: Path) -> None:
    array = numbers(np.float32)
    path = saved(tmp_path, model_of(numpy_helper.from_array(array, "w")))
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.onnx"
    link.symlink_to(path)
    loaded = load(link).model
    assert loaded is not None
    assert np.array_equal(loaded.graph.initializers["w"].const_value.numpy(), array)


@pytest.mark.parametrize("wanted", [LARGE - 1, LARGE + 1])
def test_a_large_tensor_of_another_length_is_named(wanted: int, tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(numbers(np.float32), "w")
    tensor.dims[:] = [wanted]
    with pytest.raises(LoadError, match=rf"w of shape \({wanted},\) has 20,000 bytes instead of"):
        load(saved(tmp_path, model_of(tensor)))


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_left_to_the_parser(seed: int) -> None:
    """Whatever the walk makes of changed bytes, the parser judges the same of both."""
    draw = random.Random(seed)
    whole = bytearray(
        model_of(numpy_helper.from_array(numbers(np.float32), "w")).SerializeToString()
    )
    if seed % 2:
        del whole[draw.randrange(1, len(whole)) :]
    for _ in range(seed % 3):
        # Where the structure is: before and after the numbers.
        whole[draw.choice([draw.randrange(60), -draw.randrange(1, 60)])] = draw.randrange(256)
    outlined = _outline(bytes(whole))
    if outlined is not None:
        assert _parses(outlined) == _parses(bytes(whole))
    else:
        assert not _parses(bytes(whole))


def _outline(data: bytes) -> bytes | None:
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return outline(file, "model.onnx")


def _parses(data: bytes) -> bool:
    try:
        onnx.load_model(io.BytesIO(data), load_external_data=False)
    except Exception:
        return False
    return True
