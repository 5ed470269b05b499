"""Inputs to compare on: seeded, in regimes that reveal different mistakes, at several sizes.

``signed`` is what a normal distribution gives; ``wide`` ten times larger; ``edge`` holds
constants, ramps and lone pixels; ``zero`` leaves only the biases, which no signal then hides.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.errors import UsageError
from bnfuse.verifying.runtime.narrow_types import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bnfuse.verifying.runtime.onnx_models import Port

__all__ = ["Draft", "Draw", "Sample", "Sizes", "plan", "probe"]

Array = np.ndarray[Any, Any]

_UNKNOWN_INTEGERS = 16
_LARGE_INTEGER = 10**6

# Samples that are added so that every row of a table is read.
_MOST_BLOCKS = 8

_WIDE = {2: 3.0, 4: 10.0, 8: 10.0}
_WORDS = ("", "a", "batch", "norm", "Ä", "folded twice")


@dataclass(frozen=True)
class Sizes:
    """What each symbolic dimension is: one size per symbol."""

    by_symbol: Mapping[str, int]


@dataclass(frozen=True)
class Sample:
    """One set of inputs by name, and the regime it belongs to."""

    regime: str
    feeds: Mapping[str, Array]

    @property
    def label(self) -> str:
        """The sample in words: its regime and shapes."""
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in self.feeds.items())
        return f"{self.regime}: {shapes}"


@dataclass(frozen=True)
class Draw:
    """One sample to be drawn.

    Attributes:
        regime: Which kind of values.
        sizes: Of the dynamic dimensions.
        salt: Tells draws apart that are alike otherwise.
        block: Which piece of their tables' rows index inputs take, all pieces together holding
            every row; None for any rows.
    """

    regime: str
    sizes: Sizes
    salt: str = ""
    block: int | None = None


@dataclass(frozen=True)
class Draft:
    """What inputs are drawn from.

    Attributes:
        ports: The model's inputs; dimensions without a symbol have one given to them here.
        ranges: Value ranges by input name.
        limits: Exclusive upper bounds of integer inputs, from the tables they index.
        free: Integer inputs that may be any number.
        masks: Inputs that are 0 or 1, whatever their type, each with what it is where it hides
            nothing.
        example: Known good inputs, for their sizes and the range of their integers.
        seed: Of the random numbers.
        order: The rows of an index input's table in the order in which to read them.
        ends: How long tables are that are read by position, the longest first.
        bounds: The least and the largest size of symbols that have some, None for no bound.
        weights: How many constants a row meets: where they are few, rows are many. None: unknown.
        products: Tells from the inputs' shapes by name how many products a run takes at least.
    """

    ports: tuple[Port, ...]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    example: Mapping[str, Array] = field(default_factory=dict)
    seed: int = 0
    order: Mapping[str, Array] = field(default_factory=dict)
    weights: int | None = None
    products: Callable[[Mapping[str, tuple[int, ...]]], int] | None = None
    masks: Mapping[str, bool] = field(default_factory=dict)
    ends: tuple[int, ...] = ()
    bounds: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.ranges) - {port.name for port in self.ports}
        if unknown:
            raise UsageError(
                f"There is no input {sorted(unknown)[0]!r} to give a range to.",
                f"The inputs are {', '.join(port.name for port in self.ports)}.",
            )

    def symbols(self, port: Port) -> tuple[int | str, ...]:
        """Return a port's dimensions, each a number or a symbol."""
        dims = port.dims or ()
        return tuple(
            dim if isinstance(dim, int) else dim or f"{port.name}:{axis}"
            for axis, dim in enumerate(dims)
        )

    def shape(self, port: Port, sizes: Sizes) -> tuple[int, ...]:
        """Return a port's shape at the given sizes."""
        return tuple(
            dim if isinstance(dim, int) else sizes.by_symbol[dim] for dim in self.symbols(port)
        )

    def draw(self, item: Draw) -> Sample:
        """Return the inputs of one sample."""
        feeds = {}
        for port in self.ports:
            shape = self.shape(port, item.sizes)
            key = f"{port.name}|{item.regime}|{shape}|{item.salt}".encode()
            rng = np.random.default_rng([self.seed, zlib.crc32(key)])
            values = (
                self._values(port, item.regime, shape, rng)
                if item.block is None or port.name not in self.limits
                else self._rows(port, shape, item.block).astype(port.dtype)
            )
            # An array also of a scalar: the runtime takes no numpy scalars.
            feeds[port.name] = np.asarray(values)
        return Sample(item.regime, feeds)

    def blocks(self, sizes: Sizes) -> dict[str, int]:
        """Return how many samples of these sizes hold every row of each index input's table."""
        found = {}
        for port in self.ports:
            if port.name in self.limits and port.name not in self.ranges:
                each = max(1, int(np.prod(self.shape(port, sizes))))
                found[port.name] = -(-self.limits[port.name] // each)
        return found

    def _rows(self, port: Port, shape: tuple[int, ...], block: int) -> Array:
        limit = self.limits[port.name]
        order = self.order.get(port.name)
        if order is None:
            rng = np.random.default_rng([self.seed, zlib.crc32(port.name.encode())])
            order = rng.permutation(limit)
        count = int(np.prod(shape))
        places = np.arange(block * count, (block + 1) * count) % limit
        return np.asarray(order[order < limit][places].reshape(shape))

    def _values(
        self, port: Port, regime: str, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        dtype = port.dtype
        if dtype is None:
            raise UsageError(
                f"Input {port.name!r} is not a tensor, so no values can be made up for it.",
                "Give real data with --inputs.",
            )
        # What also reads a table hides by its padding index, and is no mask.
        mask = port.name in self.masks and not {port.name} & {*self.ranges, *self.limits}
        if dtype == np.bool_ or mask:
            values = _booleans(regime, shape, rng)
            if mask:
                _show_first(values, self.masks[port.name])
            return values.astype(carried(dtype))
        if dtype.kind in "iu":
            low, high = self._integer_range(port, regime)
            return _integers(regime, shape, rng, low, high, dtype)
        if dtype.kind in "OSU":
            return rng.choice(np.array(_WORDS, dtype=object), size=shape)
        bounds = self.ranges.get(port.name)
        values = (
            _bounded(regime, shape, rng, *bounds)
            if bounds
            else _floats(regime, shape, rng, _WIDE.get(dtype.itemsize, 3.0))
        )
        return values.astype(dtype).astype(carried(dtype))

    def _integer_range(self, port: Port, regime: str) -> tuple[int, int]:
        if port.name in self.ranges:
            low, high = self.ranges[port.name]
            return int(low), int(high)
        if port.name in self.limits:
            return 0, self.limits[port.name] - 1
        dtype = port.dtype
        assert dtype is not None
        info = np.iinfo(dtype)
        if dtype.itemsize == 1 or (port.name in self.free and regime == "edge"):
            return int(info.min), int(info.max)
        if port.name in self.free and regime == "wide":
            return max(-_LARGE_INTEGER, int(info.min)), min(_LARGE_INTEGER, int(info.max))
        example = self.example.get(port.name)
        if example is not None and example.size:
            return int(example.min()), int(example.max())
        return 0, _UNKNOWN_INTEGERS - 1


def probe(sizes: Sizes, first: bool = False) -> Draw:
    """Return the planned sample that shows whether the original accepts these sizes."""
    if not sizes.by_symbol:
        return Draw("signed", sizes, "0", 0)
    return Draw("signed", sizes, block=0 if first else None)


def plan(
    draft: Draft, first: Sizes, second: Sizes, single: Sizes, further: Sequence[Sizes] = ()
) -> list[Draw]:
    """Return what to draw, in order.

    A model without dynamic dimensions is drawn from more often, since each draw tells less. Rows
    of tables that these samples do not reach are read by further ones at the end.
    """
    if first.by_symbol:
        order = [
            probe(first, first=True),
            probe(second),
            probe(single),
            Draw("wide", first),
            Draw("edge", first),
            Draw("zero", single),
            *map(probe, further),
        ]
    else:
        order = [
            *(Draw("signed", first, str(draw), draw) for draw in range(4)),
            *(Draw("wide", first, str(draw)) for draw in range(2)),
            *(Draw("edge", first, str(draw)) for draw in range(2)),
            Draw("zero", first),
        ]
    read = sum(item.block is not None for item in order)
    wanted = min(max(draft.blocks(first).values(), default=0), read + _MOST_BLOCKS)
    order += [Draw("signed", first, f"rows {block}", block) for block in range(read, wanted)]
    return order


def _floats(regime: str, shape: tuple[int, ...], rng: np.random.Generator, wide: float) -> Array:
    if regime == "zero":
        return np.zeros(shape)
    normal = rng.standard_normal(shape)
    if regime == "wide":
        return normal * wide
    if regime == "edge":
        return _edges(shape, rng, -1.0, 1.0)
    return normal


def _bounded(
    regime: str, shape: tuple[int, ...], rng: np.random.Generator, low: float, high: float
) -> Array:
    if regime == "zero":
        return np.full(shape, min(max(0.0, low), high))
    if regime == "edge":
        return _edges(shape, rng, low, high)
    return rng.uniform(low, high, shape)


def _edges(shape: tuple[int, ...], rng: np.random.Generator, low: float, high: float) -> Array:
    """Return rows that are each something else: constants, a ramp, a lone value, small noise."""
    values = np.empty(shape)
    rows = values.reshape(shape[0], -1) if shape and values.size else values.reshape(1, -1)
    middle = (low + high) / 2
    first = int(rng.integers(5))
    for position, row in enumerate(rows):
        kind = (position + first) % 5
        if kind == 0:
            row[:] = high
        elif kind == 1:
            row[:] = low
        elif kind == 2:
            row[:] = np.linspace(low, high, row.size)
        elif kind == 3:
            row[:] = middle
            row[rng.integers(row.size)] = high
        else:
            row[:] = middle + 1e-3 * (high - low) * rng.standard_normal(row.size).clip(-4, 4)
    return values


def _integers(
    regime: str,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    low: int,
    high: int,
    dtype: np.dtype[Any],
) -> Array:
    if regime == "zero":
        return np.full(shape, min(max(0, low), high), dtype)
    values = np.asarray(rng.integers(low, high, size=shape, endpoint=True, dtype=dtype))
    if regime == "edge":
        flat = values.reshape(-1)
        flat[::3], flat[1::3] = low, high
    return values


def _booleans(regime: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if regime == "zero":
        return np.zeros(shape, np.bool_)
    values = rng.random(shape) < 0.5
    if regime == "edge":
        values.reshape(-1)[::2] = True
    return np.asarray(values)


def _show_first(values: Array, shown: bool) -> None:
    """Let a mask hide nothing at the first place of each row, in place.

    Where all of a row is hidden, attention is a matter of spelling: PyTorch's gives 0 and the
    exports of it the mean of all. In a causal net the first position sees itself alone.
    """
    axes = [
        axis for axis, size in enumerate(values.shape) if size > 1 and (axis or values.ndim == 1)
    ]
    if axes:
        np.moveaxis(values, axes[-1], 0)[0] = shown
