"""Nets with batch norm in the ways that people write it, and a loop that trains them on digits.

    >>> from bnfuse.models import build, names
    >>> names()[0]
    'scratch-cnn'
    >>> build("scratch-cnn").layers[0].norm
    ScratchBatchNorm2d(32, eps=1e-05, momentum=0.9, affine=True)

``swap_norms`` rewrites the norms of any other model. Everything is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfuse.models.bnlayer import BnLayer, ConvBnNet
    from bnfuse.models.comparison import Comparison, compare
    from bnfuse.models.deep_mlp import DeepMlp
    from bnfuse.models.digits import Digits, load_digits
    from bnfuse.models.files import save_module
    from bnfuse.models.flattened import FlattenedNorm, FlattenedNormNet
    from bnfuse.models.image_norm import ImageNorm, ImageNormNet
    from bnfuse.models.plotting import plot
    from bnfuse.models.registry import REGISTRY, Net, build, entry, names
    from bnfuse.models.saved import MODULE_CLASSES
    from bnfuse.models.scratch import ScratchBatchNorm1d, ScratchBatchNorm2d, ScratchBatchNorm3d
    from bnfuse.models.scratch_cnn import ScratchCnn
    from bnfuse.models.swap import SPELLINGS, swap_norms
    from bnfuse.models.training import Epoch, Schedule, Training, train
    from bnfuse.models.walkthrough import (
        ConvNorm,
        ConvNormLinearNorm,
        ConvPoolNorm,
        ConvPoolNormTwice,
    )

__all__ = [
    "MODULE_CLASSES",
    "REGISTRY",
    "SPELLINGS",
    "BnLayer",
    "Comparison",
    "ConvBnNet",
    "ConvNorm",
    "ConvNormLinearNorm",
    "ConvPoolNorm",
    "ConvPoolNormTwice",
    "DeepMlp",
    "Digits",
    "Epoch",
    "FlattenedNorm",
    "FlattenedNormNet",
    "ImageNorm",
    "ImageNormNet",
    "Net",
    "Schedule",
    "ScratchBatchNorm1d",
    "ScratchBatchNorm2d",
    "ScratchBatchNorm3d",
    "ScratchCnn",
    "Training",
    "build",
    "compare",
    "entry",
    "load_digits",
    "names",
    "plot",
    "save_module",
    "swap_norms",
    "train",
]

_HOME = {
    "MODULE_CLASSES": "saved",
    "REGISTRY": "registry",
    "SPELLINGS": "swap",
    "BnLayer": "bnlayer",
    "Comparison": "comparison",
    "ConvBnNet": "bnlayer",
    "ConvNorm": "walkthrough",
    "ConvNormLinearNorm": "walkthrough",
    "ConvPoolNorm": "walkthrough",
    "ConvPoolNormTwice": "walkthrough",
    "DeepMlp": "deep_mlp",
    "Digits": "digits",
    "Net": "registry",
    "Epoch": "training",
    "FlattenedNorm": "flattened",
    "FlattenedNormNet": "flattened",
    "ImageNorm": "image_norm",
    "ImageNormNet": "image_norm",
    "Schedule": "training",
    "ScratchBatchNorm1d": "scratch",
    "ScratchBatchNorm2d": "scratch",
    "ScratchBatchNorm3d": "scratch",
    "ScratchCnn": "scratch_cnn",
    "Training": "training",
    "build": "registry",
    "compare": "comparison",
    "entry": "registry",
    "load_digits": "digits",
    "names": "registry",
    "plot": "plotting",
    "save_module": "files",
    "swap_norms": "swap",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bnfuse.models' has no attribute {name!r}")
    return getattr(import_module(f"bnfuse.models.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
