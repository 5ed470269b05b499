"""Follow constants through ops that only rearrange elements.

A reshape keeps the row-major order, so its input's and output's axes fall into blocks of equal
size. Constants that run along axes of one block can be written out over the block, read back
along the other side's axes, and are per-channel there if they vary along a single axis.
"""

from __future__ import annotations

__all__ = ["Block", "Spread", "blocks", "input_axis", "spread_of"]

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.graph.affine import ChannelAffine

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

Array = NDArray[np.float64]
_LARGEST_BLOCK = 1 << 24
"""Entries that a block's constants may be written out to: 128 MiB of float64."""


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
    head = _match(left, right)
    used_left = head[-1].inputs.stop if head else 0
    used_right = head[-1].outputs.stop if head else 0
    mirrored = _match(left[used_left:][::-1], right[used_right:][::-1])
    tail = [
        Block(
            range(len(left) - block.inputs.stop, len(left) - block.inputs.start),
            range(len(right) - block.outputs.stop, len(right) - block.outputs.start),
        )
        for block in reversed(mirrored)
    ]
    end_left = tail[0].inputs.start if tail else len(left)
    end_right = tail[0].outputs.start if tail else len(right)
    middle = Block(range(used_left, end_left), range(used_right, end_right))
    if middle.inputs or middle.outputs:
        return [*head, middle, *tail]
    return [*head, *tail]


def _match(left: Sequence[_Length], right: Sequence[_Length]) -> list[Block]:
    """The blocks that can be told from the left on."""
    found: list[Block] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start_i, start_j = i, j
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
        found.append(Block(range(start_i, i), range(start_j, j)))
    return found


@dataclass(frozen=True, eq=False)
class Spread:
    """Constants that may run along several axes at once, on their way through a rearrangement.

    Attributes:
        scale: float64 that broadcasts against the value, of the value's own rank.
        shift: Likewise.
        magnitude: Likewise.
    """

    scale: Array
    shift: Array
    magnitude: Array

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """The three arrays."""
        return self.scale, self.shift, self.magnitude

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that the constants run along."""
        return tuple(i for i, n in enumerate(self.scale.shape) if n != 1)

    def affine(self) -> ChannelAffine | None:
        """As per-channel constants, or ``None`` while they run along several axes."""
        if len(self.axes) > 1:
            return None
        if not self.axes:
            return ChannelAffine.of(None, *(a.reshape(()) for a in self.arrays))
        return ChannelAffine.of(self.axes[0], *(a.reshape(-1) for a in self.arrays))

    def transposed(self, perm: Sequence[int]) -> Spread:
        """Through a Transpose: axis ``i`` of the result is axis ``perm[i]`` of this."""
        return Spread(*(a.transpose(perm) for a in self.arrays))

    def reshaped(self, source: ir.Shape, target: ir.Shape) -> Spread | None:
        """Through a reshape from ``source`` to ``target``; ``None`` where it cannot be told."""
        shape = [1] * len(target)
        ways: list[tuple[list[int], list[int]]] = []
        for block in blocks(source, target):
            along = [i for i in self.axes if i in block.inputs]
            if not along:
                continue
            sizes_in, sizes_out = _static(source, block.inputs), _static(target, block.outputs)
            if sizes_in is None or sizes_out is None:
                return None
            size = int(np.prod(sizes_in))
            if size != int(np.prod(sizes_out)) or not 0 < size <= _LARGEST_BLOCK:
                return None
            ways.append((list(block.inputs), sizes_in))
            for axis, size in zip(block.outputs, sizes_out, strict=True):
                shape[axis] = size
        written = []
        for array in self.arrays:
            full = list(array.shape)
            for axes, sizes in ways:
                for axis, size in zip(axes, sizes, strict=True):
                    full[axis] = size
            written.append(np.broadcast_to(array, full).reshape(shape))
        return Spread(*_squeezed(written))


def spread_of(affine: ChannelAffine, rank: int) -> Spread:
    """Per-channel constants as arrays of the value's rank."""
    shape = tuple(-1 if i == affine.axis else 1 for i in range(rank))
    return Spread(*(v.reshape(shape) for v in (affine.scale, affine.shift, affine.magnitude)))


def input_axis(axis: int, input_rank: int, output_rank: int) -> int | None:
    """The axis of a broadcast input that lies under ``axis`` of the output."""
    aligned = axis - (output_rank - input_rank)
    return aligned if aligned >= 0 else None


def _static(shape: ir.Shape, axes: range) -> list[int] | None:
    dims = [shape[axis] for axis in axes]
    sizes = [dim for dim in dims if isinstance(dim, int)]
    return sizes if len(sizes) == len(dims) else None


def _squeezed(arrays: Sequence[Array]) -> list[Array]:
    """Drop each axis along which none of the arrays varies."""
    result = list(arrays)
    for axis in range(arrays[0].ndim):
        firsts = [np.take(a, [0], axis=axis) for a in result]
        if all(
            np.array_equal(np.broadcast_to(f, a.shape), a)
            for f, a in zip(firsts, result, strict=True)
        ):
            result = firsts
    return result
