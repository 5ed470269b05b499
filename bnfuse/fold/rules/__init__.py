"""The rules: each one exact identity in a file of its own, listed once."""

from __future__ import annotations

__all__ = ["RULES"]

from typing import TYPE_CHECKING

from bnfuse.fold.rules.absorb import AbsorbIntoLinear
from bnfuse.fold.rules.compose import ComposeAffines
from bnfuse.fold.rules.concat import MoveThroughConcat
from bnfuse.fold.rules.elementwise import MoveThroughActivation, MoveThroughIdentity
from bnfuse.fold.rules.expand import MoveThroughExpand
from bnfuse.fold.rules.layout import MoveThroughLayout
from bnfuse.fold.rules.pad import MoveThroughPad
from bnfuse.fold.rules.pool import MoveThroughAveragePool, MoveThroughMaxPool
from bnfuse.fold.rules.product import MoveThroughProduct
from bnfuse.fold.rules.reduce import MoveThroughReduction
from bnfuse.fold.rules.residual import MoveThroughAdd
from bnfuse.fold.rules.resize import MoveThroughResize
from bnfuse.fold.rules.select import MoveThroughSelection
from bnfuse.fold.rules.space import MoveThroughSpace

if TYPE_CHECKING:
    from bnfuse.fold.search import Rule

RULES: tuple[Rule, ...] = (
    AbsorbIntoLinear(),
    ComposeAffines(),
    MoveThroughIdentity(),
    MoveThroughActivation(),
    MoveThroughLayout(),
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
    MoveThroughExpand(),
)
