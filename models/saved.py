"""Which classes a file of ``bnfuse train`` may name beside PyTorch's own."""

from __future__ import annotations

__all__ = ["MODULE_CLASSES"]

from typing import TYPE_CHECKING

from bnfuse.models import spellings, subclassed
from bnfuse.models.bnlayer import BnLayer, ConvBnNet, ConvReluNorm
from bnfuse.models.deep_mlp import DeepMlp
from bnfuse.models.flattened import FlattenedNorm, FlattenedNormNet
from bnfuse.models.image_norm import ImageNorm, ImageNormNet
from bnfuse.models.scratch import ScratchBatchNorm1d, ScratchBatchNorm2d, ScratchBatchNorm3d
from bnfuse.models.scratch_cnn import ConvNormRelu, ScratchCnn
from bnfuse.models.walkthrough import ConvNorm, ConvNormLinearNorm, ConvPoolNorm, ConvPoolNormTwice

if TYPE_CHECKING:
    from torch import nn

MODULE_CLASSES: tuple[type[nn.Module], ...] = (
    BnLayer,
    ConvBnNet,
    ConvNorm,
    ConvNormLinearNorm,
    ConvNormRelu,
    ConvPoolNorm,
    ConvPoolNormTwice,
    ConvReluNorm,
    DeepMlp,
    FlattenedNorm,
    FlattenedNormNet,
    ImageNorm,
    ImageNormNet,
    ScratchBatchNorm1d,
    ScratchBatchNorm2d,
    ScratchBatchNorm3d,
    ScratchCnn,
    spellings.AddcmulBatchNorm,
    spellings.ChannelsLastBatchNorm,
    spellings.ExpandedBatchNorm,
    spellings.FlattenedBatchNorm,
    spellings.FrozenBatchNorm,
    spellings.FunctionalBatchNorm,
    spellings.IndexedBatchNorm,
    spellings.PowerBatchNorm,
    spellings.ReversedBatchNorm,
    spellings.RsqrtBatchNorm,
    subclassed.ActivatedBatchNorm1d,
    subclassed.ActivatedBatchNorm2d,
    subclassed.ActivatedBatchNorm3d,
)
"""For ``torch.serialization.safe_globals``: unpickling them runs none of their code but
``__setstate__``, which they inherit from ``nn.Module``."""
