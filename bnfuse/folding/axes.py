"""Follow constants through ops that only rearrange elements.

A reshape keeps the row-major order, so its input's and output's axes fall into blocks of equal
size. Constants that run along axes of one block can be written out over the block, read back
along the other side's axes, and are per-channel there if they vary along a single axis.
"""

from __future__ import annotations

__all__ = ["Block", "Spread", "blocks", "input_axis"]

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from bnfuse.graph.affine import ChannelAffine

_LARGEST_BLOCK = 1 << 24
"""Entries that a block's constants may be written out to: 128 MiB of numbers."""


@dataclass(frozen=True)
class _Length:
    """The length of one or several axes: a number times symbols."""

    number: int
    symbols: tuple[str, ...]

    @classmethod
    def of(cls, dim: int | ir.SymbolicDim, anonymous: str) -> _Length:
        if isinstance(dim, int):
            return cls(dim, ())
        return cls(1, (dim.value or anonymous,))

    def __mul__(self, other: _Length) -> _Length:
        return _Length(self.number * other.number, tuple(sorted(self.symbols + other.symbols)))

    def is_within(self, other: _Length) -> bool:
        mine, theirs = Counter(self.symbols), Counter(other.symbols)
        return mine != theirs and mine <= theirs


@dataclass(frozen=True)
class Block:
    """Axes of a reshape's input and output that hold the same elements."""

    inputs: range
    outputs: range


def blocks(before: ir.Shape, after: ir.Shape) -> list[Block]:
    """Cut a reshape from ``before`` to ``after`` into the smallest blocks.

    Dimensions that are only known at run time are compared by name. Where they cannot be
    compared, everything between what matches from the left and from the right is one block.
    """
    left = [_Length.of(dim, f"?{i}") for i, dim in enumerate(before)]
    right = [_Length.of(dim, f"!{i}") for i, dim in enumerate(after)]
    head = _cuts(left, right)
    i, j = head[-1]
    tail = _cuts(left[i:][::-1], right[j:][::-1])
    cuts = dict.fromkeys([*head, *((len(left) - a, len(right) - b) for a, b in reversed(tail))])
    return [Block(range(a, c), range(b, d)) for (a, b), (c, d) in pairwise(cuts)]


def _cuts(left: Sequence[_Length], right: Sequence[_Length]) -> list[tuple[int, int]]:
    """Where both can be cut, as far as that can be told from the left on."""
    found = [(0, 0)]
    i = j = 0
    while i < len(left) and j < len(right):
        size_i, size_j = left[i], right[j]
        i, j = i + 1, j + 1
        while size_i != size_j:
            if size_i.is_within(size_j) or (
                size_i.symbols == size_j.symbols and size_i.number < size_j.number
            ):
                if i == len(left):
                    return found
                size_i, i = size_i * left[i], i + 1
            elif size_j.is_within(size_i) or size_i.symbols == size_j.symbols:
                if j == len(right):
                    return found
                size_j, j = size_j * right[j], j + 1
            else:
                return found
        found.append((i, j))
    return found


@dataclass(frozen=True, eq=False)
class Spread:
    """Constants that may run along several axes at once, on their way through a rearrangement.

    Attributes:
        affine: The constants.
        which: Of the value's rank, broadcasts against it: the channel whose constants each element
            has.
    """

    affine: ChannelAffine
    which: NDArray[np.intp]

    @classmethod
    def of(cls, affine: ChannelAffine, rank: int) -> Spread:
        """Per-channel constants of a value of that rank."""
        shape = tuple(-1 if i == affine.axis else 1 for i in range(rank))
        return cls(affine, np.arange(affine.channels or 1).reshape(shape))

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that the constants run along."""
        return tuple(i for i, n in enumerate(self.which.shape) if n != 1)

    def per_channel(self) -> ChannelAffine | None:
        """As per-channel constants, or ``None`` while they run along several axes."""
        if len(self.axes) > 1:
            return None
        return self.affine.take(self.which.ravel()).along(next(iter(self.axes), None))

    def shaped(self, shape: Sequence[int]) -> Spread:
        """The same elements in another shape, which has as many."""
        return replace(self, which=self.which.reshape(shape))

    def transposed(self, perm: Sequence[int]) -> Spread:
        """Through a Transpose: axis ``i`` of the result is axis ``perm[i]`` of this."""
        return replace(self, which=self.which.transpose(perm))

    def reshaped(self, source: ir.Shape, target: ir.Shape) -> Spread | None:
        """Through a reshape from ``source`` to ``target``; ``None`` where it cannot be told."""
        full, shape = list(self.which.shape), [1] * len(target)
        for block in blocks(source, target):
            if not any(axis in block.inputs for axis in self.axes):
                continue
            before, after = _static(source, block.inputs), _static(target, block.outputs)
            if before is None or after is None:
                return None
            size = int(np.prod(before))
            if size != int(np.prod(after)) or not 0 < size <= _LARGEST_BLOCK:
                return None
            full[block.inputs.start : block.inputs.stop] = before
            shape[block.outputs.start : block.outputs.stop] = after
        return self._along_fewest(np.broadcast_to(self.which, full).reshape(shape))

    def _along_fewest(self, which: NDArray[np.intp]) -> Spread:
        """Without the axes along which the constants are the same."""
        vectors = self.affine.expanded(self.affine.channels or 1)
        _, alike = np.unique(np.stack(vectors), axis=1, return_inverse=True)
        for axis in range(which.ndim):
            first = which.take([0], axis=axis)
            if np.all(alike.ravel()[which] == alike.ravel()[first]):
                which = first
        return replace(self, which=which)


def input_axis(axis: int, input_rank: int, output_rank: int) -> int | None:
    """The axis of a broadcast input that lies under ``axis`` of the output."""
    aligned = axis - (output_rank - input_rank)
    return aligned if aligned >= 0 else None


def _static(shape: ir.Shape, axes: range) -> list[int] | None:
    dims = [shape[axis] for axis in axes]
    sizes = [dim for dim in dims if isinstance(dim, int)]
    return sizes if len(sizes) == len(dims) else None
