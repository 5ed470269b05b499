"""A norm before an RNN, a GRU or an LSTM goes into what the op multiplies its input by."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import Net, assert_folded, assert_same_function, feeds_for, fold_model
from onnx import numpy_helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FEATURES, HIDDEN = 6, 5


def _recurrent(net: Net, op_type: str, x: str, *, bias: bool = True, both: bool = False) -> str:
    gates, directions = GATES[op_type] * HIDDEN, 2 if both else 1
    parameters = [net.param(directions, gates, FEATURES), net.param(directions, gates, HIDDEN)]
    if bias:
        parameters.append(net.param(directions, 2 * gates))
    direction = "bidirectional" if both else "forward"
    outputs = 3 if op_type == "LSTM" else 2
    found = net.ops(op_type, x, *parameters, count=outputs, hidden_size=HIDDEN, direction=direction)
    return found[0]


def _runtime(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return np.asarray(ort.InferenceSession(model.SerializeToString(), options).run(None, feeds)[0])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("op_type", GATES)
def test_a_norm_of_its_features(op_type: str, bias: bool) -> None:
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([3, 2, FEATURES])), FEATURES, 0)
    result = fold_model(net.model(_recurrent(net, op_type, normed, bias=bias)))
    assert_folded(result, ["Sigmoid", op_type])
    assert [target.split()[0] for target in result.sites[0].into] == [op_type]


@pytest.mark.parametrize("op_type", GATES)
def test_a_scale_alone_adds_no_bias(op_type: str) -> None:
    net = Net()
    scaled = net.op("Mul", net.op("Sigmoid", net.input([3, 2, FEATURES])), net.param(FEATURES))
    result = fold_model(net.model(_recurrent(net, op_type, scaled, bias=False)))
    assert_folded(result, ["Sigmoid", op_type])
    assert len(result.after.graph.node[-1].input) == 3


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("op_type", GATES)
def test_in_one_direction_and_in_both(op_type: str, both: bool, bias: bool) -> None:
    net = Net(dtype=np.float32)
    normed = net.norm(net.op("Sigmoid", net.input([3, 2, FEATURES])), FEATURES, 0)
    model = net.model(_recurrent(net, op_type, normed, both=both, bias=bias))
    result = fold_model(model)
    assert result.all_folded
    feeds = feeds_for(model)
    before, after = (_runtime(m, feeds) for m in (model, result.after))
    assert np.max(np.abs(before - after)) < 1e-5


@pytest.mark.parametrize("op_type", GATES)
def test_a_batch_norm_of_channels_that_become_features(op_type: str) -> None:
    """As a net that reads text in images has it: Conv, norm, columns as a sequence."""
    net = Net()
    x = net.op("Relu", net.conv(net.input([2, 3, 1, 7]), 3, FEATURES, (1, 1)))
    normed = net.batch_norm(x, FEATURES)
    columns = net.op("Transpose", net.op("Squeeze", normed, net.ints(2)), perm=[2, 0, 1])
    result = fold_model(net.model(_recurrent(net, op_type, columns)))
    assert result.norms[0].folded
    assert "BatchNormalization" not in result.ops
    assert_same_function(result)


def test_initial_states_lengths_and_peepholes_stay_where_they_are() -> None:
    net = Net(dtype=np.float32)
    normed = net.norm(net.op("Sigmoid", net.input([3, 2, FEATURES])), FEATURES, 0)
    weight, recurrent = net.param(1, 4 * HIDDEN, FEATURES), net.param(1, 4 * HIDDEN, HIDDEN)
    lengths = net.const(np.array([3, 2], np.int32))
    states = [net.op("Tanh", net.input([1, 2, HIDDEN], name)) for name in ("h", "c")]
    peepholes = net.param(1, 3 * HIDDEN)
    y = net.ops(
        "LSTM",
        normed,
        weight,
        recurrent,
        "",
        lengths,
        *states,
        peepholes,
        count=3,
        hidden_size=HIDDEN,
    )[0]
    model = net.model(y)
    result = fold_model(model)
    assert result.all_folded
    feeds = feeds_for(model)
    before, after = (_runtime(m, feeds) for m in (model, result.after))
    assert np.max(np.abs(before - after)) < 1e-5


def test_a_norm_behind_it_and_a_norm_of_its_steps_stay() -> None:
    net = Net()
    x = net.norm(net.op("Sigmoid", net.input([3, 2, FEATURES])), 3, 2)
    y = net.norm(net.op("Squeeze", _recurrent(net, "GRU", x), net.ints(1)), HIDDEN, 0)
    result = fold_model(net.model(y))
    assert [site.folded for site in result.norms] == [False, False]
    assert_same_function(result)


def test_one_that_nothing_changes_keeps_its_very_constants() -> None:
    net = Net()
    model = net.model(_recurrent(net, "LSTM", net.op("Sigmoid", net.input([3, 2, FEATURES]))))
    result = fold_model(model)
    nodes = [(n.op_type, list(n.input)) for n in result.after.graph.node]
    assert nodes == [(n.op_type, list(n.input)) for n in model.graph.node]
    assert list(result.after.graph.initializer) == list(model.graph.initializer)


@pytest.mark.parametrize("which", [1, 3])
def test_weights_that_are_computed_at_run_time_take_nothing(which: int) -> None:
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([3, 2, FEATURES])), FEATURES, 0)
    shapes = {1: (1, 3 * HIDDEN, FEATURES), 2: (1, 3 * HIDDEN, HIDDEN), 3: (1, 6 * HIDDEN)}
    parameters = [
        net.op("Tanh", net.input(list(shape), "w")) if i == which else net.param(*shape)
        for i, shape in shapes.items()
    ]
    y = net.ops("GRU", normed, *parameters, count=2, hidden_size=HIDDEN)[0]
    result = fold_model(net.model(y))
    assert not result.norms[0].folded
    assert_same_function(result)


def test_two_that_share_their_weight_and_their_norm_share_the_folded_weight() -> None:
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([3, 2, FEATURES])), FEATURES, 0)
    parameters = [net.param(1, HIDDEN, FEATURES), net.param(1, HIDDEN, HIDDEN)]
    first, second = (
        net.ops("RNN", normed, *parameters, count=2, hidden_size=HIDDEN, activations=[name])[0]
        for name in ("Tanh", "Relu")
    )
    result = fold_model(net.model(net.op("Add", first, second)))
    assert result.all_folded
    weights = [
        t for t in result.after.graph.initializer if numpy_helper.to_array(t).shape[-1] == FEATURES
    ]
    assert len(weights) == 1


def test_a_layer_norm_gives_it_its_scale_and_shift() -> None:
    net = Net()
    x = net.input([3, 2, FEATURES])
    normed = net.op("LayerNormalization", x, net.param(FEATURES), net.param(FEATURES))
    result = fold_model(net.model(_recurrent(net, "GRU", normed)))
    assert result.all_folded
    assert_same_function(result)
