"""One set of inputs for all contestants, drawn from what the first says that it takes."""

from __future__ import annotations

__all__ = ["check_same_inputs", "draw_feeds"]

from dataclasses import replace
from typing import TYPE_CHECKING

from bnfuse.errors import UsageError
from bnfuse.examples.input_shape import parse_input_shape
from bnfuse.verifying.samples.drawing import Draft, Draw
from bnfuse.verifying.samples.index_tables import index_limits
from bnfuse.verifying.samples.sizes import Sizes, candidates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bnfuse.bench.sessions import Feeds, Runner
    from bnfuse.verifying.runtime.onnx_models import OnnxSource, Port

_REGIME = "signed"


def check_same_inputs(sources: Sequence[OnnxSource]) -> None:
    """Do nothing if every model takes what the first takes: names, types and fitting shapes.

    Raises:
        UsageError: One does not.
    """
    first, *others = sources
    for other in others:
        ours, theirs = first.signature.inputs, other.signature.inputs
        if len(ours) != len(theirs) or not all(map(_alike, ours, theirs)):
            raise UsageError(
                f"{other.label} takes {_described(theirs)}, but {first.label} takes "
                f"{_described(ours)}.",
                "Time models with the same inputs against each other.",
            )


def draw_feeds(
    runner: Runner,
    source: OnnxSource,
    *,
    batch: int | None = None,
    input_shapes: Sequence[str] = (),
    seed: int = 0,
) -> Feeds:
    """Random inputs that ``runner`` accepts.

    Args:
        runner: The model's session.
        source: The model.
        batch: The size of a dynamic first dimension; 1 by default.
        input_shapes: As ``--input-shape`` gives them, for dynamic dimensions.
        seed: Of the random numbers.

    Raises:
        UsageError: The shapes are not of the model, or nothing that was tried is accepted.
    """
    ports = _shaped(source.signature.inputs, input_shapes, batch)
    draft = Draft(ports, limits=index_limits(source.graph), seed=seed)
    refusals = []
    for sizes in _sizes(draft, batch):
        feeds = draft.draw(Draw(_REGIME, sizes)).feeds
        try:
            runner.run(feeds)
        except UsageError as error:
            refusals.append(error)
        else:
            return feeds
    raise refusals[0]


def _sizes(draft: Draft, batch: int | None) -> Iterator[Sizes]:
    firsts = {dims[0] for port in draft.ports if (dims := draft.symbols(port))}
    seen = []
    for first, _ in candidates(draft):
        sizes = Sizes(
            {s: (batch or 1) if s in firsts else size for s, size in first.by_symbol.items()}
        )
        if sizes not in seen:
            seen.append(sizes)
            yield sizes


def _shaped(
    ports: Sequence[Port], input_shapes: Sequence[str], batch: int | None
) -> tuple[Port, ...]:
    """The inputs with the sizes that were given in place of their dynamic dimensions."""
    given = [parse_input_shape(text) for text in input_shapes]
    by_name = {shape.name: shape.sizes for shape in given if shape.name is not None}
    unnamed = iter(shape.sizes for shape in given if shape.name is None)
    shaped = []
    for port in ports:
        sizes = by_name.pop(port.name, None) or next(unnamed, None)
        dims = port.dims if sizes is None else sizes
        if sizes is not None and not _fits(port.dims, sizes):
            raise UsageError(
                f"The shape {list(sizes)} does not fit the input {_one(port)}.",
                "Give its fixed dimensions as they are.",
            )
        if sizes is not None and batch is not None:
            dims = (batch, *sizes[1:])
        _check_batch(port, batch)
        shaped.append(replace(port, dims=dims))
    if by_name or next(unnamed, None) is not None:
        raise UsageError(
            "There are more input shapes than inputs.", f"The inputs are {_described(ports)}."
        )
    return tuple(shaped)


def _check_batch(port: Port, batch: int | None) -> None:
    fixed = port.dims[0] if port.dims else None
    if batch is not None and isinstance(fixed, int) and fixed != batch:
        raise UsageError(
            f"The input {_one(port)} has the fixed batch size {fixed}, not {batch}.",
            f"Use --batch {fixed}, or export the model with a dynamic batch.",
        )


def _alike(ours: Port, theirs: Port) -> bool:
    return (
        ours.name == theirs.name
        and ours.elem_type == theirs.elem_type
        and (ours.dims is None or theirs.dims is None or _fits(ours.dims, theirs.dims))
    )


def _fits(
    ours: Sequence[int | str | None] | None, theirs: Sequence[int | str | None] | None
) -> bool:
    """Whether two shapes can be the same: a fixed size fits itself and any dynamic one."""
    if ours is None or theirs is None:
        return True
    return len(ours) == len(theirs) and all(
        a == b or not isinstance(a, int) or not isinstance(b, int)
        for a, b in zip(ours, theirs, strict=True)
    )


def _described(ports: Sequence[Port]) -> str:
    return ", ".join(map(_one, ports)) or "nothing"


def _one(port: Port) -> str:
    dims = "of any rank" if port.dims is None else list(port.dims)
    return f"{port.name} {port.dtype or 'of no tensor type'} {dims}"
