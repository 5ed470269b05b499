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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bnfuse.verifying.models import Port

__all__ = ["Draft", "Sample", "Sizes", "candidates", "plan", "sizes_of"]

Array = np.ndarray[Any, Any]

# Two batch sizes for inputs of up to so many elements a row: small rows are cheap, and few
# rows tell little of a channel.
_BATCHES = ((1024, (8, 5)), (16384, (4, 3)))
_LEAST_BATCHES = (3, 2)
_UNKNOWN_INTEGERS = 16
_WIDE = {2: 3.0, 4: 10.0, 8: 10.0}
_WORDS = ("", "a", "batch", "norm", "Ä", "folded twice")


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
class Sizes:
    """What each symbolic dimension is: one size per symbol."""

    by_symbol: Mapping[str, int]


@dataclass(frozen=True)
class Draft:
    """What inputs are drawn from.

    Attributes:
        ports: The model's inputs; dimensions without a symbol have one given to them here.
        ranges: Value ranges by input name.
        limits: Exclusive upper bounds of integer inputs, from the tables they index.
        example: Known good inputs, for their sizes and the range of their integers.
        seed: Of the random numbers.
    """

    ports: tuple[Port, ...]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    example: Mapping[str, Array] = field(default_factory=dict)
    seed: int = 0

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

    def draw(self, regime: str, sizes: Sizes, salt: str = "") -> Sample:
        """Return inputs of one regime at the given sizes."""
        feeds = {}
        for port in self.ports:
            shape = tuple(
                dim if isinstance(dim, int) else sizes.by_symbol[dim] for dim in self.symbols(port)
            )
            key = f"{port.name}|{regime}|{shape}|{salt}".encode()
            rng = np.random.default_rng([self.seed, zlib.crc32(key)])
            feeds[port.name] = self._values(port, regime, shape, rng)
        return Sample(regime, feeds)

    def _values(
        self, port: Port, regime: str, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        dtype = port.dtype
        if dtype is None:
            raise UsageError(
                f"Input {port.name!r} is not a tensor, so no values can be made up for it.",
                "Give real data with --inputs.",
            )
        if dtype == np.bool_:
            return _booleans(regime, shape, rng)
        if dtype.kind in "iu":
            return _integers(regime, shape, rng, *self._integer_range(port)).astype(dtype)
        if dtype.kind in "OSU":
            return rng.choice(np.array(_WORDS, dtype=object), size=shape)
        bounds = self.ranges.get(port.name)
        values = (
            _bounded(regime, shape, rng, *bounds)
            if bounds
            else _floats(regime, shape, rng, _WIDE.get(dtype.itemsize, 3.0))
        )
        return values.astype(dtype)

    def _integer_range(self, port: Port) -> tuple[int, int]:
        if port.name in self.ranges:
            low, high = self.ranges[port.name]
            return int(low), int(high)
        if port.name in self.limits:
            return 0, self.limits[port.name] - 1
        dtype = port.dtype
        assert dtype is not None
        if dtype.itemsize == 1:
            info = np.iinfo(dtype)
            return int(info.min), int(info.max)
        example = self.example.get(port.name)
        if example is not None and example.size:
            return int(example.min()), int(example.max())
        return 0, _UNKNOWN_INTEGERS - 1


def candidates(draft: Draft) -> list[tuple[Sizes, Sizes]]:
    """Return pairs of sizes to try, the likeliest first: two per dynamic dimension, neither 1."""
    found = []
    for spatial, sequence in (((64, 96), (12, 7)), ((32, 48), (8, 16)), ((224, 256), (64, 32))):
        pair = tuple(_assign(draft, spatial[which], sequence[which], which) for which in (0, 1))
        if pair not in found:
            found.append(pair)
    return [(first, second) for first, second in found]


def sizes_of(draft: Draft, size: int, keep: Sizes | None = None) -> Sizes:
    """Return every dynamic dimension at ``size``, or only the batch's where ``keep`` is given."""
    symbols: dict[str, int] = {}
    for port in draft.ports:
        for axis, dim in enumerate(draft.symbols(port)):
            if isinstance(dim, str):
                kept = keep.by_symbol[dim] if keep is not None and axis else size
                symbols.setdefault(dim, kept)
    return Sizes(symbols)


def plan(first: Sizes, second: Sizes, single: Sizes) -> list[tuple[str, Sizes, str]]:
    """Return what to draw: ``(regime, sizes, salt)`` in order.

    A model without dynamic dimensions is drawn from more often, since each draw tells less.
    """
    order = [
        ("signed", first, ""),
        ("signed", second, ""),
        ("signed", single, ""),
        ("wide", first, ""),
        ("edge", first, ""),
        ("zero", single, ""),
    ]
    if not first.by_symbol:
        order = [
            *(("signed", first, str(draw)) for draw in range(4)),
            *(("wide", first, str(draw)) for draw in range(2)),
            *(("edge", first, str(draw)) for draw in range(2)),
            ("zero", first, ""),
        ]
    return order


def _assign(draft: Draft, spatial: int, sequence: int, which: int) -> Sizes:
    symbols: dict[str, int] = {}
    for port in draft.ports:
        example = draft.example.get(port.name)
        dims = draft.symbols(port)
        elements = _row_elements(dims, spatial, sequence)
        fitting = (sizes for most, sizes in _BATCHES if elements <= most)
        batch = next(fitting, _LEAST_BATCHES)[which]
        for axis, dim in enumerate(dims):
            if not isinstance(dim, str) or dim in symbols:
                continue
            if axis == 0:
                size = batch
            elif example is not None and example.ndim == len(dims):
                size = _near(example.shape[axis], which)
            else:
                size = spatial if len(dims) >= 4 and axis >= 2 else sequence
            symbols[dim] = size
    return Sizes(symbols)


def _near(size: int, which: int) -> int:
    # A multiple of 32 stays one: strides of a net divide it.
    if which == 0:
        return max(size, 2)
    return size + 32 if size >= 64 else max(size, 2) + 1 + size % 2


def _row_elements(dims: Sequence[int | str], spatial: int, sequence: int) -> int:
    count = 1
    for axis, dim in enumerate(dims[1:], start=1):
        if isinstance(dim, int):
            count *= dim
        else:
            count *= spatial if len(dims) >= 4 and axis >= 2 else sequence
    return count


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
    regime: str, shape: tuple[int, ...], rng: np.random.Generator, low: int, high: int
) -> Array:
    if regime == "zero":
        return np.full(shape, min(max(0, low), high))
    values = rng.integers(low, high, size=shape, endpoint=True)
    if regime == "edge":
        flat = values.reshape(-1)
        flat[::3], flat[1::3] = low, high
    return np.asarray(values)


def _booleans(regime: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if regime == "zero":
        return np.zeros(shape, np.bool_)
    values = rng.random(shape) < 0.5
    if regime == "edge":
        values.reshape(-1)[::2] = True
    return np.asarray(values)
