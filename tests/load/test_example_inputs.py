"""Example inputs are inferred, checked by a pass, or refused with what was tried."""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bnfuse.errors import InputShapeError, UsageError
from bnfuse.examples import (
    example_inputs,
    given_inputs,
)
from bnfuse.examples.work import Hollow


def shapes(found):
    return [tuple(arg.shape) for arg in found.args]


def image_net(channels, size, stride=1):
    with torch.no_grad():
        head = nn.Sequential(
            nn.Conv2d(channels, 4, 3, stride), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        )
        features = head(torch.zeros(1, channels, size, size)).shape[1]
    return nn.Sequential(*head, nn.Linear(features, 3)).eval()


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [8, 16, 28, 32, 64, 96, 100, 224])
def test_the_image_size_that_a_flattened_head_wants_is_found(channels, size):
    net = image_net(channels, size)
    found = example_inputs(net)
    assert found.args[0].shape[:2] == (2, channels)
    net(found.args[0])
    if size != 100:
        assert found.args[0].shape[-1] == size
    assert found.dynamic == ({0: "N"},)


def test_the_sentence_says_how():
    net = image_net(1, 8)
    assert example_inputs(net).found == "from the first layer: Conv2d(1, …) -> (2, 1, 8, 8)"


@pytest.mark.parametrize(
    ("net", "ndim"),
    [
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)), 3),
        (nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2)), 5),
        (nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5)), 2),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), 2),
        (nn.BatchNorm1d(4), 2),
        (nn.BatchNorm2d(4), 4),
        (nn.ConvTranspose2d(3, 2, 2, 2), 4),
        (nn.Conv2d(8, 8, 3, groups=8), 4),
        (nn.LayerNorm([4, 5]), 4),
    ],
)
def test_ranks(net, ndim):
    assert example_inputs(net.eval()).args[0].ndim == ndim


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_batch_axis_of_a_recurrent_layer(batch_first):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(6, 4, batch_first=batch_first)

        def forward(self, x):
            return self.rnn(x)[0]

    found = example_inputs(Last().eval())
    assert found.dynamic == (({0: "N"} if batch_first else {1: "N"}),)


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, ids, mask=None):
        assert mask is None
        return self.out(self.table(ids).mean(1))


def test_embeddings_get_integers_within_their_table():
    found = example_inputs(Text().eval())
    assert found.names == ("ids",)
    assert found.args[0].dtype is torch.int64
    assert 0 <= int(found.args[0].min()) <= int(found.args[0].max()) < 7


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.meta = nn.Linear(5, 4)

    def forward(self, image, meta):
        return self.conv(image).mean((2, 3)) + self.meta(meta)


def test_several_inputs_each_get_their_layer():
    found = example_inputs(Two().eval())
    assert found.names == ("image", "meta")
    assert found.args[0].ndim == 4
    assert tuple(found.args[1].shape) == (2, 5)
    assert found.dynamic == ({0: "N"}, {0: "N"})


def test_several_inputs_by_name_in_any_order():
    found = example_inputs(Two().eval(), ["meta=N:3,5", "image=N:3,3,H:16,16"])
    assert found.names == ("image", "meta")
    assert shapes(found) == [(3, 3, 16, 16), (3, 5)]
    assert found.dynamic == ({0: "N", 2: "H"}, {0: "N"})
    assert found.found == "as given"


def test_one_letter_with_two_sizes_is_refused():
    with pytest.raises(UsageError, match="two example sizes"):
        example_inputs(Two().eval(), ["meta=N:3,5", "image=N:2,3,16,16"])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputShapeError, match=r"no input picture.*image, meta"):
        example_inputs(Two().eval(), ["picture=N,3,8,8", "meta=N,5"])


def test_integers_by_shape_alone():
    assert example_inputs(Text().eval(), ["N,9"]).args[0].dtype is torch.int64


class Scale(nn.Module):
    """A hand-written layer: nothing but its weight says what it takes."""

    def __init__(self, *shape):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(*shape))

    def forward(self, x):
        if self.kernel.ndim == 2:
            return x @ self.kernel
        return nn.functional.conv2d(x, self.kernel)


@pytest.mark.parametrize(("shape", "features"), [((4, 3, 3, 3), 3), ((6, 2), 6)])
def test_hand_written_layers_are_read_by_their_weights(shape, features):
    assert example_inputs(Scale(*shape).eval()).args[0].shape[1] == features


class OneByOne(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(x.view(1, 4))


def test_a_batch_of_one_alone_is_not_called_dynamic():
    found = example_inputs(OneByOne().eval())
    assert tuple(found.args[0].shape) == (1, 4)
    assert found.dynamic == ({},)
    assert "only a batch of 1" in found.found


def test_what_was_tried_is_listed_with_the_option():
    class Never(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3)

        def forward(self, x):
            raise ValueError(f"not {tuple(x.shape)}")

    with pytest.raises(InputShapeError) as caught:
        example_inputs(Never().eval())
    assert "(2, 1, 28, 28) float32: ValueError: not (2, 1, 28, 28)" in str(caught.value)
    assert "--input-shape" in caught.value.remedy


def test_a_module_without_layers_needs_a_shape():
    with pytest.raises(InputShapeError, match="none of its layers"):
        example_inputs(nn.ReLU())
    assert shapes(example_inputs(nn.ReLU(), ["N,4"])) == [(2, 4)]


def test_a_shape_that_does_not_fit_says_why():
    with pytest.raises(InputShapeError, match="does not accept"):
        example_inputs(image_net(3, 32), ["N,1,32,32"])


@pytest.mark.parametrize("name", ["float16", "half", "torch.float64", "bf16"])
def test_dtypes_by_name(name):
    net = nn.ReLU()
    assert example_inputs(net, ["N,4"], name).args[0].dtype.is_floating_point


def test_an_unknown_dtype_is_a_usage_error():
    with pytest.raises(UsageError, match="float16"):
        example_inputs(nn.ReLU(), ["N,4"], "quadruple")


def test_hints_of_the_module_come_first():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1)).eval()
    net.input_shape = (1, 8, 8)
    assert shapes(example_inputs(net)) == [(2, 1, 8, 8)]


def test_forward_prints_nothing_and_random_state_stays(capsys):
    class Chatty(nn.Linear):
        def forward(self, x):
            sys.stdout.write("hello")
            return super().forward(x)

    net = Chatty(3, 2).eval()
    state = torch.get_rng_state()
    example_inputs(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert capsys.readouterr().out == ""


def test_examples_are_the_same_each_time():
    net = image_net(3, 32)
    assert torch.equal(example_inputs(net).args[0], example_inputs(net).args[0])


def test_given_tensors_are_wrapped():
    x, meta = torch.zeros(4, 3, 8, 8), torch.zeros(4, 5)
    net = Two().eval()
    for tensors in ((x, meta), [x, meta], {"meta": meta, "image": x}):
        found = given_inputs(net, tensors)
        assert found.names == ("image", "meta")
        assert found.args[0] is x
        assert found.dynamic == ({0: "N"}, {0: "N"})
    assert given_inputs(nn.ReLU(), x).args == (x,)


def test_only_inputs_of_the_same_batch_are_dynamic():
    found = given_inputs(nn.Bilinear(2, 2, 2), (torch.zeros(4, 2), torch.zeros(1, 2)))
    assert found.dynamic == ({0: "N"}, {})


def test_a_given_batch_of_one_is_repeated_where_that_works():
    net = image_net(3, 32)
    found = given_inputs(net, torch.zeros(1, 3, 32, 32))
    assert shapes(found) == [(2, 3, 32, 32)]
    assert "repeated" in found.found
    fixed = given_inputs(OneByOne().eval(), torch.zeros(1, 4))
    assert shapes(fixed) == [(1, 4)]
    assert fixed.dynamic == ({},)


@pytest.mark.parametrize(
    "wrong", [{"picture": torch.zeros(1)}, {}, (), ("x",), (torch.zeros(1),) * 3]
)
def test_wrong_inputs_are_typed_errors(wrong):
    with pytest.raises(InputShapeError):
        given_inputs(Two().eval(), wrong)


class Siamese(nn.Module):
    """Two images through one encoder; inner layers take other channels."""

    def __init__(self, channels=3):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, 2)
        )

    def forward(self, template, search):
        kernel, image = self.encoder(template), self.encoder(search)
        found = nn.functional.conv2d(image.flatten(0, 1)[None], kernel, groups=len(image))
        return found.transpose(0, 1)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_two_images_of_one_encoder_are_alike(channels):
    found = example_inputs(Siamese(channels).eval())
    first, second = shapes(found)
    assert first == second
    assert first[:2] == (2, channels)


class AllPairs(nn.Module):
    """Compares every pixel with every other: the memory grows with the fourth power of the size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, first, second):
        one, two = (self.conv(image).flatten(2) for image in (first, second))
        return (one.transpose(1, 2) @ two).amax(2)


def test_a_pass_that_would_fill_the_memory_is_not_made(monkeypatch):
    net = AllPairs().eval()
    ran = []
    kept = nn.Conv2d.forward
    monkeypatch.setattr(
        nn.Conv2d,
        "forward",
        lambda layer, x: (
            (ran.append(x.shape[-1]) if type(x) is torch.Tensor else None) or kept(layer, x)
        ),
    )
    found = example_inputs(net)
    assert found.dynamic == ({0: "N"}, {0: "N"})
    assert found.args[0].shape[-1] ** 4 * 2 <= 2**29
    assert max(ran) == found.args[0].shape[-1]


class Copied(AllPairs):
    """Counts its copies, and keeps what a pass leaves in it."""

    copies = 0

    def __deepcopy__(self, memo):
        """Say that there is one more."""
        Copied.copies += 1
        made = Copied.__new__(Copied)
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def forward(self, a, b):
        """Refuse whatever comes after a first pass."""
        if hasattr(self, "before"):
            raise ValueError("a second pass")
        self.before = a
        return super().forward(a, b)


def test_all_passes_are_weighed_by_one_copy_that_none_of_them_changes():
    Copied.copies = 0
    net = Copied().eval()
    hollow = Hollow(net)
    small, large = (torch.empty(2, 3, size, size) for size in (16, 32))
    few = hollow.elements((small, small))
    assert hollow.elements((large, large)) > 4 * few > 0
    assert hollow.elements((small, small)) == few
    assert Copied.copies == 1
    assert not hasattr(net, "before")
    example_inputs(net)
    assert Copied.copies == 2


class Picky(nn.Module):
    """Many layers, each of which might say what one of the inputs is, and none accepted."""

    def __init__(self, count):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(i + 1, 4, 3) for i in range(count))

    def forward(self, a, b, c):
        """Is replaced."""


def test_a_search_for_several_inputs_ends_and_says_when(monkeypatch):
    net = Picky(12).eval()
    passes = []
    monkeypatch.setattr(
        Picky,
        "forward",
        lambda self, a, b, c: (passes.append(a) if type(a) is torch.Tensor else 0) or self.x(b, c),
    )
    with pytest.raises(InputShapeError, match="stopped after 96 passes"):
        example_inputs(net)
    assert len(passes) <= 96


def test_a_table_of_numbers_and_one_of_kinds():
    class Ranking(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 6)
            self.norm = nn.BatchNorm1d(5)

        def forward(self, numbers, kinds):
            return self.norm(numbers).sum(1) + self.table(kinds[:, 0]).sum(1)

    found = example_inputs(Ranking().eval())
    assert shapes(found)[0] == (2, 5)
    assert found.args[1].dtype is torch.int64


def test_what_is_tried_is_told_while_it_lasts():
    told = []
    example_inputs(Siamese().eval(), told=told.append)
    assert told[0] == "trying (2, 3, 128, 128) float32, (2, 3, 128, 128) float32"


def test_a_search_leaves_the_module_as_it_was():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)
            self.shape = None

        def forward(self, x):
            if self.shape != x.shape:
                self.shape = x.shape
            return self.conv(x)

    net = Caching().eval()
    example_inputs(net)
    assert net.shape is None


class TwoTowers(nn.Module):
    """Text beside images, as CLIP takes them: nothing is required, and neither does alone."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(40, 12), nn.Embedding(16, 12)
        self.text = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 12), nn.LayerNorm(12))
        self.patches = nn.Conv2d(3, 12, 8, 8)

    def forward(self, input_ids=None, pixel_values=None):
        text = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        if pixel_values.shape[2:] != (64, 64):
            raise ValueError("another image size")
        image = self.patches(pixel_values)
        return self.text(text).mean(1) @ image.mean((2, 3)).T


def test_an_image_and_its_text_that_are_only_taken_together():
    found = example_inputs(TwoTowers().eval())
    assert found.names == ("input_ids", "pixel_values")
    assert found.args[0].shape == (2, 8)
    assert found.args[0].dtype == torch.int64
    assert found.args[0].max() < 40
    assert found.args[1].shape == (2, 3, 64, 64)
    assert found.dynamic == ({0: "N"}, {0: "N"})


def test_they_are_taken_in_the_order_of_forward():
    class Turned(TwoTowers):
        def forward(self, pixel_values=None, mask=None, input_ids=None):
            return super().forward(input_ids, pixel_values if mask is None else mask)

    found = example_inputs(Turned().eval())
    assert found.names == ("pixel_values", "input_ids")
    assert [arg.ndim for arg in found.args] == [4, 2]


@pytest.mark.parametrize("part", ["vision_config", "backbone_config"])
def test_the_size_of_a_part_that_sees_is_a_hint(part):
    net = TwoTowers().eval()
    net.config = SimpleNamespace(**{part: SimpleNamespace(image_size=64, num_channels=3)})
    told = []
    found = example_inputs(net, told=told.append)
    assert found.args[1].shape == (2, 3, 64, 64)
    assert "config" in found.found
    assert len(told) < 6


def test_tokens_are_found_behind_many_layers_of_an_image():
    class Deep(TwoTowers):
        def __init__(self):
            super().__init__()
            layers = [nn.Conv2d(size, size + 1, 1) for size in range(12, 30)]
            self.__dict__["_modules"] = {
                "patches": self.patches,
                "further": nn.Sequential(*layers),
                **self._modules,
            }

        def forward(self, pixel_values, input_ids):
            self.further(self.patches(pixel_values))
            return super().forward(input_ids, pixel_values)

    told = []
    found = example_inputs(Deep().eval(), told=told.append)
    assert shapes(found) == [(2, 3, 64, 64), (2, 8)]
    assert found.args[1].max() < 40
    assert len(told) < 20


def test_an_image_with_text_that_may_be_left_out_is_taken_alone():
    class Either(TwoTowers):
        main_input_name = "pixel_values"

        def forward(self, input_ids=None, pixel_values=None):
            return self.patches(pixel_values) if input_ids is None else self.words(input_ids)

    found = example_inputs(Either().eval())
    assert found.names == ("pixel_values",)
    assert found.args[0].shape[1] == 3
