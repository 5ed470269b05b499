"""Where a norm begins and ends, what it is called, and what makes it an error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_same_function, fold_model
from spellings import Spelling

from bnfuse.errors import NonFiniteNormError

SCOPES = "pkg.torch.onnx.name_scopes"


def _with_scopes(net: Net, nodes: dict[str, list[str]]) -> None:
    for node in net.nodes:
        for module, names in nodes.items():
            if node.name in names:
                scopes = [
                    "",
                    *itertools.accumulate(module.split("."), "{}.{}".format),
                    node.op_type,
                ]
                node.metadata_props.add(key=SCOPES, value=repr(scopes))


def test_two_norms_of_two_modules_are_two_sites_however_they_are_ordered():
    net = Spelling()
    first = net.op("Mul", net.x, net.vector(), name="a")
    second = net.op("Mul", first, net.vector(), name="b")
    third = net.op("Add", second, net.vector(), name="c")
    _with_scopes(net, {"features.0": ["a"], "features.1": ["b", "c"]})
    result = fold_model(net.model(third))
    assert [(s.module, s.spelling) for s in result.sites] == [
        ("features.0", ("Mul",)),
        ("features.1", ("Mul", "Add")),
    ]
    assert_folded(result, ["Conv"])


def test_one_module_called_twice_is_two_sites():
    net = Spelling()
    y = net.norm(net.norm(net.x, 4, 2), 4, 2)
    _with_scopes(net, {"bn": [n.name for n in net.nodes if n.op_type != "Conv"]})
    result = fold_model(net.model(y))
    assert [site.module for site in result.norms] == ["bn", "bn"]
    assert_folded(result, ["Conv"])


def test_two_batch_norms_in_a_row_are_two_sites():
    net = Spelling()
    result = fold_model(net.model(net.batch_norm(net.batch_norm(net.x, 4), 4)))
    assert [site.spelling for site in result.norms] == [("BatchNormalization",)] * 2
    assert_folded(result, ["Conv"])


def test_kinds_of_sites():
    net = Net()
    x = net.input([2, 4, 6, 6])
    scale = net.op("Sigmoid", net.op("Mul", net.op("Sigmoid", x), net.param(4, 1, 1)))
    shift = net.op("Sigmoid", net.op("Add", scale, net.param(4, 1, 1)))
    scalar = net.op("Sigmoid", net.op("Mul", shift, net.scalar(0.5)))
    result = fold_model(net.model(net.op("Sigmoid", net.norm(scalar, 4, 2))))
    assert [site.kind for site in result.sites] == ["scale", "shift", "scalar", "norm"]
    assert_same_function(result)


@pytest.mark.parametrize("trailing_name", ["/features/norm/Sub", "features.norm.sub"])
def test_a_module_is_read_from_the_name_that_a_tracer_leaves(trailing_name):
    net = Spelling()
    y = net.op("Sub", net.x, net.vector(), name=trailing_name)
    result = fold_model(net.model(y))
    expected = "features.norm" if trailing_name.startswith("/") else ""
    assert result.sites[0].module == expected


def test_a_scope_that_cannot_be_read_is_no_module():
    net = Spelling()
    y = net.op("Sub", net.x, net.vector(), name="centred")
    net.nodes[-1].metadata_props.add(key=SCOPES, value="not [a list")
    result = fold_model(net.model(y))
    assert result.sites[0].module == ""
    assert_folded(result)


def _broken(net: Spelling, what: str) -> str:
    numbers = {"mean": net.floats(4), "var": net.floats(4, low=0.3), "gamma": net.floats(4)}
    if what == "zero deviation":
        numbers["var"][2] = 0.0
    elif what == "negative variance":
        numbers["var"][[2, 3]] = -1.0
    else:
        numbers["mean"][2] = {"NaN mean": np.nan, "infinite mean": np.inf}[what]
    parts = {key: net.const(value.reshape(4, 1, 1)) for key, value in numbers.items()}
    centred = net.op("Sub", net.x, parts["mean"])
    scaled = net.op("Div", centred, net.op("Sqrt", parts["var"]))
    return net.op("Mul", scaled, parts["gamma"])


BROKEN = ["zero deviation", "negative variance", "NaN mean", "infinite mean"]


@pytest.mark.parametrize("what", BROKEN)
def test_a_norm_that_is_not_finite_names_its_module_and_channel(what):
    net = Spelling()
    y = _broken(net, what)
    _with_scopes(net, {"layer1.bn": [n.name for n in net.nodes if n.op_type != "Conv"]})
    with pytest.raises(NonFiniteNormError, match=r"'layer1\.bn'.*channel 2") as error:
        fold_model(net.model(y))
    assert ("and 1 more" in str(error.value)) == (what == "negative variance")
    assert error.value.remedy


@pytest.mark.parametrize("which", range(4))
def test_a_batch_norm_that_is_not_finite_is_an_error(which):
    net = Spelling()
    numbers = [net.floats(4, low=0.3) for _ in range(4)]
    numbers[which][1] = -1.0 if which == 3 else np.nan
    y = net.op("BatchNormalization", net.x, *(net.const(n) for n in numbers), name="bn1")
    with pytest.raises(NonFiniteNormError, match=r"'bn1'.*channel 1\b"):
        fold_model(net.model(y))


def test_a_norm_that_is_not_finite_is_an_error_wherever_it_stands():
    net = Spelling()
    net.x = net.op("Sigmoid", net.x)
    y = net.op("Sigmoid", _broken(net, "zero deviation"))
    with pytest.raises(NonFiniteNormError, match="channel 2"):
        fold_model(net.model(y))


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_a_single_number_that_is_not_finite_is_no_norm(op_type, number):
    net = Spelling()
    y = net.op("Sigmoid", net.op(op_type, net.x, net.scalar(number)))
    result = fold_model(net.model(y))
    assert result.ops == ["Conv", op_type, "Sigmoid"]


def test_a_mask_of_minus_infinity_is_no_norm():
    net = Net()
    scores = net.op("MatMul", net.input([2, 5, 4]), net.param(4, 3))
    masked = net.op("Add", net.op("Tanh", scores), net.const(np.array([0.0, -np.inf, 0.0])))
    assert_same_function(fold_model(net.model(net.op("Softmax", masked, axis=-1))))


def test_half_ops_of_which_each_holds_but_not_both_together_stay_apart():
    net = Net(dtype=np.float16)
    big = net.const(np.full((4, 1, 1), 6e4, np.float16))
    h = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    y = net.op("Mul", net.op("Mul", h, big), big)
    assert fold_model(net.model(y)).ops == ["Sigmoid", "Mul", "Mul"]
