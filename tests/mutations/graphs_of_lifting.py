"""Graphs that are right only if what an exporter wrote in a roundabout way is read as it is."""

from __future__ import annotations

import numpy as np
from graphs import EPSILON, Net, fold_model
from mutation_registry import graph, quiet
from preactivation import PreActivation


@graph("N", 4, 4, 4)
def norms_of_a_batch_in_the_channels(net: Net, x: str) -> tuple[str, ...]:
    count = net.op("Shape", x, end=1)
    twice = net.op("Mul", count, net.ints(2))
    outputs = []
    for channels, times in ((4, count), (2, twice)):
        folded = net.op("Reshape", net.conv(x, 4, 4, (1, 1)), net.ints(1, -1, 4, 4))
        parameters = [net.param(channels) for _ in range(3)] + [net.param(channels, low=0.3)]
        tiled = [net.op("Tile", p, times) for p in parameters]
        outputs.append(net.op("BatchNormalization", folded, *tiled, epsilon=EPSILON))
        outputs.extend([quiet(net, folded)] if channels == 4 else [])
    return tuple(outputs)


@graph("N", 4, 4, 4)
def sequences_of_parts(net: Net, x: str) -> tuple[str, ...]:
    conv = net.conv(x, 4, 4, (1, 1))
    found = []
    for split, index, channels in ((1, -1, 1), (3, 0, 3), (3, 1, 1)):
        parts = net.op("SplitToSequence", conv, net.const(np.array(split)), axis=1)
        part = net.op("SequenceAt", parts, net.const(np.array(index)))
        found.append(net.norm(part, channels, 2))
    return tuple(found)


@graph(3, 2, 4)
def recurrent_ops(net: Net, x: str) -> tuple[str, ...]:
    normed = net.norm(net.op("Sigmoid", x), 4, 0)
    parameters = [net.param(2, 9, 4), net.param(2, 9, 3), net.param(2, 18)]
    options = {"hidden_size": 3, "direction": "bidirectional", "linear_before_reset": 1}
    return tuple(net.ops("GRU", normed, *parameters, count=2, **options))


@graph(2, 4, 4, 4)
def constants_made_alike(net: Net, x: str) -> tuple[str, ...]:
    weight = net.param(4, 4)
    turned = (net.op("Transpose", weight, perm=perm) for perm in ([1, 0], [0, 1]))
    return tuple(net.norm(net.op("MatMul", x, w), 4, 0) for w in turned)


def a_table_that_is_tied_is_stored_once() -> None:
    """The norm behind the output layer stays: a second table would be larger than any norm."""
    net = Net()
    table = net.param(2048, 8)
    rows = net.op("Gather", table, net.input([2, 3], dtype=np.int64))
    scores = net.op("MatMul", rows, net.op("Transpose", table, perm=[1, 0]))
    after = fold_model(net.model(net.norm(scores, 2048, 0))).after
    assert (
        sum(list(tensor.dims) in ([2048, 8], [8, 2048]) for tensor in after.graph.initializer) == 1
    )


def a_length_that_runtimes_see_differently_is_not_used() -> None:
    """What a ReduceSum adds up is not counted where the number is in doubt."""
    net = Net()
    conv = net.conv(net.input([1, 4, 10, 10]), 4, 4, (1, 1))
    scales = net.const(np.array([1, 1, 1.3, 1.3], np.float32))
    large = net.op("Resize", conv, "", scales, mode="nearest")
    summed = net.op("ReduceSum", large, net.ints(2, 3), keepdims=1)
    assert not fold_model(net.model(net.norm(summed, 4, 2))).all_folded


def a_small_gamma_costs_no_digits() -> None:
    """The norm of a stream stays where its shift is many deviations."""

    def shrink(rng: np.random.Generator, gamma: np.ndarray) -> np.ndarray:
        return np.where(np.arange(gamma.size) == rng.integers(gamma.size), gamma / 1e4, gamma)

    assert not fold_model(PreActivation(0, gammas=shrink).build(3)).all_folded


PROBES = (
    a_table_that_is_tied_is_stored_once,
    a_length_that_runtimes_see_differently_is_not_used,
    a_small_gamma_costs_no_digits,
)
