"""The torch.export path: names, module paths, dynamic dimensions, every spelling's operators."""

from __future__ import annotations

import ast

import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnfuse.exporting.exported import CAPTURE

SCOPES = "pkg.torch.onnx.name_scopes"
TYPES = "pkg.torch.onnx.class_hierarchy"


class Scratch(nn.Module):
    """Batch norm by hand, every constant of shape (1, C, 1, 1)."""

    def __init__(self, channels):
        super().__init__()
        shape = (1, channels, 1, 1)
        self.gamma = nn.Parameter(torch.rand(shape) + 0.5)
        self.beta = nn.Parameter(torch.randn(shape))
        self.register_buffer("moving_mean", torch.randn(shape))
        self.register_buffer("moving_var", torch.rand(shape) + 0.5)

    def forward(self, x):
        y = (x - self.moving_mean) / torch.sqrt(self.moving_var + 1e-5)
        return y * self.gamma + self.beta


def stock(channels):
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for tensor in (norm.weight, norm.running_var):
            tensor.uniform_(0.5, 2)
        for tensor in (norm.bias, norm.running_mean):
            tensor.normal_()
    return norm


class Net(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), norm(8), nn.ReLU())
        self.block = nn.ModuleDict(
            {"inner": nn.Sequential(nn.Conv2d(8, 8, 3, bias=False), norm(8))}
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.block["inner"](self.features(x)).mean((2, 3)))


@pytest.mark.parametrize("norm", [Scratch, stock])
def test_every_norm_survives_and_any_batch_size_runs(tools, norm):
    net = Net(norm)
    exported = tools.export(net, torch.randn(2, 3, 9, 9))
    chain = ["Sub", "Div", "Mul", "Add"] if norm is Scratch else ["BatchNormalization"]
    assert tools.operators(exported.model) == [
        "Conv", *chain, "Relu", "Conv", *chain, "ReduceMean", "Gemm",
    ]  # fmt: skip
    assert exported.exporter == CAPTURE
    assert exported.notes == ()
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 9, 9)
        assert tools.close(tools.run(exported.model, x)[0], net(x))


def test_names_of_inputs_outputs_dimensions_and_parameters(tools):
    net = Net(Scratch)
    model = tools.export(net, torch.randn(2, 3, 9, 9), names=["x"]).model
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [value.name for value in model.graph.outputs] == ["output"]
    assert str(model.graph.inputs[0].shape) == "[N,3,9,9]"
    assert str(model.graph.outputs[0].shape) == "[N,5]"
    weights = model.graph.initializers
    for name in ("features.0.weight", "features.1.gamma", "block.inner.0.weight", "head.bias"):
        expected = net.state_dict()[name]
        assert torch.equal(torch.from_numpy(weights[name].const_value.numpy().copy()), expected)


@pytest.mark.parametrize("simplify", [True, False])
def test_module_paths_survive(tools, simplify):
    net = Net(Scratch)
    model = tools.export(net, torch.randn(2, 3, 9, 9), simplify=simplify).model
    paths = {}
    for node in model.graph:
        scopes = ast.literal_eval(node.metadata_props[SCOPES])
        assert scopes[0] == ""
        assert len(scopes) == len(ast.literal_eval(node.metadata_props[TYPES]))
        paths.setdefault(scopes[-2], []).append(node.op_type)
    assert paths["features.0"] == ["Conv"]
    assert [op for op in paths["block.inner.1"] if op in ("Sub", "Div", "Mul")] == [
        "Sub", "Div", "Mul",
    ]  # fmt: skip
    assert set(paths) - {""} <= set(dict(net.named_modules()))


def test_no_source_text_or_path_is_left(tools):
    model = tools.export(Net(Scratch), torch.randn(2, 3, 9, 9)).model
    text = ir.to_proto(model).SerializeToString()
    assert b".py" not in text
    assert b"site-packages" not in text
    assert not model.metadata_props
    for node in model.graph:
        assert set(node.metadata_props) <= {SCOPES, TYPES}
        assert node.doc_string is None


def test_fixed_batch_when_nothing_is_dynamic(tools):
    model = tools.export(Net(stock), torch.randn(2, 3, 9, 9), dynamic=[{}]).model
    assert model.graph.inputs[0].shape == ir.Shape([2, 3, 9, 9])


def test_example_of_one_stays_dynamic(tools):
    net = Net(stock)
    model = tools.export(net, torch.randn(1, 3, 9, 9)).model
    x = torch.randn(3, 3, 9, 9)
    assert tools.close(tools.run(model, x)[0], net(x))


class Fn(nn.Module):
    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module | nn.Parameter):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, *args):
        return self.function(self, *args)


def positive(*shape):
    return torch.rand(*shape) + 0.5


def conv():
    return nn.Conv2d(3, 4, 3)


def per_channel():
    return {"c": conv(), "m": positive(4, 1, 1), "v": positive(4, 1, 1)}


SPELLINGS = {
    "rsqrt": (
        lambda s, x: (s.c(x) - s.m) * torch.rsqrt(s.v + 1e-5), per_channel, ["Sub", "Mul"]
    ),
    "pow": (lambda s, x: (s.c(x) - s.m) * (s.v + 1e-5) ** -0.5, per_channel, ["Sub", "Mul"]),
    "exp": (lambda s, x: (s.c(x) - s.m) * s.v.exp(), per_channel, ["Sub", "Mul"]),
    "constant first": (lambda s, x: -(s.m - s.c(x)) / s.v, per_channel, ["Sub", "Neg", "Div"]),
    "addcmul": (
        lambda s, x: torch.addcmul(s.m, s.c(x), s.v), per_channel, ["Mul", "Mul", "Add"]
    ),
    "indexed with None": (
        lambda s, x: (s.c(x) - s.m[None, :, None, None]) / s.v[None, :, None, None].sqrt(),
        lambda: {"c": conv(), "m": positive(4), "v": positive(4)},
        ["Sub", "Div"],
    ),
    "expanded to the input": (
        lambda s, x: (lambda y: y - s.m.view(1, -1, 1, 1).expand_as(y))(s.c(x)),
        lambda: {"c": conv(), "m": positive(4)},
        ["Expand", "Sub"],
    ),
    "F.batch_norm": (
        lambda s, x: F.batch_norm(s.c(x), s.m, s.v),
        lambda: {"c": conv(), "m": positive(4), "v": positive(4)},
        ["BatchNormalization"],
    ),
    "double statistics": (
        lambda s, x: (s.c(x) - s.m.float()) / s.v.float(),
        lambda: {"c": conv(), "m": positive(4, 1, 1).double(), "v": positive(4, 1, 1).double()},
        ["Sub", "Div"],
    ),
    "weight norm": (
        lambda s, x: s.n(s.c(x)),
        lambda: {"c": nn.utils.parametrizations.weight_norm(conv()), "n": stock(4)},
        ["BatchNormalization"],
    ),
    "after a chunk": (
        lambda s, x: torch.cat([part * s.w for part in s.c(x).chunk(2, 1)], 1),
        lambda: {"c": conv(), "w": positive(2, 1, 1)},
        ["Split", "Mul", "Mul", "Concat"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_keeps_its_operators_and_constants_are_folded(tools, spelling):
    function, parts, expected = SPELLINGS[spelling]
    net = Fn(function, **parts()).eval()
    exported = tools.export(net, torch.randn(2, 3, 8, 8))
    norms = {"Sub", "Mul", "Div", "Add", "Neg", "BatchNormalization", "Split", "Expand", "Conv"}
    found = [op for op in tools.operators(exported.model) if op in norms | {"Concat"}]
    if "Expand" in expected:
        found = [op for op in found if op != "Concat"]
    assert sorted(found) == sorted(["Conv", *expected])
    assert not {"CastLike", "Sqrt", "Pow", "Exp", "Reciprocal", "Unsqueeze"} & set(
        tools.operators(exported.model)
    )
    x = torch.randn(3, 3, 8, 8)
    assert tools.close(tools.run(exported.model, x)[0], net(x))


def test_a_conv_is_given_the_plain_weight_of_its_weight_norm(tools):
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(conv()), stock(4)).eval()
    model = tools.export(net, torch.randn(2, 3, 8, 8)).model
    weight = model.graph[0].inputs[1].const_value
    assert torch.allclose(torch.from_numpy(weight.numpy().copy()), net[0].weight)


@pytest.mark.parametrize(
    ("function", "example", "shape", "said"),
    [
        (lambda _, x: x.view(4, -1), (4, 6), "[N,6]", ""),
        (lambda _, x: x * 2 if x.shape[0] > 3 else x, (4, 6), "[N,6]", "valid from 4"),
        (lambda _, x: x * 2 if x.shape[0] < 3 else x, (2, 6), "[N,6]", "valid up to 2"),
        (lambda _, x: x + torch.ones(4, 6), (4, 6), "[4,6]", "fixed at 4"),
    ],
)
def test_sizes_that_the_model_computes_with(tools, function, example, shape, said):
    exported = tools.export(Fn(function), torch.randn(*example), names=["x"])
    assert exported.exporter == CAPTURE
    assert str(exported.model.graph.inputs[0].shape) == shape
    assert any(said in note for note in exported.notes) if said else exported.notes == ()


def test_only_the_dimension_that_cannot_vary_is_fixed(tools):
    net = Fn(lambda s, x: s.c(x) + torch.ones(8), c=nn.Linear(3, 8))
    exported = tools.export(net, torch.randn(4, 5, 3), dynamic=[{0: "N", 1: "L", 2: "W"}])
    assert str(exported.model.graph.inputs[0].shape) == "[N,L,3]"
    (note,) = exported.notes
    assert note.startswith("dimension 2 (W) of input 'x' is fixed at 3")


def test_one_symbol_in_two_inputs_and_two_for_one_size(tools):
    net = Fn(lambda _, a, b: (a + b, a.sum(1)))
    a = torch.randn(3, 4)
    same = tools.export(net, a, a, names=["a", "b"])
    assert [str(value.shape) for value in same.model.graph.inputs] == ["[N,4]", "[N,4]"]
    other = tools.export(net, a, a, names=["a", "b"], dynamic=[{0: "N"}, {0: "M"}])
    assert [str(value.shape) for value in other.model.graph.inputs] == ["[N,4]", "[N,4]"]
    assert other.notes == ("dimension 0 (M) of input 'b' is always equal to N",)
