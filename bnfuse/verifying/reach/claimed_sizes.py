"""At which sizes alone a candidate is judged: where the original asks for that, and only there.

Who writes a candidate can write into it that it is valid for few sizes. An original that is an ONNX
model may say so of itself. A module says nothing: an export of it, made for this run, finds the
sizes beyond which ``forward`` takes another path.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import onnx

from bnfuse.errors import BnfuseError
from bnfuse.verifying.runtime.onnx_models import OnnxSource
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.samples.drawing import Sizes, probe
from bnfuse.verifying.samples.sizes import candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bnfuse.verifying.original.runs import Original
    from bnfuse.verifying.samples.drawing import Draft
    from bnfuse.verifying.truth.torch_model import TorchModel

__all__ = ["kept", "module_bounds", "told"]

Bounds: TypeAlias = "Mapping[str, tuple[int | None, int | None]]"

# Sizes that a module is asked for at most.
_LARGEST = 1 << 11


def module_bounds(
    model: TorchModel, candidate: OnnxSource, export: OnnxSource | None, draft: Draft
) -> tuple[Bounds, list[str]]:
    """Return at which sizes a module's candidate is judged, and what a reader should know.

    Args:
        model: The module.
        candidate: Which may claim some sizes.
        export: The module's own export, where this run made it.
        draft: What inputs are drawn from.
    """
    claimed = {name: ends for name, ends in candidate.bounds.items() if ends != (None, None)}
    if not claimed:
        return {}, []
    own = (export or _exported(model, replace(draft, bounds=claimed))).bounds
    found = {name: own[name] for name in claimed if name in own}
    notes = [
        f"the candidate says that it is valid for {told(name, *ends)} only, which no export of the "
        "module bears out: it was compared at other sizes too"
        for name, ends in claimed.items()
        if name not in found
    ]
    return found, notes


def kept(original: Original, draft: Draft, claimed: Bounds) -> Bounds:
    """Return the claimed bounds moved outward as far as the original takes sizes beyond them."""
    within = candidates(replace(draft, bounds=claimed))[0][0].by_symbol

    def takes(symbol: str, size: int) -> bool:
        try:
            original.once(draft.draw(probe(Sizes({**within, symbol: size}))).feeds)
        except RunError:
            return False
        return True

    found = {}
    for symbol, (low, high) in claimed.items():
        if symbol not in within:
            continue
        takes_it = partial(takes, symbol)
        if high is not None:
            beyond = high + 1
            while beyond < _LARGEST and takes_it(beyond):
                high, beyond = beyond, 2 * beyond
            high = _last(high, beyond, takes_it)
        if low is not None:
            low = _last(low, 0, takes_it)
        found[symbol] = low, high
    return found


def _last(good: int, bad: int, holds: Callable[[int], bool]) -> int:
    """Return the last number that holds on the way from one that does to one that does not."""
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def told(symbol: str, low: int | None, high: int | None) -> str:
    """Return a symbol and its bounds in words."""
    ends = {(True, False): "from {}", (False, True): "up to {1}", (True, True): "from {} to {}"}
    return f"{symbol} {ends[low is not None, high is not None].format(low, high)}"


def _exported(model: TorchModel, draft: Draft) -> OnnxSource:
    """Return an export of the module at sizes that were claimed; an empty model if there is none.

    Which path ``forward`` takes is found out at the example's sizes.
    """
    feeds = draft.draw(probe(candidates(draft)[0][0])).feeds
    axes = [
        {axis: dim for axis, dim in enumerate(draft.symbols(port)) if isinstance(dim, str)}
        for port in draft.ports
    ]
    try:
        return model.exported(feeds, axes, simplify=False)
    except BnfuseError:
        return OnnxSource("export", given=onnx.ModelProto())
