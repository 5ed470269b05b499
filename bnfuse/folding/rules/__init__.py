"""The rules: each one exact identity in a file of its own, listed once."""

from __future__ import annotations

__all__ = ["RULES"]

from typing import TYPE_CHECKING

from bnfuse.folding.rules.absorb import AbsorbIntoLinear
from bnfuse.folding.rules.attention import MoveThroughAttention
from bnfuse.folding.rules.choice import MoveThroughChoice
from bnfuse.folding.rules.clip import MoveThroughClip
from bnfuse.folding.rules.compose import ComposeAffines
from bnfuse.folding.rules.concat import MoveThroughConcat
from bnfuse.folding.rules.elementwise import MoveThroughActivation, MoveThroughIdentity
from bnfuse.folding.rules.expand import MoveThroughExpand
from bnfuse.folding.rules.normalizer import AbsorbIntoNormalizer
from bnfuse.folding.rules.pad import MoveThroughPad
from bnfuse.folding.rules.pool import MoveThroughAveragePool, MoveThroughMaxPool
from bnfuse.folding.rules.product import MoveThroughProduct
from bnfuse.folding.rules.reduce import MoveThroughReduction
from bnfuse.folding.rules.residual import MoveThroughAdd
from bnfuse.folding.rules.resize import MoveThroughResize
from bnfuse.folding.rules.select import MoveThroughSelection
from bnfuse.folding.rules.space import MoveThroughSpace

if TYPE_CHECKING:
    from bnfuse.folding.rule import Rule

RULES: tuple[Rule, ...] = (
    AbsorbIntoLinear(),
    AbsorbIntoNormalizer(),
    ComposeAffines(),
    MoveThroughIdentity(),
    MoveThroughActivation(),
    MoveThroughClip(),
    MoveThroughAttention(),
    MoveThroughAveragePool(),
    MoveThroughMaxPool(),
    MoveThroughReduction(),
    MoveThroughConcat(),
    MoveThroughSelection(),
    MoveThroughSpace(),
    MoveThroughResize(),
    MoveThroughPad(),
    MoveThroughAdd(),
    MoveThroughProduct(),
    MoveThroughChoice(),
    MoveThroughExpand(),
)
