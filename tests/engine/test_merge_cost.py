"""What a merge looks at before it is certain: shapes alone, and each node once."""

from __future__ import annotations

import pytest
from graphs import Net, assert_same_function, fold_model

from bnfuse.folding.merges import links, sums
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.weight import StoredWeight


@pytest.fixture
def weights_read(monkeypatch):
    """The weights that are read, once for each time."""
    read = []
    canonical = StoredWeight.canonical

    def noted(self):
        read.append(self)
        return canonical(self)

    monkeypatch.setattr(StoredWeight, "canonical", noted)
    return read


def test_no_weight_of_a_residual_net_is_read(weights_read):
    net = Net()
    x = net.conv(net.input([1, 4, 6, 6]), 4, 4)
    for _ in range(5):
        h = net.op("Relu", net.conv(x, 4, 4, pads=[1] * 4))
        x = net.op("Add", net.conv(h, 4, 4, pads=[1] * 4), x)
    result = fold_model(net.model(net.conv(net.op("Relu", x), 4, 4, auto_pad="SAME_UPPER")))
    assert result.ops.count("Conv") == 12
    assert not weights_read


@pytest.mark.parametrize("second", ["bias", "cost", "stride", "channels"])
def test_no_weight_of_maps_that_stay_apart_is_read(weights_read, second):
    net = Net()
    x = net.input([2, 4, 9, 9])
    if second == "bias":
        y = net.conv(net.conv(x, 4, 4, (1, 1), bias=True), 4, 4, pads=[1] * 4)
    elif second == "cost":
        y = net.op("MatMul", net.op("MatMul", x, net.param(9, 2)), net.param(2, 9))
    else:
        pooled = net.op("GlobalAveragePool", x)
        strides = [2, 2] if second == "stride" else [1, 1]
        other = net.conv(pooled, 4, 1 if second == "channels" else 4, (1, 1), strides=strides)
        y = net.op("Add", net.conv(pooled, 4, 4, (1, 1)), other)
    result = fold_model(net.model(y))
    assert result.ops == [node.op_type for node in result.before.graph.node]
    assert not weights_read


def test_a_weight_is_read_for_its_kernel_and_for_the_proof(weights_read):
    net = Net()
    x = net.input([2, 4, 9, 9])
    fold_model(net.model(net.op("Add", net.conv(x, 4, 4, (1, 1)), net.conv(x, 4, 4, (1, 1)))))
    assert max(sum(w is other for w in weights_read) for other in weights_read) <= 4


def test_every_node_is_looked_at_a_few_times_however_long_the_sum(monkeypatch):
    looked = []
    read_link, is_add = links.read_link, sums._is_add
    monkeypatch.setattr(
        "bnfuse.folding.merges.parallel.read_link", lambda *a: looked.append(1) or read_link(*a)
    )
    monkeypatch.setattr(sums, "_is_add", lambda *a: looked.append(1) or is_add(*a))
    counts: list[int] = []
    for terms in (50, 100):
        looked.clear()
        net = Net()
        inputs = [net.op("Sigmoid", net.input([1, 2, 3], f"x{i}")) for i in range(terms // 2)]
        convs = [net.conv(x, 2, 2, (1,)) for x in inputs for _ in range(2)]
        total = convs[0]
        for conv in convs[1:]:
            total = net.op("Add", total, conv)
        result = fold_model(net.model(total))
        assert result.ops.count("Conv") == terms // 2
        counts.append(len(looked))
    assert counts[1] <= 2.2 * counts[0]


def test_a_sum_of_many_terms_at_once():
    net = Net()
    x, z = net.input([2, 4, 5]), net.input([2, 4, 5], "z")
    terms = [net.conv(v, 4, 4, (k,), pads=[k // 2] * 2) for v in (x, z) for k in (1, 3)] + [x, z]
    result = fold_model(net.model(net.op("Sum", *terms, net.op("Sigmoid", x))))
    assert sorted(result.ops) == ["Add", "Add", "Conv", "Conv", "Sigmoid"]
    assert len(result.log.merges) == 2
    assert_same_function(result)


def test_a_branch_that_fits_no_kernel_keeps_no_other_apart():
    net = Net()
    x = net.input([2, 4, 5, 1])
    tall = net.conv(x, 4, 4, (3, 1), pads=[1, 0, 1, 0])
    one = net.conv(x, 4, 4, (1, 1))
    wide = net.conv(x, 4, 4, (1, 3), pads=[0, 1, 0, 1], name="wide")
    result = fold_model(net.model(net.op("Sum", wide, one, tall)))
    assert result.ops == ["Conv", "Conv", "Add"]
    (refusal,) = result.log.unmerged
    assert "one kernel would cost more: FLOPs" in refusal.reason
    assert_same_function(result)


def test_what_a_merge_costs_is_told():
    net = Net()
    x = net.input([2, 4, 5, 5])
    three = net.conv(x, 4, 4, pads=[1] * 4, bias=True, name="three")
    result = fold_model(net.model(net.op("Sum", three, net.conv(x, 4, 4, (1, 1), name="one"), x)))
    (merge,) = result.log.merges
    assert merge.kind == "parallel"
    assert merge.parts == ("3×3 Conv three", "1×1 Conv one", "the identity")
    assert merge.into == "Conv three"
    assert (merge.before.flops, merge.after.flops) == (2 * 160 + 2 * 4, 2 * 144)
    assert (merge.before.bytes, merge.after.bytes) == (8 * (144 + 4 + 16), 8 * (144 + 4))


def test_a_merged_map_is_a_map_like_any_other():
    """What was merged takes norms, merges again, and has its channels counted."""
    net = Net()
    x = net.input(["N", 4, "H", "H"])
    block = net.op("Add", net.conv(x, 4, 6, (1, 1)), net.conv(x, 4, 6, (1, 1), bias=True))
    y = net.norm(net.conv(net.norm(block, 6, 2), 6, 4), 4, 2)
    result = fold_model(net.model(y))
    assert result.ops == ["Conv"]
    assert [merge.kind for merge in result.log.merges] == ["parallel", "sequence"]
    assert_same_function(result, sizes=(5, 4))
    assert isinstance(result.lowered.derivations[0].linear, LinearMap)


@pytest.mark.parametrize("apart", [True, False])
def test_a_weight_that_the_fold_parts_counts_for_each_of_its_uses(apart):
    net = Net()
    x, shared = net.op("Relu", net.input([2, 8, 3, 3])), net.param(4, 8, 1, 1)
    scale = net.param(4, 1, 1)
    first = net.op("Mul", net.op("Conv", x, shared), scale)
    second = net.op("Mul", net.op("Conv", x, shared), net.param(4, 1, 1) if apart else scale)
    model = net.model(net.conv(first, 4, 8, (1, 1)), net.op("Sin", second))
    result = fold_model(model)
    # Four to eight channels on top of eight to four: as dear as eight to eight, if both go.
    assert result.ops.count("Conv") == (2 if apart else 3)
    assert_same_function(result)
    assert fold_model(result.after).ops == result.ops
