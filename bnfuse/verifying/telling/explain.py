"""What is said of a failure on request: where the models part, and a folder that shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.verifying.runtime.narrow_types import widened
from bnfuse.verifying.runtime.onnx_models import onnx_source
from bnfuse.verifying.telling.localize import localize
from bnfuse.verifying.telling.repro import smallest, worst_of, write_repro

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bnfuse.loading import LoadOptions
    from bnfuse.verifying.original.original import Side
    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.samples.drawing import Sample
    from bnfuse.verifying.verdicts.result import Verification

__all__ = ["Failure", "explained"]


@dataclass(frozen=True)
class Failure:
    """What failed, and on what.

    Attributes:
        side: What it was measured against.
        candidate: The model that failed.
        samples: The inputs.
        given: The original as the caller gave it.
        options: How it was loaded, where it is a file.
    """

    side: Side
    candidate: OnnxSource
    samples: Iterable[Sample]
    given: Any
    options: LoadOptions


def explained(
    result: Verification, failure: Failure, where: bool, folder: str | Path | None
) -> Verification:
    """Return ``result`` with what was asked for about its failure.

    Args:
        result: A verdict of FAIL.
        failure: What failed.
        where: Whether to compare value by value.
        folder: Where to write a reproduction, if anywhere.
    """
    worst = worst_of(result)
    sample = next((s for s in failure.samples if worst is None or s.label == worst.sample), None)
    if sample is None:
        return result
    graph, notes = failure.side.graph, list(result.warnings)
    original: OnnxSource | Path | None
    if where:
        try:
            if graph is None:
                assert failure.side.model is not None
                graph = failure.side.model.exported(sample.feeds)
                notes.append("values are compared with an export of the module made for this")
            parted = localize(graph, widened(failure.candidate), sample.feeds)
            result = replace(result, localized=parted)
            if not parted:
                notes.append("the failure could not be localized: the models name no value alike")
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            notes.append(f"the failure could not be localized: {reason}")
        result = replace(result, warnings=tuple(notes))
    if folder is not None:
        feeds = smallest(sample.feeds, worst, failure.side.original)
        if failure.side.model is None:
            original, graph = onnx_source(failure.given, "original"), None
        else:
            # A module in memory cannot be copied without its code.
            file = isinstance(failure.given, (str, Path))
            original = Path(failure.given) if file else None
        write_repro(folder, original, graph, failure.candidate, feeds, result, failure.options)
    return result
