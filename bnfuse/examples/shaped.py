"""Example inputs of the shapes that a person gave."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bnfuse.errors import InputShapeError, UsageError
from bnfuse.examples.example import ExampleInputs
from bnfuse.examples.layers import guesses

if TYPE_CHECKING:
    from bnfuse.examples.input_shape import InputShape
    from bnfuse.examples.signature import Signature
    from bnfuse.examples.tensors import TensorMaker
    from bnfuse.examples.trial import Trials

__all__ = ["from_shapes", "input_shape_option"]


def from_shapes(
    trials: Trials, maker: TensorMaker, signature: Signature, shapes: list[InputShape]
) -> ExampleInputs:
    """Floats or integers for the shapes that were given, whichever the module accepts."""
    names = _names_for(signature, shapes)
    order = sorted(range(len(shapes)), key=lambda i: _position(signature, names[i]))
    shapes, names = [shapes[i] for i in order], tuple(names[i] for i in order)
    _check_symbols(shapes)
    bounds = [guess.bound for guess in guesses(trials.module) if guess.bound is not None]
    smallest = min(bounds, default=2)
    likely = [any(word in name for word in ("id", "mask", "token", "index")) for name in names]
    kinds = sorted(
        itertools.product((None, smallest), repeat=min(len(shapes), 5)),
        key=lambda kind: sum(
            (k is not None) != like for k, like in zip(kind, likely, strict=False)
        ),
    )
    for kind in kinds:
        padded = (*kind, *(None,) * (len(shapes) - len(kind)))
        args = tuple(
            maker.make(shape.sizes, bound) for shape, bound in zip(shapes, padded, strict=True)
        )
        if trials.accepts(signature, args, names):
            return ExampleInputs(args, names, tuple(shape.dynamic for shape in shapes), "as given")
    tried = trials.tried[0] if trials.tried else ""
    raise InputShapeError(
        f"The module does not accept the input that --input-shape gives: {tried}.",
        f"Its forward takes {', '.join(signature.names) or 'any inputs'}; give each its shape: "
        + input_shape_option(signature),
    )


def _names_for(signature: Signature, shapes: list[InputShape]) -> tuple[str, ...]:
    given = [shape.name for shape in shapes]
    if all(name is None for name in given):
        if len(shapes) <= len(signature.required):
            return signature.required[: len(shapes)]
        return signature.leading(len(shapes))
    if any(name is None for name in given):
        raise UsageError(
            "Some inputs are given by name and some are not.",
            "Name all of them: --input-shape name=shape.",
        )
    names = tuple(str(name) for name in given)
    unknown = [name for name in names if name not in signature.names]
    if unknown or len(set(names)) != len(names):
        raise InputShapeError(
            f"forward has no input {unknown[0]}."
            if unknown
            else f"--input-shape names {names[0]} twice.",
            f"It takes {', '.join(signature.names)}.",
        )
    return names


def _check_symbols(shapes: list[InputShape]) -> None:
    sizes: dict[str, int] = {}
    for dimension in (d for shape in shapes for d in shape.dimensions if d.symbol):
        if sizes.setdefault(str(dimension.symbol), dimension.size) != dimension.size:
            raise UsageError(
                f"--input-shape gives {dimension.symbol} two example sizes.",
                "The same letter stands for the same size in every input.",
            )


def _position(signature: Signature, name: str) -> int:
    return signature.names.index(name) if name in signature.names else len(signature.names)


def input_shape_option(signature: Signature) -> str:
    """The option that a person should give, for this ``forward``."""
    if len(signature.required) < 2:
        return "--input-shape N,3,224,224 (a letter is a dynamic dimension)"
    return " ".join(f"--input-shape {name}=N,…" for name in signature.required)
