"""What a fold does not touch is byte-identical, and the same model gives the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import Net, assert_same_function, fold_model
from onnx import helper, numpy_helper


def _core(model: onnx.ModelProto) -> bytes:
    """All of a graph but the shapes that were inferred on the way."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    graph.ClearField("value_info")
    return graph.SerializeToString(deterministic=True)


def _constant_node(net: Net) -> str:
    return net.op("Constant", value=numpy_helper.from_array(net.floats(4, 1, 1)))


def test_nodes_and_tensors_that_nothing_touched_are_byte_identical():
    net = Net()
    x = net.input(["N", 3, 6, 6])
    quiet = net.op("Tanh", net.conv(x, 3, 4, bias=True, name="quiet"))
    loud = net.norm(net.conv(quiet, 4, 4), 4, 2)
    flat = net.op("Reshape", loud, net.ints(0, -1))
    y = net.op("Gemm", net.op("Sigmoid", flat), net.param(16, 5), net.param(5), alpha=0.5, beta=2.0)
    product = net.op("Add", net.op("MatMul", net.op("Tanh", y), net.param(5, 5)), net.param(5))
    result = fold_model(net.model(product))
    before = {n.name: n.SerializeToString(deterministic=True) for n in result.before.graph.node}
    tensors = {
        t.name: t.SerializeToString(deterministic=True) for t in result.before.graph.initializer
    }
    untouched = [n for n in result.after.graph.node if n.op_type != "Conv" or n.name == "quiet"]
    assert len(untouched) == len(result.after.graph.node) - 1
    for node in untouched:
        assert node.SerializeToString(deterministic=True) == before[node.name]
        for name in set(node.input) & tensors.keys():
            (kept,) = (t for t in result.after.graph.initializer if t.name == name)
            assert kept.SerializeToString(deterministic=True) == tensors[name]


def test_a_graph_without_norms_is_byte_identical():
    net = Net()
    y = net.op("Tanh", net.conv(net.input(["N", 3, 6, 6]), 3, 4, bias=True))
    y = net.op("Softmax", net.op("MatMul", y, net.param(4, 4)))
    model = net.model(y)
    assert _core(fold_model(model).after) == _core(model)


def test_constants_that_nobody_uses_any_more_are_gone():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    y = net.op("Add", net.op("Mul", conv, _constant_node(net)), _constant_node(net))
    result = fold_model(net.model(y))
    assert [node.op_type for node in result.after.graph.node] == ["Conv"]
    assert len(result.after.graph.initializer) == 2


@pytest.mark.parametrize("declared", [["N", 4, "H", "W"], [2, 4, 4, 4], None])
def test_the_interface_stays_as_it_was_declared(declared):
    net = Net(dtype=np.float32)
    conv = net.conv(net.input(["N", 3, "H0", "W0"]), 3, 4)
    model = net.model(net.batch_norm(conv, 4))
    info = helper.make_tensor_value_info(
        model.graph.output[0].name, 1, declared or ["a", "b", "c", "d"]
    )
    model.graph.output[0].CopyFrom(info)
    result = fold_model(model)
    assert result.after.graph.output[0] == info
    assert result.after.graph.input == model.graph.input


def test_what_an_output_says_of_itself_stays():
    net = Net(dtype=np.float32)
    model = net.model(net.batch_norm(net.conv(net.input(["N", 3, 6, 6]), 3, 4), 4))
    model.graph.output[0].doc_string = "the logits"
    assert fold_model(model).after.graph.output[0].doc_string == "the logits"


def test_the_same_model_gives_the_same_bytes():
    model = _sample()
    first, second = (fold_model(model).after for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )


def test_the_same_model_gives_the_same_bytes_in_another_process(tmp_path):
    path, helpers = tmp_path / "model.onnx", Path(__file__).parents[1] / "helpers"
    onnx.save(_sample(), path)
    code = (
        f"import sys, hashlib, onnx; sys.path.insert(0, {str(helpers)!r})\n"
        "from graphs import fold_model\n"
        f"after = fold_model(onnx.load({str(path)!r})).after\n"
        "sys.stdout.write(hashlib.sha256(after.SerializeToString(deterministic=True)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def _sample() -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    x = net.input(["N", 4, 6, 6])
    first = net.norm(net.conv(x, 4, 4), 4, 2)
    second = net.batch_norm(net.conv(net.op("Sigmoid", x), 4, 4), 4)
    joined = net.norm(net.op("Concat", first, second, axis=1), 8, 2)
    return net.model(net.op("Sigmoid", joined), net.conv(net.norm(first, 4, 2), 4, 2))


def test_folding_a_folded_model_changes_nothing():
    result = fold_model(_sample())
    again = fold_model(result.after)
    assert _core(again.after) == _core(result.after)


def test_an_untouched_shared_initialiser_is_stored_once():
    net = Net()
    x = net.input(["N", 4])
    weight = net.param(4, 4)
    h = net.op("Tanh", net.op("MatMul", x, weight))
    h = net.norm(net.op("MatMul", h, weight), 4, 0)
    result = fold_model(net.model(net.op("MatMul", net.op("Tanh", h), weight)))
    weights = [t for t in result.after.graph.initializer if list(t.dims) == [4, 4]]
    assert len(weights) == 2
    assert ir.serde.deserialize_model(result.after).graph.initializers[weight] is not None
    assert_same_function(result)
