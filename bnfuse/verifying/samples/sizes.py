"""Which sizes the dynamic dimensions take: two each, neither 1, that tell them apart."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.verifying.samples.drawing import Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bnfuse.verifying.samples.drawing import Draft

__all__ = ["candidates", "large_of", "long_of", "sizes_of"]

# Two batch sizes for inputs of up to so many elements a row: small rows are cheap, and few
# rows tell little of a channel, and leave many hidden ones behind a Relu that is never taken.
_BATCHES = ((1024, (8, 5)), (16384, (4, 3)))
_LEAST_BATCHES = (3, 2)
_CHEAP_BATCHES = (32, 21)
_CHEAP_WEIGHTS = 1 << 22

# One batch that is larger than any that a model was tried with, where its rows cost little: up to
# so many numbers; and rows, with up to so many products of a number and a weight.
_LARGE_ELEMENTS = 1 << 20
_LARGE_BATCHES = ((1031, 1 << 30), (67, 1 << 31))

# The length of a sequence that no table ends, and the products of a number and a weight that a
# long sample may take.
_LONG, _LONGEST = 67, 2048
_LONG_PRODUCTS = 1 << 35


@dataclass(frozen=True)
class _Rule:
    """Two sizes for every dimension but the batch.

    Attributes:
        spatial: For the axes after the channels of an input of four axes or more.
        sequence: For any other.
        step: What one axis is larger by than the one before it, so that a mistake between two
            axes shows; 0 where a model wants them alike.
        odd: Whether the second size is odd: rounding up and rounding down differ there.
    """

    spatial: tuple[int, int]
    sequence: tuple[int, int]
    step: int = 0
    odd: bool = False


# A model may refuse sizes that its strides do not divide, and axes that differ.
_UNEVEN = (
    _Rule((64, 59), (12, 7), step=32, odd=True),
    _Rule((64, 96), (12, 7), step=32),
)
_ALIKE = (
    _Rule((64, 96), (12, 7)),
    _Rule((32, 48), (8, 16)),
    _Rule((224, 256), (64, 32)),
)


def candidates(draft: Draft, uneven: bool = False) -> list[tuple[Sizes, Sizes]]:
    """Return pairs of sizes to try, the likeliest first: two per dynamic dimension, neither 1.

    Args:
        draft: The inputs.
        uneven: Begin with pairs in which no two dimensions are alike.
    """
    found: list[tuple[Sizes, Sizes]] = []
    for rule in (*(_UNEVEN if uneven else ()), *_ALIKE):
        pair = _assign(draft, rule, 0), _assign(draft, rule, 1)
        if pair not in found:
            found.append(pair)
    return found


def sizes_of(draft: Draft, size: int, keep: Sizes | None = None) -> Sizes:
    """Return every dynamic dimension at ``size``, or only the batch's where ``keep`` is given."""
    symbols: dict[str, int] = {}
    for port in draft.ports:
        for axis, dim in enumerate(draft.symbols(port)):
            if isinstance(dim, str):
                kept = keep.by_symbol[dim] if keep is not None and axis else size
                symbols.setdefault(dim, kept)
    return _within(draft, symbols, 0)


def large_of(draft: Draft, first: Sizes, single: Sizes) -> Sizes | None:
    """Return a large batch of rows as in ``first`` or, where these are dear, as in ``single``.

    None where there is no batch, or no rows are cheap.
    """
    batches = {draft.symbols(port)[:1] for port in draft.ports}
    if len(batches) != 1 or draft.weights is None:
        return None
    batch = next(iter(batches.pop()), None)
    if not isinstance(batch, str) or any(batch in draft.symbols(p)[1:] for p in draft.ports):
        return None
    images = any(len(draft.symbols(port)) > 3 for port in draft.ports)
    if images and any(port.dtype is not None and port.dtype.itemsize < 4 for port in draft.ports):
        # A weight's rounding is one error for all rows: many that share it take simulated runs.
        return None
    for sizes in (first, single):
        elements = sum(math.prod(draft.shape(port, sizes)[1:]) for port in draft.ports)
        shape = draft.shape(draft.ports[0], sizes)
        products = draft.weights * max(1, math.prod(shape[2:] if images else shape[1:-1]))
        if elements * _LARGE_BATCHES[-1][0] <= _LARGE_ELEMENTS and draft.products is not None:
            # An axis taken for features may be a signal's, whose every place meets the weights.
            row = Sizes({**sizes.by_symbol, batch: 1})
            shapes = {port.name: draft.shape(port, row) for port in draft.ports}
            products = max(products, draft.products(shapes))
        for rows, most in _LARGE_BATCHES[1:] if images else _LARGE_BATCHES:
            if elements * rows <= _LARGE_ELEMENTS and products * rows <= most:
                large = Sizes({**sizes.by_symbol, batch: rows})
                return large if _within(draft, large.by_symbol, 0) == large else None
    return None


def long_of(draft: Draft, first: Sizes) -> list[tuple[Sizes, int]]:
    """Return sizes well above ``first`` for every dimension but the batch, the best ones first.

    Sequences go to the end of a table that the model reads by position, if it has one.

    Returns:
        With each the length of its sequences if they are too dear to be run, else 0.
    """
    found: list[tuple[Sizes, int]] = []
    declared = [most for _, most in draft.bounds.values() if most and _LONG < most <= _LONGEST]
    for length in (*sorted({*declared, *draft.ends}, reverse=True), _LONG):
        symbols: dict[str, int] = {}
        work = draft.weights or 0
        for port in draft.ports:
            dims = draft.symbols(port)
            for axis, dim in enumerate(dims):
                if not isinstance(dim, str) or dim in symbols:
                    continue
                if axis == 0:
                    symbols[dim] = 1
                elif _is_spatial(dims, axis):
                    # Volumes are dear.
                    twice = 2 * first.by_symbol[dim] + 32
                    symbols[dim] = twice if len(dims) == 4 else first.by_symbol[dim] + 32
                else:
                    symbols[dim] = max(length, first.by_symbol[dim])
                    work *= length
        sizes = _within(draft, symbols, 0)
        if any(size > first.by_symbol[dim] for dim, size in sizes.by_symbol.items()):
            dear = work > _LONG_PRODUCTS or length > _LONGEST
            found.append((sizes, length if dear else 0))
    return found


def _assign(draft: Draft, rule: _Rule, which: int) -> Sizes:
    symbols: dict[str, int] = {}
    lengths = itertools.count()
    for port in draft.ports:
        example = draft.example.get(port.name)
        dims = draft.symbols(port)
        elements = _row_elements(dims, rule, which)
        batch = _batches(dims, elements, draft.weights)[which]
        for axis, dim in enumerate(dims):
            if not isinstance(dim, str) or dim in symbols:
                continue
            if axis == 0:
                symbols[dim] = batch
            elif example is not None and example.ndim == len(dims):
                symbols[dim] = _near(example.shape[axis], rule, which, next(lengths))
            elif _is_spatial(dims, axis):
                # Volumes are dear: their axes differ by less.
                step = rule.step if len(dims) == 4 else rule.step // 4
                symbols[dim] = rule.spatial[which] + step * (axis - 2)
            else:
                # Sequences differ by little: their tables of positions end somewhere.
                position = next(lengths) if rule.step else 0
                size = rule.sequence[which]
                symbols[dim] = max(size - position, 2) if which == 0 else size + position
    return _within(draft, symbols, which)


def _within(draft: Draft, symbols: Mapping[str, int], which: int) -> Sizes:
    """The sizes, or those nearest to them in the bounds; the second pair's apart from the first."""
    found = {}
    for symbol, size in symbols.items():
        low, high = draft.bounds.get(symbol, (None, None))
        if high is not None and size > high:
            size = max(high - which, 1)
        found[symbol] = size if low is None else max(size, low)
    return Sizes(found)


def _batches(dims: Sequence[int | str], elements: int, weights: int | None) -> tuple[int, int]:
    cheap = elements <= _BATCHES[0][0] and weights is not None and weights <= _CHEAP_WEIGHTS
    # An image is many rows already: each of its positions is one.
    if cheap and len(dims) < 4:
        return _CHEAP_BATCHES
    return next((sizes for most, sizes in _BATCHES if elements <= most), _LEAST_BATCHES)


def _near(size: int, rule: _Rule, which: int, position: int) -> int:
    """Return a size like the example's: it, or a larger one."""
    size = max(size, 2)
    if which == 0:
        return size
    apart = position + 1 if rule.step else 1
    if rule.odd or size < 16:
        return (size + (2 if size < 64 else 32) * apart - 1) | 1
    return size + 32 * apart


def _is_spatial(dims: Sequence[int | str], axis: int) -> bool:
    return len(dims) >= 4 and axis >= 2


def _row_elements(dims: Sequence[int | str], rule: _Rule, which: int) -> int:
    count = 1
    for axis, dim in enumerate(dims[1:], start=1):
        if isinstance(dim, int):
            count *= dim
        else:
            count *= rule.spatial[which] if _is_spatial(dims, axis) else rule.sequence[which]
    return count
