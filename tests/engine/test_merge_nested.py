"""What a subgraph reads is no less needed: no merge takes it away."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_same_function, fold_model
from onnx import TensorProto, helper


def in_both_branches(net: Net, value: str) -> str:
    """An If that reads a value from outside."""
    flag = net.op("Cast", net.input([], "flag", dtype=np.int64), to=TensorProto.BOOL)
    branches = {
        f"{side}_branch": helper.make_graph(
            [helper.make_node(op, [value], [f"{op}_of"])],
            side,
            [],
            [helper.make_tensor_value_info(f"{op}_of", TensorProto.DOUBLE, None)],
        )
        for side, op in (("then", "Sigmoid"), ("else", "Softsign"))
    }
    return net.op("If", flag, **branches)


def sequence(net: Net, x: str) -> tuple[str, str]:
    h = net.conv(x, 4, 4, (1, 1))
    return h, net.conv(h, 4, 4)


def branches(net: Net, x: str) -> tuple[str, str]:
    one = net.conv(x, 4, 4, (1, 1))
    return one, net.op("Add", net.conv(x, 4, 4, (1, 1)), one)


def products(net: Net, x: str) -> tuple[str, str]:
    h = net.op("MatMul", x, net.param(5, 5))
    return h, net.op("MatMul", h, net.param(5, 5))


def border(net: Net, x: str) -> tuple[str, str]:
    padded = net.op("Pad", net.op("Sigmoid", x), net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    return padded, net.conv(padded, 4, 4)


def partial_sum(net: Net, x: str) -> tuple[str, str]:
    convs = [net.conv(x, 4, 4, (1, 1)) for _ in range(3)]
    part = net.op("Add", convs[0], net.op("Sigmoid", x))
    return part, net.op("Sum", part, *convs[1:])


@pytest.mark.parametrize("build", [sequence, branches, products, border, partial_sum])
def test_what_an_if_reads_stays(build) -> None:
    net = Net()
    middle, y = build(net, net.input([2, 4, 5, 5]))
    result = fold_model(net.model(y, in_both_branches(net, middle)))
    made = {name for node in result.after.graph.node for name in node.output}
    assert middle in made
    onnx.checker.check_model(result.after)
    assert_same_function(result)


def test_what_lies_inside_a_subgraph_is_left_alone() -> None:
    net = Net()
    x = net.input([2, 4, 5, 5])
    net.op("Identity", x)
    inner = Net(seed=1)
    inner.conv(inner.conv(x, 4, 4, (1, 1)), 4, 4)
    flag = net.op("Cast", net.input([], "flag", dtype=np.int64), to=TensorProto.BOOL)
    out = [helper.make_tensor_value_info(inner.nodes[-1].output[0], TensorProto.DOUBLE, None)]
    graphs = []
    for side in ("then", "else"):
        graph = helper.make_graph(inner.nodes, side, [], out, inner.constants)
        for node in graph.node:
            node.output[0] = f"{side}_{node.output[0]}"
            node.input[0] = x if node.input[0] == x else f"{side}_{node.input[0]}"
        graph.output[0].name = graph.node[-1].output[0]
        for tensor in graph.initializer:
            tensor.name = f"{side}_{tensor.name}"
        for node in graph.node:
            node.input[1] = f"{side}_{node.input[1]}"
        graphs.append(graph)
    y = net.op("If", flag, then_branch=graphs[0], else_branch=graphs[1])
    result = fold_model(net.model(y))
    assert not result.log.merges
    assert_same_function(result)
