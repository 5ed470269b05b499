"""What a module's first layers say about its input.

A convolution knows its channels and its rank, a Linear its features, an embedding its range; what
they leave open (image sizes, sequence lengths) :mod:`bnfuse.examples.size_search` searches for.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["Axis", "Guess", "guesses"]

Axis = int | Literal["N", "S"]
"""A size that is known, the batch, or one to be searched for."""

_MAX_GUESSES = 12
_IMAGE_SIZES = {
    1: (28, 32, 8, 64, 224),
    3: (224, 32, 64, 128, 299, 96, 384),
}
_OTHER_IMAGE_SIZES = (32, 64, 8, 16, 128, 224)
_VOLUME_SIZES = (16, 8, 32, 64)
_SIGNAL_SIZES = (64, 16, 256, 8, 1024)
_SEQUENCE_SIZES = (8, 4, 16, 32)


@dataclass(frozen=True)
class Guess:
    """An input that a layer would accept.

    Attributes:
        source: The layer, as a person knows it: ``Conv2d(1, …)``.
        axes: Its shape; ``"S"`` stands for one size that all its axes share.
        sizes: What to try for ``"S"``, the likeliest first; empty where there is none.
        bound: Integers below this, for an embedding; None for floats.
    """

    source: str
    axes: tuple[Axis, ...]
    sizes: tuple[int, ...] = ()
    bound: int | None = None

    def shape(self, batch: int, size: int) -> tuple[int, ...]:
        """The shape for one batch size and one searched size."""
        known = {"N": batch, "S": size}
        return tuple(known[axis] if isinstance(axis, str) else axis for axis in self.axes)


def guesses(module: nn.Module) -> list[Guess]:
    """What the layers of ``module`` would accept, in the order of their definition, each once."""
    found: dict[tuple[Any, ...], Guess] = {}
    tables = 0
    for guess in (*_from_layers(module), *_from_weights(module)):
        table = guess.bound is not None
        # The tokens that go with an image are read behind all of the image's layers.
        if len(found) < _MAX_GUESSES or (table and not tables):
            found.setdefault((guess.axes, guess.bound), guess)
            tables += table
    return list(found.values())


def _from_layers(module: nn.Module) -> Iterator[Guess]:
    for part in module.modules():
        # A scripted module only tells the name of the class that it was made of.
        names = [cls.__name__ for cls in type(part).__mro__]
        names.append(str(getattr(part, "original_name", "")))
        for name in names:
            if name in _READERS:
                # A traced module keeps no attributes, a namesake other ones: its weights remain.
                with contextlib.suppress(AttributeError, TypeError, ValueError):
                    yield from _READERS[name](part)
                break


def _conv(part: Any) -> Iterator[Guess]:
    channels, rank = int(part.in_channels), part.weight.ndim - 2
    yield image_guess(f"{_name(part)}({channels}, …)", channels, rank)


def _norm(part: Any) -> Iterator[Guess]:
    channels, name = int(part.num_features), _name(part)
    source = f"{name}({channels})"
    ranks = {"1d": (0, 1), "2d": (2,), "3d": (3,)}.get(name[-2:], (2, 0, 1))
    for rank in ranks:
        yield image_guess(source, channels, rank)


def _linear(part: Any) -> Iterator[Guess]:
    features = int(part.in_features)
    source = f"{_name(part)}({features}, …)"
    yield Guess(source, ("N", features))
    yield Guess(source, ("N", "S", features), _SEQUENCE_SIZES)


def _embedding(part: Any) -> Iterator[Guess]:
    rows = int(part.num_embeddings)
    source = f"{_name(part)}({rows}, …)"
    yield Guess(source, ("N", "S"), _SEQUENCE_SIZES, bound=rows)
    yield Guess(source, ("N",), bound=rows)


def _recurrent(part: Any) -> Iterator[Guess]:
    features = int(part.input_size)
    source = f"{_name(part)}({features}, …)"
    first: tuple[Axis, ...] = ("N", "S", features)
    swapped: tuple[Axis, ...] = ("S", "N", features)
    batch_first = bool(getattr(part, "batch_first", False))
    for axes in (first, swapped) if batch_first else (swapped, first):
        yield Guess(source, axes, _SEQUENCE_SIZES)


def _layer_norm(part: Any) -> Iterator[Guess]:
    shape = tuple(int(size) for size in part.normalized_shape)
    source = f"{_name(part)}({shape})"
    yield Guess(source, ("N", "S", *shape), _SEQUENCE_SIZES)
    yield Guess(source, ("N", *shape))


_READERS = {
    "_ConvNd": _conv,
    **{f"Conv{rank}d": _conv for rank in (1, 2, 3)},
    **{f"ConvTranspose{rank}d": _conv for rank in (1, 2, 3)},
    "_NormBase": _norm,
    **{f"BatchNorm{rank}d": _norm for rank in (1, 2, 3)},
    "Linear": _linear,
    "Embedding": _embedding,
    "EmbeddingBag": _embedding,
    "RNNBase": _recurrent,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "LayerNorm": _layer_norm,
}


def _from_weights(module: nn.Module) -> Iterator[Guess]:
    """For hand-written layers: a weight of rank 3 to 5 is taken for a convolution's."""
    for name, weight in module.named_parameters():
        shape = tuple(weight.shape)
        source = f"the weight {name} of shape {shape}"
        if len(shape) == 2:
            for features in dict.fromkeys((shape[1], shape[0])):
                yield Guess(source, ("N", features))
                yield Guess(source, ("N", "S", features), _SEQUENCE_SIZES)
        elif 3 <= len(shape) <= 5 and max(shape[2:]) > 1:
            yield image_guess(source, shape[1], len(shape) - 2)
        elif len(shape) == 4 and shape[0] == 1 and shape[2:] == (1, 1):
            yield image_guess(source, shape[1], 2)
        elif len(shape) == 1:
            yield Guess(source, ("N", shape[0]))


def image_guess(source: str, channels: int, rank: int) -> Guess:
    """An input of ``channels`` and ``rank`` axes of one size to be searched for."""
    searched: Axis = "S"
    sizes: tuple[int, ...] = {
        0: (),
        1: _SIGNAL_SIZES,
        2: _IMAGE_SIZES.get(channels, _OTHER_IMAGE_SIZES),
        3: _VOLUME_SIZES,
    }[rank]
    return Guess(source, ("N", channels, *[searched] * rank), sizes)


def _name(part: Any) -> str:
    return str(getattr(part, "original_name", type(part).__name__))
