"""What a fold would do, with nothing written or verified."""

from __future__ import annotations

__all__ = ["plan", "planned"]

from dataclasses import replace
from typing import TYPE_CHECKING

from bnfuse.onnxfiles.size import model_bytes, node_count
from bnfuse.pipeline.entry import SourceOptions, enter
from bnfuse.pipeline.stages import Inner
from bnfuse.progress import Progress, Silent

if TYPE_CHECKING:
    from bnfuse.pipeline.entry import Entry, Source
    from bnfuse.reporting import Report


def plan(
    source: Source, wanted: SourceOptions | None = None, *, progress: Progress | None = None
) -> Report:
    """What :func:`bnfuse.fold` would do to a source: its report.

    Args:
        source: As :func:`bnfuse.fold` takes it.
        wanted: How it becomes a graph.
        progress: Hears of each stage.

    Raises:
        BnfuseError: The source cannot be loaded, exported or folded.
    """
    progress = progress or Silent()
    return planned(enter(source, wanted or SourceOptions(), progress), progress).report


def planned(entry: Entry, progress: Progress) -> Inner:
    """Fold an entry in memory, each weight as the recipe that writing it would follow."""
    with progress.stage("plan") as line:
        line.doing(f"{node_count(entry.model):,} nodes")
        inner = Inner.run(entry, entry.model, lazily=True)
        folded = sum(n.folded for n in inner.report.norms)
        line.detail = f"{folded} of {len(inner.report.norms)} norms would fold"
    size = model_bytes(inner.lowered.model)
    return replace(inner, report=inner.report.of_size(size))
