"""However a norm is spelt, it is read as one scale and one shift along one tracked axis."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import helper, numpy_helper

from bnfuse.errors import ExportError, NonFiniteNormError
from bnfuse.lifting import lift
from bnfuse.lifting.prepare import prepare

SCOPES = "pkg.torch.onnx.name_scopes"


class Spelling(Net):
    """A convolution's output with C = 4 = H = W, and the ways to spell a norm of it."""

    def __init__(self) -> None:
        super().__init__()
        self.shape: tuple[int, ...] = (4, 1, 1)
        self.x = self.conv(self.input(["N", 3, 6, 6]), 3, 4)

    def numbers(self, low: float | None = None) -> np.ndarray:
        return self.floats(*self.shape, low=low)

    def vector(self, low: float | None = None) -> str:
        return self.const(self.numbers(low))


def _sub(net, x):
    return net.op("Sub", x, net.vector())


def _add(net, x):
    return net.op("Add", x, net.vector())


def _add_first(net, x):
    return net.op("Add", net.vector(), x)


def _sub_from(net, x):
    return net.op("Neg", net.op("Sub", net.vector(), x))


def _sub_negated(net, x):
    return net.op("Sub", x, net.op("Neg", net.vector()))


SHIFTS = [_sub, _add, _add_first, _sub_from, _sub_negated]


def _mul(net, x):
    return net.op("Mul", x, net.vector())


def _mul_first(net, x):
    return net.op("Mul", net.vector(), x)


def _div(net, x):
    return net.op("Div", x, net.vector(low=0.3))


def _neg(net, x):
    return net.op("Neg", net.op("Mul", x, net.vector()))


SCALES = [_mul, _mul_first, _div, _neg]


def _inside(net):
    return net.op("Add", net.vector(low=0.3), net.scalar(1e-3))


def _sqrt(net, x):
    return net.op("Div", x, net.op("Sqrt", _inside(net)))


def _eps_outside(net, x):
    return net.op("Div", x, net.op("Add", net.op("Sqrt", net.vector(low=0.3)), net.scalar(1e-3)))


def _no_eps(net, x):
    return net.op("Div", x, net.op("Sqrt", net.vector(low=0.3)))


def _reciprocal(net, x):
    return net.op("Mul", x, net.op("Reciprocal", net.op("Sqrt", _inside(net))))


def _one_over(net, x):
    return net.op("Mul", net.op("Div", net.scalar(1.0), net.op("Sqrt", _inside(net))), x)


def _pow(net, x):
    return net.op("Mul", x, net.op("Pow", _inside(net), net.scalar(-0.5)))


def _pow_below(net, x):
    return net.op("Div", x, net.op("Pow", _inside(net), net.scalar(0.5)))


def _exp(net, x):
    halved = net.op("Mul", net.op("Log", _inside(net)), net.scalar(-0.5))
    return net.op("Mul", x, net.op("Exp", halved))


def _gamma_over_deviation(net, x):
    return net.op("Mul", x, net.op("Div", net.vector(), net.op("Sqrt", _inside(net))))


ROOTS = [
    _sqrt,
    _eps_outside,
    _no_eps,
    _reciprocal,
    _one_over,
    _pow,
    _pow_below,
    _exp,
    _gamma_over_deviation,
]


@pytest.mark.parametrize("before", SHIFTS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("after", SHIFTS)
def test_every_order_and_side(before, scale, after):
    net = Spelling()
    result = fold_model(net.model(after(net, scale(net, before(net, net.x)))))
    assert_folded(result, ["Conv"])


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("centre", [_sub, _sub_from])
def test_every_spelling_of_the_deviation(root, centre):
    net = Spelling()
    result = fold_model(net.model(_add(net, _mul(net, root(net, centre(net, net.x))))))
    assert len(result.norms) == 1
    assert_folded(result, ["Conv"])


@pytest.mark.parametrize("order", list(itertools.permutations([_sub, _div, _mul, _add])))
def test_every_order_of_four_ops(order):
    net = Spelling()
    y = net.x
    for step in order:
        y = step(net, y)
    assert_folded(fold_model(net.model(y)), ["Conv"])


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_constants_of_any_shape_that_broadcasts(shape):
    net = Spelling()
    net.shape = shape
    assert_folded(
        fold_model(net.model(_add(net, _mul(net, _sqrt(net, _sub(net, net.x)))))), ["Conv"]
    )


def _unsqueezed(net, array):
    return net.op("Unsqueeze", net.const(array.reshape(4)), net.ints(1, 2))


def _reshaped(net, array):
    return net.op("Reshape", net.const(array.reshape(4)), net.ints(1, -1, 1, 1))


def _twice(net, array):
    return net.op(
        "Unsqueeze", net.op("Unsqueeze", net.const(array.reshape(4)), net.ints(-1)), net.ints(-1)
    )


def _transposed(net, array):
    return net.op("Transpose", net.const(array.reshape(1, 1, 4)), perm=[2, 0, 1])


def _cast(net, array):
    return net.op("Cast", net.const(array.astype(np.float32)), to=onnx.TensorProto.DOUBLE)


def _identity(net, array):
    return net.op("Identity", net.const(array))


def _constant_node(net, array):
    return net.op("Constant", value=numpy_helper.from_array(array))


def _expanded(net, array):
    return net.op("Expand", net.const(array), net.ints(2, 4, 4, 4))


def _expanded_to_the_input(net, array):
    rest = net.op("Slice", net.op("Shape", "x"), net.ints(0), net.ints(1))
    target = net.op("Concat", rest, net.ints(4, 4, 4), axis=0)
    return net.op("Expand", net.const(array), target)


def _expanded_to_the_value(net, array):
    return net.op("Expand", net.const(array), net.op("Shape", net.x))


def _tiled(net, array):
    batch = net.op("Slice", net.op("Shape", "x"), net.ints(0), net.ints(1))
    repeats = net.op("Concat", batch, net.ints(1, 4, 4), axis=0)
    return net.op("Tile", net.const(array.reshape(1, 4, 1, 1)), repeats)


def _cast_like_a_constant(net, array):
    return net.op("CastLike", net.const(array.astype(np.float32)), net.scalar(0.0))


def _cast_like_the_input(net, array):
    return net.op("CastLike", net.const(array.astype(np.float32)), "x")


def _cast_like_the_value(net, array):
    return net.op("CastLike", net.const(array.astype(np.float32)), net.x)


def _gathered(net, array):
    return net.op("Gather", net.const(np.stack([array, -array])), net.const(np.array(0)), axis=0)


def _split(net, array):
    pair = net.const(np.concatenate([array, -array]))
    return net.ops("Split", pair, count=2, axis=0, num_outputs=2)[0]


MAKERS = [
    _unsqueezed,
    _reshaped,
    _twice,
    _transposed,
    _cast,
    _identity,
    _constant_node,
    _expanded_to_the_input,
    _expanded_to_the_value,
    _tiled,
    _cast_like_a_constant,
    _cast_like_the_input,
    _cast_like_the_value,
    _gathered,
    _split,
]


@pytest.mark.parametrize("make", MAKERS)
def test_constants_however_they_are_made(make):
    net = Spelling()
    y = net.op("Mul", net.x, make(net, net.numbers()))
    y = net.op("Add", make(net, net.numbers()), y)
    result = fold_model(net.model(y))
    assert len(result.norms) == 1
    assert_folded(result, ["Conv"])


def test_statistics_of_which_each_is_expanded():
    net = Spelling()
    variance = net.op("Add", _expanded_to_the_input(net, net.numbers(low=0.3)), net.scalar(1e-3))
    centred = net.op("Sub", net.x, _expanded_to_the_input(net, net.numbers()))
    y = net.op("Div", centred, net.op("Sqrt", variance))
    assert_folded(fold_model(net.model(y)), ["Conv"])


def test_repeats_of_different_lengths_do_not_break_the_lift():
    net = Net()
    x = net.input(["N", 6])
    batch = net.op("Slice", net.op("Shape", x), net.ints(0), net.ints(1))
    threes = net.op("Tile", net.param(1, 2), net.op("Concat", batch, net.ints(3), axis=0))
    twos = net.op("Tile", net.param(1, 3), net.op("Concat", batch, net.ints(2), axis=0))
    h = net.op("MatMul", x, net.param(6, 6))
    result = fold_model(net.model(net.op("Mul", h, net.op("Add", threes, twos))))
    assert_same_function(result)


def test_a_constant_that_grows_when_it_is_expanded_is_no_plain_constant():
    net = Net()
    pooled = net.op("GlobalAveragePool", net.input(["N", 4, 3, 3]))
    conv = net.conv(pooled, 4, 4, (1, 1))
    target = net.op("Shape", "x")
    grown = net.op("Mul", conv, net.op("Expand", net.param(4, 1, 1), target))
    assert_same_function(fold_model(net.model(grown)))


def test_einsum_with_a_vector():
    net = Spelling()
    y = net.op("Einsum", net.x, net.param(4), equation="nchw,c->nchw")
    assert_folded(fold_model(net.model(_add(net, y))), ["Conv"])


@pytest.mark.parametrize("equation", ["nchw,w->nchw", "nchw,h -> nchw"])
def test_einsum_along_another_axis_of_the_same_length_is_left(equation):
    net = Spelling()
    y = net.op("Einsum", net.x, net.param(4), equation=equation)
    assert_left(fold_model(net.model(y)), "its constants run along axis")


@pytest.mark.parametrize(
    "equation", ["nchw,c->nhwc", "nchw,c->nhw", "nchw,k->nchw", "nchw,n->nchw"]
)
def test_einsums_that_are_no_scale_stay_right(equation):
    net = Net()
    conv = net.conv(net.input([4, 3, 6, 6]), 3, 4)
    assert_same_function(
        fold_model(net.model(net.op("Einsum", conv, net.param(4), equation=equation)))
    )


def test_batch_norm_of_pytorch_with_its_epsilon():
    net = Spelling()
    assert_folded(fold_model(net.model(net.batch_norm(net.x, 4))), ["Conv"])


def test_the_default_epsilon_is_the_specified_one():
    net = Spelling()
    parameters = [net.param(4) for _ in range(3)] + [net.const(np.full(4, 1e-6))]
    y = net.op("BatchNormalization", net.x, *parameters)
    assert_folded(fold_model(net.model(y)), ["Conv"])


def test_addcmul_and_a_frozen_scale_and_bias():
    net = Spelling()
    scale = net.op("Div", net.vector(), net.op("Sqrt", _inside(net)))
    bias = net.op("Sub", net.vector(), net.op("Mul", net.vector(), scale))
    assert_folded(fold_model(net.model(net.op("Add", bias, net.op("Mul", scale, net.x)))), ["Conv"])


def test_a_weight_that_is_a_constant_expression():
    net = Net()
    v, g = net.param(4, 3, 3, 3), net.param(4, 1, 1, 1)
    norm = net.op("ReduceL2", v, net.ints(1, 2, 3), keepdims=1)
    weight = net.op("Mul", v, net.op("Div", g, norm))
    y = net.op("Conv", net.input(["N", 3, 6, 6]), weight)
    assert_folded(fold_model(net.model(net.norm(y, 4, 2))), ["Conv"])


def test_a_transposed_linear_weight_and_its_bias_as_expressions():
    net = Net()
    weight = net.op("Transpose", net.param(5, 6), perm=[1, 0])
    product = net.op("MatMul", net.input(["N", 7, 6]), weight)
    biased = net.op("Add", product, net.op("Neg", net.param(5)))
    assert_folded(fold_model(net.model(net.norm(biased, 5, 0))), ["MatMul", "Add"])


def test_what_depends_on_no_input_is_no_site():
    net = Net()
    scaled = net.op("Mul", net.param(4, 3), net.param(4, 1))
    y = net.op("MatMul", net.input([2, 4]), scaled)
    assert fold_model(net.model(y)).sites == ()


def test_a_scale_of_integers_is_no_site():
    net = Net()
    y = net.op("Mul", net.input([2, 4], dtype=np.int64), net.ints(1, 2, 3, 4))
    result = fold_model(net.model(net.op("Cast", y, to=onnx.TensorProto.DOUBLE)))
    assert result.sites == ()


def test_a_product_of_two_inputs_is_no_site():
    net = Net()
    y = net.op("Mul", net.input([2, 4]), net.input([2, 4], "z"))
    assert fold_model(net.model(y)).sites == ()


def test_a_value_plus_itself_is_no_site():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4]))
    assert fold_model(net.model(net.op("Add", h, h))).sites == ()


REFUSED = [
    ((1, 1, 4, 1, 1), "a constant of rank 5 raises its input's rank 4"),
    ((4, 1, 4), "its constant varies over more than one axis (1, 3)"),
    ((4, 4, 4), "its constant varies over more than one axis (1, 2, 3)"),
]


@pytest.mark.parametrize(("shape", "reason"), REFUSED)
def test_what_is_not_one_number_per_channel_is_said(shape, reason):
    net = Spelling()
    assert_left(fold_model(net.model(net.op("Mul", net.x, net.param(*shape)))), reason)


def test_a_constant_that_broadcasts_its_input_up_is_said():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 1, 4, 4]))
    result = fold_model(net.model(net.op("Mul", h, net.param(4, 1, 1))))
    assert_left(result, "a constant of 4 entries meets 1 along axis 1")


def test_a_constant_that_meets_an_unknown_length_is_said():
    net = Net()
    h = net.op("Sigmoid", net.input([2, "C", 4, 4]))
    result = fold_model(net.model(net.op("Mul", h, net.param(3, 1, 1))))
    assert_left(
        result, "a constant of 3 entries meets an unknown number of along axis 1", sizes=(3,)
    )


def test_a_constant_of_an_input_of_unknown_rank_is_said():
    net = Net()
    target = net.op("Abs", net.input(["R"], "shape", dtype=np.int64))
    loose = net.op("Reshape", net.input([2, 4]), target)
    y = net.op("Reshape", net.op("Mul", loose, net.param(4)), net.ints(-1))
    assert "the rank of its input is not known" in fold_model(net.model(y)).reason()


def test_an_empty_constant_is_said():
    net = Net()
    x = net.input([2, 0, 3])
    result = fold_model(net.model(net.op("Mul", net.op("Sigmoid", x), net.param(0, 1))))
    assert "its constant is empty" in result.reason()


def test_one_constant_per_batch_entry_is_tracked_as_such():
    net = Net()
    conv = net.conv(net.input([4, 3, 4, 4]), 3, 4, (1, 1))
    result = fold_model(net.model(net.op("Mul", conv, net.param(4, 1, 1, 1))))
    assert_left(result, "its constants run along axis 0")


def test_constants_that_are_all_equal_still_run_along_their_axis():
    net = Spelling()
    y = net.op(
        "Add", net.op("Mul", net.x, net.const(np.ones(4))), net.const(np.full((4, 1, 1), 2.0))
    )
    assert_same_function(fold_model(net.model(y)))


RUN_TIME = [0, 1, 2, 3]


@pytest.mark.parametrize("which", RUN_TIME)
def test_a_batch_norm_with_a_run_time_parameter_is_left(which):
    net = Spelling()
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    parameters[which] = net.op("Exp", net.input([4], "parameter"))
    y = net.op("BatchNormalization", net.x, *parameters)
    assert_left(fold_model(net.model(y)), "its parameters are computed at run time")


@pytest.mark.parametrize("which", range(4))
def test_a_hand_written_norm_with_a_run_time_parameter_stays_right(which):
    net = Spelling()
    parameters = [net.vector(low=0.3) for _ in range(4)]
    parameters[which] = net.op("Exp", net.input([4, 1, 1], "parameter"))
    y = net.x
    for op_type, parameter in zip(("Sub", "Div", "Mul", "Add"), parameters, strict=True):
        y = net.op(op_type, y, parameter)
    assert_same_function(fold_model(net.model(y)))


def test_training_mode_is_left_and_said():
    net = Spelling()
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    outputs = net.ops("BatchNormalization", net.x, *parameters, count=3, training_mode=1)
    result = fold_model(net.model(*outputs))
    assert "training_mode is 1: it takes its statistics from each batch" in result.reason()
    assert result.ops == ["Conv", "BatchNormalization"]


def test_statistics_over_positions_are_left_and_said():
    net = Net(opset=8)
    x = net.input([2, 4, 3, 3])
    parameters = [net.param(4, 3, 3, low=0.3) for _ in range(4)]
    y = net.op("BatchNormalization", net.op("Sigmoid", x), *parameters)
    net.nodes[-1].attribute.append(helper.make_attribute("spatial", 0))
    net.opset = 7
    result = fold_model(net.model(y))
    assert "spatial is 0: its statistics vary over the positions too" in result.reason()


def test_a_batch_norm_whose_statistics_are_used_is_left():
    net = Net(opset=13)
    x = net.input([2, 4, 3, 3])
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    y, mean, *_ = net.ops("BatchNormalization", net.op("Sigmoid", x), *parameters, count=5)
    model = net.model(y)
    mean_info = helper.make_tensor_value_info(mean, onnx.TensorProto.DOUBLE, [4])
    model.graph.output.append(mean_info)
    result = fold_model(model)
    assert "its statistics are outputs that something uses" in result.reason()


def test_statistics_that_nobody_uses_are_no_reason_to_stay():
    net = Net(opset=13)
    conv = net.conv(net.input([2, 4, 3, 3]), 4, 4)
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    y, *_ = net.ops("BatchNormalization", conv, *parameters, count=5)
    assert fold_model(net.model(y)).ops == ["Conv"]


def test_statistics_taken_from_the_input_are_left():
    net = Spelling()
    mean = net.op("ReduceMean", net.x, net.ints(0, 2, 3))
    result = fold_model(net.model(_add(net, _mul(net, net.op("Sub", net.x, mean)))))
    assert len(result.norms) == 1
    assert not result.all_folded
    assert_same_function(result)


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


def test_initialisers_that_are_graph_inputs_too_are_constants():
    net = Spelling()
    y = _add(net, _mul(net, net.x))
    model = net.model(y)
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    graph = ir.serde.deserialize_model(model)
    _, notes = prepare(graph)
    assert any("initialisers were graph inputs too" in note for note in notes)
    assert [site.kind.value for site in lift(graph).sites] == ["norm"]


def test_local_functions_are_inlined():
    net = Spelling()
    y = net.op("norm_of", net.x, net.vector(), net.vector(), domain="local")
    model = _declared(net, y, ["N", 4, 4, 4], "local")
    body = [
        helper.make_node("Mul", ["x", "s"], ["scaled"]),
        helper.make_node("Add", ["scaled", "t"], ["y"]),
    ]
    opset = [helper.make_opsetid("", 20)]
    model.functions.append(
        helper.make_function("local", "norm_of", ["x", "s", "t"], ["y"], body, opset)
    )
    graph = ir.serde.deserialize_model(model)
    _, notes = prepare(graph)
    assert any("inlined" in note for note in notes)
    assert [site.kind.value for site in lift(graph).sites] == ["norm"]


def test_a_model_without_an_operator_set_is_an_error():
    net = Spelling()
    model = net.model(net.x)
    model.opset_import[0].domain = "elsewhere"
    with pytest.raises(ExportError, match="imports no ONNX operator set"):
        prepare(ir.serde.deserialize_model(model))


def test_an_op_of_another_domain_is_not_what_its_name_says():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4]))
    y = net.op("Sigmoid", net.op("Mul", h, net.param(4), domain="elsewhere"))
    model = ir.serde.deserialize_model(_declared(net, y, [2, 4], "elsewhere"))
    prepare(model)
    assert lift(model).sites == ()


def _declared(net: Net, output: str, shape: list[int | str], domain: str) -> onnx.ModelProto:
    """A model with an op that shape inference does not know."""
    info = helper.make_tensor_value_info(output, onnx.TensorProto.DOUBLE, shape)
    graph = helper.make_graph(net.nodes, "net", net.inputs, [info], net.constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets)
