from __future__ import annotations

import hashlib
import sys

import pytest
import torch

from bnfuse.errors import UsageError
from bnfuse.models import load_digits
from bnfuse.models.digits import HELD_OUT


def test_shapes_dtypes_and_scale():
    data = load_digits()
    assert data.train_images.shape == (1437, 1, 8, 8)
    assert data.held_out_images.shape == (HELD_OUT, 1, 8, 8)
    assert data.train_labels.shape == (1437,)
    assert data.held_out_labels.shape == (HELD_OUT,)
    for images in (data.train_images, data.held_out_images):
        assert images.dtype == torch.float32
        assert images.min() == -1
        assert images.max() == 1
    for labels in (data.train_labels, data.held_out_labels):
        assert labels.dtype == torch.int64
        assert set(labels.tolist()) == set(range(10))


def test_parts_together_are_the_whole_set():
    from sklearn import datasets

    data = load_digits()
    bunch = datasets.load_digits()
    whole = sorted(zip(bunch.data.tolist(), bunch.target.tolist(), strict=True))
    images = torch.cat([data.train_images, data.held_out_images])
    labels = torch.cat([data.train_labels, data.held_out_labels])
    pixels = ((images + 1) * 8).round().flatten(1).tolist()
    assert sorted(zip(pixels, labels.tolist(), strict=True)) == whole


def test_split_is_fixed_and_every_class_is_held_out_in_proportion():
    data = load_digits()
    assert data.held_out_labels.bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    digest = hashlib.sha256(bytes(data.held_out_labels.tolist())).hexdigest()
    assert digest == "70ee2850bb25b543ca4112717fd4396c3fb90bcb54d8015bd3f9c7c900966072"


def test_missing_scikit_learn_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    load_digits.cache_clear()
    with pytest.raises(UsageError, match="sklearn, which is not installed") as caught:
        load_digits()
    assert caught.value.remedy == "Install it with: pip install scikit-learn"
