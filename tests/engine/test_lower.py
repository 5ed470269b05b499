"""What is written: one cheap op for what is left, new numbers rounded once, the rest untouched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import EPSILON, Net, assert_same_function, fold_model
from onnx import helper, numpy_helper

from bnfuse.errors import FoldError
from bnfuse.folding.initializers import Initializers
from bnfuse.lifting.linear import LinearMap

CHEAP = {"Mul", "Add", "BatchNormalization"}


def _nodes(model: onnx.ModelProto, *op_types: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type in op_types]


def _tensor(model: onnx.ModelProto, name: str) -> np.ndarray:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    return numpy_helper.to_array(tensor)


def _core(model: onnx.ModelProto) -> bytes:
    """All of a graph but the shapes that were inferred on the way."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    graph.ClearField("value_info")
    return graph.SerializeToString(deterministic=True)


@pytest.mark.parametrize("size", [[5], [4, 4], [2, 3, 4]])
def test_a_hand_written_norm_that_is_left_becomes_one_op(size):
    net = Net()
    h = net.op("Sigmoid", net.input(["N", 4, *size]))
    result = fold_model(net.model(net.op("Sigmoid", net.norm(h, 4, len(size)))))
    assert result.ops == ["Sigmoid", "BatchNormalization", "Sigmoid"]
    assert_same_function(result)


@pytest.mark.parametrize(
    ("shape", "trailing"), [(["N", 4], 0), (["N", 4, 4], 0), ([2, 3, 4, 4], 1)]
)
def test_where_no_batch_norm_fits_it_becomes_two(shape, trailing):
    net = Net()
    h = net.op("Sigmoid", net.input(shape))
    result = fold_model(net.model(net.op("Sigmoid", net.norm(h, 4, trailing))))
    assert len(result.ops) <= 4
    assert set(result.ops) <= CHEAP | {"Sigmoid"}
    assert_same_function(result)


@pytest.mark.parametrize(
    "ops", [("Mul", "Div"), ("Div", "Neg", "Mul"), ("Sub", "Add"), ("Add", "Sub", "Add")]
)
@pytest.mark.parametrize("shape", [["N", 4, 3, 3], ["N", 4]])
def test_scales_alone_and_shifts_alone_become_one_op(ops, shape):
    net = Net()
    y = net.op("Sigmoid", net.input(shape))
    for op_type in ops:
        operands = () if op_type == "Neg" else (net.param(4, *(1,) * (len(shape) - 2), low=0.3),)
        y = net.op(op_type, y, *operands)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert len(result.ops) == 3
    assert result.ops[1] in CHEAP
    assert_same_function(result)


@pytest.mark.parametrize("op_type", ["Mul", "Add", "Sub", "Div"])
@pytest.mark.parametrize("first", [False, True])
def test_a_single_op_that_is_left_stays_as_it_was(op_type, first):
    if op_type == "Div" and first:
        op_type = "Mul"
    net = Net()
    h, constant = net.op("Sigmoid", net.input([2, 4, 3, 3])), net.param(4, 1, 1, low=0.3)
    operands = (constant, h) if first else (h, constant)
    model = net.model(net.op("Sigmoid", net.op(op_type, *operands)))
    assert _core(fold_model(model).after) == _core(model)


def test_a_batch_norm_that_is_left_stays_as_it_was():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    model = net.model(net.op("Sigmoid", net.batch_norm(h, 4)))
    assert _core(fold_model(model).after) == _core(model)


def test_four_ops_that_change_nothing_are_gone():
    net = Net()
    y = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    zero, one = net.const(np.zeros((4, 1, 1))), net.const(np.ones((4, 1, 1)))
    for op_type, constant in (("Sub", zero), ("Div", one), ("Mul", one), ("Add", zero)):
        y = net.op(op_type, y, constant)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert result.ops == ["Sigmoid", "Sigmoid"]
    assert_same_function(result)


def test_a_norm_that_changes_nothing_but_names_a_graph_output_keeps_the_name():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    y = net.op("Mul", h, net.const(np.ones((4, 1, 1))))
    result = fold_model(net.model(y, h))
    assert [output.name for output in result.after.graph.output] == [y, h]
    assert_same_function(result)


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


def test_the_folded_conv_bears_the_norms_name_and_the_value_before_it_is_gone():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="conv1")
    y = net.batch_norm(conv, 4)
    result = fold_model(net.model(net.op("Tanh", y)))
    (folded,) = _nodes(result.after, "Conv")
    assert (folded.name, list(folded.output)) == ("conv1", [y])
    assert conv not in {name for node in result.after.graph.node for name in node.output}


def test_new_numbers_have_new_names():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4, bias=True)
    result = fold_model(net.model(net.norm(conv, 4, 2)))
    old = {tensor.name for tensor in result.before.graph.initializer}
    assert not old & {tensor.name for tensor in result.after.graph.initializer}


def test_a_value_that_means_something_else_on_the_way_has_a_new_name():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    pooled = net.op("AveragePool", conv, kernel_shape=[2, 2])
    y = net.norm(pooled, 4, 2)
    result = fold_model(net.model(y))
    names = [name for node in result.after.graph.node for name in node.output]
    assert names[-1] == y
    assert not {conv, pooled} & set(names)


def test_a_value_that_means_the_same_keeps_its_name():
    net = Net()
    x = net.input(["N", 4, 6, 6])
    h = net.op("Sigmoid", x)
    y = net.conv(net.norm(h, 4, 2), 4, 3)
    result = fold_model(net.model(y))
    assert [list(node.output) for node in result.after.graph.node] == [[h], [y]]


def test_a_new_name_is_none_that_the_graph_has():
    net = Net()
    x = net.input(["N", 3, 6, 6])
    conv = net.conv(x, 3, 4, name="conv")
    pooled = net.op("MaxPool", conv, kernel_shape=[2, 2], name="pool")
    taken = net.op("Sigmoid", net.op("Tanh", x, name="pool.folded"), name="conv.folded")
    y = net.norm(pooled, 4, 2, positive=True)
    assert_same_function(fold_model(net.model(y, taken)))


def test_nothing_internal_is_left():
    net = Net()
    x = net.input(["N", 4, 6, 6])
    y = net.op("Sigmoid", net.norm(net.op("Tanh", net.norm(net.conv(x, 4, 4), 4, 2)), 4, 2))
    result = fold_model(net.model(y))
    assert {node.domain for node in result.after.graph.node} == {""}
    assert [(o.domain, o.version) for o in result.after.opset_import] == [("", 20)]
    assert result.after.ir_version == result.before.ir_version


def test_metadata_of_the_linear_op_stays_with_it():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="conv")
    net.nodes[-1].metadata_props.add(
        key="pkg.torch.onnx.name_scopes", value="['', 'stem', 'conv2d']"
    )
    result = fold_model(net.model(net.batch_norm(conv, 4)))
    assert {p.value for p in result.after.graph.node[0].metadata_props} == {
        "['', 'stem', 'conv2d']"
    }


def test_the_attributes_of_a_conv_stay():
    net = Net()
    attributes = {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 1, 1, 2], "group": 2}
    conv = net.conv(net.input(["N", 4, 9, 9]), 4, 6, **attributes)
    result = fold_model(net.model(net.batch_norm(conv, 6)))
    assert result.after.graph.node[0].attribute == result.before.graph.node[0].attribute


def test_a_gemm_loses_the_factors_that_went_into_its_constants():
    net = Net()
    y = net.op(
        "Gemm", net.input(["N", 4]), net.param(5, 4), net.param(5), alpha=0.5, beta=3.0, transB=1
    )
    result = fold_model(net.model(net.norm(y, 5, 0)))
    (gemm,) = result.after.graph.node
    assert {a.name for a in gemm.attribute} == {"transB"}
    assert_same_function(result)


def test_a_shift_alone_leaves_the_weight_as_it_is():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    result = fold_model(net.model(net.op("Add", conv, net.param(4, 1, 1))))
    assert result.ops == ["Conv"]
    assert result.after.graph.node[0].input[1] == result.before.graph.node[0].input[1]


def test_a_matmul_gets_an_add_and_keeps_the_one_it_had():
    net = Net()
    product = net.op("MatMul", net.input(["N", 3, 4]), net.param(4, 5), name="fc")
    result = fold_model(net.model(net.norm(product, 5, 0)))
    assert result.ops == ["MatMul", "Add"]
    assert len({node.name for node in result.after.graph.node}) == 2
    again = fold_model(result.after)
    assert _core(again.after) == _core(result.after)


def test_constants_that_nobody_uses_any_more_are_gone():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    y = net.op("Add", net.op("Mul", conv, _constant_node(net)), _constant_node(net))
    result = fold_model(net.model(y))
    assert [node.op_type for node in result.after.graph.node] == ["Conv"]
    assert len(result.after.graph.initializer) == 2


def _constant_node(net: Net) -> str:
    return net.op("Constant", value=numpy_helper.from_array(net.floats(4, 1, 1)))


DTYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


def _precise_net(dtype) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """MatMul, then a scale, then a shift: with the weight and bias that they come to, exactly."""
    rng = np.random.default_rng(7)
    weight, scale, shift = (
        rng.uniform(0.5, 2.0, shape).astype(dtype) for shape in ((32, 48), (48,), (48,))
    )
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensors = [
        numpy_helper.from_array(array, name)
        for name, array in (("w", weight), ("s", scale), ("t", shift))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], "fc"),
        helper.make_node("Add", ["product", "t"], ["biased"], "bias"),
        helper.make_node("Mul", ["biased", "s"], ["scaled"], "gamma"),
        helper.make_node("Sub", ["scaled", "t"], ["y"], "beta"),
    ]
    infos = [
        helper.make_tensor_value_info(name, element, ["N", 3, k])
        for name, k in (("x", 32), ("y", 48))
    ]
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    w, s, t = (array.astype(np.float64) for array in (weight, scale, shift))
    return model, w * s, t * s - t


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_and_biases_are_rounded_once(dtype):
    model, weight, bias = _precise_net(dtype)
    result = fold_model(model)
    assert result.ops == ["MatMul", "Add"]
    (product,), (add,) = _nodes(result.after, "MatMul"), _nodes(result.after, "Add")
    stored_weight = _tensor(result.after, product.input[1])
    (bias_name,) = set(add.input) & {tensor.name for tensor in result.after.graph.initializer}
    stored_bias = _tensor(result.after, bias_name)
    for stored, exact in ((stored_weight, weight), (stored_bias, bias)):
        assert stored.dtype == np.dtype(dtype)
        nearest = _nearest(exact, dtype)
        assert np.array_equal(stored.astype(np.float64), nearest.astype(np.float64))


def _nearest(exact: np.ndarray, dtype) -> np.ndarray:
    return (
        exact.astype(np.float32).astype(dtype)
        if dtype is ml_dtypes.bfloat16
        else exact.astype(dtype)
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_batch_norm_after_a_conv_is_folded_in_double_precision(dtype):
    net = Net(seed=3, dtype=dtype)
    weight, bias = net.floats(16, 8, 3, 3), net.floats(16)
    conv = net.op("Conv", net.input(["N", 8, 6, 6]), net.const(weight), net.const(bias))
    gamma, beta, mean, variance = (net.floats(16, low=0.3) for _ in range(4))
    parameters = [net.const(array) for array in (gamma, beta, mean, variance)]
    y = net.op("BatchNormalization", conv, *parameters, epsilon=EPSILON)
    result = fold_model(net.model(y))
    w, b, g, t, m, v = (a.astype(np.float64) for a in (weight, bias, gamma, beta, mean, variance))
    scale = g / np.sqrt(v + float(np.float32(EPSILON)))
    (folded,) = _nodes(result.after, "Conv")
    stored = [_tensor(result.after, name) for name in folded.input[1:]]
    assert np.array_equal(stored[0], (w * scale[:, None, None, None]).astype(dtype))
    assert np.array_equal(stored[1], (b * scale + (t - m * scale)).astype(dtype))


def test_what_is_left_of_several_ops_is_rounded_once():
    net = Net(dtype=np.float32)
    parts = [net.floats(4, 1, 1, low=0.3) for _ in range(3)]
    y = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    for part in parts:
        y = net.op("Mul", y, net.const(part))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    (left,) = _nodes(result.after, "Mul")
    exact = np.prod([part.astype(np.float64) for part in parts], axis=0)
    assert np.array_equal(_tensor(result.after, left.input[1]), exact.astype(np.float32))


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


def _folding_net() -> onnx.ModelProto:
    net = Net(dtype=np.float32)
    h = net.conv(net.input(["N", 4, 6, 6]), 4, 6, group=2)
    return net.model(net.conv(net.op("Sigmoid", net.norm(h, 6, 2)), 6, 4, (1, 1)))


def _off_by(value, index, factor):
    changed = np.array(value, copy=True)
    changed.reshape(-1)[index] *= factor
    return changed


TAMPERINGS = {
    "one weight": ("exact_weight", lambda weight: _off_by(weight, 0, 1 + 1e-6)),
    "a whole channel": ("exact_weight", lambda weight: weight[:, ::-1]),
    "a swapped group": ("exact_weight", lambda weight: weight[::-1]),
    "a swapped tap": ("exact_weight", lambda weight: weight[..., ::-1]),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_weight_that_differs_from_its_derivation_is_an_error(monkeypatch, what):
    name, tamper = TAMPERINGS[what]
    original = getattr(LinearMap, name)
    monkeypatch.setattr(LinearMap, name, lambda self: tamper(original(self)))
    with pytest.raises(FoldError, match=r"'w_1.*differs from its independent derivation") as error:
        fold_model(_folding_net())
    assert "'conv_2'" in str(error.value)
    assert "absorb" in str(error.value)


@pytest.mark.parametrize("channel", [0, 5])
def test_a_bias_that_differs_from_its_derivation_is_an_error(monkeypatch, channel):
    original = LinearMap.after

    def tampered(self: LinearMap, affine, rule):
        folded = original(self, affine, rule)
        object.__setattr__(folded, "offset", _off_by(folded.offset, channel, 1 + 1e-5))
        return folded

    monkeypatch.setattr(LinearMap, "after", tampered)
    with pytest.raises(FoldError, match="differs from its independent derivation"):
        fold_model(_folding_net())


def test_numbers_that_are_rounded_twice_are_an_error(monkeypatch):
    original = Initializers.add

    def coarse(self, array, dtype, after):
        return original(self, array.astype(np.float16).astype(np.float64), dtype, after)

    monkeypatch.setattr(Initializers, "add", coarse)
    with pytest.raises(FoldError, match="differs from its independent derivation"):
        fold_model(_folding_net())


def test_a_derivation_gives_each_constant_its_exact_value_and_unit():
    result = fold_model(_folding_net())
    derived = [c for d in result.lowered.derivations for c in d.constants()]
    assert len(derived) == 2
    for constant in derived:
        stored = _tensor(result.after, constant.tensor)
        assert constant.value.shape == stored.shape
        assert np.array_equal(constant.value.astype(np.float32), stored)
        assert np.all(constant.unit >= np.abs(constant.value) * (1 - 1e-12))


def test_a_model_given_in_memory_can_be_lowered_without_a_fold():
    result = fold_model(_folding_net(), limit=0)
    assert not any(site.folded for site in result.sites)
    assert all(site.reason for site in result.sites)
    assert_same_function(result, rtol=1e-5)


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
