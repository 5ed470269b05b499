"""Example inputs: inferred from the first layers, or as they were given."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bnfuse.errors import InputShapeError
from bnfuse.examples.example import ExampleInputs
from bnfuse.examples.hints import hinted_guesses
from bnfuse.examples.input_shape import parse_input_shape
from bnfuse.examples.layers import Guess, guesses
from bnfuse.examples.shaped import from_shapes, input_shape_option
from bnfuse.examples.signature import ForwardSignature, signature_of
from bnfuse.examples.size_search import search_size
from bnfuse.examples.tensors import TensorMaker, parse_dtype
from bnfuse.examples.trial import Trials

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

    from bnfuse.examples.trial import Trial

__all__ = ["ExampleInputs", "example_inputs", "given_inputs"]

_BATCH = "N"
_EXAMPLE_BATCH = 2
_MAX_COMBINATIONS = 32
_ONE_OF_SEVERAL = 112
"""About the size to try first where there are several inputs: what compares two images may cost
the fourth power of their size."""


def example_inputs(
    module: nn.Module,
    input_shapes: Sequence[str] = (),
    dtype: str | torch.dtype | None = None,
    told: Callable[[str], None] | None = None,
) -> ExampleInputs:
    """Find inputs that ``module`` accepts, each checked by a forward pass.

    The search ends after 96 passes, or before one that would compute more than 2³² numbers
    together with those before.

    Args:
        module: In eval mode, on the CPU; it stays as it was.
        input_shapes: As ``--input-shape`` takes them; empty to infer from the first layers.
        dtype: Of the inputs; None for the module's own.
        told: Hears what is tried.

    Raises:
        InputShapeError: Nothing works; the message says what was tried.
        UsageError: A shape or dtype is not of the form that they have.
    """
    signature = signature_of(module)
    trials = Trials(module, told=told)
    maker = TensorMaker(module, parse_dtype(dtype))
    if input_shapes:
        return from_shapes(trials, maker, signature, [parse_input_shape(s) for s in input_shapes])
    if not signature.required:
        raise InputShapeError("The module's forward takes no tensor.", "It cannot be exported.")
    candidates = [*hinted_guesses(module), *guesses(module)]
    searched = [signature]
    if signature.together:
        searched.append(replace(signature, required=signature.together))
    several = len(searched) > 1 or len(signature.required) > 1
    # For several inputs each layer is asked at one size before any is at the next.
    for most in (1, None) if several else (None,):
        for wanted in searched:
            for combination in _combinations(candidates, wanted):
                found = _try(trials, maker, wanted, combination, most)
                if found is not None:
                    return found
    raise _nothing_worked(trials, signature)


def given_inputs(
    module: nn.Module, tensors: torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor]
) -> ExampleInputs:
    """Wrap inputs that a caller gave; the first axis is dynamic for all that share its size.

    An example batch of 1 would be taken for a fixed one: it is repeated if the module accepts that.

    Raises:
        InputShapeError: ``forward`` does not take such inputs.
    """
    import torch

    signature = signature_of(module)
    names: tuple[str, ...]
    if isinstance(tensors, Mapping):
        wrong = [name for name in tensors if name not in signature.names]
        absent = [n for n in signature.required if n not in tensors] if len(tensors) == 0 else []
        if wrong or absent:
            raise InputShapeError(
                f"forward has no parameter {wrong[0]}." if wrong else "No input was given.",
                f"It takes {', '.join(signature.names)}.",
            )
        names = tuple(name for name in signature.names if name in tensors)
        args = tuple(tensors[name] for name in names)
    else:
        args = (tensors,) if isinstance(tensors, torch.Tensor) else tuple(tensors)
        names = signature.leading(len(args))
    if not all(isinstance(arg, torch.Tensor) for arg in args) or not args:
        raise InputShapeError("Example inputs must be tensors.", "Give one for each parameter.")
    found = "as given"
    batches = {arg.shape[0] for arg in args if arg.ndim}
    if batches == {1}:
        doubled = tuple(torch.cat([arg, arg]) if arg.ndim else arg for arg in args)
        if Trials(module).accepts(signature, doubled, names):
            args, found = doubled, "as given, repeated to a batch of 2 so that it can be dynamic"
    first = next((arg.shape[0] for arg in args if arg.ndim), 0)
    dynamic = tuple(
        {0: _BATCH} if arg.ndim and arg.shape[0] == first and first > 1 else {} for arg in args
    )
    return ExampleInputs(args, names, dynamic, found)


def _try(
    trials: Trials,
    maker: TensorMaker,
    signature: ForwardSignature,
    combination: tuple[Guess, ...],
    most: int | None,
) -> ExampleInputs | None:
    """Search one size, shared by all the inputs, for a batch of 2, then for a batch of 1.

    With ``most``, so many sizes are tried, and a batch of 2 alone.
    """
    names = signature.required
    sizes = next((guess.sizes for guess in combination if guess.sizes), ())
    if len(combination) > 1:
        sizes = tuple(sorted(sizes, key=lambda size: abs(math.log(size / _ONE_OF_SEVERAL))))

    def build(batch: int, size: int) -> tuple[torch.Tensor, ...]:
        return tuple(maker.make(guess.shape(batch, size), guess.bound) for guess in combination)

    for batch in (_EXAMPLE_BATCH, 1) if most is None else (_EXAMPLE_BATCH,):

        def attempt(size: int, batch: int = batch) -> Trial:
            return trials.run_named(signature, build(batch, size), names)

        size = search_size(sizes[:most], attempt)
        if size is None:
            continue
        args = build(batch, size)
        other = build(_EXAMPLE_BATCH + 1, size)
        dynamic = batch > 1 and trials.accepts(signature, other, names)
        axes: tuple[dict[int, str], ...] = tuple(
            {guess.axes.index(_BATCH): _BATCH} if dynamic and _BATCH in guess.axes else {}
            for guess in combination
        )
        sources = list(dict.fromkeys(guess.source for guess in combination))
        hinted = all(source.startswith("the ") for source in sources)
        found = "from " + ("" if hinted else "the first layer: ") + ", ".join(sources)
        found += " -> " + ", ".join(_shape(arg) for arg in args)
        if not dynamic:
            found += f"; only a batch of {batch} is accepted"
        return ExampleInputs(args, names, axes, found)
    return None


def _combinations(candidates: list[Guess], signature: ForwardSignature) -> list[tuple[Guess, ...]]:
    """A guess for each input that has no default, those of the earliest layers first.

    Of several inputs all of one guess before one for each: two images that are compared go through
    the same layers; what else has several inputs refuses the same for all at once. Tokens and
    images are called so by their names.
    """
    if len(signature.required) == 1 and not signature.together:
        return [(candidate,) for candidate in candidates]
    suiting = [list(enumerate(_suiting(name, candidates))) for name in signature.required]
    products = itertools.islice(itertools.product(*suiting), 4096)
    order = sorted(products, key=lambda places: sum(place for place, _ in places))
    masks = [("mask" in name or "type" in name) for name in signature.required]
    ids = next((guess for guess in candidates if guess.bound is not None), None)

    def fitted(places: tuple[tuple[int, Guess], ...]) -> tuple[Guess, ...]:
        return tuple(
            Guess(ids.source, ids.axes, ids.sizes, bound=2) if mask and ids else guess
            for (_, guess), mask in zip(places, masks, strict=True)
        )

    return list(dict.fromkeys(map(fitted, order)))[:_MAX_COMBINATIONS]


def _suiting(name: str, candidates: list[Guess]) -> list[Guess]:
    """The guesses that an input's name leaves, all where it leaves none.

    Tokens are a few in each row: their number is not the image's size, which is searched for.
    """
    found = []
    if name == "input_ids":
        tokens = [guess for guess in candidates if guess.bound is not None and guess.sizes]
        found = [replace(guess, axes=("N", guess.sizes[0]), sizes=()) for guess in tokens]
    elif name == "pixel_values":
        found = [guess for guess in candidates if guess.bound is None and len(guess.axes) > 3]
    return found or candidates


def _nothing_worked(trials: Trials, signature: ForwardSignature) -> InputShapeError:
    shown = list(dict.fromkeys(trials.tried))
    listed = "; ".join(shown[:4]) + (f"; and {len(shown) - 4} more" if len(shown) > 4 else "")
    tried = f"tried {listed}" if shown else "none of its layers says what it takes"
    stopped = f", and stopped after {trials.count} passes" if trials.spent else ""
    return InputShapeError(
        f"No input was found that the module accepts: {tried}{stopped}.",
        f"Give its shape: {input_shape_option(signature)}",
    )


def _shape(tensor: torch.Tensor) -> str:
    return "(" + ", ".join(str(size) for size in tensor.shape) + ")"
