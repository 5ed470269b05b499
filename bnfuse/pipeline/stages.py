"""The inner stages, in one go: lift, fold, lower, and what became of each norm."""

from __future__ import annotations

__all__ = ["Inner"]

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.errors import FoldError
from bnfuse.folding import StoppedFoldError, fold
from bnfuse.lifting import lift
from bnfuse.lifting.preparing.prepare import prepare
from bnfuse.lowering import Lowered, lower
from bnfuse.onnxfiles.size import (
    model_bytes,
    node_count,
)
from bnfuse.pipeline.bodies import fold_bodies
from bnfuse.pipeline.unrecognised import unrecognised
from bnfuse.reporting import Counts, Report, Sketch, channels_of, site_reports
from bnfuse.wording import few

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from bnfuse.folding import Application
    from bnfuse.pipeline.entry import Entry


@dataclass(frozen=True, eq=False)
class Inner:
    """The results of the stages between export and verification.

    Attributes:
        lowered: The model.
        report: What became of each norm, not verified yet.
        applications: The rule applications, in order.
    """

    lowered: Lowered
    report: Report
    applications: tuple[Application, ...]

    @classmethod
    def run(
        cls,
        entry: Entry,
        model: ir.Model,
        *,
        folding: bool = True,
        limit: int | None = None,
        barred: Mapping[str, str] | None = None,
        lazily: bool = False,
    ) -> Inner:
        """Fold ``model`` in place.

        Args:
            entry: What the model is.
            model: It, or a copy of it.
            folding: Without it the graph stays as it is, node by node, and its norms are told of.
            limit: See :func:`bnfuse.folding.fold`.
            barred: See :func:`bnfuse.folding.fold`.
            lazily: See :func:`bnfuse.lowering.lower`.

        Raises:
            StoppedFoldError: A folded constant differs from its independent derivation.
        """
        nodes, size = node_count(model), entry.bytes or model_bytes(model)
        with _uncollected():
            changed = model if folding else model.clone()
            interface, notes = prepare(changed)
            applications: tuple[Application, ...] = ()
            lowered = Lowered(model, ())
            try:
                # Before the first rule application nothing is folded, in no body either.
                nested = fold_bodies(changed, folding=folding and limit != 0, barred=barred)
                before = Sketch.of(changed.graph)
                lifted = lift(changed)
                channels = channels_of(lifted)
                log = fold(lifted, limit if folding else 0, barred)
                applications = log.applications
                if folding:
                    lowered = lower(changed, lazily=lazily)
            except StoppedFoldError:
                raise
            except FoldError as error:
                raise StoppedFoldError(error, applications) from error
            if folding:
                notes += interface.restore(changed)
                lowered = lowered.plus(nested.derivations, nested.rescaled, nested.guarded)
            if lowered.guarded:
                notes.append(
                    f"{few(lowered.guarded)} pools with auto_pad VALID: ONNX Runtime "
                    "would merge the Pad by 0 before it, and pad by minus infinity"
                )
            notes += unrecognised(entry.original, lifted, lowered.model.graph)
            report = Report(
                source=entry.name,
                output=None,
                source_files=entry.files,
                kind=entry.kind,
                exporter=entry.exporter,
                opset=model.opset_imports.get("", 0),
                sites=(*site_reports(lifted, log, channels), *nested.sites),
                ops=Counts(nodes, node_count(lowered.model)),
                # What it comes to is known when it is written.
                bytes=Counts(size, size),
                notes=(*entry.notes, *notes),
                merges=(*log.merges, *nested.merges),
                unmerged=(*log.unmerged, *nested.unmerged),
                before=before,
                after=Sketch.of(lowered.model.graph),
            )
        return cls(lowered, report, log.applications)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from going over a graph that only grows: a fifth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
