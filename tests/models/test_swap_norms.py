from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from bnfuse.errors import BnfuseError, UsageError
from bnfuse.models import MODULE_CLASSES, SPELLINGS, swap_norms
from bnfuse.models.subclassed import ActivatedBatchNorm2d

SHAPES = [
    (nn.BatchNorm1d, (6, 5)),
    (nn.BatchNorm1d, (5, 5, 5)),
    (nn.BatchNorm1d, (6, 5, 7)),
    (nn.BatchNorm2d, (5, 5, 5, 5)),
    (nn.BatchNorm2d, (2, 5, 3, 4)),
    (nn.BatchNorm3d, (2, 5, 2, 3, 4)),
]
AFFINES = {
    "affine": (True, True),
    "plain": (False, False),
    "scale": (True, False),
    "shift": (False, True),
}


def randomised(norm: nn.Module, affine: tuple[bool, bool] = (True, True)) -> nn.Module:
    """Statistics and parameters of every size and sign, in float64, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    norm.double().eval()

    def draw() -> torch.Tensor:
        return torch.randn(norm.num_features, generator=generator, dtype=torch.float64)

    norm.running_mean.copy_(draw())
    norm.running_var.copy_(draw().exp())
    for name, wanted in zip(("weight", "bias"), affine, strict=True):
        norm.register_parameter(name, nn.Parameter(draw()) if wanted else None)
    return norm


def double_input(shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
@pytest.mark.parametrize(("stock", "shape"), SHAPES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_evaluates_to_the_same_function_in_float64(spelling, stock, shape, affine):
    norm = randomised(stock(5, eps=0.01), affine)
    swapped = swap_norms(copy.deepcopy(norm), spelling)
    assert type(swapped) is not type(norm)
    x = double_input(shape)
    torch.testing.assert_close(swapped(x), norm(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("stock", "shape"), SHAPES)
@pytest.mark.parametrize("spelling", sorted(set(SPELLINGS) - {"scratch", "frozen"}))
@pytest.mark.parametrize("momentum", [0.3, None])
def test_trains_like_pytorchs(spelling, stock, shape, momentum):
    norm = randomised(stock(5, momentum=momentum)).train()
    swapped = swap_norms(copy.deepcopy(norm), spelling)
    assert swapped.training
    for scale in (1.0, 4.0):
        x = double_input(shape) * scale
        torch.testing.assert_close(swapped(x), norm(x), rtol=1e-12, atol=1e-12)
    for name, buffer in norm.named_buffers():
        torch.testing.assert_close(dict(swapped.named_buffers())[name], buffer)


def test_scratch_trains_to_the_same_output_and_mean_but_the_biased_variance():
    norm = randomised(nn.BatchNorm2d(5, momentum=1.0)).train()
    swapped = swap_norms(copy.deepcopy(norm), "scratch")
    x = double_input((4, 5, 3, 3))
    torch.testing.assert_close(swapped(x), norm(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(swapped.moving_mean.flatten(), norm.running_mean)
    torch.testing.assert_close(swapped.moving_var.flatten(), norm.running_var * 35 / 36)


def test_frozen_uses_the_stored_statistics_in_training_too():
    norm = randomised(nn.BatchNorm2d(5)).train()
    swapped = swap_norms(copy.deepcopy(norm), "frozen")
    x = double_input((4, 5, 3, 3))
    torch.testing.assert_close(swapped(x), norm.eval()(x), rtol=1e-12, atol=1e-12)
    assert list(swapped.parameters()) == []


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.BatchNorm2d(4)), nn.ModuleDict({"n": nn.BatchNorm2d(4)})]
        )
        self.shared = nn.BatchNorm2d(4)
        self.again = self.shared
        self.tail = nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks[1]["n"](self.blocks[0](self.stem(x)))
        return self.tail(self.again(self.shared(x)).mean((2, 3)))


def nested() -> Nested:
    net = Nested().double().eval()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            randomised(module)
    return net


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_reaches_every_norm_of_a_model_in_place(spelling):
    net = nested()
    x = double_input((2, 3, 8, 8))
    before = net(x)
    names = [name for name, _ in net.named_modules(remove_duplicate=False)]
    assert swap_norms(net, spelling) is net
    stock = {nn.BatchNorm1d, nn.BatchNorm2d}
    assert not any(type(module) in stock for module in net.modules())
    assert net.shared is net.again
    assert set(names) <= {name for name, _ in net.named_modules(remove_duplicate=False)}
    assert list(net._modules) == ["stem", "blocks", "shared", "again", "tail"]
    torch.testing.assert_close(net(x), before, rtol=1e-12, atol=1e-12)


def test_swapping_twice_finds_nothing_more_to_swap():
    net = swap_norms(nested(), "rsqrt")
    modules = list(net.modules())
    assert [id(module) for module in swap_norms(net, "scratch").modules()] == [
        id(m) for m in modules
    ]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_tensors_are_copies_with_their_dtype_and_eps(spelling):
    norm = nn.BatchNorm2d(3, eps=0.5).to(torch.bfloat16)
    swapped = swap_norms(norm, spelling)
    assert swapped.eps == 0.5
    ours = [tensor for tensor in swapped.state_dict().values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in ours} == {torch.bfloat16}
    theirs = {tensor.data_ptr() for tensor in norm.state_dict().values()}
    assert theirs.isdisjoint(tensor.data_ptr() for tensor in ours)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_frozen_parameters_stay_frozen(spelling):
    norm = nn.BatchNorm2d(3).requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in swap_norms(norm, spelling).parameters())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_saved_model_loads_from_listed_classes_alone(spelling):
    net = swap_norms(nested(), spelling)
    file = io.BytesIO()
    torch.save(net.stem, file)
    file.seek(0)
    known = [*MODULE_CLASSES, nn.Sequential, nn.Conv2d, nn.ReLU, nn.Identity]
    with torch.serialization.safe_globals(known):
        loaded = torch.load(file)
    x = double_input((2, 3, 8, 8))
    assert torch.equal(loaded(x), net.stem(x))


class Renamed(nn.BatchNorm2d):
    """A subclass that changes nothing."""


class Activated(nn.BatchNorm2d):
    """As image-model libraries have it: the activation lives inside the norm."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop = nn.Identity()
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.drop(super().forward(x)))


class Squared(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) ** 2


class TwoInputs(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(x * mask)


@pytest.mark.parametrize("make", [Renamed, Activated, ActivatedBatchNorm2d, nn.SyncBatchNorm])
@pytest.mark.parametrize("spelling", ["functional", "frozen", "indexed"])
def test_subclasses_are_seen_and_keep_their_function(make, spelling):
    net = nn.Sequential(randomised(make(5)))
    x = double_input((4, 5, 3, 3))
    before = net(x)
    swap_norms(net, spelling)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    torch.testing.assert_close(net(x), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [Squared, TwoInputs])
def test_subclass_that_does_something_else_is_refused_by_name(make):
    net = nn.Sequential(nn.BatchNorm2d(5), make(5))
    with pytest.raises(UsageError, match=rf"The norm 1 \({make.__name__}\)"):
        swap_norms(net)
    assert type(net[0]) is nn.BatchNorm2d


def test_trying_a_subclass_out_leaves_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    swap_norms(nn.Sequential(Activated(3)), "rsqrt")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_norm_without_running_statistics_is_refused_and_nothing_changes(spelling):
    net = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(BnfuseError, match=r"The norm 1 .*no running statistics") as caught:
        swap_norms(net, spelling)
    assert "track_running_stats=True" in caught.value.remedy
    assert type(net[0]) is nn.BatchNorm2d


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_lazy_norm_is_refused(spelling):
    with pytest.raises(UsageError, match="does not know its channels"):
        swap_norms(nn.Sequential(nn.LazyBatchNorm2d()), spelling)


def test_norm_with_hooks_is_refused():
    norm = nn.BatchNorm2d(3)
    norm.register_forward_hook(lambda *_: None)
    with pytest.raises(UsageError, match="hooks"):
        swap_norms(nn.Sequential(norm))


@pytest.mark.parametrize("spelling", ["scratch", "subclass"])
def test_norm_of_unknown_rank_is_refused_where_the_spelling_needs_it(spelling):
    with pytest.raises(UsageError, match="SyncBatchNorm"):
        swap_norms(nn.Sequential(nn.SyncBatchNorm(3)), spelling)


def test_cumulative_average_is_refused_by_scratch():
    with pytest.raises(UsageError, match="momentum=None"):
        swap_norms(nn.BatchNorm2d(3, momentum=None), "scratch")


def test_unknown_spelling_names_the_known_ones():
    with pytest.raises(UsageError, match="scratch, functional"):
        swap_norms(nn.BatchNorm2d(3), "latin")


def test_model_without_norms_comes_back_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.InstanceNorm2d(2))
    assert swap_norms(net) is net
    assert [type(module) for module in net] == [nn.Conv2d, nn.GroupNorm, nn.InstanceNorm2d]
