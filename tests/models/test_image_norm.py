from __future__ import annotations

import pytest
import torch

from bnfuse.models import ImageNorm, ImageNormNet, load_digits
from bnfuse.models.flattened import FlattenedNormNet


def test_is_the_formula_per_channel():
    x = torch.rand(2, 3, 4, 5)
    y = ImageNorm([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(x)
    for channel, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        torch.testing.assert_close(y[:, channel], (x[:, channel] - mean) / std)


def test_width_of_as_many_pixels_as_channels_is_not_taken_for_the_channels():
    x = torch.zeros(1, 3, 3, 3)
    y = ImageNorm([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])(x)
    assert y[0, :, 0, 0].tolist() == [-1.0, -2.0, -3.0]
    assert y[0, 0].eq(-1).all()


def test_statistics_of_given_images():
    images = torch.rand(50, 3, 6, 6, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]).view(
        3, 1, 1
    )
    y = ImageNorm.from_images(images).double()(images)
    torch.testing.assert_close(
        y.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(
        y.std((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6
    )


def test_statistics_are_buffers_and_not_learnt():
    norm = ImageNorm([0.5], [0.25])
    assert set(norm.state_dict()) == {"mean", "std"}
    assert list(norm.parameters()) == []
    assert norm.to("meta").mean.device.type == "meta"


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.0]), ([0.5], [-1.0]), ([0.5, 0.5], [1.0])])
def test_statistics_that_make_no_sense_are_refused(mean, std):
    with pytest.raises(ValueError, match="standard deviation"):
        ImageNorm(mean, std)


def test_constant_images_have_no_norm():
    with pytest.raises(ValueError, match="positive"):
        ImageNorm.from_images(torch.ones(4, 1, 2, 2))


def test_the_net_carries_the_statistics_of_the_digits_it_trains_on():
    measured = ImageNorm.from_images(load_digits().train_images)
    carried = ImageNormNet().normalize
    torch.testing.assert_close(carried.mean, measured.mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(carried.std, measured.std, rtol=0, atol=1e-4)


def test_input_norm_folds_into_the_first_convolution_without_remainder():
    net = ImageNormNet(norm="none", mean=[0.3, -0.2], std=[2.0, 0.5]).double()
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    conv, norm = net.conv1, net.normalize
    scale, shift = (1 / norm.std).view(1, 2, 1, 1), (-norm.mean / norm.std).view(1, 2, 1, 1)
    folded = torch.nn.functional.conv2d(
        x, conv.weight * scale, conv.bias + (conv.weight * shift).sum((1, 2, 3))
    )
    torch.testing.assert_close(folded, conv(norm(x)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [ImageNormNet, FlattenedNormNet])
@pytest.mark.parametrize("kind", ["torch", "scratch", "none"])
def test_nets_give_scores_for_images_of_any_size(make, kind):
    net = make(norm=kind).eval()
    for size in (8, 13):
        assert net(torch.randn(3, 1, size, size)).shape == (3, 10)
